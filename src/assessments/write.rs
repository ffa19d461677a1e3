//! Writing what was assessed: history always, and what is in force only where nothing newer has come first. The caller has
//! the transaction.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use metrics::counter;

use super::assess::{Assessor, Made};
use super::lists::{self, Changed};
use super::model::{Outcome, Standing};
use super::store::{self, Confirmed, SubjectState};
use crate::Id;
use crate::customers::store::subjects::DUE_NOW;
use crate::db::{Conn, Result, Subjects};
use crate::events::model::{Content, Event, EventKind, OutcomeChange};
use crate::events::store as event_store;
use crate::policy::pack::Cadence;
use crate::releases;

/// The metric that counts customers assessed.
pub const ASSESSED: &str = "baremo_assessed_customers_total";

/// What became of the assessments of a page.
#[derive(Clone, Copy, Debug, Default)]
pub struct Written {
    /// Those that equal the last one, so that no new one is kept.
    pub unchanged: u64,
    /// Those whose customers changed while they were assessed: nothing of them is written, and they are due.
    pub overtaken: u64,
}

impl Written {
    /// Counts a page of `assessed` customers that has been committed; `cause` is `run` or `due`.
    pub fn count(self, assessed: usize, cause: &'static str) {
        let assessed = u64::try_from(assessed).unwrap_or_default();
        let stored = assessed.saturating_sub(self.unchanged + self.overtaken);
        for (result, customers) in [("stored", stored), ("unchanged", self.unchanged), ("overtaken", self.overtaken)] {
            counter!(ASSESSED, "cause" => cause, "result" => result).increment(customers);
        }
    }
}

/// An assessment that is put in force, with the id of the kept one that it equals or its own.
type InForce<'a> = (&'a Made, Id);

/// Writes assessments of customers, who are `of` those named.
pub fn write(conn: &mut Conn, assessor: &Assessor, of: Subjects<'_>, made: &[Made]) -> Result<Written> {
    let subjects = store::lock_subjects(conn, of)?;
    let basis = &assessor.active().basis;
    // Under a later basis with other rules only history is written. Read behind the locks: who put that basis in force first
    // is seen, and who does so later assesses these customers after this transaction.
    let current = releases::store::current_basis(conn)?;
    let rules_hold = current.as_ref().is_some_and(|current| current.rules == basis.rules);
    let business_date = current.map_or(basis.business_date, |current| current.business_date);
    let mut written = Written::default();
    let (mut kept, mut overtaken) = (Vec::new(), Vec::new());
    let mut in_force: Vec<InForce<'_>> = Vec::new();
    for one in made {
        let Some(state) = subjects.get(&one.customer.id).filter(|state| is_as_read(state, one)) else {
            overtaken.push(one.customer.id);
            continue;
        };
        let equal = state.latest.filter(|(_, digest)| *digest == one.digest).map(|(id, _)| id);
        match equal {
            Some(_) => written.unchanged += 1,
            None => kept.push((&one.assessment, one.content.as_str())),
        }
        if rules_hold && state.basis <= basis.number {
            in_force.push((one, equal.unwrap_or(one.assessment.id)));
        }
    }
    store::insert_assessments(conn, &kept, business_date)?;
    confirm(conn, basis.number, &in_force)?;
    change_outcomes(conn, assessor, of, &in_force)?;
    store::set_due(conn, &overtaken, Some(DUE_NOW))?;
    written.overtaken = u64::try_from(overtaken.len()).unwrap_or(u64::MAX);
    Ok(written)
}

fn is_as_read(state: &SubjectState, made: &Made) -> bool {
    state.input_seq == made.customer.input_seq && state.closed_to == made.customer.closed_to
}

fn confirm(conn: &mut Conn, basis: i64, in_force: &[InForce<'_>]) -> Result<()> {
    let confirmed = |(made, assessment_id): &InForce<'_>| Confirmed {
        customer_id: made.customer.id,
        assessment_id: *assessment_id,
        digest: made.digest,
        input_seq: made.customer.input_seq,
        next_due_on: made.next_due_on,
    };
    store::confirm(conn, &in_force.iter().map(confirmed).collect::<Vec<_>>(), basis, Timestamp::now())
}

