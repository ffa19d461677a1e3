//! Stability that a pack declares, through closings, explanations, replay and causes, over HTTP.

use baremo::policy::source::Source;
use serde_json::{Value as Json, json};

use crate::app::{TestApp, files};
use crate::process::until;
use crate::publishing::compared;

pub const MANIFEST: &str = r#"
[pack]
id = "power"
title = { en = "Power" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "kWh"
languages = ["en"]
opening_field = "opened_on"

[fields.opened_on]
section = "basic"
type = "date"
maintenance = "static"

[fields.score]
section = "business"
type = "decimal"
maintenance = "dynamic"

[fields.theft_on]
section = "business"
type = "date"
maintenance = "dynamic"

[policies.class]
subject = "customer"
outcomes = ["A", "B", "C"]
cadence = "year"

[policies.class.stability]
steps_up = 1
cool_down = [{ after = "theft_on", months = 24 }]
newcomer = { outcome = "B", months = 12 }

[policies.terms]
subject = "customer"
outcomes = ["postpaid", "prepaid"]
cadence = "continuous"
"#;

const TEXTS: &str = r#"
fields = { opened_on = "Opened on", score = "Score", theft_on = "Last theft" }
policies = { class = "Class", terms = "Terms" }
outcomes.class = { A = "A", B = "B", C = "C" }
outcomes.terms = { postpaid = "Postpaid", prepaid = "Prepaid" }
"#;

const CLASS: &str = "//! Class.\nconst CLASSES = bands([[90, \"A\"], [70, \"B\"]], \"C\");\n\
    fn decide(customer, context) { CLASSES.of(customer.score) }";
const TERMS: &str = "//! Terms.\nconst TERMS = lookup(#{ \"A\": \"postpaid\", \"B\": \"postpaid\", \"C\": \"prepaid\" });\n\
    fn decide(customer, context) { decision(TERMS.of(context.outcomes.class)) }";

pub fn pack(manifest: &str) -> Source {
    files(&[
        ("pack.toml", manifest),
        ("texts/en.toml", TEXTS),
        ("policies/class.rhai", CLASS),
        ("policies/terms.rhai", TERMS),
    ])
}

pub fn close(app: &TestApp) {
    let run = app.post("/v1/closings", &Json::Null).with(202);
    let path = run.header("Location").to_owned();
    until("the closing is done", || (app.get(&path).json["status"] == "finished").then_some(()));
}

pub fn decision(app: &TestApp, id: &str, policy: &str) -> Json {
    let decisions = app.get(&format!("/v1/customers/{id}/decisions")).with(200).json;
    let items = decisions["items"].as_array().unwrap();
    items.iter().find(|one| one["policy"] == policy).unwrap_or_else(|| panic!("{decisions}")).clone()
}

/// Changes a customer's score, and waits until it is seen.
pub fn score(app: &TestApp, id: &str, score: &str, more: Json) {
    let path = format!("/v1/customers/{id}");
    let tag = app.get(&path).with(200).header("ETag").to_owned();
    let mut business = json!({"score": score});
    business.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    app.patch(&path, &tag, &json!({"profile": {"business": business}})).with(200);
    until("he is assessed by it", || {
        let page = app.get(&format!("/v1/customers/{id}/assessments?limit=1")).json;
        let inputs = page["items"][0]["decisions"][0]["inputs"].as_array().cloned().unwrap_or_default();
        inputs.iter().any(|input| input["key"] == "score" && input["value"] == score).then_some(())
    });
}

pub fn latest(app: &TestApp, id: &str) -> Json {
    app.get(&format!("/v1/customers/{id}/assessments?limit=1")).with(200).json["items"][0].clone()
}

#[test]
fn the_worst_does_not_become_the_best_in_one_step_and_terms_follow_what_stands() {
    let app = TestApp::new(&pack(MANIFEST), "2018-01-02");
    let old = json!({"basic": {"opened_on": "2010-01-01"}, "business": {"score": "50"}});
    let id = app.customer("X1", old);
    close(&app);
    assert_eq!(
        (&decision(&app, &id, "class")["outcome"], &decision(&app, &id, "terms")["outcome"]),
        (&json!("C"), &json!("prepaid"))
    );
    let first = latest(&app, &id);

    score(&app, &id, "95", json!({}));
    let class = decision(&app, &id, "class");
    assert_eq!((&class["outcome"], &class["provisional"]["outcome"]), (&json!("C"), &json!("B")), "{class}");
    assert_eq!(class["provisional"]["computed_outcome"], "A");
    let reason = &class["provisional"]["reasons"][0];
    assert_eq!(
        (&reason["code"], &reason["text"]),
        (&json!("steps"), &json!("Steps at a time: at most 1; the figures alone say A"))
    );

    close(&app);
    let class = decision(&app, &id, "class");
    assert_eq!((&class["outcome"], &class["computed_outcome"]), (&json!("B"), &json!("A")), "{class}");
    until("terms follow", || (decision(&app, &id, "terms")["outcome"] == "postpaid").then_some(()));
    close(&app);
    assert_eq!(decision(&app, &id, "class")["outcome"], "A", "one step further at the next closing");

    // Computed it rose by two; by what stood by one, when it was closed for the first time.
    let history = app.get(&format!("/v1/customers/{id}/assessments")).with(200).json;
    let of = |outcome: &str| {
        let items = history["items"].as_array().unwrap();
        items.iter().find(|one| one["decisions"][0]["outcome"] == outcome).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let causes =
        app.get(&format!("/v1/assessments/{}/causes?to={}", first["id"].as_str().unwrap(), of("B"))).with(200).json;
    let parts =
        causes["policies"].as_array().unwrap().iter().find(|one| one["policy"] == "class").unwrap()["parts"].clone();
    let parts: Vec<(&str, i64)> = parts
        .as_array()
        .unwrap()
        .iter()
        .map(|part| (part["cause"].as_str().unwrap(), part["ordinal"].as_i64().unwrap()))
        .collect();
    assert_eq!(parts, [("data", -2), ("rules", 0), ("time", 0), ("population", 0), ("stability", 1), ("override", 0)]);
    for item in history["items"].as_array().unwrap() {
        let replay = app.get(&format!("/v1/assessments/{}/replay", item["id"].as_str().unwrap())).with(200).json;
        assert_eq!(replay["status"], "same", "{replay}");
    }
}

#[test]
fn theft_blocks_and_newcomers_begin_in_the_middle() {
    let app = TestApp::new(&pack(MANIFEST), "2018-01-02");
    let id = app.customer("X1", json!({"basic": {"opened_on": "2010-01-01"}, "business": {"score": "75"}}));
    let new = app.customer("X2", json!({"basic": {"opened_on": "2017-06-01"}, "business": {"score": "99"}}));
    close(&app);
    assert_eq!(decision(&app, &new, "class")["reasons"][0]["text"], "New until 2018-06-01; the figures alone say A");
    assert_eq!(decision(&app, &new, "class")["outcome"], "B");
    score(&app, &id, "96", json!({"theft_on": "2016-05-10"}));
    close(&app);
    let class = decision(&app, &id, "class");
    assert_eq!((&class["outcome"], &class["reasons"][0]["code"]), (&json!("B"), &json!("cool_down")), "{class}");
    assert_eq!(
        class["reasons"][0]["text"],
        "Nothing better before 2018-05-10, because of “Last theft”; the figures alone say A"
    );
    // When the two years are over time alone makes him due.
    let basis = app.get("/v1/basis").with(200);
    app.patch("/v1/basis", basis.header("ETag"), &json!({"business_date": "2018-05-10"})).with(200);
    until("he would be A", || (decision(&app, &id, "class")["provisional"]["outcome"] == "A").then_some(()));
}

#[test]
fn what_does_not_go_with_the_rest_is_refused() {
    let app = TestApp::new(&pack(MANIFEST), "2018-01-02");
    for (from, to, code) in [
        ("cadence = \"year\"", "cadence = \"continuous\"", "stability"),
        ("cadence = \"year\"", "cadence = \"year\"\nentitlements.days = { type = \"integer\" }", "stability"),
        ("opening_field = \"opened_on\"\n", "", "stability"),
        ("after = \"theft_on\"", "after = \"theft\"", "unknown_field"),
        ("after = \"theft_on\"", "after = \"score\"", "wrong_type"),
        ("steps_up = 1", "steps_up = 0", "out_of_range"),
        ("outcome = \"B\", months", "outcome = \"X\", months", "unknown_outcome"),
    ] {
        let manifest = MANIFEST.replace(from, to);
        assert_ne!(manifest, MANIFEST);
        let told = app.post("/v1/pack-checks", &json!({"files": {"pack.toml": manifest}})).with(200).json;
        let codes: Vec<&str> =
            told["diagnostics"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
        assert!(told["sound"] == false && codes.contains(&code), "{from} → {to}: {told}");
    }
}

#[test]
fn a_candidate_that_brings_a_stability_is_compared_as_it_will_decide() {
    let (without, rest) = MANIFEST.split_once("[policies.class.stability]").unwrap();
    let manifest = format!("{without}{}", &rest[rest.find("[policies.terms]").unwrap()..]);
    let app = TestApp::new(&pack(&manifest), "2018-01-02");
    let id = app.customer("X1", json!({"basic": {"opened_on": "2010-01-01"}, "business": {"score": "50"}}));
    close(&app);
    assert_eq!(decision(&app, &id, "class")["outcome"], "C");
    score(&app, &id, "95", json!({}));

    let kept =
        app.post("/v1/releases", &json!({"files": {"pack.toml": MANIFEST}, "message": "in steps"})).with(201).json;
    let digest = kept["digest"].as_str().unwrap();
    assert_eq!(app.post(&format!("/v1/releases/{digest}/check"), &Json::Null).with(200).json["sound"], true);
    let policies = compared(&app, digest, &json!({}))["result"]["policies"].clone();
    let class = policies.as_array().unwrap().iter().find(|one| one["policy"] == "class").unwrap();
    let cells: Vec<(&Json, &Json)> = class["matrix"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| (&cell["from"]["outcome"], &cell["to"]["outcome"]))
        .collect();
    assert_eq!(cells, [(&json!("A"), &json!("B"))], "one step from C, where it stood");

    let basis = app.get("/v1/basis").with(200);
    app.patch("/v1/basis", basis.header("ETag"), &json!({"release": digest})).with(200);
    until("it is in force for him", || (decision(&app, &id, "class")["outcome"] == "B").then_some(()));
}
