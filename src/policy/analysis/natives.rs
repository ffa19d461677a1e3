//! What calls of the host's functions say about a policy: its outcomes, reasons and entitlements, and what its tables hold.

use std::collections::BTreeSet;
use std::rc::Rc;

use rhai::{Expr, Position};

use super::types::{Place, Texts, Type};
use super::{Frame, Walk};
use crate::faults::did_you_mean;

/// A call of a function of the host; a method's value stands first and has no expression.
pub(super) struct NativeCall<'a> {
    pub(super) name: &'a str,
    pub(super) types: &'a [Type],
    pub(super) expressions: &'a [Option<&'a Expr>],
    pub(super) position: Position,
    /// Whether only the outcome of what it gives is used.
    pub(super) outcome_only: bool,
}

impl<'a> NativeCall<'a> {
    fn expression(&self, index: usize) -> Option<&'a Expr> {
        self.expressions.get(index).copied().flatten()
    }

    fn known(&self, index: usize) -> &Type {
        self.types.get(index).unwrap_or(&Type::Unknown)
    }
}

impl Walk<'_> {
    /// The type that a function of the host gives, and everything that the call tells.
    pub(super) fn native(&mut self, frame: &Frame, call: &NativeCall<'_>) -> Type {
        self.parameters(frame, call);
        match call.name {
            "bands" => self.bands(frame, call),
            "lookup" => match call.known(0) {
                Type::Map(entries) => Type::Lookup(Some(Rc::clone(entries))),
                _ => Type::Lookup(None),
            },
            "matrix" => Type::Table("a matrix"),
            "table" => Type::Table("a table"),
            "scale" => Type::Table("a scale"),
            "weights" => self.weights(frame, call),
            "of" => self.of(frame, call),
            "score" => Type::Score,
            "decision" => self.decision(frame, call),
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
            Some(Expr::StringConstant(text, position)) => {
                let (line, column) = (position.line().unwrap_or(1), position.position().unwrap_or(1));
                Some((text.to_string(), Place { file: Rc::clone(&frame.file), line, column }))
            }
            _ => None,
        });
        Type::Bands(literals.collect::<Option<Vec<_>>>().map(Rc::new))
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

    fn weights(&mut self, frame: &Frame, call: &NativeCall<'_>) -> Type {
        self.facts.weights = true;
        if let Some(Expr::Map(parts, _)) = call.expression(0) {
            let declared = &self.script.declaration.indicators;
            for (key, _) in &parts.0 {
                if !declared.iter().any(|declared| *declared == key.name.as_str()) {
                    let hint = did_you_mean(&key.name, declared.iter().map(String::as_str));
                    let message = format!("the policy declares no indicator '{}'{hint}", key.name);
                    self.report(&frame.file, key.pos, "unknown_indicator", message);
                }
            }
        }
        Type::Table("weights")
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
                        let position = Position::new(to_u16(place.line), to_u16(place.column));
                        self.declared_outcome(&place.file, outcome, position);
                    }
                }
                Type::Decision(Some(Rc::new(outcomes.iter().map(|(outcome, _)| outcome.clone()).collect())))
            }
            Type::Lookup(Some(entries)) => {
                if let Type::Text(Texts { known: Some(asked), outcome: true, .. }) = call.known(1) {
                    let missing: Vec<&str> =
                        asked.iter().filter(|key| !entries.contains_key(*key)).map(String::as_str).collect();
                    if !missing.is_empty() {
                        let message = format!("the lookup misses the outcomes {}", missing.join(", "));
                        self.report(&frame.file, call.position, "lookup_misses_outcome", message);
                    }
                }
                let mut values = entries.values();
                let first = values.next().cloned().unwrap_or(Type::Unknown);
                values.fold(first, |all, value| all.or(value))
            }
            Type::Table("a scale") => {
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

    fn decision(&mut self, frame: &Frame, call: &NativeCall<'_>) -> Type {
        if let Some(Expr::StringConstant(outcome, position)) = call.expression(0) {
            self.declared_outcome(&frame.file, outcome, *position);
        }
        match call.known(0) {
            Type::Text(texts) => Type::Decision(texts.known.clone()),
            _ => Type::Decision(None),
        }
    }

    /// An outcome of a decision must be one that the policy declares.
    fn declared_outcome(&mut self, file: &Rc<str>, outcome: &str, position: Position) {
        let declared = &self.script.declaration.outcomes;
        if declared.iter().any(|declared| declared == outcome) {
            return;
        }
        let hint = did_you_mean(outcome, declared.iter().map(String::as_str));
        let message = format!(
            "the policy declares no outcome '{outcome}'{hint}; bands that only lead to another decision are asked for \
             .of(…).outcome at once"
        );
        let message = if message.contains("did you mean") || declared.len() <= 1 {
            message
        } else {
            format!("{message}; declared are {}", shortened(declared))
        };
        self.report(file, position, "unknown_outcome", message);
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
                if declared.contains_key(key.as_str()) {
                    self.facts.entitlements.insert(key.to_string());
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

    fn chained_decision(&self, call: &NativeCall<'_>) -> Type {
        match call.known(0) {
            Type::Decision(outcomes) => Type::Decision(outcomes.clone()),
            _ => Type::Decision(None),
        }
    }
}

fn to_u16(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn shortened(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(8).map(String::as_str).collect();
    let more = if names.len() > shown.len() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
