//! What is refused when a pack is loaded, and that nothing is kept back.

use std::collections::BTreeMap;

use super::*;

const MANIFEST: &str = r#"
[pack]
id = "lending"
title = { en = "Library" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "book"
languages = ["en"]

[fields.floor_area]
section = "network"
type = "decimal"

[policies.grade]
subject = "customer"
outcomes = ["1", "2"]
cadence = "month"
"#;

const SCRIPT: &str = r#"//! Grade.
const GRADES = bands([[20, "1"]], "2");
fn decide(customer, context) {
    GRADES.of(customer.floor_area).because("area", #{ area: customer.floor_area })
}
"#;

const TEXTS: &str = r#"
fields.floor_area = "Floor area"
policies.grade = "Grade"
outcomes.grade = { 1 = "First", 2 = "Second" }
reasons.grade.area = "{area} m²: {outcome}"
"#;

const CASES: &str = r#"
[defaults]
as_of = "2018-01-01"
[[case]]
name = "20 is first"
given = { floor_area = 20 }
expect = { outcome = "1" }
"#;

fn files() -> BTreeMap<String, String> {
    [("pack.toml", MANIFEST), ("policies/grade.rhai", SCRIPT), ("texts/en.toml", TEXTS), ("cases/grade.toml", CASES)]
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .into()
}

type Told = (String, &'static str, Option<usize>, String);

/// File, code, line and message of each fault of the good pack with texts replaced in files.
fn faults_with(replacements: &[(&str, &str, &str)]) -> Vec<Told> {
    let mut files = files();
    for (path, from, to) in replacements {
        let text = files.get_mut(*path).unwrap();
        assert!(text.contains(from), "{from}");
        *text = text.replacen(from, to, 1);
    }
    let faults = check(&Source::from_files(files).unwrap()).unwrap_err();
    faults.into_iter().map(|fault| (fault.file, fault.code, fault.line, fault.message)).collect()
}

fn files_of(faults: &[Told]) -> Vec<&str> {
    faults.iter().map(|(file, ..)| file.as_str()).collect()
}

#[test]
fn a_sound_pack_is_loaded_and_can_be_shared_by_threads() {
    fn shared<T: Send + Sync>(value: T) -> T {
        value
    }
    let source = Source::from_files(files()).unwrap();
    let loaded = shared(check(&source).unwrap());
    assert_eq!(loaded.digest, source.digest());
    assert_eq!(load(&source).unwrap().pack.id, "lending");
}

#[test]
fn a_misspelt_field_is_told_with_the_nearest_name() {
    let faults = faults_with(&[("policies/grade.rhai", "customer.floor_area)", "customer.flor_area)")]);
    assert_eq!(files_of(&faults), ["policies/grade.rhai"], "{faults:#?}");
    assert_eq!(faults[0].2, Some(4));
    assert!(faults[0].3.contains("floor_area"), "{}", faults[0].3);
}

#[test]
fn a_fault_of_syntax_has_its_line() {
    let faults = faults_with(&[("policies/grade.rhai", "GRADES.of(", "GRADES.of((")]);
    assert_eq!(files_of(&faults), ["policies/grade.rhai"], "{faults:#?}");
    assert!(faults[0].2.is_some(), "{faults:#?}");
}

#[test]
fn faults_of_different_files_are_told_together_by_file_and_line() {
    let faults = faults_with(&[
        ("pack.toml", "Europe/Madrid", "Europe/Madird"),
        ("policies/grade.rhai", "customer.floor_area)", "customer.flor_area)"),
        ("texts/en.toml", "policies.grade = \"Grade\"", ""),
    ]);
    assert_eq!(files_of(&faults), ["pack.toml", "policies/grade.rhai", "texts/en.toml"], "{faults:#?}");
}

#[test]
fn what_names_a_faulty_declaration_is_not_told_as_well() {
    let faults = faults_with(&[("pack.toml", "type = \"decimal\"", "type = \"decimals\"")]);
    assert_eq!(files_of(&faults), ["pack.toml"], "{faults:#?}");
    let faults = faults_with(&[("pack.toml", "cadence = \"month\"", "cadence = \"moon\"")]);
    assert_eq!(files_of(&faults), ["pack.toml"], "{faults:#?}");
}

#[test]
fn texts_must_fit_what_scripts_give() {
    let faults = faults_with(&[("texts/en.toml", "{area}", "{are}")]);
    assert_eq!((faults.len(), faults[0].1), (1, "placeholder"), "{faults:#?}");
    assert!(faults[0].3.contains("did you mean 'area'?"), "{}", faults[0].3);
    let faults = faults_with(&[("texts/en.toml", "reasons.grade.area", "reasons.grade.aera")]);
    let codes: Vec<&str> = faults.iter().map(|(_, code, ..)| *code).collect();
    assert!(codes.contains(&"unknown_text") && codes.contains(&"missing_text"), "{faults:#?}");
}

#[test]
fn every_policy_has_a_script_and_every_script_a_policy() {
    let mut files = files();
    let script = files.remove("policies/grade.rhai").unwrap();
    files.insert("policies/grades.rhai".to_owned(), script);
    let faults = load(&Source::from_files(files).unwrap()).unwrap_err();
    let told: Vec<_> = faults.iter().map(|fault| (fault.file.as_str(), fault.code)).collect();
    assert_eq!(told, [("policies/grade.rhai", "missing_script"), ("policies/grades.rhai", "undeclared_policy")]);
}

#[test]
fn faults_of_cases_and_sample_are_told_by_the_check_alone() {
    let mut files = files();
    files.insert("cases/grade.toml".to_owned(), CASES.replace("floor_area", "floor"));
    files.insert("sample.toml".to_owned(), "business_date = \"2018-02-30\"\n".to_owned());
    let source = Source::from_files(files).unwrap();
    assert!(load(&source).is_ok());
    let faults = check(&source).unwrap_err();
    let told: Vec<_> = faults.iter().map(|fault| (fault.file.as_str(), fault.code)).collect();
    assert_eq!(told, [("cases/grade.toml", "unknown_field"), ("sample.toml", "date")]);
}
