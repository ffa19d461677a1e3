//! Several processes on one base and one database server of their own, all of which are struck at random points of runs.

use std::sync::{Arc, Mutex};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value as Json, json};

use crate::app::PASSWORD;
use crate::base::Answer;
use crate::interleavings::mill_files;
use crate::outage::Server;
use crate::process::{Client, Place, Service, number, until};

/// Customers of the base.
pub const CUSTOMERS: i64 = 200;

/// What happens to processes, to their database, or to what lies between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// A process is killed, and another one started in its place.
    Kill,
    /// A process is stopped until others have done its part, and wakes.
    Stop,
    /// The database server is killed and started again.
    Restart,
    /// All connections to the database are cut.
    Cut,
    /// Another release comes into force.
    Publish,
}

/// Ten strikes in random order.
pub fn strikes(chance: &mut StdRng) -> [Strike; 10] {
    use Strike::{Cut, Kill, Publish, Restart, Stop};
    let mut strikes = [Kill, Kill, Kill, Kill, Stop, Stop, Restart, Cut, Cut, Publish];
    strikes.shuffle(chance);
    strikes
}

/// The processes of a fleet that answer.
#[derive(Clone, Default)]
pub struct Clients {
    all: Arc<Mutex<Vec<Client>>>,
    /// Digests of the two releases.
    releases: Vec<Json>,
}

impl Clients {
    /// Sends a request to one of the processes, and to the next one when that is gone or its database is, until it is answered.
    pub fn send(&self, which: usize, method: &str, path: &str, body: &Json) -> Answer {
        self.send_for(which, None, method, path, body)
    }

    fn send_for(&self, which: usize, version: Option<i64>, method: &str, path: &str, body: &Json) -> Answer {
        let mut at = which;
        until("a process answers", || {
            at += 1;
            let client = {
                let clients = self.all.lock().unwrap();
                clients[at % clients.len()].clone()
            };
            client.try_send(version, method, path, body).filter(|answer| answer.status != 503)
        })
    }

    /// All runs, newest first.
    pub fn runs(&self) -> Vec<Json> {
        let runs = self.send(0, "GET", "/v1/runs?limit=500", &Json::Null).with(200).json;
        runs["items"].as_array().unwrap().clone()
    }
}

/// The processes, on a pack of two releases.
pub struct Fleet {
    place: Place,
    server: Server,
    services: Vec<Service>,
    pub clients: Clients,
    pub chance: StdRng,
}

impl Fleet {
    /// Starts processes on a new base with customers, who are all assessed.
    pub fn new(processes: usize, seed: u64) -> Self {
        let place = Place::new();
        let server = Server::new(&place);
        for (name, cut) in [("mill", 20), ("other", 30)] {
            place.pack(name, &mill_files(cut).each_ref().map(|(path, text)| (*path, text.as_str())));
        }
        let chance = StdRng::seed_from_u64(seed);
        let mut fleet = Self { place, server, services: Vec::new(), clients: Clients::default(), chance };
        fleet.services.push(fleet.start());
        let rows: String = (0..CUSTOMERS).map(|number| format!("C{number},Customer {number}\n")).collect();
        let file = fleet.place.write("customers.csv", &format!("code,name\n{rows}"));
        fleet.run(&["import", "customers", file.to_str().unwrap(), "--pack", "mill"]);
        fleet.show();
        fleet.clients.send(0, "POST", "/v1/closings", &Json::Null).with(202);
        fleet.until_done();
        fleet.note_release();
        fleet.run(&["rules", "release", "other"]);
        fleet.note_release();
        while fleet.services.len() < processes {
            fleet.services.push(fleet.start());
        }
        fleet.show();
        fleet.until_done();
        fleet
    }

    /// Notes the release in force, which is another one than before.
    fn note_release(&mut self) {
        let clients = &self.clients;
        let release = until("another release is in force", || {
            let basis = clients.send(0, "GET", "/v1/basis", &Json::Null).with(200).json;
            Some(basis["release"].clone()).filter(|release| !clients.releases.contains(release))
        });
        self.clients.releases.push(release);
    }

    /// URL of the database.
    pub fn url(&self) -> String {
        self.server.url()
    }

