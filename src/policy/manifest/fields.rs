//! `[fields.<key>]`: the customer file's fields.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use toml::Spanned;
use toml::de::DeTable;

use super::super::document::{Table, check_doubled, check_key, plain};
use super::{Reader, locate};
use crate::customers::model::{Field, FieldType, Fields, Maintenance, Pattern, Section};
use crate::transactions::model::Definitions;

/// Keys that every customer has, or that scripts use for something else.
const RESERVED: [&str; 4] = ["code", "name", "status", "maybe"];
/// Most fields with a pattern.
const MAX_PATTERNS: usize = 100;
/// Longest `max_length` of a text, in characters.
const LONGEST: u32 = 10_000;

impl<'t, 'a> Reader<'t, 'a> {
    pub(super) fn field(&mut self, key: &str, mut table: Table<'t, 'a>) -> Option<Field> {
        self.check_reserved(key, &table);
        let section = table.required::<Section>("section");
        let field_type = table.required::<FieldType>("type");
        let choices = self.choices(&mut table, field_type);
        let (min, max) = self.bounds(&mut table, field_type);
        let is_text = field_type.is_some_and(|t| matches!(t, FieldType::Text | FieldType::Phone | FieldType::Email));
        for key in ["max_length", "pattern"] {
            if field_type.is_some() && !is_text && table.has(key) {
                self.faults.at(&table.key_span(key), "wrong_type", format!("'{key}' belongs to texts alone"));
            }
        }
        let max_length = table.optional::<Spanned<u32>>("max_length");
        if let Some(length) = &max_length
            && !(1..=LONGEST).contains(length.get_ref())
        {
            self.faults.at(&length.span(), "out_of_range", format!("'max_length' is from 1 to {LONGEST}"));
        }
        let maintenance = table.optional::<Maintenance>("maintenance").unwrap_or_default();
        if maintenance == Maintenance::Derived {
            let message = format!("a field is static or dynamic; what is derived is a metric: [metrics.{key}]");
            self.faults.at(&table.key_span("maintenance"), "derived", message);
        }
        let pattern = self.pattern(&mut table);
        let required = table.optional("required").unwrap_or_default();
        let filterable = table.optional("filterable").unwrap_or_default();
        let personal = table.optional("personal").unwrap_or_default();
        let renamed_from = table.optional("renamed_from");
        table.close();
        Some(Field {
            section: section?,
            field_type: field_type?,
            required,
            choices,
            min,
            max,
            max_length: max_length.map(Spanned::into_inner),
            pattern,
            maintenance,
            filterable,
            personal,
            renamed_from,
        })
    }

    /// The pattern of a field. Compiled ones take room in every process, so that a pack has not too many.
    fn pattern(&mut self, table: &mut Table<'t, 'a>) -> Option<Pattern> {
        self.patterns += usize::from(table.has("pattern"));
        if self.patterns > MAX_PATTERNS {
            table.allow(&["pattern"]);
            let message = format!("the fields of a pack have at most {MAX_PATTERNS} patterns");
            self.faults.at(&table.key_span("pattern"), "too_many", message);
            return None;
        }
        table.optional("pattern")
    }

    /// Checks the keys that fields are renamed from: each was a key, none is one any more, and none has two heirs.
    pub(super) fn check_renames(&self, fields: &Fields, definitions: &Definitions, root: &DeTable<'a>) {
        let mut seen = BTreeSet::new();
        for (key, field) in fields.iter() {
            let Some(old) = &field.renamed_from else { continue };
            let at = locate(root, &format!("/fields/{key}/renamed_from"));
            check_key(self.faults, old, &at);
            if fields.get(old).is_some() || definitions.metrics.contains_key(old) || self.faulty.contains(old) {
                let message = format!("'{old}' is still declared: only a key that is gone can be renamed");
                self.faults.at(&at, "renamed_from", message);
            } else if !seen.insert(old) {
                self.faults.at(&at, "renamed_from", format!("two fields are renamed from '{old}'; name it in one"));
            }
        }
    }

    /// Reports a key of a field or metric that means something else.
    pub(super) fn check_reserved(&self, key: &str, table: &Table<'t, 'a>) {
        if RESERVED.contains(&key) {
            let message = format!("'{key}' can't be declared: {} are Baremo's own", RESERVED.join(", "));
            self.faults.at(table.span(), "reserved", message);
        }
    }

    fn choices(&self, table: &mut Table<'t, 'a>, field_type: Option<FieldType>) -> Vec<String> {
        let has_choices = match field_type {
            Some(FieldType::Choice | FieldType::Choices) => true,
            Some(_) => false,
            None => table.has("choices"),
        };
        if !has_choices {
            if table.item("choices").is_some() {
                let message = "only fields of type choice or choices have 'choices'";
                self.faults.at(&table.key_span("choices"), "wrong_type", message);
            }
            return Vec::new();
        }
        let Some(choices) = table.required::<Vec<Spanned<String>>>("choices") else { return Vec::new() };
        if choices.is_empty() {
            self.faults.at(&table.key_span("choices"), "empty", "the list of choices is empty");
        }
        check_doubled(self.faults, &choices);
        for choice in &choices {
            let text = choice.get_ref();
            let length = text.chars().count();
            if text.trim() != text || text.contains([';', '/']) || text.contains(char::is_control) || length > 64 {
                let message = "a choice has at most 64 characters, no ';' or '/', and no blanks around it";
                self.faults.at(&choice.span(), "choice", message);
            }
        }
        plain(Some(choices))
    }

    fn bounds(&self, table: &mut Table<'t, 'a>, field_type: Option<FieldType>) -> (Option<Decimal>, Option<Decimal>) {
        let bounds = (table.optional::<Decimal>("min"), table.optional::<Decimal>("max"));
        let is_number = field_type.is_none_or(|t| matches!(t, FieldType::Integer | FieldType::Decimal));
        for key in ["min", "max"] {
            if !is_number && table.has(key) {
                let message = format!("only fields of type integer or decimal have '{key}'");
                self.faults.at(&table.key_span(key), "wrong_type", message);
            }
        }
        if let (Some(min), Some(max)) = bounds
            && min > max
        {
            let message = format!("the minimum {min} is above the maximum {max}");
            self.faults.at(&table.key_span("min"), "out_of_range", message);
        }
        bounds
    }
}
