//! Assessments, current outcomes and runs in the database.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_diesel::ToDiesel;
use serde_json::{Map, Value as Json};

use super::model::{Assessment, Flag, Outcome, PlannedClosing, Progress, Run, RunCause, RunStatus};
use crate::Id;
use crate::db::bulk::Insert;
use crate::db::id::SHARDS;
use crate::db::schema::{assessments, customers, due_shards, outcomes, run_shards, runs, subjects};
use crate::db::{Conn, Error, Result};
use crate::digest::Digest;

/// Seconds for which a worker holds a shard without a sign of life.
pub const LEASE_SECONDS: i64 = 15;

/// A customer as he is read to be assessed.
pub struct LeanCustomer {
    /// His id.
    pub id: Id,
    /// His code.
    pub code: String,
    /// His profile.
    pub profile: Map<String, Json>,
    /// Whether he is active.
    pub is_active: bool,
    /// The sequence of his inputs when he was read.
    pub input_seq: i64,
    /// The basis up to which he has passed all closings.
    pub closed_to: i64,
}

/// The active customers of a shard after an id, by id.
pub fn customers_page(conn: &mut Conn, shard: u8, after: Id, limit: i64) -> Result<Vec<LeanCustomer>> {
    let rows: Vec<LeanRow> = lean()
        .filter(customers::shard.eq(shard).and(customers::id.gt(after)).and(customers::status.eq(ACTIVE)))
        .order(customers::id)
        .limit(limit)
        .load(conn)?;
    rows.into_iter().map(read_lean).collect()
}

/// Customers of a shard who are due as of a date.
pub fn due_customers(conn: &mut Conn, shard: u8, as_of: Date, limit: i64) -> Result<Vec<LeanCustomer>> {
    let due: Vec<Id> = subjects::table
        .filter(subjects::shard.eq(shard).and(subjects::next_due_on.le(as_of.to_diesel())))
        .order(subjects::next_due_on)
        .limit(limit)
        .select(subjects::customer_id)
        .load(conn)?;
    let rows: Vec<LeanRow> =
        lean().filter(customers::shard.eq(shard).and(customers::id.eq_any(due))).order(customers::id).load(conn)?;
    rows.into_iter().map(read_lean).collect()
}

type LeanRow = (Id, String, String, String, i64, i64);

const ACTIVE: &str = "active";

#[diesel::dsl::auto_type(no_type_alias)]
fn lean() -> _ {
    let same: diesel::dsl::And<
        diesel::dsl::Eq<subjects::shard, customers::shard>,
        diesel::dsl::Eq<subjects::customer_id, customers::id>,
    > = subjects::shard.eq(customers::shard).and(subjects::customer_id.eq(customers::id));
    customers::table.inner_join(subjects::table.on(same)).select((
        customers::id,
        customers::code,
        customers::profile,
        customers::status,
        subjects::input_seq,
        subjects::closed_to,
    ))
}

fn read_lean((id, code, profile, status, input_seq, closed_to): LeanRow) -> Result<LeanCustomer> {
    let profile = serde_json::from_str(&profile).map_err(|error| Error::corrupt("profile", error))?;
    Ok(LeanCustomer { id, code, profile, is_active: status == ACTIVE, input_seq, closed_to })
}

/// Shards in which somebody is due as of a date.
pub fn due_shards(conn: &mut Conn, as_of: Date) -> Result<Vec<u8>> {
    // A list of all shards lets the server jump from one to the next in the index.
    let all: Vec<u8> = (0..SHARDS).collect();
    Ok(subjects::table
        .filter(subjects::shard.eq_any(all).and(subjects::next_due_on.le(as_of.to_diesel())))
        .select(subjects::shard)
        .distinct()
        .load(conn)?)
}

/// Whether somebody who is due has a closing before him.
pub fn has_closing_due(conn: &mut Conn, as_of: Date, closing: i64) -> Result<bool> {
    let all: Vec<u8> = (0..SHARDS).collect();
    let due = subjects::table
        .filter(subjects::shard.eq_any(all).and(subjects::next_due_on.le(as_of.to_diesel())))
        .filter(subjects::closed_to.lt(closing));
    Ok(diesel::select(diesel::dsl::exists(due)).get_result(conn)?)
}

