//! Full runs: starting and cancelling them, computing their cohort, and taking their shards one after the other.

use std::sync::Arc;

use jiff::Timestamp;

use super::model::{Owner, PlannedClosing, Progress, Run, RunCause, RunStatus};
use super::store::{self, Lease};
use super::{cohort, comparison, drift, schedule, shadow, shard};
use crate::Id;
use crate::db::id::SHARDS;
use crate::db::{self, Conn, Db, Failure, transaction};
use crate::events::model::{Content, Event, EventKind};
use crate::events::store as event_store;
use crate::faults::Fault;
use crate::policy::pack::Cadence;
use crate::releases::active::{Active, InForce};
use crate::releases::model::{Closing, ClosingCause};
use crate::releases::{self, start};

/// The step before the shards: computing the cohort.
const COHORT_STEP: u8 = SHARDS;

/// Why a run can't be started, cancelled or worked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another one is open.
    #[error("the run {0} is still open; wait for its end or cancel it")]
    Open(Id),
    /// What it is to repeat isn't there.
    #[error("the request has faults")]
    Invalid(Vec<Fault>),
    /// There is none of this id.
    #[error("there is no such run")]
    NotFound,
    /// The release is the one in force: there is nothing to compare it with.
    #[error("the release is in force; another one is compared with it")]
    InForce,
    /// The release wasn't checked.
    #[error("the release is a draft; it has to be checked before it decides about customers")]
    Draft,
    /// Another release decides in the shadow.
    #[error("a release decides in the shadow of the one in force already; end that first")]
    Shadowed,
    /// It has ended.
    #[error("it has ended already")]
    Ended,
    /// It follows a basis or a closing.
    #[error("the run follows a new basis or a closing, without which nobody would know what is in force")]
    Needed,
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

/// What a run is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To assess everybody by the statistics of the basis.
    Assess,
    /// To compute the statistics of the population anew first.
    RenewCohort,
    /// To close all policies that have a cadence, with new statistics.
    Close,
    /// To assess again, by the statistics of the basis, those for whom a run failed.
    Repeat(Id),
}

/// Starts a run over all active customers, or over those for whom another one failed.
pub fn create(conn: &mut Conn, active: &Active, purpose: Purpose) -> Result<Run, Error> {
    transaction(conn, |conn| {
        if let Some(open) = store::open_runs(conn)?.into_iter().find(store::OpenRun::assesses) {
            return Err(Error::Open(open.id));
        }
        let failed_of = if let Purpose::Repeat(of) = purpose { Some(of) } else { None };
        if let Some(of) = failed_of
            && store::run_status(conn, of)?.is_none()
        {
            let detail = format!("there is no run {of}");
            return Err(Error::Invalid(vec![Fault::new("/failed_of", "unknown_run", detail)]));
        }
        let by_basis = matches!(purpose, Purpose::Assess | Purpose::Repeat(_));
        let ended = |cadence| (cadence, schedule::last_ended(cadence, active.basis.business_date));
        let closing = (purpose == Purpose::Close).then(|| PlannedClosing {
            cause: ClosingCause::Command,
            periods: schedule::cadences(&active.release.pack).into_iter().map(ended).collect(),
        });
        let run = Run {
            cause: if purpose == Purpose::Close { RunCause::Closing } else { RunCause::Command },
            closing,
            status: if by_basis { RunStatus::Running } else { RunStatus::Preparing },
            ..new(conn, active, failed_of)?
        };
        open(conn, &run)?;
        Ok(run)
    })
}

/// Sees to it that a run follows the rules in force, if nobody has started one yet. The first rules of a base find nobody who was
/// assessed by others. Whether it has started one.
pub fn follow(conn: &mut Conn, active: &Active) -> Result<bool, Error> {
    if active.basis.rules == 1 || store::is_followed(conn, active.basis.rules)? {
        return Ok(false);
    }
    transaction(conn, |conn| {
        releases::store::lock_basis(conn, active.basis.number)?;
        if store::is_followed(conn, active.basis.rules)? {
            return Ok(false);
        }
        let run = new(conn, active, None)?;
        open(conn, &run)?;
        Ok(true)
    })
}

/// A run over all active customers, or over those for whom another one failed, that is still to be opened.
pub fn new(conn: &mut Conn, active: &Active, failed_of: Option<Id>) -> Result<Run, db::Error> {
    let total = match failed_of {
        Some(of) => store::count_failed(conn, of)?,
        None => store::count_active(conn)?,
    };
    Ok(Run {
        id: Id::new(),
        cause: RunCause::Basis,
        closing: None,
        failed_of,
        basis: active.basis.number,
        status: RunStatus::Running,
        total,
        created_at: Timestamp::now(),
        finished_at: None,
        progress: Progress::default(),
    })
}

