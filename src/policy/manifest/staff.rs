//! `[staff]`: which policy evaluates service staff, and what is distributed among them.

use indexmap::IndexMap;
use rust_decimal::Decimal;
use toml::Spanned;

use super::super::document::Table;
use super::super::pack::{PolicyDeclaration, Staffing};
use super::Reader;
use crate::customers::model::{FieldType, Fields};
use crate::transactions::model::Definitions;

impl<'t, 'a> Reader<'t, 'a> {
    pub(super) fn staff(
        &self,
        mut table: Table<'t, 'a>,
        (fields, definitions): (&Fields, &Definitions),
        policies: &IndexMap<String, PolicyDeclaration>,
    ) -> Option<Staffing> {
        let policy = table.required::<Spanned<String>>("policy");
        let by = table.required::<Spanned<String>>("by");
        let collected = table.required::<Spanned<String>>("collected");
        let share = self.share(&mut table, "share");
        table.close();
        policy.iter().for_each(|policy| self.known_policy(policy, policies));
        if let Some(by) = &by {
            match fields.get(by.get_ref()) {
                None => self.unknown_field(by, fields),
                Some(field) if field.field_type == FieldType::Choice && field.filterable => {}
                Some(_) => {
                    let message = format!("'{}' names no areas: it is no filterable choice", by.get_ref());
                    self.faults.at(&by.span(), "wrong_type", message);
                }
            }
        }
        if let Some(collected) = &collected {
            let name = collected.get_ref();
            match definitions.metrics.get(name) {
                Some(metric) if metric.value_type() == FieldType::Decimal => {}
                Some(_) => self.faults.at(&collected.span(), "wrong_type", format!("'{name}' is no number")),
                None if self.faulty.contains(name) => {}
                None => {
                    let hint = self.faults.did_you_mean(name, definitions.metrics.keys().map(String::as_str));
                    let message = format!("there is no metric of customers '{name}'{hint}");
                    self.faults.at(&collected.span(), "unknown_field", message);
                }
            }
        }
        Some(Staffing {
            policy: policy?.into_inner(),
            by: by?.into_inner(),
            collected: collected?.into_inner(),
            share: share.unwrap_or(Decimal::ZERO),
        })
    }
}
