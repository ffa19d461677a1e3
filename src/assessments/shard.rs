//! The work on one shard of a run: page by page customers are read, assessed and written. A page and the shard's cursor commit
//! together, so that any process may take a shard over at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::assess::Assessor;
use super::model::{Assessment, Flag, Outcome, RunStatus};
use super::store::{self, Lease};
use crate::Id;
use crate::db::{self, Conn, transaction};
use crate::digest::Digest;
use crate::policy::model::{Subject, Verdict};
use crate::releases::active::Active;

/// A customer's assessment, ready to be written.
struct Assessed {
    assessment: Assessment,
    content: String,
    digest: Digest,
}

/// Assesses the customers of a shard until it is finished, another worker has it, the run is cancelled, or `stop` says so.
pub fn work(conn: &mut Conn, active: Arc<Active>, mut lease: Lease, stop: &dyn Fn() -> bool) -> Result<(), db::Error> {
    let as_of = active.basis.business_date;
    let assessor = Assessor::new(conn, active, as_of)?;
    loop {
        if stop() {
            return store::release_shard(conn, &lease);
        }
        let page = assessor.page(conn, lease.shard, lease.after)?;
        let results: Vec<Assessed> =
            page.iter().map(|(id, subject)| assess(&assessor, *id, subject, &lease)).collect::<Result<_, _>>()?;
        match transaction(conn, |conn| write_page(conn, &assessor, &lease, &results))? {
            Some(moved) if !results.is_empty() => lease = moved,
            _ => return Ok(()),
        }
    }
}

fn assess(assessor: &Assessor, id: Id, subject: &Arc<Subject>, lease: &Lease) -> Result<Assessed, db::Error> {
    let assessed = assessor.assess(subject);
    let content = serde_json::to_string(&assessed).map_err(|error| db::Error::corrupt("assessment", error))?;
    let basis = &assessor.active().basis;
    let assessment = Assessment {
        id: Id::new(),
        customer_id: id,
        run_id: Some(lease.run_id),
        basis: basis.number,
        release: basis.release,
        cohort: basis.cohort,
        as_of: assessor.as_of(),
        assessed_at: Timestamp::now(),
        assessed,
    };
    Ok(Assessed { assessment, digest: assessor.digest(&content), content })
}

/// Writes a page and moves the shard's cursor; an empty page finishes the shard. Nothing when the shard or the run isn't ours to work any more.
fn write_page(
    conn: &mut Conn,
    assessor: &Assessor,
    lease: &Lease,
    results: &[Assessed],
) -> Result<Option<Lease>, db::Error> {
    let mut moved = lease.clone();
    moved.after = results.last().map_or(lease.after, |last| last.assessment.customer_id);
    if store::run_status(conn, lease.run_id)? != Some(RunStatus::Running) {
        return Ok(None);
    }
    let ids: Vec<Id> = results.iter().map(|result| result.assessment.customer_id).collect();
    let latest = store::latest_digests(conn, lease.shard, &ids)?;
    for result in results {
        moved.progress.assessed += 1;
        let known = latest.get(&result.assessment.customer_id);
        moved.progress.unchanged += u64::from(known.is_some_and(|(_, digest)| *digest == result.digest));
        let policies = &result.assessment.assessed.policies;
        moved.progress.failed += u64::from(policies.iter().any(|policy| Flag::of(&policy.result).is_some()));
        moved.progress.summary.count(&result.assessment.assessed);
    }
    if !store::advance_shard(conn, &moved, results.is_empty())? {
        return Ok(None);
    }
    write_results(conn, assessor, lease.shard, results, &latest)?;
    Ok(Some(moved))
}

fn write_results(
    conn: &mut Conn,
    assessor: &Assessor,
    shard: u8,
    results: &[Assessed],
    latest: &BTreeMap<Id, (Id, Digest)>,
) -> Result<(), db::Error> {
    let same = |result: &Assessed| {
        latest.get(&result.assessment.customer_id).filter(|(_, digest)| *digest == result.digest).map(|(id, _)| *id)
    };
    let new: Vec<(&Assessment, &str)> = results
        .iter()
        .filter(|result| same(result).is_none())
        .map(|result| (&result.assessment, result.content.as_str()))
        .collect();
    store::insert_assessments(conn, &new)?;
    // A run on an older basis writes history only: what is in force belongs to the current one.
    let basis = assessor.active().basis.number;
    if store::current_basis_number(conn)? != Some(basis) {
        return Ok(());
    }
    let confirmed: Vec<(Id, Id, Digest)> = results
        .iter()
        .map(|result| {
            let assessment = &result.assessment;
            (assessment.customer_id, same(result).unwrap_or(assessment.id), result.digest)
        })
        .collect();
    store::write_latest(conn, &confirmed, basis, Timestamp::now())?;
    let ids: Vec<Id> = results.iter().map(|result| result.assessment.customer_id).collect();
    let known = store::outcomes_of(conn, shard, &ids)?;
    let changed: Vec<(Id, String, Outcome)> =
        results.iter().flat_map(|result| changed_outcomes(&result.assessment, &known)).collect();
    store::write_outcomes(conn, &changed)?;
    let policies: BTreeSet<&str> = assessor.active().release.pack.policies.keys().map(String::as_str).collect();
    let gone: BTreeSet<&str> =
        known.keys().map(|(_, policy)| policy.as_str()).filter(|policy| !policies.contains(policy)).collect();
    store::delete_outcomes(conn, shard, &ids, &gone)
}

/// The outcomes that an assessment changes. A policy that failed or is blocked keeps its old outcome, flagged.
fn changed_outcomes(assessment: &Assessment, known: &BTreeMap<(Id, String), Outcome>) -> Vec<(Id, String, Outcome)> {
    let mut changed = Vec::new();
    for policy in &assessment.assessed.policies {
        let before = known.get(&(assessment.customer_id, policy.policy.clone()));
        let now = match (&policy.result, before) {
            (Verdict::Decided(decision), Some(before)) if before.outcome == decision.outcome => {
                Some(Outcome { flag: None, ..before.clone() })
            }
            (Verdict::Decided(decision), _) => Some(Outcome {
                outcome: decision.outcome.clone(),
                flag: None,
                since: assessment.as_of,
                assessment_id: assessment.id,
            }),
            (undecided, Some(before)) => Some(Outcome { flag: Flag::of(undecided), ..before.clone() }),
            (_, None) => None,
        };
        changed.extend(
            now.filter(|now| before != Some(now)).map(|now| (assessment.customer_id, policy.policy.clone(), now)),
        );
    }
    changed
}