/// Opens a run for the workers; the caller has the transaction.
pub fn open(conn: &mut Conn, run: &Run) -> Result<(), db::Error> {
    let shards = match run.failed_of {
        Some(of) => store::failed_shards(conn, of)?,
        None if run.status == RunStatus::Preparing => vec![COHORT_STEP],
        None => store::inhabited_shards(conn)?,
    };
    store::insert_run(conn, run, shards.into_iter())
}

/// Cancels an open run. What it has written stays.
pub fn cancel(conn: &mut Conn, id: Id) -> Result<Run, Error> {
    transaction(conn, |conn| cancel_in(conn, id))
}

/// The same where the caller has the transaction.
pub fn cancel_in(conn: &mut Conn, id: Id) -> Result<Run, Error> {
    match store::lock_run(conn, id)? {
        None => return Err(Error::NotFound),
        Some((status, _)) if !status.is_open() => return Err(Error::Ended),
        Some((_, RunCause::Basis | RunCause::Closing)) => return Err(Error::Needed),
        Some(_) => {
            store::set_run(conn, id, RunStatus::Cancelled, None)?;
            store::delete_tallies(conn, id)?;
        }
    }
    store::run(conn, id)?.ok_or(Error::NotFound)
}

/// Works on one free shard of an open run until it is finished, lost, or `stop` says so. False when there was nothing to do.
pub fn work(db: &Db, in_force: &InForce, owner: Owner, stop: &dyn Fn() -> bool) -> Result<bool, Error> {
    db.run_here(|conn| {
        for run in store::open_runs(conn)? {
            let lease = transaction(conn, |conn| store::claim_shard(conn, run.id, owner))?;
            if let Some(lease) = &lease {
                let _entered = tracing::info_span!("run", run = %run.id, shard = lease.shard).entered();
                work_on(conn, db, in_force, &run, lease, stop)?;
            }
            if store::is_done(conn, run.id)? {
                match run.cause {
                    RunCause::Comparison => {
                        let active = state(conn, in_force, run.basis)?;
                        comparison::finish(conn, in_force, active, run.id)?;
                    }
                    RunCause::Shadow => {
                        let date = state(conn, in_force, run.basis)?.basis.business_date;
                        shadow::finish(conn, run.id, date)?;
                    }
                    RunCause::Command | RunCause::Basis | RunCause::Closing => finish(conn, in_force, run.id)?,
                }
            }
            if lease.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

/// Works on a shard of a run.
fn work_on(
    conn: &mut Conn,
    db: &Db,
    in_force: &InForce,
    run: &store::OpenRun,
    lease: &Lease,
    stop: &dyn Fn() -> bool,
) -> Result<(), Error> {
    if let (true, RunStatus::Preparing, Some(active)) = (run.cause.assesses(), run.status, in_force.get()) {
        return prepare(conn, db, in_force, active, lease, run.closing.clone());
    }
    let active = state(conn, in_force, run.basis)?;
    match (run.cause, run.status) {
        (RunCause::Comparison, RunStatus::Preparing) => comparison::prepare(conn, db, in_force, &active, lease),
        (RunCause::Comparison, _) => comparison::work(conn, in_force, active, lease.clone(), stop),
        (RunCause::Shadow, RunStatus::Preparing) => shadow::prepare(conn, db, in_force, &active, lease),
        (RunCause::Shadow, _) => shadow::work(conn, in_force, active, lease.clone(), stop),
        (RunCause::Command | RunCause::Basis | RunCause::Closing, _) => {
            Ok(shard::work(conn, active, lease.clone(), run.failed_of, stop)?)
        }
    }
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

/// Ends a run when its last shard is finished, and with it the closings that everybody has passed by then.
fn finish(conn: &mut Conn, in_force: &InForce, run_id: Id) -> Result<(), Error> {
    let run = store::run(conn, run_id)?.ok_or(Error::NotFound)?;
    let found = match run.failed_of {
        Some(_) => None,
        None => match drift::found(conn, in_force, &run) {
            // Closings wait for the end of a run, which nothing that is told beside may hold up.
            Err(error @ db::Error::Corrupt(_)) => {
                tracing::warn!(run = %run_id, %error, "how the run's customers are distributed can't be read");
                None
            }
            found => found?,
        },
    };
    transaction(conn, |conn| {
        let is_last = store::is_done(conn, run_id)?
            && store::lock_run(conn, run_id)?.is_some_and(|(status, _)| status == RunStatus::Running);
        if !is_last {
            return Ok(());
        }
        store::set_run(conn, run_id, RunStatus::Finished, None)?;
        store::delete_tallies(conn, run_id)?;
        if let Some((distribution, drift)) = &found {
            store::insert_distribution(conn, run_id, drift.compared_with, distribution)?;
            if let Some(event) = drift::event(run_id, drift) {
                tracing::warn!(run = %run_id, alarms = event.content.alarms.len(), "outcomes are distributed otherwise than in the run before");
                event_store::append(conn, &[event])?;
            }
        }
        let Progress { assessed, failed, .. } = run.progress;
        tracing::info!(run = %run_id, assessed, failed, "a run is finished");
        let current = releases::store::current_basis(conn)?;
        let has_met_all = run.failed_of.is_none() && current.is_some_and(|current| run.basis >= current.rules);
        if has_met_all && releases::store::open_closing(conn)?.is_some() {
            releases::store::finish_closings(conn)?;
            let content = Content { basis: Some(run.basis), ..Content::default() };
            event_store::append(conn, &[Event::new(EventKind::ClosingFinished, None, content)])?;
        }
        Ok(())
    })
}

/// Computes the cohort in one consistent snapshot, puts it in force, with the closing if there is one, and opens the shards.
fn prepare(
    conn: &mut Conn,
    db: &Db,
    in_force: &InForce,
    active: Arc<Active>,
    lease: &Lease,
    closing: Option<PlannedClosing>,
) -> Result<(), Error> {
    let every = lease.owner.sign_of_life();
    let cohort =
        cohort::compute(conn, &active, every, &mut || db.run_here(|conn| store::keep_shard(conn, lease)).map(|_| ()))?;
    let prepared = transaction(conn, |conn| {
        let is_ours = store::lock_run(conn, lease.run_id)?.is_some_and(|(status, _)| status == RunStatus::Preparing)
            && store::advance_shard(conn, lease, true)?;
        if !is_ours {
            return Ok(());
        }
        let digest = releases::store::keep_cohort(conn, &cohort)?;
        let basis = if closing.is_none() && active.basis.cohort == digest {
            active.basis.number
        } else {
            let next = active.basis.changed(|next| next.cohort = digest);
            start::put_in_force(conn, &next)?;
            if let Some(planned) = &closing {
                close(conn, &active, next.number, planned, lease.run_id)?;
            }
            next.number
        };
        Ok(open_shards(conn, lease.run_id, Some(basis))?)
    });
    match prepared {
        // The cohort is of a basis that is no longer current: it is computed again for the one that is.
        Err(Error::Basis(start::Error::Overtaken)) => {
            in_force.refresh(conn)?;
            Ok(store::release_shard(conn, lease)?)
        }
        result => result.and_then(|()| Ok(in_force.refresh(conn)?)),
    }
}

/// Opens the shards of a run that assesses nobody, with what `keep` writes in the same transaction; nothing where the lease is another's.
pub fn prepared(
    conn: &mut Conn,
    lease: &Lease,
    keep: impl Fn(&mut Conn) -> Result<(), db::Error>,
) -> Result<(), Error> {
    transaction(conn, |conn| {
        let is_ours = store::lock_run(conn, lease.run_id)?.is_some_and(|(status, _)| status == RunStatus::Preparing)
            && store::advance_shard(conn, lease, true)?;
        if is_ours {
            keep(conn)?;
            open_shards(conn, lease.run_id, None)?;
        }
        Ok(())
    })
}

/// Opens the shards of a run whose cohort is computed, on a basis if it is another one; the caller has the transaction.
pub fn open_shards(conn: &mut Conn, run_id: Id, basis: Option<i64>) -> Result<(), db::Error> {
    store::delete_shard(conn, run_id, COHORT_STEP)?;
    let shards = store::inhabited_shards(conn)?;
    store::insert_shards(conn, run_id, shards.into_iter())?;
    store::set_run(conn, run_id, RunStatus::Running, basis)
}

/// Enters a closing that comes into force with a basis.
fn close(conn: &mut Conn, active: &Active, basis: i64, planned: &PlannedClosing, run_id: Id) -> Result<(), Error> {
    let closed_on = |(id, cadence): (&String, Cadence)| Some((id.clone(), *planned.periods.get(&cadence)?));
    let closing = Closing {
        basis,
        cause: planned.cause,
        policies: active.release.pack.closed_policies().filter_map(closed_on).collect(),
        run_id: Some(run_id),
        created_at: Timestamp::now(),
        finished_at: None,
    };
    Ok(start::enter_closing(conn, &closing)?)
}
