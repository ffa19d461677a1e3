//! What is found before a script ever runs.

use std::collections::BTreeMap;

use super::*;

/// The one fault in a body of `decide`.
fn fault_in(body: &str) -> Diagnostic {
    let faults = faults(&format!("fn decide(customer, context) {{\n{body}\n}}"));
    assert_eq!(faults.len(), 1, "{body}\n{}", shown(&faults));
    faults.into_iter().next().unwrap()
}

fn assert_fault(body: &str, code: &str, part: &str) {
    let fault = fault_in(body);
    assert_eq!(fault.code, code, "{fault}");
    assert!(fault.message.contains(part), "{fault}");
}

#[test]
fn names_that_the_pack_does_not_declare() {
    let fault = fault_in("    decision(text(customer.flor_area))");
    assert_eq!((fault.code, fault.line, fault.column), ("unknown_field", Some(2), Some(28)), "{fault}");
    assert!(fault.message.contains("did you mean 'floor_area'"));
    assert_eq!(fault.excerpt.as_deref(), Some("    decision(text(customer.flor_area))"));
    assert_fault("decision(text(customer.maybe.shop ?? 1))", "unknown_field", "'shops'");
    assert_fault("decision(context.outcomes.grades)", "unknown_policy", "'grade'");
    assert_fault("decision(text(context.cohorts.volume.band_of(1)))", "unknown_cohort", "'volumes'");
    assert_fault("decision(text(context.asof))", "unknown_property", "'as_of'");
    assert_fault("decision(outcom)", "unknown_name", "'outcom'");
}

#[test]
fn all_faults_at_once() {
    let found = faults(
        "fn decide(customer, context) {\n let a = customer.x1;\n let b = nonsense(a);\n decision(\"9\").entitle(\"suply\", b)\n}",
    );
    let mut codes: Vec<&str> = found.iter().map(|fault| fault.code).collect();
    codes.sort_unstable();
    assert_eq!(
        codes,
        ["unknown_entitlement", "unknown_field", "unknown_function", "unknown_outcome"],
        "{}",
        shown(&found)
    );
}

#[test]
fn the_customer_is_only_dotted_or_passed_on() {
    assert_fault("let who = customer; decision(\"1\")", "guarded", "dotted");
    assert_fault("decision(text(customer))", "guarded", "dotted");
    assert_fault("let list = [customer]; decision(\"1\")", "guarded", "dotted");
    assert_fault("decision(customer[\"format\"])", "guarded", "dotted");
    assert_fault("let o = context.outcomes; decision(\"1\")", "guarded", "dotted");
    assert_fault("customer.shops = 5; decision(\"1\")", "assigned", "only reads");
    assert_fault("let m = customer.maybe; decision(\"1\")", "guarded", "dotted");
    let found = faults("fn f(who) { who } fn decide(customer, context) { f(customer); decision(\"1\") }");
    assert!(found.iter().all(|fault| fault.code == "guarded") && !found.is_empty(), "{}", shown(&found));
}

#[test]
fn maybe_stands_only_left_of_its_default() {
    assert_fault("decision(text(customer.maybe.shops))", "maybe", "left of ??");
    assert_fault("decision(text(customer.maybe.note.len() ?? 1))", "maybe", "left of ??");
    assert_fault("if customer.maybe.shops == 3 { decision(\"1\") } else { decision(\"2\") }", "maybe", "left of ??");
    assert_fault("decision(text(customer.maybe.shops ?? \"none\"))", "default_type", "a text");
}

#[test]
fn the_customer_is_followed_into_functions() {
    let text = "fn f(a, who) { g(who) + a }\nfn g(c) { c.shop }\nfn decide(customer, context) { decision(text(f(1, customer))) }";
    let found = faults(text);
    assert_eq!(found.len(), 1, "{}", shown(&found));
    assert_eq!((found[0].code, found[0].line), ("unknown_field", Some(2)));
}

