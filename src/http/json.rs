//! Reading JSON as clients send it: every key once, objects as objects, and faults with a pointer in words that need no Rust.

mod shape;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value as Json;
use utoipa::ToSchema;

use super::problem::{Code, Problem};
use crate::faults::{Fault, excerpt, pointer_segment, unknown_field};

/// What a type is called in messages of the deserializer.
static RUST_TYPES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let names = [
        (r"(a |an )?struct \w+( with \d+ elements?)?|a map", "an object"),
        (r"a sequence", "a list"),
        (r"\b[iu](8|16|32|64)\b", "a whole number"),
        (r"a Decimal type.*|a formatted Decimal.*", "a decimal written as a string"),
        (r"UUID parsing failed.*", "not a UUID"),
    ];
    names.into_iter().filter_map(|(pattern, name)| Some((Regex::new(pattern).ok()?, name))).collect()
});

/// How null is written.
const NULL: &[u8] = b"null";

/// Why a JSON text can't be read.
enum Refused {
    /// It is no JSON.
    Broken(serde_json::Error),
    /// It is another one.
    Faulty(Vec<Fault>),
}

/// Reads a body: an object in which no key stands twice, and null only where the schema allows it. Tells every fault in its shape.
pub fn body<T: DeserializeOwned + ToSchema + 'static>(bytes: &[u8]) -> Result<T, Problem> {
    let read = members::<T>(bytes)?;
    // Within a text these letters are no null, which costs a second look.
    let may_have_null = bytes.windows(NULL.len()).any(|part| part == NULL);
    let json = may_have_null.then(|| serde_json::from_slice(bytes).ok()).flatten();
    let nulls = json.map(|json| shape::nulls::<T>(&json)).unwrap_or_default();
    if nulls.is_empty() { Ok(read) } else { Err(Problem::invalid(nulls)) }
}

/// Reads a body whose reader judges null.
pub fn members<T: DeserializeOwned + ToSchema + 'static>(bytes: &[u8]) -> Result<T, Problem> {
    object("the body", bytes).map_err(|refused| match refused {
        Refused::Broken(error) => Problem::detailed(Code::BadRequest, format!("the body is not JSON: {error}")),
        Refused::Faulty(faults) => Problem::invalid(faults),
    })
}

/// Reads the JSON text of a part of a form, as a body is read.
pub fn part<T: DeserializeOwned + ToSchema + 'static>(name: &str, text: &str) -> Result<T, Vec<Fault>> {
    let at = pointer_segment(name);
    object(&format!("'{name}'"), text.as_bytes()).map_err(|refused| match refused {
        Refused::Broken(error) => vec![Fault::new(at, "wrong_type", format!("'{name}' is not JSON: {error}"))],
        Refused::Faulty(faults) => faults.into_iter().map(|fault| fault.under(&at)).collect(),
    })
}

fn object<T: DeserializeOwned + ToSchema + 'static>(what: &str, bytes: &[u8]) -> Result<T, Refused> {
    // What is right is read without noting at each step where it stands.
    let is_object = bytes.trim_ascii_start().first() == Some(&b'{');
    if is_object
        && serde_json::from_slice::<UniqueKeys>(bytes).is_ok()
        && let Ok(read) = serde_json::from_slice(bytes)
    {
        return Ok(read);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let doubled = match serde_path_to_error::deserialize::<_, UniqueKeys>(&mut deserializer) {
        Ok(UniqueKeys) => deserializer.end().map(|()| None).map_err(Refused::Broken)?,
        Err(error) if error.inner().is_data() => Some(fault(&error)),
        Err(error) => return Err(Refused::Broken(error.into_inner())),
    };
    if !is_object {
        return Err(Refused::Faulty(vec![Fault::new("", "wrong_type", format!("{what} must be an object"))]));
    }
    let json = serde_json::from_slice(bytes).map_err(Refused::Broken)?;
    let read = serde_path_to_error::deserialize(&json);
    match doubled.or_else(|| read.as_ref().err().map(fault)) {
        None => read.map_err(|error| Refused::Faulty(vec![fault(&error)])),
        Some(met) => Err(Refused::Faulty(shape::faults::<T>(&json, met))),
    }
}

/// Reads one item of a batch, which is answered for itself.
pub fn item<T: DeserializeOwned + ToSchema + 'static>(json: &Json) -> Result<T, Vec<Fault>> {
    if !json.is_object() {
        return Err(vec![Fault::new("", "wrong_type", "an item must be an object")]);
    }
    let read = T::deserialize(json)
        .or_else(|_| serde_path_to_error::deserialize(json).map_err(|error| shape::faults::<T>(json, fault(&error))))?;
    let nulls = if has_null(json) { shape::nulls::<T>(json) } else { Vec::new() };
    if nulls.is_empty() { Ok(read) } else { Err(nulls) }
}

