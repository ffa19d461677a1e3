//! Whose a token is and what he may do, as this process knows it. What is known is trusted while the counter of changes was read
//! within the last second, so that what is taken from somebody is gone everywhere within a second, and at once where it was taken.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use quick_cache::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Error;
use super::keys::{self, Cipher, Ring};
use super::model::{OwnAccount, Permission, Permissions, Principal, Status};
use super::{roles, store, tokens};
use crate::Id;
use crate::config::Secret;
use crate::db::{self, Conn, Db, Failure};
use crate::digest::Digest;

/// How long the counter of changes is trusted.
const TRUSTED: Duration = Duration::from_secs(1);
/// Tokens that are remembered.
const REMEMBERED: usize = 10_000;
/// Longest time that a password waits for its turn.
const HASHING_WAIT: Duration = Duration::from_secs(5);

/// What this process knows of access. Cheap to clone.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    cipher: Cipher,
    known: ArcSwapOption<Known>,
    /// Counts the changes that this process has made itself.
    changes: AtomicU64,
    /// Held by the one that reads the counter.
    reading: tokio::sync::Mutex<()>,
    /// When reading it failed.
    failed: Mutex<Option<Instant>>,
    /// Whose a token is, by its digest, with the version of access at which that was found.
    principals: Cache<Digest, (i64, Arc<Principal>)>,
    hashing: Arc<Semaphore>,
}

/// What was true when the counter was read.
struct Known {
    version: i64,
    changes: u64,
    read_at: Instant,
    ring: Arc<Ring>,
}

impl Access {
    /// Knows nothing yet. Passwords are hashed by as many threads as there are cores.
    pub fn new(cipher: Cipher) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self(Arc::new(Inner {
            cipher,
            known: ArcSwapOption::empty(),
            changes: AtomicU64::new(0),
            reading: tokio::sync::Mutex::new(()),
            failed: Mutex::new(None),
            principals: Cache::new(REMEMBERED),
            hashing: Arc::new(Semaphore::new(cores)),
        }))
    }

    /// Begins to answer: sees to it that there is a signing key, and that the secret opens those there are.
    pub fn begin(&self, conn: &mut Conn) -> Result<(), Error> {
        keys::ensure(conn, &self.0.cipher)?;
        self.read(conn).map(drop)
    }

    /// Whose a token is; nothing where it isn't valid, its session has ended or its user is disabled.
    pub async fn principal(&self, db: &Db, token: &str) -> Result<Option<Arc<Principal>>, Error> {
        if !tokens::is_formed(token) {
            return Ok(None);
        }
        let known = self.known(db).await?;
        let (digest, now) = (Digest::of(token), Timestamp::now());
        if let Some((version, principal)) = self.0.principals.get(&digest)
            && version == known.version
        {
            return Ok(Some(principal).filter(|principal| now < principal.expires_at));
        }
        let Some(claims) = tokens::verify(&known.ring, token, now) else { return Ok(None) };
        let found = db.run(move |conn| principal(conn, &claims, now)).await?.map(Arc::new);
        if let Some(principal) = &found {
            self.0.principals.insert(digest, (known.version, principal.clone()));
        }
        Ok(found)
    }

    /// The signing keys.
    pub async fn ring(&self, db: &Db) -> Result<Arc<Ring>, Error> {
        Ok(self.known(db).await?.ring.clone())
    }

    /// Makes the next signing key if it is time.
    pub fn rotate_if_due(&self, conn: &mut Conn, ring: &Ring) -> Result<(), Error> {
        if ring.is_due(Timestamp::now()) {
            keys::rotate(conn, &self.0.cipher, keys::Rotation::IfDue)?;
            self.forget();
        }
        Ok(())
    }

    /// Does what may take access from somebody; afterwards this process trusts nothing that it knew before.
    pub async fn change<T, E>(
        &self,
        db: &Db,
        work: impl FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failure + Send + 'static,
    {
        let access = self.clone();
        db.run(move |conn| {
            let done = work(conn);
            // Also after an error: whether a commit whose connection was lost took effect, nobody knows.
            access.forget();
            done
        })
        .await
    }

    /// The right to hash one password. Waits for its turn for a bounded time.
    pub async fn hashing(&self) -> Result<OwnedSemaphorePermit, Error> {
        let turn = tokio::time::timeout(HASHING_WAIT, self.0.hashing.clone().acquire_owned()).await;
        turn.ok().and_then(Result::ok).ok_or(Error::Busy("too many passwords are being checked"))
    }

    /// Trusts nothing that this process knew before.
    pub fn forget(&self) {
        self.0.changes.fetch_add(1, Ordering::SeqCst);
    }

    fn fresh(&self) -> Option<Arc<Known>> {
        let changes = self.0.changes.load(Ordering::SeqCst);
        self.0.known.load_full().filter(|known| known.changes == changes && known.read_at.elapsed() < TRUSTED)
    }

    /// What is true, read again where it was read too long ago: by one request, for which the others wait.
    async fn known(&self, db: &Db) -> Result<Arc<Known>, Error> {
        if let Some(known) = self.fresh() {
            return Ok(known);
        }
        if self.0.known.load().is_none() {
            return Err(Error::Busy("the service is starting"));
        }
        let arrived = Instant::now();
        let _one = self.0.reading.lock().await;
        if let Some(known) = self.fresh() {
            return Ok(known);
        }
        if self.failed_since(arrived) {
            return Err(db::Error::Unavailable("it was away a moment ago".to_owned()).into());
        }
        let access = self.clone();
        let read = db.run(move |conn| access.read(conn)).await;
        if read.is_err()
            && let Ok(mut failed) = self.0.failed.lock()
        {
            *failed = Some(Instant::now());
        }
        read
    }

    fn failed_since(&self, arrived: Instant) -> bool {
        self.0.failed.lock().is_ok_and(|failed| failed.is_some_and(|failed| failed >= arrived))
    }

    fn read(&self, conn: &mut Conn) -> Result<Arc<Known>, Error> {
        let (changes, read_at) = (self.0.changes.load(Ordering::SeqCst), Instant::now());
        let version = store::access_version(conn)?;
        let ring = match self.0.known.load_full().filter(|known| known.version == version) {
            Some(known) => known.ring.clone(),
            None => Arc::new(Ring::load(conn, &self.0.cipher)?),
        };
        let known = Arc::new(Known { version, changes, read_at, ring });
        self.0.known.store(Some(known.clone()));
        Ok(known)
    }
}

