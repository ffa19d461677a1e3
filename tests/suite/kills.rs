//! Several processes share one base, and any of them is killed at random moments: nothing is left undone or done twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use baremo::db::migrate::revert_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value as Json, json};

use crate::app::PASSWORD;
use crate::base::Base;
use crate::interleavings::mill_files;
use crate::process::{Client, Place, Service, number, until};

const CUSTOMERS: i64 = 200;
/// Orders of one batch.
const BATCH: u64 = 10;
/// How often a process is killed.
const KILLS: u64 = 6;

/// Two processes, either of which may be gone.
struct Pair {
    clients: Mutex<[Client; 2]>,
    over: AtomicBool,
    acknowledged: AtomicU64,
}

impl Pair {
    /// Sends a request to one of the processes, or to the other when that one is gone, until it is answered.
    fn send(&self, which: usize, method: &str, path: &str, body: &Json) -> crate::base::Answer {
        let mut at = which;
        until("a process answers", || {
            at += 1;
            let client = self.clients.lock().unwrap()[at % 2].clone();
            client.try_send(method, path, body).filter(|answer| answer.status != 503)
        })
    }

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
            let answer = self.send(usize::try_from(batch).unwrap(), "POST", "/v1/transactions/batches", &body);
            for item in answer.with(207).json["items"].as_array().unwrap() {
                assert!(["created", "unchanged"].contains(&item["status"].as_str().unwrap()), "{item}");
            }
            self.acknowledged.fetch_add(BATCH, Ordering::AcqRel);
            batch += 1;
        }
    }
}

#[test]
fn processes_that_are_killed_leave_nothing_undone_and_nothing_done_twice() {
    let place = Place::new();
    let base = Base::new();
    base.db.run_here(revert_all).unwrap();
    let url = base.url();
    let pack = place.pack("mill", &mill_files(20).each_ref().map(|(path, text)| (*path, text.as_str())));
    let own = [
        ("BAREMO_DATABASE_URL", url.as_str()),
        ("BAREMO_ADMIN_PASSWORD", PASSWORD),
        ("BAREMO_BUSINESS_DATE", "2018-01-01"),
    ];
    let start = || {
        let mut service = place.serve(&pack, &own).ready();
        service.sign_in(PASSWORD);
        service
    };
    let mut services: [Service; 2] = [start(), start()];
    let rows: String = (0..CUSTOMERS).map(|number| format!("C{number},Customer {number}\n")).collect();
    let file = place.write("customers.csv", &format!("code,name\n{rows}"));
    let import = ["import", "customers", file.to_str().unwrap(), "--pack", pack.to_str().unwrap()];
    assert!(place.run(&import, &own).status.success());

    let pair = Arc::new(Pair {
        clients: Mutex::new(services.each_mut().map(Service::client)),
        over: AtomicBool::new(false),
        acknowledged: AtomicU64::new(0),
    });
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let pair = pair.clone();
            thread::spawn(move || pair.write(writer))
        })
        .collect();

    let mut chance = StdRng::seed_from_u64(7);
    for round in 0..KILLS {
        let (path, body) = [("/v1/closings", Json::Null), ("/v1/runs", json!({"renew_cohort": true}))]
            [usize::try_from(round % 2).unwrap()]
        .clone();
        let started = pair.send(0, "POST", path, &body);
        assert!([202, 409].contains(&started.status), "{}", started.json);
        let more = pair.acknowledged.load(Ordering::Acquire) + BATCH * chance.random_range(1..12);
        until("some more orders are in", || (pair.acknowledged.load(Ordering::Acquire) >= more).then_some(()));
        let which = chance.random_range(0..2);
        let [first, second] = services;
        services = if which == 0 {
            first.kill();
            [start(), second]
        } else {
            second.kill();
            [first, start()]
        };
        *pair.clients.lock().unwrap() = services.each_mut().map(Service::client);
    }
    pair.over.store(true, Ordering::Release);
    writers.into_iter().for_each(|writer| writer.join().unwrap());

    let open = "(SELECT COUNT(*) FROM subjects WHERE next_due_on <= '2018-01-01') \
                + (SELECT COUNT(*) FROM runs WHERE status IN ('preparing', 'running')) \
                + (SELECT COUNT(*) FROM closings WHERE finished_at IS NULL)";
    until("everything is done", || number(&url, open).filter(|open| *open == 0));
    let acknowledged = i64::try_from(pair.acknowledged.load(Ordering::Acquire)).unwrap();
    assert_eq!(number(&url, "SELECT COUNT(*) FROM transactions"), Some(acknowledged));

    // Every run has assessed everybody once, whoever worked on it.
    for run in pair.send(0, "GET", "/v1/runs?limit=100", &Json::Null).with(200).json["items"].as_array().unwrap() {
        assert_eq!((&run["assessed"], &run["status"]), (&json!(CUSTOMERS), &json!("finished")), "{run}");
        let outcomes = run["summary"][0]["outcomes"].as_array().unwrap();
        let counted: i64 = outcomes.iter().map(|outcome| outcome["customers"].as_i64().unwrap()).sum();
        assert_eq!(counted, CUSTOMERS, "{run}");
    }
    // Outcomes are those that an evaluation of now gives.
    let customers = pair.send(0, "GET", "/v1/customers?limit=500", &Json::Null).with(200).json;
    for customer in customers["items"].as_array().unwrap() {
        let id = customer["id"].as_str().unwrap();
        let now = pair.send(0, "POST", "/v1/evaluations", &json!({"customer_id": id})).with(200).json;
        let kept = pair.send(0, "GET", &format!("/v1/customers/{id}/decisions"), &Json::Null).with(200).json;
        for (now, kept) in now["decisions"].as_array().unwrap().iter().zip(kept["items"].as_array().unwrap()) {
            let provisional = kept.get("provisional").unwrap_or(kept);
            assert_eq!((&now["policy"], &now["outcome"]), (&kept["policy"], &provisional["outcome"]), "{customer}");
        }
    }
    for service in services {
        assert_eq!(service.stop().0, Some(0));
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
