//! Keeping the totals of customers' months: what is new is added to them; a month from which something was taken out is computed anew
//! from its lines.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::model::{Line, Month, add_products, total_of};
use super::store::{self, Known, TotalsKey, Transaction, YearTotals};
use crate::Id;
use crate::db::{Conn, Result};

/// Customer, kind and month of a transaction.
type Place<'a> = (Id, &'a str, Month);

/// Brings totals up to date. What is gone has left the database, what is new isn't in it yet, and the customers are locked.
pub fn keep(conn: &mut Conn, gone: &[&Known], new: &[Transaction]) -> Result<()> {
    let anew: BTreeSet<Place<'_>> =
        gone.iter().map(|one| (one.customer_id, one.kind.as_str(), Month::of(one.occurred_on))).collect();
    let mut places: BTreeMap<Place<'_>, Vec<&Transaction>> = anew.iter().map(|place| (*place, Vec::new())).collect();
    for one in new.iter().filter(|one| !one.cancelled) {
        places.entry(place(one)).or_default().push(one);
    }
    let left = store::of_months(conn, &anew.iter().map(|(id, _, month)| (*id, *month)).collect())?;
    for one in &left {
        if anew.contains(&place(one)) {
            places.entry(place(one)).or_default().push(one);
        }
    }
    let mut rows = store::totals_at(conn, &places.keys().map(key).collect())?;
    let is_known = |place: &Place<'_>| {
        !anew.contains(place) && rows.get(&key(place)).is_some_and(|row| row.months.contains_key(&place.2.parts().1))
    };
    let known: BTreeSet<Place<'_>> = places.keys().copied().filter(is_known).collect();
    let mut counted = counted_orders(conn, &known, &places)?;
    for (place, transactions) in &places {
        let row = rows.entry(key(place)).or_default();
        if known.contains(place) {
            add(row, place.2, transactions, counted.remove(place).unwrap_or_default());
        } else {
            set(row, place.2, transactions);
        }
    }
    store::write_totals(conn, &rows)
}

fn place(one: &Transaction) -> Place<'_> {
    (one.customer_id, one.kind.as_str(), Month::of(one.occurred_on))
}

fn key((customer_id, kind, month): &Place<'_>) -> TotalsKey {
    TotalsKey { customer_id: *customer_id, kind: (*kind).to_owned(), year: month.parts().0 }
}

/// How many of the orders of new transactions are counted already, in the months that have totals.
fn counted_orders<'a>(
    conn: &mut Conn,
    known: &BTreeSet<Place<'a>>,
    places: &BTreeMap<Place<'a>, Vec<&Transaction>>,
) -> Result<BTreeMap<Place<'a>, u32>> {
    let months = known.iter().map(|(id, _, month)| (*id, *month)).collect();
    let new = known.iter().filter_map(|place| places.get(place)).flatten();
    let found = store::orders_in(conn, &months, &new.map(|one| one.order.as_str()).collect())?;
    let found: BTreeSet<(Id, &str, Month, &str)> =
        found.iter().map(|(id, kind, on, order)| (*id, kind.as_str(), Month::of(*on), order.as_str())).collect();
    let mut counted = BTreeMap::new();
    for place in known {
        let (id, kind, month) = *place;
        let orders: BTreeSet<&str> = places.get(place).into_iter().flatten().map(|one| one.order.as_str()).collect();
        let again = orders.into_iter().filter(|order| found.contains(&(id, kind, month, *order))).count();
        counted.insert(*place, u32::try_from(again).unwrap_or(u32::MAX));
    }
    Ok(counted)
}

fn add(row: &mut YearTotals, month: Month, new: &[&Transaction], counted: u32) {
    let (_, number) = month.parts();
    let Some((totals, products)) = total_of(new.iter().map(dated)) else { return };
    if let Some(known) = row.months.get_mut(&number) {
        known.add(totals, counted);
    }
    add_products(row.products.entry(number).or_default(), products);
}

fn set(row: &mut YearTotals, month: Month, all: &[&Transaction]) {
    let (_, number) = month.parts();
    match total_of(all.iter().map(dated)) {
        Some((totals, products)) => {
            row.months.insert(number, totals);
            row.products.insert(number, products);
        }
        None => {
            row.months.remove(&number);
            row.products.remove(&number);
        }
    }
}

fn dated<'a>(one: &&'a Transaction) -> (Date, &'a str, &'a [Line]) {
    (one.occurred_on, &one.order, &one.lines)
}
