//! CSV files as users have them: in an encoding of their own, with or without byte order mark, separated by comma, semicolon or
//! tab, with columns under names of their own. Shared by all imports.

mod encoding;
mod header;
mod input;
mod progress;
mod report;
mod scan;
mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use encoding::Decoded;
pub use encoding::Encoding;
pub use header::{MAX_MAPPED, MAX_NAME, mapping};
pub use input::Input;
pub use progress::{Progress, Stopped, Watch};
pub use report::{Counts, Report, Severity, safe_cell};
pub use seen::{Seen, doubled};

use crate::faults::{did_you_mean, excerpt};

/// Longest row in bytes. A longer one is a quote that was left open, and would take the whole file into memory.
const MAX_ROW: u64 = 1 << 20;

/// A column that an import reads.
#[derive(Clone, Debug)]
pub struct Column {
    target: String,
    alias: Option<String>,
    required: bool,
}

impl Column {
    /// A column that the file must have.
    pub fn required(target: impl Into<String>) -> Self {
        Self { target: target.into(), alias: None, required: true }
    }

    /// A column that the file may have.
    pub fn optional(target: impl Into<String>) -> Self {
        Self { target: target.into(), alias: None, required: false }
    }

    /// Another name under which the header and a mapping may have it.
    #[must_use]
    pub fn or(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.target.as_str()).chain(self.alias.as_deref())
    }

    fn is_named(&self, name: &str) -> bool {
        self.names().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// A file that can't be imported at all.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub fault: FileFault,
}

/// Why a file can't be imported at all.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// It can't be opened or read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// It has no header.
    #[error("the file is empty; the first line must name the columns")]
    Empty,
    /// It is something else than text.
    #[error("this is {0}; save it as CSV (UTF-8)")]
    NoText(&'static str),
    /// Its lines end as nothing reads them.
    #[error("the lines end with a carriage return alone, as old programs write them; save the file as CSV (UTF-8)")]
    LineEnds,
    /// Its encoding is another one.
    #[error(
        "line {line}, character {character} of the line (byte 0x{byte:02X}) is not {encoding}; say by --encoding, or by the part \
         'encoding' of an upload, in which encoding the file is: likely {likely}"
    )]
    Encoding {
        /// The line, from 1.
        line: u64,
        /// The character's place in the line, from 1.
        character: u64,
        /// The first byte that means nothing.
        byte: u8,
        /// The encoding in which it was read.
        encoding: &'static str,
        /// Encodings in which it may be.
        likely: String,
    },
    /// The header or the mapping doesn't give the columns that the import needs: one sentence for each fault.
    #[error("{}", .0.join("\n  "))]
    Columns(Vec<String>),
    /// A row is longer than any row should be.
    #[error("the row after line {line} is longer than {MAX_ROW} bytes; perhaps a quote is left open there")]
    LongRow {
        /// Where the row before it ends.
        line: u64,
    },
}

impl FileFault {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Empty => "empty",
            Self::NoText(_) => "no_text",
            Self::LineEnds => "line_ends",
            Self::Encoding { .. } => "encoding",
            Self::Columns(_) => "columns",
            Self::LongRow { .. } => "long_row",
        }
    }
}

/// What is wrong with one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    /// Line of the file on which the row begins, from 1.
    pub line: u64,
    /// Name of the column in the file; empty for the whole row.
    pub column: String,
    /// Stable code.
    pub code: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    line: u64,
    record: csv::StringRecord,
    header: Arc<Header>,
}

/// Where the targets stand.
#[derive(Debug)]
struct Header {
    columns: Vec<String>,
    places: BTreeMap<String, usize>,
}

impl Row {
    /// Line of the file on which the row begins, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The cell of a target, trimmed; an empty cell is absent.
    pub fn get(&self, target: &str) -> Option<&str> {
        let place = *self.header.places.get(target)?;
        self.record.get(place).map(str::trim).filter(|cell| !cell.is_empty())
    }

    /// Whether the file has a column for the target.
    pub fn has(&self, target: &str) -> bool {
        self.header.places.contains_key(target)
    }

    /// A fault in the cell of a target, or in the whole row if the file has no such column.
    pub fn fault(&self, target: &str, code: &str, detail: impl Into<String>) -> RowFault {
        let column = self.header.places.get(target).and_then(|place| self.header.columns.get(*place));
        RowFault {
            line: self.line,
            column: column.cloned().unwrap_or_default(),
            code: code.to_owned(),
            detail: detail.into(),
        }
    }
}

/// The columns that the header of a file names.
pub fn header(path: &Path) -> Result<Vec<String>, FileError> {
    Rows::open(path, Encoding::default(), &[], &BTreeMap::new()).map(|rows| rows.header.columns.clone())
}

/// The rows of a file, read as they are asked for. A faulty row is an `Err` inside; an `Err` outside ends the file.
pub struct Rows {
    path: PathBuf,
    reader: csv::Reader<Bounded>,
    header: Arc<Header>,
    scan: scan::Scan,
}

