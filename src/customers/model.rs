//! The customer file as a pack declares it: sections, fields with their types and bounds, and the checking of a profile
//! against them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use indexmap::IndexMap;
use jiff::civil::Date;
use regex::{Regex, RegexBuilder};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use super::texts::{date, decimal, is_email, is_phone};
use crate::faults::{Fault, did_you_mean, enough, excerpt, pointer_segment};

/// Longest text that a field takes when the pack states no `max_length`, in characters.
pub const DEFAULT_MAX_LENGTH: u32 = 500;

/// The five sections of a customer file; packs declare fields, the sections are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// Who the customer is.
    Basic,
    /// Where he stands in the network and who looks after him.
    Network,
    /// Licences, classification and control.
    Management,
    /// How his business goes.
    Business,
    /// Persons to speak to, and what they agreed to have kept.
    Personal,
}

impl Section {
    /// All sections in the order in which a file shows them.
    pub const ALL: [Self; 5] = [Self::Basic, Self::Network, Self::Management, Self::Business, Self::Personal];

    /// The section's name in documents.
    pub fn key(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Network => "network",
            Self::Management => "management",
            Self::Business => "business",
            Self::Personal => "personal",
        }
    }

    /// The section's label in English, Spanish or Chinese; in English for any other language.
    pub fn label(self, language: &str) -> &'static str {
        let (english, spanish, chinese) = match self {
            Self::Basic => ("Basics", "Datos básicos", "基本信息"),
            Self::Network => ("Network", "Red", "网络信息"),
            Self::Management => ("Management", "Gestión", "管理信息"),
            Self::Business => ("Business", "Negocio", "经营信息"),
            Self::Personal => ("Personal", "Datos personales", "个人信息"),
        };
        match language {
            "es" => spanish,
            "zh" => chinese,
            _ => english,
        }
    }
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Free text.
    Text,
    /// One of the declared choices.
    Choice,
    /// Any number of the declared choices, each once.
    Choices,
    /// Yes or no.
    Boolean,
    /// A whole number.
    Integer,
    /// An exact decimal number, written as a string in JSON.
    Decimal,
    /// A calendar date, `2018-01-31`.
    Date,
    /// A telephone number: digits, spaces, `+ - ( ) / .`, with 3 to 20 digits.
    Phone,
    /// An e-mail address.
    Email,
}

/// Who changes a field, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Maintenance {
    /// Rarely changes after the first entry.
    #[default]
    Static,
    /// Changes with the business.
    Dynamic,
    /// Computed by the system, never entered.
    Derived,
}

/// One field of the customer file, as the pack declares it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Section in which the field stands.
    pub section: Section,
    /// What it holds.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// Whether a file without it is refused.
    #[serde(default)]
    pub required: bool,
    /// Allowed values of a choice.
    #[serde(default)]
    pub choices: Vec<String>,
    /// Smallest number allowed.
    pub min: Option<Decimal>,
    /// Largest number allowed.
    pub max: Option<Decimal>,
    /// Longest text allowed, in characters.
    pub max_length: Option<u32>,
    /// Regular expression that the whole text must match.
    #[serde(default)]
    pub pattern: Option<Pattern>,
    /// Who changes it, and how often.
    #[serde(default)]
    pub maintenance: Maintenance,
    /// Whether lists can be filtered and sorted by it.
    #[serde(default)]
    pub filterable: bool,
    /// Whether it is personal data.
    #[serde(default)]
    pub personal: bool,
    /// The key under which an earlier pack declared it.
    #[serde(default)]
    pub renamed_from: Option<String>,
}

/// Most bytes that a regular expression may take when it is compiled.
const MAX_PATTERN: usize = 256 << 10;

/// A regular expression that must match a whole text.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// The expression as the pack wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut pattern = RegexBuilder::new(&format!("^(?:{text})$"));
        let regex = pattern.size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN).build();
        let regex = regex.map_err(serde::de::Error::custom)?;
        Ok(Self { text, regex })
    }
}

/// A checked value of a field or metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Text, a choice, a telephone number or an e-mail address.
    Text(String),
    /// Yes or no.
    Boolean(bool),
    /// An integer or decimal.
    Number(Decimal),
    /// A calendar date.
    Date(Date),
    /// The chosen ones of a list of choices.
    Choices(Vec<String>),
}

