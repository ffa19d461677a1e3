//! `baremo rules` as authors of packs use it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

fn baremo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_baremo")).args(arguments).output().unwrap()
}

fn rules(command: &str, folder: &Path) -> Output {
    baremo(&["rules", command, folder.to_str().unwrap()])
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A new pack, as `baremo rules new` writes it, in a folder of its own.
fn new_pack() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("readers");
    let output = rules("new", &pack);
    assert!(output.status.success(), "{}", err(&output));
    (folder, pack)
}

fn edit(pack: &Path, file: &str, from: &str, to: &str) {
    let text = fs::read_to_string(pack.join(file)).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(pack.join(file), text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_new_pack_passes_its_checks_and_cases() {
    let (_folder, pack) = new_pack();
    let output = rules("check", &pack);
    assert!(output.status.success(), "{}", err(&output));
    assert!(out(&output).contains("no faults. Pack 'readers': 3 fields, 2 kinds"), "{}", out(&output));
    let output = rules("test", &pack);
    assert!(output.status.success(), "{}", err(&output));
    assert!(out(&output).contains("9 cases of 1 policy: 9 passed, 0 failed"), "{}", out(&output));
}

#[test]
fn a_new_pack_is_never_written_over_something() {
    let (_folder, pack) = new_pack();
    let output = rules("new", &pack);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("is not empty"), "{}", err(&output));
}

#[test]
fn a_folder_whose_name_makes_no_id_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = rules("new", &folder.path().join("日本"));
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("'日本' makes no id of a pack"), "{}", err(&output));
    assert!(!folder.path().join("日本").exists());
}

#[test]
fn a_pack_without_cases_is_said_to_be_untested() {
    let (_folder, pack) = new_pack();
    fs::remove_dir_all(pack.join("cases")).unwrap();
    let output = rules("test", &pack);
    assert!(output.status.success(), "{}", err(&output));
    assert!(out(&output).contains("Without a case: reader_grade"), "{}", out(&output));
    assert!(out(&output).contains("nothing was tested"), "{}", out(&output));
}

#[test]
fn the_check_lists_the_faults_of_all_files() {
    let (_folder, pack) = new_pack();
    edit(&pack, "pack.toml", "Europe/Madrid", "Europe/Madrit");
    edit(&pack, "policies/reader_grade.rhai", "customer.monthly_loans", "customer.montly_loans");
    edit(&pack, "texts/es.toml", "bronze = \"Bronce\"\n", "");
    let output = rules("check", &pack);
    assert_eq!(output.status.code(), Some(1));
    let told = err(&output);
    assert!(told.contains("--> pack.toml:7:"), "{told}");
    assert!(told.contains("did you mean 'Europe/Madrid'?"), "{told}");
    assert!(told.contains("--> policies/reader_grade.rhai:"), "{told}");
    assert!(told.contains("did you mean 'monthly_loans'?"), "{told}");
    assert!(told.contains("--> texts/es.toml:"), "{told}");
    assert!(told.trim_end().ends_with("3 faults in 3 files"), "{told}");
}

#[test]
fn what_is_seldom_meant_is_told_and_hinders_nothing() {
    let (_folder, pack) = new_pack();
    let clean = rules("check", &pack);
    assert!(err(&clean).starts_with("warning[unread_field]: no policy reads the field branch\n"), "{}", err(&clean));
    assert!(!err(&clean).contains("metric"), "{}", err(&clean));
    edit(
        &pack,
        "pack.toml",
        "[policies.",
        "[metrics.never_read]\nfunction = \"orders\"\nkind = \"loan\"\nwindow = { full_months = 3 }\n\n[policies.",
    );
    for language in ["en", "es"] {
        let file = format!("texts/{language}.toml");
        edit(&pack, &file, "[metrics]", "[metrics]\nnever_read = \"Never read\"");
    }
    let output = rules("check", &pack);
    assert!(output.status.success(), "{}", err(&output));
    assert!(err(&output).contains("warning[unread_metric]: no policy reads the metric never_read"), "{}", err(&output));
    let folder = pack.to_str().unwrap();
    let output = baremo(&["rules", "check", folder, "--format", "json"]);
    let told: Json = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!((&told["sound"], &told["diagnostics"][1]["severity"]), (&json!(true), &json!("warning")));
    assert_eq!(told["diagnostics"][1]["code"], "unread_metric");

    edit(&pack, "policies/reader_grade.rhai", "customer.monthly_loans", "customer.montly_loans");
    let output = baremo(&["rules", "check", folder, "--format", "json"]);
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(1), ""));
    let told: Json = serde_json::from_str(&out(&output)).unwrap();
    let fault = &told["diagnostics"][0];
    assert_eq!(
        (&told["sound"], &fault["code"], &fault["severity"]),
        (&json!(false), &json!("unknown_field"), &json!("error"))
    );
    assert_eq!(fault["file"], "policies/reader_grade.rhai");
    assert!(fault["excerpt"].as_str().unwrap().contains("customer.montly_loans"), "{fault}");
}

