//! `baremo serve`: the private database where none is given, the base brought up to the pack, and the server until a signal
//! ends it.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;
use super::base::{self, Base, FailingCases, Folder};
use super::starting::Starting;
use crate::app::{self, State};
use crate::assessments::worker::{STACK, Workers};
use crate::config::Config;
use crate::db::local::LocalServer;
use crate::db::migrate::migrate;
use crate::db::{self, Db};
use crate::http::metrics::Metrics;
use crate::http::operation::Readiness;
use crate::http::streams::{MAX_STREAMS, Streams};
use crate::identity::access::Access;
use crate::imports::api::UploadLimit;
use crate::policy::diagnostic::Diagnostic;
use crate::releases::active::InForce;
use crate::releases::store;

/// How often the private database is looked at.
const WATCH: Duration = Duration::from_secs(1);

/// How often measurements are put into their histograms.
const TIDY: Duration = Duration::from_secs(5);

/// Options of `baremo serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Folder of the pack to serve; a new base gets its first release from it. May be left out where BAREMO_DATABASE_URL names a
    /// base that has one
    #[arg(long, value_name = "FOLDER")]
    pack: Option<PathBuf>,
    /// For development: bring the folder into force whenever it has changed and is without a fault
    #[arg(long, requires = "pack")]
    watch: bool,
}

/// What tells the service to stop, caught from the beginning: a private database that is being started is stopped again.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn caught(runtime: &Runtime) -> std::io::Result<Self> {
        let _entered = runtime.enter();
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! { _ = self.terminate.recv() => (), _ = self.interrupt.recv() => () }
    }
}

impl Serve {
    /// Serves until SIGINT or SIGTERM.
    pub fn run(self, config: &Config) -> Result<ExitCode, Failure> {
        let runtime = base::runtime()?;
        let mut signals = Signals::caught(&runtime)?;
        if self.watch && config.production {
            return Err(
                "--watch is an aid for development; BAREMO_PRODUCTION forbids it: 'baremo rules release' publishes"
                    .into(),
            );
        }
        let failing = if self.watch { FailingCases::Tell } else { FailingCases::Refuse };
        let folder = self.pack.as_deref().map(|folder| base::load(folder, failing));
        let pack_id = self.pack_id(config, folder.as_ref())?;
        let listener = TcpListener::bind(config.listen)
            .map_err(|error| format!("can't listen on {} (BAREMO_LISTEN): {error}", config.listen))?;
        let mut local = match (&config.database_url, &pack_id) {
            (None, Some(id)) => Some(LocalServer::start(&config.data_folder.join(id))?),
            _ => None,
        };
        let db = base::connect(config, local.as_ref(), runtime.handle())?;
        let pack_id = match pack_id {
            Some(id) => id,
            None => match runtime.block_on(pack_of(&db, &mut signals))? {
                Bound::To(id) => id,
                Bound::Not => return Err(self.refusal(folder.as_ref())),
                Bound::Stopped => return Ok(ExitCode::SUCCESS),
            },
        };
        let own = config.data_folder.join(&pack_id);
        std::fs::create_dir_all(&own).map_err(|error| format!("can't make {}: {error}", own.display()))?;
        let access = Access::new(base::cipher(config, &pack_id)?);
        let state = State {
            db,
            in_force: InForce::default(),
            access,
            proxies: config.trusted_proxies.clone(),
            workers: Workers::default(),
            readiness: Readiness::default(),
            metrics: Metrics::begin(config.metrics_token.as_ref())?,
            upload_limit: UploadLimit::megabytes(config.upload_megabytes),
            streams: Streams::new(MAX_STREAMS),
            limits: config.limits.clone(),
            origins: config.allowed_origins.clone(),
        };
        let watched = self.pack.filter(|_| self.watch);
        let base = Base { pack_id, folder, watched, private: local.is_some() };
        let result = runtime.block_on(serve(&state, listener, signals, config.clone(), base, &mut local));
        state.readiness.set(false);
        state.workers.stop();
        drop(state);
        runtime.shutdown_timeout(Duration::from_secs(5));
        if let Some(local) = local {
            local.stop()?;
        }
        result.map(|()| ExitCode::SUCCESS)
    }

