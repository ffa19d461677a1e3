//! Every fault in the shape of a JSON text at once, found by the schema under which the API describes it. The deserializer stops
//! at the first.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use crate::faults::{Fault, did_you_mean, enough, excerpt, pointer_segment};

/// The schema of a type and of those that it refers to, by name.
struct Shape {
    whole: Json,
    named: Map<String, Json>,
}

/// Shapes that were needed before.
static KNOWN: LazyLock<Mutex<HashMap<TypeId, Arc<Shape>>>> = LazyLock::new(Mutex::default);

impl Shape {
    fn of<T: ToSchema + 'static>() -> Arc<Self> {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let mut named = Vec::new();
            T::schemas(&mut named);
            let json = |schema| serde_json::to_value(schema).unwrap_or_default();
            let named = named.into_iter().map(|(name, schema)| (name, json(schema))).collect();
            Arc::new(Self { whole: json(T::schema()), named })
        };
        known.entry(TypeId::of::<T>()).or_insert_with(made).clone()
    }

    /// The schema itself, where one refers to another.
    fn resolved<'a>(&'a self, schema: &'a Json) -> &'a Json {
        let name = schema.get("$ref").and_then(Json::as_str).and_then(|path| path.rsplit('/').next());
        name.and_then(|name| self.named.get(name)).unwrap_or(schema)
    }

    fn check(&self, json: &Json, schema: &Json, at: &str, faults: &mut Vec<Fault>) {
        // Whether null may stand for nothing is the reader's to say.
        if enough(faults) || json.is_null() {
            return;
        }
        let schema = self.resolved(schema);
        let types: Vec<&str> = match schema.get("type") {
            Some(Json::String(one)) => vec![one],
            Some(Json::Array(several)) => several.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        };
        if !types.is_empty() && !types.iter().any(|wanted| is(json, wanted)) {
            let wanted: Vec<&str> = types.into_iter().filter(|name| *name != "null").map(called).collect();
            let detail = format!("this is {}, but must be {}", called(type_of(json)), wanted.join(" or "));
            faults.push(Fault::new(at, "wrong_type", detail));
            return;
        }
        match json {
            Json::Object(members) => self.check_members(members, schema, at, faults),
            Json::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        if enough(faults) {
                            break;
                        }
                        self.check(item, schema, &format!("{at}/{index}"), faults);
                    }
                }
            }
            _ => {}
        }
    }

    fn check_members(&self, members: &Map<String, Json>, schema: &Json, at: &str, faults: &mut Vec<Fault>) {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&none);
        let others = schema.get("additionalProperties");
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        for name in required.filter(|name| !members.contains_key(*name)) {
            let detail = format!("'{name}' is required");
            faults.push(Fault::new(format!("{at}{}", pointer_segment(name)), "required", detail));
        }
        for (name, value) in members {
            if enough(faults) {
                break;
            }
            let at = format!("{at}{}", pointer_segment(name));
            match (properties.get(name), others) {
                (Some(schema), _) => self.check(value, schema, &at, faults),
                (None, Some(Json::Bool(false))) => {
                    let detail = format!(
                        "there is no '{}' here{}",
                        excerpt(name),
                        did_you_mean(name, properties.keys().map(String::as_str))
                    );
                    faults.push(Fault::new(at, "unknown_field", detail));
                }
                (None, Some(schema @ Json::Object(_))) => self.check(value, schema, &at, faults),
                (None, _) => {}
            }
        }
    }
}

/// The faults in the shape of a text that couldn't be read as a `T`, all unless they are [`enough`]: those that its schema tells,
/// and the one that the deserializer met if it is another.
pub fn faults<T: ToSchema + 'static>(json: &Json, met: Fault) -> Vec<Fault> {
    let shape = Shape::of::<T>();
    let mut faults = Vec::new();
    shape.check(json, &shape.whole, "", &mut faults);
    if !faults.iter().any(|fault| fault.pointer == met.pointer) {
        faults.push(met);
    }
    faults
}

fn type_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_f64() => "number",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

fn is(json: &Json, wanted: &str) -> bool {
    let found = type_of(json);
    found == wanted || (wanted, found) == ("number", "integer")
}

fn called(name: &str) -> &str {
    match name {
        "boolean" => "true or false",
        "number" => "a number",
        "integer" => "a whole number",
        "string" => "a text",
        "array" => "a list",
        "object" => "an object",
        other => other,
    }
}
