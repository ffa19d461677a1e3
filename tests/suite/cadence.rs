//! Closings: between two of them data moves provisional outcomes alone, and what stands afterwards doesn't depend on how the data came.

use std::cell::Cell;
use std::collections::BTreeMap;

use baremo::policy::source::Source;
use jiff::civil::Date;
use jiff::{Span, ToSpan};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value as Json, json};

use crate::app::{TestApp, files};
use crate::clock::InForce;
use crate::process::Place;

const MANIFEST: &str = r#"
[pack]
id = "club"
title = { en = "Club" }
contract = 1
time_zone = "Europe/Madrid"
currency = "EUR"
unit = "piece"
languages = ["en"]
closes_after = GRACE
[kinds.order]
measures = ["quantity"]
[metrics.recent]
function = "sum"
kind = "order"
measure = "quantity"
window = WINDOW
[policies.today]
subject = "customer"
outcomes = ["big", "small"]
cadence = "continuous"
[policies.grade]
subject = "customer"
outcomes = ["A", "B", "C"]
cadence = "month"
[policies.rank]
subject = "customer"
outcomes = ["gold", "silver", "tin"]
cadence = "quarter"
[policies.rating]
subject = "customer"
outcomes = ["high", "low"]
cadence = "year"
[policies.service]
subject = "customer"
outcomes = ["fast", "slow"]
cadence = "continuous"
"#;

const TEXTS: &str = r#"
kinds.order = "o"
measures.quantity = "q"
metrics.recent = "r"
policies = { today = "t", grade = "g", rank = "r", rating = "r", service = "s" }
[outcomes]
today = { big = "b", small = "s" }
grade = { A = "A", B = "B", C = "C" }
rank = { gold = "g", silver = "s", tin = "t" }
rating = { high = "h", low = "l" }
service = { fast = "f", slow = "s" }
"#;

