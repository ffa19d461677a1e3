//! The floor of a run: what the database takes to give all rows that a run reads, and to copy all rows that it wrote, inside the
//! server, into tables like those they stand in, page by page, with as many connections and commits as the run has. And reading alone:
//! of these rows, or of customers as policies see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;

use baremo::Id;
use baremo::assessments::assess::Assessor;
use baremo::assessments::store::{customers_page, stretch};
use baremo::db::id::SHARDS;
use baremo::db::schema::{customers, outcomes, subjects, totals};
use baremo::releases::active::{Active, InForce};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use crate::Base;
use crate::service::Usage;

/// Connections at work, and customers of a page, as a run has them.
const CONNECTIONS: usize = 2;
const PAGE: i64 = 500;

/// What was measured.
pub struct Ground {
    pub customers: u64,
    pub usage: Usage,
}

/// Measures floors on one base.
pub struct Floor<'a> {
    base: &'a Base,
}

type Subject = (Id, i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, i64);
type Outcome = (Id, String, String, Option<String>, jiff_diesel::Date, Id, jiff_diesel::NullableDate, Option<String>);

impl<'a> Floor<'a> {
    pub fn new(base: &'a Base) -> Self {
        Self { base }
    }

    /// Reads everything that a run reads, and copies what it wrote: a `first` one writes assessments, outcomes and events for everybody.
    pub fn measure(&self, first: bool) -> Ground {
        let written: &[&str] = if first { &["subjects", "assessments", "outcomes", "events"] } else { &["subjects"] };
        let mut conn = self.base.connect();
        for table in written {
            conn.batch_execute(&format!("DROP TABLE IF EXISTS floor_{table}; CREATE TABLE floor_{table} LIKE {table}"))
                .unwrap();
        }
        let ground = self.pass(&|conn, shard| shard_pass(conn, shard, written));
        for table in written {
            conn.batch_execute(&format!("DROP TABLE floor_{table}")).unwrap();
        }
        ground
    }

    /// Reads each row that a run over outcomes that stand reads, and writes nothing.
    pub fn read(&self) -> Ground {
        self.pass(&|conn, shard| shard_pass(conn, shard, &[]))
    }

    /// Reads everybody as a run does, and makes his fields and metrics of the rows: what comes before deciding.
    pub fn subjects(&self) -> Ground {
        let (in_force, mut conn) = (InForce::default(), self.base.connect());
        in_force.refresh(&mut conn).unwrap();
        let active = in_force.get().unwrap();
        self.pass(&|conn, shard| shard_subjects(conn, shard, active.clone()))
    }

    fn pass(&self, work: &(dyn Fn(&mut MysqlConnection, u8) -> u64 + Sync)) -> Ground {
        let (customers, usage) = Usage::of(std::process::id(), self.base.pid(), || self.shards(work));
        Ground { customers, usage }
    }

    fn shards(&self, work: &(dyn Fn(&mut MysqlConnection, u8) -> u64 + Sync)) -> u64 {
        let (next, customers) = (AtomicU8::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    let mut conn = self.base.connect();
                    loop {
                        let shard = next.fetch_add(1, Ordering::Relaxed);
                        if shard >= SHARDS {
                            break;
                        }
                        customers.fetch_add(work(&mut conn, shard), Ordering::Relaxed);
                    }
                });
            }
        });
        customers.into_inner()
    }
}

fn shard_pass(conn: &mut MysqlConnection, shard: u8, written: &[&str]) -> u64 {
    let (mut after, mut count) = (Id::NIL, 0);
    for page in 0.. {
        let Some(last) = read(conn, shard, after, !written.contains(&"outcomes"), &mut count) else { break };
        let within = format!("shard = {shard} AND customer_id > {} AND customer_id <= {}", hex(after), hex(last));
        let mut copies = String::from("START TRANSACTION;");
        for table in written {
            let rows = match *table {
                "events" => format!("shard = {shard} AND seq > {} AND seq <= {}", page * PAGE, (page + 1) * PAGE),
                _ => within.clone(),
            };
            copies += &format!("INSERT INTO floor_{table} SELECT * FROM {table} WHERE {rows};");
        }
        conn.batch_execute(&(copies + "COMMIT")).unwrap();
        after = last;
    }
    count
}

fn shard_subjects(conn: &mut MysqlConnection, shard: u8, active: Arc<Active>) -> u64 {
    let as_of = active.basis.business_date;
    let assessor = Assessor::new(conn, active, as_of).unwrap();
    let (mut after, mut count) = (Id::NIL, 0);
    loop {
        let page = customers_page(conn, shard, after, PAGE).unwrap();
        let Some(last) = page.last() else { return count };
        after = last.id;
        count += u64::try_from(page.len()).unwrap();
        let read = assessor.read(conn, stretch(&page), page).unwrap();
        assert!(read.iter().all(|one| one.subject.is_ok()));
    }
}

/// Reads a page: each row of each table that a run reads, once; a first run finds no outcomes. Gives the last customer's id.
fn read(conn: &mut MysqlConnection, shard: u8, after: Id, outcomes_too: bool, count: &mut u64) -> Option<Id> {
    let found: Vec<(Id, String, String, String)> = customers::table
        .filter(customers::shard.eq(shard).and(customers::id.gt(after)).and(customers::status.eq("active")))
        .order(customers::id)
        .limit(PAGE)
        .select((customers::id, customers::code, customers::profile, customers::status))
        .load(conn)
        .unwrap();
    let last = found.last()?.0;
    *count += u64::try_from(found.len()).unwrap();
    let _: Vec<Subject> = subjects::table
        .filter(subjects::shard.eq(shard).and(subjects::customer_id.gt(after)).and(subjects::customer_id.le(last)))
        .select((
            subjects::customer_id,
            subjects::input_seq,
            subjects::closed_to,
            subjects::assessment_id,
            subjects::digest,
            subjects::basis_number,
        ))
        .load(conn)
        .unwrap();
    let _: Vec<(Id, String, i16, String, String)> = totals::table
        .filter(totals::shard.eq(shard).and(totals::customer_id.gt(after)).and(totals::customer_id.le(last)))
        .select((totals::customer_id, totals::kind, totals::year, totals::months, totals::products))
        .load(conn)
        .unwrap();
    if outcomes_too {
        let _: Vec<Outcome> = outcomes::table
            .filter(outcomes::shard.eq(shard).and(outcomes::customer_id.gt(after)).and(outcomes::customer_id.le(last)))
            .select((
                outcomes::customer_id,
                outcomes::policy,
                outcomes::outcome,
                outcomes::flag,
                outcomes::since,
                outcomes::assessment_id,
                outcomes::closed_on,
                outcomes::provisional,
            ))
            .load(conn)
            .unwrap();
    }
    Some(last)
}

fn hex(id: Id) -> String {
    format!("x'{}'", id.uuid().simple())
}
