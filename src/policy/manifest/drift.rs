//! `[drift]`: by which groups the distributions of two runs are compared, and from when on that alarms.

use rust_decimal::Decimal;
use toml::Spanned;

use super::super::document::{Table, check_doubled, plain};
use super::super::pack::Drifting;
use super::Reader;
use crate::customers::model::Fields;

/// Most fields that make groups.
const MOST: usize = 5;

impl<'t, 'a> Reader<'t, 'a> {
    pub(super) fn drift(&self, mut table: Table<'t, 'a>, fields: &Fields) -> Drifting {
        let by = table.optional::<Vec<Spanned<String>>>("by");
        check_doubled(self.faults, by.as_deref().unwrap_or_default());
        if by.as_ref().is_some_and(|by| by.len() > MOST) {
            self.faults.at(&table.key_span("by"), "too_many", format!("at most {MOST} fields make groups"));
        }
        by.iter().flatten().for_each(|key| self.makes_groups(key, fields));
        let alarm_from = table.optional::<Spanned<Decimal>>("alarm_from");
        if let Some(from) = alarm_from.as_ref().filter(|from| *from.get_ref() <= Decimal::ZERO) {
            let message = format!("'alarm_from' is above 0, such as \"0.25\", not {}", from.get_ref());
            self.faults.at(&from.span(), "out_of_range", message);
        }
        table.close();
        let default = Drifting::default();
        Drifting { by: plain(by), alarm_from: alarm_from.map_or(default.alarm_from, Spanned::into_inner) }
    }
}
