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

/// Most characters of what somebody says.
const MAX_MESSAGE: usize = 1000;

/// What somebody says, of a release or as a reason: not empty, and not too long.
pub fn said(pointer: &str, text: &str) -> Result<String, Fault> {
    self::text(pointer, text, MAX_MESSAGE)
}

/// A text that isn't empty, not longer than so many characters, and without control characters but line breaks and tabs.
pub fn text(pointer: &str, text: &str, longest: usize) -> Result<String, Fault> {
    let text = text.trim();
    let fault = |detail| Fault::new(pointer, "out_of_range", detail);
    let length = text.chars().count();
    if !(1..=longest).contains(&length) {
        return Err(fault(format!("a text has 1 to {longest} characters, and this one has {length}")));
    }
    match text.chars().find(|char| char.is_control() && !matches!(char, '\n' | '\r' | '\t')) {
        Some(char) => {
            Err(fault(format!("a text has no control characters but line breaks and tabs, and this one has {char:?}")))
        }
        None => Ok(text.to_owned()),
    }
}

/// A user as somebody who does something with releases.
pub fn by(conn: &mut Conn, user_id: Id) -> db::Result<By> {
    let user =
        users::find(conn, user_id)?.ok_or_else(|| db::Error::Corrupt(format!("the user {user_id} is missing")))?;
    Ok(By { user_id: Some(user_id), name: user.username })
}

/// Keeps a release with its author and what he says of it. One that is kept already stays as it is.
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
        if store::release_with_steps(conn, digest)?.is_none() {
            store::keep_release(conn, digest, pack_id, &source.to_json())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_says_has_lines_and_nothing_unseen() {
        assert_eq!(said("/reason", " He paid.\n\tSee 7. ").unwrap(), "He paid.\n\tSee 7.");
        let longest = "é".repeat(MAX_MESSAGE);
        assert_eq!(said("/reason", &longest).unwrap(), longest);
        for wrong in [" \n", &format!("{longest}é"), "a\u{0}b", "a\u{1b}[31mb", "a\u{85}b"] {
            let fault = said("/reason", wrong).unwrap_err();
            assert_eq!((fault.pointer.as_str(), fault.code.as_str()), ("/reason", "out_of_range"), "{wrong:?}");
        }
    }
}
