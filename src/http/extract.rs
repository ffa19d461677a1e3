//! Extractors whose failures are problems too, with a pointer to what is wrong.

use std::future::{Future, Ready, ready};
use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use flate2::read::MultiGzDecoder;
use futures_util::TryStreamExt;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::etag;
use super::json;
use super::limits::Limits;
use super::paging::{self, DEFAULT_LIMIT};
use super::problem::{Code, Problem};
use crate::Id;
use crate::digest::Digest;
use crate::faults::{Fault, did_you_mean, enough, excerpt};
use crate::identity::model::Principal;
use crate::versions::Versions;

/// Bytes that are unpacked at once.
const PIECE: usize = 64 << 10;
/// Most characters of a parameter that is a text.
const MAX_TEXT: usize = 200;

/// A JSON body. Unknown fields are refused where the type says so, and null where its schema doesn't allow it.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + ToSchema + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = json_bytes(request, payload);
        Box::pin(async move { json::body(&bytes.await?).map(Self) })
    }
}

/// A JSON body whose handler judges each member together with all others, also null.
pub struct Members<T>(pub T);

impl<T: DeserializeOwned + ToSchema + 'static> FromRequest for Members<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = json_bytes(request, payload);
        Box::pin(async move { json::members(&bytes.await?).map(Self) })
    }
}

fn json_bytes(
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<web::Bytes, Problem>> + use<> {
    let is_json = is_json(request);
    let bytes = bytes(request, payload);
    async move { if is_json { bytes.await } else { Err(Problem::new(Code::UnsupportedMediaType)) } }
}

/// Whether a body is JSON in UTF-8, as far as its type says.
fn is_json(request: &HttpRequest) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = value.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_utf8 = |charset: &str| charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8");
    matches!(kind.as_str(), "application/json" | "application/merge-patch+json")
        && parts
            .filter_map(|part| part.split_once('='))
            .all(|(name, value)| !name.trim().eq_ignore_ascii_case("charset") || is_utf8(value))
}

/// Refuses a body that is packed in another way than those `taken`.
pub fn check_coding(request: &HttpRequest, taken: &[&str]) -> Result<(), Problem> {
    let mut codings = request.headers().get_all(header::CONTENT_ENCODING);
    let is_taken =
        |coding: &HeaderValue| taken.iter().any(|taken| coding.as_bytes().eq_ignore_ascii_case(taken.as_bytes()));
    if codings.next().is_none_or(is_taken) && codings.next().is_none() {
        return Ok(());
    }
    let taken = taken.join(", ");
    let problem = Problem::detailed(Code::UnsupportedMediaType, format!("Content-Encoding may be one of {taken}"));
    let accepted = HeaderValue::from_str(&taken).unwrap_or_else(|_| HeaderValue::from_static("identity"));
    Err(problem.with_header(header::ACCEPT_ENCODING, accepted))
}

/// The whole body, unpacked: bounded in size and time, more narrowly for who has no valid token.
pub fn bytes(
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<web::Bytes, Problem>> + use<> {
    let limits = request.app_data::<web::Data<Limits>>().map(|limits| limits.get_ref().clone()).unwrap_or_default();
    let (most, time) = match request.extensions().contains::<Arc<Principal>>() {
        true => (limits.body, limits.body_time),
        false => (limits.anonymous_body, limits.anonymous_body_time),
    };
    let checked = check_coding(request, &["gzip", "identity"]);
    let packed = request.headers().get(header::CONTENT_ENCODING);
    let packed = packed.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"gzip"));
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = payload.take();
    async move {
        checked?;
        let read = read(body, most, length.unwrap_or(0));
        let bytes = timeout(time, read).await.unwrap_or_else(|_| {
            let seconds = time.as_secs_f64();
            let detail = format!("the body must be here within {seconds} seconds");
            Err(Problem::detailed(Code::RequestTimeout, detail))
        })?;
        if packed { unpack(&bytes, most).await } else { Ok(bytes) }
    }
}

/// Reads a body of at most so many bytes, of which its sender says how many it has.
async fn read(mut body: Payload, most: usize, length: usize) -> Result<web::Bytes, Problem> {
    let mut bytes = web::BytesMut::new();
    check_size(length, most)?;
    while let Some(part) =
        body.try_next().await.map_err(|_| Problem::detailed(Code::BadRequest, "the body broke off"))?
    {
        check_size(bytes.len() + part.len(), most)?;
        bytes.extend_from_slice(&part);
    }
    Ok(bytes.freeze())
}

/// Unpacks a body to at most so many bytes, piece by piece: a few bytes may be packed from a million, which are never unpacked at once.
async fn unpack(packed: &[u8], most: usize) -> Result<web::Bytes, Problem> {
    let (mut reader, mut bytes) = (MultiGzDecoder::new(packed), web::BytesMut::new());
    let mut piece = vec![0; PIECE];
    loop {
        let broken = |_| Problem::detailed(Code::BadRequest, "the body isn't packed as its headers say");
        let read = reader.read(&mut piece).map_err(broken)?;
        let Some(part) = piece.get(..read).filter(|part| !part.is_empty()) else { return Ok(bytes.freeze()) };
        check_size(bytes.len() + part.len(), most)?;
        bytes.extend_from_slice(part);
        // Others wait for this thread.
        tokio::task::yield_now().await;
    }
}

