//! Comparisons of releases: what they compare, what each shard has counted, and what came of it.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::read_digest;
use crate::Id;
use crate::assessments::model::RunStatus;
use crate::db::schema::{comparisons, runs};
use crate::db::{Conn, Error, Result};
use crate::digest::Digest;
use crate::releases::model::By;

/// What a comparison compares.
#[derive(Clone, Debug)]
pub struct ComparisonTask {
    /// The run that makes it.
    pub run_id: Id,
    /// The release that is compared with the one in force.
    pub candidate: Digest,
    /// The cohort by which the candidate decides, once it is computed.
    pub cohort: Option<Digest>,
    /// Who asked for it.
    pub by: By,
    /// Whom it looks at: customers with one of these values, by field; everybody when there is none.
    pub population: BTreeMap<String, Vec<String>>,
    /// What came of it, as JSON, with its digest; absent until it is finished.
    pub content: Option<(String, Digest)>,
}

/// Adds a comparison that a run is to make.
pub fn insert_comparison(conn: &mut Conn, task: &ComparisonTask) -> Result<()> {
    let population = serde_json::to_string(&task.population).map_err(|error| Error::corrupt("population", error))?;
    diesel::insert_into(comparisons::table)
        .values((
            comparisons::run_id.eq(task.run_id),
            comparisons::candidate_digest.eq(task.candidate.as_bytes()),
            comparisons::user_id.eq(task.by.user_id),
            comparisons::author.eq(&task.by.name),
            comparisons::population.eq(population),
        ))
        .execute(conn)?;
    Ok(())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = comparisons)]
struct ComparisonRow {
    run_id: Id,
    candidate_digest: Vec<u8>,
    cohort_digest: Option<Vec<u8>>,
    user_id: Option<Id>,
    author: String,
    population: String,
    content: Option<String>,
    digest: Option<Vec<u8>>,
}

impl ComparisonRow {
    fn read(self) -> Result<ComparisonTask> {
        let digest = self.digest.map(|digest| read_digest(&digest)).transpose()?;
        Ok(ComparisonTask {
            run_id: self.run_id,
            candidate: read_digest(&self.candidate_digest)?,
            cohort: self.cohort_digest.map(|digest| read_digest(&digest)).transpose()?,
            by: By { user_id: self.user_id, name: self.author },
            population: serde_json::from_str(&self.population).map_err(|error| Error::corrupt("population", error))?,
            content: self.content.zip(digest),
        })
    }
}

/// The comparison that a run makes.
pub fn comparison(conn: &mut Conn, run_id: Id) -> Result<Option<ComparisonTask>> {
    let row: Option<ComparisonRow> =
        comparisons::table.find(run_id).select(ComparisonRow::as_select()).first(conn).optional()?;
    row.map(ComparisonRow::read).transpose()
}

/// The last comparison of a release.
pub fn last_comparison(conn: &mut Conn, candidate: Digest) -> Result<Option<ComparisonTask>> {
    let row: Option<ComparisonRow> = comparisons::table
        .filter(comparisons::candidate_digest.eq(candidate.as_bytes()))
        .order(comparisons::run_id.desc())
        .select(ComparisonRow::as_select())
        .first(conn)
        .optional()?;
    row.map(ComparisonRow::read).transpose()
}

/// What came of the comparison of this digest that a release had, as JSON.
pub fn finished_comparison(conn: &mut Conn, candidate: Digest, digest: Digest) -> Result<Option<String>> {
    let found: Option<Option<String>> = comparisons::table
        .filter(comparisons::candidate_digest.eq(candidate.as_bytes()))
        .filter(comparisons::digest.eq(Some(digest.as_bytes())))
        .select(comparisons::content)
        .first(conn)
        .optional()?;
    Ok(found.flatten())
}

/// Notes the cohort by which the candidate decides.
pub fn set_comparison_cohort(conn: &mut Conn, run_id: Id, cohort: Digest) -> Result<()> {
    diesel::update(comparisons::table.find(run_id))
        .set(comparisons::cohort_digest.eq(Some(cohort.as_bytes())))
        .execute(conn)?;
    Ok(())
}

/// Keeps what came of a comparison.
pub fn finish_comparison(conn: &mut Conn, run_id: Id, content: &str, digest: Digest) -> Result<()> {
    diesel::update(comparisons::table.find(run_id))
        .set((comparisons::content.eq(Some(content)), comparisons::digest.eq(Some(digest.as_bytes()))))
        .execute(conn)?;
    Ok(())
}

/// The run of the comparison that is being made, if one is.
pub fn open_comparison(conn: &mut Conn) -> Result<Option<Id>> {
    let open = [RunStatus::Preparing.key(), RunStatus::Running.key()];
    let found = runs::table.inner_join(comparisons::table.on(comparisons::run_id.eq(runs::id)));
    Ok(found.filter(runs::status.eq_any(open)).select(runs::id).first(conn).optional()?)
}
