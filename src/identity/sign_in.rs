//! Signing in, and the administrator that a new base begins with.

use super::model::{ADMINISTRATOR, User};
use super::tokens::{Principal, Tokens};
use super::{passwords, store};
use crate::db::{self, Conn, Failure};
use crate::{Id, config::Secret};

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown user or wrong password; which of the two stays unsaid.
    #[error("unknown user or wrong password")]
    WrongCredentials,
    /// The token or the hash could not be made.
    #[error("{0}")]
    Cryptography(String),
    /// The database.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        if let Self::Database(error) = self { Some(error) } else { None }
    }
}

/// An access token for a user who knows his password.
pub fn sign_in(conn: &mut Conn, tokens: &Tokens, username: &str, password: &Secret) -> Result<String, Error> {
    let user = store::find(conn, username)?;
    if !passwords::matches(password.reveal(), user.as_ref().map(|user| user.password_hash.as_str())) {
        return Err(Error::WrongCredentials);
    }
    let user = user.ok_or(Error::WrongCredentials)?;
    tokens
        .sign(&Principal { user_id: user.id, username: user.username })
        .map_err(|error| Error::Cryptography(error.to_string()))
}

/// Creates the administrator if there is none, with the given password or one that is made up. Gives the made-up one, to be shown once.
pub fn ensure_administrator(conn: &mut Conn, password: Option<&Secret>) -> Result<Option<Secret>, Error> {
    if store::find(conn, ADMINISTRATOR)?.is_some() {
        return Ok(None);
    }
    let made_up = password.is_none().then(|| Secret::new(passwords::make_up()));
    let chosen = password.or(made_up.as_ref()).map(Secret::reveal).unwrap_or_default();
    let password_hash = passwords::hash(chosen).map_err(|error| Error::Cryptography(error.to_string()))?;
    let user = User { id: Id::new(), username: ADMINISTRATOR.to_owned(), password_hash };
    match store::insert(conn, &user) {
        Err(db::Error::Taken) => Ok(None),
        result => result.map(|()| made_up).map_err(Error::from),
    }
}
