//! Transactions, totals, products and observations in the database.

mod observations;
mod totals;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use diesel::prelude::*;
use diesel::sql_types;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_diesel::ToDiesel;
use rust_decimal::Decimal;

use super::model::{Line, Month, Period};
use super::products::Product;
use crate::Id;
use crate::db::bulk::{Insert, Literal};
use crate::db::schema::{deployment, products, transactions};
use crate::db::{Conn, Error, Result};

pub use observations::*;
pub use totals::*;

/// A transaction as it is kept.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Its id.
    pub id: Id,
    /// The customer's id.
    pub customer_id: Id,
    /// The system it came from.
    pub source: String,
    /// Its id in that system.
    pub external_id: String,
    /// Its kind.
    pub kind: String,
    /// The order it belongs to.
    pub order: String,
    /// Business date, in the pack's zone.
    pub occurred_on: Date,
    /// The instant, where it was sent.
    pub occurred_at: Option<Timestamp>,
    /// Revision, where the source counts them.
    pub revision: Option<i64>,
    /// Whether it was cancelled: it counts no more.
    pub cancelled: bool,
    /// SHA-256 of what was sent.
    pub digest: Vec<u8>,
    /// Its lines.
    pub lines: Vec<Line>,
    /// When it was first recorded.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = transactions)]
struct TransactionRow {
    customer_id: Id,
    #[diesel(deserialize_as = jiff_diesel::Date)]
    occurred_on: Date,
    id: Id,
    source: String,
    external_id: String,
    kind: String,
    order_reference: String,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    occurred_at: Option<Timestamp>,
    revision: Option<i64>,
    cancelled: bool,
    digest: Vec<u8>,
    line_items: String,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    created_at: Timestamp,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    updated_at: Timestamp,
}

