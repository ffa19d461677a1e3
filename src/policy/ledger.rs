//! The metrics of a customer whose transactions and observations are all at hand, as in cases and files, with no database.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;

use super::model::Subject;
use crate::transactions::computation::{Basis, Ledger};
use crate::transactions::model::{Dated, Definitions, Month, Observed, Period, total};

/// The transactions of one customer by kind, and what was observed of him.
#[derive(Clone, Debug, Default)]
pub struct Transactions {
    by_kind: BTreeMap<String, Vec<Dated>>,
    observed: Vec<(String, Observed)>,
}

impl Transactions {
    /// Adds one transaction of a kind.
    pub fn add(&mut self, kind: &str, transaction: Dated) {
        match self.by_kind.get_mut(kind) {
            Some(transactions) => transactions.push(transaction),
            None => drop(self.by_kind.insert(kind.to_owned(), vec![transaction])),
        }
    }

    /// Adds one observation of a kind.
    pub fn observe(&mut self, kind: &str, observed: Observed) {
        self.observed.push((kind.to_owned(), observed));
    }

    /// Computes every metric, as of a date, that the subject doesn't have yet. `categories` are those of products by code.
    pub fn compute(
        &self,
        definitions: &Definitions,
        categories: &BTreeMap<String, String>,
        as_of: Date,
        subject: &mut Subject,
    ) {
        let ledger = self.ledger(definitions, as_of);
        let opened_on = definitions.opened_on(&subject.values);
        let basis = Basis { ledger: &ledger, categories, as_of, opened_on };
        let windows = Arc::make_mut(&mut subject.windows);
        for (key, metric) in &definitions.metrics {
            // No part of a month may pass for the whole: there can be transactions after the as-of date.
            let computed = definitions.evaluate(metric, basis, Date::MAX);
            windows.insert(key.clone(), computed.window);
            if let Some(value) = computed.value {
                subject.values.entry(key.clone()).or_insert(value);
            }
        }
    }

    fn ledger(&self, definitions: &Definitions, as_of: Date) -> Ledger {
        let mut ledger = Ledger::default();
        for (kind, transactions) in &self.by_kind {
            let mut months: BTreeMap<Month, Vec<Dated>> = BTreeMap::new();
            for transaction in transactions {
                months.entry(Month::of(transaction.on)).or_default().push(transaction.clone());
            }
            for (month, transactions) in months {
                if let Some((totals, products)) = total(&transactions) {
                    ledger.enter_month(kind, month, totals, products);
                }
            }
        }
        for (kind, part) in definitions.parts(as_of, Date::MAX) {
            if let Some((totals, products)) = total(&self.within(&kind, part)) {
                ledger.enter_part(&kind, part, totals, products);
            }
        }
        let mut observed: Vec<&(String, Observed)> = self.observed.iter().collect();
        observed.sort_by_key(|(_, observed)| observed.on);
        for (kind, observed) in observed {
            ledger.observe(kind, *observed);
        }
        ledger
    }

    fn within(&self, kind: &str, part: Period) -> Vec<Dated> {
        let transactions = self.by_kind.get(kind).into_iter().flatten();
        transactions.filter(|transaction| (part.from..=part.to).contains(&transaction.on)).cloned().collect()
    }
}
