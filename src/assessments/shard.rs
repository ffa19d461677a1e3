//! The work on one shard of a run: page by page customers are read, assessed and written. A page and the shard's cursor commit
//! together, so that any process may take a shard over at any time.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::assess::{Assessor, Made, PAGE};
use super::distribution::Distribution;
use super::drift::Counting;
use super::model::RunStatus;
use super::store::{self, LeanCustomer, Lease};
use super::write::{Written, write};
use crate::Id;
use crate::db::{self, Conn, Subjects, transaction};
use crate::releases::active::Active;

/// Assesses the customers of a shard, or those for whom the run `failed_of` failed, until it is finished, another worker has it, the run is cancelled, or `stop` says so.
pub fn work(
    conn: &mut Conn,
    active: Arc<Active>,
    mut lease: Lease,
    failed_of: Option<Id>,
    stop: &dyn Fn() -> bool,
) -> Result<(), db::Error> {
    let as_of = active.basis.business_date;
    let counting = Counting::of(&active.release);
    let assessor = Assessor::new(conn, active, as_of)?;
    let mut distribution = store::shard_tally(conn, lease.run_id, lease.shard)?;
    loop {
        if stop() {
            return store::release_shard(conn, &lease);
        }
        let page = match failed_of {
            Some(run) => store::failed_customers_page(conn, run, lease.shard, lease.after, PAGE)?,
            None => store::customers_page(conn, lease.shard, lease.after, PAGE)?,
        };
        let is_last = i64::try_from(page.len()).is_ok_and(|length| length < PAGE);
        let ids: Vec<Id> = page.iter().map(|customer| customer.id).collect();
        let of = if failed_of.is_some() { Subjects::Listed(&ids) } else { store::stretch(&page) };
        let read = assessor.read(conn, of, page)?;
        let every = lease.owner.sign_of_life();
        let made = assessor.make_page(read, Some(lease.run_id), every, &mut || store::keep_shard(conn, &lease))?;
        let Some(made) = made else { return Ok(()) };
        // Those for whom a run failed aren't the population.
        if failed_of.is_none() {
            made.iter().for_each(|one| one.count(&mut distribution, &counting));
        }
        match transaction(conn, |conn| write_page(conn, &assessor, &lease, (of, &made, &distribution), is_last))? {
            Some((moved, written)) => {
                written.count(made.len(), "run");
                lease = moved;
            }
            None => return Ok(()),
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Goes over the customers of a shard page by page without assessing them, until it is finished, another worker has it, the run is
/// cancelled, or `stop` says so. `count` adds a page to what the shard has counted, and gives what `write` is to keep of it in the
/// transaction that moves the shard on; nothing where the page is somebody else's meanwhile.
pub fn survey<T: Default + Serialize + DeserializeOwned, W>(
    conn: &mut Conn,
    mut lease: Lease,
    stop: &dyn Fn() -> bool,
    mut count: impl FnMut(&mut Conn, Vec<LeanCustomer>, &mut Lease, &mut T) -> Result<Option<W>, db::Error>,
    write: impl Fn(&mut Conn, &W) -> Result<(), db::Error>,
) -> Result<(), db::Error> {
    let mut tally: T = store::shard_tally(conn, lease.run_id, lease.shard)?;
    loop {
        if stop() {
            return store::release_shard(conn, &lease);
        }
        let page = store::customers_page(conn, lease.shard, lease.after, PAGE)?;
        let is_last = i64::try_from(page.len()).is_ok_and(|length| length < PAGE);
        let Some(kept) = count(conn, page, &mut lease, &mut tally)? else { return Ok(()) };
        let written = transaction(conn, |conn| {
            let is_ours = store::run_status(conn, lease.run_id)? == Some(RunStatus::Running)
                && store::advance_shard(conn, &lease, is_last)?;
            if is_ours {
                store::set_shard_tally(conn, lease.run_id, lease.shard, &tally)?;
                write(conn, &kept)?;
            }
            Ok::<_, db::Error>(is_ours)
        })?;
        if is_last || !written {
            return Ok(());
        }
    }
}

/// Gives a sign of life of a shard when it is time for one.
pub struct SignOfLife(Instant);

impl SignOfLife {
    /// The first one was just given.
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// False when another worker has the shard now.
    pub fn give(&mut self, conn: &mut Conn, lease: &Lease) -> Result<bool, db::Error> {
        if self.0.elapsed() <= lease.owner.sign_of_life() {
            return Ok(true);
        }
        self.0 = Instant::now();
        store::keep_shard(conn, lease)
    }
}

/// Writes a page and moves the shard's cursor; the last page finishes the shard. Nothing when the shard or the run isn't ours to
/// work any more.
fn write_page(
    conn: &mut Conn,
    assessor: &Assessor,
    lease: &Lease,
    (of, made, distribution): (Subjects<'_>, &[Made], &Distribution),
    is_last: bool,
) -> Result<Option<(Lease, Written)>, db::Error> {
    if store::run_status(conn, lease.run_id)? != Some(RunStatus::Running) || !store::advance_shard(conn, lease, false)?
    {
        return Ok(None);
    }
    let written = write(conn, assessor, of, made)?;
    let mut moved = lease.clone();
    moved.after = made.last().map_or(lease.after, |last| last.customer.id);
    moved.progress.unchanged += written.unchanged;
    let mut failed = Vec::new();
    for one in made {
        moved.progress.assessed += 1;
        let reasons = one.failures();
        if !reasons.is_empty() {
            moved.progress.failed += 1;
            failed.push((one.customer.id, reasons));
        }
        moved.progress.summary.count(&one.assessment.assessed);
    }
    store::insert_failures(conn, lease.run_id, &failed)?;
    if distribution.all.customers > 0 {
        store::set_shard_tally(conn, lease.run_id, lease.shard, distribution)?;
    }
    store::advance_shard(conn, &moved, is_last)?;
    Ok(Some((moved, written)))
}
