//! Why outcomes changed between two assessments: the parts of data, rules, time and population, over HTTP.

use std::sync::Arc;
use std::time::{Duration, Instant};

use baremo::assessments::activation::{Closes, activate};
use baremo::policy::release::load;
use serde_json::{Value as Json, json};

use crate::app::{TestApp, files};
use crate::transactions::{BAKERY, bakery};

/// Waits until a customer's size is this one, and gives the assessment that says so.
#[track_caller]
fn when(app: &TestApp, customer: &str, size: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    while app.outcomes(customer).get("size").map(String::as_str) != Some(size) {
        assert!(Instant::now() < deadline, "the size doesn't become {size}");
    }
    let page = app.get(&format!("/v1/customers/{customer}/assessments?limit=1")).with(200).json;
    page["items"][0]["id"].as_str().unwrap().to_owned()
}

/// What each cause adds to the one policy's outcome.
fn parts(app: &TestApp, id: &str, to: &str) -> [i64; 4] {
    let causes = app.get(&format!("/v1/assessments/{id}/causes?to={to}")).with(200).json;
    let [policy] = &causes["policies"].as_array().unwrap()[..] else { panic!("{causes}") };
    assert_eq!(policy["policy"], "size");
    let parts = policy["parts"].as_array().unwrap();
    ["data", "rules", "time", "population"].map(|cause| {
        let part = parts.iter().find(|part| part["cause"] == cause).unwrap();
        part["ordinal"].as_i64().unwrap()
    })
}

#[test]
fn an_order_a_date_and_a_rule_each_have_their_part() {
    let app = bakery();
    let id = app.customer("X1", json!({}));
    app.run();
    let first = when(&app, &id, "small");
    let line = json!({"product": "white", "measures": {"quantity": "30", "amount": "10"}});
    app.record(&[json!({"source": "shop", "external_id": "A1", "kind": "order", "customer_code": "X1",
        "occurred_at": "2017-12-31", "lines": [line]})]);
    // 30 loaves in three months are 10 a month, where big begins; big is the better one.
    let second = when(&app, &id, "big");
    assert_eq!(parts(&app, &first, &second), [-1, 0, 0, 0]);

    // In April the three months before have no order in them.
    let basis = app.get("/v1/basis").with(200);
    app.patch("/v1/basis", basis.header("ETag"), &json!({"business_date": "2018-04-01"})).with(200);
    let third = when(&app, &id, "small");
    assert_eq!(parts(&app, &second, &third), [0, 0, 1, 0]);
    assert_eq!(parts(&app, &third, &second), [0, 0, 1, 0], "the earlier one is before, whichever is named first");

    let generous = BAKERY.map(|(path, text)| (path, text.replace("bands([[10, \"big\"]]", "bands([[0, \"big\"]]")));
    let next = files(&generous.each_ref().map(|(path, text)| (*path, text.as_str())));
    let release = Arc::new(load(&next).unwrap());
    let (db, in_force) = (&app.state.db, &app.state.in_force);
    db.run_here(|conn| activate(conn, in_force, (&next, &release), Closes::Now, None)).unwrap();
    let fourth = when(&app, &id, "big");
    assert_eq!(parts(&app, &third, &fourth), [0, -1, 0, 0]);
    // Over all of it: small for want of orders, big by the rule alone.
    let all = app.get(&format!("/v1/assessments/{first}/causes?to={fourth}")).with(200).json;
    let sum: i64 =
        all["policies"][0]["parts"].as_array().unwrap().iter().map(|one| one["ordinal"].as_i64().unwrap()).sum();
    assert_eq!(sum, -1, "{all}");
    assert_eq!(all["policies"][0]["before"]["ordinal"], 1, "{all}");
    // What was big before and is big by other rules has changed for no cause.
    let same = app.get(&format!("/v1/assessments/{second}/causes?to={fourth}")).with(200).json;
    assert_eq!(same["policies"], json!([]), "{same}");
}

#[test]
fn what_has_no_other_one_is_told() {
    let app = bakery();
    let id = app.customer("X1", json!({}));
    app.run();
    let only = when(&app, &id, "small");
    assert_eq!(app.get(&format!("/v1/assessments/{only}/causes")).with(404).json["code"], "not_found");
    let wrong: Json = app.get(&format!("/v1/assessments/{only}/causes?to=x")).with(422).json;
    assert_eq!(wrong["errors"][0]["code"], "id");
}
