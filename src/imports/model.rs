//! Imports as they are kept, and what an upload may say of its file.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Id;
use crate::csv_rows::{Counts, Encoding, RowFault, Severity};

/// Longest name of a file that is kept, in characters.
pub const MAX_FILE_NAME: usize = 200;
/// Days for which a report can be downloaded after the import has ended.
pub const REPORT_DAYS: i64 = 30;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportKind {
    /// Customers, by code.
    Customers,
    /// Products, by code.
    Products,
    /// Items of transactions, by source, order and product.
    Transactions,
    /// Observations, by source and id.
    Observations,
}

impl ImportKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Customers, Self::Products, Self::Transactions, Self::Observations];

    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::Products => "products",
            Self::Transactions => "transactions",
            Self::Observations => "observations",
        }
    }

    /// The kind of a name.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.key() == key)
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportStatus {
    /// Nobody works on it yet: imports are worked one after the other.
    Waiting,
    /// A process works on it.
    Running,
    /// The whole file was read.
    Finished,
    /// It could not be read to its end; `error` says why.
    Failed,
    /// Somebody cancelled it. What was written before stays.
    Cancelled,
}

impl ImportStatus {
    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of a name.
    pub fn from_key(key: &str) -> Option<Self> {
        let all = [Self::Waiting, Self::Running, Self::Finished, Self::Failed, Self::Cancelled];
        all.into_iter().find(|status| status.key() == key)
    }

    /// Whether something is left to do.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Running)
    }
}

/// How a file is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Column of the file by target, where its name is another one.
    pub mapping: BTreeMap<String, String>,
    /// The file's encoding.
    pub encoding: Encoding,
    /// The kind of all transactions, where the file has no column for it.
    pub transaction_kind: Option<String>,
    /// The system that the transactions come from.
    pub source: Option<String>,
}

/// What an import has come to so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Rows by their fate.
    pub counts: Counts,
    /// The first faults and remarks.
    pub faults: Vec<ReportedFault>,
    /// Why it has failed.
    pub error: Option<ImportError>,
}

/// What stands for the detail of an error that is no longer told.
pub const NO_LONGER_TOLD: &str = "what was wrong was told for 30 days";

impl Outcome {
    /// Leaves counts and codes: what else it says may repeat values of the file.
    pub fn forget(&mut self) {
        self.faults.clear();
        if let Some(error) = &mut self.error {
            NO_LONGER_TOLD.clone_into(&mut error.detail);
        }
    }
}

/// A fault of a row, or a remark, as a line of the report says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"line": 5, "severity": "fault", "column": "area", "code": "out_of_range", "detail": "-1 is below the minimum 0"}))]
pub struct ReportedFault {
    /// Line of the file on which the row begins; 1 is the header.
    #[schema(minimum = 1)]
    pub line: u64,
    /// Whether the row was refused.
    pub severity: Severity,
    /// Name of the column in the file; empty for the whole row.
    pub column: String,
    /// Stable code.
    pub code: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

impl ReportedFault {
    /// A fault of a report.
    pub fn new((severity, fault): &(Severity, RowFault)) -> Self {
        let RowFault { line, column, code, detail } = fault.clone();
        Self { line, severity: *severity, column, code, detail }
    }
}

/// Why a whole file could not be imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"code": "columns", "detail": "the column 'code' is missing; did you mean 'kode'? (the header has kode, name)"}))]
pub struct ImportError {
    /// Stable code: `columns`, `encoding`, `empty`, `no_text`, `line_ends`, `long_row`, `given_up` or `internal`.
    pub code: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

/// An import.
#[derive(Clone, Debug)]
pub struct Import {
    /// Its id.
    pub id: Id,
    /// What the file holds.
    pub kind: ImportKind,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// How far it is.
    pub status: ImportStatus,
    /// How the file is to be read.
    pub options: Options,
    /// The file's name at its sender's.
    pub file_name: String,
    /// Size of the file in bytes.
    pub total_bytes: u64,
    /// Bytes read so far.
    pub done_bytes: u64,
    /// What it has come to so far.
    pub outcome: Outcome,
    /// How often a process has begun it.
    pub attempts: u64,
    /// Who sent it.
    pub created_by: Id,
    /// When it was sent.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// A file that is about to be received.
#[derive(Clone, Debug)]
pub struct NewImport {
    /// The import's id.
    pub id: Id,
    /// The file's name, to be shown.
    pub file_name: String,
    /// Who sends it.
    pub created_by: Id,
}

/// What the form says of its file; known when all of it has come.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What the file holds.
    pub kind: ImportKind,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// How the file is to be read.
    pub options: Options,
}

/// A client's name of a file as a text to show: its last part, without control characters, bounded. It is never a path here.
pub fn shown_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = last.chars().filter(|letter| !letter.is_control() && !is_direction(*letter));
    let shown: String = plain.take(MAX_FILE_NAME).collect();
    let shown = shown.trim();
    if shown.is_empty() { "file.csv".to_owned() } else { shown.to_owned() }
}

/// Whether a character turns the direction of the text behind it, so that a name would read as another one.
fn is_direction(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_only_a_text_to_show() {
        assert_eq!(shown_name("../../etc/passwd"), "passwd");
        assert_eq!(shown_name("C:\\orders\\December 华海.csv"), "December 华海.csv");
        assert_eq!(shown_name("a\r\nb\u{202e}vsc.exe\0"), "abvsc.exe");
        assert_eq!(shown_name(" / "), "file.csv");
        assert_eq!(shown_name(&"ñ".repeat(5000)).chars().count(), MAX_FILE_NAME);
    }
}
