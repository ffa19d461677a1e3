//! The outbox: whoever follows events misses none and reads none twice, and they tell everything that is in force.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use baremo::policy::source::Source;
use serde_json::{Value as Json, json};

use crate::app::{TestApp, files};
use crate::cadence::{club, order};
use crate::process::until;

/// Standing and provisional outcome by customer and policy.
type Grades = BTreeMap<(String, String), (String, String)>;

fn text(json: &Json) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

/// Reads a page of events after a cursor.
#[track_caller]
fn page(app: &TestApp, after: &str, limit: u32) -> (Vec<Json>, String) {
    let after = if after.is_empty() { String::new() } else { format!("&after={after}") };
    let mut page = app.get(&format!("/v1/events?limit={limit}{after}")).with(200).json;
    let cursor = text(&page["next_cursor"]);
    let Json::Array(items) = page["items"].take() else { panic!("{page}") };
    (items, cursor)
}

/// Everything after a cursor, until there is nothing new.
#[track_caller]
fn all_after(app: &TestApp, cursor: &mut String, limit: u32) -> Vec<Json> {
    let mut all = Vec::new();
    loop {
        let (items, next) = page(app, cursor, limit);
        *cursor = next;
        if items.is_empty() {
            return all;
        }
        all.extend(items);
    }
}

/// What is in force by what the events said, each change beginning where the one before ended.
#[track_caller]
fn told(events: &[Json]) -> Grades {
    let mut grades = Grades::new();
    for event in events.iter().filter(|event| event["type"] == "outcomes_changed") {
        for change in event["changes"].as_array().unwrap() {
            let key = (text(&event["customer_code"]), text(&change["policy"]));
            let (standing, provisional) = grades.get(&key).cloned().unwrap_or_default();
            let is_provisional = change["provisional"].as_bool().unwrap();
            assert_eq!(text(&change["from"]), if is_provisional { provisional } else { standing.clone() }, "{event}");
            let to = text(&change["to"]);
            grades.insert(key, (if is_provisional { standing } else { to.clone() }, to));
        }
    }
    grades
}

/// What is in force as the decisions say.
#[track_caller]
fn shown(app: &TestApp, customers: &BTreeMap<String, String>) -> Grades {
    let mut grades = Grades::new();
    for (code, id) in customers {
        for (policy, now) in app.in_force(id) {
            grades.insert((code.clone(), policy), (now.outcome, now.provisional));
        }
    }
    grades
}

#[test]
fn who_follows_while_much_happens_knows_what_is_in_force() {
    let app = Arc::new(TestApp::new(&club(0, "{ days = 90 }"), "2018-01-10"));
    let customers: BTreeMap<String, String> =
        (0..24).map(|number| format!("X{number}")).map(|code| (code.clone(), app.customer(&code, json!({})))).collect();
    let done = Arc::new(AtomicBool::new(false));
    let follower = {
        let (app, done) = (app.clone(), done.clone());
        thread::spawn(move || {
            let (mut cursor, mut seen) = (String::new(), Vec::new());
            while !done.load(Ordering::Acquire) {
                let (items, next) = page(&app, &cursor, 7);
                cursor = next;
                seen.extend(items);
            }
            seen.extend(all_after(&app, &mut cursor, 7));
            seen
        })
    };
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let app = app.clone();
            thread::spawn(move || {
                for round in 0..20_u32 {
                    let item = |number: u32| {
                        let quantity = (round * 7 + number * 5 + writer * 3) % 50;
                        order(&format!("{writer}-{number}"), &format!("X{}", number % 24), "2018-01-09", quantity)
                    };
                    assert_eq!(app.record(&(0..30).map(item).collect::<Vec<_>>()).len(), 30);
                }
            })
        })
        .collect();
    for date in ["2018-01-20", "2018-02-02", "2018-03-30", "2018-04-01"] {
        app.change_basis(&json!({"business_date": date}));
        until("the date is reached", || (app.get("/v1/basis").json["business_date"] == date).then_some(()));
    }
    for writer in writers {
        writer.join().unwrap();
    }
    app.settled();
    // The grades of March stand: these orders move provisional ones alone.
    let last = |number: u32| {
        let quantity = if number < 12 { 0 } else { 100 };
        let orders = (0..3).flat_map(move |writer| [number, number + 24].map(|item| (writer, item)));
        orders.filter(|(_, item)| *item < 30).map(move |(writer, item)| {
            order(&format!("{writer}-{item}"), &format!("X{number}"), "2018-01-09", quantity)
        })
    };
    app.record(&(0..24).flat_map(last).collect::<Vec<_>>());
    app.settled();
    done.store(true, Ordering::Release);
    let followed = follower.join().unwrap();

    let from_the_beginning = all_after(&app, &mut String::new(), 500);
    let ids = |events: &[Json]| events.iter().map(|event| text(&event["id"])).collect::<Vec<_>>();
    let unique: BTreeSet<String> = ids(&followed).into_iter().collect();
    assert_eq!(unique.len(), followed.len(), "an event was read twice");
    assert_eq!(unique, ids(&from_the_beginning).into_iter().collect(), "an event was missed");
    assert!(followed.len() > 24, "{} events", followed.len());
    let in_force = shown(&app, &customers);
    assert_eq!(in_force.len(), 24 * 5);
    assert!(in_force.values().any(|(standing, provisional)| standing != provisional));
    assert_eq!(told(&followed), in_force);
    assert_eq!(told(&from_the_beginning), in_force);
}

