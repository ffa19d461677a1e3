//! Appeals against decisions: somebody says why an outcome is wrong, somebody else answers in time, and what came of it is counted.

use std::collections::BTreeMap;

use jiff::civil::Date;

use super::model::{FiledFor, Resolution};
use super::overrides::{self, NewOverride, later};
use super::store::{self, Answered, Appeal, AppealCounts, AppealFilter};
use crate::Id;
use crate::customers;
use crate::customers::file::now;
use crate::db::{self, Conn, Failure, Subjects, transaction};
use crate::events::model::{Content, Event, EventKind};
use crate::events::store as event_store;
use crate::faults::Fault;
use crate::releases::active::Active;
use crate::releases::model::By;

/// Appeals that are looked at together.
const PIECE: i64 = 200;

/// Why nothing was filed or answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such appeal.
    #[error("there is no such appeal")]
    NotFound,
    /// Another one waits for an answer.
    #[error("an appeal against the policy's decision about the customer waits for an answer")]
    Open,
    /// It was answered.
    #[error("the appeal was answered already")]
    Answered,
    /// Who filed an appeal, or made the decision, doesn't answer it.
    #[error("{0}")]
    Partial(&'static str),
    /// What was sent has faults.
    #[error("the appeal has faults")]
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

impl From<overrides::Error> for Error {
    fn from(error: overrides::Error) -> Self {
        match error {
            overrides::Error::Database(error) => Self::Database(error),
            overrides::Error::Invalid(faults) => {
                Self::Invalid(faults.into_iter().map(|fault| fault.under("/override")).collect())
            }
            overrides::Error::NotFound | overrides::Error::Overridden | overrides::Error::Ended => Self::NotFound,
        }
    }
}

/// An appeal that somebody wants to file.
#[derive(Clone, Debug)]
pub struct NewAppeal {
    /// The customer's id.
    pub customer_id: Id,
    /// The policy.
    pub policy: String,
    /// Who appeals.
    pub filed_for: FiledFor,
    /// Why.
    pub grounds: String,
    /// What proves it.
    pub evidence: Option<String>,
}

/// An answer that somebody wants to give.
#[derive(Clone, Debug)]
pub struct NewAnswer {
    /// What comes of the appeal.
    pub resolution: Resolution,
    /// What he says.
    pub answer: String,
    /// The outcome that he decides, and until when, where that is what comes of it.
    pub decided: Option<(String, Date)>,
}

/// Files an appeal against the outcome that stands.
///
/// # Errors
/// There is no such customer, policy or outcome, it comes too late, or another one waits for an answer.
pub fn file(conn: &mut Conn, active: &Active, by: &By, user_id: Id, new: &NewAppeal) -> Result<Appeal, Error> {
    let pack = &active.release.pack;
    let invalid = |pointer: &str, code: &'static str, detail: String| {
        Err(Error::Invalid(vec![Fault::new(pointer, code, detail)]))
    };
    let declared = pack.policy("/policy", &new.policy).map_err(|fault| Error::Invalid(vec![fault]))?;
    if !declared.appealable {
        return invalid("/policy", "not_possible", format!("the pack lets no appeal go against '{}'", new.policy));
    }
    let date = active.basis.business_date;
    transaction(conn, |conn| {
        let subject = store::lock_subjects(conn, Subjects::Listed(&[new.customer_id]))?.remove(&new.customer_id);
        let Some((customer_code, subject)) = customers::store::code(conn, new.customer_id)?.zip(subject) else {
            let detail = format!("there is no customer with the id {}", new.customer_id);
            return invalid("/customer_id", "unknown_customer", detail);
        };
        let outcomes = store::outcomes_of(conn, Subjects::Listed(&[new.customer_id]))?;
        let Some(stands) = outcomes.get(&(new.customer_id, new.policy.clone())) else {
            return invalid("/policy", "not_possible", format!("'{}' hasn't decided about the customer", new.policy));
        };
        let last = later(stands.since, pack.appeals.file_within);
        if date > last {
            let detail = format!(
                "the outcome stands since {}, so that an appeal was to be filed until {last}; the business date is {date}",
                stands.since
            );
            return invalid("/policy", "out_of_range", detail);
        }
        let open = AppealFilter {
            customer_id: Some(new.customer_id),
            policy: Some(new.policy.clone()),
            answered: Some(false),
            ..AppealFilter::default()
        };
        if !store::appeals(conn, &open, Id::NIL, 1)?.is_empty() {
            return Err(Error::Open);
        }
        let appeal = Appeal {
            id: Id::new(),
            customer_id: new.customer_id,
            customer_code,
            policy: new.policy.clone(),
            assessment_id: stands.assessment_id,
            outcome: stands.outcome.clone(),
            filed_for: new.filed_for,
            grounds: new.grounds.clone(),
            evidence: new.evidence.clone(),
            user_id,
            author: by.name.clone(),
            filed_at: now(),
            filed_on: date,
            input_seq: subject.input_seq,
            answer_by: later(date, pack.appeals.answer_within),
            answered: None,
        };
        store::insert_appeal(conn, &appeal)?;
        event_store::append(conn, &[event(EventKind::AppealFiled, &appeal)])?;
        Ok(appeal)
    })
}

