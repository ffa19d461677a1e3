//! How soon an order changes a grade: from the answer that accepts an order of the last full month to the event of the new provisional
//! grade, as somebody sees it who follows the events over HTTP.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark that can't go on has failed, and prints its figures"
)]

#[path = "../tests/suite/app.rs"]
#[expect(dead_code, reason = "the tests' service has more than is measured")]
mod app;
#[path = "../tests/suite/base.rs"]
#[expect(dead_code, reason = "the tests' base has more than is measured")]
mod base;
#[expect(dead_code, reason = "other benchmarks need more of it")]
mod load;
#[expect(dead_code, reason = "other benchmarks need more of it")]
mod report;
#[expect(dead_code, reason = "other benchmarks need more of it")]
mod shops;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use app::TestApp;
use load::{Client, Sent, count, open, percentile, request};
use report::Report;
use serde_json::{Value as Json, json};

const SHOPS: usize = 4_000;
const CLIENTS: usize = 16;
/// Requests a second, how many orders each brings, and for how many seconds.
const LOADS: [(usize, usize, usize); 3] = [(100, 1, 20), (100, 10, 20), (1_000, 1, 6)];
/// Cases by which each order of a shop takes it to the next grade, from 8 to 1, over three months.
const STEPS: [usize; 7] = [3, 6, 6, 9, 6, 15, 15];
/// How often the events are asked for.
const PAUSE: Duration = Duration::from_millis(10);

fn main() {
    let app = shops::service(SHOPS);
    // Older than the months that the grades read.
    let (_folder, file) = shops::line_file(&shops::lines(SHOPS, 9));
    shops::take_in(&app, &file);
    shops::close(&app);
    let about = format!(
        "{SHOPS} shops; orders from {CLIENTS} clients in an open loop, each changing its shop's grade; events asked for \
         every {} ms",
        PAUSE.as_millis()
    );
    let mut report = Report::new("fresh", about);
    let mut follower = Follower::new(&app);
    let mut first = 0;
    for (rate, size, seconds) in LOADS {
        let requests = rate * seconds;
        let (sent, seen) = follow(&app, &mut follower, first, (requests, size), rate);
        let (mut answered, mut accepted, mut intended) = (Vec::new(), Vec::new(), Vec::new());
        for one in &sent {
            answered.push(one.answered - one.intended);
            for number in 0..size {
                let visible = seen[&shop_and_grade(first + one.number * size + number)];
                accepted.push(visible.saturating_duration_since(one.answered));
                intended.push(visible - one.intended);
            }
        }
        for (name, times) in [
            ("accepted → grade", &mut accepted),
            ("to be sent → grade", &mut intended),
            ("to be sent → accepted", &mut answered),
        ] {
            for percent in [50, 99] {
                let measure = format!("{} orders/s, {size} a request: {name}, p{percent}", rate * size);
                report.figure(measure, percentile(times, percent), "ms");
            }
        }
        first += requests * size;
    }
    report.print();
}

/// The shop of an order, and the grade that it gets.
fn shop_and_grade(number: usize) -> (String, usize) {
    (shops::code(number % SHOPS), STEPS.len() - number / SHOPS)
}

/// Sends requests of some orders each at a rate and follows the events until each grade is seen; gives the requests, and when each
/// shop's grade was seen.
fn follow(
    app: &TestApp,
    follower: &mut Follower,
    first: usize,
    (requests, size): (usize, usize),
    rate: usize,
) -> (Vec<Sent>, BTreeMap<(String, usize), Instant>) {
    let (is_over, orders) = (AtomicBool::new(false), requests * size);
    thread::scope(|scope| {
        let following = scope.spawn(|| {
            let mut seen = BTreeMap::new();
            let mut until = None;
            while seen.len() < orders {
                if is_over.load(Ordering::Acquire) {
                    let until = *until.get_or_insert_with(|| Instant::now() + Duration::from_secs(90));
                    assert!(Instant::now() < until, "{} of {orders} grades were seen", seen.len());
                }
                if !follower.look(&mut seen) {
                    thread::sleep(PAUSE);
                }
            }
            seen
        });
        let make = |number: usize| {
            let items: Vec<Json> = (0..size).map(|place| order(first + number * size + place)).collect();
            request("POST", "/v1/transactions/batches", &app.token, &json!({"items": items}).to_string())
        };
        let sent = open(&app.address, (CLIENTS, count(rate), requests), 207, make);
        is_over.store(true, Ordering::Release);
        (sent, following.join().unwrap())
    })
}

/// An order that takes its shop to the next grade.
fn order(number: usize) -> Json {
    let measures = json!({"quantity": STEPS[number / SHOPS].to_string(), "amount": "100.00"});
    json!({"source": "shop", "external_id": format!("N{number}"), "kind": "order",
        "customer_code": shops::code(number % SHOPS), "occurred_at": "2017-12-20",
        "lines": [{"product": format!("P{:03}", number % 100), "measures": measures}]})
}

/// Who follows the events.
struct Follower {
    client: Client,
    token: String,
    after: String,
}

impl Follower {
    /// One who has seen everything so far.
    fn new(app: &TestApp) -> Self {
        let mut follower = Self { client: Client::new(&app.address), token: app.token.clone(), after: String::new() };
        while follower.look(&mut BTreeMap::new()) {}
        follower
    }

    /// Notes the grades of a page of events. Whether there may be more.
    fn look(&mut self, seen: &mut BTreeMap<(String, usize), Instant>) -> bool {
        let after = if self.after.is_empty() { String::new() } else { format!("&after={}", self.after) };
        let (status, body) =
            self.client.send(&request("GET", &format!("/v1/events?limit=500{after}"), &self.token, ""));
        assert_eq!(status, 200);
        let page: Json = serde_json::from_slice(body).unwrap();
        self.after = page["next_cursor"].as_str().unwrap().to_owned();
        let (now, items) = (Instant::now(), page["items"].as_array().unwrap());
        for item in items {
            let changes = item["changes"].as_array().into_iter().flatten();
            for change in changes.filter(|change| change["policy"] == "volume_grade" && change["provisional"] == true) {
                let (from, to) = (&change["from"], &change["to"]);
                let grade = |json: &Json| json.as_str().unwrap().parse::<usize>().unwrap();
                // Several orders of one shop may have been assessed together: each grade between is reached as well.
                for reached in grade(to)..grade(from) {
                    seen.insert((item["customer_code"].as_str().unwrap().to_owned(), reached), now);
                }
            }
        }
        items.len() == 500
    }
}
