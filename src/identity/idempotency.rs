//! Requests that are sent twice with one key: the first one does its work, the others get its answer.

use jiff::{SignedDuration, Timestamp};

use super::store::idempotency::{self as store, Kept, Row, Sent};
use crate::Id;
use crate::db::{self, Conn};

/// How long answers are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(48);
/// How long a request owns its key, unless it ends before: longer than any request takes. A process that dies leaves its keys until
/// then.
const OWNED: SignedDuration = SignedDuration::from_mins(3);
/// Largest answer that is kept, in bytes.
pub const MAX_ANSWER: usize = 4 << 20;
/// Old keys that each new one removes.
const REMOVED: i64 = 2;

/// What a request with a key has to do.
#[derive(Debug)]
pub enum Turn {
    /// It is the first: it does its work, as the owner of this name.
    First(Id),
    /// It has been answered.
    Answered(Kept),
    /// The first one is still running.
    Running,
    /// The key stands for another request.
    Mismatch,
}

/// Takes the key, or says what became of the request that has it.
pub fn begin(conn: &mut Conn, sent: &Sent) -> db::Result<Turn> {
    let (now, owner) = (Timestamp::now(), Id::new());
    let row = Row { owner, owned_until: now + OWNED, created_at: now, expires_at: now + KEPT };
    if let Err(error) = store::remove_old(conn, now, REMOVED) {
        // Others remove them too, and may have been in the way.
        tracing::debug!(%error, "old idempotency keys stay for now");
    }
    match store::insert(conn, sent, &row) {
        Ok(()) => return Ok(Turn::First(owner)),
        Err(db::Error::Taken) => {}
        Err(error) => return Err(error),
    }
    let Some(found) = store::find(conn, sent)? else { return Ok(Turn::Running) };
    if found.expires_at <= now {
        return taken_over(conn, sent, found.owner, &row);
    }
    if found.request != sent.request {
        return Ok(Turn::Mismatch);
    }
    match found.answer {
        Some(answer) => Ok(Turn::Answered(answer)),
        None if found.owned_until <= now => taken_over(conn, sent, found.owner, &row),
        None => Ok(Turn::Running),
    }
}

fn taken_over(conn: &mut Conn, sent: &Sent, from: Id, row: &Row) -> db::Result<Turn> {
    Ok(if store::take_over(conn, sent, from, row)? { Turn::First(row.owner) } else { Turn::Running })
}

/// Keeps the answer.
pub fn finish(conn: &mut Conn, sent: &Sent, owner: Id, answer: &Kept) -> db::Result<()> {
    store::keep(conn, sent, owner, answer)
}

/// Gives the key back: the request changed nothing, and may be sent again.
pub fn give_back(conn: &mut Conn, sent: &Sent, owner: Id) -> db::Result<()> {
    store::remove(conn, sent, owner)
}
