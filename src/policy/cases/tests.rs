//! How cases are read and compared.

use std::collections::BTreeMap;

use super::*;
use crate::policy::release;

const MANIFEST: &str = r#"
[pack]
id = "lending"
title = { en = "Library" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "book"
languages = ["en"]

[fields.branch]
section = "network"
type = "choice"
choices = ["north", "south"]
[fields.in_club]
section = "network"
type = "boolean"

[kinds.loan]
products = true
measures = ["quantity"]
[kinds.return]
products = true
subtracts_from = "loan"

[metrics.loans]
function = "sum"
kind = "loan"
measure = "quantity"
window = { full_months = 3 }
[metrics.recent]
function = "sum"
kind = "loan"
measure = "quantity"
window = { days = 10 }
[metrics.novels]
function = "sum"
kind = "loan"
measure = "quantity"
category = "NOVEL"
window = { full_months = 3 }

[cohorts.loans_of_all]
value = "loans"
cuts = { quantiles = ["0.5"] }

[policies.grade]
subject = "customer"
outcomes = ["1", "2", "3"]
cadence = "month"
entitlements = { books = { type = "decimal" }, club = { type = "boolean" } }

[policies.place]
subject = "customer"
outcomes = ["top", "rest"]
cadence = "month"
"#;

const GRADE: &str = r#"//! Grade.
const GRADES = bands([[20, "1"], [10, "2"]], "3");
const BOOKS = lookup(#{ "1": 2.50, "2": 1, "3": 0 });
fn decide(customer, context) {
    let grade = GRADES.of(customer.loans + customer.recent * 0 + customer.novels * 0);
    grade.entitle("books", BOOKS.of(grade.outcome)).entitle("club", customer.maybe.in_club ?? false)
}
"#;

const PLACE: &str = r#"//! Place.
fn decide(customer, context) {
    let class = context.cohorts.loans_of_all.class_of(customer.loans, ["rest", "top"]);
    if context.outcomes.grade == "1" { decision("top").because("first", #{}) } else { decision(class).because("class", #{}) }
}
"#;

const TEXTS: &str = r#"
fields = { branch = "Branch", in_club = "Club" }
choices.branch = { north = "North", south = "South" }
kinds = { loan = "Loan", return = "Return" }
measures.quantity = "Books"
metrics = { loans = "Loans", recent = "Recent", novels = "Novels" }
policies = { grade = "Grade", place = "Place" }
outcomes.grade = { 1 = "First", 2 = "Second", 3 = "Third" }
outcomes.place = { top = "Top", rest = "Rest" }
entitlements.grade = { books = "Books", club = "Club" }
reasons.place = { first = "First grade", class = "Class" }
"#;

fn source(cases: &[(&str, &str)]) -> Source {
    let mut files: BTreeMap<String, String> = [
        ("pack.toml", MANIFEST),
        ("policies/grade.rhai", GRADE),
        ("policies/place.rhai", PLACE),
        ("texts/en.toml", TEXTS),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()))
    .into();
    for (policy, text) in cases {
        files.insert(format!("cases/{policy}.toml"), (*text).to_owned());
    }
    Source::from_files(files).unwrap()
}

fn report(cases: &[(&str, &str)]) -> CaseReport {
    let source = source(cases);
    run(&release::load(&source).unwrap(), &source).unwrap()
}

/// The differences of the one case in a file for `policy`.
fn differences(policy: &str, case: &str) -> Vec<String> {
    let text = format!("[[case]]\nname = \"it\"\nas_of = \"2018-01-01\"\n{case}\n");
    let report = report(&[(policy, &text)]);
    assert_eq!(report.results.len(), 1);
    report.results[0].differences.clone()
}

/// Code, line and message of every fault of a file of cases.
fn faults(text: &str) -> Vec<(&'static str, usize, String)> {
    let source = source(&[("grade", text)]);
    let faults = run(&release::load(&source).unwrap(), &source).unwrap_err();
    faults.into_iter().map(|fault| (fault.code, fault.line.unwrap_or_default(), fault.message)).collect()
}

const METRICS: &str = "recent = 0, novels = 0";

#[test]
fn a_case_passes_when_all_that_it_names_is_as_expected() {
    let given = format!("given = {{ loans = \"20\", in_club = true, {METRICS} }}");
    let expect = "expect = { outcome = \"1\", entitlements = { books = \"2.5\", club = true }, reasons = [\"band\"] }";
    assert_eq!(differences("grade", &format!("{given}\n{expect}")), [""; 0]);
    // Numbers are compared as numbers, and what isn't named isn't compared.
    assert_eq!(differences("grade", &format!("{given}\nexpect = {{ entitlements = {{ books = 2.50 }} }}")), [""; 0]);
}

#[test]
fn every_difference_is_told_with_what_was_expected_and_what_came() {
    let case = format!(
        "given = {{ loans = 19, {METRICS} }}\n\
         expect = {{ outcome = \"1\", score = 5, entitlements = {{ books = 2, club = true }}, reasons = [\"band\", \"band\"] }}"
    );
    assert_eq!(
        differences("grade", &case),
        [
            "outcome: expected '1', got '2'",
            "score: expected 5, got none",
            "entitlement 'books': expected 2, got 1",
            "entitlement 'club': expected true, got false",
            "reasons: expected [band, band], got [band]",
        ]
    );
}

#[test]
fn an_error_can_be_what_is_expected() {
    assert_eq!(differences("grade", "expect = { error = \"loans\" }"), [""; 0]);
    let other = differences("grade", "expect = { error = \"licence\" }");
    assert!(other[0].starts_with("expected an error with 'licence', but the error is: "), "{other:?}");
    let none = differences("grade", "expect = { outcome = \"1\" }");
    assert!(none[0].starts_with("expected a decision, but there is an error: "), "{none:?}");
    let decided = differences("grade", &format!("given = {{ loans = 1, {METRICS} }}\nexpect = {{ error = \"x\" }}"));
    assert_eq!(decided, ["expected an error with 'x', but the outcome is '3'"]);
}

#[test]
fn metrics_are_computed_from_transactions_by_the_day() {
    let loan = |on: &str, quantity: u32| {
        format!("{{ kind = \"loan\", on = \"{on}\", product = \"P\", measures = {{ quantity = {quantity} }} }}")
    };
    let outcome = |transactions: &[String], outcome: &str| {
        let list = transactions.join(", ");
        differences("grade", &format!("transactions = [{list}]\nexpect = {{ outcome = \"{outcome}\" }}"))
    };
    // The three full months before 2018-01-01 begin on 2017-10-01 and end on 2017-12-31.
    assert_eq!(outcome(&[loan("2017-10-01", 12), loan("2017-12-31", 8)], "1"), [""; 0]);
    assert_eq!(outcome(&[loan("2017-09-30", 12), loan("2018-01-01", 8)], "3"), [""; 0]);
    let back = "{ kind = \"return\", on = \"2017-12-31\", product = \"P\", measures = { quantity = 1 } }".to_owned();
    assert_eq!(outcome(&[loan("2017-10-01", 20), back], "2"), [""; 0]);
    assert_eq!(outcome(&[], "3"), [""; 0]);
}

#[test]
fn outcomes_and_cohorts_are_given_with_the_case_or_the_defaults() {
    let text = r#"
[defaults]
as_of = "2018-01-01"
given = { loans = 5, branch = "north" }
outcomes = { grade = "2" }
cohorts = { loans_of_all = ["5"] }

[[case]]
name = "reaching the cut is top"
expect = { outcome = "top", reasons = ["class"] }

[[case]]
name = "one key of the case's own, the others from the defaults"
given = { loans = 4.999999 }
expect = { outcome = "rest" }

[[case]]
name = "of the first grade"
outcomes = { grade = "1" }
expect = { outcome = "top", reasons = ["first"] }
"#;
    let report = report(&[("place", text)]);
    assert_eq!(report.failures().collect::<Vec<_>>(), Vec::<&CaseResult>::new());
    assert_eq!(report.results.iter().map(|result| result.line).collect::<Vec<_>>(), [8, 12, 17]);
    assert_eq!(report.untested, ["grade"]);
}

#[test]
fn faults_in_cases_are_told_together_with_their_lines() {
    let text = r#"
[defaults]
as_of = "2018-01-01"
[[case]]
name = "a"
given = { lones = "20", branch = "east", in_club = "perhaps" }
cohorts = { loans_of_all = ["1", "2"], loans = ["1"] }
outcomes = { place = "first" }
expect = { outcome = "4", reason = ["band"], reasons = ["bands"], entitlements = { book = 1 } }
[[case]]
name = "a"
transactions = [{ kind = "lone", on = "2017-12-31", measures = { quantity = 1 } }, { kind = "loan", on = "2017-12-31", measures = { quantiti = 1 } }]
expect = {}
[[case]]
name = "b"
transactions = [{ kind = "loan", on = "2017-12-31", product = "P", measures = { quantity = -1 } }]
expect = { outcome = "1" }
"#;
    let told: Vec<_> = faults(text).into_iter().map(|(code, line, _)| (line, code)).collect();
    let expected = [
        (6, "unknown_field"),
        (6, "unknown_choice"),
        (6, "wrong_type"),
        (7, "cuts"),
        (7, "unknown_cohort"),
        (8, "unknown_outcome"),
        (9, "unknown_outcome"),
        (9, "unknown_key"),
        (9, "unknown_reason"),
        (9, "unknown_entitlement"),
        (11, "doubled"),
        (12, "unknown_kind"),
        (12, "product"),
        (12, "unknown_measure"),
        (13, "missing"),
        (16, "out_of_range"),
    ];
    for fault in expected {
        assert!(told.contains(&fault), "{fault:?} is missing in {told:#?}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
}

#[test]
fn a_case_says_when_and_what_it_expects() {
    let told = faults("[[case]]\nname = \"a\"\n");
    let messages: Vec<&str> = told.iter().map(|(_, _, message)| message.as_str()).collect();
    assert_eq!(messages, ["a case needs 'expect'", "a case needs 'as_of', here or in [defaults]"]);
    assert_eq!(faults("[defaults]\nasof = 1\n")[0].0, "unknown_key");
}

#[test]
fn cases_of_no_policy_are_a_fault() {
    let source = source(&[("grades", "")]);
    let faults = run(&release::load(&source).unwrap(), &source).unwrap_err();
    assert_eq!((faults[0].file.as_str(), faults[0].code), ("cases/grades.toml", "unknown_policy"));
    assert!(faults[0].message.contains("did you mean 'grade'?"), "{}", faults[0].message);
}
