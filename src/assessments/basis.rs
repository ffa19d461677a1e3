//! Changing the basis by hand: another release that is kept, or a later business date where it is a fixed setting.

use std::sync::Arc;

use jiff::Span;
use jiff::civil::Date;

use super::activation::{self, Order};
use super::{day, publishing};
use crate::db::{self, Conn, Failure, transaction};
use crate::digest::Digest;
use crate::faults::Fault;
use crate::policy::release::LoadedPack;
use crate::policy::source::Source;
use crate::releases::active::{Active, InForce};
use crate::releases::model::ReleaseState;
use crate::releases::{start, store};
use crate::versions::Versions;

/// Furthest that the business date may be moved at once, in years: every closing on the way is made.
const MAX_YEARS: i64 = 10;

/// What is to be changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// The release that is to be in force.
    pub release: Option<Digest>,
    /// When the policies that it changes are closed, who wants it and why.
    pub order: Order,
    /// The business date that is to come.
    pub business_date: Option<Date>,
}

/// Why the basis wasn't changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The basis isn't the one that the caller has read.
    #[error("the basis has changed since it was read")]
    Stale,
    /// The business date is today, or set in the configuration.
    #[error("{0}")]
    NotFixed(&'static str),
    /// The release or the date can't be put in force.
    #[error("the change has faults")]
    Invalid(Vec<Fault>),
    /// It can't come into force.
    #[error(transparent)]
    Basis(#[from] start::Error),
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        Self::Basis(error.into())
    }
}

impl Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        if let Self::Basis(error) = self { error.database() } else { None }
    }
}

/// Changes the basis of this number, and gives the one that is in force then. A date that lies behind a closing is reached step
/// by step: the closings on the way come first.
pub fn change(
    conn: &mut Conn,
    in_force: &InForce,
    setting: Option<Date>,
    numbers: &Versions,
    change: &Change,
) -> Result<Arc<Active>, Error> {
    in_force.refresh(conn)?;
    let active = in_force.get().filter(|active| numbers.accept(active.basis.number)).ok_or(Error::Stale)?;
    // Looked at before anything is written, so that a release that is refused leaves the date as it was.
    let release = match change.release.filter(|digest| *digest != active.basis.release) {
        Some(digest) => Some(candidate(conn, in_force, &active, digest, &change.order)?),
        None => None,
    };
    if let Some(date) = change.business_date {
        move_date(conn, &active, setting, date)?;
    }
    if let Some((source, release)) = release {
        match activation::replace(conn, &active, (&source, &release), &change.order) {
            Ok(_) => in_force.refresh(conn)?,
            Err(start::Error::Overtaken) => return Err(Error::Stale),
            Err(error) => return Err(error.into()),
        }
    }
    day::follow(conn, in_force, setting)?;
    in_force.get().ok_or(Error::Stale)
}

fn move_date(conn: &mut Conn, active: &Active, setting: Option<Date>, date: Date) -> Result<(), Error> {
    if setting.is_some() {
        return Err(Error::NotFixed("the business date is set in the configuration of the service, and moved there"));
    }
    transaction(conn, |conn| {
        store::lock_basis(conn, active.basis.number)?;
        let current = store::current_basis(conn)?.ok_or(Error::Stale)?;
        let fixed = store::deployment(conn)?.and_then(|deployment| deployment.fixed_business_date);
        if fixed.is_none() {
            return Err(Error::NotFixed("the business date is today; it moves by itself"));
        }
        if current.number != active.basis.number {
            return Err(Error::Stale);
        }
        let last = current.business_date.checked_add(Span::new().years(MAX_YEARS)).unwrap_or(Date::MAX);
        if !(current.business_date..=last).contains(&date) {
            let detail = format!("{date} is not from {} to {last}; the date moves forward only", current.business_date);
            return Err(Error::Invalid(vec![Fault::new("/business_date", "out_of_range", detail)]));
        }
        Ok(store::fix_business_date(conn, date)?)
    })
}

/// A kept release that may replace the one in force, with its files.
fn candidate(
    conn: &mut Conn,
    in_force: &InForce,
    active: &Active,
    digest: Digest,
    order: &Order,
) -> Result<(Source, Arc<LoadedPack>), Error> {
    let Some(kept) = store::release_with_steps(conn, digest)? else {
        let detail = format!("there is no release {digest}");
        return Err(Error::Invalid(vec![Fault::new("/release", "unknown_release", detail)]));
    };
    if kept.state(active.basis.release) == ReleaseState::Draft {
        return Err(start::Error::NotPermitted(format!("{digest} is a draft; it has to be checked first")).into());
    }
    let source = activation::kept_source(conn, digest)?;
    let release = in_force.release(conn, digest)?;
    transaction(conn, |conn| start::bind(conn, &release))?;
    publishing::permit(conn, active, digest, order.reason.as_deref())?;
    Ok((source, release))
}
