//! Importing customers from CSV: new ones are created, known ones changed where the file says something else. Good rows go in,
//! each faulty one is reported; a second import of the same file changes nothing.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::file::{self, Customer, MAX_CODE, MAX_NAME, Profile, Status, divide, profile_of, unite, values_of};
use super::model::{Fields, Value};
use super::record::{self, Rules};
use super::store::{self, subjects::Change};
use crate::Id;
use crate::csv_rows::{Column, FileError, Input, Report, Row, RowFault, Rows, Seen, Stopped, Watch, doubled};
use crate::db::{self, Db, Failure};
use crate::faults::Fault;
use crate::faults::excerpt;

/// Customers that one transaction writes.
const CHUNK: usize = 500;
/// How often a chunk is tried again when another writer takes one of its codes.
const ATTEMPTS: u32 = 3;

/// Why an import stopped. The chunks before it stay.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Somebody stopped it.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The database.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        if let Self::Database(error) = self { Some(error) } else { None }
    }
}

/// Imports a file with the columns `code`, `name`, `status`, and `section.field` or `field` for fields.
pub fn import(db: &Db, rules: &Rules, input: &Input, watch: &mut dyn Watch) -> Result<Report, Error> {
    let fields = rules.fields.as_ref();
    let columns = Columns::new(fields);
    let (rows, mut report) = input.open(&columns.declared)?;
    let present = columns.present(&rows);
    let mut seen = Seen::default();
    rows.take_in(CHUNK, &mut report, watch, |rows, report| {
        let mut chunk = BTreeMap::new();
        for row in rows {
            match read(fields, &present, &row, &mut seen) {
                Ok(entry) => drop(chunk.insert(entry.code.clone(), entry)),
                Err(faults) => report.faulty(faults),
            }
        }
        write(db, rules, input.dry_run, chunk, report)
    })?;
    Ok(report.finish()?)
}

/// The columns that an import may have, and the field of each target.
struct Columns {
    declared: Vec<Column>,
    targets: Vec<Target>,
}

/// A field as a column.
#[derive(Clone)]
struct Target {
    name: String,
    section: &'static str,
    key: String,
}

impl Columns {
    fn new(fields: &Fields) -> Self {
        let mut declared = vec![Column::required("code"), Column::optional("name"), Column::optional("status")];
        let mut targets = Vec::new();
        for (key, field) in fields.iter() {
            let section = field.section.key();
            let name = format!("{section}.{key}");
            // A field may be called as one of the columns that every file has.
            let column = Column::optional(&name);
            declared.push(if ["code", "name", "status"].contains(&key) { column } else { column.or(key) });
            targets.push(Target { name, section, key: key.to_owned() });
        }
        Self { declared, targets }
    }

    fn present(&self, rows: &Rows) -> Vec<Target> {
        self.targets.iter().filter(|target| rows.has(&target.name)).cloned().collect()
    }
}

/// What one good row says.
struct Entry {
    row: Row,
    code: String,
    name: Option<String>,
    /// His status, where the file says one.
    status: Option<Status>,
    /// Every field that the file has a column for; nothing removes its value.
    fields: Vec<(Target, Option<Value>)>,
}

fn read(fields: &Fields, present: &[Target], row: &Row, seen: &mut Seen) -> Result<Entry, Vec<RowFault>> {
    let mut faults = Vec::new();
    let mut refuse = |target: &str, (code, detail): (&str, String)| faults.push(row.fault(target, code, detail));
    let code = record::check_text("code", MAX_CODE, row.get("code").unwrap_or_default())
        .map_err(|refusal| refuse("code", refusal))
        .unwrap_or_default();
    if !code.is_empty()
        && let Err(line) = seen.note(&code, row)
    {
        refuse("code", doubled(&format!("the code '{code}' stands"), line));
    }
    let name = row
        .get("name")
        .and_then(|name| record::check_text("name", MAX_NAME, name).map_err(|refusal| refuse("name", refusal)).ok());
    let status = row.get("status").and_then(|text| {
        if Status::from_key(text).is_none() {
            let detail = format!("'{}' is neither active nor inactive", excerpt(text));
            refuse("status", ("unknown_choice", detail));
        }
        Status::from_key(text)
    });
    let mut values = Vec::with_capacity(present.len());
    for target in present {
        let Some(field) = fields.get(&target.key) else { continue };
        match row.get(&target.name).map(|cell| field.parse(cell)).transpose() {
            Ok(value) => values.push((target.clone(), value)),
            Err(refusal) => refuse(&target.name, refusal),
        }
    }
    if faults.is_empty() { Ok(Entry { row: row.clone(), code, name, status, fields: values }) } else { Err(faults) }
}

