//! Totals in the database: read as far as metrics need them, and written.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use diesel::prelude::*;
use diesel::sql_types;
use jiff::civil::Date;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::{write_list, write_tuple};
use crate::Id;
use crate::db::bulk::Insert;
use crate::db::schema::totals;
use crate::db::{Conn, Error, Result, Subjects};
use crate::entries::{self, Entries};
use crate::transactions::model::{MonthTotals, Period, ProductTotals, ProductsRead};

/// The months of one customer, kind and year, by number from 1 to 12.
pub type Months = BTreeMap<i8, MonthTotals>;
/// The products of the months of one customer, kind and year.
pub type MonthProducts = BTreeMap<i8, ProductTotals>;

/// The totals of one customer, kind and year: one row, so that a run reads few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct YearTotals {
    /// Totals by month.
    pub months: Months,
    /// Sums by product and month; empty when they weren't asked for.
    pub products: MonthProducts,
}

/// What totals are kept by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TotalsKey {
    /// The customer.
    pub customer_id: Id,
    /// The kind of transactions.
    pub kind: String,
    /// The calendar year.
    pub year: i16,
}

/// The totals of customers, as far as metrics read them: of some kinds and of months in which the reach has a day, with what is read of
/// those by product.
pub fn totals(
    conn: &mut Conn,
    of: Subjects<'_>,
    (kinds, reach): (&BTreeSet<&str>, Period),
    read: ProductsRead,
) -> Result<Vec<(TotalsKey, YearTotals)>> {
    let Some(listed) = of.condition("customer_id") else { return Ok(Vec::new()) };
    let is_read = totals::year.between(reach.from.year(), reach.to.year()).and(totals::kind.eq_any(kinds));
    let of_years = totals::table.filter(is_read).into_boxed();
    let of_customers = match of.only() {
        Some(id) => of_years.filter(totals::shard.eq(id.shard()).and(totals::customer_id.eq(id))),
        None => of_years.filter(listed),
    };
    let rows: Vec<TotalsRow> = if read == ProductsRead::Nothing {
        let absent = None::<String>.into_sql::<sql_types::Nullable<sql_types::Text>>();
        of_customers.select((totals::customer_id, totals::kind, totals::year, totals::months, absent)).load(conn)?
    } else {
        of_customers
            .select((totals::customer_id, totals::kind, totals::year, totals::months, totals::products.nullable()))
            .load(conn)?
    };
    let is_reached = |year, month: &i8| {
        Date::new(year, *month, 1).is_ok_and(|first| first <= reach.to && first.last_of_month() >= reach.from)
    };
    rows.into_iter().map(|row| read_totals(row, read, is_reached)).collect()
}

/// The totals of these customers, kinds and years, with those by product.
pub fn totals_at(conn: &mut Conn, keys: &BTreeSet<TotalsKey>) -> Result<BTreeMap<TotalsKey, YearTotals>> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut condition = String::from("(shard, customer_id, kind, year) IN (");
    write_list(&mut condition, &keys.iter().collect::<Vec<_>>(), |sql, key| {
        write_tuple(sql, &[&key.customer_id.shard(), &key.customer_id, &key.kind, &key.year]);
    });
    condition.push(')');
    let rows: Vec<TotalsRow> = totals::table
        .filter(diesel::dsl::sql::<sql_types::Bool>(&condition))
        .select((totals::customer_id, totals::kind, totals::year, totals::months, totals::products.nullable()))
        .load(conn)?;
    rows.into_iter().map(|row| read_totals(row, ProductsRead::Sums, |_, _| true)).collect()
}

type TotalsRow = (Id, String, i16, String, Option<String>);

/// One row, of which the wanted months of its year are read.
fn read_totals(
    row: TotalsRow,
    read: ProductsRead,
    wanted: impl Fn(i16, &i8) -> bool,
) -> Result<(TotalsKey, YearTotals)> {
    let (customer_id, kind, year, months, products) = row;
    let corrupt = |error| Error::corrupt("totals", error);
    let wanted = |month: &i8| wanted(year, month);
    let months = read_months(&months, wanted).map_err(corrupt)?;
    let products = products.map(|products| read_products(&products, read, wanted)).transpose().map_err(corrupt)?;
    Ok((TotalsKey { customer_id, kind, year }, YearTotals { months, products: products.unwrap_or_default() }))
}

fn read_products(text: &str, read: ProductsRead, wanted: impl Fn(&i8) -> bool) -> serde_json::Result<MonthProducts> {
    if read == ProductsRead::Sums {
        return read_months(text, wanted);
    }
    // Most of the text is sums, and skipping them is much faster than reading them.
    let codes: BTreeMap<i8, BTreeMap<String, IgnoredAny>> = read_months(text, wanted)?;
    let bare = |(code, _): (String, IgnoredAny)| (code, BTreeMap::new());
    Ok(codes.into_iter().map(|(month, codes)| (month, codes.into_iter().map(bare).collect())).collect())
}

fn read_months<T: DeserializeOwned>(text: &str, wanted: impl Fn(&i8) -> bool) -> serde_json::Result<BTreeMap<i8, T>> {
    let of_month = |month: &i8| wanted(month).then_some(PhantomData::<T>);
    Ok(entries::read(text, Entries::new(of_month))?.into_iter().collect())
}

/// Writes totals, whether or not there were some.
pub fn write_totals(conn: &mut Conn, rows: &BTreeMap<TotalsKey, YearTotals>) -> Result<()> {
    let columns = ["shard", "customer_id", "kind", "year", "months", "products"];
    let tail = " ON DUPLICATE KEY UPDATE months = VALUES(months), products = VALUES(products)";
    let mut insert = Insert::into("totals", &columns, tail);
    for (key, totals) in rows {
        let corrupt = |error| Error::corrupt("totals", error);
        insert
            .value(key.customer_id.shard())
            .value(key.customer_id)
            .value(&key.kind)
            .value(key.year)
            .value(serde_json::to_string(&totals.months).map_err(corrupt)?)
            .value(serde_json::to_string(&totals.products).map_err(corrupt)?);
        insert.end_row();
    }
    insert.execute(conn)
}
