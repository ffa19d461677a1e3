//! What a manifest says, and how its faults are told.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::*;
use crate::customers::model::{FieldType, Section};
use crate::policy::pack::{Cadence, CutRule, EntitlementType};

const GOOD: &str = r#"
[pack]
id = "lending"
title = { en = "Lending library", es = "Biblioteca" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "loan"
languages = ["en", "es"]
opening_field = "joined_on"

[fields.joined_on]
section = "basic"
type = "date"

[fields.branch]
section = "network"
type = "choice"
choices = ["north", "south"]
filterable = true

[fields.floor_area]
section = "network"
type = "decimal"
min = "0.5"
max = 100
maintenance = "dynamic"

[kinds.loan]
products = true
measures = ["quantity", "amount"]

[kinds.return]
products = true
subtracts_from = "loan"

[metrics.monthly_loans]
function = "mean_per_month"
kind = "loan"
measure = "quantity"
window = { full_months = 3 }
unit = "loan"

[cohorts.loans_in_branch]
value = "monthly_loans"
group = ["branch"]
minimum = 20
cuts = { quantiles = ["0.5", "0.8"] }
population = { branch = ["north"] }

[policies.reader_grade]
subject = "customer"
outcomes = ["1", "2"]
cadence = "month"
indicators = ["use"]
entitlements = { books = { type = "integer", unit = "book" } }

[policies.shelf]
subject = "customer"
cells = [["a", "b"], ["x", "y", "z"]]
cadence = "continuous"
"#;

fn source(manifest: &str) -> Source {
    Source::from_files(BTreeMap::from([(MANIFEST.to_owned(), manifest.to_owned())])).unwrap()
}

/// Code, line and message of each fault of the good manifest with something replaced.
fn faults_with(replacements: &[(&str, &str)]) -> Vec<(&'static str, usize, String)> {
    let mut manifest = GOOD.to_owned();
    for (from, to) in replacements {
        assert!(manifest.contains(from), "{from}");
        manifest = manifest.replacen(from, to, 1);
    }
    let faults = parse(&source(&manifest)).unwrap_err();
    faults.into_iter().map(|fault| (fault.code, fault.line.unwrap_or_default(), fault.message)).collect()
}

fn one_fault(from: &str, to: &str) -> (&'static str, String) {
    let faults = faults_with(&[(from, to)]);
    let [(code, _, message)] = faults.as_slice() else { panic!("{faults:#?}") };
    (*code, message.clone())
}

#[test]
fn a_manifest_becomes_declarations() {
    let pack = parse(&source(GOOD)).unwrap();
    assert_eq!((pack.id.as_str(), pack.currency.as_str(), pack.closes_after), ("lending", "EUR", 0));
    assert_eq!(pack.time_zone.iana_name(), Some("Europe/Madrid"));
    assert_eq!(pack.languages, ["en", "es"]);
    let fields: Vec<_> = pack.fields.iter().map(|(key, field)| (key, field.section, field.field_type)).collect();
    assert_eq!(
        fields,
        [
            ("joined_on", Section::Basic, FieldType::Date),
            ("branch", Section::Network, FieldType::Choice),
            ("floor_area", Section::Network, FieldType::Decimal),
        ]
    );
    let area = pack.fields.get("floor_area").unwrap();
    assert_eq!((area.min, area.max), (Some(Decimal::new(5, 1)), Some(Decimal::from(100))));
    assert_eq!(pack.definitions.measures("return"), ["quantity", "amount"]);
    let cohort = &pack.cohorts["loans_in_branch"];
    assert_eq!(cohort.cuts, CutRule::Quantiles(vec![Decimal::new(5, 1), Decimal::new(8, 1)]));
    assert_eq!(cohort.population["branch"], ["north"]);
    let grade = &pack.policies["reader_grade"];
    assert_eq!(
        (grade.cadence, grade.entitlements["books"].entitlement_type),
        (Cadence::Month, EntitlementType::Integer)
    );
    assert_eq!(pack.policies["shelf"].outcomes, ["a_x", "a_y", "a_z", "b_x", "b_y", "b_z"]);
    assert_eq!(pack.policies.keys().collect::<Vec<_>>(), ["reader_grade", "shelf"]);
}

#[test]
fn all_faults_are_told_together_in_the_order_of_the_file() {
    let faults = faults_with(&[
        ("Europe/Madrid", "Europe/Madrit"),
        ("filterable = true", "filtrable = true"),
        ("max = 100", "max = 0"),
        ("measure = \"quantity\"", "measure = \"quantty\""),
        ("group = [\"branch\"]", "group = [\"brnch\"]"),
        ("outcomes = [\"1\", \"2\"]", "outcomes = [\"1\", \"1\"]"),
    ]);
    let told: Vec<_> = faults.iter().map(|(code, line, _)| (*code, *line)).collect();
    let expected = [
        ("time_zone", 6),
        ("unknown_key", 20),
        ("out_of_range", 25),
        ("unknown_measure", 40),
        ("unknown_field", 46),
        ("doubled", 53),
    ];
    // `branch` is faulty itself here (its unknown key), so that only the misspelt name is told, not the right one.
    assert_eq!(told, expected, "{faults:#?}");
    assert!(faults[0].2.contains("did you mean 'Europe/Madrid'?"), "{}", faults[0].2);
    assert!(faults[1].2.contains("did you mean 'filterable'?"), "{}", faults[1].2);
    assert!(faults[3].2.contains("did you mean 'quantity'?"), "{}", faults[3].2);
}

#[test]
fn a_fault_shows_its_line_and_column() {
    let manifest = GOOD.replacen("type = \"date\"", "type = \"dates\"", 1);
    let faults = parse(&source(&manifest)).unwrap_err();
    let shown = faults[0].to_string();
    assert!(shown.contains("--> pack.toml:14:8"), "{shown}");
    assert!(shown.contains("14 | type = \"dates\""), "{shown}");
    assert!(shown.contains("'dates' is not one of text, choice, choices, boolean"), "{shown}");
    assert!(shown.contains("did you mean 'date'?"), "{shown}");
}

#[test]
fn a_faulty_declaration_is_told_once_and_not_by_those_who_name_it() {
    let (code, message) = one_fault("type = \"choice\"\n", "type = \"choise\"\n");
    assert_eq!(code, "wrong_type", "{message}");
    let (code, _) = one_fault("products = true\nmeasures", "products = 1\nmeasures");
    assert_eq!(code, "wrong_type");
    let (code, message) = one_fault("function = \"mean_per_month\"", "function = \"mean_by_month\"");
    assert_eq!(code, "wrong_type");
    assert!(message.contains("mean_per_month"), "{message}");
}

#[test]
fn each_rule_of_the_contract_has_its_fault() {
    let cases = [
        ("contract = 1", "contract = 2", "contract", "contract 1, not 2"),
        ("currency = \"EUR\"", "currency = \"euro\"", "currency", "EUR"),
        ("id = \"lending\"", "id = \"Lending\"", "key", "lower-case"),
        ("unit = \"loan\"\nlanguages", "languages", "missing", "[pack] needs 'unit'"),
        (", es = \"Biblioteca\"", "", "missing", "'es'"),
        ("\"en\", \"es\"", "\"en\", \"es\", \"en\"", "doubled", "'en'"),
        ("opening_field = \"joined_on\"", "opening_field = \"branch\"", "unknown_field", "date"),
        ("choices = [\"north\", \"south\"]\n", "", "missing", "needs 'choices'"),
        ("\"north\", \"south\"", "\"north\", \"north\"", "doubled", "'north'"),
        ("type = \"date\"", "type = \"date\"\nchoices = [\"a\"]", "wrong_type", "choices"),
        ("type = \"date\"", "type = \"date\"\npattern = \"x\"", "wrong_type", "texts"),
        ("type = \"date\"", "type = \"text\"\npattern = \"(\"", "wrong_type", "regex"),
        ("min = \"0.5\"", "min = \"abc\"", "wrong_type", "'abc' is not a decimal number"),
        ("maintenance = \"dynamic\"", "maintenance = \"derived\"", "derived", "[metrics.floor_area]"),
        ("[fields.floor_area]", "[fields.FloorArea]", "key", "FloorArea"),
        ("[fields.floor_area]", "[fields.until]", "key", "'until' is a word of the script language"),
        ("[fields.floor_area]", "[fields.switch]", "key", "'switch' is a word of the script language"),
        ("[policies.shelf]", "[policies.this]", "key", "'this' is a word of the script language"),
        ("[fields.floor_area]", "[fields.status]", "reserved", "status"),
        ("[fields.floor_area]", "[fields.monthly_loans]", "doubled", "already the key of a field"),
        ("measures = [\"quantity\", \"amount\"]", "measures = [\"quantity\", \"order\"]", "reserved", "order"),
        ("full_months = 3", "full_months = 0", "window", "1 to 60"),
        ("full_months = 3", "months = 3", "wrong_type", "full_months"),
        ("value = \"monthly_loans\"", "value = \"monthly_loan\"", "unknown_field", "did you mean 'monthly_loans'?"),
        ("value = \"monthly_loans\"", "value = \"joined_on\"", "wrong_type", "not a number"),
        ("group = [\"branch\"]", "group = [\"floor_area\"]", "wrong_type", "makes no groups"),
        ("[\"0.5\", \"0.8\"]", "[\"0.8\", \"0.5\"]", "cuts", "ascending"),
        ("[\"0.5\", \"0.8\"]", "[\"0.5\", \"1\"]", "cuts", "between 0 and 1"),
        ("quantiles = [\"0.5\", \"0.8\"]", "ranks = true, pareto = [\"0.8\"]", "cuts", "one of"),
        ("branch = [\"north\"]", "branch = [\"nord\"]", "unknown_choice", "north, south"),
        ("outcomes = [\"1\", \"2\"]\n", "", "missing", "'outcomes' or 'cells'"),
        ("outcomes = [\"1\", \"2\"]", "outcomes = []", "outcomes", "1 to 1000"),
        ("cadence = \"month\"", "cadence = \"week\"", "wrong_type", "'week' is not one of continuous, month"),
        ("[\"a\", \"b\"], [\"x\", \"y\", \"z\"]", "[\"a\", \"a_b\"], [\"b_c\", \"c\"]", "doubled", "a_b_c"),
        ("[\"a\", \"b\"], [\"x\", \"y\", \"z\"]", "", "outcomes", "at least one"),
        ("type = \"integer\"", "type = \"int\"", "wrong_type", "did you mean 'integer'?"),
        ("unit = \"book\"", "units = \"book\"", "unknown_key", "did you mean 'unit'?"),
        ("[policies.shelf]", "[polices.shelf]", "unknown_key", "did you mean 'policies'?"),
    ];
    let mut unlike = Vec::new();
    for (from, to, code, part) in cases {
        let faults = faults_with(&[(from, to)]);
        let as_wanted = |(found, _, message): &(&str, usize, String)| *found == code && message.contains(part);
        if faults.len() != 1 || !faults.iter().all(as_wanted) {
            unlike.push(format!("{from} → {to} should give {code} {part}: {faults:#?}"));
        }
    }
    assert!(unlike.is_empty(), "{}", unlike.join("\n"));
}

#[test]
fn a_field_is_renamed_from_a_key_that_is_gone() {
    let renamed = |old: &str| ("filterable = true".to_owned(), format!("filterable = true\nrenamed_from = \"{old}\""));
    for (old, part) in [("branch", "still declared"), ("monthly_loans", "still declared"), ("Old", "Old")] {
        let (from, to) = renamed(old);
        let (_, message) = one_fault(&from, &to);
        assert!(message.contains(part), "{message}");
    }
    let (from, to) = renamed("shop");
    let both = faults_with(&[(&from, &to), ("min = \"0.5\"", "min = \"0.5\"\nrenamed_from = \"shop\"")]);
    assert_eq!(both.iter().map(|(code, line, _)| (*code, *line)).collect::<Vec<_>>(), [("renamed_from", 27)]);
    let pack = parse(&source(&GOOD.replacen(&from, &to, 1))).unwrap();
    assert_eq!(pack.fields.taking("shop").map(|(key, _)| key), Some("branch"));
}

#[test]
fn a_section_that_stands_twice_is_refused() {
    let faults = faults_with(&[("[fields.floor_area]", "[fields.branch]")]);
    assert_eq!(faults[0], ("doubled", 22, "'branch' stands twice".to_owned()));
}

#[test]
fn more_cells_than_a_thousand_are_refused() {
    let part: Vec<String> = (0..32).map(|n| format!("\"p{n}\"")).collect();
    let part = format!("[{}]", part.join(", "));
    let (code, message) = one_fault("[\"a\", \"b\"], [\"x\", \"y\", \"z\"]", &format!("{part}, {part}"));
    assert_eq!(code, "outcomes");
    assert!(message.contains("1024"), "{message}");
}

#[test]
fn faults_of_syntax_are_told_all() {
    let faults = faults_with(&[("currency = \"EUR\"", "currency = EUR"), ("minimum = 20", "minimum = = 20")]);
    let lines: Vec<usize> = faults.iter().map(|(_, line, _)| *line).collect();
    assert!(lines.contains(&7) && lines.contains(&47), "{faults:#?}");
    assert!(faults.iter().all(|(code, _, _)| *code == "syntax"), "{faults:#?}");
}

#[test]
fn an_empty_manifest_lacks_its_sections() {
    let faults = parse(&source("")).unwrap_err();
    let messages: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
    assert_eq!(messages, ["the manifest declares no policies: [policies.<id>]", "the manifest needs 'pack'"],);
}

/// The good manifest with more at its end, and a general policy beside it.
fn with_general(more: &str, declared: &str) -> Result<Pack, Vec<(String, &'static str, String)>> {
    let files = [
        (MANIFEST, format!("{GOOD}\n{more}")),
        ("common/ranked/policy.toml", declared.to_owned()),
        ("common/ranked/policy.rhai", String::new()),
    ];
    let source = Source::from_files(files.map(|(path, text)| (path.to_owned(), text)).into()).unwrap();
    parse(&source).map_err(|faults| faults.into_iter().map(|fault| (fault.file, fault.code, fault.message)).collect())
}

#[test]
fn a_general_policy_brings_its_declaration_and_its_cohorts() {
    let declared = "subject = \"customer\"\noutcomes = [\"a\", \"b\"]\ncadence = \"month\"\n\
        [cohorts.thirds]\nvalue = \"monthly_loans\"\ncuts = { quantiles = [\"0.5\"] }\n";
    let pack = with_general("[policies.ranked]\ncommon = true\ncadence = \"year\"\n", declared).unwrap();
    let ranked = &pack.policies["ranked"];
    assert_eq!((ranked.common, ranked.cadence, ranked.outcomes.len()), (true, Cadence::Year, 2));
    assert_eq!(ranked.script_path("ranked"), "common/ranked/policy.rhai");
    assert!(pack.cohorts.contains_key("thirds"));
    let faults = |more: &str, declared: &str| {
        let faults = with_general(more, declared).unwrap_err();
        faults.into_iter().map(|(file, code, _)| format!("{file} {code}")).collect::<Vec<_>>()
    };
    let taken = "[policies.ranked]\ncommon = true\n";
    assert_eq!(faults("[policies.ranket]\ncommon = true\n", declared), ["pack.toml unknown_policy"]);
    assert_eq!(faults(&format!("{taken}outcomes = [\"a\"]\n"), declared), ["pack.toml unknown_key"]);
    assert_eq!(
        faults(taken, &declared.replace("monthly_loans", "monthly_loan")),
        ["common/ranked/policy.toml unknown_field"]
    );
    assert_eq!(faults(taken, &declared.replace("\"month\"", "\"week\"")), ["common/ranked/policy.toml wrong_type"]);
}

#[test]
fn who_may_decide_otherwise_or_appeal_is_declared_with_days() {
    let pack = parse(&source(GOOD)).unwrap();
    // What entitles to something is never overridden: its script doesn't know what stands.
    let of = |pack: &Pack, policy: &str| (pack.policies[policy].overridable, pack.policies[policy].appealable);
    assert_eq!((of(&pack, "reader_grade"), of(&pack, "shelf")), ((false, true), (true, true)));
    assert_eq!((pack.overrides.longest, pack.overrides.warn_after), (366, 30));
    let parsed = |more: &str| parse(&source(&format!("{GOOD}\n{more}")));
    let pack =
        parsed("[overrides]\npolicies = []\nlongest = 90\n[appeals]\npolicies = [\"shelf\"]\nanswer_within = 5\n")
            .unwrap();
    assert_eq!((of(&pack, "reader_grade"), of(&pack, "shelf")), ((false, false), (false, true)));
    assert_eq!((pack.overrides.longest, pack.appeals.file_within, pack.appeals.answer_within), (90, 30, 5));
    let code = |more: &str| parsed(more).unwrap_err()[0].code;
    assert_eq!(code("[overrides]\npolicies = [\"reader_grade\"]\n"), "overrides");
    assert_eq!(code("[overrides]\npolicies = [\"shelv\"]\n"), "unknown_policy");
    assert_eq!(code("[appeals]\nfile_within = 0\n"), "out_of_range");
}
