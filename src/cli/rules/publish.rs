//! `baremo rules release`: makes a pack's folder the release in force of a base, while the service runs or not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::say;
use crate::cli::Failure;
use crate::cli::base::{self, Folder};
use crate::config::Config;
use crate::db::migrate::migrate;
use crate::db::{self, Conn};
use crate::policy::pack::PolicyDeclaration;
use crate::policy::release::LoadedPack;
use crate::policy::source::Source;
use crate::releases::active::InForce;
use crate::releases::{start, store};

/// What is published.
#[derive(Debug, Args)]
pub struct Publish {
    /// The pack's folder
    folder: PathBuf,
}

impl Publish {
    /// Checks the folder, runs its cases, says what changes, and puts it in force in the base of the configuration.
    pub fn run(self, config: &Config) -> Result<ExitCode, Failure> {
        let folder = base::load(&self.folder).map_err(|faults| base::told(&self.folder, &faults))?;
        base::beside(config, &folder.release.pack.id, |db| {
            Ok(db.run_here(|conn| publish(conn, &folder, config).map(|()| ExitCode::SUCCESS))?)
        })
    }
}

fn publish(conn: &mut Conn, folder: &Folder, config: &Config) -> Result<(), start::Error> {
    migrate(conn)?;
    let digest = folder.release.digest;
    if !base::is_change(conn, &folder.release)? {
        say(&format!("{digest} is in force already"));
        return Ok(());
    }
    let in_force = InForce::default();
    let evolution = base::evolution(conn, &in_force, folder)?;
    if !evolution.is_empty() {
        say(&evolution.to_string());
    }
    let changes = changes(conn, &in_force, folder)?;
    base::activate(conn, &in_force, folder, config.business_date)?;
    say(&format!("{digest} is in force"));
    changes.iter().for_each(|change| say(change));
    Ok(())
}

/// What happens to each policy, in the order of the new pack; nothing in a new base.
fn changes(conn: &mut Conn, in_force: &InForce, folder: &Folder) -> db::Result<Vec<String>> {
    let Some(active) = in_force.get() else { return Ok(Vec::new()) };
    let content = store::release(conn, active.basis.release)?.unwrap_or_default();
    let Ok(source) = Source::from_json(&content) else { return Ok(Vec::new()) };
    let before = contents(&source, &active.release);
    let after = contents(&folder.source, &folder.release);
    let policies = folder.release.pack.policies.keys();
    let new = policies.map(|id| match before.get(id) {
        None => format!("  {id}: new"),
        Some(content) if after.get(id) == Some(content) => format!("  {id}: as before"),
        Some(_) => format!("  {id}: changed"),
    });
    let gone = before.keys().filter(|id| !after.contains_key(*id)).map(|id| format!("  {id}: removed"));
    Ok(new.chain(gone).collect())
}

/// All that a policy's outcome follows from, by policy: its script with the libraries, and the declarations of what it reads.
fn contents(source: &Source, release: &LoadedPack) -> BTreeMap<String, String> {
    let (pack, scripts, libs) = (&release.pack, source.scripts(), source.libs());
    let content = |(id, declaration): (&'_ String, &'_ PolicyDeclaration)| {
        let facts = release.policies.script(id)?;
        let fields: Vec<_> = facts.fields.iter().map(|key| pack.fields.get(key)).collect();
        let metrics: Vec<_> = facts.metrics.iter().map(|key| pack.definitions.metrics.get(key)).collect();
        let cohorts: Vec<_> = facts.cohorts.iter().map(|key| pack.cohorts.get(key)).collect();
        let content = format!("{:?} {libs:?} {declaration:?} {fields:?} {metrics:?} {cohorts:?}", scripts.get(id));
        Some((id.clone(), content))
    };
    pack.policies.iter().filter_map(content).collect()
}
