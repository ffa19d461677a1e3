//! What `rules/README.md` promises to pack authors.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::policy::model::{Assessed, Entitlement, InputKind};
use crate::policy::script::{engine, natives};
use crate::policy::subject::Plan;
use indexmap::IndexMap;
use jiff::civil::date;

const GRADES: &str = r#"//! Volume grade: how much a customer may order in a month.

const GRADES = bands([[20, "1"], [10, "2"], [5, "3"]], "4");
const SUPPLY = lookup(#{ "1": 30, "2": 20.50, "3": 10, "4": 1 });

fn decide(customer, context) {
    let grade = GRADES.of(customer.monthly_volume);
    grade.entitle("supply", SUPPLY.of(grade.outcome))
}
"#;

#[test]
fn the_readmes_policy_works() {
    let decision = decided(GRADES);
    assert_eq!(decision.outcome, "2");
    assert_eq!(decision.entitlements["supply"], Entitlement::Text("20.5".to_owned()));
    let reason = &decision.reasons[0];
    assert_eq!(reason.code, "band");
    let values: Vec<(&str, &str)> = reason.values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(values, [("from", "10"), ("next", "20"), ("next_outcome", "1"), ("value", "12.5")]);
}

/// The examples of the page for authors: constants, and expressions with what they come to.
fn examples() -> (String, Vec<(&'static str, &'static str)>) {
    let page = include_str!("../../../rules/README.md");
    let (_, section) = page.split_once("### Every function at work").unwrap();
    let block = section.split("```").nth(1).unwrap().strip_prefix("rhai\n").unwrap();
    let (constants, lines) = block.split_once("\n\n").unwrap();
    let example = |line: &'static str| {
        let (expression, told) = line.split_once("//").unwrap();
        // What follows a colon says why.
        (expression.trim(), told.split(": ").next().unwrap().trim())
    };
    (constants.to_owned(), lines.lines().map(example).collect())
}

#[test]
fn every_example_of_the_page_comes_to_what_it_says() {
    let (constants, examples) = examples();
    let decide = |body: String| decided(&format!("{constants}\nfn decide(customer, context) {{ {body} }}"));
    for (expression, told) in examples {
        let came_to = if ["true", "false"].contains(&told) {
            let decision = decide(format!("if {expression} {{ decision(\"1\") }} else {{ decision(\"2\") }}"));
            (decision.outcome == "1").to_string()
        } else {
            let decision = decide(format!("decision(\"1\").because(\"found\", #{{ value: {expression} }})"));
            decision.reasons[0].values["value"].clone()
        };
        assert_eq!(came_to, told, "{expression}");
    }
}

