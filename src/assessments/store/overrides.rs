//! What persons decided instead of policies, in the database: overrides in effect, and those that were.

use std::collections::BTreeMap;

use diesel::prelude::*;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_diesel::{NullableDate, NullableTimestamp, ToDiesel};

use crate::Id;
use crate::db::schema::{customers, outcomes, overrides};
use crate::db::{Conn, Result, Subjects};
use crate::policy::model::Override;

/// An override as it is kept.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = overrides)]
pub struct KeptOverride {
    /// Its id.
    pub id: Id,
    /// The customer's id.
    pub customer_id: Id,
    /// The policy.
    pub policy: String,
    /// The outcome that the person decided.
    pub outcome: String,
    /// Why.
    pub reason: String,
    /// The user who decided.
    pub user_id: Id,
    /// His name then.
    pub author: String,
    /// When he decided.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
    /// The first business date on which it counts.
    #[diesel(deserialize_as = jiff_diesel::Date)]
    pub starts_on: Date,
    /// The last business date on which it counts.
    #[diesel(deserialize_as = jiff_diesel::Date)]
    pub expires_on: Date,
    /// The business date from which on it counts no more, where somebody ended it.
    #[diesel(deserialize_as = NullableDate)]
    pub ended_on: Option<Date>,
    /// When it ended, by somebody or with its last day.
    #[diesel(deserialize_as = NullableTimestamp)]
    pub ended_at: Option<Timestamp>,
    /// Who ended it; absent where its last day did.
    pub ended_by: Option<String>,
}

/// An override in effect, with whose it is and how it compares with what the policy says.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The override.
    pub kept: KeptOverride,
    /// The customer's code.
    pub customer_code: String,
    /// What would stand without it; absent until the customer is assessed.
    pub computed: Option<String>,
    /// Since when that is another outcome; absent where it is the same.
    pub differs_since: Option<Date>,
}

/// What persons decided instead of policies, as of a date, by customer and policy.
pub fn overrides_in_effect(
    conn: &mut Conn,
    of: Subjects<'_>,
    date: Date,
) -> Result<BTreeMap<Id, BTreeMap<String, Override>>> {
    let mut found: BTreeMap<Id, BTreeMap<String, Override>> = BTreeMap::new();
    let Some(of) = of.condition("customer_id") else { return Ok(found) };
    let rows: Vec<(Id, String, String, jiff_diesel::Date)> = overrides::table
        .filter(of)
        .filter(overrides::starts_on.le(date.to_diesel()).and(overrides::expires_on.ge(date.to_diesel())))
        .filter(overrides::ended_on.is_null().or(overrides::ended_on.gt(date.to_diesel())))
        .select((overrides::customer_id, overrides::policy, overrides::outcome, overrides::expires_on))
        .load(conn)?;
    for (customer_id, policy, outcome, until) in rows {
        found.entry(customer_id).or_default().insert(policy, Override { outcome, until: until.into() });
    }
    Ok(found)
}

/// The overrides that a customer has as of a business date, and nobody has ended, by policy.
pub fn open_overrides(conn: &mut Conn, customer_id: Id, date: Date) -> Result<BTreeMap<String, KeptOverride>> {
    let open: Vec<KeptOverride> = overrides::table
        .filter(overrides::shard.eq(customer_id.shard()).and(overrides::customer_id.eq(customer_id)))
        .filter(overrides::ended_at.is_null().and(overrides::expires_on.ge(date.to_diesel())))
        .select(KeptOverride::as_select())
        .load(conn)?;
    Ok(open.into_iter().map(|kept| (kept.policy.clone(), kept)).collect())
}

/// A customer's overrides, newest first, before an id.
pub fn overrides_of(conn: &mut Conn, customer_id: Id, before: Option<Id>, limit: i64) -> Result<Vec<KeptOverride>> {
    let mut query = overrides::table
        .filter(overrides::shard.eq(customer_id.shard()).and(overrides::customer_id.eq(customer_id)))
        .order(overrides::id.desc())
        .limit(limit)
        .select(KeptOverride::as_select())
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(overrides::id.lt(before));
    }
    Ok(query.load(conn)?)
}