impl fmt::Display for Value {
    /// The canonical text: decimals without trailing zeros, choices separated by `;`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Boolean(yes) => write!(f, "{yes}"),
            Self::Number(number) => write!(f, "{}", number.normalize()),
            Self::Date(date) => write!(f, "{date}"),
            Self::Choices(chosen) => f.write_str(&chosen.join(";")),
        }
    }
}

/// The values of a customer's fields by key, whatever their section; absent fields have no entry.
pub type Values = BTreeMap<String, Value>;

/// The fields that a pack declares, in its order.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    fields: IndexMap<String, Field>,
    derived: Vec<String>,
    /// Keys by those that they were renamed from.
    renamed: BTreeMap<String, String>,
}

impl Fields {
    /// The declared fields, and the keys of metrics: derived, so that entering them is refused by name.
    pub fn new(fields: IndexMap<String, Field>, derived: Vec<String>) -> Self {
        let renamed =
            fields.iter().filter_map(|(key, field)| Some((field.renamed_from.clone()?, key.clone()))).collect();
        Self { fields, derived, renamed }
    }

    /// Some of the fields.
    pub fn only(&self, keys: &BTreeSet<String>) -> Self {
        let mut some = self.clone();
        some.fields.retain(|key, _| keys.contains(key));
        some.renamed.retain(|_, key| keys.contains(key));
        some
    }

    /// The field of this key.
    pub fn get(&self, key: &str) -> Option<&Field> {
        self.fields.get(key)
    }

    /// The field that takes what is stored under a key, with its own key: the one of that key, else the one renamed from it.
    pub fn taking(&self, stored: &str) -> Option<(&str, &Field)> {
        let own = self.fields.get_key_value(stored);
        let taking = own.or_else(|| self.fields.get_key_value(self.renamed.get(stored)?));
        taking.map(|(key, field)| (key.as_str(), field))
    }

    /// Every field with its key, in the pack's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.fields.iter().map(|(key, field)| (key.as_str(), field))
    }

    /// Checks a profile (`{section: {field: value}}`) and gives its values, or the faults in it with their pointers: all, unless they
    /// are [`enough`].
    pub fn check(&self, profile: &Map<String, Json>) -> Result<Values, Vec<Fault>> {
        self.check_beside(profile, &Map::new())
    }

    /// As [`Self::check`], where a required field isn't missing if a value for it is among the `hidden`: those that the pack
    /// no longer takes, which nobody who sends a profile can see.
    pub fn check_beside(&self, profile: &Map<String, Json>, hidden: &Map<String, Json>) -> Result<Values, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut values = Values::new();
        for (section_key, content) in profile {
            if enough(&faults) {
                break;
            }
            let at_section = pointer_segment(section_key);
            let Some(section) = Section::ALL.into_iter().find(|section| section.key() == section_key) else {
                let names = Section::ALL.map(Section::key);
                let hint = did_you_mean(section_key, names);
                let names = names.join(", ");
                let detail = format!("'{}' is not a section; sections are {names}{hint}", excerpt(section_key));
                faults.push(Fault::new(at_section, "unknown_section", detail));
                continue;
            };
            let Json::Object(content) = content else {
                faults.push(Fault::new(at_section, "wrong_type", "a section is an object of fields"));
                continue;
            };
            for (key, json) in content {
                if enough(&faults) {
                    break;
                }
                let pointer = format!("{at_section}{}", pointer_segment(key));
                match self.field_in(section, key).and_then(|field| field.check(json)) {
                    Ok(value) => drop(values.insert(key.clone(), value)),
                    Err((code, detail)) => faults.push(Fault::new(pointer, code, detail)),
                }
            }
        }
        let hidden: BTreeSet<&str> = stored(hidden).filter_map(|(_, key, _)| Some(self.taking(key)?.0)).collect();
        for (key, field) in self.iter() {
            let sent = profile.get(field.section.key()).is_some_and(|section| section.get(key).is_some());
            if field.required && !sent && !hidden.contains(key) {
                let pointer = format!("/{}{}", field.section.key(), pointer_segment(key));
                faults.push(Fault::new(pointer, "required", format!("'{key}' is required")));
            }
        }
        if faults.is_empty() { Ok(values) } else { Err(faults) }
    }

    fn field_in(&self, section: Section, key: &str) -> Result<&Field, (&'static str, String)> {
        if self.derived.iter().any(|derived| derived == key) {
            return Err(("derived", format!("'{key}' is computed from transactions and can't be entered")));
        }
        match self.get(key) {
            Some(field) if field.section != section => {
                Err(("wrong_section", format!("'{key}' belongs to the section '{}'", field.section.key())))
            }
            Some(field) if field.maintenance == Maintenance::Derived => {
                Err(("derived", format!("'{key}' is derived and can't be entered")))
            }
            Some(field) => Ok(field),
            None => {
                let hint = did_you_mean(key, self.iter().map(|(key, _)| key));
                Err(("unknown_field", format!("the pack declares no field '{}'{hint}", excerpt(key))))
            }
        }
    }
}

