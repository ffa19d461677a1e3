//! What several subcommands need: a loaded pack, a connection to the base, and the base brought up to the pack.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use diesel::prelude::*;
use jiff::civil::Date;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::assessments::worker::STACK;
use crate::config::Config;
use crate::customers;
use crate::db::local::LocalServer;
use crate::db::migrate::migrate;
use crate::db::schema::customers::dsl;
use crate::db::{self, Conn, Db};
use crate::policy::cases;
use crate::policy::diagnostic::Diagnostic;
use crate::policy::release::{LoadedPack, check};
use crate::policy::source::Source;
use crate::releases::active::InForce;
use crate::releases::start;

/// Name of the database on a private server.
const DATABASE: &str = "baremo";

/// A pack's folder, loaded, and whose the base is.
pub struct Base {
    /// The files.
    pub source: Source,
    /// The release that they make.
    pub release: Arc<LoadedPack>,
    /// Whether the base is Baremo's own.
    pub private: bool,
}

/// The runtime whose blocking threads run use cases; their stacks are large enough for any script.
pub fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build()
}

/// Reads a pack's folder, checks it and runs its cases. The error lists every fault, or every case that fails: such a pack is
/// never brought into force.
pub fn load(folder: &Path) -> Result<(Source, LoadedPack), String> {
    thread::scope(|scope| {
        let work = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || load_here(folder));
        let work = work.map_err(|error| format!("no thread can be started: {error}"))?;
        work.join().unwrap_or_else(|_| Err(format!("loading the pack {} stopped unexpectedly", folder.display())))
    })
}

fn load_here(folder: &Path) -> Result<(Source, LoadedPack), String> {
    let listed = |faults: Vec<Diagnostic>| {
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        format!("the pack {} has faults:\n\n{}", folder.display(), texts.join("\n\n"))
    };
    let source = Source::from_folder(folder).map_err(listed)?;
    let release = check(&source).map_err(listed)?;
    let report = cases::run(&release, &source).map_err(listed)?;
    let failures: Vec<String> = report
        .failures()
        .map(|case| format!("{}:{}: {}\n    {}", case.file, case.line, case.name, case.differences.join("\n    ")))
        .collect();
    if failures.is_empty() {
        Ok((source, release))
    } else {
        Err(format!("cases of the pack {} fail:\n\n{}", folder.display(), failures.join("\n")))
    }
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
    Ok(Db::new(&url, config.database_connections, threads.clone()))
}

/// Migrates the base and brings the pack into force. What is cut off is done at the next time.
pub fn bring_up(
    conn: &mut Conn,
    in_force: &InForce,
    base: &Base,
    business_date: Option<Date>,
) -> Result<(), start::Error> {
    let applied = migrate(conn)?;
    if applied > 0 {
        tracing::info!(applied, "migrated the database");
    }
    loop {
        match put_in_force(conn, in_force, base, business_date) {
            Err(start::Error::Overtaken) => tracing::debug!("another process changed the basis; looking at it again"),
            result => return result,
        }
    }
}

/// For commands that work beside the service: a new base is brought up to the pack; in another one the release of the folder
/// must be in force already, and its business date holds.
pub fn follow(
    conn: &mut Conn,
    in_force: &InForce,
    base: &Base,
    business_date: Option<Date>,
) -> Result<(), start::Error> {
    migrate(conn)?;
    if start::is_new(conn)? {
        return bring_up(conn, in_force, base, business_date);
    }
    if start::is_change(conn, &base.release)? {
        return Err(start::Error::NotInForce(base.release.digest));
    }
    Ok(in_force.refresh(conn)?)
}

fn put_in_force(
    conn: &mut Conn,
    in_force: &InForce,
    base: &Base,
    business_date: Option<Date>,
) -> Result<(), start::Error> {
    if start::is_change(conn, &base.release)? {
        // Before the release is in force, so that what is cut off is done again.
        in_force.refresh(conn)?;
        let active = in_force.get();
        let fields = active.as_ref().map(|active| &*active.release.pack.fields);
        customers::store::reindex(conn, fields, &base.release.pack.fields)?;
    }
    start::start(conn, in_force, &base.source, &base.release, business_date)
}

/// Whether the base has no customers yet.
pub fn is_empty(conn: &mut Conn) -> db::Result<bool> {
    Ok(dsl::customers.select(dsl::id).first::<crate::Id>(conn).optional()?.is_none())
}
