//! Comparing a release with the one in force before it replaces it: both decide about every customer, and nothing of it is kept but the
//! counts. A comparison is made by a run, shard by shard, so that any process may work on it.

pub mod export;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::activation;
use super::assess::{Assessor, Read, Sound};
use super::model::{Run, RunCause, RunStatus};
use super::run::{self, Error};
use super::shard::{self, SignOfLife};
use super::store::{self, ComparisonTask, LeanCustomer, Lease};
use super::tally::{Cost, Mover, Scales, Tally};
use crate::Id;
use crate::customers::model::{Field, FieldType, Fields};
use crate::db::{self, Conn, Db, Subjects, transaction};
use crate::digest::Digest;
use crate::faults::{Fault, did_you_mean, pointer_segment};
use crate::policy::changes::changed_policies;
use crate::policy::engine::Needed;
use crate::policy::model::{Assessed, PolicyResult, Subject};
use crate::policy::pack::{EntitlementType, Pack};
use crate::policy::release::LoadedPack;
use crate::releases;
use crate::releases::active::{Active, InForce};
use crate::releases::model::{Basis, By, ReleaseState, Step, StepKind};

/// Nobody has decided anything yet.
const NOTHING_KNOWN: Assessed = Assessed { policies: Vec::new() };

/// Whom a comparison looks at: customers with one of these values, by field; everybody when there is none.
pub type Population = BTreeMap<String, Vec<String>>;

/// What came of a comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// The release that was compared.
    pub candidate: Digest,
    /// The release that was in force.
    pub in_force: Digest,
    /// The cohort by which the candidate decided.
    pub cohort: Digest,
    /// The date of both.
    pub business_date: Date,
    /// Whom it looked at.
    pub population: Population,
    /// Policies of the candidate that decide as before: nothing on which they rest differs.
    pub unchanged: Vec<String>,
    /// What was counted of the others.
    pub tally: Tally,
    /// The customers whose outcome differs most, by policy, with what both releases decided.
    pub movers: BTreeMap<String, Vec<MoverDecisions>>,
}

/// A customer whose outcome differs, with what both releases decided.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MoverDecisions {
    /// His id.
    pub customer_id: Id,
    /// His code.
    pub customer_code: String,
    /// By how many places the outcome differs: above 0 is worse.
    pub steps: i64,
    /// What the release in force decided.
    pub before: PolicyResult,
    /// What the candidate decided.
    pub after: PolicyResult,
}

/// Begins to compare a release that is kept with the one in force.
///
/// # Errors
/// The release isn't kept, wasn't checked or is the one in force, a field of the population can't be chosen by, or another comparison is being made.
pub fn create(
    conn: &mut Conn,
    active: &Active,
    candidate: Digest,
    population: Population,
    by: By,
) -> Result<Run, Error> {
    if candidate == active.basis.release {
        return Err(Error::InForce);
    }
    let release = releases::store::release_with_steps(conn, candidate)?.ok_or(Error::NotFound)?;
    if release.state(active.basis.release) == ReleaseState::Draft {
        return Err(Error::Draft);
    }
    let faults = check_population(&active.release.pack.fields, &population);
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    transaction(conn, |conn| {
        if let Some(open) = store::open_comparison(conn)? {
            return Err(Error::Open(open));
        }
        let run = Run { cause: RunCause::Comparison, status: RunStatus::Preparing, ..run::new(conn, active, None)? };
        let by = by.clone();
        let population = population.clone();
        let task = ComparisonTask { run_id: run.id, candidate, cohort: None, by, population, content: None };
        store::insert_comparison(conn, &task)?;
        run::open(conn, &run)?;
        Ok(run)
    })
}

fn check_population(fields: &Fields, population: &Population) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (key, values) in population {
        let pointer = format!("/population{}", pointer_segment(key));
        match fields.get(key) {
            None => {
                let hint = did_you_mean(key, fields.iter().map(|(key, _)| key));
                faults.push(Fault::new(pointer, "unknown_field", format!("the pack has no field '{key}'{hint}")));
            }
            Some(_) if values.is_empty() => {
                faults.push(Fault::new(pointer, "empty", "a field is followed by at least one value"));
            }
            Some(field) => {
                let wrong = values.iter().filter_map(|value| field.parse(value).err());
                faults.extend(wrong.map(|(code, detail)| Fault::new(pointer.clone(), code, detail)));
            }
        }
    }
    faults
}

