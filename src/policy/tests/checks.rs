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

/// The one fault of a script of constants and a body of `decide`.
fn fault_with(constants: &str, body: &str) -> Diagnostic {
    let found = faults(&format!("{constants}\nfn decide(customer, context) {{\n{body}\n}}"));
    assert_eq!(found.len(), 1, "{constants} {body}\n{}", shown(&found));
    found.into_iter().next().unwrap()
}

fn sound(constants: &str, body: &str) {
    let found = faults(&format!("{constants}\nfn decide(customer, context) {{\n{body}\n}}"));
    assert_eq!(shown(&found), "", "{constants} {body}");
}

#[test]
fn outcomes_that_tables_give_are_declared() {
    let at = |constants: &str, body: &str| {
        let column = constants.find("\"9\"").unwrap() + 1;
        let fault = fault_with(constants, body);
        assert_eq!((fault.code, fault.line, fault.column), ("unknown_outcome", Some(1), Some(column)), "{fault}");
        fault.message
    };
    let lookup = at("const T = lookup(#{ grocery: \"1\", hotel: \"9\" });", "decision(T.of(customer.format))");
    assert!(lookup.contains("no outcome '9'; declared are 1, 2, 3, 4"), "{lookup}");
    at(
        "const T = matrix(#{ grocery: #{ a: \"9\" }, hotel: #{ a: \"2\" } });",
        "decision(T.of(customer.format, \"a\"))",
    );
    at("const T = table([[\"grocery\", \"1\"], [\"*\", \"9\"]]);", "let x = T.of([customer.format]); decision(x)");
    at("const N = [\"1\", \"2\", \"9\"];", "decision(context.cohorts.volumes.class_of(1, N))");
    let fault = fault_with("", "let x = if customer.shops > 3 { \"1\" } else { \"9\" };\ndecision(x)");
    assert_eq!((fault.code, fault.line), ("unknown_outcome", Some(3)), "{fault}");
    sound("const T = lookup(#{ grocery: \"1\", hotel: \"2\" });", "decision(T.of(customer.format))");
}

#[test]
fn parts_of_cells_are_those_that_the_policy_declares() {
    let mut pack = pack();
    let policy = pack.policies.get_mut(POLICY).unwrap();
    policy.cells = [["grocery", "hotel"], ["large", "small"]].map(|part| part.map(str::to_owned).to_vec()).to_vec();
    policy.outcomes = ["grocery_large", "grocery_small", "hotel_large", "hotel_small"].map(str::to_owned).to_vec();
    let told = |text: &str| compiled(&pack, text).err().unwrap_or_default();
    let script = "const T = table([[\"> 3\", \"large\"], [\"*\", \"smal\"]]);\n\
                  fn decide(customer, context) { decision(customer.format + \"_\" + T.of([customer.shops])) }";
    let found = told(script);
    assert_eq!(found.len(), 1, "{}", shown(&found));
    assert_eq!((found[0].line, found[0].column), (Some(1), Some(42)), "{}", found[0]);
    assert!(found[0].message.contains("no outcome with 'smal'; did you mean 'small'?"), "{}", found[0]);
    assert_eq!(shown(&told(&script.replace("smal\"", "small\""))), "");
    let joined = script
        .replace("customer.format + \"_\" + T.of([customer.shops])", "`${customer.format}_${T.of([customer.shops])}`");
    assert_eq!(told(&joined).len(), 1, "{joined}");
}

#[test]
fn tables_are_asked_for_what_they_have() {
    let told = |constants: &str, body: &str, code: &str, part: &str| {
        let fault = fault_with(constants, body);
        assert_eq!(fault.code, code, "{fault}");
        assert!(fault.message.contains(part), "{fault}");
    };
    let lookup = "const T = lookup(#{ grocery: 1, hotel: 2, hotl: 3 });";
    told(
        lookup,
        "decision(text(T.of(customer.format)))",
        "unknown_choice",
        "'hotl' isn't one of the values, which are grocery, hotel; did you mean 'hotel'?",
    );
    // What another field asks for is no misspelling, and neither is a key of which nothing is known.
    sound(lookup, "decision(text(T.of(customer.format) + T.of(customer.note)))");
    let lookup = "const T = lookup(#{ grocery: 1 });";
    told(lookup, "decision(text(T.of(customer.format)))", "lookup_misses_outcome", "no row for the choice hotel");
    sound(lookup, "decision(text(T.of(customer.maybe.note ?? \"grocery\")))");
    let matrix = "const T = matrix(#{ a: #{ grocery: 1, hotell: 2 } });";
    let found =
        faults(&format!("{matrix}\nfn decide(customer, context) {{ decision(text(T.of(\"a\", customer.format))) }}"));
    let codes: Vec<&str> = found.iter().map(|fault| fault.code).collect();
    assert_eq!(codes, ["lookup_misses_outcome", "unknown_choice"], "{}", shown(&found));
    assert!(found[0].message.contains("the matrix has no column for the choice hotel"), "{}", found[0]);
    let table = "const T = table([[\"hotl\", \"1\"], [\"*\", \"2\"]]);";
    told(table, "decision(T.of([customer.format]))", "unknown_choice", "did you mean 'hotel'?");
    told(
        "",
        "if \"foods\" in (customer.maybe.lines ?? []) { decision(\"1\") } else { decision(\"2\") }",
        "unknown_choice",
        "did you mean 'food'?",
    );
    told(
        "",
        "if (customer.maybe.format ?? absent()) in [\"hotl\"] { decision(\"1\") } else { decision(\"2\") }",
        "unknown_choice",
        "did you mean 'hotel'?",
    );
}