    fn start(&self) -> Service {
        let url = self.url();
        let own = [
            ("BAREMO_DATABASE_URL", url.as_str()),
            ("BAREMO_ADMIN_PASSWORD", PASSWORD),
            ("BAREMO_BUSINESS_DATE", "2018-01-01"),
            ("BAREMO_LEASE_SECONDS", "2"),
        ];
        let mut service = self.place.serve(&self.place.path("mill"), &own).ready();
        service.sign_in(PASSWORD);
        service
    }

    fn run(&self, arguments: &[&str]) {
        let done = self.place.run(arguments, &[("BAREMO_DATABASE_URL", &self.url())]);
        assert!(done.status.success(), "{done:?}");
    }

    /// Lets requests go to the processes that there are.
    fn show(&mut self) {
        *self.clients.all.lock().unwrap() = self.services.iter_mut().map(Service::client).collect();
    }

    /// Waits until some run is open and has come to a random point, and strikes. `begin` starts a run where none is open.
    pub fn strike(&mut self, strike: Strike, begin: &mut dyn FnMut(&Clients, &str)) {
        let point = self.chance.random_range(0..CUSTOMERS * 9 / 10);
        let open = "SELECT COALESCE(MAX(a), -1) FROM (SELECT SUM(s.assessed) a FROM runs r JOIN run_shards s ON s.run_id = r.id \
                    WHERE r.status IN ('preparing', 'running') GROUP BY r.id) o";
        let url = self.url();
        let clients = self.clients.clone();
        until("a run has come to the point", || match number(&url, open) {
            Some(-1) => {
                begin(&clients, &url);
                None
            }
            Some(assessed) if assessed >= point => Some(()),
            _ => None,
        });
        match strike {
            Strike::Kill => self.kill(),
            Strike::Stop => self.stop_and_wake(),
            Strike::Restart => {
                self.server.kill(&self.place);
                self.server.start();
            }
            Strike::Cut => cut(&url),
            Strike::Publish => publish(&self.clients, &url),
        }
    }

    fn kill(&mut self) {
        let which = self.chance.random_range(0..self.services.len());
        self.services.remove(which).kill();
        self.show();
        self.services.push(self.start());
        self.show();
    }

    /// A process stands still until its leases have passed on and others have done all there is to do.
    fn stop_and_wake(&mut self) {
        let which = self.chance.random_range(0..self.services.len());
        let stopped = self.services.remove(which);
        self.show();
        stopped.signal(Signal::SIGSTOP);
        let open = "SELECT COUNT(*) FROM runs WHERE status IN ('preparing', 'running')";
        let url = self.url();
        until("the others have finished the run", || number(&url, open).filter(|open| *open == 0));
        stopped.signal(Signal::SIGCONT);
        self.services.push(stopped);
        self.show();
    }

    /// Waits until nobody is due, no run is open and no closing is left.
    pub fn until_done(&self) {
        let open = "(SELECT COUNT(*) FROM subjects WHERE next_due_on <= '2018-01-01') \
                    + (SELECT COUNT(*) FROM runs WHERE status IN ('preparing', 'running')) \
                    + (SELECT COUNT(*) FROM closings WHERE finished_at IS NULL) \
                    + (SELECT NOT EXISTS (SELECT 1 FROM runs WHERE basis_number >= (SELECT MAX(rules_number) FROM bases)))";
        let url = self.url();
        until("everything is done", || number(&url, &format!("SELECT {open}")).filter(|open| *open == 0));
    }

    /// What must be true of every run: each has assessed everybody once, by its own rules, whoever worked on it.
    pub fn check_runs(&self) {
        let runs = self.clients.runs();
        for run in &runs {
            let numbers = ["total", "assessed", "failed"].map(|key| run[key].as_i64().unwrap());
            assert_eq!((numbers, &run["status"]), ([CUSTOMERS, CUSTOMERS, 0], &json!("finished")), "{run}");
            for policy in run["summary"].as_array().unwrap() {
                let outcomes = policy["outcomes"].as_array().unwrap();
                let counted: i64 = outcomes.iter().map(|outcome| outcome["customers"].as_i64().unwrap()).sum();
                assert_eq!(counted, CUSTOMERS, "{run}");
            }
        }
        let number = |sql: &str| number(&self.url(), sql).unwrap();
        let twice = "SELECT COUNT(*) FROM (SELECT run_id FROM assessments WHERE run_id IS NOT NULL \
                     GROUP BY run_id, customer_id HAVING COUNT(*) > 1) t";
        assert_eq!(number(twice), 0, "some run has written two assessments of a customer");
        let foreign = "SELECT COUNT(*) FROM assessments a JOIN runs r ON r.id = a.run_id JOIN bases b ON b.number = r.basis_number \
                       WHERE a.basis_number <> r.basis_number OR a.release_digest <> b.release_digest";
        assert_eq!(number(foreign), 0, "some run has assessed by rules that aren't its own");
    }

