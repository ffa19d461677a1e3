//! Appeals in the database, and how they went by policy.

use std::collections::BTreeMap;

use diesel::dsl::count_star;
use diesel::prelude::*;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_diesel::{NullableDate, NullableTimestamp, ToDiesel};

use crate::Id;
use crate::assessments::model::{FiledFor, Resolution};
use crate::db::schema::{appeals, customers};
use crate::db::{Conn, Error, Result};

/// An appeal as it is kept.
#[derive(Clone, Debug)]
pub struct Appeal {
    /// Its id.
    pub id: Id,
    /// The customer's id.
    pub customer_id: Id,
    /// The customer's code.
    pub customer_code: String,
    /// The policy.
    pub policy: String,
    /// The assessment that gave the outcome.
    pub assessment_id: Id,
    /// The outcome that stood when it was filed.
    pub outcome: String,
    /// Who appeals.
    pub filed_for: FiledFor,
    /// Why.
    pub grounds: String,
    /// What proves it.
    pub evidence: Option<String>,
    /// The user who filed it.
    pub user_id: Id,
    /// His name then.
    pub author: String,
    /// When it was filed.
    pub filed_at: Timestamp,
    /// The business date on which it was filed.
    pub filed_on: Date,
    /// The sequence of the customer's inputs then.
    pub input_seq: i64,
    /// The last business date on which it is answered in time.
    pub answer_by: Date,
    /// The answer, once there is one.
    pub answered: Option<Answered>,
}

/// The answer to an appeal.
#[derive(Clone, Debug)]
pub struct Answered {
    /// What came of it.
    pub resolution: Resolution,
    /// The business date.
    pub on: Date,
    /// When.
    pub at: Timestamp,
    /// The user who answered.
    pub reviewer_id: Id,
    /// His name then.
    pub reviewer: String,
    /// What he says.
    pub answer: String,
    /// The override that he made.
    pub override_id: Option<Id>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = appeals)]
struct AppealRow {
    id: Id,
    customer_id: Id,
    policy: String,
    assessment_id: Id,
    outcome: String,
    filed_for: String,
    grounds: String,
    evidence: Option<String>,
    user_id: Id,
    author: String,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    filed_at: Timestamp,
    #[diesel(deserialize_as = jiff_diesel::Date)]
    filed_on: Date,
    input_seq: i64,
    #[diesel(deserialize_as = jiff_diesel::Date)]
    answer_by: Date,
    resolution: Option<String>,
    #[diesel(deserialize_as = NullableDate)]
    resolved_on: Option<Date>,
    #[diesel(deserialize_as = NullableTimestamp)]
    resolved_at: Option<Timestamp>,
    reviewer_id: Option<Id>,
    reviewer: Option<String>,
    answer: Option<String>,
    override_id: Option<Id>,
}

impl AppealRow {
    fn read(self, customer_code: String) -> Result<Appeal> {
        let unknown = |what: &str| Error::Corrupt(format!("an appeal's {what}"));
        let answered = match self.resolution {
            None => None,
            Some(key) => Some(Answered {
                resolution: Resolution::from_key(&key).ok_or_else(|| unknown("resolution"))?,
                on: self.resolved_on.ok_or_else(|| unknown("day of the answer"))?,
                at: self.resolved_at.ok_or_else(|| unknown("time of the answer"))?,
                reviewer_id: self.reviewer_id.ok_or_else(|| unknown("reviewer"))?,
                reviewer: self.reviewer.ok_or_else(|| unknown("reviewer's name"))?,
                answer: self.answer.ok_or_else(|| unknown("answer"))?,
                override_id: self.override_id,
            }),
        };
        Ok(Appeal {
            id: self.id,
            customer_id: self.customer_id,
            customer_code,
            policy: self.policy,
            assessment_id: self.assessment_id,
            outcome: self.outcome,
            filed_for: FiledFor::from_key(&self.filed_for).ok_or_else(|| unknown("filer"))?,
            grounds: self.grounds,
            evidence: self.evidence,
            user_id: self.user_id,
            author: self.author,
            filed_at: self.filed_at,
            filed_on: self.filed_on,
            input_seq: self.input_seq,
            answer_by: self.answer_by,
            answered,
        })
    }
}

/// Which appeals are looked for.
#[derive(Clone, Debug, Default)]
pub struct AppealFilter {
    /// Of a customer.
    pub customer_id: Option<Id>,
    /// Against a policy's decisions.
    pub policy: Option<String>,
    /// Those that are answered, or those that aren't.
    pub answered: Option<bool>,
    /// Those that are late as of a business date: not answered though they should be.
    pub overdue_on: Option<Date>,
}

/// Appeals after an id, in the order in which they were filed.
pub fn appeals(conn: &mut Conn, filter: &AppealFilter, after: Id, limit: i64) -> Result<Vec<Appeal>> {
    let whose = customers::shard.eq(appeals::shard).and(customers::id.eq(appeals::customer_id));
    let mut query = appeals::table
        .inner_join(customers::table.on(whose))
        .filter(appeals::id.gt(after))
        .order(appeals::id)
        .limit(limit)
        .select((AppealRow::as_select(), customers::code))
        .into_boxed();
    if let Some(id) = filter.customer_id {
        query = query.filter(appeals::customer_id.eq(id));
    }
    if let Some(policy) = &filter.policy {
        query = query.filter(appeals::policy.eq(policy.clone()));
    }
    match filter.answered {
        Some(true) => query = query.filter(appeals::resolution.is_not_null()),
        Some(false) => query = query.filter(appeals::resolution.is_null()),
        None => {}
    }
    if let Some(date) = filter.overdue_on {
        query = query.filter(appeals::resolution.is_null().and(appeals::answer_by.lt(date.to_diesel())));
    }
    let rows: Vec<(AppealRow, String)> = query.load(conn)?;
    rows.into_iter().map(|(row, code)| row.read(code)).collect()
}