#[test]
fn conditions_are_of_the_type_that_their_column_is_given() {
    let told = |condition: &str, column: &str, part: &str| {
        let fault = fault_with(
            &format!("const T = table([[{condition}, \"1\"], [\"*\", \"2\"]]);"),
            &format!("decision(T.of([{column}]))"),
        );
        assert_eq!((fault.code, fault.line, fault.column), ("wrong_type", Some(1), Some(19)), "{fault}");
        assert!(fault.message.contains(part), "{fault}");
    };
    told("\"many\"", "customer.shops", "is a text, but the column is given a number");
    told("\"many\"", "customer.monthly_volume", "given a number");
    told("\">= 3\"", "customer.note", "compares with a number, but the column is given a text");
    told("5", "customer.maybe.note ?? absent()", "is a number, but the column is given a text");
    told("true", "customer.shops", "is true or false");
    let fault = fault_with("const T = table([[\"*\", \"*\", \"1\"]]);", "decision(T.of([1]))");
    assert!(fault.message.contains("has 2 conditions and is given 1 value"), "{fault}");
    let fault = fault_with("const T = table([[\"== 8\", \"1\"], [\"*\", \"2\"]]);", "decision(T.of([customer.note]))");
    assert_eq!(fault.code, "constant", "{fault}");
    assert!(fault.message.contains("'== 8' is no condition"), "{fault}");
}

#[test]
fn a_score_has_the_parts_of_its_weights() {
    let weights = "const W = weights(#{ support: 1, contribution: 2 });";
    let found = faults(&format!(
        "{weights}\nfn decide(customer, context) {{\ndecision(\"1\").scored(W.score(#{{ suport: 1, support: 2 }}))\n}}"
    ));
    let messages: Vec<&str> = found.iter().map(|fault| fault.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "the weights have no part 'suport'; did you mean 'support'?",
            "the score lacks its part 'contribution'; give absent() where there is no value"
        ]
    );
    sound(weights, "decision(\"1\").scored(W.score(#{ contribution: 1, support: absent() }))");
}

#[test]
fn entitlements_are_of_their_type() {
    let told = |value: &str, part: &str| {
        let (key, value) = value.split_once(' ').unwrap();
        assert_fault(&format!("decision(\"1\").entitle(\"{key}\", {value})"), "wrong_type", part);
    };
    told("supply \"30\"", "'supply' is a number, not a text");
    told("visits 1.5", "'visits' is a whole number, not a fraction");
    told("credit 1", "'credit' is true or false, not a number");
    told("gifts \"pen\"", "'gifts' is a list of texts, not a text");
    told("supply absent()", "a number, not absent");
    sound(
        "",
        "decision(\"1\").entitle(\"visits\", 2).entitle(\"gifts\", [\"pen\"]).entitle(\"supply\", customer.shops / 2)",
    );
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
fn a_chain_whose_decision_nobody_takes_is_told() {
    let body = |statement: &str| {
        faults(&format!("fn decide(customer, context) {{ let d = decision(\"1\"); {statement} d }}"))
            .iter()
            .map(|fault| fault.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(body("d.because(\"floor\", #{});"), [""; 0]);
    assert_eq!(body("d.because(\"floor\", #{}).because(\"volume\", #{});"), ["lost"]);
    assert_eq!(body("decision(\"2\").because(\"floor\", #{});"), ["lost"]);
    assert_eq!(body("d = d.because(\"floor\", #{}).because(\"volume\", #{});"), [""; 0]);
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
