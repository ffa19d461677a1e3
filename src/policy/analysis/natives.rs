//! What calls of the host's functions say about a policy: its outcomes, reasons and entitlements, and what its tables hold.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rhai::{Expr, Position};
use rust_decimal::Decimal;

use super::types::{Place, Texts, Type, Written};
use super::{Frame, Walk};
use crate::faults::{did_you_mean, nearest};
use crate::policy::pack::EntitlementType;

/// A call of a function of the host; a method's value stands first and has no expression.
pub(super) struct NativeCall<'a> {
    pub(super) name: &'a str,
    pub(super) types: &'a [Type],
    pub(super) expressions: &'a [Option<&'a Expr>],
    /// What is known of each item, where the first value is a list that is written out.
    pub(super) items: &'a [Type],
    pub(super) position: Position,
    /// Whether only the outcome of what it gives is used.
    pub(super) outcome_only: bool,
}

impl<'a> NativeCall<'a> {
    pub(super) fn expression(&self, index: usize) -> Option<&'a Expr> {
        self.expressions.get(index).copied().flatten()
    }

    pub(super) fn known(&self, index: usize) -> &Type {
        self.types.get(index).unwrap_or(&Type::Unknown)
    }
}

impl Walk<'_> {
    /// The type that a function of the host gives, and everything that the call tells.
    pub(super) fn native(&mut self, frame: &Frame, call: &NativeCall<'_>) -> Type {
        self.parameters(frame, call);
        match call.name {
            "bands" => self.bands(frame, call),
            "lookup" => Type::Lookup(self.keyed(frame, call)),
            "matrix" => Type::Matrix(self.keyed(frame, call)),
            "table" => Type::Table(self.conditions(frame, call)),
            "scale" => Type::Scale,
            "weights" => self.weights(frame, call),
            "of" => self.of(frame, call),
            "score" => self.score(frame, call),
            "decision" => self.decision(call),
            "because" => self.because(frame, call),
            "entitle" => self.entitle(frame, call),
            "scored" => self.chained_decision(call),
            "class_of" => self.class_of(frame, call),
            "rank_of" => {
                if let Type::Cohort { ranks: false, .. } = call.known(0) {
                    let message = "rank_of asks a cohort whose cuts are { ranks = true }; this one is asked with band_of or class_of";
                    self.report(&frame.file, call.position, "not_ranks", message);
                }
                Type::Number
            }
            "contains" => {
                self.contained(frame, call.known(0), call.known(1), call.position);
                Type::Boolean
            }
            "starts_with" | "ends_with" | "is_absent" => Type::Boolean,
            "absent" => Type::Unit,
            "text" => Type::text(),
            "round" | "floor" | "ceiling" | "abs" | "min" | "max" | "clamp" | "days_between" | "months_between"
            | "years_between" | "len" | "band_of" => Type::Number,
            _ => Type::Unknown,
        }
    }

    /// The outcomes of bands with their places.
    fn bands(&mut self, frame: &Frame, call: &NativeCall<'_>) -> Type {
        let (Some(Expr::Array(rows, _)), Some(last)) = (call.expression(0), call.expression(1)) else {
            return Type::Bands(None);
        };
        let outcomes = rows.iter().map(|row| match row {
            Expr::Array(cells, _) => cells.last(),
            _ => None,
        });
        let literals = outcomes.chain(std::iter::once(Some(last))).map(|outcome| match outcome {
            Some(Expr::StringConstant(text, position)) => Some((text.to_string(), Place::at(&frame.file, *position))),
            _ => None,
        });
        let literals = literals.collect::<Option<Vec<_>>>();
        let numbers = rows.iter().map(|row| match row {
            Expr::Array(cells, _) => cells.first().and_then(written_number),
            _ => None,
        });
        if let Some(outcomes) = &literals {
            self.is_monotone(outcomes, &numbers.collect::<Vec<_>>());
        }
        Type::Bands(literals.map(Rc::new))
    }

    /// Bands of the policy's own outcomes go from the best to the worst or the other way round.
    fn is_monotone(&mut self, outcomes: &[(String, Place)], numbers: &[Option<Decimal>]) {
        let declared = &self.script.declaration.outcomes;
        let places = outcomes.iter().map(|(outcome, _)| declared.iter().position(|one| one == outcome));
        let Some(places) = places.collect::<Option<Vec<_>>>() else { return };
        let falls = places.first() < places.last();
        let steps = places.iter().zip(places.iter().skip(1)).zip(outcomes.iter().zip(outcomes.iter().skip(1)));
        for (((above, below), ((higher, _), (lower, place))), number) in steps.zip(numbers) {
            if above != below && (above < below) != falls {
                let from = number.map(|number| format!(" from {} on", number.normalize())).unwrap_or_default();
                let (better, worse) = if above < below { (higher, lower) } else { (lower, higher) };
                let message = format!(
                    "these bands rise and fall again: '{higher}'{from}, '{lower}' below it, though '{better}' is better than '{worse}' \
                     and the other bands go the other way"
                );
                self.warn(place, "not_monotone", message);
            }
        }
    }

    fn class_of(&mut self, frame: &Frame, call: &NativeCall<'_>) -> Type {
        let Type::List(names) = call.known(2) else { return Type::text() };
        if let (Type::Cohort { classes, .. }, Some(count)) = (call.known(0), names.count)
            && *classes != count
        {
            let message = format!("the cohort has {classes} classes, but {count} names are given");
            self.report(&frame.file, call.position, "wrong_number_of_classes", message);
        }
        Type::Text(Texts { count: None, ..names.clone() })
    }

    fn of(&mut self, frame: &Frame, call: &NativeCall<'_>) -> Type {
        match call.known(0) {
            Type::Bands(outcomes) => {
                self.wants(frame, call, 1, &["a number", "a score"]);
                let Some(outcomes) = outcomes else {
                    self.facts.bands |= !call.outcome_only;
                    return Type::Decision(None);
                };
                if !call.outcome_only {
                    self.facts.bands = true;
                    for (outcome, place) in outcomes.iter() {
                        self.declared_outcome(place, outcome);
                    }
                }
                Type::Decision(Some(Rc::new(outcomes.iter().map(|(outcome, _)| outcome.clone()).collect())))
            }
            Type::Lookup(Some(lookup)) => self.of_lookup(frame, call, lookup),
            Type::Matrix(Some(matrix)) => self.of_matrix(frame, call, matrix),
            Type::Table(Some(table)) => self.of_conditions(frame, call, table),
            Type::Scale => {
                self.wants(frame, call, 1, &["a number", "absent"]);
                if *call.known(1) == Type::Number { Type::Number } else { Type::Unknown }
            }
            _ => Type::Unknown,
        }
    }

    /// The value at `index` must be of one of these types, where it is known.
    fn wants(&mut self, frame: &Frame, call: &NativeCall<'_>, index: usize, wanted: &[&'static str]) {
        let Some(given) = call.known(index).name().filter(|given| !wanted.contains(given)) else { return };
        let message = format!("'{}' takes {}, not {given}", call.name, wanted.join(" or "));
        let position = call.expression(index).map_or(call.position, Expr::start_position);
        self.report(&frame.file, position, "wrong_type", message);
    }

    /// Values of the wrong type, for functions that take one type only.
    fn parameters(&mut self, frame: &Frame, call: &NativeCall<'_>) {
        let (from, wanted) = match call.name {
            "round" | "floor" | "ceiling" | "abs" | "min" | "max" | "clamp" => (0, "a number"),
            "band_of" | "rank_of" => (1, "a number"),
            "days_between" | "months_between" | "years_between" => (0, "a date"),
            "decision" | "starts_with" | "ends_with" => (0, "a text"),
            "class_of" => {
                self.wants(frame, call, 1, &["a number"]);
                return self.wants(frame, call, 2, &["a list"]);
            }
            "because" | "entitle" | "scored" => return self.wants(frame, call, 0, &["a decision"]),
            _ => return,
        };
        for index in from..call.types.len() {
            self.wants(frame, call, index, &[wanted]);
        }
    }

    fn decision(&mut self, call: &NativeCall<'_>) -> Type {
        match call.known(0) {
            Type::Text(texts) => {
                self.declared_outcomes(texts);
                Type::Decision(texts.known.clone())
            }
            _ => Type::Decision(None),
        }
    }

    /// Each text that is written out leads to at least one outcome that the policy declares.
    fn declared_outcomes(&mut self, texts: &Texts) {
        let declared = &self.script.declaration.outcomes;
        let mut leads: BTreeMap<&Written, (bool, &str)> = BTreeMap::new();
        for (outcome, pieces) in texts.written.iter() {
            for piece in pieces {
                leads.entry(piece).or_insert((false, outcome)).0 |= declared.contains(outcome);
            }
        }
        for ((piece, place), _) in leads.iter().filter(|(_, (good, _))| !good) {
            let whole = texts.written.contains_key(piece);
            if whole {
                self.declared_outcome(place, piece);
            } else if piece.contains(char::is_alphanumeric) {
                let parts: Vec<&str> = self.script.declaration.cells.iter().flatten().map(String::as_str).collect();
                let hint = did_you_mean(piece, parts.iter().copied());
                let message = format!("the policy declares no outcome with '{piece}'{hint}");
                self.report(&place.file, place.position(), "unknown_outcome", message);
            }
        }
    }

    /// An outcome of a decision must be one that the policy declares.
    fn declared_outcome(&mut self, place: &Place, outcome: &str) {
        let declared = &self.script.declaration.outcomes;
        if declared.iter().any(|declared| declared == outcome) {
            return;
        }
        let hint = match nearest(outcome, declared.iter().map(String::as_str)) {
            Some(near) => format!("; did you mean '{near}'?"),
            None => format!(
                "; declared are {}. Bands that only lead to another decision are asked for .of(…).outcome at once",
                shortened(declared)
            ),
        };
        let message = format!("the policy declares no outcome '{outcome}'{hint}");
        self.report(&place.file, place.position(), "unknown_outcome", message);
    }

    fn because(&mut self, frame: &Frame, call: &NativeCall<'_>) -> Type {
        match (call.expression(1), call.expression(2)) {
            (Some(Expr::StringConstant(code, _)), Some(Expr::Map(values, _))) => {
                let given: BTreeSet<String> = values.0.iter().map(|(key, _)| key.name.to_string()).collect();
                let known = self.facts.reasons.entry(code.to_string()).or_insert_with(|| given.clone());
                known.retain(|value| given.contains(value));
            }
            _ => {
                let message = "a reason's code and the names of its values are written out, .because(\"code\", #{ name: value }), \
                               so that its text can be checked";
                self.report(&frame.file, call.position, "reason_not_literal", message);
            }
        }
        self.chained_decision(call)
    }

    fn entitle(&mut self, frame: &Frame, call: &NativeCall<'_>) -> Type {
        match call.expression(1) {
            Some(Expr::StringConstant(key, position)) => {
                let declared = &self.script.declaration.entitlements;
                if let Some(declared) = declared.get(key.as_str()) {
                    self.facts.entitlements.insert(key.to_string());
                    self.entitlement_value(frame, call, key, declared.entitlement_type);
                } else {
                    let hint = did_you_mean(key, declared.keys().map(String::as_str));
                    let message = format!("the policy declares no entitlement '{key}'{hint}");
                    self.report(&frame.file, *position, "unknown_entitlement", message);
                }
            }
            _ => {
                let message =
                    "the key of an entitlement is written out, .entitle(\"key\", value), so that it can be checked";
                self.report(&frame.file, call.position, "entitlement_not_literal", message);
            }
        }
        self.chained_decision(call)
    }

    /// The value of an entitlement must be of the declared type, where it is known.
    fn entitlement_value(&mut self, frame: &Frame, call: &NativeCall<'_>, key: &str, declared: EntitlementType) {
        let given = call.known(2);
        let fits = match declared {
            EntitlementType::Decimal => *given == Type::Number,
            EntitlementType::Integer => *given == Type::Number && !is_fraction(call.expression(2)),
            EntitlementType::Text => matches!(given, Type::Text(_)),
            EntitlementType::Boolean => *given == Type::Boolean,
            EntitlementType::Texts => matches!(given, Type::List(_)),
        };
        if fits || *given == Type::Unknown {
            return;
        }
        let given = match (declared, given) {
            (EntitlementType::Integer, Type::Number) => "a fraction",
            _ => given.name().unwrap_or("something else"),
        };
        let message = format!("the entitlement '{key}' is {}, not {given}", declared.wanted());
        let position = call.expression(2).map_or(call.position, Expr::start_position);
        self.report(&frame.file, position, "wrong_type", message);
    }

    fn chained_decision(&self, call: &NativeCall<'_>) -> Type {
        match call.known(0) {
            Type::Decision(outcomes) => Type::Decision(outcomes.clone()),
            _ => Type::Decision(None),
        }
    }
}

/// Whether a number is written out that isn't whole.
fn is_fraction(expression: Option<&Expr>) -> bool {
    let Some(Expr::DynamicConstant(value, _)) = expression else { return false };
    value.as_decimal().is_ok_and(|number| !number.is_integer())
}

/// A number that is written out.
fn written_number(expression: &Expr) -> Option<Decimal> {
    if let Expr::DynamicConstant(value, _) = expression { value.as_decimal().ok() } else { None }
}

fn shortened(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(8).map(String::as_str).collect();
    let more = if names.len() > shown.len() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