impl Rows {
    /// Opens a file whose header must name `columns`, under their own names or those that `mapping` (target to column of
    /// the file) gives them. The encoding of the whole file is checked first, so that no import stops half-way for it.
    pub fn open(
        path: &Path,
        encoding: Encoding,
        columns: &[Column],
        mapping: &BTreeMap<String, String>,
    ) -> Result<Self, FileError> {
        let refused = |fault| FileError { path: path.to_owned(), fault };
        // A pipe or a device never comes to its end.
        if path.metadata().is_ok_and(|found| !found.is_file()) {
            return Err(refused(io::Error::other("it is no plain file").into()));
        }
        let scan = scan::scan(path, encoding)?;
        let file = File::open(path).map_err(|error| refused(error.into()))?;
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(scan.delimiter)
            // Not CRLF, which would also end rows at a lone CR: the CR before a line's end is trimmed with its cell.
            .terminator(csv::Terminator::Any(b'\n'))
            .flexible(true)
            .from_reader(Bounded { file: Decoded::new(file, encoding), left: MAX_ROW });
        let names = reader.headers().map_err(|error| refused(broken(0, error)))?;
        let names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
        if names.iter().all(String::is_empty) {
            return Err(refused(FileFault::Empty));
        }
        let places = header::places(&names, columns, mapping).map_err(|faults| refused(FileFault::Columns(faults)))?;
        Ok(Self { path: path.to_owned(), reader, header: Arc::new(Header { columns: names, places }), scan })
    }

    /// Whether the file has a column for the target.
    pub fn has(&self, target: &str) -> bool {
        self.header.places.contains_key(target)
    }

    /// A remark for each column of the file that isn't read, with the one of `columns` that was perhaps meant.
    pub fn unused(&self, columns: &[Column]) -> Vec<RowFault> {
        let used: BTreeSet<usize> = self.header.places.values().copied().collect();
        let unused = self.header.columns.iter().enumerate();
        let unused = unused.filter(|(place, name)| !used.contains(place) && !name.is_empty());
        let remark = |(_, name): (usize, &String)| {
            let absent = columns.iter().filter(|column| !self.has(&column.target));
            let hint = did_you_mean(&name.to_lowercase(), absent.flat_map(Column::names));
            RowFault {
                line: 1,
                column: name.clone(),
                code: "unused_column".to_owned(),
                detail: format!("the column '{}' is not read{hint}", excerpt(name)),
            }
        };
        unused.map(remark).collect()
    }

    /// Size of the file in bytes.
    pub fn bytes_total(&self) -> u64 {
        self.scan.size
    }

    /// Bytes read so far: the part of the file that is as large as that of the text.
    pub fn bytes_read(&self) -> u64 {
        let share = u128::from(self.reader.position().byte()) * u128::from(self.scan.size);
        u64::try_from(share / u128::from(self.scan.text.max(1))).unwrap_or(self.scan.size)
    }

    fn read(&mut self) -> Result<Option<Result<Row, RowFault>>, FileError> {
        loop {
            let line_before = self.reader.position().line();
            self.reader.get_mut().left = MAX_ROW;
            let mut record = csv::StringRecord::new();
            match self.reader.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => {
                    let fault = broken(line_before.saturating_sub(1), error);
                    return Err(FileError { path: self.path.clone(), fault });
                }
            }
            if record.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            return Ok(Some(self.row(record)));
        }
    }

    fn row(&self, record: csv::StringRecord) -> Result<Row, RowFault> {
        // The reader's own position of a record is that of the blank lines before it.
        let at_end = self.reader.position().byte() >= self.scan.text;
        let open_end = at_end && !self.scan.ends_with_newline;
        let last = self.reader.position().line().saturating_sub(u64::from(!open_end));
        let breaks = record.as_slice().bytes().filter(|byte| *byte == b'\n').count();
        let line = last.saturating_sub(u64::try_from(breaks).unwrap_or_default());
        let (wanted, found) = (self.header.columns.len(), record.len());
        if wanted == found {
            return Ok(Row { line, record, header: Arc::clone(&self.header) });
        }
        let open = if breaks == 0 { String::new() } else { format!("; it ends on line {last}: is a quote left open?") };
        Err(RowFault {
            line,
            column: String::new(),
            code: "cells".to_owned(),
            detail: format!("the row has {found} cells, the header {wanted}{open}"),
        })
    }
}

impl Iterator for Rows {
    type Item = Result<Result<Row, RowFault>, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn broken(line: u64, error: csv::Error) -> FileFault {
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::QuotaExceeded => FileFault::LongRow { line },
        csv::ErrorKind::Io(error) => error.into(),
        other => io::Error::other(format!("{other:?}")).into(),
    }
}

/// A file of which a row may read only so much.
struct Bounded {
    file: Decoded,
    left: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let read = self.file.read(buffer)?;
        self.left = self.left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
