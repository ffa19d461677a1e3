//! Overrides: a person decides instead of a policy, with a reason and a last day. What the policy says goes on beside it.

use jiff::Span;
use jiff::civil::Date;

use super::store::{self, Compared, KeptOverride};
use crate::Id;
use crate::customers;
use crate::customers::file::now;
use crate::customers::store::subjects::{self, Change};
use crate::db::{self, Conn, Failure, Subjects, transaction};
use crate::events::model::{Content, Event, EventKind};
use crate::events::store as event_store;
use crate::faults::{Fault, did_you_mean, excerpt};
use crate::releases::active::Active;
use crate::releases::model::By;

/// Overrides that are ended in one go.
const PIECE: i64 = 200;

/// Why nothing was overridden.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such customer or override.
    #[error("there is no such customer or override")]
    NotFound,
    /// Another one holds.
    #[error("the policy is overridden for the customer already; end that override first")]
    Overridden,
    /// It has ended.
    #[error("the override has ended")]
    Ended,
    /// The override has faults.
    #[error("the override has faults")]
    Invalid(Vec<Fault>),
    /// The database.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        if let Self::Database(error) = self { Some(error) } else { None }
    }
}

/// What somebody wants to decide instead of a policy.
#[derive(Clone, Debug)]
pub struct NewOverride {
    /// The policy.
    pub policy: String,
    /// The outcome.
    pub outcome: String,
    /// Why.
    pub reason: String,
    /// The last business date on which it counts.
    pub expires_on: Date,
}

/// Decides instead of a policy from the business date on; the customer is due.
///
/// # Errors
/// There is no such customer, another override holds, or what is wanted isn't possible.
pub fn create(
    conn: &mut Conn,
    active: &Active,
    by: &By,
    (user_id, customer_id): (Id, Id),
    new: &NewOverride,
) -> Result<KeptOverride, Error> {
    let code = customers::store::code(conn, customer_id)?.ok_or(Error::NotFound)?;
    let faults = check(active, new);
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    transaction(conn, |conn| write(conn, active, by, (user_id, customer_id, &code), new))
}

/// What is wrong with an override.
pub fn check(active: &Active, new: &NewOverride) -> Vec<Fault> {
    let pack = &active.release.pack;
    let mut faults = Vec::new();
    match pack.policy("/policy", &new.policy) {
        Err(fault) => faults.push(fault),
        Ok(declared) if !declared.overridable => {
            let others = pack.policies.iter().filter(|(_, policy)| policy.overridable);
            let others: Vec<&str> = others.map(|(id, _)| id.as_str()).collect();
            let detail = format!("'{}' can't be overridden; these can: {}", new.policy, others.join(", "));
            faults.push(Fault::new("/policy", "not_possible", detail));
        }
        Ok(declared) if !declared.outcomes.contains(&new.outcome) => {
            let hint = did_you_mean(&new.outcome, declared.outcomes.iter().map(String::as_str));
            let detail = format!("'{}' has no outcome '{}'{hint}", new.policy, excerpt(&new.outcome));
            faults.push(Fault::new("/outcome", "unknown_outcome", detail));
        }
        Ok(_) => {}
    }
    let date = active.basis.business_date;
    let longest = later(date, pack.overrides.longest.saturating_sub(1));
    if !(date..=longest).contains(&new.expires_on) {
        let detail = format!("{} is not from {date}, the business date, to {longest}", new.expires_on);
        faults.push(Fault::new("/expires_on", "out_of_range", detail));
    }
    faults
}

