//! `[kinds.<key>]`, `[observations.<key>]`, `[metrics.<key>]` and `[cohorts.<id>]`: what figures are made of, and what they are compared with.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use toml::Spanned;
use toml::de::DeValue;

use super::super::document::{Item, Read, Table, check_doubled, check_key, entries, found, plain};
use super::super::pack::{CohortDeclaration, CutRule};
use super::Reader;
use crate::customers::model::{Field, FieldType, Fields};
use crate::faults::did_you_mean;
use crate::transactions::model::{Definitions, Kind, Metric, ObservationKind};

/// Columns of a transaction in files: no measure can have their names.
const RESERVED_MEASURES: [&str; 7] = ["customer", "kind", "on", "order", "product", "product_name", "product_category"];
/// Most cuts of a cohort.
const MAX_CUTS: usize = 100;

impl<'t, 'a> Reader<'t, 'a> {
    pub(super) fn kind(&mut self, _key: &str, mut table: Table<'t, 'a>) -> Option<Kind> {
        let measures = table.optional::<Vec<Spanned<String>>>("measures");
        for measure in measures.iter().flatten() {
            check_key(self.faults, measure.get_ref(), &measure.span());
            if RESERVED_MEASURES.contains(&measure.get_ref().as_str()) {
                let names = RESERVED_MEASURES.join(", ");
                self.faults.at(&measure.span(), "reserved", format!("no measure can be named {names}"));
            }
        }
        check_doubled(self.faults, measures.as_deref().unwrap_or_default());
        let products = table.optional("products").unwrap_or_default();
        let subtracts_from = table.optional("subtracts_from");
        table.close();
        Some(Kind { products, subtracts_from, measures: plain(measures) })
    }

    pub(super) fn observation(&mut self, _key: &str, mut table: Table<'t, 'a>) -> Option<ObservationKind> {
        let subject = table.optional("subject").unwrap_or_default();
        let value = table.optional("value").unwrap_or(true);
        let min = table.optional::<Spanned<Decimal>>("min");
        let max = table.optional::<Decimal>("max");
        let unit = table.optional("unit");
        let restricted = table.optional("restricted").unwrap_or_default();
        if let Some(min) = min.as_ref().filter(|min| max.is_some_and(|max| *min.get_ref() > max)) {
            self.faults.at(&min.span(), "out_of_range", "'min' is above 'max', so that no value fits");
        }
        if !value && (min.is_some() || max.is_some()) {
            self.faults.at(table.span(), "wrong_type", "bounds are those of a value, and there is none");
        }
        table.close();
        Some(ObservationKind { subject, value, min: min.map(Spanned::into_inner), max, unit, restricted })
    }

    pub(super) fn metric(&mut self, key: &str, mut table: Table<'t, 'a>) -> Option<Metric> {
        self.check_reserved(key, &table);
        let function = table.required("function");
        let kind = table.required("kind");
        let measure = table.optional("measure");
        let of = table.optional("of");
        let category = table.optional("category");
        let window = table.required("window");
        let half_life = table.optional("half_life");
        let unit = table.optional("unit");
        table.close();
        Some(Metric { half_life, function: function?, kind: kind?, measure, of, category, window: window?, unit })
    }

    pub(super) fn cohort(
        &mut self,
        mut table: Table<'t, 'a>,
        fields: &Fields,
        definitions: &Definitions,
    ) -> Option<CohortDeclaration> {
        let value = table.required::<Spanned<String>>("value");
        if let Some(value) = &value {
            self.check_cohort_value(value, fields, definitions);
        }
        let group = table.optional::<Vec<Spanned<String>>>("group");
        check_doubled(self.faults, group.as_deref().unwrap_or_default());
        group.iter().flatten().for_each(|key| self.makes_groups(key, fields));
        let minimum = table.optional("minimum").unwrap_or_default();
        let cuts = table.required_item("cuts").and_then(|item| self.cuts(item, table.key_span("cuts")));
        let population = table.item("population").map(|item| self.population(item, fields)).unwrap_or_default();
        table.close();
        Some(CohortDeclaration { value: value?.into_inner(), group: plain(group), minimum, cuts: cuts?, population })
    }

    /// Checks that a field's values make groups of customers.
    pub(super) fn makes_groups(&self, key: &Spanned<String>, fields: &Fields) {
        match fields.get(key.get_ref()) {
            Some(field) if matches!(field.field_type, FieldType::Choice | FieldType::Boolean) => {}
            Some(_) => {
                let message = format!("'{}' makes no groups: only choice and boolean fields do", key.get_ref());
                self.faults.at(&key.span(), "wrong_type", message);
            }
            None => self.unknown_field(key, fields),
        }
    }