/// What a chunk came to.
#[derive(Default)]
struct Written {
    created: Vec<Customer>,
    changed: Vec<Customer>,
    unchanged: u64,
    faulty: Vec<Vec<RowFault>>,
}

fn write(
    db: &Db,
    rules: &Rules,
    dry_run: bool,
    chunk: BTreeMap<String, Entry>,
    report: &mut Report,
) -> Result<(), Error> {
    if chunk.is_empty() {
        return Ok(());
    }
    let mut attempt = 1;
    let written = loop {
        match db.run_here(|conn| db::transaction(conn, |conn| write_chunk(conn, rules, dry_run, &chunk))) {
            Err(db::Error::Taken) if attempt < ATTEMPTS => attempt += 1,
            result => break result?,
        }
    };
    let count = |items: usize| u64::try_from(items).unwrap_or_default();
    report.counts.created += count(written.created.len());
    report.counts.changed += count(written.changed.len());
    report.counts.unchanged += written.unchanged;
    written.faulty.into_iter().for_each(|faults| report.faulty(faults));
    Ok(())
}

fn write_chunk(
    conn: &mut db::Conn,
    rules: &Rules,
    dry_run: bool,
    chunk: &BTreeMap<String, Entry>,
) -> db::Result<Written> {
    let fields = rules.fields.as_ref();
    let codes: Vec<&str> = chunk.keys().map(String::as_str).collect();
    let known = store::find_by_codes(conn, &codes, !dry_run)?;
    let mut written = Written::default();
    let mut changes: BTreeMap<Id, Change> = BTreeMap::new();
    for (code, entry) in chunk {
        match (apply(fields, known.get(code), entry), known.get(code)) {
            (Err(faults), _) => written.faulty.push(faults),
            (Ok(after), None) => {
                let change = if after.status == Status::Active { Change::Joined } else { Change::Left };
                changes.insert(after.id, change);
                written.created.push(after);
            }
            (Ok(after), Some(before)) if *before == after => written.unchanged += 1,
            (Ok(mut after), Some(before)) => {
                changes.extend(rules.change(before, &after).map(|change| (after.id, change)));
                after.version += 1;
                after.updated_at = file::now();
                written.changed.push(after);
            }
        }
    }
    if !dry_run {
        store::insert(conn, fields, &written.created)?;
        store::replace(conn, fields, &written.changed)?;
        store::subjects::raise(conn, rules.basis, &changes)?;
    }
    written.faulty.sort_by_key(|faults| faults.first().map(|fault| fault.line));
    Ok(written)
}

/// The customer after the row, or what the row makes wrong with him.
fn apply(fields: &Fields, before: Option<&Customer>, entry: &Entry) -> Result<Customer, Vec<RowFault>> {
    let stored = before.map(|customer| customer.profile.clone()).unwrap_or_default();
    let (mut declared, hidden) = divide(fields, &stored);
    for (target, value) in &entry.fields {
        match (value, fields.get(&target.key)) {
            (Some(value), Some(field)) => file::set(&mut declared, target.section, &target.key, field.to_json(value)),
            _ => remove(&mut declared, target),
        }
    }
    let checked = fields
        .check_beside(&declared, &hidden)
        .map_err(|faults| faults.into_iter().map(|fault| row_fault(entry, fault)));
    let name = entry.name.clone().or_else(|| before.filter(|_| !entry.row.has("name")).map(|known| known.name.clone()));
    match (checked, name) {
        (Ok(values), Some(name)) => {
            let same = values == values_of(fields, &stored);
            let profile = if same { stored } else { unite(profile_of(fields, &values), hidden) };
            let customer = match before {
                Some(before) => Customer { name, profile, ..before.clone() },
                None => record::new(entry.code.clone(), name, profile),
            };
            Ok(Customer { status: entry.status.unwrap_or(customer.status), ..customer })
        }
        (checked, name) => {
            let nameless = name.is_none().then(|| entry.row.fault("name", "required", "'name' is required"));
            Err(nameless.into_iter().chain(checked.err().into_iter().flatten()).collect())
        }
    }
}

fn remove(profile: &mut Profile, target: &Target) {
    if let Some(Json::Object(content)) = profile.get_mut(target.section) {
        content.remove(&target.key);
    }
}

/// A fault of the profile that a row results in, at the row's column if it has one.
fn row_fault(entry: &Entry, fault: Fault) -> RowFault {
    let name = fault.pointer.trim_start_matches('/').replace('/', ".");
    let mut row_fault = entry.row.fault(&name, &fault.code, fault.detail);
    if row_fault.column.is_empty() {
        row_fault.detail = format!("{name}: {}", row_fault.detail);
    }
    row_fault
}
