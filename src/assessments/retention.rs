//! Dropping old history: assessments of months that lie too far back go by the month, except those that something in force still
//! refers to, and so do old events, the failures of old runs and what shadows decided that have ended. Any number of processes may do it, at any time, and each may be cut off anywhere: every step
//! may be done twice, and that a month is gone is noted at last.
//!
//! What is in force is safe because a new reference is always made by a writer who holds the subject's lock, to an assessment
//! that was the customer's latest already or that he writes with the current month. Who held the lock before this did is seen.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::model::FAILURE_DAYS;
use super::store;
use crate::Id;
use crate::db::id::SHARDS;
use crate::db::{self, Db, transaction};
use crate::events::store as event_store;
use crate::transactions::model::Month;

/// Full months of history that are kept when nothing is set.
pub const DEFAULT_MONTHS: i16 = 36;
/// Most that can be: the month that is running, and some that are being dropped, need partitions of their own.
pub const MAX_MONTHS: i16 = store::PARTITIONS - 4;

/// Subjects that are looked at in one transaction.
const PAGE: i64 = 500;
/// Rows that are deleted in one transaction, where no partition can be dropped.
const PIECE: u32 = 1000;

/// Drops what lies more than `kept` full months before the month of a business date. False when `stop` said so first.
pub fn work(db: &Db, business_date: Date, kept: i16, stop: &dyn Fn() -> bool) -> Result<bool, db::Error> {
    let current = Month::of(business_date).number();
    let kept_from = current.saturating_sub(kept);
    let from = db.run_here(store::history_from)?;
    if from < kept_from {
        let months: Vec<i16> = (from..kept_from).collect();
        if !carry_forward(db, &months, current, stop)? {
            return Ok(false);
        }
        for month in months {
            drop_month(db, month)?;
        }
        db.run_here(|conn| store::note_history_from(conn, kept_from))?;
        tracing::info!(months = kept_from - from, "old history is dropped");
    }
    Ok(drop_failures(db, stop)? && drop_shadows(db, stop)? && drop_events(db, kept, stop)?)
}

/// Deletes failures of runs that were started too long ago.
fn drop_failures(db: &Db, stop: &dyn Fn() -> bool) -> Result<bool, db::Error> {
    let before = Timestamp::now() - Span::new().hours(24 * FAILURE_DAYS);
    while db.run_here(|conn| transaction(conn, |conn| store::delete_failures_before(conn, before, PIECE)))? {
        if stop() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Deletes what shadows that have ended decided about customers: what came of them is kept with the shadow.
fn drop_shadows(db: &Db, stop: &dyn Fn() -> bool) -> Result<bool, db::Error> {
    while db.run_here(|conn| transaction(conn, |conn| store::delete_shadowed(conn, PIECE)))? {
        if stop() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Gives the current month to everything in `months` that is still referred to.
fn carry_forward(db: &Db, months: &[i16], current: i16, stop: &dyn Fn() -> bool) -> Result<bool, db::Error> {
    // What a process of an older version wrote during its replacement has the month 0.
    let months: Vec<i16> = months.iter().copied().chain([0]).collect();
    for shard in 0..SHARDS {
        let mut after = Id::NIL;
        loop {
            if stop() {
                return Ok(false);
            }
            let last = db.run_here(|conn| {
                transaction(conn, |conn| {
                    let Some((last, ids)) = store::lock_references(conn, shard, after, PAGE)? else { return Ok(None) };
                    store::carry_forward(conn, &ids, &months, current)?;
                    Ok::<_, db::Error>(Some(last))
                })
            })?;
            let Some(last) = last else { break };
            after = last;
        }
    }
    Ok(true)
}

/// Drops a month, unless another process has done so. A partition that a later month uses too is emptied piece by piece.
fn drop_month(db: &Db, month: i16) -> Result<(), db::Error> {
    let shared = db.run_here(|conn| {
        transaction(conn, |conn| {
            if store::lock_history(conn)? > month {
                return Ok(false);
            }
            if month.saturating_add(store::PARTITIONS) <= store::last_month(conn)? {
                return Ok(true);
            }
            // On a connection of its own: the statement would end the transaction that keeps others away.
            db.run_here(|conn| store::drop_partition(conn, month)).map(|()| false)
        })
    })?;
    while shared && db.run_here(|conn| transaction(conn, |conn| store::delete_month(conn, month, PIECE)))? > 0 {}
    Ok(())
}

/// Deletes events that happened before the time that is kept.
fn drop_events(db: &Db, kept: i16, stop: &dyn Fn() -> bool) -> Result<bool, db::Error> {
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let Ok(before) = now.checked_sub(Span::new().months(kept)) else { return Ok(true) };
    let before = before.timestamp();
    for shard in event_store::ALL_SHARDS {
        while db.run_here(|conn| transaction(conn, |conn| event_store::delete_before(conn, shard, before)))? {
            if stop() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
