//! Lines of transactions, and their totals by month and by product. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::model::QUANTITY;
use crate::customers::texts::{MAX_SCALE, MAX_WHOLE_DIGITS};

/// One line of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Product code, for kinds with products.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// What one unit of the product is in the pack's unit, when the line was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<Decimal>,
    /// Value of each measure, as sent.
    pub measures: BTreeMap<String, Decimal>,
}

/// What totals need to know of one transaction.
#[derive(Clone, Debug)]
pub struct Dated {
    /// Business date, in the pack's zone.
    pub on: Date,
    /// The order it belongs to: transactions of one order count as one.
    pub order: String,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// Sum, count, minimum and maximum of one measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasureTotals {
    /// Sum over the lines.
    pub sum: Decimal,
    /// Lines that state the measure.
    pub count: u32,
    /// Smallest value on a line.
    pub min: Decimal,
    /// Largest value on a line.
    pub max: Decimal,
}

/// Totals of one customer, kind and month (or part of one).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MonthTotals {
    /// Different orders.
    pub orders: u32,
    /// Lines.
    pub lines: u32,
    /// Date of the last transaction.
    pub last_on: Date,
    /// Totals by measure.
    pub measures: BTreeMap<String, MeasureTotals>,
}

/// Sums by measure of one product within a month.
pub type ProductTotals = BTreeMap<String, BTreeMap<String, Decimal>>;

/// The totals of the transactions of one customer, kind and month: nothing when there are none.
pub fn total(transactions: &[Dated]) -> Option<(MonthTotals, ProductTotals)> {
    total_of(transactions.iter().map(|one| (one.on, one.order.as_str(), one.lines.as_slice())))
}

/// The totals of transactions, each with its date, order and lines: nothing when there are none.
pub fn total_of<'a>(
    transactions: impl Iterator<Item = (Date, &'a str, &'a [Line])> + Clone,
) -> Option<(MonthTotals, ProductTotals)> {
    let last_on = transactions.clone().map(|(on, ..)| on).max()?;
    let orders: BTreeSet<&str> = transactions.clone().map(|(_, order, _)| order).collect();
    let mut products = ProductTotals::new();
    let mut measures: BTreeMap<String, MeasureTotals> = BTreeMap::new();
    let mut lines = 0;
    for line in transactions.flat_map(|(.., lines)| lines) {
        lines += 1;
        for (measure, sent) in &line.measures {
            let value = line.in_pack_unit(measure, *sent);
            let one = MeasureTotals { sum: value, count: 1, min: value, max: value };
            measures.entry(measure.clone()).and_modify(|totals| totals.add(one)).or_insert(one);
            if let Some(product) = &line.product {
                *products.entry(product.clone()).or_default().entry(measure.clone()).or_default() += value;
            }
        }
    }
    let orders = u32::try_from(orders.len()).unwrap_or(u32::MAX);
    Some((MonthTotals { orders, lines, last_on, measures }, products))
}

/// Adds the sums of further transactions, by product.
pub fn add_products(products: &mut ProductTotals, more: ProductTotals) {
    for (product, sums) in more {
        let known = products.entry(product).or_default();
        for (measure, sum) in sums {
            *known.entry(measure).or_default() += sum;
        }
    }
}

/// A measure's value, if it is 0 or more; else a stable code and what would be right.
pub fn not_negative(measure: &str, value: Decimal) -> Result<Decimal, (&'static str, String)> {
    if value >= Decimal::ZERO {
        return Ok(value);
    }
    let what = if measure == QUANTITY { "quantity" } else { "value" };
    let detail = format!("{value} is negative; a {what} is 0 or more, and returns are a kind of their own");
    Err(("out_of_range", detail))
}

/// A quantity times a product's factor, rounded half up to [`MAX_SCALE`] places; nothing when it has more digits before the point
/// than a measure may have.
pub fn in_unit(quantity: Decimal, factor: Decimal) -> Option<Decimal> {
    let product = quantity.checked_mul(factor)?;
    let rounded = product.round_dp_with_strategy(MAX_SCALE, RoundingStrategy::MidpointAwayFromZero).normalize();
    (rounded.trunc().to_string().len() <= MAX_WHOLE_DIGITS).then_some(rounded)
}

impl Line {
    /// A measure's value as totals take it: the quantity times the product's factor, others as sent.
    pub fn in_pack_unit(&self, measure: &str, sent: Decimal) -> Decimal {
        match self.factor {
            Some(factor) if measure == QUANTITY => in_unit(sent, factor).unwrap_or_default(),
            _ => sent,
        }
    }
}

impl MeasureTotals {
    fn add(&mut self, more: Self) {
        self.sum += more.sum;
        self.count += more.count;
        self.min = self.min.min(more.min);
        self.max = self.max.max(more.max);
    }
}

impl MonthTotals {
    /// Adds the totals of further transactions, of whose orders so many are counted already.
    pub fn add(&mut self, more: Self, counted: u32) {
        self.orders += more.orders.saturating_sub(counted);
        self.lines += more.lines;
        self.last_on = self.last_on.max(more.last_on);
        for (measure, totals) in more.measures {
            self.measures.entry(measure).and_modify(|known| known.add(totals)).or_insert(totals);
        }
    }
}
