//! Every fault of what a sample generates is told, where it stands.

use super::{GENERATE, read};

/// Line and code of each fault of the sample in which one piece of text stands for another.
#[track_caller]
fn told(piece: &str, instead: &str) -> Vec<(String, &'static str)> {
    assert!(GENERATE.contains(piece), "{piece}");
    let text = GENERATE.replacen(piece, instead, 1);
    let faults = read(&text).unwrap_err();
    let line = |number: usize| text.lines().nth(number - 1).unwrap_or_default().to_owned();
    faults.iter().map(|fault| (line(fault.line.unwrap()), fault.code)).collect()
}

#[track_caller]
fn one(piece: &str, instead: &str, at: &str, code: &str) {
    let told = told(piece, instead);
    assert!(told.iter().any(|(line, told)| line.contains(at) && *told == code), "{told:?}");
}

#[test]
fn faults_are_told_where_they_stand() {
    one("lognormal = [1, 2]", "lognormal = [1]", "lognormal = [1]", "wrong_type");
    one("lognormal = [1, 2]", "lognormla = [1, 2]", "size", "missing");
    one("lognormal = [1, 2]", "lognormal = [1, 2]\nof = \"market\"", "of =", "doubled");
    one("of = \"size\"\ntimes = [40]", "of = \"sice\"", "sice", "unknown_key");
    one("of = \"size\"\ntimes = [40]", "of = \"branch\"", "of = \"branch\"", "wrong_type");
    one("of = \"size\"\ntimes = [40]", "of = \"opened_on\"", "of = \"opened_on\"", "unknown_key");
    one("town = 7", "twon = 7", "twon", "unknown_choice");
    one("is = { calm =", "is = { clam =", "clam", "unknown_choice");
    one("value = \"mobile\"", "value = \"mobil\"", "mobil", "unknown_choice");
    one("[generate.fields.member]", "[generate.fields.membre]", "membre", "unknown_field");
    one("chance = { by = \"temper\"", "chances = { by = \"temper\"", "member", "missing");
    one("{digits:8}", "{digits}{famly}", "famly", "unknown_placeholder");
    one("{digits:8}", "{digits:x}", "digits:x", "pattern");
    one("code = \"C{number:6}\"", "code = \"C{digits:6}\"", "digits:6", "pattern");
    one("follows = \"loan\"", "follows = \"reading\"", "follows", "unknown_kind");
    one("[generate.transactions.reading]", "[generate.transactions.raeding]", "raeding", "unknown_kind");
    one("measures.on_time_amount", "measures.in_time_amount", "in_time_amount", "unknown_measure");
    one("peak = { uniform", "total = { uniform", "total = {", "doubled");
    one("\"0.5\", 1, 1, 1,", "1, 1, 1,", "seasons", "wrong_type");
    one("day = [25, 28]", "day = [25, 31]", "day", "out_of_range");
    one("code = \"P2\"", "code = \"P1\"", "[[generate.products]]", "doubled");
    one("customers = 30", "customers = 0", "customers", "out_of_range");
    one("silent = {", "silnet = {", "silnet", "unknown_key");
    one("[generate.hidden.size]", "[generate.hidden.season]", "season", "doubled");
    one("[generate.fields.opened_on]", "[generate.fields.opened_at]", "[generate", "missing");
}

#[test]
fn a_field_that_does_not_take_what_is_made_is_told() {
    one("\"+34 6{digits:8}\"", "\"call {family}\"", "[generate.fields.phone]", "phone");
    one(
        "weights = { town = 7, village = 3 }",
        "weights = { town = 7, village = 3 }\nabsent = \"0.5\"",
        "[generate.fields.market]",
        "required",
    );
}

#[test]
fn faults_are_told_together() {
    let text =
        GENERATE.replace("town = 7", "twon = 7").replace("regular = true", "regular = 1").replace("2025-01-01", "2025");
    let told: Vec<_> = read(&text).unwrap_err().iter().map(|fault| fault.code).collect();
    assert_eq!(told.len(), 3, "{told:?}");
}
