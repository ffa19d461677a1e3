//! The API's description with what the pack in force declares: its fields, filters, kinds, metrics and outcomes as typed schemas, so
//! that a generated client knows the industry.

use serde_json::{Map, Value as Json, json};

use crate::customers::model::{
    DEFAULT_MAX_LENGTH, Field, FieldType, MAX_SCALE, MAX_WHOLE_DIGITS, Maintenance, Section,
};
use crate::policy::pack::Pack;
use crate::policy::texts::LabelKind;

/// The language of labels in the description.
const LANGUAGE: &str = "en";
/// A text that isn't blank and has no control characters but line breaks.
const PLAIN: &str = r"^[^\u0000-\u0009\u000b-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u0009\u000b-\u001f\u007f-\u009f]*$";
const PHONE: &str = r"^[ +\-()\/.]*([0-9][ +\-()\/.]*){3,20}$";
const EMAIL: &str = r#"^[^\s@<>,;"]+@[^\s@<>,;".]+(\.[^\s@<>,;".]+)+$"#;

/// The base of a description with the declarations of a pack.
pub fn with_pack(base: &Json, pack: &Pack) -> Json {
    let mut description = base.clone();
    let industry = Industry(pack);
    if let Some(Json::Object(info)) = description.pointer_mut("/info") {
        let title = pack.title.get(LANGUAGE).or_else(|| pack.title.values().next()).unwrap_or(&pack.id);
        info.insert("title".to_owned(), json!(format!("Baremo: {title}")));
    }
    if let Some(Json::Object(schemas)) = description.pointer_mut("/components/schemas") {
        industry.profiles(schemas);
        industry.transactions(schemas);
        industry.metrics(schemas);
        industry.outcomes(schemas);
        // Examples of the base name the fields of some industry: those of this one are composed anew.
        for name in schemas.keys().cloned().collect::<Vec<_>>() {
            let of_industry = reaches(schemas, &name);
            if let Some(Json::Object(schema)) = schemas.get_mut(&name).filter(|_| of_industry) {
                schema.remove("example");
            }
        }
        industry.line(schemas);
    }
    if let Some(Json::Array(parameters)) = description.pointer_mut("/paths/~1v1~1customers/get/parameters") {
        *parameters = industry.parameters(std::mem::take(parameters));
    }
    if let Some(Json::Array(parameters)) =
        description.pointer_mut("/paths/~1v1~1cohorts~1{digest}~1near/get/parameters")
    {
        let cohorts: Vec<&String> = pack.cohorts.keys().collect();
        for parameter in parameters.iter_mut().filter(|parameter| !cohorts.is_empty() && named(parameter, "cohort")) {
            parameter["schema"] = json!({"type": "string", "enum": cohorts});
            parameter["example"] = json!(cohorts.first());
        }
    }
    description
}

fn named(parameter: &Json, name: &str) -> bool {
    parameter.get("name").is_some_and(|found| found == name)
}

/// Whether a schema has what a pack types, in itself or in a schema that it names.
fn reaches(schemas: &Map<String, Json>, name: &str) -> bool {
    fn within(schemas: &Map<String, Json>, json: &Json, depth: usize) -> bool {
        match json {
            Json::Object(object) => object.iter().any(|(key, value)| match (key.as_str(), value.as_str()) {
                ("example" | "examples", _) => false,
                ("$ref", Some(path)) => {
                    let name = path.rsplit('/').next().unwrap_or_default();
                    typed(name)
                        || depth > 0 && schemas.get(name).is_some_and(|schema| within(schemas, schema, depth - 1))
                }
                _ => within(schemas, value, depth),
            }),
            Json::Array(items) => items.iter().any(|item| within(schemas, item, depth)),
            _ => false,
        }
    }
    !typed(name) && schemas.get(name).is_some_and(|schema| within(schemas, schema, 6))
}

