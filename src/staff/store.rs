//! Evaluations of employees and bonus pools in the database.

use diesel::prelude::*;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_diesel::{NullableTimestamp, ToDiesel};
use rust_decimal::Decimal;

use super::model::{BonusPool, StaffEvaluation};
use crate::Id;
use crate::db::schema::{bonus_pools, staff_evaluations};
use crate::db::{Conn, Error, Result};
use crate::digest::Digest;

#[derive(Queryable, Selectable)]
#[diesel(table_name = staff_evaluations)]
struct EvaluationRow {
    id: Id,
    employee_id: Id,
    #[diesel(deserialize_as = jiff_diesel::Date)]
    period: Date,
    area: String,
    policy: String,
    in_charge_id: Id,
    in_charge: String,
    release_digest: Vec<u8>,
    score: Decimal,
    content: String,
    remarks: String,
    corrects: Option<Id>,
    reason: Option<String>,
    corrected: bool,
    version: i64,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    computed_at: Timestamp,
    #[diesel(deserialize_as = NullableTimestamp)]
    employee_signed_at: Option<Timestamp>,
    #[diesel(deserialize_as = NullableTimestamp)]
    in_charge_signed_at: Option<Timestamp>,
}

impl EvaluationRow {
    fn read(self) -> Result<StaffEvaluation> {
        Ok(StaffEvaluation {
            id: self.id,
            employee_id: self.employee_id,
            period: self.period,
            area: self.area,
            policy: self.policy,
            in_charge_id: self.in_charge_id,
            in_charge: self.in_charge,
            release: Digest::from_bytes(&self.release_digest).ok_or_else(|| Error::Corrupt("a digest".to_owned()))?,
            score: self.score.normalize(),
            assessed: serde_json::from_str(&self.content).map_err(|error| Error::corrupt("evaluation", error))?,
            remarks: serde_json::from_str(&self.remarks).map_err(|error| Error::corrupt("remarks", error))?,
            corrects: self.corrects,
            reason: self.reason,
            corrected: self.corrected,
            version: self.version,
            computed_at: self.computed_at,
            employee_signed_at: self.employee_signed_at,
            in_charge_signed_at: self.in_charge_signed_at,
        })
    }
}

/// Which evaluations are looked for.
#[derive(Clone, Debug, Default)]
pub struct EvaluationFilter {
    /// Of an employee.
    pub employee_id: Option<Id>,
    /// Of an area.
    pub area: Option<String>,
    /// Of the month that begins on this day.
    pub period: Option<Date>,
    /// Those of an employee himself, or of which a user is in charge.
    pub seen_by: Option<(Option<Id>, Id)>,
}

/// Evaluations after an id, in the order in which they were made.
pub fn evaluations(conn: &mut Conn, filter: &EvaluationFilter, after: Id, limit: i64) -> Result<Vec<StaffEvaluation>> {
    let mut query = staff_evaluations::table
        .filter(staff_evaluations::id.gt(after))
        .order(staff_evaluations::id)
        .limit(limit)
        .select(EvaluationRow::as_select())
        .into_boxed();
    if let Some(id) = filter.employee_id {
        query = query.filter(staff_evaluations::employee_id.eq(id));
    }
    if let Some(area) = &filter.area {
        query = query.filter(staff_evaluations::area.eq(area.clone()));
    }
    if let Some(period) = filter.period {
        query = query.filter(staff_evaluations::period.eq(period.to_diesel()));
    }
    if let Some((employee, user)) = filter.seen_by {
        let own = staff_evaluations::employee_id.eq(employee.unwrap_or(Id::NIL));
        query = query.filter(own.or(staff_evaluations::in_charge_id.eq(user)));
    }
    let rows: Vec<EvaluationRow> = query.load(conn)?;
    rows.into_iter().map(EvaluationRow::read).collect()
}

/// An evaluation.
pub fn evaluation(conn: &mut Conn, id: Id) -> Result<Option<StaffEvaluation>> {
    let found: Option<EvaluationRow> =
        staff_evaluations::table.find(id).select(EvaluationRow::as_select()).first(conn).optional()?;
    found.map(EvaluationRow::read).transpose()
}

/// The evaluation of an employee for a month that no later one corrects; the caller has locked the employee.
pub fn current_evaluation(conn: &mut Conn, employee_id: Id, period: Date) -> Result<Option<StaffEvaluation>> {
    let found: Option<EvaluationRow> = staff_evaluations::table
        .filter(staff_evaluations::employee_id.eq(employee_id).and(staff_evaluations::period.eq(period.to_diesel())))
        .filter(staff_evaluations::corrected.eq(false))
        .select(EvaluationRow::as_select())
        .first(conn)
        .optional()?;
    found.map(EvaluationRow::read).transpose()
}

/// Adds an evaluation; what it corrects is noted as corrected.
pub fn insert_evaluation(conn: &mut Conn, new: &StaffEvaluation) -> Result<()> {
    if let Some(corrects) = new.corrects {
        diesel::update(staff_evaluations::table.find(corrects))
            .set(staff_evaluations::corrected.eq(true))
            .execute(conn)?;
    }
    diesel::insert_into(staff_evaluations::table)
        .values((
            staff_evaluations::id.eq(new.id),
            staff_evaluations::employee_id.eq(new.employee_id),
            staff_evaluations::period.eq(new.period.to_diesel()),
            staff_evaluations::area.eq(&new.area),
            staff_evaluations::policy.eq(&new.policy),
            staff_evaluations::in_charge_id.eq(new.in_charge_id),
            staff_evaluations::in_charge.eq(&new.in_charge),
            staff_evaluations::release_digest.eq(new.release.as_bytes()),
            staff_evaluations::score.eq(new.score),
            staff_evaluations::content.eq(json(&new.assessed)?),
            staff_evaluations::remarks.eq(json(&new.remarks)?),
            staff_evaluations::corrects.eq(new.corrects),
            staff_evaluations::reason.eq(&new.reason),
            staff_evaluations::corrected.eq(false),
            staff_evaluations::version.eq(new.version),
            staff_evaluations::computed_at.eq(new.computed_at.to_diesel()),
        ))
        .execute(conn)?;
    Ok(())
}

