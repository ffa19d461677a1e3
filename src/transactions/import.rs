//! Importing transactions from CSV: each row is an item, known by its order and product, which stand once in a file or with different
//! revisions. Good rows go in, each faulty one is reported; a second import of the same file changes nothing.

mod items;

use std::collections::{BTreeMap, BTreeSet};
use std::thread::{self, Scope, ScopedJoinHandle};

use rust_decimal::Decimal;

use self::items::Items;
use super::model::{AMOUNT, Definitions, QUANTITY};
use super::products::{Product, ProductBody};
use super::record::{self, NewLine, NewTransaction, Recorded, Rules};
use super::store;
use crate::csv_rows::{Column, FileError, Input, Report, Row, RowFault, Seen, Stopped, Watch};
use crate::customers::texts::decimal;
use crate::db::{self, Db, Failure, transaction};
use crate::faults::Fault;

/// Rows that are recorded together.
const BATCH: usize = 5_000;
/// Threads that record a batch, each with a connection.
const LANES: usize = 2;
/// Source of items when the importer names none.
pub const DEFAULT_SOURCE: &str = "csv";

/// What to import, and how: columns `customer`, `on`, `order`, the measures, and as wanted `kind`, `product` and what describes products.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// The file.
    pub input: Input,
    /// The kind of all rows, where the file has no column `kind`.
    pub kind: Option<String>,
    /// The system that the rows come from; [`DEFAULT_SOURCE`] when absent.
    pub source: Option<String>,
}

/// Why an import stopped. The batches before it stay.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Somebody stopped it.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// Recording.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// The database.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        match self {
            Self::File(_) | Self::Stopped(_) => None,
            Self::Record(error) => error.database(),
            Self::Database(error) => Some(error),
        }
    }
}

/// Imports a file.
pub fn import(db: &Db, rules: &Rules, import: &Import, watch: &mut dyn Watch) -> Result<Report, Error> {
    let measures = measures(&rules.definitions);
    let (rows, mut report) = import.input.open(&columns(import, &measures))?;
    let (mut items, dry_run) = (Items::default(), import.input.dry_run);
    // While a batch is being recorded the next one is read.
    thread::scope(|scope| {
        let mut recording: Option<Recording<'_>> = None;
        rows.take_in(BATCH, &mut report, watch, |rows, report| {
            let mut batch = Batch::default();
            for row in rows {
                if let Err(faults) = batch.add(row, import, &measures, &mut items, report) {
                    report.faulty(faults);
                }
            }
            finish(recording.take(), &mut items, dry_run, report)?;
            recording = Some(batch.record(scope, db, rules, dry_run)?);
            Ok::<_, Error>(())
        })?;
        finish(recording, &mut items, dry_run, &mut report)
    })?;
    Ok(report.finish()?)
}

/// Imports products: columns `code`, `name`, `category`, `unit`, `factor`. Known ones are replaced.
pub fn import_products(db: &Db, input: &Input, watch: &mut dyn Watch) -> Result<Report, Error> {
    let columns = ["code", "name", "category", "unit", "factor"].map(Column::required);
    let (rows, mut report) = input.open(&columns)?;
    let mut seen = Seen::default();
    rows.take_in(BATCH, &mut report, watch, |rows, report| {
        let mut products = Vec::with_capacity(rows.len());
        for row in seen.first(rows, "code", report) {
            let text = |target: &str| row.get(target).unwrap_or_default().to_owned();
            let body = ProductBody {
                name: text("name"),
                category: text("category"),
                unit: text("unit"),
                factor: text("factor"),
            };
            match body.check(&text("code")) {
                Ok(product) => products.push(product),
                Err(faults) => report.faulty(faults.iter().map(|fault| in_row(&row, fault, "")).collect()),
            }
        }
        let known = db.run_here(|conn| {
            let known = store::products_of(conn, &products.iter().map(|product| product.code.as_str()).collect())?;
            if !input.dry_run {
                transaction(conn, |conn| store::write_products(conn, &products))?;
            }
            Ok::<_, db::Error>(known)
        })?;
        for product in &products {
            match known.get(&product.code) {
                None => report.counts.created += 1,
                Some(before) if before == product => report.counts.unchanged += 1,
                Some(_) => report.counts.changed += 1,
            }
        }
        Ok::<_, Error>(())
    })?;
    Ok(report.finish()?)
}

/// Every measure of every kind.
fn measures(definitions: &Definitions) -> BTreeSet<String> {
    definitions.kinds.keys().flat_map(|kind| definitions.measures(kind)).cloned().collect()
}

fn columns(import: &Import, measures: &BTreeSet<String>) -> Vec<Column> {
    let kind = if import.kind.is_some() { Column::optional("kind") } else { Column::required("kind") };
    let mut columns = vec![Column::required("customer"), Column::required("on"), Column::required("order"), kind];
    let product = ["product", "product_name", "product_category", "product_unit", "product_factor"];
    columns.extend(product.into_iter().chain(["revision"]).map(Column::optional));
    columns.extend(measures.iter().map(Column::optional));
    columns
}

/// Rows that are recorded together, with the products that they describe.
#[derive(Default)]
struct Batch {
    rows: Vec<Row>,
    items: Vec<NewTransaction>,
    products: BTreeMap<String, Product>,
    /// Whether an item stands here again, with another revision: what becomes of either depends on the order.
    is_ordered: bool,
}

/// Rows that are being recorded, lane by lane.
type Recording<'scope> = Vec<(Vec<Row>, ScopedJoinHandle<'scope, Result<Vec<Recorded>, record::Error>>)>;

