//! Attacks on the edge from outside, and the end of a service in the middle of its work.

use std::net::TcpStream;

use serde_json::{Map, Value as Json, json};

use crate::app::{PASSWORD, TestApp, files};
use crate::base::Base;
use crate::limits::Wire;
use crate::process::{Place, until};
use crate::transactions::BAKERY;

#[test]
fn a_service_that_is_told_to_stop_says_so_and_answers_what_it_has_begun() {
    let (place, base) = (Place::new(), Base::new());
    let (pack, url) = (place.pack("bakery", &BAKERY), base.url());
    let own =
        [("BAREMO_DATABASE_URL", url.as_str()), ("BAREMO_ADMIN_PASSWORD", PASSWORD), ("BAREMO_DRAIN_SECONDS", "3")];
    let mut service = place.serve(&pack, &own).ready();
    service.sign_in(PASSWORD);
    let (address, token) = service.access();
    let body = json!({"code": "X1", "name": "Ana"}).to_string();
    let (begin, end) = body.as_bytes().split_at(5);
    let mut slow = Wire::to(&address);
    slow.begin_post(&token, "/v1/customers", body.len(), "");
    slow.write(begin);

    service.terminate();
    until("it isn't ready", || (service.get("/readyz").status == 503).then_some(()));
    service.get("/v1/pack").with(200);
    let at = address.strip_prefix("http://").unwrap().to_owned();
    until("nobody listens", || TcpStream::connect(&at).is_err().then_some(()));
    slow.write(end);
    assert_eq!(slow.answer().map(|(status, _)| status), Some(201));
    assert_eq!(service.stop().0, Some(0));
}

/// Sends line breaks and control characters wherever a client can.
fn try_to_forge(address: &str) {
    let line = "FORGED {\\\"level\\\":\\\"ERROR\\\",\\\"message\\\":\\\"FORGED\\\"}";
    let bodies = [
        format!("{{\"username\": \"admin\\n{line}\", \"password\": \"x\\u001b[2J\\r\\n{line}\"}}"),
        format!("{{\"\\n{line}\": 1}}"),
    ];
    for body in bodies {
        for path in ["/v1/auth/token", "/v1/x%0AFORGED%0D%0AFORGED?q=%0AFORGED", "/v1/customers/%1b[2J%0AFORGED"] {
            let mut wire = Wire::to(address);
            let named = "X-Request-Id: x\tFORGED\r\nUser-Agent: x\tFORGED\r\nX-Forwarded-For: x\tFORGED\r\n";
            wire.begin_post("x", path, body.len(), named);
            wire.write(body.as_bytes());
            assert!(wire.answer().is_some_and(|(status, _)| (400..500).contains(&status)), "{path}");
        }
    }
}

#[test]
fn nobody_forges_a_line_of_the_log() {
    for format in ["json", "pretty"] {
        let (place, base) = (Place::new(), Base::new());
        let (pack, url) = (place.pack("bakery", &BAKERY), base.url());
        let own = [
            ("BAREMO_DATABASE_URL", url.as_str()),
            ("BAREMO_ADMIN_PASSWORD", PASSWORD),
            ("BAREMO_LOG_FORMAT", format),
            ("BAREMO_LOG", "debug"),
        ];
        let service = place.serve(&pack, &own);
        let address = until("it serves", || {
            let log = service.log();
            let rest = log.split("serving on ").nth(1)?;
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ":/.".contains(c)))?;
            Some(rest[..end].to_owned())
        });
        try_to_forge(&address);
        let log = until("the requests are logged", || {
            Some(service.log()).filter(|log| log.matches("a request was answered").count() >= 6)
        });
        assert!(!log.contains('\u{1b}') || format == "pretty");
        for line in log.lines() {
            assert!(!line.trim_start().starts_with("FORGED"), "{line}");
            if format == "json" {
                let read: Json = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
                assert!(!read["message"].as_str().unwrap_or_default().starts_with("FORGED"), "{line}");
            }
        }
        assert_eq!(service.stop().0, Some(0));
    }
}

