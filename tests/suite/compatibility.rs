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

/// What a reference names: a schema, a parameter or a response; or the part itself where it is none.
fn resolved<'a>(document: &'a Json, part: &'a Json) -> &'a Json {
    let pointer = part["$ref"].as_str().and_then(|path| path.strip_prefix('#'));
    pointer.map_or(part, |pointer| document.pointer(pointer).unwrap_or(&Json::Null))
}

/// The types of a schema: one or several, its own or those of its alternatives.
fn types(document: &Json, schema: &Json) -> BTreeSet<String> {
    let schema = resolved(document, schema);
    let parts = ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|part| schema[part].as_array()).flatten();
    match &schema["type"] {
        Json::String(one) => [one.clone()].into(),
        Json::Null => parts.flat_map(|part| types(document, part)).collect(),
        several => texts(several),
    }
}

/// How a parameter's value is written: what is left out has the defaults of OpenAPI.
fn style(parameter: &Json) -> (&str, bool) {
    let default = if parameter["in"] == "query" || parameter["in"] == "cookie" { "form" } else { "simple" };
    let style = parameter["style"].as_str().unwrap_or(default);
    (style, parameter["explode"].as_bool().unwrap_or(style == "form"))
}

fn parameters<'a>(document: &'a Json, operation: &'a Json) -> impl Iterator<Item = &'a Json> {
    operation["parameters"].as_array().into_iter().flatten().map(|parameter| resolved(document, parameter))
}

/// The parameter of this name at this place.
fn same<'a>(document: &'a Json, operation: &'a Json, parameter: &Json) -> Option<&'a Json> {
    parameters(document, operation).find(|it| (&it["name"], &it["in"]) == (&parameter["name"], &parameter["in"]))
}

