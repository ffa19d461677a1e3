//! A release that decides in the shadow of the one in force for a period: on each business date it decides about every customer, as if it
//! had been in force since the period began, and nobody's outcome changes. What came of it is told by outcome of either release.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Span;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::activation;
use super::assess::{Assessor, Read};
use super::model::{Flag, Outcome, Run, RunCause, RunStatus, ShadowStatus, Standing};
use super::run::{self, Error};
use super::schedule::{last_ended, next_of};
use super::shard::{self, SignOfLife};
use super::store::{self, LeanCustomer, Lease, Shadow};
use super::tally::{Moves, Side};
use crate::Id;
use crate::customers::model::{FieldType, Value};
use crate::db::{self, Conn, Db, transaction};
use crate::digest::Digest;
use crate::faults::{Fault, did_you_mean, excerpt};
use crate::policy::changes::changed_policies;
use crate::policy::engine::Needed;
use crate::policy::model::{Assessed, PolicyResult, Previous};
use crate::policy::pack::{Cadence, Pack};
use crate::releases;
use crate::releases::active::{Active, InForce};
use crate::releases::model::{Basis, By, ReleaseState};

/// Longest period, in years.
const MAX_YEARS: i64 = 5;
/// Most metrics that are looked at by outcome.
pub const MAX_FACTS: usize = 20;
/// Nobody has decided anything yet.
const NOTHING_KNOWN: Assessed = Assessed { policies: Vec::new() };

/// What came of a shadow so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shadowed {
    /// The business date of the last decisions.
    pub on: Date,
    /// What was counted on it.
    pub seen: Seen,
    /// How many customers had another outcome on each business date, by policy.
    pub course: Vec<Day>,
}

/// One business date of a shadow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Day {
    /// The business date.
    pub on: Date,
    /// By policy: customers for whom both releases have an outcome, and those of them for whom it differs.
    pub policies: BTreeMap<String, (u64, u64)>,
}

/// What was counted of customers on one business date.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// How many there are.
    pub customers: u64,
    /// By policy: those of the release that decide otherwise than those in force, and those that it doesn't have.
    pub policies: BTreeMap<String, SeenPolicy>,
}

/// What was counted of one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenPolicy {
    /// Customers by the outcome that stands and the one that would.
    pub matrix: Moves,
    /// By metric and by the outcome that customers had at first: by the release in force, and by the shadow.
    pub facts: BTreeMap<String, [BTreeMap<String, Fact>; 2]>,
}

/// What a metric came to for some customers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Customers who have a value.
    pub customers: u64,
    /// The sum of the values.
    pub sum: Decimal,
}

impl Fact {
    /// The mean of the values, with six places.
    pub fn mean(self) -> Decimal {
        self.sum.checked_div(Decimal::from(self.customers)).unwrap_or_default().round_dp(6).normalize()
    }
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.customers += other.customers;
        for (policy, seen) in other.policies {
            let all = self.policies.entry(policy).or_default();
            all.matrix.add(seen.matrix);
            for (metric, sides) in seen.facts {
                let sums = all.facts.entry(metric).or_default();
                for (sums, facts) in sums.iter_mut().zip(sides) {
                    for (outcome, fact) in facts {
                        let sum = sums.entry(outcome).or_default();
                        sum.customers += fact.customers;
                        sum.sum += fact.sum;
                    }
                }
            }
        }
    }
}

/// What a shadow has decided about a customer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Decided {
    /// Outcomes on the first day, by policy: by the release in force, and by the shadow.
    first: BTreeMap<String, [Option<String>; 2]>,
    /// What would stand, by policy.
    now: BTreeMap<String, Outcome>,
}

/// A shadow that somebody wants.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The release.
    pub release: Digest,
    /// Who wants it.
    pub by: By,
    /// The business date on which it is to end.
    pub ends_on: Date,
    /// Keys of metrics of the release that are looked at by outcome, at most [`MAX_FACTS`].
    pub facts: Vec<String>,
}

