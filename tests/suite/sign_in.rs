//! Signing in, its limits, one's own password and sessions, and the secret of the signing keys.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use tokio::runtime::Builder;

use crate::app::{PASSWORD, TestApp};
use crate::base::{Answer, Base};
use crate::process::{Place, number, until};
use crate::transactions::{BAKERY, bakery, bakery_source};

fn try_as(app: &TestApp, username: &str, password: &str) -> Answer {
    app.post("/v1/auth/token", &json!({"username": username, "password": password}))
}

fn token(tokens: &Json) -> String {
    tokens["access_token"].as_str().unwrap().to_owned()
}

/// How a service answers a token.
fn status(app: &TestApp, token: &str) -> u16 {
    app.send_as(token, "GET", "/v1/me", &[], &Json::Null).status
}

/// A bakery in a quarter of an hour that doesn't end before the test: failures are counted by it.
fn counting() -> TestApp {
    let app = bakery();
    until("the next quarter of an hour begins", || (Timestamp::now().as_second() % 900 < 880).then_some(()));
    app
}

/// Moves what has been counted into the past.
fn later(app: &TestApp) {
    app.base.execute("UPDATE sign_in_attempts SET period = period - 1");
}

#[test]
fn an_account_closes_after_ten_failures_whichever_process_sees_them() {
    let app = counting();
    let beside = TestApp::beside(&app, &bakery_source(), "2018-01-01");
    app.user("ana", &["clerk"]);
    for name in ["ana", "nobody-at-all"] {
        for at in 0..10 {
            let process = if at % 2 == 0 { &app } else { &beside };
            assert_eq!(
                try_as(process, name, "wrong password").with(401).json["code"],
                "wrong_credentials",
                "{name} {at}"
            );
        }
        for (process, password) in [(&app, "wrong password"), (&beside, PASSWORD)] {
            let refused = try_as(process, name, password).with(429);
            assert_eq!(refused.json["code"], "too_many_attempts");
            let seconds: i64 = refused.header("Retry-After").parse().unwrap();
            assert!((1..=900).contains(&seconds), "{seconds}");
        }
    }
    try_as(&app, " ANA ", PASSWORD).with(429);
    app.sign_in("admin");
    later(&app);
    try_as(&app, "ana", PASSWORD).with(200);
}

#[test]
fn an_account_closes_for_others_only_after_a_hundred_failures_elsewhere() {
    let app = counting();
    app.user("ana", &["clerk"]);
    let elsewhere = "INSERT INTO sign_in_attempts SELECT UNHEX(SHA2('account ana', 256)), period, 98 FROM \
                     (SELECT FLOOR(UNIX_TIMESTAMP() / 900) AS period) now";
    app.base.execute(elsewhere);
    try_as(&app, "ana", PASSWORD).with(200);
    try_as(&app, "ana", "wrong password").with(401);
    try_as(&app, "ana", "wrong password").with(401);
    try_as(&app, "ana", PASSWORD).with(429);
}

#[test]
fn who_knows_his_password_begins_anew() {
    let app = counting();
    app.user("ana", &["clerk"]);
    for _ in 0..3 {
        for _ in 0..9 {
            try_as(&app, "ana", "wrong password").with(401);
        }
        try_as(&app, "Ana", PASSWORD).with(200);
    }
}

#[test]
fn attempts_at_the_same_time_do_not_exceed_the_limit() {
    let app = counting();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..30).map(|_| scope.spawn(|| try_as(&app, "nobody", "wrong password").status)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(401), count(429)), (10, 20), "{statuses:?}");
}

#[test]
fn an_address_closes_after_a_hundred_failures_and_closes_no_more_accounts() {
    let app = counting();
    app.user("ana", &["clerk"]);
    // Who signs in rightly fills no limit.
    for _ in 0..3 {
        app.sign_in("ana");
    }
    app.base.execute("UPDATE sign_in_attempts SET failures = failures + 99");
    try_as(&app, "one-more", "wrong password").with(401);
    for _ in 0..12 {
        try_as(&app, "ana", "wrong password").with(429);
    }
    later(&app);
    app.sign_in("ana");
}

