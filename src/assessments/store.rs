//! Assessments, current outcomes and runs in the database.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_diesel::ToDiesel;
use serde_json::{Map, Value as Json};

use super::model::{Assessment, Flag, Outcome, Progress, Run, RunStatus};
use crate::Id;
use crate::db::bulk::Insert;
use crate::db::schema::{assessments, bases, customers, latest_assessments, outcomes, run_shards, runs};
use crate::db::{Conn, Error, Result};
use crate::digest::Digest;

/// Seconds for which a worker holds a shard without a sign of life.
pub const LEASE_SECONDS: i64 = 15;

/// A customer as a run reads him.
pub struct LeanCustomer {
    /// His id.
    pub id: Id,
    /// His code.
    pub code: String,
    /// His profile.
    pub profile: Map<String, Json>,
}

/// The active customers of a shard after an id, by id.
pub fn customers_page(conn: &mut Conn, shard: u8, after: Id, limit: i64) -> Result<Vec<LeanCustomer>> {
    let rows: Vec<(Id, String, String)> = customers::table
        .filter(customers::shard.eq(shard).and(customers::id.gt(after)).and(customers::status.eq("active")))
        .order(customers::id)
        .limit(limit)
        .select((customers::id, customers::code, customers::profile))
        .load(conn)?;
    rows.into_iter()
        .map(|(id, code, profile)| {
            let profile = serde_json::from_str(&profile).map_err(|error| Error::corrupt("profile", error))?;
            Ok(LeanCustomer { id, code, profile })
        })
        .collect()
}

/// Number of active customers.
pub fn count_active(conn: &mut Conn) -> Result<u64> {
    let count: i64 = customers::table.filter(customers::status.eq("active")).count().get_result(conn)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// Digests of the last assessments of customers of one shard.
pub fn latest_digests(conn: &mut Conn, shard: u8, ids: &[Id]) -> Result<BTreeMap<Id, (Id, Digest)>> {
    let rows: Vec<(Id, Id, Vec<u8>)> = latest_assessments::table
        .filter(latest_assessments::shard.eq(shard).and(latest_assessments::customer_id.eq_any(ids)))
        .select((latest_assessments::customer_id, latest_assessments::assessment_id, latest_assessments::digest))
        .load(conn)?;
    rows.into_iter()
        .map(|(customer_id, assessment_id, digest)| Ok((customer_id, (assessment_id, read_digest(&digest)?))))
        .collect()
}

/// Outcomes in force of customers of one shard, by customer and policy.
pub fn outcomes_of(conn: &mut Conn, shard: u8, ids: &[Id]) -> Result<BTreeMap<(Id, String), Outcome>> {
    let rows: Vec<(Id, String, String, Option<String>, jiff_diesel::Date, Id)> = outcomes::table
        .filter(outcomes::shard.eq(shard).and(outcomes::customer_id.eq_any(ids)))
        .select((
            outcomes::customer_id,
            outcomes::policy,
            outcomes::outcome,
            outcomes::flag,
            outcomes::since,
            outcomes::assessment_id,
        ))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(customer_id, policy, outcome, flag, since, assessment_id)| {
            let flag = flag.as_deref().and_then(Flag::from_key);
            ((customer_id, policy), Outcome { outcome, flag, since: since.to_jiff(), assessment_id })
        })
        .collect())
}

/// Adds assessments.
pub fn insert_assessments(conn: &mut Conn, new: &[(&Assessment, &str)]) -> Result<()> {
    let columns = [
        "shard",
        "customer_id",
        "id",
        "run_id",
        "basis_number",
        "release_digest",
        "cohort_digest",
        "as_of",
        "assessed_at",
        "content",
    ];
    let mut insert = Insert::into("assessments", &columns, "");
    for (assessment, content) in new {
        insert
            .value(assessment.customer_id.shard())
            .value(assessment.customer_id)
            .value(assessment.id)
            .value(assessment.run_id)
            .value(assessment.basis)
            .value(assessment.release.as_bytes())
            .value(assessment.cohort.as_bytes())
            .value(assessment.as_of)
            .value(assessment.assessed_at)
            .value(*content);
        insert.end_row();
    }
    insert.execute(conn)
}

/// Notes the last assessment of customers, and that it holds at `confirmed_at`.
pub fn write_latest(conn: &mut Conn, latest: &[(Id, Id, Digest)], basis: i64, confirmed_at: Timestamp) -> Result<()> {
    let columns = ["shard", "customer_id", "assessment_id", "basis_number", "digest", "confirmed_at"];
    let tail = " ON DUPLICATE KEY UPDATE assessment_id = VALUES(assessment_id), basis_number = VALUES(basis_number), \
                digest = VALUES(digest), confirmed_at = VALUES(confirmed_at)";
    let mut insert = Insert::into("latest_assessments", &columns, tail);
    for (customer_id, assessment_id, digest) in latest {
        insert
            .value(customer_id.shard())
            .value(*customer_id)
            .value(*assessment_id)
            .value(basis)
            .value(digest.as_bytes())
            .value(confirmed_at);
        insert.end_row();
    }
    insert.execute(conn)
}

