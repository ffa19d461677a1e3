//! Reading `[[files]]` of a sample: which files are loaded, and which column stands for what.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;

use super::{Import, SampleFile};
use crate::csv_rows::{self, FileError, FileFault};
use crate::customers::model::Section;
use crate::faults::did_you_mean;
use crate::faults::excerpt;
use crate::policy::document::{Faults, Item, Read, Table, entries, found};
use crate::policy::pack::Pack;

/// The reading of the files of one sample.
pub(super) struct FilesReader<'t, 'a> {
    pub faults: &'t Faults<'a>,
    pub pack: &'t Pack,
    /// Where the files lie, if they are looked at.
    pub folder: Option<&'t Path>,
}

impl<'t, 'a> FilesReader<'t, 'a> {
    /// Every file, in the order in which they are loaded.
    pub(super) fn files(&self, item: &'t Item<'a>) -> Vec<SampleFile> {
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
            (Some(kind), Some(Import::Customers | Import::Products | Import::Observations)) => {
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
            Err(FileError { fault: FileFault::Unreadable(error), .. }) => {
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
        Import::Observations => own(&["kind", "on", "id", "customer", "employee", "value", "evidence", "reported_by"]),
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
