//! `sample.toml`: the business date of a sample base and the files to load into it.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::civil::Date;
use serde::Deserialize;
use toml::Spanned;

use super::diagnostic::Diagnostic;
use super::document::{Faults, Item, Read, Table, by_serde, entries, found};
use super::pack::Pack;
use super::source::{SAMPLE, Source};
use crate::csv_rows::{self, FileError};
use crate::customers::model::{Section, excerpt};
use crate::faults::did_you_mean;

/// A sample base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its "today".
    pub business_date: Date,
    /// What to load, in this order.
    pub files: Vec<SampleFile>,
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
    let reader = Reader { faults: &faults, pack, folder };
    let sample = faults.parse().and_then(|root| {
        let mut top = Table::new(&faults, root.get_ref(), 0..0, "the sample");
        let business_date = top.required("business_date");
        let files = top.item("files").map(|item| reader.files(item)).unwrap_or_default();
        top.close();
        Some(Sample { business_date: business_date?, files })
    });
    (sample, faults.into_list())
}

/// The reading of one sample.
struct Reader<'t, 'a> {
    faults: &'t Faults<'a>,
    pack: &'t Pack,
    /// Where the files lie, if they are looked at.
    folder: Option<&'t Path>,
}

impl<'t, 'a> Reader<'t, 'a> {
    fn files(&self, item: &'t Item<'a>) -> Vec<SampleFile> {
        let faults = self.faults;
        let Some(items) = item.get_ref().as_array() else {
            faults.at(&item.span(), "wrong_type", "a file of the sample begins with [[files]]");
            return Vec::new();
        };
        let tables = items.iter().filter_map(|item| Table::of(faults, item, item.span(), "a file of the sample"));
        tables.filter_map(|table| self.file(table)).collect()
    }

    fn file(&self, mut table: Table<'t, 'a>) -> Option<SampleFile> {
        let (faults, pack) = (self.faults, self.pack);
        let import = table.required::<Import>("import");
        let path = table.required::<Spanned<String>>("path");
        let header = path.as_ref().and_then(|path| self.header(path));
        let kind = table.optional::<Spanned<String>>("kind");
        let source = table.optional("source");
        match (&kind, import) {
            (Some(kind), Some(Import::Transactions)) if !pack.definitions.kinds.contains_key(kind.get_ref()) => {
                let hint = did_you_mean(kind.get_ref(), pack.definitions.kinds.keys().map(String::as_str));
                faults.at(&kind.span(), "unknown_kind", format!("there is no kind '{}'{hint}", kind.get_ref()));
            }
            (None, Some(Import::Transactions)) if !table.has("kind") => {
                faults.at(table.span(), "missing", "a file of transactions needs 'kind'");
            }
            (Some(kind), Some(Import::Customers | Import::Products)) => {
                faults.at(&kind.span(), "kind", "only files of transactions have a 'kind'");
            }
            _ => {}
        }
        let keys = import.map(|import| keys(import, kind.as_ref().map(Spanned::get_ref), pack)).unwrap_or_default();
        let columns =
            table.item("columns").map(|item| columns(item, faults, &keys, header.as_deref())).unwrap_or_default();
        table.close();
        let (path, kind) = (path?.into_inner(), kind.map(Spanned::into_inner));
        Some(SampleFile { import: import?, path, kind, source, columns })
    }

    /// The columns of a file, where files are looked at.
    fn header(&self, path: &Spanned<String>) -> Option<Vec<String>> {
        let shown = excerpt(path.get_ref());
        if Path::new(path.get_ref()).is_absolute() {
            let message =
                format!("'{shown}' is absolute; paths are relative to the pack, such as ../../samples/customers.csv");
            self.faults.at(&path.span(), "path", message);
            return None;
        }
        match csv_rows::header(&self.folder?.join(path.get_ref())) {
            Ok(header) => Some(header),
            Err(FileError::Unreadable { error, .. }) => {
                self.faults.at(&path.span(), "unreadable", format!("'{shown}' can't be read: {error}"));
                None
            }
            Err(error) => {
                self.faults.at(&path.span(), "unreadable", error.to_string());
                None
            }
        }
    }
}

/// The keys that columns of such a file can stand for; empty where any may.
fn keys(import: Import, kind: Option<&String>, pack: &Pack) -> Vec<String> {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    match import {
        Import::Customers => {
            let fields = pack.fields.iter().map(|(key, field)| format!("{}.{key}", field.section.key()));
            own(&["code", "name", "status"]).into_iter().chain(fields).collect()
        }
        Import::Products => Vec::new(),
        Import::Transactions => {
            let names = own(&["customer", "on", "order", "product", "product_name", "product_category"]);
            let measures = kind.map(|kind| pack.definitions.measures(kind)).unwrap_or_default();
            names.into_iter().chain(measures.iter().cloned()).collect()
        }
    }
}

