//! What an import did: counts, and every fault.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::scan::length;
use super::{FileError, RowFault};

/// How many faults and warnings the summary shows.
const SHOWN: usize = 20;
/// Largest file of faulty rows, in bytes.
const MAX_FILE: u64 = 32 << 20;

/// How many rows had which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ImportCounts, example = json!({"read": 136, "created": 130, "changed": 4, "unchanged": 1, "faulty": 1, "warnings": 0}))]
pub struct Counts {
    /// Rows read, faulty ones included.
    pub read: u64,
    /// Rows that created something.
    pub created: u64,
    /// Rows that changed something.
    pub changed: u64,
    /// Rows that said what was known already.
    pub unchanged: u64,
    /// Rows refused.
    pub faulty: u64,
    /// Remarks about rows or columns that were read nevertheless.
    pub warnings: u64,
}

/// How bad a line of the report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The row was refused.
    Fault,
    /// Only a remark.
    Warning,
}

impl Severity {
    fn text(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Warning => "warning",
        }
    }
}

/// The report of an import, in the order of the lines. Its `Display` is the summary with the first faults.
#[derive(Debug)]
pub struct Report {
    /// The counts so far.
    pub counts: Counts,
    first: Vec<(Severity, RowFault)>,
    /// How many faults and warnings there are.
    told: u64,
    /// What may still have to stand behind something that isn't known yet.
    open: Vec<(Severity, RowFault)>,
    file: Option<ReportFile>,
}

/// The file of faulty rows.
#[derive(Debug)]
struct ReportFile {
    path: PathBuf,
    writer: csv::Writer<File>,
    /// Bytes that may still be written.
    left: u64,
    /// Lines that found no room.
    left_out: u64,
}

impl Report {
    /// A report, which also writes one line for every fault and every warning to a CSV file if there is one.
    pub fn new(file: Option<&Path>) -> Result<Self, FileError> {
        let mut report = Self { counts: Counts::default(), first: Vec::new(), told: 0, open: Vec::new(), file: None };
        if let Some(path) = file {
            let writer = csv::Writer::from_path(path).map_err(|error| unwritable(path, error))?;
            report.file = Some(ReportFile { path: path.to_owned(), writer, left: MAX_FILE, left_out: 0 });
            report.write(&["line", "severity", "column", "code", "detail"])?;
        }
        Ok(report)
    }

    /// Records a refused row with all its faults; nothing if there are none.
    pub fn faulty(&mut self, faults: Vec<RowFault>) {
        self.counts.faulty += u64::from(!faults.is_empty());
        self.open.extend(faults.into_iter().map(|fault| (Severity::Fault, fault)));
    }

    /// Records a remark.
    pub fn warning(&mut self, remark: RowFault) {
        self.counts.warnings += 1;
        self.open.push((Severity::Warning, remark));
    }

    /// Writes what was recorded of the lines before one, of which nothing more will be.
    pub(super) fn settle(&mut self, before: u64) -> Result<(), FileError> {
        self.open.sort_by_key(|(_, fault)| fault.line);
        let settled = self.open.partition_point(|(_, fault)| fault.line < before);
        for (severity, fault) in self.open.drain(..settled).collect::<Vec<_>>() {
            let line = fault.line.to_string();
            self.write(&[&line, severity.text(), &fault.column, &fault.code, &fault.detail])?;
            self.told += 1;
            if self.first.len() < SHOWN {
                self.first.push((severity, fault));
            }
        }
        Ok(())
    }

    /// Ends the report's file. One that has grown too large says how many lines it lacks.
    pub fn finish(mut self) -> Result<Self, FileError> {
        self.settle(u64::MAX)?;
        let Some(ReportFile { path, writer, left_out, .. }) = &mut self.file else { return Ok(self) };
        if *left_out > 0 {
            let rest = format!("the report ends here, at {MAX_FILE} bytes; {left_out} more lines would follow");
            writer.write_record(["", "", "", "report_full", &rest]).map_err(|error| unwritable(path, error))?;
        }
        writer.flush().map_err(|error| unwritable(path, error.into()))?;
        Ok(self)
    }

    /// The first 20 faults and warnings.
    pub fn first(&self) -> &[(Severity, RowFault)] {
        &self.first
    }

