//! Putting a release in force: its content is kept, the statistics that it declares anew are computed, and release, cohort and the
//! closing of the policies that it changes come into force by one conditional insert.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{cohort, publishing, schedule};
use crate::customers;
use crate::db::{self, Conn, Failure, transaction};
use crate::digest::Digest;
use crate::events::model::{Content, Event, EventKind};
use crate::events::store as event_store;
use crate::policy::changes::{changed_cohorts, changed_policies};
use crate::policy::model::Cohort;
use crate::policy::release::LoadedPack;
use crate::policy::source::Source;
use crate::releases::active::{Active, InForce};
use crate::releases::model::{Basis, By, Closing, ClosingCause, Step, StepKind};
use crate::releases::start::{self, Error};
use crate::releases::store;

/// When the policies that a release changes are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closes {
    /// With the activation: their standing outcomes follow the new rules.
    Now,
    /// At their next closing.
    ByCadence,
}

/// What somebody wants of an activation.
#[derive(Clone, Debug)]
pub struct Order {
    /// When the policies that change are closed.
    pub closes: Closes,
    /// Who wants it.
    pub by: By,
    /// Why, where that is to be said.
    pub reason: Option<String>,
}

impl From<Closes> for Order {
    /// Of nobody in particular: a folder that is served or watched.
    fn from(closes: Closes) -> Self {
        Self { closes, by: By { user_id: None, name: "folder".to_owned() }, reason: None }
    }
}

/// What an activation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activated {
    /// The release is in force already.
    Already,
    /// It is the first one of the base.
    First,
    /// It replaced another one, and these policies changed.
    Changed(Vec<String>),
}

/// Puts a pack's release in force, and binds a new base to the pack. When another process changes the basis at the same time, it
/// begins again from that one.
///
/// # Errors
/// The base is that of another pack, the pack's time zone or currency isn't the base's, or the pack in force wants something else first.
pub fn activate(
    conn: &mut Conn,
    in_force: &InForce,
    (source, release): (&Source, &Arc<LoadedPack>),
    order: impl Into<Order>,
    date_setting: Option<Date>,
) -> Result<Activated, Error> {
    let order = order.into();
    let mut overtaken = None;
    loop {
        let deployment = transaction(conn, |conn| start::bind(conn, release))?;
        in_force.refresh(conn)?;
        let number = in_force.get().map(|active| active.basis.number);
        let activated = match in_force.get() {
            None => {
                let date = start::business_date(date_setting, Some(&deployment), release);
                first(conn, (source, release), date, &order).map(|()| Activated::First)
            }
            Some(active) if active.basis.release == release.digest => return Ok(Activated::Already),
            Some(active) => replace(conn, &active, (source, release), &order).map(Activated::Changed),
        };
        match activated {
            // A basis that can't be loaded here is never followed.
            Err(Error::Overtaken) if overtaken.is_some() && overtaken == number => return Err(Error::Overtaken),
            Err(Error::Overtaken) => {
                overtaken = number;
                tracing::debug!("another process changed the basis; beginning again from it");
            }
            Err(error) => return Err(error),
            Ok(activated) => {
                in_force.keep(release.digest, release.clone());
                in_force.refresh(conn)?;
                return Ok(activated);
            }
        }
    }
}

fn first(
    conn: &mut Conn,
    (source, release): (&Source, &LoadedPack),
    business_date: Date,
    order: &Order,
) -> Result<(), Error> {
    transaction(conn, |conn| {
        store::keep_release(conn, release.digest, &release.pack.id, &source.to_json())?;
        let cohort = store::keep_cohort(conn, &Cohort::default())?;
        let basis = Basis { number: 1, release: release.digest, cohort, business_date, rules: 1, catalogue_seq: 0 };
        start::put_in_force(conn, &basis)?;
        store::add_step(conn, release.digest, &activated(order, None))?;
        Ok(event_store::append(conn, &[event(release.digest, 1)])?)
    })
}

