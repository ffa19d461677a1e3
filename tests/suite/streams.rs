//! Following runs and imports by server-sent events.

use std::io::Read;

use serde_json::{Value as Json, json};

use crate::app::{STREAMS, TestApp, with_fields};
use crate::base::Answer;
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
    let stream = Answer::read(app.follow(&format!("{path}/events"))).with(200);
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

#[test]
fn an_import_is_followed_and_all_streams_end_with_the_service() {
    let app = shops();
    let id = upload(&app, &[("kind", "customers")], b"code,name\nA,Ana\n");
    let path = format!("/v1/imports/{id}/events");
    let ended = Answer::read(app.follow(&path)).with(200);
    assert_eq!(events(&ended.text).last().unwrap().1["counts"]["created"], 1);

    app.state.workers.stop();
    let waiting = upload(&app, &[("kind", "customers")], b"code,name\nA,Ana\n");
    let path = format!("/v1/imports/{waiting}/events");
    let mut open: Vec<_> = (0..STREAMS).map(|_| app.follow(&path).into_body().into_reader()).collect();
    for stream in &mut open {
        let mut begun = [0; 13];
        stream.read_exact(&mut begun).unwrap();
        assert_eq!(&begun, b"event: import");
    }
    assert_eq!(app.get(&path).with(503).header("Retry-After"), "2");
    app.state.streams.close();
    for mut stream in open {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest.matches("\"waiting\"").count(), 1, "nothing has changed: {rest}");
    }
}
