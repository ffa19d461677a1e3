//! Imports in the database: their files and reports in parts, and the lease under which one of them is worked.

use diesel::dsl::{count_star, not};
use diesel::prelude::*;
use diesel::sql_types;
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use super::model::{Import, ImportKind, ImportStatus, NO_LONGER_TOLD, NewImport, Options, Outcome, REPORT_DAYS, Terms};
use crate::Id;
use crate::db::schema::{import_files, import_reports, imports};
use crate::db::{Conn, Error, Result};

/// Bytes of one part of a file or report.
pub const PART: usize = 1 << 20;
/// Seconds for which a process has an import without a sign of life.
const LEASE_SECONDS: u32 = 15;
/// Seconds for which a file that is being received stays without another part.
const RECEIVING_SECONDS: u32 = 600;
/// The status of an import whose file is still being received. Nobody sees it.
const RECEIVING: &str = "receiving";

/// Begins to receive a file. What it holds is told when it is complete.
pub fn begin(conn: &mut Conn, new: &NewImport) -> Result<()> {
    diesel::insert_into(imports::table)
        .values((
            imports::id.eq(new.id),
            imports::kind.eq(""),
            imports::dry_run.eq(false),
            imports::status.eq(RECEIVING),
            imports::options.eq(json("options", &Options::default())?),
            imports::file_name.eq(&new.file_name),
            imports::total_bytes.eq(0_i64),
            imports::done_bytes.eq(0_i64),
            imports::outcome.eq(json("outcome", &Outcome::default())?),
            imports::created_by.eq(new.created_by),
            imports::created_at.eq(Timestamp::now().to_diesel()),
            imports::lease_until.eq(in_seconds(RECEIVING_SECONDS)),
            imports::token.eq(0_i64),
        ))
        .execute(conn)?;
    Ok(())
}

/// Adds a part to a file that is being received; the caller has the transaction. False when it was given up meanwhile.
pub fn add_part(conn: &mut Conn, id: Id, part: u32, content: &[u8]) -> Result<bool> {
    let size = i64::try_from(content.len()).unwrap_or(i64::MAX);
    let receiving = imports::table.find(id).filter(imports::status.eq(RECEIVING));
    let kept = diesel::update(receiving)
        .set((
            imports::total_bytes.eq(imports::total_bytes + size),
            imports::lease_until.eq(in_seconds(RECEIVING_SECONDS)),
        ))
        .execute(conn)?;
    if kept == 1 {
        let row = (import_files::import_id.eq(id), import_files::part.eq(part), import_files::content.eq(content));
        diesel::insert_into(import_files::table).values(row).execute(conn)?;
    }
    Ok(kept == 1)
}

/// A file was received to its end, and so was its form. False when it was given up meanwhile.
pub fn complete(conn: &mut Conn, id: Id, terms: &Terms) -> Result<bool> {
    let receiving = imports::table.find(id).filter(imports::status.eq(RECEIVING));
    let completed = diesel::update(receiving)
        .set((
            imports::kind.eq(terms.kind.key()),
            imports::dry_run.eq(terms.dry_run),
            imports::options.eq(json("options", &terms.options)?),
            imports::status.eq(ImportStatus::Waiting.key()),
            no_lease(),
        ))
        .execute(conn)?;
    Ok(completed == 1)
}

/// Removes a file that was not received to its end.
pub fn discard(conn: &mut Conn, id: Id) -> Result<()> {
    let receiving = imports::table.find(id).filter(imports::status.eq(RECEIVING));
    // No part may come any more while they are being removed.
    diesel::update(receiving).set(imports::status.eq(DISCARDED)).execute(conn)?;
    remove_discarded(conn, id)
}

/// The status of an import that is being removed.
const DISCARDED: &str = "discarded";

fn remove_discarded(conn: &mut Conn, id: Id) -> Result<()> {
    if imports::table.find(id).filter(imports::status.eq(DISCARDED)).count().get_result::<i64>(conn)? == 1 {
        remove_file(conn, id)?;
        diesel::delete(imports::table.find(id)).execute(conn)?;
    }
    Ok(())
}

