//! Full runs: starting and cancelling them, computing their cohort, and taking their shards one after the other.

use std::sync::Arc;

use jiff::Timestamp;

use super::assess::Assessor;
use super::model::{Progress, Run, RunStatus};
use super::shard;
use super::store::{self, Lease};
use crate::Id;
use crate::db::id::SHARDS;
use crate::db::{self, Conn, Db, Failure, snapshot, transaction};
use crate::policy::cohorts::CohortBuilder;
use crate::releases::active::{Active, InForce};
use crate::releases::{self, start};

/// The step before the shards: computing the cohort.
const COHORT_STEP: u8 = SHARDS;

/// Why a run can't be started, cancelled or worked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another one is open.
    #[error("the run {0} is still open; wait for its end or cancel it")]
    Open(Id),
    /// There is none of this id.
    #[error("there is no such run")]
    NotFound,
    /// It has ended.
    #[error("the run has ended")]
    Ended,
    /// Another process put another basis in force at the same time.
    #[error(transparent)]
    Basis(#[from] start::Error),
    /// The database.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        match self {
            Self::Database(error) | Self::Basis(start::Error::Database(error)) => Some(error),
            _ => None,
        }
    }
}

/// Starts a run over all active customers; with `renew_cohort` their statistics are computed anew first.
pub fn create(conn: &mut Conn, active: &Active, renew_cohort: bool) -> Result<Run, Error> {
    transaction(conn, |conn| {
        if let Some((open, ..)) = store::open_runs(conn)?.first() {
            return Err(Error::Open(*open));
        }
        let run = Run {
            id: Id::new(),
            basis: active.basis.number,
            status: if renew_cohort { RunStatus::Preparing } else { RunStatus::Running },
            total: store::count_active(conn)?,
            created_at: Timestamp::now(),
            finished_at: None,
            progress: Progress::default(),
        };
        let shards = if renew_cohort { COHORT_STEP..COHORT_STEP + 1 } else { 0..SHARDS };
        store::insert_run(conn, &run, shards)?;
        Ok(run)
    })
}

/// Cancels an open run. What it has written stays.
pub fn cancel(conn: &mut Conn, id: Id) -> Result<Run, Error> {
    transaction(conn, |conn| {
        match store::lock_run(conn, id)? {
            None => return Err(Error::NotFound),
            Some(status) if !status.is_open() => return Err(Error::Ended),
            Some(_) => store::set_run(conn, id, RunStatus::Cancelled, None)?,
        }
        store::run(conn, id)?.ok_or(Error::NotFound)
    })
}

/// Works on one free shard of an open run until it is finished, lost, or `stop` says so. False when there was nothing to do.
pub fn work(db: &Db, in_force: &InForce, owner: Id, stop: &dyn Fn() -> bool) -> Result<bool, Error> {
    db.run_here(|conn| {
        for (run_id, status, basis) in store::open_runs(conn)? {
            if let Some(lease) = transaction(conn, |conn| store::claim_shard(conn, run_id, owner))? {
                match (status, in_force.get()) {
                    (RunStatus::Preparing, Some(active)) => prepare(conn, db, in_force, active, &lease)?,
                    _ => {
                        let active = state(conn, in_force, basis)?;
                        shard::work(conn, active, lease, stop)?;
                    }
                }
                finish(conn, run_id)?;
                return Ok(true);
            }
            finish(conn, run_id)?;
        }
        Ok(false)
    })
}

/// The state that a run rests on, in force or not.
fn state(conn: &mut Conn, in_force: &InForce, basis: i64) -> Result<Arc<Active>, db::Error> {
    if let Some(active) = in_force.get().filter(|active| active.basis.number == basis) {
        return Ok(active);
    }
    let basis = releases::store::basis(conn, basis)?
        .ok_or_else(|| db::Error::Corrupt(format!("the basis {basis} is missing")))?;
    in_force.state(conn, basis).map(Arc::new)
}

/// Ends a run when its last shard is finished.
fn finish(conn: &mut Conn, run_id: Id) -> Result<(), Error> {
    transaction(conn, |conn| {
        if store::is_done(conn, run_id)? && store::lock_run(conn, run_id)? == Some(RunStatus::Running) {
            store::set_run(conn, run_id, RunStatus::Finished, None)?;
            tracing::info!(run = %run_id, "a run is finished");
        }
        Ok(())
    })
}

/// Computes the cohort in one consistent snapshot, puts it in force and opens the shards.
fn prepare(conn: &mut Conn, db: &Db, in_force: &InForce, active: Arc<Active>, lease: &Lease) -> Result<(), Error> {
    let as_of = active.basis.business_date;
    let assessor = Assessor::new(conn, active, as_of)?;
    let cohort = snapshot(conn, |conn| {
        let mut builder = CohortBuilder::new(&assessor.active().release.pack);
        for shard in 0..SHARDS {
            let mut after = Id::NIL;
            loop {
                let page = assessor.page(conn, shard, after)?;
                let Some((last, _)) = page.last() else { break };
                after = *last;
                page.iter().for_each(|(_, subject)| builder.add(&subject.values));
            }
            db.run_here(|conn| store::advance_shard(conn, lease, false))?;
        }
        Ok::<_, db::Error>(builder.finish())
    })?;
    let prepared = transaction(conn, |conn| {
        if store::lock_run(conn, lease.run_id)? != Some(RunStatus::Preparing)
            || !store::advance_shard(conn, lease, true)?
        {
            return Ok(());
        }
        let digest = releases::store::keep_cohort(conn, &cohort)?;
        let current = &assessor.active().basis;
        let basis = releases::model::Basis { number: current.number + 1, cohort: digest, ..current.clone() };
        let number = if current.cohort == digest {
            current.number
        } else {
            start::put_in_force(conn, &basis)?;
            basis.number
        };
        store::delete_shard(conn, lease.run_id, COHORT_STEP)?;
        store::insert_shards(conn, lease.run_id, 0..SHARDS)?;
        store::set_run(conn, lease.run_id, RunStatus::Running, Some(number))?;
        Ok(())
    });
    match prepared {
        // The cohort is of a basis that is no longer current: it is computed again for the one that is.
        Err(Error::Basis(start::Error::Overtaken)) => Ok(store::release_shard(conn, lease)?),
        result => result.and_then(|()| Ok(in_force.refresh(conn)?)),
    }
}
