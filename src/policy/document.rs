//! TOML files of a pack with the position of every key and value, read so that all faults are found in one go.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::Range;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{self, Diagnostic};
use crate::customers::{model, texts};
use crate::faults::{did_you_mean, excerpt, nearest};

/// A value with its place in the file.
pub(super) type Item<'a> = Spanned<DeValue<'a>>;
/// Bytes of the file from and to which something reaches.
pub(super) type Span = Range<usize>;

/// Most items of a list.
const MAX_ITEMS: usize = 2_000;

/// The faults of one file, collected while it is read: the first ones are kept, the others counted.
pub(super) struct Faults<'a> {
    file: &'a str,
    text: &'a str,
    list: RefCell<Vec<Diagnostic>>,
    found: Cell<usize>,
}

impl<'a> Faults<'a> {
    /// No faults yet of a file and its text.
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, list: RefCell::default(), found: Cell::new(0) }
    }

    /// A fault where the span begins.
    pub(super) fn at(&self, span: &Span, code: &'static str, message: impl Into<String>) {
        self.found.set(self.found.get() + 1);
        if !self.enough() {
            let (line, column) = position(self.text, span.start);
            self.list.borrow_mut().push(Diagnostic::at(self.file, self.text, line, column, code, message));
        }
    }

    /// A fault of the whole file.
    pub(super) fn of_file(&self, code: &'static str, message: impl Into<String>) {
        self.found.set(self.found.get() + 1);
        if !self.enough() {
            self.list.borrow_mut().push(Diagnostic::of_file(self.file, code, message));
        }
    }

    /// The line in which a span begins, from 1.
    pub(super) fn line(&self, span: &Span) -> usize {
        position(self.text, span.start).0
    }

    /// How many there are so far.
    pub(super) fn count(&self) -> usize {
        self.found.get()
    }

    /// Whether no further fault is kept, so that finding words for one is of no use.
    pub(super) fn enough(&self) -> bool {
        self.list.borrow().len() >= diagnostic::MOST
    }

    /// "; did you mean 'x'?" for the nearest candidate, or nothing.
    pub(super) fn did_you_mean<'c>(&self, word: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
        if self.enough() { String::new() } else { did_you_mean(word, candidates) }
    }

    /// All of them.
    pub(super) fn into_list(self) -> Vec<Diagnostic> {
        self.list.into_inner()
    }

    /// The top table of the file; nothing, with every fault of syntax, when it is no TOML.
    pub(super) fn parse(&self) -> Option<Spanned<DeTable<'a>>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            if error.message().contains("duplicate key") {
                let key = self.text.get(span.clone()).unwrap_or_default();
                self.at(&span, "doubled", format!("'{key}' stands twice"));
            } else {
                self.at(&span, "syntax", error.message());
            }
        }
        errors.is_empty().then_some(table)
    }
}

/// Line and column (in characters), both from 1, of a byte of a text.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before.get(start..).unwrap_or_default().chars().count() + 1)
}

/// The entries of a table in the order of the file.
pub(super) fn entries<'t, 'a>(
    table: &'t DeTable<'a>,
) -> impl Iterator<Item = (&'t Spanned<Cow<'a, str>>, &'t Item<'a>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries.into_iter()
}

/// A table whose keys are asked for one by one; those that nobody asked for are faults.
pub(super) struct Table<'t, 'a> {
    faults: &'t Faults<'a>,
    entries: &'t DeTable<'a>,
    span: Span,
    /// How messages name it: `the field 'floor_area'`.
    name: String,
    asked: Vec<&'static str>,
}

impl<'t, 'a> Table<'t, 'a> {
    /// The table in `entries`, which begins at `span`.
    pub(super) fn new(faults: &'t Faults<'a>, entries: &'t DeTable<'a>, span: Span, name: impl Into<String>) -> Self {
        Self { faults, entries, span, name: name.into(), asked: Vec::new() }
    }

    /// The value as a table; a fault when it is something else.
    pub(super) fn of(faults: &'t Faults<'a>, item: &'t Item<'a>, span: Span, name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        let Some(entries) = item.get_ref().as_table() else {
            let found = found(item.get_ref());
            faults.at(&item.span(), "wrong_type", format!("{name} is a table of keys, not {found}"));
            return None;
        };
        Some(Self::new(faults, entries, span, name))
    }

