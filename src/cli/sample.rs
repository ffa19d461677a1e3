//! Loading a pack's sample into an empty base: the files that `sample.toml` names, in its order.

use std::path::PathBuf;

use jiff::civil::Date;

use super::base::Base;
use crate::app::recording_rules;
use crate::csv_rows::{Counts, Progress, Report};
use crate::customers;
use crate::db::{Db, transaction};
use crate::policy::sample::{self, Import, SampleFile};
use crate::releases::active::InForce;
use crate::releases::{start, store};
use crate::transactions;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Loads the sample and fixes its business date. False when the pack has none.
pub fn load(db: &Db, in_force: &InForce, base: &Base, business_date: Option<Date>) -> Result<bool, Failure> {
    let faults = |faults: Vec<crate::policy::diagnostic::Diagnostic>| {
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
    };
    let Some(sample) = sample::read(&base.source, &base.release.pack).map_err(faults)? else { return Ok(false) };
    db.run_here(|conn| {
        transaction(conn, |conn| store::note_sample(conn, Some(sample.business_date)))?;
        start::follow(conn, in_force, business_date)
    })?;
    for file in &sample.files {
        let report = load_file(db, in_force, base, file)?;
        let Counts { read, created, warnings, .. } = report.counts;
        tracing::info!(file = file.path, read, created, warnings, "loaded a file of the sample");
    }
    Ok(true)
}

fn load_file(db: &Db, in_force: &InForce, base: &Base, file: &SampleFile) -> Result<Report, Failure> {
    let path: PathBuf = base.source.folder().unwrap_or(std::path::Path::new("")).join(&file.path);
    let mut progress = Progress::shown(&file.path);
    let mapping = file.columns.clone();
    match file.import {
        Import::Customers => {
            let import = customers::import::Import { file: path, mapping, ..Default::default() };
            Ok(customers::import::import(db, &base.release.pack.fields, &import, &mut progress)?)
        }
        Import::Transactions => {
            let active = in_force.get().ok_or("nothing is in force")?;
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
