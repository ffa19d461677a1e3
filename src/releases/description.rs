//! The API's description with what the pack in force declares: its fields, filters, kinds, metrics and outcomes as typed schemas, so
//! that a generated client knows the industry, and with examples in its words.

mod names;
mod parameters;
mod profiles;
mod shapes;
mod words;

use serde_json::{Map, Value as Json, json};

use self::names::{Names, one_of};
use self::shapes::{add, closed_object, decimal, not_negative};
use self::words::Words;
use crate::customers::model::FieldType;
use crate::policy::pack::Pack;
use crate::policy::texts::LabelKind;
use crate::transactions::model::SubjectKind;

/// The language of labels in the description.
const LANGUAGE: &str = "en";

/// The base of a description with the declarations of a pack.
pub fn with_pack(base: &Json, pack: &Pack) -> Json {
    let mut description = base.clone();
    Words::new(pack).tell(&mut description);
    if let Some(Json::Object(info)) = description.pointer_mut("/info") {
        let title = pack.title.get(LANGUAGE).or_else(|| pack.title.values().next()).unwrap_or(&pack.id);
        info.insert("title".to_owned(), json!(format!("Baremo: {title}")));
    }
    let Some(Json::Object(schemas)) = description.pointer_mut("/components/schemas") else { return description };
    let industry = Industry { pack, names: Names::new(pack, schemas) };
    industry.schemas(schemas);
    if let Some(Json::Object(paths)) = description.pointer_mut("/paths") {
        industry.type_parameters(paths);
    }
    description
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

/// Whether a schema is one that is made from the pack.
fn typed(name: &str) -> bool {
    const PREFIXES: [&str; 7] =
        ["Profile", "ProfileBody", "ProfilePatch", "TransactionKind", "Measures", "MetricValues", "ObservationBody"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A pack, and the names of its schemas.
struct Industry<'a> {
    pack: &'a Pack,
    names: Names,
}

impl Industry<'_> {
    fn label(&self, kind: LabelKind, owner: &str, key: &str) -> String {
        self.pack.texts.label_of(kind, owner, key, LANGUAGE).to_owned()
    }

    /// One of some keys, whose labels the description tells.
    fn choice<'k>(&self, what: &str, kind: LabelKind, owner: &str, keys: impl Iterator<Item = &'k String>) -> Json {
        let keys: Vec<&String> = keys.collect();
        let labels: Vec<String> = keys.iter().map(|key| self.label(kind, owner, key)).collect();
        let told: Vec<String> = keys.iter().zip(&labels).map(|(key, label)| format!("`{key}` {label}")).collect();
        let mut schema = one_of(keys);
        if let Json::Object(members) = &mut schema {
            members.insert("description".to_owned(), json!(format!("{what}: {}", told.join(", "))));
            members.insert("x-enum-descriptions".to_owned(), json!(labels));
        }
        schema
    }

    /// What stands below `components/schemas`.
    fn schemas(&self, schemas: &mut Map<String, Json>) {
        self.profiles(schemas);
        self.transactions(schemas);
        self.metrics(schemas);
        self.outcomes(schemas);
        self.answers(schemas);
        // Their examples name fields and kinds together: those that fit each other are composed anew.
        for name in schemas.keys().cloned().collect::<Vec<_>>() {
            let of_industry = reaches(schemas, &name);
            if let Some(Json::Object(schema)) = schemas.get_mut(&name).filter(|_| of_industry) {
                schema.remove("example");
            }
        }
        self.line(schemas);
        self.observation(schemas);
    }

    /// Kinds and measures of transactions.
    fn transactions(&self, schemas: &mut Map<String, Json>) {
        let definitions = &self.pack.definitions;
        if definitions.kinds.is_empty() {
            return;
        }
        let kinds = self.choice("Kind of transaction", LabelKind::Kind, "", definitions.kinds.keys());
        schemas.insert("TransactionKind".to_owned(), kinds);
        let mut measures = closed_object("Value of each measure of the transaction's kind, 0 or more");
        for measure in definitions.kinds.keys().flat_map(|kind| definitions.measures(kind)) {
            let unit = match measure.as_str() {
                "quantity" => format!("; in units of the product, for kinds without products in {}", self.pack.unit),
                _ => String::new(),
            };
            let label = self.label(LabelKind::Measure, "", measure);
            add(&mut measures, measure, not_negative(format!("{label}, 0 or more{unit}"), "12"), false);
        }
        schemas.insert("Measures".to_owned(), measures);
    }

    /// The example of a line: that of the first kind, which is the example of a kind.
    fn line(&self, schemas: &mut Map<String, Json>) {
        let definitions = &self.pack.definitions;
        let Some((key, kind)) = definitions.kinds.first() else { return };
        let measures = definitions.measures(key).iter().map(|measure| (measure.clone(), json!("12")));
        let product = kind.products.then(|| ("product".to_owned(), json!("P1")));
        let line = product.into_iter().chain([("measures".to_owned(), Json::Object(measures.collect()))]);
        if let Some(Json::Object(schema)) = schemas.get_mut("TransactionLineBody") {
            schema.insert("example".to_owned(), Json::Object(line.collect()));
        }
    }

    /// Kinds of observations that can be sent, with the example of one that the pack takes: of customers, where it has such a kind.
    fn observation(&self, schemas: &mut Map<String, Json>) {
        let Some(Json::Object(schema)) = schemas.get_mut("ObservationBody") else { return };
        let kinds = &self.pack.definitions.observations;
        let of_customers = kinds.iter().find(|(_, kind)| kind.subject == SubjectKind::Customer);
        let Some((key, kind)) = of_customers.or_else(|| kinds.first()) else {
            schema.remove("example");
            return;
        };
        if let Some(property) = schema.get_mut("properties").and_then(|properties| properties.get_mut("kind")) {
            *property = self.choice("Kind of observation", LabelKind::Observation, "", kinds.keys());
            property["example"] = json!(key);
        }
        let (whose, code) = match kind.subject {
            SubjectKind::Customer => ("customer_code", "X17"),
            SubjectKind::Employee => ("employee_code", "T1"),
        };
        let mut example = Map::new();
        let said = [
            ("source", "inspection"),
            ("external_id", "B-9"),
            ("kind", key),
            ("observed_on", "2017-12-28"),
            (whose, code),
        ];
        example.extend(said.map(|(member, text)| (member.to_owned(), json!(text))));
        if kind.value {
            let value = kind.min.or(kind.max).unwrap_or(rust_decimal::Decimal::ONE).normalize();
            example.insert("value".to_owned(), json!(value.to_string()));
        }
        schema.insert("example".to_owned(), Json::Object(example));
    }

    /// Values of metrics, as a document may state them.
    fn metrics(&self, schemas: &mut Map<String, Json>) {
        let mut values = closed_object("Values of metrics");
        for (key, metric) in &self.pack.definitions.metrics {
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

    /// The outcomes of each policy about customers.
    fn outcomes(&self, schemas: &mut Map<String, Json>) {
        for (id, policy) in self.pack.customer_policies() {
            let title = self.label(LabelKind::Policy, "", id);
            let outcomes = self.choice(&format!("{title}, best first"), LabelKind::Outcome, id, policy.outcomes.iter());
            schemas.insert(self.names.outcome(id).to_owned(), outcomes);
        }
    }

    /// Texts in answers that are keys of the pack. They are open: what was recorded and decided may be of an earlier release.
    fn answers(&self, schemas: &mut Map<String, Json>) {
        let definitions = &self.pack.definitions;
        let policies: Vec<&String> = self.pack.policies.keys().collect();
        for (schema, property, keys) in [
            ("Transaction", "kind", definitions.kinds.keys().collect()),
            ("Observation", "kind", definitions.observations.keys().collect()),
            ("Decision", "policy", policies),
        ] {
            let property =
                schemas.get_mut(schema).and_then(|schema| schema.pointer_mut(&format!("/properties/{property}")));
            if let Some(Json::Object(property)) = property.filter(|_| !keys.is_empty()) {
                property.insert("examples".to_owned(), json!(keys));
            }
        }
    }
}