/// Number of active customers.
pub fn count_active(conn: &mut Conn) -> Result<u64> {
    let count: i64 = customers::table.filter(customers::status.eq("active")).count().get_result(conn)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// What is known of a customer as a subject.
#[derive(Clone, Debug)]
pub struct SubjectState {
    /// The sequence of his inputs.
    pub input_seq: i64,
    /// The basis up to which he has passed all closings.
    pub closed_to: i64,
    /// His latest assessment with its digest.
    pub latest: Option<(Id, Digest)>,
    /// Number of the basis on which that one was last confirmed; 0 when there is none.
    pub basis: i64,
}

/// Locks customers of one shard as subjects, in the order of ids, so that their inputs and outcomes stay until the transaction ends.
pub fn lock_subjects(conn: &mut Conn, shard: u8, ids: &[Id]) -> Result<BTreeMap<Id, SubjectState>> {
    let rows: Vec<(Id, i64, i64, Option<Id>, Option<Vec<u8>>, i64)> = subjects::table
        .filter(subjects::shard.eq(shard).and(subjects::customer_id.eq_any(ids)))
        .order(subjects::customer_id)
        .select((
            subjects::customer_id,
            subjects::input_seq,
            subjects::closed_to,
            subjects::assessment_id,
            subjects::digest,
            subjects::basis_number,
        ))
        .for_update()
        .load(conn)?;
    rows.into_iter()
        .map(|(id, input_seq, closed_to, assessment_id, digest, basis)| {
            let digest = digest.map(|digest| read_digest(&digest)).transpose()?;
            Ok((id, SubjectState { input_seq, closed_to, latest: assessment_id.zip(digest), basis }))
        })
        .collect()
}

/// The basis up to which a customer has passed all closings.
pub fn closed_to(conn: &mut Conn, customer_id: Id) -> Result<i64> {
    let found = subjects::table.find((customer_id.shard(), customer_id)).select(subjects::closed_to);
    Ok(found.first(conn).optional()?.unwrap_or_default())
}

/// What an assessment in force leaves in its subject.
pub struct Confirmed {
    /// The customer.
    pub customer_id: Id,
    /// The assessment that holds.
    pub assessment_id: Id,
    /// Its digest.
    pub digest: Digest,
    /// The sequence of his inputs, which stays.
    pub input_seq: i64,
    /// When time alone makes him due again.
    pub next_due_on: Date,
}

/// Notes the assessment that holds for customers whom the transaction has locked, on a basis whose closings they have passed.
pub fn confirm(conn: &mut Conn, confirmed: &[Confirmed], basis: i64, confirmed_at: Timestamp) -> Result<()> {
    let columns = [
        "shard",
        "customer_id",
        "input_seq",
        "closed_to",
        "next_due_on",
        "assessment_id",
        "basis_number",
        "digest",
        "confirmed_at",
    ];
    let tail = " ON DUPLICATE KEY UPDATE closed_to = VALUES(closed_to), next_due_on = VALUES(next_due_on), \
                assessment_id = VALUES(assessment_id), basis_number = VALUES(basis_number), digest = VALUES(digest), \
                confirmed_at = VALUES(confirmed_at)";
    let mut insert = Insert::into("subjects", &columns, tail);
    for one in confirmed {
        insert.value(one.customer_id.shard()).value(one.customer_id).value(one.input_seq).value(basis);
        insert.value(one.next_due_on).value(one.assessment_id).value(basis);
        insert.value(one.digest.as_bytes()).value(confirmed_at);
        insert.end_row();
    }
    insert.execute(conn)
}

/// Sets when active customers of one shard are due; those who are due never, because they are inactive, stay so.
pub fn set_due(conn: &mut Conn, shard: u8, ids: &[Id], on: Option<Date>) -> Result<()> {
    diesel::update(subjects::table)
        .filter(subjects::shard.eq(shard).and(subjects::customer_id.eq_any(ids)))
        .filter(subjects::next_due_on.is_not_null())
        .set(subjects::next_due_on.eq(on.to_diesel()))
        .execute(conn)?;
    Ok(())
}

/// Outcomes of some policies that stand until their next closing, of customers of one shard.
pub fn closed_outcomes(
    conn: &mut Conn,
    shard: u8,
    ids: &[Id],
    policies: &BTreeSet<&str>,
) -> Result<BTreeMap<Id, BTreeMap<String, String>>> {
    let mut standing: BTreeMap<Id, BTreeMap<String, String>> = BTreeMap::new();
    if policies.is_empty() {
        return Ok(standing);
    }
    let rows: Vec<(Id, String, String)> = outcomes::table
        .filter(outcomes::shard.eq(shard).and(outcomes::customer_id.eq_any(ids)))
        .filter(outcomes::policy.eq_any(policies).and(outcomes::closed_on.is_not_null()))
        .select((outcomes::customer_id, outcomes::policy, outcomes::outcome))
        .load(conn)?;
    for (id, policy, outcome) in rows {
        standing.entry(id).or_default().insert(policy, outcome);
    }
    Ok(standing)
}

/// Outcomes in force of customers of one shard, by customer and policy.
pub fn outcomes_of(conn: &mut Conn, shard: u8, ids: &[Id]) -> Result<BTreeMap<(Id, String), Outcome>> {
    let rows: Vec<OutcomeRow> = outcomes::table
        .filter(outcomes::shard.eq(shard).and(outcomes::customer_id.eq_any(ids)))
        .select(OutcomeRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(OutcomeRow::read).collect())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = outcomes)]
