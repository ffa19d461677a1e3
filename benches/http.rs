//! `POST /v1/evaluations` beside a handler that answers the same bytes and evaluates nothing, behind the same middlewares, with the same
//! permission and the same way to a thread with a connection.

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
mod report;
#[expect(dead_code, reason = "other benchmarks need more of it")]
mod shops;

use std::net::TcpListener;
use std::time::Duration;

use actix_web::{HttpResponse, post, web};
use app::TestApp;
use baremo::app::server_with;
use baremo::assessments::worker::STACK;
use baremo::db::{self, Db};
use baremo::http::problem::Problem;
use baremo::identity::api::Permit;
use baremo::identity::model::Evaluate;
use load::{closed, open, percentile, request};
use report::{Report, median};
use serde_json::{Value as Json, json};
use tokio::runtime::Builder;

const SHOPS: usize = 2_000;
const CLIENTS: usize = 8;
const ROUNDS: usize = 5;
/// Seconds of a closed loop and of an open one.
const CLOSED: u64 = 3;
const OPEN: usize = 10;

/// What the two echoes answer.
struct Answers([web::Bytes; 2]);

#[post("/echo/{which}")]
async fn echo(
    _: Permit<Evaluate>,
    db: web::Data<Db>,
    answers: web::Data<Answers>,
    which: web::Path<usize>,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    assert!(!body.is_empty());
    let answer = db.run(move |_| Ok::<_, db::Error>(answers.0[*which].clone())).await?;
    Ok(HttpResponse::Ok().content_type("application/json").body(answer))
}

fn main() {
    let app = shops::service(SHOPS);
    let (_folder, file) = shops::line_file(&shops::lines(SHOPS, 12));
    shops::take_in(&app, &file);
    shops::close(&app);
    let customers: Vec<String> = (0..SHOPS).map(shops::code).collect();
    let customers: Vec<Json> = ids(&app, &customers).iter().map(|id| json!({"customer_id": id})).collect();
    let documents = documents();
    let answer = |body: &Json| web::Bytes::from(app.post("/v1/evaluations", body).with(200).text);
    let answers = [answer(&customers[0]), answer(&documents[0])];
    let sizes = answers.clone().map(|answer| answer.len());
    let answers = web::Data::new(Answers(answers));
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let runtime = Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build().unwrap();
    let handle = runtime.block_on(async {
        let more = move |config: &mut web::ServiceConfig| {
            config.app_data(answers.clone()).service(echo);
        };
        let server = server_with(&app.state, listener, more).unwrap();
        let handle = server.handle();
        tokio::spawn(server);
        handle
    });
    let about = format!(
        "{SHOPS} shops with a year of totals, answers of {} (customer) and {} bytes (document); {CLIENTS} clients, closed loops of \
         {CLOSED} s in {ROUNDS} rounds in turn; open loops of {OPEN} s at half of the rate, from the intended time of sending",
        sizes[0], sizes[1]
    );
    let mut report = Report::new("http", about);
    for (which, name, bodies) in [(0, "customer", &customers), (1, "document", &documents)] {
        measure(&mut report, &app, &address, (which, name), bodies);
    }
    report.print();
    runtime.block_on(handle.stop(true));
}

/// Measures evaluations of one sort and the echo of their answer.
fn measure(report: &mut Report, app: &TestApp, address: &str, (which, name): (usize, &str), bodies: &[Json]) {
    let to = |path: &str| -> Vec<Vec<u8>> {
        bodies.iter().map(|body| request("POST", path, &app.token, &body.to_string())).collect()
    };
    let (evaluations, echoes) = (to("/v1/evaluations"), to(&format!("/echo/{which}")));
    let (mut evaluated, mut echoed) = (Vec::new(), Vec::new());
    let run = |requests: &[Vec<u8>]| {
        closed(address, CLIENTS, Duration::from_secs(CLOSED), |number| &requests[number % requests.len()])
    };
    run(&evaluations);
    for _ in 0..ROUNDS {
        evaluated.push(run(&evaluations));
        echoed.push(run(&echoes));
    }
    let ratios = evaluated.iter().zip(&echoed).map(|(evaluated, echoed)| evaluated / echoed).collect();
    report.against(name, median(evaluated.clone()), "requests/s", "echo", median(echoed));
    report.figure(format!("{name} ÷ echo, round by round"), median(ratios), "ratio");
    let rate = median(evaluated) / 2.0;
    let requests = (rate * load::count(OPEN)).round().to_string().parse().unwrap();
    let sent = open(address, (CLIENTS, rate, requests), 200, |number| &evaluations[number % evaluations.len()]);
    let mut times: Vec<Duration> = sent.iter().map(|sent| sent.answered - sent.intended).collect();
    report.figure(format!("{name}, at {rate:.0} a second, p50"), percentile(&mut times, 50), "ms");
    report.figure(format!("{name}, at {rate:.0} a second, p99"), percentile(&mut times, 99), "ms");
}

/// The ids of the shops, in their order.
fn ids(app: &TestApp, codes: &[String]) -> Vec<String> {
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let ids = app.base.db.run_here(|conn| baremo::customers::store::ids_by_code(conn, &codes)).unwrap();
    assert_eq!(ids.len(), codes.len());
    ids.values().map(ToString::to_string).collect()
}

/// Files that aren't kept, with all figures.
fn documents() -> Vec<Json> {
    let document = |number: usize| {
        let text = |number: usize| number.to_string();
        let metrics = json!({"monthly_volume": format!("{}.5", number % 25), "quarterly_quantity": text(number % 80),
            "quarterly_price": text(900 + number), "half_year_growth": "0.05", "yearly_quantity": text(number * 3),
            "yearly_amount": text(number * 977), "ordering_months": "0.75", "assortment": text(number % 40), "on_time_share": "0.97"});
        json!({"document": {"code": shops::code(number), "metrics": metrics, "profile": {
            "basic": {"opened_on": "2012-05-01", "settlement_method": "electronic", "order_cycle": 7},
            "network": {"retail_format": "grocery", "market": "urban", "floor_area": "45"},
            "business": {"business_status": "operating"}}}})
    };
    (1..500).map(document).collect()
}
