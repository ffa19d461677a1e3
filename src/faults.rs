//! A fault in something that a user sent: which part, what is wrong, and what would be right. Every capability reports
//! its faults in this one shape, to the API, to CSV reports and on the command line.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One fault of a body, a row or a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// JSON pointer (RFC 6901) to the faulty part, empty for the whole.
    #[schema(example = "/profile/network/floor_area")]
    pub pointer: String,
    /// Stable code of the fault.
    #[schema(example = "out_of_range")]
    pub code: String,
    /// What is wrong and what would be right, in English.
    #[schema(example = "-3 is below the minimum 0")]
    pub detail: String,
}

impl Fault {
    /// A fault at `pointer`.
    pub fn new(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code: code.to_owned(), detail: detail.into() }
    }

    /// The same fault, seen from one level further out: `/items/3` is put before its pointer.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }
}

/// One segment of a JSON pointer, escaped as RFC 6901 wants it.
pub fn pointer_segment(key: &str) -> String {
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// The candidate that is nearest to `word`, if one is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// "; did you mean 'x'?" for the nearest candidate, or nothing.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|near| format!("; did you mean '{near}'?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let names = ["floor_area", "retail_format"];
        assert_eq!(nearest("flor_area", names), Some("floor_area"));
        assert_eq!(nearest("zzz", names), None);
    }

    #[test]
    fn pointers_escape_slash_and_tilde() {
        assert_eq!(pointer_segment("a/b~c"), "/a~1b~0c");
    }
}
