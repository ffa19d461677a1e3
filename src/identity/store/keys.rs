//! Signing keys in the database; their private parts are encrypted.

use diesel::prelude::*;
use jiff::Timestamp;
use jiff_diesel::ToDiesel;

use crate::Id;
use crate::db::schema::signing_keys;
use crate::db::{Conn, Result};

/// A key as it is kept.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = signing_keys)]
pub struct StoredKey {
    /// Its id, which tokens name.
    pub id: Id,
    /// The public part: 32 bytes.
    pub public_key: Vec<u8>,
    /// The private part, encrypted: nonce, text and tag, 72 bytes.
    pub private_key: Vec<u8>,
    /// From when on tokens are signed with it.
    #[diesel(deserialize_as = jiff_diesel::Timestamp)]
    pub signs_from: Timestamp,
}

/// All keys, in the order in which they sign.
pub fn all(conn: &mut Conn) -> Result<Vec<StoredKey>> {
    let sorted = signing_keys::table.order((signing_keys::signs_from, signing_keys::id));
    Ok(sorted.select(StoredKey::as_select()).load(conn)?)
}

/// Adds a key.
pub fn insert(conn: &mut Conn, key: &StoredKey, now: Timestamp) -> Result<()> {
    diesel::insert_into(signing_keys::table)
        .values((
            signing_keys::id.eq(key.id),
            signing_keys::public_key.eq(&key.public_key),
            signing_keys::private_key.eq(&key.private_key),
            signing_keys::created_at.eq(now.to_diesel()),
            signing_keys::signs_from.eq(key.signs_from.to_diesel()),
        ))
        .execute(conn)?;
    Ok(())
}

/// Removes keys.
pub fn delete(conn: &mut Conn, ids: &[Id]) -> Result<()> {
    diesel::delete(signing_keys::table.filter(signing_keys::id.eq_any(ids))).execute(conn)?;
    Ok(())
}
