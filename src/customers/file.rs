//! One customer: code, name, status and profile, and what a profile is to the pack in force.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::{DeserializeSeed, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use super::model::{Field, Fields, Values, stored};
use crate::Id;
use crate::entries::{self, Entries};

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
    sift(taking(fields, profile)).values
}

/// The same of a profile's text, of which only what the fields take is read.
///
/// # Errors
/// It is no profile.
pub fn values_in(fields: &Fields, text: &str) -> serde_json::Result<Values> {
    let of_field = |key: &&str| fields.taking(key).map(Takes);
    let sections = entries::read(text, Entries::new(|_: &&str| Some(Entries::new(of_field))))?;
    let stored = sections.iter().flat_map(|(section, values)| {
        values.iter().map(move |(key, (taking, json))| ((*section, *key, json), Some(*taking)))
    });
    Ok(sift(stored).values)
}

/// Reads a stored value, and keeps which field takes it.
struct Takes<'f>((&'f str, &'f Field));

impl<'de, 'f> DeserializeSeed<'de> for Takes<'f> {
    type Value = ((&'f str, &'f Field), Json);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        Ok((self.0, Json::deserialize(deserializer)?))
    }
}

/// Section, key and value of an entry, and the field that takes it with its own key.
type Stored<'a> = ((&'a str, &'a str, &'a Json), Option<(&'a str, &'a Field)>);

/// A stored profile as the pack in force takes it.
struct Sifted<'a> {
    /// Values by the key of their field.
    values: Values,
    /// The entries that are no field's value.
    hidden: Vec<(&'a str, &'a str, &'a Json)>,
    /// Whether some values stand elsewhere than the pack in force declares them.
    moved: bool,
}

/// What a profile holds, each entry with the field that takes it.
fn taking<'a>(fields: &'a Fields, profile: &'a Profile) -> impl Iterator<Item = Stored<'a>> {
    stored(profile).map(|entry| (entry, fields.taking(entry.1)))
}

fn sift<'a>(stored: impl Iterator<Item = Stored<'a>>) -> Sifted<'a> {
    let mut sifted = Sifted { values: Values::new(), hidden: Vec::new(), moved: false };
    let mut elsewhere = Vec::new();
    for (entry, taking) in stored {
        let (section, stored_key, json) = entry;
        match taking {
            None => sifted.hidden.push(entry),
            Some((key, field)) if key == stored_key && field.section.key() == section => match field.read(json) {
                Some(value) => drop(sifted.values.insert(key.to_owned(), value)),
                None => sifted.hidden.push(entry),
            },
            Some((key, field)) => elsewhere.push((key != stored_key, key, field, entry)),
        }
    }
    // What an earlier pack left in another section comes before what it left under another key.
    elsewhere.sort_by_key(|(renamed, ..)| *renamed);
    for (_, key, field, entry) in elsewhere {
        match field.read(entry.2).filter(|_| !sifted.values.contains_key(key)) {
            Some(value) => {
                sifted.values.insert(key.to_owned(), value);
                sifted.moved = true;
            }
            None => sifted.hidden.push(entry),
        }
    }
    sifted
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

/// Divides a stored profile into the values of declared fields, which readers see, each where the pack in force declares it, and
/// what is hidden: values of fields that it doesn't declare and values that no longer fit, kept in case a later pack takes them.
pub fn divide(fields: &Fields, profile: &Profile) -> (Profile, Profile) {
    let sifted = sift(taking(fields, profile));
    let mut hidden = Profile::new();
    for (section, key, json) in sifted.hidden {
        set(&mut hidden, section, key, json.clone());
    }
    (profile_of(fields, &sifted.values), hidden)
}

/// Puts what is hidden back beside the declared values, of which one takes the place of what no longer fitted there.
pub fn unite(declared: Profile, hidden: Profile) -> Profile {
    let mut united = hidden;
    for (section, key, json) in stored(&declared) {
        set(&mut united, section, key, json.clone());
    }
    united
}

/// A stored profile with every value where the pack in force declares it; nothing where all stand there already. Those stay
/// whose key the `next` pack declares again.
pub fn settled(fields: &Fields, next: &Fields, profile: &Profile) -> Option<Profile> {
    let sifted = sift(taking(fields, profile));
    let rolled_back = |key: &str| {
        fields.get(key).and_then(|field| field.renamed_from.as_ref()).is_some_and(|old| next.get(old).is_some())
    };
    if !sifted.moved || sifted.values.keys().any(|key| rolled_back(key)) {
        return None;
    }
    let (declared, hidden) = divide(fields, profile);
    Some(unite(declared, hidden))
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
    fn what_is_undeclared_or_does_not_fit_is_hidden_and_kept() {
        let stored = object(json!({"basic": {"city": "León", "gone": "x"}, "network": {"area": "-1"}}));
        let (declared, hidden) = divide(&fields(), &stored);
        assert_eq!(json!(declared), json!({"basic": {"city": "León"}}));
        assert_eq!(json!(hidden), json!({"basic": {"gone": "x"}, "network": {"area": "-1"}}));
        assert_eq!(unite(declared, hidden.clone()), stored);
        let entered = object(json!({"network": {"area": "5"}}));
        assert_eq!(json!(unite(entered, hidden)), json!({"basic": {"gone": "x"}, "network": {"area": "5"}}));
    }

    #[test]
    fn values_follow_their_field_to_another_section_type_and_key() {
        let declared: IndexMap<String, super::super::model::Field> = toml::from_str(
            "town = { section = 'network', type = 'text', renamed_from = 'city' }\n\
             area = { section = 'business', type = 'decimal' }\n\
             goods = { section = 'basic', type = 'choices', choices = ['food', 'drink'] }",
        )
        .unwrap();
        let fields = Fields::new(declared, Vec::new());
        let stored = object(
            json!({"basic": {"city": "León", "goods": "food"}, "network": {"area": 5}, "business": {"city": "Soria"}}),
        );
        let (seen, hidden) = divide(&fields, &stored);
        let moved = json!({"network": {"town": "León"}, "business": {"area": "5"}, "basic": {"goods": ["food"]}});
        assert_eq!(json!(seen), moved);
        assert_eq!(json!(hidden), json!({"business": {"city": "Soria"}}), "only one of two values can be the field's");

        let settled_profile = settled(&fields, &fields, &stored).unwrap();
        assert_eq!(values_of(&fields, &settled_profile), values_of(&fields, &stored));
        assert_eq!(settled(&fields, &fields, &settled_profile), None);
        assert_eq!(settled(&fields, &self::fields(), &stored), None, "the next pack has the old key again");

        let entered = object(json!({"basic": {"city": "León"}, "network": {"town": "Soria"}}));
        assert_eq!(values_of(&fields, &entered)["town"].to_string(), "Soria");
    }
}
