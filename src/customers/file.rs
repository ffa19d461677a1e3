//! One customer: code, name, status and profile, and what a profile is to the pack in force.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use super::model::{Fields, Values};
use crate::Id;

/// Longest code, in characters.
pub const MAX_CODE: usize = 64;
/// Longest name, in characters.
pub const MAX_NAME: usize = 200;
/// Length of the column that is searched, in characters.
const MAX_SEARCH: usize = 300;

/// The sections of a customer's file with their values: `{section: {field: value}}`.
pub type Profile = Map<String, Json>;

/// Whether a customer takes part in assessments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CustomerStatus)]
pub enum Status {
    /// He is assessed.
    Active,
    /// He keeps his history and is not assessed.
    Inactive,
}

impl Status {
    /// All statuses.
    pub const ALL: [Self; 2] = [Self::Active, Self::Inactive];

    /// The status's name in documents and in the database.
    pub fn key(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }

    /// The status of this name.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.key() == key)
    }
}

/// A customer as he is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Customer {
    /// His id.
    pub id: Id,
    /// His code in the industry's own systems: unique, never changed.
    pub code: String,
    /// His name.
    pub name: String,
    /// Whether he takes part in assessments.
    pub status: Status,
    /// His profile, with values of fields that the pack in force doesn't declare.
    pub profile: Profile,
    /// Rises by one with each change.
    pub version: i64,
    /// When he was created.
    pub created_at: Timestamp,
    /// When he was changed last.
    pub updated_at: Timestamp,
}

impl Customer {
    /// What searching looks at: code and name in lower case, with a line break between so that no text spans both.
    pub fn search(&self) -> String {
        format!("{}\n{}", self.code, self.name).to_lowercase().chars().take(MAX_SEARCH).collect()
    }

    /// The profile as one text that is the same for the same values: sorted by section and field, without blanks.
    pub fn profile_text(&self) -> String {
        let sorted: BTreeMap<&str, Json> = self
            .profile
            .iter()
            .map(|(section, content)| {
                let fields: BTreeMap<&String, &Json> = content.as_object().into_iter().flatten().collect();
                (section.as_str(), serde_json::json!(fields))
            })
            .collect();
        serde_json::json!(sorted).to_string()
    }
}

/// The present moment, as exact as the database keeps it.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// The values of a stored profile by key. What the pack doesn't declare and what doesn't fit its declarations is left out.
pub fn values_of(fields: &Fields, profile: &Profile) -> Values {
    let mut values = Values::new();
    for (section, content) in profile {
        for (key, json) in content.as_object().into_iter().flatten() {
            if let Some(field) = fields.get(key).filter(|field| field.section.key() == section)
                && let Ok(value) = field.check(json)
            {
                values.insert(key.clone(), value);
            }
        }
    }
    values
}

/// The checked values as a profile.
pub fn profile_of(fields: &Fields, values: &Values) -> Profile {
    let mut profile = Profile::new();
    for (key, value) in values {
        if let Some(field) = fields.get(key) {
            set(&mut profile, field.section.key(), key, field.to_json(value));
        }
    }
    profile
}

/// Puts a value into a profile.
pub fn set(profile: &mut Profile, section: &str, key: &str, value: Json) {
    let content = profile.entry(section).or_insert_with(|| Json::Object(Map::new()));
    if let Json::Object(content) = content {
        content.insert(key.to_owned(), value);
    }
}

/// Divides a profile into the values of declared fields, which readers see, and those of fields that the pack in force doesn't
/// declare, which are kept in case a later one does.
pub fn divide(fields: &Fields, profile: &Profile) -> (Profile, Profile) {
    let (mut declared, mut orphans) = (Profile::new(), Profile::new());
    for (section, content) in profile {
        for (key, value) in content.as_object().into_iter().flatten() {
            let known = fields.get(key).is_some_and(|field| field.section.key() == section);
            set(if known { &mut declared } else { &mut orphans }, section, key, value.clone());
        }
    }
    (declared, orphans)
}

/// Puts the values of undeclared fields back beside the declared ones.
pub fn unite(mut declared: Profile, orphans: Profile) -> Profile {
    for (section, content) in orphans {
        if let Json::Object(content) = content {
            for (key, value) in content {
                set(&mut declared, &section, &key, value);
            }
        }
    }
    declared
}

/// Applies a JSON merge patch (RFC 7396).
pub fn merge(target: &mut Json, patch: &Json) {
    let Json::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Json::Object(Map::new());
    }
    if let Json::Object(members) = target {
        for (key, change) in changes {
            if change.is_null() {
                members.remove(key);
            } else {
                merge(members.entry(key).or_insert(Json::Null), change);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use serde_json::json;

    use super::*;

    fn fields() -> Fields {
        let declared: IndexMap<String, super::super::model::Field> = toml::from_str(
            "city = { section = 'basic', type = 'text' }\n\
             area = { section = 'network', type = 'decimal', min = '0' }",
        )
        .unwrap();
        Fields::new(declared, Vec::new())
    }

    fn object(json: Json) -> Profile {
        json.as_object().unwrap().clone()
    }

    #[test]
    fn the_examples_of_the_merge_patch_standard_hold() {
        for (target, patch, wanted) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = target;
            merge(&mut merged, &patch);
            assert_eq!(merged, wanted);
        }
    }

    #[test]
    fn values_of_a_stored_profile_leave_out_what_does_not_fit() {
        let stored = object(json!({
            "basic": {"city": "León", "gone": "x"}, "network": {"area": "-1", "city": "elsewhere"}, "odd": 1
        }));
        let values = values_of(&fields(), &stored);
        assert_eq!(values.keys().collect::<Vec<_>>(), ["city"]);
    }

    #[test]
    fn undeclared_values_are_hidden_and_kept() {
        let stored = object(json!({"basic": {"city": "León", "gone": "x"}, "network": {"area": "1"}}));
        let (declared, orphans) = divide(&fields(), &stored);
        assert_eq!(json!(declared), json!({"basic": {"city": "León"}, "network": {"area": "1"}}));
        assert_eq!(json!(orphans), json!({"basic": {"gone": "x"}}));
        assert_eq!(unite(declared, orphans), stored);
    }
}
