//! A release that decides in the shadow of the one in force, over HTTP.

use serde_json::{Value as Json, json};

use crate::app::{TestApp, files};
use crate::process::until;
use crate::transactions::BAKERY;

/// Five customers who bought 0, 10, 20, 30 and 40 loaves in the last of three months: 0 to 13.3 a month.
fn served(cadence: &str) -> TestApp {
    let pack = BAKERY.map(|(path, text)| (path, text.replace("\"continuous\"", &format!("\"{cadence}\""))));
    let app = TestApp::new(&files(&pack.each_ref().map(|(path, text)| (*path, text.as_str()))), "2018-01-01");
    app.product("white", "wheat");
    for number in 0..5 {
        app.customer(&format!("X{number}"), json!({}));
        if number > 0 {
            order(&app, number, "2017-12-31", &(10 * number).to_string());
        }
    }
    app.run();
    app
}

fn order(app: &TestApp, customer: usize, on: &str, quantity: &str) {
    let line = json!({"product": "white", "measures": {"quantity": quantity, "amount": "10"}});
    let accepted = app.record(&[json!({"source": "shop", "external_id": format!("A{customer} {on}"), "kind": "order",
        "customer_code": format!("X{customer}"), "occurred_at": on, "lines": [line]})]);
    assert!(["created", "corrected"].contains(&accepted[0].as_str()), "{accepted:?}");
}

/// Keeps the bakery with another limit of what is big, checked, and gives its address.
fn candidate(app: &TestApp) -> String {
    let script = BAKERY[1].1.replace("[[10, \"big\"]]", "[[5, \"big\"]]");
    let body = json!({"files": {"policies/size.rhai": script}, "message": "big from 5 on"});
    let digest = app.post("/v1/releases", &body).with(201).json["digest"].as_str().unwrap().to_owned();
    app.post(&format!("/v1/releases/{digest}/check"), &Json::Null).with(200);
    format!("/v1/releases/{digest}")
}

/// Waits until the shadow has decided on a business date, and gives the shadow.
fn decided(app: &TestApp, release: &str, date: &str) -> Json {
    until("the shadow has decided", || {
        let shadow = app.get(&format!("{release}/shadow")).with(200).json;
        (shadow["result"]["on"] == date).then_some(shadow)
    })
}

fn cells(policy: &Json) -> Vec<(&str, &str, u64)> {
    let cells = policy["matrix"].as_array().unwrap().iter();
    let outcome = |side: &'_ Json| side["outcome"].as_str().map(str::to_owned);
    cells
        .map(|cell| {
            assert!(outcome(&cell["from"]).is_some() && outcome(&cell["to"]).is_some(), "{cell}");
            (
                cell["from"]["outcome"].as_str().unwrap(),
                cell["to"]["outcome"].as_str().unwrap(),
                cell["customers"].as_u64().unwrap(),
            )
        })
        .collect()
}

