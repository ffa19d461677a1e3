//! Three processes on a Galera cluster of three nodes, each preferring another one: a node hangs, a node is killed and a process is
//! killed while all of them take orders and a run goes on. Nothing that was acknowledged is lost, and nothing is counted twice.
//! Run by `scripts/with-cluster`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use baremo::Id;
use diesel::connection::{Connection, SimpleConnection};
use diesel::mysql::MysqlConnection;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};

use crate::app::PASSWORD;
use crate::base::Answer;
use crate::interleavings::mill_files;
use crate::process::{Client, Place, Service, number_on, until};

const CUSTOMERS: i64 = 1000;
/// Customers who order: few, so that all nodes write the same rows at the same time.
const BUYERS: u64 = 40;
/// Orders of one batch.
const BATCH: u64 = 10;
/// Batches that must get through after each failure.
const AFTERWARDS: u64 = 15;

/// A base on the nodes of the cluster.
struct Cluster {
    ports: Vec<u16>,
    name: String,
}

impl Cluster {
    fn new() -> Self {
        let ports = std::env::var("BAREMO_TEST_CLUSTER").expect("run this by scripts/with-cluster");
        let ports: Vec<u16> = ports.split(',').map(|port| port.parse().unwrap()).collect();
        let name = format!("test_{}", Id::new().uuid().simple());
        let mut conn = MysqlConnection::establish(&format!("mysql://root@127.0.0.1:{}/", ports[0])).unwrap();
        conn.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        Self { ports, name }
    }

    /// URL of all nodes, one of them first.
    fn url(&self, first: usize) -> String {
        let nodes = self.ports.iter().cycle().skip(first).take(self.ports.len());
        let nodes: Vec<String> = nodes.map(|port| format!("127.0.0.1:{port}")).collect();
        format!("mysql://root@{}/{}", nodes.join(","), self.name)
    }

    /// Asks a node for a number, behind all that the others have committed.
    fn number(&self, node: usize, sql: &str) -> Option<i64> {
        let url = format!("mysql://root@127.0.0.1:{}/{}", self.ports[node], self.name);
        let mut conn = MysqlConnection::establish(&url).ok()?;
        baremo::db::set_session(&mut conn).ok()?;
        number_on(&mut conn, sql)
    }

    fn signal(&self, node: usize, signal: Signal) {
        let port = format!("--port={}\0", self.ports[node]);
        let pids =
            std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let is_node = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            line.starts_with("mariadbd\0") && line.contains(&port)
        };
        let found: Vec<i32> = pids.filter(is_node).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        kill(Pid::from_raw(found[0]), signal).unwrap();
    }
}

/// The processes that are left, and what they have acknowledged.
struct Front {
    clients: Mutex<Vec<Client>>,
    over: AtomicBool,
    acknowledged: AtomicU64,
}

impl Front {
    /// Sends a request to one of the processes, or to the next where that one is gone or has no database, until it is answered.
    fn send(&self, which: usize, method: &str, path: &str, body: &Json) -> Answer {
        let mut at = which;
        until("a process answers", || {
            let clients = self.clients.lock().unwrap().clone();
            let client = &clients[at % clients.len()];
            at += 1;
            client.try_send(None, method, path, body).filter(|answer| answer.status != 503)
        })
    }

    /// Sends a batch of orders of one loaf each, and gives how many are new.
    fn record(&self, writer: u64, batch: u64) -> u64 {
        let item = |index: u64| {
            json!({"source": "shop", "external_id": format!("{writer}-{batch}-{index}"), "kind": "order",
                "customer_code": format!("C{}", (batch * 7 + index * 3) % BUYERS), "occurred_at": "2017-12-05",
                "lines": [{"measures": {"quantity": "1"}}]})
        };
        let body = json!({"items": (0..BATCH).map(item).collect::<Vec<_>>()});
        let answer = self.send(usize::try_from(writer).unwrap(), "POST", "/v1/transactions/batches", &body).with(207);
        let is_new = |item: &Json| {
            // Unchanged: written by a try whose answer was lost.
            assert!(["created", "unchanged"].contains(&item["status"].as_str().unwrap()), "{item}");
            item["status"] == "created"
        };
        answer.json["items"].as_array().unwrap().iter().map(is_new).map(u64::from).sum()
    }

    /// Sends batches until it is over, and gives how many.
    fn write(&self, writer: u64) -> u64 {
        let mut batch = 0;
        while !self.over.load(Ordering::Acquire) {
            self.record(writer, batch);
            self.acknowledged.fetch_add(BATCH, Ordering::AcqRel);
            batch += 1;
        }
        batch
    }

    /// Waits until some more batches have been acknowledged.
    fn some_more(&self) {
        let more = self.acknowledged.load(Ordering::Acquire) + AFTERWARDS * BATCH;
        until("some more orders are in", || (self.acknowledged.load(Ordering::Acquire) >= more).then_some(()));
    }

    /// Starts a run and waits until it is under way.
    fn run(&self) -> String {
        let started = self.send(0, "POST", "/v1/runs", &json!({"renew_cohort": true})).with(202).json;
        let path = format!("/v1/runs/{}", started["id"].as_str().unwrap());
        let under_way = |run: Json| run["assessed"].as_i64().filter(|assessed| *assessed >= CUSTOMERS / 20);
        until("the run is under way", || under_way(self.send(0, "GET", &path, &Json::Null).with(200).json));
        path
    }

    fn until_finished(&self, run: &str) {
        until("the run has ended", || {
            let run = self.send(0, "GET", run, &Json::Null).with(200).json;
            (run["status"] == "finished").then_some(())
        });
    }
}

