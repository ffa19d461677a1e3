//! Attacks on access tokens and refresh tokens, and how sessions end.

use std::thread;
use std::time::{Duration, Instant};

use baremo::Id;
use baremo::config::Secret;
use baremo::identity::keys::{Cipher, Ring, Rotation, rotate};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::connection::{Connection, SimpleConnection};
use diesel::mysql::MysqlConnection;
use jiff::Timestamp;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value as Json, json};

use crate::app::{KEY_SECRET, PASSWORD, TestApp};
use crate::base::Answer;
use crate::process::{number, until};
use crate::transactions::{bakery, bakery_source};

fn text(json: &Json) -> String {
    json.as_str().unwrap().to_owned()
}

/// What a part of a token says.
fn part(token: &str, at: usize) -> Json {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap()).unwrap()
}

fn written(json: &Json) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// How a service answers a token.
fn status(app: &TestApp, token: &str) -> u16 {
    app.send_as(token, "GET", "/v1/me", &[], &Json::Null).status
}

fn ring(app: &TestApp) -> Ring {
    let cipher = Cipher::new(&Secret::new(KEY_SECRET)).unwrap();
    app.state.db.run_here(|conn| Ring::load(conn, &cipher)).unwrap()
}

/// A token as the service's own key signs it, with a header and claims that somebody has changed.
fn forged(app: &TestApp, header: impl Fn(&mut Header), claims: impl Fn(&mut Json)) -> String {
    let ring = ring(app);
    let key = ring.signing(Timestamp::now()).unwrap();
    let mut own = Header { typ: Some("at+jwt".into()), kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
    header(&mut own);
    let mut said = part(&app.token, 1);
    claims(&mut said);
    encode(&own, &said, &key.encoding).unwrap()
}

#[test]
fn a_token_says_what_it_is_for() {
    let app = bakery();
    let (header, claims) = (part(&app.token, 0), part(&app.token, 1));
    assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("at+jwt")));
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("baremo"), &json!("baremo-api")));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
    for claim in ["sub", "sid", "jti"] {
        assert!(claims[claim].as_str().unwrap().parse::<Id>().is_ok(), "{claim}");
    }
    let keys = app.send_raw("GET", "/.well-known/jwks.json", &[], String::new()).with(200);
    assert_eq!(keys.header("Cache-Control"), "public, max-age=300");
    assert_eq!(keys.json["keys"][0]["kid"], header["kid"]);
    assert!(keys.json["keys"][0].get("d").is_none(), "the private part is published");
    // Somebody else verifies the token by the published key alone.
    let jwk: Jwk = serde_json::from_value(keys.json["keys"][0].clone()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["baremo-api"]);
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
    jsonwebtoken::decode::<Json>(&app.token, &key, &validation).unwrap();
}

#[test]
fn a_token_of_another_algorithm_is_refused() {
    let app = bakery();
    let (header, claims) = (part(&app.token, 0), part(&app.token, 1));
    let unsigned = |alg: &str| {
        let mut header = header.clone();
        header["alg"] = json!(alg);
        format!("{}.{}.", written(&header), written(&claims))
    };
    for alg in ["none", "None", "NONE", "", "EdDSA"] {
        assert_eq!(status(&app, &unsigned(alg)), 401, "{alg}");
    }
    let public = URL_SAFE_NO_PAD.decode(ring(&app).signing(Timestamp::now()).unwrap().public.as_bytes()).unwrap();
    let kid = header["kid"].as_str().map(str::to_owned);
    // The public key, known to everybody, as the secret of a symmetric algorithm.
    for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let header = Header { typ: Some("at+jwt".into()), kid: kid.clone(), ..Header::new(alg) };
        let token = encode(&header, &claims, &EncodingKey::from_secret(&public)).unwrap();
        assert_eq!(status(&app, &token), 401, "{alg:?}");
    }
    let signature = app.token.rsplit('.').next().unwrap();
    for alg in ["RS256", "ES256", "PS512", "HS256"] {
        let token = format!("{}{signature}", unsigned(alg));
        assert_eq!(status(&app, &token), 401, "{alg} with the signature of another");
    }
    assert_eq!(status(&app, &app.token), 200);
}

