//! What several subcommands need: a loaded pack, a connection to the base, and the base brought up to the pack.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use diesel::prelude::*;
use jiff::civil::Date;
use tokio::runtime::{Builder, Handle, Runtime};

use super::Failure;
use crate::assessments::activation::{self, Activated, Closes, Order};
use crate::assessments::day;
use crate::assessments::worker::STACK;
use crate::config::Config;
use crate::customers::evolution::{self, Evolution};
use crate::db::local::LocalServer;
use crate::db::migrate::migrate;
use crate::db::schema::customers::dsl;
use crate::db::{self, Conn, Db, nodes};
use crate::identity::keys::Cipher;
use crate::identity::secret;
use crate::policy::cases::{self, CaseResult};
use crate::policy::diagnostic::Diagnostic;
use crate::policy::manifest;
use crate::policy::release::{LoadedPack, check};
use crate::policy::source::{MANIFEST, Source, manifest_in};
use crate::releases::active::InForce;
use crate::releases::start;

/// Name of the database on a private server.
const DATABASE: &str = "baremo";

/// A pack's folder without any fault.
pub struct Folder {
    /// The files.
    pub source: Source,
    /// The release that they make.
    pub release: Arc<LoadedPack>,
}

/// What a service serves.
pub struct Base {
    /// The pack's id.
    pub pack_id: String,
    /// The pack's folder, where one is given: without a fault, or the faults.
    pub folder: Option<Result<Folder, Vec<Diagnostic>>>,
    /// The folder, where a change of it comes into force by itself.
    pub watched: Option<PathBuf>,
    /// Whether the base is Baremo's own.
    pub private: bool,
}

/// Why a base can't be brought up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing has ever been in force, and the folder can't be.
    #[error("{0}")]
    Faults(String),
    /// Nothing has ever been in force, and there is no folder.
    #[error(
        "no release to serve: '--pack <folder>' gives a base its first, and may be left out where BAREMO_DATABASE_URL names a base \
         that has one"
    )]
    NoRelease,
    /// The release, the basis or the database.
    #[error(transparent)]
    Start(#[from] start::Error),
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        Self::Start(error.into())
    }
}

impl db::Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        if let Self::Start(error) = self { error.database() } else { None }
    }
}

/// The runtime whose blocking threads run use cases; their stacks are large enough for any script.
pub fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build()
}

/// What a case that fails means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailingCases {
    /// The pack is not brought into force.
    Refuse,
    /// The log tells it: who tries a rule out changes its cases afterwards.
    Tell,
}

/// Reads a pack's folder and examines it.
pub fn load(folder: &Path, failing: FailingCases) -> Result<Folder, Vec<Diagnostic>> {
    Source::from_folder(folder).and_then(|source| examine(source, failing))
}

/// Checks what was read from a folder and runs its cases. A pack with a fault is never brought into force.
pub fn examine(source: Source, failing: FailingCases) -> Result<Folder, Vec<Diagnostic>> {
    let stopped = |why: String| vec![Diagnostic::of_file("", "stopped", why)];
    let work = thread::Builder::new().stack_size(STACK).spawn(move || {
        let release = check(&source)?;
        let report = cases::run(&release, &source)?;
        let failures: Vec<Diagnostic> = report.failures().map(|case| failure(&source, case)).collect();
        if !failures.is_empty() && failing == FailingCases::Refuse {
            return Err(failures);
        }
        failures.iter().for_each(|failure| tracing::warn!("a case fails: {failure}"));
        Ok(Folder { source, release: Arc::new(release) })
    });
    let work = work.map_err(|error| stopped(format!("no thread can be started: {error}")))?;
    work.join().unwrap_or_else(|_| Err(stopped("checking the pack stopped unexpectedly".to_owned())))
}

fn failure(source: &Source, case: &CaseResult) -> Diagnostic {
    let message = format!("the case '{}' fails: {}", case.name, case.differences.join("; "));
    Diagnostic::at(&case.file, source.file(&case.file).unwrap_or_default(), case.line, 1, "case", message)
}

/// All faults of a pack, for people.
pub fn told(folder: &Path, faults: &[Diagnostic]) -> String {
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    format!("the pack {} has faults:\n\n{}", folder.display(), texts.join("\n\n"))
}

/// The id of the pack in a folder, whatever else is wrong with it.
pub fn pack_id(folder: &Path) -> Option<String> {
    manifest::pack_id(&manifest_in(folder)?)
}

/// The database of the configuration, or the one on the private server, which is made when it is missing.
pub fn connect(config: &Config, local: Option<&LocalServer>, threads: &Handle) -> Result<Db, db::Error> {
    let url = match (&config.database_url, local) {
        (Some(url), _) => url.reveal().to_owned(),
        (None, Some(local)) => {
            let mut conn =
                Conn::establish(&local.url("")).map_err(|error| db::Error::Unavailable(error.to_string()))?;
            db::create_database(&mut conn, DATABASE)?;
            local.url(DATABASE)
        }
        (None, None) => return Err(db::Error::Unavailable("no database is configured".to_owned())),
    };
    let url = nodes::open(&url, threads).map_err(|error| db::Error::Stopped(format!("connecting: {error}")))?;
    Ok(Db::new(&url, config.database_connections, threads.clone()))
}

