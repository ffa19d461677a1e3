//! What a pack's new fields mean for the values that are stored: how many are hidden because their field is removed or no longer
//! takes them, and how many a renamed field takes over. It tells and refuses nothing.

use std::collections::BTreeMap;
use std::fmt;

use super::file::Profile;
use super::model::{DEFAULT_MAX_LENGTH, Field, Fields, stored};
use super::store;
use crate::Id;
use crate::db::id::SHARDS;
use crate::db::{Conn, Result};

/// Customers that are looked at in one query.
const PAGE: u32 = 500;

/// What happens to the values stored under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key in the new pack; nothing when the field is removed.
    pub key: Option<String>,
    /// Stored values that the field in force takes, and the new one too.
    pub taken: u64,
    /// Stored values that the field in force takes, and no new one: they are kept, hidden.
    pub hidden: u64,
}

/// The fields that take less than those in force, or the same under another key: by the key of the field in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evolution(BTreeMap<String, Change>);

/// Compares the fields in force with new ones and counts the stored values that are concerned, in pages of bounded size.
/// Nobody is looked at when no field changes in such a way.
pub fn compare(conn: &mut Conn, before: &Fields, after: &Fields) -> Result<Evolution> {
    let mut evolution = Evolution::of(before, after);
    if evolution.is_empty() {
        return Ok(evolution);
    }
    for shard in 0..SHARDS {
        let mut last = Id::NIL;
        loop {
            let page = store::page_of_shard(conn, shard, last, PAGE, false)?;
            page.iter().for_each(|customer| evolution.count(before, after, &customer.profile));
            let Some(customer) = page.last() else { break };
            last = customer.id;
        }
    }
    Ok(evolution)
}

impl Evolution {
    /// Whether every stored value is read as before.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of(before: &Fields, after: &Fields) -> Self {
        let change = |(key, field): (&str, &Field)| {
            let heir = after.taking(key);
            let concerned = heir.is_none_or(|(heir, new)| heir != key || takes_less(field, new));
            let change = Change { key: heir.map(|(heir, _)| heir.to_owned()), taken: 0, hidden: 0 };
            concerned.then(|| (key.to_owned(), change))
        };
        Self(before.iter().filter_map(change).collect())
    }

    fn count(&mut self, before: &Fields, after: &Fields, profile: &Profile) {
        for (_, stored_key, json) in stored(profile) {
            let Some((key, field)) = before.taking(stored_key) else { continue };
            let Some(change) = self.0.get_mut(key).filter(|_| field.read(json).is_some()) else { continue };
            let heir = change.key.as_deref().and_then(|key| after.get(key));
            let counter =
                if heir.is_some_and(|heir| heir.read(json).is_some()) { &mut change.taken } else { &mut change.hidden };
            *counter += 1;
        }
    }
}

/// Whether a field may refuse a value that the one before took.
fn takes_less(before: &Field, after: &Field) -> bool {
    let pattern = |field: &Field| field.pattern.as_ref().map(|pattern| pattern.as_str().to_owned());
    let longest = |field: &Field| field.max_length.unwrap_or(DEFAULT_MAX_LENGTH);
    before.field_type != after.field_type
        || before.choices.iter().any(|choice| !after.choices.contains(choice))
        || after.min.is_some_and(|min| before.min.is_none_or(|before| before < min))
        || after.max.is_some_and(|max| before.max.is_none_or(|before| before > max))
        || longest(after) < longest(before)
        || after.pattern.is_some() && pattern(after) != pattern(before)
}

impl fmt::Display for Evolution {
    /// A line for each field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (old, Change { key, taken, hidden })) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match key {
                None => write!(f, "the field '{old}' is removed: stored values kept, hidden: {hidden}")?,
                Some(key) => {
                    let how = if key == old { "takes other values".to_owned() } else { format!("is '{key}' now") };
                    write!(f, "the field '{old}' {how}: stored values that fit: {taken}; kept, hidden: {hidden}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(toml: &str) -> Fields {
        Fields::new(toml::from_str(toml).unwrap(), Vec::new())
    }

    const BEFORE: &str = "note = { section = 'basic', type = 'text' }\n\
        city = { section = 'basic', type = 'text' }\n\
        format = { section = 'network', type = 'choice', choices = ['shop', 'kiosk'] }\n\
        area = { section = 'network', type = 'decimal' }";

    #[test]
    fn each_stored_value_is_counted_once() {
        let before = fields(BEFORE);
        let after = fields(
            "town = { section = 'network', type = 'text', max_length = 5, renamed_from = 'city' }\n\
             format = { section = 'network', type = 'choice', choices = ['shop'] }\n\
             area = { section = 'network', type = 'decimal', min = '10' }",
        );
        let mut evolution = Evolution::of(&before, &after);
        for (city, format, area) in [("León", "shop", "9"), ("Valladolid", "kiosk", "10"), ("Soria", "other", "9")] {
            let profile = json!({"basic": {"city": city, "gone": 1}, "network": {"format": format, "area": area}});
            evolution.count(&before, &after, profile.as_object().unwrap());
        }
        assert_eq!(
            evolution.to_string(),
            "the field 'area' takes other values: stored values that fit: 1; kept, hidden: 2\n\
             the field 'city' is 'town' now: stored values that fit: 2; kept, hidden: 1\n\
             the field 'format' takes other values: stored values that fit: 1; kept, hidden: 1\n\
             the field 'note' is removed: stored values kept, hidden: 0"
        );
    }

    #[test]
    fn a_field_that_takes_more_or_is_new_concerns_nobody() {
        let more = BEFORE.replace("'kiosk'", "'kiosk', 'stall'") + "\nnew = { section = 'basic', type = 'date' }";
        assert!(Evolution::of(&fields(BEFORE), &fields(&more)).is_empty());
    }
}