    /// What must be true of runs of a base in which nothing else is written: each has stored what it says that it has. Those that had
    /// others beside them have left some customers to these.
    pub fn check_rows(&self) {
        let alone = "FROM runs r WHERE r.basis_number > 2 AND NOT EXISTS (SELECT 1 FROM runs o WHERE o.id <> r.id \
                     AND o.created_at < r.finished_at AND o.finished_at > r.created_at)";
        let number = |sql: &str| number(&self.url(), sql).unwrap();
        assert!(number(&format!("SELECT COUNT(*) {alone}")) > 0);
        let wrong = "AND (SELECT COUNT(*) FROM assessments a WHERE a.run_id = r.id) \
                     <> (SELECT SUM(s.assessed) - SUM(s.unchanged) FROM run_shards s WHERE s.run_id = r.id)";
        assert_eq!(
            number(&format!("SELECT COUNT(*) {alone} {wrong}")),
            0,
            "some run has written more or less than it counts"
        );
    }

    /// Outcomes must be those that an evaluation of now gives.
    pub fn check_outcomes(&self) {
        let send = |method: &str, path: &str, body: Json| self.clients.send(0, method, path, &body).with(200).json;
        let customers = send("GET", "/v1/customers?limit=500", Json::Null);
        let customers = customers["items"].as_array().unwrap();
        assert_eq!(customers.len(), usize::try_from(CUSTOMERS).unwrap());
        for customer in customers {
            let id = customer["id"].as_str().unwrap();
            let now = send("POST", "/v1/evaluations", json!({"customer_id": id}));
            let kept = send("GET", &format!("/v1/customers/{id}/decisions"), Json::Null);
            let (now, kept) = (now["decisions"].as_array().unwrap(), kept["items"].as_array().unwrap());
            assert_eq!(now.len(), kept.len(), "{customer}");
            for (now, kept) in now.iter().zip(kept) {
                let provisional = kept.get("provisional").unwrap_or(kept);
                assert_eq!((&now["policy"], &now["outcome"]), (&kept["policy"], &provisional["outcome"]), "{customer}");
            }
        }
    }

    /// Ends all processes.
    pub fn end(self) {
        for service in self.services {
            assert_eq!(service.stop().0, Some(0));
        }
    }
}

/// Puts the release in force that isn't, and waits until a run follows.
pub fn publish(clients: &Clients, url: &str) {
    let basis = until("the other release is in force", || {
        let basis = clients.send(0, "GET", "/v1/basis", &Json::Null).with(200).json;
        let other = clients.releases.iter().find(|digest| **digest != basis["release"]).unwrap();
        let body = json!({"release": other});
        let answer = clients.send_for(0, basis["number"].as_i64(), "PATCH", "/v1/basis", &body);
        assert!([200, 412].contains(&answer.status), "{}", answer.json);
        (answer.status == 200).then(|| answer.json["number"].as_i64().unwrap())
    });
    let follows = format!("SELECT COUNT(*) FROM runs WHERE basis_number >= {basis}");
    until("a run follows", || number(url, &follows).filter(|runs| *runs > 0));
}

#[derive(QueryableByName)]
struct Connected {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Cuts all connections to the database.
fn cut(url: &str) {
    let mut conn = MysqlConnection::establish(url).unwrap();
    let others =
        "SELECT CAST(id AS SIGNED) id FROM information_schema.processlist WHERE db = 'own' AND id <> CONNECTION_ID()";
    let others: Vec<Connected> = diesel::sql_query(others).load(&mut conn).unwrap();
    for Connected { id } in others {
        // One that has ended by itself can't be cut.
        let _ = conn.batch_execute(&format!("KILL {id}"));
    }
}
