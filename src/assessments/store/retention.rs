//! The months of history in the database: what still refers to old assessments, and dropping all others by partition.

use diesel::connection::SimpleConnection;
use diesel::dsl::{max, min};
use diesel::prelude::*;
use jiff::civil::Date;
use jiff_diesel::NullableDate;

use crate::Id;
use crate::db::schema::{assessments, bases, deployment, outcomes, subjects};
use crate::db::{Conn, Result};
use crate::transactions::model::Month;

/// Partitions of the assessments by month: months that lie so far apart share one.
pub const PARTITIONS: i16 = 64;

/// Seconds for which dropping a partition waits for those who use the table, while others wait behind it.
const DROP_WAIT: u8 = 2;

/// The month before which no history is kept, if some was dropped already; else the month of the first basis.
pub fn history_from(conn: &mut Conn) -> Result<i16> {
    let noted: Option<i16> = deployment::table.select(deployment::history_from).first(conn).optional()?;
    let (first, _): (NullableDate, NullableDate) = spanned(conn)?;
    let first: Option<Date> = first.into();
    Ok(noted.unwrap_or_default().max(first.map_or(i16::MAX, |first| Month::of(first).number())))
}

/// The last month of all bases.
pub fn last_month(conn: &mut Conn) -> Result<i16> {
    let (_, last) = spanned(conn)?;
    let last: Option<Date> = last.into();
    Ok(last.map_or(i16::MAX, |last| Month::of(last).number()))
}

fn spanned(conn: &mut Conn) -> Result<(NullableDate, NullableDate)> {
    Ok(bases::table.select((min(bases::business_date), max(bases::business_date))).first(conn)?)
}

/// Keeps other processes from dropping history until the transaction ends, and gives the month before which it is dropped.
pub fn lock_history(conn: &mut Conn) -> Result<i16> {
    let locked = deployment::table.select(deployment::history_from).for_update();
    Ok(locked.first(conn).optional()?.unwrap_or_default())
}

/// Notes the month before which no history is kept any more.
pub fn note_history_from(conn: &mut Conn, month: i16) -> Result<()> {
    diesel::update(deployment::table.filter(deployment::history_from.lt(month)))
        .set(deployment::history_from.eq(month))
        .execute(conn)?;
    Ok(())
}

/// Locks subjects of a shard after an id, in the order of ids. Gives the last one, and the assessments that they and their
/// outcomes refer to.
pub fn lock_references(conn: &mut Conn, shard: u8, after: Id, limit: i64) -> Result<Option<(Id, Vec<Id>)>> {
    let rows: Vec<(Id, Option<Id>)> = subjects::table
        .filter(subjects::shard.eq(shard).and(subjects::customer_id.gt(after)))
        .order(subjects::customer_id)
        .limit(limit)
        .select((subjects::customer_id, subjects::assessment_id))
        .for_update()
        .load(conn)?;
    let Some((last, _)) = rows.last() else { return Ok(None) };
    let outcomes: Vec<(Id, Option<Id>)> = outcomes::table
        .filter(outcomes::shard.eq(shard).and(outcomes::customer_id.gt(after)).and(outcomes::customer_id.le(*last)))
        .select((outcomes::assessment_id, outcomes::computed_assessment_id))
        .distinct()
        .load(conn)?;
    let mut referred: Vec<Id> =
        outcomes.into_iter().flat_map(|(stands, computed)| [Some(stands), computed]).flatten().collect();
    referred.extend(rows.iter().filter_map(|(_, latest)| *latest));
    Ok(Some((*last, referred)))
}

/// Lets assessments of some months stay as long as those of `month`.
pub fn carry_forward(conn: &mut Conn, ids: &[Id], months: &[i16], month: i16) -> Result<()> {
    diesel::update(assessments::table.filter(assessments::id.eq_any(ids).and(assessments::month.eq_any(months))))
        .set(assessments::month.eq(month))
        .execute(conn)?;
    Ok(())
}

/// Drops the partition of a month at once.
pub fn drop_partition(conn: &mut Conn, month: i16) -> Result<()> {
    let partition = month.rem_euclid(PARTITIONS);
    conn.batch_execute(&format!("SET lock_wait_timeout = {DROP_WAIT}"))?;
    let dropped = conn.batch_execute(&format!("ALTER TABLE assessments TRUNCATE PARTITION p{partition}"));
    conn.batch_execute("SET lock_wait_timeout = DEFAULT")?;
    Ok(dropped?)
}

/// Deletes up to `limit` assessments of a month and gives how many it were.
pub fn delete_month(conn: &mut Conn, month: i16, limit: u32) -> Result<usize> {
    let delete = format!("DELETE FROM assessments WHERE month = {month} LIMIT {limit}");
    Ok(diesel::sql_query(delete).execute(conn)?)
}