const TODAY: &str = "//! Today's size.\nconst SIZE = bands([[10, \"big\"]], \"small\");\nfn decide(customer, context) { SIZE.of(customer.recent) }";
const GRADE: &str = "//! Grade of a month.\nconst GRADES = bands([[20, \"A\"], [10, \"B\"]], \"C\");\nfn decide(customer, context) { GRADES.of(customer.recent) }";
const RATING: &str = "//! Rating of a year.\nconst RATINGS = bands([[30, \"high\"]], \"low\");\nfn decide(customer, context) { RATINGS.of(customer.recent) }";
const RANK: &str = r#"//! Rank of a quarter, from the grade that stands.
fn decide(customer, context) {
    let grade = context.outcomes.grade;
    if grade == "A" && customer.recent >= 40 { decision("gold") } else if grade == "C" { decision("tin") } else { decision("silver") }
}"#;
const SERVICE: &str = r#"//! Service, from the rank that stands.
const SERVICES = lookup(#{ gold: "fast", silver: "slow", tin: "slow" });
fn decide(customer, context) {
    if SERVICES.of(context.outcomes.rank) == "fast" { decision("fast") } else { decision("slow") }
}"#;

/// The files of a club: policies of all four cadences over what was bought recently. `grace` is the number of days after which
/// periods close, `window` that of the one metric, `grade` the script of the grade.
fn club_files(grace: u8, window: &str, grade: &str) -> [(&'static str, String); 7] {
    [
        ("pack.toml", MANIFEST.replace("GRACE", &grace.to_string()).replace("WINDOW", window)),
        ("texts/en.toml", TEXTS.to_owned()),
        ("policies/today.rhai", TODAY.to_owned()),
        ("policies/grade.rhai", grade.to_owned()),
        ("policies/rank.rhai", RANK.to_owned()),
        ("policies/rating.rhai", RATING.to_owned()),
        ("policies/service.rhai", SERVICE.to_owned()),
    ]
}

/// The pack of a club.
pub fn club(grace: u8, window: &str) -> Source {
    source(&club_files(grace, window, GRADE))
}

fn source(all: &[(&str, String)]) -> Source {
    files(&all.iter().map(|(path, text)| (*path, text.as_str())).collect::<Vec<_>>())
}

/// An order of a club's customer.
pub fn order(id: &str, customer: &str, on: &str, quantity: u32) -> Json {
    json!({"source": "shop", "external_id": id, "kind": "order", "customer_code": customer, "occurred_at": on,
        "lines": [{"measures": {"quantity": quantity.to_string()}}]})
}

const LATELY: &str = "{ days = 90 }";

/// Standing outcomes of today, grade, rank, rating and service.
#[track_caller]
fn standing(app: &TestApp, id: &str) -> [String; 5] {
    let all = app.in_force(id);
    ["today", "grade", "rank", "rating", "service"].map(|policy| all[policy].outcome.clone())
}

/// What the latest data would give, in the same order.
#[track_caller]
fn provisional(app: &TestApp, id: &str) -> [String; 5] {
    let all = app.in_force(id);
    ["today", "grade", "rank", "rating", "service"].map(|policy| all[policy].provisional.clone())
}

/// Last days of the periods of grade, rank and rating.
#[track_caller]
fn closed_on(app: &TestApp, id: &str) -> [String; 3] {
    let all = app.in_force(id);
    ["grade", "rank", "rating"].map(|policy| all[policy].closed_on.clone())
}

#[test]
fn a_newcomer_follows_the_data_until_his_first_closing() {
    let app = TestApp::new(&club(0, LATELY), "2018-01-10");
    let old = app.customer("X1", json!({}));
    app.close_now();
    let new = app.customer("X2", json!({}));
    app.settled();
    for id in [&old, &new] {
        assert_eq!(standing(&app, id), ["small", "C", "tin", "low", "slow"]);
    }
    app.record(&[order("A1", "X1", "2018-01-05", 45), order("A2", "X2", "2018-01-05", 45)]);
    app.settled();
    let best = ["big", "A", "gold", "high", "fast"];
    assert_eq!((standing(&app, &new), provisional(&app, &new)), (best.map(String::from), best.map(String::from)));
    assert_eq!(closed_on(&app, &new), ["", "", ""]);
    // The rank and the service read the grade and the rank that stand, not the provisional ones.
    assert_eq!(standing(&app, &old), ["big", "C", "tin", "low", "slow"]);
    assert_eq!(provisional(&app, &old), ["big", "A", "tin", "high", "slow"]);

    app.move_to("2018-02-01");
    assert_eq!(standing(&app, &old), ["big", "A", "tin", "low", "slow"], "January is closed, no quarter and no year");
    assert_eq!(provisional(&app, &old), ["big", "A", "gold", "high", "slow"]);
    assert_eq!(closed_on(&app, &old), ["2018-01-31", "2017-12-31", "2017-12-31"]);
    assert_eq!(closed_on(&app, &new), ["2018-01-31", "", ""], "he hasn't passed a closing of a quarter yet");
    app.record(&[order("A2", "X2", "2018-01-05", 15)]);
    app.settled();
    assert_eq!(
        standing(&app, &new),
        ["big", "A", "silver", "low", "slow"],
        "the grade is locked, rank and rating follow"
    );
    assert_eq!(provisional(&app, &new), ["big", "B", "silver", "low", "slow"]);
}

#[test]
fn closing_now_lists_what_was_closed_and_what_closes_next() {
    let app = TestApp::new(&club(0, LATELY), "2018-01-10");
    let id = app.customer("X1", json!({}));
    app.settled();
    let list = app.get("/v1/closings").with(200).json;
    assert_eq!(list["items"], json!([]));
    assert_eq!(
        list["next"],
        json!([
            {"cadence": "month", "closes_on": "2018-02-01", "closed_on": "2018-01-31"},
            {"cadence": "quarter", "closes_on": "2018-04-01", "closed_on": "2018-03-31"},
            {"cadence": "year", "closes_on": "2019-01-01", "closed_on": "2018-12-31"},
        ])
    );
    let run = app.post("/v1/closings", &Json::Null).with(202);
    assert_eq!(run.header("Location"), format!("/v1/runs/{}", run.json["id"].as_str().unwrap()));
    assert_eq!(app.run_ended(run.json["id"].as_str().unwrap())["cause"], "closing");
    app.settled();
    let list = app.get("/v1/closings").with(200).json;
    let closing = &list["items"][0];
    assert_eq!((list["items"].as_array().unwrap().len(), &closing["cause"]), (1, &json!("command")));
    assert_eq!(closing["run_id"], run.json["id"]);
    assert_eq!(closing["policies"], json!({"grade": "2017-12-31", "rank": "2017-12-31", "rating": "2017-12-31"}));
    assert_eq!(closing["basis"], app.get("/v1/basis").json["number"]);
    assert!(closing["finished_at"].as_str() >= closing["created_at"].as_str(), "{closing}");

    app.record(&[order("A1", "X1", "2018-01-05", 25)]);
    app.settled();
    let decisions = app.decisions(&id);
    let grade = &decisions["grade"];
    assert_eq!((&grade["outcome"], &grade["closed_on"]), (&json!("C"), &json!("2017-12-31")));
    assert_eq!((&grade["next_closing_on"], &grade["since"]), (&json!("2018-02-01"), &json!("2018-01-10")));
    assert_eq!((&grade["provisional"]["outcome"], &grade["inputs"][0]["value"]), (&json!("A"), &json!("0")));
    assert_eq!(grade["provisional"]["inputs"][0]["value"], "25", "each with what it was decided by");
    assert_ne!(grade["provisional"]["assessment"]["id"], grade["assessment"]["id"]);
    assert_eq!(decisions["rating"]["next_closing_on"], "2019-01-01");
    let today = &decisions["today"];
    assert_eq!(
        (&today["outcome"], &today["next_closing_on"], &today["closed_on"]),
        (&json!("big"), &Json::Null, &Json::Null)
    );

    app.close_now();
    assert_eq!(standing(&app, &id), ["big", "A", "silver", "low", "slow"]);
    assert_eq!(app.decisions(&id)["grade"]["provisional"], Json::Null);
    let first = app.get("/v1/closings?limit=1").with(200).json;
    let second =
        app.get(&format!("/v1/closings?limit=1&cursor={}", first["next_cursor"].as_str().unwrap())).with(200).json;
    assert_eq!((&second["items"][0], &second["next_cursor"]), (closing, &Json::Null));
}

#[test]
fn a_release_closes_what_it_changes_unless_it_is_to_wait() {
    let stricter = GRADE.replace("[[20, \"A\"]", "[[50, \"A\"]");
    let app = TestApp::new(&club(0, LATELY), "2018-01-10");
    let first = app.get("/v1/basis").json["release"].clone();
    let id = app.customer("X1", json!({}));
    app.record(&[order("A1", "X1", "2018-01-05", 45)]);
    app.settled();
    app.close_now();
    app.record(&[order("A1", "X1", "2018-01-05", 25)]);
    app.settled();
    let stands = ["big", "A", "gold", "high", "fast"];
    assert_eq!(standing(&app, &id), stands);
    assert_eq!(provisional(&app, &id), ["big", "A", "silver", "low", "fast"]);
    let closings = || app.get("/v1/closings").with(200).json["items"].as_array().unwrap().clone();

    let place = Place::new();
    let all = club_files(0, LATELY, &stricter);
    let folder = place.pack("club", &all.iter().map(|(path, text)| (*path, text.as_str())).collect::<Vec<_>>());
    let url = app.base.url();
    let own = [("BAREMO_DATABASE_URL", url.as_str())];
    let output = place.run(&["rules", "release", folder.to_str().unwrap(), "--wait-for-closing"], &own);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    app.settled();
    let second = app.get("/v1/basis").json["release"].clone();
    assert_ne!(first, second);
    assert_eq!(standing(&app, &id), stands, "it waits for the closing");
    assert_eq!(provisional(&app, &id), ["big", "B", "silver", "low", "fast"]);
    assert_eq!(closings().len(), 1);

    app.change_basis(&json!({"release": first, "closes": "by_cadence"}));
    app.settled();
    assert_eq!((standing(&app, &id), closings().len()), (stands.map(String::from), 1));
    assert_eq!(provisional(&app, &id), ["big", "A", "silver", "low", "fast"]);

    app.change_basis(&json!({"release": second}));
    app.settled();
    assert_eq!(standing(&app, &id), ["big", "B", "silver", "high", "slow"], "the grade, and what depends on it");
    assert_eq!(provisional(&app, &id), ["big", "B", "silver", "low", "slow"], "the rating waits for its own closing");
    let last = &closings()[0];
    assert_eq!((closings().len(), &last["cause"]), (2, &json!("release")));
    assert_eq!(last["policies"], json!({"grade": "2017-12-31", "rank": "2017-12-31"}));
    assert!(last["finished_at"].is_string(), "{last}");

    app.change_basis(&json!({"release": first, "closes": "by_cadence"}));
    app.move_to("2018-02-01");
    assert_eq!(standing(&app, &id), ["big", "A", "silver", "high", "slow"], "the month closes by the rules in force");
}

/// What happens to one of six orders of a customer, or to the base.
#[derive(Clone, Debug)]
enum Step {
    /// Sent with a day so many days before the business date, a quantity, or cancelled; in one batch with the step before or not.
    Send { item: u8, days: i64, quantity: u32, cancelled: bool, joined: bool },
    /// Everybody who is due is assessed.
    Settle,
    /// Everybody is assessed, whether he is due or not.
    Run,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let send = (0..6_u8, 0..120_i64, 0..40_u32, prop::bool::weighted(0.2), any::<bool>())
        .prop_map(|(item, days, quantity, cancelled, joined)| Step::Send { item, days, quantity, cancelled, joined });
    prop::collection::vec(prop_oneof![8 => send, 2 => Just(Step::Settle), 1 => Just(Step::Run)], 1..20)
}

/// The order that a step sends.
fn sent(step: &Step, customer: &str, business_date: Date) -> Option<(u8, Json)> {
    let Step::Send { item, days, quantity, cancelled, .. } = step else { return None };
    let on = business_date.checked_sub(Span::new().days(*days)).unwrap();
    let mut order = order(&format!("{customer}-{item}"), customer, &on.to_string(), *quantity);
    order["cancelled"] = json!(cancelled);
    Some((*item, order))
}

/// Takes the steps one after the other, as the client sends them.
fn take(app: &TestApp, steps: &[Step], customer: &str, business_date: Date) {
    let mut batch = Vec::new();
    for step in steps {
        if !matches!(step, Step::Send { joined: true, .. }) {
            send(app, std::mem::take(&mut batch));
        }
        match step {
            Step::Settle => app.settled(),
            Step::Run => {
                app.settled();
                app.post("/v1/runs", &json!({})).with(202);
                app.settled();
            }
            Step::Send { .. } => batch.extend(sent(step, customer, business_date).map(|(_, order)| order)),
        }
    }
    send(app, batch);
    app.settled();
}

/// Sends a batch, which may be empty.
fn send(app: &TestApp, batch: Vec<Json>) {
    if !batch.is_empty() {
        let answers = app.record(&batch);
        assert!(!answers.iter().any(|status| status == "refused"), "{answers:?}");
    }
}

#[test]
fn what_stands_after_a_closing_depends_on_the_data_alone() {
    let app = TestApp::new(&club(0, LATELY), "2018-01-10");
    let months = Cell::new(0);
    let moved = Cell::new(0);
    let config = Config { cases: 12, max_shrink_iters: 40, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&(steps(), 0..50_u32), |(steps, before)| {
        let month = months.get() + 1;
        months.set(month);
        let business_date: Date = app.get("/v1/basis").json["business_date"].as_str().unwrap().parse().unwrap();
        let (rough, plain) = (format!("R{month}"), format!("P{month}"));
        let (rough_id, plain_id) = (app.customer(&rough, json!({})), app.customer(&plain, json!({})));
        let first = |code: &str| order(&format!("{code}-before"), code, &business_date.to_string(), before);
        app.record(&[first(&rough), first(&plain)]);
        app.settled();
        app.close_now();
        let closed: BTreeMap<String, InForce> = app.in_force(&rough_id);

        take(&app, &steps, &rough, business_date);
        let last: BTreeMap<u8, Json> = steps.iter().filter_map(|step| sent(step, &plain, business_date)).collect();
        send(&app, last.into_values().collect());
        app.settled();
        for (policy, now) in app.in_force(&rough_id) {
            if policy != "today" {
                prop_assert_eq!(&now.outcome, &closed[&policy].outcome, "{} moved before its closing", policy);
            }
            moved.set(moved.get() + u32::from(now.outcome != now.provisional));
        }
        prop_assert_eq!(app.in_force(&rough_id), app.in_force(&plain_id), "before the closing");

        let next = business_date.first_of_month().checked_add(1.month()).unwrap();
        app.move_to(&next.to_string());
        prop_assert_eq!(app.in_force(&rough_id), app.in_force(&plain_id), "after the closing");
        prop_assert_eq!(&app.in_force(&rough_id)["grade"].provisional, &app.in_force(&rough_id)["grade"].outcome);
        Ok(())
    });
    result.unwrap();
    assert!(moved.get() > 0, "no provisional outcome ever differed");
}
