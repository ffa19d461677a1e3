//! What stands twice in a file. The later row would change what the first one did, and importing the file again would change it twice.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{Report, Row};
use crate::digest::Digest;
use crate::faults::excerpt;

/// The rows of a file by what they are known by. A file may have millions: only digests are kept.
#[derive(Debug, Default)]
pub struct Seen(HashMap<[u8; 16], u64>);

impl Seen {
    /// Notes a row.
    ///
    /// # Errors
    /// The line of the row before it that is known by the same.
    pub fn note(&mut self, key: &str, row: &Row) -> Result<(), u64> {
        match self.0.entry(Digest::of(key).half()) {
            Entry::Occupied(first) => Err(*first.get()),
            Entry::Vacant(free) => {
                free.insert(row.line());
                Ok(())
            }
        }
    }

    /// The rows whose cell of a target stands in none before it; the others go to the report. Where it is empty is for others to judge.
    pub fn first(&mut self, rows: Vec<Row>, target: &str, report: &mut Report) -> Vec<Row> {
        let mut first = Vec::with_capacity(rows.len());
        for row in rows {
            let cell = row.get(target).unwrap_or_default();
            let noted = if cell.is_empty() { Ok(()) } else { self.note(cell, &row) };
            match noted {
                Ok(()) => first.push(row),
                Err(line) => {
                    let (code, detail) = doubled(&format!("the {target} '{}' stands", excerpt(cell)), line);
                    report.faulty(vec![row.fault(target, code, detail)]);
                }
            }
        }
        first
    }
}

/// Code and detail of the fault that something stands, as `what` says it, on a line already.
pub fn doubled(what: &str, line: u64) -> (&'static str, String) {
    ("doubled", format!("{what} on line {line} already"))
}
