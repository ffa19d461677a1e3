//! How the service comes up: the base is brought up to the pack, and the first start has administrator, sample and run. Every
//! step finds what it did before, so that a start which was cut off goes on at the next one, and waits while the database is away.
//! Where the pack's folder is watched, that goes on until the service stops.

use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::base::{self, Base};
use super::sample::load as sample;
use super::watch::Watch;
use super::{Failure, distribution};
use crate::Id;
use crate::app::{self, State};
use crate::assessments::model::RunStatus;
use crate::assessments::run::{self, Purpose};
use crate::assessments::store;
use crate::assessments::worker::STACK;
use crate::config::{Config, Secret};
use crate::csv_rows::Progress;
use crate::db::{self, transaction};
use crate::identity::error::Error as AccessError;
use crate::identity::model::ADMINISTRATOR;
use crate::identity::sign_in::ensure_administrator;

/// How often a step is tried again while the database is away.
const RETRY: Duration = Duration::from_secs(1);
/// How often the progress of a run is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What the service needs to come up.
pub struct Starting {
    /// The service.
    pub state: State,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its configuration.
    pub config: Config,
    /// What it serves.
    pub base: Base,
    /// Whether it is to stop before it is up.
    pub stopping: Arc<AtomicBool>,
}

impl Starting {
    /// Brings the service up and says when it is ready; comes back when nothing is left to do, or when it is to stop.
    pub fn bring_up(&self) -> Result<(), Failure> {
        let State { db, in_force, .. } = &self.state;
        let date = self.config.business_date;
        self.patiently(|| db.run_here(|conn| base::bring_up(conn, in_force, &self.base, date)))?;
        self.patiently(|| db.run_here(|conn| self.state.access.begin(conn)))?;
        self.administrator()?;
        self.sample()?;
        let first = self.first_run()?;
        self.patiently(|| {
            app::start_workers(&self.state, date, self.config.history_months, self.config.lease_seconds)
        })?;
        thread::scope(|scope| {
            if let Some(folder) = &self.base.watched {
                let read = self.base.folder.as_ref().and_then(|folder| Some(folder.as_ref().ok()?.source.clone()));
                let watch = Watch { folder, state: &self.state, business_date: date, stopping: &self.stopping };
                let thread = thread::Builder::new().name("watch".to_owned()).stack_size(STACK);
                thread.spawn_scoped(scope, move || watch.run(read))?;
            }
            // Who watches comes back when there is nobody to watch for any more.
            self.serve(first).inspect_err(|_| self.stopping.store(true, Ordering::Release))
        })
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Does a step, again and again while the database is away.
    fn patiently<T, E: db::Failure + Display>(&self, mut step: impl FnMut() -> Result<T, E>) -> Result<T, E> {
        loop {
            match step() {
                Err(error) if !self.stopping() && error.database().is_some_and(db::Error::is_unavailable) => {
                    tracing::warn!(%error, "waiting for the database");
                    thread::sleep(RETRY);
                }
                result => return result,
            }
        }
    }

    fn ready(&self) {
        self.state.readiness.set(true);
        let address = self.address;
        tracing::info!("serving on http://{address}, API documentation at http://{address}/docs");
    }

    fn administrator(&self) -> Result<(), Failure> {
        let password = self.config.admin_password.as_ref();
        self.patiently(|| {
            self.state.db.run_here(|conn| {
                transaction(conn, |conn| {
                    let made_up = ensure_administrator(conn, password)?;
                    // Before the commit: no administrator may remain whose password nobody was told.
                    let told = made_up.map_or(Ok(()), |password| tell(&password));
                    told.map_err(|error| db::Error::Stopped(format!("the password can't be shown: {error}")))?;
                    Ok::<_, AccessError>(())
                })
            })
        })?;
        Ok(())
    }

    /// Loads the pack's sample into an empty base: always into a private one, on demand into one's own.
    fn sample(&self) -> Result<bool, Failure> {
        let State { db, in_force, .. } = &self.state;
        if !(self.base.private || self.config.load_sample) || !self.patiently(|| db.run_here(sample::is_wanted))? {
            return Ok(false);
        }
        let in_force_now = in_force.get().map(|active| active.basis.release);
        let folder = self.base.folder.as_ref().and_then(|folder| folder.as_ref().ok());
        let Some(folder) = folder.filter(|folder| Some(folder.release.digest) == in_force_now) else {
            return Ok(false);
        };
        Ok(self.patiently(|| sample::load(db, in_force, folder, &self.config))?)
    }

    /// Whether nobody has ever been assessed: then all policies are closed, so that outcomes stand. Else a run follows the rules in
    /// force, if none has yet.
    fn first_run(&self) -> Result<bool, Failure> {
        let State { db, in_force, .. } = &self.state;
        let Some(active) = in_force.get() else { return Ok(false) };
        Ok(self.patiently(|| {
            db.run_here(|conn| {
                if store::runs_page(conn, None, 1)?.is_empty() && store::count_active(conn)? > 0 {
                    run::create(conn, &active, Purpose::Close)?;
                    return Ok(true);
                }
                run::follow(conn, &active).map(|_| false)
            })
        })?)
    }

    /// Says that the service is ready, after the first run where nobody has ever been assessed. The newest run is followed to its
    /// end, where it is open, and its distribution shown.
    fn serve(&self, first: bool) -> Result<(), Failure> {
        if !first {
            self.ready();
        }
        let newest = self.patiently(|| self.state.db.run_here(|conn| store::runs_page(conn, None, 1)))?.pop();
        if let Some(run) = newest.filter(|run| run.status.is_open()) {
            self.follow(run.id)?;
        }
        if first && !self.stopping() {
            self.ready();
        }
        Ok(())
    }

    /// Follows a run to its end and shows its distribution.
    fn follow(&self, id: Id) -> Result<(), Failure> {
        let State { db, in_force, .. } = &self.state;
        let mut progress = Progress::shown("assessing");
        loop {
            let Some(run) = self.patiently(|| db.run_here(|conn| store::run(conn, id)))? else { return Ok(()) };
            progress.begin(run.total);
            progress.at(run.progress.assessed, run.progress.assessed);
            if !run.status.is_open() || self.stopping() {
                progress.end();
                if run.status == RunStatus::Finished
                    && let Some(active) = in_force.get()
                {
                    writeln!(std::io::stdout(), "{}", distribution::table(&run, &active))?;
                }
                return Ok(());
            }
            thread::sleep(LOOK);
        }
    }
}

/// Shows the password that was made up.
fn tell(password: &Secret) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nAdministrator: {ADMINISTRATOR}")?;
    writeln!(out, "One-time password: {}", password.reveal())?;
    writeln!(out, "It is shown this once. BAREMO_ADMIN_PASSWORD sets it instead on a first start.\n")
}
