//! Loading a pack's sample into an empty base: the files that `sample.toml` names, in its order. A load that was cut off is
//! begun again, and finds what it has done.

use std::path::PathBuf;

use jiff::civil::Date;

use super::base::{self, Base};
use crate::app::recording_rules;
use crate::csv_rows::{Counts, Progress, Report};
use crate::customers;
use crate::db::{self, Conn, Db, transaction};
use crate::policy::sample::{self, Import, SampleFile};
use crate::releases::active::InForce;
use crate::releases::{start, store};
use crate::transactions;

/// Why the sample isn't loaded, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is wrong with `sample.toml`.
    #[error("the sample has faults:\n\n{0}")]
    Faults(String),
    /// Its business date.
    #[error(transparent)]
    Start(#[from] start::Error),
    /// A file of customers.
    #[error(transparent)]
    Customers(#[from] customers::import::Error),
    /// A file of products or transactions.
    #[error(transparent)]
    Transactions(#[from] transactions::import::Error),
    /// The database.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl db::Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        match self {
            Self::Faults(_) => None,
            Self::Start(error) => error.database(),
            Self::Customers(error) => error.database(),
            Self::Transactions(error) => error.database(),
            Self::Database(error) => Some(error),
        }
    }
}

/// Whether the sample may be loaded: nobody has filled the base, or a load has begun and not ended.
pub fn is_wanted(conn: &mut Conn) -> db::Result<bool> {
    Ok(match store::deployment(conn)? {
        Some(deployment) if deployment.sample_loaded_at.is_some() => false,
        Some(deployment) if deployment.fixed_business_date.is_some() => true,
        _ => base::is_empty(conn)?,
    })
}

/// Fixes the sample's business date, loads its files and notes that. False when the pack has none.
pub fn load(db: &Db, in_force: &InForce, base: &Base, business_date: Option<Date>) -> Result<bool, Error> {
    let faults = |faults: Vec<crate::policy::diagnostic::Diagnostic>| {
        Error::Faults(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))
    };
    let Some(sample) = sample::read(&base.source, &base.release.pack).map_err(faults)? else { return Ok(false) };
    db.run_here(|conn| {
        transaction(conn, |conn| store::fix_business_date(conn, sample.business_date))?;
        start::follow(conn, in_force, business_date)
    })?;
    for file in &sample.files {
        let report = load_file(db, in_force, base, file)?;
        let Counts { read, created, warnings, .. } = report.counts;
        tracing::info!(file = file.path, read, created, warnings, "loaded a file of the sample");
    }
    db.run_here(store::note_sample_loaded)?;
    Ok(true)
}

fn load_file(db: &Db, in_force: &InForce, base: &Base, file: &SampleFile) -> Result<Report, Error> {
    let path: PathBuf = base.source.folder().unwrap_or(std::path::Path::new("")).join(&file.path);
    let mut progress = Progress::shown(&file.path);
    let mapping = file.columns.clone();
    match file.import {
        Import::Customers => {
            let import = customers::import::Import { file: path, mapping, ..Default::default() };
            Ok(customers::import::import(db, &base.release.pack.fields, &import, &mut progress)?)
        }
        Import::Transactions => {
            let active = in_force.get().ok_or_else(|| db::Error::Stopped("nothing is in force".to_owned()))?;
            let (kind, source) = (file.kind.clone(), file.source.clone());
            let import = transactions::import::Import { file: path, mapping, kind, source, ..Default::default() };
            Ok(transactions::import::import(db, &recording_rules(&active), &import, &mut progress)?)
        }
        Import::Products => {
            let import = transactions::import::ProductImport { file: path, mapping, ..Default::default() };
            Ok(transactions::import::import_products(db, &import, &mut progress)?)
        }
    }
}
