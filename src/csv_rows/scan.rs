//! The first pass over a file: its encoding, its size and its delimiter.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::FileError;

/// Bytes read at once.
pub const BLOCK: usize = 64 << 10;

/// What the first pass found.
#[derive(Debug)]
pub struct Scan {
    /// Where the text begins, after a byte order mark.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// What separates cells.
    pub delimiter: u8,
    /// Whether the last line is ended.
    pub ends_with_newline: bool,
}

/// Reads a file through.
pub fn scan(path: &Path, file: &mut File) -> Result<Scan, FileError> {
    let mut block = Vec::with_capacity(BLOCK + 4);
    let mut scan = Scan { start: 0, size: 0, delimiter: b',', ends_with_newline: false };
    let (mut line, mut column) = (1, 1);
    loop {
        let carried = block.len();
        let mut limited = file.by_ref().take(length(BLOCK));
        let read =
            limited.read_to_end(&mut block).map_err(|error| FileError::Unreadable { path: path.to_owned(), error })?;
        if scan.size == 0 {
            begin(path, &block, &mut scan)?;
        }
        scan.size += length(read);
        if let Some(last) = block.get(carried..).and_then(<[u8]>::last) {
            scan.ends_with_newline = *last == b'\n';
        }
        let (good, wrong) = match std::str::from_utf8(&block) {
            Ok(_) => (block.len(), false),
            Err(error) => (error.valid_up_to(), error.error_len().is_some() || read == 0),
        };
        for byte in block.drain(..good) {
            (line, column) = if byte == b'\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        if wrong && let Some(&byte) = block.first() {
            return Err(FileError::Encoding { path: path.to_owned(), line, column, byte });
        }
        if read == 0 {
            return Ok(scan);
        }
    }
}

fn begin(path: &Path, block: &[u8], scan: &mut Scan) -> Result<(), FileError> {
    let no_text = |what| Err(FileError::NoText { path: path.to_owned(), what });
    match block {
        [] => return Err(FileError::Empty(path.to_owned())),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return no_text("text in UTF-16"),
        [b'P', b'K', 3, 4, ..] => return no_text("a workbook or an archive"),
        [0xef, 0xbb, 0xbf, ..] => scan.start = 3,
        _ => {}
    }
    let mut lines =
        block.get(usize::try_from(scan.start).unwrap_or_default()..).unwrap_or_default().split(|b| *b == b'\n');
    let header = lines.find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    scan.delimiter = delimiter(header);
    Ok(())
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

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