    /// The value of a key as it stands in the file.
    pub(super) fn item(&mut self, key: &'static str) -> Option<&'t Item<'a>> {
        self.asked.push(key);
        self.entries.get(key)
    }

    /// Lets keys be there that are read elsewhere.
    pub(super) fn allow(&mut self, keys: &[&'static str]) {
        self.asked.extend(keys);
    }

    /// Whether the key is there, faulty or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The value of a key that may be left out: nothing when it is absent or faulty.
    pub(super) fn optional<T: Read>(&mut self, key: &'static str) -> Option<T> {
        let item = self.item(key)?;
        T::read(item, self.faults)
    }

    /// The value of a key that must be there: nothing, with a fault, when it isn't.
    pub(super) fn required<T: Read>(&mut self, key: &'static str) -> Option<T> {
        let item = self.required_item(key)?;
        T::read(item, self.faults)
    }

    /// The value of a key that must be there, as it stands in the file.
    pub(super) fn required_item(&mut self, key: &'static str) -> Option<&'t Item<'a>> {
        let item = self.item(key);
        if item.is_none() {
            self.faults.at(&self.span, "missing", format!("{} needs '{key}'", self.name));
        }
        item
    }

    /// The table of a key, which may be left out.
    pub(super) fn table(&mut self, key: &'static str, name: impl Into<String>) -> Option<Table<'t, 'a>> {
        let item = self.item(key)?;
        Table::of(self.faults, item, self.key_span(key), name)
    }

    /// Where a key stands, else where the table begins.
    pub(super) fn key_span(&self, key: &str) -> Span {
        self.entries.get_key_value(key).map_or_else(|| self.span.clone(), |(key, _)| key.span())
    }

    /// Where the table begins.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// All entries in the order of the file, for tables whose keys are the pack's.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'t str, Span, &'t Item<'a>)> + use<'t, 'a> {
        entries(self.entries).map(|(key, item)| (key.get_ref().as_ref(), key.span(), item))
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn close(self) {
        for (key, span, _) in self.entries() {
            if !self.asked.contains(&key) {
                let hint = nearest(key, self.asked.iter().copied()).map_or_else(
                    || format!("; it may have {}", self.asked.join(", ")),
                    |near| format!("; did you mean '{near}'?"),
                );
                self.faults.at(&span, "unknown_key", format!("{} has no key '{key}'{hint}", self.name));
            }
        }
    }
}

/// A value that can be read from a file, with a fault where it can't.
pub(super) trait Read: Sized {
    /// The value, or nothing with a fault.
    fn read(item: &Item<'_>, faults: &Faults<'_>) -> Option<Self>;
}

/// Reads by serde what names its own faults well.
pub(super) fn by_serde<'a, T: for<'de> Deserialize<'de>>(item: &Item<'a>, faults: &Faults<'_>) -> Option<T> {
    match T::deserialize(item.clone().into_deserializer()) {
        Ok(value) => Some(value),
        Err(error) => {
            let span = error.span().filter(|span| span.start >= item.span().start).unwrap_or_else(|| item.span());
            faults.at(&span, "wrong_type", readable(error.message()));
            None
        }
    }
}

/// A message of serde in the words of an author: which choices there are, and which was probably meant.
fn readable(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((word, names)) if message.starts_with("unknown variant") => {
            let hint = did_you_mean(word, names.iter().copied());
            format!("'{word}' is not one of {}{hint}", names.join(", "))
        }
        _ => message
            .replace("expected u8", "expected a whole number from 0 to 255")
            .replace("expected u16", "expected a whole number from 0 to 65535")
            .replace("expected u32", "expected a whole number from 0 on")
            .replace("expected u64", "expected a whole number from 0 on")
            .replace("a boolean", "true or false")
            .replace("a string", "a text in quotes"),
    }
}

