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
use super::base::{self, Base};
use super::starting::Starting;
use crate::app::{self, State};
use crate::assessments::worker::{STACK, Workers};
use crate::config::Config;
use crate::db::local::LocalServer;
use crate::http::operation::Readiness;
use crate::identity::tokens::Tokens;
use crate::releases::active::InForce;

/// How often the private database is looked at.
const WATCH: Duration = Duration::from_secs(1);

/// Options of `baremo serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Folder of the pack to serve
    #[arg(long, value_name = "FOLDER")]
    pack: PathBuf,
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
        let signals = Signals::caught(&runtime)?;
        let (source, release) = base::load(&self.pack)?;
        let listener = TcpListener::bind(config.listen)
            .map_err(|error| format!("can't listen on {} (BAREMO_LISTEN): {error}", config.listen))?;
        let folder = config.data_folder.join(&release.pack.id);
        std::fs::create_dir_all(&folder).map_err(|error| format!("can't make {}: {error}", folder.display()))?;
        let tokens = Tokens::open(&folder.join("signing-key.pem"))?;
        let mut local = match &config.database_url {
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
    let stopping = Arc::new(AtomicBool::new(false));
    let (brought_up, up) = tokio::sync::oneshot::channel();
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
    handle.stop(true).await;
    serving.await??;
    state.workers.stop();
    if thread.join().is_err() {
        tracing::error!("starting ended by a panic");
    }
    result
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
