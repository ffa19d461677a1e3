//! The header `Idempotency-Key`: a request that creates, changes or starts something may be sent again, and is done once.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody, to_bytes};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, HttpResponseBuilder, rt, web};
use tracing::Instrument;

use crate::Id;
use crate::db::Db;
use crate::digest::Digest;
use crate::faults::Fault;
use crate::http::extract;
use crate::http::openapi::{IDEMPOTENCY_KEY, takes_key};
use crate::http::problem::{Code, Problem};
use crate::identity::idempotency::{self, MAX_ANSWER, Turn};
use crate::identity::model::Principal;
use crate::identity::store::idempotency::{Kept, Sent};

/// The headers that are kept with an answer.
const HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::LOCATION, header::ETAG];
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key, in characters.
const MAX_KEY: usize = 255;

/// The middleware. It stands behind what knows the caller.
pub async fn once(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let takes = request.method() == Method::POST && takes_key(request.path());
    let key = request.headers().get(IDEMPOTENCY_KEY).filter(|_| takes).cloned();
    let user = request.extensions().get::<Arc<Principal>>().map(|principal| principal.user_id);
    let db = request.app_data::<web::Data<Db>>().cloned();
    let (Some(key), Some(user_id), Some(db)) = (key, user, db) else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    let digest_of_key = read_key(&key)?;
    let sent = Sent { user_id, key: digest_of_key, request: digest(&mut request, &key).await? };
    match db.run(move |conn| idempotency::begin(conn, &sent)).await.map_err(Problem::from)? {
        Turn::First(owner) => answer(request, next, db, sent, owner).await,
        Turn::Answered(kept) => Ok(request.into_response(replay(kept))),
        Turn::Running => Err(Problem::new(Code::IdempotencyRunning).retry_after(1).into()),
        Turn::Mismatch => Err(Problem::new(Code::IdempotencyMismatch).into()),
    }
}

fn read_key(key: &HeaderValue) -> Result<Digest, Problem> {
    let bytes = key.as_bytes();
    if (1..=MAX_KEY).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic) {
        return Ok(Digest::of(bytes));
    }
    let detail = format!("a key has 1 to {MAX_KEY} visible ASCII characters, such as those of a UUID");
    Err(Problem::invalid(vec![Fault::new(IDEMPOTENCY_KEY, "idempotency_key", detail)]))
}

/// The digest of a request, whose body is read and put back unpacked. It has the key in it, which isn't kept, so that nobody finds
/// out by the digest what a body was.
async fn digest(request: &mut ServiceRequest, key: &HeaderValue) -> Result<Digest, Problem> {
    let (head, payload) = request.parts_mut();
    let body = extract::bytes(head, payload).await?;
    let line = format!("\n{} {}\n", request.method(), request.uri());
    let text = [key.as_bytes(), line.as_bytes(), &body].concat();
    request.headers_mut().remove(header::CONTENT_ENCODING);
    request.headers_mut().remove(header::CONTENT_LENGTH);
    request.set_payload(Payload::from(body));
    Ok(Digest::of(text))
}

/// Lets the first request do its work and keeps its answer, also when the client goes away meanwhile: he will ask for it.
async fn answer(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    db: web::Data<Db>,
    sent: Sent,
    owner: Id,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let returning = db.clone();
    let work = async move { keep(next.call(request).await, &db, sent, owner).await };
    match rt::spawn(work.in_current_span()).await {
        Ok(answered) => answered,
        Err(_) => {
            tracing::error!("a request panicked");
            give_back(&returning, sent, owner).await;
            Err(Problem::new(Code::Internal).into())
        }
    }
}

/// Keeps the answer of a request that has done something. One that was refused has changed nothing: its key is free again.
async fn keep<B: MessageBody + 'static>(
    answered: Result<ServiceResponse<B>, Error>,
    db: &web::Data<Db>,
    sent: Sent,
    owner: Id,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = match answered {
        Ok(response) if response.status().is_success() => response,
        refused => {
            give_back(db, sent, owner).await;
            return refused.map(ServiceResponse::map_into_boxed_body);
        }
    };
    let (request, response) = response.into_parts();
    let (response, body) = response.into_parts();
    let body = to_bytes(body).await.map_err(|_| Problem::new(Code::Internal))?;
    let text = |name: &HeaderName| {
        let value = response.headers().get(name)?.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    };
    let headers = HEADERS.iter().filter_map(text).collect();
    if body.len() <= MAX_ANSWER {
        let kept = Kept { status: response.status().as_u16(), headers, body: body.to_vec() };
        if let Err(error) = db.run(move |conn| idempotency::finish(conn, &sent, owner, &kept)).await {
            tracing::warn!(%error, "the answer to a request with an idempotency key isn't kept");
        }
    } else {
        give_back(db, sent, owner).await;
    }
    Ok(ServiceResponse::new(request, response.set_body(BoxBody::new(body))))
}

async fn give_back(db: &web::Data<Db>, sent: Sent, owner: Id) {
    if let Err(error) = db.run(move |conn| idempotency::give_back(conn, &sent, owner)).await {
        tracing::warn!(%error, "an idempotency key isn't given back, and is free only later");
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