/// An override of a customer by its id.
pub fn find_override(conn: &mut Conn, customer_id: Id, id: Id) -> Result<Option<KeptOverride>> {
    let found = overrides::table.find(id).filter(overrides::customer_id.eq(customer_id));
    Ok(found.select(KeptOverride::as_select()).first(conn).optional()?)
}

/// Overrides that nobody has ended as of a business date, after an id: all, those of a policy, or those from which the policy has differed since
/// a day.
pub fn overrides_in_force(
    conn: &mut Conn,
    date: Date,
    policy: Option<&str>,
    differing_since: Option<Date>,
    after: Id,
    limit: i64,
) -> Result<Vec<Compared>> {
    let same = outcomes::shard
        .eq(overrides::shard)
        .and(outcomes::customer_id.eq(overrides::customer_id))
        .and(outcomes::policy.eq(overrides::policy));
    let whose = customers::shard.eq(overrides::shard).and(customers::id.eq(overrides::customer_id));
    let mut query = overrides::table
        .inner_join(customers::table.on(whose))
        .left_join(outcomes::table.on(same))
        .filter(overrides::id.gt(after).and(overrides::ended_at.is_null()))
        .filter(overrides::expires_on.ge(date.to_diesel()))
        .order(overrides::id)
        .limit(limit)
        .select((
            KeptOverride::as_select(),
            customers::code,
            outcomes::computed.nullable(),
            outcomes::differs_since.nullable(),
        ))
        .into_boxed();
    if let Some(policy) = policy {
        query = query.filter(overrides::policy.eq(policy));
    }
    if let Some(day) = differing_since {
        query = query.filter(outcomes::differs_since.le(day.to_diesel()));
    }
    let rows: Vec<(KeptOverride, String, Option<String>, NullableDate)> = query.load(conn)?;
    let compared = rows.into_iter().map(|(kept, customer_code, computed, differs_since)| Compared {
        kept,
        customer_code,
        computed,
        differs_since: differs_since.into(),
    });
    Ok(compared.collect())
}

/// Overrides that count as open though their last day is over.
pub fn expired_overrides(conn: &mut Conn, date: Date, limit: i64) -> Result<Vec<KeptOverride>> {
    Ok(overrides::table
        .filter(overrides::ended_at.is_null().and(overrides::expires_on.lt(date.to_diesel())))
        .order(overrides::id)
        .limit(limit)
        .select(KeptOverride::as_select())
        .load(conn)?)
}

/// Adds an override.
pub fn insert_override(conn: &mut Conn, new: &KeptOverride) -> Result<()> {
    diesel::insert_into(overrides::table)
        .values((
            overrides::id.eq(new.id),
            overrides::shard.eq(new.customer_id.shard()),
            overrides::customer_id.eq(new.customer_id),
            overrides::policy.eq(&new.policy),
            overrides::outcome.eq(&new.outcome),
            overrides::reason.eq(&new.reason),
            overrides::user_id.eq(new.user_id),
            overrides::author.eq(&new.author),
            overrides::created_at.eq(new.created_at.to_diesel()),
            overrides::starts_on.eq(new.starts_on.to_diesel()),
            overrides::expires_on.eq(new.expires_on.to_diesel()),
        ))
        .execute(conn)?;
    Ok(())
}

/// Ends an override: by somebody from a business date on, or because its last day is over. False where it had ended.
pub fn end_override(conn: &mut Conn, id: Id, by: Option<(&str, Date)>) -> Result<bool> {
    let open = overrides::table.find(id).filter(overrides::ended_at.is_null());
    let ended = diesel::update(open)
        .set((
            overrides::ended_at.eq(Some(Timestamp::now().to_diesel())),
            overrides::ended_on.eq(by.map(|(_, date)| date.to_diesel())),
            overrides::ended_by.eq(by.map(|(name, _)| name)),
        ))
        .execute(conn)?;
    Ok(ended == 1)
}
