//! Extractors whose failures are problems too, with a pointer to what is wrong.

use std::future::{Future, Ready, ready};
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::etag;
use super::json;
use super::limits::Limits;
use super::paging::{self, DEFAULT_LIMIT};
use super::problem::{Code, Problem};
use crate::Id;
use crate::faults::{Fault, did_you_mean, enough, excerpt};
use crate::versions::Versions;

/// A JSON body. Unknown fields are refused where the type says so.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + ToSchema + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let content_type = request.content_type().to_ascii_lowercase();
        let is_json = matches!(content_type.as_str(), "application/json" | "application/merge-patch+json");
        let bytes = bytes(request, payload);
        Box::pin(async move {
            if !is_json {
                return Err(Problem::new(Code::UnsupportedMediaType));
            }
            json::body(&bytes.await?).map(Self)
        })
    }
}

/// The whole body, unpacked: bounded in size and time.
pub fn bytes(
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<web::Bytes, Problem>> + use<> {
    let limits = request.app_data::<web::Data<Limits>>().map(|limits| limits.get_ref().clone()).unwrap_or_default();
    let bytes = web::Bytes::from_request(request, payload);
    async move {
        let Ok(read) = timeout(limits.body_time, bytes).await else {
            let seconds = limits.body_time.as_secs_f64();
            return Err(Problem::detailed(
                Code::RequestTimeout,
                format!("the body must be here within {seconds} seconds"),
            ));
        };
        read.map_err(|error| match error.as_error::<PayloadError>() {
            Some(PayloadError::Overflow) => {
                let most = limits.body;
                Problem::detailed(Code::TooLarge, format!("a body may have at most {most} bytes, also unpacked"))
            }
            _ => Problem::detailed(Code::BadRequest, "the body broke off, or isn't packed as its headers say"),
        })
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

/// The parameters of the query, decoded, in their order.
pub struct Parameters(pub Vec<(String, String)>);

impl FromRequest for Parameters {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let parameters = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
        ready(
            parameters
                .map(|query| Self(query.into_inner()))
                .map_err(|_| Problem::detailed(Code::BadRequest, "the query isn't of the form name=value&name=value")),
        )
    }
}

impl Parameters {
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

    /// The fault of a parameter that there isn't.
    pub fn unknown(name: &str, known: &[&str]) -> Fault {
        let detail = format!("there is no parameter '{}'{}", excerpt(name), did_you_mean(name, known.iter().copied()));
        Fault::new(name, "unknown_parameter", detail)
    }
}

/// The language that a reader prefers, from `Accept-Language`: primary tags in the order of preference.
pub struct Languages(pub Vec<String>);

impl Languages {
    /// Those of a request.
    pub fn of(request: &HttpRequest) -> Self {
        use actix_web::http::header::{AcceptLanguage, Header};
        let languages = AcceptLanguage::parse(request).map(|accepted| accepted.ranked()).unwrap_or_default();
        let primary = |tag: String| tag.split('-').next().unwrap_or_default().to_lowercase();
        Self(languages.into_iter().map(|tag| primary(tag.to_string())).filter(|tag| tag != "*").collect())
    }
}

impl FromRequest for Languages {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
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
