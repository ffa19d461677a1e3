//! The one place where the errors of use cases become answers.

use super::{Code, Problem};
use crate::assessments::{appeals, basis, difference, evaluate, lists, overrides, run};
use crate::customers::error as customers;
use crate::db;
use crate::employees::record as employees;
use crate::identity::error as identity;
use crate::releases::start;
use crate::staff::evaluate as staff;
use crate::transactions::record;

impl From<db::Error> for Problem {
    /// The database's text stays in the log: it may hold values.
    fn from(error: db::Error) -> Self {
        match error {
            db::Error::Busy => Self::new(Code::Busy),
            db::Error::TooLong(_) => {
                tracing::warn!(%error, "the database didn't answer in time");
                Self::new(Code::TimedOut)
            }
            _ if error.is_unavailable() => {
                tracing::warn!(%error, "the database is away");
                Self::new(Code::Unavailable)
            }
            _ => {
                tracing::error!(%error, "the database failed");
                Self::new(Code::Internal)
            }
        }
    }
}

impl From<identity::Error> for Problem {
    fn from(error: identity::Error) -> Self {
        use identity::Error;
        let said = error.to_string();
        match error {
            Error::NotFound => Self::new(Code::NotFound),
            Error::Stale => Self::new(Code::Stale),
            Error::Unread(_) => Self::detailed(Code::PreconditionRequired, said),
            Error::Invalid(faults) => Self::invalid(faults),
            Error::NameTaken => Self::detailed(Code::AlreadyExists, said),
            Error::LastAdministrator | Error::BuiltIn(_) | Error::Used { .. } => Self::detailed(Code::Conflict, said),
            Error::Exceeds(_) => Self::detailed(Code::Forbidden, said),
            Error::WrongCredentials => Self::new(Code::WrongCredentials),
            Error::NotRefreshed => Self::detailed(Code::Unauthenticated, said),
            Error::TooManyAttempts(seconds) => Self::detailed(Code::TooManyAttempts, said).retry_after(seconds),
            Error::Busy(why) => Self::detailed(Code::Unavailable, why),
            Error::WrongSecret | Error::Cryptography(_) => {
                tracing::error!(%error, "the keys or hashes of access failed");
                Self::new(Code::Internal)
            }
            Error::Database(error) => error.into(),
        }
    }
}

impl From<record::Error> for Problem {
    fn from(error: record::Error) -> Self {
        match error {
            record::Error::Database(error) => error.into(),
            record::Error::Dry(_) => Self::new(Code::Internal),
        }
    }
}

impl From<evaluate::Error> for Problem {
    fn from(error: evaluate::Error) -> Self {
        match error {
            evaluate::Error::Invalid(faults) => Self::invalid(faults),
            evaluate::Error::Database(error) => error.into(),
        }
    }
}

impl From<difference::Error> for Problem {
    fn from(error: difference::Error) -> Self {
        let said = error.to_string();
        match error {
            difference::Error::NotFound => Self::new(Code::NotFound),
            difference::Error::First => Self::detailed(Code::NotFound, said),
            difference::Error::Invalid(fault) => Self::invalid(vec![fault]),
            difference::Error::Database(error) => error.into(),
        }
    }
}

impl From<run::Error> for Problem {
    fn from(error: run::Error) -> Self {
        let said = error.to_string();
        match error {
            run::Error::Open(_)
            | run::Error::InForce
            | run::Error::Draft
            | run::Error::Shadowed
            | run::Error::Ended
            | run::Error::Needed => Self::detailed(Code::Conflict, said),
            run::Error::Invalid(faults) => Self::invalid(faults),
            run::Error::NotFound => Self::new(Code::NotFound),
            run::Error::Database(error) => error.into(),
            run::Error::Basis(error) => error.into(),
        }
    }
}

impl From<lists::Error> for Problem {
    fn from(error: lists::Error) -> Self {
        let said = error.to_string();
        match error {
            lists::Error::NotFound => Self::new(Code::NotFound),
            lists::Error::Entered => Self::detailed(Code::Conflict, said),
            lists::Error::Invalid(faults) => Self::invalid(faults),
            lists::Error::Database(error) => error.into(),
        }
    }
}

impl From<overrides::Error> for Problem {
    fn from(error: overrides::Error) -> Self {
        let said = error.to_string();
        match error {
            overrides::Error::NotFound => Self::new(Code::NotFound),
            overrides::Error::Overridden | overrides::Error::Ended => Self::detailed(Code::Conflict, said),
            overrides::Error::Invalid(faults) => Self::invalid(faults),
            overrides::Error::Database(error) => error.into(),
        }
    }
}

impl From<appeals::Error> for Problem {
    fn from(error: appeals::Error) -> Self {
        let said = error.to_string();
        match error {
            appeals::Error::NotFound => Self::new(Code::NotFound),
            appeals::Error::Open | appeals::Error::Answered => Self::detailed(Code::Conflict, said),
            appeals::Error::Partial(_) => Self::detailed(Code::Forbidden, said),
            appeals::Error::Invalid(faults) => Self::invalid(faults),
            appeals::Error::Database(error) => error.into(),
        }
    }
}

impl From<start::Error> for Problem {
    fn from(error: start::Error) -> Self {
        let said = error.to_string();
        match error {
            start::Error::Database(error) => error.into(),
            _ => Self::detailed(Code::Conflict, said),
        }
    }
}

impl From<basis::Error> for Problem {
    fn from(error: basis::Error) -> Self {
        let said = error.to_string();
        match error {
            basis::Error::Stale => Self::new(Code::Stale),
            basis::Error::Invalid(faults) => Self::invalid(faults),
            basis::Error::Basis(error) => error.into(),
            basis::Error::NotFixed(_) => Self::detailed(Code::Conflict, said),
        }
    }
}

impl From<staff::Error> for Problem {
    fn from(error: staff::Error) -> Self {
        let said = error.to_string();
        match error {
            staff::Error::NotFound => Self::new(Code::NotFound),
            staff::Error::Stale => Self::new(Code::Stale),
            staff::Error::Undeclared | staff::Error::Conflict(_) => Self::detailed(Code::Conflict, said),
            staff::Error::WrongPerson => Self::detailed(Code::Forbidden, said),
            staff::Error::Invalid(faults) => Self::invalid(faults),
            staff::Error::Database(error) => error.into(),
        }
    }
}

impl From<employees::Error> for Problem {
    fn from(error: employees::Error) -> Self {
        let said = error.to_string();
        match error {
            employees::Error::NotFound => Self::new(Code::NotFound),
            employees::Error::Stale => Self::new(Code::Stale),
            employees::Error::Taken => Self::detailed(Code::AlreadyExists, said),
            employees::Error::Invalid(faults) => Self::invalid(faults),
            employees::Error::Database(error) => error.into(),
        }
    }
}

impl From<customers::Error> for Problem {
    fn from(error: customers::Error) -> Self {
        let said = error.to_string();
        match error {
            customers::Error::NotFound => Self::new(Code::NotFound),
            customers::Error::Stale => Self::new(Code::Stale),
            customers::Error::Invalid(faults) => Self::invalid(faults),
            customers::Error::CodeTaken(_) => Self::detailed(Code::AlreadyExists, said),
            customers::Error::StatusAlready(_) => Self::detailed(Code::Conflict, said),
            customers::Error::Database(error) => error.into(),
        }
    }
}