#[test]
fn kinds_of_events_tell_what_came_into_force() {
    let app = TestApp::new(&club(0, "{ days = 90 }"), "2018-01-31");
    let basis = app.get("/v1/basis").json;
    let mut cursor = String::new();
    let first = all_after(&app, &mut cursor, 50);
    let kinds = |events: &[Json]| events.iter().map(|event| text(&event["type"])).collect::<Vec<_>>();
    assert_eq!(kinds(&first), ["release_activated"]);
    assert_eq!((&first[0]["release"], &first[0]["basis"]), (&basis["release"], &basis["number"]));
    assert_eq!(page(&app, &cursor, 50), (Vec::new(), cursor.clone()), "nothing new, and the same place");

    let id = app.customer("X1", json!({}));
    app.settled();
    let joined = all_after(&app, &mut cursor, 50);
    assert_eq!(kinds(&joined), ["outcomes_changed"]);
    assert_eq!((&joined[0]["customer_id"], &joined[0]["customer_code"]), (&json!(id), &json!("X1")));
    assert_eq!(joined[0]["assessment_id"], app.decisions(&id)["grade"]["assessment"]["id"]);
    let change = |event: &Json, policy: &str| {
        event["changes"].as_array().unwrap().iter().find(|change| change["policy"] == policy).cloned()
    };
    assert_eq!(joined[0]["changes"].as_array().unwrap().len(), 5);
    assert_eq!(change(&joined[0], "grade"), Some(json!({"policy": "grade", "to": "C", "provisional": false})));

    app.move_to("2018-02-01");
    let closed = all_after(&app, &mut cursor, 50);
    assert_eq!(kinds(&closed), ["closing_started", "closing_finished"], "who keeps his outcomes has no event");
    assert_eq!(closed[0]["policies"], json!({"grade": "2018-01-31"}));
    assert_eq!(closed[0]["basis"], app.get("/v1/closings").json["items"][0]["basis"]);

    app.record(&[order("A1", "X1", "2018-01-31", 15)]);
    app.settled();
    let moved = all_after(&app, &mut cursor, 50);
    assert_eq!(kinds(&moved), ["outcomes_changed"]);
    assert_eq!(
        change(&moved[0], "today"),
        Some(json!({"policy": "today", "from": "small", "to": "big", "provisional": false}))
    );
    assert_eq!(
        change(&moved[0], "grade"),
        Some(json!({"policy": "grade", "from": "C", "to": "B", "provisional": true}))
    );

    app.move_to("2018-03-01");
    let closed = all_after(&app, &mut cursor, 50);
    let outcomes: Vec<&Json> = closed.iter().filter(|event| event["type"] == "outcomes_changed").collect();
    let closes = json!({"policy": "grade", "from": "C", "to": "B", "provisional": false, "closed_on": "2018-02-28"});
    assert_eq!((outcomes.len(), change(outcomes[0], "grade")), (1, Some(closes)));
}

