//! The metrics of customers: their totals are gathered, the parts of months that a window cuts off are summed from lines, and
//! each metric is computed.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use jiff::civil::Date;

use super::computation::{Basis, Ledger, MetricValue};
use super::model::{Dated, Definitions, Month, Period, total};
use super::store::{self, TotalsKey, TotalsRead};
use crate::Id;
use crate::db::{Conn, Result, Subjects};

/// What metrics of many customers share.
pub struct Gathering<'a> {
    /// The pack's metrics.
    pub definitions: &'a Definitions,
    /// Category of each product.
    pub categories: &'a BTreeMap<String, String>,
    /// The date they are computed as of.
    pub as_of: Date,
    /// The last day with data.
    pub known_until: Date,
}

impl Gathering<'_> {
    /// The ledgers of customers of one shard, whose ids are given too; one without totals has none.
    pub fn ledgers(&self, conn: &mut Conn, of: Subjects<'_>, ids: &[Id]) -> Result<BTreeMap<Id, Ledger>> {
        let mut ledgers: BTreeMap<Id, Ledger> = BTreeMap::new();
        for (id, kind, observed) in store::observed(conn, of, &self.definitions.observed(self.as_of))? {
            ledgers.entry(id).or_default().observe(&kind, observed);
        }
        let Some(reach) = self.definitions.reach(self.as_of) else { return Ok(ledgers) };
        let read = TotalsRead {
            kinds: self.definitions.kinds_read(),
            measures: self.definitions.measures_read(),
            products: self.definitions.read_products(),
            reach,
        };
        for (key, totals) in store::totals(conn, of, &read)? {
            let TotalsKey { customer_id, kind, year } = key;
            let ledger = ledgers.entry(customer_id).or_default();
            let mut products = totals.products;
            for (number, month_totals) in totals.months {
                if let Ok(first) = Date::new(year, number, 1) {
                    let products = products.remove(&number).unwrap_or_default();
                    ledger.enter_month(&kind, Month::of(first), month_totals, products);
                }
            }
        }
        self.enter_parts(conn, ids, &mut ledgers)?;
        Ok(ledgers)
    }

    fn enter_parts(&self, conn: &mut Conn, ids: &[Id], ledgers: &mut BTreeMap<Id, Ledger>) -> Result<()> {
        let parts = self.definitions.parts(self.as_of, self.known_until);
        let periods: BTreeSet<Period> = parts.iter().map(|(_, period)| *period).collect();
        let wanted: Vec<(Id, Period)> =
            ids.iter().flat_map(|id| periods.iter().map(move |period| (*id, *period))).collect();
        let transactions = store::of_periods(conn, &wanted)?;
        let mut by_part: BTreeMap<(Id, &str, Period), Vec<Dated>> = BTreeMap::new();
        for one in &transactions {
            for (kind, period) in &parts {
                if *kind == one.kind && (period.from..=period.to).contains(&one.occurred_on) {
                    let dated = Dated { on: one.occurred_on, order: one.order.clone(), lines: one.lines.clone() };
                    by_part.entry((one.customer_id, kind, *period)).or_default().push(dated);
                }
            }
        }
        for ((id, kind, period), dated) in by_part {
            if let Some((totals, products)) = total(&dated) {
                ledgers.entry(id).or_default().enter_part(kind, period, totals, products);
            }
        }
        Ok(())
    }

    /// Every metric of one customer, with its key.
    pub fn values<'g>(
        &'g self,
        ledger: &'g Ledger,
        opened_on: Option<Date>,
    ) -> impl Iterator<Item = (&'g String, MetricValue)> {
        let basis = Basis { ledger, categories: self.categories, as_of: self.as_of, opened_on };
        let metrics = self.definitions.metrics.iter();
        metrics.map(move |(key, metric)| (key, self.definitions.evaluate(metric, basis, self.known_until)))
    }
}

/// Every metric of one customer, as of a date.
pub fn of_customer(
    conn: &mut Conn,
    definitions: &Definitions,
    id: Id,
    dates: (Date, Date),
    opened_on: Option<Date>,
) -> Result<IndexMap<String, MetricValue>> {
    let categories = if definitions.read_categories() { store::categories(conn)? } else { BTreeMap::new() };
    let (as_of, known_until) = dates;
    let gathering = Gathering { definitions, categories: &categories, as_of, known_until };
    let ledgers = gathering.ledgers(conn, Subjects::Listed(&[id]), &[id])?;
    let ledger = ledgers.get(&id).cloned().unwrap_or_default();
    Ok(gathering.values(&ledger, opened_on).map(|(key, value)| (key.clone(), value)).collect())
}