#[test]
fn every_function_has_an_example() {
    let (constants, examples) = examples();
    let shown: String = examples.iter().map(|(expression, _)| format!("{expression}\n")).chain([constants]).collect();
    let named = |name: &str| shown.match_indices(name).any(|(at, _)| shown[at + name.len()..].starts_with('('));
    let natives = natives(&engine(&Plan::of(&pack())));
    let missing: Vec<&String> = natives.keys().filter(|name| !named(name)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn what_was_read_is_recorded_once_in_order() {
    let result = run(r#"
        const GRADES = bands([[2, "1"]], "2");
        fn decide(customer, context) {
            let area = customer.maybe.floor_area ?? 0;
            let grade = GRADES.of(context.cohorts.volumes.band_of(customer.monthly_volume) + (customer.maybe.floor_area ?? 0));
            if customer.opened_on < context.as_of && customer.monthly_volume > area { grade } else { decision("3") }
        }"#);
    let read: Vec<(InputKind, &str, Option<&str>)> =
        result.inputs.iter().map(|input| (input.kind, input.key.as_str(), input.value.as_deref())).collect();
    assert_eq!(
        read,
        [
            (InputKind::Field, "floor_area", None),
            (InputKind::Metric, "monthly_volume", Some("12.5")),
            (InputKind::Cohort, "volumes", Some("10;20")),
            (InputKind::Field, "opened_on", Some("2016-02-29")),
            (InputKind::AsOf, "as_of", None),
        ]
    );
}

#[test]
fn an_absent_value_is_named_with_the_place_that_read_it() {
    let message = failed("fn decide(customer, context) {\n    decision(text(customer.floor_area))\n}");
    assert!(message.starts_with("policies/grade.rhai:2:28: 'floor_area' is absent"), "{message}");
}

#[test]
fn numbers_are_exact_decimals() {
    assert!(holds("0.1 + 0.2 == 0.3"));
    assert!(holds("1 / 2 == 0.5"));
    assert!(holds("7 / 2 * 2 == 7"));
    assert!(holds("customer.shops == 3 && customer.shops == 3.0 && 3 == customer.shops"));
    assert!(holds("-customer.shops == -3 && -3 < 0"));
    assert!(holds("customer.shops / 2 == 1.5"));
    assert!(holds("round(2.5, 0) == 3 && round(-2.5, 0) == -3 && round(1.005, 2) == 1.01"));
    assert!(holds("floor(2.7) == 2 && ceiling(2.1) == 3 && abs(-2) == 2 && min(1, 2) == 1 && max(1, 2) == 2"));
    assert!(holds("clamp(7, 0, 5) == 5 && text(2.50) == \"2.5\" && `${2.50}` == \"2.5\""));
    assert!(holds("switch customer.shops { 3 => true, _ => false }"));
    assert!(holds("3 in 1..4 && !(4 in 1..4) && 4 in 1..=4"));
}

#[test]
fn loops_count_in_decimals() {
    let text = r#"fn decide(customer, context) {
        let sum = 0;
        for i in 1..=3 { sum += i / 2; }
        for line in customer.lines { if line == "food" { sum += 1; } }
        if sum == 4 { decision("1") } else { decision(text(sum)) }
    }"#;
    assert_eq!(decided(text).outcome, "1");
}

#[test]
fn division_by_zero_and_overflow_are_errors_with_a_place() {
    let message = failed(
        "fn decide(customer, context) {\n  if 1 / (customer.shops - 3) > 0 { decision(\"1\") } else { decision(\"2\") }\n}",
    );
    assert!(message.starts_with("policies/grade.rhai:2:8: Division by zero"), "{message}");
    let message =
        failed("fn decide(customer, context) { decision(text(79228162514264337593543950335 * customer.shops)) }");
    assert!(message.contains("overflow"), "{message}");
}

#[test]
fn texts_lists_and_dates_can_be_asked() {
    assert!(holds(
        "customer.note.len() == 14 && customer.note.starts_with(\"près\") && customer.note.ends_with(\"é\")"
    ));
    assert!(holds("customer.note.contains(\"du\") && \"food\" in customer.lines && !(\"drink\" in customer.lines)"));
    assert!(holds("customer.format in [\"grocery\", \"hotel\"] && customer.lines.len() == 1"));
    assert!(holds("days_between(customer.opened_on, context.as_of) == 672"));
    assert!(holds("months_between(customer.opened_on, context.as_of) == 22"));
    assert!(holds("years_between(customer.opened_on, context.as_of) > 1.8"));
    assert!(holds("customer.code == \"C-7\" && customer.licensed"));
    assert!(holds("is_absent(absent()) && !is_absent(customer.maybe.shops ?? absent())"));
}

#[test]
fn a_score_spreads_the_weight_of_what_is_absent() {
    let decision = decided(
        r#"
        const WEIGHTS = weights(#{ contribution: 35, support: 20 });
        const SCALE = scale([[0, 0], [5, 100]]);
        const GRADES = bands([[80, "1"], [50, "2"]], "3");
        fn decide(customer, context) {
            GRADES.of(WEIGHTS.score(#{
                contribution: SCALE.of(customer.shops),
                support: SCALE.of(customer.maybe.floor_area ?? absent()),
            }))
        }"#,
    );
    assert_eq!((decision.outcome.as_str(), decision.score), ("2", Some(dec!(60))));
    let parts: Vec<_> =
        decision.indicators.iter().map(|part| (part.key.as_str(), part.value, part.contribution)).collect();
    assert_eq!(parts, [("support", None, None), ("contribution", Some(dec!(60)), Some(dec!(60)))]);
    let codes: Vec<&str> = decision.reasons.iter().map(|reason| reason.code.as_str()).collect();
    assert_eq!(codes, ["band", "weight_spread"]);
    assert_eq!(decision.reasons[1].values["indicator"], "support");
}

#[test]
fn tables_and_matrices_decide() {
    let decision = decided(
        r#"
        const TABLE = table([["grocery", ">= 10", "1"], ["*", "1..10", "2"], ["*", "*", "3"]]);
        const GIFTS = matrix(#{ grocery: #{ yes: 40, no: 30 }, hotel: #{ yes: 4, no: 3 } });
        fn decide(customer, context) {
            let size = context.cohorts.volumes.class_of(customer.monthly_volume, ["small", "medium", "large"]);
            decision(TABLE.of([customer.format, customer.monthly_volume]))
                .entitle("visits", GIFTS.of(customer.format, if customer.licensed { "yes" } else { "no" }))
                .entitle("credit", size == "medium")
                .entitle("gifts", ["cup", "pen"])
                .because("size", #{ size: size, since: customer.opened_on, area: customer.maybe.floor_area ?? absent() })
        }"#,
    );
    assert_eq!(decision.outcome, "1");
    assert_eq!(decision.entitlements["visits"], Entitlement::Text("40".to_owned()));
    assert_eq!(decision.entitlements["credit"], Entitlement::Boolean(true));
    assert_eq!(decision.entitlements["gifts"], Entitlement::Texts(vec!["cup".to_owned(), "pen".to_owned()]));
    let values: Vec<&str> = decision.reasons[0].values.keys().map(String::as_str).collect();
    assert_eq!(values, ["since", "size"], "an absent value is left out");
}

#[test]
fn cohorts_are_those_of_the_group_or_of_all() {
    let text = r#"
        const BY_BAND = lookup(#{ "1": "1", "2": "2", "3": "3" });
        fn decide(customer, context) { decision(BY_BAND.of(text(context.cohorts.volumes.band_of(customer.monthly_volume)))) }"#;
    assert_eq!(decided(text).outcome, "2", "12.5 lies above the first cut of groceries, 10");
    let mut hotel = customer();
    hotel.values.insert("format".to_owned(), Value::Text("hotel".to_owned()));
    let Verdict::Decided(decision) = run_on(hotel, text).result else { panic!() };
    assert_eq!(decision.outcome, "1", "hotels have no group of their own, and 12.5 lies below 100");
    assert!(holds("context.cohorts.ranks.rank_of(customer.monthly_volume) == 0.01"));
    assert!(holds("context.cohorts.ranks.rank_of(10) == 0.01 && context.cohorts.ranks.rank_of(9.99) == 0"));
}

#[test]
fn a_decision_can_be_changed_in_place_and_constants_stay_as_they_are() {
    let text = r#"
        const CORE = decision("1");
        fn decide(customer, context) {
            let core = CORE;
            if customer.licensed { core.because("licensed", #{}); }
            CORE.because("again", #{});
            core
        }"#;
    for _ in 0..2 {
        let codes: Vec<String> = decided(text).reasons.into_iter().map(|reason| reason.code).collect();
        assert_eq!(codes, ["licensed"]);
    }
}

#[test]
fn constants_stay_as_they_are_from_one_subject_to_the_next() {
    for (constant, core) in [("decision(\"1\")", "CORE"), ("#{ a: decision(\"1\") }", "CORE.a")] {
        let text = format!(
            "const CORE = {constant};\nfn decide(customer, context) {{ {core}.because(\"licensed\", #{{}}); {core} }}"
        );
        let work = move || {
            let policies = compiled(&pack(), &text).unwrap_or_else(|faults| panic!("{}", shown(&faults)));
            let cohort = cohort();
            let circumstances = Circumstances {
                as_of: date(2018, 1, 1),
                cohort: &cohort,
                standing: &NONE_STANDING,
                previous: &NONE_PREVIOUS,
                overrides: &NONE_OVERRIDES,
            };
            let subject = Arc::new(customer());
            let first = policies.assess(&subject, circumstances);
            assert!(matches!(&first.policies[0].result, Verdict::Decided(decision) if decision.reasons.len() == 1));
            assert_eq!(policies.assess(&subject, circumstances), first, "{constant}");
        };
        std::thread::Builder::new().stack_size(16 << 20).spawn(work).unwrap().join().unwrap();
    }
}

#[test]
fn an_error_leaves_nothing_behind_for_the_next_subject() {
    let text = r#"
        fn deeper(x) { if x > 3 { decision(customer_of(x)) } else { deeper(x + 1) } }
        fn customer_of(x) { text(x / (x - 4)) }
        fn decide(customer, context) {
            let area = customer.maybe.floor_area ?? 0;
            if area == 0 { deeper(1) } else { decision("1") }
        }"#;
    let work = move || {
        let policies = compiled(&pack(), text).unwrap_or_else(|faults| panic!("{}", shown(&faults)));
        let cohort = cohort();
        let circumstances = Circumstances {
            as_of: date(2018, 1, 1),
            cohort: &cohort,
            standing: &NONE_STANDING,
            previous: &NONE_PREVIOUS,
            overrides: &NONE_OVERRIDES,
        };
        let failing = Arc::new(customer());
        let mut sound = customer();
        sound.values.insert("floor_area".to_owned(), number("20"));
        let sound = Arc::new(sound);
        let first = policies.assess(&failing, circumstances);
        assert!(matches!(&first.policies[0].result, Verdict::Failed(message) if message.contains(":3:")), "{first:?}");
        let decided = policies.assess(&sound, circumstances);
        assert!(matches!(&decided.policies[0].result, Verdict::Decided(_)), "{decided:?}");
        assert_eq!(policies.assess(&failing, circumstances), first);
        assert_eq!(policies.assess(&sound, circumstances), decided);
    };
    std::thread::Builder::new().stack_size(16 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn what_the_policy_does_not_declare_is_refused_when_it_is_given() {
    let message = failed("fn decide(customer, context) { decision(customer.note) }");
    assert!(
        message.starts_with("policies/grade.rhai:1:1: the policy declares no outcome 'près du marché'"),
        "{message}"
    );
    let message = failed("fn decide(customer, context) { decision(\"1\").entitle(\"visits\", customer.shops / 2) }");
    assert!(message.contains("'visits' is a whole number, but the script gave 1.5"), "{message}");
    let message = failed("\n fn decide(customer, context) { let x = decision(\"1\"); x = customer.shops; x }");
    assert!(message.contains("rhai:2:2: decide gave 3 instead of a decision"), "{message}");
}

#[test]
fn errors_at_run_time_say_where_and_what() {
    for (expression, part) in
        [("decision(x)", "decision"), ("x.len()", "len"), ("{ throw \"no licence\" }", "no licence")]
    {
        let text = format!("fn decide(customer, context) {{\nlet x = 0; x = 1;\n x = {expression}; x\n}}");
        let message = failed(&text);
        assert!(message.starts_with("policies/grade.rhai:3:") && message.contains(part), "{message}");
    }
}

fn assess(scripts: &[(&str, &str)], libs: &[(&str, &str)]) -> (Assessed, CompiledPolicies) {
    let mut pack = pack();
    pack.policies =
        scripts.iter().map(|(id, _)| ((*id).to_owned(), declaration(&["1", "2"]))).collect::<IndexMap<_, _>>();
    let owned = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
    };
    let policies = compile(&pack, &owned(scripts), &owned(libs)).unwrap_or_else(|faults| panic!("{}", shown(&faults)));
    let cohort = cohort();
    let circumstances = Circumstances {
        as_of: date(2018, 1, 1),
        cohort: &cohort,
        standing: &NONE_STANDING,
        previous: &NONE_PREVIOUS,
        overrides: &NONE_OVERRIDES,
    };
    (policies.assess(&Arc::new(customer()), circumstances), policies)
}

#[test]
fn policies_run_after_those_they_read_and_answer_in_the_manifests_order() {
    let (assessed, policies) = assess(
        &[
            ("last", "fn decide(customer, context) { decision(context.outcomes.middle) }"),
            ("middle", "fn decide(customer, context) { decision(context.outcomes.first) }"),
            ("first", "fn decide(customer, context) { decision(\"2\") }"),
            ("broken", "fn decide(customer, context) { decision(text(customer.floor_area)) }"),
            ("blocked", "fn decide(customer, context) { decision(context.outcomes.broken) }"),
        ],
        &[],
    );
    let ids: Vec<&str> = assessed.policies.iter().map(|result| result.policy.as_str()).collect();
    assert_eq!(ids, ["last", "middle", "first", "broken", "blocked"]);
    assert!(matches!(&assessed.policies[0].result, Verdict::Decided(decision) if decision.outcome == "2"));
    assert!(matches!(&assessed.policies[3].result, Verdict::Failed(message) if message.contains("floor_area")));
    assert_eq!(assessed.policies[4].result, Verdict::Blocked("broken".to_owned()));
    assert_eq!(assessed.policies[0].inputs[0].value.as_deref(), Some("2"));
    assert!(policies.script("last").unwrap().outcomes.contains("middle"));
}

#[test]
fn libraries_are_followed_and_errors_in_them_name_their_file() {
    let (assessed, policies) = assess(
        &[
            ("good", "const LIMIT = double(3);\nfn decide(customer, context) { decision(pick(customer, LIMIT)) }"),
            ("bad", "fn decide(customer, context) { decision(area(customer)) }"),
        ],
        &[
            (
                "shared",
                "fn pick(who, limit) { if who.monthly_volume > limit { \"1\" } else { \"2\" } }\nfn double(x) { x * 2 }",
            ),
            ("other", "\nfn area(who) {\n    text(who.floor_area)\n}"),
        ],
    );
    assert!(matches!(&assessed.policies[0].result, Verdict::Decided(decision) if decision.outcome == "1"));
    let Verdict::Failed(message) = &assessed.policies[1].result else { panic!() };
    assert!(message.starts_with("lib/other.rhai:3:14: 'floor_area'"), "{message}");
    assert!(policies.script("good").unwrap().metrics.contains("monthly_volume"));
}

#[test]
fn facts_say_what_a_script_reads_and_gives() {
    let policies = compiled(
        &pack(),
        r#"//! First line.
//! Second line.
const WEIGHTS = weights(#{ contribution: 1 });
const GRADES = bands([[2, "1"]], "2");
fn decide(customer, context) {
    let grade = GRADES.of(WEIGHTS.score(#{ contribution: context.cohorts.ranks.rank_of(customer.monthly_volume) }));
    if customer.opened_on < context.as_of { grade.because("old", #{ since: customer.opened_on, extra: 1 }); }
    grade.because("old", #{ since: customer.opened_on }).entitle("supply", 3)
}"#,
    )
    .unwrap_or_else(|faults| panic!("{}", shown(&faults)));
    let facts = policies.script(POLICY).unwrap();
    let set = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
    assert_eq!(facts.doc, "First line.\nSecond line.");
    assert_eq!(facts.fields, set(&["format", "opened_on"]), "the cohort's group is read too");
    assert_eq!(facts.metrics, set(&["monthly_volume"]));
    assert_eq!(facts.cohorts, set(&["ranks"]));
    assert_eq!(facts.reasons, BTreeMap::from([("old".to_owned(), set(&["since"]))]));
    assert_eq!(facts.entitlements, set(&["supply"]));
    assert!(facts.bands && facts.weights && facts.as_of);
}

#[test]
fn compiled_policies_are_shared_by_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<CompiledPolicies>();
}
