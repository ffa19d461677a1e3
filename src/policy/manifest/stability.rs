//! `[policies.<id>.stability]`: what keeps a policy's outcomes from one closing to the next.

use indexmap::IndexMap;
use toml::Spanned;
use toml::de::DeTable;

use super::super::document::{Item, Table, found};
use super::super::pack::{Cadence, PolicyDeclaration};
use super::super::stability::{CoolDown, Newcomer, Stability};
use super::{Reader, locate};
use crate::customers::model::{FieldType, Fields};
use crate::transactions::model::Definitions;

/// Most months that anything may last.
const MAX_MONTHS: u16 = 600;

impl<'t, 'a> Reader<'t, 'a> {
    /// Reads it; what concerns fields and other parts of the policy is checked by [`Self::check_stability`].
    pub(super) fn stability(&self, mut table: Table<'t, 'a>, outcomes: &[String]) -> Stability {
        let months = |table: &mut Table<'t, 'a>, key: &'static str| {
            let months = table.optional::<Spanned<u16>>(key)?;
            if !(1..=MAX_MONTHS).contains(months.get_ref()) {
                let message = format!("'{key}' is from 1 to {MAX_MONTHS}, not {}", months.get_ref());
                self.faults.at(&months.span(), "out_of_range", message);
            }
            Some(months.into_inner())
        };
        let left_out = table.optional::<Vec<Spanned<u8>>>("months_left_out").unwrap_or_default();
        for month in left_out.iter().filter(|month| !(1..=12).contains(month.get_ref())) {
            self.faults.at(&month.span(), "out_of_range", format!("a month is from 1 to 12, not {}", month.get_ref()));
        }
        let at_once = table.optional::<Vec<Spanned<String>>>("at_once").unwrap_or_default();
        at_once.iter().for_each(|outcome| self.known_outcome(outcome, outcomes));
        let stability = Stability {
            dead_band: self.share(&mut table, "dead_band"),
            minimum_stay: months(&mut table, "minimum_stay"),
            steps_up: months(&mut table, "steps_up"),
            steps_down: months(&mut table, "steps_down"),
            cool_downs: table.item("cool_down").map(|item| self.cool_downs(item)).unwrap_or_default(),
            newcomer: table.table("newcomer", "'newcomer'").and_then(|mut newcomer| {
                let outcome = newcomer.required::<Spanned<String>>("outcome");
                let lasts = months(&mut newcomer, "months");
                if lasts.is_none() && !newcomer.has("months") {
                    self.faults.at(newcomer.span(), "missing", "'newcomer' needs 'months'");
                }
                newcomer.close();
                let outcome = outcome?;
                self.known_outcome(&outcome, outcomes);
                Some(Newcomer { outcome: outcome.into_inner(), months: lasts? })
            }),
            months_left_out: left_out.into_iter().map(Spanned::into_inner).collect(),
            at_once: at_once.into_iter().map(Spanned::into_inner).collect(),
        };
        table.close();
        stability
    }

    pub(super) fn known_outcome(&self, outcome: &Spanned<String>, outcomes: &[String]) {
        if !outcomes.contains(outcome.get_ref()) {
            let hint = self.faults.did_you_mean(outcome.get_ref(), outcomes.iter().map(String::as_str));
            let message = format!("the policy has no outcome '{}'{hint}", outcome.get_ref());
            self.faults.at(&outcome.span(), "unknown_outcome", message);
        }
    }

    fn cool_downs(&self, item: &'t Item<'a>) -> Vec<CoolDown> {
        let Some(items) = item.get_ref().as_array() else {
            let message = format!(
                "'cool_down' is a list such as [{{ after = \"last_theft\", months = 24 }}], not {}",
                found(item.get_ref())
            );
            self.faults.at(&item.span(), "wrong_type", message);
            return Vec::new();
        };
        let cool_down = |item: &'t Item<'a>| {
            let mut table = Table::of(self.faults, item, item.span(), "the cool-down")?;
            let (after, months) = (table.required::<String>("after"), table.required::<u16>("months"));
            table.close();
            Some(CoolDown { after: after?, months: months?.min(MAX_MONTHS) })
        };
        items.iter().filter_map(cool_down).collect()
    }

    /// Checks what stability needs of the rest of the pack.
    pub(super) fn check_stability(
        &self,
        policies: &IndexMap<String, PolicyDeclaration>,
        (fields, definitions): (&Fields, &Definitions),
        root: &'t DeTable<'a>,
    ) {
        for (id, policy) in policies {
            let Some(stability) = &policy.stability else { continue };
            let at = locate(root, &format!("/policies/{id}/stability"));
            if policy.cadence == Cadence::Continuous {
                let message = "stability compares with the last closing, and a continuous policy has none: give it another cadence";
                self.faults.at(&at, "stability", message);
            }
            if !policy.entitlements.is_empty() {
                let message = "a policy with stability entitles to nothing, since its script doesn't know what will stand; \
                               a policy that reads its outcome does";
                self.faults.at(&at, "stability", message);
            }
            if stability.newcomer.is_some() && definitions.opening_field.is_none() {
                self.faults.at(&at, "stability", "'newcomer' needs 'opening_field' in [pack]");
            }
            for cool_down in &stability.cool_downs {
                let key = &cool_down.after;
                let field = fields.get(key).map(|field| field.field_type);
                let metric = definitions.metrics.get(key).map(|metric| metric.value_type());
                match field.or(metric) {
                    Some(FieldType::Date) => {}
                    Some(_) => self.faults.at(&at, "wrong_type", format!("'{key}' dates nothing: it is no date")),
                    None if self.faulty.contains(key) => {}
                    None => {
                        let known = fields.iter().map(|(key, _)| key);
                        let known = known.chain(definitions.metrics.keys().map(String::as_str));
                        let hint = self.faults.did_you_mean(key, known);
                        self.faults.at(&at, "unknown_field", format!("there is no field or metric '{key}'{hint}"));
                    }
                }
            }
        }
    }
}
