//! Totals in the database: read as far as metrics need them, and written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use diesel::prelude::*;
use diesel::sql_types;
use jiff::civil::Date;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{write_list, write_tuple};
use crate::Id;
use crate::db::bulk::Insert;
use crate::db::schema::totals;
use crate::db::{Conn, Error, Result, Subjects};
use crate::entries::{self, Entries};
use crate::transactions::model::{MeasureTotals, MonthTotals, Period, ProductTotals, ProductsRead};

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

/// What metrics read of totals.
#[derive(Clone, Debug)]
pub struct TotalsRead<'a> {
    /// Kinds of transactions.
    pub kinds: BTreeSet<&'a str>,
    /// Measures.
    pub measures: BTreeSet<&'a str>,
    /// What of those by product.
    pub products: ProductsRead,
    /// Months that have a day in it.
    pub reach: Period,
}

/// The totals of customers, as far as metrics read them.
pub fn totals(conn: &mut Conn, of: Subjects<'_>, read: &TotalsRead<'_>) -> Result<Vec<(TotalsKey, YearTotals)>> {
    let Some(listed) = of.condition("customer_id") else { return Ok(Vec::new()) };
    let TotalsRead { kinds, measures, products, reach } = read;
    let is_read = totals::year.between(reach.from.year(), reach.to.year()).and(totals::kind.eq_any(kinds));
    let of_years = totals::table.filter(is_read).into_boxed();
    let of_customers = match of.only() {
        Some(id) => of_years.filter(totals::shard.eq(id.shard()).and(totals::customer_id.eq(id))),
        None => of_years.filter(listed),
    };
    let rows: Vec<TotalsRow> = if *products == ProductsRead::Nothing {
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
    let is_read = |measure: &str| measures.contains(measure);
    rows.into_iter().map(|row| read_totals(row, *products, is_reached, is_read)).collect()
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
    rows.into_iter().map(|row| read_totals(row, ProductsRead::Sums, |_, _| true, |_| true)).collect()
}

type TotalsRow = (Id, String, i16, String, Option<String>);

/// One row, of which the wanted months of its year are read, and of these the wanted measures.
fn read_totals(
    row: TotalsRow,
    read: ProductsRead,
    wanted: impl Fn(i16, &i8) -> bool,
    measures: impl Fn(&str) -> bool,
) -> Result<(TotalsKey, YearTotals)> {
    let (customer_id, kind, year, months, products) = row;
    let corrupt = |error| Error::corrupt("totals", error);
    let wanted = |month: &i8| wanted(year, month);
    let of_month = |month: &i8| wanted(month).then_some(MonthSeed(&measures));
    let months = entries::read(&months, Entries::new(of_month)).map_err(corrupt)?.into_iter().collect();
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

/// Reads the totals of a month with the measures of which this says that they are wanted.
struct MonthSeed<'a, W>(&'a W);

impl<'de, W: Fn(&str) -> bool> DeserializeSeed<'de> for MonthSeed<'_, W> {
    type Value = MonthTotals;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<MonthTotals, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, W: Fn(&str) -> bool> Visitor<'de> for MonthSeed<'_, W> {
    type Value = MonthTotals;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the totals of a month")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<MonthTotals, A::Error> {
        let (mut orders, mut lines, mut last_on, mut measures) = (None, None, None, None);
        while let Some(key) = map.next_key::<&str>()? {
            match key {
                "orders" => orders = Some(map.next_value()?),
                "lines" => lines = Some(map.next_value()?),
                "last_on" => last_on = Some(map.next_value()?),
                "measures" => {
                    let of_measure = |measure: &&str| (self.0)(measure).then_some(PhantomData::<MeasureTotals>);
                    let read = map.next_value_seed(Entries::new(of_measure))?;
                    measures = Some(read.into_iter().map(|(measure, totals)| (measure.to_owned(), totals)).collect());
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(MonthTotals {
            orders: orders.ok_or_else(|| de::Error::missing_field("orders"))?,
            lines: lines.ok_or_else(|| de::Error::missing_field("lines"))?,
            last_on: last_on.ok_or_else(|| de::Error::missing_field("last_on"))?,
            measures: measures.ok_or_else(|| de::Error::missing_field("measures"))?,
        })
    }
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