/// The comparison that a run makes.
fn task(conn: &mut Conn, run_id: Id) -> Result<ComparisonTask, db::Error> {
    store::comparison(conn, run_id)?
        .ok_or_else(|| db::Error::Corrupt(format!("the comparison of the run {run_id} is missing")))
}

/// Computes the statistics that the candidate declares anew, and opens the shards.
pub fn prepare(conn: &mut Conn, db: &Db, in_force: &InForce, active: &Active, lease: &Lease) -> Result<(), Error> {
    let candidate = task(conn, lease.run_id)?.candidate;
    let release = in_force.release(conn, candidate)?;
    let every = lease.owner.sign_of_life();
    let mut alive = || db.run_here(|conn| store::keep_shard(conn, lease)).map(|_| ());
    let cohort = activation::cohort_of(conn, active, &release, every, &mut alive)?;
    run::prepared(conn, lease, |conn| {
        let digest = releases::store::keep_cohort(conn, &cohort)?;
        store::set_comparison_cohort(conn, lease.run_id, digest)
    })
}

/// The two releases, and what both are asked.
struct Sides {
    before: Assessor,
    after: Assessor,
    /// Policies that the candidate changes: activating it closes them.
    changed: BTreeSet<String>,
    /// These, and those that it doesn't have.
    differing: BTreeSet<String>,
    /// On either side these, with all whose outcomes they read.
    wanted: [Needed; 2],
    /// The same for those who are only counted.
    counted: [Needed; 2],
    /// Whether both read the same of a customer.
    reads_alike: bool,
    scales: Scales,
    /// Fields by which customers are counted.
    grouping: Vec<String>,
    population: Population,
}

impl Sides {
    fn new(conn: &mut Conn, in_force: &InForce, active: Arc<Active>, task: &ComparisonTask) -> Result<Self, Error> {
        let cohort = task.cohort.unwrap_or(active.basis.cohort);
        let basis = Basis { release: task.candidate, cohort, ..active.basis.clone() };
        let candidate = Arc::new(in_force.state(conn, basis)?);
        let changed = changed_policies(&active.release, &candidate.release);
        let (old, new) = (&active.release.pack, &candidate.release.pack);
        let mut differing = changed.clone();
        differing.extend(old.policies.keys().filter(|id| !new.policies.contains_key(*id)).cloned());
        let declared = |release: &LoadedPack| format!("{:?} {:?}", release.pack.fields, release.pack.definitions);
        let wanted = [&active, &candidate].map(|side| side.release.policies.with_needed(&differing));
        let grouping = grouping(&old.fields);
        // What is read of a customer serves both.
        let mut read = wanted[0].and(&wanted[1]);
        read.inputs.extend(task.population.keys().chain(&grouping).cloned());
        let date = active.basis.business_date;
        Ok(Self {
            counted: wanted.clone().map(|side| Needed { bare: true, ..side }),
            wanted,
            changed,
            differing,
            reads_alike: declared(&active.release) == declared(&candidate.release),
            scales: scales([old, new]),
            grouping,
            population: task.population.clone(),
            before: Assessor::only(conn, active.clone(), date, read.clone())?,
            after: Assessor::only(conn, candidate.clone(), date, read)?,
        })
    }

    /// What both decide about a customer; nothing where he isn't looked at.
    fn decide(&self, read: &Read, other: Option<&Sound>, wanted: &[Needed; 2]) -> Option<[Assessed; 2]> {
        // Whose data can't be read has no value by which he could be chosen.
        let chosen = |(key, values): (&String, &Vec<String>)| {
            let value = read.subject.as_ref().ok().and_then(|subject| subject.values.get(key));
            value.is_some_and(|value| values.contains(&value.to_string()))
        };
        if !self.population.iter().all(chosen) {
            return None;
        }
        let before = self.before.assess_some(&read.subject, &read.before, &wanted[0], &NOTHING_KNOWN);
        let mut stood = read.before.clone();
        stood.standing.retain(|policy, _| !self.changed.contains(policy));
        // What decides as before decides the same, whatever it reads.
        let alike = before.policies.iter().filter(|result| !self.changed.contains(&result.policy));
        let known = Assessed { policies: alike.cloned().collect() };
        let after = self.after.assess_some(other.unwrap_or(&read.subject), &stood, &wanted[1], &known);
        let mut sides = [before, after];
        for side in &mut sides {
            side.policies.retain(|result| self.differing.contains(&result.policy));
        }
        Some(sides)
    }

