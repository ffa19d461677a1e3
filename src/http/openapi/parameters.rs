//! Headers that operations take: of some kinds of operations, or of all.

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::openapi::{OpenApi, Ref, RefOr, Required};

use super::{IDEMPOTENCY_KEY, operations};

/// The header by which a change names the version that it rests on.
pub const IF_MATCH: &str = "If-Match";
/// The name under which all operations refer to the reader's languages.
const LANGUAGES: &str = "AcceptLanguage";
/// Entity tags, or `*`.
const TAGS: &str = r#"^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$"#;

/// Describes the languages that all operations follow, and what the tags are that changes rest on.
pub fn describe(description: &mut OpenApi) {
    let languages = Ref::new(format!("#/components/parameters/{LANGUAGES}"));
    for (_, operation) in description.paths.paths.values_mut().flat_map(operations) {
        let parameters = operation.parameters.get_or_insert_default();
        for parameter in parameters.iter_mut() {
            if let RefOr::T(tag) = parameter
                && tag.name == IF_MATCH
            {
                let described = ParameterBuilder::from(std::mem::take(tag));
                *tag = described.schema(Some(tags())).example(Some("\"3\"".into())).build();
            }
        }
        parameters.push(RefOr::Ref(languages.clone()));
    }
    let components = description.components.get_or_insert_default();
    components.parameters.insert(LANGUAGES.to_owned(), RefOr::T(accepted()));
}

/// The key by which a request is known that is sent again.
pub fn key() -> Parameter {
    let schema = text().min_length(Some(1)).max_length(Some(255)).build();
    header(
        IDEMPOTENCY_KEY,
        schema,
        "5f0c2a3e-6d0b-4f6e-9f7e-0d2f4c1b9a77",
        "A name of the caller's own for this request, best a UUID. Sent again within 48 hours with the same key, path, query and \
         body, the request isn't done again but answered as the first time, with `Idempotency-Replayed: true`. The answer is 422 \
         where the rest is another, and 409 while the first one runs. Requests that were refused are looked at again.",
    )
}

/// The copy that a reader has. Nothing is refused for it, so it has no bound.
pub fn known() -> Parameter {
    header("If-None-Match", text().build(), "\"3\"", "The `ETag` of a copy that the caller has")
}

/// The languages that a reader prefers. Nothing is refused for them, so they have no bound.
fn accepted() -> Parameter {
    header(
        "Accept-Language",
        text().build(),
        "es, en;q=0.5",
        "The languages that the reader prefers: labels and reasons come in the first that the pack has, titles of problems in English, \
         Spanish or Chinese",
    )
}

fn tags() -> Object {
    text().pattern(Some(TAGS)).build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn header(name: &str, schema: Object, example: &str, description: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .example(Some(example.into()))
        .build()
}
