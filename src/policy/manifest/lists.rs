//! `[lists.<id>]`: lists of customers, whose members follow from a policy's outcomes or are entered by hand.

use indexmap::IndexMap;
use toml::Spanned;

use super::super::document::{Table, check_doubled, plain};
use super::super::pack::{ListDeclaration, PolicyDeclaration};
use super::Reader;

impl<'t, 'a> Reader<'t, 'a> {
    pub(super) fn list(
        &self,
        mut table: Table<'t, 'a>,
        policies: &IndexMap<String, PolicyDeclaration>,
    ) -> Option<ListDeclaration> {
        let policy = table.optional::<Spanned<String>>("policy");
        let outcomes = table.optional::<Vec<Spanned<String>>>("outcomes");
        check_doubled(self.faults, outcomes.as_deref().unwrap_or_default());
        if policy.is_some() != outcomes.as_ref().is_some_and(|outcomes| !outcomes.is_empty()) {
            let message =
                "a list has a 'policy' with the 'outcomes' that lead to it, or neither where it is kept by hand";
            self.faults.at(table.span(), "missing", message);
        }
        table.close();
        if let Some(policy) = &policy {
            match policies.get(policy.get_ref()) {
                None => self.known_policy(policy, policies),
                Some(declared) => {
                    outcomes.iter().flatten().for_each(|outcome| self.known_outcome(outcome, &declared.outcomes));
                }
            }
        }
        Some(ListDeclaration { policy: policy.map(Spanned::into_inner), outcomes: plain(outcomes) })
    }
}