#[test]
fn every_code_of_a_fault_is_explained() {
    let page = baremo(&["rules", "explain", "unknown_field"]);
    assert!(
        page.status.success() && out(&page).starts_with("# unknown_field\n\nThe pack declares no such field"),
        "{}",
        out(&page)
    );
    let all = baremo(&["rules", "explain"]);
    assert!(out(&all).lines().any(|line| line.starts_with("table_gap ")), "{}", out(&all));
    let unknown = baremo(&["rules", "explain", "unknown_fields"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(err(&unknown).contains("did you mean 'unknown_field'?"), "{}", err(&unknown));
}

#[test]
fn a_threshold_that_no_case_guards_is_told() {
    let (_folder, pack) = new_pack();
    let folder = pack.to_str().unwrap();
    let mutate = || baremo(&["rules", "test", folder, "--mutate"]);
    let guarded = mutate();
    let told = out(&guarded);
    assert!(guarded.status.success(), "{told}{}", err(&guarded));
    assert!(told.lines().last().unwrap().ends_with(" noticed, 0 not"), "{told}");

    // Without the case just below 8, gold may begin at 7 and nobody sees it.
    edit(
        &pack,
        "cases/reader_grade.toml",
        "given = { monthly_loans = \"7.999999\" }",
        "given = { monthly_loans = \"6.9\" }",
    );
    let unguarded = mutate();
    assert_eq!(unguarded.status.code(), Some(1));
    let told = out(&unguarded);
    assert!(told.contains("warning[unguarded]: no case notices it when 8 becomes 7"), "{told}");
    assert!(told.contains("--> policies/reader_grade.rhai:3:24"), "{told}");
    assert!(err(&unguarded).contains(" noticed, 1 not"), "{}", err(&unguarded));
}

#[test]
fn cases_are_told_as_junit_too() {
    let (_folder, pack) = new_pack();
    let folder = pack.to_str().unwrap();
    let output = baremo(&["rules", "test", folder, "--format", "junit"]);
    assert!(output.status.success() && out(&output).contains("tests=\"9\" failures=\"0\">"), "{}", out(&output));
    edit(&pack, "policies/reader_grade.rhai", "\"silver\"", "\"gold\"");
    let output = baremo(&["rules", "test", folder, "--format", "junit"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(out(&output).contains("<failure message=\"outcome: expected"), "{}", out(&output));
}

#[test]
fn a_folder_without_a_manifest_is_no_pack() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["check", "test", "doc"] {
        let output = rules(command, folder.path());
        assert_eq!(output.status.code(), Some(1));
        assert!(err(&output).contains("it has no pack.toml"), "{}", err(&output));
    }
    let output = rules("check", &folder.path().join("nowhere"));
    assert!(err(&output).contains("there is no folder"), "{}", err(&output));
}

#[test]
fn a_failing_case_is_shown_with_what_came() {
    let (_folder, pack) = new_pack();
    edit(&pack, "policies/reader_grade.rhai", "[[8, \"gold\"]", "[[9, \"gold\"]");
    let output = rules("test", &pack);
    assert_eq!(output.status.code(), Some(1));
    let shown = out(&output);
    assert!(shown.contains("FAILED cases/reader_grade.toml:7: 8 books a month reach gold"), "{shown}");
    assert!(shown.contains("outcome: expected 'gold', got 'silver'"), "{shown}");
    assert!(err(&output).contains("9 cases of 1 policy: 6 passed, 3 failed"), "{}", err(&output));
}

#[test]
fn the_handbook_tells_of_everything_the_pack_declares() {
    let (_folder, pack) = new_pack();
    let output = rules("doc", &pack);
    assert!(output.status.success(), "{}", err(&output));
    let handbook = out(&output);
    for part in [
        "# Lending library",
        "| `branch` | Branch | one of; City centre (`centre`), Harbour (`harbour`) | required, filterable |",
        "| `monthly_loans` | Books a month, last 3 full months | mean per month of `quantity` in `loan`, the 3 full months before | book |",
        "### Reader grade (`reader_grade`)",
        "Reader grade: how many books a reader may have at home at one time.",
        "Reads fields `in_club`; metrics `days_late`, `monthly_loans`.",
        "| `gold` | Gold |",
        "| `books_at_once` | Books at one time | book |",
        "const BOOKS = lookup(#{ gold: 20, silver: 10, bronze: 5 });",
    ] {
        assert!(handbook.contains(part), "{part} is missing in\n{handbook}");
    }
    assert!(!handbook.contains("fn decide"), "{handbook}");
    let spanish = baremo(&["rules", "doc", pack.to_str().unwrap(), "--language", "es"]);
    assert!(out(&spanish).contains("# Biblioteca de préstamo"), "{}", out(&spanish));
    let page = baremo(&["rules", "doc", pack.to_str().unwrap(), "--format", "html"]);
    let page = out(&page);
    assert!(
        page.starts_with("<!doctype html>") && page.contains("<h2>Policies</h2>") && page.contains("<table>"),
        "{page}"
    );
    let unknown = baremo(&["rules", "doc", pack.to_str().unwrap(), "--language", "fr"]);
    assert!(err(&unknown).contains("no language 'fr', only en, es"), "{}", err(&unknown));
}

/// Grades two files by a new pack as of 2026-01-01; gives what was told and what was written.
fn grade(customers: &str, transactions: &str, format: &str) -> (Output, String) {
    let (folder, pack) = new_pack();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("customers.csv"), customers).unwrap();
    fs::write(at("transactions.csv"), transactions).unwrap();
    let output = baremo(&[
        "rules",
        "run",
        pack.to_str().unwrap(),
        "--customers",
        &at("customers.csv"),
        "--transactions",
        &at("transactions.csv"),
        "--as-of",
        "2026-01-01",
        "--output",
        &at("grades"),
        "--format",
        format,
    ]);
    (output, fs::read_to_string(at("grades")).unwrap_or_default())
}

const CUSTOMERS: &str = "\
code,name,basic.joined_on,branch,in_club
R1,Ana,2020-05-01,centre,true
R2,=cmd(),2020-05-01,harbour,
";

const TRANSACTIONS: &str = "\
customer,kind,on,order,product,quantity,days
R1,loan,2025-10-01,L1,B1,9,
R1,loan,2025-12-31 18:30:00,L2,B2,15,
R2,loan,2025-12-01,L3,B1,24,
R2,late_return,2025-03-01,,,,31
";

#[test]
fn files_are_graded_without_a_database() {
    let (output, grades) = grade(CUSTOMERS, TRANSACTIONS, "csv");
    assert!(output.status.success(), "{}", err(&output));
    assert!(out(&output).contains("2 customers written"), "{}", out(&output));
    // 24 books in three months are 8 a month: gold. 31 days late make bronze. A name is never a formula.
    assert_eq!(grades, "code,name,reader_grade,errors\nR1,Ana,gold,\nR2,'=cmd(),bronze,\n");
}

#[test]
fn lines_of_json_have_the_full_decisions() {
    let (output, grades) = grade(CUSTOMERS, TRANSACTIONS, "ndjson");
    assert!(output.status.success(), "{}", err(&output));
    let lines: Vec<serde_json::Value> = grades.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["code"], "R1");
    let decision = &lines[0]["policies"][0]["decided"];
    assert_eq!(decision["outcome"], "gold");
    assert_eq!(decision["entitlements"]["books_at_once"], "25");
    assert_eq!(decision["reasons"][0]["values"]["value"], "8");
    assert_eq!(lines[1]["policies"][0]["decided"]["reasons"][0]["code"], "late");
}

#[test]
fn faulty_rows_are_listed_and_the_others_graded() {
    let customers = format!(
        "{CUSTOMERS}R3,Eva,2020-05-01,downtown,\nR1,Twin,2020-05-01,centre,\n,Nobody,2020-05-01,centre,\nR4,Leo,,centre,\n"
    );
    let transactions = format!(
        "{TRANSACTIONS}R9,loan,2025-12-01,L4,B1,1,\nR1,loan,01/12/2025,L5,B1,1,\nR1,lone,2025-12-01,L6,B1,1,\n\
         R1,loan,2025-12-01,L7,,1,\nR1,loan,2025-12-01,L8,B1,many,\n"
    );
    let (output, grades) = grade(&customers, &transactions, "csv");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(grades, "code,name,reader_grade,errors\nR1,Ana,gold,\nR2,'=cmd(),bronze,\n");
    let told = err(&output);
    for part in [
        "customers.csv:4: branch: 'downtown' is not one of centre, harbour",
        "customers.csv:5: code: the customer 'R1' stands twice",
        "customers.csv:6: code: every customer has a code",
        "customers.csv:7: basic.joined_on: 'joined_on' is required",
        "transactions.csv:6: customer: there is no customer 'R9'",
        "transactions.csv:7: on: '01/12/2025' is not a date",
        "transactions.csv:8: kind: there is no kind 'lone'; did you mean 'loan'?",
        "transactions.csv:9: product: a transaction of the kind 'loan' names a product",
        "transactions.csv:10: quantity: 'many' is not a decimal number",
        "9 faulty rows were left out",
    ] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
}

#[test]
fn columns_that_nothing_reads_and_inactive_customers_are_told() {
    let customers = CUSTOMERS.replace("in_club\n", "in_clubb,status\n").replace("true\n", "true,active\n");
    let customers = customers.replace("harbour,\n", "harbour,,inactive\n");
    let transactions = TRANSACTIONS.replace(",quantity,", ",quantty,");
    let (output, _) = grade(&customers, &transactions, "csv");
    let told = err(&output);
    for part in [
        "customers.csv:1: in_clubb: the column 'in_clubb' is not read; did you mean 'in_club'?",
        "transactions.csv:1: quantty: the column 'quantty' is not read; did you mean 'quantity'?",
        "transactions.csv:1: the column 'quantity' is missing, which is read by monthly_loans",
    ] {
        assert!(told.contains("warning: ") && told.contains(part), "{part} is missing in\n{told}");
    }
    assert!(out(&output).contains("; 1 inactive one was left out"), "{}", out(&output));
}

#[test]
fn negative_measures_are_refused_in_files() {
    let (output, _) = grade(CUSTOMERS, &TRANSACTIONS.replace("L2,B2,15", "L2,B2,-15"), "csv");
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("quantity: -15 is negative"), "{}", err(&output));
}

