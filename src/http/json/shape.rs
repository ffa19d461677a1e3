//! Every fault in the shape of a JSON text at once, found by the schema under which the API describes it. The deserializer stops
//! at the first.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jiff::civil::Date;
use serde_json::{Map, Number, Value as Json};
use utoipa::ToSchema;

use crate::Id;
use crate::faults::{Fault, did_you_mean, enough, excerpt, pointer_segment, unknown_field};

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
        if enough(faults) {
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
            Json::String(text) => {
                faults.extend(refuse_text(text, schema).map(|(code, detail)| Fault::new(at, code, detail)))
            }
            Json::Number(number) => {
                faults.extend(refuse_number(number, schema).map(|detail| Fault::new(at, "out_of_range", detail)))
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
                    faults.push(unknown_field(&at, name, properties.keys().map(String::as_str)));
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
    if met.code == "doubled" || !faults.iter().any(|fault| fault.pointer == met.pointer) {
        faults.push(met);
    }
    faults
}

/// Where null stands and the schema doesn't allow it, in what was read as a `T`: for readers null is nothing.
pub fn nulls<T: ToSchema + 'static>(json: &Json) -> Vec<Fault> {
    let shape = Shape::of::<T>();
    let mut faults = Vec::new();
    shape.check(json, &shape.whole, "", &mut faults);
    faults.retain(|fault| json.pointer(&fault.pointer).is_some_and(Json::is_null));
    faults
}

/// What is wrong with a text, as far as its schema tells.
fn refuse_text(text: &str, schema: &Json) -> Option<(&'static str, String)> {
    let choices: Vec<&str> =
        schema.get("enum").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
    if !choices.is_empty() && !choices.contains(&text) {
        let hint = did_you_mean(text, choices.iter().copied());
        return Some(("unknown_choice", format!("'{}' is not one of {}{hint}", excerpt(text), choices.join(", "))));
    }
    match schema.get("format").and_then(Json::as_str) {
        Some("uuid") if text.parse::<Id>().is_err() => {
            return Some(("id", format!("'{}' is not a UUID", excerpt(text))));
        }
        Some("date") if text.parse::<Date>().is_err() => {
            return Some(("date", format!("'{}' is not a date such as 2018-01-31", excerpt(text))));
        }
        _ => {}
    }
    let (count, most) = (text.chars().count(), schema.get("maxLength").and_then(Json::as_u64)?);
    let is_longer = u64::try_from(count).is_ok_and(|count| count > most);
    is_longer.then(|| ("too_long", format!("this has {count} characters; at most {most} are allowed")))
}

/// What is wrong with a number, as far as its schema tells.
fn refuse_number(number: &Number, schema: &Json) -> Option<String> {
    let bound = |name: &str| schema.get(name).and_then(Json::as_f64);
    let value = number.as_f64()?;
    if let Some(least) = bound("minimum").filter(|least| value < *least) {
        return Some(format!("{number} is below the minimum {least}"));
    }
    bound("maximum").filter(|most| value > *most).map(|most| format!("{number} is above the maximum {most}"))
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