/// Lets a release decide in the shadow of the one in force from the business date on.
///
/// # Errors
/// The release isn't kept, wasn't checked or is the one in force, another shadow is open, or the date or a metric is wrong.
pub fn begin(conn: &mut Conn, in_force: &InForce, active: &Active, plan: &Plan) -> Result<Shadow, Error> {
    if plan.release == active.basis.release {
        return Err(Error::InForce);
    }
    let kept = releases::store::release_with_steps(conn, plan.release)?.ok_or(Error::NotFound)?;
    if kept.state(active.basis.release) == ReleaseState::Draft {
        return Err(Error::Draft);
    }
    let starts_on = active.basis.business_date;
    let faults = check(plan, starts_on, &in_force.release(conn, plan.release)?.pack);
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let Plan { release, by, ends_on, facts } = plan.clone();
    let shadow = Shadow {
        id: Id::new(),
        release,
        by,
        facts,
        starts_on,
        ends_on,
        status: ShadowStatus::Open,
        decided_on: None,
        run_id: None,
        cohort: None,
        result: None,
    };
    transaction(conn, |conn| {
        // Two who begin at once come one after the other.
        releases::store::lock_basis(conn, active.basis.number)?;
        if store::open_shadow(conn)?.is_some() {
            return Err(Error::Shadowed);
        }
        store::insert_shadow(conn, &shadow)?;
        Ok(shadow.clone())
    })
}

fn check(plan: &Plan, starts_on: Date, pack: &Pack) -> Vec<Fault> {
    let mut faults = Vec::new();
    let last = starts_on.checked_add(Span::new().years(MAX_YEARS)).unwrap_or(Date::MAX);
    if !(starts_on..=last).contains(&plan.ends_on) {
        let detail = format!("{} is not from {starts_on}, the business date, to {last}", plan.ends_on);
        faults.push(Fault::new("/ends_on", "out_of_range", detail));
    }
    if plan.facts.len() > MAX_FACTS {
        faults.push(Fault::new("/facts", "out_of_range", format!("at most {MAX_FACTS} metrics are looked at")));
        return faults;
    }
    for (place, key) in plan.facts.iter().enumerate() {
        let pointer = format!("/facts/{place}");
        if plan.facts.iter().take(place).any(|earlier| earlier == key) {
            faults.push(Fault::new(pointer, "doubled", format!("'{}' stands here twice", excerpt(key))));
            continue;
        }
        match pack.definitions.metrics.get(key) {
            None => {
                let hint = did_you_mean(key, pack.definitions.metrics.keys().map(String::as_str));
                let detail = format!("the release declares no metric '{}'{hint}", excerpt(key));
                faults.push(Fault::new(pointer, "unknown_metric", detail));
            }
            Some(metric) if metric.value_type() == FieldType::Date => {
                faults.push(Fault::new(pointer, "wrong_type", format!("'{key}' is a date, and has no mean")));
            }
            Some(_) => {}
        }
    }
    faults
}

/// Ends the shadow of a release that is open.
pub fn cancel(conn: &mut Conn, release: Digest) -> Result<Shadow, Error> {
    let last = store::last_shadow(conn, release)?.ok_or(Error::NotFound)?;
    transaction(conn, |conn| {
        let shadow = store::lock_shadow(conn, last.id)?.ok_or(Error::NotFound)?;
        if shadow.status != ShadowStatus::Open {
            return Err(Error::Ended);
        }
        store::end_shadow(conn, shadow.id, ShadowStatus::Cancelled)?;
        if let Some(run_id) = shadow.run_id
            && store::run_status(conn, run_id)?.is_some_and(RunStatus::is_open)
        {
            run::cancel_in(conn, run_id)?;
        }
        Ok(Shadow { status: ShadowStatus::Cancelled, ..shadow })
    })
}

