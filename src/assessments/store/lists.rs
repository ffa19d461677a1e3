//! Lists of customers in the database: who is on one by his outcome or by hand, and the entries by hand.

use std::collections::BTreeMap;
use std::fmt::Write;

use diesel::prelude::*;
use diesel::sql_types::{Binary, Text};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_diesel::{NullableDate, ToDiesel};

use super::{Outcome, OutcomeRow};
use crate::Id;
use crate::db::bulk::Literal;
use crate::db::schema::{list_entries, outcomes};
use crate::db::{Conn, Result};

/// An entry of a list by hand.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = list_entries)]
pub struct ListEntry {
    /// Its id.
    pub id: Id,
    /// The list.
    pub list: String,
    /// The customer's id.
    pub customer_id: Id,
    /// Why.
    pub reason: String,
    /// The user who made it.
    pub user_id: Id,
    /// His name then.
    pub author: String,
    /// When it was made.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub created_at: Timestamp,
    /// The last business date on which it counts; absent where it has no end.
    #[diesel(deserialize_as = NullableDate)]
    pub expires_on: Option<Date>,
}

/// Somebody who is on a list.
#[derive(Clone, Debug, QueryableByName)]
pub struct Listed {
    /// The customer's id.
    #[diesel(sql_type = Binary)]
    pub customer_id: Id,
    /// His code.
    #[diesel(sql_type = Text)]
    pub code: String,
    /// His name.
    #[diesel(sql_type = Text)]
    pub name: String,
}

/// Active customers on a list as of a business date, after an id: by hand, or by one of the outcomes of a policy that lead there.
pub fn members(
    conn: &mut Conn,
    list: &str,
    leading: Option<(&str, &[String])>,
    date: Date,
    after: Id,
    limit: i64,
) -> Result<Vec<Listed>> {
    let mut customer = String::from("c.status = 'active' AND x.customer_id > ");
    after.write(&mut customer);
    let mut by_hand = String::from("x.list = ");
    list.write(&mut by_hand);
    let _ = write!(by_hand, " AND x.ended_at IS NULL AND (x.expires_on IS NULL OR x.expires_on >= '{date}')");
    let mut parts = vec![("list_entries", by_hand)];
    if let Some((policy, outcomes)) = leading {
        let mut by_outcome = String::from("x.policy = ");
        policy.write(&mut by_outcome);
        for (place, outcome) in outcomes.iter().enumerate() {
            by_outcome.push_str(if place == 0 { " AND x.outcome IN (" } else { ", " });
            outcome.write(&mut by_outcome);
        }
        by_outcome.push(')');
        parts.push(("outcomes", by_outcome));
    }
    let part = |(table, condition): (&str, String)| {
        format!(
            "(SELECT x.customer_id, c.code, c.name FROM {table} x JOIN customers c ON c.shard = x.shard AND c.id = x.customer_id \
             WHERE {condition} AND {customer} ORDER BY x.customer_id LIMIT {limit})"
        )
    };
    let union: Vec<String> = parts.into_iter().map(part).collect();
    let query = format!("{} ORDER BY customer_id LIMIT {limit}", union.join(" UNION "));
    Ok(diesel::sql_query(query).load(conn)?)
}

/// The outcomes of some policies that customers have, by customer and policy.
pub fn outcomes_of_policies(
    conn: &mut Conn,
    policies: &[String],
    ids: &[Id],
) -> Result<BTreeMap<(Id, String), Outcome>> {
    let rows: Vec<OutcomeRow> = outcomes::table
        .filter(outcomes::policy.eq_any(policies).and(outcomes::customer_id.eq_any(ids)))
        .select(OutcomeRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(OutcomeRow::read).collect())
}

/// The entries by hand of customers that count on a business date.
pub fn entries(conn: &mut Conn, ids: &[Id], date: Date) -> Result<Vec<ListEntry>> {
    let lasts = list_entries::expires_on.is_null().or(list_entries::expires_on.ge(date.to_diesel()));
    Ok(list_entries::table
        .filter(list_entries::customer_id.eq_any(ids).and(list_entries::ended_at.is_null()).and(lasts))
        .order(list_entries::id)
        .select(ListEntry::as_select())
        .load(conn)?)
}

/// An entry by hand that hasn't ended.
pub fn entry(conn: &mut Conn, id: Id) -> Result<Option<ListEntry>> {
    let open = list_entries::table.find(id).filter(list_entries::ended_at.is_null());
    Ok(open.select(ListEntry::as_select()).first(conn).optional()?)
}

/// Entries by hand that haven't ended though their last day is over.
pub fn expired_entries(conn: &mut Conn, date: Date, limit: i64) -> Result<Vec<ListEntry>> {
    Ok(list_entries::table
        .filter(list_entries::ended_at.is_null().and(list_entries::expires_on.lt(date.to_diesel())))
        .order(list_entries::id)
        .limit(limit)
        .select(ListEntry::as_select())
        .load(conn)?)
}

/// Adds an entry by hand.
pub fn insert_entry(conn: &mut Conn, entry: &ListEntry) -> Result<()> {
    diesel::insert_into(list_entries::table)
        .values((
            list_entries::id.eq(entry.id),
            list_entries::list.eq(&entry.list),
            list_entries::shard.eq(entry.customer_id.shard()),
            list_entries::customer_id.eq(entry.customer_id),
            list_entries::reason.eq(&entry.reason),
            list_entries::user_id.eq(entry.user_id),
            list_entries::author.eq(&entry.author),
            list_entries::created_at.eq(entry.created_at.to_diesel()),
            list_entries::expires_on.eq(entry.expires_on.to_diesel()),
        ))
        .execute(conn)?;
    Ok(())
}

/// Ends an entry by hand. False where it had ended.
pub fn end_entry(conn: &mut Conn, id: Id) -> Result<bool> {
    let open = list_entries::table.find(id).filter(list_entries::ended_at.is_null());
    let ended =
        diesel::update(open).set(list_entries::ended_at.eq(Some(Timestamp::now().to_diesel()))).execute(conn)?;
    Ok(ended == 1)
}