/// An appeal by its id.
pub fn find_appeal(conn: &mut Conn, id: Id) -> Result<Option<Appeal>> {
    let whose = customers::shard.eq(appeals::shard).and(customers::id.eq(appeals::customer_id));
    let found: Option<(AppealRow, String)> = appeals::table
        .inner_join(customers::table.on(whose))
        .filter(appeals::id.eq(id))
        .select((AppealRow::as_select(), customers::code))
        .first(conn)
        .optional()?;
    found.map(|(row, code)| row.read(code)).transpose()
}

/// Appeals that are late as of a business date and of which nobody was told.
pub fn untold_appeals(conn: &mut Conn, date: Date, limit: i64) -> Result<Vec<Appeal>> {
    let whose = customers::shard.eq(appeals::shard).and(customers::id.eq(appeals::customer_id));
    let rows: Vec<(AppealRow, String)> = appeals::table
        .inner_join(customers::table.on(whose))
        .filter(appeals::resolution.is_null().and(appeals::answer_by.lt(date.to_diesel())))
        .filter(appeals::overdue_told.eq(false))
        .order(appeals::id)
        .limit(limit)
        .select((AppealRow::as_select(), customers::code))
        .load(conn)?;
    rows.into_iter().map(|(row, code)| row.read(code)).collect()
}

/// Notes that it was told that an appeal is late. False where it was noted, or the appeal was answered.
pub fn note_overdue_told(conn: &mut Conn, id: Id) -> Result<bool> {
    let untold = appeals::table.find(id).filter(appeals::overdue_told.eq(false).and(appeals::resolution.is_null()));
    Ok(diesel::update(untold).set(appeals::overdue_told.eq(true)).execute(conn)? == 1)
}

/// Adds an appeal that nobody has answered.
pub fn insert_appeal(conn: &mut Conn, new: &Appeal) -> Result<()> {
    diesel::insert_into(appeals::table)
        .values((
            appeals::id.eq(new.id),
            appeals::shard.eq(new.customer_id.shard()),
            appeals::customer_id.eq(new.customer_id),
            appeals::policy.eq(&new.policy),
            appeals::assessment_id.eq(new.assessment_id),
            appeals::outcome.eq(&new.outcome),
            appeals::filed_for.eq(new.filed_for.key()),
            appeals::grounds.eq(&new.grounds),
            appeals::evidence.eq(&new.evidence),
            appeals::user_id.eq(new.user_id),
            appeals::author.eq(&new.author),
            appeals::filed_at.eq(new.filed_at.to_diesel()),
            appeals::filed_on.eq(new.filed_on.to_diesel()),
            appeals::input_seq.eq(new.input_seq),
            appeals::answer_by.eq(new.answer_by.to_diesel()),
            appeals::overdue_told.eq(false),
        ))
        .execute(conn)?;
    Ok(())
}

/// Answers an appeal. False where it was answered already.
pub fn answer_appeal(conn: &mut Conn, id: Id, answered: &Answered) -> Result<bool> {
    let open = appeals::table.find(id).filter(appeals::resolution.is_null());
    let changed = diesel::update(open)
        .set((
            appeals::resolution.eq(Some(answered.resolution.key())),
            appeals::resolved_on.eq(Some(answered.on.to_diesel())),
            appeals::resolved_at.eq(Some(answered.at.to_diesel())),
            appeals::reviewer_id.eq(Some(answered.reviewer_id)),
            appeals::reviewer.eq(Some(&answered.reviewer)),
            appeals::answer.eq(Some(&answered.answer)),
            appeals::override_id.eq(answered.override_id),
        ))
        .execute(conn)?;
    Ok(changed == 1)
}

/// How the appeals against a policy's decisions went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppealCounts {
    /// Those that wait for an answer.
    pub open: u64,
    /// Those that were or are late.
    pub late: u64,
    /// Those that were answered, by what came of them.
    pub answered: BTreeMap<Resolution, u64>,
}

/// How the appeals that were filed in a period went as of a business date, by policy.
pub fn appeal_counts(conn: &mut Conn, (from, to): (Date, Date), date: Date) -> Result<BTreeMap<String, AppealCounts>> {
    let filed = appeals::filed_on.ge(from.to_diesel()).and(appeals::filed_on.le(to.to_diesel()));
    let rows: Vec<(String, Option<String>, i64)> = appeals::table
        .filter(filed)
        .group_by((appeals::policy, appeals::resolution))
        .select((appeals::policy, appeals::resolution, count_star()))
        .load(conn)?;
    let late = appeals::resolved_on
        .gt(appeals::answer_by.nullable())
        .or(appeals::resolved_on.is_null().and(appeals::answer_by.lt(date.to_diesel()).nullable()));
    let filed = appeals::filed_on.ge(from.to_diesel()).and(appeals::filed_on.le(to.to_diesel()));
    let late: Vec<(String, i64)> = appeals::table
        .filter(filed)
        .filter(late)
        .group_by(appeals::policy)
        .select((appeals::policy, count_star()))
        .load(conn)?;
    let mut counts: BTreeMap<String, AppealCounts> = BTreeMap::new();
    for (policy, resolution, count) in rows {
        let (of_policy, count) = (counts.entry(policy).or_default(), u64::try_from(count).unwrap_or_default());
        match resolution.as_deref().and_then(Resolution::from_key) {
            Some(resolution) => drop(of_policy.answered.insert(resolution, count)),
            None => of_policy.open += count,
        }
    }
    for (policy, count) in late {
        counts.entry(policy).or_default().late = u64::try_from(count).unwrap_or_default();
    }
    Ok(counts)
}
