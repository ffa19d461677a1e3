//! Sessions and their refresh tokens in the database. A session lives until `expires_at`, unless it is ended before. It is then marked as
//! `ended`, which nothing takes back: an instant alone would let it live on for a process whose clock is behind.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Datetime};
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use crate::Id;
use crate::db::schema::{refresh_tokens, sessions};
use crate::db::{Conn, Result};
use crate::digest::Digest;
use crate::identity::model::Session;

#[derive(Queryable, Selectable)]
#[diesel(table_name = sessions)]
struct SessionRow {
    id: Id,
    user_id: Id,
    user_agent: String,
    address: String,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    created_at: Timestamp,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    used_at: Timestamp,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    expires_at: Timestamp,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        let SessionRow { id, user_id, user_agent, address, created_at, used_at, expires_at } = row;
        Self { id, user_id, user_agent, address, created_at, used_at, expires_at }
    }
}

#[diesel::dsl::auto_type(no_type_alias)]
fn is_live(now: jiff_diesel::Timestamp) -> _ {
    sessions::ended.eq(false).and(sessions::expires_at.gt(now))
}

/// Adds a session.
pub fn insert(conn: &mut Conn, session: &Session) -> Result<()> {
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(session.id),
            sessions::user_id.eq(session.user_id),
            sessions::user_agent.eq(&session.user_agent),
            sessions::address.eq(&session.address),
            sessions::created_at.eq(session.created_at.to_diesel()),
            sessions::used_at.eq(session.used_at.to_diesel()),
            sessions::expires_at.eq(session.expires_at.to_diesel()),
        ))
        .execute(conn)?;
    Ok(())
}

/// The session of this id, if it lives.
pub fn find_live(conn: &mut Conn, id: Id, now: Timestamp) -> Result<Option<Session>> {
    let row: Option<SessionRow> = sessions::table
        .find(id)
        .filter(is_live(now.to_diesel()))
        .select(SessionRow::as_select())
        .first(conn)
        .optional()?;
    Ok(row.map(Session::from))
}

/// The sessions of a user that live, the one used last first; at most 500.
pub fn live_of(conn: &mut Conn, user: Id, now: Timestamp) -> Result<Vec<Session>> {
    let rows: Vec<SessionRow> = sessions::table
        .filter(sessions::user_id.eq(user))
        .filter(is_live(now.to_diesel()))
        .order((sessions::used_at.desc(), sessions::id))
        .limit(500)
        .select(SessionRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(Session::from).collect())
}

/// Lets a session live on, if it still lives. Whether it does.
pub fn prolong(conn: &mut Conn, id: Id, now: Timestamp, until: Timestamp) -> Result<bool> {
    let live = sessions::table.find(id).filter(is_live(now.to_diesel()));
    let times = (sessions::used_at.eq(now.to_diesel()), sessions::expires_at.eq(until.to_diesel()));
    Ok(diesel::update(live).set(times).execute(conn)? == 1)
}

/// Ends a session, if it lives and is this user's, where one is named. Whether it was ended.
pub fn end(conn: &mut Conn, id: Id, user: Option<Id>, now: Timestamp) -> Result<bool> {
    let live = sessions::table.find(id).filter(is_live(now.to_diesel()));
    let ended = (sessions::ended.eq(true), sessions::expires_at.eq(now.to_diesel()));
    let count = match user {
        Some(user) => diesel::update(live.filter(sessions::user_id.eq(user))).set(ended).execute(conn)?,
        None => diesel::update(live).set(ended).execute(conn)?,
    };
    Ok(count == 1)
}

/// Ends all sessions of a user but one: also those that have expired by this clock and not yet by another one. The caller holds the user.
pub fn end_all(conn: &mut Conn, user: Id, but: Option<Id>, now: Timestamp) -> Result<()> {
    let others = sessions::table
        .filter(sessions::user_id.eq(user))
        .filter(sessions::ended.eq(false))
        .filter(sessions::id.ne(but.unwrap_or(Id::NIL)));
    let earlier = sql::<Datetime>("LEAST(expires_at, ").bind::<Datetime, _>(now.to_diesel()).sql(")");
    diesel::update(others).set((sessions::ended.eq(true), sessions::expires_at.eq(earlier))).execute(conn)?;
    Ok(())
}

/// Adds a refresh token, of which only the digest is kept.
pub fn insert_token(conn: &mut Conn, hash: Digest, session: Id, now: Timestamp, until: Timestamp) -> Result<()> {
    diesel::insert_into(refresh_tokens::table)
        .values((
            refresh_tokens::hash.eq(hash.as_bytes()),
            refresh_tokens::session_id.eq(session),
            refresh_tokens::issued_at.eq(now.to_diesel()),
            refresh_tokens::expires_at.eq(until.to_diesel()),
        ))
        .execute(conn)?;
    Ok(())
}

/// Marks a refresh token as used, if it is valid and unused. Of all who try, one succeeds.
pub fn use_token(conn: &mut Conn, hash: Digest, now: Timestamp) -> Result<bool> {
    let unused = refresh_tokens::table
        .find(hash.as_bytes())
        .filter(refresh_tokens::used_at.is_null())
        .filter(refresh_tokens::expires_at.gt(now.to_diesel()));
    Ok(diesel::update(unused).set(refresh_tokens::used_at.eq(now.to_diesel())).execute(conn)? == 1)
}

/// The session of a refresh token, and whether the token was used.
pub fn of_token(conn: &mut Conn, hash: Digest) -> Result<Option<(Id, bool)>> {
    let columns = (refresh_tokens::session_id, refresh_tokens::used_at.is_not_null());
    Ok(refresh_tokens::table.find(hash.as_bytes()).select(columns).first(conn).optional()?)
}

/// Removes some refresh tokens that expired before `now`, and some sessions that ended before `long_ago`.
pub fn clean(conn: &mut Conn, now: Timestamp, long_ago: Timestamp, limit: i64) -> Result<()> {
    for (table, before) in [("refresh_tokens", now), ("sessions", long_ago)] {
        diesel::sql_query(format!("DELETE FROM {table} WHERE expires_at < ? ORDER BY expires_at LIMIT ?"))
            .bind::<Datetime, _>(before.to_diesel())
            .bind::<BigInt, _>(limit)
            .execute(conn)?;
    }
    Ok(())
}