/// Writes outcomes in force.
pub fn write_outcomes(conn: &mut Conn, changed: &[(Id, String, Outcome)]) -> Result<()> {
    let columns = ["shard", "customer_id", "policy", "outcome", "flag", "since", "assessment_id"];
    let tail = " ON DUPLICATE KEY UPDATE outcome = VALUES(outcome), flag = VALUES(flag), since = VALUES(since), \
                assessment_id = VALUES(assessment_id)";
    let mut insert = Insert::into("outcomes", &columns, tail);
    for (customer_id, policy, outcome) in changed {
        insert
            .value(customer_id.shard())
            .value(*customer_id)
            .value(policy)
            .value(&outcome.outcome)
            .value(outcome.flag.map(Flag::key))
            .value(outcome.since)
            .value(outcome.assessment_id);
        insert.end_row();
    }
    insert.execute(conn)
}

/// Takes outcomes out of policies that the release no longer has.
pub fn delete_outcomes(conn: &mut Conn, shard: u8, ids: &[Id], policies: &BTreeSet<&str>) -> Result<()> {
    if !policies.is_empty() {
        diesel::delete(outcomes::table)
            .filter(outcomes::shard.eq(shard).and(outcomes::customer_id.eq_any(ids)))
            .filter(outcomes::policy.eq_any(policies))
            .execute(conn)?;
    }
    Ok(())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = assessments)]
struct AssessmentRow {
    customer_id: Id,
    id: Id,
    run_id: Option<Id>,
    basis_number: i64,
    release_digest: Vec<u8>,
    cohort_digest: Vec<u8>,
    #[diesel(deserialize_as = jiff_diesel::Date)]
    as_of: Date,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    assessed_at: Timestamp,
    content: String,
}

impl AssessmentRow {
    fn read(self) -> Result<Assessment> {
        Ok(Assessment {
            id: self.id,
            customer_id: self.customer_id,
            run_id: self.run_id,
            basis: self.basis_number,
            release: read_digest(&self.release_digest)?,
            cohort: read_digest(&self.cohort_digest)?,
            as_of: self.as_of,
            assessed_at: self.assessed_at,
            assessed: serde_json::from_str(&self.content).map_err(|error| Error::corrupt("assessment", error))?,
        })
    }
}

/// An assessment by id.
pub fn assessment(conn: &mut Conn, id: Id) -> Result<Option<Assessment>> {
    let row: Option<AssessmentRow> =
        assessments::table.filter(assessments::id.eq(id)).select(AssessmentRow::as_select()).first(conn).optional()?;
    row.map(AssessmentRow::read).transpose()
}

/// Assessments by id, of one customer.
pub fn assessments_of(conn: &mut Conn, customer_id: Id, ids: &[Id]) -> Result<BTreeMap<Id, Assessment>> {
    let rows: Vec<AssessmentRow> = assessments::table
        .filter(assessments::shard.eq(customer_id.shard()).and(assessments::customer_id.eq(customer_id)))
        .filter(assessments::id.eq_any(ids))
        .select(AssessmentRow::as_select())
        .load(conn)?;
    rows.into_iter().map(|row| Ok((row.id, row.read()?))).collect()
}

/// A page of a customer's assessments, newest first, before an id.
pub fn history(conn: &mut Conn, customer_id: Id, before: Option<Id>, limit: i64) -> Result<Vec<Assessment>> {
    let mut query = assessments::table
        .filter(assessments::shard.eq(customer_id.shard()).and(assessments::customer_id.eq(customer_id)))
        .order(assessments::id.desc())
        .limit(limit)
        .select(AssessmentRow::as_select())
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(assessments::id.lt(before));
    }
    query.load(conn)?.into_iter().map(AssessmentRow::read).collect()
}

/// Id of the last assessment of a customer.
pub fn latest_id(conn: &mut Conn, customer_id: Id) -> Result<Option<Id>> {
    Ok(latest_assessments::table
        .find((customer_id.shard(), customer_id))
        .select(latest_assessments::assessment_id)
        .first(conn)
        .optional()?)
}

fn read_digest(bytes: &[u8]) -> Result<Digest> {
    Digest::from_bytes(bytes).ok_or_else(|| Error::Corrupt("a digest".to_owned()))
}