#[test]
fn ones_own_password_is_changed_by_who_knows_it() {
    let app = counting();
    app.user("ana", &["clerk"]);
    let (here, there) = (token(&app.sign_in("ana")), token(&app.sign_in("ana")));
    let change = |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        app.send_as(&here, "POST", "/v1/auth/password", &[], &body)
    };
    assert_eq!(
        change("wrong password", "a much better one").with(422).faults(),
        [("/current_password", "wrong_password")]
    );
    assert_eq!(change(PASSWORD, "too short").with(422).faults(), [("/new_password", "password")]);
    change(PASSWORD, "a much better one").with(204);
    assert_eq!((status(&app, &here), status(&app, &there)), (200, 401));
    try_as(&app, "ana", PASSWORD).with(401);
    try_as(&app, "ana", "a much better one").with(200);
    // A stolen token isn't a way to try passwords.
    later(&app);
    for _ in 0..10 {
        change("wrong password", "a much better one").with(422);
    }
    change("a much better one", "another good one").with(429);
}

/// Lets Ana sign in again and again, in several places at once, beside what is `done`; gives the access tokens that came of it.
fn beside_sign_ins(app: &TestApp, password: &str, done: impl FnOnce()) -> Vec<String> {
    let going = Arc::new(());
    let (given, tokens) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..3 {
            let (given, going) = (given.clone(), Arc::downgrade(&going));
            scope.spawn(move || {
                while going.strong_count() > 0 {
                    let answer = try_as(app, "ana", password);
                    if answer.status == 200 {
                        given.send(token(&answer.json)).unwrap();
                    }
                }
            });
        }
        drop(given);
        let first = tokens.recv_timeout(Duration::from_secs(60)).unwrap();
        done();
        drop(going);
        [first].into_iter().chain(tokens).collect()
    })
}

/// Forgets the failures so far, so that a test may have more of them.
fn forget_failures(app: &TestApp) {
    app.base.execute("DELETE FROM sign_in_attempts");
}

#[test]
fn no_session_that_an_old_password_began_outlives_the_change() {
    let app = bakery();
    let user = format!("/v1/users/{}", app.user("ana", &["clerk"]));
    let mut password = PASSWORD.to_owned();
    for round in 0..20 {
        let next = format!("password number {round}");
        let here = token(&try_as(&app, "ana", &password).with(200).json);
        let by_herself = round % 2 == 0;
        let tokens = beside_sign_ins(&app, &password, || {
            if by_herself {
                let body = json!({"current_password": password, "new_password": next});
                app.send_as(&here, "POST", "/v1/auth/password", &[], &body).with(204);
            } else {
                app.post(&format!("{user}/password"), &json!({"password": next})).with(204);
            }
        });
        for outlived in tokens {
            assert_eq!(status(&app, &outlived), 401, "round {round}");
        }
        assert_eq!(status(&app, &here), if by_herself { 200 } else { 401 }, "round {round}");
        password = next;
        forget_failures(&app);
    }
}

#[test]
fn no_session_that_began_before_a_user_was_disabled_lives_when_he_is_enabled() {
    let app = bakery();
    let user = format!("/v1/users/{}", app.user("ana", &["clerk"]));
    for round in 0..20 {
        let set = |status: &str| app.patch(&user, "*", &json!({"status": status})).with(200);
        let tokens = beside_sign_ins(&app, PASSWORD, || drop(set("disabled")));
        set("active");
        for outlived in tokens {
            assert_eq!(status(&app, &outlived), 401, "round {round}");
        }
        forget_failures(&app);
    }
}

#[test]
fn a_password_that_an_administrator_sets_is_not_undone_by_who_knew_the_one_before() {
    let app = bakery();
    let user = format!("/v1/users/{}", app.user("ana", &["clerk"]));
    let mut password = PASSWORD.to_owned();
    for round in 0..20 {
        let (set, own) = (format!("password number {round}"), format!("password of her own {round}"));
        let here = token(&try_as(&app, "ana", &password).with(200).json);
        let body = json!({"current_password": password, "new_password": own});
        let changed = thread::scope(|scope| {
            let changing = scope.spawn(|| app.send_as(&here, "POST", "/v1/auth/password", &[], &body).status);
            app.post(&format!("{user}/password"), &json!({"password": set})).with(204);
            changing.join().unwrap()
        });
        assert!([204, 401, 422].contains(&changed), "round {round}: {changed}");
        assert_eq!(try_as(&app, "ana", &own).status, 401, "round {round}");
        assert_eq!(status(&app, &here), 401, "round {round}");
        try_as(&app, "ana", &set).with(200);
        password = set;
        forget_failures(&app);
    }
}

