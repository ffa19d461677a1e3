//! The work on customers who are due: those whose inputs have changed, and those for whom time alone has. Shard by shard, under
//! leases that any process may take over.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;

use super::assess::Assessor;
use super::model::Owner;
use super::store::{self, DueLease};
use super::write::{leave, write};
use crate::Id;
use crate::customers::store::subjects::DUE_NOW;
use crate::db::{self, Conn, Db, Subjects, transaction};
use crate::releases::active::{Active, InForce};

/// Customers who are read, assessed and written together; few, so that nobody waits long.
const PAGE: i64 = 100;
/// Shards that somebody is due in from which on a shard rests after it was worked on: so that under load customers are assessed together.
const BUSY: usize = 16;

/// Assesses the customers of one free shard who are due. False when there was nothing to do.
pub fn work(db: &Db, in_force: &InForce, owner: Owner, stop: &dyn Fn() -> bool) -> Result<bool, db::Error> {
    let Some(active) = in_force.get() else { return Ok(false) };
    db.run_here(|conn| {
        let Some(until) = due_until(conn, &active)? else { return Ok(false) };
        let shards = store::due_shards(conn, until)?;
        if shards.is_empty() {
            return Ok(false);
        }
        let Some(lease) = transaction(conn, |conn| store::claim_due_shard(conn, &shards, owner))? else {
            return Ok(false);
        };
        let _entered = tracing::info_span!("due", shard = lease.shard).entered();
        while !stop() && work_page(conn, &active, until, lease)? {}
        store::release_due_shard(conn, lease, shards.len() >= BUSY)?;
        Ok(true)
    })
}

/// Up to which day customers are worked on who are due. Whom time alone has made due is left to a run that is coming to everybody;
/// and nobody is worked on while statistics are being computed that policies need and have never had.
fn due_until(conn: &mut Conn, active: &Active) -> Result<Option<Date>, db::Error> {
    let mut runs = store::open_runs(conn)?;
    runs.retain(store::OpenRun::assesses);
    let is_known = |id: &String| active.cohort.cohorts.contains_key(id);
    if !active.release.pack.cohorts.keys().all(is_known) && runs.iter().any(store::OpenRun::is_preparing) {
        return Ok(None);
    }
    let mut to_all = runs.iter().filter(|run| run.failed_of.is_none());
    let comes = to_all.any(|run| (run.is_preparing() && run.closing.is_some()) || run.basis >= active.basis.rules);
    Ok(Some(if comes { DUE_NOW } else { active.basis.business_date }))
}

/// Assesses a page. Whether there may be another one: who was overtaken is left for the next time.
fn work_page(conn: &mut Conn, active: &Arc<Active>, until: Date, lease: DueLease) -> Result<bool, db::Error> {
    let shard = lease.shard;
    let due = store::due_customers(conn, shard, until, PAGE)?;
    let count = due.len();
    let (active_ones, inactive): (Vec<_>, Vec<_>) = due.into_iter().partition(|customer| customer.is_active);
    let inactive: BTreeMap<Id, i64> = inactive.iter().map(|customer| (customer.id, customer.input_seq)).collect();
    let assessor = Assessor::new(conn, active.clone(), active.basis.business_date)?;
    let ids: Vec<Id> = active_ones.iter().map(|customer| customer.id).collect();
    let read = assessor.read(conn, Subjects::Listed(&ids), active_ones)?;
    let every = lease.owner.sign_of_life();
    let made = assessor.make_page(read, None, every, &mut || store::keep_due_shard(conn, lease))?;
    let Some(made) = made else { return Ok(false) };
    let written = transaction(conn, |conn| {
        if count == 0 || !store::keep_due_shard(conn, lease)? || !rules_hold(conn, active)? {
            return Ok(None);
        }
        leave(conn, &inactive)?;
        write(conn, &assessor, Subjects::Listed(&ids), &made).map(Some)
    })?;
    if let Some(written) = written {
        written.count(made.len(), "due");
    }
    Ok(written.is_some() && i64::try_from(count).is_ok_and(|count| count == PAGE))
}

/// Due work writes no history: under other rules it waits for the new state.
fn rules_hold(conn: &mut Conn, active: &Active) -> Result<bool, db::Error> {
    Ok(crate::releases::store::current_basis(conn)?.is_some_and(|current| current.rules == active.basis.rules))
}
