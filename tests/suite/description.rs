//! The description of the API: that it is the handlers', and says everything that a stranger needs. That of a running service is tried in
//! `running.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::{Value as Json, json};

use crate::imports::files_below;

pub fn described() -> Json {
    serde_json::from_str(&baremo::cli::openapi::text().unwrap()).unwrap()
}

/// Every operation with where it stands.
fn operations(description: &Json) -> Vec<(String, &Json)> {
    let paths = description["paths"].as_object().unwrap();
    let of_path = |(path, item): (&'_ String, &'_ Json)| -> Vec<(String, Json)> {
        item.as_object().unwrap().iter().map(|(method, it)| (format!("{method} {path}"), it.clone())).collect()
    };
    let found: usize = paths.iter().map(|entry| of_path(entry).len()).sum();
    assert!(found > 30, "{found} operations");
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, it)| (format!("{method} {path}"), it))
        })
        .collect()
}

/// What a reference names, or the part itself where it is none.
pub fn resolved<'a>(description: &'a Json, part: &'a Json) -> &'a Json {
    let pointer = part["$ref"].as_str().map(|path| path.strip_prefix('#').unwrap());
    pointer.map_or(part, |pointer| description.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is nowhere")))
}

/// The parameters of an operation.
fn parameters<'a>(description: &'a Json, operation: &'a Json) -> impl Iterator<Item = &'a Json> {
    operation["parameters"].as_array().into_iter().flatten().map(|parameter| resolved(description, parameter))
}

/// Whether a text says itself which ones it takes.
fn is_bounded(schema: &Json) -> bool {
    ["maxLength", "format", "pattern", "enum", "const"].iter().any(|key| !schema[*key].is_null())
}

fn has_example(description: &Json, media: &Json) -> bool {
    let schema = resolved(description, &media["schema"]);
    [&media["example"], &media["examples"], &schema["example"], &schema["examples"]].iter().any(|it| !it.is_null())
}

/// Every property of every named schema, with where it stands.
pub fn properties(description: &Json) -> Vec<(String, &Json)> {
    fn below<'a>(at: &str, schema: &'a Json, found: &mut Vec<(String, &'a Json)>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            found.push((format!("{at}.{name}"), property));
            below(&format!("{at}.{name}"), property, found);
        }
        for part in ["allOf", "oneOf"].iter().filter_map(|key| schema[*key].as_array()).flatten() {
            below(at, part, found);
        }
    }
    let mut found = Vec::new();
    for (name, schema) in description["components"]["schemas"].as_object().unwrap() {
        below(name, schema, &mut found);
    }
    assert!(found.len() > 200, "{} properties", found.len());
    found
}

#[test]
fn the_committed_description_is_that_of_the_handlers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
    let committed = fs::read_to_string(path).unwrap_or_default();
    let same = committed == baremo::cli::openapi::text().unwrap();
    assert!(same, "openapi/openapi.json is out of date: cargo run -- openapi > openapi/openapi.json");
}

#[test]
fn every_operation_is_described() {
    let description = described();
    let tags: BTreeSet<&str> =
        description["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut ids = BTreeSet::new();
    for (at, operation) in operations(&description) {
        for part in ["operationId", "summary", "description"] {
            assert!(operation[part].as_str().is_some_and(|text| !text.is_empty()), "{at} has no {part}");
        }
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{at}: the id stands twice");
        let own = operation["tags"].as_array().unwrap();
        assert!(own.len() == 1 && tags.contains(own[0].as_str().unwrap()), "{at}: {own:?}");
        let security = operation["security"].as_array().unwrap_or_else(|| panic!("{at} states no security"));
        let permissions = security.iter().filter_map(|scheme| scheme["bearer"].as_array()).map(Vec::len);
        assert!(permissions.eq(security.iter().map(|_| 1)) && security.len() < 2, "{at}: {security:?}");
        for parameter in parameters(&description, operation) {
            let name = &parameter["name"];
            assert!(parameter["description"].is_string(), "{at}: the parameter {name} has no description");
            assert!(!parameter["example"].is_null(), "{at}: the parameter {name} has no example");
        }
    }
}

#[test]
fn every_body_has_an_example_and_every_operation_problems() {
    let description = described();
    for (at, operation) in operations(&description) {
        let body = operation["requestBody"]["content"].as_object();
        // A generated client would have to choose.
        assert!(body.is_none_or(|body| body.len() == 1), "{at}: the body has several types");
        for (kind, media) in body.into_iter().flatten() {
            assert!(has_example(&description, media), "{at}: the body as {kind} has no example");
        }
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{at} never succeeds");
        assert!(responses.contains_key("4XX") && responses.contains_key("5XX"), "{at} never fails");
        for (status, response) in responses.iter().map(|(status, it)| (status, resolved(&description, it))) {
            let problem = response["content"].get("application/problem+json").is_some();
            assert_eq!(problem, status.starts_with(['4', '5']), "{at} {status}");
            for (kind, media) in response["content"].as_object().into_iter().flatten() {
                assert!(has_example(&description, media), "{at} {status} {kind} has no example");
            }
        }
    }
}

#[test]
fn every_schema_is_described_with_an_example_and_every_property_with_its_range() {
    let description = described();
    for (name, schema) in description["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name} has no description");
        let example = [&schema["example"], &schema["examples"], &schema["enum"]];
        assert!(
            example.iter().any(|it| !it.is_null()),
            "{name} has no example: give it one, or each of its required fields"
        );
    }
    for (at, property) in properties(&description) {
        let target = resolved(&description, property);
        let mut parts = property["oneOf"].as_array().into_iter().flatten().chain([property, target]);
        assert!(parts.any(|part| part["description"].is_string()), "{at} has no description");
        let kinds = format!("{}", property["type"]);
        assert!(!kinds.contains("number"), "{at}: numbers are whole, or decimals as strings");
        assert!(!kinds.contains("integer") || property["minimum"].is_number(), "{at} has no minimum");
    }
}

