//! The work on customers who are due: those whose inputs have changed, and those for whom time alone has. Shard by shard, under
//! leases that any process may take over.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::assess::{Assessor, Made};
use super::store;
use super::write::{leave, write};
use crate::Id;
use crate::db::{self, Conn, Db, transaction};
use crate::releases::active::{Active, InForce};

/// Customers who are read, assessed and written together; few, so that nobody waits long.
const PAGE: i64 = 100;

/// Assesses the customers of one free shard who are due. False when there was nothing to do.
pub fn work(db: &Db, in_force: &InForce, owner: Id, stop: &dyn Fn() -> bool) -> Result<bool, db::Error> {
    let Some(active) = in_force.get() else { return Ok(false) };
    db.run_here(|conn| {
        let shards = store::due_shards(conn, active.basis.business_date)?;
        if shards.is_empty() || waits_for_cohort(conn, &active)? {
            return Ok(false);
        }
        let Some((shard, token)) = transaction(conn, |conn| store::claim_due_shard(conn, &shards, owner))? else {
            return Ok(false);
        };
        while !stop() && work_page(conn, &active, shard, token)? {}
        store::release_due_shard(conn, shard, token)?;
        Ok(true)
    })
}

/// Whether the population's statistics are being computed that policies need and have never had: whoever is due is assessed
/// by the run that follows.
fn waits_for_cohort(conn: &mut Conn, active: &Active) -> Result<bool, db::Error> {
    let is_known = |id: &String| active.cohort.cohorts.contains_key(id);
    Ok(!active.release.pack.cohorts.keys().all(is_known)
        && store::open_runs(conn)?.iter().any(store::OpenRun::is_preparing))
}

/// Assesses a page. Whether there may be another one: who was overtaken is left for the next time.
fn work_page(conn: &mut Conn, active: &Arc<Active>, shard: u8, token: i64) -> Result<bool, db::Error> {
    let as_of = active.basis.business_date;
    let due = store::due_customers(conn, shard, as_of, PAGE)?;
    let count = due.len();
    let (active_ones, inactive): (Vec<_>, Vec<_>) = due.into_iter().partition(|customer| customer.is_active);
    let inactive: BTreeMap<Id, i64> = inactive.iter().map(|customer| (customer.id, customer.input_seq)).collect();
    let assessor = Assessor::new(conn, active.clone(), as_of)?;
    let read = assessor.read(conn, shard, active_ones)?;
    let made: Vec<Made> = read.into_iter().map(|read| assessor.make(read, None)).collect::<Result<_, _>>()?;
    transaction(conn, |conn| {
        if count == 0 || !store::keep_due_shard(conn, shard, token)? || !rules_hold(conn, active)? {
            return Ok(false);
        }
        leave(conn, shard, &inactive)?;
        write(conn, &assessor, shard, &made)?;
        Ok(i64::try_from(count).is_ok_and(|count| count == PAGE))
    })
}

/// Due work writes no history: under other rules it waits for the new state.
fn rules_hold(conn: &mut Conn, active: &Active) -> Result<bool, db::Error> {
    Ok(crate::releases::store::current_basis(conn)?.is_some_and(|current| current.rules == active.basis.rules))
}
