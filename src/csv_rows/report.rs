//! What an import did: counts, every faulty row, and how far it is.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{FileError, RowFault};

/// How many faults and warnings the summary shows.
const SHOWN: usize = 20;
/// Time between two lines of progress where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// How many rows had which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// The report of an import. Its `Display` is the summary with the first faults.
#[derive(Debug)]
pub struct Report {
    /// The counts so far.
    pub counts: Counts,
    first: Vec<(Severity, RowFault)>,
    file: Option<(PathBuf, csv::Writer<File>)>,
}

impl Report {
    /// A report, which also writes one line for every faulty row and every warning to a CSV file if there is one.
    pub fn new(file: Option<&Path>) -> Result<Self, FileError> {
        let mut report = Self { counts: Counts::default(), first: Vec::new(), file: None };
        if let Some(path) = file {
            let writer = csv::Writer::from_path(path).map_err(|error| unwritable(path, error))?;
            report.file = Some((path.to_owned(), writer));
            report.write(&["line", "severity", "column", "code", "detail"])?;
        }
        Ok(report)
    }

    /// Records a refused row with all its faults; nothing if there are none.
    pub fn faulty(&mut self, faults: Vec<RowFault>) -> Result<(), FileError> {
        let joined = |text: fn(&RowFault) -> &str| {
            let texts: Vec<&str> = faults.iter().map(text).filter(|text| !text.is_empty()).collect();
            texts.join("; ")
        };
        let Some(first) = faults.first() else { return Ok(()) };
        let fault = RowFault {
            line: first.line,
            column: joined(|fault| &fault.column),
            code: joined(|fault| &fault.code),
            detail: joined(|fault| &fault.detail),
        };
        self.counts.faulty += 1;
        self.add(Severity::Fault, fault)
    }

    /// Records a remark.
    pub fn warning(&mut self, remark: RowFault) -> Result<(), FileError> {
        self.counts.warnings += 1;
        self.add(Severity::Warning, remark)
    }

    /// Ends the report's file.
    pub fn finish(&mut self) -> Result<(), FileError> {
        match &mut self.file {
            Some((path, writer)) => writer.flush().map_err(|error| unwritable(path, error.into())),
            None => Ok(()),
        }
    }

    /// The first 20 faults and warnings.
    pub fn first(&self) -> &[(Severity, RowFault)] {
        &self.first
    }

    fn add(&mut self, severity: Severity, fault: RowFault) -> Result<(), FileError> {
        let line = fault.line.to_string();
        self.write(&[&line, severity.text(), &fault.column, &fault.code, &fault.detail])?;
        if self.first.len() < SHOWN {
            self.first.push((severity, fault));
        }
        Ok(())
    }

    fn write(&mut self, cells: &[&str]) -> Result<(), FileError> {
        match &mut self.file {
            Some((path, writer)) => writer
                .write_record(cells.iter().map(|cell| safe_cell(cell)).map(Cow::into_owned))
                .map_err(|error| unwritable(path, error)),
            None => Ok(()),
        }
    }
}

fn unwritable(path: &Path, error: csv::Error) -> FileError {
    FileError::Unreadable { path: path.to_owned(), error: error.into() }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (severity, fault) in &self.first {
            let column = if fault.column.is_empty() { String::new() } else { format!(", {}", fault.column) };
            writeln!(f, "{} on line {}{column}: {} [{}]", severity.text(), fault.line, fault.detail, fault.code)?;
        }
        let more = (self.counts.faulty + self.counts.warnings).saturating_sub(u64::try_from(SHOWN).unwrap_or_default());
        match &self.file {
            Some((path, _)) if more > 0 => writeln!(f, "{more} more stand in {}", path.display())?,
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

/// Shows how far an import is: a bar on a terminal, a line now and then otherwise.
pub struct Progress {
    bar: Option<ProgressBar>,
    label: String,
    total: u64,
    told: Option<Instant>,
}

impl Progress {
    /// Shows the progress on standard error.
    pub fn shown(label: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {eta}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, label: label.to_owned(), total: 0, told: Some(Instant::now()) }
    }

    /// Shows nothing.
    pub fn hidden() -> Self {
        Self { bar: None, label: String::new(), total: 0, told: None }
    }

    /// Says how much there is, in bytes.
    pub fn begin(&mut self, total: u64) {
        self.total = total;
        if let Some(bar) = &self.bar {
            bar.set_length(total);
        }
    }

    /// Says how much is done: bytes and rows.
    pub fn at(&mut self, bytes: u64, rows: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {rows} rows", self.label));
            bar.set_position(bytes);
        } else if self.told.is_some_and(|told| told.elapsed() >= BETWEEN_LINES) {
            eprintln!("{}: {rows} rows, {} %", self.label, bytes.saturating_mul(100) / self.total.max(1));
            self.told = Some(Instant::now());
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
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
    fn each_faulty_row_is_one_line_of_the_file_and_the_summary_shows_the_first_twenty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.csv");
        let mut report = Report::new(Some(&path)).unwrap();
        for line in 2..27 {
            report.faulty(vec![fault(line, "=wrong"), fault(line, "also")]).unwrap();
        }
        report.warning(fault(1, "odd")).unwrap();
        report.finish().unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written.lines().count(), 1 + 25 + 1);
        assert_eq!(written.lines().nth(1).unwrap(), "2,fault,code; code,c; c,'=wrong; also");
        let summary = report.to_string();
        assert_eq!(summary.matches("fault on line").count(), 20);
        assert!(summary.contains("6 more stand in") && summary.contains("25 faulty, 1 warnings"), "{summary}");
    }
}
