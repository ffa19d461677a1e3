//! `baremo close`: makes the provisional outcomes of a base the standing ones, whether the service runs or not.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Args;

use super::{Failure, base, distribution};
use crate::assessments::model::Owner;
use crate::assessments::run::{self, Purpose};
use crate::assessments::store;
use crate::assessments::worker::STACK;
use crate::config::Config;
use crate::csv_rows::Progress;
use crate::db::Db;
use crate::db::migrate::migrate;
use crate::releases::active::InForce;
use crate::releases::start;

/// How often is looked whether other processes have finished their part.
const LOOK: Duration = Duration::from_millis(200);

/// Options of closing.
#[derive(Debug, Args)]
pub struct Close {
    /// Folder of the pack whose base is closed
    #[arg(long, value_name = "FOLDER")]
    pack: PathBuf,
}

impl Close {
    /// Closes the last period that has ended of every policy that has a cadence, and shows the distribution.
    pub fn run(self, config: &Config) -> Result<ExitCode, Failure> {
        let pack_id = base::pack_id(&self.pack)
            .ok_or_else(|| format!("{} holds no pack.toml that names its pack", self.pack.display()))?;
        base::beside(config, &pack_id, |db| {
            thread::scope(|scope| {
                let work =
                    thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || close(db, &pack_id, config))?;
                work.join().unwrap_or_else(|_| Err("closing stopped unexpectedly".into()))
            })
        })
    }
}

fn close(db: &Db, pack_id: &str, config: &Config) -> Result<ExitCode, Failure> {
    let in_force = InForce::default();
    db.run_here(|conn| {
        migrate(conn)?;
        start::check_pack(conn, pack_id)?;
        Ok::<_, start::Error>(in_force.refresh(conn)?)
    })?;
    let active = in_force.get().ok_or("the base has no release yet; 'baremo serve' gives it its first")?;
    let id = db.run_here(|conn| run::create(conn, &active, Purpose::Close))?.id;
    let (owner, mut progress) = (Owner::new(config.lease_seconds), Progress::shown("closing"));
    loop {
        let has_worked = run::work(db, &in_force, owner, &|| false)?;
        let run = db.run_here(|conn| store::run(conn, id))?.ok_or("the run is gone")?;
        progress.begin(run.total);
        progress.at(run.progress.assessed, run.progress.assessed);
        if !run.status.is_open() {
            progress.end();
            writeln!(std::io::stdout(), "{}", distribution::table(&run, &active))?;
            return Ok(ExitCode::SUCCESS);
        }
        if !has_worked {
            thread::sleep(LOOK);
        }
    }
}
