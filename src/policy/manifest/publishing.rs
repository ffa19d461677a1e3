//! `[publishing]`: what a release has to pass before it replaces one of this pack.

use indexmap::IndexMap;
use rust_decimal::Decimal;
use toml::Spanned;

use super::super::document::{Item, Table, found};
use super::super::pack::{Movement, PolicyDeclaration, Publishing};
use super::Reader;

impl<'t, 'a> Reader<'t, 'a> {
    pub(super) fn publishing(
        &self,
        mut table: Table<'t, 'a>,
        policies: &IndexMap<String, PolicyDeclaration>,
    ) -> Publishing {
        let publishing = Publishing {
            second_person: table.optional("second_person").unwrap_or_default(),
            moved_at_most: self.share(&mut table, "moved_at_most"),
            sums_within: self.share(&mut table, "sums_within"),
            never: table.item("never").map(|item| self.movements(item, policies)).unwrap_or_default(),
        };
        table.close();
        publishing
    }

    pub(super) fn share(&self, table: &mut Table<'t, 'a>, key: &'static str) -> Option<Decimal> {
        let share = table.optional::<Spanned<Decimal>>(key)?;
        if !(Decimal::ZERO..=Decimal::ONE).contains(share.get_ref()) {
            let message = format!("'{key}' is a share from 0 to 1, such as \"0.08\" for 8 %, not {}", share.get_ref());
            self.faults.at(&share.span(), "out_of_range", message);
        }
        Some(share.into_inner())
    }

    fn movements(&self, item: &'t Item<'a>, policies: &IndexMap<String, PolicyDeclaration>) -> Vec<Movement> {
        let Some(items) = item.get_ref().as_array() else {
            let message = format!(
                "'never' is a list such as [{{ policy = \"credit\", from = \"A\", to = \"C\" }}], not {}",
                found(item.get_ref())
            );
            self.faults.at(&item.span(), "wrong_type", message);
            return Vec::new();
        };
        items.iter().filter_map(|item| self.movement(item, policies)).collect()
    }

    fn movement(&self, item: &'t Item<'a>, policies: &IndexMap<String, PolicyDeclaration>) -> Option<Movement> {
        let mut table = Table::of(self.faults, item, item.span(), "the movement")?;
        let policy = table.required::<Spanned<String>>("policy");
        let ends = ["from", "to"].map(|key| table.required::<Spanned<String>>(key));
        table.close();
        let (policy, [Some(from), Some(to)]) = (policy?, ends) else { return None };
        let Some(declared) = policies.get(policy.get_ref()) else {
            self.known_policy(&policy, policies);
            return None;
        };
        for end in [&from, &to] {
            if !declared.outcomes.contains(end.get_ref()) {
                let hint = self.faults.did_you_mean(end.get_ref(), declared.outcomes.iter().map(String::as_str));
                let message = format!("the policy '{}' has no outcome '{}'{hint}", policy.get_ref(), end.get_ref());
                self.faults.at(&end.span(), "unknown_outcome", message);
            }
        }
        Some(Movement { policy: policy.into_inner(), from: from.into_inner(), to: to.into_inner() })
    }
}
