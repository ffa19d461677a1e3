//! What can go wrong with the database, told apart by what a caller can do about it.

use diesel::result::{DatabaseErrorKind, Error as Diesel};

/// Result of a store.
pub type Result<T> = std::result::Result<T, Error>;

/// A fault of the database. Its text goes to the log, without the values that the server repeats, and to no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection could be had in time.
    #[error("the database can't be reached: {0}")]
    Unavailable(String),
    /// The connection broke; `committing` when it is unknown whether the transaction took effect.
    #[error("the connection to the database was lost: {message}")]
    Lost {
        /// What the client library said.
        message: String,
        /// Whether it broke during COMMIT.
        committing: bool,
    },
    /// A deadlock, a lock timeout or a failed certification: the whole transaction may be tried again.
    #[error("the database cut the transaction off: {0}")]
    Transient(String),
    /// A unique key has the value already.
    #[error("the value is taken already")]
    Taken,
    /// A stored value that the program can't read.
    #[error("a stored value can't be read: {}", without_values(.0))]
    Corrupt(String),
    /// No turn to compute came in time.
    #[error("too much is being computed already")]
    Busy,
    /// A statement took longer than the session allows.
    #[error("the database took too long: {0}")]
    TooLong(String),
    /// A use case that stopped before its end.
    #[error("the work stopped before its end: {0}")]
    Stopped(String),
    /// Anything else.
    #[error("the database refused: {}", without_values(&.0.to_string()))]
    Other(Diesel),
}

impl Error {
    /// Whether the whole transaction may be tried again on the same connection.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_))
    }

    /// Whether the database is away, so that the same call may succeed later.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Lost { .. } | Self::Transient(_))
    }

    /// The same error, met while committing. Only what was cut off or refused for a taken value certainly took no effect.
    #[must_use]
    pub fn during_commit(self) -> Self {
        match self {
            undone @ (Self::Transient(_) | Self::Taken) => undone,
            Self::Lost { message, .. } => Self::Lost { message, committing: true },
            other => Self::Lost { message: other.to_string(), committing: true },
        }
    }

    /// A stored value that can't be read, with what it is.
    pub fn corrupt(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Corrupt(format!("{what}: {error}"))
    }
}

/// Whether a message of the server, without its values, says that it cut off what may be tried again.
pub(super) fn is_cut_off(message: &str) -> bool {
    const SAID: [&str; 7] = [
        "Deadlock found",
        "Lock wait timeout",
        "Record has changed since last read",
        "try restarting transaction",
        "please retry transaction",
        "[try again later]",
        "SAVEPOINT begun does not exist",
    ];
    SAID.iter().any(|text| message.contains(text))
}

/// A message without what stands in quotes, from the first one to the last since values may hold quotes themselves. An apostrophe behind
/// a letter opens nothing. A message that begins with the name of a table or column holds no values.
pub(super) fn without_values(message: &str) -> String {
    let names = ["Table ", "Unknown column ", "Column ", "Field "];
    let is_quote = |c: char| c == '\'' || c == '"';
    let around = |(at, quote): (usize, &str)| Some((message.get(..at)?, message.get(at + quote.len()..)?));
    let mut quotes = message.match_indices(is_quote).filter_map(around);
    match quotes.find(|(before, _)| !before.ends_with(char::is_alphanumeric)) {
        Some((before, _)) if !names.iter().any(|name| before.ends_with(name)) => {
            format!("{before}'…'{}", quotes.next_back().map(|(_, after)| after).unwrap_or_default())
        }
        _ => message.to_owned(),
    }
}

impl From<Diesel> for Error {
    /// Diesel keeps no error numbers, and text statements not even the kind: what is missing is told from the server's text, of which
    /// values say nothing.
    fn from(error: Diesel) -> Self {
        let (kind, message) = match &error {
            Diesel::DatabaseError(kind, information) => (kind, without_values(information.message())),
            Diesel::DeserializationError(why) => return Self::Corrupt(why.to_string()),
            _ => return Self::Other(error),
        };
        let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
        match kind {
            DatabaseErrorKind::UniqueViolation => Self::Taken,
            DatabaseErrorKind::SerializationFailure => Self::Transient(message),
            _ if is_cut_off(&message) => Self::Transient(message),
            _ if says(&["Duplicate entry"]) => Self::Taken,
            _ if says(&["max_statement_time exceeded", "maximum statement execution time exceeded"]) => {
                Self::TooLong(message)
            }
            DatabaseErrorKind::ClosedConnection => Self::Lost { message, committing: false },
            _ if says(&[
                "has gone away",
                "Lost connection",
                "Can't connect",
                "WSREP has not yet prepared",
                "WSREP replication failed",
                "Server shutdown in progress",
                "Connection was killed",
            ]) =>
            {
                Self::Lost { message, committing: false }
            }
            _ => Self::Other(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a message that the server gives no kind.
    fn told(message: &str) -> Error {
        Diesel::DatabaseError(DatabaseErrorKind::Unknown, Box::new(message.to_owned())).into()
    }

    #[test]
    fn messages_keep_names_and_lose_values() {
        let shown = without_values("Incorrect integer value: 'O'Brien' for column `b`.`t`.`name` at row 1");
        assert_eq!(shown, "Incorrect integer value: '…' for column `b`.`t`.`name` at row 1");
        assert_eq!(without_values("Table 'b.t' doesn't exist"), "Table 'b.t' doesn't exist");
        assert_eq!(without_values("migrating: Table 'b.t' doesn't exist"), "migrating: Table 'b.t' doesn't exist");
        assert_eq!(
            without_values("Can't connect to server on '10.0.0.1' (115)"),
            "Can't connect to server on '…' (115)"
        );
        assert_eq!(without_values("Can't create more threads"), "Can't create more threads");
        assert_eq!(without_values("Incorrect value: 'that was cut"), "Incorrect value: '…'");
        let shown = without_values(r#"profile: invalid type: string "Ana", expected a map"#);
        assert_eq!(shown, "profile: invalid type: string '…', expected a map");
    }

    #[test]
    fn what_has_happened_is_told_by_the_server_and_not_by_values() {
        for said in ["Deadlock found zq", "Lost connection zq", "Duplicate entry zq", "max_statement_time exceeded"] {
            let error = told(&format!("Incorrect integer value: '{said}' for column `b`.`t`.`n` at row 1"));
            assert!(matches!(error, Error::Other(_)), "{error:?}");
            assert!(!error.to_string().contains(said), "{error}");
        }
        let cut_off = told("Record has changed since last read in table 'zq'; try restarting transaction");
        assert!(cut_off.is_transient() && !cut_off.to_string().contains("zq"), "{cut_off}");
        let lost = told("Lost connection to server at 'zq', system error: 110");
        assert!(matches!(lost, Error::Lost { committing: false, .. }) && !lost.to_string().contains("zq"), "{lost}");
        assert!(matches!(told("Duplicate entry 'zq' for key 'code'"), Error::Taken));
        let causes = ["(max_statement_time exceeded)", ", maximum statement execution time exceeded"];
        for cause in causes.map(|cause| format!("Query execution was interrupted{cause}")) {
            assert!(matches!(told(&cause), Error::TooLong(_)), "{cause}");
        }
    }
}