fn has_null(json: &Json) -> bool {
    match json {
        Json::Null => true,
        Json::Array(items) => items.iter().any(has_null),
        Json::Object(members) => members.values().any(has_null),
        _ => false,
    }
}

/// The fault that a deserializer's error tells.
fn fault(error: &serde_path_to_error::Error<serde_json::Error>) -> Fault {
    let at = pointer(error.path());
    let text = error.inner().to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let mut names = text.split('`').skip(1).step_by(2);
    let first = names.next().unwrap_or_default();
    if text.starts_with("missing field") {
        return Fault::new(format!("{at}{}", pointer_segment(first)), "required", format!("'{first}' is required"));
    }
    if text.starts_with("unknown field") {
        let known: Vec<&str> = names.collect();
        let segment = pointer_segment(first);
        let at = if at.ends_with(&segment) { at } else { format!("{at}{segment}") };
        return unknown_field(&at, first, known.iter().copied());
    }
    if text.starts_with("the key ") {
        return Fault::new(at, "doubled", text);
    }
    let text = match text.rsplit_once(", expected ") {
        Some((sent, wanted)) => format!("{}, expected {wanted}", excerpt(sent)),
        None => text.to_owned(),
    };
    let named = RUST_TYPES.iter().fold(text, |text, (regex, name)| regex.replace_all(&text, *name).into_owned());
    Fault::new(at, "wrong_type", named)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => pointer_segment(key),
            Segment::Enum { variant } => pointer_segment(variant),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// Any JSON in which no object has a key twice: a reader that keeps the last one would lose what the first said.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueKeysVisitor)
    }
}

struct UniqueKeysVisitor;