    /// The id of the pack, as far as the folder says it. Refuses what can't be served: no folder, or one with faults, where no
    /// base is that may have a release.
    fn pack_id(
        &self,
        config: &Config,
        folder: Option<&Result<Folder, Vec<Diagnostic>>>,
    ) -> Result<Option<String>, Failure> {
        if let Some(Ok(folder)) = folder {
            return Ok(Some(folder.release.pack.id.clone()));
        }
        let id = self.pack.as_deref().and_then(base::pack_id);
        let is_filled = |id: &String| LocalServer::is_filled(&config.data_folder.join(id));
        if config.database_url.is_some() || id.as_ref().is_some_and(is_filled) {
            return Ok(id);
        }
        Err(self.refusal(folder))
    }

    /// Why a folder can't give a base its first release.
    fn refusal(&self, folder: Option<&Result<Folder, Vec<Diagnostic>>>) -> Failure {
        match (&self.pack, folder) {
            (Some(path), Some(Err(faults))) => base::told(path, faults).into(),
            _ => base::Error::NoRelease.into(),
        }
    }
}

/// To which pack a base is bound.
enum Bound {
    To(String),
    /// To none: it is new.
    Not,
    /// A signal came before the database.
    Stopped,
}

/// To which pack the base of a database is bound; waits while it is away.
async fn pack_of(db: &Db, signals: &mut Signals) -> db::Result<Bound> {
    loop {
        let found = tokio::select! {
            found = db.run(|conn| { migrate(conn)?; store::deployment(conn) }) => found,
            () = signals.next() => return Ok(Bound::Stopped),
        };
        match found {
            Ok(deployment) => return Ok(deployment.map_or(Bound::Not, |deployment| Bound::To(deployment.pack_id))),
            Err(error) if error.is_unavailable() => tracing::warn!(%error, "waiting for the database"),
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = tokio::time::sleep(WATCH) => {}
            () = signals.next() => return Ok(Bound::Stopped),
        }
    }
}

async fn serve(
    state: &State,
    listener: TcpListener,
    mut signals: Signals,
    config: Config,
    base: Base,
    local: &mut Option<LocalServer>,
) -> Result<(), Failure> {
    let address = listener.local_addr()?;
    let server = app::server(state, listener)?;
    let handle = server.handle();
    let serving = tokio::spawn(server);
    tracing::info!("starting on http://{address}");
    tokio::spawn(tidy(state.metrics.clone()));
    let stopping = Arc::new(AtomicBool::new(false));
    let (brought_up, up) = tokio::sync::oneshot::channel();
    let drain = config.drain;
    let starting = Starting { state: state.clone(), address, config, base, stopping: stopping.clone() };
    let thread = thread::Builder::new().name("start".to_owned()).stack_size(STACK).spawn(move || {
        // Nobody listens any more when the service was stopped while it started.
        let _ = brought_up.send(starting.bring_up());
    })?;
    let result: Result<(), Failure> = tokio::select! {
        up = up => match up {
            Ok(Ok(())) => { stopped(&mut signals, local).await; Ok(()) }
            Ok(Err(error)) => Err(error),
            Err(_) => Err("starting stopped unexpectedly".into()),
        },
        () = stopped(&mut signals, local) => Ok(()),
    };
    tracing::info!("stopping");
    stopping.store(true, Ordering::Release);
    state.readiness.set(false);
    if result.is_ok() {
        // Balancers see that it isn't ready before it stops to listen. Who asks a second time doesn't want to wait.
        tokio::select! { () = tokio::time::sleep(drain) => (), () = signals.next() => () }
    }
    state.streams.close();
    handle.stop(true).await;
    serving.await??;
    state.workers.stop();
    if thread.join().is_err() {
        tracing::error!("starting ended by a panic");
    }
    result
}

/// Keeps what has been measured small, whether somebody reads it or not.
async fn tidy(metrics: Metrics) {
    loop {
        tokio::time::sleep(TIDY).await;
        metrics.tidy();
    }
}

/// Waits for a signal. A private database that ends by itself meanwhile is started again.
async fn stopped(signals: &mut Signals, local: &mut Option<LocalServer>) {
    loop {
        tokio::select! {
            () = signals.next() => return,
            () = tokio::time::sleep(WATCH) => {}
        }
        match tokio::task::block_in_place(|| local.as_mut().map_or(Ok(false), LocalServer::revive)) {
            Ok(false) => {}
            Ok(true) => tracing::warn!("the private database had ended and was started again"),
            Err(error) => tracing::error!(%error, "the private database has ended and can't be started again"),
        }
    }
}
