//! Several processes share one base, and they, their database and their connections are struck at random moments: nothing is left
//! undone or done twice.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::{Value as Json, json};

use crate::app::PASSWORD;
use crate::fleet::{CUSTOMERS, Clients, Fleet, publish, strikes};
use crate::interleavings::mill_files;
use crate::process::{Place, number};

/// Orders of one batch.
const BATCH: u64 = 10;
/// How often ten strikes are made, with other seeds each time.
const ROUNDS: &str = "BAREMO_TEST_STRIKE_ROUNDS";

fn seeds() -> std::ops::Range<u64> {
    0..env::var(ROUNDS).map_or(1, |rounds| rounds.parse().unwrap())
}

/// What writers know of each other.
struct Writing {
    clients: Clients,
    over: AtomicBool,
    acknowledged: AtomicU64,
}

impl Writing {
    /// Sends batches of orders of one loaf each until it is over.
    fn write(&self, writer: u64) {
        let mut batch = 0;
        while !self.over.load(Ordering::Acquire) {
            let item = |index: u64| {
                let id = format!("{writer}-{batch}-{index}");
                let customer = (writer * 7 + batch * BATCH + index) % u64::try_from(CUSTOMERS).unwrap();
                json!({"source": "shop", "external_id": id, "kind": "order", "customer_code": format!("C{customer}"),
                    "occurred_at": format!("2017-{:02}-05", 9 + batch % 4), "lines": [{"measures": {"quantity": "1"}}]})
            };
            let body = json!({"items": (0..BATCH).map(item).collect::<Vec<_>>()});
            let answer = self.clients.send(usize::try_from(batch).unwrap(), "POST", "/v1/transactions/batches", &body);
            for item in answer.with(207).json["items"].as_array().unwrap() {
                assert!(["created", "unchanged"].contains(&item["status"].as_str().unwrap()), "{item}");
            }
            self.acknowledged.fetch_add(BATCH, Ordering::AcqRel);
            batch += 1;
        }
    }
}

#[test]
fn two_processes_that_are_struck_while_orders_come_leave_nothing_undone_and_nothing_done_twice() {
    for seed in seeds() {
        let mut fleet = Fleet::new(2, 2 * seed);
        let writing = Arc::new(Writing {
            clients: fleet.clients.clone(),
            over: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
        });
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let writing = writing.clone();
                thread::spawn(move || writing.write(writer))
            })
            .collect();
        let kinds = [("/v1/closings", Json::Null), ("/v1/runs", json!({"renew_cohort": true}))];
        let mut kinds = kinds.iter().cycle();
        for strike in strikes(&mut fleet.chance) {
            fleet.strike(strike, &mut |clients, _| {
                let (path, body) = kinds.next().unwrap();
                let started = clients.send(0, "POST", path, body);
                assert!([202, 409].contains(&started.status), "{}", started.json);
            });
        }
        writing.over.store(true, Ordering::Release);
        writers.into_iter().for_each(|writer| writer.join().unwrap());

        fleet.until_done();
        let acknowledged = i64::try_from(writing.acknowledged.load(Ordering::Acquire)).unwrap();
        assert_eq!(number(&fleet.url(), "SELECT COUNT(*) FROM transactions"), Some(acknowledged));
        fleet.check_runs();
        fleet.check_outcomes();
        fleet.end();
    }
}

#[test]
fn three_processes_that_are_struck_assess_each_customer_once_in_each_run() {
    for seed in seeds() {
        let mut fleet = Fleet::new(3, 2 * seed + 1);
        for strike in strikes(&mut fleet.chance) {
            fleet.strike(strike, &mut |clients, url| {
                if number(url, "SELECT COUNT(*) FROM subjects WHERE next_due_on <= '2018-01-01'") == Some(0) {
                    publish(clients, url);
                }
            });
        }
        fleet.until_done();
        fleet.check_runs();
        fleet.check_rows();
        fleet.check_outcomes();
        fleet.end();
    }
}

#[test]
fn a_base_is_closed_by_command() {
    let place = Place::new();
    let pack = place.pack("mill", &mill_files(20).each_ref().map(|(path, text)| (*path, text.as_str())));
    let file = place.write("customers.csv", "code,name\nC1,One\nC2,Two\n");
    let own = [("BAREMO_ADMIN_PASSWORD", PASSWORD), ("BAREMO_BUSINESS_DATE", "2018-01-01")];
    let of_pack = ["--pack", pack.to_str().unwrap()];
    let import = [&["import", "customers", file.to_str().unwrap()][..], &of_pack].concat();
    assert!(place.run(&import, &own).status.success());

    let closed = place.run(&[&["close"][..], &of_pack].concat(), &own);
    assert!(closed.status.success(), "{closed:?}");
    assert!(String::from_utf8_lossy(&closed.stdout).contains("2 customers assessed as of 2018-01-01"), "{closed:?}");

    let mut service = place.serve(&pack, &own).ready();
    service.sign_in(PASSWORD);
    let id = service.get("/v1/customers?code=C1").with(200).json["items"][0]["id"].as_str().unwrap().to_owned();
    let decisions = service.get(&format!("/v1/customers/{id}/decisions")).with(200).json;
    let closed_on = |policy: &str| {
        let decision = decisions["items"].as_array().unwrap().iter().find(|decision| decision["policy"] == policy);
        decision.unwrap()["closed_on"].clone()
    };
    assert_eq!(closed_on("grade"), "2017-12-31");
    assert_eq!(closed_on("class"), "2017-12-31");
    assert_eq!(closed_on("size"), Json::Null);
    let closings = service.get("/v1/closings").with(200).json;
    assert_eq!(closings["items"][0]["cause"], "command");
    assert_eq!(closings["next"][0]["closes_on"], "2018-02-01");
    assert_eq!(service.stop().0, Some(0));

    let refused = place.run(&["close", "--pack", place.path("nowhere").to_str().unwrap()], &own);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("pack.toml"), "{refused:?}");
}
