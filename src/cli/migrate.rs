//! `baremo migrate`: brings the configured database to the schema of this version.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use super::{Failure, base};
use crate::config::Config;
use crate::db::migrate::migrate;

/// Options of `baremo migrate`.
#[derive(Debug, Args)]
pub struct Migrate {}

impl Migrate {
    /// Applies what is missing. The private database is migrated by `baremo serve` itself.
    pub fn run(self, config: &Config) -> Result<ExitCode, Failure> {
        let runtime = base::runtime()?;
        if config.database_url.is_none() {
            return Err("BAREMO_DATABASE_URL isn't set; the private database is migrated by 'baremo serve'".into());
        }
        let applied = base::connect(config, None, runtime.handle())?.run_here(migrate)?;
        writeln!(std::io::stdout(), "{applied} migrations applied")?;
        Ok(ExitCode::SUCCESS)
    }
}