/// The statuses of refusals that an operation states one by one.
fn refusals(operation: &Json) -> BTreeSet<&str> {
    let statuses = operation["responses"].as_object().unwrap().keys().map(String::as_str);
    statuses.filter(|status| status.starts_with(['4', '5']) && !status.ends_with("XX")).collect()
}

#[test]
fn every_operation_states_how_what_it_takes_and_needs_may_be_refused() {
    let description = described();
    for (at, operation) in operations(&description) {
        let stated = refusals(operation);
        let in_place = |place: &str| parameters(&description, operation).any(|parameter| parameter["in"] == place);
        let named = |name: &str| parameters(&description, operation).any(|parameter| parameter["name"] == name);
        let (sends, asks) = (operation["requestBody"].is_object(), in_place("query"));
        let permission = operation["security"].pointer("/0/bearer/0");
        let expected = [
            (sends || asks, ["400", "422"].as_slice()),
            (permission.is_some(), &["401"]),
            (permission.is_some_and(|needed| needed != "account:own"), &["403"]),
            (in_place("path") && !at.starts_with("put "), &["404"]),
            (named("Idempotency-Key"), &["409", "422"]),
            (named("If-Match"), &["412", "428"]),
            (sends, &["408", "413", "415"]),
            (at.contains(" /v1/"), &["429", "503"]),
        ];
        for (_, statuses) in expected.iter().filter(|(is, _)| *is) {
            let missing: Vec<_> = statuses.iter().filter(|status| !stated.contains(**status)).collect();
            assert!(missing.is_empty(), "{at} doesn't state {missing:?}");
        }
        let never: &[&str] = if named("If-Match") { &[] } else { &["412", "428"] };
        assert!(never.iter().all(|status| !stated.contains(status)), "{at}: {stated:?}");
    }
    let of = |pointer: &str| refusals(description.pointer(pointer).unwrap());
    assert_eq!(of("/paths/~1livez/get"), BTreeSet::new());
    assert!(of("/paths/~1v1~1auth~1token/post").contains("401"));
    assert!(of("/paths/~1v1~1publication/get").contains("404"));
    for operation in ["v1~1basis/patch", "v1~1users~1{id}/patch", "v1~1roles~1{role}/put", "v1~1roles~1{role}/delete"] {
        assert!(of(&format!("/paths/~1{operation}")).contains("409"), "{operation}");
    }
}

#[test]
fn every_refusal_has_examples_of_its_own_problems() {
    let description = described();
    let mut codes = BTreeSet::new();
    for (name, response) in description["components"]["responses"].as_object().unwrap() {
        let status = name.strip_prefix("Problem").unwrap();
        let examples = response["content"]["application/problem+json"]["examples"].as_object().unwrap();
        assert!(!examples.is_empty(), "{name}");
        for (code, example) in examples {
            let problem = &example["value"];
            let own = problem["status"].to_string();
            assert!(own == status || Some(&own[..1]) == status.strip_suffix("XX"), "{name}: {problem}");
            assert_eq!((&problem["code"], &problem["title"]), (&json!(code), &example["summary"]), "{name}");
            codes.insert(code.as_str());
        }
    }
    let all = baremo::http::problem::Code::ALL.iter().map(|code| code.entry().code);
    assert_eq!(codes, all.collect::<BTreeSet<_>>());
    let headers = |status: &str| &description["components"]["responses"][format!("Problem{status}")]["headers"];
    assert!(headers("401")["WWW-Authenticate"].is_object() && headers("404").is_null());
    assert!(["409", "429", "503"].iter().all(|status| headers(status)["Retry-After"].is_object()));
}