/// Waits till a batch is recorded, and reports what became of its rows.
fn finish(
    recording: Option<Recording<'_>>,
    items: &mut Items,
    dry_run: bool,
    report: &mut Report,
) -> Result<(), Error> {
    for (rows, lane) in recording.into_iter().flatten() {
        let mut answers = lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        if dry_run {
            answers = rows.iter().zip(answers).map(|(row, answer)| items.foresee(row, answer)).collect();
        }
        account(report, &rows, answers, |row, fault| in_row(row, fault, ""));
    }
    Ok(())
}

/// Reports what became of rows that were recorded; `told` makes a fault of an item one of its row.
pub(super) fn account(
    report: &mut Report,
    rows: &[Row],
    answers: Vec<Recorded>,
    told: impl Fn(&Row, &Fault) -> RowFault,
) {
    for (row, answer) in rows.iter().zip(answers) {
        match answer {
            Recorded::Created(_) => report.counts.created += 1,
            Recorded::Corrected(_) => report.counts.changed += 1,
            Recorded::Unchanged(_) | Recorded::Outdated(_) => report.counts.unchanged += 1,
            Recorded::Refused(faults) => report.faulty(faults.iter().map(|fault| told(row, fault)).collect()),
        }
    }
}

impl Batch {
    fn add(
        &mut self,
        row: Row,
        import: &Import,
        measures: &BTreeSet<String>,
        items: &mut Items,
        report: &mut Report,
    ) -> Result<(), Vec<RowFault>> {
        let text = |target: &str| row.get(target).unwrap_or_default().to_owned();
        let product = row.get("product").map(str::to_owned);
        let revision = items::revision(&row).map_err(|fault| vec![fault])?;
        self.is_ordered |= items.note(&row, revision).map_err(|fault| vec![fault])?;
        if let Some(code) = &product
            && let Some(described) = describe(&row)
        {
            let told =
                |faults: Vec<Fault>| faults.iter().map(|fault| in_row(&row, fault, "product_")).collect::<Vec<_>>();
            self.products.insert(code.clone(), described.check(code).map_err(told)?);
        }
        let measures: BTreeMap<String, String> = measures
            .iter()
            .filter_map(|measure| row.get(measure).map(|value| (measure.clone(), value.to_owned())))
            .collect();
        if measures.get(QUANTITY).and_then(|text| decimal(text).ok()) == Some(Decimal::ZERO) {
            let detail = "the quantity is 0; the row is taken in";
            report.warning(row.fault(QUANTITY, "zero_quantity", detail));
        }
        self.items.push(NewTransaction {
            source: import.source.clone().unwrap_or_else(|| DEFAULT_SOURCE.to_owned()),
            external_id: items::id(&row),
            kind: row.get("kind").map(str::to_owned).or_else(|| import.kind.clone()).unwrap_or_default(),
            customer_code: text("customer"),
            occurred_at: text("on"),
            order: Some(text("order")),
            revision,
            cancelled: false,
            lines: vec![NewLine { product, measures }],
        });
        self.rows.push(row);
        Ok(())
    }

    /// Begins to record on threads of its own, each with a connection: the rows of one customer stay together, so that no lane waits for
    /// another one.
    fn record<'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        db: &'scope Db,
        rules: &'scope Rules,
        dry_run: bool,
    ) -> Result<Recording<'scope>, Error> {
        let described: Vec<Product> = self.products.values().cloned().collect();
        if !dry_run && !described.is_empty() {
            db.run_here(|conn| transaction(conn, |conn| store::write_products(conn, &described)))?;
        }
        let options = record::Options { dry_run, described: self.products };
        let mut lanes = vec![(Vec::new(), Vec::new()); if self.is_ordered { 1 } else { LANES }];
        let count = lanes.len();
        for (row, item) in self.rows.into_iter().zip(self.items) {
            let sum: usize = item.customer_code.bytes().map(usize::from).sum();
            if let Some((rows, items)) = lanes.get_mut(sum % count) {
                rows.push(row);
                items.push(item);
            }
        }
        let start = |(rows, items): (Vec<Row>, Vec<NewTransaction>)| {
            let options = options.clone();
            (rows, scope.spawn(move || db.run_here(|conn| record::record(conn, rules, items, &options))))
        };
        Ok(lanes.into_iter().filter(|(rows, _)| !rows.is_empty()).map(start).collect())
    }
}

/// The product that a row describes; nothing unless it names a category or more.
fn describe(row: &Row) -> Option<ProductBody> {
    let category = row.get("product_category");
    let name = row.get("product_name").or(category)?;
    Some(ProductBody {
        name: name.to_owned(),
        category: category.unwrap_or("-").to_owned(),
        unit: row.get("product_unit").unwrap_or("-").to_owned(),
        factor: row.get("product_factor").unwrap_or("1").to_owned(),
    })
}

/// A fault of an item as a fault of the row that it came from.
fn in_row(row: &Row, fault: &Fault, prefix: &str) -> RowFault {
    let last = fault.pointer.rsplit('/').next().unwrap_or_default();
    let target = match fault.pointer.as_str() {
        "/customer_code" => "customer".to_owned(),
        "/occurred_at" => "on".to_owned(),
        "/external_id" | "/order" => "order".to_owned(),
        _ if last == "measures" => AMOUNT.to_owned(),
        _ => format!("{prefix}{last}"),
    };
    row.fault(&target, &fault.code, &fault.detail)
}
