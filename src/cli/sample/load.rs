//! Loading a pack's sample into an empty base: its service staff, the files that `sample.toml` names, in its order, then what it says how to make.
//! A load that was cut off is begun again, and finds what it has done.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use super::write;
use crate::Id;
use crate::app::import_rules;
use crate::assessments::day;
use crate::cli::base::{self, Folder};
use crate::config::Config;
use crate::csv_rows::{Counts, Input, Progress, Report};
use crate::db::{self, Conn, Db, transaction};
use crate::employees;
use crate::employees::model::Areas;
use crate::employees::record::Draft;
use crate::imports::import::{self, ImportFile};
use crate::imports::model::ImportKind;
use crate::policy::sample::{self, Import, SampleEmployee, SampleFile};
use crate::releases::active::InForce;
use crate::releases::{start, store};

/// The system that transactions come from that were made.
const SOURCE: &str = "sample";

/// Why the sample isn't loaded, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is wrong with `sample.toml`.
    #[error("the sample has faults:\n\n{0}")]
    Faults(String),
    /// Its business date.
    #[error(transparent)]
    Start(#[from] start::Error),
    /// An employee.
    #[error("the employee '{0}' of the sample: {1}")]
    Employee(String, #[source] employees::record::Error),
    /// A file.
    #[error(transparent)]
    Import(#[from] import::Error),
    /// Writing what is made.
    #[error("the sample's data can't be made: {0}")]
    Making(#[from] csv::Error),
    /// Removing what was made.
    #[error("the folder of the sample's data: {0}")]
    Folder(#[from] io::Error),
    /// The database.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl db::Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        match self {
            Self::Faults(_) | Self::Making(_) | Self::Folder(_) => None,
            Self::Start(error) => error.database(),
            Self::Employee(_, error) => error.database(),
            Self::Import(error) => error.database(),
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

/// Fixes the sample's business date, loads its files and what it makes, and notes that. False when the pack has none.
pub fn load(db: &Db, in_force: &InForce, folder: &Folder, config: &Config) -> Result<bool, Error> {
    let Folder { source, release } = folder;
    let pack = &release.pack;
    let faults = |faults| Error::Faults(super::listed(faults));
    let Some(sample) = sample::read(source, pack).map_err(faults)? else { return Ok(false) };
    db.run_here(|conn| {
        transaction(conn, |conn| store::fix_business_date(conn, sample.business_date))?;
        day::follow(conn, in_force, config.business_date)
    })?;
    let loader = Loader { db, in_force };
    let areas = Areas(pack.areas().map(<[String]>::to_vec));
    db.run_here(|conn| sample.employees.iter().try_for_each(|employee| employ(conn, &areas, employee)))?;
    loader.all(source.folder().unwrap_or(Path::new("")), &sample.files)?;
    if let Some(generate) = &sample.generate {
        // One for each process: others that start on the same base make theirs.
        let folder = config.data_folder.join(format!("{}.sample.{}", pack.id, Id::new()));
        let mut progress = Progress::shown("making the sample");
        let made = write::write(generate, pack, generate.customers, generate.seed, &folder, &mut progress);
        let loaded = made.map_err(Error::from).and_then(|files| {
            let files: Vec<SampleFile> = files.into_iter().map(as_file).collect();
            loader.all(&folder, &files)
        });
        let removed = fs::remove_dir_all(&folder);
        loaded?;
        removed?;
    }
    db.run_here(store::note_sample_loaded)?;
    Ok(true)
}

/// Records an employee, unless a load that was cut off has done so.
fn employ(conn: &mut Conn, areas: &Areas, employee: &SampleEmployee) -> Result<(), Error> {
    let draft = Draft {
        name: Some(employee.name.clone()),
        area: Some((employee.area.clone(), employee.from)),
        ..Draft::default()
    };
    match employees::record::create(conn, areas, &employee.code, &draft) {
        Ok(_) | Err(employees::record::Error::Taken) => Ok(()),
        Err(error) => Err(Error::Employee(employee.code.clone(), error)),
    }
}

/// A file that was made, as one that is loaded.
fn as_file(written: write::Written) -> SampleFile {
    let write::Written { name, import, .. } = written;
    SampleFile { import, path: name, kind: None, source: Some(SOURCE.to_owned()), columns: BTreeMap::new() }
}

/// Loads files into a base.
struct Loader<'a> {
    db: &'a Db,
    in_force: &'a InForce,
}

impl Loader<'_> {
    fn all(&self, folder: &Path, files: &[SampleFile]) -> Result<(), Error> {
        for file in files {
            let Counts { read, created, faulty, warnings, .. } = self.file(folder, file)?.counts;
            tracing::info!(file = file.path, read, created, faulty, warnings, "loaded a file of the sample");
        }
        Ok(())
    }

    fn file(&self, folder: &Path, sample: &SampleFile) -> Result<Report, Error> {
        let active = self.in_force.get().ok_or_else(|| db::Error::Stopped("nothing is in force".to_owned()))?;
        let kind = match sample.import {
            Import::Customers => ImportKind::Customers,
            Import::Products => ImportKind::Products,
            Import::Transactions => ImportKind::Transactions,
            Import::Observations => ImportKind::Observations,
        };
        let input = Input { file: folder.join(&sample.path), mapping: sample.columns.clone(), ..Input::default() };
        let (transaction_kind, source) = (sample.kind.clone(), sample.source.clone());
        let file = ImportFile { kind, input, transaction_kind, source, user_id: None };
        Ok(import::import(self.db, &import_rules(&active), file, &mut Progress::shown(&sample.path))?)
    }
}