#[test]
fn grades_are_never_written_over_what_is_read() {
    let (folder, pack) = new_pack();
    let customers = folder.path().join("customers.csv");
    fs::write(&customers, CUSTOMERS).unwrap();
    fs::write(folder.path().join("transactions.csv"), TRANSACTIONS).unwrap();
    for output in ["customers.csv", "readers/../customers.csv", "readers/pack.toml"] {
        let run = Command::new(env!("CARGO_BIN_EXE_baremo"))
            .current_dir(folder.path())
            .args(["rules", "run", "readers", "--customers", "customers.csv", "--transactions", "transactions.csv"])
            .args(["--as-of", "2026-01-01", "--output", output])
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(1), "{output}");
        assert!(err(&run).contains("which is read; name another file"), "{}", err(&run));
    }
    assert_eq!(fs::read_to_string(&customers).unwrap(), CUSTOMERS);
    assert!(rules("check", &pack).status.success());
}

#[test]
fn files_that_cannot_be_read_are_told_by_name() {
    let (output, _) = grade("code,name\nR1,Ana\n", TRANSACTIONS, "csv");
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("customers.csv"), "{}", err(&output));
    assert!(err(&output).contains("the column 'basic.joined_on' is missing"), "{}", err(&output));
    let (output, _) = grade(CUSTOMERS, "customer,on\n", "csv");
    assert!(err(&output).contains("the column 'kind' is missing"), "{}", err(&output));
}

