//! Every operation × everybody: what the API's description states is what each is answered.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use crate::app::TestApp;
use crate::transactions::bakery;

/// An operation, and the permission that it states; none where it is everybody's.
struct Operation {
    method: String,
    path: String,
    permission: Option<String>,
}

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// All operations of the description. Signing out comes last, because no token outlives it.
fn operations() -> Vec<Operation> {
    let spec: Json = serde_json::from_str(&baremo::cli::openapi::text().unwrap()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in spec["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(METHODS.contains(&method.as_str()), "{method} {path}: what is that?");
            let stated = operation["security"].as_array().unwrap_or_else(|| panic!("{method} {path} states nothing"));
            let permission = stated.first().map(|scheme| scheme["bearer"][0].as_str().unwrap().to_owned());
            assert!(stated.len() < 2, "{method} {path} states {stated:?}");
            operations.push(Operation { method: method.to_uppercase(), path: path.clone(), permission });
        }
    }
    operations.sort_by_key(|operation| (operation.path.ends_with("/logout"), operation.path.clone()));
    operations
}

/// Sends a request to an operation: one that does nothing where it is allowed.
fn answer(app: &TestApp, operation: &Operation, token: Option<&str>) -> (u16, String) {
    let mut path = operation.path.clone();
    while let (Some(begin), Some(end)) = (path.find('{'), path.find('}')) {
        let value = if &path[begin..=end] == "{id}" { "01a2008f-c5ab-7253-a9fc-1d735533f672" } else { "x" };
        path.replace_range(begin..=end, value);
    }
    let authorization = format!("Bearer {}", token.unwrap_or_default());
    let mut headers = vec![("Content-Type", "application/json"), ("If-Match", "\"1\"")];
    headers.extend(token.map(|_| ("Authorization", authorization.as_str())));
    let body = if operation.method == "GET" { String::new() } else { json!({"nothing": 1}).to_string() };
    let answer = app.send_raw(&operation.method, &path, &headers, body);
    (answer.status, answer.json["code"].as_str().unwrap_or_default().to_owned())
}

/// Holds the answers of all operations to somebody against what he may do.
fn hold(app: &TestApp, operations: &[Operation], who: &str, token: Option<&str>, may: impl Fn(&str) -> bool) -> usize {
    for operation in operations {
        let (status, code) = answer(app, operation, token);
        let at = format!("{} {} for {who}: {status} {code}", operation.method, operation.path);
        match &operation.permission {
            Some(_) if token.is_none() => assert_eq!((status, code.as_str()), (401, "unauthenticated"), "{at}"),
            Some(name) if !may(name) => assert_eq!((status, code.as_str()), (403, "forbidden"), "{at}"),
            _ => assert!(![401, 403].contains(&status), "{at}"),
        }
        assert!(status < 500, "{at}");
    }
    operations.len()
}

/// Which permissions each role has, as the README of an industry would say it.
fn roles() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let reads = "pack:read customers:read products:read";
    [
        (
            "policy_author",
            "packs:check runs:read releases:read releases:write releases:approve events:read evaluations:create \
             runs:write basis:write",
        ),
        (
            "manager",
            "customers:write products:write transactions:write observations:write lists:write overrides:write \
             appeals:write appeals:decide staff:read staff:write staff:evaluate staff:sign imports:read imports:write evaluations:create \
             runs:read runs:write releases:read releases:approve events:read",
        ),
        (
            "account_manager",
            "customers:write observations:write appeals:write releases:read evaluations:create events:read",
        ),
        ("clerk", "transactions:write observations:write appeals:write"),
        ("reader", "runs:read releases:read"),
    ]
    .map(|(role, more)| (role, reads.split(' ').chain(more.split_whitespace()).collect()))
    .into_iter()
    .chain([("technician", ["pack:read", "staff:sign"].into())])
    .collect()
}

#[test]
fn every_operation_answers_each_role_as_it_states() {
    let app = bakery();
    let (operations, roles) = (operations(), roles());
    let mut held = hold(&app, &operations, "nobody", None, |_| false);
    for (role, permissions) in &roles {
        let may = |name: &str| name == "account:own" || permissions.contains(name);
        held += hold(&app, &operations, role, Some(&app.as_role(role)), may);
    }
    app.user("without", &[]);
    let without = app.sign_in("without");
    held +=
        hold(&app, &operations, "one without roles", without["access_token"].as_str(), |name| name == "account:own");
    held += hold(&app, &operations, "the administrator", Some(&app.as_role("administrator")), |_| true);
    assert!(operations.len() > 50, "{}", operations.len());
    assert_eq!(held, operations.len() * (roles.len() + 3), "somebody or something was left out");
}

#[test]
fn what_needs_no_token_is_known() {
    let open: Vec<String> = operations()
        .into_iter()
        .filter(|operation| operation.permission.is_none())
        .map(|operation| format!("{} {}", operation.method, operation.path))
        .collect();
    let known =
        ["GET /.well-known/jwks.json", "GET /livez", "GET /readyz", "POST /v1/auth/refresh", "POST /v1/auth/token"];
    assert_eq!(open, known, "an operation is everybody's that wasn't");
    let app = bakery();
    for operation in operations().iter().filter(|operation| operation.permission.is_some()) {
        let head = Operation { method: "HEAD".into(), path: operation.path.clone(), permission: None };
        if operation.method == "GET" {
            assert_eq!(answer(&app, &head, None).0, 401, "HEAD {}", operation.path);
        }
    }
}

#[test]
fn every_operation_needs_the_permission_that_it_states_and_no_other() {
    let app = bakery();
    let all = app.get("/v1/roles").with(200).json["permissions"].clone();
    let all: Vec<&str> = all.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let operations: Vec<Operation> =
        operations().into_iter().filter(|operation| !operation.path.ends_with("/logout")).collect();
    let set = |permissions: &[&str]| {
        app.send("PUT", "/v1/roles/probe", &[("If-Match", "*")], &json!({"permissions": permissions})).with(200);
    };
    app.send("PUT", "/v1/roles/probe", &[], &json!({"permissions": []})).with(200);
    let token = app.as_role("probe");
    let stated: BTreeSet<&str> = operations.iter().filter_map(|operation| operation.permission.as_deref()).collect();
    for name in &stated {
        assert!(all.contains(name), "'{name}' is stated, but no role can have it");
        set(&[name]);
        hold(&app, &operations, &format!("one who has {name} alone"), Some(&token), |needed| {
            needed == *name || needed == "account:own"
        });
        set(&all.iter().copied().filter(|other| other != name).collect::<Vec<_>>());
        hold(&app, &operations, &format!("one who lacks {name}"), Some(&token), |needed| {
            needed != *name || needed == "account:own"
        });
    }
    assert!(stated.len() > 12, "{stated:?}");
}
