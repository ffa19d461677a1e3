//! Why a customer could not be recorded.

use super::file::Status;
use crate::db::{self, Failure};
use crate::faults::Fault;

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such customer.
    #[error("there is no such customer")]
    NotFound,
    /// He has changed since the caller read him.
    #[error("the customer has changed since he was read")]
    Stale,
    /// What was sent has faults.
    #[error("the customer has faults")]
    Invalid(Vec<Fault>),
    /// Another customer has the code.
    #[error("a customer with the code '{0}' exists already")]
    CodeTaken(String),
    /// He has the status already.
    #[error("the customer is {} already", .0.key())]
    StatusAlready(Status),
    /// The database.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        if let Self::Database(error) = self { Some(error) } else { None }
    }
}
