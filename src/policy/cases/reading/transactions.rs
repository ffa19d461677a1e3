//! The transactions and observations of a case, and the metrics they make.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use toml::Spanned;

use super::super::super::document::{Item, Read, Table};
use super::super::super::ledger::Transactions;
use super::Reader;
use crate::transactions::model::{Dated, Kind, Line, Observed, not_negative};

/// The transactions of a case, and the categories of their products.
#[derive(Default)]
pub(super) struct Given {
    pub(super) transactions: Transactions,
    pub(super) categories: BTreeMap<String, String>,
}

impl<'t, 'a> Reader<'t, 'a> {
    pub(super) fn transactions(&self, item: &'t Item<'a>) -> Option<Given> {
        let Some(items) = item.get_ref().as_array() else {
            self.faults.at(&item.span(), "wrong_type", "'transactions' is a list in [ ]");
            return None;
        };
        let mut given = Given::default();
        for (number, item) in items.iter().enumerate() {
            if let Some(table) = Table::of(self.faults, item, item.span(), "a transaction") {
                self.transaction(table, number, &mut given);
            }
        }
        Some(given)
    }

    /// What was observed: `observations = [{ kind = "praise", on = 2018-01-05, value = "3" }]`.
    pub(super) fn observations(&self, item: &'t Item<'a>, given: &mut Given) {
        let Some(items) = item.get_ref().as_array() else {
            self.faults.at(&item.span(), "wrong_type", "'observations' is a list in [ ]");
            return;
        };
        for item in items.iter() {
            let table = Table::of(self.faults, item, item.span(), "an observation");
            if let Some((kind, observed)) = table.and_then(|table| self.observation(table)) {
                given.transactions.observe(&kind, observed);
            }
        }
    }

    fn observation(&self, mut table: Table<'t, 'a>) -> Option<(String, Observed)> {
        let kind = table.required::<Spanned<String>>("kind");
        let on = table.required::<Date>("on");
        let value = table.optional::<Decimal>("value");
        let span = table.span().clone();
        table.close();
        let kind = kind?;
        let kinds = &self.loaded.pack.definitions.observations;
        let known = kinds.iter().filter(|(_, known)| known.subject == self.declaration.subject);
        let Some((_, declared)) = known.clone().find(|(key, _)| *key == kind.get_ref()) else {
            let hint = self.faults.did_you_mean(kind.get_ref(), known.map(|(key, _)| key.as_str()));
            let message = format!("there is no kind of observations '{}' here{hint}", kind.get_ref());
            self.faults.at(&kind.span(), "unknown_kind", message);
            return None;
        };
        let value = declared.check(value).map_err(|(code, detail)| self.faults.at(&span, code, detail)).ok()?;
        Some((kind.into_inner(), Observed { on: on?, value }))
    }

    fn transaction(&self, mut table: Table<'t, 'a>, number: usize, given: &mut Given) -> Option<()> {
        let kind = table.required::<Spanned<String>>("kind");
        let on = table.required::<Date>("on");
        // Without a name each is an order of its own.
        let order = table.optional("order").unwrap_or_else(|| format!("#{number}"));
        let product = table.optional::<String>("product");
        let category = table.optional::<String>("product_category");
        let measures = table.required_item("measures");
        let span = table.span().clone();
        table.close();
        let kind = kind?;
        let definitions = &self.loaded.pack.definitions;
        let Some(Kind { products, .. }) = definitions.kinds.get(kind.get_ref()) else {
            let hint = self.faults.did_you_mean(kind.get_ref(), definitions.kinds.keys().map(String::as_str));
            self.faults.at(&kind.span(), "unknown_kind", format!("there is no kind '{}'{hint}", kind.get_ref()));
            return None;
        };
        if *products != product.is_some() {
            let rule = if *products { "names a product" } else { "names no product" };
            self.faults.at(&span, "product", format!("a transaction of the kind '{}' {rule}", kind.get_ref()));
        }
        let measures = self.each(measures, "measures", |key, item| self.measure(&kind, key, item));
        if let (Some(product), Some(category)) = (&product, category) {
            given.categories.insert(product.clone(), category);
        }
        let line = Line { product, factor: None, measures };
        let dated = Dated { on: on?, order, lines: vec![line] };
        given.transactions.add(kind.get_ref(), dated);
        Some(())
    }

    fn measure(&self, kind: &Spanned<String>, key: &Spanned<String>, item: &Item<'a>) -> Option<Decimal> {
        let measures = self.loaded.pack.definitions.measures(kind.get_ref());
        if !measures.contains(key.get_ref()) {
            let hint = self.faults.did_you_mean(key.get_ref(), measures.iter().map(String::as_str));
            let message = format!("the kind '{}' has no measure '{}'{hint}", kind.get_ref(), key.get_ref());
            self.faults.at(&key.span(), "unknown_measure", message);
            return None;
        }
        let value = Decimal::read(item, self.faults)?;
        not_negative(key.get_ref(), value).map_err(|(code, detail)| self.faults.at(&item.span(), code, detail)).ok()
    }
}