/// Writes the outcomes that changed, with their events, and takes out those of policies that the release doesn't have.
fn change_outcomes(conn: &mut Conn, assessor: &Assessor, of: Subjects<'_>, in_force: &[InForce<'_>]) -> Result<()> {
    if in_force.is_empty() {
        return Ok(());
    }
    let known = store::outcomes_of(conn, of)?;
    let (mut changed, mut crossed, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for (made, assessment_id) in in_force {
        let customer_id = made.customer.id;
        let mut changes = Vec::new();
        for result in &made.assessment.assessed.policies {
            let before = known.get(&(customer_id, result.policy.clone()));
            let standing = standing(assessor, &result.policy, made.customer.closed_to, before);
            let after = Outcome::after(before, &result.result, standing, (made.assessment.as_of, *assessment_id));
            let Some(after) = after.filter(|after| before != Some(after)) else { continue };
            changes.extend(change(&result.policy, before, &after));
            if before.map(|before| &before.outcome) != Some(&after.outcome) {
                crossed.push((made, *assessment_id, &result.policy, before, after.outcome.clone()));
            }
            changed.push((customer_id, result.policy.clone(), after));
        }
        if !changes.is_empty() {
            let content = Content {
                customer_code: Some(made.customer.code.clone()),
                assessment_id: Some(*assessment_id),
                changes,
                ..Content::default()
            };
            events.push(Event::new(EventKind::OutcomesChanged, Some(customer_id), content));
        }
    }
    let crossed: Vec<Changed<'_>> = crossed
        .iter()
        .map(|(made, assessment_id, policy, before, after)| Changed {
            customer_id: made.customer.id,
            code: &made.customer.code,
            assessment_id: *assessment_id,
            policy,
            before: before.map(|before| before.outcome.as_str()),
            after,
        })
        .collect();
    events.extend(lists::crossings(conn, assessor.active(), &crossed)?);
    store::write_outcomes(conn, &changed)?;
    let policies = &assessor.active().release.pack.policies;
    let gone: BTreeSet<&str> =
        known.keys().map(|(_, policy)| policy.as_str()).filter(|policy| !policies.contains_key(*policy)).collect();
    let ids: Vec<Id> = in_force.iter().map(|(made, _)| made.customer.id).collect();
    store::delete_outcomes(conn, &ids, &gone)?;
    event_store::append(conn, &events)
}

fn standing(assessor: &Assessor, policy: &str, closed_to: i64, before: Option<&Outcome>) -> Standing {
    let active = assessor.active();
    let cadence = active.release.pack.policies.get(policy).map(|declared| declared.cadence);
    if cadence == Some(Cadence::Continuous) {
        return Standing::Follows;
    }
    match (active.closed.pending(policy, closed_to), before) {
        (Some(closed_on), _) => Standing::Closes(closed_on),
        (None, Some(before)) if before.closed_on.is_some() => Standing::Locked,
        _ => Standing::Follows,
    }
}

/// What changed for those who follow events: the standing outcome, or else the provisional one, which is lost where the policy fails.
fn change(policy: &str, before: Option<&Outcome>, after: &Outcome) -> Option<OutcomeChange> {
    let standing = before.map(|before| &before.outcome);
    let provisional = before.and_then(|before| before.provisional.as_ref().or(Some(&before.outcome)));
    let now = after.provisional.as_ref().unwrap_or(&after.outcome);
    let stands = standing != Some(&after.outcome);
    (stands || provisional != Some(now)).then(|| OutcomeChange {
        policy: policy.to_owned(),
        from: if stands { standing } else { provisional }.cloned(),
        to: if stands { &after.outcome } else { now }.clone(),
        provisional: !stands,
        closed_on: after.closed_on.filter(|_| stands),
    })
}

/// Who is due but inactive is due no more.
pub fn leave(conn: &mut Conn, inactive: &BTreeMap<Id, i64>) -> Result<()> {
    let ids: Vec<Id> = inactive.keys().copied().collect();
    let subjects = store::lock_subjects(conn, Subjects::Listed(&ids))?;
    let same = |id: &Id| subjects.get(id).is_some_and(|state| inactive.get(id) == Some(&state.input_seq));
    store::set_due(conn, &ids.into_iter().filter(same).collect::<Vec<_>>(), None)
}
