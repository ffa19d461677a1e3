//! Assessments, outcomes, subjects and runs in the database.

mod appeals;
mod comparisons;
mod failures;
mod lists;
mod overrides;
mod retention;
mod runs;
mod shadows;
mod subjects;
mod tallies;

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types;
use jiff::Timestamp;
use jiff::civil::Date;

use super::model::{Assessment, Flag, Outcome, Overridden, Owner};
use crate::Id;
use crate::db::bulk::Insert;
use crate::db::schema::{assessments, customers, outcomes};
use crate::db::{Conn, Error, Result, Subjects};
use crate::digest::Digest;
use crate::releases::store::cohort;
use crate::transactions::model::Month;

pub use appeals::*;
pub use comparisons::*;
pub use failures::*;
pub use lists::*;
pub use overrides::*;
pub use retention::*;
pub use runs::*;
pub use shadows::*;
pub use subjects::*;
pub use tallies::*;

/// Outcomes in force, by customer and policy.
pub fn outcomes_of(conn: &mut Conn, of: Subjects<'_>) -> Result<BTreeMap<(Id, String), Outcome>> {
    let Some(of) = of.condition("customer_id") else { return Ok(BTreeMap::new()) };
    let rows: Vec<OutcomeRow> = outcomes::table.filter(of).select(OutcomeRow::as_select()).load(conn)?;
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
    computed: Option<String>,
    #[diesel(deserialize_as = jiff_diesel::NullableDate)]
    computed_since: Option<Date>,
    computed_assessment_id: Option<Id>,
    #[diesel(deserialize_as = jiff_diesel::NullableDate)]
    differs_since: Option<Date>,
}

impl OutcomeRow {
    fn read(self) -> ((Id, String), Outcome) {
        let computed = self.computed.zip(self.computed_since).zip(self.computed_assessment_id);
        let overridden = computed.map(|((outcome, since), assessment_id)| Overridden {
            outcome,
            since,
            assessment_id,
            differs_since: self.differs_since,
        });
        let outcome = Outcome {
            outcome: self.outcome,
            flag: self.flag.as_deref().and_then(Flag::from_key),
            since: self.since,
            assessment_id: self.assessment_id,
            closed_on: self.closed_on,
            provisional: self.provisional,
            overridden,
        };
        ((self.customer_id, self.policy), outcome)
    }
}

/// Adds assessments under a basis of this date. They are dropped with its month: also those as of an earlier date, which may come
/// into force yet.
pub fn insert_assessments(conn: &mut Conn, new: &[(&Assessment, &str)], business_date: Date) -> Result<()> {
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
        "month",
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
            .value(*content)
            .value(Month::of(business_date.max(assessment.as_of)).number());
        insert.end_row();
    }
    insert.execute(conn)
}

/// Writes outcomes in force.
pub fn write_outcomes(conn: &mut Conn, changed: &[(Id, String, Outcome)]) -> Result<()> {
    let columns = [
        "shard",
        "customer_id",
        "policy",
        "outcome",
        "flag",
        "since",
        "assessment_id",
        "closed_on",
        "provisional",
        "computed",
        "computed_since",
        "computed_assessment_id",
        "differs_since",
    ];
    let tail = " ON DUPLICATE KEY UPDATE outcome = VALUES(outcome), flag = VALUES(flag), since = VALUES(since), \
                assessment_id = VALUES(assessment_id), closed_on = VALUES(closed_on), provisional = VALUES(provisional), \
                computed = VALUES(computed), computed_since = VALUES(computed_since), \
                computed_assessment_id = VALUES(computed_assessment_id), differs_since = VALUES(differs_since)";
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
            .value(outcome.provisional.as_deref())
            .value(outcome.overridden.as_ref().map(|computed| computed.outcome.as_str()))
            .value(outcome.overridden.as_ref().map(|computed| computed.since))
            .value(outcome.overridden.as_ref().map(|computed| computed.assessment_id))
            .value(outcome.overridden.as_ref().and_then(|computed| computed.differs_since));
        insert.end_row();
    }
    insert.execute(conn)
}

