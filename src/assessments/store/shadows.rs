//! Releases that decide in the shadow of the one in force, and what they have decided about each customer.

use std::collections::BTreeMap;

use diesel::prelude::*;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_diesel::{NullableDate, ToDiesel};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::read_digest;
use crate::Id;
use crate::assessments::model::ShadowStatus;
use crate::db::bulk::Insert;
use crate::db::schema::{shadow_subjects, shadows};
use crate::db::{Conn, Error, Result, Subjects};
use crate::digest::Digest;
use crate::releases::model::By;

/// A release that decides in the shadow of the one in force for a period.
#[derive(Clone, Debug)]
pub struct Shadow {
    /// Its id.
    pub id: Id,
    /// The release.
    pub release: Digest,
    /// Who wants it.
    pub by: By,
    /// Keys of the metrics that are looked at by outcome.
    pub facts: Vec<String>,
    /// The business date on which it begins.
    pub starts_on: Date,
    /// The business date on which it ends.
    pub ends_on: Date,
    /// How far it is.
    pub status: ShadowStatus,
    /// The last business date for which a run was started.
    pub decided_on: Option<Date>,
    /// That run.
    pub run_id: Option<Id>,
    /// The cohort by which the release decides, and the one in force when it was computed.
    pub cohort: Option<(Digest, Digest)>,
    /// What came of it so far, as JSON.
    pub result: Option<String>,
}

/// Adds a shadow.
pub fn insert_shadow(conn: &mut Conn, shadow: &Shadow) -> Result<()> {
    let facts = serde_json::to_string(&shadow.facts).map_err(|error| Error::corrupt("facts", error))?;
    diesel::insert_into(shadows::table)
        .values((
            shadows::id.eq(shadow.id),
            shadows::release_digest.eq(shadow.release.as_bytes()),
            shadows::user_id.eq(shadow.by.user_id),
            shadows::author.eq(&shadow.by.name),
            shadows::facts.eq(facts),
            shadows::starts_on.eq(shadow.starts_on.to_diesel()),
            shadows::ends_on.eq(shadow.ends_on.to_diesel()),
            shadows::status.eq(shadow.status.key()),
            shadows::created_at.eq(Timestamp::now().to_diesel()),
        ))
        .execute(conn)?;
    Ok(())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = shadows)]
struct ShadowRow {
    id: Id,
    release_digest: Vec<u8>,
    user_id: Option<Id>,
    author: String,
    facts: String,
    #[diesel(deserialize_as = jiff_diesel::Date)]
    starts_on: Date,
    #[diesel(deserialize_as = jiff_diesel::Date)]
    ends_on: Date,
    status: String,
    #[diesel(deserialize_as = NullableDate)]
    decided_on: Option<Date>,
    run_id: Option<Id>,
    cohort_digest: Option<Vec<u8>>,
    cohort_beside: Option<Vec<u8>>,
    result: Option<String>,
}

impl ShadowRow {
    fn read(self) -> Result<Shadow> {
        let cohort = match (self.cohort_digest, self.cohort_beside) {
            (Some(own), Some(beside)) => Some((read_digest(&own)?, read_digest(&beside)?)),
            _ => None,
        };
        Ok(Shadow {
            id: self.id,
            release: read_digest(&self.release_digest)?,
            by: By { user_id: self.user_id, name: self.author },
            facts: serde_json::from_str(&self.facts).map_err(|error| Error::corrupt("facts", error))?,
            starts_on: self.starts_on,
            ends_on: self.ends_on,
            status: ShadowStatus::from_key(&self.status)
                .ok_or_else(|| Error::Corrupt("a shadow's status".to_owned()))?,
            decided_on: self.decided_on,
            run_id: self.run_id,
            cohort,
            result: self.result,
        })
    }
}

fn found(row: Option<ShadowRow>) -> Result<Option<Shadow>> {
    row.map(ShadowRow::read).transpose()
}

/// The shadow that is open, if one is.
pub fn open_shadow(conn: &mut Conn) -> Result<Option<Shadow>> {
    let open = shadows::table.filter(shadows::status.eq(ShadowStatus::Open.key()));
    found(open.select(ShadowRow::as_select()).first(conn).optional()?)
}