#[test]
fn a_token_that_names_its_own_key_is_refused() {
    let app = bakery();
    let kids = ["../../../../dev/null", "' OR '1'='1", "http://127.0.0.1/key", "", "\0", &Id::new().to_string()];
    for kid in kids {
        assert_eq!(status(&app, &forged(&app, |header| header.kid = Some(kid.to_owned()), |_| {})), 401, "{kid:?}");
    }
    assert_eq!(status(&app, &forged(&app, |header| header.kid = None, |_| {})), 401);
    // Whoever signs with a key of his own and sends it along is not believed.
    let own = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let der = ed25519_dalek::pkcs8::EncodePrivateKey::to_pkcs8_der(&own).unwrap();
    let jwk: Jwk = serde_json::from_value(json!({
        "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(own.verifying_key().as_bytes())
    }))
    .unwrap();
    let kid = text(&part(&app.token, 0)["kid"]);
    for kid in [Some(kid), None] {
        let header = Header {
            typ: Some("at+jwt".into()),
            kid,
            jwk: Some(jwk.clone()),
            jku: Some("http://127.0.0.1/keys".into()),
            ..Header::new(Algorithm::EdDSA)
        };
        let token = encode(&header, &part(&app.token, 1), &EncodingKey::from_ed_der(der.as_bytes())).unwrap();
        assert_eq!(status(&app, &token), 401);
    }
    assert_eq!(status(&app, &forged(&app, |header| header.crit = Some(vec!["x".into()]), |_| {})), 401);
    assert_eq!(status(&app, &forged(&app, |_| {}, |_| {})), 200, "what isn't changed is valid");
}

#[test]
fn every_claim_is_needed_and_must_be_right() {
    let app = bakery();
    let now = Timestamp::now().as_second();
    for claim in ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp"] {
        let token = forged(&app, |_| {}, |claims| drop(claims.as_object_mut().unwrap().remove(claim)));
        assert_eq!(status(&app, &token), 401, "without {claim}");
    }
    let other = Id::new().to_string();
    let wrong = [
        ("iss", json!("another")),
        ("aud", json!("another-api")),
        ("aud", json!([])),
        ("nbf", json!(now + 60)),
        ("exp", json!(now - 1)),
        ("exp", json!("never")),
        ("exp", json!(i64::MAX)),
        ("exp", json!(u64::MAX)),
        ("sub", json!(other)),
        ("sid", json!(other)),
        ("sid", json!("' OR 1 = 1 --")),
    ];
    for (claim, value) in wrong {
        let token = forged(&app, |_| {}, |claims| claims[claim] = value.clone());
        assert_eq!(status(&app, &token), 401, "{claim} is {value}");
    }
    for typ in [Some("JWT"), Some("at"), None] {
        assert_eq!(status(&app, &forged(&app, |header| header.typ = typ.map(Into::into), |_| {})), 401, "{typ:?}");
    }
}

#[test]
fn what_is_changed_after_signing_is_refused() {
    let app = bakery();
    let other = app.user("ana", &["clerk"]);
    let mut claims = part(&app.token, 1);
    claims["sub"] = json!(other);
    let parts: Vec<&str> = app.token.split('.').collect();
    assert_eq!(status(&app, &format!("{}.{}.{}", parts[0], written(&claims), parts[2])), 401);
    let long = "x".repeat(5000);
    for token in ["", ".", "..", "a.b.c", "a.b.c.d", long.as_str(), &app.token[1..], &format!("{}x", app.token)] {
        assert_eq!(status(&app, token), 401, "{token:?}");
    }
}

