//! What the checks know of a value in a script before it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rhai::Expr;

use crate::customers::model::FieldType;
use crate::policy::tables::Given;

/// A place in a file: the file's path, line and column from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: Rc<str>,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Most texts that are followed through joining.
const MAX_JOINED: usize = 500;
/// Longest text that is followed through joining, in bytes.
const MAX_JOINED_BYTES: usize = 256;

/// Whether texts are the choices of a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum FromField {
    #[default]
    No,
    /// Choices, or else something that the script gives.
    Partly,
    Wholly,
}

/// A text that is written out in a script, and where.
pub(super) type Written = (String, Place);

/// The texts that a value can be, where they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Texts {
    pub(super) known: Option<Rc<BTreeSet<String>>>,
    /// The texts written out in the script of which a known one is made.
    pub(super) written: Rc<BTreeMap<String, BTreeSet<Written>>>,
    pub(super) from_field: FromField,
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
        let from_field = if self.from_field == other.from_field { self.from_field } else { FromField::Partly };
        let mut written = Rc::clone(&self.written);
        if written.is_empty() {
            written = Rc::clone(&other.written);
        } else if !other.written.is_empty() {
            let all = Rc::make_mut(&mut written);
            for (text, places) in other.written.iter() {
                all.entry(text.clone()).or_default().extend(places.iter().cloned());
            }
        }
        Self { known, written, from_field, outcome: self.outcome && other.outcome, count }
    }

    fn of_field(choices: &[String]) -> Self {
        Self { from_field: FromField::Wholly, ..Self::of(choices.iter().cloned()) }
    }

    /// A text that is written out.
    pub(super) fn literal(text: &str, place: Place) -> Self {
        let written = BTreeMap::from([(text.to_owned(), BTreeSet::from([(text.to_owned(), place)]))]);
        Self { written: Rc::new(written), ..Self::of([text]) }
    }

    /// One of these texts followed by one of the others.
    pub(super) fn followed_by(&self, other: &Self) -> Self {
        let (Some(before), Some(after)) = (&self.known, &other.known) else { return Self::default() };
        let longest = |texts: &BTreeSet<String>| texts.iter().map(String::len).max().unwrap_or_default();
        if before.len() * after.len() > MAX_JOINED || longest(before) + longest(after) > MAX_JOINED_BYTES {
            return Self::default();
        }
        let mut written: BTreeMap<String, BTreeSet<Written>> = BTreeMap::new();
        for (a, b) in before.iter().flat_map(|a| after.iter().map(move |b| (a, b))) {
            let pieces = self.written.get(a).into_iter().chain(other.written.get(b)).flatten().cloned();
            written.entry(format!("{a}{b}")).or_default().extend(pieces);
        }
        let known = written.keys().cloned().collect();
        Self { known: Some(Rc::new(known)), written: Rc::new(written), ..Self::default() }
    }
}

/// The entries of a map by key, each with the place of its key.
pub(super) type Entries = BTreeMap<String, (Place, Type)>;

/// A lookup or a matrix.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Keyed {
    /// Where it is made.
    pub(super) place: Place,
    pub(super) entries: Rc<Entries>,
}

/// A decision table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conditions {
    /// Where it is made.
    pub(super) place: Place,
    pub(super) rows: Vec<Row>,
}

/// A row of a decision table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Its conditions.
    pub(super) cells: Vec<Cell>,
    /// What is known of what it gives.
    pub(super) value: Type,
    /// What it gives, where that is written out.
    pub(super) gives: Option<Given>,
}

/// One condition of a decision table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) place: Place,
    pub(super) content: CellContent,
    /// The condition, where it is written out.
    pub(super) given: Option<Given>,
}

/// What a condition wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CellContent {
    Any,
    /// A number within limits.
    Compared,
    Number,
    Text(String),
    Boolean,
    Other,
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
    Map(Rc<Entries>),
    /// A decision with one of these outcomes.
    Decision(Option<Rc<BTreeSet<String>>>),
    Score,
    /// Bands with the places of their outcomes.
    Bands(Option<Rc<Vec<(String, Place)>>>),
    Lookup(Option<Rc<Keyed>>),
    Matrix(Option<Rc<Keyed>>),
    Table(Option<Rc<Conditions>>),
    Scale,
    /// Weights with their parts.
    Weights(Option<Rc<BTreeSet<String>>>),
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
            FieldType::Choice => Self::Text(Texts::of_field(choices)),
            FieldType::Choices => Self::List(Texts::of_field(choices)),
            FieldType::Text | FieldType::Phone | FieldType::Email => Self::text(),
        }
    }

    /// What is known of a text, a number or a truth value that is written out.
    pub(super) fn of_literal(file: &Rc<str>, expression: &Expr) -> Self {
        match expression {
            Expr::DynamicConstant(value, _) if value.is_decimal() => Self::Number,
            Expr::IntegerConstant(..) => Self::Number,
            Expr::BoolConstant(..) => Self::Boolean,
            Expr::StringConstant(text, position) => Self::Text(Texts::literal(text, Place::at(file, *position))),
            _ => Self::Unknown,
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
            Self::Matrix(_) => "a matrix",
            Self::Table(_) => "a table",
            Self::Scale => "a scale",
            Self::Weights(_) => "weights",
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
