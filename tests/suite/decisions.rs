//! The real sample over HTTP: every store graded, every grade explained, runs that go on after a stop, and scripts that misbehave.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use baremo::csv_rows::{Input, Progress};
use baremo::{app::recording_rules, customers, transactions};
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use crate::app::{TestApp, files, pack};
use crate::transactions::{bakery, bakery_source};

/// The sample, loaded and run: tests only read it.
pub static SAMPLE: LazyLock<TestApp> = LazyLock::new(sample_app);

/// A base with the sample, loaded and run.
pub fn sample_app() -> TestApp {
    let app = TestApp::new(&pack("tobacco"), "2018-01-01");
    load_sample(&app);
    assert_eq!(app.run()["assessed"], 136);
    app
}

fn sample_file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)
}

/// Imports the customers of the sample.
pub fn load_customers(app: &TestApp) {
    let rules = baremo::app::customer_rules(&app.state.in_force.get().unwrap());
    let import = Input { file: sample_file("tobacco_customers.csv"), ..Default::default() };
    let report = customers::import::import(&app.state.db, &rules, &import, &mut Progress::hidden()).unwrap();
    assert_eq!((report.counts.created, report.counts.faulty), (136, 0));
}

fn load_sample(app: &TestApp) -> transactions::import::Import {
    load_customers(app);
    let active = app.state.in_force.get().unwrap();
    let columns = [
        ("customer", "customer_code"),
        ("on", "ordered_at"),
        ("order", "order_id"),
        ("product", "product_code"),
        ("product_name", "product_name"),
        ("product_category", "category"),
    ];
    let import = transactions::import::Import {
        input: Input {
            file: sample_file("tobacco_orders.csv"),
            mapping: columns.map(|(target, column)| (target.to_owned(), column.to_owned())).into(),
            ..Default::default()
        },
        kind: Some("order".to_owned()),
        source: Some("completejourney".to_owned()),
    };
    let rules = recording_rules(&active);
    let report = transactions::import::import(&app.state.db, &rules, &import, &mut Progress::hidden()).unwrap();
    // Fifty rows of quantity 0, and the columns of the manufacturer and the package, which nothing reads.
    assert_eq!((report.counts.read, report.counts.created, report.counts.warnings), (7453, 7453, 52));
    import
}

/// The orders of the sample, read without any of Baremo's code.
pub fn orders() -> Vec<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(sample_file("tobacco_orders.csv")).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let row = |line: &str| header.iter().zip(line.split(',')).map(|(k, v)| ((*k).to_owned(), v.to_owned())).collect();
    lines.map(row).collect()
}

fn ids() -> BTreeMap<String, String> {
    ids_of(&SAMPLE)
}

/// Ids of the sample's customers by code.
pub fn ids_of(app: &TestApp) -> BTreeMap<String, String> {
    let page = app.get("/v1/customers?limit=500").with(200).json;
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    page["items"].as_array().unwrap().iter().map(|item| (text(&item["code"]), text(&item["id"]))).collect()
}

#[test]
fn volume_grades_are_those_that_the_orders_give() {
    let mut bought: BTreeMap<String, i64> = BTreeMap::new();
    for order in orders() {
        let counts = ("2017-10-01".."2018-01-01").contains(&order["ordered_at"].as_str());
        *bought.entry(order["customer_code"].clone()).or_default() +=
            if counts { order["quantity"].parse::<i64>().unwrap() } else { 0 };
    }
    let between = bought.values().filter(|sum| (18 * 3..20 * 3).contains(*sum)).count();
    assert_eq!(between, 3, "stores with a mean in [18, 20)");
    let bands = [(20, "1"), (15, "2"), (10, "3"), (8, "4"), (5, "5"), (3, "6"), (1, "7")];
    let supply = BTreeMap::from([
        ("1", "30"),
        ("2", "20"),
        ("3", "15"),
        ("4", "10"),
        ("5", "8"),
        ("6", "5"),
        ("7", "3"),
        ("8", "1"),
    ]);
    for (code, id) in ids() {
        let sum = bought[&code];
        let grade = bands.iter().find(|(from, _)| sum >= from * 3).map_or("8", |(_, grade)| grade);
        let answer = SAMPLE.get(&format!("/v1/customers/{id}/decisions")).with(200).json;
        let decision =
            answer["items"].as_array().unwrap().iter().find(|item| item["policy"] == "volume_grade").unwrap();
        assert_eq!(decision["outcome"], *grade, "{code} bought {sum} in three months");
        assert_eq!(decision["entitlements"]["monthly_supply"], supply[grade]);
        assert_eq!(decision["inputs"][0]["window"], json!({"from": "2017-10-01", "to": "2017-12-31"}));
        assert!(
            decision["reasons"][0]["text"].as_str().unwrap().contains(decision["inputs"][0]["value"].as_str().unwrap())
        );
    }
}

