//! The description of the API: that it is the handlers', and says everything that a stranger needs. That of a running service is tried in
//! `running.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::Value as Json;

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

/// The schema that a reference names, or the schema itself.
pub fn resolved<'a>(description: &'a Json, schema: &'a Json) -> &'a Json {
    let name = schema["$ref"].as_str().map(|path| path.rsplit('/').next().unwrap());
    name.map_or(schema, |name| &description["components"]["schemas"][name])
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
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(
                parameter["description"].is_string(),
                "{at}: the parameter {} has no description",
                parameter["name"]
            );
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
        for (status, response) in responses {
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

/// Everything that a client sends has bounds.
#[test]
fn every_text_that_is_sent_has_a_bound() {
    let description = described();
    let mut waiting: Vec<&Json> = Vec::new();
    for (_, operation) in operations(&description) {
        for media in operation["requestBody"]["content"].as_object().into_iter().flat_map(|content| content.values()) {
            waiting.push(&media["schema"]);
        }
    }
    let (mut seen, mut unbounded) = (BTreeSet::new(), Vec::new());
    while let Some(schema) = waiting.pop() {
        let target = resolved(&description, schema);
        if !seen.insert(target.to_string()) {
            continue;
        }
        for (name, property) in target["properties"].as_object().into_iter().flatten() {
            let bounds = ["maxLength", "format", "pattern", "enum"]
                .iter()
                .any(|key| property[*key].is_string() || property[*key].is_number() || property[*key].is_array());
            if property["type"] == "string" && !bounds {
                unbounded.push(format!("{name} of {}", target["description"]));
            }
            if property["type"] == "array" {
                waiting.push(&property["items"]);
            }
            waiting.push(property);
        }
    }
    assert!(seen.len() > 20, "{} schemas are sent", seen.len());
    assert_eq!(unbounded, Vec::<String>::new());
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
