//! Lists of customers over HTTP: by outcome, by hand, and the events of entering and leaving.

use serde_json::{Value as Json, json};

use crate::app::{TestApp, files};
use crate::process::until;
use crate::transactions::BAKERY;

const DECLARED: &str = "\n[lists.large]\npolicy = \"size\"\noutcomes = [\"big\"]\n\n[lists.friends]\n";

/// The bakery with a list of those who are big and one that is kept by hand, and two customers who bought nothing yet.
fn served() -> TestApp {
    let pack = BAKERY.map(|(path, text)| match path {
        "pack.toml" => (path, format!("{text}{DECLARED}")),
        "texts/en.toml" => (path, format!("lists = {{ large = \"Large customers\", friends = \"Friends\" }}\n{text}")),
        _ => (path, text.to_owned()),
    });
    let app = TestApp::new(&files(&pack.each_ref().map(|(path, text)| (*path, text.as_str()))), "2018-01-01");
    app.product("white", "wheat");
    app.customer("X1", json!({}));
    app.customer("X2", json!({}));
    app.run();
    app
}

fn order(app: &TestApp, customer: &str, quantity: &str) {
    let line = json!({"product": "white", "measures": {"quantity": quantity, "amount": "10"}});
    app.record(&[
        json!({"source": "shop", "external_id": format!("A{customer}"), "kind": "order", "customer_code": customer,
        "occurred_at": "2017-12-31", "lines": [line]}),
    ]);
}

fn id(app: &TestApp, code: &str) -> String {
    app.get(&format!("/v1/customers?code={code}")).json["items"][0]["id"].as_str().unwrap().to_owned()
}

fn members(app: &TestApp, list: &str) -> Vec<(String, bool, bool)> {
    let items = app.get(&format!("/v1/lists/{list}/members")).with(200).json["items"].clone();
    let told = |item: &Json| {
        let code = item["customer_code"].as_str().unwrap().to_owned();
        (code, item.get("outcome").is_some(), item.get("entry").is_some())
    };
    items.as_array().unwrap().iter().map(told).collect()
}

/// What happened to lists so far: which event, of whom, to which list.
fn told(app: &TestApp) -> Vec<(String, String, String)> {
    let events = app.get("/v1/events?limit=500").with(200).json["items"].clone();
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let of_lists =
        events.as_array().unwrap().iter().filter(|event| event["list"].is_string()).cloned().collect::<Vec<_>>();
    let mut found: Vec<_> = of_lists
        .iter()
        .map(|event| {
            (text(&event["occurred_at"]), text(&event["type"]), text(&event["customer_code"]), text(&event["list"]))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, kind, code, list)| (kind, code, list)).collect()
}

fn event(kind: &str, code: &str, list: &str) -> (String, String, String) {
    (kind.to_owned(), code.to_owned(), list.to_owned())
}

#[test]
fn membership_follows_from_outcomes_and_entries_by_hand_stand_beside() {
    let app = served();
    let (x1, x2) = (id(&app, "X1"), id(&app, "X2"));
    assert_eq!(members(&app, "large"), []);
    order(&app, "X1", "30");
    until("X1 is on the list", || (members(&app, "large") == [("X1".to_owned(), true, false)]).then_some(()));
    let member = app.get("/v1/lists/large/members").json["items"][0].clone();
    let outcome = &member["outcome"];
    assert_eq!(
        (&outcome["policy"], &outcome["label"], &outcome["since"]),
        (&json!("size"), &json!("Big"), &json!("2018-01-01"))
    );
    app.get(&format!("/v1/assessments/{}/explanation", outcome["assessment_id"].as_str().unwrap())).with(200);
    assert_eq!(told(&app), [event("list_entered", "X1", "large")]);

    // By hand beside him who is on it: he doesn't enter again, and stays when the entry ends.
    let body = json!({"customer_id": x1, "reason": "Seen to be large"});
    let entry = app.post("/v1/lists/large/members", &body).with(201);
    app.post("/v1/lists/large/members", &body).with(409);
    app.post(
        "/v1/lists/large/members",
        &json!({"customer_id": x2, "reason": "Will be large", "expires_on": "2018-01-10"}),
    )
    .with(201);
    assert_eq!(members(&app, "large"), [("X1".to_owned(), true, true), ("X2".to_owned(), false, true)]);
    app.send("DELETE", entry.header("Location"), &[], &Json::Null).with(204);
    app.send("DELETE", entry.header("Location"), &[], &Json::Null).with(404);
    assert_eq!(told(&app), [event("list_entered", "X1", "large"), event("list_entered", "X2", "large")]);
    let lists = app.get(&format!("/v1/customers/{x2}/lists")).with(200).json;
    let only = &lists["items"][0];
    assert_eq!(
        (&only["list"], &only["title"], &only["entry"]["reason"]),
        (&json!("large"), &json!("Large customers"), &json!("Will be large"))
    );

    // X2's entry ends with its last day; X1 leaves with his outcome.
    app.go_to("2018-01-10");
    assert_eq!(members(&app, "large").len(), 2, "the last day counts");
    app.go_to("2018-01-11");
    assert_eq!(members(&app, "large"), [("X1".to_owned(), true, false)]);
    until("the end of the entry is told", || told(&app).contains(&event("list_left", "X2", "large")).then_some(()));
    order(&app, "X1", "3");
    until("X1 has left the list", || told(&app).contains(&event("list_left", "X1", "large")).then_some(()));
    assert_eq!(members(&app, "large"), []);
    assert_eq!(told(&app).len(), 4, "{:?}", told(&app));
}