/// Sees to it that an open shadow decides on the business date, once nothing else is to be done on it. Whether it has started a run.
pub fn follow(conn: &mut Conn, active: &Active) -> Result<bool, Error> {
    let date = active.basis.business_date;
    let Some(open) = store::open_shadow(conn)?.filter(|shadow| shadow.decided_on < Some(date)) else {
        return Ok(false);
    };
    if open.release == active.basis.release {
        store::end_shadow(conn, open.id, ShadowStatus::Ended)?;
        return Ok(false);
    }
    let rules_hold = active.basis.rules == 1 || store::is_followed(conn, active.basis.rules)?;
    if !rules_hold || !store::open_runs(conn)?.is_empty() || store::has_aged(conn, date)? {
        return Ok(false);
    }
    transaction(conn, |conn| {
        let still = store::lock_shadow(conn, open.id)?
            .is_some_and(|shadow| shadow.status == ShadowStatus::Open && shadow.decided_on == open.decided_on);
        if !still {
            return Ok(false);
        }
        let run = Run { cause: RunCause::Shadow, status: RunStatus::Preparing, ..run::new(conn, active, None)? };
        run::open(conn, &run)?;
        store::set_shadow_run(conn, open.id, run.id, date)?;
        Ok(true)
    })
}

fn of_run(conn: &mut Conn, run_id: Id) -> Result<Shadow, db::Error> {
    store::shadow_of_run(conn, run_id)?
        .ok_or_else(|| db::Error::Corrupt(format!("the shadow of the run {run_id} is missing")))
}

/// Computes the statistics that the release declares anew, unless it has those of the cohort in force already, and opens the shards.
pub fn prepare(conn: &mut Conn, db: &Db, in_force: &InForce, active: &Active, lease: &Lease) -> Result<(), Error> {
    let shadow = of_run(conn, lease.run_id)?;
    let beside = active.basis.cohort;
    let cohort = match shadow.cohort {
        Some((_, known)) if known == beside => None,
        _ => {
            let release = in_force.release(conn, shadow.release)?;
            let every: Duration = lease.owner.sign_of_life();
            let mut alive = || db.run_here(|conn| store::keep_shard(conn, lease)).map(|_| ());
            Some(activation::cohort_of(conn, active, &release, every, &mut alive)?)
        }
    };
    run::prepared(conn, lease, |conn| {
        if let Some(cohort) = &cohort {
            let digest = releases::store::keep_cohort(conn, cohort)?;
            store::set_shadow_cohort(conn, shadow.id, digest, beside)?;
        }
        Ok(())
    })
}

/// The release in the shadow, and what it is asked.
struct Watch {
    shadow: Shadow,
    assessor: Assessor,
    /// The pack of the release in force.
    beside: Arc<Active>,
    /// Policies that the release changes.
    changed: BTreeSet<String>,
    /// These, and those that it doesn't have.
    differing: BTreeSet<String>,
    /// The changed ones, with all whose outcomes they read.
    wanted: Needed,
}

impl Watch {
    fn new(conn: &mut Conn, in_force: &InForce, active: Arc<Active>, shadow: Shadow) -> Result<Self, Error> {
        let cohort = shadow.cohort.map_or(active.basis.cohort, |(own, _)| own);
        let basis = Basis { release: shadow.release, cohort, ..active.basis.clone() };
        let state = Arc::new(in_force.state(conn, basis)?);
        let changed = changed_policies(&active.release, &state.release);
        let mut differing = changed.clone();
        let (old, new) = (&active.release.pack.policies, &state.release.pack.policies);
        differing.extend(old.keys().filter(|id| !new.contains_key(*id)).cloned());
        let wanted = state.release.policies.with_needed(&changed);
        let mut read = wanted.clone();
        read.inputs.extend(shadow.facts.iter().cloned());
        Ok(Self {
            wanted,
            assessor: Assessor::only(conn, state, active.basis.business_date, read)?,
            shadow,
            beside: active,
            changed,
            differing,
        })
    }

