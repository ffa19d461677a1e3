//! What can go wrong with users, roles, sessions and tokens.

use crate::db::{self, Failure};
use crate::faults::Fault;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such user, role or session.
    #[error("there is no such user, role or session")]
    NotFound,
    /// The user or the role has changed since the caller read it.
    #[error("the user or the role has changed since it was read")]
    Stale,
    /// A role that the caller would replace without having read it.
    #[error("there is a role '{0}' already: to replace it, send its version in quotes as If-Match")]
    Unread(String),
    /// What was sent has faults.
    #[error("{}", .0.iter().map(|fault| fault.detail.as_str()).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Fault>),
    /// Another user has the name.
    #[error("a user with this name exists already")]
    NameTaken,
    /// Nobody would be left who may do everything.
    #[error("this is the last active administrator: make another user one first")]
    LastAdministrator,
    /// A role that every base has.
    #[error("the role '{0}' is built in and can't be changed")]
    BuiltIn(String),
    /// A role that somebody has.
    #[error("the role '{role}' has users ({users}): take it from them first")]
    Used {
        /// The role.
        role: String,
        /// How many have it.
        users: i64,
    },
    /// The caller lacks a permission that this would give, or take from somebody who may more than he.
    #[error("who lacks '{0}' can neither give it nor change a user or a role that has it")]
    Exceeds(&'static str),
    /// Unknown user or wrong password; which of the two stays unsaid.
    #[error("unknown user or wrong password")]
    WrongCredentials,
    /// The refresh token is unknown, expired or used.
    #[error("the refresh token is unknown, expired or used already: sign in again")]
    NotRefreshed,
    /// Too many failures for the account or from the address.
    #[error("too many attempts to sign in: try again in {0} seconds")]
    TooManyAttempts(i64),
    /// Too many passwords are being checked, or the service isn't up yet.
    #[error("{0}")]
    Busy(&'static str),
    /// The signing keys were encrypted with another secret.
    #[error(
        "the signing keys of this base can't be opened with this secret: set BAREMO_KEY_SECRET (key_secret) to the one of the \
         other processes or copy their file key-secret; where it is lost, 'baremo admin rotate-keys --new-secret' makes new keys"
    )]
    WrongSecret,
    /// A hash, a key or a token could not be made.
    #[error("{0}")]
    Cryptography(String),
    /// The database.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Error {
    /// A single fault.
    pub fn invalid(pointer: &str, code: &str, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![Fault::new(pointer, code, detail)])
    }

    /// A cryptographic failure, by what it says.
    pub fn cryptography(error: impl std::fmt::Display) -> Self {
        Self::Cryptography(error.to_string())
    }
}

impl Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        if let Self::Database(error) = self { Some(error) } else { None }
    }
}
