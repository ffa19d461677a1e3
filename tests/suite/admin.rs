//! `baremo admin` beside a running service.

use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::app::PASSWORD;
use crate::base::Base;
use crate::process::{Place, Service, until};
use crate::transactions::BAKERY;

fn sign_in(service: &mut Service, username: &str, password: &str) -> u16 {
    service.send("POST", "/v1/auth/token", &json!({"username": username, "password": password})).status
}

/// A service that runs beside the commands of its operator.
struct Operated {
    service: Service,
    place: Place,
    pack: PathBuf,
    base: Base,
}

impl Operated {
    fn new() -> Self {
        let (base, place) = (Base::new(), Place::new());
        let pack = place.pack("bakery", &BAKERY);
        let service = place.serve(&pack, &Self::environment(&base.url())).ready();
        Self { service, place, pack, base }
    }

    fn environment(url: &str) -> [(&str, &str); 2] {
        [("BAREMO_DATABASE_URL", url), ("BAREMO_ADMIN_PASSWORD", PASSWORD)]
    }

    /// Whether a command succeeds, what it tells, and of what it complains.
    fn admin(&self, arguments: &[&str]) -> (bool, String, String) {
        let all = [&["admin"], arguments, &["--pack", self.pack.to_str().unwrap()]].concat();
        let output = self.place.run(&all, &Self::environment(&self.base.url()));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    /// What a command tells, which must succeed.
    #[track_caller]
    fn told(&self, arguments: &[&str]) -> String {
        let (done, told, said) = self.admin(arguments);
        assert!(done, "{arguments:?}: {said}");
        told
    }

    /// Sees that a command fails, and says why.
    #[track_caller]
    fn refused(&self, arguments: &[&str], wanted: &str) {
        let (done, _, said) = self.admin(arguments);
        assert!(!done && said.contains(wanted), "{arguments:?}: {said}");
    }
}

#[test]
fn an_operator_sees_to_users_beside_a_running_service() {
    let mut operated = Operated::new();
    let told = operated.told(&["create-user", "Ana", "--role", "clerk", "--role", "reader"]);
    let made_up = told.lines().find_map(|line| line.strip_prefix("Password: ")).unwrap().to_owned();
    assert_eq!(sign_in(&mut operated.service, "ana", &made_up), 200);
    let file = operated.place.write("password", "a much better one\n");
    let told = operated.told(&["set-password", "ana", "--password-file", file.to_str().unwrap()]);
    assert!(!told.contains("Password"), "{told}");
    assert_eq!(sign_in(&mut operated.service, "ana", &made_up), 401);
    assert_eq!(sign_in(&mut operated.service, "ana", "a much better one"), 200);
    assert_eq!(operated.told(&["users"]), "admin (active): administrator\nana (active): clerk, reader\n");
    operated.told(&["disable", "ana"]);
    assert_eq!(sign_in(&mut operated.service, "ana", "a much better one"), 401);
    operated.told(&["set-roles", "ANA", "--role", "manager"]);
    assert_eq!(operated.told(&["users"]), "admin (active): administrator\nana (disabled): manager\n");
    operated.told(&["enable", "ana"]);
    assert_eq!(sign_in(&mut operated.service, "ana", "a much better one"), 200);
    operated.told(&["set-roles", "ana", "--none"]);
    assert_eq!(operated.told(&["users"]), "admin (active): administrator\nana (active):\n");

    for (arguments, wanted) in [
        (vec!["create-user", "bob", "--role", "boss"], "there is no role 'boss'"),
        (vec!["create-user", "ana", "--role", "clerk"], "exists already"),
        (vec!["set-password", "nobody"], "there is no user 'nobody'"),
        (vec!["set-roles", "nobody", "--role", "clerk"], "there is no user 'nobody'"),
        (vec!["set-roles", "ana", "--role", "boss"], "there is no role 'boss'"),
        (vec!["set-roles", "ana"], "--role"),
        (vec!["set-roles", "admin", "--none"], "last active administrator"),
        (vec!["enable", "nobody"], "there is no user 'nobody'"),
        (vec!["disable", "admin"], "last active administrator"),
    ] {
        operated.refused(&arguments, wanted);
    }
}

#[test]
fn an_operator_lists_all_users_however_many_there_are() {
    let operated = Operated::new();
    operated.base.execute(
        "INSERT INTO users (id, username, password_hash, created_at) \
         SELECT UNHEX(MD5(seq)), CONCAT('u', LPAD(seq, 4, '0')), '', NOW(6) FROM seq_1_to_1200",
    );
    let told = operated.told(&["users"]);
    let names: Vec<&str> = told.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!((names.len(), names[0], names[1], names[1200]), (1201, "admin", "u0001", "u1200"));
    assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
}

#[test]
fn an_operator_sees_to_roles_beside_a_running_service() {
    let mut operated = Operated::new();
    assert!(operated.told(&["roles"]).contains(
        "clerk: appeals:write, customers:read, observations:write, pack:read, products:read, transactions:write"
    ));
    let file = operated.place.write("password", "a much better one\n");
    operated.told(&["set-role", "auditor", "--permission", "runs:read", "--permission", "pack:read"]);
    operated.told(&["create-user", "ana", "--role", "auditor", "--password-file", file.to_str().unwrap()]);
    let credentials = json!({"username": "ana", "password": "a much better one"});
    let tokens = operated.service.send("POST", "/v1/auth/token", &credentials).with(200).json;
    let authorization = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let client = operated.service.client();
    let runs = || client.send_raw("GET", "/v1/runs", &[("Authorization", authorization.as_str())], "").status;
    assert_eq!(runs(), 200);
    operated.told(&["set-role", "auditor", "--permission", "releases:read"]);
    assert!(operated.told(&["roles"]).contains("auditor: releases:read\n"));
    until("the service notices", || (runs() == 403).then_some(()));
    operated.refused(&["delete-role", "auditor"], "has users (1)");
    operated.told(&["set-roles", "ana", "--role", "clerk"]);
    operated.told(&["delete-role", "auditor"]);
    for (arguments, wanted) in [
        (vec!["delete-role", "auditor"], "no such"),
        (vec!["delete-role", "clerk"], "built in"),
        (vec!["set-role", "clerk", "--permission", "pack:read"], "built in"),
        (vec!["set-role", "auditor", "--permission", "runs:red"], "did you mean 'runs:read'"),
        (vec!["set-role", "Auditor", "--permission", "runs:read"], "no name of a role"),
        (vec!["set-role", "auditor"], "--permission"),
    ] {
        operated.refused(&arguments, wanted);
    }
}

#[test]
fn an_operator_lets_keys_follow_beside_a_running_service() {
    let mut operated = Operated::new();
    operated.service.sign_in(PASSWORD);
    operated.service.get("/v1/me").with(200);
    operated.told(&["rotate-keys"]);
    operated.service.get("/v1/me").with(200);
    operated.told(&["rotate-keys", "--revoke"]);
    until("old tokens are invalid", || (operated.service.get("/v1/me").status == 401).then_some(()));
    operated.service.sign_in(PASSWORD);
    let keys = operated.service.send("GET", "/.well-known/jwks.json", &Json::Null).json;
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
}
