//! Failed attempts to sign in, counted for an account or an address and a period of time.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::db::schema::sign_in_attempts::{self, dsl};
use crate::db::{Conn, Result};
use crate::digest::Digest;

/// Counts an attempt, and gives how many there are now. The caller has the transaction: until it ends, nobody else counts here.
pub fn count(conn: &mut Conn, who: Digest, period: i64) -> Result<i64> {
    diesel::insert_into(sign_in_attempts::table)
        .values((dsl::who.eq(who.as_bytes()), dsl::period.eq(period), dsl::failures.eq(1)))
        .on_conflict(diesel::dsl::DuplicatedKeys)
        .do_update()
        .set(dsl::failures.eq(sql::<BigInt>("failures + 1")))
        .execute(conn)?;
    Ok(sign_in_attempts::table.find((who.as_bytes(), period)).select(dsl::failures).first(conn)?)
}

/// Takes an attempt back that was no failure.
pub fn take_back(conn: &mut Conn, who: Digest, period: i64) -> Result<()> {
    let counted = sign_in_attempts::table.find((who.as_bytes(), period)).filter(dsl::failures.gt(0));
    diesel::update(counted).set(dsl::failures.eq(dsl::failures - 1)).execute(conn)?;
    Ok(())
}

/// Forgets all attempts.
pub fn forget(conn: &mut Conn, who: Digest, period: i64) -> Result<()> {
    diesel::delete(sign_in_attempts::table.find((who.as_bytes(), period))).execute(conn)?;
    Ok(())
}

/// Removes some attempts of periods that are over.
pub fn clean(conn: &mut Conn, period: i64, limit: i64) -> Result<()> {
    diesel::sql_query("DELETE FROM sign_in_attempts WHERE period < ? ORDER BY period LIMIT ?")
        .bind::<BigInt, _>(period)
        .bind::<BigInt, _>(limit)
        .execute(conn)?;
    Ok(())
}