/// Answers an appeal. Who filed it doesn't, nor whoever decided what it goes against.
///
/// # Errors
/// There is no such appeal, it was answered, by him it can't be, nothing was corrected, or what he decides isn't possible.
pub fn answer(
    conn: &mut Conn,
    active: &Active,
    by: &By,
    (user_id, id): (Id, Id),
    new: &NewAnswer,
) -> Result<Appeal, Error> {
    let mut appeal = store::find_appeal(conn, id)?.ok_or(Error::NotFound)?;
    let over = new.decided.as_ref().map(|(outcome, expires_on)| NewOverride {
        policy: appeal.policy.clone(),
        outcome: outcome.clone(),
        reason: new.answer.clone(),
        expires_on: *expires_on,
    });
    let faults = over.as_ref().map(|over| overrides::check(active, over)).unwrap_or_default();
    if !faults.is_empty() {
        return Err(overrides::Error::Invalid(faults).into());
    }
    let (customer_id, date) = (appeal.customer_id, active.basis.business_date);
    transaction(conn, |conn| {
        let subjects = store::lock_subjects(conn, Subjects::Listed(&[customer_id]))?;
        let holds = store::open_overrides(conn, customer_id, date)?.remove(&appeal.policy);
        if appeal.answered.is_some() {
            return Err(Error::Answered);
        }
        if appeal.user_id == user_id {
            return Err(Error::Partial("who filed an appeal doesn't answer it"));
        }
        if holds.as_ref().is_some_and(|holds| holds.user_id == user_id) {
            return Err(Error::Partial("who made the decision doesn't answer the appeal against it"));
        }
        let moved = subjects.get(&customer_id).is_some_and(|subject| subject.input_seq != appeal.input_seq);
        if new.resolution == Resolution::Corrected && !moved {
            let detail = "nothing that is known of the customer has changed since the appeal was filed";
            return Err(Error::Invalid(vec![Fault::new("/resolution", "not_possible", detail.to_owned())]));
        }
        let override_id = match &over {
            None => None,
            Some(over) => {
                if let Some(holds) = &holds {
                    overrides::finish(conn, active, Some(by), holds)?;
                }
                let whose = (user_id, customer_id, appeal.customer_code.as_str());
                Some(overrides::write(conn, active, by, whose, over)?.id)
            }
        };
        let answered = Answered {
            resolution: new.resolution,
            on: date,
            at: now(),
            reviewer_id: user_id,
            reviewer: by.name.clone(),
            answer: new.answer.clone(),
            override_id,
        };
        if !store::answer_appeal(conn, id, &answered)? {
            return Err(Error::Answered);
        }
        event_store::append(conn, &[event(EventKind::AppealResolved, &appeal)])?;
        appeal.answered = Some(answered);
        Ok(appeal.clone())
    })
}

/// Tells of appeals that weren't answered in time, once of each. False when `stop` said so first.
pub fn tell_overdue(conn: &mut Conn, active: &Active, stop: &dyn Fn() -> bool) -> Result<bool, db::Error> {
    loop {
        let untold = store::untold_appeals(conn, active.basis.business_date, PIECE)?;
        if untold.is_empty() {
            return Ok(true);
        }
        for appeal in untold {
            if stop() {
                return Ok(false);
            }
            transaction(conn, |conn| {
                if store::note_overdue_told(conn, appeal.id)? {
                    event_store::append(conn, &[event(EventKind::AppealOverdue, &appeal)])?;
                }
                Ok::<_, db::Error>(())
            })?;
        }
    }
}

/// How the appeals that were filed in a period went, for each policy of the pack.
pub fn report(conn: &mut Conn, active: &Active, period: (Date, Date)) -> db::Result<Vec<(String, AppealCounts)>> {
    let mut counts: BTreeMap<String, AppealCounts> = store::appeal_counts(conn, period, active.basis.business_date)?;
    let declared = active.release.pack.customer_policies().map(|(id, _)| id);
    let mut report: Vec<(String, AppealCounts)> =
        declared.map(|policy| (policy.clone(), counts.remove(policy).unwrap_or_default())).collect();
    report.extend(counts);
    // Stable: policies that were overturned as often stay in the order of the pack.
    report.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.overturned()));
    Ok(report)
}

impl AppealCounts {
    /// Appeals that were answered.
    pub fn resolved(&self) -> u64 {
        self.answered.values().sum()
    }

    /// Appeals after which the decision didn't stay.
    pub fn overturned(&self) -> u64 {
        let overturned = self.answered.iter().filter(|(resolution, _)| **resolution != Resolution::Upheld);
        overturned.map(|(_, count)| count).sum()
    }
}

fn event(kind: EventKind, appeal: &Appeal) -> Event {
    let content = Content {
        customer_code: Some(appeal.customer_code.clone()),
        policy: Some(appeal.policy.clone()),
        appeal_id: Some(appeal.id),
        ..Content::default()
    };
    Event::new(kind, Some(appeal.customer_id), content)
}
