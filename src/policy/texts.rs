//! Labels and reason texts of a pack in its languages.

use std::collections::BTreeMap;

/// Texts by language.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    languages: BTreeMap<String, BTreeMap<String, String>>,
}