struct OutcomeRow {
    customer_id: Id,
    policy: String,
    outcome: String,
    flag: Option<String>,
    #[diesel(deserialize_as = jiff_diesel::Date)]
    since: Date,
    assessment_id: Id,
    #[diesel(deserialize_as = jiff_diesel::NullableDate)]
    closed_on: Option<Date>,
    provisional: Option<String>,
}

impl OutcomeRow {
    fn read(self) -> ((Id, String), Outcome) {
        let outcome = Outcome {
            outcome: self.outcome,
            flag: self.flag.as_deref().and_then(Flag::from_key),
            since: self.since,
            assessment_id: self.assessment_id,
            closed_on: self.closed_on,
            provisional: self.provisional,
        };
        ((self.customer_id, self.policy), outcome)
    }
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

/// Writes outcomes in force.
pub fn write_outcomes(conn: &mut Conn, changed: &[(Id, String, Outcome)]) -> Result<()> {
    let columns =
        ["shard", "customer_id", "policy", "outcome", "flag", "since", "assessment_id", "closed_on", "provisional"];
    let tail = " ON DUPLICATE KEY UPDATE outcome = VALUES(outcome), flag = VALUES(flag), since = VALUES(since), \
                assessment_id = VALUES(assessment_id), closed_on = VALUES(closed_on), provisional = VALUES(provisional)";
    let mut insert = Insert::into("outcomes", &columns, tail);
    for (customer_id, policy, outcome) in changed {
        insert
            .value(customer_id.shard())
            .value(*customer_id)
            .value(policy)
            .value(&outcome.outcome)
            .value(outcome.flag.map(Flag::key))
            .value(outcome.since)
            .value(outcome.assessment_id)
            .value(outcome.closed_on)
            .value(outcome.provisional.as_deref());
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
    let found = subjects::table.find((customer_id.shard(), customer_id)).select(subjects::assessment_id);
    Ok(found.first::<Option<Id>>(conn).optional()?.flatten())
}

fn read_digest(bytes: &[u8]) -> Result<Digest> {
    Digest::from_bytes(bytes).ok_or_else(|| Error::Corrupt("a digest".to_owned()))
}

/// Adds a run.
pub fn insert_run(conn: &mut Conn, run: &Run, shards: impl Iterator<Item = u8>) -> Result<()> {
    let closing = run.closing.as_ref().map(serde_json::to_string).transpose();
    let closing = closing.map_err(|error| Error::corrupt("planned closing", error))?;
    diesel::insert_into(runs::table)
        .values((
            runs::id.eq(run.id),
            runs::basis_number.eq(run.basis),
            runs::status.eq(run.status.key()),
            runs::total.eq(i64::try_from(run.total).unwrap_or(i64::MAX)),
            runs::created_at.eq(run.created_at.to_diesel()),
            runs::cause.eq(run.cause.key()),
            runs::closing.eq(closing),
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

/// A run with work left.
pub struct OpenRun {
    /// Its id.
    pub id: Id,
    /// How far it is.
    pub status: RunStatus,
    /// Number of the basis it rests on.
    pub basis: i64,
    /// Why it is there.
    pub cause: RunCause,
    /// What it is to close.
    pub closing: Option<PlannedClosing>,
}

impl OpenRun {
    /// Whether its cohort is being computed.
    pub fn is_preparing(&self) -> bool {
        self.status == RunStatus::Preparing
    }
}

/// The runs with work left, newest first: what is in force comes before what is history.
pub fn open_runs(conn: &mut Conn) -> Result<Vec<OpenRun>> {
    let open = [RunStatus::Preparing.key(), RunStatus::Running.key()];
    let rows: Vec<(Id, String, i64, String, Option<String>)> = runs::table
        .filter(runs::status.eq_any(open))
        .order(runs::id.desc())
        .select((runs::id, runs::status, runs::basis_number, runs::cause, runs::closing))
        .load(conn)?;
    rows.into_iter()
        .map(|(id, status, basis, cause, closing)| {
            let (status, cause, closing) = (read_status(&status)?, read_cause(&cause)?, read_closing(closing)?);
            Ok(OpenRun { id, status, basis, cause, closing })
        })
        .collect()
}

/// Whether a run that nobody cancelled rests on a basis or a later one.
pub fn is_followed(conn: &mut Conn, basis: i64) -> Result<bool> {
    let runs = runs::table.filter(runs::basis_number.ge(basis).and(runs::status.ne(RunStatus::Cancelled.key())));
    Ok(diesel::select(diesel::dsl::exists(runs)).get_result(conn)?)
}

fn read_cause(cause: &str) -> Result<RunCause> {
    RunCause::from_key(cause).ok_or_else(|| Error::Corrupt("a run's cause".to_owned()))
}

fn read_closing(closing: Option<String>) -> Result<Option<PlannedClosing>> {
    let read =
        |closing: String| serde_json::from_str(&closing).map_err(|error| Error::corrupt("planned closing", error));
    closing.map(read).transpose()
}

/// The status and the cause of a run, locked so that they don't change before the transaction ends.
pub fn lock_run(conn: &mut Conn, id: Id) -> Result<Option<(RunStatus, RunCause)>> {
    let found: Option<(String, String)> =
        runs::table.find(id).select((runs::status, runs::cause)).for_update().first(conn).optional()?;
    found.map(|(status, cause)| Ok((read_status(&status)?, read_cause(&cause)?))).transpose()
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
    cause: String,
    closing: Option<String>,
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
        cause: read_cause(&row.cause)?,
        closing: read_closing(row.closing)?,
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

/// Takes the due work of one of `shards` that nobody has, for [`LEASE_SECONDS`] by the database's clock. Gives the shard and the
/// fencing token.
pub fn claim_due_shard(conn: &mut Conn, shards: &[u8], owner: Id) -> Result<Option<(u8, i64)>> {
    let free = || {
        let ended = due_shards::lease_until.is_null().or(due_shards::lease_until.lt(utc_now().nullable()));
        ended.or(due_shards::owner.eq(Some(owner)))
    };
    let found: Option<u8> = due_shards::table
        .filter(due_shards::shard.eq_any(shards).and(free()))
        .order(due_shards::shard)
        .select(due_shards::shard)
        .first(conn)
        .optional()?;
    let Some(shard) = found else { return Ok(None) };
    let claimed = diesel::update(due_shards::table.find(shard).filter(free()))
        .set((
            due_shards::owner.eq(Some(owner)),
            due_shards::token.eq(due_shards::token + 1),
            due_shards::lease_until.eq(lease_end()),
        ))
        .execute(conn)?;
    if claimed == 0 {
        return Ok(None);
    }
    let token = due_shards::table.find(shard).filter(due_shards::owner.eq(Some(owner))).select(due_shards::token);
    Ok(Some((shard, token.first(conn)?)))
}

/// Keeps a shard's due work in the transaction that writes its results. False when another worker has it now: roll back.
pub fn keep_due_shard(conn: &mut Conn, shard: u8, token: i64) -> Result<bool> {
    let kept = diesel::update(due_shards::table.find(shard).filter(due_shards::token.eq(token)))
        .set(due_shards::lease_until.eq(lease_end()))
        .execute(conn)?;
    Ok(kept == 1)
}

/// Gives a shard's due work back.
pub fn release_due_shard(conn: &mut Conn, shard: u8, token: i64) -> Result<()> {
    diesel::update(due_shards::table.find(shard).filter(due_shards::token.eq(token)))
        .set(due_shards::lease_until.eq(None::<jiff_diesel::Timestamp>))
        .execute(conn)?;
    Ok(())
}

/// Sees to it that every shard's due work can be taken.
pub fn open_due_shards(conn: &mut Conn) -> Result<()> {
    let mut insert = Insert::into("due_shards", &["shard", "token"], " ON DUPLICATE KEY UPDATE token = token");
    for shard in 0..SHARDS {
        insert.value(shard).value(0_i64);
        insert.end_row();
    }
    insert.execute(conn)
}

/// Shards in which there are customers.
pub fn inhabited_shards(conn: &mut Conn) -> Result<Vec<u8>> {
    Ok(customers::table.select(customers::shard).distinct().load(conn)?)
}

fn utc_now() -> diesel::expression::SqlLiteral<sql_types::Datetime> {
    diesel::dsl::sql("UTC_TIMESTAMP(6)")
}

fn lease_end() -> diesel::expression::SqlLiteral<sql_types::Nullable<sql_types::Datetime>> {
    diesel::dsl::sql(&format!("UTC_TIMESTAMP(6) + INTERVAL {LEASE_SECONDS} SECOND"))
}
