//! Users in the database.

use diesel::prelude::*;
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use super::model::User;
use crate::db::schema::users;
use crate::db::{Conn, Result};

#[derive(Queryable, Selectable)]
#[diesel(table_name = users)]
struct UserRow {
    id: crate::Id,
    username: String,
    password_hash: String,
}

/// The user of this name.
pub fn find(conn: &mut Conn, username: &str) -> Result<Option<User>> {
    let row = users::table.filter(users::username.eq(username)).select(UserRow::as_select()).first(conn).optional()?;
    Ok(row.map(|row: UserRow| User { id: row.id, username: row.username, password_hash: row.password_hash }))
}

/// Adds a user.
pub fn insert(conn: &mut Conn, user: &User) -> Result<()> {
    diesel::insert_into(users::table)
        .values((
            users::id.eq(user.id),
            users::username.eq(&user.username),
            users::password_hash.eq(&user.password_hash),
            users::created_at.eq(Timestamp::now().to_diesel()),
        ))
        .execute(conn)?;
    Ok(())
}
