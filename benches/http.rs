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
use baremo::db::schema::{customers, outcomes, subjects, totals};
use baremo::db::{self, Conn, Db};
use baremo::http::extract::PathId;
use baremo::http::problem::Problem;
use baremo::identity::api::Permit;
use baremo::identity::model::Evaluate;
use diesel::prelude::*;
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

/// Requests as they are sent.
type Requests = Vec<Vec<u8>>;

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

/// The echo of a customer's answer that also reads the rows which evaluating him needs, each table by one statement, and looks at none.
#[post("/reading/{id}")]
async fn reading(
    _: Permit<Evaluate>,
    db: web::Data<Db>,
    answers: web::Data<Answers>,
    id: PathId,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    assert!(!body.is_empty());
    let read = move |conn: &mut Conn| {
        let (id, shard) = (id.0, id.0.shard());
        let profile: String = customers::table.find((shard, id)).select(customers::profile).first(conn)?;
        let closed_to: i64 = subjects::table.find((shard, id)).select(subjects::closed_to).first(conn)?;
        let of_him = totals::table.filter(totals::shard.eq(shard).and(totals::customer_id.eq(id)));
        let totals: Vec<(String, String)> = of_him.select((totals::months, totals::products)).load(conn)?;
        let of_him = outcomes::table.filter(outcomes::shard.eq(shard).and(outcomes::customer_id.eq(id)));
        let outcomes: Vec<String> = of_him.select(outcomes::outcome).load(conn)?;
        assert!(!profile.is_empty() && closed_to > 0 && !totals.is_empty() && !outcomes.is_empty());
        Ok::<_, db::Error>(answers.0[0].clone())
    };
    Ok(HttpResponse::Ok().content_type("application/json").body(db.run(read).await?))
}

fn main() {
    let app = shops::service(SHOPS);
    let (_folder, file) = shops::line_file(&shops::lines(SHOPS, 12));
    shops::take_in(&app, &file);
    shops::close(&app);
    let codes: Vec<String> = (0..SHOPS).map(shops::code).collect();
    let customers: Vec<Json> = ids(&app, &codes).iter().map(|id| json!({"customer_id": id})).collect();
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
            config.app_data(answers.clone()).service(echo).service(reading);
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
        let evaluations = requests(&app, "/v1/evaluations", bodies);
        let rate =
            compare(&mut report, &address, name, &evaluations, &requests(&app, &format!("/echo/{which}"), bodies));
        if which == 0 {
            let path = |body: &Json| format!("/reading/{}", body["customer_id"].as_str().unwrap());
            let read = bodies.iter().map(|body| request("POST", &path(body), &app.token, &body.to_string())).collect();
            let limit = median((0..ROUNDS).map(|_| run(&address, &read)).collect());
            report.against("customer", rate, "requests/s", "echo that reads his rows", limit);
        }
        steady(&mut report, &address, (name, rate / 2.0), &evaluations);
    }
    report.print();
    runtime.block_on(handle.stop(true));
}

/// One request for each body.
fn requests(app: &TestApp, path: &str, bodies: &[Json]) -> Requests {
    bodies.iter().map(|body| request("POST", path, &app.token, &body.to_string())).collect()
}

/// Sends requests in a closed loop; gives how many a second.
fn run(address: &str, requests: &Requests) -> f64 {
    closed(address, CLIENTS, Duration::from_secs(CLOSED), |number| &requests[number % requests.len()])
}

/// Measures evaluations and the echo of their answer in turn; gives the evaluations a second.
fn compare(report: &mut Report, address: &str, name: &str, evaluations: &Requests, echoes: &Requests) -> f64 {
    let (mut evaluated, mut echoed) = (Vec::new(), Vec::new());
    run(address, evaluations);
    for _ in 0..ROUNDS {
        evaluated.push(run(address, evaluations));
        echoed.push(run(address, echoes));
    }
    let ratios = evaluated.iter().zip(&echoed).map(|(evaluated, echoed)| evaluated / echoed).collect();
    let rate = median(evaluated);
    report.against(name, rate, "requests/s", "echo", median(echoed));
    report.figure(format!("{name} ÷ echo, round by round"), median(ratios), "ratio");
    rate
}

/// Measures how long evaluations take at a rate.
fn steady(report: &mut Report, address: &str, (name, rate): (&str, f64), evaluations: &Requests) {
    let number = (rate * load::count(OPEN)).round().to_string().parse().unwrap();
    let sent = open(address, (CLIENTS, rate, number), 200, |number| &evaluations[number % evaluations.len()]);
    let mut times: Vec<Duration> = sent.iter().map(|sent| sent.answered - sent.intended).collect();
    for percent in [50, 99] {
        let time = percentile(&mut times, percent);
        report.figure(format!("{name}, at {rate:.0} a second, p{percent}"), time, "ms");
    }
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
