//! Errors: each with a stable code, a title in the reader's language, the request's id, and a page that explains it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::{Value as Json, json};

use crate::imports::files_below;
use crate::transactions::bakery;

#[test]
fn a_problem_is_told_in_the_readers_language_and_explained_without_network() {
    let app = bakery();
    let told =
        |languages: &str| app.send("GET", "/v1/nothing", &[("Accept-Language", languages)], &Json::Null).with(404);
    for (languages, language, title) in [
        ("en-GB", "en", "There is no such resource"),
        ("fr, es-MX;q=0.8", "es", "No existe ese recurso"),
        ("zh-Hans-CN,en;q=0.5", "zh", "资源不存在"),
        ("fr", "en", "There is no such resource"),
        ("es;q=0, zh;q=0.1", "zh", "资源不存在"),
    ] {
        let answer = told(languages);
        assert_eq!((answer.header("Content-Language"), &answer.json["title"]), (language, &json!(title)));
        assert_eq!(answer.header("Content-Type"), "application/problem+json");
        assert_eq!(answer.json["request_id"], answer.header("X-Request-Id"));
    }
    let named = app.send("GET", "/v1/nothing", &[("X-Request-Id", "mine-1")], &Json::Null);
    assert_eq!(named.json["request_id"], "mine-1");

    let index = app.send_raw("GET", "/problems", &[], String::new()).with(200);
    let kinds = index.text.matches("href=\"/problems/").count();
    assert!(kinds > 15, "{kinds}");
    let page = app.send_raw("GET", told("en").json["type"].as_str().unwrap(), &[], String::new()).with(200);
    assert!(page.header("Content-Type").starts_with("text/html"));
    assert!(page.text.contains("not_found") && page.text.contains("No existe ese recurso"), "{}", page.text);
    for text in [&index.text, &page.text] {
        assert!(!text.contains("http://") && !text.contains("https://"), "{text}");
    }
    app.send_raw("GET", "/problems/nothing", &[], String::new()).with(404);
}

#[test]
fn who_accepts_no_encoding_is_told_so() {
    let app = bakery();
    for excluded in ["*;q=0", "identity;q=0, br"] {
        let answer = app.send("GET", "/v1/customers", &[("Accept-Encoding", excluded)], &Json::Null).with(406);
        assert_eq!(
            (answer.header("Content-Type"), &answer.json["code"]),
            ("application/problem+json", &json!("not_acceptable"))
        );
        assert_eq!(answer.header("X-Content-Type-Options"), "nosniff");
    }
}

#[test]
fn a_problem_is_sent_as_it_is_to_who_takes_packed_answers() {
    let app = bakery();
    for (method, path, status) in [
        ("GET", "/v1/nothing", 404),
        ("DELETE", "/v1/pack", 405),
        ("GET", "/v1/customers?limit=0", 422),
        ("DELETE", "/v1/lists/none/members/none", 404),
    ] {
        let answer = app.send(method, path, &[("Accept-Encoding", "gzip")], &Json::Null).with(status);
        assert!(answer.json["code"].is_string() && !answer.says("Content-Encoding", "gzip"), "{path}: {}", answer.text);
    }
}

#[test]
fn a_parameter_that_stands_twice_is_told_whatever_the_operation() {
    let app = bakery();
    for path in ["/v1/customers", "/v1/runs", "/v1/users", "/v1/products", "/v1/imports"] {
        let answer = app.get(&format!("{path}?limit=1&limit=2")).with(422);
        assert_eq!(answer.faults(), [("limit", "doubled")], "{path}");
    }
}

#[test]
fn methods_that_no_handler_names_are_answered_sensibly() {
    let app = bakery();
    let id = app.customer("X1", json!({}));
    let path = format!("/v1/customers/{id}");
    let (get, head) = (app.get(&path).with(200), app.send("HEAD", &path, &[], &Json::Null).with(200));
    assert_eq!((head.header("ETag"), head.text.as_str()), (get.header("ETag"), ""));
    assert_eq!(head.header("Content-Length"), get.text.len().to_string());
    app.send("HEAD", "/v1/nothing", &[], &Json::Null).with(404);
    assert_eq!(app.send("OPTIONS", &path, &[], &Json::Null).with(204).header("Allow"), "GET, HEAD, PATCH, OPTIONS");
    assert_eq!(app.send("OPTIONS", "/v1/runs", &[], &Json::Null).with(204).header("Allow"), "GET, HEAD, POST, OPTIONS");
    app.send("OPTIONS", "/v1/nothing", &[], &Json::Null).with(404);
    app.send("PUT", &path, &[], &Json::Null).with(405);
}

/// Codes of faults that the source gives outside of packs: a lower-case word where a code stands, before its detail.
fn used() -> BTreeSet<String> {
    let code = Regex::new(r#"[(,]\s*"([a-z]+(?:_[a-z]+)*)",\s*(?:format!\(|"[^"]* |detail\b|text\b|named\b)"#).unwrap();
    let mut codes = BTreeSet::new();
    for file in files_below("src", "rs") {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap();
        let name = file.to_str().unwrap();
        // A pack's own faults are told with their files, on the command line.
        let of_packs =
            name.starts_with("src/policy") || name.starts_with("src/cli") || name.ends_with("transactions/model.rs");
        let reports = text.contains("Fault") || text.contains("Refusal");
        if of_packs || !reports || name.ends_with("faults.rs") || name.ends_with("http/openapi.rs") {
            continue;
        }
        let code_only = text.split("#[cfg(test)]").next().unwrap();
        codes.extend(code.captures_iter(code_only).map(|found| found[1].to_owned()));
    }
    codes
}

#[test]
fn every_code_of_a_fault_is_explained() {
    let explained: BTreeSet<String> = baremo::faults::CODES.iter().map(|(code, _)| (*code).to_owned()).collect();
    let used = used();
    assert!(used.len() > 25, "{used:?}");
    let unexplained: Vec<&String> = used.difference(&explained).collect();
    assert_eq!(unexplained, Vec::<&String>::new(), "faults::CODES doesn't explain them");
    let index = bakery().send_raw("GET", "/problems", &[], String::new()).with(200);
    assert!(explained.iter().all(|code| index.text.contains(&format!("<code>{code}</code>"))));
}

#[test]
fn parameters_that_are_texts_have_a_bound() {
    let app = bakery();
    let asked = |length: usize| app.get(&format!("/v1/overrides?policy={}", "x".repeat(length)));
    assert_eq!(asked(200).with(422).faults(), [("policy", "unknown_policy")]);
    assert_eq!(asked(201).with(422).faults(), [("policy", "too_long")]);
}