#[test]
fn totals_equal_the_file() {
    let (mut lines, mut amount, mut of_orders, mut in_january) = (0, Decimal::ZERO, 0, 0);
    for id in ids().values() {
        let mut path = format!("/v1/customers/{id}/transactions?limit=500");
        let mut seen = std::collections::BTreeSet::new();
        loop {
            let page = SAMPLE.get(&path).with(200).json;
            for item in page["items"].as_array().unwrap() {
                lines += item["lines"].as_array().unwrap().len();
                let text = item["lines"][0]["measures"]["amount"].as_str().unwrap();
                amount += text.parse::<Decimal>().unwrap();
                seen.insert(item["order"].as_str().unwrap().to_owned());
                in_january += usize::from(item["occurred_on"].as_str().unwrap().starts_with("2018-01"));
            }
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/v1/customers/{id}/transactions?limit=500&cursor={cursor}");
        }
        of_orders += seen.len();
    }
    assert_eq!((lines, of_orders, amount, in_january), (7453, 6577, Decimal::new(5_675_357, 2), 8));
}

#[test]
fn the_summary_counts_every_store_once_for_each_policy() {
    let runs = SAMPLE.get("/v1/runs").with(200).json;
    let run = &runs["items"][0];
    assert_eq!((&run["status"], &run["total"], &run["failed"]), (&json!("finished"), &json!(136), &json!(0)));
    let policies = run["summary"].as_array().unwrap();
    assert_eq!(policies.len(), 14);
    for policy in policies {
        let sum: u64 = policy["outcomes"].as_array().unwrap().iter().map(|o| o["customers"].as_u64().unwrap()).sum();
        assert_eq!(sum, 136, "{policy}");
    }
    let grades: Vec<u64> = policies.iter().find(|policy| policy["policy"] == "volume_grade").unwrap()["outcomes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|outcome| outcome["customers"].as_u64().unwrap())
        .collect();
    assert_eq!(grades, [6, 9, 11, 12, 25, 14, 28, 31]);
    let first = SAMPLE.get("/v1/customers?outcome%5Bvolume_grade%5D=1&limit=500").with(200).json;
    assert_eq!(first["items"].as_array().unwrap().len(), 6);
}

#[test]
fn reasons_and_labels_follow_the_reader_s_language() {
    let id = ids()["S318"].clone();
    let path = format!("/v1/customers/{id}/decisions");
    let text = |language: &str| {
        let answer = SAMPLE.send("GET", &path, &[("Accept-Language", language)], &Json::Null).with(200).json;
        let decision =
            answer["items"].as_array().unwrap().iter().find(|item| item["policy"] == "volume_grade").unwrap().clone();
        (decision["label"].as_str().unwrap().to_owned(), decision["reasons"][0]["text"].as_str().unwrap().to_owned())
    };
    let (english, spanish, chinese) = (text("en-GB,en;q=0.9"), text("es"), text("zh-CN,zh;q=0.8"));
    assert_eq!(english.0, "Grade 2");
    assert!(spanish.0.contains('2') && spanish != english);
    assert!(chinese.1.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{chinese:?}");
    assert_eq!(text("xx"), english, "the pack's first language stands in");
}

#[test]
fn an_evaluation_keeps_nothing_and_says_the_same() {
    let id = ids()["S388"].clone();
    let history =
        || SAMPLE.get(&format!("/v1/customers/{id}/assessments")).with(200).json["items"].as_array().unwrap().len();
    let before = history();
    let evaluation = SAMPLE.post("/v1/evaluations", &json!({"customer_id": id})).with(200).json;
    let outcomes: BTreeMap<String, String> = evaluation["decisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| (d["policy"].as_str().unwrap().to_owned(), d["outcome"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(outcomes, SAMPLE.outcomes(&id));
    assert_eq!(history(), before);
    let kept = SAMPLE.get(&format!("/v1/customers/{id}/assessments")).json["items"][0].clone();
    assert_eq!(kept["decisions"], evaluation["decisions"]);
    assert_eq!(SAMPLE.get(&format!("/v1/assessments/{}", kept["id"].as_str().unwrap())).with(200).json, kept);
    let cohort = SAMPLE.get(&format!("/v1/cohorts/{}", kept["cohort"].as_str().unwrap())).with(200).json;
    assert!(cohort["cohorts"].as_object().is_some_and(|cohorts| !cohorts.is_empty()));
    let release = SAMPLE.get(&format!("/v1/releases/{}", kept["release"].as_str().unwrap())).with(200).json;
    assert!(release["files"]["policies/volume_grade.rhai"].as_str().unwrap().contains("bands"));
}

#[test]
fn a_document_is_evaluated_and_its_faults_are_all_told() {
    let document = json!({"profile": {"network": {"retail_format": "grocery", "market": "urban"}, "basic": {"opened_on": "2010-01-01"}},
        "metrics": {"monthly_volume": "20"}});
    let answer = SAMPLE.post("/v1/evaluations", &json!({"document": document})).with(200).json;
    let decision = |policy: &str| {
        answer["decisions"].as_array().unwrap().iter().find(|decision| decision["policy"] == policy).unwrap().clone()
    };
    assert_eq!(decision("volume_grade")["outcome"], "1");
    assert_eq!(decision("level")["status"], "failed", "its metrics are missing");
    assert!(decision("level")["error"].as_str().unwrap().contains("quarterly_"), "{}", decision("level"));
    let faulty =
        json!({"document": {"profile": {"network": {"retail_format": "kiosk"}}, "metrics": {"monthly_volum": "1"}}});
    let answer = SAMPLE.post("/v1/evaluations", &faulty).with(422);
    let codes: Vec<&str> = answer.faults().iter().map(|fault| fault.1).collect();
    assert!(
        codes.contains(&"unknown_choice") && codes.contains(&"unknown_metric") && codes.contains(&"required"),
        "{codes:?}"
    );
    assert_eq!(SAMPLE.post("/v1/evaluations", &json!({})).with(422).faults()[0].1, "one_of");
}

#[test]
fn a_second_import_changes_nothing_and_a_second_run_keeps_nothing_new() {
    let app = TestApp::new(&pack("tobacco"), "2018-01-01");
    let import = load_sample(&app);
    app.run();
    let rules = recording_rules(&app.state.in_force.get().unwrap());
    let again = transactions::import::import(&app.state.db, &rules, &import, &mut Progress::hidden()).unwrap();
    assert_eq!((again.counts.created, again.counts.changed, again.counts.unchanged), (0, 0, 7453));
    let second = app.run();
    assert_eq!((&second["assessed"], &second["unchanged"]), (&json!(136), &json!(136)));
}

#[test]
fn a_run_can_be_cancelled_and_only_one_is_open_at_a_time() {
    let app = bakery();
    app.state.workers.stop();
    let run = app.post("/v1/runs", &json!({})).with(202);
    let path = run.header("Location").to_owned();
    assert_eq!(app.post("/v1/runs", &json!({})).with(409).json["code"], "conflict");
    assert_eq!(app.post(&format!("{path}/cancellation"), &json!({})).with(200).json["status"], "cancelled");
    app.post(&format!("{path}/cancellation"), &json!({})).with(409);
    app.post("/v1/runs", &json!({})).with(202);
    assert_eq!(app.post("/v1/runs", &json!({"renew": 1})).with(422).faults()[0].1, "unknown_field");
}

#[test]
fn a_run_that_a_stopped_process_left_is_finished_by_the_next() {
    let source = bakery_source();
    let first = TestApp::new(&source, "2018-01-01");
    let id = first.customer("X1", json!({}));
    first.state.workers.stop();
    let run = first.post("/v1/runs", &json!({"renew_cohort": true})).with(202).json;
    let second = TestApp::beside(&first, &source, "2018-01-01");
    let ended = second.run_ended(run["id"].as_str().unwrap());
    assert_eq!((&ended["status"], &ended["assessed"]), (&json!("finished"), &json!(1)));
    assert_eq!(second.outcomes(&id)["size"], "small");
}

#[test]
fn inactive_customers_are_not_assessed() {
    let app = bakery();
    app.customer("X1", json!({}));
    let id = app.customer("X2", json!({}));
    app.send("POST", &format!("/v1/customers/{id}/deactivation"), &[("If-Match", "\"1\"")], &json!({})).with(200);
    assert_eq!(app.run()["assessed"], 1);
}

/// The bakery with another script.
fn with_script(script: &str) -> TestApp {
    let source = bakery_source();
    let mut all: Vec<(&str, &str)> = source.files().filter(|(path, _)| *path != "policies/size.rhai").collect();
    all.push(("policies/size.rhai", script));
    TestApp::new(&files(&all), "2018-01-01")
}

#[test]
fn a_script_that_misbehaves_fails_alone_and_the_service_lives() {
    let scripts = [
        ("an endless loop", "loop { }"),
        ("deep recursion", "return down(1);"),
        ("a string of 100 MB", "let s = \"0123456789\"; loop { s += s; }"),
        ("a doubling list", "let a = [1]; loop { a += a; }"),
        ("nested lists", "let a = []; for i in a { } loop { a = [a]; }"),
        ("a division by zero", "let z = customer.volume; return decision(text(1 / z));"),
    ];
    for (what, body) in scripts {
        let script = format!(
            "//! Hostile.\nfn down(n) {{ down(n + 1) }}\nfn decide(customer, context) {{ {body}\n decision(\"big\") }}"
        );
        let app = with_script(&script);
        let id = app.customer("X1", json!({}));
        let answer = app.post("/v1/evaluations", &json!({"customer_id": id})).with(200).json;
        let decision = &answer["decisions"][0];
        assert_eq!(decision["status"], "failed", "{what}: {decision}");
        assert!(decision["error"].as_str().unwrap().contains("policies/size.rhai:"), "{what}: {decision}");
        let run = app.run();
        assert_eq!((&run["status"], &run["failed"]), (&json!("finished"), &json!(1)), "{what}");
        assert_eq!(app.get("/readyz").status, 200, "{what}");
    }
}
