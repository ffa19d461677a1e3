//! Operation and the edge: health, and problems for everything that goes wrong.

use serde_json::{Value as Json, json};

use crate::transactions::bakery;

#[test]
fn health_docs_and_spec_need_no_token_and_all_else_does() {
    let app = bakery();
    for open in ["/livez", "/readyz", "/docs/", "/openapi.json"] {
        assert_eq!(app.send_raw("GET", open, &[], String::new()).status, 200, "{open}");
    }
    let spec = app.send_raw("GET", "/openapi.json", &[], String::new()).json;
    let mut guarded = 0;
    for (path, item) in spec["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if operation.get("security") == Some(&json!([])) {
                continue;
            }
            let path = path
                .replace("{id}", "01a2008f-c5ab-7253-a9fc-1d735533f672")
                .replace("{digest}", "sha256:00")
                .replace("{code}", "x");
            for token in [None, Some("Bearer wrong"), Some("Basic YWRtaW46YWRtaW4=")] {
                let mut headers = vec![("Content-Type", "application/json"), ("If-Match", "\"1\"")];
                headers.extend(token.map(|token| ("Authorization", token)));
                let answer = app.send_raw(&method.to_uppercase(), &path, &headers, "{}".to_owned());
                assert_eq!((answer.status, answer.header("WWW-Authenticate")), (401, "Bearer"), "{method} {path}");
                assert_eq!(answer.json["code"], "unauthenticated");
            }
            guarded += 1;
        }
    }
    assert!(guarded > 20, "{guarded} guarded operations");
}

#[test]
fn a_wrong_password_and_an_unknown_user_get_the_same_answer() {
    let app = bakery();
    let sign_in = |username: &str, password: &str| {
        let body = json!({"username": username, "password": password});
        let headers = [("Content-Type", "application/json"), ("X-Request-Id", "same")];
        app.send_raw("POST", "/v1/auth/token", &headers, body.to_string())
    };
    let (wrong, unknown) = (sign_in("admin", "wrong"), sign_in("nobody", "wrong"));
    assert_eq!((wrong.status, &wrong.json), (401, &unknown.json));
    assert_eq!(wrong.json["code"], "wrong_credentials");
}

#[test]
fn what_no_handler_takes_is_a_problem() {
    let app = bakery();
    let unknown = app.get("/v1/nothing").with(404);
    assert_eq!(unknown.header("Content-Type"), "application/problem+json");
    let wrong_method =
        app.send("DELETE", "/v1/customers/01a2008f-c5ab-7253-a9fc-1d735533f672", &[], &Json::Null).with(405);
    assert_eq!(wrong_method.header("Allow"), "GET, HEAD, PATCH, OPTIONS");
    let authorization = [("Content-Type", "application/json")];
    app.send_raw("POST", "/v1/auth/token", &authorization, "{".to_owned()).with(400);
    app.send_raw("POST", "/v1/auth/token", &authorization, "{} x".to_owned()).with(400);
    app.send_raw("POST", "/v1/auth/token", &[("Content-Type", "text/plain")], "{}".to_owned()).with(415);
    app.send_raw("POST", "/v1/auth/token", &authorization, format!("\"{}\"", "x".repeat(17 << 20))).with(413);
    app.get("/v1/customers/not-an-id").with(404);
}

#[test]
fn every_page_names_the_request_of_the_next_one() {
    let app = bakery();
    for number in 0..3 {
        app.customer(&format!("C{number}"), json!({}));
    }
    app.run();
    app.run();
    for list in ["/v1/customers?sort=code", "/v1/products", "/v1/runs"] {
        let joined = if list.contains('?') { '&' } else { '?' };
        let first = app.get(&format!("{list}{joined}limit=1")).with(200);
        let cursor = first.json["next_cursor"].as_str().unwrap_or_else(|| panic!("{list}: {}", first.json));
        let (target, rest) = first.header("Link").trim_start_matches('<').split_once('>').unwrap();
        assert_eq!((rest, target), ("; rel=\"next\"", format!("{list}{joined}limit=1&cursor={cursor}").as_str()));
        let second = app.get(target).with(200);
        assert_ne!(first.json["items"][0], second.json["items"][0], "{list}");
    }
    assert_eq!(app.get("/v1/customers").with(200).header("Link"), "", "the end has no next page");
}