#[test]
fn outcomes_are_compared_and_later_facts_told_by_outcome_of_either() {
    let app = served("continuous");
    let release = candidate(&app);
    let plan = json!({"ends_on": "2018-02-01", "facts": ["last_days", "volume"]});
    let begun = app.post(&format!("{release}/shadow"), &plan).with(201);
    assert_eq!((&begun.json["status"], &begun.json["starts_on"]), (&json!("open"), &json!("2018-01-01")));
    assert_eq!(begun.header("Location"), format!("{release}/shadow"));
    let first = decided(&app, &release, "2018-01-01");
    let size = &first["result"]["policies"][0];
    assert_eq!(cells(size), [("big", "big", 2), ("small", "big", 1), ("small", "small", 2)]);
    let x2 = app.get("/v1/customers?code=X2").json["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(app.outcomes(&x2)["size"], "small", "nobody's outcome changes");

    // What comes later: 12 loaves for X2, whom the shadow called big, and 2 for X0, whom both called small.
    app.go_to("2018-01-31");
    decided(&app, &release, "2018-01-31");
    order(&app, 2, "2018-01-28", "12");
    order(&app, 0, "2018-01-29", "2");
    app.go_to("2018-02-01");
    let last = decided(&app, &release, "2018-02-01");
    assert_eq!(last["status"], "ended");
    let size = &last["result"]["policies"][0];
    // X2 bought 32 in the three months from November on: 10.7 a month, big by either.
    assert_eq!(cells(size), [("big", "big", 3), ("small", "small", 2)]);
    let day = |on: &str, moved: u64| json!({"on": on, "decided": 5, "moved": moved});
    assert_eq!(size["course"], json!([day("2018-01-01", 1), day("2018-01-31", 1), day("2018-02-01", 0)]));
    let fact =
        |metric: &str| size["facts"].as_array().unwrap().iter().find(|fact| fact["metric"] == metric).unwrap().clone();
    let recent = fact("last_days");
    assert_eq!(recent["reaches_back"], false, "{recent}");
    let mean = |outcome: &str, label: &str, customers: u64, mean: &str| json!({"outcome": outcome, "label": label, "customers": customers, "mean": mean});
    assert_eq!(recent["in_force"], json!([mean("big", "Big", 2, "0"), mean("small", "Small", 3, "4.666667")]));
    assert_eq!(recent["release"], json!([mean("big", "Big", 3, "4"), mean("small", "Small", 2, "1")]));
    assert_eq!(fact("volume")["reaches_back"], true);
    app.post(&format!("{release}/shadow/cancellation"), &Json::Null).with(409);
}

#[test]
fn outcomes_of_the_shadow_stand_until_its_own_closing() {
    let app = served("month");
    let close = app.post("/v1/closings", &json!({})).with(202).json;
    app.run_ended(close["id"].as_str().unwrap());
    let release = candidate(&app);
    app.post(&format!("{release}/shadow"), &json!({"ends_on": "2018-03-01"})).with(201);
    decided(&app, &release, "2018-01-01");
    // X1 is said to have bought 60 in December: 20 a month, big by either, from the next closing on.
    order(&app, 1, "2017-12-31", "60");
    app.go_to("2018-01-15");
    let between = decided(&app, &release, "2018-01-15");
    assert_eq!(
        cells(&between["result"]["policies"][0]),
        [("big", "big", 2), ("small", "big", 1), ("small", "small", 2)]
    );
    app.go_to("2018-02-01");
    let closed = decided(&app, &release, "2018-02-01");
    assert_eq!(
        cells(&closed["result"]["policies"][0]),
        [("big", "big", 3), ("small", "big", 1), ("small", "small", 1)]
    );
    assert_eq!(closed["status"], "open");
    let cancelled = app.post(&format!("{release}/shadow/cancellation"), &Json::Null).with(200).json;
    assert_eq!(cancelled["status"], "cancelled");
    app.go_to("2018-02-02");
    app.run();
    assert_eq!(app.get(&format!("{release}/shadow")).json["result"]["on"], "2018-02-01", "it decides no more");
}

#[test]
fn what_cannot_decide_in_the_shadow_is_told() {
    let app = served("continuous");
    let release = candidate(&app);
    let shadow = format!("{release}/shadow");
    app.get(&shadow).with(404);
    let refused = |body: Json| {
        app.post(&shadow, &body)
            .with(422)
            .faults()
            .into_iter()
            .map(|(pointer, code)| (pointer.to_owned(), code.to_owned()))
            .collect::<Vec<_>>()
    };
    let told = |pointer: &str, code: &str| vec![(pointer.to_owned(), code.to_owned())];
    assert_eq!(refused(json!({"ends_on": "2017-12-31"})), told("/ends_on", "out_of_range"));
    assert_eq!(refused(json!({"ends_on": "soon"})), told("/ends_on", "date"));
    assert_eq!(refused(json!({"ends_on": "2018-02-01", "facts": ["volum"]})), told("/facts/0", "unknown_metric"));
    assert_eq!(refused(json!({"ends_on": "2018-02-01", "facts": ["volume", "volume"]})), told("/facts/1", "doubled"));
    let active = app.get("/v1/basis").json["release"].as_str().unwrap().to_owned();
    app.post(&format!("/v1/releases/{active}/shadow"), &json!({"ends_on": "2018-02-01"})).with(409);
    let draft = json!({"files": {"policies/size.rhai": BAKERY[1].1.replace("10", "7")}, "message": "a draft"});
    let draft = app.post("/v1/releases", &draft).with(201).json["digest"].as_str().unwrap().to_owned();
    app.post(&format!("/v1/releases/{draft}/shadow"), &json!({"ends_on": "2018-02-01"})).with(409);
    app.post(&shadow, &json!({"ends_on": "2018-02-01"})).with(201);
    let second = app.post(&shadow, &json!({"ends_on": "2018-02-01"})).with(409).json;
    assert!(second["detail"].as_str().unwrap().contains("already"), "{second}");
    decided(&app, &release, "2018-01-01");

    // The release comes into force: its shadow ends with the next day.
    let digest = release.rsplit('/').next().unwrap();
    let basis = app.get("/v1/basis").with(200);
    app.patch("/v1/basis", basis.header("ETag"), &json!({"release": digest})).with(200);
    app.go_to("2018-01-02");
    until("the shadow has ended", || (app.get(&shadow).json["status"] == "ended").then_some(()));
}
