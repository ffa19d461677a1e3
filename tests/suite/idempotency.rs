//! Requests that are sent again with their `Idempotency-Key`: done once, answered the same, whatever became of the first answer.

use std::thread;

use serde_json::{Value as Json, json};

use crate::app::{TestApp, files};
use crate::base::Answer;
use crate::limits::Wire;
use crate::process::{number, until};
use crate::transactions::{BAKERY, bakery};

fn post(app: &TestApp, key: &str, path: &str, body: &Json) -> Answer {
    app.send("POST", path, &[("Idempotency-Key", key)], body)
}

fn customer(code: &str) -> Json {
    json!({"code": code, "name": "Ana"})
}

#[test]
fn the_same_key_and_request_get_the_same_answer() {
    let app = bakery();
    let first = post(&app, "k1", "/v1/customers", &customer("X1")).with(201);
    let again = post(&app, "k1", "/v1/customers", &customer("X1")).with(201);
    assert_eq!(again.text, first.text);
    for header in ["Location", "ETag", "Content-Type"] {
        assert_eq!(again.header(header), first.header(header), "{header}");
        assert_ne!(again.header(header), "");
    }
    assert_eq!((first.header("Idempotency-Replayed"), again.header("Idempotency-Replayed")), ("", "true"));

    for (path, body) in
        [("/v1/customers", customer("X2")), ("/v1/customers?x=1", customer("X1")), ("/v1/runs", json!({}))]
    {
        let refused = post(&app, "k1", path, &body).with(422);
        assert_eq!(refused.json["code"], "idempotency_mismatch", "{path}");
    }
    assert_eq!(number(&app.base.url(), "SELECT COUNT(*) FROM customers"), Some(1));

    // A run is started once; without a key the second one is refused.
    let run = post(&app, "k2", "/v1/runs", &json!({"renew_cohort": true})).with(202);
    assert_eq!(post(&app, "k2", "/v1/runs", &json!({"renew_cohort": true})).with(202).json["id"], run.json["id"]);
}

#[test]
fn a_refused_request_leaves_its_key_free() {
    let app = bakery();
    post(&app, "k1", "/v1/customers", &json!({"code": "X1"})).with(422);
    post(&app, "k1", "/v1/customers", &customer("X1")).with(201);
    post(&app, "k2", "/v1/customers", &customer("X1")).with(409);
    assert_eq!(number(&app.base.url(), "SELECT COUNT(*) FROM idempotency_keys"), Some(1));
    for wrong in ["", "with space", "ä", &"x".repeat(256)] {
        let refused = post(&app, wrong, "/v1/customers", &customer("X9")).with(422);
        assert_eq!(refused.faults(), [("Idempotency-Key", "idempotency_key")], "{wrong}");
    }
    post(&app, &"x".repeat(255), "/v1/customers", &customer("X2")).with(201);
    // Without a valid token nothing is kept.
    let headers = [("Idempotency-Key", "k3"), ("Content-Type", "application/json")];
    app.send_raw("POST", "/v1/customers", &headers, customer("X3").to_string()).with(401);
    assert_eq!(number(&app.base.url(), "SELECT COUNT(*) FROM idempotency_keys"), Some(2));
}

#[test]
fn fifty_at_once_over_two_nodes_have_one_effect() {
    let app = bakery();
    let beside = TestApp::beside(&app, &files(&BAKERY), "2018-01-01");
    let answers: Vec<Answer> = thread::scope(|scope| {
        let send = |number: usize| {
            let node = if number.is_multiple_of(2) { &app } else { &beside };
            scope.spawn(move || {
                until("the first one is done", || {
                    Some(post(node, "k1", "/v1/customers", &customer("X1"))).filter(|answer| answer.status != 409)
                })
            })
        };
        let threads: Vec<_> = (0..50).map(send).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let replayed = answers.iter().filter(|answer| answer.header("Idempotency-Replayed") == "true").count();
    assert_eq!(replayed, 49);
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.text == answers[0].text));
    assert_eq!(number(&app.base.url(), "SELECT COUNT(*) FROM customers"), Some(1));
}