/// What a profile holds: section, key and value of each entry.
pub fn stored(profile: &Map<String, Json>) -> impl Iterator<Item = (&str, &str, &Json)> {
    profile.iter().flat_map(|(section, content)| {
        content.as_object().into_iter().flatten().map(move |(key, json)| (section.as_str(), key.as_str(), json))
    })
}

type Refusal = (&'static str, String);

impl Field {
    /// Checks one value as it comes in JSON. The error is a stable code and a sentence.
    pub fn check(&self, json: &Json) -> Result<Value, (&'static str, String)> {
        match (self.field_type, json) {
            (FieldType::Boolean, Json::Bool(yes)) => Ok(Value::Boolean(*yes)),
            (FieldType::Integer, Json::Number(_)) => self.number(&json.to_string()),
            (FieldType::Decimal, Json::String(text)) => self.number(text),
            (FieldType::Choices, Json::Array(items)) => {
                let chosen: Option<Vec<&str>> = items.iter().map(Json::as_str).collect();
                self.choices(&chosen.ok_or(("wrong_type", "choices are texts".to_owned()))?)
            }
            (FieldType::Boolean | FieldType::Integer | FieldType::Decimal | FieldType::Choices, _) => {
                Err(self.not_in_json(json))
            }
            (_, Json::String(text)) => self.text(text),
            _ => Err(self.not_in_json(json)),
        }
    }

    /// Reads a value that is stored already, nothing where it doesn't fit: also one of an earlier pack that declared another
    /// type, such as an integer for what is a decimal now, or one choice for a list of them.
    pub fn read(&self, json: &Json) -> Option<Value> {
        self.check(json).ok().or_else(|| match json {
            Json::String(text) => self.parse(text).ok(),
            Json::Number(number) => self.parse(&number.to_string()).ok(),
            _ => None,
        })
    }

    /// Reads one value from text, as CSV files and query strings have it: `true`/`false`, choices separated by `;`.
    pub fn parse(&self, text: &str) -> Result<Value, (&'static str, String)> {
        match self.field_type {
            FieldType::Boolean => match text {
                "true" => Ok(Value::Boolean(true)),
                "false" => Ok(Value::Boolean(false)),
                _ => Err(("wrong_type", format!("{} is neither true nor false", self.told(text)))),
            },
            FieldType::Integer | FieldType::Decimal => self.number(text),
            FieldType::Choices => self.choices(&text.split(';').map(str::trim).collect::<Vec<_>>()),
            _ => self.text(text),
        }
    }

    /// The value as JSON documents have it: integers as numbers, decimals as strings.
    pub fn to_json(&self, value: &Value) -> Json {
        match value {
            Value::Boolean(yes) => Json::Bool(*yes),
            Value::Choices(chosen) => Json::from(chosen.clone()),
            Value::Number(number) if self.field_type == FieldType::Integer => {
                i64::try_from(*number).map_or_else(|_| Json::from(value.to_string()), Json::from)
            }
            _ => Json::from(value.to_string()),
        }
    }

    /// A sent value as an error names it. Personal ones are not repeated: errors end in logs, reports and letters to the support.
    fn told(&self, sent: &str) -> String {
        if self.personal { "the value".to_owned() } else { format!("'{}'", excerpt(sent)) }
    }

    /// The refusal that a reader knowing nothing of the field has made, told as this field wants it.
    fn discreet(&self, sent: &str, (code, detail): Refusal) -> Refusal {
        (code, detail.replacen(&format!("'{}'", excerpt(sent)), &self.told(sent), 1))
    }

    fn not_in_json(&self, json: &Json) -> Refusal {
        let sent = json.to_string();
        let sent = if self.personal { self.told(&sent) } else { excerpt(&sent) };
        ("wrong_type", format!("{sent} is not {}", self.field_type.in_json()))
    }

    fn text(&self, text: &str) -> Result<Value, Refusal> {
        let text = text.trim();
        if text.is_empty() {
            return Err(("empty", "an absent value is left out, not sent empty".to_owned()));
        }
        if let Some(control) = text.chars().find(|c| c.is_control() && *c != '\n') {
            return Err(("control_character", format!("the control character {control:?} is not allowed")));
        }
        let max = self.max_length.unwrap_or(DEFAULT_MAX_LENGTH);
        let length = text.chars().count();
        if u32::try_from(length).map_or(true, |length| length > max) {
            return Err(("too_long", format!("{length} characters are more than the {max} allowed")));
        }
        if let Some(pattern) = &self.pattern
            && !pattern.regex.is_match(text)
        {
            return Err(("pattern", format!("{} doesn't match the pattern {}", self.told(text), pattern.text)));
        }
        match self.field_type {
            FieldType::Choice => self.choice(text).map(Value::Text),
            FieldType::Date => date(text).map(Value::Date).map_err(|refusal| self.discreet(text, refusal)),
            FieldType::Phone if !is_phone(text) => {
                Err(("phone", format!("{} is not a telephone number such as +34 912 345 678", self.told(text))))
            }
            FieldType::Email if !is_email(text) => {
                Err(("email", format!("{} is not an e-mail address such as ana@example.com", self.told(text))))
            }
            _ => Ok(Value::Text(text.to_owned())),
        }
    }

    fn number(&self, text: &str) -> Result<Value, Refusal> {
        let number = decimal(text).map_err(|refusal| self.discreet(text, refusal))?;
        let told = || if self.personal { self.told(text) } else { number.to_string() };
        if self.field_type == FieldType::Integer && !number.is_integer() {
            return Err(("wrong_type", format!("{} is not a whole number", told())));
        }
        if let Some(min) = self.min.filter(|min| number < *min) {
            return Err(("out_of_range", format!("{} is below the minimum {min}", told())));
        }
        if let Some(max) = self.max.filter(|max| number > *max) {
            return Err(("out_of_range", format!("{} is above the maximum {max}", told())));
        }
        Ok(Value::Number(number))
    }

    fn choice(&self, text: &str) -> Result<String, Refusal> {
        if self.choices.iter().any(|choice| choice == text) {
            return Ok(text.to_owned());
        }
        let hint = did_you_mean(text, self.choices.iter().map(String::as_str));
        Err(("unknown_choice", format!("{} is not one of {}{hint}", self.told(text), self.choices.join(", "))))
    }

    fn choices(&self, texts: &[&str]) -> Result<Value, Refusal> {
        let mut chosen = texts.iter().map(|text| self.choice(text)).collect::<Result<Vec<_>, _>>()?;
        chosen.sort();
        let sent = chosen.len();
        chosen.dedup();
        if chosen.len() == sent {
            Ok(Value::Choices(chosen))
        } else {
            Err(("doubled", "each choice may stand once".to_owned()))
        }
    }
}

impl FieldType {
    fn in_json(self) -> &'static str {
        match self {
            Self::Boolean => "true or false",
            Self::Integer => "a whole number",
            Self::Decimal => "a decimal written as a string, such as \"12.5\"",
            Self::Choices => "a list of choices",
            Self::Date => "a date written as a string, such as \"2018-01-31\"",
            Self::Text | Self::Choice | Self::Phone | Self::Email => "a text",
        }
    }
}
