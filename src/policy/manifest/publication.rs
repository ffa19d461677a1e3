//! `[publication]`: which outcomes of an area may be published, and what is shown of customers beside them.

use indexmap::IndexMap;
use toml::Spanned;

use super::super::document::{Table, check_doubled, plain};
use super::super::pack::{PolicyDeclaration, Publication};
use super::Reader;
use crate::customers::model::Fields;

impl<'t, 'a> Reader<'t, 'a> {
    pub(super) fn publication(
        &self,
        mut table: Table<'t, 'a>,
        fields: &Fields,
        policies: &IndexMap<String, PolicyDeclaration>,
    ) -> Option<Publication> {
        let by = table.required::<Spanned<String>>("by");
        let named = table.required::<Vec<Spanned<String>>>("policies");
        let show = table.optional::<Vec<Spanned<String>>>("show");
        for list in [&named, &show] {
            check_doubled(self.faults, list.as_deref().unwrap_or_default());
        }
        table.close();
        named.iter().flatten().for_each(|policy| self.known_policy(policy, policies));
        for key in by.iter().chain(show.iter().flatten()) {
            match fields.get(key.get_ref()) {
                None => self.unknown_field(key, fields),
                Some(field) if field.personal => {
                    let message = format!("'{}' is personal and can't be published", key.get_ref());
                    self.faults.at(&key.span(), "personal", message);
                }
                Some(_) => {}
            }
        }
        if let Some(by) = by.as_ref().filter(|by| fields.get(by.get_ref()).is_some_and(|field| !field.filterable)) {
            let message = format!("'{}' isn't filterable, so that an area can't be chosen by it", by.get_ref());
            self.faults.at(&by.span(), "wrong_type", message);
        }
        Some(Publication { by: by?.into_inner(), policies: plain(named), show: plain(show) })
    }
}
