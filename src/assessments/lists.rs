//! Lists of customers: membership follows from a policy's standing outcome, and entries by hand stand beside it. Who enters or leaves a list
//! is told by an event, whichever of the two makes the difference.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::model::Outcome;
use super::store::{self, ListEntry, Listed};
use crate::Id;
use crate::customers;
use crate::customers::file::now;
use crate::db::{self, Conn, Failure, Subjects, transaction};
use crate::events::model::{Content, Event, EventKind};
use crate::events::store as event_store;
use crate::faults::Fault;
use crate::policy::pack::{ListDeclaration, Pack};
use crate::releases::active::Active;
use crate::releases::model::By;

/// Entries that are ended in one transaction.
const PIECE: i64 = 200;

/// Why nobody was entered or taken off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such list, customer or entry.
    #[error("there is no such list, customer or entry")]
    NotFound,
    /// He is on the list by hand already.
    #[error("the customer is on the list by hand already")]
    Entered,
    /// The entry has faults.
    #[error("the entry has faults")]
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

/// Why somebody is on a list: his outcome, an entry by hand, or both.
#[derive(Clone, Debug)]
pub struct Why {
    /// The outcome that leads to the list, where he has it.
    pub outcome: Option<Outcome>,
    /// The entry by hand, where there is one.
    pub entry: Option<ListEntry>,
}

/// An entry that somebody wants to make.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// The list.
    pub list: String,
    /// The customer's id.
    pub customer_id: Id,
    /// Why.
    pub reason: String,
    /// The last business date on which it counts.
    pub expires_on: Option<Date>,
}

fn declared<'a>(pack: &'a Pack, list: &str) -> Result<&'a ListDeclaration, Error> {
    pack.lists.get(list).ok_or(Error::NotFound)
}

/// Active customers on a list, after an id, each with why.
pub fn members(
    conn: &mut Conn,
    active: &Active,
    list: &str,
    after: Id,
    limit: i64,
) -> Result<Vec<(Listed, Why)>, Error> {
    let declared = declared(&active.release.pack, list)?;
    let date = active.basis.business_date;
    let leading = declared.policy.as_deref().map(|policy| (policy, declared.outcomes.as_slice()));
    let listed = store::members(conn, list, leading, date, after, limit)?;
    let ids: Vec<Id> = listed.iter().map(|one| one.customer_id).collect();
    let mut outcomes = leading_outcomes(conn, declared, &ids)?;
    let entries = store::entries(conn, &ids, date)?.into_iter().filter(|entry| entry.list == list);
    let mut entries: BTreeMap<Id, ListEntry> = entries.map(|entry| (entry.customer_id, entry)).collect();
    let member = |customer: Listed| {
        let id = customer.customer_id;
        (customer, Why { outcome: outcomes.remove(&id), entry: entries.remove(&id) })
    };
    Ok(listed.into_iter().map(member).collect())
}

/// The lists on which a customer is, in the order of the pack, each with why.
pub fn of_customer(conn: &mut Conn, active: &Active, id: Id) -> Result<Vec<(String, Why)>, Error> {
    customers::store::find(conn, id)?.ok_or(Error::NotFound)?;
    let outcomes = store::outcomes_of(conn, Subjects::Listed(&[id]))?;
    let entries = store::entries(conn, &[id], active.basis.business_date)?;
    let lists = active.release.pack.lists.iter().filter_map(|(list, declared)| {
        let outcome = declared.policy.as_ref().and_then(|policy| outcomes.get(&(id, policy.clone())));
        let outcome = outcome.filter(|outcome| declared.outcomes.contains(&outcome.outcome)).cloned();
        let entry = entries.iter().find(|entry| entry.list == *list).cloned();
        (outcome.is_some() || entry.is_some()).then(|| (list.clone(), Why { outcome, entry }))
    });
    Ok(lists.collect())
}

/// Enters a customer by hand.
///
/// # Errors
/// There is no such list or customer, he is entered already, or the entry would have ended.
pub fn enter(conn: &mut Conn, active: &Active, by: &By, user_id: Id, new: &NewEntry) -> Result<ListEntry, Error> {
    let declared = declared(&active.release.pack, &new.list)?;
    let date = active.basis.business_date;
    if let Some(expires_on) = new.expires_on.filter(|expires_on| *expires_on < date) {
        let detail = format!("{expires_on} is before {date}, the business date");
        return Err(Error::Invalid(vec![Fault::new("/expires_on", "out_of_range", detail)]));
    }
    let code = customers::store::code(conn, new.customer_id)?.ok_or_else(|| {
        let detail = format!("there is no customer with the id {}", new.customer_id);
        Error::Invalid(vec![Fault::new("/customer_id", "unknown_customer", detail)])
    })?;
    transaction(conn, |conn| {
        // So that nobody writes an outcome of his at the same time.
        store::lock_subjects(conn, Subjects::Listed(&[new.customer_id]))?;
        if store::entries(conn, &[new.customer_id], date)?.iter().any(|entry| entry.list == new.list) {
            return Err(Error::Entered);
        }
        let entry = ListEntry {
            id: Id::new(),
            list: new.list.clone(),
            customer_id: new.customer_id,
            reason: new.reason.clone(),
            user_id,
            author: by.name.clone(),
            created_at: now(),
            expires_on: new.expires_on,
        };
        store::insert_entry(conn, &entry)?;
        if !follows(conn, declared, new.customer_id)? {
            event_store::append(conn, &[event(EventKind::ListEntered, new.customer_id, &code, &new.list, None)])?;
        }
        Ok(entry)
    })
}