/// The cipher of the signing keys: under the configured secret, or the one in the base's own folder.
pub fn cipher(config: &Config, pack_id: &str) -> Result<Cipher, Failure> {
    let secret = match &config.key_secret {
        Some(secret) => secret.clone(),
        None => secret::in_file(&config.data_folder.join(pack_id).join("key-secret"))?,
    };
    Ok(Cipher::new(&secret)?)
}

/// Does the work of a command that may run beside the service, on the base of a pack: in the configured database, or in the
/// private one, whose server is started and stopped where none runs.
pub fn beside<T>(config: &Config, pack_id: &str, work: impl FnOnce(&Db) -> Result<T, Failure>) -> Result<T, Failure> {
    let runtime = runtime()?;
    let local = match &config.database_url {
        Some(_) => None,
        None => Some(LocalServer::join(&config.data_folder.join(pack_id))?),
    };
    let result = connect(config, local.as_ref(), runtime.handle()).map_err(Failure::from).and_then(|db| work(&db));
    if let Some(local) = local {
        local.stop()?;
    }
    result
}

/// Migrates the base and sees to it that a release is in force: the folder's in a new base and where the folder is watched, else
/// the last one of the base, which a folder with faults makes stale. What is cut off is done at the next time.
pub fn bring_up(conn: &mut Conn, in_force: &InForce, base: &Base, business_date: Option<Date>) -> Result<(), Error> {
    let applied = migrate(conn)?;
    if applied > 0 {
        tracing::info!(applied, "migrated the database");
    }
    let is_new = start::is_new(conn)?;
    match &base.folder {
        None if is_new => return Err(Error::NoRelease),
        None => {}
        Some(Err(faults)) if is_new => {
            return Err(Error::Faults(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")));
        }
        Some(Err(faults)) => {
            start::check_pack(conn, &base.pack_id)?;
            in_force.mark_stale(faults.clone());
        }
        Some(Ok(folder)) => match is_change(conn, &folder.release) {
            Err(refusal @ start::Error::AnotherSetting { .. }) if !is_new => {
                in_force.mark_stale(vec![of_manifest(&refusal)]);
            }
            Err(error) => return Err(error.into()),
            Ok(true) if is_new || base.watched.is_some() => return Ok(publish(conn, in_force, folder, business_date)?),
            Ok(true) => {
                let path = folder.source.folder().unwrap_or(Path::new("")).display();
                tracing::info!(
                    release = %folder.release.digest,
                    "the folder holds another release than the one in force; 'baremo rules release {path}' publishes it"
                );
            }
            Ok(false) => {}
        },
    }
    Ok(day::follow(conn, in_force, business_date)?)
}

/// For commands that work beside the service: a new base is brought up to the folder; in another one its release must be in
/// force already, and the base's business date holds.
pub fn follow(
    conn: &mut Conn,
    in_force: &InForce,
    folder: &Folder,
    business_date: Option<Date>,
) -> Result<(), start::Error> {
    migrate(conn)?;
    if start::is_new(conn)? {
        return activate(conn, in_force, folder, Closes::Now, business_date).map(drop);
    }
    if is_change(conn, &folder.release)? {
        return Err(start::Error::NotInForce(folder.release.digest));
    }
    Ok(in_force.refresh(conn)?)
}

/// Brings a folder into force, and tells the log what becomes of the values that are stored.
pub fn publish(
    conn: &mut Conn,
    in_force: &InForce,
    folder: &Folder,
    business_date: Option<Date>,
) -> Result<(), start::Error> {
    let evolution = evolution(conn, in_force, folder)?;
    if !evolution.is_empty() {
        tracing::warn!("the fields of customers change:\n{evolution}");
    }
    activate(conn, in_force, folder, Closes::Now, business_date).map(drop)
}

/// What the folder's fields mean for the values that are stored.
pub fn evolution(conn: &mut Conn, in_force: &InForce, folder: &Folder) -> db::Result<Evolution> {
    in_force.refresh(conn)?;
    let before = in_force.get().map(|active| active.release.pack.fields.clone());
    evolution::compare(conn, &before.unwrap_or_default(), &folder.release.pack.fields)
}

/// Puts a folder's release in force.
pub fn activate(
    conn: &mut Conn,
    in_force: &InForce,
    folder: &Folder,
    order: impl Into<Order>,
    business_date: Option<Date>,
) -> Result<Activated, start::Error> {
    activation::activate(conn, in_force, (&folder.source, &folder.release), order, business_date)
}

/// Whether the base rests on another release than this one. Binds a new base to the pack; refuses that of another pack.
pub fn is_change(conn: &mut Conn, release: &LoadedPack) -> Result<bool, start::Error> {
    not_overtaken(|| start::is_change(conn, release))
}

/// Does a step again as long as other processes come first.
fn not_overtaken<T>(mut step: impl FnMut() -> Result<T, start::Error>) -> Result<T, start::Error> {
    loop {
        match step() {
            Err(start::Error::Overtaken) => tracing::debug!("another process changed the basis; looking at it again"),
            result => return result,
        }
    }
}

/// A refusal of what a manifest says, as a fault of it.
pub fn of_manifest(refusal: &start::Error) -> Diagnostic {
    Diagnostic::of_file(MANIFEST, "refused", refusal.to_string())
}

/// Whether the base has no customers yet.
pub fn is_empty(conn: &mut Conn) -> db::Result<bool> {
    Ok(dsl::customers.select(dsl::id).first::<crate::Id>(conn).optional()?.is_none())
}
