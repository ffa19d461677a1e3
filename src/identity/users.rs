//! Creating and changing users. Nobody gives what he may not do himself, nor changes a user who may more than he.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;

use super::error::Error;
use super::model::{self, ADMINISTRATORS, Permissions, Principal, Status, User, check_password};
use super::{attempts, passwords, roles, store};
use crate::Id;
use crate::config::Secret;
use crate::db::{self, Conn, transaction};
use crate::faults::Fault;
use crate::versions::Versions;

/// A user to be created.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// His name at sign-in.
    pub username: String,
    /// His name for people; the one at sign-in where there is none.
    pub display_name: Option<String>,
    /// Names of his roles.
    pub roles: Vec<String>,
    /// His first password.
    pub password: Secret,
}

/// What is changed of a user; what isn't named stays.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// His name for people.
    pub display_name: Option<String>,
    /// Names of all his roles.
    pub roles: Option<Vec<String>>,
    /// Whether he may sign in.
    pub status: Option<Status>,
}

/// Checks and adds a user. Blocks for some 20 ms.
pub fn create(conn: &mut Conn, caller: &Permissions, new: &NewUser) -> Result<User, Error> {
    let username = model::username(&new.username);
    let display_name = model::display_name(new.display_name.as_deref().unwrap_or(new.username.trim()));
    let password = check_password(new.password.reveal(), username.as_deref().unwrap_or_default())
        .map_err(|detail| Fault::new("/password", "password", detail));
    let mut faults = roles::unknown(conn, &new.roles)?;
    faults.extend(password.err());
    match (username, display_name) {
        (Ok(username), Ok(display_name)) if faults.is_empty() => {
            let user = active(username, display_name, new.roles.iter().cloned().collect());
            let hash = passwords::hash(new.password.reveal()).map_err(Error::cryptography)?;
            insert(conn, caller, (&user, &new.roles), &hash)?;
            Ok(user)
        }
        (username, display_name) => {
            faults.extend(username.err().into_iter().chain(display_name.err()));
            Err(Error::Invalid(faults))
        }
    }
}

/// A user as he begins.
pub fn active(username: String, display_name: String, roles: BTreeSet<String>) -> User {
    User {
        id: Id::new(),
        username,
        display_name,
        roles,
        status: Status::Active,
        version: 1,
        created_at: stored(Timestamp::now()),
        last_sign_in_at: None,
    }
}

