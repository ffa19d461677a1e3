//! What the shards of a run count as they are worked on, and the distributions that came of it.

use diesel::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Id;
use crate::assessments::distribution::Distribution;
use crate::db::bulk::Insert;
use crate::db::schema::{run_distributions, run_tallies};
use crate::db::{Conn, Error, Result};

/// What a shard has counted so far.
pub fn shard_tally<T: Default + DeserializeOwned>(conn: &mut Conn, run_id: Id, shard: u8) -> Result<T> {
    let found: Option<String> =
        run_tallies::table.find((run_id, shard)).select(run_tallies::tally).first(conn).optional()?;
    found.map_or_else(|| Ok(T::default()), |tally| read(&tally))
}

/// What all shards have counted so far, shard by shard.
pub fn shard_tallies<T: DeserializeOwned>(conn: &mut Conn, run_id: Id) -> Result<Vec<T>> {
    let rows: Vec<String> = run_tallies::table
        .filter(run_tallies::run_id.eq(run_id))
        .order(run_tallies::shard)
        .select(run_tallies::tally)
        .load(conn)?;
    rows.iter().map(|tally| read(tally)).collect()
}

/// Keeps what a shard has counted so far.
pub fn set_shard_tally(conn: &mut Conn, run_id: Id, shard: u8, tally: &impl Serialize) -> Result<()> {
    let tally = serde_json::to_string(tally).map_err(|error| Error::corrupt("tally", error))?;
    let tail = " ON DUPLICATE KEY UPDATE tally = VALUES(tally)";
    let mut insert = Insert::into("run_tallies", &["run_id", "shard", "tally"], tail);
    insert.value(run_id).value(shard).value(tally.as_str());
    insert.end_row();
    insert.execute(conn)
}

/// Forgets what the shards of a run that has ended have counted.
pub fn delete_tallies(conn: &mut Conn, run_id: Id) -> Result<()> {
    diesel::delete(run_tallies::table.filter(run_tallies::run_id.eq(run_id))).execute(conn)?;
    Ok(())
}

/// Keeps how the customers of a run are distributed, beside the run that it is compared with.
pub fn insert_distribution(
    conn: &mut Conn,
    run_id: Id,
    compared_with: Option<Id>,
    distribution: &Distribution,
) -> Result<()> {
    let content = serde_json::to_string(distribution).map_err(|error| Error::corrupt("distribution", error))?;
    diesel::insert_into(run_distributions::table)
        .values((
            run_distributions::run_id.eq(run_id),
            run_distributions::compared_with.eq(compared_with),
            run_distributions::content.eq(content),
        ))
        .execute(conn)?;
    Ok(())
}

/// How the customers of a run are distributed, and the run that it is compared with.
pub fn distribution(conn: &mut Conn, run_id: Id) -> Result<Option<(Distribution, Option<Id>)>> {
    let found: Option<(String, Option<Id>)> = run_distributions::table
        .find(run_id)
        .select((run_distributions::content, run_distributions::compared_with))
        .first(conn)
        .optional()?;
    found.map(|(content, compared_with)| Ok((read(&content)?, compared_with))).transpose()
}

/// The last run before this one whose distribution is kept.
pub fn distributed_before(conn: &mut Conn, run_id: Id) -> Result<Option<Id>> {
    Ok(run_distributions::table
        .filter(run_distributions::run_id.lt(run_id))
        .order(run_distributions::run_id.desc())
        .select(run_distributions::run_id)
        .first(conn)
        .optional()?)
}

fn read<T: DeserializeOwned>(content: &str) -> Result<T> {
    serde_json::from_str(content).map_err(|error| Error::corrupt("tally", error))
}
