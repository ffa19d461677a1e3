//! The paths of the service with what each takes, known from the description of the API: to answer what no handler takes, and to refuse
//! what an operation doesn't take.

use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use regex::Regex;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::{OpenApi, RefOr};

use super::openapi::permission;
use super::problem::{Code, Problem};

/// Pages for people and what they load: read only, by anybody, and not described.
const PAGES: [&str; 6] = ["/openapi.json", "/docs", "/docs/", "/docs/{file}", "/problems", "/problems/{code}"];

/// The paths.
pub struct Paths(Vec<Path>);

struct Path {
    pattern: Regex,
    allowed: HeaderValue,
    operations: BTreeMap<&'static str, Takes>,
}

/// What an operation takes.
#[derive(Default)]
pub struct Takes {
    /// Whether a body.
    pub body: bool,
    /// Whether parameters in the query.
    pub query: bool,
    /// The permission that it states.
    pub permission: Option<String>,
}

impl Takes {
    fn new(operation: &Operation) -> Self {
        let in_query = |parameter: &RefOr<_>| {
            matches!(parameter, RefOr::T(utoipa::openapi::path::Parameter { parameter_in: ParameterIn::Query, .. }))
        };
        Self {
            body: operation.request_body.is_some(),
            query: operation.parameters.iter().flatten().any(in_query),
            permission: permission(operation),
        }
    }
}

impl Path {
    fn new(path: &str, operations: BTreeMap<&'static str, Takes>) -> Option<Self> {
        let segment = |segment: &str| match segment.starts_with('{') {
            true => "/[^/]+".to_owned(),
            false => format!("/{}", regex::escape(segment)),
        };
        let pattern: String = path.split('/').skip(1).map(segment).collect();
        let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let allows = |method: &&str| match *method {
            "OPTIONS" => true,
            "HEAD" => operations.contains_key("GET"),
            method => operations.contains_key(method),
        };
        let allowed: Vec<&str> = methods.into_iter().filter(allows).collect();
        Some(Self {
            pattern: Regex::new(&format!("^{pattern}$")).ok()?,
            allowed: HeaderValue::from_str(&allowed.join(", ")).ok()?,
            operations,
        })
    }
}

fn operations(item: &PathItem) -> BTreeMap<&'static str, Takes> {
    let all = [
        ("GET", &item.get),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, Takes::new(operation.as_ref()?)))).collect()
}

impl Paths {
    /// The paths of a description, and those of the pages.
    pub fn of(description: &OpenApi) -> Self {
        let described = description.paths.paths.iter().map(|(path, item)| (path.as_str(), operations(item)));
        let page = || Takes { body: true, query: true, permission: None };
        let pages = PAGES.into_iter().map(|path| (path, BTreeMap::from([("GET", page())])));
        Self(described.chain(pages).filter_map(|(path, operations)| Path::new(path, operations)).collect())
    }

    /// The answer to a request that no handler takes: what a path allows to OPTIONS, 405 where only the method is wrong, else 404.
    pub fn refuse(&self, request: &HttpRequest) -> HttpResponse {
        match self.find(request.path()) {
            Some(path) if request.method() == Method::OPTIONS => {
                HttpResponse::NoContent().insert_header((header::ALLOW, path.allowed.clone())).finish()
            }
            // A page of this kind that there isn't.
            Some(path) if path.operations.contains_key(request.method().as_str()) => {
                Problem::new(Code::NotFound).error_response()
            }
            Some(path) => Problem::method_not_allowed(path.allowed.clone()).error_response(),
            None => Problem::new(Code::NotFound).error_response(),
        }
    }

    /// What an operation takes, if there is one.
    pub fn operation(&self, method: &Method, path: &str) -> Option<&Takes> {
        self.find(path)?.operations.get(method.as_str())
    }

    fn find(&self, path: &str) -> Option<&Path> {
        self.0.iter().find(|known| known.pattern.is_match(path))
    }
}
