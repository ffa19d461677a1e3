//! Full runs over many customers beside what the database itself takes for the same rows: `make bench`.
//!
//! Makes bases of 10,000, 100,000 and 1,000,000 customers (`BAREMO_BENCH_CUSTOMERS`, separated by commas) with twelve months of totals
//! each, copies of the stores of the tobacco pack's sample, and lets the real service assess everybody: first with nothing known,
//! then again. Beside each run stands its floor, measured right after it: `floor.rs` says what that is.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark that can't go on has failed, and prints its figures"
)]

mod floor;
mod making;
#[path = "../report/mod.rs"]
mod report;
mod service;

use diesel::connection::SimpleConnection;
use diesel::{Connection, MysqlConnection};
use floor::Floor;
use report::Report;
use service::{Service, Usage};

const SIZES: &str = "10000,100000,1000000";

/// A database on the server of the benchmark, dropped with its value.
pub struct Base {
    server: String,
    name: String,
}

impl Base {
    fn new(name: String) -> Self {
        let server = std::env::var("BAREMO_TEST_DATABASE_URL").expect("run this by `make bench`");
        let base = Self { server, name };
        let name = &base.name;
        let mut conn = MysqlConnection::establish(&base.server).unwrap();
        conn.batch_execute(&format!("DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name}")).unwrap();
        base
    }

    fn url(&self) -> String {
        self.server.replacen("/?", &format!("/{}?", self.name), 1)
    }

    fn connect(&self) -> MysqlConnection {
        let mut conn = MysqlConnection::establish(&self.url()).unwrap();
        baremo::db::set_session(&mut conn).unwrap();
        conn.batch_execute("SET max_statement_time = 0").unwrap();
        conn
    }

    /// Where the server notes its process.
    fn pid(&self) -> u32 {
        let socket = self.server.split("unix_socket=").nth(1).expect("the server of scripts/with-database");
        let file = std::path::Path::new(socket).with_file_name("pid");
        std::fs::read_to_string(file).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        let mut conn = MysqlConnection::establish(&self.server).unwrap();
        conn.batch_execute(&format!("DROP DATABASE {}", self.name)).unwrap();
    }
}

fn main() {
    let about = "the tobacco pack, 12 months of totals a customer, two connections, commits of 500 customers; the floor is the database alone";
    let mut report = Report::new("run", about);
    let sizes = std::env::var("BAREMO_BENCH_CUSTOMERS").unwrap_or_else(|_| SIZES.to_owned());
    for size in sizes.split(',') {
        measure(&mut report, size.trim().parse().expect("a number of customers"));
    }
    report.print();
}

fn measure(report: &mut Report, customers: u32) {
    let base = Base::new(format!("run_{customers}"));
    let seconds = making::make(&base, customers);
    report.figure(format!("{customers} customers made"), seconds, "s");
    let service = Service::start(&base);
    let floor = Floor::new(&base);
    for (name, body, first) in [("first run", "{}", true), ("repeat", "{}", false)] {
        let (run, usage) = service.run(body);
        assert_eq!(run["assessed"], customers, "{run}");
        assert_eq!(run["failed"], 0, "{run}");
        let ground = floor.measure(first);
        assert_eq!(ground.customers, u64::from(customers));
        add(report, &format!("{customers}, {name}"), customers, &usage, &ground.usage);
    }
    let (run, usage) = service.run("{\"renew_cohort\": true}");
    assert_eq!(run["assessed"], customers, "{run}");
    report.figure(format!("{customers}, new statistics first: wall"), micros(usage.wall, customers), "µs a customer");
    report.figure(format!("{customers}: peak memory of the service"), service.peak_megabytes(), "MB");
}

fn add(report: &mut Report, name: &str, customers: u32, run: &Usage, floor: &Usage) {
    let of = |seconds: f64| micros(seconds, customers);
    report.against(format!("{name}: wall"), of(run.wall), "µs a customer", "floor", of(floor.wall));
    report.figure(format!("{name}: customers a second"), f64::from(customers) / run.wall, "1/s");
    report.against(format!("{name}: CPU of the client"), of(run.client), "µs a customer", "floor", of(floor.client));
    report.against(format!("{name}: CPU of the server"), of(run.server), "µs a customer", "floor", of(floor.server));
}

fn micros(seconds: f64, customers: u32) -> f64 {
    seconds * 1e6 / f64::from(customers)
}
