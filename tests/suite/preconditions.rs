//! Entity tags: 304 for what a client has already, 428 and 412 for changes that rest on nothing or on an old version.

use serde_json::{Value as Json, json};

use crate::app::TestApp;
use crate::base::Answer;
use crate::transactions::bakery;
use crate::uploads::{ended, upload};

/// Where each operation with a tag is tried.
fn place(app: &TestApp, path: &str) -> Option<String> {
    let customer = || app.get("/v1/customers").json["items"][0]["id"].as_str().unwrap().to_owned();
    let user = || app.get("/v1/users").json["items"][0]["id"].as_str().unwrap().to_owned();
    let basis = || app.get("/v1/basis").json;
    let employee = || {
        let known = app.get("/v1/employees").json["items"][0]["id"].as_str().map(str::to_owned);
        known.unwrap_or_else(|| {
            let made = app.post("/v1/employees", &json!({"code": "E1", "name": "Eva"})).with(201);
            made.json["id"].as_str().unwrap().to_owned()
        })
    };
    Some(match path {
        "/v1/employees/{id}" => format!("/v1/employees/{}", employee()),
        "/v1/runs/{id}" => format!("/v1/runs/{}", app.run()["id"].as_str().unwrap()),
        "/v1/assessments/{id}" => {
            app.run();
            let kept = app.get(&format!("/v1/customers/{}/assessments", customer())).json;
            format!("/v1/assessments/{}", kept["items"][0]["id"].as_str().unwrap())
        }
        "/v1/imports/{id}" => {
            let id = upload(app, &[("kind", "customers")], b"code,name\nX2,Berta\n");
            ended(app, &id);
            format!("/v1/imports/{id}")
        }
        // They want a pack that has them: `staff` and `appeals` try theirs.
        "/v1/staff-evaluations/{id}" | "/v1/bonus-pools/{id}" | "/v1/appeals/{id}" => return None,
        "/v1/customers/{id}" => format!("/v1/customers/{}", customer()),
        "/v1/users/{id}" => format!("/v1/users/{}", user()),
        "/v1/releases/{digest}" => format!("/v1/releases/{}", basis()["release"].as_str().unwrap()),
        "/v1/cohorts/{digest}" => format!("/v1/cohorts/{}", basis()["cohort"].as_str()?),
        fixed if !fixed.contains('{') => fixed.to_owned(),
        other => panic!("{other} has a tag: say where it is tried"),
    })
}

fn spec() -> serde_json::Map<String, Json> {
    let spec: Json = serde_json::from_str(&baremo::cli::openapi::text().unwrap()).unwrap();
    spec["paths"].as_object().unwrap().clone()
}

/// Reads what has a tag, and again with it.
#[track_caller]
pub fn is_sent_once(app: &TestApp, path: &str) {
    let first = app.get(path).with(200);
    let tag = first.header("ETag");
    assert!(tag.starts_with('"'), "{path}: {tag}");
    let asked = |tags: &str| app.send("GET", path, &[("If-None-Match", tags)], &Json::Null);
    for known in [tag.to_owned(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let same = asked(&known).with(304);
        assert_eq!((same.text.as_str(), same.header("ETag")), ("", tag), "{path} {known}");
    }
    assert_eq!(asked("\"other\"").with(200).text, first.text, "{path}");
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    let app = bakery();
    app.customer("X1", json!({}));
    let mut tried = 0;
    for (path, _) in spec().iter().filter(|(_, item)| item["get"]["responses"]["200"]["headers"].get("ETag").is_some())
    {
        let Some(path) = place(&app, path) else { continue };
        is_sent_once(&app, &path);
        tried += 1;
    }
    assert!(tried >= 10, "{tried}");
}

#[test]
fn who_accepts_any_version_is_never_told_of_another() {
    let app = bakery();
    let path = format!("/v1/customers/{}", app.customer("X1", json!({})));
    std::thread::scope(|scope| {
        for number in 0..8 {
            let change = json!({"name": format!("Shop {number}")});
            let (app, path) = (&app, &path);
            scope.spawn(move || app.patch(path, "*", &change).with(200));
        }
    });
    assert_eq!(app.get(&path).json["version"], 9);
}

#[test]
fn every_change_by_patch_wants_the_version_that_was_read() {
    let app = bakery();
    app.customer("X1", json!({}));
    let mut tried = 0;
    for (path, _) in spec().iter().filter(|(_, item)| item.get("patch").is_some()) {
        let path = place(&app, path).unwrap();
        let send = |headers: &[(&str, &str)]| app.send("PATCH", &path, headers, &json!({}));
        let code = |answer: Answer| answer.json["code"].clone();
        assert_eq!(code(send(&[]).with(428)), "precondition_required", "{path}");
        let tag = app.get(&path).with(200).header("ETag").to_owned();
        let others = ["\"999\"", "\"999\", \"x\"", "1"].map(str::to_owned);
        let spelt = ["\"+", "\"0"].map(|begin| tag.replacen('"', begin, 1));
        for stale in others.into_iter().chain(spelt).chain([format!("W/{tag}")]) {
            assert_eq!(code(send(&[("If-Match", &stale)]).with(412)), "stale", "{path} {stale}");
        }
        for right in [tag.clone(), format!("\"999\", {tag}"), "*".to_owned()] {
            send(&[("If-Match", &right)]).with(200);
        }
        tried += 1;
    }
    assert!(tried >= 3, "{tried}");
}
