//! Brings a database to the schema of this binary. The migrations are part of the binary; no tool is needed.

use std::fmt::Display;
use std::time::Duration;

use diesel::RunQueryDsl;
use diesel::migration::Migration;
use diesel::mysql::Mysql;
use diesel::sql_types::Text;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::error::{is_cut_off, without_values};
use super::{Conn, Error, Result, ping, unless_cut_off};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// How often a migration is tried that others cut off, and how long to wait in between: nodes of a Galera cluster that migrate at once do.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Applies what is missing and gives the number of migrations that were. Several processes may do so at once.
pub fn migrate(conn: &mut Conn) -> Result<usize> {
    let mut found = None;
    unless_cut_off(ATTEMPTS, |_| PAUSE, || apply(conn, &mut found))?;
    Ok(found.unwrap_or_default())
}

/// Applies what is missing, and notes how many that were when it was looked for the first time.
fn apply(conn: &mut Conn, found: &mut Option<usize>) -> Result<()> {
    let mut missing = pending(conn)?;
    found.get_or_insert(missing.len());
    while let Some(next) = missing.first() {
        // Without a transaction: the server ends one with each change of a table, and what is noted twice does no harm.
        match next.run(conn) {
            Ok(()) => note(conn, next.as_ref())?,
            Err(error) => {
                // The error doesn't say what has happened; the database does, if it is still there.
                ping(conn)?;
                let is_done = !pending(conn)?.iter().any(|left| left.name().version() == next.name().version());
                // Not every engine knows `IF NOT EXISTS` for columns.
                if error.to_string().contains("Duplicate column name") {
                    note(conn, next.as_ref())?;
                } else if !is_done {
                    return Err(failed("migrating", error));
                }
            }
        }
        missing = pending(conn)?;
    }
    Ok(())
}

/// Notes that a migration is done, also where another process has noted it already.
fn note(conn: &mut Conn, done: &dyn Migration<Mysql>) -> Result<()> {
    diesel::sql_query("INSERT IGNORE INTO __diesel_schema_migrations (version) VALUES (?)")
        .bind::<Text, _>(done.name().version().to_string())
        .execute(conn)?;
    Ok(())
}

fn failed(doing: &str, error: impl Display) -> Error {
    let said = without_values(&format!("{doing}: {error}"));
    if is_cut_off(&said) { Error::Transient(said) } else { Error::Stopped(said) }
}

fn pending(conn: &mut Conn) -> Result<Vec<Box<dyn Migration<Mysql>>>> {
    conn.pending_migrations(MIGRATIONS).map_err(|error| failed("looking at migrations", error))
}

/// Reverts every migration, last first: for the test that each can be taken back.
pub fn revert_all(conn: &mut Conn) -> Result<usize> {
    conn.revert_all_migrations(MIGRATIONS)
        .map(|reverted| reverted.len())
        .map_err(|error| Error::Stopped(format!("reverting migrations: {error}")))
}