#[test]
fn what_no_case_reaches_is_told_and_cases_for_every_edge_are_proposed() {
    let (_folder, pack) = new_pack();
    let folder = pack.to_str().unwrap();
    let cases = pack.join("cases/reader_grade.toml");
    let covered = baremo(&["rules", "test", folder, "--coverage"]);
    assert!(covered.status.success() && !out(&covered).contains("no case reaches"), "{}", out(&covered));

    // One case alone: a silver reader who is not in a club.
    fs::write(
        &cases,
        "[[case]]\nname = \"silver\"\nas_of = 2018-01-01\ngiven = { monthly_loans = 5, days_late = 0, in_club = false }\n\
         expect = { outcome = \"silver\" }\n",
    )
    .unwrap();
    let covered = out(&baremo(&["rules", "test", folder, "--coverage"]));
    assert!(covered.contains("no case reaches these outcomes: gold; bronze"), "{covered}");
    assert!(covered.contains("no case reaches these rows of tables: ") && covered.contains("[8, gold]"), "{covered}");
    assert!(
        covered.contains("no case reaches these branches: lib/clubs.rhai:4:42; policies/reader_grade.rhai:11:9"),
        "{covered}"
    );

    let proposed = out(&baremo(&["rules", "cases", folder]));
    fs::write(&cases, format!("{}{proposed}", fs::read_to_string(&cases).unwrap())).unwrap();
    let tested = baremo(&["rules", "test", folder, "--mutate"]);
    assert!(out(&tested).lines().last().unwrap().ends_with(" noticed, 0 not"), "{proposed}{}", out(&tested));
    assert!(out(&baremo(&["rules", "cases", folder])).contains("Every edge"), "there is nothing more to propose");
}
