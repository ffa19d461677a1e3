//! Errors as RFC 9457 problems. The one place where the errors of use cases become answers, and the one table of codes.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::assessments::{basis, difference, evaluate, run};
use crate::customers::error as customers;
use crate::db;
use crate::faults::Fault;
use crate::identity::error as identity;
use crate::releases::start;
use crate::transactions::record;

/// Seconds after which a client may try again when the service is busy or the database away.
const RETRY_AFTER: &str = "2";

/// The stable codes of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request can't be understood.
    BadRequest,
    /// No or no valid access token.
    Unauthenticated,
    /// Unknown user or wrong password.
    WrongCredentials,
    /// The user may not do this.
    Forbidden,
    /// Too many failures to sign in.
    TooManyAttempts,
    /// There is no such resource.
    NotFound,
    /// The resource has no such method.
    MethodNotAllowed,
    /// The value that must be unique is taken.
    AlreadyExists,
    /// The state of the resource doesn't allow it.
    Conflict,
    /// The resource has changed since it was read.
    Stale,
    /// The body is too large.
    TooLarge,
    /// The body isn't JSON.
    UnsupportedMediaType,
    /// The body or a parameter has faults.
    Invalid,
    /// `If-Match` is missing.
    PreconditionRequired,
    /// Something failed that isn't the client's fault.
    Internal,
    /// The service can't answer now, but may soon.
    Unavailable,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 16] = [
        Self::BadRequest,
        Self::Unauthenticated,
        Self::WrongCredentials,
        Self::Forbidden,
        Self::TooManyAttempts,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::AlreadyExists,
        Self::Conflict,
        Self::Stale,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::Invalid,
        Self::PreconditionRequired,
        Self::Internal,
        Self::Unavailable,
    ];

    /// Code, status and title.
    pub fn entry(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::BadRequest => ("bad_request", StatusCode::BAD_REQUEST, "The request can't be understood"),
            Self::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED, "A valid access token is needed"),
            Self::WrongCredentials => {
                ("wrong_credentials", StatusCode::UNAUTHORIZED, "The user name or the password is wrong")
            }
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "The user may not do this"),
            Self::TooManyAttempts => (
                "too_many_attempts",
                StatusCode::TOO_MANY_REQUESTS,
                "There were too many failures to sign in; try again later",
            ),
            Self::NotFound => ("not_found", StatusCode::NOT_FOUND, "There is no such resource"),
            Self::MethodNotAllowed => {
                ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "The resource has no such method")
            }
            Self::AlreadyExists => ("already_exists", StatusCode::CONFLICT, "The resource exists already"),
            Self::Conflict => ("conflict", StatusCode::CONFLICT, "The state of the resource doesn't allow this"),
            Self::Stale => ("stale", StatusCode::PRECONDITION_FAILED, "The resource has changed since it was read"),
            Self::TooLarge => ("too_large", StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::UnsupportedMediaType => {
                ("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body must be application/json")
            }
            Self::Invalid => ("invalid", StatusCode::UNPROCESSABLE_ENTITY, "The request has faults"),
            Self::PreconditionRequired => {
                ("precondition_required", StatusCode::PRECONDITION_REQUIRED, "The header If-Match is needed")
            }
            Self::Internal => {
                ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong inside the service")
            }
            Self::Unavailable => {
                ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "The service can't answer now; try again soon")
            }
        }
    }
}

/// An error as the API answers it.
#[derive(Clone, Debug)]
pub struct Problem {
    code: Code,
    detail: Option<String>,
    errors: Vec<Fault>,
    allow: Option<String>,
    retry_after: Option<i64>,
}

/// The body of an error.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({"title": "The request has faults", "status": 422, "code": "invalid", "errors": [
    {"pointer": "/profile/network/retail_format", "code": "unknown_choice", "detail": "'kiosk' is not one of grocery, other"}
]}))]
pub struct ProblemBody {
    /// What kind of error it is, in English.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// Stable code of the kind of error.
    code: &'static str,
    /// What is wrong this time; absent where the title says it all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<String>,
    /// Every fault of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<Fault>,
}

/// How every operation may fail, for the API's description.
pub struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let response = |description: &str| {
            let body = RefOr::Ref(Ref::from_schema_name("Problem"));
            let content = ContentBuilder::new().schema(Some(body)).build();
            let response =
                ResponseBuilder::new().description(description).content("application/problem+json", content).build();
            RefOr::T(response)
        };
        [("4XX", "Refused"), ("5XX", "Failed")].map(|(status, text)| (status.to_owned(), response(text))).into()
    }
}

impl Problem {
    /// A problem with nothing more to say than its title.
    pub fn new(code: Code) -> Self {
        Self { code, detail: None, errors: Vec::new(), allow: None, retry_after: None }
    }

