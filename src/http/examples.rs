//! Examples for the API's description, composed from those of the parts: a schema that has none gets its properties' examples.

use serde_json::{Map, Value as Json, json};

/// How deep schemas may contain each other: one that contains itself ends here.
const DEPTH: usize = 12;

/// Gives every named schema and every parameter of a description that has no example one, if it can be composed.
pub fn complete(description: &mut Json) {
    let Some(schemas) = description.pointer("/components/schemas").and_then(Json::as_object).cloned() else { return };
    let composed: Vec<(String, Json)> = schemas
        .iter()
        .filter(|(_, schema)| schema.get("example").is_none())
        .filter_map(|(name, schema)| Some((name.clone(), of(schema, &schemas, DEPTH)?)))
        .collect();
    for (name, example) in composed {
        if let Some(Json::Object(schema)) = description.pointer_mut(&format!("/components/schemas/{name}")) {
            schema.insert("example".to_owned(), example);
        }
    }
    for parameter in parameters(description).filter(|parameter| parameter.get("example").is_none()) {
        if let Some(example) = parameter.get("schema").and_then(|schema| of(schema, &schemas, DEPTH)) {
            parameter.insert("example".to_owned(), example);
        }
    }
}

/// The parameters that operations describe themselves.
fn parameters(description: &mut Json) -> impl Iterator<Item = &mut Map<String, Json>> {
    let items = description.pointer_mut("/paths").and_then(Json::as_object_mut).into_iter().flat_map(Map::values_mut);
    let operations = items.filter_map(Json::as_object_mut).flat_map(Map::values_mut);
    let listed = operations.filter_map(|operation| operation.get_mut("parameters")?.as_array_mut()).flatten();
    listed.filter_map(Json::as_object_mut)
}

/// The example of a schema: its own, or one that its parts make; nothing where a required part has none.
fn of(schema: &Json, schemas: &Map<String, Json>, depth: usize) -> Option<Json> {
    let depth = depth.checked_sub(1)?;
    let own = schema.get("example").or_else(|| first(schema, "examples")).or_else(|| schema.get("const"));
    if let Some(own) = own.or_else(|| first(schema, "enum")) {
        return Some(own.clone());
    }
    if let Some(name) = schema.get("$ref").and_then(Json::as_str) {
        return of(schemas.get(name.rsplit('/').next()?)?, schemas, depth);
    }
    let alternatives = ["oneOf", "anyOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
    if let Some(found) = alternatives.filter_map(|alternative| of(alternative, schemas, depth)).next() {
        return Some(found);
    }
    if let Some(parts) = schema.get("allOf").and_then(Json::as_array) {
        let parts = parts.iter().map(|part| of(part, schemas, depth)?.as_object().cloned());
        return Some(Json::Object(parts.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect()));
    }
    match kind(schema)? {
        "object" => object(schema, schemas, depth),
        "array" => match of(schema.get("items")?, schemas, depth) {
            Some(item) => Some(json!([item])),
            None => schema.get("minItems").is_none().then(|| json!([])),
        },
        "boolean" => Some(json!(false)),
        "integer" => Some(schema.get("minimum").cloned().unwrap_or_else(|| json!(1))),
        "string" => Some(json!(match schema.get("format")?.as_str()? {
            "date" => "2018-01-01",
            "date-time" => "2018-01-01T08:00:00.123456Z",
            "uuid" => "0193d2c1-7b1e-7c55-9d1f-0a3b4c5d6e7f",
            _ => return None,
        })),
        _ => None,
    }
}

/// The properties' examples; an optional property that has none is left out.
fn object(schema: &Json, schemas: &Map<String, Json>, depth: usize) -> Option<Json> {
    let is_required = |name: &String| {
        let required = schema.get("required").and_then(Json::as_array);
        required.into_iter().flatten().any(|required| required == name)
    };
    let mut example = Map::new();
    for (name, property) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
        match of(property, schemas, depth) {
            Some(value) => drop(example.insert(name.clone(), value)),
            None if is_required(name) => return None,
            None => {}
        }
    }
    Some(Json::Object(example))
}

fn first<'a>(schema: &'a Json, key: &str) -> Option<&'a Json> {
    schema.get(key)?.as_array()?.first()
}

/// The type of a schema, the first that isn't `null`.
fn kind(schema: &Json) -> Option<&str> {
    match schema.get("type")? {
        Json::String(kind) => Some(kind),
        Json::Array(kinds) => kinds.iter().filter_map(Json::as_str).find(|kind| *kind != "null"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_made_of_its_parts() {
        let parameters =
            json!([{"name": "id", "schema": {"type": "string", "format": "uuid"}}, {"name": "own", "example": "x"}]);
        let mut description = json!({"paths": {"/a": {"get": {"parameters": parameters}}}, "components": {"schemas": {
            "List": {"type": "object", "required": ["items"], "properties": {
                "items": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}}, "next_cursor": {"type": "string"}}},
            "Item": {"type": "object", "required": ["on", "kind"], "properties": {
                "on": {"type": "string", "format": "date"}, "kind": {"enum": ["a", "b"]}, "parts": {"$ref": "#/components/schemas/List"}}},
            "Bare": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            "Own": {"type": "string", "example": "x"}
        }}});
        complete(&mut description);
        let schemas = &description["components"]["schemas"];
        assert_eq!(schemas["List"]["example"]["items"][0]["on"], "2018-01-01");
        assert_eq!(schemas["Item"]["example"]["kind"], "a");
        assert_eq!(schemas["Bare"].get("example"), None, "a required part without an example is not made up");
        assert_eq!(schemas["Own"]["example"], "x");
        let parameters = &description["paths"]["/a"]["get"]["parameters"];
        assert_eq!(parameters[0]["example"], "0193d2c1-7b1e-7c55-9d1f-0a3b4c5d6e7f");
        assert_eq!(parameters[1]["example"], "x");
    }
}
