//! The items of a file, and which rows are revisions of the same one.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::csv_rows::{Row, RowFault, Seen, doubled};
use crate::digest::Digest;
use crate::transactions::record::Recorded;

/// The id of a row's item in its source: of its order and product.
pub(super) fn id(row: &Row) -> String {
    let order = row.get("order").unwrap_or_default();
    row.get("product").map_or_else(|| order.to_owned(), |product| format!("{order}/{product}"))
}

/// The revision that a row states, if it does.
pub(super) fn revision(row: &Row) -> Result<Option<i64>, RowFault> {
    let read = row.get("revision").map(str::parse).transpose();
    read.map_err(|_| row.fault("revision", "wrong_type", "a revision is a whole number"))
}

/// What the rows of a file were about so far. It may have millions: items are known by digests.
#[derive(Default)]
pub(super) struct Items {
    /// The line on which each item stands first, and whether it states a revision there.
    first: HashMap<[u8; 16], (u64, bool)>,
    /// Rows that state a revision.
    revisions: Seen,
    /// In a dry run: the highest revision of each item that would be there by now.
    foreseen: HashMap<[u8; 16], i64>,
}

impl Items {
    /// Notes a row, and says whether its item stood before.
    ///
    /// # Errors
    /// A fault where no revision tells it from a row before it: then the file, imported again, would change what is there twice.
    pub(super) fn note(&mut self, row: &Row, revision: Option<i64>) -> Result<bool, RowFault> {
        if row.get("order").is_none() {
            return Ok(false);
        }
        let told = |line: u64| {
            let (code, detail) = doubled("the order and product stand", line);
            row.fault("order", code, format!("{detail}, and no other revision tells this row from that one"))
        };
        let (line, is_revised) =
            *self.first.entry(Digest::of(id(row)).half()).or_insert((row.line(), revision.is_some()));
        let stood_before = line != row.line();
        match revision {
            Some(revision) if is_revised => {
                self.revisions.note(&format!("{}/{revision}", id(row)), row).map_err(told)?;
            }
            _ if stood_before => return Err(told(line)),
            _ => {}
        }
        Ok(stood_before)
    }

    /// What would become of a row, of which a dry run can't tell since it has recorded nothing of those before it.
    pub(super) fn foresee(&mut self, row: &Row, answer: Recorded) -> Recorded {
        let (Recorded::Created(item) | Recorded::Corrected(item) | Recorded::Unchanged(item)) = answer else {
            return answer;
        };
        let Ok(Some(revision)) = revision(row) else { return answer };
        let before = self.foreseen.entry(Digest::of(id(row)).half()).or_insert(revision);
        match revision.cmp(before) {
            Ordering::Less => Recorded::Outdated(item),
            Ordering::Equal => answer,
            Ordering::Greater => {
                *before = revision;
                Recorded::Corrected(item)
            }
        }
    }
}
