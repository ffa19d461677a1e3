//! Users in the database, and the counter by which every process learns that access has changed.

pub mod attempts;
pub mod idempotency;
pub mod keys;
pub mod roles;
pub mod sessions;

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use super::model::{ADMINISTRATORS, Login, Status, User};
use crate::Id;
use crate::db::schema::{access_state, user_roles, users};
use crate::db::{Conn, Error, Result};

/// The one row of the counter.
const STATE: u8 = 1;

#[derive(Queryable, Selectable)]
#[diesel(table_name = users)]
struct UserRow {
    id: Id,
    username: String,
    display_name: String,
    status: String,
    version: i64,
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    created_at: Timestamp,
    #[diesel(deserialize_as = jiff_diesel::NullableTimestamp)]
    last_sign_in_at: Option<Timestamp>,
}

fn status(key: &str) -> Result<Status> {
    Status::from_key(key).ok_or_else(|| Error::Corrupt("the status of a user".to_owned()))
}

/// Users with their roles.
fn with_roles(conn: &mut Conn, rows: Vec<UserRow>) -> Result<Vec<User>> {
    let ids: Vec<Id> = rows.iter().map(|row| row.id).collect();
    let held: Vec<(Id, String)> = user_roles::table.filter(user_roles::user_id.eq_any(&ids)).load(conn)?;
    let mut roles: BTreeMap<Id, BTreeSet<String>> = BTreeMap::new();
    for (user, role) in held {
        roles.entry(user).or_default().insert(role);
    }
    let user = |row: UserRow| {
        Ok(User {
            roles: roles.remove(&row.id).unwrap_or_default(),
            id: row.id,
            username: row.username,
            display_name: row.display_name,
            status: status(&row.status)?,
            version: row.version,
            created_at: row.created_at,
            last_sign_in_at: row.last_sign_in_at,
        })
    };
    rows.into_iter().map(user).collect()
}

/// The user of this id.
pub fn find(conn: &mut Conn, id: Id) -> Result<Option<User>> {
    let row: Option<UserRow> = users::table.find(id).select(UserRow::as_select()).first(conn).optional()?;
    Ok(with_roles(conn, row.into_iter().collect())?.pop())
}

/// The user of this name, which must be in small letters.
pub fn find_by_name(conn: &mut Conn, username: &str) -> Result<Option<User>> {
    let named = users::table.filter(users::username.eq(username));
    let row: Option<UserRow> = named.select(UserRow::as_select()).first(conn).optional()?;
    Ok(with_roles(conn, row.into_iter().collect())?.pop())
}

/// Users by name, after one, at most `limit`.
pub fn page(conn: &mut Conn, after: Option<&str>, limit: i64) -> Result<Vec<User>> {
    let rows: Vec<UserRow> = users::table
        .filter(users::username.gt(after.unwrap_or_default()))
        .order(users::username)
        .limit(limit)
        .select(UserRow::as_select())
        .load(conn)?;
    with_roles(conn, rows)
}

fn to_login((id, key, password_hash): (Id, String, String)) -> Result<Login> {
    Ok(Login { id, status: status(&key)?, password_hash })
}

/// What signing in needs of the user of this name, which must be in small letters.
pub fn login(conn: &mut Conn, username: &str) -> Result<Option<Login>> {
    let named = users::table.filter(users::username.eq(username));
    let row = named.select((users::id, users::status, users::password_hash)).first(conn).optional()?;
    row.map(to_login).transpose()
}

/// The same of the user of this id, which stays so until the transaction ends. Whoever begins or prolongs a session, or ends all of a
/// user, does it under this lock: so they come one after the other.
pub fn lock(conn: &mut Conn, id: Id) -> Result<Option<Login>> {
    let columns = (users::id, users::status, users::password_hash);
    let row = users::table.find(id).select(columns).for_update().first(conn).optional()?;
    row.map(to_login).transpose()
}

/// Adds a user; `Error::Taken` if somebody has the name. The caller has the transaction.
pub fn insert(conn: &mut Conn, user: &User, password_hash: &str) -> Result<()> {
    diesel::insert_into(users::table)
        .values((
            users::id.eq(user.id),
            users::username.eq(&user.username),
            users::password_hash.eq(password_hash),
            users::display_name.eq(&user.display_name),
            users::status.eq(user.status.key()),
            users::version.eq(user.version),
            users::created_at.eq(user.created_at.to_diesel()),
        ))
        .execute(conn)?;
    insert_roles(conn, user)
}

fn insert_roles(conn: &mut Conn, user: &User) -> Result<()> {
    let held: Vec<_> =
        user.roles.iter().map(|role| (user_roles::user_id.eq(user.id), user_roles::role.eq(role))).collect();
    diesel::insert_into(user_roles::table).values(held).execute(conn)?;
    Ok(())
}

/// Replaces name, roles and status of a user. The caller has the transaction and holds the counter.
pub fn update(conn: &mut Conn, user: &User) -> Result<()> {
    diesel::update(users::table.find(user.id))
        .set((
            users::display_name.eq(&user.display_name),
            users::status.eq(user.status.key()),
            users::version.eq(user.version),
        ))
        .execute(conn)?;
    diesel::delete(user_roles::table.filter(user_roles::user_id.eq(user.id))).execute(conn)?;
    insert_roles(conn, user)
}

/// Sets the hash of a user's password.
pub fn set_password(conn: &mut Conn, id: Id, password_hash: &str) -> Result<()> {
    diesel::update(users::table.find(id)).set(users::password_hash.eq(password_hash)).execute(conn)?;
    Ok(())
}

/// Notes that a user has signed in.
pub fn signed_in(conn: &mut Conn, id: Id, now: Timestamp) -> Result<()> {
    diesel::update(users::table.find(id)).set(users::last_sign_in_at.eq(now.to_diesel())).execute(conn)?;
    Ok(())
}

/// Whether somebody else than this user is an active administrator.
pub fn has_other_administrator(conn: &mut Conn, id: Id) -> Result<bool> {
    let others: Option<Id> = users::table
        .inner_join(user_roles::table.on(user_roles::user_id.eq(users::id)))
        .filter(user_roles::role.eq(ADMINISTRATORS))
        .filter(users::status.eq(Status::Active.key()))
        .filter(users::id.ne(id))
        .select(users::id)
        .first(conn)
        .optional()?;
    Ok(others.is_some())
}

/// How often access has been taken from somebody. Who has read it a second ago trusts what he knows of users.
pub fn access_version(conn: &mut Conn) -> Result<i64> {
    Ok(access_state::table.find(STATE).select(access_state::version).first(conn)?)
}

/// Counts a change that may take access from somebody. Until the transaction ends, no other such change begins: so what
/// one has checked holds when it commits.
pub fn raise_access(conn: &mut Conn) -> Result<()> {
    let raised = access_state::version.eq(access_state::version + 1);
    diesel::update(access_state::table.find(STATE)).set(raised).execute(conn)?;
    Ok(())
}
