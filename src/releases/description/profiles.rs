//! The customer file as the pack declares it: as it is read, as it is entered, and as it is changed.

use rust_decimal::Decimal;
use serde_json::{Map, Value as Json, json};

use super::names::pascal;
use super::shapes::{add, closed_object, decimal, reference, require};
use super::{Industry, LANGUAGE};
use crate::customers::model::{DEFAULT_MAX_LENGTH, Field, FieldType, Maintenance, Section};
use crate::policy::texts::LabelKind;

/// A text that isn't blank and has no control characters but line breaks.
const PLAIN: &str = r"^[^\u0000-\u0009\u000b-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u0009\u000b-\u001f\u007f-\u009f]*$";
const PHONE: &str = r"^[ +\-()\/.]*([0-9][ +\-()\/.]*){3,20}$";
const EMAIL: &str = r#"^[^\s@<>,;"]+@[^\s@<>,;".]+(\.[^\s@<>,;".]+)+$"#;

impl Industry<'_> {
    /// The schemas of the customer file.
    pub(super) fn profiles(&self, schemas: &mut Map<String, Json>) {
        for (key, field) in self.pack.fields.iter() {
            schemas.insert(self.names.field(key).to_owned(), self.field(key, field));
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
            for (key, field) in self.pack.fields.iter().filter(|(_, field)| field.section == section) {
                if field.maintenance == Maintenance::Derived && name != "Profile" {
                    continue;
                }
                let schema = reference(self.names.field(key));
                add(&mut content, key, in_patch(schema, name), field.required && name == "ProfileBody");
            }
            let required = content.get("required").is_some();
            let section_name = format!("{name}{}", pascal(section.key()));
            schemas.insert(section_name.clone(), content);
            add(&mut profile, section.key(), in_patch(reference(&section_name), name), required);
        }
        schemas.insert(name.to_owned(), profile);
    }

    /// A field as it stands in a profile.
    fn field(&self, key: &str, field: &Field) -> Json {
        let label = self.label(LabelKind::Field, "", key);
        let bound = |word: &str, bound: Option<Decimal>| {
            bound.map(|bound| format!("; {word} {}", bound.normalize())).unwrap_or_default()
        };
        let described = format!("{label}{}{}", bound("at least", field.min), bound("at most", field.max));
        let max_length = field.max_length.unwrap_or(DEFAULT_MAX_LENGTH);
        match field.field_type {
            FieldType::Text => text(field, label, max_length),
            FieldType::Choice => self.choice(&label, LabelKind::Choice, key, field.choices.iter()),
            FieldType::Choices => {
                let items = self.choice(&label, LabelKind::Choice, key, field.choices.iter());
                json!({"type": "array", "uniqueItems": true, "description": format!("{label}; each at most once"), "items": items})
            }
            FieldType::Boolean => json!({"type": "boolean", "description": label, "example": true}),
            FieldType::Integer => {
                let whole = |bound: Option<Decimal>| bound.and_then(|bound| i64::try_from(bound).ok());
                let min = whole(field.min.map(|min| min.ceil())).unwrap_or(-999_999_999_999_999);
                let max = whole(field.max.map(|max| max.floor())).unwrap_or(999_999_999_999_999);
                json!({"type": "integer", "format": "int64", "minimum": min, "maximum": max, "description": described,
                    "example": min.max(0).min(max)})
            }
            FieldType::Decimal => {
                let example = field.min.or(field.max).unwrap_or(Decimal::ONE).normalize();
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
}

/// A field of free text, or of text that matches a pattern.
fn text(field: &Field, label: String, max_length: u32) -> Json {
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

/// In a patch, every part may be `null`.
fn in_patch(schema: Json, profile: &str) -> Json {
    if profile == "ProfilePatch" { json!({"oneOf": [schema, {"type": "null"}]}) } else { schema }
}
