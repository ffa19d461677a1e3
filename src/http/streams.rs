//! Following something by server-sent events: each change of it is an event, until it has ended.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::http::header::{self, CacheControl, CacheDirective, ContentEncoding};
use actix_web::web::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::time::sleep;

use super::problem::{Code, Problem};
use crate::Id;
use crate::identity::access::Lasting;

/// Most streams of one process.
pub const MAX_STREAMS: usize = 100;
/// Most streams of one user.
pub const MAX_OF_USER: usize = 8;
/// Time between two looks at what is followed and at whether its follower still may.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// Longest silence: then comes a comment, so that whoever stands between doesn't take the connection for dead, and that it is
/// noticed when the other end has left: its place is free again.
const SILENCE: Duration = Duration::from_secs(5);
/// Seconds after which a user who has too many may ask for another stream.
const RETRY_AFTER: i64 = 2;

/// The open streams of this process. Cheap to clone.
#[derive(Clone)]
pub struct Streams {
    most: usize,
    /// The user of each stream; nothing when the service stops.
    users: Arc<Mutex<Option<Vec<Id>>>>,
}

impl Streams {
    /// Room for a number of streams.
    pub fn new(most: usize) -> Self {
        Self { most, users: Arc::new(Mutex::new(Some(Vec::new()))) }
    }

    /// Ends all streams within a second, and takes no more: the service stops.
    pub fn close(&self) {
        *self.users() = None;
    }

    fn is_closed(&self) -> bool {
        self.users().is_none()
    }

    fn users(&self) -> MutexGuard<'_, Option<Vec<Id>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, user: Id) -> Result<Place, Problem> {
        let mut users = self.users();
        let Some(users) = users.as_mut().filter(|users| users.len() < self.most) else {
            let full = "too many streams are open; ask for the resource itself";
            return Err(Problem::detailed(Code::Unavailable, full));
        };
        if users.iter().filter(|other| **other == user).count() >= MAX_OF_USER {
            let own = format!(
                "you have {MAX_OF_USER} streams open and may have no more; end one, or ask for the resource itself"
            );
            return Err(Problem::detailed(Code::RateLimited, own).retry_after(RETRY_AFTER));
        }
        users.push(user);
        Ok(Place { streams: self.clone(), user })
    }

    /// Answers with the events of something that `look` finds, with whether it has ended. They are called `name`, and come while the
    /// permit holds.
    pub fn follow<T, F>(
        &self,
        permit: Lasting,
        name: &'static str,
        look: impl Fn() -> F + 'static,
    ) -> Result<HttpResponse, Problem>
    where
        T: Serialize + 'static,
        F: Future<Output = Result<(T, bool), Problem>> + 'static,
    {
        let followed = Followed {
            place: self.enter(permit.user())?,
            permit,
            name,
            look,
            told: Instant::now(),
            last: String::new(),
            has_ended: false,
        };
        Ok(HttpResponse::Ok()
            .content_type("text/event-stream")
            .insert_header(CacheControl(vec![CacheDirective::NoStore]))
            // Compressed, events would wait for each other.
            .insert_header((header::CONTENT_ENCODING, ContentEncoding::Identity.as_str()))
            .streaming(stream::unfold(followed, Followed::next)))
    }
}

/// The place of a user's stream among all, free again when it is dropped.
struct Place {
    streams: Streams,
    user: Id,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(users) = self.streams.users().as_mut()
            && let Some(at) = users.iter().position(|user| *user == self.user)
        {
            users.swap_remove(at);
        }
    }
}

/// A stream.
struct Followed<L> {
    place: Place,
    permit: Lasting,
    name: &'static str,
    look: L,
    /// When something was last sent.
    told: Instant,
    /// What was last sent.
    last: String,
    has_ended: bool,
}

impl<L> Followed<L> {
    /// The next event or comment; nothing at the end.
    async fn next<T, F>(mut self) -> Option<(Result<Bytes, Infallible>, Self)>
    where
        T: Serialize,
        L: Fn() -> F,
        F: Future<Output = Result<(T, bool), Problem>>,
    {
        loop {
            if self.has_ended {
                return None;
            }
            if !self.last.is_empty() {
                sleep(BETWEEN_LOOKS).await;
            }
            if self.place.streams.is_closed() || !self.permit.holds().await {
                return None;
            }
            // The cause stands in the log; who follows asks again.
            let (seen, has_ended) = (self.look)().await.ok()?;
            self.has_ended = has_ended;
            let seen = serde_json::to_string(&seen).ok()?;
            let text = if seen != self.last {
                format!("event: {}\ndata: {seen}\n\n", self.name)
            } else if self.told.elapsed() >= SILENCE {
                ":\n\n".to_owned()
            } else {
                continue;
            };
            self.last = seen;
            self.told = Instant::now();
            return Some((Ok(Bytes::from(text)), self));
        }
    }
}
