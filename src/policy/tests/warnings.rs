//! What is right as it stands in a script, but seldom meant.

use super::{compiled, pack};

/// The warnings of a script whose `decide` asks a table with some rows, as code, line and message.
fn warned(constants: &str, body: &str) -> Vec<(&'static str, usize, String)> {
    let text = format!("{constants}\nfn decide(customer, context) {{\n{body}\n}}\n");
    let policies = compiled(&pack(), &text).unwrap_or_else(|faults| panic!("{}", super::shown(&faults)));
    policies.warnings().map(|one| (one.code, one.line.unwrap(), one.message.clone())).collect()
}

fn of_table(rows: &str, asked: &str) -> Vec<(&'static str, usize, String)> {
    let all = warned(&format!("const T = table([\n{rows}\n]);"), &format!("decision(T.of([{asked}]))"));
    all.into_iter().filter(|(code, ..)| *code != "outcome_never_given").collect()
}

#[test]
fn a_gap_is_shown_by_the_smallest_values_in_it() {
    let warnings = of_table("[\"< 10\", \"1\"],\n[\"> 10\", \"2\"]", "customer.monthly_volume");
    let [("table_gap", 1, message)] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(message.contains("no row of the table holds for [10]"), "{message}");
    let rows = "[\"grocery\", \"<= 5\", \"1\"],\n[\"grocery\", \">= 7\", \"2\"],\n[\"hotel\", \"*\", \"3\"]";
    let warnings = of_table(rows, "customer.format, customer.monthly_volume");
    let [("table_gap", 1, message)] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(message.contains("[grocery, 6]"), "{message}");
}

#[test]
fn a_table_that_decides_for_all_there_is_has_no_gap() {
    assert_eq!(of_table("[\"< 10\", \"1\"],\n[\">= 10\", \"2\"]", "customer.monthly_volume"), []);
    assert_eq!(of_table("[\"grocery\", \"1\"],\n[\"hotel\", \"2\"]", "customer.format"), []);
    assert_eq!(of_table("[true, \"1\"],\n[false, \"2\"]", "customer.licensed"), []);
    // Any text may come, so that a list of some is never complete.
    let open = of_table("[\"a\", \"1\"],\n[\"b\", \"2\"]", "customer.note");
    assert!(matches!(&open[..], [("table_gap", 1, message)] if message.contains("[any other text]")), "{open:?}");
}

#[test]
fn rows_that_hold_for_the_same_are_told_unless_one_is_an_exception() {
    let warnings = of_table("[\"0..20\", \"1\"],\n[\"10..30\", \"2\"],\n[\"*\", \"3\"]", "customer.monthly_volume");
    let [("table_overlap", 3, message)] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(message.starts_with("rows 1 and 2 of the table both hold for [10]"), "{message}");
    assert_eq!(of_table("[\"0..20\", \"1\"],\n[\"10..30\", \"1\"],\n[\"*\", \"3\"]", "customer.monthly_volume"), []);
    assert_eq!(of_table("[\"10..20\", \"1\"],\n[\"0..30\", \"2\"],\n[\"*\", \"3\"]", "customer.monthly_volume"), []);
}

#[test]
fn a_row_that_earlier_ones_take_whole_is_never_reached() {
    let warnings = of_table("[\"< 10\", \"1\"],\n[\">= 10\", \"2\"],\n[\"*\", \"3\"]", "customer.monthly_volume");
    let [("unreached_row", 4, message)] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(message.contains("row 3 of the table is never reached") && message.contains("row 1 [9]"), "{message}");
    assert_eq!(of_table("[\"< 10\", \"1\"],\n[\"*\", \"3\"]", "customer.monthly_volume"), []);
}

#[test]
fn a_table_that_is_asked_in_two_ways_is_judged_by_both() {
    let constants = "const T = table([\n[\"grocery\", \"1\"],\n[\"hotel\", \"2\"],\n[\"*\", \"3\"]\n]);";
    let once = warned(constants, "decision(T.of([customer.format]))");
    assert!(once.iter().any(|(code, line, _)| (*code, *line) == ("unreached_row", 4)), "{once:?}");
    let twice = warned(constants, "decision(T.of([customer.format])).because(\"n\", #{ n: T.of([customer.note]) })");
    assert!(!twice.iter().any(|(code, ..)| *code == "unreached_row"), "{twice:?}");
}

#[test]
fn bands_that_rise_and_fall_again_are_told() {
    let warnings =
        warned("const B = bands([[20, \"1\"], [15, \"3\"], [10, \"2\"]], \"4\");", "B.of(customer.monthly_volume)");
    let [("not_monotone", 1, message)] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(message.contains("'3' from 15 on, '2' below it"), "{message}");
    for bands in ["[[20, \"1\"], [15, \"2\"], [10, \"3\"]], \"4\"", "[[20, \"4\"], [15, \"3\"], [10, \"2\"]], \"1\""] {
        assert_eq!(warned(&format!("const B = bands({bands});"), "B.of(customer.monthly_volume)"), []);
    }
}

#[test]
fn outcomes_that_never_come_are_told() {
    let warnings = warned("const B = bands([[20, \"1\"]], \"4\");", "B.of(customer.monthly_volume)");
    let [("outcome_never_given", 2, message)] = &warnings[..] else { panic!("{warnings:?}") };
    assert_eq!(message, "decide never gives the declared outcomes 2, 3");
}
