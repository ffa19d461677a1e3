//! Brings a database to the schema of this binary. The migrations are part of the binary; no tool is needed.

use diesel::RunQueryDsl;
use diesel::migration::Migration;
use diesel::mysql::Mysql;
use diesel::sql_types::Text;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Conn, Error, Result, ping};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Applies what is missing and gives the number of migrations that were. Several processes may do so at once.
pub fn migrate(conn: &mut Conn) -> Result<usize> {
    let found = missing_migrations(conn)?;
    let mut missing = found;
    loop {
        let Err(error) = conn.run_pending_migrations(MIGRATIONS).map(drop) else {
            return Ok(found);
        };
        // The error doesn't say what has happened; the database does, if it is still there.
        ping(conn)?;
        let left = missing_migrations(conn)?;
        if left >= missing && !note_column(conn, &error.to_string())? {
            return Err(Error::Stopped(format!("migrating: {error}")));
        }
        // Another process applied one at the same time, or one was cut off before it was noted.
        missing = left;
    }
}

/// Notes the next migration where it has added its columns already: not every engine knows `IF NOT EXISTS` for them.
fn note_column(conn: &mut Conn, error: &str) -> Result<bool> {
    if !error.contains("Duplicate column name") {
        return Ok(false);
    }
    let missing = pending(conn)?;
    let Some(next) = missing.first() else { return Ok(true) };
    diesel::sql_query("INSERT IGNORE INTO __diesel_schema_migrations (version) VALUES (?)")
        .bind::<Text, _>(next.name().version().to_string())
        .execute(conn)?;
    Ok(true)
}

fn missing_migrations(conn: &mut Conn) -> Result<usize> {
    pending(conn).map(|missing| missing.len())
}

fn pending(conn: &mut Conn) -> Result<Vec<Box<dyn Migration<Mysql>>>> {
    conn.pending_migrations(MIGRATIONS).map_err(|error| Error::Stopped(format!("looking at migrations: {error}")))
}

/// Reverts every migration, last first: for the test that each can be taken back.
pub fn revert_all(conn: &mut Conn) -> Result<usize> {
    conn.revert_all_migrations(MIGRATIONS)
        .map(|reverted| reverted.len())
        .map_err(|error| Error::Stopped(format!("reverting migrations: {error}")))
}
