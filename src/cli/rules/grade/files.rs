//! Reads customers and transactions from CSV files; faulty rows are left out and told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::{Date, DateTime};
use jiff::{Timestamp, tz::TimeZone};

use crate::csv_rows::{Column, Encoding, FileError, Row, RowFault, Rows};
use crate::customers::model::Values;
use crate::customers::texts::{date, decimal};
use crate::faults::{did_you_mean, excerpt};
use crate::policy::ledger::Transactions;
use crate::policy::model::Subject;
use crate::policy::pack::Pack;
use crate::transactions::model::{Dated, Definitions, Line, Observed, SubjectKind, not_negative};

/// A fault of one row.
pub(super) struct Faulty {
    path: PathBuf,
    fault: RowFault,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RowFault { line, column, detail, .. } = &self.fault;
        let column = if column.is_empty() { String::new() } else { format!("{column}: ") };
        write!(f, "{}:{line}: {column}{detail}", self.path.display())
    }
}

/// One customer as far as files tell of him.
pub(super) struct Customer {
    code: String,
    name: String,
    values: Values,
    transactions: Transactions,
    categories: Arc<BTreeMap<String, String>>,
}

/// Everybody in the file of customers.
#[derive(Default)]
pub(super) struct Customers {
    /// Active customers by code.
    pub(super) active: BTreeMap<String, Customer>,
    /// Codes of inactive customers, whose transactions are passed over.
    inactive: BTreeSet<String>,
    /// Codes in rows that were left out.
    left_out: BTreeSet<String>,
    /// What is wrong with the rows left out: a row may have several faults.
    pub(super) faulty: Vec<Faulty>,
    /// Remarks about columns.
    pub(super) remarks: Vec<Faulty>,
}

impl Customers {
    /// How many are inactive.
    pub(super) fn inactive(&self) -> usize {
        self.inactive.len()
    }

    fn remark(&mut self, path: &Path, remarks: impl IntoIterator<Item = RowFault>) {
        self.remarks.extend(remarks.into_iter().map(|fault| Faulty { path: path.to_owned(), fault }));
    }
}

impl Customer {
    /// His name, and himself as policies see him.
    pub(super) fn into_subject(self, pack: &Pack, as_of: Date) -> (String, Arc<Subject>) {
        let mut subject = Subject { code: self.code, values: self.values, windows: Arc::default() };
        self.transactions.compute(&pack.customer_definitions, &self.categories, as_of, &mut subject);
        (self.name, Arc::new(subject))
    }
}

/// Reads the file of customers.
pub(super) fn customers(path: &Path, pack: &Pack, mapping: &BTreeMap<String, String>) -> Result<Customers, FileError> {
    let mut columns = vec![Column::required("code"), Column::optional("name"), Column::optional("status")];
    for (key, field) in pack.fields.iter() {
        let column = format!("{}.{key}", field.section.key());
        let column = if field.required { Column::required(column) } else { Column::optional(column) };
        columns.push(column.or(key));
    }
    let mut customers = Customers::default();
    let rows = Rows::open(path, Encoding::default(), &columns, mapping)?;
    customers.remark(path, rows.unused(&columns));
    for row in rows {
        let faults = match row? {
            Ok(row) => customers.add(&row, pack).err().unwrap_or_default(),
            Err(fault) => vec![fault],
        };
        customers.faulty.extend(faults.into_iter().map(|fault| Faulty { path: path.to_owned(), fault }));
    }
    Ok(customers)
}