#[test]
fn a_session_that_has_ended_is_gone_in_every_process() {
    let app = bakery();
    let beside = TestApp::beside(&app, &bakery_source(), "2018-01-01");
    let id = app.user("ana", &["clerk"]);
    let tokens = app.sign_in("ana");
    let token = text(&tokens["access_token"]);
    assert_eq!((status(&app, &token), status(&beside, &token)), (200, 200));
    app.send_as(&token, "POST", "/v1/auth/logout", &[], &Json::Null).with(204);
    assert_eq!(status(&app, &token), 401, "not at once");
    gone(&beside, &token);
    app.post("/v1/auth/refresh", &json!({"refresh_token": tokens["refresh_token"]})).with(401);

    let tokens = app.sign_in("ana");
    let token = text(&tokens["access_token"]);
    assert_eq!(status(&beside, &token), 200);
    app.patch(&format!("/v1/users/{id}"), "\"1\"", &json!({"status": "disabled"})).with(200);
    assert_eq!(status(&app, &token), 401);
    gone(&beside, &token);
    app.post("/v1/auth/refresh", &json!({"refresh_token": tokens["refresh_token"]})).with(401);
    app.post("/v1/auth/token", &json!({"username": "ana", "password": PASSWORD})).with(401);
    // Who comes back signs in anew.
    app.patch(&format!("/v1/users/{id}"), "\"2\"", &json!({"status": "active"})).with(200);
    assert_eq!(status(&app, &token), 401);
    app.sign_in("ana");
}

/// Longest time until another process has noticed: a second, and as much as a machine needs that has much to do.
const NOTICED: Duration = Duration::from_secs(5);

#[track_caller]
fn gone(app: &TestApp, token: &str) {
    let asked = Instant::now();
    until("the other process notices", || (status(app, token) == 401).then_some(()));
    assert!(asked.elapsed() < NOTICED, "noticed after {:?}", asked.elapsed());
}

#[test]
fn a_token_that_is_known_already_ends_when_it_says() {
    let app = bakery();
    let ends = Timestamp::now().as_second() + 4;
    let token = forged(&app, |_| {}, |claims| claims["exp"] = json!(ends));
    assert_eq!((status(&app, &token), status(&app, &token)), (200, 200));
    until("it has ended", || (status(&app, &token) == 401).then_some(()));
    let ended = Timestamp::now().as_second();
    assert!((ends..ends + 5).contains(&ended), "{ended} instead of {ends}");
}

/// Exchanges the refresh token of some tokens.
fn refresh(app: &TestApp, tokens: &Json) -> Answer {
    app.post("/v1/auth/refresh", &json!({"refresh_token": tokens["refresh_token"]}))
}

/// A transaction that keeps the refresh token of some tokens from being used, until it is dropped.
fn held(app: &TestApp, tokens: &Json) -> MysqlConnection {
    let mut conn = MysqlConnection::establish(&app.base.url()).unwrap();
    let token = text(&tokens["refresh_token"]);
    let lock = format!("SELECT hash FROM refresh_tokens WHERE hash = UNHEX(SHA2('{token}', 256)) FOR UPDATE");
    conn.batch_execute(&format!("START TRANSACTION; {lock}")).unwrap();
    conn
}

/// Waits until a refresh is on its way: it has looked at the clock, and is about to use its token.
fn refresh_has_begun(app: &TestApp) {
    let refreshing = "SELECT COUNT(*) FROM information_schema.processlist \
                      WHERE db = DATABASE() AND info LIKE 'UPDATE%refresh_tokens%'";
    until("the refresh has begun", || number(&app.base.url(), refreshing).filter(|begun| *begun > 0));
}

/// Ends the session of Ana's tokens, whose id is given; the tokens are those of before and after a refresh.
fn end(app: &TestApp, how: &str, id: &str, (before, now): (&Json, &Json)) {
    let user = format!("/v1/users/{id}");
    let own = |method: &str, path: &str| app.send_as(&text(&now["access_token"]), method, path, &[], &Json::Null);
    match how {
        "signing out" => drop(own("POST", "/v1/auth/logout").with(204)),
        "ending one" => {
            let session = text(&part(&text(&now["access_token"]), 1)["sid"]);
            own("DELETE", &format!("/v1/sessions/{session}")).with(204);
        }
        "ending all" => drop(app.send("DELETE", &format!("{user}/sessions"), &[], &Json::Null).with(204)),
        "a password" => drop(app.post(&format!("{user}/password"), &json!({"password": PASSWORD})).with(204)),
        "disabling" => {
            app.patch(&user, "*", &json!({"status": "disabled"})).with(200);
            app.patch(&user, "*", &json!({"status": "active"})).with(200);
        }
        "a token that comes twice" => drop(refresh(app, before).with(401)),
        other => panic!("{other} ends nothing"),
    }
}

