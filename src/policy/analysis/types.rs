//! What the checks know of a value in a script before it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::customers::model::FieldType;

/// A place in a file: the file's path, line and column from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: Rc<str>,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// The texts that a value can be, where they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Texts {
    pub(super) known: Option<Rc<BTreeSet<String>>>,
    /// Whether it is the outcome of a decision, which a lookup has to cover.
    pub(super) outcome: bool,
    /// How many a list of them has.
    pub(super) count: Option<usize>,
}

impl Texts {
    pub(super) fn of<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self { known: Some(Rc::new(texts.into_iter().map(Into::into).collect())), ..Self::default() }
    }

    fn or(&self, other: &Self) -> Self {
        let known = match (&self.known, &other.known) {
            (Some(a), Some(b)) => Some(Rc::new(a.union(b).cloned().collect())),
            _ => None,
        };
        let count = self.count.filter(|_| self.count == other.count);
        Self { known, outcome: self.outcome && other.outcome, count }
    }
}

/// What is known of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Unknown,
    Unit,
    Number,
    Boolean,
    Date,
    Text(Texts),
    /// A list of texts.
    List(Texts),
    Map(Rc<BTreeMap<String, Type>>),
    /// A decision with one of these outcomes.
    Decision(Option<Rc<BTreeSet<String>>>),
    Score,
    /// Bands with the places of their outcomes.
    Bands(Option<Rc<Vec<(String, Place)>>>),
    Lookup(Option<Rc<BTreeMap<String, Type>>>),
    Table(&'static str),
    /// A cohort with this number of classes, cut at hundredths or not.
    Cohort {
        classes: usize,
        ranks: bool,
    },
    Customer,
    Maybe,
    Context,
    Outcomes,
    Cohorts,
}

impl Type {
    pub(super) fn text() -> Self {
        Self::Text(Texts::default())
    }

    pub(super) fn of_field(field_type: FieldType, choices: &[String]) -> Self {
        match field_type {
            FieldType::Integer | FieldType::Decimal => Self::Number,
            FieldType::Boolean => Self::Boolean,
            FieldType::Date => Self::Date,
            FieldType::Choice => Self::Text(Texts::of(choices.iter().cloned())),
            FieldType::Choices => Self::List(Texts::of(choices.iter().cloned())),
            FieldType::Text | FieldType::Phone | FieldType::Email => Self::text(),
        }
    }

    /// What scripts call it; nothing where it isn't known.
    pub(super) fn name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unknown => return None,
            Self::Unit => "absent",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Date => "a date",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Decision(_) => "a decision",
            Self::Score => "a score",
            Self::Bands(_) => "bands",
            Self::Lookup(_) => "a lookup",
            Self::Table(name) => name,
            Self::Cohort { .. } => "a cohort",
            Self::Customer => "the customer",
            Self::Maybe => "customer.maybe",
            Self::Context => "the context",
            Self::Outcomes => "context.outcomes",
            Self::Cohorts => "context.cohorts",
        })
    }

    /// Whether it may only be dotted, or handed to a function of the pack.
    pub(super) fn is_guarded(&self) -> bool {
        matches!(self, Self::Customer | Self::Maybe | Self::Context | Self::Outcomes | Self::Cohorts)
    }

    /// What is known when the value is one or the other.
    pub(super) fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Self::Text(a.or(b)),
            (Self::List(a), Self::List(b)) => Self::List(a.or(b)),
            (Self::Decision(Some(a)), Self::Decision(Some(b))) => {
                Self::Decision(Some(Rc::new(a.union(b).cloned().collect())))
            }
            (Self::Decision(_), Self::Decision(_)) => Self::Decision(None),
            (a, b) if a == b => a.clone(),
            _ => Self::Unknown,
        }
    }
}
