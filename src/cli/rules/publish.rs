//! `baremo rules release`: makes a pack's folder the release in force of a base, while the service runs or not.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::say;
use crate::assessments::activation::{Activated, Closes};
use crate::cli::Failure;
use crate::cli::base::{self, FailingCases, Folder};
use crate::config::Config;
use crate::db::Conn;
use crate::db::migrate::migrate;
use crate::policy::pack::Pack;
use crate::releases::active::InForce;
use crate::releases::start;

/// What is published.
#[derive(Debug, Args)]
pub struct Publish {
    /// The pack's folder
    folder: PathBuf,
    /// Leave the standing outcomes of the policies that change as they are until their next closing
    #[arg(long)]
    wait_for_closing: bool,
}

impl Publish {
    /// Checks the folder, runs its cases, says what changes, and puts it in force in the base of the configuration.
    pub fn run(self, config: &Config) -> Result<ExitCode, Failure> {
        let folder =
            base::load(&self.folder, FailingCases::Refuse).map_err(|faults| base::told(&self.folder, &faults))?;
        let closes = if self.wait_for_closing { Closes::ByCadence } else { Closes::Now };
        base::beside(config, &folder.release.pack.id, |db| {
            Ok(db.run_here(|conn| publish(conn, &folder, closes, config).map(|()| ExitCode::SUCCESS))?)
        })
    }
}

fn publish(conn: &mut Conn, folder: &Folder, closes: Closes, config: &Config) -> Result<(), start::Error> {
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
    let before = in_force.get();
    let activated = base::activate(conn, &in_force, folder, closes, config.business_date)?;
    say(&format!("{digest} is in force"));
    if let (Some(before), Activated::Changed(changed)) = (before, activated) {
        tell_changes(&before.release.pack, &folder.release.pack, &changed);
    }
    Ok(())
}

/// What happens to each policy, in the order of the new pack.
fn tell_changes(before: &Pack, after: &Pack, changed: &[String]) {
    for id in after.policies.keys() {
        let what = match (before.policies.contains_key(id), changed.contains(id)) {
            (false, _) => "new",
            (true, true) => "changed",
            (true, false) => "as before",
        };
        say(&format!("  {id}: {what}"));
    }
    before
        .policies
        .keys()
        .filter(|id| !after.policies.contains_key(*id))
        .for_each(|id| say(&format!("  {id}: removed")));
}