impl TransactionRow {
    fn read(self) -> Result<Transaction> {
        let lines = serde_json::from_str(&self.line_items).map_err(|error| Error::corrupt("transaction", error))?;
        Ok(Transaction {
            id: self.id,
            customer_id: self.customer_id,
            source: self.source,
            external_id: self.external_id,
            kind: self.kind,
            order: self.order_reference,
            occurred_on: self.occurred_on,
            occurred_at: self.occurred_at,
            revision: self.revision,
            cancelled: self.cancelled,
            digest: self.digest,
            lines,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// Locks customers as subjects, so that one writer at a time changes their totals. Whoever does raises their sequences too: so two
/// writers on two nodes of a cluster, where locks stay on their node, write the same rows, and one of them fails and tries again.
/// In the order of the primary key, which the statement names since another index covers it too: so that writers don't wait in a
/// circle.
pub fn lock_customers(conn: &mut Conn, ids: &BTreeSet<Id>) -> Result<()> {
    let mut by_shard: BTreeMap<u8, Vec<Id>> = BTreeMap::new();
    for id in ids {
        by_shard.entry(id.shard()).or_default().push(*id);
    }
    let mut sql = String::from("SELECT customer_id FROM subjects FORCE INDEX (PRIMARY) WHERE ");
    for (index, (shard, ids)) in by_shard.iter().enumerate() {
        let _ = write!(sql, "{}shard = {shard} AND customer_id IN (", if index == 0 { "" } else { " OR " });
        write_list(&mut sql, ids, |sql, id| id.write(sql));
        sql.push(')');
    }
    sql.push_str(" ORDER BY shard, customer_id FOR UPDATE");
    if !ids.is_empty() {
        diesel::sql_query(sql).execute(conn)?;
    }
    Ok(())
}

/// What tells whether a transaction that is sent is known, and where it stands.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = transactions)]
pub struct Known {
    /// Its id.
    pub id: Id,
    /// The customer's id.
    pub customer_id: Id,
    /// The system it came from.
    pub source: String,
    /// Its id in that system.
    pub external_id: String,
    /// Its kind.
    pub kind: String,
    /// Business date, in the pack's zone.
    #[diesel(deserialize_as = jiff_diesel::Date)]
    pub occurred_on: Date,
    /// Revision, where the source counts them.
    pub revision: Option<i64>,
    /// SHA-256 of what was sent.
    pub digest: Vec<u8>,
    /// When it was first recorded.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
}

/// The transactions known by these sources and external ids.
pub fn known(conn: &mut Conn, keys: &[(&str, &str)]) -> Result<Vec<Known>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut condition = String::from("(source, external_id) IN (");
    write_list(&mut condition, keys, |sql, (source, external_id)| write_tuple(sql, &[source, external_id]));
    condition.push(')');
    let known = transactions::table.filter(diesel::dsl::sql::<sql_types::Bool>(&condition));
    Ok(known.select(Known::as_select()).load(conn)?)
}

/// The orders, among some, of which customers have transactions in months: customer, kind, date and order of each transaction.
pub fn orders_in(
    conn: &mut Conn,
    months: &BTreeSet<(Id, Month)>,
    orders: &BTreeSet<&str>,
) -> Result<Vec<(Id, String, Date, String)>> {
    if months.is_empty() {
        return Ok(Vec::new());
    }
    let periods: Vec<(Id, Period)> = months.iter().map(|(id, month)| (*id, month.period())).collect();
    let mut condition = in_periods(&periods);
    condition.push_str(" AND order_reference IN (");
    write_list(&mut condition, &orders.iter().collect::<Vec<_>>(), |sql, order| order.write(sql));
    condition.push(')');
    let rows: Vec<(Id, String, jiff_diesel::Date, String)> = transactions::table
        .filter(diesel::dsl::sql::<sql_types::Bool>(&condition))
        .select((
            transactions::customer_id,
            transactions::kind,
            transactions::occurred_on,
            transactions::order_reference,
        ))
        .load(conn)?;
    Ok(rows.into_iter().map(|(id, kind, on, order)| (id, kind, on.to_jiff(), order)).collect())
}

/// The transactions of customers in months, cancelled ones left out, by date.
pub fn of_months(conn: &mut Conn, months: &BTreeSet<(Id, Month)>) -> Result<Vec<Transaction>> {
    let periods: Vec<(Id, Period)> = months.iter().map(|(id, month)| (*id, month.period())).collect();
    of_periods(conn, &periods)
}

/// The transactions of customers in periods, cancelled ones left out, by date.
pub fn of_periods(conn: &mut Conn, periods: &[(Id, Period)]) -> Result<Vec<Transaction>> {
    if periods.is_empty() {
        return Ok(Vec::new());
    }
    let condition = in_periods(periods) + " ORDER BY shard, customer_id, occurred_on, id";
    load_where(conn, &condition)
}

/// The condition of transactions of customers in periods, cancelled ones left out.
fn in_periods(periods: &[(Id, Period)]) -> String {
    let mut condition = String::from("NOT cancelled AND (");
    for (index, (id, period)) in periods.iter().enumerate() {
        let _ = write!(condition, "{}(shard = {} AND customer_id = ", if index == 0 { "" } else { " OR " }, id.shard());
        Literal::write(id, &mut condition);
        let _ = write!(condition, " AND occurred_on BETWEEN '{}' AND '{}')", period.from, period.to);
    }
    condition.push(')');
    condition
}

/// A page of a customer's transactions, latest first, after the position of the last one seen.
pub fn page(conn: &mut Conn, customer_id: Id, after: Option<(Date, Id)>, limit: i64) -> Result<Vec<Transaction>> {
    let mut query = transactions::table
        .filter(transactions::shard.eq(customer_id.shard()).and(transactions::customer_id.eq(customer_id)))
        .order((transactions::occurred_on.desc(), transactions::id.desc()))
        .limit(limit)
        .select(TransactionRow::as_select())
        .into_boxed();
    if let Some((on, id)) = after {
        let earlier = transactions::occurred_on.lt(on.to_diesel());
        let same_day = transactions::occurred_on.eq(on.to_diesel()).and(transactions::id.lt(id));
        query = query.filter(earlier.or(same_day));
    }
    query.load(conn)?.into_iter().map(TransactionRow::read).collect()
}

fn load_where(conn: &mut Conn, condition: &str) -> Result<Vec<Transaction>> {
    transactions::table
        .filter(diesel::dsl::sql::<sql_types::Bool>(condition))
        .select(TransactionRow::as_select())
        .load(conn)?
        .into_iter()
        .map(TransactionRow::read)
        .collect()
}

/// Takes transactions out, so that they can be put in again where their date or customer now has them.
pub fn remove(conn: &mut Conn, gone: &[&Known]) -> Result<()> {
    if gone.is_empty() {
        return Ok(());
    }
    let mut sql = String::from("DELETE FROM transactions WHERE (shard, customer_id, occurred_on, id) IN (");
    write_list(&mut sql, gone, |sql, known| {
        write_tuple(sql, &[&known.customer_id.shard(), &known.customer_id, &known.occurred_on, &known.id]);
    });
    sql.push(')');
    diesel::sql_query(sql).execute(conn)?;
    Ok(())
}

/// Puts transactions in.
pub fn insert(conn: &mut Conn, transactions: &[Transaction]) -> Result<()> {
    let columns = [
        "shard",
        "customer_id",
        "occurred_on",
        "id",
        "source",
        "external_id",
        "kind",
        "order_reference",
        "occurred_at",
        "revision",
        "cancelled",
        "digest",
        "line_items",
        "created_at",
        "updated_at",
    ];
    let mut insert = Insert::into("transactions", &columns, "");
    for new in transactions {
        let lines = serde_json::to_string(&new.lines).map_err(|error| Error::corrupt("transaction", error))?;
        insert
            .value(new.customer_id.shard())
            .value(new.customer_id)
            .value(new.occurred_on)
            .value(new.id)
            .value(&new.source)
            .value(&new.external_id)
            .value(&new.kind)
            .value(&new.order)
            .value(new.occurred_at)
            .value(new.revision)
            .value(new.cancelled)
            .value(&new.digest)
            .value(lines)
            .value(new.created_at)
            .value(new.updated_at);
        insert.end_row();
    }
    insert.execute(conn)
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = products)]
struct ProductRow {
    code: String,
    name: String,
    category: String,
    unit: String,
    factor: Decimal,
}

impl From<ProductRow> for Product {
    fn from(row: ProductRow) -> Self {
        Self { code: row.code, name: row.name, category: row.category, unit: row.unit, factor: row.factor.normalize() }
    }
}

/// The products of these codes.
pub fn products_of(conn: &mut Conn, codes: &BTreeSet<&str>) -> Result<BTreeMap<String, Product>> {
    let rows: Vec<ProductRow> =
        products::table.filter(products::code.eq_any(codes)).select(ProductRow::as_select()).load(conn)?;
    Ok(rows.into_iter().map(|row| (row.code.clone(), row.into())).collect())
}

/// A page of products by code.
pub fn products_page(conn: &mut Conn, after: Option<&str>, limit: i64) -> Result<Vec<Product>> {
    let mut query = products::table.order(products::code).limit(limit).select(ProductRow::as_select()).into_boxed();
    if let Some(after) = after {
        query = query.filter(products::code.gt(after.to_owned()));
    }
    Ok(query.load(conn)?.into_iter().map(Product::from).collect())
}

/// The category of every product.
pub fn categories(conn: &mut Conn) -> Result<BTreeMap<String, String>> {
    let rows: Vec<(String, String)> = products::table.select((products::code, products::category)).load(conn)?;
    Ok(rows.into_iter().collect())
}

/// Writes products, whether or not they were known. A known one that changes its category changes metrics of everybody who
/// bought it: the catalogue's number rises, and whoever follows the basis sees it.
pub fn write_products(conn: &mut Conn, changed: &[Product]) -> Result<()> {
    let codes: BTreeSet<&str> = changed.iter().map(|product| product.code.as_str()).collect();
    let known = products_of(conn, &codes)?;
    let moved = |product: &Product| known.get(&product.code).is_some_and(|known| known.category != product.category);
    if changed.iter().any(moved) {
        diesel::update(deployment::table)
            .set(deployment::catalogue_seq.eq(deployment::catalogue_seq + 1))
            .execute(conn)?;
    }
    let columns = ["code", "name", "category", "unit", "factor", "updated_at"];
    let tail = " ON DUPLICATE KEY UPDATE name = VALUES(name), category = VALUES(category), unit = VALUES(unit), \
                factor = VALUES(factor), updated_at = VALUES(updated_at)";
    let mut insert = Insert::into("products", &columns, tail);
    for product in changed {
        insert
            .value(&product.code)
            .value(&product.name)
            .value(&product.category)
            .value(&product.unit)
            .value(product.factor)
            .value(Timestamp::now());
        insert.end_row();
    }
    insert.execute(conn)
}

fn write_list<T>(sql: &mut String, items: &[T], write: impl Fn(&mut String, &T)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            sql.push(',');
        }
        write(sql, item);
    }
}

fn write_tuple(sql: &mut String, values: &[&dyn Literal]) {
    sql.push('(');
    write_list(sql, values, |sql, value| value.write(sql));
    sql.push(')');
}