/// Removes the file of an import that has ended.
pub fn remove_file(conn: &mut Conn, id: Id) -> Result<()> {
    let parts: Vec<u32> =
        import_files::table.filter(import_files::import_id.eq(id)).select(import_files::part).load(conn)?;
    // Part by part: a transaction of the whole file would be larger than some engines take.
    for part in parts {
        diesel::delete(import_files::table.find((id, part))).execute(conn)?;
    }
    Ok(())
}

fn remove_report(conn: &mut Conn, id: Id) -> Result<()> {
    let parts: Vec<u32> =
        import_reports::table.filter(import_reports::import_id.eq(id)).select(import_reports::part).load(conn)?;
    for part in parts {
        diesel::delete(import_reports::table.find((id, part))).execute(conn)?;
    }
    Ok(())
}

/// Forgets which faults old imports had: they repeat values of the file.
fn forget_faults(conn: &mut Conn) -> Result<()> {
    let tells = imports::outcome.like("%\"detail\":%");
    // The error is the last that an outcome says, so no fault reads like it.
    let forgotten = imports::outcome.like(format!("%\"detail\":\"{NO_LONGER_TOLD}\"}}}}"));
    let old = imports::table.filter(imports::finished_at.lt(reports_end())).filter(tells.and(not(forgotten)));
    for (id, outcome) in old.select((imports::id, imports::outcome)).load::<(Id, String)>(conn)? {
        let mut outcome: Outcome =
            serde_json::from_str(&outcome).map_err(|error| Error::corrupt("an import", error))?;
        outcome.forget();
        diesel::update(imports::table.find(id)).set(imports::outcome.eq(json("outcome", &outcome)?)).execute(conn)?;
    }
    Ok(())
}

/// Removes what nobody needs any more: files that broke off, files of imports that have ended, old reports, and the faults of old imports.
pub fn tidy(conn: &mut Conn) -> Result<()> {
    let left = imports::status.eq(RECEIVING).and(imports::lease_until.lt(utc_now().nullable()));
    for id in imports::table.filter(left).select(imports::id).load::<Id>(conn)? {
        discard(conn, id)?;
    }
    let discarded = imports::table.filter(imports::status.eq(DISCARDED)).select(imports::id);
    for id in discarded.load::<Id>(conn)? {
        remove_discarded(conn, id)?;
    }
    let ended = [ImportStatus::Finished, ImportStatus::Failed, ImportStatus::Cancelled].map(ImportStatus::key);
    let files = import_files::table
        .inner_join(imports::table)
        .filter(import_files::part.eq(0).and(imports::status.eq_any(ended)));
    for id in files.select(imports::id).load::<Id>(conn)? {
        remove_file(conn, id)?;
    }
    let reports = import_reports::table
        .inner_join(imports::table)
        .filter(import_reports::part.eq(0).and(imports::finished_at.lt(reports_end())));
    for id in reports.select(imports::id).load::<Id>(conn)? {
        remove_report(conn, id)?;
    }
    forget_faults(conn)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = imports)]
struct ImportRow {
    id: Id,
    kind: String,
    dry_run: bool,
    status: String,
    options: String,
    file_name: String,
    total_bytes: i64,
    done_bytes: i64,
    outcome: String,
    token: i64,
    created_by: Id,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    created_at: Timestamp,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    finished_at: Option<Timestamp>,
}

impl ImportRow {
    fn read(self) -> Result<Import> {
        let corrupt = |what: &str| Error::Corrupt(format!("an import's {what}"));
        let unreadable = |error: serde_json::Error| Error::corrupt("an import", error);
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        Ok(Import {
            id: self.id,
            kind: ImportKind::from_key(&self.kind).ok_or_else(|| corrupt("kind"))?,
            dry_run: self.dry_run,
            status: ImportStatus::from_key(&self.status).ok_or_else(|| corrupt("status"))?,
            options: serde_json::from_str(&self.options).map_err(unreadable)?,
            file_name: self.file_name,
            total_bytes: count(self.total_bytes),
            done_bytes: count(self.done_bytes),
            outcome: serde_json::from_str(&self.outcome).map_err(unreadable)?,
            attempts: count(self.token),
            created_by: self.created_by,
            created_at: self.created_at,
            finished_at: self.finished_at,
        })
    }
}

