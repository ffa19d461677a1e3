//! Importing observations from CSV: each row is one, known by its id, which stands once in a file. Good rows go in, each faulty one is reported; a
//! second import of the same file changes nothing.

use super::import::{DEFAULT_SOURCE, Error, account};
use super::observe::{NewObservation, Recorder, observe};
use super::record::Rules;
use crate::Id;
use crate::csv_rows::{Column, Input, Report, Row, Seen, Watch};
use crate::db::Db;

/// Rows that are recorded together.
const BATCH: usize = 2_000;

/// Which observations to import, and how: columns `kind`, `on`, `id`, `customer` or `employee`, and as wanted `value`, `evidence`, `reported_by`.
#[derive(Clone, Debug, Default)]
pub struct ObservationImport {
    /// The file.
    pub input: Input,
    /// The system that the rows come from; [`DEFAULT_SOURCE`] when absent.
    pub source: Option<String>,
    /// The user who imports them; nobody where a command does.
    pub user_id: Option<Id>,
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
    let (rows, mut report) = import.input.open(&columns)?;
    let source = import.source.as_deref().unwrap_or(DEFAULT_SOURCE);
    // Files are taken from those alone who may evaluate staff.
    let recorder = Recorder { user_id: import.user_id, evaluates: true };
    let mut seen = Seen::default();
    rows.take_in(BATCH, &mut report, watch, |rows, report| {
        let rows = seen.first(rows, "id", report);
        let items = rows.iter().map(|row| item(row, source)).collect();
        let answers = db.run_here(|conn| observe(conn, rules, recorder, items, import.input.dry_run))?;
        account(report, &rows, answers, |row, fault| row.fault(column(&fault.pointer), &fault.code, &fault.detail));
        Ok::<_, Error>(())
    })?;
    Ok(report.finish()?)
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
