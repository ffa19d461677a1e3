//! The examples of the description without a pack are of one made-up shop. Here they are told in the words of a pack: its policies,
//! outcomes, fields, metrics, kinds and their labels.

use std::collections::BTreeMap;

use regex::{Captures, Regex};
use serde_json::{Map, Value as Json, json};

use super::LANGUAGE;
use crate::customers::model::{Field, FieldType};
use crate::policy::pack::{Pack, PolicyDeclaration};
use crate::policy::texts::LabelKind;
use crate::transactions::model::{Function, Metric};

/// What stands for the words of the made-up shop.
pub struct Words<'a> {
    pack: &'a Pack,
    /// The policy that examples are about, and one that a person may decide instead of.
    policy: Option<(&'a str, &'a PolicyDeclaration)>,
    overridden: Option<(&'a str, &'a PolicyDeclaration)>,
    /// Keys, which also stand within texts.
    keys: BTreeMap<&'static str, String>,
    /// Whole texts.
    texts: BTreeMap<&'static str, String>,
    known: Option<Regex>,
}

impl<'a> Words<'a> {
    /// The words of a pack. Where it has nothing of a sort, a word that says which sort stands there.
    pub fn new(pack: &'a Pack) -> Self {
        let policies = || pack.customer_policies().map(|(id, policy)| (id.as_str(), policy));
        let policy = policies().find(|(_, policy)| policy.appealable).or_else(|| policies().next());
        let overridden = policies().find(|(_, policy)| policy.overridable).or(policy);
        let mut words = Self { pack, policy, overridden, keys: BTreeMap::new(), texts: BTreeMap::new(), known: None };
        words.policies();
        words.fields();
        words.figures();
        words.staff();
        let shop = [("bakery", pack.id.as_str()), ("case", pack.unit.as_str()), ("EUR", pack.currency.as_str())];
        words.texts.extend(shop.map(|(shop, own)| (shop, own.to_owned())));
        // The longest first: of words that begin alike the longer one is meant.
        let mut keys: Vec<&str> = words.keys.keys().copied().collect();
        keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
        words.known = Regex::new(&format!(r"\b(?:{})\b", keys.join("|"))).ok();
        words
    }

    /// Tells every example of a description.
    pub fn tell(&self, description: &mut Json) {
        match description {
            Json::Object(object) => {
                for (key, value) in object {
                    match (key.as_str(), value) {
                        ("example", value) => self.example("", value),
                        ("examples", Json::Array(values)) => values.iter_mut().for_each(|it| self.example("", it)),
                        // What stands here by name is no keyword.
                        ("properties", Json::Object(properties)) => {
                            properties.values_mut().for_each(|it| self.tell(it))
                        }
                        (_, value) => self.tell(value),
                    }
                }
            }
            Json::Array(items) => items.iter_mut().for_each(|item| self.tell(item)),
            _ => {}
        }
    }

    fn example(&self, member: &str, json: &mut Json) {
        match json {
            Json::String(text) => *text = self.text(member, text),
            Json::Array(items) => items.iter_mut().for_each(|item| self.example(member, item)),
            Json::Object(object) if member == "measures" && object.values().all(Json::is_string) => {
                *object = self.measures();
            }
            Json::Object(object) => {
                for (key, mut value) in std::mem::take(object) {
                    self.example(&key, &mut value);
                    object.insert(self.within(&key), value);
                }
            }
            _ => {}
        }
    }

    /// A text, by what it is the value of.
    fn text(&self, member: &str, text: &str) -> String {
        let definitions = &self.pack.definitions;
        let first = |keys: Option<&String>| keys.map_or(text, String::as_str).to_owned();
        match (member, text) {
            ("kind" | "transaction_kind" | "key", "order") => first(definitions.kinds.keys().next()),
            ("measure" | "value", "quantity") => {
                first(definitions.kinds.keys().find_map(|kind| definitions.measures(kind).first()))
            }
            ("id" | "list", "core") => first(self.pack.lists.keys().next()),
            _ => self
                .outcome(member, text)
                .or_else(|| self.texts.get(text).cloned())
                .unwrap_or_else(|| self.within(text)),
        }
    }