#[test]
fn a_client_that_goes_away_finds_its_answer_later() {
    let app = bakery();
    let body = customer("X1").to_string();
    let mut wire = Wire::new(&app);
    wire.begin_post(&app.token, "/v1/customers", body.len(), "Idempotency-Key: k1\r\n");
    wire.write(body.as_bytes());
    let url = app.base.url();
    until("it has begun", || number(&url, "SELECT COUNT(*) FROM idempotency_keys").filter(|keys| *keys == 1));
    drop(wire);
    let later = until("it is done", || {
        Some(post(&app, "k1", "/v1/customers", &customer("X1"))).filter(|answer| answer.status != 409)
    });
    assert_eq!(later.with(201).header("Idempotency-Replayed"), "true");
}

#[test]
fn a_key_is_free_again_when_its_process_has_died_and_when_it_is_old() {
    let app = bakery();
    let first = post(&app, "k1", "/v1/customers", &customer("X1")).with(201);
    // As a process leaves it that dies before it has answered.
    app.base.execute("UPDATE idempotency_keys SET status = NULL, headers = NULL, body = NULL");
    let running = post(&app, "k1", "/v1/customers", &customer("X1")).with(409);
    assert_eq!((&running.json["code"], running.header("Retry-After")), (&json!("idempotency_running"), "1"));
    app.base.execute("UPDATE idempotency_keys SET owned_until = '2018-01-01'");
    // What was done stays done: the code is taken by the customer of the first request.
    post(&app, "k1", "/v1/customers", &customer("X1")).with(409);
    assert_eq!(app.get("/v1/customers").with(200).json["items"][0]["id"], first.json["id"]);

    post(&app, "k2", "/v1/customers", &customer("X2")).with(201);
    app.base.execute("UPDATE idempotency_keys SET expires_at = '2018-01-01'");
    post(&app, "k2", "/v1/customers", &customer("X3")).with(201);
    post(&app, "k3", "/v1/customers", &customer("X4")).with(201);
    assert_eq!(number(&app.base.url(), "SELECT COUNT(*) FROM idempotency_keys"), Some(2));
}

#[test]
fn every_operation_that_takes_a_key_says_so() {
    let spec: Json = serde_json::from_str(&baremo::cli::openapi::text().unwrap()).unwrap();
    let mut taking = Vec::new();
    for (path, item) in spec["paths"].as_object().unwrap() {
        let names = |operation: &Json| -> Vec<Json> {
            operation["parameters"].as_array().into_iter().flatten().map(|it| it["name"].clone()).collect()
        };
        if names(&item["post"]).contains(&json!("Idempotency-Key")) {
            taking.push(path.as_str());
        }
    }
    assert!(
        ["/v1/customers", "/v1/runs", "/v1/transactions/batches", "/v1/imports"]
            .iter()
            .all(|path| taking.contains(path)),
        "{taking:?}"
    );
    assert!(!taking.contains(&"/v1/auth/token") && !taking.contains(&"/v1/evaluations"));
}

#[test]
fn who_may_no_longer_do_it_gets_no_old_answer() {
    let app = bakery();
    let id = app.user("bob", &["manager"]);
    let token = app.sign_in("bob")["access_token"].as_str().unwrap().to_owned();
    let create = || {
        let body = json!({"code": "B1", "name": "Bakery"});
        app.send_as(&token, "POST", "/v1/customers", &[("Idempotency-Key", "k")], &body)
    };
    create().with(201);
    assert_eq!(create().with(201).header("Idempotency-Replayed"), "true");
    let path = format!("/v1/users/{id}");
    let tag = app.get(&path).header("ETag").to_owned();
    app.patch(&path, &tag, &json!({"roles": []})).with(200);
    assert_eq!(create().with(403).json["code"], "forbidden");
}
