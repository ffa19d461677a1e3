//! Names made from what a pack declares: of schemas, and of the values of an enumeration in generated code. None stands twice.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use crate::policy::pack::Pack;

/// The names of the schemas that a pack adds to a description.
pub struct Names {
    fields: BTreeMap<String, String>,
    outcomes: BTreeMap<String, String>,
}

impl Names {
    /// Names beside those that the description has already: fields first, then policies, in the order of the pack.
    pub fn new(pack: &Pack, schemas: &Map<String, Json>) -> Self {
        let mut taken: BTreeSet<String> = schemas.keys().map(|name| alike(name)).collect();
        let mut named =
            |prefix: &str, key: &str| (key.to_owned(), free(&mut taken, &format!("{prefix}{}", pascal(key))));
        let fields = pack.fields.iter().map(|(key, _)| named("ProfileField", key)).collect();
        let outcomes = pack.customer_policies().map(|(id, _)| named("Outcome", id)).collect();
        Self { fields, outcomes }
    }

    /// The schema of a field.
    pub fn field(&self, key: &str) -> &str {
        self.fields.get(key).map_or("", String::as_str)
    }

    /// The schema of a policy's outcomes.
    pub fn outcome(&self, policy: &str) -> &str {
        self.outcomes.get(policy).map_or("", String::as_str)
    }
}

/// A key as part of a schema's name: `floor_area` as `FloorArea`.
pub fn pascal(key: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect::<String>()
    };
    key.split('_').map(word).collect()
}

/// A text that is one of some values. `x-enum-varnames` names those that generators could not tell apart, or not name at all.
pub fn one_of<'v>(values: impl IntoIterator<Item = &'v String>) -> Json {
    let values: Vec<&String> = values.into_iter().collect();
    match of_values(&values) {
        Some(names) => json!({"type": "string", "enum": values, "x-enum-varnames": names}),
        None => json!({"type": "string", "enum": values}),
    }
}

/// Names of values where some are no names themselves, or the same in capitals: `A_PLUS` for `A+`.
fn of_values(values: &[&String]) -> Option<Vec<String>> {
    let mut taken = BTreeSet::new();
    let names: Vec<String> = values.iter().map(|value| free(&mut taken, &capital(value))).collect();
    let plain = names.iter().zip(values).all(|(name, value)| *name == value.to_uppercase());
    (!plain).then_some(names)
}

/// A value in capitals, digits and underscores, with a letter first.
fn capital(value: &str) -> String {
    let letters: Vec<char> = value.chars().collect();
    let alphanumeric = |at: Option<usize>| at.and_then(|at| letters.get(at)).is_some_and(char::is_ascii_alphanumeric);
    let mut spelt = String::new();
    for (at, letter) in letters.iter().enumerate() {
        match letter {
            letter if letter.is_ascii_alphanumeric() => spelt.push(letter.to_ascii_uppercase()),
            '+' => spelt.push_str("_PLUS_"),
            // Between letters it joins words.
            '-' if !alphanumeric(at.checked_sub(1)) || !alphanumeric(Some(at + 1)) => spelt.push_str("_MINUS_"),
            _ => spelt.push('_'),
        }
    }
    let words: Vec<&str> = spelt.split('_').filter(|word| !word.is_empty()).collect();
    let named = words.first().is_some_and(|word| word.starts_with(|first: char| first.is_ascii_alphabetic()));
    if named { words.join("_") } else { [&["VALUE"], words.as_slice()].concat().join("_") }
}

/// What generators of clients may make of a name: they spell names anew.
fn alike(name: &str) -> String {
    name.replace('_', "").to_lowercase()
}

/// The name that is wanted, or with the first number behind it that makes it another one than those taken. Takes it.
fn free(taken: &mut BTreeSet<String>, wanted: &str) -> String {
    if taken.insert(alike(wanted)) {
        return wanted.to_owned();
    }
    let mut numbered = (2_u64..).map(|number| format!("{wanted}_{number}"));
    numbered.find(|name| taken.insert(alike(name))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(values: &[&str]) -> Option<Vec<String>> {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        of_values(&values.iter().collect::<Vec<_>>())
    }

    #[test]
    fn values_that_are_names_name_themselves() {
        assert_eq!(names(&["grocery", "other_2"]), None);
        assert_eq!(one_of(&["x".to_owned()]), json!({"type": "string", "enum": ["x"]}));
    }

    #[test]
    fn values_that_would_have_one_name_or_none_have_names_of_their_own() {
        let made = |values: &[&str]| names(values).unwrap_or_default().join(" ");
        assert_eq!(made(&["A+", "A", "A-", "B"]), "A_PLUS A A_MINUS B");
        assert_eq!(made(&["1", "12", "1-2"]), "VALUE_1 VALUE_12 VALUE_1_2_2");
        assert_eq!(made(&["a", "A", "a_"]), "A A_2 A_3");
        assert_eq!(made(&["优", "", "a b"]), "VALUE VALUE_2 A_B");
        assert_eq!(made(&["name", "-name", "field[floor_area]"]), "NAME MINUS_NAME FIELD_FLOOR_AREA");
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number_whatever_its_spelling() {
        let mut taken = BTreeSet::from([alike("OutcomeCount")]);
        assert_eq!(free(&mut taken, "OutcomeCount"), "OutcomeCount_2");
        assert_eq!(free(&mut taken, "OutcomeCOUNT"), "OutcomeCOUNT_3");
        assert_eq!(free(&mut taken, "OutcomePaths"), "OutcomePaths");
    }
}