impl Customers {
    fn add(&mut self, row: &Row, pack: &Pack) -> Result<(), Vec<RowFault>> {
        let Some(code) = row.get("code") else {
            return Err(vec![row.fault("code", "required", "every customer has a code")]);
        };
        let mut faults = Vec::new();
        if self.active.contains_key(code) || self.inactive.contains(code) || self.left_out.contains(code) {
            faults.push(row.fault("code", "doubled", format!("the customer '{}' stands twice", excerpt(code))));
            return Err(faults);
        }
        let inactive = match row.get("status") {
            None | Some("active") => false,
            Some("inactive") => true,
            Some(other) => {
                let detail = format!("'{}' is neither active nor inactive", excerpt(other));
                faults.push(row.fault("status", "status", detail));
                false
            }
        };
        let mut values = Values::new();
        for (key, field) in pack.fields.iter() {
            let column = format!("{}.{key}", field.section.key());
            match row.get(&column).map(|cell| field.parse(cell)) {
                Some(Ok(value)) => drop(values.insert(key.to_owned(), value)),
                Some(Err((code, detail))) => faults.push(row.fault(&column, code, detail)),
                None if field.required => faults.push(row.fault(&column, "required", format!("'{key}' is required"))),
                None => {}
            }
        }
        if !faults.is_empty() {
            self.left_out.insert(code.to_owned());
            return Err(faults);
        }
        if inactive {
            self.inactive.insert(code.to_owned());
            return Ok(());
        }
        let customer = Customer {
            code: code.to_owned(),
            name: row.get("name").unwrap_or_default().to_owned(),
            values,
            transactions: Transactions::default(),
            categories: Arc::default(),
        };
        self.active.insert(code.to_owned(), customer);
        Ok(())
    }
}

/// How the file of transactions is read.
pub(super) struct Reading<'a> {
    pub(super) pack: &'a Pack,
    /// Column of the file by target, where its name is another one.
    pub(super) mapping: BTreeMap<String, String>,
    /// The kind of all rows, where the file has no column `kind`.
    pub(super) kind: Option<&'a str>,
}

impl Reading<'_> {
    /// Reads the transactions into the customers' accounts; gives the rows left out.
    pub(super) fn transactions(&self, path: &Path, customers: &mut Customers) -> Result<Vec<Faulty>, FileError> {
        let kinds = &self.pack.definitions.kinds;
        let mut columns = vec![Column::required("customer"), Column::required("on"), Column::optional("order")];
        columns.push(if self.only_kind().is_some() { Column::optional("kind") } else { Column::required("kind") });
        columns.extend([Column::optional("product"), Column::optional("product_category")]);
        let measures: BTreeSet<&String> = kinds.values().flat_map(|kind| &kind.measures).collect();
        columns.extend(measures.into_iter().map(Column::optional));
        let mut categories = BTreeMap::new();
        let mut faulty = Vec::new();
        let rows = Rows::open(path, Encoding::default(), &columns, &self.mapping)?;
        customers
            .remark(path, rows.unused(&columns).into_iter().chain(missing_measures(&rows, &self.pack.definitions)));
        for row in rows {
            let faults = match row? {
                Ok(row) => self.add(&row, customers, &mut categories).err().unwrap_or_default(),
                Err(fault) => vec![fault],
            };
            faulty.extend(faults.into_iter().map(|fault| Faulty { path: path.to_owned(), fault }));
        }
        let categories = Arc::new(categories);
        for customer in customers.active.values_mut() {
            customer.categories = Arc::clone(&categories);
        }
        Ok(faulty)
    }

    /// The kind of rows that don't name one.
    fn only_kind(&self) -> Option<&str> {
        let kinds = &self.pack.definitions.kinds;
        self.kind.or_else(|| kinds.keys().next().map(String::as_str).filter(|_| kinds.len() == 1))
    }

    fn add(
        &self,
        row: &Row,
        customers: &mut Customers,
        categories: &mut BTreeMap<String, String>,
    ) -> Result<(), Vec<RowFault>> {
        let code = row.get("customer").unwrap_or_default();
        if customers.inactive.contains(code) {
            return Ok(());
        }
        let pack = self.pack;
        let mut faults = Vec::new();
        if !customers.active.contains_key(code) {
            let detail = match customers.left_out.contains(code) {
                true => format!("the row of the customer '{}' is faulty", excerpt(code)),
                false => format!("there is no customer '{}'", excerpt(code)),
            };
            faults.push(row.fault("customer", "unknown_customer", detail));
        }
        let on = row.get("on").unwrap_or_default();
        let on = day(on, &pack.time_zone).map_err(|(code, detail)| faults.push(row.fault("on", code, detail))).ok();
        let kinds = &pack.definitions.kinds;
        let key = row.get("kind").or(self.only_kind()).unwrap_or_default();
        let Some(kind) = kinds.get(key) else {
            let hint = did_you_mean(key, kinds.keys().map(String::as_str));
            faults.push(row.fault("kind", "unknown_kind", format!("there is no kind '{}'{hint}", excerpt(key))));
            return Err(faults);
        };
        let product = row.get("product").filter(|_| kind.products).map(str::to_owned);
        if kind.products && product.is_none() {
            faults.push(row.fault("product", "required", format!("a transaction of the kind '{key}' names a product")));
        }
        let mut measures = BTreeMap::new();
        for measure in pack.definitions.measures(key) {
            match row.get(measure).map(|cell| decimal(cell).and_then(|value| not_negative(measure, value))) {
                Some(Ok(value)) => drop(measures.insert(measure.clone(), value)),
                Some(Err((code, detail))) => faults.push(row.fault(measure, code, detail)),
                None => {}
            }
        }
        let (Some(customer), Some(on), true) = (customers.active.get_mut(code), on, faults.is_empty()) else {
            return Err(faults);
        };
        if let (Some(product), Some(category)) = (&product, row.get("product_category")) {
            categories.insert(product.clone(), category.to_owned());
        }
        // Without the column each row is an order of its own.
        let order = row.get("order").map_or_else(|| format!("#{}", row.line()), str::to_owned);
        let line = Line { product, factor: None, measures };
        customer.transactions.add(key, Dated { on, order, lines: vec![line] });
        Ok(())
    }
}

