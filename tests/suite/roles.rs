//! Users and roles: who is created and changed by whom, and what nobody can give himself.

use serde_json::{Value as Json, json};

use crate::app::{PASSWORD, TestApp};
use crate::transactions::bakery;

#[test]
fn a_user_is_created_read_and_changed() {
    let app = bakery();
    let new = json!({"username": " Ana.Ruiz ", "display_name": "Ana Ruiz", "roles": ["clerk"], "password": PASSWORD});
    let created = app.post("/v1/users", &new).with(201);
    assert_eq!((created.header("ETag"), &created.json["username"]), ("\"1\"", &json!("ana.ruiz")));
    let path = created.header("Location").to_owned();
    assert_eq!(app.post("/v1/users", &new).with(409).json["code"], "already_exists");
    assert_eq!(app.get(&path).with(200).json, created.json);
    app.sign_in("ANA.RUIZ");
    assert!(app.get(&path).json["last_sign_in_at"].is_string());

    let changed = app.patch(&path, "\"1\"", &json!({"roles": ["reader", "clerk"], "display_name": "Ana"})).with(200);
    assert_eq!((changed.header("ETag"), &changed.json["roles"]), ("\"2\"", &json!(["clerk", "reader"])));
    app.patch(&path, "\"1\"", &json!({"roles": []})).with(412);
    app.send("PATCH", &path, &[], &json!({"roles": []})).with(428);
    app.patch(&path, "\"2\"", &json!({"display_name": null})).with(422);
    assert_eq!(
        app.patch(&path, "\"2\"", &json!({"roles": ["clrk"]})).with(422).faults(),
        [("/roles/0", "unknown_role")]
    );
    assert_eq!(app.patch(&path, "\"2\"", &json!({})).with(200).header("ETag"), "\"2\"");
    let names: Vec<Json> = app.get("/v1/users").with(200).json["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["username"].clone())
        .collect();
    assert_eq!(names, ["admin", "ana.ruiz"]);
    let first = app.get("/v1/users?limit=1").json;
    let next = app.get(&format!("/v1/users?limit=1&cursor={}", first["next_cursor"].as_str().unwrap())).json;
    assert_eq!(next["items"][0]["username"], "ana.ruiz");
}

#[test]
fn every_fault_of_a_new_user_is_told_at_once() {
    let app = bakery();
    let new = json!({"username": "two words", "display_name": "", "roles": ["clerk", "boss"], "password": "short"});
    let refused = app.post("/v1/users", &new).with(422);
    let mut pointers: Vec<&str> = refused.faults().into_iter().map(|(pointer, _)| pointer).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/display_name", "/password", "/roles/1", "/username"]);
    let same = json!({"username": "maria-fernanda", "password": "Maria-Fernanda"});
    assert_eq!(app.post("/v1/users", &same).with(422).faults(), [("/password", "password")]);
}

#[test]
fn what_a_role_allows_holds_at_once() {
    let app = bakery();
    let id = app.user("ana", &["clerk"]);
    let token = app.sign_in("ana")["access_token"].as_str().unwrap().to_owned();
    let status = |path: &str| app.send_as(&token, "GET", path, &[], &Json::Null).status;
    assert_eq!((status("/v1/customers"), status("/v1/runs")), (200, 403));
    let me = app.send_as(&token, "GET", "/v1/me", &[], &Json::Null).with(200).json;
    let may = json!([
        "account:own",
        "appeals:write",
        "customers:read",
        "observations:write",
        "pack:read",
        "products:read",
        "transactions:write"
    ]);
    assert_eq!((&me["user"]["username"], &me["permissions"]), (&json!("ana"), &may));
    app.patch(&format!("/v1/users/{id}"), "\"1\"", &json!({"roles": ["auditor"]})).with(422);
    app.send("PUT", "/v1/roles/auditor", &[], &json!({"permissions": ["runs:read"]})).with(200);
    app.patch(&format!("/v1/users/{id}"), "\"1\"", &json!({"roles": ["auditor"]})).with(200);
    assert_eq!((status("/v1/customers"), status("/v1/runs")), (403, 200));
    let used = app.send("DELETE", "/v1/roles/auditor", &[], &Json::Null).with(409);
    assert!(used.json["detail"].as_str().unwrap().contains("has users (1)"), "{}", used.json);
    app.patch(&format!("/v1/users/{id}"), "\"2\"", &json!({"roles": []})).with(200);
    assert_eq!((status("/v1/customers"), status("/v1/runs"), status("/v1/me")), (403, 403, 200));
    app.send("DELETE", "/v1/roles/auditor", &[], &Json::Null).with(204);
    app.send("DELETE", "/v1/roles/auditor", &[], &Json::Null).with(404);
}

#[test]
fn built_in_roles_stay_and_others_are_checked() {
    let app = bakery();
    let put = |role: &str, permissions: Json| {
        app.send("PUT", &format!("/v1/roles/{role}"), &[], &json!({"permissions": permissions}))
    };
    for role in ["administrator", "policy_author", "manager", "account_manager", "clerk", "technician", "reader"] {
        assert_eq!(put(role, json!([])).with(409).json["code"], "conflict");
        app.send("DELETE", &format!("/v1/roles/{role}"), &[], &Json::Null).with(409);
    }
    assert_eq!(put("auditor", json!(["runs:red"])).with(422).faults(), [("/permissions/0", "unknown_permission")]);
    put("Auditor", json!([])).with(422);
    put("auditor", json!(["runs:read"])).with(200);
    let roles = app.get("/v1/roles").with(200).json;
    let names: Vec<&str> =
        roles["items"].as_array().unwrap().iter().map(|role| role["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["administrator", "policy_author", "manager", "account_manager", "clerk", "technician", "reader", "auditor"]
    );
}

#[test]
fn nobody_overwrites_a_role_that_he_has_not_read() {
    let app = bakery();
    let put = |tag: &str, permissions: Json| {
        let headers = if tag.is_empty() { vec![] } else { vec![("If-Match", tag)] };
        app.send("PUT", "/v1/roles/auditor", &headers, &json!({"permissions": permissions}))
    };
    assert_eq!(put("*", json!([])).with(412).json["code"], "stale");
    let created = put("", json!(["runs:read"])).with(200);
    assert_eq!((created.header("ETag"), &created.json["version"]), ("\"1\"", &json!(1)));
    // The same once more, as when the answer was lost.
    assert_eq!(put("", json!(["runs:read"])).with(200).json, created.json);
    assert_eq!(put("", json!(["pack:read"])).with(428).json["code"], "precondition_required");
    let changed = put("\"1\"", json!(["pack:read"])).with(200);
    assert_eq!((changed.header("ETag"), &changed.json["permissions"]), ("\"2\"", &json!(["pack:read"])));
    assert_eq!(put("\"1\"", json!(["events:read"])).with(412).json["code"], "stale");
    let roles = app.get("/v1/roles").with(200).json;
    let versions: Vec<&Json> = roles["items"].as_array().unwrap().iter().map(|role| &role["version"]).collect();
    assert_eq!((versions[0], versions[7]), (&Json::Null, &json!(2)));
    // Of two who add a permission to what both have read, one reads again.
    let mut statuses = std::thread::scope(|scope| {
        let first = scope.spawn(|| put("\"2\"", json!(["pack:read", "runs:read"])).status);
        [put("\"2\"", json!(["pack:read", "events:read"])).status, first.join().unwrap()]
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    let delete = |tag: &str| app.send("DELETE", "/v1/roles/auditor", &[("If-Match", tag)], &Json::Null).status;
    assert_eq!((delete("\"2\""), delete("\"3\""), delete("*")), (412, 204, 404));
}

/// An app with a user who may manage users, and nothing else.
fn with_help_desk() -> (TestApp, String) {
    let app = bakery();
    app.send("PUT", "/v1/roles/desk", &[], &json!({"permissions": ["users:read", "users:write", "pack:read"]}))
        .with(200);
    let token = app.as_role("desk");
    (app, token)
}

#[test]
fn nobody_gives_what_he_may_not_do() {
    let (app, desk) = with_help_desk();
    let send = |method: &str, path: &str, body: Json| {
        let tag: &[(&str, &str)] = if method == "PATCH" { &[("If-Match", "\"1\"")] } else { &[] };
        app.send_as(&desk, method, path, tag, &body)
    };
    let me = send("GET", "/v1/me", Json::Null).json;
    let own = format!("/v1/users/{}", me["user"]["id"].as_str().unwrap());
    let new = |roles: Json| json!({"username": "new", "password": PASSWORD, "roles": roles});
    for role in ["administrator", "clerk", "reader"] {
        assert_eq!(send("POST", "/v1/users", new(json!([role]))).with(403).json["code"], "forbidden", "{role}");
        send("PATCH", &own, json!({"roles": ["desk", role]})).with(403);
    }
    // Nor by way of a role of his own.
    send("PUT", "/v1/roles/desk", json!({"permissions": ["users:read", "users:write", "customers:read"]})).with(403);
    send("PUT", "/v1/roles/more", json!({"permissions": ["customers:write"]})).with(403);
    send("PUT", "/v1/roles/less", json!({"permissions": ["pack:read"]})).with(200);
    send("POST", "/v1/users", new(json!(["less"]))).with(201);
    // Nor does he change or delete a role that may more.
    app.send("PUT", "/v1/roles/more", &[], &json!({"permissions": ["customers:write"]})).with(200);
    send("PUT", "/v1/roles/more", json!({"permissions": ["pack:read"]})).with(403);
    assert_eq!(send("DELETE", "/v1/roles/more", Json::Null).with(403).json["code"], "forbidden");
    app.send("DELETE", "/v1/roles/more", &[], &Json::Null).with(204);
    send("PUT", "/v1/roles/unused", json!({"permissions": ["pack:read"]})).with(200);
    send("DELETE", "/v1/roles/unused", Json::Null).with(204);
    // Nor by becoming somebody who may more.
    let admin = app.get("/v1/me").json["user"]["id"].as_str().unwrap().to_owned();
    send("POST", &format!("/v1/users/{admin}/password"), json!({"password": "a much better one"})).with(403);
    send("PATCH", &format!("/v1/users/{admin}"), json!({"status": "disabled"})).with(403);
    send("DELETE", &format!("/v1/users/{admin}/sessions"), Json::Null).with(403);
    app.get("/v1/me").with(200);
    app.sign_in("admin");
}

#[test]
fn the_last_administrator_stays() {
    let app = bakery();
    let admin = app.get("/v1/me").json["user"]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/users/{admin}");
    for change in [json!({"status": "disabled"}), json!({"roles": ["manager"]})] {
        let refused = app.patch(&path, "\"1\"", &change).with(409);
        assert!(refused.json["detail"].as_str().unwrap().contains("last active administrator"));
    }
    let other = app.user("second", &["administrator"]);
    app.patch(&format!("/v1/users/{other}"), "\"1\"", &json!({"status": "disabled"})).with(200);
    app.patch(&path, "\"1\"", &json!({"roles": ["manager"]})).with(409);
    app.patch(&format!("/v1/users/{other}"), "\"2\"", &json!({"status": "active"})).with(200);
    // Of two who leave at once, one stays.
    let second = app.sign_in("second")["access_token"].as_str().unwrap().to_owned();
    let leave = |token: &str, path: &str, tag: &str| {
        app.send_as(token, "PATCH", path, &[("If-Match", tag)], &json!({"roles": []})).status
    };
    let other = format!("/v1/users/{other}");
    let mut statuses = std::thread::scope(|scope| {
        let first = scope.spawn(|| leave(&app.token, &path, "\"1\""));
        [leave(&second, &other, "\"3\""), first.join().unwrap()]
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
}

#[test]
fn an_administrator_sets_a_password_and_ends_sessions() {
    let app = bakery();
    let id = app.user("ana", &["clerk"]);
    let token = |tokens: Json| tokens["access_token"].as_str().unwrap().to_owned();
    let first = token(app.sign_in("ana"));
    let status = |token: &str| app.send_as(token, "GET", "/v1/me", &[], &Json::Null).status;
    assert_eq!(app.get(&format!("/v1/users/{id}/sessions")).with(200).json["items"].as_array().unwrap().len(), 1);
    app.post(&format!("/v1/users/{id}/password"), &json!({"password": "short"})).with(422);
    app.post(&format!("/v1/users/{id}/password"), &json!({"password": PASSWORD})).with(204);
    assert_eq!(status(&first), 401);
    let second = token(app.sign_in("ana"));
    app.send("DELETE", &format!("/v1/users/{id}/sessions"), &[], &Json::Null).with(204);
    assert_eq!(status(&second), 401);
    assert_eq!(app.get(&format!("/v1/users/{id}/sessions")).json["items"], json!([]));
}

#[test]
fn nobody_writes_what_is_not_asked_for() {
    let app = bakery();
    let clerk = app.as_role("clerk");
    let send =
        |method: &str, path: &str, body: Json| app.send_as(&clerk, method, path, &[("If-Match", "\"1\"")], &body);
    let body = json!({"current_password": PASSWORD, "new_password": "a much better one", "roles": ["administrator"]});
    assert_eq!(send("POST", "/v1/auth/password", body).with(422).faults(), [("/roles", "unknown_field")]);
    let extra = json!({"username": "a.clerk", "password": PASSWORD, "roles": ["administrator"]});
    assert_eq!(send("POST", "/v1/auth/token", extra).with(422).faults(), [("/roles", "unknown_field")]);
    for field in ["id", "version", "status", "created_at", "password_hash", "permissions"] {
        let mut new = json!({"username": "new", "password": PASSWORD});
        new[field] = json!("active");
        let pointer = format!("/{field}");
        assert_eq!(app.post("/v1/users", &new).with(422).faults(), [(pointer.as_str(), "unknown_field")]);
    }
    for field in ["username", "password", "password_hash", "version", "id"] {
        let id = app.get("/v1/me").json["user"]["id"].as_str().unwrap().to_owned();
        let refused = app.patch(&format!("/v1/users/{id}"), "\"1\"", &json!({field: "x"})).with(422);
        assert_eq!(refused.faults()[0].1, "unknown_field", "{field}");
    }
    let me = send("GET", "/v1/me", Json::Null).with(200).json;
    assert_eq!(me["user"]["roles"], json!(["clerk"]));
}