/// Takes outcomes out of policies that the release no longer has.
pub fn delete_outcomes(conn: &mut Conn, ids: &[Id], policies: &BTreeSet<&str>) -> Result<()> {
    if policies.is_empty() {
        return Ok(());
    }
    let Some(of) = Subjects::Listed(ids).condition("customer_id") else { return Ok(()) };
    diesel::delete(outcomes::table).filter(of).filter(outcomes::policy.eq_any(policies)).execute(conn)?;
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
    let rows = assessments::table.filter(assessments::id.eq(id)).select(AssessmentRow::as_select()).load(conn)?;
    Ok(read_assessments(conn, rows)?.pop())
}

/// Customer and id of kept assessments of a shard, after one of them.
pub fn assessment_keys(conn: &mut Conn, shard: u8, after: (Id, Id), limit: i64) -> Result<Vec<(Id, Id)>> {
    let (customer_id, id) = after;
    let later = assessments::customer_id.eq(customer_id).and(assessments::id.gt(id));
    Ok(assessments::table
        .filter(assessments::shard.eq(shard).and(assessments::customer_id.ge(customer_id)))
        .filter(assessments::customer_id.gt(customer_id).or(later))
        .order((assessments::customer_id, assessments::id))
        .limit(limit)
        .select((assessments::customer_id, assessments::id))
        .load(conn)?)
}

/// A kept assessment with the code of its customer.
pub type Kept = (Assessment, String);

/// Kept assessments of a shard by id, or why one can't be read. The cuts that stand in their cohorts are left out.
pub fn kept(conn: &mut Conn, shard: u8, ids: &[Id]) -> Result<Vec<(Id, Result<Kept>)>> {
    let same = customers::shard.eq(assessments::shard).and(customers::id.eq(assessments::customer_id));
    let rows: Vec<(AssessmentRow, String)> = assessments::table
        .inner_join(customers::table.on(same))
        .filter(assessments::shard.eq(shard).and(assessments::id.eq_any(ids)))
        .select((AssessmentRow::as_select(), customers::code))
        .load(conn)?;
    Ok(rows.into_iter().map(|(row, code)| (row.id, row.read().map(|assessment| (assessment, code)))).collect())
}

/// Assessments by id, of one customer.
pub fn assessments_of(conn: &mut Conn, customer_id: Id, ids: &[Id]) -> Result<BTreeMap<Id, Assessment>> {
    let rows: Vec<AssessmentRow> = assessments::table
        .filter(assessments::shard.eq(customer_id.shard()).and(assessments::customer_id.eq(customer_id)))
        .filter(assessments::id.eq_any(ids))
        .select(AssessmentRow::as_select())
        .load(conn)?;
    Ok(read_assessments(conn, rows)?.into_iter().map(|assessment| (assessment.id, assessment)).collect())
}

/// Assessments as they were made, with the cuts that stand in their cohorts.
fn read_assessments(conn: &mut Conn, rows: Vec<AssessmentRow>) -> Result<Vec<Assessment>> {
    let mut read = rows.into_iter().map(AssessmentRow::read).collect::<Result<Vec<_>>>()?;
    let digests: BTreeSet<Digest> = read.iter().map(|assessment| assessment.cohort).collect();
    for digest in digests {
        let cohort = cohort(conn, digest)?;
        for assessment in read.iter_mut().filter(|assessment| assessment.cohort == digest) {
            if let Some(cohort) = &cohort {
                cohort.complete(&mut assessment.assessed);
            }
        }
    }
    Ok(read)
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
    let rows = query.load(conn)?;
    read_assessments(conn, rows)
}

fn read_digest(bytes: &[u8]) -> Result<Digest> {
    Digest::from_bytes(bytes).ok_or_else(|| Error::Corrupt("a digest".to_owned()))
}

fn utc_now() -> diesel::expression::SqlLiteral<sql_types::Datetime> {
    diesel::dsl::sql("UTC_TIMESTAMP(6)")
}

fn lease_end(owner: Owner) -> diesel::expression::SqlLiteral<sql_types::Nullable<sql_types::Datetime>> {
    diesel::dsl::sql(&format!("UTC_TIMESTAMP(6) + INTERVAL {} SECOND", owner.lease))
}
