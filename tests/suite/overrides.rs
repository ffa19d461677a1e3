//! Overrides over HTTP: a person decides instead of a policy, and what the policy says goes on beside it.

use serde_json::{Value as Json, json};

use crate::app::TestApp;
use crate::process::until;
use crate::stability::{MANIFEST, close, decision, latest, pack, score};

/// A customer who was closed as the worst, and pays before.
fn served() -> (TestApp, String) {
    let app = TestApp::new(&pack(MANIFEST), "2018-01-02");
    let id = app.customer("X1", json!({"basic": {"opened_on": "2010-01-01"}, "business": {"score": "50"}}));
    close(&app);
    assert_eq!(stands(&app, &id), ["C", "prepaid"]);
    (app, id)
}

fn stands(app: &TestApp, id: &str) -> [String; 2] {
    ["class", "terms"].map(|policy| decision(app, id, policy)["outcome"].as_str().unwrap().to_owned())
}

fn overridden(outcome: &str, expires_on: &str) -> Json {
    json!({"policy": "class", "outcome": outcome, "reason": "Only mill in the valley", "expires_on": expires_on})
}

fn until_stands(app: &TestApp, id: &str, expected: [&str; 2]) {
    until(&format!("the outcomes are {expected:?}"), || (stands(app, id) == expected).then_some(()));
}

fn told(app: &TestApp, kind: &str) -> usize {
    let events = app.get("/v1/events?limit=500").with(200).json;
    events["items"].as_array().unwrap().iter().filter(|event| event["type"] == kind).count()
}

#[test]
fn a_person_decides_instead_until_the_last_day() {
    let (app, id) = served();
    let path = format!("/v1/customers/{id}/overrides");
    let before = latest(&app, &id);
    let made = app.post(&path, &overridden("A", "2018-06-30")).with(201);
    assert_eq!((&made.json["label"], &made.json["starts_on"]), (&json!("A"), &json!("2018-01-02")));
    until_stands(&app, &id, ["A", "postpaid"]);

    let class = decision(&app, &id, "class");
    assert_eq!((&class["computed_outcome"], &class["since"]), (&json!("C"), &json!("2018-01-02")), "{class}");
    let reason = &class["reasons"][0];
    assert_eq!(
        (&reason["code"], &reason["text"]),
        (&json!("override"), &json!("A person decided so, until 2018-06-30; the policy itself says C"))
    );
    let in_force = &class["override"];
    assert_eq!(
        (&in_force["reason"], &in_force["computed_outcome"], &in_force["differs_for_long"]),
        (&json!("Only mill in the valley"), &json!("C"), &json!(false))
    );
    let after = latest(&app, &id);
    let at = |one: &Json| one["id"].as_str().unwrap().to_owned();
    let causes = app.get(&format!("/v1/assessments/{}/causes?to={}", at(&before), at(&after))).with(200).json;
    let of_class = causes["policies"].as_array().unwrap().iter().find(|one| one["policy"] == "class").unwrap();
    let parts: Vec<i64> =
        of_class["parts"].as_array().unwrap().iter().map(|part| part["ordinal"].as_i64().unwrap()).collect();
    // Nothing but the override moved it, from the third place to the first.
    assert_eq!((parts, &of_class["parts"][5]["cause"]), (vec![0, 0, 0, 0, 0, -2], &json!("override")));
    assert_eq!(app.get(&format!("/v1/assessments/{}/replay", at(&after))).with(200).json["status"], "same");
    let explained = app.get(&format!("/v1/assessments/{}/explanation?for=customer", at(&after))).with(200).json;
    assert_eq!(explained["policies"][0]["decided_by"], "override", "{explained}");

    // The warning comes on the thirtieth day, and not before.
    let listed = |query: &str| app.get(&format!("/v1/overrides{query}")).with(200).json["items"].clone();
    assert_eq!(listed("?policy=class")[0]["customer_code"], "X1");
    assert_eq!(listed("?policy=terms"), json!([]));
    app.go_to("2018-01-31");
    assert_eq!(listed("?differs_for_long=true"), json!([]));
    app.go_to("2018-02-01");
    assert_eq!(listed("?differs_for_long=true")[0]["differs_since"], "2018-01-02");
    assert_eq!(decision(&app, &id, "class")["override"]["differs_for_long"], true);

    // The last day counts. What was closed stands again afterwards, with since when it stood.
    app.go_to("2018-06-30");
    assert_eq!(stands(&app, &id), ["A", "postpaid"]);
    app.go_to("2018-07-01");
    until_stands(&app, &id, ["C", "prepaid"]);
    let class = decision(&app, &id, "class");
    assert_eq!((class.get("override"), &class["closed_on"]), (None, &json!("2017-12-31")));
    until("the end is told", || (told(&app, "override_ended") == 1).then_some(()));
    assert_eq!(told(&app, "override_created"), 1);
    let history = app.get(&path).with(200).json;
    assert_eq!((&history["items"][0]["author"], history["items"].as_array().unwrap().len()), (&json!("admin"), 1));
}

