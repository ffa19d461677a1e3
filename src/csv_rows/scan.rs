//! The first pass over a file: whether its encoding is right, its size and its delimiter.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::encoding::{Decoded, Encoding};
use super::{FileError, FileFault};

/// Bytes that are looked at to tell in which other encoding a file may be.
const SAMPLE: usize = 4096;

/// What the first pass found.
#[derive(Debug)]
pub struct Scan {
    /// Size of the file in bytes.
    pub size: u64,
    /// Size of its text in bytes of UTF-8.
    pub text: u64,
    /// What separates cells.
    pub delimiter: u8,
    /// Whether the last line is ended.
    pub ends_with_newline: bool,
}

/// Reads a file through.
pub fn scan(path: &Path, encoding: Encoding) -> Result<Scan, FileError> {
    let fault = |fault| FileError { path: path.to_owned(), fault };
    let unreadable = |error| fault(FileFault::Unreadable(error));
    let file = File::open(path).map_err(unreadable)?;
    let own = file.try_clone().map_err(unreadable)?;
    let mut decoded = Decoded::new(file, encoding);
    let mut scan = Scan { size: 0, text: 0, delimiter: b',', ends_with_newline: false };
    let (mut line, mut character) = (1, 1);
    loop {
        let block = decoded.block().map_err(unreadable)?;
        if scan.text == 0 {
            begin(block, &mut scan).map_err(fault)?;
        }
        let Some(last) = block.as_bytes().last() else { break };
        scan.ends_with_newline = *last == b'\n';
        scan.text += length(block.len());
        for letter in block.chars() {
            (line, character) = if letter == '\n' { (line + 1, 1) } else { (line, character + 1) };
        }
    }
    scan.size = decoded.at();
    if let Some(at) = decoded.wrong() {
        let near = around(&own, at).map_err(unreadable)?;
        let encoding = decoded.encoding();
        let (byte, likely) = (near.1, encoding.likely(&near.0));
        return Err(fault(FileFault::Encoding { line, character, byte, encoding: encoding.name(), likely }));
    }
    if scan.text == 0 { Err(fault(FileFault::Empty)) } else { Ok(scan) }
}

/// The bytes of the file from its beginning or a little before a place, whole lines as far as there are any, and the byte there.
fn around(file: &File, at: u64) -> io::Result<(Vec<u8>, u8)> {
    let start = at.saturating_sub(length(SAMPLE / 2));
    let mut bytes = vec![0; SAMPLE];
    let read = file.read_at(&mut bytes, start)?;
    bytes.truncate(read);
    let place = usize::try_from(at - start).unwrap_or_default();
    let byte = bytes.get(place).copied().unwrap_or_default();
    let newline = |byte: &u8| *byte == b'\n';
    let first = bytes.iter().take(place).position(newline).filter(|_| start > 0).map_or(0, |found| found + 1);
    let last = bytes.iter().rposition(newline).filter(|last| *last > place).unwrap_or(bytes.len());
    Ok((bytes.get(first..last).unwrap_or_default().to_vec(), byte))
}

/// What the beginning of the text tells.
fn begin(block: &str, scan: &mut Scan) -> Result<(), FileFault> {
    if block.starts_with("PK\u{3}\u{4}") {
        return Err(FileFault::NoText("a workbook or an archive"));
    }
    if block.contains('\0') {
        return Err(FileFault::NoText(
            "no text in this encoding; text in UTF-16 says utf-16le by --encoding, or by the part 'encoding' of an upload",
        ));
    }
    if ends_lines_by_returns(block) {
        return Err(FileFault::LineEnds);
    }
    let header = block.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    scan.delimiter = delimiter(header.as_bytes());
    Ok(())
}

/// Whether the first line that ends ends with a carriage return alone. Breaks inside of quotes end no line.
fn ends_lines_by_returns(block: &str) -> bool {
    let mut quoted = false;
    let end = block.bytes().position(|byte| {
        quoted ^= byte == b'"';
        !quoted && matches!(byte, b'\r' | b'\n')
    });
    let rest = end.and_then(|end| block.as_bytes().get(end..)).unwrap_or_default();
    matches!(rest, [b'\r', next, ..] if *next != b'\n')
}

/// The separator that the header has most often outside quotes.
fn delimiter(header: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    for byte in header {
        quoted ^= *byte == b'"';
        for (delimiter, count) in &mut counts {
            *count += u32::from(!quoted && byte == delimiter);
        }
    }
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| delimiter)
}

pub(super) fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
