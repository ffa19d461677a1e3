//! What a release has to pass before it replaces the one in force: checks, a comparison within limits, and the approval of a second
//! person, as far as the pack in force wants it.

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::comparison::Comparison;
use super::store;
use crate::db::{self, Conn};
use crate::digest::Digest;
use crate::policy::pack::Publishing;
use crate::releases::active::Active;
use crate::releases::model::{By, Release, ReleaseState, Step, StepKind};
use crate::releases::start::Error;
use crate::releases::store as release_store;

/// A limit of the pack that a comparison goes beyond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Which one: `moved_at_most`, `sums_within` or `never`; `failures` where the candidate fails for customers for whom the release in
    /// force decides, and `removed` where it doesn't have the policy.
    pub limit: &'static str,
    /// The policy.
    pub policy: String,
    /// What was found, and what is allowed.
    pub detail: String,
}

/// The limits that a comparison goes beyond.
pub fn exceeded(limits: &Publishing, comparison: &Comparison) -> Vec<Exceeded> {
    let mut found = Vec::new();
    let percent = |share: Decimal| (share * Decimal::ONE_HUNDRED).round_dp(2).normalize();
    for (policy, tally) in &comparison.tally.policies {
        let mut exceed = |limit, detail| found.push(Exceeded { limit, policy: policy.clone(), detail });
        if let Some(most) = limits
            .moved_at_most
            .filter(|most| Decimal::from(tally.matrix.moved()) > *most * Decimal::from(tally.matrix.decided()))
        {
            let (moved, decided) = (tally.matrix.moved(), tally.matrix.decided());
            let share = percent(tally.matrix.share_moved());
            let detail = format!("{moved} of {decided} customers move, {share} %; at most {} % may", percent(most));
            exceed("moved_at_most", detail);
        }
        if tally.matrix.newly_failed() > 0 {
            let detail = format!("it fails for {} customers for whom it doesn't now", tally.matrix.newly_failed());
            exceed("failures", detail);
        }
        if tally.matrix.removed() > 0 {
            exceed("removed", format!("{} customers lose their outcome: the policy is gone", tally.matrix.removed()));
        }
        for (key, sums) in &tally.sums {
            let change = (sums.after - sums.before).abs();
            if let Some(most) = limits.sums_within.filter(|most| change > *most * sums.before.abs()) {
                let (before, after) = (sums.before.normalize(), sums.after.normalize());
                let detail =
                    format!("the sum of '{key}' goes from {before} to {after}; it may change by {} %", percent(most));
                exceed("sums_within", detail);
            }
        }
        for movement in limits.never.iter().filter(|movement| movement.policy == *policy) {
            let moving = tally.matrix.moving(&movement.from, &movement.to);
            if moving > 0 {
                let detail =
                    format!("{moving} customers move from '{}' to '{}'; nobody may", movement.from, movement.to);
                exceed("never", detail);
            }
        }
    }
    found
}

/// The last comparison of a release with the one in force, over all customers.
pub fn comparison_of(conn: &mut Conn, release: &Release, in_force: Digest) -> db::Result<Option<(Digest, Comparison)>> {
    let Some(digest) = release.comparison_with(in_force) else { return Ok(None) };
    let content = store::finished_comparison(conn, release.digest, digest)?;
    content.map(|content| Ok((digest, Comparison::read(&content)?))).transpose()
}

/// Whether a release may replace the one in force. One that was in force before may: going back can't wait.
///
/// # Errors
/// [`Error::NotPermitted`] says what is missing.
pub fn permit(conn: &mut Conn, active: &Active, candidate: Digest, reason: Option<&str>) -> Result<(), Error> {
    let Some(wanted) = &active.release.pack.publishing else { return Ok(()) };
    let release = release_store::release_with_steps(conn, candidate)?;
    let missing = |what: String| Err(Error::NotPermitted(format!("the pack in force wants {what}")));
    let Some(release) = release else {
        return missing("a release to be kept, checked and compared before it comes into force".to_owned());
    };
    if release.state(active.basis.release) == ReleaseState::Retired {
        return Ok(());
    }
    let Some((digest, comparison)) = comparison_of(conn, &release, active.basis.release)? else {
        return missing(format!("{candidate} to be compared with the release in force, over all customers"));
    };
    let approval = release.approval_of(digest);
    if wanted.second_person && approval.is_none() {
        return missing(format!("somebody else than its author to approve the comparison {digest}"));
    }
    let beyond = exceeded(wanted, &comparison);
    let reasons = [reason, approval.and_then(|approval| approval.message.as_deref())];
    if !beyond.is_empty() && !reasons.into_iter().flatten().any(|reason| !reason.trim().is_empty()) {
        let told: Vec<String> = beyond.into_iter().map(|one| format!("{}: {}", one.policy, one.detail)).collect();
        return missing(format!("a written reason for going beyond its limits ({})", told.join("; ")));
    }
    Ok(())
}

/// Approves the last comparison of a release with the one in force.
///
/// # Errors
/// There is no such comparison, its digest is another one, or who approves made the release and a second person is wanted.
pub fn approve(
    conn: &mut Conn,
    active: &Active,
    candidate: Digest,
    comparison: Digest,
    by: By,
    reason: Option<String>,
) -> Result<Release, Error> {
    let refused = |why: String| Err(Error::NotPermitted(why));
    let Some(release) = release_store::release_with_steps(conn, candidate)? else {
        return refused(format!("there is no release {candidate}"));
    };
    match release.comparison_with(active.basis.release) {
        None => return refused("there is no comparison with the release in force over all customers".to_owned()),
        Some(last) if last != comparison => {
            return refused(format!("the last comparison is {last}; read it before approving"));
        }
        Some(_) => {}
    }
    let second = active.release.pack.publishing.as_ref().is_some_and(|wanted| wanted.second_person);
    let made_it = release.steps.iter().any(|step| step.kind == StepKind::Created && step.by.is_same_as(&by));
    if second && made_it {
        return refused(format!("{} made the release; somebody else has to approve it", by.name));
    }
    let step = Step {
        kind: StepKind::Approved,
        by,
        parent: Some(active.basis.release),
        comparison: Some(comparison),
        message: reason,
        created_at: Timestamp::now(),
    };
    release_store::add_step(conn, candidate, &step)?;
    Ok(Release { steps: [release.steps, vec![step]].concat(), ..release })
}
