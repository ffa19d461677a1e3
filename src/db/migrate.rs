//! Brings a database to the schema of this binary. The migrations are part of the binary; no tool is needed.

use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Conn, Error, Result, ping};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Applies what is missing and gives the number of migrations applied.
pub fn migrate(conn: &mut Conn) -> Result<usize> {
    conn.run_pending_migrations(MIGRATIONS).map(|applied| applied.len()).or_else(|error| {
        // The error doesn't say whether a migration is wrong or the database has gone; the database does.
        ping(conn)?;
        Err(Error::Stopped(format!("migrating: {error}")))
    })
}

/// Reverts every migration, last first: for the test that each can be taken back.
pub fn revert_all(conn: &mut Conn) -> Result<usize> {
    conn.revert_all_migrations(MIGRATIONS)
        .map(|reverted| reverted.len())
        .map_err(|error| Error::Stopped(format!("reverting migrations: {error}")))
}