/// Reads observations into the customers' accounts; gives the rows left out. Those of employees are passed over.
pub(super) fn observations(path: &Path, pack: &Pack, customers: &mut Customers) -> Result<Vec<Faulty>, FileError> {
    let columns = ["kind", "on"].map(Column::required);
    let optional = ["customer", "employee", "id", "value", "evidence", "reported_by"].map(Column::optional);
    let columns: Vec<Column> = columns.into_iter().chain(optional).collect();
    let mut faulty = Vec::new();
    for row in Rows::open(path, Encoding::default(), &columns, &BTreeMap::new())? {
        let fault = match row? {
            Ok(row) => observe(&row, pack, customers).err(),
            Err(fault) => Some(fault),
        };
        faulty.extend(fault.map(|fault| Faulty { path: path.to_owned(), fault }));
    }
    Ok(faulty)
}

fn observe(row: &Row, pack: &Pack, customers: &mut Customers) -> Result<(), RowFault> {
    let kinds = &pack.definitions.observations;
    let key = row.get("kind").unwrap_or_default();
    let kind = kinds.get(key).ok_or_else(|| {
        let hint = did_you_mean(key, kinds.keys().map(String::as_str));
        row.fault("kind", "unknown_kind", format!("there is no kind of observations '{}'{hint}", excerpt(key)))
    })?;
    let code = row.get("customer").unwrap_or_default();
    if kind.subject == SubjectKind::Employee || customers.inactive.contains(code) {
        return Ok(());
    }
    let at = |column: &'static str| move |(code, detail): (&'static str, String)| row.fault(column, code, detail);
    let on = date(row.get("on").unwrap_or_default()).map_err(at("on"))?;
    let value = row.get("value").map(decimal).transpose().map_err(at("value"))?;
    let value = kind.check(value).map_err(at("value"))?;
    let customer = customers.active.get_mut(code).ok_or_else(|| {
        row.fault("customer", "unknown_customer", format!("there is no customer '{}'", excerpt(code)))
    })?;
    customer.transactions.observe(key, Observed { on, value });
    Ok(())
}

/// A remark for each measure that metrics read and the file has no column for.
fn missing_measures(rows: &Rows, definitions: &Definitions) -> Vec<RowFault> {
    let mut readers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, metric) in &definitions.metrics {
        for measure in metric.read_measures().filter(|measure| !rows.has(measure)) {
            readers.entry(measure).or_default().push(key);
        }
    }
    let remark = |(measure, metrics): (&str, Vec<&str>)| RowFault {
        line: 1,
        column: String::new(),
        code: "missing_measure".to_owned(),
        detail: format!("the column '{measure}' is missing, which is read by {}", metrics.join(", ")),
    };
    readers.into_iter().map(remark).collect()
}

/// The day of a date, of a time in the pack's zone (`2018-01-31 14:27:01`), or of an instant (`2018-01-31T06:27:01Z`).
fn day(text: &str, zone: &TimeZone) -> Result<Date, (&'static str, String)> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant.to_zoned(zone.clone()).date());
    }
    match text.parse::<DateTime>() {
        Ok(local) if text.len() > 10 => Ok(local.date()),
        _ => date(text),
    }
}
