//! The encoding of a file, and reading it as UTF-8 block by block.

use std::fs::File;
use std::io::{self, Read};
use std::str::FromStr;

use encoding_rs::{Decoder, DecoderResult, UTF_8};
use serde::{Deserialize, Serialize};

use super::scan::length;
use crate::faults::excerpt;

/// Bytes read at once.
pub(super) const BLOCK: usize = 64 << 10;
/// Encodings in which spreadsheets save, with who uses them.
const USUAL: [(&str, &str); 4] = [
    ("gb18030", "Chinese"),
    ("big5", "traditional Chinese"),
    ("windows-1252", "Western European"),
    ("utf-16le", "\"Unicode text\""),
];

/// How the text of a file is written as bytes. A byte order mark wins over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Encoding(&'static encoding_rs::Encoding);

impl Default for Encoding {
    fn default() -> Self {
        Self(UTF_8)
    }
}

impl From<Encoding> for String {
    fn from(encoding: Encoding) -> Self {
        encoding.name().to_owned()
    }
}

impl TryFrom<String> for Encoding {
    type Error = String;

    fn try_from(label: String) -> Result<Self, String> {
        label.parse()
    }
}

impl FromStr for Encoding {
    type Err = String;

    /// Reads a label of the WHATWG's Encoding Standard, such as `gb18030`.
    fn from_str(label: &str) -> Result<Self, String> {
        let usual: Vec<&str> = USUAL.iter().map(|(label, _)| *label).collect();
        encoding_rs::Encoding::for_label_no_replacement(label.as_bytes())
            .map(Self)
            .ok_or_else(|| format!("'{}' is no encoding; usual ones are utf-8, {}", excerpt(label), usual.join(", ")))
    }
}

impl Encoding {
    /// Its name in the Encoding Standard, which is a label too.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The usual encodings in which bytes that aren't in this one are text.
    pub(super) fn likely(self, bytes: &[u8]) -> String {
        let fits = |(label, _): &&(&str, &str)| {
            let other = encoding_rs::Encoding::for_label(label.as_bytes())
                .filter(|other| *other != self.0 && other.is_ascii_compatible());
            let text = other.and_then(|other| other.decode_without_bom_handling_and_without_replacement(bytes));
            text.is_some_and(|text| !text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n')))
        };
        let likely: Vec<String> =
            USUAL.iter().filter(fits).map(|(label, users)| format!("{label} ({users})")).collect();
        if likely.is_empty() { "none of the usual ones".to_owned() } else { likely.join(" or ") }
    }
}

/// A file as UTF-8 without byte order mark.
pub(super) struct Decoded {
    file: File,
    decoder: Decoder,
    raw: Vec<u8>,
    text: String,
    /// How much of the text has been read.
    given: usize,
    /// Bytes of the file behind which the decoder stands.
    at: u64,
    /// Where in the file bytes begin that mean nothing.
    wrong: Option<u64>,
    ended: bool,
}

impl Decoded {
    /// Of a file that stands at its beginning.
    pub(super) fn new(file: File, encoding: Encoding) -> Self {
        let decoder = encoding.0.new_decoder();
        Self { file, decoder, raw: vec![0; BLOCK], text: String::new(), given: 0, at: 0, wrong: None, ended: false }
    }

    /// Bytes of the file that were read.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Where in the file bytes begin that mean nothing, once the text before them was given.
    pub(super) fn wrong(&self) -> Option<u64> {
        self.wrong
    }

    /// The encoding that the file has, which its byte order mark may say.
    pub(super) fn encoding(&self) -> Encoding {
        Encoding(self.decoder.encoding())
    }

    /// The next part of the text; empty at the end, or where the text goes wrong.
    pub(super) fn block(&mut self) -> io::Result<&str> {
        self.text.clear();
        self.given = 0;
        while self.text.is_empty() && !self.ended {
            let read = self.file.read(&mut self.raw)?;
            let raw = self.raw.get(..read).unwrap_or_default();
            let needed = self.decoder.max_utf8_buffer_length_without_replacement(read).unwrap_or(BLOCK * 4);
            self.text.reserve(needed);
            let (result, consumed) = self.decoder.decode_to_string_without_replacement(raw, &mut self.text, read == 0);
            self.at += length(consumed);
            if let DecoderResult::Malformed(bytes, after) = result {
                self.wrong = Some(self.at.saturating_sub(u64::from(bytes) + u64::from(after)));
            }
            self.ended = read == 0 || self.wrong.is_some();
        }
        Ok(&self.text)
    }
}

impl Read for Decoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.text.len() {
            self.block()?;
        }
        let mut rest = self.text.as_bytes().get(self.given..).unwrap_or_default();
        let read = rest.read(buffer)?;
        self.given += read;
        Ok(read)
    }
}
