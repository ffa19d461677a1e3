//! Making many customers at once: copies of the sample's stores, made inside the database, that nobody has assessed yet.

use std::thread;
use std::time::Instant;

use diesel::connection::SimpleConnection;

use crate::Base;
use crate::service::Service;

/// Customers of one statement.
const CHUNK: u32 = 10_000;
/// Connections that write at once.
const WRITERS: u32 = 2;

/// Id of the copy number `seq`: a UUID of version 7 that rises with it, with a last byte from which its shard follows.
const ID: &str =
    "UNHEX(CONCAT('0193', LPAD(HEX(seq), 8, '0'), '700080000000000000', LPAD(HEX(seq * 167 & 255), 2, '0')))";
const SHARD: &str = "seq * 167 & 63";

/// Fills a new base with this many customers, and gives the seconds that making them took.
pub fn make(base: &Base, customers: u32) -> f64 {
    drop(Service::start(base));
    let mut conn = base.connect();
    conn.batch_execute(
        "CREATE TABLE stores (PRIMARY KEY (number)) SELECT ROW_NUMBER() OVER (ORDER BY code) - 1 number, customers.* FROM customers;
         CREATE TABLE store_totals (KEY (customer_id)) SELECT * FROM totals;
         CREATE TABLE store_subjects (PRIMARY KEY (customer_id)) SELECT * FROM subjects;
         DELETE FROM customers; DELETE FROM totals; DELETE FROM subjects; DELETE FROM outcomes; DELETE FROM assessments;
         DELETE FROM events; DELETE FROM event_shards; DELETE FROM customer_values",
    )
    .unwrap();
    let begin = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let mut conn = base.connect();
            thread::spawn(move || {
                let starts = (0..customers.div_ceil(CHUNK)).filter(|chunk| chunk % WRITERS == writer);
                for start in starts.map(|chunk| chunk * CHUNK) {
                    conn.batch_execute(&copies(start, (start + CHUNK).min(customers) - 1)).unwrap();
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let seconds = begin.elapsed().as_secs_f64();
    conn.batch_execute("DROP TABLE stores, store_totals, store_subjects; ANALYZE TABLE customers, totals, subjects")
        .unwrap();
    seconds
}

fn copies(first: u32, last: u32) -> String {
    let of = format!("FROM seq_{first}_to_{last} JOIN stores ON number = seq % (SELECT COUNT(*) FROM stores)");
    format!(
        "INSERT INTO customers (shard, id, code, name, search, status, profile, version, created_at, updated_at)
         SELECT {SHARD}, {ID}, CONCAT('C', seq), name, LOWER(CONCAT('C', seq, '\\n', name)), status, profile, version, created_at, updated_at {of};
         INSERT INTO totals (shard, customer_id, kind, year, months, products)
         SELECT {SHARD}, {ID}, kind, year, months, products {of} JOIN store_totals ON customer_id = id WHERE year = 2017;
         INSERT INTO subjects (shard, customer_id, input_seq, closed_to, basis_number)
         SELECT {SHARD}, {ID}, input_seq, closed_to, 0 {of} JOIN store_subjects ON customer_id = id"
    )
}
