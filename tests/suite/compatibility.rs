//! What clients of the last released version would miss in the description of this one. `make audit` compares the two; a breaking
//! change wants a new major version, before 1.0 a new minor one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

/// Whether a schema is of what clients send or of what they get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Sent,
    Got,
}

struct Comparison<'a> {
    before: &'a Json,
    after: &'a Json,
    breaking: Vec<String>,
    /// Named schemas that were compared already.
    seen: BTreeSet<(String, String, Way)>,
}

/// The changes that break clients, each as a sentence.
fn breaking(before: &Json, after: &Json) -> Vec<String> {
    let mut comparison = Comparison { before, after, breaking: Vec::new(), seen: BTreeSet::new() };
    for (path, item) in entries(&before["paths"]) {
        for (method, operation) in entries(item) {
            comparison.operation(&format!("{method} {path}"), operation, &after["paths"][path][method]);
        }
    }
    comparison.breaking
}

fn entries(json: &Json) -> impl Iterator<Item = (&String, &Json)> {
    json.as_object().into_iter().flatten()
}

fn texts(json: &Json) -> BTreeSet<String> {
    json.as_array().into_iter().flatten().map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned)).collect()
}

fn resolved<'a>(document: &'a Json, schema: &'a Json) -> &'a Json {
    let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
    name.map_or(schema, |name| &document["components"]["schemas"][name])
}

/// The types of a schema: one or several.
fn types(schema: &Json) -> BTreeSet<String> {
    match &schema["type"] {
        Json::String(one) => [one.clone()].into(),
        several => texts(several),
    }
}

impl Comparison<'_> {
    fn tell(&mut self, at: &str, what: impl std::fmt::Display) {
        self.breaking.push(format!("{at}: {what}"));
    }

    fn operation(&mut self, at: &str, before: &Json, after: &Json) {
        if after.is_null() {
            return self.tell(at, "is gone");
        }
        let known = |operation: &Json, name: &Json, place: &Json| {
            let mut parameters = operation["parameters"].as_array().into_iter().flatten();
            parameters.find(|it| (&it["name"], &it["in"]) == (name, place)).cloned()
        };
        for parameter in before["parameters"].as_array().into_iter().flatten() {
            let at = format!("{at}, parameter {}", parameter["name"]);
            match known(after, &parameter["name"], &parameter["in"]) {
                Some(after) => self.schema(&at, &parameter["schema"], &after["schema"], Way::Sent),
                None => self.tell(&at, "is gone"),
            }
        }
        for parameter in after["parameters"].as_array().into_iter().flatten() {
            let was_required =
                known(before, &parameter["name"], &parameter["in"]).is_some_and(|it| it["required"] == true);
            if parameter["required"] == true && !was_required {
                self.tell(at, format!("the parameter {} is required now", parameter["name"]));
            }
        }
        if before["security"] != after["security"] {
            self.tell(at, format!("needs {} instead of {}", after["security"], before["security"]));
        }
        if after["requestBody"]["required"] == true && before["requestBody"]["required"] != true {
            self.tell(at, "a body is required now");
        }
        self.contents(
            &format!("{at}, body"),
            &before["requestBody"]["content"],
            &after["requestBody"]["content"],
            Way::Sent,
        );
        for (status, response) in entries(&before["responses"]).filter(|(status, _)| !status.starts_with('5')) {
            let (at, now) = (format!("{at}, {status}"), &after["responses"][status]);
            if now.is_null() {
                self.tell(&at, "is gone");
            } else {
                self.contents(&at, &response["content"], &now["content"], Way::Got);
            }
        }
    }

    fn contents(&mut self, at: &str, before: &Json, after: &Json, way: Way) {
        for (kind, media) in entries(before) {
            match after.get(kind) {
                Some(after) => self.schema(at, &media["schema"], &after["schema"], way),
                None => self.tell(at, format!("{kind} is gone")),
            }
        }
    }

    fn schema(&mut self, at: &str, before: &Json, after: &Json, way: Way) {
        if let (Some(one), Some(other)) = (before["$ref"].as_str(), after["$ref"].as_str())
            && !self.seen.insert((one.to_owned(), other.to_owned(), way))
        {
            return;
        }
        let (before, after) = (resolved(self.before, before), resolved(self.after, after));
        let (old, new) = (types(before), types(after));
        let fits = if way == Way::Sent {
            new.is_empty() || old.is_subset(&new)
        } else {
            old.is_empty() || new.is_subset(&old)
        };
        if !fits || before["format"] != after["format"] {
            let shown = |schema: &Json| format!("{} {}", schema["type"], schema["format"]);
            self.tell(at, format!("is {} instead of {}", shown(after), shown(before)));
        }
        self.values(at, before, after, way);
        for (name, property) in entries(&before["properties"]) {
            let at = format!("{at}, {name}");
            match after["properties"].get(name) {
                Some(after) => self.schema(&at, property, after, way),
                None => self.tell(&at, "is gone"),
            }
        }
        let (old, new) = (texts(&before["required"]), texts(&after["required"]));
        let missed = if way == Way::Sent { &new - &old } else { &old - &new };
        for name in missed {
            self.tell(at, format!("{name} is {} now", if way == Way::Sent { "required" } else { "optional" }));
        }
        for part in ["items", "additionalProperties"] {
            if before[part].is_object() && after[part].is_object() {
                self.schema(at, &before[part], &after[part], way);
            }
        }
        for part in ["allOf", "oneOf", "anyOf"] {
            let alternatives = |schema: &Json| schema[part].as_array().cloned().unwrap_or_default();
            let (old, new) = (alternatives(before), alternatives(after));
            if old.len() > new.len() && way == Way::Sent {
                self.tell(at, "alternatives are gone");
            }
            for (before, after) in old.iter().zip(&new) {
                self.schema(at, before, after, way);
            }
        }
    }

    /// Values and bounds: what is sent must still be taken. Clients must bear new values in what they get.
    fn values(&mut self, at: &str, before: &Json, after: &Json, way: Way) {
        if way == Way::Got {
            return;
        }
        if after["enum"].is_array() {
            for gone in &texts(&before["enum"]) - &texts(&after["enum"]) {
                self.tell(at, format!("the value {gone} is gone"));
            }
        }
        if after["enum"].is_array() && !before["enum"].is_array() {
            self.tell(at, "only some values are taken now");
        }
        if after["pattern"].is_string() && after["pattern"] != before["pattern"] {
            self.tell(at, format!("must match {} now", after["pattern"]));
        }
        for (bound, sign) in [
            ("minimum", 1.0),
            ("minLength", 1.0),
            ("minItems", 1.0),
            ("maximum", -1.0),
            ("maxLength", -1.0),
            ("maxItems", -1.0),
        ] {
            let of = |schema: &Json| schema[bound].as_f64().map_or(f64::NEG_INFINITY, |value| value * sign);
            if of(after) > of(before) {
                self.tell(at, format!("{bound} is {} instead of {}", after[bound], before[bound]));
            }
        }
    }
}

