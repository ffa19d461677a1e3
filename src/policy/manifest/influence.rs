//! `[influence.<key>]`: the fields and metrics that a customer can influence, with steps, bounds and costs.

use indexmap::IndexMap;
use rust_decimal::Decimal;
use toml::Spanned;

use super::super::document::{Item, Read, Table, entries, found};
use super::super::pack::Influence;
use super::Reader;
use crate::customers::model::{Field, FieldType, Fields};
use crate::transactions::model::Definitions;

impl<'t, 'a> Reader<'t, 'a> {
    pub(super) fn influence(
        &self,
        key: &str,
        mut table: Table<'t, 'a>,
        fields: &Fields,
        definitions: &Definitions,
    ) -> Option<Influence> {
        let field = fields.get(key);
        let metric = definitions.metrics.get(key).map(|metric| metric.value_type());
        let Some(value_type) = field.map(|field| field.field_type).or(metric) else {
            table.allow(&["step", "min", "max", "cost", "values"]);
            if !self.faulty.contains(key) {
                let known = fields.iter().map(|(key, _)| key).chain(definitions.metrics.keys().map(String::as_str));
                let hint = self.faults.did_you_mean(key, known);
                self.faults.at(table.span(), "unknown_field", format!("there is no field or metric '{key}'{hint}"));
            }
            return None;
        };
        let influence = match (value_type, field) {
            (FieldType::Integer | FieldType::Decimal, _) => self.steps(&mut table),
            (FieldType::Choice | FieldType::Boolean, Some(field)) => {
                table.required_item("values").map(|item| Influence::Values(self.costs(item, field)))
            }
            _ => {
                table.allow(&["step", "min", "max", "cost", "values"]);
                let message = "numbers, choices and truth values can be influenced; this is none";
                self.faults.at(table.span(), "wrong_type", message);
                None
            }
        };
        table.close();
        influence
    }

    fn steps(&self, table: &mut Table<'t, 'a>) -> Option<Influence> {
        let step = table.required::<Spanned<Decimal>>("step");
        if let Some(step) = step.as_ref().filter(|step| step.get_ref().is_zero()) {
            self.faults.at(&step.span(), "out_of_range", "a step of 0 leads nowhere");
        }
        let (min, max) = (table.optional("min"), table.optional::<Decimal>("max"));
        let cost = table.required::<Spanned<Decimal>>("cost");
        let bound = if step.as_ref().is_some_and(|step| step.get_ref().is_sign_negative()) { min } else { max };
        if step.is_some() && bound.is_none() {
            self.faults.at(
                table.span(),
                "missing",
                "steps need a bound: 'max' for those upwards, 'min' for those downwards",
            );
        }
        Some(Influence::Steps { step: step?.into_inner(), min, max, cost: self.cost(cost?) })
    }

    fn cost(&self, cost: Spanned<Decimal>) -> Decimal {
        if *cost.get_ref() <= Decimal::ZERO {
            self.faults.at(&cost.span(), "out_of_range", format!("a cost is above 0, not {}", cost.get_ref()));
        }
        cost.into_inner()
    }

    fn costs(&self, item: &Item<'a>, field: &Field) -> IndexMap<String, Decimal> {
        let Some(table) = item.get_ref().as_table() else {
            let message = format!("'values' is a table of costs by value, not {}", found(item.get_ref()));
            self.faults.at(&item.span(), "wrong_type", message);
            return IndexMap::new();
        };
        let mut costs = IndexMap::new();
        for (key, item) in entries(table) {
            if let Err((code, detail)) = field.parse(key.get_ref()) {
                self.faults.at(&key.span(), code, detail);
            }
            if let Some(cost) = Spanned::<Decimal>::read(item, self.faults) {
                costs.insert(key.get_ref().to_string(), self.cost(cost));
            }
        }
        costs
    }
}