/// Whether a schema is one that this file makes from the pack.
fn typed(name: &str) -> bool {
    const PREFIXES: [&str; 6] =
        ["Profile", "ProfileBody", "ProfilePatch", "TransactionKind", "Measures", "MetricValues"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn reference(name: &str) -> Json {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A key as part of a schema's name: `floor_area` as `FloorArea`.
fn pascal(key: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect::<String>()
    };
    key.split('_').map(word).collect()
}

/// A decimal written as a string.
pub fn decimal(description: String, example: &str) -> Json {
    let pattern = format!(r"^-?0*[0-9]{{1,{MAX_WHOLE_DIGITS}}}(\.[0-9]{{1,{MAX_SCALE}}}0*)?$");
    json!({"type": "string", "pattern": pattern, "description": description, "example": example})
}

struct Industry<'a>(&'a Pack);

impl Industry<'_> {
    fn label(&self, kind: LabelKind, owner: &str, key: &str) -> String {
        self.0.texts.label_of(kind, owner, key, LANGUAGE).to_owned()
    }

    /// One of some keys, whose labels the description tells.
    fn choice<'k>(&self, what: &str, kind: LabelKind, owner: &str, keys: impl Iterator<Item = &'k String>) -> Json {
        let keys: Vec<&String> = keys.collect();
        let labels: Vec<String> = keys.iter().map(|key| self.label(kind, owner, key)).collect();
        let told: Vec<String> = keys.iter().zip(&labels).map(|(key, label)| format!("`{key}` {label}")).collect();
        json!({"type": "string", "enum": keys, "description": format!("{what}: {}", told.join(", ")), "x-enum-descriptions": labels})
    }

    /// A field as it stands in a profile.
    fn field(&self, key: &str, field: &Field) -> Json {
        let label = self.label(LabelKind::Field, "", key);
        let bound = |word: &str, bound: Option<rust_decimal::Decimal>| {
            bound.map(|bound| format!("; {word} {}", bound.normalize())).unwrap_or_default()
        };
        let described = format!("{label}{}{}", bound("at least", field.min), bound("at most", field.max));
        let max_length = field.max_length.unwrap_or(DEFAULT_MAX_LENGTH);
        match field.field_type {
            FieldType::Text => {
                // What only Rust's expressions know is told in words.
                let portable = |pattern: &&str| !pattern.replace("(?:", "").contains("(?");
                let own = field.pattern.as_ref().map(|pattern| pattern.as_str());
                let described = own.map_or_else(|| label.clone(), |own| format!("{label}; matches `{own}`"));
                let pattern = own.filter(portable).map_or_else(|| PLAIN.to_owned(), |own| format!("^(?:{own})$"));
                let mut schema = json!({"type": "string", "description": described, "minLength": 1, "maxLength": max_length, "pattern": pattern});
                if let Some(schema) = schema.as_object_mut().filter(|_| own.is_none()) {
                    schema.insert("example".to_owned(), json!("x"));
                }
                schema
            }
            FieldType::Choice => self.choice(&label, LabelKind::Choice, key, field.choices.iter()),
            FieldType::Choices => {
                let items = self.choice(&label, LabelKind::Choice, key, field.choices.iter());
                json!({"type": "array", "uniqueItems": true, "description": format!("{label}; each at most once"), "items": items})
            }
            FieldType::Boolean => json!({"type": "boolean", "description": label, "example": true}),
            FieldType::Integer => {
                let whole = |bound: Option<rust_decimal::Decimal>| bound.and_then(|bound| i64::try_from(bound).ok());
                let min = whole(field.min.map(|min| min.ceil())).unwrap_or(-999_999_999_999_999);
                let max = whole(field.max.map(|max| max.floor())).unwrap_or(999_999_999_999_999);
                json!({"type": "integer", "format": "int64", "minimum": min, "maximum": max, "description": described,
                    "example": min.max(0).min(max)})
            }
            FieldType::Decimal => {
                let example = field.min.or(field.max).unwrap_or(rust_decimal::Decimal::ONE).normalize();
                decimal(described, &example.to_string())
            }
            FieldType::Date => {
                json!({"type": "string", "format": "date", "description": label, "example": "2015-03-01"})
            }
            FieldType::Phone => json!({"type": "string", "pattern": PHONE, "maxLength": max_length,
                "description": format!("{label}; 3 to 20 digits"), "example": "+34 912 345 678"}),
            FieldType::Email => {
                json!({"type": "string", "format": "email", "pattern": EMAIL, "maxLength": max_length.min(254),
                "description": label, "example": "ana@example.com"})
            }
        }
    }

    /// The customer file: as it is read, as it is entered, and as it is changed.
    fn profiles(&self, schemas: &mut Map<String, Json>) {
        for (key, field) in self.0.fields.iter() {
            schemas.insert(format!("ProfileField{}", pascal(key)), self.field(key, field));
        }
        self.profile(schemas, "Profile", "The customer file: values by section; absent ones are left out");
        self.profile(schemas, "ProfileBody", "The customer file as it is entered");
        self.profile(schemas, "ProfilePatch", "Changes of the customer file; `null` removes");
        // What the pack requires makes the profile itself required.
        let requires = schemas.get("ProfileBody").is_some_and(|profile| profile.get("required").is_some());
        for schema in ["CustomerBody", "Document"].into_iter().filter(|_| requires) {
            if let Some(schema) = schemas.get_mut(schema) {
                require(schema, "profile");
            }
        }
    }

    /// A profile and its sections.
    fn profile(&self, schemas: &mut Map<String, Json>, name: &str, description: &str) {
        let mut profile = closed_object(description);
        for section in Section::ALL {
            let described = format!("{} of the customer", section.label(LANGUAGE));
            let mut content = closed_object(&described);
            for (key, field) in self.0.fields.iter().filter(|(_, field)| field.section == section) {
                if field.maintenance == Maintenance::Derived && name != "Profile" {
                    continue;
                }
                let schema = reference(&format!("ProfileField{}", pascal(key)));
                add(&mut content, key, in_patch(schema, name), field.required && name == "ProfileBody");
            }
            let required = content.get("required").is_some();
            let section_name = format!("{name}{}", pascal(section.key()));
            schemas.insert(section_name.clone(), content);
            add(&mut profile, section.key(), in_patch(reference(&section_name), name), required);
        }
        schemas.insert(name.to_owned(), profile);
    }

    /// Kinds and measures of transactions.
    fn transactions(&self, schemas: &mut Map<String, Json>) {
        let definitions = &self.0.definitions;
        let kinds = self.choice("Kind of transaction", LabelKind::Kind, "", definitions.kinds.keys());
        schemas.insert("TransactionKind".to_owned(), kinds);
        let mut measures = closed_object("Value of each measure of the transaction's kind");
        for measure in definitions.kinds.keys().flat_map(|kind| definitions.measures(kind)) {
            let unit = match measure.as_str() {
                "quantity" => format!("in units of the product, for kinds without products in {}", self.0.unit),
                _ => "0 or more".to_owned(),
            };
            let label = self.label(LabelKind::Measure, "", measure);
            add(&mut measures, measure, decimal(format!("{label}; {unit}"), "12"), false);
        }
        schemas.insert("Measures".to_owned(), measures);
    }

    /// The example of a line: that of the first kind, which is the example of a kind.
    fn line(&self, schemas: &mut Map<String, Json>) {
        let definitions = &self.0.definitions;
        let Some((key, kind)) = definitions.kinds.first() else { return };
        let measures = definitions.measures(key).iter().map(|measure| (measure.clone(), json!("12")));
        let product = kind.products.then(|| ("product".to_owned(), json!("P1")));
        let line = product.into_iter().chain([("measures".to_owned(), Json::Object(measures.collect()))]);
        if let Some(Json::Object(schema)) = schemas.get_mut("TransactionLineBody") {
            schema.insert("example".to_owned(), Json::Object(line.collect()));
        }
    }

    /// Values of metrics, as a document may state them.
    fn metrics(&self, schemas: &mut Map<String, Json>) {
        let mut values = closed_object("Values of metrics");
        for (key, metric) in &self.0.definitions.metrics {
            let label = self.label(LabelKind::Metric, "", key);
            let unit = metric.unit.as_ref().map(|unit| format!("; in {unit}")).unwrap_or_default();
            let schema = match metric.value_type() {
                FieldType::Date => json!({"type": "string", "format": "date", "description": label}),
                _ => decimal(format!("{label}{unit}"), "12.5"),
            };
            add(&mut values, key, schema, false);
        }
        schemas.insert("MetricValues".to_owned(), values);
    }

    /// The outcomes of each policy.
    fn outcomes(&self, schemas: &mut Map<String, Json>) {
        for (id, policy) in &self.0.policies {
            let title = self.label(LabelKind::Policy, "", id);
            let outcomes = self.choice(&format!("{title}, best first"), LabelKind::Outcome, id, policy.outcomes.iter());
            schemas.insert(format!("Outcome{}", pascal(id)), outcomes);
        }
    }

    /// The parameters of the list of customers: one for each field and policy instead of the open ones.
    fn parameters(&self, base: Vec<Json>) -> Vec<Json> {
        let mut parameters: Vec<Json> =
            base.into_iter().filter(|it| !named(it, "field") && !named(it, "outcome")).collect();
        let parameter = |name: String, description: String, schema: Json| json!({"name": name, "in": "query", "required": false, "description": description, "schema": schema});
        let mut orders = vec!["created_at".to_owned(), "code".to_owned(), "name".to_owned()];
        for (key, field) in self.0.fields.iter().filter(|(_, field)| field.filterable) {
            let label = self.label(LabelKind::Field, "", key);
            let plain = |what: &str| decimal(format!("{label}, {what}"), "1");
            let schema = match field.field_type {
                FieldType::Choices => self.choice(&label, LabelKind::Choice, key, field.choices.iter()),
                FieldType::Integer | FieldType::Decimal => plain("a decimal"),
                FieldType::Text | FieldType::Phone | FieldType::Email => json!({"type": "string"}),
                FieldType::Choice | FieldType::Boolean | FieldType::Date => {
                    reference(&format!("ProfileField{}", pascal(key)))
                }
            };
            if matches!(field.field_type, FieldType::Integer | FieldType::Decimal | FieldType::Date) {
                for (comparison, word) in [("gt", "above"), ("gte", "at least"), ("lt", "below"), ("lte", "at most")] {
                    let told = format!("Only customers whose {label} is {word} this");
                    parameters.push(parameter(format!("field[{key}][{comparison}]"), told, schema.clone()));
                }
            }
            if field.field_type != FieldType::Choices {
                orders.push(format!("field[{key}]"));
            }
            parameters.push(parameter(format!("field[{key}]"), format!("Only customers of this {label}"), schema));
        }
        for id in self.0.policies.keys() {
            let told = format!("Only customers with this outcome of {}", self.label(LabelKind::Policy, "", id));
            let schema = reference(&format!("Outcome{}", pascal(id)));
            parameters.push(parameter(format!("outcome[{id}]"), told, schema));
        }
        let descending: Vec<String> = orders.iter().map(|order| format!("-{order}")).collect();
        orders.extend(descending);
        for sort in parameters.iter_mut().filter(|parameter| named(parameter, "sort")) {
            sort["schema"] = json!({"type": "string", "enum": orders});
        }
        parameters
    }
}

/// An object that has only the properties added to it.
fn closed_object(description: &str) -> Json {
    json!({"type": "object", "description": description, "additionalProperties": false, "properties": {}})
}

fn add(object: &mut Json, key: &str, schema: Json, required: bool) {
    if let Some(Json::Object(properties)) = object.get_mut("properties") {
        properties.insert(key.to_owned(), schema);
    }
    if required {
        require(object, key);
    }
}

fn require(object: &mut Json, key: &str) {
    match object.get_mut("required").and_then(Json::as_array_mut) {
        Some(names) => names.push(json!(key)),
        None => object["required"] = json!([key]),
    }
}

/// In a patch, every part may be `null`.
fn in_patch(schema: Json, profile: &str) -> Json {
    if profile == "ProfilePatch" { json!({"oneOf": [schema, {"type": "null"}]}) } else { schema }
}
