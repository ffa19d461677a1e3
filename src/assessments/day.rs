//! The turn of the day: the business date moves on, never past the day of a closing before everybody has passed that closing.

use jiff::Timestamp;
use jiff::civil::Date;

use super::model::{PlannedClosing, Progress, Run, RunCause, RunStatus};
use super::{run, schedule, store};
use crate::Id;
use crate::db::{Conn, transaction};
use crate::releases::active::{Active, InForce};
use crate::releases::model::ClosingCause;
use crate::releases::{self, start};

/// Follows the basis of the database, and moves its date on by one step towards the one that is wanted: `setting`, or the
/// deployment's, or today. Also notes a change of the catalogue that metrics read.
pub fn follow(conn: &mut Conn, in_force: &InForce, setting: Option<Date>) -> Result<(), start::Error> {
    in_force.refresh(conn)?;
    let Some(active) = in_force.get() else { return Ok(()) };
    let Some(deployment) = releases::store::deployment(conn)? else { return Ok(()) };
    let wanted = start::business_date(setting, Some(&deployment), &active.release);
    let basis = &active.basis;
    let moved = if deployment.catalogue_seq != basis.catalogue_seq && active.release.pack.definitions.read_categories()
    {
        let next = basis.changed(|next| next.catalogue_seq = deployment.catalogue_seq);
        start::put_in_force(conn, &next)
    } else if wanted < basis.business_date {
        // Whatever was decided looked at days that are to come: everybody is assessed anew.
        start::put_in_force(conn, &basis.changed(|next| next.business_date = wanted))
    } else if wanted > basis.business_date && !is_held(conn, &active)? {
        step(conn, &active, wanted)
    } else {
        return Ok(());
    };
    match moved {
        Ok(()) | Err(start::Error::Overtaken) => Ok(in_force.refresh(conn)?),
        Err(error) => Err(error),
    }
}

/// Whether a closing has still to be prepared, or somebody to pass one.
fn is_held(conn: &mut Conn, active: &Active) -> Result<bool, start::Error> {
    if store::open_runs(conn)?.iter().any(|run| run.closing.is_some() && run.is_preparing()) {
        return Ok(true);
    }
    Ok(match releases::store::open_closing(conn)? {
        Some(_) => true,
        None => {
            let last = releases::store::closings_to(conn, active.basis.number, 1)?.pop().map(|last| last.basis);
            match last {
                Some(last) => store::has_closing_due(conn, active.basis.business_date, last)?,
                None => false,
            }
        }
    })
}

/// To the date, or to the first closing on the way.
fn step(conn: &mut Conn, active: &Active, wanted: Date) -> Result<(), start::Error> {
    let pack = &active.release.pack;
    let closing = schedule::next(&schedule::cadences(pack), pack.closes_after, active.basis.business_date);
    transaction(conn, |conn| match closing.as_ref().filter(|closing| closing.day <= wanted) {
        None => start::put_in_force(conn, &active.basis.on(wanted)),
        Some(closing) => {
            let basis = active.basis.on(closing.day);
            start::put_in_force(conn, &basis)?;
            let run = Run {
                id: Id::new(),
                cause: RunCause::Closing,
                closing: Some(PlannedClosing { cause: ClosingCause::Schedule, periods: closing.periods.clone() }),
                failed_of: None,
                basis: basis.number,
                status: RunStatus::Preparing,
                total: store::count_active(conn)?,
                created_at: Timestamp::now(),
                finished_at: None,
                progress: Progress::default(),
            };
            Ok(run::open(conn, &run)?)
        }
    })
}
