//! Errors as RFC 9457 problems. Whoever refuses says which; `middleware/answers.rs` writes the body in the reader's language.

mod codes;
mod conversions;
pub mod pages;

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::openapi::{RefOr, Response};
use utoipa::{IntoResponses, ToSchema};

pub use codes::{Code, Entry, LANGUAGES};

use crate::faults::{Fault, MOST};
use crate::http::openapi::refusals;

/// Seconds after which a client may try again when the service is busy or the database away.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");
/// The media type of problems.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// An error as the API answers it.
#[derive(Clone, Debug)]
pub struct Problem {
    code: Code,
    detail: Option<String>,
    errors: Vec<Fault>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The body of an error.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({"type": "/problems/invalid", "title": "The request has faults", "status": 422, "code": "invalid",
    "request_id": "01a2008f-c5ab-7253-a9fc-1d735533f672", "errors": [
    {"pointer": "/profile/network/retail_format", "code": "unknown_choice", "detail": "'kiosk' is not one of grocery, other"}
]}))]
pub struct ProblemBody {
    /// Where this kind of error is explained: a reference relative to the service.
    #[serde(rename = "type")]
    #[schema(format = "uri-reference")]
    kind: String,
    /// What kind of error it is, in the language of `Content-Language`: English, Spanish or Chinese, by `Accept-Language`.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// Stable code of the kind of error.
    code: &'static str,
    /// What is wrong this time, in English; absent where the title says it all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<String>,
    /// The id of the request, as the service's log has it too: what a user quotes who asks for help.
    request_id: String,
    /// The faults of the request, at most 100: where there are more, `detail` says so. Long keys and values are shortened.
    #[schema(max_items = 100)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<Fault>,
}

/// That an operation may fail as any may, for the API's description, which adds how else it may.
pub struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        refusals::RANGES.map(|range| (range.to_owned(), RefOr::Ref(refusals::shared(range)))).into()
    }
}

impl Problem {
    /// A problem with nothing more to say than its title.
    pub fn new(code: Code) -> Self {
        Self { code, detail: None, errors: Vec::new(), headers: Vec::new() }
    }

    /// A problem with what is wrong this time.
    pub fn detailed(code: Code, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::new(code) }
    }

    /// A request with faults, of which the first are told.
    pub fn invalid(mut errors: Vec<Fault>) -> Self {
        let detail = (errors.len() > MOST).then(|| format!("only the first {MOST} faults are told"));
        errors.truncate(MOST);
        Self { errors, detail, ..Self::new(Code::Invalid) }
    }

    /// The problem of an answer that isn't ours, such as one of the libraries below.
    pub fn of_status(status: StatusCode) -> Self {
        let of_class = if status.is_server_error() { Code::Internal } else { Code::BadRequest };
        Self::new(Code::ALL.iter().copied().find(|code| code.entry().status == status).unwrap_or(of_class))
    }

    /// The same problem, whose answer has one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same problem, after which the client may try again in some seconds.
    #[must_use]
    pub fn retry_after(self, seconds: i64) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// A method that the resource doesn't have, with those it has.
    pub fn method_not_allowed(allowed: HeaderValue) -> Self {
        Self::new(Code::MethodNotAllowed).with_header(header::ALLOW, allowed)
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The faults of the request.
    pub fn errors(&self) -> &[Fault] {
        &self.errors
    }

    /// The body in a language, for the request of this id.
    pub fn body(&self, language: &str, request_id: &str) -> ProblemBody {
        let entry = self.code.entry();
        ProblemBody {
            kind: format!("/problems/{}", entry.code),
            title: entry.title(language),
            status: entry.status.as_u16(),
            code: entry.code,
            detail: self.detail.clone(),
            request_id: request_id.to_owned(),
            errors: self.errors.clone(),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code.entry().code)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.entry().status
    }

    /// Without a body: it is written where the reader's language is known.
    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::new(status);
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        for (name, value) in &self.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response.extensions_mut().insert(self.clone());
        response
    }
}