/// Keys that nothing knows, as members of an object.
fn unknown_keys(number: usize) -> Map<String, Json> {
    (0..number).map(|number| (format!("k{number}"), json!(1))).collect()
}

#[test]
fn errors_stay_small_whatever_was_sent() {
    let app = TestApp::new(&files(&BAKERY), "2018-01-01");
    let roles: Vec<String> = (0..50_000).map(|number| format!("r{number}")).collect();
    let long = "x".repeat(60_000);
    let customer = |profile: Json| json!({"code": "X", "name": "Ana", "profile": profile});
    let many = [
        ("POST", "/v1/customers", Json::from(unknown_keys(200_000))),
        ("POST", "/v1/customers", customer(Json::from(unknown_keys(200_000)))),
        ("POST", "/v1/customers", customer(json!({"basic": unknown_keys(200_000)}))),
        ("PUT", "/v1/roles/auditor", json!({"permissions": roles})),
        ("POST", "/v1/users", json!({"username": "ana", "password": PASSWORD, "roles": roles})),
        ("POST", "/v1/evaluations", json!({"document": {"profile": {}, "metrics": unknown_texts(100_000)}})),
    ];
    for (method, path, body) in many {
        let refused = app.send(method, path, &[], &body).with(422);
        assert_eq!(refused.json["errors"].as_array().unwrap().len(), 100, "{path}");
        assert_eq!(refused.json["detail"], "only the first 100 faults are told", "{path}");
        assert!(refused.json.to_string().len() < 50_000, "{path}");
    }
    let one = [
        ("POST", "/v1/auth/token", json!({"username": "a", "password": "b", long.as_str(): 1})),
        ("POST", "/v1/customers", json!({"code": "X", "name": {"a": long}})),
        ("POST", "/v1/customers", customer(json!({long.as_str(): {}}))),
        ("POST", "/v1/customers", customer(json!({"basic": {long.as_str(): 1}}))),
        ("PUT", "/v1/roles/auditor", json!({"permissions": [long]})),
        ("PUT", "/v1/roles/auditor", json!({"permissions": long})),
        ("POST", "/v1/users", json!({"username": long, "password": PASSWORD, "roles": [long]})),
    ];
    for (method, path, body) in one {
        let refused = app.send(method, path, &[], &body).with(422);
        assert!(refused.json.to_string().len() < 2000, "{path}: {}", refused.json);
        assert_eq!(refused.json["detail"], Json::Null, "{path}");
    }
    let key = "x".repeat(30_000);
    let doubled = format!("{{\"{key}\": 1, \"{key}\": 2}}");
    let headers = [("Content-Type", "application/json")];
    let refused = app.send_raw("POST", "/v1/auth/token", &headers, doubled).with(422);
    assert!(refused.json.to_string().len() < 2000);
}

fn unknown_texts(number: usize) -> Map<String, Json> {
    (0..number).map(|number| (format!("k{number}"), json!("1"))).collect()
}

#[test]
fn a_batch_of_faults_is_answered_with_a_bounded_number() {
    let app = TestApp::new(&files(&BAKERY), "2018-01-01");
    let item = json!({"source": "shop", "external_id": "A", "kind": "order", "customer_code": "X", "occurred_at": "2017-12-28",
        "lines": [{"product": "P", "measures": unknown_texts(120)}]});
    let batch = json!({"items": vec![item; 1000]});
    let answer = app.post("/v1/transactions/batches", &batch).with(207);
    let items = answer.json["items"].as_array().unwrap();
    let told: Vec<usize> = items.iter().map(|item| item["errors"].as_array().unwrap().len()).collect();
    assert_eq!((told[0], told[999]), (100, 1));
    assert_eq!(told.iter().sum::<usize>(), 10_000 + 900);
}
