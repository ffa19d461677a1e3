//! Following runs and imports by server-sent events.

use std::io::Read;
use std::time::Duration;

use serde_json::{Value as Json, json};
use ureq::BodyReader;

use crate::app::{PASSWORD, STREAMS, TestApp, with_fields};
use crate::base::{Answer, Base};
use crate::process::{Place, until};
use crate::transactions::BAKERY;
use crate::uploads::upload;

/// The events of a stream that has ended: their names and what they tell.
fn events(text: &str) -> Vec<(&str, Json)> {
    let event = |event| {
        let (name, data) = str::split_once(event, '\n').unwrap();
        let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        (name.strip_prefix("event: ").unwrap(), data)
    };
    text.split_terminator("\n\n").filter(|event| *event != ":").map(event).collect()
}

fn shops() -> TestApp {
    TestApp::new(&with_fields("area = { section = 'network', type = 'decimal' }"), "2018-01-01")
}

#[test]
fn a_run_is_followed_to_its_end() {
    let app = shops();
    (0..300).for_each(|number| drop(app.customer(&format!("C{number}"), json!({}))));
    let run = app.post("/v1/runs", &json!({"renew_cohort": true})).with(202).json;
    let path = format!("/v1/runs/{}", run["id"].as_str().unwrap());
    let stream = Answer::read(app.follow(&app.token, &format!("{path}/events"))).with(200);
    assert_eq!(stream.header("Content-Type"), "text/event-stream");
    assert_eq!(stream.header("Cache-Control"), "no-store");
    let events = events(&stream.text);
    assert!(events.iter().all(|(name, _)| *name == "run"));
    assert!(events.windows(2).all(|pair| pair[0].1 != pair[1].1), "an event tells what has changed");
    let (_, last) = events.last().unwrap();
    assert_eq!((&last["status"], &last["assessed"]), (&json!("finished"), &json!(300)));
    assert_eq!(last, &app.get(&path).with(200).json);
    app.get("/v1/runs/018f0000-0000-7000-8000-000000000000/events").with(404);
}

/// A service in which an import waits, with the path of its events.
fn waiting() -> (TestApp, String) {
    let app = shops();
    app.state.workers.stop();
    let id = upload(&app, &[("kind", "customers")], b"code,name\nA,Ana\n");
    (app, format!("/v1/imports/{id}/events"))
}

/// A stream that has begun.
fn open(app: &TestApp, token: &str, path: &str) -> BodyReader<'static> {
    let mut stream = app.follow(token, path).into_body().into_reader();
    let mut begun = [0; 13];
    stream.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"event: import");
    stream
}

/// Reads to the end of a stream of an import that waits.
fn end(mut stream: BodyReader) {
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.matches("\"waiting\"").count(), 1, "nothing has changed: {rest}");
}

#[test]
fn an_import_is_followed_and_all_streams_end_with_the_service() {
    let app = shops();
    let id = upload(&app, &[("kind", "customers")], b"code,name\nA,Ana\n");
    let ended = Answer::read(app.follow(&app.token, &format!("/v1/imports/{id}/events"))).with(200);
    assert_eq!(events(&ended.text).last().unwrap().1["counts"]["created"], 1);

    let (app, path) = waiting();
    let streams = [(); 2].map(|()| open(&app, &app.token, &path));
    app.state.streams.close();
    app.get(&path).with(503);
    streams.into_iter().for_each(end);
}

#[test]
fn a_stream_ends_with_the_access_of_its_user() {
    let (app, path) = waiting();
    let follow = |username: &str| {
        let id = app.user(username, &["manager"]);
        let token = app.sign_in(username)["access_token"].as_str().unwrap().to_owned();
        let stream = open(&app, &token, &path);
        (id, token, stream)
    };
    let (_, token, signs_out) = follow("ana");
    app.send_as(&token, "POST", "/v1/auth/logout", &[], &Json::Null).with(204);
    end(signs_out);
    for (username, change) in [("berta", json!({"status": "disabled"})), ("carla", json!({"roles": []}))] {
        let (id, _, stream) = follow(username);
        app.patch(&format!("/v1/users/{id}"), "\"1\"", &change).with(200);
        end(stream);
    }
}

#[test]
fn no_user_may_hold_all_streams() {
    let (app, path) = waiting();
    let other = app.as_role("manager");
    let own: Vec<_> = (0..8).map(|_| open(&app, &app.token, &path)).collect();
    let refused = app.get(&path).with(429);
    assert_eq!((&refused.json["code"], refused.header("Retry-After")), (&json!("rate_limited"), "2"));
    assert!(refused.json["detail"].as_str().unwrap().contains("8 streams"), "{}", refused.text);
    let others: Vec<_> = (8..STREAMS).map(|_| open(&app, &other, &path)).collect();
    let full = app.send_as(&other, "GET", &path, &[], &Json::Null).with(503);
    assert_eq!((&full.json["code"], full.header("Retry-After")), (&json!("unavailable"), "2"));
    drop((own, others));
    until("the places of those who have left are free", || {
        let again = app.follow(&app.token, &path);
        (again.status() == 200).then_some(())
    });
}

#[test]
fn a_service_that_is_told_to_stop_ends_its_streams() {
    let (place, base) = (Place::new(), Base::new());
    let (pack, url) = (place.pack("bakery", &BAKERY), base.url());
    let own = [("BAREMO_DATABASE_URL", url.as_str()), ("BAREMO_ADMIN_PASSWORD", PASSWORD)];
    let mut service = place.serve(&pack, &own).ready();
    service.sign_in(PASSWORD);
    let sent = service.client().upload(&[("kind", "customers")], b"code,name\nA,Ana\n").with(202);
    let path = format!("/v1/imports/{}", sent.json["id"].as_str().unwrap());
    until("the import has ended", || service.get(&path).with(200).json.get("finished_at").is_some().then_some(()));
    base.execute("UPDATE imports SET status = 'running', lease_until = UTC_TIMESTAMP(6) + INTERVAL 1 DAY");
    let (address, token) = service.access();
    let request = ureq::get(format!("{address}{path}/events")).header("Authorization", format!("Bearer {token}"));
    let mut stream = request.call().unwrap().into_body().into_reader();
    stream.read_exact(&mut [0; 13]).unwrap();

    let (code, took) = service.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(15), "it has waited for the stream: {took:?}");
    stream.read_to_string(&mut String::new()).unwrap();
}