#[test]
#[ignore = "needs a cluster: scripts/with-cluster"]
fn nodes_and_processes_may_go_and_nothing_is_lost_or_counted_twice() {
    let place = Place::new();
    let cluster = Cluster::new();
    let pack = place.pack("mill", &mill_files(20).each_ref().map(|(path, text)| (*path, text.as_str())));
    let own = |url: &str| {
        [
            ("BAREMO_DATABASE_URL", url.to_owned()),
            ("BAREMO_ADMIN_PASSWORD", PASSWORD.to_owned()),
            ("BAREMO_BUSINESS_DATE", "2018-01-01".to_owned()),
        ]
    };
    let started = |first: usize| {
        let own = own(&cluster.url(first));
        place.serve(&pack, &own.each_ref().map(|(key, value)| (*key, value.as_str())))
    };
    // All at once, on a base without a table.
    let services: Vec<Service> = (0..3).map(started).collect();
    let mut services: Vec<Service> = services.into_iter().map(Service::ready).collect();
    services.iter_mut().for_each(|service| service.sign_in(PASSWORD));
    let rows: String = (0..CUSTOMERS).map(|number| format!("C{number},Customer {number}\n")).collect();
    let file = place.write("customers.csv", &format!("code,name\n{rows}"));
    let import = ["import", "customers", file.to_str().unwrap(), "--pack", pack.to_str().unwrap()];
    let own = own(&cluster.url(1));
    let imported = place.run(&import, &own.each_ref().map(|(key, value)| (*key, value.as_str())));
    assert!(imported.status.success(), "{imported:?}");

    let front = Arc::new(Front {
        clients: Mutex::new(services.iter_mut().map(Service::client).collect()),
        over: AtomicBool::new(false),
        acknowledged: AtomicU64::new(0),
    });
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let front = front.clone();
            thread::spawn(move || front.write(writer))
        })
        .collect();

    // A node hangs in a run. Whoever preferred it is served by another one, and comes back.
    let run = front.run();
    cluster.signal(2, Signal::SIGSTOP);
    front.some_more();
    until("the process of the node that hangs is ready", || (services[2].get("/readyz").status == 200).then_some(()));
    front.until_finished(&run);
    cluster.signal(2, Signal::SIGCONT);
    until("the node is back", || {
        cluster.number(2, "SELECT COUNT(*) FROM customers").filter(|count| *count == CUSTOMERS)
    });

    // A node and a process are killed in a run.
    let run = front.run();
    cluster.signal(0, Signal::SIGKILL);
    let killed = services.remove(1);
    front.clients.lock().unwrap().remove(1);
    killed.kill();
    front.some_more();
    front.until_finished(&run);
    front.some_more();
    front.over.store(true, Ordering::Release);
    let sent: Vec<u64> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();

    // A cluster may lose what was acknowledged last when a node goes: no more than what each writer had under way. Whoever sends all again,
    // as sources may at any time, finds everything once.
    let again = (0..).zip(sent).flat_map(|(writer, batches)| (0..batches).map(move |batch| (writer, batch)));
    let lost: u64 = again.map(|(writer, batch)| front.record(writer, batch)).sum();
    assert!(lost <= 3 * BATCH, "{lost} orders are lost");

    let open = "(SELECT COUNT(*) FROM subjects WHERE next_due_on <= '2018-01-01') \
                + (SELECT COUNT(*) FROM runs WHERE status IN ('preparing', 'running'))";
    until("everything is done", || cluster.number(1, open).filter(|open| *open == 0));
    let acknowledged = i64::try_from(front.acknowledged.load(Ordering::Acquire)).unwrap();
    let bought = "SELECT SUM(JSON_UNQUOTE(JSON_EXTRACT(months, '$.\"12\".measures.quantity.sum'))) FROM totals";
    for node in [1, 2] {
        assert_eq!(cluster.number(node, "SELECT COUNT(*) FROM transactions"), Some(acknowledged), "node {node}");
        assert_eq!(cluster.number(node, bought), Some(acknowledged), "node {node}");
        let twice = "SELECT COUNT(*) - COUNT(DISTINCT run_id, customer_id) FROM assessments WHERE run_id IS NOT NULL";
        assert_eq!(cluster.number(node, twice), Some(0), "node {node}");
    }
    let runs = front.send(0, "GET", "/v1/runs?limit=100", &Json::Null).with(200).json;
    assert!(runs["items"].as_array().unwrap().len() >= 2, "{runs}");
    for run in runs["items"].as_array().unwrap() {
        assert_eq!(
            (&run["total"], &run["assessed"], &run["status"]),
            (&json!(CUSTOMERS), &json!(CUSTOMERS), &json!("finished")),
            "{run}"
        );
    }
    compare_outcomes(&front);
    eprintln!("{acknowledged} orders acknowledged, {lost} of them lost with a node and sent again");
    for service in services {
        assert_eq!(service.stop().0, Some(0));
    }
}

/// The outcomes of those who bought are what an evaluation of now gives.
fn compare_outcomes(front: &Front) {
    for number in 0..BUYERS {
        let found = front.send(0, "GET", &format!("/v1/customers?code=C{number}"), &Json::Null).with(200).json;
        let id = found["items"][0]["id"].as_str().unwrap();
        let now = front.send(0, "POST", "/v1/evaluations", &json!({"customer_id": id})).with(200).json;
        let kept = front.send(1, "GET", &format!("/v1/customers/{id}/decisions"), &Json::Null).with(200).json;
        for (now, kept) in now["decisions"].as_array().unwrap().iter().zip(kept["items"].as_array().unwrap()) {
            let provisional = kept.get("provisional").unwrap_or(kept);
            assert_eq!((&now["policy"], &now["outcome"]), (&kept["policy"], &provisional["outcome"]), "C{number}");
        }
    }
}