#[test]
fn who_is_on_a_list_by_hand_neither_enters_nor_leaves_by_his_outcome() {
    let app = served();
    let x1 = id(&app, "X1");
    app.post("/v1/lists/large/members", &json!({"customer_id": x1, "reason": "Ours"})).with(201);
    order(&app, "X1", "30");
    until("X1 is big", || (app.outcomes(&x1)["size"] == "big").then_some(()));
    order(&app, "X1", "3");
    until("X1 is small", || (app.outcomes(&x1)["size"] == "small").then_some(()));
    assert_eq!(told(&app), [event("list_entered", "X1", "large")]);
    let entry = app.post("/v1/lists/friends/members", &json!({"customer_id": x1, "reason": "Of old"})).with(201);
    let kept = app.get("/v1/lists/friends/members").with(200).json["items"][0]["entry"].clone();
    assert_eq!(entry.json["created_at"], kept["created_at"]);
    assert_eq!(members(&app, "friends"), [("X1".to_owned(), false, true)]);
    app.send("DELETE", entry.header("Location"), &[], &Json::Null).with(204);
    let entered_and_left = [event("list_entered", "X1", "friends"), event("list_left", "X1", "friends")];
    assert_eq!(told(&app)[1..], entered_and_left);
}

#[test]
fn what_is_wrong_with_an_entry_is_told() {
    let app = served();
    let x1 = id(&app, "X1");
    app.get("/v1/lists/larg/members").with(404);
    app.post("/v1/lists/larg/members", &json!({"customer_id": x1, "reason": "x"})).with(404);
    let nobody = "01a2008f-c5ab-7253-a9fc-1d735533f672";
    let refused = |body: Json| app.post("/v1/lists/large/members", &body).with(422);
    assert_eq!(refused(json!({"customer_id": nobody, "reason": "x"})).faults(), [("/customer_id", "unknown_customer")]);
    assert_eq!(refused(json!({"customer_id": x1, "reason": " "})).faults(), [("/reason", "out_of_range")]);
    assert_eq!(
        refused(json!({"customer_id": x1, "reason": "x", "expires_on": "2017-12-31"})).faults(),
        [("/expires_on", "out_of_range")]
    );
    assert_eq!(
        refused(json!({"customer_id": x1, "reason": "x", "expires_on": "soon"})).faults(),
        [("/expires_on", "date")]
    );
    app.get(&format!("/v1/customers/{nobody}/lists")).with(404);
    let manager = app.as_role("account_manager");
    let body = json!({"customer_id": x1, "reason": "x"});
    assert_eq!(app.send_as(&manager, "POST", "/v1/lists/large/members", &[], &body).status, 403);
    let pack = app.get("/v1/pack").json["lists"].clone();
    assert_eq!(
        pack[0],
        json!({"id": "large", "labels": {"en": "Large customers"}, "policy": "size", "outcomes": ["big"]})
    );
    assert_eq!((&pack[1]["id"], pack[1].get("policy")), (&json!("friends"), None));
    let manifest = format!("{}{DECLARED}", BAKERY[0].1).replace("outcomes = [\"big\"]", "outcomes = [\"huge\"]");
    let report = app.post("/v1/pack-checks", &json!({"files": {"pack.toml": manifest}})).with(200).json;
    let errors: Vec<&str> = report["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["severity"] == "error")
        .map(|one| one["code"].as_str().unwrap())
        .collect();
    assert_eq!(errors, ["unknown_outcome"], "{report}");
}
