//! Following something by server-sent events: each change of it is an event, until it has ended.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::http::header::{self, CacheControl, CacheDirective, ContentEncoding};
use actix_web::web::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::problem::{Code, Problem};

/// Most streams of one process.
pub const MAX_STREAMS: usize = 100;
/// Time between two looks at what is followed.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// Longest silence: then comes a comment, so that whoever stands between doesn't take the connection for dead.
const SILENCE: Duration = Duration::from_secs(15);
/// Longest stream: as long as an access token is valid. Who wants to go on asks again.
const LIFE: Duration = Duration::from_secs(600);

/// The open streams of this process. Cheap to clone.
#[derive(Clone)]
pub struct Streams(Arc<Semaphore>);

impl Streams {
    /// Room for a number of streams.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }

    /// Ends all streams within a second, and takes no more: the service stops.
    pub fn close(&self) {
        self.0.close();
    }

    /// Answers with the events of something that `look` finds, with whether it has ended. They are called `name`.
    pub fn follow<T, F>(&self, name: &'static str, look: impl Fn() -> F + 'static) -> Result<HttpResponse, Problem>
    where
        T: Serialize + 'static,
        F: Future<Output = Result<(T, bool), Problem>> + 'static,
    {
        let full = || Problem::detailed(Code::Unavailable, "too many streams are open; ask for the resource itself");
        let place = self.0.clone().try_acquire_owned().map_err(|_| full())?;
        let followed = Followed {
            streams: self.clone(),
            _place: place,
            name,
            look,
            begun: Instant::now(),
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

/// A stream.
struct Followed<L> {
    streams: Streams,
    _place: OwnedSemaphorePermit,
    name: &'static str,
    look: L,
    begun: Instant,
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
            if self.has_ended || self.streams.0.is_closed() || self.begun.elapsed() >= LIFE {
                return None;
            }
            if !self.last.is_empty() {
                sleep(BETWEEN_LOOKS).await;
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
