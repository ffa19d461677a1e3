//! Old history goes by the month, and what is in force stays.

use std::thread;
use std::time::{Duration, Instant};

use baremo::assessments::retention;
use jiff::civil::date;
use serde_json::{Value as Json, json};

use crate::app::TestApp;
use crate::transactions::bakery;

fn kept(app: &TestApp, customer: &str) -> Vec<String> {
    let page = app.get(&format!("/v1/customers/{customer}/assessments")).with(200).json;
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// A bakery in January 2018 with a customer who has grown from small to big, one who has always been small, and one who is
/// inactive.
fn in_january() -> (TestApp, [String; 3]) {
    let app = bakery();
    let customers = ["X1", "X2", "X3"].map(|code| app.customer(code, json!({})));
    app.run();
    let line = json!({"product": "white", "measures": {"quantity": "30", "amount": "10"}});
    app.record(&[json!({"source": "shop", "external_id": "A1", "kind": "order", "customer_code": "X1",
        "occurred_at": "2017-12-31", "lines": [line]})]);
    app.run();
    let path = format!("/v1/customers/{}/deactivation", customers[2]);
    app.send("POST", &path, &[("If-Match", "\"1\"")], &json!({})).with(200);
    assert_eq!(kept(&app, &customers[0]).len(), 2);
    assert_eq!((app.outcomes(&customers[0])["size"].as_str(), kept(&app, &customers[1]).len()), ("big", 1));
    (app, customers)
}

/// Looks until something is so: a bounded number of times, each as the server answers.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
    }
}

/// Moves the date on and looks at what remains of January 2018.
fn months_later(business_date: &str) {
    let (app, customers) = in_january();
    let old = [0, 1, 2].map(|place| kept(&app, &customers[place]).pop().unwrap());
    app.base.execute("UPDATE events SET occurred_at = occurred_at - INTERVAL 37 MONTH");
    let basis = app.get("/v1/basis").with(200);
    app.patch("/v1/basis", basis.header("ETag"), &json!({"business_date": business_date})).with(200);
    let is_gone = |id: &str| app.get(&format!("/v1/assessments/{id}")).status == 404;
    // The second assessment stays where it was still in force at that moment.
    until("nothing goes", || is_gone(&old[0]));
    until("everybody is assessed anew", || {
        kept(&app, &customers[1]).len() == 2 && app.outcomes(&customers[0])["size"] == "small"
    });
    assert_eq!(kept(&app, &customers[2]), [old[2].clone()]);
    assert_eq!(kept(&app, &customers[1])[1], old[1], "it gave the outcome that stands since then");
    for customer in &customers {
        let decisions = app.get(&format!("/v1/customers/{customer}/decisions")).with(200).json;
        assert_eq!(decisions["items"][0]["outcome"], "small", "{decisions}");
    }
    let events = || app.get("/v1/events?limit=500").with(200).json["items"].as_array().unwrap().clone();
    let fell = |event: &Json| event["customer_id"] == customers[0] && event["changes"][0]["to"] == "small";
    until("old events go and new ones stay", || {
        let events = events();
        events.iter().any(fell) && events.iter().all(|event| event["occurred_at"].as_str().unwrap() > "2025")
    });
}

#[test]
fn forty_months_later_only_what_is_in_force_remains_of_a_month() {
    months_later("2021-05-01");
}

#[test]
fn a_month_that_shares_its_partition_with_the_running_one_goes_alone() {
    months_later("2023-05-01");
}

#[test]
fn dropping_may_be_cut_off_anywhere_and_done_by_several_at_once() {
    let (app, customers) = in_january();
    app.state.workers.stop();
    let later = date(2021, 5, 1);
    let work = |steps: u32| {
        let left = std::cell::Cell::new(steps);
        let stop = || {
            left.set(left.get().saturating_sub(1));
            left.get() == 0
        };
        retention::work(&app.state.db, later, 36, &stop).unwrap()
    };
    for steps in [1, 2, 30, 64] {
        assert!(!work(steps));
        assert_eq!(kept(&app, &customers[0]).len(), 2, "nothing goes before all is carried forward");
    }
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| retention::work(&app.state.db, later, 36, &|| false).unwrap());
        }
    });
    assert_eq!([0, 1, 2].map(|place| kept(&app, &customers[place]).len()), [1, 1, 1]);
    assert_eq!(app.outcomes(&customers[0])["size"], "big");
    assert_eq!(app.outcomes(&customers[2])["size"], "small");
}

#[test]
fn what_lies_within_the_months_that_are_kept_stays() {
    let (app, customers) = in_january();
    app.state.workers.stop();
    assert!(retention::work(&app.state.db, date(2021, 1, 31), 36, &|| false).unwrap());
    assert_eq!(kept(&app, &customers[0]).len(), 2, "January 2018 is the 36th month before January 2021");
    assert!(retention::work(&app.state.db, date(2021, 2, 1), 36, &|| false).unwrap());
    assert_eq!(kept(&app, &customers[0]).len(), 1);
}
