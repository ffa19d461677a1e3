//! Whom runs failed for, and reading those customers again.

use diesel::prelude::*;
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use super::subjects::{ACTIVE, LeanCustomer, LeanRow, lean, read_lean};
use crate::Id;
use crate::assessments::model::{FailureReason, RunFailure};
use crate::db::bulk::Insert;
use crate::db::schema::{customers, run_failures, runs};
use crate::db::{Conn, Error, Result};

/// Notes customers of a shard for whom a run failed.
pub fn insert_failures(conn: &mut Conn, run_id: Id, failed: &[(Id, Vec<FailureReason>)]) -> Result<()> {
    let mut insert = Insert::into("run_failures", &["run_id", "shard", "customer_id", "reasons"], "");
    for (customer_id, reasons) in failed {
        let reasons = serde_json::to_string(reasons).map_err(|error| Error::corrupt("reasons of a failure", error))?;
        insert.value(run_id).value(customer_id.shard()).value(*customer_id).value(reasons);
        insert.end_row();
    }
    insert.execute(conn)
}

/// A page of a run's failures by shard and customer, after one of them.
pub fn failures_page(conn: &mut Conn, run_id: Id, after: Option<(u8, Id)>, limit: i64) -> Result<Vec<RunFailure>> {
    let mut query = run_failures::table
        .inner_join(customers::table.on(customers::id.eq(run_failures::customer_id)))
        .filter(run_failures::run_id.eq(run_id))
        .order((run_failures::shard, run_failures::customer_id))
        .limit(limit)
        .select((customers::id, customers::code, run_failures::reasons))
        .into_boxed();
    if let Some((shard, id)) = after {
        let later = run_failures::shard.eq(shard).and(run_failures::customer_id.gt(id));
        query = query.filter(run_failures::shard.gt(shard).or(later));
    }
    let rows: Vec<(Id, String, String)> = query.load(conn)?;
    rows.into_iter()
        .map(|(customer_id, customer_code, reasons)| {
            let reasons =
                serde_json::from_str(&reasons).map_err(|error| Error::corrupt("reasons of a failure", error))?;
            Ok(RunFailure { customer_id, customer_code, reasons })
        })
        .collect()
}

/// Shards in which a run failed for somebody.
pub fn failed_shards(conn: &mut Conn, run_id: Id) -> Result<Vec<u8>> {
    let failed = run_failures::table.filter(run_failures::run_id.eq(run_id));
    Ok(failed.select(run_failures::shard).distinct().load(conn)?)
}

/// Number of active customers for whom a run failed.
pub fn count_failed(conn: &mut Conn, run_id: Id) -> Result<u64> {
    let count: i64 = run_failures::table
        .inner_join(customers::table.on(customers::id.eq(run_failures::customer_id)))
        .filter(run_failures::run_id.eq(run_id).and(customers::status.eq(ACTIVE)))
        .count()
        .get_result(conn)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// The active customers of a shard for whom a run failed, after an id, by id.
pub fn failed_customers_page(
    conn: &mut Conn,
    run_id: Id,
    shard: u8,
    after: Id,
    limit: i64,
) -> Result<Vec<LeanCustomer>> {
    let failed = run_failures::table.filter(run_failures::run_id.eq(run_id).and(run_failures::shard.eq(shard)));
    let rows: Vec<LeanRow> = lean()
        .filter(customers::shard.eq(shard).and(customers::id.gt(after)).and(customers::status.eq(ACTIVE)))
        .filter(customers::id.eq_any(failed.select(run_failures::customer_id)))
        .order(customers::id)
        .limit(limit)
        .load(conn)?;
    Ok(rows.into_iter().map(read_lean).collect())
}

/// Deletes up to `limit` failures of the oldest run that was started before a moment. False when there are none.
pub fn delete_failures_before(conn: &mut Conn, before: Timestamp, limit: u32) -> Result<bool> {
    let first = run_failures::table.order(run_failures::run_id).select(run_failures::run_id);
    let Some(oldest) = first.first::<Id>(conn).optional()? else { return Ok(false) };
    let later = runs::table.filter(runs::id.eq(oldest).and(runs::created_at.ge(before.to_diesel())));
    if diesel::select(diesel::dsl::exists(later)).get_result(conn)? {
        return Ok(false);
    }
    let delete = format!("DELETE FROM run_failures WHERE run_id = ? LIMIT {limit}");
    Ok(diesel::sql_query(delete).bind::<diesel::sql_types::Binary, _>(oldest).execute(conn)? > 0)
}
