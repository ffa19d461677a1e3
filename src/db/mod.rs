//! The database: the connection pool, transactions with retry, and the one way in which requests and workers reach it.

pub mod bulk;
pub mod error;
pub mod id;
pub mod local;
pub mod migrate;
pub mod nodes;
pub mod schema;
pub mod subjects;
mod turns;

use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::mysql::MysqlConnection;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

pub use error::{Error, Result};
pub use subjects::Subjects;
use turns::Turns;

/// A connection, as stores and use cases take it.
pub type Conn = MysqlConnection;

/// How often a transaction is tried when the database cuts it off.
const ATTEMPTS: u32 = 5;
/// A Galera node that cuts a transaction off between two statements doesn't always say so to the next one, which would then stand for
/// itself. So nothing commits by itself within a transaction, and only one that still has its savepoint is committed.
const BEGIN: &str = "SET autocommit = 0; START TRANSACTION; SAVEPOINT begun";
const COMMIT: &str = "RELEASE SAVEPOINT begun; COMMIT; SET autocommit = 1";
const ROLLBACK: &str = "ROLLBACK; SET autocommit = 1";
/// How long a caller waits for his turn, and then for a connection that works.
pub const WAIT: Duration = Duration::from_secs(5);
/// Most use cases that wait for a turn to compute.
const MOST_WAITING: usize = 64;
/// How many tables ahead the database plans a join.
const JOINS_PLANNED: u32 = 4;
/// How long a transaction that has written may stand still between two statements before the database rolls it back, in seconds.
const IDLE_SECONDS: u32 = 10;
/// Longest time that a statement of the service may take. With the waiting before it, it ends before the request's own time does.
pub const STATEMENT_TIME: Duration = Duration::from_secs(45);

/// The pool, and the threads on which use cases run. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    pool: Pool<ConnectionManager<Conn>>,
    threads: Handle,
    /// As many as there are connections.
    connected: Turns,
    /// As many as there are processors.
    computing: Turns,
}

/// An error of a use case that may have come from the database.
pub trait Failure: From<Error> {
    /// The database's part in it.
    fn database(&self) -> Option<&Error>;
}

impl Failure for Error {
    fn database(&self) -> Option<&Error> {
        Some(self)
    }
}

impl Db {
    /// A pool of at most `connections`; use cases run on the blocking threads of `threads`, whose stacks must be 16 MiB.
    /// Connects when it is first used, so that a database that is away at start is an error of requests, not of the start.
    pub fn new(url: &str, connections: u32, threads: Handle) -> Self {
        let pool = Pool::builder()
            .max_size(connections)
            .min_idle(Some(0))
            .connection_timeout(WAIT)
            .idle_timeout(Some(Duration::from_secs(300)))
            .connection_customizer(Box::new(Session))
            .error_handler(Box::new(QuietHandler))
            .build_unchecked(ConnectionManager::new(url));
        let connected = Turns::new(connections.try_into().unwrap_or(usize::MAX), Semaphore::MAX_PERMITS);
        let computing = Turns::new(thread::available_parallelism().map_or(1, usize::from), MOST_WAITING);
        Self { pool, threads, connected, computing }
    }

    /// Runs a use case on a thread where it may block and evaluate scripts, as soon as it is its turn to have a connection. Once it has
    /// begun, it runs to its end even when the caller goes away.
    pub async fn run<T, E, F>(&self, work: F) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: Failure + Send + 'static,
        F: FnOnce(&mut Conn) -> std::result::Result<T, E> + Send + 'static,
    {
        let wait = || Error::Unavailable("no connection came free in time".to_owned());
        let turn = self.connected.take(WAIT).await.ok_or_else(wait)?;
        let db = self.clone();
        self.on_a_thread(turn, move || db.run_here(work)).await?
    }

    /// Runs a use case that reads first and then computes for long: `compute` runs without a connection, which others may need
    /// meanwhile, and only as many at once as there are processors.
    pub async fn run_then<R, T, E, F, G>(&self, read: F, compute: G) -> std::result::Result<T, E>
    where
        R: Send + 'static,
        T: Send + 'static,
        E: Failure + Send + 'static,
        F: FnOnce(&mut Conn) -> std::result::Result<R, E> + Send + 'static,
        G: FnOnce(R) -> T + Send + 'static,
    {
        let read = self.run(read).await?;
        let turn = self.computing.take(WAIT).await.ok_or(Error::Busy)?;
        Ok(self.on_a_thread(turn, move || compute(read)).await?)
    }

    /// Does `work` on a blocking thread. The turn ends with it.
    async fn on_a_thread<T: Send + 'static>(
        &self,
        turn: OwnedSemaphorePermit,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let span = tracing::Span::current();
        let work = move || {
            let _turn = turn;
            span.in_scope(work)
        };
        // Without the message of a panic, which may hold values.
        let why = |stopped: JoinError| if stopped.is_panic() { "it panicked" } else { "it was cancelled" };
        self.threads.spawn_blocking(work).await.map_err(|stopped| Error::Stopped(why(stopped).to_owned()))
    }

    /// Connections of the pool: busy ones, idle ones, and how many there may be.
    pub fn connections(&self) -> (u32, u32, u32) {
        let state = self.pool.state();
        (state.connections.saturating_sub(state.idle_connections), state.idle_connections, self.pool.max_size())
    }

    /// Runs a use case whose end nobody waits for. A failure is logged.
    pub fn run_apart<E, F>(&self, work: F)
    where
        E: Failure + std::fmt::Display,
        F: FnOnce(&mut Conn) -> std::result::Result<(), E> + Send + 'static,
    {
        let (db, span) = (self.clone(), tracing::Span::current());
        self.threads.spawn_blocking(move || {
            let _entered = span.enter();
            if let Err(error) = db.run_here(work) {
                tracing::warn!(%error, "work that nobody waits for failed");
            }
        });
    }

    /// Runs a use case on the caller's own thread.
    pub fn run_here<T, E: Failure>(
        &self,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let mut conn = self.pool.get().map_err(|error| Error::Unavailable(error.to_string()))?;
        work(&mut conn)
    }
}