#[test]
fn every_password_that_is_checked_or_made_waits_for_its_turn() {
    let app = bakery();
    let id = app.user("ana", &["clerk"]);
    let here = token(&app.sign_in("ana"));
    let access = app.state.access.clone();
    let clock = Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = clock.enter();
    let turns: Vec<_> = std::iter::from_fn(|| access.hashing().now_or_never()).collect();
    let changed = json!({"current_password": PASSWORD, "new_password": "a much better one"});
    let new = json!({"username": "new", "password": PASSWORD});
    let (signs_in, is_unknown) = (|| try_as(&app, "ana", PASSWORD), || try_as(&app, "nobody", PASSWORD));
    let changes = || app.send_as(&here, "POST", "/v1/auth/password", &[], &changed);
    let is_set = || app.post(&format!("/v1/users/{id}/password"), &json!({"password": PASSWORD}));
    let is_created = || app.post("/v1/users", &new);
    let all: [&(dyn Fn() -> Answer + Sync); 5] = [&signs_in, &is_unknown, &changes, &is_set, &is_created];
    thread::scope(|scope| {
        let waiting = all.map(|request| scope.spawn(request));
        for (at, waiting) in waiting.into_iter().enumerate() {
            assert_eq!(waiting.join().unwrap().status, 503, "number {at} takes nobody's turn");
        }
    });
    drop(turns);
    let statuses = all.map(|request| request().status);
    assert_eq!(statuses, [200, 401, 204, 204, 201]);
}

#[test]
fn ones_sessions_are_listed_and_ended() {
    let app = bakery();
    app.user("ana", &["clerk"]);
    let here = token(&app.sign_in("ana"));
    let agent = format!("Phone {}", "x".repeat(300));
    let body = json!({"username": "ana", "password": PASSWORD}).to_string();
    let headers =
        [("Content-Type", "application/json"), ("User-Agent", agent.as_str()), ("X-Forwarded-For", "192.0.2.7")];
    let there = token(&app.send_raw("POST", "/v1/auth/token", &headers, body).with(200).json);
    let sessions = app.send_as(&here, "GET", "/v1/sessions", &[], &Json::Null).with(200).json;
    let items = sessions["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{items:?}");
    let other = items.iter().find(|session| session["current"] == false).unwrap();
    assert_eq!(other["user_agent"].as_str().unwrap().len(), 200);
    assert_eq!(other["address"], "127.0.0.1", "nobody has trusted this proxy");
    let path = format!("/v1/sessions/{}", other["id"].as_str().unwrap());
    // Another user doesn't even learn that it exists.
    app.send("DELETE", &path, &[], &Json::Null).with(404);
    app.send_as(&here, "DELETE", &path, &[], &Json::Null).with(204);
    app.send_as(&here, "DELETE", &path, &[], &Json::Null).with(404);
    app.send_as(&there, "GET", "/v1/me", &[], &Json::Null).with(401);
    app.send_as(&here, "GET", "/v1/me", &[], &Json::Null).with(200);
}

