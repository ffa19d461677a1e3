//! Deployment, releases, cohorts and bases in the database.

mod steps;

use diesel::prelude::*;
use diesel::sql_types::Datetime;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_diesel::ToDiesel;

pub use self::steps::{add_step, previous_release, release_with_steps, releases_page};
use super::model::{Basis, Closing, ClosingCause, Deployment};
use crate::Id;
use crate::db::schema::{bases, closings, cohorts, deployment, releases};
use crate::db::{Conn, Error, Result};
use crate::digest::Digest;
use crate::policy::model::Cohort;

#[derive(Queryable, Selectable)]
#[diesel(table_name = deployment)]
struct DeploymentRow {
    pack_id: String,
    time_zone: String,
    currency: String,
    #[diesel(deserialize_as = jiff_diesel::NullableDate)]
    fixed_business_date: Option<Date>,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    sample_loaded_at: Option<Timestamp>,
    catalogue_seq: i64,
}

/// What the base is bound to, if it is.
pub fn deployment(conn: &mut Conn) -> Result<Option<Deployment>> {
    let row: Option<DeploymentRow> = deployment::table.select(DeploymentRow::as_select()).first(conn).optional()?;
    Ok(row.map(|row| Deployment {
        pack_id: row.pack_id,
        time_zone: row.time_zone,
        currency: row.currency,
        fixed_business_date: row.fixed_business_date,
        sample_loaded_at: row.sample_loaded_at,
        catalogue_seq: row.catalogue_seq,
    }))
}

/// Binds an unbound base.
pub fn bind(conn: &mut Conn, new: &Deployment) -> Result<()> {
    diesel::insert_into(deployment::table)
        .values((
            deployment::id.eq(1),
            deployment::pack_id.eq(&new.pack_id),
            deployment::time_zone.eq(&new.time_zone),
            deployment::currency.eq(&new.currency),
            deployment::created_at.eq(Timestamp::now().to_diesel()),
        ))
        .execute(conn)?;
    Ok(())
}

/// Fixes the business date: the first step of loading a sample.
pub fn fix_business_date(conn: &mut Conn, date: Date) -> Result<()> {
    diesel::update(deployment::table).set(deployment::fixed_business_date.eq(Some(date).to_diesel())).execute(conn)?;
    Ok(())
}

/// Notes that the whole sample has been loaded.
pub fn note_sample_loaded(conn: &mut Conn) -> Result<()> {
    diesel::update(deployment::table)
        .set(deployment::sample_loaded_at.eq(Some(Timestamp::now()).to_diesel()))
        .execute(conn)?;
    Ok(())
}

/// Keeps a release's content under its digest.
pub fn keep_release(conn: &mut Conn, digest: Digest, pack_id: &str, content: &str) -> Result<()> {
    diesel::insert_or_ignore_into(releases::table)
        .values((
            releases::digest.eq(digest.as_bytes()),
            releases::pack_id.eq(pack_id),
            releases::content.eq(content),
            releases::created_at.eq(Timestamp::now().to_diesel()),
        ))
        .execute(conn)?;
    Ok(())
}

/// The content of a release.
pub fn release(conn: &mut Conn, digest: Digest) -> Result<Option<String>> {
    Ok(releases::table.find(digest.as_bytes()).select(releases::content).first(conn).optional()?)
}

/// Keeps a cohort under its digest, and gives it.
pub fn keep_cohort(conn: &mut Conn, cohort: &Cohort) -> Result<Digest> {
    let digest = cohort.digest();
    diesel::insert_or_ignore_into(cohorts::table)
        .values((
            cohorts::digest.eq(digest.as_bytes()),
            cohorts::content.eq(cohort.to_json()),
            cohorts::created_at.eq(Timestamp::now().to_diesel()),
        ))
        .execute(conn)?;
    Ok(digest)
}

/// The cohort of this digest.
pub fn cohort(conn: &mut Conn, digest: Digest) -> Result<Option<Cohort>> {
    let content: Option<String> =
        cohorts::table.find(digest.as_bytes()).select(cohorts::content).first(conn).optional()?;
    content.map(|content| serde_json::from_str(&content).map_err(|error| Error::corrupt("cohort", error))).transpose()
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = bases)]
struct BasisRow {
    number: i64,
    release_digest: Vec<u8>,
    cohort_digest: Vec<u8>,
    #[diesel(deserialize_as = jiff_diesel::Date)]
    business_date: Date,
    rules_number: i64,
    catalogue_seq: i64,
}