    /// What the release decides about a customer as if it had been in force since the shadow began.
    fn decide(&self, read: &Read, known: &BTreeMap<String, Outcome>) -> Assessed {
        let mut before = read.before.clone();
        before.standing.retain(|policy, _| !self.changed.contains(policy));
        for (policy, outcome) in known {
            if self.standing(policy, Some(outcome)) == Standing::Locked {
                before.standing.insert(policy.clone(), outcome.outcome.clone());
            }
            if outcome.closed_on.is_some() {
                let previous = Previous { outcome: outcome.outcome.clone(), since: outcome.since };
                before.previous.insert(policy.clone(), previous);
            }
        }
        let mut assessed = self.assessor.assess_some(&read.subject, &before, &self.wanted, &NOTHING_KNOWN);
        assessed.policies.retain(|result| self.changed.contains(&result.policy));
        assessed
    }

    /// How a policy's outcome follows what it decides: by the calendar, and with the first decision as with an activation.
    fn standing(&self, policy: &str, before: Option<&Outcome>) -> Standing {
        let pack = &self.assessor.active().release.pack;
        let cadence = pack.policies.get(policy).map_or(Cadence::Continuous, |declared| declared.cadence);
        if cadence == Cadence::Continuous {
            return Standing::Follows;
        }
        let (_, next) = next_of(cadence, pack.closes_after, self.assessor.as_of());
        let closed = last_ended(cadence, next);
        match before.and_then(|before| before.closed_on) {
            Some(known) if known >= closed => Standing::Locked,
            _ => Standing::Closes(closed),
        }
    }

    /// What would stand after a decision.
    fn after(&self, known: &BTreeMap<String, Outcome>, result: &PolicyResult) -> Option<Outcome> {
        let before = known.get(&result.policy);
        let standing = self.standing(&result.policy, before);
        Outcome::after(before, &result.result, standing, (self.assessor.as_of(), Id::NIL))
    }

    /// The outcomes on the first day: those that stand, and those that would.
    fn first(
        &self,
        stands: &BTreeMap<String, Outcome>,
        would: &BTreeMap<String, Outcome>,
    ) -> BTreeMap<String, [Option<String>; 2]> {
        let sides = |policy: &String| [stands, would].map(|side| side.get(policy).map(|one| one.outcome.clone()));
        self.differing.iter().map(|policy| (policy.clone(), sides(policy))).collect()
    }

    /// Counts a customer by what stands of him and by what would.
    fn count(
        &self,
        seen: &mut Seen,
        read: &Read,
        stands: &BTreeMap<String, Outcome>,
        assessed: &Assessed,
        decided: &Decided,
    ) {
        seen.customers += 1;
        for policy in &self.differing {
            let counted = seen.policies.entry(policy.clone()).or_default();
            let from = match stands.get(policy) {
                Some(outcome) => Side::Outcome(outcome.outcome.clone()),
                None => undecided(&self.beside, policy),
            };
            let result = assessed.policies.iter().find(|result| result.policy == *policy);
            let to = match decided.now.get(policy) {
                Some(outcome) => Side::Outcome(outcome.outcome.clone()),
                None => Side::of(result),
            };
            counted.matrix.count(from, to);
            let Ok(subject) = &read.subject else { continue };
            for metric in &self.shadow.facts {
                let Some(Value::Number(number)) = subject.values.get(metric) else { continue };
                let sides = counted.facts.entry(metric.clone()).or_default();
                for (facts, outcome) in sides.iter_mut().zip(decided.first.get(policy).into_iter().flatten()) {
                    let Some(outcome) = outcome else { continue };
                    let fact = facts.entry(outcome.clone()).or_default();
                    fact.customers += 1;
                    fact.sum += number;
                }
            }
        }
    }
}

/// What is said of a policy that has no outcome.
fn undecided(active: &Active, policy: &str) -> Side {
    match active.release.pack.policies.contains_key(policy) {
        true => Side::Undecided(Flag::Failed),
        false => Side::Absent,
    }
}

