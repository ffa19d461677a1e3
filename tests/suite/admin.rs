//! `baremo admin` beside a running service.

use serde_json::{Value as Json, json};

use crate::app::PASSWORD;
use crate::base::Base;
use crate::process::{Place, Service, until};
use crate::transactions::BAKERY;

fn sign_in(service: &mut Service, username: &str, password: &str) -> u16 {
    service.send("POST", "/v1/auth/token", &json!({"username": username, "password": password})).status
}

#[test]
fn an_operator_sees_to_users_beside_a_running_service() {
    let (base, place) = (Base::new(), Place::new());
    let pack = place.pack("bakery", &BAKERY);
    let url = base.url();
    let own = [("BAREMO_DATABASE_URL", url.as_str()), ("BAREMO_ADMIN_PASSWORD", PASSWORD)];
    let mut service = place.serve(&pack, &own).ready();
    let admin = |arguments: &[&str]| {
        let all = [&["admin"], arguments, &["--pack", pack.to_str().unwrap()]].concat();
        let output = place.run(&all, &own);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let (_, told, _) = admin(&["create-user", "Ana", "--role", "clerk", "--role", "reader"]);
    let made_up = told.lines().find_map(|line| line.strip_prefix("Password: ")).unwrap().to_owned();
    assert_eq!(sign_in(&mut service, "ana", &made_up), 200);
    let file = place.write("password", "a much better one\n");
    let (done, told, _) = admin(&["set-password", "ana", "--password-file", file.to_str().unwrap()]);
    assert!(done && !told.contains("Password"), "{told}");
    assert_eq!((sign_in(&mut service, "ana", &made_up), sign_in(&mut service, "ana", "a much better one")), (401, 200));
    assert!(admin(&["disable", "ana"]).0);
    assert_eq!(sign_in(&mut service, "ana", "a much better one"), 401);

    for (arguments, wanted) in [
        (vec!["create-user", "bob", "--role", "boss"], "there is no role 'boss'"),
        (vec!["create-user", "ana", "--role", "clerk"], "exists already"),
        (vec!["set-password", "nobody"], "there is no user 'nobody'"),
        (vec!["disable", "admin"], "last active administrator"),
    ] {
        let (done, _, said) = admin(&arguments);
        assert!(!done && said.contains(wanted), "{arguments:?}: {said}");
    }
    assert!(admin(&["roles"]).1.contains(
        "clerk: appeals:write, customers:read, observations:write, pack:read, products:read, transactions:write"
    ));

    service.sign_in(PASSWORD);
    service.get("/v1/me").with(200);
    assert!(admin(&["rotate-keys"]).0);
    service.get("/v1/me").with(200);
    assert!(admin(&["rotate-keys", "--revoke"]).0);
    until("old tokens are invalid", || (service.get("/v1/me").status == 401).then_some(()));
    service.sign_in(PASSWORD);
    assert_eq!(service.send("GET", "/.well-known/jwks.json", &Json::Null).json["keys"].as_array().unwrap().len(), 1);
}