/// Writes an evaluation that was computed again or signed; the caller has locked the employee.
pub fn update_evaluation(conn: &mut Conn, changed: &StaffEvaluation) -> Result<()> {
    diesel::update(staff_evaluations::table.find(changed.id))
        .set((
            staff_evaluations::area.eq(&changed.area),
            staff_evaluations::policy.eq(&changed.policy),
            staff_evaluations::in_charge_id.eq(changed.in_charge_id),
            staff_evaluations::in_charge.eq(&changed.in_charge),
            staff_evaluations::release_digest.eq(changed.release.as_bytes()),
            staff_evaluations::score.eq(changed.score),
            staff_evaluations::content.eq(json(&changed.assessed)?),
            staff_evaluations::remarks.eq(json(&changed.remarks)?),
            staff_evaluations::version.eq(changed.version),
            staff_evaluations::computed_at.eq(changed.computed_at.to_diesel()),
            staff_evaluations::employee_signed_at.eq(changed.employee_signed_at.to_diesel()),
            staff_evaluations::in_charge_signed_at.eq(changed.in_charge_signed_at.to_diesel()),
        ))
        .execute(conn)?;
    Ok(())
}

fn json(content: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(content).map_err(|error| Error::corrupt("evaluation", error))
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = bonus_pools)]
struct PoolRow {
    id: Id,
    area: String,
    #[diesel(deserialize_as = jiff_diesel::Date)]
    period: Date,
    collected: Decimal,
    share: Decimal,
    amount: Decimal,
    currency: String,
    content: String,
    user_id: Id,
    author: String,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    created_at: Timestamp,
    corrects: Option<Id>,
    reason: Option<String>,
    corrected: bool,
}

impl PoolRow {
    fn read(self) -> Result<BonusPool> {
        Ok(BonusPool {
            id: self.id,
            area: self.area,
            period: self.period,
            collected: self.collected.normalize(),
            share: self.share.normalize(),
            amount: self.amount,
            currency: self.currency,
            shares: serde_json::from_str(&self.content).map_err(|error| Error::corrupt("shares", error))?,
            user_id: self.user_id,
            author: self.author,
            created_at: self.created_at,
            corrects: self.corrects,
            reason: self.reason,
            corrected: self.corrected,
        })
    }
}

/// Pools after an id, in the order in which they were distributed: of an area, or of the month that begins on a day.
pub fn pools(
    conn: &mut Conn,
    (area, period): (Option<&str>, Option<Date>),
    after: Id,
    limit: i64,
) -> Result<Vec<BonusPool>> {
    let mut query = bonus_pools::table
        .filter(bonus_pools::id.gt(after))
        .order(bonus_pools::id)
        .limit(limit)
        .select(PoolRow::as_select())
        .into_boxed();
    if let Some(area) = area {
        query = query.filter(bonus_pools::area.eq(area));
    }
    if let Some(period) = period {
        query = query.filter(bonus_pools::period.eq(period.to_diesel()));
    }
    let rows: Vec<PoolRow> = query.load(conn)?;
    rows.into_iter().map(PoolRow::read).collect()
}

/// A pool.
pub fn pool(conn: &mut Conn, id: Id) -> Result<Option<BonusPool>> {
    let found: Option<PoolRow> = bonus_pools::table.find(id).select(PoolRow::as_select()).first(conn).optional()?;
    found.map(PoolRow::read).transpose()
}

/// The id of the pool of an area for a month that no later one corrects; the caller has locked the area's employees.
pub fn current_pool(conn: &mut Conn, area: &str, period: Date) -> Result<Option<Id>> {
    Ok(bonus_pools::table
        .filter(bonus_pools::area.eq(area).and(bonus_pools::period.eq(period.to_diesel())))
        .filter(bonus_pools::corrected.eq(false))
        .select(bonus_pools::id)
        .first(conn)
        .optional()?)
}

/// Adds a pool; what it corrects is noted as corrected.
pub fn insert_pool(conn: &mut Conn, new: &BonusPool) -> Result<()> {
    if let Some(corrects) = new.corrects {
        diesel::update(bonus_pools::table.find(corrects)).set(bonus_pools::corrected.eq(true)).execute(conn)?;
    }
    diesel::insert_into(bonus_pools::table)
        .values((
            bonus_pools::id.eq(new.id),
            bonus_pools::area.eq(&new.area),
            bonus_pools::period.eq(new.period.to_diesel()),
            bonus_pools::collected.eq(new.collected),
            bonus_pools::share.eq(new.share),
            bonus_pools::amount.eq(new.amount),
            bonus_pools::currency.eq(&new.currency),
            bonus_pools::content.eq(json(&new.shares)?),
            bonus_pools::user_id.eq(new.user_id),
            bonus_pools::author.eq(&new.author),
            bonus_pools::created_at.eq(new.created_at.to_diesel()),
            bonus_pools::corrects.eq(new.corrects),
            bonus_pools::reason.eq(&new.reason),
            bonus_pools::corrected.eq(false),
        ))
        .execute(conn)?;
    Ok(())
}