fn read(name: &str) -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The part of a version whose rise allows breaking changes: the major one, before 1.0 the minor one.
fn generation(description: &Json) -> String {
    let version = description["info"]["version"].as_str().unwrap();
    let kept = if version.starts_with("0.") { 2 } else { 1 };
    version.split('.').take(kept).collect::<Vec<_>>().join(".")
}

#[test]
#[ignore = "part of `make audit`"]
fn clients_of_the_last_release_miss_nothing() {
    let (released, now) = (read("released.json"), read("openapi.json"));
    let found = breaking(&released, &now);
    let allowed = generation(&released) != generation(&now);
    let told = found.join("\n");
    assert!(
        found.is_empty() || allowed,
        "this breaks clients of {}; mend it, or raise the version:\n{told}",
        released["info"]["version"]
    );
}

#[test]
fn each_kind_of_breaking_change_is_seen() {
    let before = json!({
        "paths": {"/a": {"get": {
            "parameters": [{"name": "p", "in": "query", "schema": {"type": "string", "enum": ["x", "y"], "maxLength": 9}}],
            "security": [{"bearer": ["a:read"]}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/In"}}}},
            "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Out"}}}}, "202": {}}
        }}},
        "components": {"schemas": {
            "In": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer", "minimum": 0}, "b": {"type": "string"}}},
            "Out": {"type": "object", "required": ["a"], "properties": {
                "a": {"type": "array", "items": {"type": "string"}}, "b": {"type": "string", "format": "date"}}}
        }}
    });
    assert_eq!(breaking(&before, &before), Vec::<String>::new());
    let changes = [
        ("/paths/~1a", json!({}), "get /a: is gone"),
        ("/paths/~1a/get/parameters", json!([]), "parameter \"p\": is gone"),
        ("/paths/~1a/get/parameters/0/required", json!(true), "the parameter \"p\" is required now"),
        ("/paths/~1a/get/parameters/0/schema/enum", json!(["x"]), "the value y is gone"),
        ("/paths/~1a/get/parameters/0/schema/maxLength", json!(8), "maxLength is 8 instead of 9"),
        ("/paths/~1a/get/security/0/bearer/0", json!("a:write"), "needs [{\"bearer\":[\"a:write\"]}]"),
        ("/paths/~1a/get/requestBody/required", json!(true), "a body is required now"),
        ("/paths/~1a/get/requestBody/content", json!({"text/csv": {}}), "application/json is gone"),
        ("/paths/~1a/get/responses", json!({"200": {"content": {"application/json": {}}}}), "202: is gone"),
        ("/components/schemas/In/required", json!(["a", "b"]), "b is required now"),
        ("/components/schemas/In/properties/a/type", json!("string"), "is \"string\" null instead of \"integer\" null"),
        ("/components/schemas/In/properties/a/minimum", json!(1), "minimum is 1 instead of 0"),
        ("/components/schemas/In/properties/b/enum", json!(["z"]), "only some values are taken now"),
        ("/components/schemas/In/properties/b/pattern", json!("^z$"), "must match \"^z$\" now"),
        ("/components/schemas/Out/required", json!([]), "a is optional now"),
        ("/components/schemas/Out/properties/a/items/type", json!("integer"), "is \"integer\" null"),
        ("/components/schemas/Out/properties/b", Json::Null, "b: is null null instead of"),
        ("/components/schemas/Out/properties/b/format", json!("date-time"), "is \"string\" \"date-time\""),
    ];
    for (pointer, value, told) in changes {
        let mut after = before.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match after.pointer_mut(parent).unwrap() {
            Json::Array(items) => items[key.parse::<usize>().unwrap()] = value,
            object => object[key.replace("~1", "/")] = value,
        }
        let found = breaking(&before, &after);
        assert!(found.iter().any(|sentence| sentence.contains(told)), "{pointer}: {told:?} is not in {found:?}");
    }
    let mut wider = before.clone();
    wider["paths"]["/a"]["get"]["parameters"][0]["schema"]["maxLength"] = json!(10);
    wider["components"]["schemas"]["In"]["properties"]["c"] = json!({"type": "string"});
    wider["components"]["schemas"]["Out"]["properties"]["c"] = json!({"type": "string"});
    wider["paths"]["/b"] = json!({"get": {}});
    assert_eq!(breaking(&before, &wider), Vec::<String>::new(), "what is wider breaks nobody");
}