/// Runs `work` in a transaction, and again when the database cuts it off by a deadlock, a lock timeout or a failed
/// certification. `work` must therefore change nothing but the database. Anything else rolls back.
pub fn transaction<T, E: Failure>(
    conn: &mut Conn,
    mut work: impl FnMut(&mut Conn) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let pause = |attempt: u32| Duration::from_millis(u64::from(5 * attempt * attempt));
    unless_cut_off(ATTEMPTS, pause, || try_transaction(conn, &mut work))
}

/// Does `work`, and again after a pause, as often as that, while the database cuts it off.
fn unless_cut_off<T, E: Failure>(
    attempts: u32,
    pause: impl Fn(u32) -> Duration,
    mut work: impl FnMut() -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let mut attempt = 1;
    loop {
        match work() {
            Err(error) if attempt < attempts && error.database().is_some_and(Error::is_transient) => {
                tracing::debug!(attempt, "the database cut something off; trying again");
                thread::sleep(pause(attempt));
                attempt += 1;
            }
            result => return result,
        }
    }
}

fn try_transaction<T, E: Failure>(
    conn: &mut Conn,
    work: &mut impl FnMut(&mut Conn) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    if let Err(error) = conn.batch_execute(BEGIN) {
        roll_back(conn);
        return Err(Error::from(error).into());
    }
    match work(conn) {
        Ok(value) => match conn.batch_execute(COMMIT).map_err(Error::from) {
            Ok(()) => Ok(value),
            Err(error) => {
                roll_back(conn);
                Err(error.during_commit().into())
            }
        },
        Err(error) => {
            roll_back(conn);
            Err(error)
        }
    }
}

/// Also after a lock timeout, which undoes a single statement and leaves the rest of the transaction open. Twice where it is only now told
/// that the transaction was cut off.
fn roll_back(conn: &mut Conn) {
    if let Err(error) = conn.batch_execute(ROLLBACK).or_else(|_| conn.batch_execute(ROLLBACK)) {
        tracing::debug!(%error, "rolling back failed; the connection is given up");
    }
}

/// Runs `work` so that all its reads see one state of the database.
pub fn snapshot<T, E: Failure>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    conn.batch_execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION WITH CONSISTENT SNAPSHOT")
        .map_err(Error::from)?;
    let result = work(conn);
    roll_back(conn);
    result
}

#[derive(Debug)]
struct Session;

impl CustomizeConnection<Conn, diesel::r2d2::Error> for Session {
    fn on_acquire(&self, conn: &mut Conn) -> std::result::Result<(), diesel::r2d2::Error> {
        set_session(conn).map_err(diesel::r2d2::Error::QueryError)
    }
}

/// One state for every connection, whatever the server's defaults are.
pub fn set_session(conn: &mut Conn) -> diesel::QueryResult<()> {
    conn.batch_execute(
        "SET NAMES utf8mb4 COLLATE utf8mb4_bin, time_zone = '+00:00', innodb_lock_wait_timeout = 5, \
         sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,ONLY_FULL_GROUP_BY'; \
         SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    )?;
    // A list with many filters joins many tables: looking for the best order of all would take longer than any order.
    conn.batch_execute(&format!("SET optimizer_search_depth = {JOINS_PLANNED}"))?;
    // Who was stopped within a transaction would keep its locks from everybody else for hours, also when it has only locked rows and
    // written none yet. MySQL doesn't know such a limit.
    let idle = conn.batch_execute(&format!("SET idle_transaction_timeout = {IDLE_SECONDS}"));
    if let Err(error) = idle {
        tracing::debug!(%error, "the database doesn't end transactions that stand still");
    }
    // The two dialects name the limit differently, and each refuses the other's name.
    conn.batch_execute(&format!("SET max_statement_time = {}", STATEMENT_TIME.as_secs()))
        .or_else(|_| conn.batch_execute(&format!("SET max_execution_time = {}", STATEMENT_TIME.as_millis())))?;
    // A node of a Galera cluster first applies what the others had committed before a transaction or a single statement came: leases,
    // sequences and the basis are read on one node and written on another. Who knows no Galera refuses the setting.
    if let Err(error) = conn.batch_execute("SET wsrep_sync_wait = 7") {
        tracing::trace!(%error, "no Galera");
    }
    Ok(())
}

/// The pool's own threads report nothing: who waits for a connection gets the error, and logs it with what he wanted.
#[derive(Debug)]
struct QuietHandler;

impl<E: std::fmt::Display> diesel::r2d2::HandleError<E> for QuietHandler {
    fn handle_error(&self, error: E) {
        tracing::debug!(%error, "a connection to the database could not be made");
    }
}

/// Makes a database, if there is none of this name yet. The name comes from the program, never from input.
pub fn create_database(conn: &mut Conn, name: &str) -> Result<()> {
    Ok(conn
        .batch_execute(&format!("CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"))?)
}

/// Asks the database for a sign of life.
pub fn ping(conn: &mut Conn) -> Result<()> {
    Ok(conn.batch_execute("SELECT 1")?)
}