fn check_size(bytes: usize, most: usize) -> Result<(), Problem> {
    match bytes > most {
        true => Err(Problem::detailed(Code::TooLarge, format!("a body may have at most {most} bytes, also unpacked"))),
        false => Ok(()),
    }
}

/// An id in the path; what is no UUID is no resource.
pub struct PathId(pub Id);

impl FromRequest for PathId {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.match_info().get("id").and_then(|id| id.parse().ok());
        ready(id.map(Self).ok_or_else(|| Problem::new(Code::NotFound)))
    }
}

/// A digest in the path; what is none is no resource.
pub struct PathDigest(pub Digest);

impl FromRequest for PathDigest {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let digest = request.match_info().get("digest").and_then(|digest| digest.parse().ok());
        ready(digest.map(Self).ok_or_else(|| Problem::new(Code::NotFound)))
    }
}

/// The parameters of the query, decoded, in their order.
pub struct Parameters(pub Vec<(String, String)>);

impl FromRequest for Parameters {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request.query_string()))
    }
}

impl Parameters {
    /// Those of a query.
    pub fn of(query: &str) -> Result<Self, Problem> {
        web::Query::<Vec<(String, String)>>::from_query(query)
            .map(|query| Self(query.into_inner()))
            .map_err(|_| Problem::detailed(Code::BadRequest, "the query isn't of the form name=value&name=value"))
    }

    /// The position of the cursor and the limit, of a list that has no other parameters.
    pub fn page<T: DeserializeOwned>(&self) -> Result<(Option<T>, u32), Problem> {
        let (mut after, mut limit, mut faults) = (None, DEFAULT_LIMIT, Vec::new());
        for (name, value) in &self.0 {
            if enough(&faults) {
                break;
            }
            let read = match name.as_str() {
                "cursor" => paging::position(value).map(|position| after = Some(position)),
                "limit" => paging::limit(value).map(|read| limit = read),
                _ => Err(Self::unknown(name, &["cursor", "limit"])),
            };
            faults.extend(read.err());
        }
        if faults.is_empty() { Ok((after, limit)) } else { Err(Problem::invalid(faults)) }
    }

    /// Takes out a parameter that is `true` or `false`, and `false` where it isn't sent.
    pub fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        let mut flag = false;
        for (_, value) in self.0.extract_if(.., |(found, _)| found == name) {
            flag = value.parse().map_err(|_| {
                let detail = format!("'{}' is neither true nor false", excerpt(&value));
                Problem::invalid(vec![Fault::new(name, "wrong_type", detail)])
            })?;
        }
        Ok(flag)
    }

    /// Takes out a parameter that is a text of at most [`MAX_TEXT`] characters.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let text = self.0.extract_if(.., |(found, _)| found == name).last().map(|(_, value)| value);
        if text.as_ref().is_some_and(|text| text.chars().count() > MAX_TEXT) {
            let detail = format!("this has more than {MAX_TEXT} characters");
            return Err(Problem::invalid(vec![Fault::new(name, "too_long", detail)]));
        }
        Ok(text)
    }

    /// The fault of a parameter that there isn't.
    pub fn unknown(name: &str, known: &[&str]) -> Fault {
        let detail = format!("there is no parameter '{}'{}", excerpt(name), did_you_mean(name, known.iter().copied()));
        Fault::new(name, "unknown_parameter", detail)
    }
}

/// The language that a reader prefers, from `Accept-Language`: primary tags in the order of preference.
pub struct Languages(pub Vec<String>);

/// Marks a request whose answer depends on the reader's language.
pub struct Localised;

impl Languages {
    /// Those of a request.
    pub fn of(request: &HttpRequest) -> Self {
        use actix_web::http::header::{AcceptLanguage, Header, Quality};
        let AcceptLanguage(mut accepted) = AcceptLanguage::parse(request).unwrap_or(AcceptLanguage(Vec::new()));
        accepted.retain(|language| language.quality > Quality::ZERO);
        let primary = |tag: String| tag.split('-').next().unwrap_or_default().to_lowercase();
        Self(
            AcceptLanguage(accepted)
                .ranked()
                .into_iter()
                .map(|tag| primary(tag.to_string()))
                .filter(|tag| tag != "*")
                .collect(),
        )
    }
}

impl FromRequest for Languages {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        request.extensions_mut().insert(Localised);
        ready(Ok(Self::of(request)))
    }
}

/// The versions on which the client's change may rest, from `If-Match`; 428 when it is missing.
pub struct IfMatch(pub Versions);

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        if request.headers().contains_key(header::IF_MATCH) {
            return ready(Ok(Self(etag::versions(request))));
        }
        ready(Err(Problem::detailed(Code::PreconditionRequired, "send the ETag that was read as If-Match")))
    }
}
