//! CSV files as users have them: with or without byte order mark, separated by comma, semicolon or tab, with columns under
//! names of their own. Shared by all imports.

mod report;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use report::{Counts, Progress, Report, Severity, safe_cell};

use crate::customers::model::excerpt;
use crate::faults::did_you_mean;

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

/// Why a file can't be imported at all.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be opened or read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It has no header.
    #[error("{}: the file is empty; the first line must name the columns", .0.display())]
    Empty(PathBuf),
    /// It is something else than text.
    #[error("{}: this is {what}; save it as CSV (UTF-8)", path.display())]
    NoText {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        what: &'static str,
    },
    /// It isn't UTF-8.
    #[error(
        "{}: line {line}, byte {column} of the line (0x{byte:02X}) is not UTF-8; convert the file to UTF-8, for example \
         with iconv -f GB18030 -t UTF-8 or by saving it as CSV UTF-8",
        path.display()
    )]
    Encoding {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The byte's place in the line, from 1.
        column: u64,
        /// The byte.
        byte: u8,
    },
    /// The header or the mapping doesn't give the columns that the import needs.
    #[error("{}: {}", path.display(), faults.join("\n  "))]
    Columns {
        /// The file.
        path: PathBuf,
        /// What is wrong, one sentence each.
        faults: Vec<String>,
    },
    /// A row is longer than any row should be.
    #[error(
        "{}: the row after line {line} is longer than {MAX_ROW} bytes; perhaps a quote is left open there",
        path.display()
    )]
    LongRow {
        /// The file.
        path: PathBuf,
        /// Where the row before it ends.
        line: u64,
    },
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
    Rows::open(path, &[], &BTreeMap::new()).map(|rows| rows.header.columns.clone())
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
    pub fn open(path: &Path, columns: &[Column], mapping: &BTreeMap<String, String>) -> Result<Self, FileError> {
        let unreadable = |error| FileError::Unreadable { path: path.to_owned(), error };
        let mut file = File::open(path).map_err(unreadable)?;
        let scan = scan::scan(path, &mut file)?;
        file.seek(SeekFrom::Start(scan.start)).map_err(unreadable)?;
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(scan.delimiter)
            // Not CRLF, which would also end rows at a lone CR: the CR before a line's end is trimmed with its cell.
            .terminator(csv::Terminator::Any(b'\n'))
            .flexible(true)
            .from_reader(Bounded { file, left: MAX_ROW });
        let names = reader.headers().map_err(|error| broken(path, 0, error))?;
        let names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
        if names.iter().all(String::is_empty) {
            return Err(FileError::Empty(path.to_owned()));
        }
        let places =
            places(&names, columns, mapping).map_err(|faults| FileError::Columns { path: path.to_owned(), faults })?;
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

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.scan.start + self.reader.position().byte()
    }

    fn read(&mut self) -> Result<Option<Result<Row, RowFault>>, FileError> {
        loop {
            let line_before = self.reader.position().line();
            self.reader.get_mut().left = MAX_ROW;
            let mut record = csv::StringRecord::new();
            match self.reader.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => return Err(broken(&self.path, line_before.saturating_sub(1), error)),
            }
            if record.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            return Ok(Some(self.row(record)));
        }
    }

    fn row(&self, record: csv::StringRecord) -> Result<Row, RowFault> {
        // The reader's own position of a record is that of the blank lines before it.
        let at_end = self.bytes_read() >= self.scan.size;
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

fn broken(path: &Path, line: u64, error: csv::Error) -> FileError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::QuotaExceeded => {
            FileError::LongRow { path: path.to_owned(), line }
        }
        csv::ErrorKind::Io(error) => FileError::Unreadable { path: path.to_owned(), error },
        other => FileError::Unreadable { path: path.to_owned(), error: io::Error::other(format!("{other:?}")) },
    }
}

