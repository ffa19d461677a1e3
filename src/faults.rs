//! A fault in something that a user sent: which part, what is wrong, and what would be right. Every capability reports
//! its faults in this one shape, to the API, to CSV reports and on the command line.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every code of a fault with what it means, in Markdown.
pub const CODES: &[(&str, &str)] = &[
    ("after_business_date", "The date lies after the business date, which `detail` names."),
    ("cells", "A row of a file has another number of cells than its header."),
    (
        "columns",
        "The header of a file lacks columns, or the mapping names some that it doesn't have; `detail` lists them.",
    ),
    ("control_character", "The text has a line break or another control character."),
    ("cursor", "The cursor isn't one that a list with these parameters gave. Begin at the first page."),
    ("date", "The text isn't a date such as `2018-01-31`, or not one of the years that are taken."),
    ("derived", "The value is computed and can't be entered."),
    ("digest", "The text isn't a digest of the form `sha256:` and 64 hexadecimal digits."),
    ("doubled", "A key, a choice, a parameter or a code stands twice."),
    ("email", "The text isn't an e-mail address."),
    ("empty", "The text is empty. An absent value is left out."),
    ("encoding", "The file is in another encoding than was said; `detail` names likely ones."),
    ("given_up", "An import was begun again and again and never came to its end."),
    ("id", "The text isn't an id."),
    ("idempotency_key", "The key is empty, longer than 255 characters, or has others than visible ASCII characters."),
    ("immutable", "The value can't change once it is there."),
    ("internal", "Something went wrong inside the service; its log says what."),
    ("invalid_character", "The name has a character that names don't have; `detail` says which they may have."),
    ("line_ends", "The lines of the file end with a carriage return alone."),
    ("long_row", "A row of a file is too long: perhaps a quote is left open."),
    ("no_manifest", "The files are no pack: `pack.toml` is missing."),
    ("no_products", "Transactions of this kind name no products."),
    ("no_text", "The file is no CSV file, but a workbook or an archive."),
    ("not_allowed", "The part doesn't go with the others; `detail` says where it belongs."),
    ("not_filterable", "The pack doesn't declare this field as one by which lists are filtered and sorted."),
    ("not_ordered", "The field has no order, so that it can't be compared by size and lists can't be sorted by it."),
    ("not_permitted", "The caller may not do this; `detail` says who may."),
    ("not_possible", "What is asked for isn't possible as things stand; `detail` says why."),
    ("one_of", "Exactly one of several parts must be sent; `detail` names them."),
    ("other_customer", "The assessment is one of another customer."),
    (
        "out_of_range",
        "A number, or how many there are of something, is below the smallest or above the largest that is allowed.",
    ),
    ("password", "The password is too short, too long, blank, or the user's name."),
    ("path", "A pack has no file of this path."),
    ("pattern", "The text doesn't match the pattern that the pack declares for the field."),
    ("phone", "The text isn't a telephone number."),
    ("report_full", "The report has reached its largest size; `detail` says how many lines it lacks."),
    ("required", "The value is missing."),
    ("role_name", "The name isn't of the form of names of roles; `detail` says which that is."),
    ("too_large", "A file, or all together, are larger than a pack may be."),
    ("too_long", "The text has more characters than are allowed."),
    ("too_many_files", "There are more files than a pack may have."),
    ("too_many_digits", "The number has more digits before or behind the point than are kept."),
    ("unknown_assessment", "There is no assessment of this id."),
    ("unknown_choice", "The value is none of those that are allowed; `detail` lists them."),
    ("unknown_cohort", "The pack declares no cohort of this id."),
    ("unknown_comparison", "There is no such comparison; there are `gt`, `gte`, `lt` and `lte`."),
    ("unknown_customer", "There is no customer of this code or id."),
    ("unknown_employee", "There is no employee of this code or id."),
    ("unknown_field", "There is no such field here, or the pack declares none of this key."),
    ("unknown_kind", "The pack declares no such kind of transactions."),
    ("unknown_measure", "The kind of the transaction has no such measure."),
    ("unknown_metric", "The pack declares no such metric."),
    ("unknown_order", "Lists can't be sorted so; `detail` says how."),
    ("unknown_parameter", "The operation has no such parameter. Nothing is left out silently."),
    ("unknown_permission", "There is no such permission."),
    ("unknown_outcome", "The policy has no such outcome."),
    ("unknown_policy", "The pack has no such policy."),
    ("unknown_product", "There is no product of this code."),
    ("unknown_release", "There is no release of this digest."),
    ("unknown_role", "There is no such role."),
    ("unknown_run", "There is no run of this id."),
    ("unknown_user", "There is no user of this name."),
    ("unknown_section", "There is no such section of the customer file."),
    ("unused_column", "A column of the file isn't read; `detail` names the one that was perhaps meant."),
    ("wrong_password", "The present password is another."),
    ("wrong_section", "The field stands in another section, which `detail` names."),
    ("wrong_type", "The value is of another type than the one wanted: a text for a number, a list for an object."),
    ("zero_quantity", "A line has quantity 0, so it says nothing."),
];

