//! The database goes away and comes back, at the start and in the middle of a run: the service lives, says that it can't
//! answer, and loses and doubles nothing.

use std::path::PathBuf;
use std::thread;

use baremo::db::local::LocalServer;
use diesel::connection::{Connection, SimpleConnection};
use diesel::mysql::MysqlConnection;
use nix::sys::signal::{Signal, kill};
use serde_json::{Value as Json, json};

use crate::app::PASSWORD;
use crate::process::{Client, Place, Service, number, until};
use crate::transactions::BAKERY;

const CUSTOMERS: i64 = 2000;
/// Transactions of one batch.
const BATCH: i64 = 20;

/// A database server of one's own, as far as the service knows, that comes and goes.
pub struct Server {
    folder: PathBuf,
    running: Option<LocalServer>,
}

impl Server {
    /// A server with a new database.
    pub fn new(place: &Place) -> Self {
        let folder = place.path("server");
        let running = LocalServer::start(&folder).unwrap();
        MysqlConnection::establish(&running.url("")).unwrap().batch_execute("CREATE DATABASE own").unwrap();
        Self { folder, running: Some(running) }
    }

    pub fn url(&self) -> String {
        format!("mysql://root@localhost/own?unix_socket={}", self.folder.join("sock").display())
    }

    pub fn start(&mut self) {
        self.running = Some(LocalServer::start(&self.folder).unwrap());
    }

    fn stop(&mut self) {
        self.running.take().unwrap().stop().unwrap();
    }

    pub fn kill(&mut self, place: &Place) {
        kill(place.server(), Signal::SIGKILL).unwrap();
        self.stop();
    }
}

#[track_caller]
fn refuses(service: &mut Service, method: &str, path: &str, body: &Json) {
    let answer = service.send(method, path, body).with(503);
    assert_eq!((answer.header("Retry-After"), &answer.json["code"]), ("2", &json!("unavailable")), "{path}");
}

#[test]
fn a_service_whose_database_is_away_waits_and_says_so() {
    let place = Place::new();
    let mut server = Server::new(&place);
    server.stop();
    let bakery = place.pack("bakery", &BAKERY);
    let url = server.url();
    let own = [("BAREMO_DATABASE_URL", url.as_str()), ("BAREMO_ADMIN_PASSWORD", PASSWORD)];
    let mut service = place.serve(&bakery, &own);
    service.get("/livez").with(200);
    refuses(&mut service, "GET", "/readyz", &Json::Null);
    refuses(&mut service, "POST", "/v1/auth/token", &json!({"username": "admin", "password": PASSWORD}));

    server.start();
    let mut service = service.ready();
    service.get("/readyz").with(200);
    service.sign_in(PASSWORD);
    service.get("/v1/customers").with(200);
    assert_eq!(service.stop().0, Some(0));

    // One that is told to stop while it waits does.
    server.stop();
    let mut waiting = place.serve(&bakery, &own);
    waiting.get("/livez").with(200);
    assert_eq!(waiting.stop().0, Some(0));
}

/// The orders of a batch.
fn batch(number: i64) -> Json {
    let item = |index: i64| {
        json!({"source": "shop", "external_id": format!("{number}-{index}"), "kind": "order",
            "customer_code": format!("C{}", (number * BATCH + index) % CUSTOMERS), "occurred_at": "2017-12-05",
            "lines": [{"product": "white", "measures": {"quantity": "1", "amount": "1"}}]})
    };
    json!({"items": (0..BATCH).map(item).collect::<Vec<_>>()})
}

/// Sends batch after batch, each until it is acknowledged, until one that was refused meanwhile and five more are in.
/// Gives their number.
fn write_through_the_outage(client: &Client) -> i64 {
    let mut refused_at = None;
    let mut number = 0;
    while refused_at.is_none_or(|at| number < at + 5) {
        let answer = until("a batch is acknowledged", || {
            let answer = client.send("POST", "/v1/transactions/batches", &batch(number));
            if answer.status == 503 {
                refused_at = refused_at.or(Some(number));
            }
            (answer.status != 503).then_some(answer)
        });
        for item in answer.with(207).json["items"].as_array().unwrap() {
            // Unchanged: written by a try whose answer was lost.
            assert!(["created", "unchanged"].contains(&item["status"].as_str().unwrap()), "{item}");
        }
        number += 1;
    }
    number
}

#[test]
fn a_database_that_is_killed_in_a_run_costs_nothing_that_was_acknowledged() {
    let place = Place::new();
    let mut server = Server::new(&place);
    let bakery = place.pack("bakery", &BAKERY);
    let url = server.url();
    let own = [
        ("BAREMO_DATABASE_URL", url.as_str()),
        ("BAREMO_ADMIN_PASSWORD", PASSWORD),
        ("BAREMO_BUSINESS_DATE", "2018-01-01"),
    ];
    let rows: String = (0..CUSTOMERS).map(|number| format!("C{number},Customer {number}\n")).collect();
    let file = place.write("customers.csv", &format!("code,name\n{rows}"));
    let mut service = place.serve(&bakery, &own).ready();
    let import = ["import", "customers", file.to_str().unwrap(), "--pack", bakery.to_str().unwrap()];
    assert!(place.run(&import, &own).status.success());
    service.sign_in(PASSWORD);
    service
        .send("PUT", "/v1/products/white", &json!({"name": "w", "category": "c", "unit": "unit", "factor": "1"}))
        .with(200);

    let run = service.send("POST", "/v1/runs", &json!({"renew_cohort": true})).with(202).json;
    let path = format!("/v1/runs/{}", run["id"].as_str().unwrap());
    let writer = service.client();
    let writing = thread::spawn(move || write_through_the_outage(&writer));
    until("the run is under way", || {
        let run = service.get(&path).with(200).json;
        run["assessed"].as_i64().filter(|assessed| *assessed >= CUSTOMERS / 10)
    });
    server.kill(&place);
    service.get("/livez").with(200);
    refuses(&mut service, "GET", "/readyz", &Json::Null);
    refuses(&mut service, "GET", &path, &Json::Null);
    // Whose token it is, nobody can say now, though the pack itself is at hand.
    refuses(&mut service, "GET", "/v1/pack", &Json::Null);

    server.start();
    let left = number(&url, "SELECT COUNT(*) FROM run_shards WHERE NOT finished");
    assert!(left > Some(0), "the kill came too late: the run was finished");
    let finished = until("the run has ended", || {
        let answer = service.get(&path);
        (answer.status == 200 && answer.json["status"] == "finished").then_some(answer.json)
    });
    assert_eq!(finished["assessed"].as_i64(), Some(CUSTOMERS), "{finished}");
    assert_eq!(number(&url, "SELECT COUNT(DISTINCT customer_id) FROM assessments"), Some(CUSTOMERS));

    let batches = writing.join().unwrap();
    let acknowledged = batches * BATCH;
    assert_eq!(number(&url, "SELECT COUNT(*) FROM transactions"), Some(acknowledged));
    let bought = "SELECT SUM(JSON_UNQUOTE(JSON_EXTRACT(months, '$.\"12\".measures.quantity.sum'))) FROM totals";
    assert_eq!(number(&url, bought), Some(acknowledged));
    for number in 0..batches {
        let again = service.send("POST", "/v1/transactions/batches", &batch(number)).with(207);
        for item in again.json["items"].as_array().unwrap() {
            assert_eq!(item["status"], "unchanged", "{item}");
        }
    }
    assert_eq!(service.stop().0, Some(0));
}
