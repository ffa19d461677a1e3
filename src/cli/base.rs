//! What several subcommands need: a loaded pack, a connection to the base, and the base brought up to the pack.

use std::path::Path;
use std::sync::Arc;

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

/// Reads and checks a pack's folder. The error lists every fault.
pub fn load(folder: &Path) -> Result<(Source, LoadedPack), String> {
    let listed = |faults: Vec<crate::policy::diagnostic::Diagnostic>| {
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        format!("the pack {} has faults:\n\n{}", folder.display(), texts.join("\n\n"))
    };
    let source = Source::from_folder(folder).map_err(listed)?;
    let release = check(&source).map_err(listed)?;
    Ok((source, release))
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

/// Migrates the base and brings the pack into force. Gives whether the release is another one than before.
pub fn bring_up(
    conn: &mut Conn,
    in_force: &InForce,
    base: &Base,
    business_date: Option<Date>,
) -> Result<bool, start::Error> {
    let applied = migrate(conn)?;
    if applied > 0 {
        tracing::info!(applied, "migrated the database");
    }
    let changed = start::start(conn, in_force, &base.source, &base.release, business_date)?;
    if changed {
        customers::store::reindex(conn, &base.release.pack.fields)?;
    }
    Ok(changed)
}

/// Whether the base is away, so that waiting may help.
pub fn is_away(error: &start::Error) -> bool {
    matches!(error, start::Error::Database(error) if error.is_unavailable())
}

/// Whether the base has no customers yet.
pub fn is_empty(conn: &mut Conn) -> db::Result<bool> {
    Ok(dsl::customers.select(dsl::id).first::<crate::Id>(conn).optional()?.is_none())
}