#[test]
fn a_session_that_ends_beside_a_refresh_stays_ended() {
    let app = bakery();
    let beside = TestApp::beside(&app, &bakery_source(), "2018-01-01");
    let id = app.user("ana", &["clerk"]);
    for how in ["signing out", "ending one", "ending all", "a password", "disabling", "a token that comes twice"] {
        let before = app.sign_in("ana");
        let now = refresh(&app, &before).with(200).json;
        let token = held(&app, &now);
        let late = thread::scope(|scope| {
            let late = scope.spawn(|| refresh(&beside, &now));
            refresh_has_begun(&app);
            end(&app, how, &id, (&before, &now));
            drop(token);
            late.join().unwrap()
        });
        assert_eq!(late.status, 401, "{how} is outlived by a refresh");
        assert_eq!(refresh(&app, &now).status, 401, "{how}");
        assert_eq!(status(&app, &text(&now["access_token"])), 401, "{how}");
        gone(&beside, &text(&now["access_token"]));
        assert_eq!(app.get(&format!("/v1/users/{id}/sessions")).with(200).json["items"], json!([]), "{how}");
    }
}

#[test]
fn a_session_that_has_ended_lives_for_no_clock() {
    let app = bakery();
    let tokens = app.sign_in("admin");
    let token = text(&tokens["access_token"]);
    app.send_as(&token, "POST", "/v1/auth/logout", &[], &Json::Null).with(204);
    // As a process sees it whose clock is an hour behind.
    app.base.execute("UPDATE sessions SET expires_at = expires_at + INTERVAL 1 HOUR WHERE ended");
    assert_eq!(status(&app, &token), 401);
    assert_eq!(refresh(&app, &tokens).status, 401);
    assert_eq!(app.get("/v1/sessions").with(200).json["items"].as_array().unwrap().len(), 1);
}

#[test]
fn whatever_refreshes_beside_signing_out_none_outlives_it() {
    let app = bakery();
    app.user("ana", &["clerk"]);
    for round in 0..30 {
        let first = app.sign_in("ana");
        let last = thread::scope(|scope| {
            let refreshing = scope.spawn(|| {
                let mut last = first.clone();
                for _ in 0..20 {
                    let next = refresh(&app, &last);
                    if next.status != 200 {
                        break;
                    }
                    last = next.json;
                }
                last
            });
            app.send_as(&text(&first["access_token"]), "POST", "/v1/auth/logout", &[], &Json::Null).with(204);
            refreshing.join().unwrap()
        });
        assert_eq!(status(&app, &text(&last["access_token"])), 401, "round {round}");
    }
}

#[test]
fn a_refresh_token_is_good_for_one_use() {
    let app = bakery();
    let first = app.sign_in("admin");
    let refresh = |token: &Json| app.post("/v1/auth/refresh", &json!({"refresh_token": token}));
    let second = refresh(&first["refresh_token"]).with(200);
    assert_eq!(second.header("Cache-Control"), "no-store");
    let second = second.json;
    assert_eq!(part(&text(&first["access_token"]), 1)["sid"], part(&text(&second["access_token"]), 1)["sid"]);
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(status(&app, &text(&second["access_token"])), 200);
    // The first comes again: somebody has stolen it, and the session ends for both.
    assert_eq!(refresh(&first["refresh_token"]).with(401).json["code"], "unauthenticated");
    refresh(&second["refresh_token"]).with(401);
    assert_eq!(status(&app, &text(&second["access_token"])), 401);
    assert_eq!(status(&app, &app.token), 200, "another session has ended too");
    refresh(&json!("made-up")).with(401);
    refresh(&json!("")).with(401);
}

