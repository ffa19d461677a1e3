//! Reading what stands wherever a sample draws something: numbers, choices among several, and patterns, their keys resolved.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use toml::Spanned;
use toml::de::DeValue;

use super::model::{Base, Choose, Draw, Number, Pattern, Piece, Reference};
use crate::faults::excerpt;
use crate::policy::document::{Faults, Item, Read, Span, Table, entries, found};
use crate::policy::pack::Pack;

/// What a number can be made from: exactly one stands in its table.
const BASES: [&str; 7] = ["uniform", "whole", "normal", "lognormal", "of", "mix", "by"];
/// What stands in patterns beside lists and values.
const PLACEHOLDERS: [&str; 3] = ["number", "digits", "letters"];

/// What the value of a key can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Number,
    Boolean,
    Date,
    /// One of these.
    Choice(Vec<String>),
    Text,
    Choices,
}

impl Sort {
    fn is_number(&self) -> bool {
        matches!(self, Self::Number | Self::Boolean | Self::Date)
    }

    fn in_words(&self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Date => "a date",
            Self::Choice(_) => "a choice",
            Self::Text => "a text",
            Self::Choices => "a list of choices",
        }
    }
}

/// The reading of one sample: what may be named so far.
pub(super) struct Reader<'t, 'a> {
    pub faults: &'t Faults<'a>,
    pub pack: &'t Pack,
    /// Names of lists, by place.
    pub lists: Vec<String>,
    /// What keys stand for, where it is read now.
    pub known: BTreeMap<String, (Reference, Sort)>,
}

