//! How totals are best read: one row for each customer and month, or one for each customer and year with the months inside.
//!
//! Makes 20,000 customers with twelve months of totals in both shapes, reads all of them by keyset pages of 500, and prints rows and
//! customers a second, and the ratio of the two shapes, of the same run. Needs `BAREMO_TEST_DATABASE_URL`: `make bench`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that can't go on has failed, and prints its figures"
)]

mod report;

use std::time::{Duration, Instant};

use baremo::Id;
use baremo::db::bulk::Insert;
use baremo::db::{self, Conn};
use diesel::prelude::*;
use diesel::sql_types::{Binary, Text};
use diesel::{QueryableByName, connection::SimpleConnection};
use report::{Report, median};

const CUSTOMERS: usize = 20_000;
const PAGE: usize = 500;
const ROUNDS: usize = 5;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Binary)]
    customer_id: Id,
    #[diesel(sql_type = Text)]
    content: String,
}

fn month(number: usize) -> serde_json::Value {
    let measure = |sum: usize| serde_json::json!({"sum": sum.to_string(), "count": 7, "min": "1", "max": "9"});
    serde_json::json!({"orders": 5, "lines": 7, "last_on": "2017-12-28",
        "measures": {"quantity": measure(number * 3), "amount": measure(number * 41), "discount": measure(number)}})
}

fn main() {
    let server = std::env::var("BAREMO_TEST_DATABASE_URL").expect("run this by `make bench`");
    let mut conn = Conn::establish(&server).unwrap();
    db::set_session(&mut conn).unwrap();
    let database = format!("bench_{}", Id::new().uuid().simple());
    conn.batch_execute(&format!("CREATE DATABASE {database}; USE {database}")).unwrap();
    let columns = "customer_id BINARY(16) NOT NULL, kind VARCHAR(64) NOT NULL, at SMALLINT NOT NULL, content LONGTEXT NOT NULL, \
                   PRIMARY KEY (customer_id, kind, at)";
    let engine = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin";
    for table in ["by_month", "by_year"] {
        conn.batch_execute(&format!("CREATE TABLE {table} ({columns}) {engine}")).unwrap();
    }
    let mut ids: Vec<Id> = (0..CUSTOMERS).map(|_| Id::new()).collect();
    ids.sort_unstable();
    for chunk in ids.chunks(PAGE) {
        let columns = ["customer_id", "kind", "at", "content"];
        let mut by_month = Insert::into("by_month", &columns, "");
        let mut by_year = Insert::into("by_year", &columns, "");
        for id in chunk {
            let months: Vec<serde_json::Value> = (1..=12).map(month).collect();
            for (number, content) in (1_i16..).zip(&months) {
                by_month.value(*id).value("order").value(number).value(content.to_string()).end_row();
            }
            let year: serde_json::Map<_, _> = (1..=12).map(|n: usize| (n.to_string(), month(n))).collect();
            by_year
                .value(*id)
                .value("order")
                .value(2017_i16)
                .value(serde_json::Value::from(year).to_string())
                .end_row();
        }
        by_month.execute(&mut conn).unwrap();
        by_year.execute(&mut conn).unwrap();
    }
    let (mut months, mut years, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (rows, month) = read(&mut conn, "by_month", &ids);
        assert_eq!(rows, CUSTOMERS * 12);
        let (rows, year) = read(&mut conn, "by_year", &ids);
        assert_eq!(rows, CUSTOMERS);
        months.push(micros(month));
        years.push(micros(year));
        ratios.push(month.as_secs_f64() / year.as_secs_f64());
    }
    let about = format!(
        "{CUSTOMERS} customers with 12 months of totals, pages of {PAGE}, median of {ROUNDS} rounds in turn, one connection"
    );
    let mut report = Report::new("totals", about);
    report.against("a row a month", median(months), "µs a customer", "a row a year", median(years));
    report.figure("a row a month ÷ a row a year, round by round", median(ratios), "ratio");
    report.print();
    conn.batch_execute(&format!("DROP DATABASE {database}")).unwrap();
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(u32::try_from(CUSTOMERS).unwrap())
}

/// Reads and parses everything, page by page; gives the number of rows and the time.
fn read(conn: &mut Conn, table: &str, ids: &[Id]) -> (usize, Duration) {
    let begin = Instant::now();
    let mut rows = 0;
    for page in ids.chunks(PAGE) {
        let (first, last) = (page.first().unwrap(), page.last().unwrap());
        let sql = format!(
            "SELECT customer_id, content FROM {table} WHERE customer_id BETWEEN ? AND ? ORDER BY customer_id, at"
        );
        let found: Vec<Row> =
            diesel::sql_query(sql).bind::<Binary, _>(first).bind::<Binary, _>(last).load(conn).unwrap();
        for row in &found {
            assert!(row.customer_id >= *first);
            let parsed: serde_json::Value = serde_json::from_str(&row.content).unwrap();
            assert!(parsed.is_object());
        }
        rows += found.len();
    }
    (rows, begin.elapsed())
}