/// Adds a run.
pub fn insert_run(conn: &mut Conn, run: &Run, shards: impl Iterator<Item = u8>) -> Result<()> {
    diesel::insert_into(runs::table)
        .values((
            runs::id.eq(run.id),
            runs::basis_number.eq(run.basis),
            runs::status.eq(run.status.key()),
            runs::total.eq(i64::try_from(run.total).unwrap_or(i64::MAX)),
            runs::created_at.eq(run.created_at.to_diesel()),
        ))
        .execute(conn)?;
    insert_shards(conn, run.id, shards)
}

/// Adds the shards of a run that are to be worked.
pub fn insert_shards(conn: &mut Conn, run_id: Id, shards: impl Iterator<Item = u8>) -> Result<()> {
    let columns = ["run_id", "shard", "token", "after_id", "finished", "assessed", "unchanged", "failed", "summary"];
    let mut insert = Insert::into("run_shards", &columns, "");
    for shard in shards {
        insert.value(run_id).value(shard).value(0_i64).value(Id::NIL).value(false);
        insert.value(0_i64).value(0_i64).value(0_i64).value("{}");
        insert.end_row();
    }
    insert.execute(conn)
}

/// Takes a shard out of a run.
pub fn delete_shard(conn: &mut Conn, run_id: Id, shard: u8) -> Result<()> {
    diesel::delete(run_shards::table.find((run_id, shard))).execute(conn)?;
    Ok(())
}

/// The runs with work left, oldest first, with their status and basis.
pub fn open_runs(conn: &mut Conn) -> Result<Vec<(Id, RunStatus, i64)>> {
    let open = [RunStatus::Preparing.key(), RunStatus::Running.key()];
    let rows: Vec<(Id, String, i64)> = runs::table
        .filter(runs::status.eq_any(open))
        .order(runs::id)
        .select((runs::id, runs::status, runs::basis_number))
        .load(conn)?;
    rows.into_iter().map(|(id, status, basis)| Ok((id, read_status(&status)?, basis))).collect()
}

/// The status of a run, locked so that it doesn't change before the transaction ends.
pub fn lock_run(conn: &mut Conn, id: Id) -> Result<Option<RunStatus>> {
    let status: Option<String> = runs::table.find(id).select(runs::status).for_update().first(conn).optional()?;
    status.as_deref().map(read_status).transpose()
}

/// The status of a run.
pub fn run_status(conn: &mut Conn, id: Id) -> Result<Option<RunStatus>> {
    let status: Option<String> = runs::table.find(id).select(runs::status).first(conn).optional()?;
    status.as_deref().map(read_status).transpose()
}

/// Sets a run's status, basis and, when it ends, the time.
pub fn set_run(conn: &mut Conn, id: Id, status: RunStatus, basis: Option<i64>) -> Result<()> {
    let finished_at = (!status.is_open()).then(Timestamp::now);
    diesel::update(runs::table.find(id))
        .set((runs::status.eq(status.key()), runs::finished_at.eq(finished_at.to_diesel())))
        .execute(conn)?;
    if let Some(basis) = basis {
        diesel::update(runs::table.find(id)).set(runs::basis_number.eq(basis)).execute(conn)?;
    }
    Ok(())
}

/// Whether every shard of a run is finished.
pub fn is_done(conn: &mut Conn, run_id: Id) -> Result<bool> {
    let open: i64 = run_shards::table
        .filter(run_shards::run_id.eq(run_id).and(run_shards::finished.eq(false)))
        .count()
        .get_result(conn)?;
    Ok(open == 0)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = runs)]
struct RunRow {
    id: Id,
    basis_number: i64,
    status: String,
    total: i64,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    created_at: Timestamp,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    finished_at: Option<Timestamp>,
}

/// Runs with their progress, newest first, before an id; or the one of an id.
pub fn runs_page(conn: &mut Conn, before: Option<Id>, limit: i64) -> Result<Vec<Run>> {
    let mut query = runs::table.order(runs::id.desc()).limit(limit).select(RunRow::as_select()).into_boxed();
    if let Some(before) = before {
        query = query.filter(runs::id.lt(before));
    }
    let rows: Vec<RunRow> = query.load(conn)?;
    rows.into_iter().map(|row| read_run(conn, row)).collect()
}

/// A run with its progress.
pub fn run(conn: &mut Conn, id: Id) -> Result<Option<Run>> {
    let row: Option<RunRow> = runs::table.find(id).select(RunRow::as_select()).first(conn).optional()?;
    row.map(|row| read_run(conn, row)).transpose()
}

fn read_run(conn: &mut Conn, row: RunRow) -> Result<Run> {
    let shards: Vec<(i64, i64, i64, String)> = run_shards::table
        .filter(run_shards::run_id.eq(row.id))
        .select((run_shards::assessed, run_shards::unchanged, run_shards::failed, run_shards::summary))
        .load(conn)?;
    let mut progress = Progress::default();
    for (assessed, unchanged, failed, summary) in shards {
        progress.assessed += count(assessed);
        progress.unchanged += count(unchanged);
        progress.failed += count(failed);
        progress.summary.add(&serde_json::from_str(&summary).map_err(|error| Error::corrupt("summary", error))?);
    }
    Ok(Run {
        id: row.id,
        basis: row.basis_number,
        status: read_status(&row.status)?,
        total: count(row.total),
        created_at: row.created_at,
        finished_at: row.finished_at,
        progress,
    })
}

