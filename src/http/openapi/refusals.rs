//! How each operation may be refused, for the API's description: the statuses follow from what it takes and needs, their problems from
//! the table of codes.

use std::collections::BTreeSet;

use actix_web::http::{Method, StatusCode};
use serde_json::Value as Json;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};

use super::parameters::IF_MATCH;
use super::{IDEMPOTENCY_KEY, operations, permission};
use crate::faults::Fault;
use crate::http::middleware::guard::WATCHED;
use crate::http::problem::{Code, Entry, LANGUAGES, MEDIA_TYPE, Problem};
use crate::identity::model::{OwnAccount, Permission};

/// What any request may meet besides the statuses that its operation states.
pub const RANGES: [&str; 2] = ["4XX", "5XX"];
/// The operation that asks nothing but the process itself.
const LIVENESS: &str = "/livez";
/// The statuses whose answers say when to try again.
const WAITING: [StatusCode; 3] = [StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
/// The id of a request in examples.
const REQUEST_ID: &str = "01a2008f-c5ab-7253-a9fc-1d735533f672";

/// What an operation says of a status or a range: the answer that all operations share.
pub fn shared(status: &str) -> Ref {
    Ref::from_response_name(format!("Problem{status}"))
}

/// States for every operation how it may be refused. What it says of a status in its own words stays.
pub fn describe(description: &mut OpenApi) {
    let mut stated: BTreeSet<String> = RANGES.map(str::to_owned).into();
    for (path, item) in &mut description.paths.paths {
        for (method, operation) in operations(item) {
            let known = statuses(path, method == Method::PUT, operation);
            let responses = &mut operation.responses.responses;
            for status in known {
                responses.entry(status.as_str().to_owned()).or_insert_with(|| RefOr::Ref(shared(status.as_str())));
            }
            for (status, response) in responses.iter_mut().filter(|(status, _)| status.starts_with(['4', '5'])) {
                if let RefOr::T(own) = response {
                    let mut told = shared(status);
                    told.description = std::mem::take(&mut own.description);
                    *response = RefOr::Ref(told);
                }
                stated.insert(status.clone());
            }
        }
    }
    let components = description.components.get_or_insert_default();
    let responses = stated.iter().map(|status| (format!("Problem{status}"), RefOr::T(response(status))));
    components.responses.extend(responses);
}

/// The statuses that follow from what an operation is; one that `creates` makes what isn't there.
fn statuses(path: &str, creates: bool, operation: &Operation) -> impl Iterator<Item = StatusCode> + use<> {
    let has = |is: &dyn Fn(&Parameter) -> bool| {
        let mut parameters = operation.parameters.iter().flatten();
        parameters.any(|parameter| matches!(parameter, RefOr::T(parameter) if is(parameter)))
    };
    let sends = operation.request_body.is_some();
    let asks = has(&|parameter| parameter.parameter_in == ParameterIn::Query);
    let names = has(&|parameter| parameter.parameter_in == ParameterIn::Path);
    let keyed = has(&|parameter| parameter.name == IDEMPOTENCY_KEY);
    let versioned = has(&|parameter| parameter.name == IF_MATCH);
    let permission = permission(operation);
    [
        (asks || sends, StatusCode::BAD_REQUEST),
        (permission.is_some(), StatusCode::UNAUTHORIZED),
        (permission.is_some_and(|needed| needed != OwnAccount::NAME), StatusCode::FORBIDDEN),
        (names && !creates, StatusCode::NOT_FOUND),
        (sends, StatusCode::REQUEST_TIMEOUT),
        (keyed, StatusCode::CONFLICT),
        (versioned, StatusCode::PRECONDITION_FAILED),
        (sends, StatusCode::PAYLOAD_TOO_LARGE),
        (sends, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (asks || sends || keyed, StatusCode::UNPROCESSABLE_ENTITY),
        (versioned, StatusCode::PRECONDITION_REQUIRED),
        (!WATCHED.contains(&path), StatusCode::TOO_MANY_REQUESTS),
        (path != LIVENESS, StatusCode::SERVICE_UNAVAILABLE),
    ]
    .into_iter()
    .filter_map(|(may, status)| may.then_some(status))
}

/// The answer of a status, or of a range of them, with an example of each problem that it may be.
fn response(status: &str) -> Response {
    let of_status = |entry: &Entry| {
        let own = entry.status.as_str();
        own == status || status.strip_suffix("XX").is_some_and(|class| own.starts_with(class))
    };
    let codes: Vec<Code> = Code::ALL.iter().copied().filter(|code| of_status(&code.entry())).collect();
    let has = |wanted: &[StatusCode]| codes.iter().any(|code| wanted.contains(&code.entry().status));
    let (challenged, waits) = (has(&[StatusCode::UNAUTHORIZED]), has(&WAITING));
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .examples_from_iter(codes.iter().map(|code| (code.entry().code, example(*code))))
        .build();
    let mut response =
        ResponseBuilder::new().description(described(status, &codes)).content(MEDIA_TYPE, content).build();
    let headers = [(challenged, "WWW-Authenticate", challenge()), (waits, "Retry-After", wait())];
    for (_, name, header) in headers.into_iter().filter(|(has, ..)| *has) {
        response.headers.insert(name.to_owned(), RefOr::T(header));
    }
    response
}

fn described(status: &str, codes: &[Code]) -> String {
    match status {
        "4XX" => "Refused".to_owned(),
        "5XX" => "Failed".to_owned(),
        _ => {
            let told = codes.iter().map(|code| format!("`{}`: {}", code.entry().code, code.entry().title("en")));
            told.collect::<Vec<_>>().join("; ")
        }
    }
}

fn example(code: Code) -> Example {
    let problem = match code {
        Code::Invalid => Problem::invalid(vec![Fault::new("/reason", "required", "'reason' is required")]),
        code => Problem::new(code),
    };
    let [english, ..] = LANGUAGES;
    let body = serde_json::to_value(problem.body(english, REQUEST_ID)).unwrap_or(Json::Null);
    ExampleBuilder::new().summary(code.entry().title(english)).value(Some(body)).build()
}

fn challenge() -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["Bearer"]));
    HeaderBuilder::new().schema(Some(schema)).description(Some("At 401: how to say who calls")).build()
}

fn wait() -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    let when =
        "At 429 and 503, and at 409 while the first request with a key runs: seconds until it may be tried again";
    HeaderBuilder::new().schema(Some(schema)).description(Some(when)).build()
}