    /// The outcome that stands for one of the shop's, which are numbered from the best one on.
    fn outcome(&self, member: &str, text: &str) -> Option<String> {
        let number = text.parse::<usize>().ok()?;
        let most = match member {
            "outcome" | "goal" | "from" | "to" => 4,
            "value" => 2,
            _ => 0,
        };
        let (_, policy) = self.policy.filter(|_| (1..=most).contains(&number))?;
        policy.outcomes.iter().take(number).next_back().cloned()
    }

    fn within(&self, text: &str) -> String {
        let Some(known) = &self.known else { return text.to_owned() };
        let own =
            |found: &Captures<'_>| found.get(0).and_then(|it| self.keys.get(it.as_str())).cloned().unwrap_or_default();
        known.replace_all(text, own).into_owned()
    }

    fn measures(&self) -> Map<String, Json> {
        let definitions = &self.pack.definitions;
        let first = definitions.kinds.keys().next().map_or(&[][..], |kind| definitions.measures(kind));
        first.iter().map(|measure| (measure.clone(), json!("12"))).collect()
    }

    /// Policies, their outcomes and what these entitle to.
    fn policies(&mut self) {
        let (id, policy) = self.policy.unzip();
        let (id, overridden) = (id.unwrap_or("policy"), self.overridden.map_or("policy", |(id, _)| id));
        let other = self.pack.customer_policies().map(|(id, _)| id.as_str()).find(|other| *other != id);
        let entitlement = policy.and_then(|policy| policy.entitlements.keys().next());
        let entitlement = entitlement.map_or("entitlement", String::as_str);
        let cohort = self.pack.cohorts.keys().next().map_or("cohort", String::as_str);
        self.key("volume_grade", "Volume grade", id, LabelKind::Policy, "");
        self.key("value_group", "Value group", overridden, LabelKind::Policy, "");
        self.key("abc", "ABC", other.unwrap_or(id), LabelKind::Policy, "");
        self.key("monthly_supply", "Monthly supply", entitlement, LabelKind::Entitlement, id);
        self.keys.insert("volume_in_format", cohort.to_owned());
        self.texts.insert("Grado de volumen", self.pack.texts.label_of(LabelKind::Policy, "", id, "es").to_owned());
        for (number, grade) in ["Grade 1", "Grade 2", "Grade 3", "Grade 4"].into_iter().enumerate() {
            let outcome = policy.and_then(|policy| policy.outcomes.iter().take(number.saturating_add(1)).next_back());
            self.whole(grade, outcome.map_or("outcome", String::as_str), LabelKind::Outcome, id);
        }
        let outcomes = self.overridden.map_or(&[][..], |(_, policy)| policy.outcomes.as_slice());
        let ends = [("core", "Core", outcomes.first()), ("general", "General", outcomes.last())];
        for (key, label, outcome) in ends {
            let outcome = outcome.map_or("outcome", String::as_str);
            self.texts.insert(key, outcome.to_owned());
            self.whole(label, outcome, LabelKind::Outcome, overridden);
        }
        let list = self.pack.lists.keys().next().map_or("list", String::as_str);
        self.whole("Core customers", list, LabelKind::List, "");
    }

    /// A field of choices and one of numbers.
    fn fields(&mut self) {
        let pack = self.pack;
        let of = |fits: fn(&Field) -> bool| pack.fields.iter().find(|(_, field)| !field.personal && fits(field));
        let choice = of(|field| field.field_type == FieldType::Choice && field.filterable);
        let number = of(|field| field.field_type == FieldType::Decimal)
            .or_else(|| of(|field| field.field_type == FieldType::Integer));
        let value = choice.and_then(|(_, field)| field.choices.first()).map_or("value", String::as_str);
        let choice = choice.map_or("field", |(key, _)| key);
        self.key("retail_format", "Retail format", choice, LabelKind::Field, "");
        self.key("grocery", "Grocery", value, LabelKind::Choice, choice);
        self.texts.insert("Alimentación", pack.texts.label_of(LabelKind::Choice, choice, value, "es").to_owned());
        let number = number.map_or("field", |(key, _)| key);
        self.key("floor_area", "Floor area (m²)", number, LabelKind::Field, "");
        for (path, key) in [("network/retail_format", choice), ("network/floor_area", number)] {
            let section = pack.fields.get(key).map_or("network", |field| field.section.key());
            self.keys.insert(path, format!("{section}/{key}"));
        }
    }

