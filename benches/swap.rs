//! How soon every node serves a release that comes into force, while each answers evaluations at a fixed rate: from the answer to whoever
//! published to the last answer by the old release. No request may fail.

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

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use app::{TestApp, pack};
use load::{count, percentile, request, watched};
use report::Report;
use serde_json::{Value as Json, json};

const SHOPS: usize = 2_000;
/// Evaluations a second that each node answers.
const RATE: f64 = 500.0;
const CLIENTS: usize = 16;
const SWAPS: usize = 8;
/// Between two of them.
const PAUSE: Duration = Duration::from_secs(3);
const POLICY: &str = "policies/volume_grade.rhai";

/// An answer: when it was there, and whether the second release made it.
type Answer = (Instant, bool);

fn main() {
    let first = shops::service(SHOPS);
    let (_folder, file) = shops::line_file(&shops::lines(SHOPS, 12));
    shops::take_in(&first, &file);
    shops::close(&first);
    let date = first.get("/v1/basis").with(200).json["business_date"].as_str().unwrap().to_owned();
    let second = TestApp::beside(&first, &pack("tobacco"), &date);
    let digests = [first.get("/v1/basis").json["release"].as_str().unwrap().to_owned(), other_release(&first)];
    let ids: Vec<String> = {
        let page = first.get("/v1/customers?limit=500").with(200).json;
        page["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    let requests: Vec<Vec<u8>> = ids
        .iter()
        .map(|id| request("POST", "/v1/evaluations", &first.token, &json!({"customer_id": id}).to_string()))
        .collect();
    let mut steady: Vec<Duration> = {
        let number: usize = (RATE * PAUSE.as_secs_f64()).round().to_string().parse().unwrap();
        let load = |app: &TestApp| {
            let (address, requests) = (app.address.clone(), &requests);
            move || watched(&address, (CLIENTS, RATE, number), 200, |number| &requests[number % requests.len()], |_| {})
        };
        let sent = thread::scope(|scope| {
            [load(&first), load(&second)].map(|load| scope.spawn(load)).map(|load| load.join().unwrap())
        });
        sent.into_iter().flatten().map(|sent| sent.answered - sent.intended).collect()
    };
    let seconds = PAUSE.as_secs_f64() * count(SWAPS + 1);
    let number: usize = (RATE * seconds).round().to_string().parse().unwrap();
    let answers: [Mutex<Vec<Answer>>; 2] = Default::default();
    let (mut times, swaps) = thread::scope(|scope| {
        let addresses = [first.address.clone(), second.address.clone()];
        let loads: Vec<_> = addresses
            .into_iter()
            .zip(&answers)
            .map(|(address, answers)| {
                let (requests, second) = (&requests, digests[1].as_bytes());
                let look = move |body: &[u8]| {
                    let is_second = body.windows(second.len()).any(|part| part == second);
                    answers.lock().unwrap().push((Instant::now(), is_second));
                };
                scope.spawn(move || {
                    watched(&address, (CLIENTS, RATE, number), 200, |number| &requests[number % requests.len()], look)
                })
            })
            .collect();
        let swaps: Vec<(Instant, bool)> = (0..SWAPS)
            .map(|number| {
                thread::sleep(PAUSE);
                let to_second = number % 2 == 0;
                publish(&first, &digests[usize::from(to_second)]);
                (Instant::now(), to_second)
            })
            .collect();
        let sent = loads.into_iter().flat_map(|load| load.join().unwrap());
        (sent.map(|sent| sent.answered - sent.intended).collect::<Vec<Duration>>(), swaps)
    });
    let about = format!(
        "{SHOPS} shops, two nodes of one base, each answering {RATE} evaluations a second from {CLIENTS} connections; {SWAPS} releases, \
         one every {} s, each followed by a run over all; {} requests, none of which failed",
        PAUSE.as_secs(),
        times.len()
    );
    let mut report = Report::new("swap", about);
    for (node, answers) in answers.iter().enumerate() {
        let answers = answers.lock().unwrap();
        let mut lasted: Vec<Duration> = swaps.iter().map(|swap| until_last(&answers, *swap, &swaps)).collect();
        let longest = percentile(&mut lasted, 100);
        report.figure(format!("node {}: last answer by the old release, longest", node + 1), longest, "ms");
        report.figure(format!("node {}: the same, median", node + 1), percentile(&mut lasted, 50), "ms");
    }
    for percent in [50, 99] {
        let measure = format!("evaluation at {RATE} a second on each node, p{percent}");
        let (value, reference) = (percentile(&mut times, percent), percentile(&mut steady, percent));
        report.against(measure, value, "ms", "the same without a release", reference);
    }
    report.print();
}

/// How long after a swap the last answer by the release before it came, before the next swap.
fn until_last(answers: &[Answer], (at, to_second): (Instant, bool), swaps: &[(Instant, bool)]) -> Duration {
    let next = swaps.iter().map(|(next, _)| *next).find(|next| *next > at);
    let old = answers
        .iter()
        .filter(|(when, is_second)| *when > at && next.is_none_or(|next| *when < next) && *is_second != to_second);
    old.map(|(when, _)| *when - at).max().unwrap_or_default()
}

/// A release with another threshold, checked.
fn other_release(app: &TestApp) -> String {
    let release = app.get("/v1/basis").json["release"].as_str().unwrap().to_owned();
    let kept = app.get(&format!("/v1/releases/{release}")).with(200).json;
    let changed = |path: &str| {
        let text = kept["files"][path].as_str().unwrap();
        text.replace("[15, ", "[18, ").replace("monthly_volume = \"15\"", "monthly_volume = \"18\"")
    };
    let cases = "cases/volume_grade.toml";
    let files = json!({POLICY: changed(POLICY), cases: changed(cases)});
    let made = app.post("/v1/releases", &json!({"files": files, "message": "grade 2 from 18 cases on"})).with(201);
    let digest = made.json["digest"].as_str().unwrap().to_owned();
    let report = app.post(&format!("/v1/releases/{digest}/check"), &Json::Null).with(200).json;
    assert_eq!(report["sound"], true, "{report}");
    digest
}

fn publish(app: &TestApp, digest: &str) {
    let basis = app.get("/v1/basis").with(200);
    let put = app.patch("/v1/basis", basis.header("ETag"), &json!({"release": digest}));
    assert!(put.status < 300, "{}", put.json);
}