impl Comparison<'_> {
    fn tell(&mut self, at: &str, what: impl std::fmt::Display) {
        self.breaking.push(format!("{at}: {what}"));
    }

    fn operation(&mut self, at: &str, before: &Json, after: &Json) {
        if after.is_null() {
            return self.tell(at, "is gone");
        }
        // Generated clients name their functions by the one, and put them into modules by the other.
        for name in ["operationId", "tags"].into_iter().filter(|name| before[*name] != after[*name]) {
            self.tell(at, format!("{name} is {} instead of {}", after[name], before[name]));
        }
        if before["security"] != after["security"] {
            self.tell(at, format!("needs {} instead of {}", after["security"], before["security"]));
        }
        self.parameters(at, before, after);
        let (old, new) = (&before["requestBody"], &after["requestBody"]);
        if new["required"] == true && old["required"] != true {
            self.tell(at, "a body is required now");
        }
        self.contents(&format!("{at}, body"), &old["content"], &new["content"], Way::Sent);
        for (status, response) in entries(&before["responses"]).filter(|(status, _)| !status.starts_with('5')) {
            self.response(&format!("{at}, {status}"), response, &after["responses"][status]);
        }
    }

    fn parameters(&mut self, at: &str, before: &Json, after: &Json) {
        for parameter in parameters(self.before, before) {
            let at = format!("{at}, parameter {}", parameter["name"]);
            let Some(now) = same(self.after, after, parameter) else {
                self.tell(&at, "is gone");
                continue;
            };
            if style(parameter) != style(now) {
                self.tell(&at, format!("is written as {:?} instead of {:?}", style(now), style(parameter)));
            }
            self.schema(&at, &parameter["schema"], &now["schema"], Way::Sent);
        }
        for parameter in parameters(self.after, after).filter(|parameter| parameter["required"] == true) {
            if same(self.before, before, parameter).is_none_or(|it| it["required"] != true) {
                self.tell(at, format!("the parameter {} is required now", parameter["name"]));
            }
        }
    }

    fn response(&mut self, at: &str, before: &Json, after: &Json) {
        let (before, after) = (resolved(self.before, before), resolved(self.after, after));
        if after.is_null() {
            return self.tell(at, "is gone");
        }
        for (header, _) in entries(&before["headers"]).filter(|(header, _)| after["headers"][*header].is_null()) {
            self.tell(at, format!("the header {header} is gone"));
        }
        self.contents(at, &before["content"], &after["content"], Way::Got);
    }

    fn contents(&mut self, at: &str, before: &Json, after: &Json, way: Way) {
        for (kind, media) in entries(before) {
            match after.get(kind) {
                Some(after) => self.schema(at, &media["schema"], &after["schema"], way),
                None => self.tell(at, format!("{kind} is gone")),
            }
        }
    }

    /// Schemas are compared by what they say: their names aren't sent, so that a renamed one breaks nobody.
    fn schema(&mut self, at: &str, before: &Json, after: &Json, way: Way) {
        if let (Some(one), Some(other)) = (before["$ref"].as_str(), after["$ref"].as_str())
            && !self.seen.insert((one.to_owned(), other.to_owned(), way))
        {
            return;
        }
        let (before, after) = (resolved(self.before, before), resolved(self.after, after));
        let (old, new) = (types(self.before, before), types(self.after, after));
        // No type is any type.
        let (narrow, wide) = if way == Way::Sent { (&old, &new) } else { (&new, &old) };
        let fits = wide.is_empty() || !narrow.is_empty() && narrow.is_subset(wide);
        if !fits || before["format"] != after["format"] {
            let shown = |schema: &Json| format!("{} {}", schema["type"], schema["format"]);
            self.tell(at, format!("is {} instead of {}", shown(after), shown(before)));
        }
        if way == Way::Sent {
            self.values(at, before, after);
            self.bounds(at, before, after);
        }
        self.properties(at, before, after, way);
        for part in ["items", "additionalProperties"] {
            if before[part].is_object() && after[part].is_object() {
                self.schema(at, &before[part], &after[part], way);
            }
        }
        for part in ["allOf", "oneOf", "anyOf"] {
            self.alternatives(at, part, (&before[part], &after[part]), way);
        }
    }

    fn properties(&mut self, at: &str, before: &Json, after: &Json, way: Way) {
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
        let open = |schema: &Json| !matches!(schema["additionalProperties"], Json::Bool(false) | Json::Object(_));
        let (old, new) = (&before["additionalProperties"], &after["additionalProperties"]);
        if way == Way::Sent && *old != false && (*new == false || open(before) && !open(after)) {
            self.tell(at, "further properties are not all taken now");
        }
    }

    fn alternatives(&mut self, at: &str, part: &str, (before, after): (&Json, &Json), way: Way) {
        let alternatives = |part: &Json| part.as_array().cloned().unwrap_or_default();
        let (old, new) = (alternatives(before), alternatives(after));
        if old.len() > new.len() && way == Way::Sent {
            self.tell(at, "alternatives are gone");
        }
        if (1..new.len()).contains(&old.len()) && way == Way::Got && part != "allOf" {
            self.tell(at, "there are further alternatives");
        }
        for (before, after) in old.iter().zip(&new) {
            self.schema(at, before, after, way);
        }
    }

    /// Values: what is sent must still be taken. Clients must bear new values in what they get.
    fn values(&mut self, at: &str, before: &Json, after: &Json) {
        if after["enum"].is_array() {
            for gone in &texts(&before["enum"]) - &texts(&after["enum"]) {
                self.tell(at, format!("the value {gone} is gone"));
            }
        }
        if after["enum"].is_array() && !before["enum"].is_array() {
            self.tell(at, "only some values are taken now");
        }
        for (word, told) in [("pattern", "match"), ("const", "be")] {
            if !after[word].is_null() && after[word] != before[word] {
                self.tell(at, format!("must {told} {} now", after[word]));
            }
        }
        if after["uniqueItems"] == true && before["uniqueItems"] != true {
            self.tell(at, "nothing may stand twice now");
        }
        let multiple = |schema: &Json| schema["multipleOf"].as_f64();
        if let Some(step) = multiple(after)
            && multiple(before).is_none_or(|before| before % step != 0.0)
        {
            self.tell(at, format!("must be a multiple of {step} now"));
        }
    }

    fn bounds(&mut self, at: &str, before: &Json, after: &Json) {
        for (bound, sign) in [
            ("minimum", 1.0),
            ("exclusiveMinimum", 1.0),
            ("minLength", 1.0),
            ("minItems", 1.0),
            ("minProperties", 1.0),
            ("maximum", -1.0),
            ("exclusiveMaximum", -1.0),
            ("maxLength", -1.0),
            ("maxItems", -1.0),
            ("maxProperties", -1.0),
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

/// A description with one of everything.
fn small() -> Json {
    json!({
        "paths": {"/a": {"get": {
            "operationId": "getA", "tags": ["as"],
            "parameters": [{"name": "p", "in": "query", "schema": {"type": "string", "enum": ["x", "y"], "maxLength": 9}}],
            "security": [{"bearer": ["a:read"]}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/In"}}}},
            "responses": {"200": {
                "headers": {"ETag": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Out"}}}
            }, "202": {}}
        }}},
        "components": {"schemas": {
            "In": {"type": "object", "required": ["a"], "properties": {
                "a": {"type": "integer", "minimum": 0}, "b": {"type": "string"}, "c": {"type": "array", "items": {"type": "string"}},
                "d": {"type": "object", "additionalProperties": true}, "e": {}}},
            "Out": {"type": "object", "required": ["a"], "properties": {
                "a": {"type": "array", "items": {"type": "string"}}, "b": {"type": "string", "format": "date"},
                "c": {"oneOf": [{"type": "string"}, {"type": "boolean"}]}, "d": {"$ref": "#/components/schemas/Part"}}},
            "Part": {"type": "object", "properties": {"x": {"type": "string"}}}
        }}
    })
}

/// The description with another value somewhere.
fn with(before: &Json, pointer: &str, value: Json) -> Json {
    let mut after = before.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match after.pointer_mut(parent).unwrap() {
        Json::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        object => object[key.replace("~1", "/")] = value,
    }
    after
}

/// Each change breaks clients, and the sentence that tells of it has these words.
#[track_caller]
fn assert_seen<const N: usize>(changes: [(&str, Json, &str); N]) {
    let before = small();
    for (pointer, value, told) in changes {
        let found = breaking(&before, &with(&before, pointer, value));
        assert!(found.iter().any(|sentence| sentence.contains(told)), "{pointer}: {told:?} is not in {found:?}");
    }
}

#[test]
fn what_breaks_a_call_is_seen() {
    let header = json!([
        {"name": "p", "in": "query", "schema": {"type": "string"}},
        {"name": "h", "in": "header", "required": true, "schema": {"type": "string"}}
    ]);
    assert_seen([
        ("/paths/~1a", json!({}), "get /a: is gone"),
        ("/paths/~1a/get/operationId", json!("readA"), "operationId is \"readA\" instead of \"getA\""),
        ("/paths/~1a/get/tags", json!(["bs"]), "tags is [\"bs\"] instead of [\"as\"]"),
        ("/paths/~1a/get/parameters", json!([]), "parameter \"p\": is gone"),
        ("/paths/~1a/get/parameters", header, "the parameter \"h\" is required now"),
        ("/paths/~1a/get/parameters/0/required", json!(true), "the parameter \"p\" is required now"),
        ("/paths/~1a/get/parameters/0/style", json!("pipeDelimited"), "is written as (\"pipeDelimited\", false)"),
        ("/paths/~1a/get/parameters/0/explode", json!(false), "is written as (\"form\", false)"),
        ("/paths/~1a/get/parameters/0/schema/enum", json!(["x"]), "the value y is gone"),
        ("/paths/~1a/get/parameters/0/schema/maxLength", json!(8), "maxLength is 8 instead of 9"),
        ("/paths/~1a/get/security/0/bearer/0", json!("a:write"), "needs [{\"bearer\":[\"a:write\"]}]"),
        ("/paths/~1a/get/requestBody/required", json!(true), "a body is required now"),
        ("/paths/~1a/get/requestBody/content", json!({"text/csv": {}}), "application/json is gone"),
        ("/paths/~1a/get/responses", json!({"200": {"content": {"application/json": {}}}}), "202: is gone"),
        ("/paths/~1a/get/responses/200/headers", json!({}), "the header ETag is gone"),
    ]);
}

#[test]
fn what_is_no_longer_taken_is_seen() {
    assert_seen([
        ("/components/schemas/In/required", json!(["a", "b"]), "b is required now"),
        ("/components/schemas/In/additionalProperties", json!(false), "further properties are not all taken now"),
        ("/components/schemas/In/maxProperties", json!(2), "maxProperties is 2 instead of null"),
        ("/components/schemas/In/properties/a/type", json!("string"), "is \"string\" null instead of \"integer\" null"),
        ("/components/schemas/In/properties/a/minimum", json!(1), "minimum is 1 instead of 0"),
        ("/components/schemas/In/properties/a/exclusiveMinimum", json!(0), "exclusiveMinimum is 0 instead of null"),
        ("/components/schemas/In/properties/a/multipleOf", json!(5), "must be a multiple of 5 now"),
        ("/components/schemas/In/properties/b/enum", json!(["z"]), "only some values are taken now"),
        ("/components/schemas/In/properties/b/pattern", json!("^z$"), "must match \"^z$\" now"),
        ("/components/schemas/In/properties/b/const", json!("z"), "must be \"z\" now"),
        ("/components/schemas/In/properties/c/uniqueItems", json!(true), "nothing may stand twice now"),
        ("/components/schemas/In/properties/d/additionalProperties", json!({"type": "string"}), "not all taken now"),
        ("/components/schemas/In/properties/e/type", json!("string"), "is \"string\" null instead of null null"),
    ]);
}

#[test]
fn what_is_given_otherwise_is_seen() {
    let or_null = json!({"oneOf": [{"$ref": "#/components/schemas/Part"}, {"type": "null"}]});
    let three = json!([{"type": "string"}, {"type": "boolean"}, {"type": "string"}]);
    assert_seen([
        ("/components/schemas/Out/required", json!([]), "a is optional now"),
        ("/components/schemas/Out/properties/a/items/type", json!("integer"), "is \"integer\" null"),
        ("/components/schemas/Out/properties/b", Json::Null, "b: is null null instead of"),
        ("/components/schemas/Out/properties/b/type", json!(["string", "null"]), "b: is [\"string\",\"null\"]"),
        ("/components/schemas/Out/properties/b/format", json!("date-time"), "is \"string\" \"date-time\""),
        ("/components/schemas/Out/properties/b", json!({"format": "date"}), "b: is null \"date\" instead of"),
        ("/components/schemas/Out/properties/c/oneOf", three, "c: there are further alternatives"),
        ("/components/schemas/Out/properties/d", or_null, "d: is null null instead of \"object\""),
    ]);
}

#[test]
fn what_is_wider_or_only_named_otherwise_breaks_nobody() {
    let before = small();
    assert_eq!(breaking(&before, &before), Vec::<String>::new());
    let mut wider = before.clone();
    wider["paths"]["/a"]["get"]["parameters"][0]["schema"]["maxLength"] = json!(10);
    wider["paths"]["/a"]["get"]["parameters"][0]["style"] = json!("form");
    wider["components"]["schemas"]["In"]["properties"]["f"] = json!({"type": "string"});
    wider["components"]["schemas"]["Out"]["properties"]["e"] = json!({"type": "string"});
    wider["paths"]["/b"] = json!({"get": {}});
    assert_eq!(breaking(&before, &wider), Vec::<String>::new());
    let renamed = before.to_string().replace("schemas/Out", "schemas/Given").replace("\"Out\"", "\"Given\"");
    let renamed: Json = serde_json::from_str(&renamed).unwrap();
    assert!(renamed["components"]["schemas"]["Given"].is_object());
    assert_eq!(breaking(&before, &renamed), Vec::<String>::new());
}
