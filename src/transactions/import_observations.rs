//! Importing observations from CSV: each row is one, known by its id. Good rows go in, each faulty one is reported; a second import of the same
//! file changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::import::{DEFAULT_SOURCE, Error};
use super::observe::{NewObservation, Recorder, observe};
use super::record::{Recorded, Rules};
use crate::Id;
use crate::csv_rows::{Column, Encoding, Report, Row, Rows, Watch};
use crate::db::Db;
use crate::faults::Fault;

/// Rows that are recorded together.
const BATCH: usize = 2_000;

/// Which observations to import, and how.
#[derive(Clone, Debug, Default)]
pub struct ObservationImport {
    /// The file: columns `kind`, `on`, `id`, `customer` or `employee`, and as wanted `value`, `evidence`, `reported_by`.
    pub file: PathBuf,
    /// Column of the file by target, where its name is another one.
    pub mapping: BTreeMap<String, String>,
    /// The file's encoding.
    pub encoding: Encoding,
    /// The system that the rows come from; `csv` when absent.
    pub source: Option<String>,
    /// The user who imports them; nobody where a command does.
    pub user_id: Option<Id>,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// CSV file for every faulty row.
    pub report: Option<PathBuf>,
}

/// Imports a file.
pub fn import_observations(
    db: &Db,
    rules: &Rules,
    import: &ObservationImport,
    watch: &mut dyn Watch,
) -> Result<Report, Error> {
    let optional = ["customer", "employee", "value", "evidence", "reported_by"].map(Column::optional);
    let columns: Vec<Column> = ["kind", "on", "id"].map(Column::required).into_iter().chain(optional).collect();
    let mut rows = Rows::open(&import.file, import.encoding, &columns, &import.mapping)?;
    let mut report = Report::new(import.report.as_deref())?;
    watch.begun(rows.bytes_total());
    let mut batch = Vec::new();
    while let Some(row) = rows.next() {
        report.counts.read += 1;
        match row? {
            Ok(row) => batch.push(row),
            Err(fault) => report.faulty(vec![fault])?,
        }
        let is_full = batch.len() == BATCH;
        if is_full {
            record(db, rules, import, &std::mem::take(&mut batch), &mut report)?;
        }
        report.tell(watch, &rows, is_full)?;
    }
    record(db, rules, import, &batch, &mut report)?;
    watch.ended();
    report.finish()?;
    Ok(report)
}

fn record(db: &Db, rules: &Rules, import: &ObservationImport, rows: &[Row], report: &mut Report) -> Result<(), Error> {
    let source = import.source.as_deref().unwrap_or(DEFAULT_SOURCE);
    let items = rows.iter().map(|row| item(row, source)).collect();
    // Files are taken from those alone who may evaluate staff.
    let recorder = Recorder { user_id: import.user_id, evaluates: true };
    let answers = db.run_here(|conn| observe(conn, rules, recorder, items, import.dry_run))?;
    for (row, answer) in rows.iter().zip(answers) {
        match answer {
            Recorded::Created(_) => report.counts.created += 1,
            Recorded::Corrected(_) => report.counts.changed += 1,
            Recorded::Unchanged(_) | Recorded::Outdated(_) => report.counts.unchanged += 1,
            Recorded::Refused(faults) => {
                let told = |fault: &Fault| row.fault(column(&fault.pointer), &fault.code, &fault.detail);
                report.faulty(faults.iter().map(told).collect())?;
            }
        }
    }
    Ok(())
}

fn item(row: &Row, source: &str) -> NewObservation {
    let text = |target: &str| row.get(target).unwrap_or_default().to_owned();
    let optional = |target: &str| row.get(target).map(str::to_owned);
    NewObservation {
        source: source.to_owned(),
        external_id: text("id"),
        kind: text("kind"),
        customer_code: optional("customer"),
        employee_code: optional("employee"),
        observed_on: text("on"),
        value: optional("value"),
        evidence: optional("evidence"),
        reported_by: optional("reported_by"),
        withdrawn: false,
    }
}

/// The column of what a fault points to.
fn column(pointer: &str) -> &str {
    match pointer {
        "/customer_code" => "customer",
        "/employee_code" => "employee",
        "/observed_on" => "on",
        "/external_id" => "id",
        other => other.trim_start_matches('/'),
    }
}
