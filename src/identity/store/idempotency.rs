//! Idempotency keys in the database, with the answers that are kept for them.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Datetime};
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use crate::Id;
use crate::db::schema::idempotency_keys::{self, dsl, table};
use crate::db::{Conn, Error, Result};
use crate::digest::Digest;

/// A key as its user sends it, and the request that it stands for.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// The user.
    pub user_id: Id,
    /// Digest of the key.
    pub key: Digest,
    /// Digest of method, path, query and body.
    pub request: Digest,
}

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// HTTP status.
    pub status: u16,
    /// Names and values of the headers that are kept.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Who owns a key, and how long.
pub struct Row {
    /// The request that has it.
    pub owner: Id,
    /// Until when it is that request's, if there is no answer before.
    pub owned_until: Timestamp,
    /// When it was sent first.
    pub created_at: Timestamp,
    /// When it is forgotten.
    pub expires_at: Timestamp,
}

/// What is known of a key.
pub struct Found {
    /// Digest of the request it stands for.
    pub request: Digest,
    /// The request that has it.
    pub owner: Id,
    /// Until when.
    pub owned_until: Timestamp,
    /// When it is forgotten.
    pub expires_at: Timestamp,
    /// The answer, once there is one.
    pub answer: Option<Kept>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = idempotency_keys)]
struct KeyRow {
    request_digest: Vec<u8>,
    owner: Id,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    owned_until: Timestamp,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    expires_at: Timestamp,
    status: Option<i16>,
    headers: Option<String>,
    body: Option<Vec<u8>>,
}

impl TryFrom<KeyRow> for Found {
    type Error = Error;

    fn try_from(row: KeyRow) -> Result<Self> {
        let corrupt = || Error::Corrupt("an idempotency key".to_owned());
        let answer = match (row.status, row.headers, row.body) {
            (Some(status), Some(headers), Some(body)) => Some(Kept {
                status: status.try_into().map_err(|_| corrupt())?,
                headers: serde_json::from_str(&headers).map_err(|_| corrupt())?,
                body,
            }),
            _ => None,
        };
        let request = Digest::from_bytes(&row.request_digest).ok_or_else(corrupt)?;
        Ok(Self { request, owner: row.owner, owned_until: row.owned_until, expires_at: row.expires_at, answer })
    }
}

/// Takes a key that nobody has.
pub fn insert(conn: &mut Conn, sent: &Sent, row: &Row) -> Result<()> {
    diesel::insert_into(table)
        .values((
            dsl::user_id.eq(sent.user_id),
            dsl::key_digest.eq(sent.key.as_bytes()),
            dsl::request_digest.eq(sent.request.as_bytes()),
            dsl::owner.eq(row.owner),
            dsl::owned_until.eq(row.owned_until.to_diesel()),
            dsl::created_at.eq(row.created_at.to_diesel()),
            dsl::expires_at.eq(row.expires_at.to_diesel()),
        ))
        .execute(conn)?;
    Ok(())
}

/// What is known of a key.
pub fn find(conn: &mut Conn, sent: &Sent) -> Result<Option<Found>> {
    let key = table.find((sent.user_id, sent.key.as_bytes()));
    key.select(KeyRow::as_select()).first(conn).optional()?.map(Found::try_from).transpose()
}

/// Takes a key from a request that no longer runs, or whose answer is forgotten. Says whether nobody else was faster.
pub fn take_over(conn: &mut Conn, sent: &Sent, from: Id, row: &Row) -> Result<bool> {
    let key = table.find((sent.user_id, sent.key.as_bytes())).filter(dsl::owner.eq(from));
    let none = (dsl::status.eq(None::<i16>), dsl::headers.eq(None::<String>), dsl::body.eq(None::<Vec<u8>>));
    let taken = diesel::update(key)
        .set((
            dsl::request_digest.eq(sent.request.as_bytes()),
            dsl::owner.eq(row.owner),
            dsl::owned_until.eq(row.owned_until.to_diesel()),
            dsl::created_at.eq(row.created_at.to_diesel()),
            dsl::expires_at.eq(row.expires_at.to_diesel()),
            none,
        ))
        .execute(conn)?;
    Ok(taken == 1)
}

/// Keeps an answer, if the key is still its owner's.
pub fn keep(conn: &mut Conn, sent: &Sent, owner: Id, answer: &Kept) -> Result<()> {
    let corrupt = |error| Error::corrupt("the headers of an answer", error);
    let headers = serde_json::to_string(&answer.headers).map_err(corrupt)?;
    let status = i16::try_from(answer.status).map_err(|error| Error::corrupt("a status", error))?;
    let key = table.find((sent.user_id, sent.key.as_bytes())).filter(dsl::owner.eq(owner));
    diesel::update(key)
        .set((dsl::status.eq(status), dsl::headers.eq(headers), dsl::body.eq(&answer.body)))
        .execute(conn)?;
    Ok(())
}

/// Removes a key that has no answer, if it is still its owner's.
pub fn remove(conn: &mut Conn, sent: &Sent, owner: Id) -> Result<()> {
    let key = table.find((sent.user_id, sent.key.as_bytes())).filter(dsl::owner.eq(owner));
    diesel::delete(key.filter(dsl::status.is_null())).execute(conn)?;
    Ok(())
}

/// Removes some keys that are forgotten.
pub fn remove_old(conn: &mut Conn, now: Timestamp, limit: i64) -> Result<()> {
    diesel::sql_query("DELETE FROM idempotency_keys WHERE expires_at < ? ORDER BY expires_at LIMIT ?")
        .bind::<Datetime, _>(now.to_diesel())
        .bind::<BigInt, _>(limit)
        .execute(conn)?;
    Ok(())
}
