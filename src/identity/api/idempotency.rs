//! The header `Idempotency-Key`: a request that creates, changes or starts something may be sent again, and is done once.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody, to_bytes};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, rt, web};
use tracing::Instrument;

use crate::Id;
use crate::db::Db;
use crate::digest::Digest;
use crate::faults::Fault;
use crate::http::extract::{self, Localised};
use crate::http::openapi::{IDEMPOTENCY_KEY, UPLOADS, takes_key};
use crate::http::paths::Paths;
use crate::http::problem::{Code, Problem};
use crate::identity::idempotency::{self, MAX_ANSWER, Turn};
use crate::identity::model::Principal;
use crate::identity::store::idempotency::{Kept, Sent};

/// The headers that are kept with an answer.
const HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::LOCATION, header::ETAG];
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key, in characters.
const MAX_KEY: usize = 255;

/// A key that a request has brought, before it is known whether it is the first with it.
pub struct Key {
    value: HeaderValue,
    line: String,
    user_id: Id,
}

/// What becomes of a request with a key.
pub enum Begun {
    /// It is the first: it does its work and has its answer kept.
    First(Owned),
    /// The answer of the first.
    Answered(HttpResponse),
}

impl Key {
    /// The key of a user's request, if it has one.
    pub fn of(request: &HttpRequest, user_id: Id) -> Result<Option<Self>, Problem> {
        let Some(value) = request.headers().get(IDEMPOTENCY_KEY).cloned() else { return Ok(None) };
        let bytes = value.as_bytes();
        if (1..=MAX_KEY).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic) {
            let line = format!("\n{} {}\n", request.method(), request.uri());
            return Ok(Some(Self { value, line, user_id }));
        }
        let detail = format!("a key has 1 to {MAX_KEY} visible ASCII characters, such as those of a UUID");
        Err(Problem::invalid(vec![Fault::new(IDEMPOTENCY_KEY, "idempotency_key", detail)]))
    }

    /// Takes the key for what was sent. The digest of that has the key in it, which isn't kept, so that nobody finds out by the
    /// digest what a body was.
    pub async fn begin(self, db: &Db, content: &[u8]) -> Result<Begun, Problem> {
        let request = Digest::of([self.value.as_bytes(), self.line.as_bytes(), content].concat());
        let sent = Sent { user_id: self.user_id, key: Digest::of(self.value.as_bytes()), request };
        match db.run(move |conn| idempotency::begin(conn, &sent)).await.map_err(Problem::from)? {
            Turn::First(owner) => Ok(Begun::First(Owned { db: db.clone(), sent, owner, settled: false })),
            Turn::Answered(kept) => Ok(Begun::Answered(replay(kept))),
            Turn::Running => Err(Problem::new(Code::IdempotencyRunning).retry_after(1)),
            Turn::Mismatch => Err(Problem::new(Code::IdempotencyMismatch)),
        }
    }
}

/// A key that this request has. Dropped by a panic, it is given back.
pub struct Owned {
    db: Db,
    sent: Sent,
    owner: Id,
    settled: bool,
}

impl Drop for Owned {
    fn drop(&mut self) {
        if !self.settled {
            let (sent, owner) = (self.sent, self.owner);
            self.db.run_apart(move |conn| idempotency::give_back(conn, &sent, owner));
        }
    }
}

impl Owned {
    /// Keeps the answer. One that is too large isn't, and the key is free again.
    pub async fn keep(mut self, response: HttpResponse) -> Result<HttpResponse, Problem> {
        let (response, body) = response.into_parts();
        let body = to_bytes(body).await.map_err(|_| Problem::new(Code::Internal))?;
        let text = |name: &HeaderName| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        };
        let headers = HEADERS.iter().filter_map(text).collect();
        if body.len() <= MAX_ANSWER {
            let kept = Kept { status: response.status().as_u16(), headers, body: body.to_vec() };
            let (sent, owner) = (self.sent, self.owner);
            self.settled = true;
            if let Err(error) = self.db.run(move |conn| idempotency::finish(conn, &sent, owner, &kept)).await {
                tracing::warn!(%error, "the answer to a request with an idempotency key isn't kept");
            }
        } else {
            self.give_back().await;
        }
        Ok(response.set_body(BoxBody::new(body)))
    }

    /// Gives the key back: the request has changed nothing.
    pub async fn give_back(mut self) {
        let (sent, owner) = (self.sent, self.owner);
        self.settled = true;
        if let Err(error) = self.db.run(move |conn| idempotency::give_back(conn, &sent, owner)).await {
            tracing::warn!(%error, "an idempotency key isn't given back, and is free only later");
        }
    }
}

/// The middleware. It stands behind what knows the caller. Files are too long to be read here: their handler sees to the key.
pub async fn once(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let takes = request.method() == Method::POST && takes_key(request.path()) && request.path() != UPLOADS;
    let paths = request.app_data::<web::Data<Paths>>();
    let operation = paths.and_then(|paths| paths.operation(request.method(), request.path())).filter(|_| takes);
    let needed = operation.and_then(|operation| operation.permission.as_deref());
    // Who may no longer do it is refused as without a key, also where he was answered when he might.
    let user = request.extensions().get::<Arc<Principal>>().cloned().zip(needed);
    let user = user.filter(|(principal, needed)| principal.permissions.has(needed)).map(|(user, _)| user.user_id);
    let key = user.map_or(Ok(None), |user_id| Key::of(request.request(), user_id))?;
    let (Some(key), Some(db)) = (key, request.app_data::<web::Data<Db>>().cloned()) else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    let body = take_body(&mut request).await?;
    let work = async move {
        match key.begin(&db, &body).await? {
            Begun::First(owned) => keep(next.call(request).await, owned).await,
            Begun::Answered(response) => {
                // Whether it followed the reader's language isn't kept, so it is taken as one that did.
                request.extensions_mut().insert(Localised);
                Ok(request.into_response(response))
            }
        }
    };
    apart(work).await?
}

/// The body, which is read and put back unpacked.
async fn take_body(request: &mut ServiceRequest) -> Result<web::Bytes, Problem> {
    let (head, payload) = request.parts_mut();
    let body = extract::bytes(head, payload).await?;
    request.headers_mut().remove(header::CONTENT_ENCODING);
    request.headers_mut().remove(header::CONTENT_LENGTH);
    request.set_payload(Payload::from(body.clone()));
    Ok(body)
}

/// Works on a task of its own, which goes on when the client goes away: he will ask for the answer that is kept.
pub async fn apart<T: 'static>(work: impl Future<Output = T> + 'static) -> Result<T, Problem> {
    rt::spawn(work.in_current_span()).await.map_err(|_| {
        tracing::error!("a request panicked");
        Problem::new(Code::Internal)
    })
}

/// Keeps the answer of a request that has done something. One that was refused has changed nothing: its key is free again.
async fn keep<B: MessageBody + 'static>(
    answered: Result<ServiceResponse<B>, Error>,
    owned: Owned,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match answered.map(ServiceResponse::map_into_boxed_body) {
        Ok(response) if response.status().is_success() => {
            let (request, response) = response.into_parts();
            Ok(ServiceResponse::new(request, owned.keep(response).await?))
        }
        refused => {
            owned.give_back().await;
            refused
        }
    }
}

fn replay(kept: Kept) -> HttpResponse {
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponseBuilder::new(status);
    for header in kept.headers {
        response.insert_header(header);
    }
    response.insert_header((REPLAYED, "true")).body(kept.body)
}
