//! Roles: those that every base has, and those of its own.

use std::collections::BTreeSet;

use super::error::Error;
use super::model::{BUILT_IN, PERMISSIONS, Permissions, Role, built_in, is_role_name, permission};
use super::store;
use crate::db::{self, Conn, transaction};
use crate::faults::{Fault, MOST, did_you_mean, excerpt};
use crate::versions::Versions;

/// All roles: the built-in ones, then the others by name.
pub fn all(conn: &mut Conn) -> Result<Vec<Role>, Error> {
    let known = BUILT_IN.iter().map(|(name, permissions)| Role {
        name: (*name).to_owned(),
        permissions: Permissions::of(permissions.iter().copied()),
        version: None,
    });
    Ok(known.chain(store::roles::all(conn)?).collect())
}

/// What who has these roles may do. Roles that there aren't allow nothing.
pub fn permissions(conn: &mut Conn, roles: &BTreeSet<String>) -> db::Result<Permissions> {
    let mut permissions = Permissions::default();
    let mut own = Vec::new();
    for role in roles {
        match built_in(role) {
            Some(known) => permissions.extend(&known),
            None => own.push(role.as_str()),
        }
    }
    if !own.is_empty() {
        store::roles::named(conn, &own)?.iter().for_each(|role| permissions.extend(&role.permissions));
    }
    Ok(permissions)
}

/// The faults of a list of roles: those that there aren't.
pub fn unknown(conn: &mut Conn, roles: &[String]) -> Result<Vec<Fault>, Error> {
    let all: Vec<String> = all(conn)?.into_iter().map(|role| role.name).collect();
    let fault = |(at, role): (usize, &String)| {
        let near = did_you_mean(role, all.iter().map(String::as_str));
        Fault::new(format!("/roles/{at}"), "unknown_role", format!("there is no role '{}'{near}", excerpt(role)))
    };
    Ok(roles.iter().enumerate().filter(|(_, role)| !all.contains(role)).map(fault).take(MOST + 1).collect())
}

/// Adds a role, or replaces the one that has one of these versions. Nobody gives what he may not do himself, nor changes a role that may
/// more than he.
pub fn put(
    conn: &mut Conn,
    caller: &Permissions,
    name: &str,
    versions: Option<&Versions>,
    permissions: &[String],
) -> Result<Role, Error> {
    if built_in(name).is_some() {
        return Err(Error::BuiltIn(name.to_owned()));
    }
    let faults = faults(name, permissions);
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let wanted = Permissions::of(permissions.iter().map(String::as_str));
    transaction(conn, |conn| {
        store::raise_access(conn)?;
        let before = store::roles::find(conn, name)?;
        may_handle(caller, &wanted)?;
        if let Some(before) = &before {
            may_handle(caller, &before.permissions)?;
            if versions.is_none() && before.permissions != wanted {
                return Err(Error::Unread(name.to_owned()));
            }
        }
        let version = before.as_ref().and_then(|role| role.version);
        check_version(versions, version)?;
        if let Some(same) = before.filter(|role| role.permissions == wanted) {
            return Ok(same);
        }
        let version = version.unwrap_or_default() + 1;
        store::roles::put(conn, name, &wanted, version)?;
        Ok(Role { name: name.to_owned(), permissions: wanted.clone(), version: Some(version) })
    })
}

/// The faults of a role: of its name, and permissions that there aren't.
fn faults(name: &str, permissions: &[String]) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !is_role_name(name) {
        let detail = format!(
            "'{}' is no name of a role: it begins with a small letter and has small letters, digits and _, at most 64",
            excerpt(name)
        );
        faults.push(Fault::new("", "role_name", detail));
    }
    let unknown = permissions.iter().enumerate().filter(|(_, name)| permission(name).is_none());
    for (at, name) in unknown.take(MOST + 1) {
        let detail = format!("there is no permission '{}'{}", excerpt(name), did_you_mean(name, PERMISSIONS));
        faults.push(Fault::new(format!("/permissions/{at}"), "unknown_permission", detail));
    }
    faults
}

/// Refuses a caller who rests on another version than the present one, where he says on which.
fn check_version(versions: Option<&Versions>, version: Option<i64>) -> Result<(), Error> {
    let accepts = |versions: &Versions| version.is_some_and(|version| versions.accept(version));
    if versions.is_none_or(accepts) { Ok(()) } else { Err(Error::Stale) }
}

/// Removes a role that nobody has, if it has one of these versions, where they are named. Nobody removes a role that may more than he.
pub fn delete(conn: &mut Conn, caller: &Permissions, name: &str, versions: Option<&Versions>) -> Result<(), Error> {
    if built_in(name).is_some() {
        return Err(Error::BuiltIn(name.to_owned()));
    }
    transaction(conn, |conn| {
        store::raise_access(conn)?;
        let role = store::roles::find(conn, name)?.ok_or(Error::NotFound)?;
        may_handle(caller, &role.permissions)?;
        check_version(versions, role.version)?;
        match store::roles::users(conn, name)? {
            0 => Ok(store::roles::delete(conn, name)?),
            users => Err(Error::Used { role: name.to_owned(), users }),
        }
    })
}

/// Refuses a caller who may not do all of this himself.
pub fn may_handle(caller: &Permissions, permissions: &Permissions) -> Result<(), Error> {
    caller.missing(permissions).map_or(Ok(()), |missing| Err(Error::Exceeds(missing)))
}
