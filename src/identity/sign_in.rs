//! Signing in, and the administrator that a new base begins with.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use rand::Rng;

use super::access::Access;
use super::error::Error;
use super::keys::Ring;
use super::model::{ADMINISTRATOR, ADMINISTRATORS, MAX_NAME, Origin, Session, Status};
use super::{attempts, passwords, store, tokens, users};
use crate::Id;
use crate::config::Secret;
use crate::db::{self, Conn, transaction};
use crate::digest::Digest;

/// How long a session lives without being used.
const IDLE: SignedDuration = SignedDuration::from_hours(14 * 24);
/// How long a session lives at most.
const LONGEST: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How long a session that has ended is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Rows of each table that one signing in removes at most.
const CLEANED: i64 = 100;

/// What signing in or refreshing gives.
pub struct Issued {
    /// The access token.
    pub access_token: Secret,
    /// The refresh token, good for one use.
    pub refresh_token: Secret,
    /// Seconds for which the refresh token is valid.
    pub refresh_expires_in: i64,
}

/// Begins a session of a user who knows his password. Blocks for some 20 ms.
pub fn sign_in(
    conn: &mut Conn,
    (access, ring): (&Access, &Ring),
    username: &str,
    password: &Secret,
    origin: &Origin,
) -> Result<Issued, Error> {
    access.rotate_if_due(conn, ring)?;
    // Nobody's name is longer.
    let username: String = username.trim().to_lowercase().chars().take(MAX_NAME + 1).collect();
    let attempt = attempts::begin(conn, &username, origin.address)?;
    let login = store::login(conn, &username)?;
    if !passwords::matches(password.reveal(), login.as_ref().map(|login| login.password_hash.as_str())) {
        return Err(Error::WrongCredentials);
    }
    let login = login.filter(|login| login.status == Status::Active).ok_or(Error::WrongCredentials)?;
    let now = Timestamp::now();
    let session = Session {
        id: Id::new(),
        user_id: login.id,
        user_agent: origin.user_agent.clone(),
        address: origin.address.map(|address| address.to_canonical().to_string()).unwrap_or_default(),
        created_at: now,
        used_at: now,
        expires_at: now + IDLE,
    };
    let issued = transaction(conn, |conn| {
        attempts::succeed(conn, &attempt)?;
        // The password took its time: meanwhile another one may have been set, or the user disabled.
        if store::lock(conn, login.id)?.as_ref() != Some(&login) {
            return Err(Error::WrongCredentials);
        }
        store::signed_in(conn, login.id, now)?;
        store::sessions::insert(conn, &session)?;
        issue(conn, ring, &session, now)
    })?;
    clean(conn, now);
    Ok(issued)
}

/// Exchanges a refresh token for new tokens. One that comes twice was stolen, from whom or by whom nobody knows: the session ends.
pub fn refresh(conn: &mut Conn, (access, ring): (&Access, &Ring), token: &Secret) -> Result<Issued, Error> {
    access.rotate_if_due(conn, ring)?;
    let (hash, now) = (Digest::of(token.reveal()), Timestamp::now());
    let issued = transaction(conn, |conn| {
        if !store::sessions::use_token(conn, hash, now)? {
            return Ok(None);
        }
        let Some((id, _)) = store::sessions::of_token(conn, hash)? else { return Ok(None) };
        let Some(mut session) = store::sessions::find_live(conn, id, now)? else { return Ok(None) };
        session.expires_at = (now + IDLE).min(session.created_at + LONGEST);
        if session.expires_at <= now {
            return Ok(None);
        }
        let is_active = store::lock(conn, session.user_id)?.is_some_and(|login| login.status == Status::Active);
        if !is_active || !store::sessions::prolong(conn, id, now, session.expires_at)? {
            return Ok(None);
        }
        issue(conn, ring, &session, now).map(Some)
    })?;
    match issued {
        Some(issued) => {
            clean(conn, now);
            Ok(issued)
        }
        None => {
            if end_if_reused(conn, hash, now)? {
                access.forget();
            }
            Err(Error::NotRefreshed)
        }
    }
}

/// Ends the session of a token that has been used before. Whether it still lived.
fn end_if_reused(conn: &mut Conn, hash: Digest, now: Timestamp) -> Result<bool, Error> {
    transaction(conn, |conn| {
        let Some((session, true)) = store::sessions::of_token(conn, hash)? else { return Ok(false) };
        if store::sessions::find_live(conn, session, now)?.is_none() {
            return Ok(false);
        }
        store::raise_access(conn)?;
        let ended = store::sessions::end(conn, session, None, now)?;
        if ended {
            tracing::warn!(%session, "a refresh token came twice; its session is ended");
        }
        Ok(ended)
    })
}

/// Tokens for a session. The caller has the transaction.
fn issue(conn: &mut Conn, ring: &Ring, session: &Session, now: Timestamp) -> Result<Issued, Error> {
    let refresh_token = URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 32]>());
    store::sessions::insert_token(conn, Digest::of(&refresh_token), session.id, now, session.expires_at)?;
    Ok(Issued {
        access_token: Secret::new(tokens::sign(ring, session, now)?),
        refresh_token: Secret::new(refresh_token),
        refresh_expires_in: session.expires_at.duration_since(now).as_secs(),
    })
}

/// Removes some of what has expired. Whether that succeeds is nobody's concern who signs in.
fn clean(conn: &mut Conn, now: Timestamp) {
    let cleaned = store::sessions::clean(conn, now, now - KEPT, CLEANED).map_err(Error::from);
    if let Err(error) = cleaned.and_then(|()| attempts::clean(conn, now, CLEANED)) {
        tracing::debug!(%error, "what has expired could not be removed");
    }
}

/// Creates the administrator if there is none, with the given password or one that is made up. Gives the made-up one, to be shown once.
pub fn ensure_administrator(conn: &mut Conn, password: Option<&Secret>) -> Result<Option<Secret>, Error> {
    if store::login(conn, ADMINISTRATOR)?.is_some() {
        return Ok(None);
    }
    let made_up = password.is_none().then(|| Secret::new(passwords::make_up()));
    let chosen = password.or(made_up.as_ref()).map(Secret::reveal).unwrap_or_default();
    let user =
        users::active(ADMINISTRATOR.to_owned(), ADMINISTRATOR.to_owned(), BTreeSet::from([ADMINISTRATORS.to_owned()]));
    let hash = passwords::hash(chosen).map_err(Error::cryptography)?;
    match store::insert(conn, &user, &hash) {
        Err(db::Error::Taken) => Ok(None),
        result => result.map(|()| made_up).map_err(Error::from),
    }
}