    fn write(&mut self, cells: &[&str]) -> Result<(), FileError> {
        let Some(ReportFile { path, writer, left, left_out }) = &mut self.file else { return Ok(()) };
        let size = cells.iter().map(|cell| length(cell.len()) + 3).sum();
        if *left < size || *left_out > 0 {
            *left_out += 1;
            return Ok(());
        }
        *left -= size;
        writer
            .write_record(cells.iter().map(|cell| safe_cell(cell)).map(Cow::into_owned))
            .map_err(|error| unwritable(path, error))
    }
}

fn unwritable(path: &Path, error: csv::Error) -> FileError {
    FileError { path: path.to_owned(), fault: io::Error::from(error).into() }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (severity, fault) in &self.first {
            let column = if fault.column.is_empty() { String::new() } else { format!(", {}", fault.column) };
            writeln!(f, "{} on line {}{column}: {} [{}]", severity.text(), fault.line, fault.detail, fault.code)?;
        }
        let more = self.told.saturating_sub(u64::try_from(SHOWN).unwrap_or_default());
        match &self.file {
            Some(file) if more > 0 => writeln!(f, "{more} more stand in {}", file.path.display())?,
            None if more > 0 => writeln!(f, "{more} more; --report FILE writes all of them to a CSV file")?,
            _ => {}
        }
        let Counts { read, created, changed, unchanged, faulty, warnings } = self.counts;
        write!(
            f,
            "{read} rows read: {created} created, {changed} changed, {unchanged} unchanged, {faulty} faulty, {warnings} \
             warnings"
        )
    }
}

/// A text as a cell that a spreadsheet doesn't take for a formula.
pub fn safe_cell(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(line: u64, detail: &str) -> RowFault {
        RowFault { line, column: "code".to_owned(), code: "c".to_owned(), detail: detail.to_owned() }
    }

    #[test]
    fn cells_that_a_spreadsheet_would_run_are_escaped() {
        for dangerous in ["=1", "+1", "-1", "@x", "\tx"] {
            assert_eq!(safe_cell(dangerous), format!("'{dangerous}"));
        }
        assert_eq!(safe_cell("1-2"), "1-2");
    }

    #[test]
    fn each_fault_is_one_line_of_the_file_and_the_summary_shows_the_first_twenty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.csv");
        let mut report = Report::new(Some(&path)).unwrap();
        for line in 2..27 {
            report.faulty(vec![fault(line, "=wrong"), fault(line, "also")]);
        }
        report.warning(fault(1, "odd"));
        let report = report.finish().unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written.lines().count(), 1 + 2 * 25 + 1);
        let lines: Vec<&str> = written.lines().skip(2).take(3).collect();
        assert_eq!(lines, ["2,fault,code,c,'=wrong", "2,fault,code,c,also", "3,fault,code,c,'=wrong"]);
        let summary = report.to_string();
        assert_eq!(summary.matches(" on line").count(), 20);
        assert!(summary.contains("31 more stand in") && summary.contains("25 faulty, 1 warnings"), "{summary}");
    }

    #[test]
    fn lines_stand_in_their_order_whatever_was_known_first() {
        let mut report = Report::new(None).unwrap();
        let shown = |report: &Report| report.first().iter().map(|(_, fault)| fault.line).collect::<Vec<_>>();
        for line in [5, 3, 9] {
            report.faulty(vec![fault(line, "odd")]);
        }
        report.settle(5).unwrap();
        assert_eq!(shown(&report), [3]);
        report.warning(fault(7, "odd"));
        assert_eq!(shown(&report.finish().unwrap()), [3, 5, 7, 9]);
    }

    #[test]
    fn a_report_that_is_too_large_says_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.csv");
        let mut report = Report::new(Some(&path)).unwrap();
        report.file.as_mut().unwrap().left = 100;
        for line in 2..12 {
            report.faulty(vec![fault(line, "a sentence of some length about a row")]);
        }
        let report = report.finish().unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        let last = written.lines().last().unwrap();
        assert_eq!((written.lines().count(), report.counts.faulty), (1 + 1 + 1, 10), "{written}");
        assert!(last.starts_with(",,,report_full,") && last.ends_with("9 more lines would follow\""), "{last}");
    }
}