impl<'t, 'a> Reader<'t, 'a> {
    /// A number: a plain one, a key, or a table, which may have these other keys too.
    pub(super) fn number(&self, item: &'t Item<'a>, also: &[&'static str]) -> Option<Number> {
        match item.get_ref() {
            DeValue::Table(_) => {}
            DeValue::String(text) if text.starts_with(|first: char| first.is_ascii_lowercase()) => {
                let base = Base::Of(self.numeric(&Spanned::new(item.span(), text.to_string()))?);
                return Some(Number { base, ..Number::default() });
            }
            _ => {
                let base = Base::Constant(Decimal::read(item, self.faults)?);
                return Some(Number { base, ..Number::default() });
            }
        }
        let mut table = Table::of(self.faults, item, item.span(), "a number")?;
        table.allow(also);
        let base = self.base(&mut table);
        let list = |table: &mut Table<'t, 'a>, key| table.item(key).map(|item| self.numbers(item)).unwrap_or_default();
        let one =
            |table: &mut Table<'t, 'a>, key| table.item(key).and_then(|item| self.number(item, &[]).map(Box::new));
        let power = one(&mut table, "power");
        let (times, divided_by) = (list(&mut table, "times"), list(&mut table, "divided_by"));
        let plus = list(&mut table, "plus");
        let (min, max) = (one(&mut table, "min"), one(&mut table, "max"));
        let places = self.within(&mut table, "places", 0..=6);
        table.close();
        Some(Number { base: base?, power, times, divided_by, plus, min, max, places })
    }

    /// The number of a key that may be left out.
    pub(super) fn optional(&self, table: &mut Table<'t, 'a>, key: &'static str) -> Option<Number> {
        table.item(key).and_then(|item| self.number(item, &[]))
    }

    /// The number of a key that must be there.
    pub(super) fn required(&self, table: &mut Table<'t, 'a>, key: &'static str) -> Option<Number> {
        table.required_item(key).and_then(|item| self.number(item, &[]))
    }

    /// A whole number of a key that may be left out, within bounds.
    pub(super) fn within(
        &self,
        table: &mut Table<'t, 'a>,
        key: &'static str,
        bounds: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let number = table.optional::<Spanned<u32>>(key)?;
        if !bounds.contains(number.get_ref()) {
            let (from, to) = (bounds.start(), bounds.end());
            self.faults.at(&number.span(), "out_of_range", format!("'{key}' is a whole number from {from} to {to}"));
            return None;
        }
        Some(number.into_inner())
    }

    fn base(&self, table: &mut Table<'t, 'a>) -> Option<Base> {
        let there: Vec<&'static str> = BASES.into_iter().filter(|base| table.has(base)).collect();
        table.allow(&BASES);
        table.allow(&["is", "from", "else"]);
        match there.as_slice() {
            ["uniform"] => Some(Base::Uniform(self.pair(table.item("uniform")?)?)),
            ["whole"] => Some(Base::Whole(self.pair(table.item("whole")?)?)),
            ["normal"] => Some(Base::Normal(self.pair(table.item("normal")?)?)),
            ["lognormal"] => Some(Base::LogNormal(self.pair(table.item("lognormal")?)?)),
            ["of"] => Some(Base::Of(self.numeric(&table.required("of")?)?)),
            [_] => Some(Base::Choose(Box::new(self.choose(table, &|item| self.number(item, &[]))?))),
            [first, second, ..] => {
                let message = format!("a number is made from '{first}' or from '{second}', not from both");
                self.faults.at(&table.key_span(second), "doubled", message);
                None
            }
            [] => {
                let message = format!("a number is made from one of {}", BASES.join(", "));
                self.faults.at(table.span(), "missing", message);
                None
            }
        }
    }

    /// Two numbers.
    fn pair(&self, item: &'t Item<'a>) -> Option<Box<[Number; 2]>> {
        let items = item.get_ref().as_array().filter(|items| items.len() == 2);
        let Some([first, second]) = items.map(|items| items.as_ref()) else {
            self.faults.at(&item.span(), "wrong_type", "here stand two numbers in [ ]");
            return None;
        };
        let (first, second) = (self.number(first, &[]), self.number(second, &[]));
        Some(Box::new([first?, second?]))
    }

    fn numbers(&self, item: &'t Item<'a>) -> Vec<Number> {
        let Some(items) = item.get_ref().as_array() else {
            let message = format!("{} is not a list of numbers in [ ]", found(item.get_ref()));
            self.faults.at(&item.span(), "wrong_type", message);
            return Vec::new();
        };
        items.iter().filter_map(|item| self.number(item, &[])).collect()
    }

    /// Something that may be chosen by `mix` or `by`; else `leaf` reads it. Its table may have these other keys too.
    pub(super) fn draw<T>(
        &self,
        item: &'t Item<'a>,
        also: &[&'static str],
        leaf: &dyn Fn(&'t Item<'a>, &[&'static str]) -> Option<T>,
    ) -> Option<Draw<T>> {
        let chooses = |table: &toml::de::DeTable<'_>| table.contains_key("mix") || table.contains_key("by");
        if !item.get_ref().as_table().is_some_and(chooses) {
            return leaf(item, also).map(Draw::One);
        }
        let mut table = Table::of(self.faults, item, item.span(), "a choice among several")?;
        table.allow(also);
        let choose = self.choose(&mut table, &|item| self.draw(item, &[], leaf));
        table.close();
        choose.map(|choose| Draw::Choose(Box::new(choose)))
    }

    /// One of several, by `mix` or `by`.
    fn choose<T>(&self, table: &mut Table<'t, 'a>, one: &dyn Fn(&'t Item<'a>) -> Option<T>) -> Option<Choose<T>> {
        if let Some(mix) = table.item("mix") {
            return self.cases(mix, "[weight, what]", &|item| self.number(item, &[]), one).map(Choose::Mix);
        }
        let by = table.required::<Spanned<String>>("by");
        let otherwise = table.item("else").map(|item| one(item).map(Box::new));
        let (is, from) = (table.item("is"), table.item("from"));
        let by = by?;
        let choose = match (is, from) {
            (Some(is), None) => {
                let (key, sort) = self.named(&by)?;
                Choose::Is { key, cases: self.values(is, &by, &sort, one)?, otherwise: otherwise.flatten() }
            }
            (None, Some(from)) => {
                let key = self.numeric(&by)?;
                let cases = self.cases(from, "[number, what]", &|item| Decimal::read(item, self.faults), one)?;
                Choose::From { key, cases, otherwise: otherwise.flatten() }
            }
            _ => {
                self.faults.at(&by.span(), "missing", "'by' wants either 'is' or 'from'");
                return None;
            }
        };
        Some(choose)
    }

    /// A list of pairs.
    fn cases<K, T>(
        &self,
        item: &'t Item<'a>,
        form: &str,
        first: &dyn Fn(&'t Item<'a>) -> Option<K>,
        second: &dyn Fn(&'t Item<'a>) -> Option<T>,
    ) -> Option<Vec<(K, T)>> {
        let pair = |item: &'t Item<'a>| {
            let Some([key, value]) = item.get_ref().as_array().map(|items| items.as_ref()) else {
                self.faults.at(&item.span(), "wrong_type", format!("here stands {form}"));
                return None;
            };
            let (key, value) = (first(key), second(value));
            Some((key?, value?))
        };
        let Some(items) = item.get_ref().as_array().filter(|items| !items.is_empty()) else {
            self.faults.at(&item.span(), "wrong_type", format!("here stands a list [{form}, {form}]"));
            return None;
        };
        items.iter().map(pair).collect::<Vec<_>>().into_iter().collect()
    }

    /// What stands for each value of a key.
    fn values<T>(
        &self,
        item: &'t Item<'a>,
        by: &Spanned<String>,
        sort: &Sort,
        one: &dyn Fn(&'t Item<'a>) -> Option<T>,
    ) -> Option<Vec<(String, T)>> {
        let possible: Option<Vec<&str>> = match sort {
            Sort::Choice(choices) => Some(choices.iter().map(String::as_str).collect()),
            Sort::Boolean => Some(vec!["true", "false"]),
            Sort::Text => None,
            other => {
                let message = format!("'{}' is {}: use 'from' instead of 'is'", by.get_ref(), other.in_words());
                self.faults.at(&by.span(), "wrong_type", message);
                return None;
            }
        };
        let table = Table::of(self.faults, item, item.span(), "'is'")?;
        let mut cases = Vec::new();
        for (value, span, item) in table.entries() {
            if let Some(possible) = possible.as_ref().filter(|possible| !possible.contains(&value)) {
                let hint = self.faults.did_you_mean(value, possible.iter().copied());
                let message = format!("'{}' is never '{}'{hint}", by.get_ref(), excerpt(value));
                self.faults.at(&span, "unknown_choice", message);
            }
            cases.push(one(item).map(|case| (value.to_owned(), case)));
        }
        cases.into_iter().collect()
    }

    /// What a key stands for.
    pub(super) fn named(&self, key: &Spanned<String>) -> Option<(Reference, Sort)> {
        let named = self.known.get(key.get_ref()).cloned();
        if named.is_none() {
            let shown = excerpt(key.get_ref());
            let hint = self.faults.did_you_mean(key.get_ref(), self.known.keys().map(String::as_str));
            let message = format!("nothing that stands above or belongs here is called '{shown}'{hint}");
            self.faults.at(&key.span(), "unknown_key", message);
        }
        named
    }

    /// What a key stands for that counts as a number.
    fn numeric(&self, key: &Spanned<String>) -> Option<Reference> {
        let (reference, sort) = self.named(key)?;
        if !sort.is_number() {
            let message = format!("'{}' is {} and can't be counted with", key.get_ref(), sort.in_words());
            self.faults.at(&key.span(), "wrong_type", message);
            return None;
        }
        Some(reference)
    }

    /// Weights or chances by name, of which these are possible.
    pub(super) fn weights(&self, item: &'t Item<'a>, possible: Option<&[String]>) -> Option<Vec<(Number, String)>> {
        let Some(table) = item.get_ref().as_table().filter(|table| !table.is_empty()) else {
            let message = format!("{} is not a table such as {{ a = 2, b = 1 }}", found(item.get_ref()));
            self.faults.at(&item.span(), "wrong_type", message);
            return None;
        };
        let weights = entries(table).map(|(name, item)| {
            self.choice(name.get_ref(), &name.span(), possible);
            Some((self.number(item, &[])?, name.get_ref().to_string()))
        });
        weights.collect::<Vec<_>>().into_iter().collect()
    }

    /// Checks that something is one of the possible choices.
    pub(super) fn choice(&self, name: &str, span: &Span, possible: Option<&[String]>) {
        if let Some(possible) = possible.filter(|possible| !possible.iter().any(|choice| choice == name)) {
            let hint = self.faults.did_you_mean(name, possible.iter().map(String::as_str));
            let message = format!("'{}' is not one of {}{hint}", excerpt(name), possible.join(", "));
            self.faults.at(span, "unknown_choice", message);
        }
    }

    /// One pattern or a list of them.
    pub(super) fn patterns(&self, item: &'t Item<'a>) -> Option<Vec<Pattern>> {
        let texts = match item.get_ref() {
            DeValue::Array(items) if !items.is_empty() => Vec::<Spanned<String>>::read(item, self.faults)?,
            _ => vec![Spanned::<String>::read(item, self.faults)?],
        };
        texts.iter().map(|text| self.pattern(text)).collect::<Vec<_>>().into_iter().collect()
    }

    fn pattern(&self, text: &Spanned<String>) -> Option<Pattern> {
        let mut pieces = Vec::new();
        let mut rest = text.get_ref().as_str();
        while let Some((literal, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else {
                self.faults.at(&text.span(), "pattern", "a '{' has no '}'");
                return None;
            };
            pieces.push(Piece::Literal(literal.to_owned()));
            pieces.push(self.placeholder(name, &text.span())?);
            rest = after;
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        Some(Pattern(pieces))
    }

    fn placeholder(&self, name: &str, span: &Span) -> Option<Piece> {
        let (word, width) = match name.split_once(':') {
            Some((word, width)) => (word, width.parse().ok().filter(|width| (1..=40).contains(width))),
            None => (name, Some(1)),
        };
        let Some(width) = width.filter(|_| !name.contains(':') || PLACEHOLDERS.contains(&word)) else {
            let message = format!("'{{{}}}' is not of the form {{digits:8}}, with 1 to 40", excerpt(name));
            self.faults.at(span, "pattern", message);
            return None;
        };
        match word {
            "number" => return Some(Piece::Number(width)),
            "digits" => return Some(Piece::Digits(width)),
            "letters" => return Some(Piece::Letters(width)),
            _ => {}
        }
        if let Some(place) = self.lists.iter().position(|list| list == word) {
            return Some(Piece::List(place));
        }
        if let Some((reference, _)) = self.known.get(word) {
            return Some(Piece::Value(*reference));
        }
        let names = self.lists.iter().chain(self.known.keys()).map(String::as_str).chain(PLACEHOLDERS);
        let hint = self.faults.did_you_mean(word, names);
        let message = format!("'{{{}}}' is neither a list nor a value that stands above{hint}", excerpt(word));
        self.faults.at(span, "unknown_placeholder", message);
        None
    }

    /// Two dates, the earlier first.
    pub(super) fn dates(&self, item: &'t Item<'a>) -> Option<(Date, Date)> {
        let dates = Vec::<Date>::read(item, self.faults)?;
        match dates.as_slice() {
            [first, last] if first <= last => Some((*first, *last)),
            _ => {
                self.faults.at(&item.span(), "wrong_type", "here stand two dates in [ ], the earlier first");
                None
            }
        }
    }
}