fn read_status(status: &str) -> Result<RunStatus> {
    RunStatus::from_key(status).ok_or_else(|| Error::Corrupt("a run's status".to_owned()))
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// A shard of a run that a worker holds: every write names the token, so that a worker who lost it writes nothing.
#[derive(Clone, Debug)]
pub struct Lease {
    /// The run.
    pub run_id: Id,
    /// The shard.
    pub shard: u8,
    /// The fencing token.
    pub token: i64,
    /// The last customer assessed.
    pub after: Id,
    /// What has been done so far.
    pub progress: Progress,
}

/// Takes a shard that nobody works, for [`LEASE_SECONDS`] by the database's clock. One that is the owner's own already was
/// left by a failure of its.
pub fn claim_shard(conn: &mut Conn, run_id: Id, owner: Id) -> Result<Option<Lease>> {
    let free = || {
        let ended = run_shards::lease_until.is_null().or(run_shards::lease_until.lt(utc_now().nullable()));
        ended.or(run_shards::owner.eq(Some(owner)))
    };
    let shard: Option<u8> = run_shards::table
        .filter(run_shards::run_id.eq(run_id).and(run_shards::finished.eq(false)).and(free()))
        .order(run_shards::shard)
        .select(run_shards::shard)
        .first(conn)
        .optional()?;
    let Some(shard) = shard else { return Ok(None) };
    let claimed =
        diesel::update(run_shards::table.find((run_id, shard)).filter(run_shards::finished.eq(false)).filter(free()))
            .set((
                run_shards::owner.eq(Some(owner)),
                run_shards::token.eq(run_shards::token + 1),
                run_shards::lease_until.eq(lease_end()),
            ))
            .execute(conn)?;
    if claimed == 0 {
        return Ok(None);
    }
    let (token, after, assessed, unchanged, failed, summary): (i64, Id, i64, i64, i64, String) = run_shards::table
        .find((run_id, shard))
        .filter(run_shards::owner.eq(Some(owner)))
        .select((
            run_shards::token,
            run_shards::after_id,
            run_shards::assessed,
            run_shards::unchanged,
            run_shards::failed,
            run_shards::summary,
        ))
        .first(conn)?;
    let summary = serde_json::from_str(&summary).map_err(|error| Error::corrupt("summary", error))?;
    let progress = Progress { assessed: count(assessed), unchanged: count(unchanged), failed: count(failed), summary };
    Ok(Some(Lease { run_id, shard, token, after, progress }))
}

/// Moves a shard on in the transaction that writes its results. False when another worker has it now: roll back.
pub fn advance_shard(conn: &mut Conn, lease: &Lease, finished: bool) -> Result<bool> {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let summary = serde_json::to_string(&lease.progress.summary).map_err(|error| Error::corrupt("summary", error))?;
    let advanced = diesel::update(run_shards::table.find((lease.run_id, lease.shard)))
        .filter(run_shards::token.eq(lease.token))
        .set((
            run_shards::after_id.eq(lease.after),
            run_shards::finished.eq(finished),
            run_shards::assessed.eq(signed(lease.progress.assessed)),
            run_shards::unchanged.eq(signed(lease.progress.unchanged)),
            run_shards::failed.eq(signed(lease.progress.failed)),
            run_shards::summary.eq(summary),
            run_shards::lease_until.eq(lease_end()),
        ))
        .execute(conn)?;
    Ok(advanced == 1)
}

/// Gives a shard back, so that another worker may take it at once.
pub fn release_shard(conn: &mut Conn, lease: &Lease) -> Result<()> {
    diesel::update(run_shards::table.find((lease.run_id, lease.shard)))
        .filter(run_shards::token.eq(lease.token))
        .set(run_shards::lease_until.eq(None::<jiff_diesel::Timestamp>))
        .execute(conn)?;
    Ok(())
}

/// Number of the current basis.
pub fn current_basis_number(conn: &mut Conn) -> Result<Option<i64>> {
    Ok(bases::table.select(diesel::dsl::max(bases::number)).first(conn)?)
}

fn utc_now() -> diesel::expression::SqlLiteral<sql_types::Datetime> {
    diesel::dsl::sql("UTC_TIMESTAMP(6)")
}

fn lease_end() -> diesel::expression::SqlLiteral<sql_types::Nullable<sql_types::Datetime>> {
    diesel::dsl::sql(&format!("UTC_TIMESTAMP(6) + INTERVAL {LEASE_SECONDS} SECOND"))
}