    /// Values by which a customer is counted.
    fn values(&self, subject: &Subject) -> Vec<(&str, String)> {
        let value = |key: &'_ String| Some((subject.values.get(key)?).to_string());
        self.grouping.iter().filter_map(|key| Some((key.as_str(), value(key)?))).collect()
    }

    /// Measures how long each policy takes for one customer.
    fn measure(&self, tally: &mut Tally, read: &Read, other: Option<&Sound>) {
        let (Ok(before), Ok(after)) = (&read.subject, other.unwrap_or(&read.subject)) else { return };
        let sides = [(&self.before, before, false), (&self.after, after, true)];
        for ((assessor, subject, is_after), wanted) in sides.into_iter().zip(&self.wanted) {
            let policies = &assessor.active().release.policies;
            let circumstances = assessor.circumstances(&read.before);
            let decided = policies.assess_some(subject, circumstances, wanted, &NOTHING_KNOWN).policies;
            let outcomes: BTreeMap<String, String> = decided.iter().filter_map(PolicyResult::outcome).collect();
            for policy in self.differing.iter().filter(|policy| policies.script(policy).is_some()) {
                let started = Instant::now();
                policies.assess_one(policy, subject, circumstances, &outcomes);
                let took = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
                let cost = &mut tally.policies.entry(policy.clone()).or_default().cost;
                cost.measured += u64::from(is_after);
                *(if is_after { &mut cost.after } else { &mut cost.before }) += took;
            }
        }
    }
}

fn scales(packs: [&Pack; 2]) -> Scales {
    let mut scales = Scales::default();
    for (id, declared) in packs.into_iter().flat_map(|pack| &pack.policies) {
        let is_number = |kind| matches!(kind, EntitlementType::Decimal | EntitlementType::Integer);
        let numbers = declared.entitlements.iter().filter(|(_, one)| is_number(one.entitlement_type));
        scales.enter(id, &declared.outcomes, numbers.map(|(key, _)| key));
    }
    scales
}

/// Fields by which customers are counted: those that lists can be filtered by and that have few values.
fn grouping(fields: &Fields) -> Vec<String> {
    let groups = |field: &Field| {
        field.filterable
            && !field.personal
            && matches!(field.field_type, FieldType::Text | FieldType::Choice | FieldType::Boolean | FieldType::Choices)
    };
    fields.iter().filter(|(_, field)| groups(field)).map(|(key, _)| key.to_owned()).collect()
}

/// Compares the customers of a shard, until it is finished, another worker has it, the run is cancelled, or `stop` says so.
pub fn work(
    conn: &mut Conn,
    in_force: &InForce,
    active: Arc<Active>,
    lease: Lease,
    stop: &dyn Fn() -> bool,
) -> Result<(), Error> {
    let task = task(conn, lease.run_id)?;
    let sides = Sides::new(conn, in_force, active, &task)?;
    let count = |conn: &mut Conn, page: Vec<LeanCustomer>, lease: &mut Lease, tally: &mut Tally| {
        let of = store::stretch(&page);
        let others = match sides.reads_alike {
            true => Vec::new(),
            false => sides.after.subjects(conn, of, &page)?,
        };
        let mut sign = SignOfLife::begin();
        for (place, read) in sides.before.read(conn, of, page)?.into_iter().enumerate() {
            lease.after = read.customer.id;
            lease.progress.assessed += 1;
            let Some(decided) = sides.decide(&read, others.get(place), &sides.counted) else { continue };
            let values = read.subject.as_ref().map(|subject| sides.values(subject)).unwrap_or_default();
            tally.count(read.customer.id, &values, [&decided[0], &decided[1]], &sides.scales);
            lease.progress.summary.count(&decided[1]);
            if place == 0 {
                sides.measure(tally, &read, others.get(place));
            }
            if !sign.give(conn, lease)? {
                return Ok(None);
            }
        }
        Ok(Some(()))
    };
    Ok(shard::survey(conn, lease, stop, count, |_, ()| Ok(()))?)
}

