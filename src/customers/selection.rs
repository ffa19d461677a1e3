//! Which customers a list shows, in which order, and where a page begins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::file::{Customer, Status};
use super::model::{Field, FieldType, Value};
use crate::Id;

/// Characters of a text that lists can filter and sort by.
pub const INDEXED_LENGTH: usize = 200;

/// The outcomes of each policy that lists can filter by, best first.
#[derive(Clone, Debug, Default)]
pub struct Outcomes(pub BTreeMap<String, Vec<String>>);

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Conditions, all of which hold.
    pub conditions: Vec<Condition>,
    /// The order.
    pub sort: Sort,
    /// The last item of the page before.
    pub after: Option<Position>,
    /// Most items.
    pub limit: u32,
}

/// A condition on a customer.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// He has this code.
    Code(String),
    /// He has this status.
    Status(Status),
    /// Code or name contains this text, whatever the case.
    Contains(String),
    /// A filterable field compares with a value so; a list of choices if one of them does.
    Field(String, Comparison, Value),
    /// A policy's outcome is this one.
    Outcome(String, String),
}

/// How a value compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It is equal.
    Equal,
    /// It is greater.
    Greater,
    /// It is greater or equal.
    AtLeast,
    /// It is less.
    Less,
    /// It is less or equal.
    AtMost,
}

/// The order of a list. Ties are broken by id, so that an order is always whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// What is compared.
    pub by: SortBy,
    /// Whether the largest comes first. Absent values come last either way.
    pub descending: bool,
}

/// What an order compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SortBy {
    /// The order in which customers were created.
    Creation,
    /// The code, by its characters' numbers.
    Code,
    /// The name, by its characters' numbers.
    Name,
    /// A filterable field.
    Field(String, ValueKind),
}

/// As what a filterable field's value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Text: also choices, and `true` and `false`.
    Text,
    /// A number.
    Number,
    /// A date.
    Date,
}

impl ValueKind {
    /// As what a field's values are kept.
    pub fn of(field: &Field) -> Self {
        match field.field_type {
            FieldType::Integer | FieldType::Decimal => Self::Number,
            FieldType::Date => Self::Date,
            _ => Self::Text,
        }
    }
}

/// Where a page ends: the value that the order compares, as text, and the id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The order that it belongs to, as the parameter `sort` wrote it.
    pub sort: String,
    /// The value; nothing where it is absent or the order has none.
    pub value: Option<String>,
    /// The customer.
    pub id: Id,
}

/// A customer in a list, with the value that the order compares.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The customer.
    pub customer: Customer,
    /// The value as text.
    pub sort_value: Option<String>,
}

/// The part of a text that is indexed.
pub fn indexed(text: &str) -> String {
    text.chars().take(INDEXED_LENGTH).collect()
}