/// A shadow, locked so that it doesn't change before the transaction ends.
pub fn lock_shadow(conn: &mut Conn, id: Id) -> Result<Option<Shadow>> {
    found(shadows::table.find(id).select(ShadowRow::as_select()).for_update().first(conn).optional()?)
}

/// The last shadow of a release.
pub fn last_shadow(conn: &mut Conn, release: Digest) -> Result<Option<Shadow>> {
    let of = shadows::table.filter(shadows::release_digest.eq(release.as_bytes())).order(shadows::id.desc());
    found(of.select(ShadowRow::as_select()).first(conn).optional()?)
}

/// The shadow for which a run was started last.
pub fn shadow_of_run(conn: &mut Conn, run_id: Id) -> Result<Option<Shadow>> {
    let of = shadows::table.filter(shadows::run_id.eq(Some(run_id)));
    found(of.select(ShadowRow::as_select()).first(conn).optional()?)
}

/// Notes the run that was started for a business date.
pub fn set_shadow_run(conn: &mut Conn, id: Id, run_id: Id, date: Date) -> Result<()> {
    diesel::update(shadows::table.find(id))
        .set((shadows::run_id.eq(Some(run_id)), shadows::decided_on.eq(Some(date.to_diesel()))))
        .execute(conn)?;
    Ok(())
}

/// Notes the cohort by which the release decides, and the one in force when it was computed.
pub fn set_shadow_cohort(conn: &mut Conn, id: Id, cohort: Digest, beside: Digest) -> Result<()> {
    diesel::update(shadows::table.find(id))
        .set((shadows::cohort_digest.eq(Some(cohort.as_bytes())), shadows::cohort_beside.eq(Some(beside.as_bytes()))))
        .execute(conn)?;
    Ok(())
}

/// Keeps what came of a shadow so far.
pub fn set_shadow_result(conn: &mut Conn, id: Id, result: &str) -> Result<()> {
    diesel::update(shadows::table.find(id)).set(shadows::result.eq(Some(result))).execute(conn)?;
    Ok(())
}

/// Ends a shadow.
pub fn end_shadow(conn: &mut Conn, id: Id, status: ShadowStatus) -> Result<()> {
    diesel::update(shadows::table.find(id)).set(shadows::status.eq(status.key())).execute(conn)?;
    Ok(())
}

/// What a shadow has decided about customers.
pub fn shadowed<T: DeserializeOwned>(conn: &mut Conn, id: Id, of: Subjects<'_>) -> Result<BTreeMap<Id, T>> {
    let Some(of) = of.condition("customer_id") else { return Ok(BTreeMap::new()) };
    let rows: Vec<(Id, String)> = shadow_subjects::table
        .filter(shadow_subjects::shadow_id.eq(id))
        .filter(of)
        .select((shadow_subjects::customer_id, shadow_subjects::content))
        .load(conn)?;
    let read = |(id, content): (Id, String)| {
        Ok((id, serde_json::from_str(&content).map_err(|error| Error::corrupt("shadow", error))?))
    };
    rows.into_iter().map(read).collect()
}

/// Keeps what a shadow has decided about customers.
pub fn write_shadowed(conn: &mut Conn, id: Id, decided: &[(Id, impl Serialize)]) -> Result<()> {
    let tail = " ON DUPLICATE KEY UPDATE content = VALUES(content)";
    let mut insert = Insert::into("shadow_subjects", &["shadow_id", "shard", "customer_id", "content"], tail);
    for (customer_id, content) in decided {
        let content = serde_json::to_string(content).map_err(|error| Error::corrupt("shadow", error))?;
        insert.value(id).value(customer_id.shard()).value(*customer_id).value(content.as_str());
        insert.end_row();
    }
    insert.execute(conn)
}

/// Deletes up to `limit` rows of what shadows that have ended decided about customers. Whether there may be more.
pub fn delete_shadowed(conn: &mut Conn, limit: u32) -> Result<bool> {
    let delete = format!(
        "DELETE FROM shadow_subjects WHERE shadow_id IN (SELECT id FROM shadows WHERE status <> '{}') LIMIT {limit}",
        ShadowStatus::Open.key()
    );
    Ok(diesel::sql_query(delete).execute(conn)? > 0)
}
