//! `baremo serve`: the private database where none is given, the base brought up to the pack, the first start's sample,
//! administrator and run, and the server until a signal ends it.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::base::{self, Base};
use super::distribution;
use super::sample;
use crate::app::{self, State};
use crate::assessments::model::RunStatus;
use crate::assessments::worker::Workers;
use crate::assessments::{self, run};
use crate::config::Config;
use crate::db::local::LocalServer;
use crate::http::operation::Readiness;
use crate::identity::model::ADMINISTRATOR;
use crate::identity::sign_in::ensure_administrator;
use crate::identity::tokens::Tokens;
use crate::releases::active::InForce;

/// How often starting is tried again while the database is away.
const RETRY: Duration = Duration::from_secs(2);
/// How often the progress of the first run is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Options of `baremo serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Folder of the pack to serve
    #[arg(long, value_name = "FOLDER")]
    pack: PathBuf,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Serve {
    /// Serves until SIGINT or SIGTERM.
    pub fn run(self, config: &Config) -> Result<ExitCode, Failure> {
        let runtime = base::runtime()?;
        let (source, release) = base::load(&self.pack)?;
        let listener = TcpListener::bind(config.listen)
            .map_err(|error| format!("can't listen on {} (BAREMO_LISTEN): {error}", config.listen))?;
        let folder = config.data_folder.join(&release.pack.id);
        std::fs::create_dir_all(&folder).map_err(|error| format!("can't make {}: {error}", folder.display()))?;
        let tokens = Tokens::open(&folder.join("signing-key.pem"))?;
        let local = match &config.database_url {
            Some(_) => None,
            None => Some(LocalServer::start(&folder)?),
        };
        let db = base::connect(config, local.as_ref(), runtime.handle())?;
        let state = State {
            db,
            in_force: InForce::default(),
            tokens,
            workers: Workers::default(),
            readiness: Readiness::default(),
        };
        let base = Base { source, release: Arc::new(release), private: local.is_some() };
        let result = runtime.block_on(serve(&state, listener, config.clone(), base));
        state.readiness.set(false);
        state.workers.stop();
        drop(state);
        runtime.shutdown_timeout(Duration::from_secs(5));
        if let Some(local) = local {
            local.stop()?;
        }
        result.map(|()| ExitCode::SUCCESS)
    }
}

async fn serve(state: &State, listener: TcpListener, config: Config, base: Base) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let address = listener.local_addr()?;
    let server = app::server(state, listener)?;
    let handle = server.handle();
    let serving = tokio::spawn(server);
    let stopping = Arc::new(AtomicBool::new(false));
    let (brought_up, up) = tokio::sync::oneshot::channel();
    let starting = Starting { state: state.clone(), config, base, stopping: stopping.clone() };
    let thread =
        thread::Builder::new().name("start".to_owned()).stack_size(assessments::worker::STACK).spawn(move || {
            // Nobody listens any more when the service was stopped while it started.
            let _ = brought_up.send(starting.bring_up());
        })?;
    let mut result: Result<(), Failure> = Ok(());
    let signalled = async {
        tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
    };
    tokio::pin!(signalled);
    tokio::select! {
        up = up => match up {
            Ok(Ok(())) => {
                tracing::info!("serving on http://{address}, API documentation at http://{address}/docs");
                signalled.await;
            }
            Ok(Err(error)) => result = Err(error),
            Err(_) => result = Err("starting stopped unexpectedly".into()),
        },
        () = &mut signalled => {}
    }
    tracing::info!("stopping");
    stopping.store(true, Ordering::Release);
    state.readiness.set(false);
    handle.stop(true).await;
    serving.await??;
    state.workers.stop();
    if thread.join().is_err() {
        tracing::error!("starting ended by a panic");
    }
    result
}

/// What the service needs to come up.
struct Starting {
    state: State,
    config: Config,
    base: Base,
    stopping: Arc<AtomicBool>,
}

impl Starting {
    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Brings the base up, waiting for a database that is away, and sets the service ready.
    fn bring_up(&self) -> Result<(), Failure> {
        let State { db, in_force, .. } = &self.state;
        let changed = loop {
            match db.run_here(|conn| base::bring_up(conn, in_force, &self.base, self.config.business_date)) {
                Ok(changed) => break changed,
                Err(error) if base::is_away(&error) && !self.stopping() => {
                    tracing::warn!(%error, "waiting for the database");
                    thread::sleep(RETRY);
                }
                Err(error) => return Err(error.into()),
            }
        };
        self.administrator()?;
        let loaded = self.sample()?;
        self.state.workers.start(db, in_force, self.config.business_date)?;
        if changed || loaded {
            self.full_run()?;
        }
        self.state.readiness.set(true);
        Ok(())
    }

    fn administrator(&self) -> Result<(), Failure> {
        let password = self.config.admin_password.as_ref();
        if let Some(made_up) = self.state.db.run_here(|conn| ensure_administrator(conn, password))? {
            let mut out = std::io::stdout().lock();
            writeln!(out, "\nAdministrator: {ADMINISTRATOR}")?;
            writeln!(out, "One-time password: {}", made_up.reveal())?;
            writeln!(out, "It is shown this once. BAREMO_ADMIN_PASSWORD sets it instead on a first start.\n")?;
        }
        Ok(())
    }

    /// Loads the pack's sample into an empty base: always into a private one, on demand into one's own.
    fn sample(&self) -> Result<bool, Failure> {
        let State { db, in_force, .. } = &self.state;
        if !(self.base.private || self.config.load_sample) || !db.run_here(base::is_empty)? {
            return Ok(false);
        }
        sample::load(db, in_force, &self.base, self.config.business_date)
    }

    /// A full run with a new cohort, followed to its end, and its distribution as a table.
    fn full_run(&self) -> Result<(), Failure> {
        let State { db, in_force, workers, .. } = &self.state;
        let Some(active) = in_force.get() else { return Ok(()) };
        let id = match db.run_here(|conn| run::create(conn, &active, true)) {
            Ok(run) => run.id,
            Err(run::Error::Open(open)) => open,
            Err(error) => return Err(error.into()),
        };
        workers.wake();
        let mut progress = crate::csv_rows::Progress::shown("assessing");
        loop {
            let Some(run) = db.run_here(|conn| assessments::store::run(conn, id))? else { return Ok(()) };
            progress.begin(run.total);
            progress.at(run.progress.assessed, run.progress.assessed);
            if !run.status.is_open() {
                progress.end();
                if run.status == RunStatus::Finished
                    && let Some(active) = in_force.get()
                {
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "{}", distribution::table(&run, &active))?;
                }
                return Ok(());
            }
            if self.stopping() {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
    }
}