/// Imports whose file was received, newest first, before an id.
pub fn page(conn: &mut Conn, before: Option<Id>, limit: i64) -> Result<Vec<Import>> {
    let mut query = imports::table
        .filter(imports::status.ne_all([RECEIVING, DISCARDED]))
        .order(imports::id.desc())
        .limit(limit)
        .select(ImportRow::as_select())
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(imports::id.lt(before));
    }
    query.load(conn)?.into_iter().map(ImportRow::read).collect()
}

/// An import whose file was received.
pub fn find(conn: &mut Conn, id: Id) -> Result<Option<Import>> {
    let received = imports::table.find(id).filter(imports::status.ne_all([RECEIVING, DISCARDED]));
    received.select(ImportRow::as_select()).first(conn).optional()?.map(ImportRow::read).transpose()
}

/// Cancels an open import. False when it has ended, or there is none.
pub fn cancel(conn: &mut Conn, id: Id) -> Result<bool> {
    let open = imports::table.find(id).filter(imports::status.eq_any(OPEN));
    let now = Timestamp::now().to_diesel();
    let cancelled = diesel::update(open)
        .set((imports::status.eq(ImportStatus::Cancelled.key()), imports::finished_at.eq(now), no_lease()))
        .execute(conn)?;
    Ok(cancelled == 1)
}

const OPEN: [&str; 2] = ["waiting", "running"];

/// How many imports wait and how many are worked on, by status.
pub fn count_open(conn: &mut Conn) -> Result<Vec<(&'static str, i64)>> {
    let of = |status| imports::table.filter(imports::status.eq(status)).select(count_star());
    OPEN.into_iter().map(|status| Ok((status, of(status).first(conn)?))).collect()
}

/// An import that a process works on: every write names the token, so that one that lost it writes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// The import.
    pub id: Id,
    /// The fencing token.
    token: i64,
}

/// Takes the oldest open import, if nobody works on it: each begins when those before it have ended. One that is the owner's own
/// already was left by a failure of its.
pub fn claim(conn: &mut Conn, owner: Id) -> Result<Option<(Import, Lease)>> {
    let free = || {
        let ended = imports::lease_until.is_null().or(imports::lease_until.lt(utc_now().nullable()));
        ended.or(imports::owner.eq(Some(owner)))
    };
    let open = || imports::table.filter(imports::status.eq_any(OPEN));
    let Some(id) = open().order(imports::id).select(imports::id).first::<Id>(conn).optional()? else {
        return Ok(None);
    };
    let is_free = open().filter(imports::id.eq(id)).filter(free()).count().get_result::<i64>(conn)? == 1;
    if !is_free {
        return Ok(None);
    }
    let claimed = diesel::update(imports::table.find(id).filter(imports::status.eq_any(OPEN)).filter(free()))
        .set((
            imports::status.eq(ImportStatus::Running.key()),
            imports::owner.eq(Some(owner)),
            imports::token.eq(imports::token + 1),
            imports::lease_until.eq(in_seconds(LEASE_SECONDS)),
        ))
        .execute(conn)?;
    if claimed == 0 {
        return Ok(None);
    }
    let row: ImportRow =
        imports::table.find(id).filter(imports::owner.eq(Some(owner))).select(ImportRow::as_select()).first(conn)?;
    let lease = Lease { id, token: row.token };
    Ok(Some((row.read()?, lease)))
}

/// Keeps an import and notes how far it is. False when it isn't ours any more: it was cancelled, or another process has it.
pub fn advance(conn: &mut Conn, lease: Lease, done_bytes: u64, outcome: &Outcome) -> Result<bool> {
    let advanced = diesel::update(imports::table.find(lease.id))
        .filter(is_ours(lease))
        .set((
            imports::done_bytes.eq(i64::try_from(done_bytes).unwrap_or(i64::MAX)),
            imports::outcome.eq(json("outcome", outcome)?),
            imports::lease_until.eq(in_seconds(LEASE_SECONDS)),
        ))
        .execute(conn)?;
    Ok(advanced == 1)
}