/// A club whose grade fails for whoever bought 13 pieces.
fn superstitious() -> Source {
    let grade = "//! Grade.\nconst GRADES = bands([[20, \"A\"], [10, \"B\"]], \"C\");\n\
                 fn decide(customer, context) { if customer.recent == 13 { throw \"thirteen\" } GRADES.of(customer.recent) }";
    let source = club(0, "{ days = 90 }");
    let mut all: Vec<(&str, &str)> = source.files().filter(|(path, _)| *path != "policies/grade.rhai").collect();
    all.push(("policies/grade.rhai", grade));
    files(&all)
}

#[test]
fn events_tell_also_when_a_provisional_outcome_is_lost() {
    let app = TestApp::new(&superstitious(), "2018-01-10");
    let customers = BTreeMap::from([("X1".to_owned(), app.customer("X1", json!({})))]);
    app.settled();
    app.close_now();
    for quantity in [25, 13, 5, 12, 13, 12] {
        app.record(&[order("A1", "X1", "2018-01-09", quantity)]);
        app.settled();
        let events = all_after(&app, &mut String::new(), 500);
        assert_eq!(told(&events), shown(&app, &customers), "after {quantity} pieces");
    }
}

#[test]
fn events_of_a_customer_keep_their_order_whatever_clocks_say() {
    let app = TestApp::new(&club(0, "{ days = 90 }"), "2018-01-10");
    let customers = BTreeMap::from([("X1".to_owned(), app.customer("X1", json!({})))]);
    app.settled();
    for quantity in [25, 5] {
        app.record(&[order("A1", "X1", "2018-01-09", quantity)]);
        app.settled();
    }
    // The last one was written by a process whose clock is two days late.
    app.base.execute(
        "UPDATE events SET id = UNHEX(CONCAT('0100', SUBSTR(HEX(id), 5))), occurred_at = occurred_at - INTERVAL 2 DAY \
         WHERE customer_id IS NOT NULL ORDER BY seq DESC LIMIT 1",
    );
    let events = all_after(&app, &mut String::new(), 500);
    assert_eq!(events.iter().filter(|event| event["type"] == "outcomes_changed").count(), 3);
    assert_eq!(told(&events), shown(&app, &customers));
}

#[test]
fn the_oldest_event_comes_first_whichever_customers_it_concerns() {
    let app = TestApp::new(&club(0, "{ days = 90 }"), "2018-01-31");
    let mut told = vec!["release_activated".to_owned()];
    for number in 0..12 {
        let code = format!("X{number}");
        app.customer(&code, json!({}));
        app.settled();
        told.push(code);
    }
    let mut cursor = String::new();
    let events = all_after(&app, &mut cursor, 5);
    let whom = |event: &Json| event["customer_code"].as_str().map_or_else(|| text(&event["type"]), str::to_owned);
    assert_eq!(events.iter().map(whom).collect::<Vec<_>>(), told);
}

#[test]
fn a_cursor_that_no_page_gave_and_a_limit_out_of_range_are_refused() {
    let app = TestApp::new(&club(0, "{ days = 90 }"), "2018-01-10");
    for (query, pointer, code) in [
        ("after=nonsense", "after", "cursor"),
        ("after=W10", "after", "cursor"),
        ("after=", "after", "cursor"),
        ("limit=0", "limit", "out_of_range"),
        ("limit=501", "limit", "out_of_range"),
        ("limit=ten", "limit", "out_of_range"),
        ("since=1", "since", "unknown_parameter"),
    ] {
        let answer = app.get(&format!("/v1/events?{query}")).with(422);
        assert_eq!(answer.faults(), [(pointer, code)], "{query}");
    }
    let all = app.get("/v1/events?after=nonsense&limit=0&since=1").with(422);
    assert_eq!(all.faults(), [("after", "cursor"), ("limit", "out_of_range"), ("since", "unknown_parameter")]);
    app.send_raw("GET", "/v1/events", &[], String::new()).with(401);
}
