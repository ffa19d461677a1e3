//! Drift of outcomes from one run to the next, over HTTP.

use serde_json::{Value as Json, json};

use crate::app::{TestApp, files};
use crate::process::until;
use crate::transactions::BAKERY;

/// Customers of each town.
const CUSTOMERS: usize = 40;

/// The bakery with two towns, and 40 customers in each of whom every other one is big.
fn towns() -> TestApp {
    let fields = "[fields.town]\nsection = \"network\"\ntype = \"choice\"\nchoices = [\"north\", \"south\"]\nrequired = true\n\
                  [drift]\nby = [\"town\"]\n";
    let pack = BAKERY.map(|(path, text)| match path {
        "pack.toml" => (path, format!("{text}\n{fields}")),
        "texts/en.toml" => (
            path,
            text.replacen(
                "[fields]",
                "choices.town = { north = \"The north\", south = \"The south\" }\n[fields]\ntown = \"Town\"",
                1,
            ),
        ),
        _ => (path, text.to_owned()),
    });
    let app = TestApp::new(&files(&pack.each_ref().map(|(path, text)| (*path, text.as_str()))), "2018-01-01");
    app.product("white", "wheat");
    for number in 0..2 * CUSTOMERS {
        let town = if number < CUSTOMERS { "north" } else { "south" };
        app.customer(&format!("X{number}"), json!({"network": {"town": town}}));
    }
    buy(&app, (0..2 * CUSTOMERS).step_by(2));
    app
}

/// 30 loaves in the last three months: 10 a month, where big begins.
fn buy(app: &TestApp, customers: impl Iterator<Item = usize>) {
    let order = |number: usize| {
        json!({"source": "shop", "external_id": format!("A{number}"), "kind": "order", "customer_code": format!("X{number}"),
            "occurred_at": "2017-12-31", "lines": [{"product": "white", "measures": {"quantity": "30", "amount": "10"}}]})
    };
    app.record(&customers.map(order).collect::<Vec<_>>());
}

fn drift(app: &TestApp, run: &Json) -> Json {
    app.get(&format!("/v1/runs/{}/drift", run["id"].as_str().unwrap())).with(200).json
}

fn groups(drift: &Json) -> Vec<(Option<&str>, &str, bool, &Json)> {
    let groups = drift["policies"][0]["groups"].as_array().unwrap().iter();
    groups
        .map(|group| {
            (group["value"].as_str(), group["index"].as_str().unwrap(), group["alarm"] == true, &group["moved"])
        })
        .collect()
}

fn alarms(app: &TestApp) -> Vec<Json> {
    let (mut found, mut path) = (Vec::new(), "/v1/events?limit=500".to_owned());
    loop {
        let page = app.get(&path).with(200).json;
        let items = page["items"].as_array().unwrap();
        if items.is_empty() {
            return found;
        }
        found.extend(items.iter().filter(|event| event["type"] == "drift_alarm").cloned());
        path = format!("/v1/events?limit=500&after={}", page["next_cursor"].as_str().unwrap());
    }
}

#[test]
fn an_alarm_names_policy_and_group_and_whether_data_or_rules_moved() {
    let app = towns();
    let first = app.run();
    let found = drift(&app, &first);
    assert_eq!((&found["policies"], found.get("compared_with")), (&json!([]), None), "there is nothing before");

    buy(&app, (1..CUSTOMERS).step_by(2));
    let second = app.run();
    let found = drift(&app, &second);
    assert_eq!(found["compared_with"], first["id"]);
    // All: 40 and 40 become 60 and 20: 0.25 × ln(0.75 ÷ 0.5) + 0.25 × ln(0.5 ÷ 0.25). The north: 20 and 20 become 40 and none, which
    // counts as half a customer: 0.5 × ln(1 ÷ 0.5) + 0.4875 × ln(0.5 ÷ 0.0125).
    let data = json!(["data"]);
    let expected = [
        (None, "0.2747", true, &data),
        (Some("north"), "2.1449", true, &data),
        (Some("south"), "0", false, &json!([])),
    ];
    assert_eq!(groups(&found), expected);
    let north = &found["policies"][0]["groups"][1];
    assert_eq!((&north["field"], &north["label"]), (&json!("town"), &json!("The north")));
    assert_eq!((&north["customers"], &north["customers_before"]), (&json!(40), &json!(40)));
    // The script reads the volume alone: 0 of 20 and 10 of 20 become 10 of 40.
    assert_eq!(north["inputs"], json!([{"key": "volume", "label": "v", "index": "2.1449", "beyond_chance": true}]));
    let told = alarms(&app);
    assert_eq!((told.len(), &told[0]["run_id"]), (1, &second["id"]), "{told:?}");
    let policies: Vec<_> =
        told[0]["alarms"].as_array().unwrap().iter().map(|one| (&one["policy"], &one["value"])).collect();
    assert_eq!(policies, [(&json!("size"), &Json::Null), (&json!("size"), &json!("north"))]);

    let script = BAKERY[1].1.replace("[[10, \"big\"]]", "[[0, \"big\"]]");
    let body = json!({"files": {"policies/size.rhai": script}, "message": "all are big"});
    let digest = app.post("/v1/releases", &body).with(201).json["digest"].as_str().unwrap().to_owned();
    app.post(&format!("/v1/releases/{digest}/check"), &Json::Null).with(200);
    let basis = app.get("/v1/basis").with(200);
    app.patch("/v1/basis", basis.header("ETag"), &json!({"release": digest})).with(200);
    let third = until("the run that follows the release has ended", || {
        let runs = app.get("/v1/runs").with(200).json;
        let last = runs["items"][0].clone();
        (last["cause"] == "basis" && last["status"] == "finished").then_some(last)
    });
    let found = drift(&app, &third);
    let rules = json!(["rules"]);
    assert_eq!(groups(&found)[2], (Some("south"), "2.1449", true, &rules), "{found}");
    assert_eq!(groups(&found)[1], (Some("north"), "0", false, &json!([])));
    assert_eq!(alarms(&app).len(), 2);
}

#[test]
fn what_isnt_there_has_no_drift() {
    let app = towns();
    let nobody = "01a2008f-c5ab-7253-a9fc-1d735533f672";
    assert_eq!(app.get(&format!("/v1/runs/{nobody}/drift")).status, 404);
}
