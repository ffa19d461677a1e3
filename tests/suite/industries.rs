//! No code knows an industry: whatever belongs to one stands in its pack.

use std::fs;
use std::path::Path;

use regex::Regex;

use crate::imports::files_below;

/// Words of one industry or another that say nothing else in a customer file.
const WORDS: [&str; 12] = [
    r"tobacco",
    r"cigar",
    r"carton",
    r"retailer",
    r"wholesale",
    r"automobile",
    r"dealer",
    r"vehicle",
    r"real[ _-]?estate",
    r"power[ _-]?supply",
    r"electric",
    r"kwh",
];

/// The words found, each with its line's number.
fn found(text: &str) -> Vec<(usize, String)> {
    let words = Regex::new(&format!("(?i){}", WORDS.join("|"))).unwrap();
    let lines = text.lines().zip(1..);
    lines.flat_map(|(line, number)| words.find_iter(line).map(move |word| (number, word.as_str().to_owned()))).collect()
}

#[test]
fn no_source_and_no_migration_names_an_industry() {
    let mut files = files_below("src", "rs");
    files.extend(files_below("migrations", "sql"));
    assert!(files.len() >= 60, "only {} files were seen", files.len());
    let told: Vec<_> = files
        .iter()
        .flat_map(|file| {
            let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
            found(&text).into_iter().map(move |(line, word)| format!("{}:{line}: {word}", file.display()))
        })
        .collect();
    assert!(told.is_empty(), "words of an industry belong into its pack:\n  {}", told.join("\n  "));
}

#[test]
fn words_are_found_in_any_case_and_inside_names() {
    assert_eq!(found("plain\nlet x = TobaccoShop;"), [(2, "Tobacco".to_owned())]);
    assert_eq!(found("meter_kWh, REAL_ESTATE").len(), 2);
    assert_eq!(found("a restated parameter of the detailed ideal"), []);
}
