//! Runs, and the leases under which their shards are worked.

use diesel::prelude::*;
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use super::{lease_end, utc_now};
use crate::Id;
use crate::assessments::model::{Owner, PlannedClosing, Progress, Run, RunCause, RunStatus};
use crate::db::bulk::Insert;
use crate::db::schema::{customers, run_shards, runs};
use crate::db::{Conn, Error, Result};

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
            runs::failed_of.eq(run.failed_of),
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
    /// The run whose failed customers it assesses; everybody when there is none.
    pub failed_of: Option<Id>,
}

impl OpenRun {
    /// Whether customers are assessed in it.
    pub fn assesses(&self) -> bool {
        self.cause.assesses()
    }

    /// Whether its cohort is being computed.
    pub fn is_preparing(&self) -> bool {
        self.status == RunStatus::Preparing
    }
}

type OpenRow = (Id, String, i64, String, Option<String>, Option<Id>);

/// The runs with work left, newest first: what is in force comes before what is history, and both before what assesses nobody.
pub fn open_runs(conn: &mut Conn) -> Result<Vec<OpenRun>> {
    let open = [RunStatus::Preparing.key(), RunStatus::Running.key()];
    let rows: Vec<OpenRow> = runs::table
        .filter(runs::status.eq_any(open))
        .order(runs::id.desc())
        .select((runs::id, runs::status, runs::basis_number, runs::cause, runs::closing, runs::failed_of))
        .load(conn)?;
    let read = rows.into_iter().map(|(id, status, basis, cause, closing, failed_of)| {
        let (status, cause, closing) = (read_status(&status)?, read_cause(&cause)?, read_closing(closing)?);
        Ok(OpenRun { id, status, basis, cause, closing, failed_of })
    });
    let mut open = read.collect::<Result<Vec<OpenRun>>>()?;
    open.sort_by_key(|run| !run.assesses());
    Ok(open)
}

/// Whether a run over everybody that nobody cancelled rests on a basis or a later one.
pub fn is_followed(conn: &mut Conn, basis: i64) -> Result<bool> {
    let runs = runs::table.filter(runs::basis_number.ge(basis).and(runs::status.ne(RunStatus::Cancelled.key())));
    let runs = runs.filter(runs::failed_of.is_null().and(runs::cause.ne_all(RunCause::SILENT.map(RunCause::key))));
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
    failed_of: Option<Id>,
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
        failed_of: row.failed_of,
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
    /// Who holds it.
    pub owner: Owner,
    /// The fencing token.
    pub token: i64,
    /// The last customer assessed.
    pub after: Id,
    /// What has been done so far.
    pub progress: Progress,
}

/// Takes a shard that nobody works. One that is the owner's own already was
/// left by a failure of its.
pub fn claim_shard(conn: &mut Conn, run_id: Id, owner: Owner) -> Result<Option<Lease>> {
    let free = || {
        let ended = run_shards::lease_until.is_null().or(run_shards::lease_until.lt(utc_now().nullable()));
        ended.or(run_shards::owner.eq(Some(owner.id)))
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
                run_shards::owner.eq(Some(owner.id)),
                run_shards::token.eq(run_shards::token + 1),
                run_shards::lease_until.eq(lease_end(owner)),
            ))
            .execute(conn)?;
    if claimed == 0 {
        return Ok(None);
    }
    let (token, after, assessed, unchanged, failed, summary): (i64, Id, i64, i64, i64, String) = run_shards::table
        .find((run_id, shard))
        .filter(run_shards::owner.eq(Some(owner.id)))
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
    Ok(Some(Lease { run_id, shard, owner, token, after, progress }))
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
            run_shards::lease_until.eq(lease_end(lease.owner)),
        ))
        .execute(conn)?;
    Ok(advanced == 1)
}

/// Gives a sign of life. False when another worker has the shard now.
pub fn keep_shard(conn: &mut Conn, lease: &Lease) -> Result<bool> {
    let kept = diesel::update(run_shards::table.find((lease.run_id, lease.shard)))
        .filter(run_shards::token.eq(lease.token))
        .set(run_shards::lease_until.eq(lease_end(lease.owner)))
        .execute(conn)?;
    Ok(kept == 1)
}

/// Gives a shard back, so that another worker may take it at once.
pub fn release_shard(conn: &mut Conn, lease: &Lease) -> Result<()> {
    diesel::update(run_shards::table.find((lease.run_id, lease.shard)))
        .filter(run_shards::token.eq(lease.token))
        .set(run_shards::lease_until.eq(None::<jiff_diesel::Timestamp>))
        .execute(conn)?;
    Ok(())
}

/// Shards in which there are customers.
pub fn inhabited_shards(conn: &mut Conn) -> Result<Vec<u8>> {
    Ok(customers::table.select(customers::shard).distinct().load(conn)?)
}
