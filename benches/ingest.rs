//! Taking in order lines, from a CSV file and by batches over HTTP, beside the database's own `LOAD DATA` of the rows that come of it.

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

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use app::TestApp;
use load::{Client, count, request};
use report::{Report, median};
use serde_json::json;
use shops::Line;

const SHOPS: usize = 2_500;
const MONTHS: usize = 10;
/// Items of a batch over HTTP, and clients that send batches at the same time.
const BATCH: usize = 5_000;
const CLIENTS: usize = 2;
const ROUNDS: usize = 3;
/// What taking in writes, in the order in which it is loaded.
const TABLES: [(&str, &str, &[&str]); 3] = [
    ("transactions", "external_id", &["occurred_at", "revision"]),
    ("totals", "customer_id, kind, year", &[]),
    ("subjects", "customer_id", &["next_due_on", "assessment_id", "digest", "confirmed_at"]),
];

fn main() {
    let app = shops::service(SHOPS);
    // Assessing who is due is another benchmark's.
    app.state.workers.stop();
    let lines = shops::lines(SHOPS, MONTHS);
    let (folder, file) = shops::line_file(&lines);
    let batches: Vec<Vec<u8>> = lines
        .chunks(BATCH)
        .map(|chunk| {
            let body = json!({"items": chunk.iter().map(Line::item).collect::<Vec<_>>()}).to_string();
            request("POST", "/v1/transactions/batches", &app.token, &body)
        })
        .collect();
    let (mut by_csv, mut by_api, mut by_load) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        empty(&app);
        let (created, seconds) = shops::take_in(&app, &file);
        assert_eq!(usize::try_from(created), Ok(lines.len()));
        by_csv.push(count(lines.len()) / seconds);
        let from_file = sums(&app);
        by_load.push(count(lines.len()) / load_data(&app, folder.path()));
        empty(&app);
        by_api.push(count(lines.len()) / from_batches(&app, &batches));
        assert_eq!(sums(&app), from_file, "both ways give the same totals");
    }
    let about = format!(
        "{} order lines of {SHOPS} shops over {MONTHS} months by date; batches of {BATCH} from {CLIENTS} clients; median of {ROUNDS} rounds",
        lines.len()
    );
    let mut report = Report::new("ingest", about);
    let loaded = median(by_load.clone());
    report.against("CSV file", median(by_csv.clone()), "rows/s", "LOAD DATA", loaded);
    report.against("batches over HTTP", median(by_api.clone()), "rows/s", "LOAD DATA", loaded);
    let ratios = |rates: &[f64]| median(rates.iter().zip(&by_load).map(|(rate, load)| rate / load).collect());
    report.figure("CSV ÷ LOAD DATA, round by round", ratios(&by_csv), "ratio");
    report.figure("batches ÷ LOAD DATA, round by round", ratios(&by_api), "ratio");
    report.print();
}

/// Takes everything out that was taken in.
fn empty(app: &TestApp) {
    app.base.execute("TRUNCATE TABLE transactions");
    app.base.execute("TRUNCATE TABLE totals");
}

/// Sends the batches; gives the seconds.
fn from_batches(app: &TestApp, batches: &[Vec<u8>]) -> f64 {
    let (begun, next) = (Instant::now(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = Client::new(&app.address);
                while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (status, body) = client.send(batch);
                    assert_eq!(status, 207);
                    let refused = body.windows(9).any(|window| window == b"\"refused\"");
                    assert!(!refused, "{}", String::from_utf8_lossy(body));
                }
            });
        }
    });
    begun.elapsed().as_secs_f64()
}

/// What must be the same whichever way the lines came.
fn sums(app: &TestApp) -> String {
    let sql = "SELECT COUNT(*), SUM(CRC32(CONCAT(external_id, line_items, HEX(digest)))) FROM transactions; \
               SELECT COUNT(*), SUM(CRC32(CONCAT(HEX(customer_id), year, months, products))) FROM totals";
    let output = client(app).args(["--execute", sql]).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Loads what stands in the tables into empty tables like them, in the order of the lines; gives the seconds.
fn load_data(app: &TestApp, folder: &Path) -> f64 {
    let mut seconds = 0.0;
    for (table, order, nullable) in TABLES {
        let file = folder.join(table);
        let dump = format!("SELECT * FROM {table} ORDER BY {order}");
        let dumped = client(app).args(["--execute", &dump]).stdout(File::create(&file).unwrap()).status().unwrap();
        assert!(dumped.success());
        app.base.execute(&format!("CREATE OR REPLACE TABLE load_{table} LIKE {table}"));
        let columns = client(app).args(["--execute", &format!("SHOW COLUMNS FROM {table}")]).output().unwrap();
        let columns = String::from_utf8(columns.stdout).unwrap();
        let columns: Vec<&str> = columns.lines().map(|line| line.split('\t').next().unwrap()).collect();
        let is_nullable = |column: &&str| nullable.contains(column);
        let read: Vec<String> = columns
            .iter()
            .map(|column| if is_nullable(column) { format!("@{column}") } else { (*column).to_owned() })
            .collect();
        // The client writes an absent value as this word.
        let set: Vec<String> =
            columns.iter().filter(|c| is_nullable(c)).map(|c| format!("{c} = NULLIF(@{c}, 'NULL')")).collect();
        let set = if set.is_empty() { String::new() } else { format!("SET {}", set.join(",")) };
        let load = format!(
            "SET @begun = SYSDATE(6); \
             LOAD DATA LOCAL INFILE '{}' INTO TABLE load_{table} CHARACTER SET binary ({}) {set}; \
             SELECT TIMESTAMPDIFF(MICROSECOND, @begun, SYSDATE(6)), ROW_COUNT(); \
             CHECKSUM TABLE {table}, load_{table}",
            file.display(),
            read.join(",")
        );
        let output = client(app).args(["--local-infile=1", "--execute", &load]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        seconds += words[0].parse::<f64>().unwrap() / 1e6;
        assert_eq!(words[3], words[5], "{table} was loaded as it was: {text}");
    }
    seconds
}

/// The database's own client on the base, which prints rows as `LOAD DATA` reads them.
fn client(app: &TestApp) -> Command {
    let url = app.base.url();
    let (place, socket) = url.split_once("?unix_socket=").expect("the database listens on a socket");
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names", "--default-character-set=binary"]);
    command.arg(format!("--socket={socket}")).arg(place.rsplit('/').next().unwrap()).stdin(Stdio::null());
    command
}
