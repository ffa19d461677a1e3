//! Roles in the database: those that a base has of its own.

use diesel::prelude::*;

use crate::db::schema::{roles, user_roles};
use crate::db::{Conn, Error, Result};
use crate::identity::model::{Permissions, Role};

fn role((name, permissions, version): (String, String, i64)) -> Result<Role> {
    let names: Vec<String> = serde_json::from_str(&permissions).map_err(|error| Error::corrupt("role", error))?;
    Ok(Role { name, permissions: Permissions::of(names.iter().map(String::as_str)), version: Some(version) })
}

/// All of them, by name.
pub fn all(conn: &mut Conn) -> Result<Vec<Role>> {
    roles::table.order(roles::name).load(conn)?.into_iter().map(role).collect()
}

/// The one of this name.
pub fn find(conn: &mut Conn, name: &str) -> Result<Option<Role>> {
    roles::table.find(name).first(conn).optional()?.map(role).transpose()
}

/// Those of these names.
pub fn named(conn: &mut Conn, names: &[&str]) -> Result<Vec<Role>> {
    roles::table.filter(roles::name.eq_any(names)).load(conn)?.into_iter().map(role).collect()
}

/// Adds or replaces a role.
pub fn put(conn: &mut Conn, name: &str, permissions: &Permissions, version: i64) -> Result<()> {
    let text = serde_json::to_string(&permissions.names()).map_err(|error| Error::corrupt("role", error))?;
    let row = (roles::name.eq(name), roles::permissions.eq(text), roles::version.eq(version));
    diesel::replace_into(roles::table).values(row).execute(conn)?;
    Ok(())
}

/// Removes a role.
pub fn delete(conn: &mut Conn, name: &str) -> Result<()> {
    diesel::delete(roles::table.find(name)).execute(conn)?;
    Ok(())
}

/// How many users have a role.
pub fn users(conn: &mut Conn, name: &str) -> Result<i64> {
    Ok(user_roles::table.filter(user_roles::role.eq(name)).count().get_result(conn)?)
}
