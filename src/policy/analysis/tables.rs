//! What lookups, matrices, tables and weights hold, and whether what they are asked fits.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rhai::{Expr, Position};
use rust_decimal::Decimal;

use super::natives::NativeCall;
use super::types::{Cell, CellContent, Conditions, Entries, FromField, Keyed, Place, Row, Texts, Type};
use super::{Frame, Walk};
use crate::faults::did_you_mean;
use crate::policy::tables::Given;

/// What one column of a table was asked for, over all the calls that ask it.
pub(super) struct Asked {
    /// The texts that the table knows, with their places.
    literals: Vec<(String, Place)>,
    /// The texts that can come; nothing when they aren't known.
    possible: Option<BTreeSet<String>>,
}

impl Walk<'_> {
    /// The rows of a lookup or a matrix, where they are written out.
    pub(super) fn keyed(&self, frame: &Frame, call: &NativeCall<'_>) -> Option<Rc<Keyed>> {
        match call.known(0) {
            Type::Map(entries) => {
                Some(Rc::new(Keyed { place: Place::at(&frame.file, call.position), entries: Rc::clone(entries) }))
            }
            _ => None,
        }
    }

    /// The rows of a table, where they are written out.
    pub(super) fn conditions(&self, frame: &Frame, call: &NativeCall<'_>) -> Option<Rc<Conditions>> {
        let Some(Expr::Array(rows, _)) = call.expression(0) else { return None };
        let read = |row: &Expr| {
            let Expr::Array(cells, _) = row else { return None };
            let (value, cells) = cells.split_last()?;
            let cells = cells.iter().map(|cell| Cell {
                place: Place::at(&frame.file, cell.start_position()),
                content: CellContent::of(cell),
                given: written(cell),
            });
            Some(Row { cells: cells.collect(), value: Type::of_literal(&frame.file, value), gives: written(value) })
        };
        let rows: Option<Vec<_>> = rows.iter().map(read).collect();
        Some(Rc::new(Conditions { place: Place::at(&frame.file, call.position), rows: rows? }))
    }

    /// What a lookup gives for a key.
    pub(super) fn of_lookup(&mut self, frame: &Frame, call: &NativeCall<'_>, lookup: &Keyed) -> Type {
        self.covers(frame, call, "lookup has no row", &lookup.entries, call.known(1));
        self.asks(&lookup.place, 0, call.known(1), || places(&lookup.entries));
        joined(lookup.entries.values().map(|(_, value)| value))
    }

    /// What a matrix gives for a row and a column.
    pub(super) fn of_matrix(&mut self, frame: &Frame, call: &NativeCall<'_>, matrix: &Keyed) -> Type {
        self.covers(frame, call, "matrix has no row", &matrix.entries, call.known(1));
        self.asks(&matrix.place, 0, call.known(1), || places(&matrix.entries));
        let rows: Vec<&Rc<Entries>> = matrix
            .entries
            .values()
            .filter_map(|(_, row)| if let Type::Map(cells) = row { Some(cells) } else { None })
            .collect();
        if rows.len() < matrix.entries.len() {
            return Type::Unknown;
        }
        if let Some(first) = rows.first() {
            self.covers(frame, call, "matrix has no column", first, call.known(2));
        }
        self.asks(&matrix.place, 1, call.known(2), || rows.iter().flat_map(|row| places(row)).collect());
        joined(rows.iter().flat_map(|row| row.values()).map(|(_, value)| value))
    }

    /// What a table gives for the values in a list.
    pub(super) fn of_conditions(&mut self, frame: &Frame, call: &NativeCall<'_>, table: &Rc<Conditions>) -> Type {
        self.asks_table(call, table);
        for (column, given) in call.items.iter().enumerate() {
            let cells = || table.rows.iter().filter_map(move |row| row.cells.get(column));
            for cell in cells() {
                self.can_hold(cell, given);
            }
            let texts = |cell: &Cell| match &cell.content {
                CellContent::Text(text) => Some((text.clone(), cell.place.clone())),
                _ => None,
            };
            self.asks(&table.place, column, given, || cells().filter_map(texts).collect());
        }
        if let Some(first) = table.rows.first()
            && !call.items.is_empty()
            && first.cells.len() != call.items.len()
        {
            let message =
                format!("the table has {} and is given {}", conditions(first.cells.len()), values(call.items.len()));
            self.report(&frame.file, call.position, "wrong_number", message);
        }
        joined(table.rows.iter().map(|row| &row.value))
    }

    /// A condition must be one that values of this type can fulfil.
    fn can_hold(&mut self, cell: &Cell, given: &Type) {
        let wrong = match (&cell.content, given) {
            (CellContent::Any, _) | (_, Type::Unknown | Type::Unit) => return,
            (CellContent::Compared | CellContent::Number, Type::Number) => return,
            (CellContent::Text(_), Type::Text(_)) | (CellContent::Boolean, Type::Boolean) => return,
            (CellContent::Other, _) => return,
            (CellContent::Compared, _) => "compares with a number",
            (CellContent::Number, _) => "is a number",
            (CellContent::Text(_), _) => "is a text",
            (CellContent::Boolean, _) => "is true or false",
        };
        let message =
            format!("this condition {wrong}, but the column is given {}", given.name().unwrap_or("something else"));
        self.report(&cell.place.file.clone(), cell.place.position(), "wrong_type", message);
    }

    /// A table that is asked by an outcome or a choice has an entry for each.
    fn covers(&mut self, frame: &Frame, call: &NativeCall<'_>, lacks: &str, entries: &Entries, given: &Type) {
        let Type::Text(Texts { known: Some(asked), outcome, from_field, .. }) = given else { return };
        let (one, many) = match (outcome, from_field) {
            (true, _) => ("outcome", "outcomes"),
            (false, FromField::Wholly) => ("choice", "choices"),
            _ => return,
        };
        let missing: Vec<&str> = asked.iter().filter(|key| !entries.contains_key(*key)).map(String::as_str).collect();
        if !missing.is_empty() {
            let what = if missing.len() == 1 { one } else { many };
            let message = format!("the {lacks} for the {what} {}", missing.join(", "));
            self.report(&frame.file, call.position, "lookup_misses_outcome", message);
        }
    }

    /// Notes what a column is asked for. Whether its texts can come is judged when all calls are known.
    fn asks(&mut self, table: &Place, column: usize, given: &Type, literals: impl FnOnce() -> Vec<(String, Place)>) {
        let possible = match given {
            Type::Text(Texts { known: Some(known), from_field, .. }) if *from_field != FromField::No => {
                Some(known.as_ref().clone())
            }
            _ => None,
        };
        match self.asked.get_mut(&(table.clone(), column)) {
            Some(asked) => match (&mut asked.possible, possible) {
                (Some(all), Some(more)) => all.extend(more),
                (all, _) => *all = None,
            },
            None => drop(self.asked.insert((table.clone(), column), Asked { literals: literals(), possible })),
        }
    }

    /// Texts of tables that are no choice of any field by which they are asked.
    pub(super) fn never_asked(&mut self) {
        for Asked { literals, possible } in std::mem::take(&mut self.asked).into_values() {
            let Some(possible) = possible else { continue };
            for (text, place) in literals.into_iter().filter(|(text, _)| !possible.contains(text)) {
                let all: Vec<&str> = possible.iter().map(String::as_str).collect();
                let hint = did_you_mean(&text, all.iter().copied());
                let message = format!("'{text}' isn't one of the values, which are {}{hint}", all.join(", "));
                self.report(&place.file, place.position(), "unknown_choice", message);
            }
        }
    }

    /// The parts of weights, which are declared as indicators.
    pub(super) fn weights(&mut self, frame: &Frame, call: &NativeCall<'_>) -> Type {
        self.facts.weights = true;
        let Type::Map(parts) = call.known(0) else { return Type::Weights(None) };
        let declared = &self.script.declaration.indicators;
        for (key, (place, _)) in parts.iter() {
            if !declared.contains(key) {
                let hint = did_you_mean(key, declared.iter().map(String::as_str));
                let message = format!("the policy declares no indicator '{key}'{hint}");
                self.report(&frame.file, place.position(), "unknown_indicator", message);
            }
        }
        Type::Weights(Some(Rc::new(parts.keys().cloned().collect())))
    }

    /// A score has exactly the parts of its weights.
    pub(super) fn score(&mut self, frame: &Frame, call: &NativeCall<'_>) -> Type {
        let (Type::Weights(Some(wanted)), Type::Map(parts)) = (call.known(0), call.known(1)) else {
            return Type::Score;
        };
        for (key, (place, _)) in parts.iter().filter(|(key, _)| !wanted.contains(*key)) {
            let hint = did_you_mean(key, wanted.iter().map(String::as_str));
            let message = format!("the weights have no part '{key}'{hint}");
            self.report(&place.file, place.position(), "unknown_part", message);
        }
        for key in wanted.iter().filter(|key| !parts.contains_key(*key)) {
            let message = format!("the score lacks its part '{key}'; give absent() where there is no value");
            self.report(&frame.file, call.position, "missing_part", message);
        }
        Type::Score
    }
}