/// Which column of the file has which target, or everything that is wrong with header and mapping.
fn places(
    names: &[String],
    columns: &[Column],
    mapping: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, usize>, Vec<String>> {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for name in names.iter().filter(|name| !name.is_empty()) {
        if !seen.insert(name.to_ascii_lowercase()) {
            faults.push(format!("the column '{}' stands twice in the header", excerpt(name)));
        }
    }
    let mut wanted: BTreeMap<&str, &str> = BTreeMap::new();
    for (target, name) in mapping {
        match columns.iter().find(|column| column.is_named(target)) {
            Some(column) => drop(wanted.insert(&column.target, name)),
            None => {
                let hint = did_you_mean(target, columns.iter().flat_map(Column::names));
                faults.push(format!("nothing can be imported into '{}'{hint}", excerpt(target)));
            }
        }
    }
    let mut places = BTreeMap::new();
    for column in columns {
        let mapped = wanted.get(column.target.as_str());
        let is_it = |name: &String| match mapped {
            Some(wanted) => name.eq_ignore_ascii_case(wanted.trim()),
            None => column.is_named(name),
        };
        let mut found = names.iter().enumerate().filter(|(_, name)| is_it(name));
        match (found.next(), found.next()) {
            (Some((place, _)), None) => drop(places.insert(column.target.clone(), place)),
            (Some((_, first)), Some((_, second))) if !first.eq_ignore_ascii_case(second) => {
                faults.push(format!("'{first}' and '{second}' are the same column '{}'", column.target));
            }
            (None, _) if mapped.is_some() || column.required => {
                let name = mapped.copied().unwrap_or(&column.target);
                let hint = did_you_mean(&name.to_lowercase(), names.iter().map(String::as_str));
                let have: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
                let have = excerpt_list(&have);
                faults.push(format!("the column '{}' is missing{hint} (the header has {have})", excerpt(name)));
            }
            _ => {}
        }
    }
    if faults.is_empty() { Ok(places) } else { Err(faults) }
}

fn excerpt_list(names: &[&str]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| excerpt(name)).collect();
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// A file of which a row may read only so much.
struct Bounded {
    file: File,
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
mod tests {
    use super::*;

    fn open(content: &[u8], mapping: &[(&str, &str)]) -> Result<Rows, FileError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.csv");
        std::fs::write(&path, content).unwrap();
        let columns = [Column::required("code"), Column::required("name"), Column::optional("basic.city").or("city")];
        let mapping = mapping.iter().map(|(to, from)| ((*to).to_owned(), (*from).to_owned())).collect();
        Rows::open(&path, &columns, &mapping)
    }

    fn refusal(content: &[u8], mapping: &[(&str, &str)]) -> String {
        open(content, mapping).err().expect("the file should be refused").to_string()
    }

    fn cells(content: &[u8]) -> Vec<(u64, Option<String>, Option<String>)> {
        let rows = open(content, &[]).unwrap();
        let owned = |cell: Option<&str>| cell.map(str::to_owned);
        rows.map(|row| row.unwrap().unwrap())
            .map(|row| (row.line(), owned(row.get("code")), owned(row.get("basic.city"))))
            .collect()
    }

    #[test]
    fn reads_comma_semicolon_and_tab_with_and_without_byte_order_mark() {
        let wanted = vec![(2, Some("A1".to_owned()), Some("Lleó, Castella".to_owned()))];
        assert_eq!(cells("code,name,city\nA1, Ana ,\"Lleó, Castella\"\n".as_bytes()), wanted);
        assert_eq!(cells("\u{feff}Code;name;basic.city\r\nA1;Ana;Lleó, Castella\r\n".as_bytes()), wanted);
        assert_eq!(cells("code\tname\tcity\nA1\tAna\tLleó, Castella".as_bytes()), wanted);
    }

    #[test]
    fn lines_are_counted_over_blank_lines_and_breaks_inside_cells() {
        let lines = |text: &str| cells(text.as_bytes()).iter().map(|row| row.0).collect::<Vec<_>>();
        assert_eq!(lines("code,name\n\nA,a\n\n\nB,\"b\nc\"\nC,c"), [3, 6, 8]);
        assert_eq!(lines("code,name\r\n\r\nA,a\r\n,\r\nB,\"b\r\nc\"\r\nC,c\r\n"), [3, 5, 7]);
    }

    #[test]
    fn an_empty_cell_is_absent() {
        assert_eq!(cells(b"code,name,city\nA,b,  \n"), [(2, Some("A".to_owned()), None)]);
    }

    #[test]
    fn a_wrong_encoding_is_named_with_its_line_and_byte() {
        let mut content = b"code,name\nA,a\nB,".to_vec();
        content.extend([0xd6, 0xd0]);
        let text = refusal(&content, &[]);
        assert!(text.contains("line 3, byte 3 of the line (0xD6) is not UTF-8; convert the file to UTF-8"), "{text}");
        assert!(refusal(b"\xff\xfec\0o\0", &[]).contains("UTF-16"));
        assert!(refusal(b"PK\x03\x04abc", &[]).contains("workbook"));
        assert!(refusal(b"", &[]).contains("empty"));
        assert!(refusal(b"code,name\nA,\xc3", &[]).contains("line 2, byte 3"));
    }

    #[test]
    fn a_wrong_byte_is_found_where_blocks_meet() {
        let mut content = b"code,name\n".to_vec();
        content.resize(scan::BLOCK - 1, b'x');
        content.extend("é\n".as_bytes());
        assert!(open(&content, &[]).is_ok());
        content.extend(b"A,\xe9,");
        assert!(refusal(&content, &[]).contains("line 3, byte 3 of the line (0xE9)"));
    }

    #[test]
    fn every_fault_of_header_and_mapping_is_named() {
        let text = refusal(b"kode,name,NAME\n", &[("basic.citi", "town"), ("city", "twon")]);
        for part in [
            "'code' is missing; did you mean 'kode'?",
            "the column 'NAME' stands twice",
            "nothing can be imported into 'basic.citi'; did you mean 'basic.city'?",
            "'twon' is missing (the header has kode, name, NAME)",
        ] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
        assert!(refusal(b"code,name,city,basic.city\n", &[]).contains("the same column"));
    }

    #[test]
    fn a_mapping_names_the_column() {
        let rows = open(b"id,name,where,city\nA,a,here,there\n", &[("code", "id"), ("city", "where")]).unwrap();
        assert_eq!(rows.unused(&[]).into_iter().map(|remark| remark.column).collect::<Vec<_>>(), ["city"]);
        let row = rows.map(|row| row.unwrap().unwrap()).next().unwrap();
        assert_eq!((row.get("code"), row.get("basic.city")), (Some("A"), Some("here")));
        assert_eq!(row.fault("basic.city", "c", "d").column, "where");
    }

    #[test]
    fn a_column_that_is_not_read_is_told_with_what_was_perhaps_meant() {
        let columns = [Column::required("code"), Column::optional("name"), Column::optional("basic.city").or("city")];
        let rows = open(b"code,name,citty,Nam,colour\n", &[]).unwrap();
        let told: Vec<String> = rows.unused(&columns).into_iter().map(|remark| remark.detail).collect();
        assert_eq!(
            told,
            [
                "the column 'citty' is not read; did you mean 'city'?",
                "the column 'Nam' is not read",
                "the column 'colour' is not read"
            ],
            "the column of the name is there already"
        );
    }

    #[test]
    fn a_row_with_another_number_of_cells_is_faulty_and_the_next_one_is_not() {
        let rows: Vec<_> = open(b"code,name\nA\nB,b\nC,c,c\n", &[]).unwrap().map(|row| row.unwrap()).collect();
        let fault = rows[0].as_ref().unwrap_err();
        assert_eq!((fault.line, fault.detail.as_str()), (2, "the row has 1 cells, the header 2"));
        assert_eq!(rows[1].as_ref().unwrap().get("code"), Some("B"));
        assert_eq!(rows[2].as_ref().unwrap_err().line, 4);
    }

    #[test]
    fn a_quote_left_open_does_not_take_the_file_into_memory() {
        let mut content = b"code,name\nA,\"".to_vec();
        content.resize(3 << 20, b'\n');
        let mut rows = open(&content, &[]).unwrap();
        let error = rows.next().unwrap().unwrap_err();
        assert!(matches!(error, FileError::LongRow { line: 1, .. }), "{error}");
    }
}
