//! The description of the API: what is mounted is what is described.

mod parameters;
pub mod refusals;

use actix_web::http::Method;
use serde_json::{Value as Json, json};
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, RefOr, Response, ResponseBuilder, ServerBuilder, Tag,
};

use super::examples;
use super::problem::ProblemBody;
use crate::faults::Fault;

/// What the description says besides the operations.
pub fn base() -> OpenApi {
    let tag = |name: &str, description: &str| {
        let mut tag = Tag::new(name);
        tag.description = Some(description.to_owned());
        tag
    };
    let license = utoipa::openapi::LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("Baremo")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Keeps an industry's customer file and grades every customer by policies that the industry writes itself.\n\n\
             Money, quantities and scores are decimal strings; what is absent is left out, never null; times are RFC 3339; \
             errors are RFC 9457 problems with a stable `code`. Labels and reasons follow `Accept-Language`.\n\n\
             Answers to what counts against a limit have `RateLimit-Policy` and `RateLimit`, which tells what is left; 429 and 503 \
             tell by `Retry-After` in how many seconds to ask again. `If-Match` takes the `ETag` as it came, with its quotes.\n\n\
             [The page for those who build front ends](/docs/front-ends) shows how one goes with the other.",
        ))
        .license(Some(license))
        .build();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("The access token of POST /v1/auth/token"))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new().url("/").build()]))
        .components(Some(
            ComponentsBuilder::new()
                .security_scheme("bearer", SecurityScheme::Http(bearer))
                .schema_from::<ProblemBody>()
                .schema_from::<Fault>()
                .build(),
        ))
        .security(Some([utoipa::openapi::security::SecurityRequirement::new::<_, [&str; 0], &str>("bearer", [])]))
        .tags(Some([
            tag("auth", "Signing in, and what is one's own: password and sessions"),
            tag("users", "Users and their roles"),
            tag("pack", "What the industry declares: fields, metrics, policies, labels; and what is in force"),
            tag("lists", "Lists of customers, by outcomes and by hand"),
            tag("overrides", "Persons who decide instead of policies, and appeals against decisions"),
            tag("staff", "Employees, their evaluation with signatures, and bonus pools"),
            tag("releases", "Making, comparing, approving and listing releases of the pack"),
            tag("customers", "The customer file"),
            tag("products", "What lines of transactions name"),
            tag("transactions", "Orders, payments and what follows from them"),
            tag("imports", "Files of customers, products, transactions and observations"),
            tag("assessments", "What the policies decide, and why"),
            tag("runs", "Assessing all customers"),
            tag("basis", "What grades rest on, and when they close"),
            tag("events", "What has changed"),
            tag("operation", "Whether the service lives and can answer, and what it does"),
        ]))
        .build()
}

/// The header by which a request is known that is sent again.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// Where files are sent.
pub const UPLOADS: &str = "/v1/imports";

/// Whether a POST to this path takes an idempotency key: those that create, change or start something. Signing in and passwords are
/// secrets, of which nothing is kept; evaluations change nothing.
pub fn takes_key(path: &str) -> bool {
    let is_secret = path.starts_with("/v1/auth/") || path.ends_with("/password");
    path.starts_with("/v1/") && !is_secret && path != "/v1/evaluations"
}

/// Describes what all operations of a kind have in common.
pub fn complete(mut description: OpenApi) -> OpenApi {
    for (path, item) in &mut description.paths.paths {
        if let Some(operation) = item.post.as_mut().filter(|_| takes_key(path)) {
            operation.parameters.get_or_insert_default().push(RefOr::T(parameters::key()));
            for (status, response) in &mut operation.responses.responses {
                if let RefOr::T(response) = response
                    && status.starts_with('2')
                {
                    response.headers.insert("Idempotency-Replayed".to_owned(), RefOr::T(replayed()));
                }
            }
        }
        if let Some(operation) = item.get.as_mut().filter(|operation| has_tag(operation)) {
            operation.parameters.get_or_insert_default().push(RefOr::T(parameters::known()));
            let same = ResponseBuilder::new().description("The caller's copy is still right").build();
            operation.responses.responses.insert("304".to_owned(), RefOr::T(same));
        }
        if let Some(RefOr::T(page)) = item.get.as_mut().filter(|operation| is_paged(operation)).and_then(page) {
            let next = HeaderBuilder::new().description(Some("`rel=\"next\"`: the next page, if there is one"));
            page.headers.insert("Link".to_owned(), RefOr::T(next.build()));
        }
    }
    parameters::describe(&mut description);
    refusals::describe(&mut description);
    description
}

fn replayed() -> Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"]))))
        .description(Some("That the request was done before: this is the answer of that time"))
        .build()
}

/// The operations of a path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let of_methods = [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ];
    of_methods.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The permission that an operation states.
pub(super) fn permission(operation: &Operation) -> Option<String> {
    let security = serde_json::to_value(&operation.security).ok()?;
    Some(security.pointer("/0/bearer/0")?.as_str()?.to_owned())
}

fn is_paged(operation: &Operation) -> bool {
    let is_cursor = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(known) if known.name == "cursor");
    operation.parameters.iter().flatten().any(is_cursor)
}

fn page(operation: &mut Operation) -> Option<&mut RefOr<Response>> {
    operation.responses.responses.get_mut("200")
}

/// A description as it is given out: every schema with an example, and open operations marked in the way that generators of clients
/// take for open.
pub fn finished(description: &OpenApi) -> serde_json::Result<Json> {
    let mut finished = serde_json::to_value(description)?;
    let items = finished.pointer_mut("/paths").and_then(Json::as_object_mut);
    for operation in items.into_iter().flat_map(|items| items.values_mut()).filter_map(Json::as_object_mut).flatten() {
        if let Some(security) = operation.1.get_mut("security").filter(|security| **security == json!([{}])) {
            *security = json!([]);
        }
    }
    examples::complete(&mut finished);
    Ok(finished)
}

/// Whether what an operation gives has an `ETag`.
fn has_tag(operation: &Operation) -> bool {
    let given = operation.responses.responses.get("200");
    given.is_some_and(|given| matches!(given, RefOr::T(response) if response.headers.contains_key("ETag")))
}
