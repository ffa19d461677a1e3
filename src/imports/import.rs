//! Importing a file as what it holds: the one way for uploads, the command line and samples.

use std::io;

use super::model::ImportKind;
use crate::Id;
use crate::csv_rows::{FileError, Input, Report, Stopped, Watch};
use crate::customers::record::Rules as CustomerRules;
use crate::db::{self, Db, Failure};
use crate::transactions::import_observations::{ObservationImport, import_observations};
use crate::transactions::record::Rules as RecordingRules;
use crate::{customers, transactions};

/// The rules by which imports record.
pub struct Rules {
    /// Of customers.
    pub customers: CustomerRules,
    /// Of transactions and observations.
    pub transactions: RecordingRules,
}

/// A file to import, and whose it is.
pub struct ImportFile {
    /// What it holds.
    pub kind: ImportKind,
    /// The file, and how it is read.
    pub input: Input,
    /// The kind of all transactions, where the file has no column for it.
    pub transaction_kind: Option<String>,
    /// The system that transactions and observations come from; [`DEFAULT_SOURCE`](transactions::import::DEFAULT_SOURCE) when absent.
    pub source: Option<String>,
    /// The user who imports; nobody where a command does.
    pub user_id: Option<Id>,
}

/// Why an import stopped. What was written before stays.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file.
    #[error(transparent)]
    File(FileError),
    /// Somebody stopped it.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The copy of an uploaded file.
    #[error("the copy of the file: {0}")]
    Copy(#[from] io::Error),
    /// Recording.
    #[error(transparent)]
    Record(transactions::record::Error),
    /// The database.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        if let Self::Database(error) = self { Some(error) } else { None }
    }
}

impl From<customers::import::Error> for Error {
    fn from(error: customers::import::Error) -> Self {
        match error {
            customers::import::Error::File(error) => Self::File(error),
            customers::import::Error::Stopped(stopped) => stopped.into(),
            customers::import::Error::Database(error) => error.into(),
        }
    }
}

impl From<transactions::import::Error> for Error {
    fn from(error: transactions::import::Error) -> Self {
        match error {
            transactions::import::Error::File(error) => Self::File(error),
            transactions::import::Error::Stopped(stopped) => stopped.into(),
            transactions::import::Error::Record(transactions::record::Error::Database(error))
            | transactions::import::Error::Database(error) => error.into(),
            transactions::import::Error::Record(error) => Self::Record(error),
        }
    }
}

/// Imports a file.
pub fn import(db: &Db, rules: &Rules, file: ImportFile, watch: &mut dyn Watch) -> Result<Report, Error> {
    let ImportFile { kind, input, transaction_kind, source, user_id } = file;
    Ok(match kind {
        ImportKind::Customers => customers::import::import(db, &rules.customers, &input, watch)?,
        ImportKind::Products => transactions::import::import_products(db, &input, watch)?,
        ImportKind::Transactions => {
            let import = transactions::import::Import { input, kind: transaction_kind, source };
            transactions::import::import(db, &rules.transactions, &import, watch)?
        }
        ImportKind::Observations => {
            let import = ObservationImport { input, source, user_id };
            import_observations(db, &rules.transactions, &import, watch)?
        }
    })
}