/// Ends an entry by hand.
///
/// # Errors
/// There is no such entry, or it has ended.
pub fn remove(conn: &mut Conn, active: &Active, list: &str, id: Id) -> Result<(), Error> {
    let entry = store::entry(conn, id)?.filter(|entry| entry.list == list).ok_or(Error::NotFound)?;
    transaction(conn, |conn| if end(conn, &active.release.pack, &entry)? { Ok(()) } else { Err(Error::NotFound) })
}

/// Ends the entries whose last day is over. False when `stop` said so first.
pub fn expire(conn: &mut Conn, active: &Active, stop: &dyn Fn() -> bool) -> Result<bool, db::Error> {
    loop {
        let expired = store::expired_entries(conn, active.basis.business_date, PIECE)?;
        if expired.is_empty() {
            return Ok(true);
        }
        for entry in expired {
            if stop() {
                return Ok(false);
            }
            transaction(conn, |conn| end(conn, &active.release.pack, &entry))?;
        }
    }
}

/// Ends an entry, and tells it where nothing else keeps the customer on the list; the caller has the transaction. False where it had ended.
fn end(conn: &mut Conn, pack: &Pack, entry: &ListEntry) -> Result<bool, db::Error> {
    store::lock_subjects(conn, Subjects::Listed(&[entry.customer_id]))?;
    if !store::end_entry(conn, entry.id)? {
        return Ok(false);
    }
    let Some(declared) = pack.lists.get(&entry.list) else { return Ok(true) };
    if !follows(conn, declared, entry.customer_id)? {
        let code = customers::store::code(conn, entry.customer_id)?.unwrap_or_default();
        event_store::append(conn, &[event(EventKind::ListLeft, entry.customer_id, &code, &entry.list, None)])?;
    }
    Ok(true)
}

/// Whether a customer is on a list by his outcome.
fn follows(conn: &mut Conn, declared: &ListDeclaration, id: Id) -> Result<bool, db::Error> {
    Ok(leading_outcomes(conn, declared, &[id])?.contains_key(&id))
}

/// The outcomes of customers that lead to a list.
fn leading_outcomes(
    conn: &mut Conn,
    declared: &ListDeclaration,
    ids: &[Id],
) -> Result<BTreeMap<Id, Outcome>, db::Error> {
    let found = store::outcomes_of_policies(conn, declared.policy.as_slice(), ids)?;
    let leading = found.into_iter().filter(|(_, outcome)| declared.outcomes.contains(&outcome.outcome));
    Ok(leading.map(|((id, _), outcome)| (id, outcome)).collect())
}

/// A standing outcome that changed.
pub struct Changed<'a> {
    /// The customer's id.
    pub customer_id: Id,
    /// His code.
    pub code: &'a str,
    /// The assessment that changed it.
    pub assessment_id: Id,
    /// The policy.
    pub policy: &'a str,
    /// The outcome before.
    pub before: Option<&'a str>,
    /// The outcome after.
    pub after: &'a str,
}

/// Who enters and leaves lists by outcomes that changed; those who are on them by hand do neither.
pub fn crossings(conn: &mut Conn, active: &Active, changed: &[Changed<'_>]) -> Result<Vec<Event>, db::Error> {
    let mut crossing: Vec<(&Changed<'_>, &String, EventKind)> = Vec::new();
    for (list, declared) in &active.release.pack.lists {
        let leads = |outcome: &str| declared.outcomes.iter().any(|one| one == outcome);
        for one in changed.iter().filter(|one| declared.policy.as_deref() == Some(one.policy)) {
            match (one.before.is_some_and(leads), leads(one.after)) {
                (false, true) => crossing.push((one, list, EventKind::ListEntered)),
                (true, false) => crossing.push((one, list, EventKind::ListLeft)),
                _ => {}
            }
        }
    }
    if crossing.is_empty() {
        return Ok(Vec::new());
    }
    let ids: BTreeSet<Id> = crossing.iter().map(|(one, ..)| one.customer_id).collect();
    let entries = store::entries(conn, &ids.into_iter().collect::<Vec<_>>(), active.basis.business_date)?;
    let by_hand = |id: Id, list: &str| entries.iter().any(|entry| entry.customer_id == id && entry.list == list);
    crossing.retain(|(one, list, _)| !by_hand(one.customer_id, list));
    let told = |(one, list, kind): (&Changed<'_>, &String, EventKind)| {
        event(kind, one.customer_id, one.code, list, Some(one.assessment_id))
    };
    Ok(crossing.into_iter().map(told).collect())
}

fn event(kind: EventKind, customer_id: Id, code: &str, list: &str, assessment_id: Option<Id>) -> Event {
    let content = Content {
        customer_code: Some(code.to_owned()),
        assessment_id,
        list: Some(list.to_owned()),
        ..Content::default()
    };
    Event::new(kind, Some(customer_id), content)
}