    /// Metrics, and what is observed.
    fn figures(&mut self) {
        let definitions = &self.pack.customer_definitions;
        let of = |fits: &dyn Fn(&Metric) -> bool| {
            definitions.metrics.iter().find(|(_, metric)| fits(metric)).map(|(key, _)| key.as_str())
        };
        let metric = of(&|metric| metric.value_type() == FieldType::Decimal).unwrap_or("metric");
        let is_sum =
            |metric: &Metric| matches!(metric.function, Function::Count | Function::Sum | Function::DecayedSum);
        let observed =
            of(&|metric| is_sum(metric) && definitions.observations.contains_key(&metric.kind)).unwrap_or(metric);
        let observation = definitions.observations.keys().next().map_or("observation", String::as_str);
        self.key("monthly_volume", "Mean monthly volume", metric, LabelKind::Metric, "");
        self.key("on_time_share", "Paid on time", metric, LabelKind::Metric, "");
        self.key("integrity_taken", "Integrity taken", observed, LabelKind::Metric, "");
        self.key("breach", "Breach", observation, LabelKind::Observation, "");
        self.whole("Cases a month", metric, LabelKind::Metric, "");
        let kind = self.pack.definitions.kinds.keys().next().map_or("kind", String::as_str);
        let measure = self.pack.definitions.measures(kind).first().map_or("measure", String::as_str);
        self.whole("Order", kind, LabelKind::Kind, "");
        self.whole("Quantity", measure, LabelKind::Measure, "");
        self.keys.insert("montly_volume", metric.chars().skip(1).collect());
    }

    /// The score of employees, and the areas that they serve.
    fn staff(&mut self) {
        let staff = self.pack.staff.as_ref();
        let policy = staff.map_or("policy", |staff| staff.policy.as_str());
        let declared = self.pack.policies.get(policy);
        let indicator = declared.and_then(|policy| policy.indicators.first()).map_or("indicator", String::as_str);
        let best = declared.and_then(|policy| policy.outcomes.first()).map_or("outcome", String::as_str);
        let areas = self.pack.areas().unwrap_or_default();
        self.key("technician_score", "Technician's score", policy, LabelKind::Policy, "");
        self.key("attendance", "Attendance", indicator, LabelKind::Indicator, policy);
        self.texts.insert("excellent", best.to_owned());
        self.whole("Excellent", best, LabelKind::Outcome, policy);
        let by = |area: Option<&String>, other: &str| area.map_or(other, String::as_str).to_owned();
        self.keys.insert("north", by(areas.first(), "north"));
        self.keys.insert("south", by(areas.last(), "south"));
        self.keys.insert("Yuhua", self.published_area());
    }

    /// An area whose grades are published.
    fn published_area(&self) -> String {
        let field = self.pack.publication.as_ref().and_then(|publication| self.pack.fields.get(&publication.by));
        field.and_then(|field| field.choices.first()).map_or("north", String::as_str).to_owned()
    }

    /// A key and its label.
    fn key(&mut self, shop: &'static str, label: &'static str, own: &str, kind: LabelKind, owner: &str) {
        self.keys.insert(shop, own.to_owned());
        self.whole(label, own, kind, owner);
    }

    /// The label of a key.
    fn whole(&mut self, shop: &'static str, own: &str, kind: LabelKind, owner: &str) {
        self.texts.insert(shop, self.label(kind, owner, own));
    }

    fn label(&self, kind: LabelKind, owner: &str, key: &str) -> String {
        self.pack.texts.label_of(kind, owner, key, LANGUAGE).to_owned()
    }
}