#[test]
fn comparisons_that_can_never_hold() {
    let compare = |condition: &str, code, part| {
        assert_fault(&format!("if {condition} {{ decision(\"1\") }} else {{ decision(\"2\") }}"), code, part);
    };
    compare("customer.shops == \"3\"", "comparison", "a number is compared with a text");
    compare("customer.note > 5", "comparison", "a text is compared with a number");
    compare("customer.opened_on < 2017", "comparison", "a date");
    compare("customer.lines == \"food\"", "comparison", "'in'");
    compare("customer.licensed == 1", "comparison", "true or false");
    compare("customer.format == \"grocry\"", "unknown_choice", "did you mean 'grocery'");
    compare("customer.format in [\"hotel\", \"shop\"]", "unknown_choice", "'shop'");
    compare("\"foods\" in customer.lines", "unknown_choice", "did you mean 'food'");
    compare("decision(\"1\") == \"1\"", "comparison", ".outcome");
    compare("absent() < 3", "comparison", "absent");
    compare("customer.shops", "condition", "a number");
    compare("customer.note + 1 == \"a\"", "arithmetic", "text(x)");
    compare("switch customer.format { \"grocry\" => true, _ => false }", "unknown_choice", "grocery, hotel");
    let known = "fn decide(customer, context) { decision(switch customer.format { \"grocery\" => \"1\", \"hotel\" => \"2\" }) }";
    assert_eq!(shown(&faults(known)), "");
}

#[test]
fn outcomes_and_tables_must_fit_the_declaration() {
    let found = faults(
        "const B = bands([[2, \"1\"], [1, \"5\"]], \"2\");\nfn decide(customer, context) { B.of(customer.shops) }",
    );
    assert_eq!(found.len(), 1, "{}", shown(&found));
    assert_eq!((found[0].code, found[0].line, found[0].column), ("unknown_outcome", Some(1), Some(32)));
    let found = faults("const B = bands([[2, \"1\"]], \"2\");\nfn decide(customer, context) { B.of(customer.note) }");
    assert_eq!((found[0].code, found[0].line, found[0].column), ("wrong_type", Some(2), Some(37)), "{}", shown(&found));
    let intermediate = "const SIZE = bands([[2, \"large\"]], \"small\");\nconst BY = lookup(#{ large: \"1\", small: \"2\" });\n\
                        fn decide(customer, context) { decision(BY.of(SIZE.of(customer.shops).outcome)) }";
    assert_eq!(shown(&faults(intermediate)), "");
    let found = faults(
        "const S = lookup(#{ \"1\": 30, \"2\": 20 });\nfn decide(customer, context) { let d = decision(text(1)); d.entitle(\"supply\", S.of(d.outcome)) }",
    );
    assert_eq!(found.len(), 1, "{}", shown(&found));
    assert!(found[0].code == "lookup_misses_outcome" && found[0].message.ends_with("3, 4"), "{}", found[0]);
    let found = faults("const W = weights(#{ suport: 1 });\nfn decide(customer, context) { decision(\"1\") }");
    assert_eq!(found[0].code, "unknown_indicator");
}

#[test]
fn cohorts_are_asked_as_they_are_cut() {
    assert_fault(
        "decision(context.cohorts.volumes.class_of(1, [\"1\", \"2\"]))",
        "wrong_number_of_classes",
        "3 classes",
    );
    assert_fault("decision(text(context.cohorts.volumes.rank_of(1)))", "not_ranks", "band_of");
}

