//! `sample.toml`: the business date of a sample base, its service staff, the files to load into it, and by which distributions data are made.

mod chance;
mod files;
mod generate;
mod kinds;
pub mod making;
pub mod model;
mod reader;
mod scene;
mod staff;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use jiff::civil::Date;
use serde::Deserialize;

use self::files::FilesReader;
pub use self::generate::MOST_CUSTOMERS;
use self::model::Generate;
use super::diagnostic::Diagnostic;
use super::document::{Faults, Item, Read, Table, by_serde};
use super::pack::Pack;
use super::source::{SAMPLE, Source};

/// A sample base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its "today".
    pub business_date: Date,
    /// Who serves the customers.
    pub employees: Vec<SampleEmployee>,
    /// What to load, in this order.
    pub files: Vec<SampleFile>,
    /// What is made, after the files.
    pub generate: Option<Generate>,
}

/// One of the service staff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleEmployee {
    /// His code.
    pub code: String,
    /// His name.
    pub name: String,
    /// The area that he serves.
    pub area: String,
    /// Since when.
    pub from: Date,
}

/// One file of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleFile {
    /// What stands in it.
    pub import: Import,
    /// Where it lies, relative to the pack's folder.
    pub path: String,
    /// The kind of its transactions.
    pub kind: Option<String>,
    /// The system that its transactions come from.
    pub source: Option<String>,
    /// The column of each key; empty where the headers name the keys.
    pub columns: BTreeMap<String, String>,
}

/// What can be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Import {
    /// Customer files.
    Customers,
    /// Products.
    Products,
    /// Transactions of one kind.
    Transactions,
    /// Observations.
    Observations,
}

impl Read for Import {
    fn read(item: &Item<'_>, faults: &Faults<'_>) -> Option<Self> {
        by_serde(item, faults)
    }
}

/// The pack's sample, if it has one.
///
/// # Errors
/// Every fault of `sample.toml`.
pub fn read(source: &Source, pack: &Pack) -> Result<Option<Sample>, Vec<Diagnostic>> {
    let (sample, faults) = examine(source, pack, None);
    if faults.is_empty() { Ok(sample) } else { Err(faults) }
}

/// Every fault of `sample.toml`, files and columns that aren't there included.
pub fn check(source: &Source, pack: &Pack) -> Vec<Diagnostic> {
    examine(source, pack, source.folder()).1
}

/// The sample and its faults; the files are looked at where a folder is given from which their paths lead.
fn examine(source: &Source, pack: &Pack, folder: Option<&Path>) -> (Option<Sample>, Vec<Diagnostic>) {
    let Some(text) = source.sample() else { return (None, Vec::new()) };
    let faults = Faults::new(SAMPLE, text);
    let reader = FilesReader { faults: &faults, pack, folder };
    let sample = faults.parse().and_then(|root| {
        let mut top = Table::new(&faults, root.get_ref(), 0..0, "the sample");
        let business_date = top.required("business_date");
        let employees = top.item("employees").map(|item| staff::employees(&faults, pack, item)).unwrap_or_default();
        let files = top.item("files").map(|item| reader.files(item)).unwrap_or_default();
        let generate = top.table("generate", "what is generated");
        let generate = generate.and_then(|table| generate::read(&faults, pack, business_date, table));
        top.close();
        Some(Sample { business_date: business_date?, employees, files, generate })
    });
    (sample, faults.into_list())
}
