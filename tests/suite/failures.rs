//! Customers for whom a run fails: each is named with what failed, stops nobody else, keeps his outcomes and can be assessed again.

use std::sync::Arc;

use baremo::assessments::activation::{Closes, activate};
use baremo::assessments::{retention, run};
use baremo::policy::release::load;
use baremo::policy::source::Source;
use serde_json::{Value as Json, json};

use crate::app::{TestApp, files};
use crate::process::until;

const MANIFEST: &str = r#"
[pack]
id = "workshop"
title = { en = "Workshop" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "piece"
languages = ["en"]
[fields]
divisor = { section = "network", type = "integer" }
[kinds.order]
measures = ["quantity"]
[metrics.volume]
function = "sum"
kind = "order"
measure = "quantity"
window = { full_months = 12 }
[cohorts.volumes]
value = "volume"
cuts = { quantiles = ["0.5"] }
[policies]
size = { subject = "customer", outcomes = ["big", "small"], cadence = "continuous" }
share = { subject = "customer", outcomes = ["high", "low"], cadence = "continuous" }
level = { subject = "customer", outcomes = ["A", "B"], cadence = "continuous" }
"#;

const TEXTS: &str = r#"
fields.divisor = "Divisor"
kinds.order = "Order"
measures.quantity = "Quantity"
metrics.volume = "Volume"
policies = { size = "Size", share = "Share", level = "Level" }
outcomes.size = { big = "Big", small = "Small" }
outcomes.share = { high = "High", low = "Low" }
outcomes.level = { A = "A", B = "B" }
"#;

const SHARE: &str = "//! Share.\nconst SHARES = bands([[5, \"high\"]], \"low\");\n\
                     fn decide(customer, context) { SHARES.of(10 / customer.divisor) }";
const LEVEL: &str = "//! Level.\nconst LEVELS = lookup(#{ \"high\": \"A\", \"low\": \"B\" });\n\
                     fn decide(customer, context) { decision(LEVELS.of(context.outcomes.share)) }";

/// The pack, with a cut of its own.
fn workshop(cut: u32) -> Source {
    let size = format!(
        "//! Size.\nconst SIZES = bands([[{cut}, \"big\"]], \"small\");\n\
         fn decide(customer, context) {{ SIZES.of(customer.volume) }}"
    );
    files(&[
        ("pack.toml", MANIFEST),
        ("texts/en.toml", TEXTS),
        ("policies/size.rhai", &size),
        ("policies/share.rhai", SHARE),
        ("policies/level.rhai", LEVEL),
    ])
}

const CODES: [&str; 6] = ["BROKEN", "FINE", "FLOOD", "TOTALS", "WELL", "ZERO"];
/// A sum that fits a total, and of which two don't.
const LARGEST: &str = "79228162514264337593543950335";

/// Customers with orders in two months, assessed.
fn assessed() -> (TestApp, [String; 6]) {
    let app = TestApp::new(&workshop(1), "2018-01-01");
    let customers = CODES.map(|code| app.customer(code, json!({"network": {"divisor": 2}})));
    let order = |code: &str, month: u32| {
        json!({"source": "shop", "external_id": format!("{code}-{month}"), "kind": "order", "customer_code": code,
            "occurred_at": format!("2017-{month}-05"), "lines": [{"measures": {"quantity": "1"}}]})
    };
    app.record(&CODES.map(|code| [order(code, 11), order(code, 12)]).concat());
    let run = app.run();
    assert_eq!((&run["assessed"], &run["failed"]), (&json!(6), &json!(0)), "{run}");
    (app, customers)
}

fn of(code: &str) -> String {
    format!("(SELECT id FROM customers WHERE code = '{code}')")
}

fn number(app: &TestApp, sql: &str) -> i64 {
    crate::process::number(&app.base.url(), sql).unwrap()
}

fn set_divisor(app: &TestApp, id: &str, divisor: u32) {
    let path = format!("/v1/customers/{id}");
    let tag = app.get(&path).header("ETag").to_owned();
    app.patch(&path, &tag, &json!({"profile": {"network": {"divisor": divisor}}})).with(200);
}

/// Spoils the data of four customers, three of them behind the service's back, and makes these due.
fn poison(app: &TestApp, customers: &[String; 6]) {
    app.base.execute(&format!(
        "UPDATE customers SET profile = CONCAT('[', profile, ']') WHERE code = 'BROKEN'; \
         UPDATE totals SET months = CONCAT('[', months, ']') WHERE customer_id = {}; \
         UPDATE totals SET months = REPLACE(months, '\"sum\":\"1\"', '\"sum\":\"{LARGEST}\"') WHERE customer_id = {}",
        of("TOTALS"),
        of("FLOOD")
    ));
    let spoilt = "SELECT COUNT(*) FROM totals WHERE months LIKE '[%' OR months LIKE '%79228162514264337593543950335%'";
    assert_eq!(number(app, spoilt), 2, "the totals are kept in another form");
    set_divisor(app, &customers[5], 0);
}

fn mend(app: &TestApp, customers: &[String; 6]) {
    app.base.execute(&format!(
        "UPDATE customers SET profile = TRIM(LEADING '[' FROM TRIM(TRAILING ']' FROM profile)) WHERE code = 'BROKEN'; \
         UPDATE totals SET months = TRIM(LEADING '[' FROM TRIM(TRAILING ']' FROM months)) WHERE customer_id = {}; \
         UPDATE totals SET months = REPLACE(months, '{LARGEST}', '1') WHERE customer_id = {}",
        of("TOTALS"),
        of("FLOOD")
    ));
    set_divisor(app, &customers[5], 2);
}

fn failures(app: &TestApp, run: &Json) -> Vec<Json> {
    let mut path = format!("/v1/runs/{}/failures?limit=1", run["id"].as_str().unwrap());
    let mut items = Vec::new();
    loop {
        let page = app.get(&path).with(200).json;
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/runs/{}/failures?limit=1&cursor={cursor}", run["id"].as_str().unwrap());
    }
    items.sort_by_key(|item| item["customer_code"].as_str().unwrap().to_owned());
    items
}

fn start(app: &TestApp, body: &Json) -> Json {
    let run = app.post("/v1/runs", body).with(202).json;
    app.run_ended(run["id"].as_str().unwrap())
}

#[test]
fn failed_customers_are_named_keep_their_outcomes_and_are_assessed_again() {
    let (app, customers) = assessed();
    poison(&app, &customers);
    app.base.execute("UPDATE subjects SET next_due_on = '1000-01-01'");
    app.state.workers.wake();
    until("nobody is due", || {
        (number(&app, "SELECT COUNT(*) FROM subjects WHERE next_due_on <= '2018-01-01'") == 0).then_some(())
    });
    let flagged = "SELECT COUNT(*) FROM outcomes WHERE flag IS NOT NULL";
    assert_eq!(number(&app, flagged), 3 * 3 + 2, "all of whose data are broken, and what the script's error concerns");

    let failed = start(&app, &json!({"renew_cohort": true}));
    let numbers = ["total", "assessed", "failed"].map(|key| failed[key].as_u64().unwrap());
    assert_eq!((numbers, failed["status"].as_str()), ([6, 6, 4], Some("finished")), "{failed}");
    let named = failures(&app, &failed);
    let codes: Vec<&str> = named.iter().map(|item| item["customer_code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["BROKEN", "FLOOD", "TOTALS", "ZERO"]);
    for (place, says) in [(0, "profile"), (1, "metrics"), (2, "totals")] {
        let reasons = named[place]["reasons"].as_array().unwrap();
        assert!(reasons.len() == 1 && reasons[0].get("policy").is_none(), "{reasons:?}");
        assert!(reasons[0]["message"].as_str().unwrap().contains(says), "{reasons:?}");
    }
    let reasons = named[3]["reasons"].as_array().unwrap();
    assert_eq!((reasons.len(), &reasons[0]["policy"], &reasons[0]["title"]), (1, &json!("share"), &json!("Share")));
    assert!(reasons[0]["message"].as_str().unwrap().contains("policies/share.rhai:3"), "{reasons:?}");
    for (code, id) in CODES.iter().zip(&customers) {
        let kept =
            app.get(&format!("/v1/customers/{id}/decisions")).with(200).json["items"].as_array().unwrap().clone();
        let outcomes: Vec<&str> = kept.iter().map(|item| item["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, ["big", "high", "A"], "{code} keeps his outcomes");
        let is_flagged = kept.iter().any(|item| item.get("flag").is_some());
        assert_eq!(is_flagged, codes.contains(code), "{code}: {kept:?}");
    }

    mend(&app, &customers);
    until("the one whose field has changed is assessed", || (number(&app, flagged) == 3 * 3).then_some(()));
    let again = start(&app, &json!({"failed_of": failed["id"]}));
    let numbers = ["total", "assessed", "failed"].map(|key| again[key].as_u64().unwrap());
    assert_eq!((numbers, &again["failed_of"]), ([4, 4, 0], &failed["id"]), "{again}");
    assert_eq!((number(&app, flagged), failures(&app, &again).len(), failures(&app, &failed).len()), (0, 0, 4));
    let assessments = "SELECT COUNT(*) FROM assessments WHERE run_id IS NOT NULL AND run_id = UNHEX(REPLACE('";
    let made = format!("{assessments}{}', '-', ''))", again["id"].as_str().unwrap());
    assert_eq!(number(&app, &made), 3, "those who were in order again had theirs already");

    app.base.execute("UPDATE runs SET created_at = created_at - INTERVAL 31 DAY");
    retention::work(&app.state.db, "2018-01-01".parse().unwrap(), 36, &|| false).unwrap();
    assert_eq!(failures(&app, &failed).len(), 0);
}

#[test]
fn a_run_over_failures_is_refused_where_there_is_nothing_to_repeat() {
    let (app, _) = assessed();
    let nobody = "01a2008f-c5ab-7253-a9fc-1d735533f672";
    let refused = app.post("/v1/runs", &json!({"failed_of": nobody})).with(422);
    assert_eq!(refused.faults(), [("/failed_of", "unknown_run")]);
    let refused = app.post("/v1/runs", &json!({"failed_of": nobody, "renew_cohort": true})).with(422);
    assert_eq!(refused.faults(), [("/renew_cohort", "not_allowed")]);
    app.get(&format!("/v1/runs/{nobody}/failures")).with(404);
    // Nobody failed: nobody is assessed, and the run ends.
    let run = start(&app, &json!({}));
    let again = start(&app, &json!({"failed_of": run["id"]}));
    assert_eq!((&again["total"], &again["assessed"], &again["status"]), (&json!(0), &json!(0), &json!("finished")));
}

#[test]
fn a_run_over_failures_is_none_that_follows_new_rules() {
    let (app, customers) = assessed();
    poison(&app, &customers);
    let failed = start(&app, &json!({}));
    app.state.workers.stop();
    let next = workshop(3);
    let release = Arc::new(load(&next).map_err(|faults| faults[0].to_string()).unwrap());
    let (db, in_force) = (&app.state.db, &app.state.in_force);
    db.run_here(|conn| activate(conn, in_force, (&next, &release), Closes::Now, None)).unwrap();
    let repeated = app.post("/v1/runs", &json!({"failed_of": failed["id"]})).with(202).json;
    let active = in_force.get().unwrap();
    assert_eq!(repeated["basis"], json!(active.basis.number));
    assert!(db.run_here(|conn| run::follow(conn, &active)).unwrap(), "nobody else is assessed by the new rules");
}