/// An instant as the database keeps it, to the microsecond.
fn stored(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

fn insert(conn: &mut Conn, caller: &Permissions, (user, roles): (&User, &[String]), hash: &str) -> Result<(), Error> {
    transaction(conn, |conn| {
        // Nobody removes or changes his roles from now on. While his password was hashed, somebody may have.
        store::raise_access(conn)?;
        let unknown = roles::unknown(conn, roles)?;
        if !unknown.is_empty() {
            return Err(Error::Invalid(unknown));
        }
        roles::may_handle(caller, &roles::permissions(conn, &user.roles)?)?;
        store::insert(conn, user, hash).map_err(|error| match error {
            db::Error::Taken => Error::NameTaken,
            error => error.into(),
        })
    })
}

/// Changes a user. Who is disabled loses his sessions.
pub fn change(
    conn: &mut Conn,
    caller: &Permissions,
    id: Id,
    versions: &Versions,
    changes: &Changes,
) -> Result<User, Error> {
    let display_name = changes.display_name.as_deref().map(model::display_name).transpose();
    transaction(conn, |conn| {
        // Nobody removes or changes roles from now on.
        store::raise_access(conn)?;
        let mut faults = roles::unknown(conn, changes.roles.as_deref().unwrap_or_default())?;
        faults.extend(display_name.clone().err());
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let before = store::find(conn, id)?.ok_or(Error::NotFound)?;
        if !versions.accept(before.version) {
            return Err(Error::Stale);
        }
        let mut user = before.clone();
        if let Ok(Some(display_name)) = &display_name {
            user.display_name.clone_from(display_name);
        }
        if let Some(roles) = &changes.roles {
            user.roles = roles.iter().cloned().collect();
        }
        user.status = changes.status.unwrap_or(before.status);
        if user == before {
            return Ok(user);
        }
        roles::may_handle(caller, &roles::permissions(conn, &before.roles)?)?;
        roles::may_handle(caller, &roles::permissions(conn, &user.roles)?)?;
        if is_administrator(&before) && !is_administrator(&user) && !store::has_other_administrator(conn, id)? {
            return Err(Error::LastAdministrator);
        }
        user.version += 1;
        store::update(conn, &user)?;
        if user.status == Status::Disabled {
            store::sessions::end_all(conn, id, None, Timestamp::now())?;
        }
        Ok(user)
    })
}

fn is_administrator(user: &User) -> bool {
    user.status == Status::Active && user.roles.contains(ADMINISTRATORS)
}

/// Sets the password of a user and ends his sessions. Blocks for some 20 ms.
pub fn set_password(conn: &mut Conn, caller: &Permissions, id: Id, password: &Secret) -> Result<(), Error> {
    let user = store::find(conn, id)?.ok_or(Error::NotFound)?;
    let hash = checked_hash(password, &user.username, "/password")?;
    transaction(conn, |conn| {
        store::raise_access(conn)?;
        let user = store::find(conn, id)?.ok_or(Error::NotFound)?;
        roles::may_handle(caller, &roles::permissions(conn, &user.roles)?)?;
        store::set_password(conn, id, &hash)?;
        Ok(store::sessions::end_all(conn, id, None, Timestamp::now())?)
    })
}

/// Changes one's own password, for which one must know it, and ends one's other sessions. Blocks for some 40 ms.
pub fn change_password(
    conn: &mut Conn,
    principal: &Principal,
    (current, new): (&Secret, &Secret),
    address: Option<IpAddr>,
) -> Result<(), Error> {
    let user = store::find(conn, principal.user_id)?.ok_or(Error::NotFound)?;
    let login = store::login(conn, &user.username)?.ok_or(Error::NotFound)?;
    let attempt = attempts::begin(conn, &user.username, address)?;
    let wrong = || Error::invalid("/current_password", "wrong_password", "this isn't the current password");
    if !passwords::matches(current.reveal(), Some(&login.password_hash)) {
        return Err(wrong());
    }
    let hash = checked_hash(new, &user.username, "/new_password")?;
    transaction(conn, |conn| {
        store::raise_access(conn)?;
        attempts::succeed(conn, &attempt)?;
        // Hashing took its time: meanwhile somebody else may have set another one.
        if store::lock(conn, user.id)?.as_ref() != Some(&login) {
            return Err(wrong());
        }
        store::set_password(conn, user.id, &hash)?;
        Ok(store::sessions::end_all(conn, user.id, Some(principal.session_id), Timestamp::now())?)
    })
}

fn checked_hash(password: &Secret, username: &str, pointer: &str) -> Result<String, Error> {
    check_password(password.reveal(), username).map_err(|detail| Error::invalid(pointer, "password", detail))?;
    passwords::hash(password.reveal()).map_err(Error::cryptography)
}

/// Ends a session, if it lives and is this user's, where one is named.
pub fn end_session(conn: &mut Conn, id: Id, user: Option<Id>) -> Result<(), Error> {
    transaction(conn, |conn| {
        store::raise_access(conn)?;
        let ended = store::sessions::end(conn, id, user, Timestamp::now())?;
        if ended { Ok(()) } else { Err(Error::NotFound) }
    })
}

/// Ends all sessions of a user.
pub fn end_sessions(conn: &mut Conn, caller: &Permissions, id: Id) -> Result<(), Error> {
    transaction(conn, |conn| {
        store::raise_access(conn)?;
        let user = store::find(conn, id)?.ok_or(Error::NotFound)?;
        roles::may_handle(caller, &roles::permissions(conn, &user.roles)?)?;
        store::lock(conn, id)?;
        Ok(store::sessions::end_all(conn, id, None, Timestamp::now())?)
    })
}