/// What a value is, in the words of an author.
pub(super) fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{}\"", excerpt(text)),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(yes) => format!("{yes}"),
        DeValue::Datetime(date) => format!("the date {date}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

macro_rules! read_by_serde {
    ($($name:ty),* $(,)?) => {
        $(impl Read for $name {
            fn read(item: &Item<'_>, faults: &Faults<'_>) -> Option<Self> {
                by_serde(item, faults)
            }
        })*
    };
}

read_by_serde!(bool, u8, u16, u32, u64);
read_by_serde!(model::Section, model::FieldType, model::Maintenance, model::Pattern);
read_by_serde!(crate::transactions::model::Function, crate::transactions::model::Window);
read_by_serde!(super::pack::Cadence, super::pack::SubjectKind, super::pack::EntitlementType);

impl Read for String {
    /// A text that isn't empty.
    fn read(item: &Item<'_>, faults: &Faults<'_>) -> Option<Self> {
        match item.get_ref() {
            DeValue::String(text) if text.trim().is_empty() => {
                faults.at(&item.span(), "empty", "the text is empty");
                None
            }
            DeValue::String(text) => Some(text.to_string()),
            other => {
                faults.at(&item.span(), "wrong_type", format!("{} is not a text in quotes", found(other)));
                None
            }
        }
    }
}

impl Read for Decimal {
    /// An exact number, in quotes or without.
    fn read(item: &Item<'_>, faults: &Faults<'_>) -> Option<Self> {
        let text = match item.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            other => {
                faults.at(&item.span(), "wrong_type", format!("{} is not a number such as \"12.5\"", found(other)));
                return None;
            }
        };
        texts::decimal(&text).map_err(|(code, detail)| faults.at(&item.span(), code, detail)).ok()
    }
}

impl Read for Date {
    /// A calendar date, in quotes or without.
    fn read(item: &Item<'_>, faults: &Faults<'_>) -> Option<Self> {
        let text = match item.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(date) => date.to_string(),
            other => found(other),
        };
        texts::date(&text).map_err(|(code, detail)| faults.at(&item.span(), code, detail)).ok()
    }
}

impl<T: Read> Read for Vec<T> {
    /// A list; nothing when any item is faulty.
    fn read(item: &Item<'_>, faults: &Faults<'_>) -> Option<Self> {
        let Some(items) = item.get_ref().as_array() else {
            faults.at(&item.span(), "wrong_type", format!("{} is not a list in [ ]", found(item.get_ref())));
            return None;
        };
        if items.len() > MAX_ITEMS {
            faults.at(
                &item.span(),
                "too_many",
                format!("{} items are more than the {MAX_ITEMS} of a list", items.len()),
            );
            return None;
        }
        let read: Vec<Option<T>> = items.iter().map(|item| T::read(item, faults)).collect();
        read.into_iter().collect()
    }
}

impl<T: Read> Read for Spanned<T> {
    fn read(item: &Item<'_>, faults: &Faults<'_>) -> Option<Self> {
        Some(Spanned::new(item.span(), T::read(item, faults)?))
    }
}

/// Whether a text is a key: a lower-case letter, then lower-case letters, digits and `_`, at most 64.
pub(super) fn is_key(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    plain && text.starts_with(|first: char| first.is_ascii_lowercase()) && text.len() <= 64
}

/// Checks that a key or id is `snake_case`: a lower-case letter, then letters, digits and `_`, at most 64 characters.
pub(super) fn check_key(faults: &Faults<'_>, key: &str, span: &Span) {
    if !is_key(key) {
        let rule = "a lower-case letter, then lower-case letters, digits and '_', at most 64";
        faults.at(span, "key", format!("'{}' is no key: {rule}", excerpt(key)));
    }
}

/// Reports each value that a list has twice.
pub(super) fn check_doubled(faults: &Faults<'_>, list: &[Spanned<String>]) {
    let mut seen = BTreeSet::new();
    for item in list {
        if !seen.insert(item.get_ref()) {
            faults.at(&item.span(), "doubled", format!("'{}' stands twice", item.get_ref()));
        }
    }
}

/// The values of a list without their places.
pub(super) fn plain<T: Clone>(list: Option<Vec<Spanned<T>>>) -> Vec<T> {
    list.unwrap_or_default().into_iter().map(Spanned::into_inner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_however_they_are_written() {
        let faults = Faults::new("a.toml", "a = [1_000.10, \"2.5\", -3, 0.1]");
        let root = faults.parse().unwrap();
        let numbers = Vec::<Decimal>::read(root.get_ref().get("a").unwrap(), &faults).unwrap();
        let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["1000.1", "2.5", "-3", "0.1"]);
    }

    #[test]
    fn columns_are_counted_in_characters() {
        let faults = Faults::new("a.toml", "a = 1\nb = { \"烟\" = 1, c = x }\n");
        assert!(faults.parse().is_none());
        let list = faults.into_list();
        assert_eq!((list[0].line, list[0].column), (Some(2), Some(20)), "{list:?}");
    }
}