    fn check_cohort_value(&self, value: &Spanned<String>, fields: &Fields, definitions: &Definitions) {
        let key = value.get_ref();
        let metric = definitions.metrics.get(key).map(Metric::value_type);
        match fields.get(key).map(|field| field.field_type).or(metric) {
            Some(FieldType::Integer | FieldType::Decimal) => {}
            Some(_) => self.faults.at(&value.span(), "wrong_type", format!("'{key}' is not a number")),
            None if self.faulty.contains(key) => {}
            None => {
                let metrics = definitions.metrics.keys().map(String::as_str);
                let hint = did_you_mean(key, fields.iter().map(|(key, _)| key).chain(metrics));
                self.faults.at(&value.span(), "unknown_field", format!("there is no field or metric '{key}'{hint}"));
            }
        }
    }

    pub(super) fn unknown_field(&self, key: &Spanned<String>, fields: &Fields) {
        if !self.faulty.contains(key.get_ref()) {
            let hint = did_you_mean(key.get_ref(), fields.iter().map(|(key, _)| key));
            self.faults.at(&key.span(), "unknown_field", format!("there is no field '{}'{hint}", key.get_ref()));
        }
    }

    fn cuts(&self, item: &'t Item<'a>, span: super::Span) -> Option<CutRule> {
        let mut table = Table::of(self.faults, item, span.clone(), "'cuts'")?;
        let quantiles = table.item("quantiles").map(|item| self.shares(item));
        let pareto = table.item("pareto").map(|item| self.shares(item));
        let ranks = table.optional::<Spanned<bool>>("ranks");
        table.close();
        match (quantiles, pareto, ranks) {
            (Some(shares), None, None) => shares.map(CutRule::Quantiles),
            (None, Some(shares), None) => shares.map(CutRule::Pareto),
            (None, None, Some(ranks)) => {
                if !ranks.get_ref() {
                    self.faults.at(&ranks.span(), "cuts", "'ranks' is true or left out");
                }
                Some(CutRule::Ranks(true))
            }
            _ => {
                let message = "'cuts' has one of quantiles = [\"0.5\"], pareto = [\"0.8\"] and ranks = true";
                self.faults.at(&span, "cuts", message);
                None
            }
        }
    }

    fn shares(&self, item: &Item<'a>) -> Option<Vec<Decimal>> {
        let shares = Vec::<Spanned<Decimal>>::read(item, self.faults)?;
        if shares.is_empty() || shares.len() > MAX_CUTS {
            self.faults.at(&item.span(), "cuts", format!("a cohort has 1 to {MAX_CUTS} cuts"));
        }
        let mut before = Decimal::ZERO;
        for share in &shares {
            if *share.get_ref() <= before || *share.get_ref() >= Decimal::ONE {
                let message = format!("the cuts are ascending shares between 0 and 1; {} is not", share.get_ref());
                self.faults.at(&share.span(), "cuts", message);
            }
            before = before.max(*share.get_ref());
        }
        Some(plain(Some(shares)))
    }

    fn population(&self, item: &Item<'a>, fields: &Fields) -> BTreeMap<String, Vec<String>> {
        let Some(table) = item.get_ref().as_table() else {
            let message = format!("'population' is a table of lists by field, not {}", found(item.get_ref()));
            self.faults.at(&item.span(), "wrong_type", message);
            return BTreeMap::new();
        };
        let mut population = BTreeMap::new();
        for (key, values) in entries(table) {
            let key = Spanned::new(key.span(), key.get_ref().to_string());
            let Some(field) = fields.get(key.get_ref()) else {
                self.unknown_field(&key, fields);
                continue;
            };
            if let Some(values) = self.population_values(values, field) {
                population.insert(key.into_inner(), values);
            }
        }
        population
    }

    fn population_values(&self, item: &Item<'a>, field: &Field) -> Option<Vec<String>> {
        if !matches!(field.field_type, FieldType::Choice | FieldType::Choices | FieldType::Boolean | FieldType::Text) {
            let message = "a population is chosen by fields of type choice, choices, boolean or text";
            self.faults.at(&item.span(), "wrong_type", message);
            return None;
        }
        let Some(items) = item.get_ref().as_array().filter(|items| !items.is_empty()) else {
            self.faults.at(&item.span(), "wrong_type", "the values are a list in [ ], with at least one");
            return None;
        };
        let mut values = Vec::new();
        for item in items.iter() {
            let text = match item.get_ref() {
                DeValue::Boolean(yes) => yes.to_string(),
                _ => String::read(item, self.faults)?,
            };
            if let Err((code, detail)) = field.parse(&text) {
                self.faults.at(&item.span(), code, detail);
            }
            values.push(text);
        }
        Some(values)
    }
}
