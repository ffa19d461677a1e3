//! Two assessments compared, and the customers near a cut, over HTTP.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use serde_json::{Value as Json, json};

use crate::app::{TestApp, pack};
use crate::decisions::sample_app;
use crate::transactions::bakery;

fn ids(app: &TestApp, customer: &str) -> Vec<String> {
    let page = app.get(&format!("/v1/customers/{customer}/assessments")).with(200).json;
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

fn order(id: &str, on: &str, quantity: &str) -> Json {
    json!({"source": "shop", "external_id": id, "kind": "order", "customer_code": "X1", "occurred_at": on,
        "lines": [{"product": "white", "measures": {"quantity": quantity, "amount": "10"}}]})
}

#[test]
fn a_difference_tells_what_an_order_changed() {
    let app = bakery();
    let id = app.customer("X1", json!({}));
    app.run();
    // 30 loaves in three months are 10 a month, where big begins.
    app.record(&[order("A1", "2017-12-31", "30")]);
    app.run();
    let kept = ids(&app, &id);
    let difference = app.get(&format!("/v1/assessments/{}/difference", kept[0])).with(200).json;
    assert_eq!((&difference["before"]["id"], &difference["after"]["id"]), (&json!(kept[1]), &json!(kept[0])));
    assert_eq!((&difference["release_differs"], &difference["as_of_differs"]), (&json!(false), &json!(false)));
    let policies = difference["policies"].as_array().unwrap();
    assert_eq!(policies.len(), 1);
    let size = &policies[0];
    assert_eq!(
        (&size["policy"], &size["before"]["outcome"], &size["after"]["outcome"]),
        (&json!("size"), &json!("small"), &json!("big"))
    );
    assert_eq!(size["after"]["status"], "decided");
    let volume = size["inputs"].as_array().unwrap().iter().find(|input| input["key"] == "volume").unwrap();
    assert_eq!((&volume["before"]["value"], &volume["after"]["value"]), (&json!("0"), &json!("10")));
    assert_eq!(volume["after"]["window"], json!({"from": "2017-10-01", "to": "2017-12-31"}));
    let named = app.get(&format!("/v1/assessments/{}/difference?to={}", kept[1], kept[0])).with(200).json;
    assert_eq!(named, difference, "the earlier one is before, whichever is named first");
}

#[test]
fn what_cannot_be_compared_is_told() {
    let app = bakery();
    let (x, y) = (app.customer("X1", json!({})), app.customer("X2", json!({})));
    app.run();
    let (x, y) = (ids(&app, &x).remove(0), ids(&app, &y).remove(0));
    let path = format!("/v1/assessments/{x}/difference");
    let first = app.get(&path).with(404);
    assert!(first.json["detail"].as_str().unwrap().contains("before this one"), "{}", first.json);
    assert_eq!(app.get(&format!("{path}?to={y}")).with(422).faults(), [("to", "other_customer")]);
    let nobody = "01a2008f-c5ab-7253-a9fc-1d735533f672";
    assert_eq!(app.get(&format!("{path}?to={nobody}")).with(422).faults(), [("to", "unknown_assessment")]);
    assert_eq!(app.get(&format!("{path}?to=x")).with(422).faults(), [("to", "id")]);
    assert_eq!(app.get(&format!("{path}?of={y}")).with(422).faults(), [("of", "unknown_parameter")]);
    assert!(app.get(&format!("/v1/assessments/{nobody}/difference")).with(404).json.get("detail").is_none());
}

#[test]
fn a_month_later_windows_and_grades_of_the_sample_differ() {
    let app = sample_app();
    let basis = app.get("/v1/basis").with(200);
    let january = app.get("/v1/customers?code=S318").with(200).json["items"][0]["id"].as_str().unwrap().to_owned();
    let decision = |path: &str| {
        let answer = app.get(path).with(200).json;
        answer["decisions"].as_array().unwrap().iter().find(|one| one["policy"] == "volume_grade").unwrap().clone()
    };
    app.patch("/v1/basis", basis.header("ETag"), &json!({"business_date": "2018-02-01"}));
    closed(&app);
    let kept = ids(&app, &january);
    let difference =
        app.get(&format!("/v1/assessments/{}/difference?to={}", kept[0], kept[kept.len() - 1])).with(200).json;
    assert_eq!(
        (&difference["before"]["as_of"], &difference["after"]["as_of"]),
        (&json!("2018-01-01"), &json!("2018-02-01"))
    );
    assert_eq!(difference["as_of_differs"], true);
    let grade = difference["policies"].as_array().unwrap().iter().find(|one| one["policy"] == "volume_grade").unwrap();
    let (before, after) = (
        decision(&format!("/v1/assessments/{}", kept[kept.len() - 1])),
        decision(&format!("/v1/assessments/{}", kept[0])),
    );
    assert_eq!((&grade["before"]["label"], &grade["after"]["label"]), (&before["label"], &after["label"]));
    let volume = grade["inputs"].as_array().unwrap().iter().find(|input| input["key"] == "monthly_volume").unwrap();
    assert_eq!(volume["before"]["window"], json!({"from": "2017-10-01", "to": "2017-12-31"}));
    assert_eq!(volume["after"]["window"], json!({"from": "2017-11-01", "to": "2018-01-31"}));
    assert_eq!(volume["after"]["value"], app.metric(&january, "monthly_volume", "2018-02-01"));
}

/// Waits until everybody has passed the closing of January 2018.
fn closed(app: &TestApp) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let closings = app.get("/v1/closings").with(200).json;
        let january =
            |closing: &Json| closing["finished_at"].is_string() && closing["policies"]["volume_grade"] == "2018-01-31";
        if closings["items"].as_array().unwrap().iter().any(january) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "January doesn't close: {closings}");
    }
}

