//! Brings a database to the schema of this binary. The migrations are part of the binary; no tool is needed.

use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Conn, Error, Result, ping};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Applies what is missing and gives the number of migrations applied. Several processes may do so at once.
pub fn migrate(conn: &mut Conn) -> Result<usize> {
    let mut missing = missing_migrations(conn)?;
    loop {
        let Err(error) = conn.run_pending_migrations(MIGRATIONS).map(drop) else {
            return Ok(missing);
        };
        // The error doesn't say what has happened; the database does, if it is still there.
        ping(conn)?;
        let left = missing_migrations(conn)?;
        if left >= missing {
            return Err(Error::Stopped(format!("migrating: {error}")));
        }
        // Another process applied one at the same time.
        missing = left;
    }
}

fn missing_migrations(conn: &mut Conn) -> Result<usize> {
    conn.pending_migrations(MIGRATIONS)
        .map(|missing| missing.len())
        .map_err(|error| Error::Stopped(format!("looking at migrations: {error}")))
}

/// Reverts every migration, last first: for the test that each can be taken back.
pub fn revert_all(conn: &mut Conn) -> Result<usize> {
    conn.revert_all_migrations(MIGRATIONS)
        .map(|reverted| reverted.len())
        .map_err(|error| Error::Stopped(format!("reverting migrations: {error}")))
}