/// Most faults that are told of one request or one item.
pub const MOST: usize = 100;
/// Faults that are told of many items together before each further item has one.
const MOST_TOGETHER: usize = 10_000;
/// Longest name or value that is quoted, in characters.
const SHOWN: usize = 60;
/// Longest key that is looked for among similar ones, in bytes.
const MAX_WORD: usize = 64;
/// Longest pointer and longest detail, in characters: whatever was sent, an error stays small.
const MAX_TEXT: usize = 2000;

/// One fault of a body, a row or a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// JSON pointer (RFC 6901) to the faulty part of the body, empty for the whole; of a parameter or a header its name.
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
        Self { pointer: cut(pointer.into(), MAX_TEXT), code: code.to_owned(), detail: cut(detail.into(), MAX_TEXT) }
    }

    /// The same fault, seen from one level further out: `/items/3` is put before its pointer.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }
}

/// The fault of a member that an object doesn't have, which may be one of `known` misspelt.
pub fn unknown_field<'a>(pointer: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Fault {
    let detail = format!("there is no '{}' here{}", excerpt(name), did_you_mean(name, known));
    Fault::new(pointer, "unknown_field", detail)
}

/// Whether there are more faults than are told, so that looking for others is of no use.
pub fn enough(faults: &[Fault]) -> bool {
    faults.len() > MOST
}

/// How many faults were told of many items that are answered together.
#[derive(Debug, Default)]
pub struct Told(usize);

impl Told {
    /// Those that are told of one more item.
    pub fn of(&mut self, mut faults: Vec<Fault>) -> Vec<Fault> {
        faults.truncate(if self.0 < MOST_TOGETHER { MOST } else { 1 });
        self.0 += faults.len();
        faults
    }
}

/// One segment of a JSON pointer, escaped as RFC 6901 wants it. Of a long key it has the beginning only.
pub fn pointer_segment(key: &str) -> String {
    format!("/{}", excerpt(key).replace('~', "~0").replace('/', "~1"))
}

/// The beginning of a text that goes into an error message.
pub fn excerpt(text: &str) -> String {
    cut(text.to_owned(), SHOWN)
}

/// A text of at most so many characters, with a mark where it was cut.
pub fn cut(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The candidate that is nearest to `word`, if one is near enough to be what was meant. A word longer than any name has none.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .filter(|candidate| word.len() <= MAX_WORD && candidate.len() <= MAX_WORD)
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

    #[test]
    fn what_was_sent_makes_no_long_errors() {
        assert_eq!(excerpt(&"ñ".repeat(60)), "ñ".repeat(60));
        assert_eq!(excerpt(&"ñ".repeat(61)), format!("{}…", "ñ".repeat(60)));
        assert_eq!(pointer_segment(&"~".repeat(1000)), format!("/{}…", "~0".repeat(60)));
        let long = "x".repeat(1_000_000);
        let fault = Fault::new(long.clone(), "unknown_field", long.clone());
        assert!(fault.pointer.len() < 3000 && fault.detail.len() < 3000);
        let almost = format!("{}y", "x".repeat(80));
        assert_eq!(nearest(&"x".repeat(81), [almost.as_str()]), None);
    }
}