impl CellContent {
    fn of(cell: &Expr) -> Self {
        match cell {
            Expr::StringConstant(text, _) if text.trim() == "*" => Self::Any,
            Expr::StringConstant(text, _) if text.trim().starts_with(['<', '>']) || text.contains("..") => {
                Self::Compared
            }
            Expr::StringConstant(text, _) => Self::Text(text.to_string()),
            Expr::BoolConstant(..) => Self::Boolean,
            Expr::IntegerConstant(..) => Self::Number,
            Expr::DynamicConstant(value, _) if value.is_decimal() => Self::Number,
            _ => Self::Other,
        }
    }
}

/// A text, number or truth value that is written out.
fn written(expression: &Expr) -> Option<Given> {
    match expression {
        Expr::StringConstant(text, _) => Some(Given::Text(text.to_string())),
        Expr::BoolConstant(yes, _) => Some(Given::Boolean(*yes)),
        Expr::IntegerConstant(number, _) => Some(Given::Number(Decimal::from(*number))),
        Expr::DynamicConstant(value, _) => value.as_decimal().ok().map(Given::Number),
        _ => None,
    }
}

/// The keys of entries with their places.
fn places(entries: &Entries) -> Vec<(String, Place)> {
    entries.iter().map(|(key, (place, _))| (key.clone(), place.clone())).collect()
}

/// What is known of a value that is one of these.
fn joined<'t>(mut values: impl Iterator<Item = &'t Type>) -> Type {
    let first = values.next().cloned().unwrap_or(Type::Unknown);
    values.fold(first, |all, value| all.or(value))
}

fn conditions(count: usize) -> String {
    format!("{count} {}", if count == 1 { "condition" } else { "conditions" })
}

/// A number of values in words.
pub(super) fn values(count: usize) -> String {
    format!("{count} {}", if count == 1 { "value" } else { "values" })
}

impl Place {
    /// The place at a position of a file.
    pub(super) fn at(file: &Rc<str>, position: Position) -> Self {
        let (line, column) = (position.line().unwrap_or(1), position.position().unwrap_or(1));
        Self { file: Rc::clone(file), line, column }
    }

    /// Where it stands in its file.
    pub(super) fn position(&self) -> Position {
        let short = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        Position::new(short(self.line), short(self.column))
    }
}

/// What is asked of tables, by the table's place and the column.
pub(super) type AllAsked = BTreeMap<(Place, usize), Asked>;