/// Puts together what all shards have counted, with both decisions about those who move most, and ends the run.
pub fn finish(conn: &mut Conn, in_force: &InForce, active: Arc<Active>, run_id: Id) -> Result<(), Error> {
    let task = task(conn, run_id)?;
    let sides = Sides::new(conn, in_force, active.clone(), &task)?;
    let mut tally = Tally::default();
    store::shard_tallies(conn, run_id)?.into_iter().for_each(|part| tally.add(part));
    let mut movers = BTreeMap::new();
    for (policy, counted) in &tally.policies {
        let mut named = Vec::new();
        for mover in &counted.movers {
            named.extend(mover_decisions(conn, &sides, policy, mover)?);
        }
        movers.insert(policy.clone(), named);
    }
    let policies = sides.after.active().release.pack.customer_policies().map(|(id, _)| id);
    let unchanged = policies.filter(|id| !sides.differing.contains(*id));
    let comparison = Comparison {
        candidate: task.candidate,
        in_force: active.basis.release,
        cohort: task.cohort.unwrap_or(active.basis.cohort),
        business_date: active.basis.business_date,
        population: task.population.clone(),
        unchanged: unchanged.cloned().collect(),
        tally,
        movers,
    };
    let (content, digest) = comparison.named()?;
    transaction(conn, |conn| {
        if store::lock_run(conn, run_id)?.is_none_or(|(status, _)| status != RunStatus::Running) {
            return Ok(());
        }
        store::finish_comparison(conn, run_id, &content, digest)?;
        store::delete_tallies(conn, run_id)?;
        // What was looked at in part proves nothing of the whole.
        if task.population.is_empty() {
            let step = Step {
                kind: StepKind::Compared,
                by: task.by.clone(),
                parent: Some(comparison.in_force),
                comparison: Some(digest),
                message: None,
                created_at: Timestamp::now(),
            };
            releases::store::add_step(conn, task.candidate, &step)?;
        }
        Ok(store::set_run(conn, run_id, RunStatus::Finished, None)?)
    })
}

/// What both releases decide about a mover; nothing where he is gone, or moves no more.
fn mover_decisions(
    conn: &mut Conn,
    sides: &Sides,
    policy: &str,
    mover: &Mover,
) -> Result<Option<MoverDecisions>, Error> {
    let id = mover.customer_id;
    let Some(customer) = store::lean_customer(conn, id)? else { return Ok(None) };
    let others = match sides.reads_alike {
        true => Vec::new(),
        false => sides.after.subjects(conn, Subjects::Listed(&[id]), std::slice::from_ref(&customer))?,
    };
    let read = sides.before.read(conn, Subjects::Listed(&[id]), vec![customer])?;
    let Some(read) = read.into_iter().next() else { return Ok(None) };
    let Some(decided) = sides.decide(&read, others.first(), &sides.wanted) else { return Ok(None) };
    let [before, after] = decided.map(|side| side.policies.into_iter().find(|result| result.policy == policy));
    let moves = before.zip(after).filter(|(before, after)| before.outcome() != after.outcome());
    Ok(moves.map(|(before, after)| MoverDecisions {
        customer_id: id,
        customer_code: read.customer.code,
        steps: mover.steps,
        before,
        after,
    }))
}

impl Comparison {
    /// As it is kept, with the digest that names it: that of everything but what it costs, which no two measurements agree on.
    fn named(&self) -> Result<(String, Digest), db::Error> {
        let json = |comparison: &Self| {
            serde_json::to_string(comparison).map_err(|error| db::Error::corrupt("comparison", error))
        };
        let mut same = self.clone();
        same.tally.policies.values_mut().for_each(|policy| policy.cost = Cost::default());
        Ok((json(self)?, Digest::of(json(&same)?)))
    }

    /// One that is kept.
    pub fn read(content: &str) -> Result<Self, db::Error> {
        serde_json::from_str(content).map_err(|error| db::Error::corrupt("comparison", error))
    }
}
