//! Parts of schemas.

use serde_json::{Value as Json, json};

use crate::customers::texts::{MAX_SCALE, MAX_WHOLE_DIGITS};

/// A reference to a named schema.
pub fn reference(name: &str) -> Json {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A decimal written as a string.
pub fn decimal(description: String, example: &str) -> Json {
    signed("-?", description, example)
}

/// A decimal of 0 or more, written as a string.
pub fn not_negative(description: String, example: &str) -> Json {
    signed("", description, example)
}

fn signed(sign: &str, description: String, example: &str) -> Json {
    let pattern = format!(r"^{sign}0*[0-9]{{1,{MAX_WHOLE_DIGITS}}}(\.[0-9]{{1,{MAX_SCALE}}}0*)?$");
    json!({"type": "string", "pattern": pattern, "description": description, "example": example})
}

/// An object that has only the properties added to it.
pub fn closed_object(description: &str) -> Json {
    json!({"type": "object", "description": description, "additionalProperties": false, "properties": {}})
}

/// Adds a property to an object.
pub fn add(object: &mut Json, key: &str, schema: Json, required: bool) {
    if let Some(Json::Object(properties)) = object.get_mut("properties") {
        properties.insert(key.to_owned(), schema);
    }
    if required {
        require(object, key);
    }
}

/// Makes a property of an object required.
pub fn require(object: &mut Json, key: &str) {
    match object.get_mut("required").and_then(Json::as_array_mut) {
        Some(names) => names.push(json!(key)),
        None => object["required"] = json!([key]),
    }
}