#[test]
fn near_a_cut_are_those_whose_value_is_within_the_share_of_it() {
    let app = sample_app();
    let digest = app.get("/v1/basis").with(200).json["cohort"].as_str().unwrap().to_owned();
    let path = format!("/v1/cohorts/{digest}/near?cohort=quantity_in_format&within=0.1");
    let computed = app.get(&format!("/v1/cohorts/{digest}")).with(200).json["cohorts"]["quantity_in_format"].clone();
    let decimal = |json: &Json| json.as_str().unwrap().parse::<Decimal>().unwrap();
    let mut expected = BTreeSet::new();
    for customer in app.get("/v1/customers?limit=500").with(200).json["items"].as_array().unwrap() {
        let id = customer["id"].as_str().unwrap();
        let value: Decimal = app.metric(id, "yearly_quantity", "2018-01-01").parse().unwrap();
        let group = customer["profile"]["network"]["retail_format"].as_str().unwrap_or_default();
        let own = computed["groups"].get(group).unwrap_or(&computed["all"]);
        let is_near = |cut: &Json| (value - decimal(cut)).abs() <= decimal(cut) * Decimal::new(1, 1);
        if own["cuts"].as_array().unwrap().iter().any(is_near) {
            expected.insert(id.to_owned());
        }
    }
    assert!((5..60).contains(&expected.len()), "{}", expected.len());
    let mut found = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let page = app.get(&format!("{path}&limit=4{cursor}")).with(200).json;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 4);
        for item in items {
            let (value, cut) = (decimal(&item["value"]), decimal(&item["cut"]));
            assert!((value - cut).abs() <= cut * Decimal::new(1, 1), "{item}");
            let below = item["band_below"].as_u64().unwrap();
            assert_eq!(item["band"], if value < cut { below } else { below + 1 }, "{item}");
            assert!(found.insert(item["customer_id"].as_str().unwrap().to_owned()), "twice: {item}");
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, expected);
}

#[test]
fn whom_to_look_for_is_checked() {
    let app = TestApp::new(&pack("tobacco"), "2018-01-01");
    app.customer(
        "X1",
        json!({"network": {"retail_format": "grocery", "market": "urban"}, "basic": {"opened_on": "2010-01-01"}}),
    );
    app.run();
    let digest = app.get("/v1/basis").with(200).json["cohort"].as_str().unwrap().to_owned();
    let path = format!("/v1/cohorts/{digest}/near");
    let unknown = app.get(&format!("{path}?cohort=amount_rank")).with(422);
    assert_eq!(unknown.faults(), [("cohort", "unknown_cohort")]);
    assert!(
        unknown.json["errors"][0]["detail"].as_str().unwrap().contains("did you mean 'amount_ranks'?"),
        "{}",
        unknown.json
    );
    assert_eq!(app.get(&path).with(422).faults(), [("cohort", "required")]);
    for within in ["0", "1.01", "-0.1", "near"] {
        let answer = app.get(&format!("{path}?cohort=amount_ranks&within={within}")).with(422);
        assert_eq!(answer.faults(), [("within", "out_of_range")]);
    }
    app.get(&format!("{path}?cohort=amount_ranks&within=1")).with(200);
    app.get(&format!("/v1/cohorts/sha256:{}/near?cohort=amount_ranks", "0".repeat(64))).with(404);
}