    /// A problem with what is wrong this time.
    pub fn detailed(code: Code, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::new(code) }
    }

    /// A request with faults.
    pub fn invalid(errors: Vec<Fault>) -> Self {
        Self { errors, ..Self::new(Code::Invalid) }
    }

    /// The faults of the request.
    pub fn errors(&self) -> &[Fault] {
        &self.errors
    }

    /// A method that the resource doesn't have, with those it has.
    pub fn method_not_allowed(allowed: &[String]) -> Self {
        Self { allow: Some(allowed.join(", ")), ..Self::new(Code::MethodNotAllowed) }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code.entry().0)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.entry().1
    }

    fn error_response(&self) -> HttpResponse {
        let (code, status, title) = self.code.entry();
        let mut response = HttpResponse::build(status);
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if let Some(allow) = self.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
            response.insert_header((header::ALLOW, allow));
        }
        let body = ProblemBody {
            title,
            status: status.as_u16(),
            code,
            detail: self.detail.clone(),
            errors: self.errors.clone(),
        };
        response.body(serde_json::to_string(&body).unwrap_or_default())
    }
}

impl From<db::Error> for Problem {
    /// The database's text stays in the log: it may hold values.
    fn from(error: db::Error) -> Self {
        if error.is_unavailable() {
            tracing::warn!(%error, "the database is away");
            Self::new(Code::Unavailable)
        } else {
            tracing::error!(%error, "the database failed");
            Self::new(Code::Internal)
        }
    }
}

impl From<identity::Error> for Problem {
    fn from(error: identity::Error) -> Self {
        use identity::Error;
        let said = error.to_string();
        match error {
            Error::NotFound => Self::new(Code::NotFound),
            Error::Stale => Self::new(Code::Stale),
            Error::Invalid(faults) => Self::invalid(faults),
            Error::NameTaken => Self::detailed(Code::AlreadyExists, said),
            Error::LastAdministrator | Error::BuiltIn(_) | Error::Used { .. } => Self::detailed(Code::Conflict, said),
            Error::Exceeds(_) => Self::detailed(Code::Forbidden, said),
            Error::WrongCredentials => Self::new(Code::WrongCredentials),
            Error::NotRefreshed => Self::detailed(Code::Unauthenticated, said),
            Error::TooManyAttempts(seconds) => {
                Self { retry_after: Some(seconds), ..Self::detailed(Code::TooManyAttempts, said) }
            }
            Error::Busy(why) => Self::detailed(Code::Unavailable, why),
            Error::WrongSecret | Error::Cryptography(_) => {
                tracing::error!(%error, "the keys or hashes of access failed");
                Self::new(Code::Internal)
            }
            Error::Database(error) => error.into(),
        }
    }
}

impl From<record::Error> for Problem {
    fn from(error: record::Error) -> Self {
        match error {
            record::Error::Database(error) => error.into(),
            record::Error::Dry(_) => Self::new(Code::Internal),
        }
    }
}

impl From<evaluate::Error> for Problem {
    fn from(error: evaluate::Error) -> Self {
        match error {
            evaluate::Error::Invalid(faults) => Self::invalid(faults),
            evaluate::Error::Database(error) => error.into(),
        }
    }
}

impl From<difference::Error> for Problem {
    fn from(error: difference::Error) -> Self {
        let said = error.to_string();
        match error {
            difference::Error::NotFound => Self::new(Code::NotFound),
            difference::Error::First => Self::detailed(Code::NotFound, said),
            difference::Error::Invalid(fault) => Self::invalid(vec![fault]),
            difference::Error::Database(error) => error.into(),
        }
    }
}

impl From<run::Error> for Problem {
    fn from(error: run::Error) -> Self {
        let said = error.to_string();
        match error {
            run::Error::Open(_) | run::Error::Ended | run::Error::Needed => Self::detailed(Code::Conflict, said),
            run::Error::NotFound => Self::new(Code::NotFound),
            run::Error::Database(error) | run::Error::Basis(start::Error::Database(error)) => error.into(),
            run::Error::Basis(_) => Self::detailed(Code::Conflict, said),
        }
    }
}

impl From<basis::Error> for Problem {
    fn from(error: basis::Error) -> Self {
        let said = error.to_string();
        match error {
            basis::Error::Stale => Self::new(Code::Stale),
            basis::Error::Invalid(faults) => Self::invalid(faults),
            basis::Error::Basis(start::Error::Database(error)) => error.into(),
            basis::Error::NotFixed(_) | basis::Error::Basis(_) => Self::detailed(Code::Conflict, said),
        }
    }
}

impl From<customers::Error> for Problem {
    fn from(error: customers::Error) -> Self {
        let said = error.to_string();
        match error {
            customers::Error::NotFound => Self::new(Code::NotFound),
            customers::Error::Stale => Self::new(Code::Stale),
            customers::Error::Invalid(faults) => Self::invalid(faults),
            customers::Error::CodeTaken(_) => Self::detailed(Code::AlreadyExists, said),
            customers::Error::StatusAlready(_) => Self::detailed(Code::Conflict, said),
            customers::Error::Database(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique() {
        let codes: std::collections::BTreeSet<&str> = Code::ALL.iter().map(|code| code.entry().0).collect();
        assert_eq!(codes.len(), Code::ALL.len());
    }
}