/// Writes an override that was checked; the caller has the transaction.
pub fn write(
    conn: &mut Conn,
    active: &Active,
    by: &By,
    (user_id, customer_id, code): (Id, Id, &str),
    new: &NewOverride,
) -> Result<KeptOverride, Error> {
    // So that one of two comes first.
    store::lock_subjects(conn, Subjects::Listed(&[customer_id]))?;
    let date = active.basis.business_date;
    if store::open_overrides(conn, customer_id, date)?.contains_key(&new.policy) {
        return Err(Error::Overridden);
    }
    let kept = KeptOverride {
        id: Id::new(),
        customer_id,
        policy: new.policy.clone(),
        outcome: new.outcome.clone(),
        reason: new.reason.clone(),
        user_id,
        author: by.name.clone(),
        created_at: now(),
        starts_on: date,
        expires_on: new.expires_on,
        ended_on: None,
        ended_at: None,
        ended_by: None,
    };
    store::insert_override(conn, &kept)?;
    subjects::raise(conn, active.basis.number, &[(customer_id, Change::Read)].into())?;
    event_store::append(conn, &[event(EventKind::OverrideCreated, &kept, code)])?;
    Ok(kept)
}

/// Ends an override from the business date on; the customer is due.
///
/// # Errors
/// There is no such override, or it has ended.
pub fn end(conn: &mut Conn, active: &Active, by: &By, customer_id: Id, id: Id) -> Result<(), Error> {
    let kept = store::find_override(conn, customer_id, id)?.ok_or(Error::NotFound)?;
    transaction(conn, |conn| match finish(conn, active, Some(by), &kept)? {
        true => Ok(()),
        false => Err(Error::Ended),
    })
}

/// Ends an override, by somebody or because its last day is over; the caller has the transaction. False where it had ended.
pub fn finish(conn: &mut Conn, active: &Active, by: Option<&By>, kept: &KeptOverride) -> Result<bool, db::Error> {
    store::lock_subjects(conn, Subjects::Listed(&[kept.customer_id]))?;
    let by = by.map(|by| (by.name.as_str(), active.basis.business_date));
    if !store::end_override(conn, kept.id, by)? {
        return Ok(false);
    }
    subjects::raise(conn, active.basis.number, &[(kept.customer_id, Change::Read)].into())?;
    let code = customers::store::code(conn, kept.customer_id)?.unwrap_or_default();
    event_store::append(conn, &[event(EventKind::OverrideEnded, kept, &code)])?;
    Ok(true)
}

/// Ends the overrides whose last day is over. False when `stop` said so first.
pub fn expire(conn: &mut Conn, active: &Active, stop: &dyn Fn() -> bool) -> Result<bool, db::Error> {
    loop {
        let expired = store::expired_overrides(conn, active.basis.business_date, PIECE)?;
        if expired.is_empty() {
            return Ok(true);
        }
        for kept in expired {
            if stop() {
                return Ok(false);
            }
            transaction(conn, |conn| finish(conn, active, None, &kept))?;
        }
    }
}

/// Overrides in effect, after an id; with `differing` those alone from which the policy has differed for longer than the pack lets pass.
pub fn in_force(
    conn: &mut Conn,
    active: &Active,
    policy: Option<&str>,
    differing: bool,
    after: Id,
    limit: i64,
) -> Result<Vec<Compared>, Error> {
    if let Some(policy) = policy {
        active.release.pack.policy("policy", policy).map_err(|fault| Error::Invalid(vec![fault]))?;
    }
    let date = active.basis.business_date;
    Ok(store::overrides_in_force(conn, date, policy, differing.then(|| warned_since(active)), after, limit)?)
}

/// Whether a policy has differed from an override for longer than the pack lets pass.
pub fn differs_for_long(active: &Active, differs_since: Option<Date>) -> bool {
    differs_since.is_some_and(|since| since <= warned_since(active))
}

/// The day on which whatever differs for long has differed already.
fn warned_since(active: &Active) -> Date {
    let days = i64::from(active.release.pack.overrides.warn_after);
    active.basis.business_date.checked_sub(Span::new().days(days)).unwrap_or(Date::MIN)
}

/// A number of days after a date.
pub fn later(date: Date, days: u16) -> Date {
    date.checked_add(Span::new().days(i64::from(days))).unwrap_or(Date::MAX)
}

fn event(kind: EventKind, kept: &KeptOverride, code: &str) -> Event {
    let content = Content {
        customer_code: Some(code.to_owned()),
        policy: Some(kept.policy.clone()),
        override_id: Some(kept.id),
        ..Content::default()
    };
    Event::new(kind, Some(kept.customer_id), content)
}