#[test]
fn of_twenty_parallel_refreshes_one_succeeds() {
    let app = bakery();
    let body = json!({"refresh_token": app.sign_in("admin")["refresh_token"]});
    let statuses: Vec<u16> = thread::scope(|scope| {
        let threads: Vec<_> = (0..20).map(|_| scope.spawn(|| app.post("/v1/auth/refresh", &body).status)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 19, "{statuses:?}");
}

#[test]
fn a_session_lives_no_longer_than_ninety_days() {
    let app = bakery();
    let first = app.sign_in("admin");
    assert_eq!(first["refresh_expires_in"], 14 * 24 * 3600);
    let session = text(&part(&text(&first["access_token"]), 1)["sid"]);
    let began = |days: u32| {
        let id = session.replace('-', "");
        app.base.execute(&format!(
            "UPDATE sessions SET created_at = NOW(6) - INTERVAL {days} DAY WHERE id = UNHEX('{id}')"
        ));
    };
    let refresh = |token: &Json| app.post("/v1/auth/refresh", &json!({"refresh_token": token}));
    began(85);
    let second = refresh(&first["refresh_token"]).with(200).json;
    let seconds = second["refresh_expires_in"].as_i64().unwrap();
    assert!((5 * 24 * 3600 - 60..=5 * 24 * 3600).contains(&seconds), "{seconds}");
    began(91);
    refresh(&second["refresh_token"]).with(401);
}

#[test]
fn keys_follow_each_other_and_old_tokens_hold() {
    let app = bakery();
    let cipher = Cipher::new(&Secret::new(KEY_SECRET)).unwrap();
    let kids = || {
        let keys = app.send_raw("GET", "/.well-known/jwks.json", &[], String::new()).with(200).json;
        keys["keys"].as_array().unwrap().iter().map(|key| text(&key["kid"])).collect::<Vec<_>>()
    };
    let turn = |rotation: Rotation| app.state.db.run_here(|conn| rotate(conn, &cipher, rotation)).unwrap();
    let kid_of = |tokens: &Json| text(&part(&text(&tokens["access_token"]), 0)["kid"]);
    let first = kids();
    turn(Rotation::IfDue);
    turn(Rotation::Overlapping);
    let published = until("the next key is published", || Some(kids()).filter(|kids| kids.len() == 2));
    assert_eq!(published[0], first[0]);
    assert_eq!(kid_of(&app.sign_in("admin")), first[0], "it signs before it has been published for an hour");
    // An hour and a little later.
    app.base.execute("UPDATE signing_keys SET signs_from = signs_from - INTERVAL 3601 SECOND");
    app.base.execute("UPDATE access_state SET version = version + 1");
    let signed = until("the next key signs", || Some(kid_of(&app.sign_in("admin"))).filter(|kid| *kid == published[1]));
    assert_eq!(status(&app, &app.token), 200, "the token of the key before");
    turn(Rotation::Revoking);
    gone(&app, &app.token);
    assert_eq!(kids().len(), 1);
    assert_ne!(kid_of(&app.sign_in("admin")), signed);
    // A month later the next one is made by whoever signs in.
    app.base.execute("UPDATE signing_keys SET signs_from = signs_from - INTERVAL 30 DAY");
    app.base.execute("UPDATE access_state SET version = version + 1");
    until("the next key is made", || {
        app.sign_in("admin");
        (kids().len() == 2).then_some(())
    });
}

#[test]
fn keys_of_another_secret_are_not_opened() {
    let app = bakery();
    let other = Cipher::new(&Secret::new("another secret that is long enough")).unwrap();
    let error = app.state.db.run_here(|conn| Ring::load(conn, &other)).err().unwrap().to_string();
    assert!(error.contains("BAREMO_KEY_SECRET"), "{error}");
}