/// The permit of somebody for what goes on for long, which may end before that does. Where it comes from: `Permit::lasting`.
pub struct Lasting {
    access: Access,
    db: Db,
    token: Secret,
    user: Id,
    permission: &'static str,
}

impl Lasting {
    /// The permit of a user to do what has that permission, as long as his token is good for it.
    pub fn new(access: Access, db: Db, token: Secret, user: Id, permission: &'static str) -> Self {
        Self { access, db, token, user, permission }
    }

    /// Whose it is.
    pub fn user(&self) -> Id {
        self.user
    }

    /// Whether the token is still valid and its user may still do this. Nobody may while that can't be found out.
    pub async fn holds(&self) -> bool {
        let found = self.access.principal(&self.db, self.token.reveal()).await;
        found.is_ok_and(|found| found.is_some_and(|principal| principal.permissions.has(self.permission)))
    }
}

/// Whose a token is, by what the database says now.
fn principal(conn: &mut Conn, claims: &tokens::Claims, now: Timestamp) -> Result<Option<Principal>, Error> {
    // No token of ours ends at an instant that there isn't.
    let Ok(expires) = Timestamp::from_second(claims.exp) else { return Ok(None) };
    let Some(session) = store::sessions::find_live(conn, claims.sid, now)? else { return Ok(None) };
    let user = store::find(conn, session.user_id)?;
    let Some(user) = user.filter(|user| user.id == claims.sub && user.status == Status::Active) else {
        return Ok(None);
    };
    let mut permissions = roles::permissions(conn, &user.roles)?;
    permissions.extend(&Permissions::of([OwnAccount::NAME]));
    let expires_at = expires.min(session.expires_at);
    Ok(Some(Principal { user_id: user.id, session_id: session.id, permissions, expires_at }))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn as_many_passwords_are_hashed_at_once_as_there_are_cores() {
        let access = Access::new(Cipher::new(&Secret::new("the secret of a test")).unwrap());
        let cores = std::thread::available_parallelism().unwrap().get();
        let mut turns: Vec<_> = std::iter::from_fn(|| access.hashing().now_or_never()).take(cores + 1).collect();
        assert_eq!(turns.len(), cores);
        drop(turns.pop());
        assert!(access.hashing().now_or_never().is_some_and(|turn| turn.is_ok()), "a turn that was given back is lost");
    }
}
