//! Roles in the database: those that a base has of its own.

use diesel::prelude::*;

use crate::db::schema::{roles, user_roles};
use crate::db::{Conn, Error, Result};
use crate::identity::model::{Permissions, Role};

fn role((name, permissions): (String, String)) -> Result<Role> {
    let names: Vec<String> = serde_json::from_str(&permissions).map_err(|error| Error::corrupt("role", error))?;
    Ok(Role { name, permissions: Permissions::of(names.iter().map(String::as_str)), built_in: false })
}

/// All of them, by name.
pub fn all(conn: &mut Conn) -> Result<Vec<Role>> {
    roles::table.order(roles::name).load(conn)?.into_iter().map(role).collect()
}

/// Those of these names.
pub fn named(conn: &mut Conn, names: &[&str]) -> Result<Vec<Role>> {
    roles::table.filter(roles::name.eq_any(names)).load(conn)?.into_iter().map(role).collect()
}

/// Adds or replaces a role.
pub fn put(conn: &mut Conn, name: &str, permissions: &Permissions) -> Result<()> {
    let text = serde_json::to_string(&permissions.names()).map_err(|error| Error::corrupt("role", error))?;
    diesel::replace_into(roles::table).values((roles::name.eq(name), roles::permissions.eq(text))).execute(conn)?;
    Ok(())
}

/// Removes a role. Whether there was one.
pub fn delete(conn: &mut Conn, name: &str) -> Result<bool> {
    Ok(diesel::delete(roles::table.find(name)).execute(conn)? > 0)
}

/// How many users have a role.
pub fn users(conn: &mut Conn, name: &str) -> Result<i64> {
    Ok(user_roles::table.filter(user_roles::role.eq(name)).count().get_result(conn)?)
}