#[test]
fn what_has_expired_is_removed_in_bounded_pieces() {
    let app = bakery();
    app.sign_in("admin");
    let rows = |table: &str| number(&app.base.url(), &format!("SELECT COUNT(*) FROM {table}")).unwrap();
    let (sessions, tokens, attempts) = (rows("sessions"), rows("refresh_tokens"), rows("sign_in_attempts"));
    let made = |days: u32| {
        format!(
            "INSERT INTO sessions SELECT UNHEX(MD5(seq)), UNHEX(MD5(seq)), '', '', NOW(6), NOW(6), NOW(6) - INTERVAL {days} DAY, FALSE FROM seq_1_to_150"
        )
    };
    app.base.execute(&made(31));
    app.base.execute("INSERT INTO refresh_tokens SELECT UNHEX(SHA2(seq, 256)), UNHEX(MD5(seq)), NOW(6), NOW(6), NULL FROM seq_1_to_150");
    app.base.execute("INSERT INTO sign_in_attempts SELECT UNHEX(SHA2(seq, 256)), 1, 1 FROM seq_1_to_150");
    app.sign_in("admin");
    assert_eq!(rows("sessions"), sessions + 1 + 50);
    assert_eq!(rows("refresh_tokens"), tokens + 1 + 50);
    app.sign_in("admin");
    assert_eq!((rows("sessions"), rows("refresh_tokens")), (sessions + 2, tokens + 2));
    assert_eq!(rows("sign_in_attempts"), attempts);
    app.base.execute(&made(29));
    app.sign_in("admin");
    assert_eq!(rows("sessions"), sessions + 3 + 150, "a session that ended a month ago is gone");
}

#[test]
fn with_the_database_away_no_token_is_trusted() {
    let app = bakery();
    app.get("/v1/me").with(200);
    app.base.execute("RENAME TABLE access_state TO away");
    let refused = until("nothing is trusted", || {
        let answer = app.get("/v1/me");
        (answer.status != 200).then_some(answer)
    });
    assert!(refused.status >= 500, "{}", refused.json);
    app.base.execute("RENAME TABLE away TO access_state");
    app.get("/v1/me").with(200);
}

#[test]
fn processes_of_one_base_need_one_secret() {
    let (base, place) = (Base::new(), Place::new());
    let pack = place.pack("bakery", &BAKERY);
    let (url, path) = (base.url(), place.path("data/bakery/key-secret"));
    let own = [("BAREMO_DATABASE_URL", url.as_str()), ("BAREMO_ADMIN_PASSWORD", PASSWORD)];
    place.serve(&pack, &own).ready().stop();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = fs::read_to_string(&path).unwrap();

    let refused = |environment: &[(&str, &str)]| {
        let output = place.run(&["serve", "--pack", pack.to_str().unwrap()], environment);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let wrong = [own[0], own[1], ("BAREMO_KEY_SECRET", "another secret that is long enough")];
    let said = refused(&wrong);
    assert!(said.contains("BAREMO_KEY_SECRET") && !said.contains("another secret"), "{said}");
    let said = refused(&[own[0], own[1], ("BAREMO_KEY_SECRET", "short")]);
    assert!(said.contains("at least 32 characters"), "{said}");
    let rotate = |how: &str, environment: &[(&str, &str)]| {
        let output = place.run(&["admin", "rotate-keys", how, "--pack", pack.to_str().unwrap()], environment);
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (done, said) = rotate("--revoke", &wrong);
    assert!(!done && said.contains("BAREMO_KEY_SECRET"), "a key that no service can open: {said}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refused(&own).contains("chmod 600"));
    // The same secret by the setting opens the keys that were made under the file's.
    let right =
        [own[0], own[1], ("BAREMO_KEY_SECRET", secret.trim()), ("BAREMO_TRUSTED_PROXIES", "10.0.0.1, 127.0.0.0/8")];
    let mut service = place.serve(&pack, &right).ready();
    // A proxy that is trusted says for whom it speaks; what the client claims of himself comes before it.
    let body = json!({"username": "admin", "password": PASSWORD}).to_string();
    let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", "203.0.113.9, 192.0.2.7")];
    service.client().send_raw("POST", "/v1/auth/token", &headers, &body).with(200);
    service.sign_in(PASSWORD);
    let sessions = service.get("/v1/sessions").with(200).json;
    let addresses: Vec<&Json> =
        sessions["items"].as_array().unwrap().iter().map(|session| &session["address"]).collect();
    assert_eq!(addresses, ["127.0.0.1", "192.0.2.7"]);
    service.stop();

    // Where the secret is lost, new keys are made under a new one.
    assert!(rotate("--new-secret", &wrong).0);
    place.serve(&pack, &wrong).ready().stop();
}