impl BasisRow {
    fn read(self) -> Result<Basis> {
        Ok(Basis {
            number: self.number,
            release: read_digest(&self.release_digest)?,
            cohort: read_digest(&self.cohort_digest)?,
            business_date: self.business_date,
            rules: self.rules_number,
            catalogue_seq: self.catalogue_seq,
        })
    }
}

fn read_digest(bytes: &[u8]) -> Result<Digest> {
    Digest::from_bytes(bytes).ok_or_else(|| Error::Corrupt("a digest of a release or cohort".to_owned()))
}

/// The basis in force.
pub fn current_basis(conn: &mut Conn) -> Result<Option<Basis>> {
    let row: Option<BasisRow> =
        bases::table.order(bases::number.desc()).select(BasisRow::as_select()).first(conn).optional()?;
    row.map(BasisRow::read).transpose()
}

/// The basis of a number.
pub fn basis(conn: &mut Conn, number: i64) -> Result<Option<Basis>> {
    let row: Option<BasisRow> = bases::table.find(number).select(BasisRow::as_select()).first(conn).optional()?;
    row.map(BasisRow::read).transpose()
}

/// Keeps others from following a basis at the same time, until the transaction ends. The row is written, by a microsecond, since locks
/// alone stay on one node of a cluster: of two who follow a basis on two nodes, one fails and tries again.
pub fn lock_basis(conn: &mut Conn, number: i64) -> Result<()> {
    let later = diesel::dsl::sql::<Datetime>("created_at + INTERVAL 1 MICROSECOND");
    diesel::update(bases::table.find(number)).set(bases::created_at.eq(later)).execute(conn)?;
    Ok(())
}

/// Puts a basis in force. Its number is one more than that of the basis it was made from; [`Error::Taken`] if another one came first.
pub fn put_in_force(conn: &mut Conn, basis: &Basis) -> Result<()> {
    diesel::insert_into(bases::table)
        .values((
            bases::number.eq(basis.number),
            bases::release_digest.eq(basis.release.as_bytes()),
            bases::cohort_digest.eq(basis.cohort.as_bytes()),
            bases::business_date.eq(basis.business_date.to_diesel()),
            bases::rules_number.eq(basis.rules),
            bases::catalogue_seq.eq(basis.catalogue_seq),
            bases::created_at.eq(Timestamp::now().to_diesel()),
        ))
        .execute(conn)?;
    Ok(())
}

/// Adds a closing.
pub fn insert_closing(conn: &mut Conn, closing: &Closing) -> Result<()> {
    let policies = serde_json::to_string(&closing.policies).map_err(|error| Error::corrupt("closing", error))?;
    diesel::insert_into(closings::table)
        .values((
            closings::basis_number.eq(closing.basis),
            closings::cause.eq(closing.cause.key()),
            closings::policies.eq(policies),
            closings::run_id.eq(closing.run_id),
            closings::created_at.eq(closing.created_at.to_diesel()),
            closings::finished_at.eq(closing.finished_at.to_diesel()),
        ))
        .execute(conn)?;
    Ok(())
}

/// Notes that everybody has passed all closings.
pub fn finish_closings(conn: &mut Conn) -> Result<()> {
    diesel::update(closings::table.filter(closings::finished_at.is_null()))
        .set(closings::finished_at.eq(Some(Timestamp::now()).to_diesel()))
        .execute(conn)?;
    Ok(())
}

/// Number of the first closing that somebody has still to pass.
pub fn open_closing(conn: &mut Conn) -> Result<Option<i64>> {
    let open = closings::table.filter(closings::finished_at.is_null());
    Ok(open.select(diesel::dsl::min(closings::basis_number)).first(conn)?)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = closings)]
struct ClosingRow {
    basis_number: i64,
    cause: String,
    policies: String,
    run_id: Option<Id>,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    created_at: Timestamp,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    finished_at: Option<Timestamp>,
}

impl ClosingRow {
    fn read(self) -> Result<Closing> {
        Ok(Closing {
            basis: self.basis_number,
            cause: ClosingCause::from_key(&self.cause).ok_or_else(|| Error::Corrupt("a closing's cause".to_owned()))?,
            policies: serde_json::from_str(&self.policies).map_err(|error| Error::corrupt("closing", error))?,
            run_id: self.run_id,
            created_at: self.created_at,
            finished_at: self.finished_at,
        })
    }
}

/// Closings up to a basis, newest first.
pub fn closings_to(conn: &mut Conn, basis: i64, limit: i64) -> Result<Vec<Closing>> {
    let rows: Vec<ClosingRow> = closings::table
        .filter(closings::basis_number.le(basis))
        .order(closings::basis_number.desc())
        .limit(limit)
        .select(ClosingRow::as_select())
        .load(conn)?;
    rows.into_iter().map(ClosingRow::read).collect()
}