/// Lets the release decide about the customers of a shard, until it is finished, another worker has it, the run is cancelled, or `stop`
/// says so.
pub fn work(
    conn: &mut Conn,
    in_force: &InForce,
    active: Arc<Active>,
    lease: Lease,
    stop: &dyn Fn() -> bool,
) -> Result<(), Error> {
    let shadow = of_run(conn, lease.run_id)?;
    let id = shadow.id;
    let watch = Watch::new(conn, in_force, active, shadow)?;
    let count = |conn: &mut Conn, page: Vec<LeanCustomer>, lease: &mut Lease, seen: &mut Seen| {
        let of = store::stretch(&page);
        let mut known: BTreeMap<Id, Decided> = store::shadowed(conn, id, of)?;
        let mut stand: BTreeMap<Id, BTreeMap<String, Outcome>> = BTreeMap::new();
        for ((customer, policy), outcome) in store::outcomes_of(conn, of)? {
            stand.entry(customer).or_default().insert(policy, outcome);
        }
        let mut sign = SignOfLife::begin();
        let mut kept = Vec::with_capacity(page.len());
        for read in watch.assessor.read(conn, of, page)? {
            let customer = read.customer.id;
            lease.after = customer;
            lease.progress.assessed += 1;
            let stands = stand.remove(&customer).unwrap_or_default();
            let before = known.remove(&customer);
            let is_first = before.is_none();
            let mut decided = before.unwrap_or_default();
            let assessed = watch.decide(&read, &decided.now);
            let now = assessed
                .policies
                .iter()
                .filter_map(|result| Some((result.policy.clone(), watch.after(&decided.now, result)?)));
            decided.now = now.collect();
            if is_first {
                decided.first = watch.first(&stands, &decided.now);
            }
            watch.count(seen, &read, &stands, &assessed, &decided);
            lease.progress.summary.count(&assessed);
            kept.push((customer, decided));
            if !sign.give(conn, lease)? {
                return Ok(None);
            }
        }
        Ok(Some(kept))
    };
    Ok(shard::survey(conn, lease, stop, count, |conn, kept| store::write_shadowed(conn, id, kept))?)
}

/// Puts together what all shards have counted, and ends the run, and with its last day the shadow.
pub fn finish(conn: &mut Conn, run_id: Id, date: Date) -> Result<(), Error> {
    let mut seen = Seen::default();
    store::shard_tallies(conn, run_id)?.into_iter().for_each(|part| seen.add(part));
    transaction(conn, |conn| {
        if store::lock_run(conn, run_id)?.is_none_or(|(status, _)| status != RunStatus::Running) {
            return Ok(());
        }
        let id = of_run(conn, run_id)?.id;
        let Some(shadow) = store::lock_shadow(conn, id)? else { return Ok(()) };
        let earlier = shadow.result.as_deref().map(Shadowed::read).transpose()?;
        let mut course = earlier.map(|earlier| earlier.course).unwrap_or_default();
        let moved =
            |(policy, seen): (&String, &SeenPolicy)| (policy.clone(), (seen.matrix.decided(), seen.matrix.moved()));
        course.push(Day { on: date, policies: seen.policies.iter().map(moved).collect() });
        let result = Shadowed { on: date, seen: seen.clone(), course };
        let result = serde_json::to_string(&result).map_err(|error| db::Error::corrupt("shadow", error))?;
        store::set_shadow_result(conn, id, &result)?;
        if date >= shadow.ends_on && shadow.status == ShadowStatus::Open {
            store::end_shadow(conn, id, ShadowStatus::Ended)?;
        }
        store::delete_tallies(conn, run_id)?;
        Ok(store::set_run(conn, run_id, RunStatus::Finished, None)?)
    })
}

impl Shadowed {
    /// One that is kept.
    pub fn read(content: &str) -> Result<Self, db::Error> {
        serde_json::from_str(content).map_err(|error| db::Error::corrupt("shadow", error))
    }
}
