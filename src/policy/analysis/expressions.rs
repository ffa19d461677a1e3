//! The walk through expressions: names, operators, comparisons and defaults.

use std::rc::Rc;

use rhai::{Expr, FnCallExpr, Position, Token};

use super::types::{Place, Texts, Type};
use super::{Frame, Walk};
use crate::faults::did_you_mean;

impl Walk<'_> {
    /// The type of an expression whose value is used; the customer and the context can't be used whole.
    pub(super) fn value(&mut self, frame: &mut Frame, expression: &Expr) -> Type {
        let found = self.expression(frame, expression);
        if !found.is_guarded() {
            return found;
        }
        let name = found.name().unwrap_or_default();
        let message = format!(
            "{name} may only be dotted or passed to a function of the pack, so that what a policy reads is known"
        );
        self.report(&frame.file.clone(), expression.start_position(), "guarded", message);
        Type::Unknown
    }

    /// The type of an expression, which may be the customer or the context.
    pub(super) fn expression(&mut self, frame: &mut Frame, expression: &Expr) -> Type {
        match expression {
            Expr::DynamicConstant(..)
            | Expr::IntegerConstant(..)
            | Expr::BoolConstant(..)
            | Expr::StringConstant(..) => Type::of_literal(&frame.file, expression),
            Expr::CharConstant(character, _) => {
                let message = format!("'{character}' is a single character; texts stand in double quotes");
                self.report(&frame.file.clone(), expression.start_position(), "character", message);
                Type::Unknown
            }
            Expr::InterpolatedString(parts, _) => {
                let mut joined = Texts::of([""]);
                for part in parts.iter() {
                    joined = match self.value(frame, part) {
                        Type::Text(texts) => joined.followed_by(&texts),
                        _ => Texts::default(),
                    };
                }
                Type::Text(joined)
            }
            Expr::Array(items, _) => self.list(frame, items),
            Expr::Map(parts, _) => {
                let entries = parts.0.iter().map(|(key, item)| {
                    let place = Place::at(&frame.file, key.pos);
                    (key.name.to_string(), (place, self.value(frame, item)))
                });
                Type::Map(Rc::new(entries.collect()))
            }
            Expr::Unit(_) => Type::Unit,
            Expr::Variable(variable, _, position) => self.variable(frame, &variable.1, *position),
            Expr::ThisPtr(position) => {
                self.report(&frame.file.clone(), *position, "this", "there is no 'this'; pass what a function needs");
                Type::Unknown
            }
            Expr::Stmt(block) => self.block(frame, block.statements()),
            Expr::FnCall(call, position) => self.function_call(frame, call, *position),
            Expr::Dot(..) | Expr::Index(..) => self.chain(frame, expression, false),
            Expr::And(parts, _) | Expr::Or(parts, _) => {
                for part in parts.iter() {
                    self.value(frame, part);
                }
                Type::Boolean
            }
            Expr::Coalesce(parts, position) => self.coalesce(frame, parts, *position),
            _ => Type::Unknown,
        }
    }

    fn variable(&mut self, frame: &mut Frame, name: &str, position: Position) -> Type {
        if let Some(known) = frame.find(name) {
            return known.clone();
        }
        let constant = self.constants.get(name).cloned();
        if frame.sees_constants {
            if let Some(known) = constant {
                return known;
            }
        } else if constant.is_some() {
            let message =
                format!("'{name}' is a constant, which only decide sees; pass it to the function as a parameter");
            self.report(&frame.file.clone(), position, "constant_in_function", message);
            return Type::Unknown;
        }
        let constants = self.constants.keys().filter(|_| frame.sees_constants);
        let hint =
            did_you_mean(name, frame.variables.iter().map(|(known, _)| known).chain(constants).map(String::as_str));
        self.report(&frame.file.clone(), position, "unknown_name", format!("there is no '{name}' here{hint}"));
        Type::Unknown
    }

    /// `a ?? b`: the one place at which `customer.maybe` may stand.
    fn coalesce(&mut self, frame: &mut Frame, parts: &[Expr], position: Position) -> Type {
        let Some((last, before)) = parts.split_last() else { return Type::Unknown };
        let mut found: Option<Type> = None;
        for part in before {
            let known = match part {
                Expr::Dot(..) => self.chain(frame, part, true),
                _ => self.value(frame, part),
            };
            found = Some(found.map_or(known.clone(), |found| found.or(&known)));
        }
        let default = self.value(frame, last);
        let Some(found) = found else { return default };
        if default != Type::Unit && !comparable(&found, &default) {
            let (found, default) = (found.name().unwrap_or_default(), default.name().unwrap_or_default());
            let message = format!("the default is {default}, but what it stands for is {found}");
            self.report(&frame.file.clone(), position, "default_type", message);
        }
        // What may be absent is else what it would be.
        if default == Type::Unit { found } else { found.or(&default) }
    }

    /// An operator with its operands.
    pub(super) fn operator(
        &mut self,
        frame: &mut Frame,
        operator: &Token,
        call: &FnCallExpr,
        position: Position,
    ) -> Type {
        let types: Vec<Type> = call.args.iter().map(|operand| self.value(frame, operand)).collect();
        match (operator, types.as_slice()) {
            (Token::In | Token::NotIn, [container, item]) => {
                self.contained(frame, container, item, position);
                Type::Boolean
            }
            (Token::EqualsTo | Token::NotEqualsTo, [a, b]) => {
                self.compared(frame, a, b, position);
                if let (Type::Text(a), Type::Text(b)) = (a, b) {
                    self.can_be_equal(frame, a, b, position);
                }
                Type::Boolean
            }
            (Token::LessThan | Token::LessThanEqualsTo | Token::GreaterThan | Token::GreaterThanEqualsTo, [a, b]) => {
                self.compared(frame, a, b, position);
                if let Some(Type::Unit) = [a, b].into_iter().find(|side| **side == Type::Unit) {
                    self.report(&frame.file.clone(), position, "comparison", "what is absent has no order");
                }
                Type::Boolean
            }
            (Token::Bang, _) => Type::Boolean,
            (Token::Plus, [Type::Text(a), Type::Text(b)]) => Type::Text(a.followed_by(b)),
            (Token::Plus, [Type::Text(_), Type::Number] | [Type::Number, Type::Text(_)]) => {
                let message = "a text and a number can't be added; text(x) makes a text of a number";
                self.report(&frame.file.clone(), position, "arithmetic", message);
                Type::text()
            }
            (Token::Plus, [Type::Number, Type::Number] | [Type::Number]) => Type::Number,
            (Token::Minus, [Type::Number]) => Type::Number,
            (Token::Minus | Token::Multiply | Token::Divide | Token::Modulo | Token::PowerOf, [a, b]) => {
                for side in [a, b] {
                    if !matches!(side, Type::Number | Type::Unknown) {
                        let message =
                            format!("this is {}, with which nothing can be reckoned", side.name().unwrap_or_default());
                        self.report(&frame.file.clone(), position, "arithmetic", message);
                    }
                }
                Type::Number
            }
            _ => Type::Unknown,
        }
    }

    /// Two sides of a comparison must be of one type: at run time a mixed comparison is silently false.
    fn compared(&mut self, frame: &Frame, a: &Type, b: &Type, position: Position) {
        if *a == Type::Unit || *b == Type::Unit || comparable(a, b) {
            return;
        }
        let hint = match (a, b) {
            (Type::Decision(_), Type::Text(_)) | (Type::Text(_), Type::Decision(_)) => "; compare its .outcome",
            (Type::List(_), Type::Text(_)) | (Type::Text(_), Type::List(_)) => "; a list is asked with 'in'",
            (Type::Score, Type::Number) | (Type::Number, Type::Score) => "; compare its .value",
            _ => "",
        };
        let message = format!(
            "{} is compared with {}, which is never true{hint}",
            a.name().unwrap_or_default(),
            b.name().unwrap_or_default()
        );
        self.report(&frame.file, position, "comparison", message);
    }

    /// Two texts of which both are known must have one in common.
    fn can_be_equal(&mut self, frame: &Frame, a: &Texts, b: &Texts, position: Position) {
        let (Some(a), Some(b)) = (&a.known, &b.known) else { return };
        if a.is_disjoint(b) {
            let (one, many) = if a.len() == 1 { (a, b) } else { (b, a) };
            let one = one.first().map_or("", String::as_str);
            let all: Vec<&str> = many.iter().map(String::as_str).collect();
            let hint = did_you_mean(one, all.iter().copied());
            let message = format!("'{one}' isn't one of the values, which are {}{hint}", all.join(", "));
            self.report(&frame.file, position, "unknown_choice", message);
        }
    }

    /// `item in container` and `container.contains(item)`.
    pub(super) fn contained(&mut self, frame: &Frame, container: &Type, item: &Type, position: Position) {
        match (container, item) {
            (Type::List(listed), Type::Text(item)) => {
                let (Some(listed), Some(values)) = (&listed.known, &item.known) else { return };
                let (few, many) = if values.len() == 1 { (values, listed) } else { (listed, values) };
                for one in few.difference(many) {
                    let all: Vec<&str> = many.iter().map(String::as_str).collect();
                    let hint = did_you_mean(one, all.iter().copied());
                    let message = format!("'{one}' isn't one of the values, which are {}{hint}", all.join(", "));
                    self.report(&frame.file, position, "unknown_choice", message);
                }
            }
            (Type::List(Texts { known: Some(_), .. }) | Type::Text(_), other)
                if !matches!(other, Type::Text(_) | Type::Unknown) =>
            {
                let message = format!("{} is never in a list of texts", other.name().unwrap_or_default());
                self.report(&frame.file, position, "comparison", message);
            }
            _ => {}
        }
    }
}

/// Whether values of these types can be equal.
fn comparable(a: &Type, b: &Type) -> bool {
    match (a.name(), b.name()) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}
