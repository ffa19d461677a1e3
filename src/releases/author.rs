//! Keeping releases on behalf of somebody, with a note of who it was.

use jiff::Timestamp;

use super::model::{By, Release, Step, StepKind};
use super::store;
use crate::Id;
use crate::db::{self, Conn, transaction};
use crate::digest::Digest;
use crate::faults::Fault;
use crate::identity::store as users;
use crate::policy::source::Source;

/// Most characters of what is said of a release.
const MAX_MESSAGE: usize = 1000;

/// A text that somebody says of a release: not empty, and not too long.
pub fn said(pointer: &str, text: &str) -> Result<String, Fault> {
    let length = text.trim().chars().count();
    if (1..=MAX_MESSAGE).contains(&length) {
        return Ok(text.trim().to_owned());
    }
    let detail = format!("a text has 1 to {MAX_MESSAGE} characters, and this one has {length}");
    Err(Fault::new(pointer, "out_of_range", detail))
}

/// A user as somebody who does something with releases.
pub fn by(conn: &mut Conn, user_id: Id) -> db::Result<By> {
    let user =
        users::find(conn, user_id)?.ok_or_else(|| db::Error::Corrupt(format!("the user {user_id} is missing")))?;
    Ok(By { user_id: Some(user_id), name: user.username })
}

/// Keeps a release with its author and what he says of it; of one that is kept already it is noted where he says something new.
pub fn keep(
    conn: &mut Conn,
    source: &Source,
    pack_id: &str,
    by: &By,
    message: Option<String>,
    parent: Option<Digest>,
) -> db::Result<Release> {
    let digest = source.digest();
    transaction(conn, |conn| {
        let known = store::release_with_steps(conn, digest)?;
        let said = known.as_ref().and_then(|release| release.last(StepKind::Created)).map(|step| &step.message);
        if known.is_none() {
            store::keep_release(conn, digest, pack_id, &source.to_json())?;
        }
        if known.is_none() || (message.is_some() && said != Some(&message)) {
            store::add_step(conn, digest, &Step { message: message.clone(), ..step(StepKind::Created, by, parent) })?;
        }
        store::release_with_steps(conn, digest)?
            .ok_or_else(|| db::Error::Corrupt(format!("the release {digest} is missing")))
    })
}

/// Notes that a release was checked, once.
pub fn note_checked(conn: &mut Conn, digest: Digest, by: By, parent: Option<Digest>) -> db::Result<()> {
    let known = store::release_with_steps(conn, digest)?;
    match known.is_some_and(|release| release.last(StepKind::Checked).is_some()) {
        true => Ok(()),
        false => store::add_step(conn, digest, &step(StepKind::Checked, &by, parent)),
    }
}

fn step(kind: StepKind, by: &By, parent: Option<Digest>) -> Step {
    Step { kind, by: by.clone(), parent, comparison: None, message: None, created_at: Timestamp::now() }
}