#[test]
fn what_the_policy_says_goes_on_through_closings_and_stands_when_the_override_ends() {
    let (app, id) = served();
    let path = format!("/v1/customers/{id}/overrides");
    let made = app.post(&path, &overridden("A", "2018-12-31")).with(201);
    until_stands(&app, &id, ["A", "postpaid"]);
    score(&app, &id, "95", json!({}));
    let computed = || decision(&app, &id, "class")["override"]["computed_outcome"].clone();
    assert_eq!(computed(), "C", "the year isn't over");
    close(&app);
    // By one step at a closing, though a person put him two further.
    assert_eq!((computed(), stands(&app, &id)), (json!("B"), ["A".to_owned(), "postpaid".to_owned()]));
    app.send("DELETE", made.header("Location"), &[], &Json::Null).with(204);
    until_stands(&app, &id, ["B", "postpaid"]);
    app.send("DELETE", made.header("Location"), &[], &Json::Null).with(409);
    close(&app);
    assert_eq!(stands(&app, &id), ["A", "postpaid"]);
    let second = app.post(&path, &overridden("A", "2018-12-31")).with(201);
    until("it is seen that both say the same", || (computed() == "A").then_some(()));
    let class = decision(&app, &id, "class");
    assert_eq!((class["override"].get("differs_since"), class.get("computed_outcome")), (None, None), "{class}");
    app.post(&path, &overridden("B", "2018-12-31")).with(409);
    app.send("DELETE", second.header("Location"), &[], &Json::Null).with(204);
    assert_eq!(app.get(&path).with(200).json["items"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_wrong_with_an_override_is_told() {
    let manifest = format!("{MANIFEST}\n[overrides]\npolicies = [\"class\"]\nlongest = 90\n");
    let app = TestApp::new(&pack(&manifest), "2018-01-01");
    let id = app.customer("X1", json!({"basic": {"opened_on": "2010-01-01"}, "business": {"score": "50"}}));
    app.run();
    let path = format!("/v1/customers/{id}/overrides");
    let refused = |body: Json| {
        let answer = app.post(&path, &body).with(422);
        let faults = answer.faults();
        faults.iter().map(|(pointer, code)| format!("{pointer} {code}")).collect::<Vec<_>>()
    };
    let with = |key: &str, value: &str| {
        let mut body = overridden("A", "2018-02-01");
        body[key] = json!(value);
        body
    };
    assert_eq!(refused(with("policy", "clas")), ["/policy unknown_policy"]);
    assert_eq!(refused(with("policy", "terms")), ["/policy not_possible"]);
    assert_eq!(refused(with("outcome", "D")), ["/outcome unknown_outcome"]);
    assert_eq!(refused(with("reason", " ")), ["/reason out_of_range"]);
    assert_eq!(refused(with("expires_on", "2017-12-31")), ["/expires_on out_of_range"]);
    // 90 days from the first of January on.
    assert_eq!(refused(with("expires_on", "2018-04-01")), ["/expires_on out_of_range"]);
    app.post(&path, &with("expires_on", "2018-03-31")).with(201);
    let nobody = "01a2008f-c5ab-7253-a9fc-1d735533f672";
    app.post(&format!("/v1/customers/{nobody}/overrides"), &overridden("A", "2018-02-01")).with(404);
    app.get(&format!("/v1/customers/{nobody}/overrides")).with(404);
    app.send("DELETE", &format!("{path}/{nobody}"), &[], &Json::Null).with(404);
    app.get("/v1/overrides?policy=clas").with(422);
    let pack = app.get("/v1/pack").with(200).json;
    let may: Vec<&Json> = pack["policies"].as_array().unwrap().iter().map(|one| &one["overridable"]).collect();
    assert_eq!(
        (may, &pack["overrides"]),
        (vec![&json!(true), &json!(false)], &json!({"longest": 90, "warn_after": 30}))
    );
}