/// Keeps an import. False when it isn't ours any more.
pub fn keep(conn: &mut Conn, lease: Lease) -> Result<bool> {
    let kept = diesel::update(imports::table.find(lease.id))
        .filter(is_ours(lease))
        .set(imports::lease_until.eq(in_seconds(LEASE_SECONDS)))
        .execute(conn)?;
    Ok(kept == 1)
}

/// Gives an import back, so that another process may take it at once.
pub fn release(conn: &mut Conn, lease: Lease) -> Result<()> {
    diesel::update(imports::table.find(lease.id)).filter(is_ours(lease)).set(no_lease()).execute(conn)?;
    Ok(())
}

/// Ends an import. False when it isn't ours any more.
pub fn end(conn: &mut Conn, lease: Lease, status: ImportStatus, done_bytes: u64, outcome: &Outcome) -> Result<bool> {
    let ended = diesel::update(imports::table.find(lease.id))
        .filter(is_ours(lease))
        .set((
            imports::status.eq(status.key()),
            imports::done_bytes.eq(i64::try_from(done_bytes).unwrap_or(i64::MAX)),
            imports::outcome.eq(json("outcome", outcome)?),
            imports::finished_at.eq(Timestamp::now().to_diesel()),
            no_lease(),
        ))
        .execute(conn)?;
    Ok(ended == 1)
}

/// A part of the file of an import, from 0 on; nothing behind the last one.
pub fn file_part(conn: &mut Conn, id: Id, part: u32) -> Result<Option<Vec<u8>>> {
    Ok(import_files::table.find((id, part)).select(import_files::content).first(conn).optional()?)
}

/// Writes a part of the report of an import that is ours; the caller has the transaction and has kept the lease in it. The first one
/// removes those of an earlier attempt.
pub fn add_report_part(conn: &mut Conn, lease: Lease, part: u32, content: &[u8]) -> Result<()> {
    if part == 0 {
        remove_report(conn, lease.id)?;
    }
    let row =
        (import_reports::import_id.eq(lease.id), import_reports::part.eq(part), import_reports::content.eq(content));
    diesel::insert_into(import_reports::table).values(row).execute(conn)?;
    Ok(())
}

/// A part of the report of an import, from 0 on; nothing behind the last one.
pub fn report_part(conn: &mut Conn, id: Id, part: u32) -> Result<Option<Vec<u8>>> {
    Ok(import_reports::table.find((id, part)).select(import_reports::content).first(conn).optional()?)
}

type Condition<T> = Box<dyn BoxableExpression<imports::table, diesel::mysql::Mysql, SqlType = T>>;

fn is_ours(lease: Lease) -> Condition<sql_types::Bool> {
    Box::new(imports::token.eq(lease.token).and(imports::status.eq(ImportStatus::Running.key())))
}

fn no_lease() -> diesel::dsl::Eq<imports::lease_until, Option<jiff_diesel::Timestamp>> {
    imports::lease_until.eq(None)
}

fn json(what: &str, value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::corrupt(what, error))
}

fn utc_now() -> diesel::expression::SqlLiteral<sql_types::Datetime> {
    diesel::dsl::sql("UTC_TIMESTAMP(6)")
}

fn in_seconds(seconds: u32) -> diesel::expression::SqlLiteral<sql_types::Nullable<sql_types::Datetime>> {
    diesel::dsl::sql(&format!("UTC_TIMESTAMP(6) + INTERVAL {seconds} SECOND"))
}

fn reports_end() -> diesel::expression::SqlLiteral<sql_types::Nullable<sql_types::Datetime>> {
    diesel::dsl::sql(&format!("UTC_TIMESTAMP(6) - INTERVAL {REPORT_DAYS} DAY"))
}
