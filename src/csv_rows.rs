//! CSV files as users have them: in an encoding of their own, with or without byte order mark, separated by comma, semicolon or
//! tab, with columns under names of their own. Shared by all imports.

mod encoding;
mod progress;
mod report;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use encoding::Decoded;
pub use encoding::Encoding;
pub use progress::{Progress, Stopped, Watch};
pub use report::{Counts, Report, Severity, safe_cell};

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
        let places = places(&names, columns, mapping).map_err(|faults| refused(FileFault::Columns(faults)))?;
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
mod tests {
    use super::*;

    fn open(content: &[u8], mapping: &[(&str, &str)]) -> Result<Rows, FileError> {
        open_in("utf-8", content, mapping)
    }

    fn open_in(encoding: &str, content: &[u8], mapping: &[(&str, &str)]) -> Result<Rows, FileError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.csv");
        std::fs::write(&path, content).unwrap();
        let columns = [Column::required("code"), Column::required("name"), Column::optional("basic.city").or("city")];
        let mapping = mapping.iter().map(|(to, from)| ((*to).to_owned(), (*from).to_owned())).collect();
        Rows::open(&path, encoding.parse().unwrap(), &columns, &mapping)
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

    /// The names of the customers of a file in an encoding.
    fn names(encoding: &str, content: &[u8]) -> Vec<String> {
        let rows = open_in(encoding, content, &[]).unwrap();
        rows.map(|row| row.unwrap().unwrap().get("name").unwrap().to_owned()).collect()
    }

    #[test]
    fn text_is_read_in_the_encoding_of_the_user() {
        let chinese =
            b"code,name\nS292,\xbb\xaa\xba\xa3\xd0\xa1\xc2\xf4\xb2\xbf\nS293,\x95\x34\xb2\x35\xd2\xb0\xbc\xd2\n";
        assert_eq!(names("gb18030", chinese), ["华海小卖部", "𠮷野家"]);
        assert_eq!(names("GB2312", b"code;name\nA;\xc0\xee\xc4\xc8"), ["李娜"]);
        let spanish = b"code;name\r\nA;Pe\xf1a Mu\xf1oz, \xc1vila \x80\r\n";
        assert_eq!(names("windows-1252", spanish), ["Peña Muñoz, Ávila €"]);
        let utf_16 = "code,name\nA,José\nB,李娜\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        assert_eq!(names("utf-16le", &utf_16), ["José", "李娜"]);
    }

    #[test]
    fn a_byte_order_mark_wins() {
        let utf_16 = "\u{feff}code,name\nA,José".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
        assert_eq!(names("gb18030", &utf_16), ["José"]);
        assert_eq!(names("windows-1252", "\u{feff}code,name\nA,José".as_bytes()), ["José"]);
    }

    #[test]
    fn a_file_in_another_encoding_is_read_by_blocks_and_ends_at_its_size() {
        let row = "S1,华海小卖部\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let mut content = "code,name\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        (0..30_000).for_each(|_| content.extend(&row));
        let mut rows = open_in("utf-16le", &content, &[]).unwrap();
        assert_eq!(rows.bytes_total(), u64::try_from(content.len()).unwrap());
        let mut before = 0;
        let mut count = 0;
        while let Some(row) = rows.next() {
            assert_eq!(row.unwrap().unwrap().get("name"), Some("华海小卖部"));
            assert!(rows.bytes_read() > before);
            before = rows.bytes_read();
            count += 1;
        }
        assert_eq!((count, rows.bytes_read()), (30_000, rows.bytes_total()));
    }

    #[test]
    fn a_wrong_encoding_is_told_with_its_line_and_those_that_are_likely() {
        let chinese = b"code,name\nA,a\nB,\xbb\xaa\xba\xa3\xd0\xa1\xc2\xf4\xb2\xbf\n";
        let text = refusal(chinese, &[]);
        assert!(text.contains("line 3, character 3 of the line (byte 0xBB) is not UTF-8; say by --encoding"), "{text}");
        assert!(text.contains("'encoding' of an upload") && text.contains("likely gb18030 (Chinese)"), "{text}");
        let text = refusal(b"code,name\nA,Pe\xf1a Mu\xf1\xf3z, \xc1 vila\n", &[]);
        assert!(text.contains("(byte 0xF1)") && text.ends_with("likely windows-1252 (Western European)"), "{text}");
        let in_gb18030 = open_in("gb18030", b"code,name\nA,\xff\xff\n", &[]).err().unwrap().to_string();
        assert!(in_gb18030.contains("line 2, character 3 of the line (byte 0xFF) is not gb18030"), "{in_gb18030}");
        assert!(refusal(b"code,name\nA,\xc3", &[]).contains("line 2, character 3"));
        let unknown = "gb18031".parse::<Encoding>().unwrap_err();
        assert!(unknown.contains("'gb18031' is no encoding") && unknown.contains("gb18030"), "{unknown}");
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert!(refusal(b"c\0o\0d\0e\0\n\0", &[]).contains("UTF-16"));
        assert!(refusal(b"PK\x03\x04abc", &[]).contains("workbook"));
        assert!(refusal(b"", &[]).contains("empty"));
        assert!(refusal(b"\xef\xbb\xbf", &[]).contains("empty"));
    }

    #[test]
    fn a_wrong_byte_is_found_where_blocks_meet() {
        let mut content = b"code,name\n".to_vec();
        content.resize(encoding::BLOCK - 1, b'x');
        content.extend("é\n".as_bytes());
        assert!(open(&content, &[]).is_ok());
        content.extend(b"A,\xe9,");
        assert!(refusal(&content, &[]).contains("line 3, character 3 of the line (byte 0xE9)"));
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
        assert!(matches!(error, FileError { fault: FileFault::LongRow { line: 1 }, .. }), "{error}");
    }
}