/// Replaces the release of a state that is in force, and gives the policies that change; [`Error::Overtaken`] when the state is
/// in force no more.
pub fn replace(
    conn: &mut Conn,
    active: &Active,
    (source, release): (&Source, &Arc<LoadedPack>),
    order: &Order,
) -> Result<Vec<String>, Error> {
    let fields = (&active.release.pack.fields, &release.pack.fields);
    publishing::permit(conn, active, release.digest, order.reason.as_deref())?;
    if format!("{:?}", fields.0) != format!("{:?}", fields.1) {
        // Before the release is in force, so that what is cut off is done again.
        customers::store::reindex(conn, Some(fields.0), fields.1)?;
    }
    let changed = changed_policies(&active.release, release);
    let cohort = cohort_of(conn, active, release, Duration::MAX, &mut || Ok::<_, Error>(()))?;
    let ended = |cadence| schedule::last_ended(cadence, active.basis.business_date);
    let closed = release.pack.closed_policies().filter(|(id, _)| changed.contains(*id) && order.closes == Closes::Now);
    let policies: BTreeMap<String, Date> = closed.map(|(id, cadence)| (id.clone(), ended(cadence))).collect();
    transaction(conn, |conn| {
        store::keep_release(conn, release.digest, &release.pack.id, &source.to_json())?;
        let cohort = store::keep_cohort(conn, &cohort)?;
        let next = active.basis.changed(|next| {
            next.release = release.digest;
            next.cohort = cohort;
        });
        start::put_in_force(conn, &next)?;
        store::add_step(conn, release.digest, &activated(order, Some(active.basis.release)))?;
        event_store::append(conn, &[event(release.digest, next.number)])?;
        if !policies.is_empty() {
            let closing = Closing {
                basis: next.number,
                cause: ClosingCause::Release,
                policies: policies.clone(),
                run_id: None,
                created_at: Timestamp::now(),
                finished_at: None,
            };
            start::enter_closing(conn, &closing)?;
        }
        Ok::<_, Error>(())
    })?;
    Ok(changed.into_iter().collect())
}

fn activated(order: &Order, parent: Option<Digest>) -> Step {
    Step {
        kind: StepKind::Activated,
        by: order.by.clone(),
        parent,
        comparison: None,
        message: order.reason.clone(),
        created_at: Timestamp::now(),
    }
}

fn event(release: Digest, basis: i64) -> Event {
    let content = Content { release: Some(release), basis: Some(basis), ..Content::default() };
    Event::new(EventKind::ReleaseActivated, None, content)
}

/// The files of a release that is kept.
pub fn kept_source(conn: &mut Conn, digest: Digest) -> Result<Source, db::Error> {
    let content =
        store::release(conn, digest)?.ok_or_else(|| db::Error::Corrupt(format!("the release {digest} is missing")))?;
    Source::from_json(&content).map_err(|_| db::Error::Corrupt(format!("the release {digest} can't be read")))
}

/// The statistics in force, but of cohorts that the release declares otherwise or that have never been computed, new ones. `alive` is
/// called each time that `every` has passed.
pub fn cohort_of<E: From<db::Error> + Failure>(
    conn: &mut Conn,
    active: &Active,
    release: &Arc<LoadedPack>,
    every: Duration,
    alive: &mut dyn FnMut() -> Result<(), E>,
) -> Result<Cohort, E> {
    let mut cohort = active.cohort.as_ref().clone();
    let changed = changed_cohorts(&active.release, release);
    cohort.cohorts.retain(|id, _| release.pack.cohorts.contains_key(id) && !changed.contains(id));
    // Where nothing has ever been computed, the first closing does it.
    if !changed.is_empty() && !active.cohort.cohorts.is_empty() {
        let state = Arc::new(Active { release: release.clone(), ..active.clone() });
        let mut computed = cohort::compute(conn, &state, every, alive)?;
        computed.cohorts.retain(|id, _| changed.contains(id));
        cohort.cohorts.extend(computed.cohorts);
    }
    Ok(cohort)
}
