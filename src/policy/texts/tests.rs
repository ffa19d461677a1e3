//! What a pack's texts must have, and the sentences they make.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::policy::diagnostic::Diagnostic;
use crate::policy::manifest;
use crate::policy::pack::Pack;
use crate::policy::source::Source;

const MANIFEST: &str = r#"
[pack]
id = "lending"
title = { en = "Library", es = "Biblioteca" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "loan"
languages = ["en", "es"]

[fields.branch]
section = "network"
type = "choice"
choices = ["north", "south"]

[kinds.loan]
measures = ["quantity"]

[policies.grade]
subject = "customer"
outcomes = ["1", "2"]
cadence = "month"
indicators = ["use"]

[policies.shelf]
subject = "customer"
cells = [["a", "b"], ["x", "y"]]
cadence = "month"
"#;

const ENGLISH: &str = r#"
[fields]
branch = "Branch"
[choices.branch]
north = "North"
south = "South"
[kinds]
loan = "Loan"
[measures]
quantity = "Books"
[policies]
grade = "Grade"
shelf = "Shelf"
[outcomes.grade]
1 = "First"
2 = "Second"
[outcomes.shelf]
a = "Aisle A"
b = "Aisle B"
x = "left"
y = "right"
[indicators.grade]
use = "Use"
[reasons.grade]
late = "{days} days late: grade {outcome}"
band_first = "{value} books, the best"
"#;

const SPANISH: &str = r#"
fields = { branch = "Sucursal" }
choices.branch = { north = "Norte", south = "Sur" }
kinds.loan = "Préstamo"
measures.quantity = "Libros"
policies = { grade = "Grado", shelf = "Estante" }
outcomes.grade = { 1 = "Primero", 2 = "Segundo" }
outcomes.shelf = { a = "Pasillo A", b = "Pasillo B", x = "izquierda", y = "derecha" }
indicators.grade.use = "Uso"
reasons.grade.late = "{days} días tarde"
"#;

fn texts(english: &str, spanish: &str) -> (Texts, Vec<Diagnostic>) {
    let files = [("pack.toml", MANIFEST), ("texts/en.toml", english), ("texts/es.toml", spanish)];
    let files = files.iter().filter(|(_, text)| !text.is_empty());
    let source = Source::from_files(files.map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect()).unwrap();
    let pack: Pack = manifest::parse(&source).unwrap();
    let values = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let grade = BTreeMap::from([
        ("late".to_owned(), values(&["days"])),
        (BAND.to_owned(), values(&["value", "from", "next", "next_outcome"])),
        (WEIGHT_SPREAD.to_owned(), values(&["indicator"])),
    ]);
    let given = Given::from([("grade".to_owned(), grade), ("shelf".to_owned(), BTreeMap::new())]);
    read(&source, &pack, &BTreeSet::new(), &given)
}

fn told(english: &str, spanish: &str) -> Vec<(String, &'static str, String)> {
    texts(english, spanish).1.into_iter().map(|fault| (fault.file, fault.code, fault.message)).collect()
}

fn reason(code: &str, values: &[(&str, &str)]) -> Reason {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Reason { code: code.to_owned(), values }
}

#[test]
fn labels_come_in_the_language_asked_for_else_in_the_first() {
    let (texts, faults) = texts(ENGLISH, SPANISH);
    assert_eq!(faults, []);
    assert_eq!(texts.label(LabelKind::Field, "branch", "es"), "Sucursal");
    assert_eq!(texts.label(LabelKind::Field, "branch", "es-MX"), "Sucursal");
    assert_eq!(texts.label(LabelKind::Field, "branch", "fr"), "Branch");
    assert_eq!(texts.label(LabelKind::Field, "unheard_of", "es"), "unheard_of");
    assert_eq!(texts.label_of(LabelKind::Choice, "branch", "south", "es"), "Sur");
    assert_eq!(texts.label_of(LabelKind::Outcome, "grade", "1", "en"), "First");
}

#[test]
fn the_label_of_a_cell_is_made_of_its_parts() {
    let (texts, _) = texts(ENGLISH, SPANISH);
    assert_eq!(texts.label_of(LabelKind::Outcome, "shelf", "a_y", "en"), "Aisle A · right");
    assert_eq!(texts.label_of(LabelKind::Outcome, "shelf", "b_x", "es"), "Pasillo B · izquierda");
}

#[test]
fn reasons_become_sentences() {
    let (texts, _) = texts(ENGLISH, SPANISH);
    let sentence = |reason: &Reason, language| texts.reason("grade", reason, "2", language);
    let late = reason("late", &[("days", "12.5")]);
    assert_eq!(sentence(&late, "en"), "12.5 days late: grade 2");
    assert_eq!(sentence(&late, "es"), "12.5 días tarde");
    assert_eq!(sentence(&reason("late", &[]), "es"), "– días tarde");
    let first = reason(BAND, &[("value", "25"), ("from", "20")]);
    assert_eq!(sentence(&first, "en"), "25 books, the best");
    // Where the pack has none in any of the two languages, Baremo's own stand.
    let middle = reason(BAND, &[("value", "17"), ("from", "15"), ("next", "20"), ("next_outcome", "1")]);
    assert_eq!(sentence(&middle, "es"), "17: este tramo empieza en 15 y el siguiente, más alto, en 20");
    let last = reason(BAND, &[("value", "1"), ("next", "15"), ("next_outcome", "1")]);
    assert_eq!(sentence(&last, "en"), "1: this is the lowest band, the next higher one begins at 15");
    let spread = reason(WEIGHT_SPREAD, &[("indicator", "use")]);
    assert!(sentence(&spread, "es").contains("«Uso»"));
    assert_eq!(sentence(&reason("unheard_of", &[]), "en"), "unheard_of");
}

#[test]
fn missing_and_unneeded_texts_are_told_for_each_language() {
    let english = ENGLISH.replace("south = \"South\"\n", "").replace("loan = ", "lone = ");
    let spanish = SPANISH.replace("reasons.grade.late = \"{days} días tarde\"", "");
    let faults = told(&english, &spanish);
    let expected = [
        ("texts/en.toml", "missing_text", "the text 'south' is missing in [choices.branch]"),
        ("texts/en.toml", "unknown_text", "nothing needs the text 'lone' in [kinds]; did you mean 'loan'?"),
        ("texts/en.toml", "missing_text", "the text 'loan' is missing in [kinds]"),
        ("texts/es.toml", "missing_text", "the text 'late' is missing in [reasons.grade]"),
    ];
    let expected = expected.map(|(file, code, message)| (file.to_owned(), code, message.to_owned()));
    assert_eq!(faults, expected);
}

#[test]
fn a_placeholder_must_be_a_value_of_its_reason() {
    let english = ENGLISH.replace("{days}", "{day}").replace("{value} books", "{next} books");
    let faults = told(&english, SPANISH);
    let messages: Vec<&str> = faults.iter().map(|(_, _, message)| message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "the reason 'band_first' has no value 'next', only from, outcome, value",
            "the reason 'late' has no value 'day', only days, outcome; did you mean 'days'?",
        ]
    );
    let faults = told(&ENGLISH.replace("{days} days", "{days days"), SPANISH);
    assert_eq!((faults.len(), faults[0].1), (1, "placeholder"));
}

#[test]
fn a_language_without_a_file_and_a_misspelt_section_are_told() {
    let faults = told(&ENGLISH.replace("[indicators.grade]", "[indicator.grade]"), "");
    let codes: Vec<_> = faults.iter().map(|(file, code, _)| (file.as_str(), *code)).collect();
    let expected =
        [("texts/en.toml", "missing_text"), ("texts/en.toml", "unknown_key"), ("texts/es.toml", "missing_texts")];
    assert_eq!(codes, expected);
    assert!(faults[1].2.contains("did you mean 'indicators'?"), "{}", faults[1].2);
}