#[test]
fn calls_must_fit() {
    assert_fault("decision(text(rounded(1.5, 0)))", "unknown_function", "did you mean 'round'");
    assert_fault("decision(text(round(1.5)))", "wrong_number", "takes 2 values, not 1");
    assert_fault("decision(\"1\").because(\"late\")", "wrong_number", "takes 2 values, not 1");
    assert_fault("let c = \"late\"; decision(\"1\").because(c, #{})", "reason_not_literal", "written out");
    assert_fault("print(\"x\"); decision(\"1\")", "unknown_function", "print");
    assert_fault("let f = Fn(\"decide\"); decision(\"1\")", "unknown_function", "Fn");
    assert_fault("decision(text(type_of(1)))", "unknown_function", "type_of");
    assert_fault("decision(5)", "wrong_type", "'decision' takes a text, not a number");
    assert_fault("decision(text(round(customer.note, 2)))", "wrong_type", "a number, not a text");
    assert_fault("decision(text(days_between(context.as_of, 3)))", "wrong_type", "a date, not a number");
    assert_fault("customer.note.because(\"a\", #{})", "wrong_type", "a decision, not a text");
    assert_fault("1", "not_a_decision", "a number");
}

#[test]
fn constants_stand_at_the_top_and_are_checked_by_running_them() {
    let found = faults("const A = bands([[1, \"1\"], [2, \"2\"]], \"3\");\nfn decide(customer, context) { A.of(1) }");
    assert_eq!((found[0].code, found[0].line, found[0].column), ("constant", Some(1), Some(11)), "{}", shown(&found));
    assert!(found[0].message.contains("bands fall"), "{}", found[0]);
    let found = faults("let a = 1;\nfn decide(customer, context) { decision(\"1\") }");
    assert_eq!(found[0].code, "not_a_constant");
    let found = faults("const A = 1;\nfn f(x) { x + A }\nfn decide(customer, context) { decision(text(f(1))) }");
    assert_eq!((found[0].code, found[0].line), ("constant_in_function", Some(2)), "{}", shown(&found));
    let found = faults("const A = #{ a: 1 };\nfn decide(customer, context) { A.a = 5; decision(\"1\") }");
    assert_eq!(found[0].code, "assigned");
}

#[test]
fn decide_is_wanted_with_two_parameters() {
    assert_eq!(faults("const A = 1;")[0].code, "no_decide");
    assert_eq!(faults("fn decide(customer) { decision(\"1\") }")[0].code, "decide_parameters");
    assert_eq!(shown(&faults("fn decide(who, when) { decision(text(who.shops)) }")), "");
}

#[test]
fn a_syntax_error_has_its_place() {
    let found = faults("fn decide(customer, context) {\n    decision(\"1\"\n}");
    assert_eq!((found.len(), found[0].code, found[0].line), (1, "syntax", Some(3)), "{}", shown(&found));
}

#[test]
fn names_have_one_definition() {
    let scripts =
        BTreeMap::from([(POLICY.to_owned(), "fn f(x) { x }\nfn decide(c, x) { decision(f(\"1\")) }".to_owned())]);
    let lib = |text: &str| text.to_owned();
    let libs = BTreeMap::from([("a".to_owned(), lib("fn f(x) { x }")), ("b".to_owned(), lib("fn f(x, y) { x }"))]);
    let found = compile(&pack(), &scripts, &libs).err().unwrap();
    assert!(found.len() >= 2 && found.iter().all(|fault| fault.code == "defined_twice"), "{}", shown(&found));
}

#[test]
fn circles_and_missing_scripts_are_named() {
    let mut pack = pack();
    pack.policies.insert("abc".to_owned(), declaration(&["1"]));
    let read = |other: &str| format!("fn decide(customer, context) {{ decision(context.outcomes.{other}) }}");
    let scripts = BTreeMap::from([(POLICY.to_owned(), read("abc")), ("abc".to_owned(), read(POLICY))]);
    let found = compile(&pack, &scripts, &BTreeMap::new()).err().unwrap();
    assert_eq!(found[0].code, "cycle");
    assert!(found[0].message.contains("grade → abc → grade"), "{}", found[0]);
    let scripts = BTreeMap::from([(POLICY.to_owned(), read("abc")), ("abd".to_owned(), read(POLICY))]);
    let found = compile(&pack, &scripts, &BTreeMap::new()).err().unwrap();
    let codes: Vec<&str> = found.iter().map(|fault| fault.code).collect();
    assert_eq!(codes, ["missing_script", "undeclared_policy"]);
}