/// Everything that a client sends has bounds, but headers that nothing is refused for.
#[test]
fn every_text_that_is_sent_has_a_bound() {
    let description = described();
    let (mut waiting, mut unbounded): (Vec<(String, &Json)>, Vec<String>) = (Vec::new(), Vec::new());
    for (at, operation) in operations(&description) {
        let ignored = |it: &&Json| it["name"] == "If-None-Match" || it["name"] == "Accept-Language";
        for parameter in parameters(&description, operation).filter(|parameter| !ignored(parameter)) {
            let schema = resolved(&description, &parameter["schema"]);
            if schema["type"] == "string" && !is_bounded(schema) {
                unbounded.push(format!("{at}, {}", parameter["name"]));
            }
        }
        let content = operation["requestBody"]["content"].as_object();
        waiting.extend(content.into_iter().flatten().map(|(_, media)| (at.clone(), &media["schema"])));
    }
    let mut seen = BTreeSet::new();
    while let Some((at, schema)) = waiting.pop() {
        let target = resolved(&description, schema);
        if !seen.insert(target.to_string()) {
            continue;
        }
        let is_text = target["type"] == "string" || target["type"] == json!(["string", "null"]);
        if is_text && !is_bounded(target) {
            unbounded.push(at.clone());
        }
        for (name, property) in target["properties"].as_object().into_iter().flatten() {
            waiting.push((format!("{at}.{name}"), property));
        }
        let alternatives = ["oneOf", "anyOf", "allOf"].iter().filter_map(|key| target[*key].as_array()).flatten();
        let parts = [&target["items"], &target["additionalProperties"]].into_iter().filter(|part| part.is_object());
        waiting.extend(alternatives.chain(parts).map(|part| (format!("{at}…"), part)));
    }
    assert!(seen.len() > 20, "{} schemas are sent", seen.len());
    assert_eq!(unbounded, Vec::<String>::new());
}

/// A decimal is a text without a unit: its field says in what it is.
#[test]
fn every_decimal_says_its_unit() {
    const UNITS: [&str; 6] = ["unit", "currency", "points", "share", "index", "microseconds"];
    let description = described();
    let is_decimal = |property: &Json| property.to_string().contains("#/components/schemas/DecimalText\"");
    let mut decimals = 0;
    for (at, property) in properties(&description).into_iter().filter(|(_, property)| is_decimal(property)) {
        decimals += 1;
        let parts = property["oneOf"].as_array().into_iter().flatten().chain([property]);
        let told = parts.filter_map(|part| part["description"].as_str()).collect::<String>().to_lowercase();
        assert!(UNITS.iter().any(|unit| told.contains(unit)), "{at} says no unit: {told:?}");
        assert!(told.split(' ').count() > 2, "{at} says too little: {told:?}");
    }
    assert!(decimals > 30, "{decimals} decimals");
}

/// Of two types with one name, the later would replace the earlier in the description without a word.
#[test]
fn every_schema_has_a_name_of_its_own() {
    let derived = Regex::new(r"(?s)#\[derive\([^)]*ToSchema[^)]*\)\](.*?)(?:struct|enum) (\w+)").unwrap();
    let renamed = Regex::new(r"schema\(as = (\w+)").unwrap();
    let written = Regex::new(r"(?m)^(?:impl ToSchema for (\w+) |    (\w+): \{)").unwrap();
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files_below("src", "rs") {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap();
        let mut enter = |name: &str| names.entry(name.to_owned()).or_default().push(file.display().to_string());
        for found in derived.captures_iter(&text) {
            enter(renamed.captures(&found[1]).map_or(&found[2], |renamed| renamed.get(1).unwrap().as_str()));
        }
        let by_hand = file.ends_with("digest.rs") || file.ends_with("schemas.rs");
        for found in written.captures_iter(&text).filter(|_| by_hand) {
            enter(found.get(1).or(found.get(2)).unwrap().as_str());
        }
    }
    let news: Vec<&String> = names.keys().filter(|name| name.starts_with("New")).collect();
    assert!(news.is_empty(), "{news:?}: generated Go has constructors of these names");
    let doubled: Vec<_> = names.iter().filter(|(_, files)| files.len() > 1).collect();
    assert_eq!(doubled, Vec::<(&String, &Vec<String>)>::new());
    for name in described()["components"]["schemas"].as_object().unwrap().keys() {
        assert!(
            names.contains_key(name),
            "{name} is of no type of src/: does an alias or a generic type stand in a schema?"
        );
    }
}
