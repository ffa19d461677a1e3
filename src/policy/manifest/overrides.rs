//! `[overrides]` and `[appeals]`: against which policies persons may decide otherwise or appeal, and within how many days.

use indexmap::IndexMap;
use toml::Spanned;

use super::super::document::{Table, check_doubled};
use super::super::pack::{Appealing, Overriding, PolicyDeclaration};
use super::Reader;

/// Most days that a pack may set.
const MOST_DAYS: u16 = 3660;

impl<'t, 'a> Reader<'t, 'a> {
    pub(super) fn overrides(
        &self,
        mut table: Table<'t, 'a>,
        policies: &mut IndexMap<String, PolicyDeclaration>,
    ) -> Overriding {
        let default = Overriding::default();
        let named = self.policies_named(&mut table, policies);
        let overrides = Overriding {
            longest: self.days(&mut table, "longest", default.longest),
            warn_after: self.days(&mut table, "warn_after", default.warn_after),
        };
        table.close();
        let Some(named) = named else { return overrides };
        for policy in &named {
            if policies.get(policy.get_ref()).is_some_and(|declared| !declared.entitlements.is_empty()) {
                let message = format!(
                    "'{}' entitles to something, and its script wouldn't know what stands; let another policy read its outcome and entitle",
                    policy.get_ref()
                );
                self.faults.at(&policy.span(), "overrides", message);
            }
        }
        for (id, declared) in policies {
            declared.overridable &= named.iter().any(|policy| policy.get_ref() == id);
        }
        overrides
    }

    pub(super) fn appeals(
        &self,
        mut table: Table<'t, 'a>,
        policies: &mut IndexMap<String, PolicyDeclaration>,
    ) -> Appealing {
        let default = Appealing::default();
        let named = self.policies_named(&mut table, policies);
        let appeals = Appealing {
            file_within: self.days(&mut table, "file_within", default.file_within),
            answer_within: self.days(&mut table, "answer_within", default.answer_within),
        };
        table.close();
        if let Some(named) = named {
            for (id, declared) in policies {
                declared.appealable = named.iter().any(|policy| policy.get_ref() == id);
            }
        }
        appeals
    }

    /// The policies that a section names; nothing where it means all.
    fn policies_named(
        &self,
        table: &mut Table<'t, 'a>,
        policies: &IndexMap<String, PolicyDeclaration>,
    ) -> Option<Vec<Spanned<String>>> {
        let named = table.optional::<Vec<Spanned<String>>>("policies")?;
        check_doubled(self.faults, &named);
        named.iter().for_each(|policy| self.known_policy(policy, policies));
        Some(named)
    }

    fn days(&self, table: &mut Table<'t, 'a>, key: &'static str, default: u16) -> u16 {
        let Some(days) = table.optional::<Spanned<u16>>(key) else { return default };
        if !(1..=MOST_DAYS).contains(days.get_ref()) {
            let message = format!("'{key}' is a number of days from 1 to {MOST_DAYS}, not {}", days.get_ref());
            self.faults.at(&days.span(), "out_of_range", message);
        }
        days.into_inner()
    }
}
