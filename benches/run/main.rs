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
use report::{Report, median};
use serde_json::json;
use service::{Service, Usage};

const SIZES: &str = "10000,100000,1000000";
/// How often a run is repeated, but of a large base once.
const REPEATS: usize = 3;
const LARGE: u32 = 100_000;

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
    let measured = |first: bool| {
        let (run, usage) = service.run("{}");
        assert_eq!((&run["assessed"], &run["failed"]), (&json!(customers), &json!(0)), "{run}");
        let ground = floor.measure(first);
        assert_eq!(ground.customers, u64::from(customers));
        (usage, ground.usage)
    };
    add(report, &format!("{customers}, first run"), customers, &[measured(true)]);
    let repeats = if customers > LARGE { 1 } else { REPEATS };
    let repeated: Vec<_> = (0..repeats).map(|_| measured(false)).collect();
    add(report, &format!("{customers}, repeat"), customers, &repeated);
    let (of_rows, of_subjects): (Vec<_>, Vec<_>) = (0..repeats)
        .map(|_| {
            let (result, usage) = service.compare();
            assert_eq!(result["customers"], customers, "{result}");
            let (rows, subjects) = (floor.read(), floor.subjects());
            assert_eq!([rows.customers, subjects.customers], [u64::from(customers); 2]);
            ((usage, rows.usage), (usage, subjects.usage))
        })
        .unzip();
    let name = format!("{customers}, comparison with one threshold changed");
    add(report, &format!("{name}; the floor reads rows"), customers, &of_rows);
    add(report, &format!("{name}; the floor reads fields and metrics"), customers, &of_subjects);
    let share = format!("{}%", (1_000_000.0 / f64::from(customers)).min(100.0));
    let (said, seconds) = service.replay(&base, &share);
    report.figure(format!("{customers}, replay: {said}"), seconds, "s");
    let (run, usage) = service.run("{\"renew_cohort\": true}");
    assert_eq!(run["assessed"], customers, "{run}");
    report.figure(format!("{customers}, new statistics first: wall"), micros(usage.wall, customers), "µs a customer");
    report.figure(format!("{customers}: peak memory of the service"), service.peak_megabytes(), "MB");
}

/// Adds the medians of runs with the floor of each.
fn add(report: &mut Report, name: &str, customers: u32, measured: &[(Usage, Usage)]) {
    let of = |seconds: fn(&Usage) -> f64| {
        let middle = |values: Vec<f64>| micros(median(values), customers);
        let (runs, floors) = measured.iter().map(|(run, floor)| (seconds(run), seconds(floor))).unzip();
        (middle(runs), middle(floors))
    };
    let (wall, floor) = of(|usage| usage.wall);
    report.against(format!("{name}: wall"), wall, "µs a customer", "floor", floor);
    report.figure(format!("{name}: customers a second"), 1e6 / wall, "1/s");
    let (client, floor) = of(|usage| usage.client);
    report.against(format!("{name}: CPU of the client"), client, "µs a customer", "floor", floor);
    let (server, floor) = of(|usage| usage.server);
    report.against(format!("{name}: CPU of the server"), server, "µs a customer", "floor", floor);
}

fn micros(seconds: f64, customers: u32) -> f64 {
    seconds * 1e6 / f64::from(customers)
}