fn columns(
    item: &Item<'_>,
    faults: &Faults<'_>,
    keys: &[String],
    header: Option<&[String]>,
) -> BTreeMap<String, String> {
    let Some(table) = item.get_ref().as_table() else {
        let message = format!("'columns' is a table, {{ key = \"column\" }}, not {}", found(item.get_ref()));
        faults.at(&item.span(), "wrong_type", message);
        return BTreeMap::new();
    };
    let mut columns = BTreeMap::new();
    for (key, column) in entries(table) {
        if column.get_ref().is_table() && Section::ALL.iter().any(|section| section.key() == key.get_ref()) {
            let message = format!("the key is written in quotes: \"{}.<field>\"", key.get_ref());
            faults.at(&key.span(), "wrong_type", message);
            continue;
        }
        let name = key.get_ref().to_string();
        if !keys.is_empty() && !keys.contains(&name) {
            let hint = did_you_mean(&name, keys.iter().map(String::as_str));
            faults.at(&key.span(), "unknown_key", format!("no column can stand for '{}'{hint}", excerpt(&name)));
        }
        let Some(named) = String::read(column, faults) else { continue };
        if let Some(header) = header
            && !header.iter().any(|there| there.eq_ignore_ascii_case(named.trim()))
        {
            let hint = did_you_mean(&named, header.iter().map(String::as_str));
            faults.at(&column.span(), "unknown_column", format!("the file has no column '{}'{hint}", excerpt(&named)));
        }
        columns.insert(name, named);
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::super::manifest;
    use super::*;

    const MANIFEST: &str = r#"
[pack]
id = "lending"
title = { en = "Library" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "book"
languages = ["en"]
[fields.branch]
section = "network"
type = "text"
[kinds.loan]
measures = ["quantity"]
[policies.grade]
subject = "customer"
outcomes = ["1"]
cadence = "month"
"#;

    fn sample(text: &str) -> Result<Option<Sample>, Vec<Diagnostic>> {
        let files = [("pack.toml", MANIFEST), ("sample.toml", text)];
        let source = Source::from_files(files.map(|(p, t)| (p.to_owned(), t.to_owned())).into()).unwrap();
        read(&source, &manifest::parse(&source).unwrap())
    }

    #[test]
    fn a_sample_names_its_date_and_files() {
        let text = r#"
business_date = "2018-01-01"
[[files]]
import = "customers"
path = "../customers.csv"
columns = { code = "customer_code", "network.branch" = "branch" }
[[files]]
import = "transactions"
path = "../loans.csv"
kind = "loan"
source = "old_system"
"#;
        let sample = sample(text).unwrap().unwrap();
        assert_eq!(sample.business_date, Date::constant(2018, 1, 1));
        let [customers, loans] = sample.files.as_slice() else { panic!("{sample:?}") };
        assert_eq!((customers.import, customers.columns["network.branch"].as_str()), (Import::Customers, "branch"));
        assert_eq!((loans.kind.as_deref(), loans.source.as_deref()), (Some("loan"), Some("old_system")));
        assert!(loans.columns.is_empty());
    }

    #[test]
    fn files_and_columns_that_are_not_there_are_told_where_the_files_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let pack = folder.path().join("pack");
        std::fs::create_dir(&pack).unwrap();
        std::fs::write(folder.path().join("customers.csv"), "customer_code,branch\n").unwrap();
        let text = r#"
business_date = "2018-01-01"
[[files]]
import = "customers"
path = "../customers.csv"
columns = { code = "customer_code", "network.branch" = "branhc" }
[[files]]
import = "customers"
path = "../nowhere.csv"
[[files]]
import = "customers"
path = "/etc/customers.csv"
"#;
        std::fs::write(pack.join("pack.toml"), MANIFEST).unwrap();
        std::fs::write(pack.join("sample.toml"), text).unwrap();
        let source = Source::from_folder(&pack).unwrap();
        let manifest = manifest::parse(&source).unwrap();
        let told: Vec<_> = check(&source, &manifest).iter().map(|f| (f.line.unwrap(), f.code)).collect();
        assert_eq!(told, [(6, "unknown_column"), (9, "unreadable"), (12, "path")]);
        let told: Vec<_> = read(&source, &manifest).unwrap_err().iter().map(|f| f.code).collect();
        assert_eq!(told, ["path"]);
    }

    #[test]
    fn faults_of_a_sample_are_told_together() {
        let text = r#"
business_date = 2018
[[files]]
import = "customer"
path = "a.csv"
[[files]]
import = "transactions"
path = "b.csv"
kind = "lone"
[[files]]
import = "transactions"
path = "c.csv"
colums = {}
[[files]]
import = "customers"
path = "d.csv"
kind = "loan"
columns = { "network.branche" = "b" }
"#;
        let told: Vec<_> = sample(text).unwrap_err().iter().map(|f| (f.line.unwrap(), f.code)).collect();
        let expected = [
            (2, "date"),
            (4, "wrong_type"),
            (9, "unknown_kind"),
            (10, "missing"),
            (13, "unknown_key"),
            (17, "kind"),
            (18, "unknown_key"),
        ];
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for fault in expected {
            assert!(told.contains(&fault), "{fault:?} is missing in {told:?}");
        }
    }
}