impl<'de> Visitor<'de> for UniqueKeysVisitor {
    type Value = UniqueKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_i64<E>(self, _: i64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_u64<E>(self, _: u64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_f64<E>(self, _: f64) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_str<E>(self, _: &str) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_unit<E>(self) -> Result<UniqueKeys, E> {
        Ok(UniqueKeys)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<UniqueKeys, A::Error> {
        while items.next_element::<UniqueKeys>()?.is_some() {}
        Ok(UniqueKeys)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<UniqueKeys, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if keys.contains(&key) {
                entries.next_value_seed(Second(&key))?;
            } else {
                keys.insert(key);
                entries.next_value::<UniqueKeys>()?;
            }
        }
        Ok(UniqueKeys)
    }
}

/// The value of a key that stands twice: never read, so that the fault is told where it stands.
struct Second<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Second<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Err(D::Error::custom(format!("the key '{}' stands twice", excerpt(self.0))))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    struct Line {
        #[serde(rename = "measures")]
        _measures: BTreeMap<String, String>,
        #[serde(rename = "count")]
        _count: i64,
    }

    fn faults(text: &str) -> String {
        let problem = body::<Line>(text.as_bytes()).unwrap_err();
        let told = |fault: &Fault| format!("{} {} {}", fault.pointer, fault.code, fault.detail);
        problem.errors().iter().map(told).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_is_wrong_is_said_where_it_stands() {
        assert_eq!(faults(r#"{"count": 1}"#), "/measures required 'measures' is required");
        let unknown = r#"{"measures": {}, "count": 1, "cuont": 2}"#;
        assert_eq!(faults(unknown), "/cuont unknown_field there is no 'cuont' here; did you mean 'count'?");
        assert_eq!(
            faults(r#"{"measures": {"a": "1", "a": "2"}, "count": 1}"#),
            "/measures/a doubled the key 'a' stands twice"
        );
        assert_eq!(faults("[{}, 1]"), " wrong_type the body must be an object");
        let text = faults(r#"{"measures": {}, "count": "x"}"#);
        assert_eq!(text, "/count wrong_type this is a text, but must be a whole number");
        let text = faults(r#"{"measures": 1, "count": 1}"#);
        assert_eq!(text, "/measures wrong_type this is a whole number, but must be an object");
    }

    #[test]
    fn a_part_of_a_form_is_read_as_a_body_is() {
        let told = |text: &str| {
            let faults = part::<BTreeMap<String, String>>("mapping", text).unwrap_err();
            faults.iter().map(|fault| format!("{} {} {}", fault.pointer, fault.code, fault.detail)).collect::<Vec<_>>()
        };
        assert_eq!(part::<BTreeMap<String, String>>("mapping", r#"{"a": "b"}"#).unwrap()["a"], "b");
        assert_eq!(told(r#"{"a": "1", "a": "2"}"#), ["/mapping/a doubled the key 'a' stands twice"]);
        assert_eq!(told("[1]"), ["/mapping wrong_type 'mapping' must be an object"]);
        assert!(told("{a: 1}")[0].starts_with("/mapping wrong_type 'mapping' is not JSON: "));
        assert_eq!(
            told(r#"{"a": 1, "b": []}"#),
            [
                "/mapping/a wrong_type this is a whole number, but must be a text",
                "/mapping/b wrong_type this is a list, but must be a text"
            ]
        );
    }

    #[test]
    fn all_faults_of_a_shape_are_told_at_once() {
        let text = faults(r#"{"measures": {"a": 1, "b": "1", "c/d": []}, "cuont": 2, "none": null}"#);
        let pointers: Vec<&str> = text.lines().map(|line| line.split(" ").next().unwrap()).collect();
        assert_eq!(pointers, ["/count", "/cuont", "/measures/a", "/measures/c~1d", "/none"], "{text}");
    }

    #[test]
    fn a_doubled_key_hides_no_other_fault() {
        let text = faults(r#"{"measures": {"a": "1", "a": 2}, "cuont": 2}"#);
        let told: Vec<&str> = text.lines().map(|line| line.split(" ").next().unwrap()).collect();
        assert_eq!(told, ["/count", "/cuont", "/measures/a", "/measures/a"], "{text}");
    }

    #[derive(Debug, Deserialize, ToSchema)]
    struct Remark {
        #[serde(rename = "text")]
        #[schema(nullable = false)]
        _text: Option<String>,
        #[serde(rename = "until")]
        _until: Option<String>,
    }

    #[test]
    fn null_stands_only_where_it_may() {
        let told = |text: &str| body::<Remark>(text.as_bytes()).err().map(|problem| problem.errors().to_vec());
        assert_eq!(told(r#"{"text": "a null", "until": null}"#), None);
        let refused = Fault::new("/text", "wrong_type", "this is null, but must be a text");
        assert_eq!(told(r#"{"text": null, "until": null}"#), Some(vec![refused.clone()]));
        assert_eq!(item::<Remark>(&serde_json::json!({"text": null})).unwrap_err(), [refused]);
        assert_eq!(
            faults(r#"{"measures": null, "count": null}"#),
            "/count wrong_type this is null, but must be a whole number\n/measures wrong_type this is null, but must be an object"
        );
    }

    #[derive(Debug, Deserialize, ToSchema)]
    #[serde(rename_all = "snake_case")]
    enum Size {
        Small,
        Large,
    }

    #[derive(Debug, Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    struct Parcel {
        #[serde(rename = "size")]
        _size: Size,
        #[serde(rename = "sent_on")]
        #[schema(value_type = String, format = Date)]
        _sent_on: jiff::civil::Date,
        #[serde(rename = "of")]
        #[schema(value_type = String, format = Uuid)]
        _of: crate::Id,
        #[serde(rename = "pieces")]
        #[schema(minimum = 1, maximum = 9)]
        _pieces: u8,
        #[serde(rename = "note")]
        #[schema(max_length = 3)]
        _note: String,
    }

    #[test]
    fn choices_dates_ids_and_bounds_are_told_at_once() {
        let sent = r#"{"size": "lrage", "sent_on": "x", "of": "y", "pieces": 12, "note": "long", "zz": 1}"#;
        let problem = body::<Parcel>(sent.as_bytes()).unwrap_err();
        let mut told: Vec<_> = problem.errors().iter().map(|it| (it.pointer.as_str(), it.code.as_str())).collect();
        told.sort_unstable();
        let wanted = [
            ("/note", "too_long"),
            ("/of", "id"),
            ("/pieces", "out_of_range"),
            ("/sent_on", "date"),
            ("/size", "unknown_choice"),
            ("/zz", "unknown_field"),
        ];
        assert_eq!(told, wanted);
        assert!(problem.errors().iter().any(|it| it.detail.ends_with("did you mean 'large'?")), "{problem:?}");
    }

    #[test]
    fn what_the_schema_allows_and_the_reader_refuses_is_told_too() {
        let text = faults(r#"{"measures": {}, "count": 99999999999999999999}"#);
        assert!(text.starts_with("/count wrong_type"), "{text}");
        let text = faults(r#"{"measures": {}, "count": null}"#);
        assert!(text.starts_with("/count wrong_type"), "{text}");
    }
}
