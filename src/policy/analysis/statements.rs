//! The walk through statements and blocks.

use std::collections::BTreeSet;

use rhai::{ASTNode, Expr, FlowControl, Position, Stmt, SwitchCasesCollection};

use super::types::{Texts, Type};
use super::{Frame, Walk};

/// Names that are assigned anywhere in `statements`.
pub(super) fn gather_assigned(statements: &[Stmt], names: &mut BTreeSet<String>) {
    for statement in statements {
        statement.walk(&mut Vec::new(), &mut |path: &[ASTNode<'_>]| {
            if let Some(ASTNode::Stmt(Stmt::Assignment(assignment))) = path.last()
                && let Expr::Variable(variable, ..) = &assignment.1.lhs
            {
                names.insert(variable.1.to_string());
            }
            true
        });
    }
}

impl Walk<'_> {
    /// The type of the last statement; variables of the block end with it.
    pub(super) fn block(&mut self, frame: &mut Frame, statements: &[Stmt]) -> Type {
        let outer = frame.variables.len();
        let mut last = Type::Unit;
        for (place, statement) in statements.iter().enumerate() {
            last = self.statement(frame, statement);
            if place + 1 < statements.len() && matches!(last, Type::Decision(_)) {
                self.unused(frame, statement);
            }
        }
        frame.variables.truncate(outer);
        last
    }

    /// A decision that a statement gives and nobody takes: only the first call on a variable changes what the variable has.
    fn unused(&mut self, frame: &Frame, statement: &Stmt) {
        let Stmt::Expr(expression) = statement else { return };
        let Expr::Dot(parts, ..) = &**expression else { return };
        let is_variable = matches!(parts.lhs, Expr::Variable(..));
        let is_chain = matches!(&parts.rhs, Expr::Dot(rest, ..) if matches!(rest.lhs, Expr::MethodCall(..)));
        if !is_variable || is_chain {
            let message = "nobody takes the decision that this gives: only the first call on a variable changes it; \
                           write `d = d.because(…).entitle(…);`, or each call as a statement of its own";
            self.report(&frame.file.clone(), expression.start_position(), "lost", message);
        }
    }

    fn statement(&mut self, frame: &mut Frame, statement: &Stmt) -> Type {
        match statement {
            Stmt::Expr(expression) => self.value(frame, expression),
            Stmt::FnCall(call, position) => self.function_call(frame, call, *position),
            Stmt::Block(block) => self.block(frame, block.statements()),
            Stmt::Var(variable, _, _) => {
                let (name, expression, _) = &**variable;
                let known = self.value(frame, expression);
                frame.declare(&name.name, known);
                Type::Unit
            }
            Stmt::Assignment(assignment) => {
                let sides = &assignment.1;
                self.assigned(frame, &sides.lhs);
                self.value(frame, &sides.rhs);
                Type::Unit
            }
            Stmt::If(flow, _) => {
                self.condition(frame, &flow.expr);
                let body = self.block(frame, flow.body.statements());
                let branch = self.block(frame, flow.branch.statements());
                // A branch that returns has no value of its own.
                match (ends(flow.body.statements()), ends(flow.branch.statements())) {
                    (true, false) => branch,
                    (false, true) => body,
                    _ => body.or(&branch),
                }
            }
            Stmt::Switch(switch, position) => self.switch(frame, switch, *position),
            Stmt::While(flow, _) | Stmt::Do(flow, _, _) => self.looped(frame, flow),
            Stmt::For(parts, _) => {
                let (name, counter, flow) = &**parts;
                let item = match self.value(frame, &flow.expr) {
                    Type::List(texts) => Type::Text(Texts { count: None, ..texts }),
                    _ => Type::Unknown,
                };
                let outer = frame.variables.len();
                frame.declare(&name.name, item);
                if let Some(counter) = counter {
                    frame.declare(&counter.name, Type::Number);
                }
                self.block(frame, flow.body.statements());
                frame.variables.truncate(outer);
                Type::Unit
            }
            Stmt::Return(Some(expression), flags, _) => {
                let given = self.value(frame, expression);
                if !flags.contains(rhai::ASTFlags::BREAK) {
                    frame.returned = Some(frame.returned.take().map_or(given.clone(), |earlier| earlier.or(&given)));
                }
                // Nothing follows a return, so that its own value joins no other.
                frame.returned.clone().unwrap_or(Type::Unknown)
            }
            Stmt::BreakLoop(Some(expression), _, _) => {
                self.value(frame, expression);
                Type::Unknown
            }
            Stmt::TryCatch(flow, _) => self.looped(frame, flow),
            _ => Type::Unit,
        }
    }

    fn switch(&mut self, frame: &mut Frame, switch: &(Expr, SwitchCasesCollection), position: Position) -> Type {
        let (expression, cases) = switch;
        let asked = self.value(frame, expression);
        if let Type::Text(Texts { known: Some(known), .. }) = &asked {
            let possible = (self.script.case_hashes)(known);
            if cases.cases.keys().any(|case| !possible.contains(case)) {
                let all: Vec<&str> = known.iter().map(String::as_str).collect();
                let message = format!("a case of this switch isn't one of the values, which are {}", all.join(", "));
                self.report(&frame.file.clone(), position, "unknown_choice", message);
            }
        }
        let mut result: Option<Type> = None;
        for case in &cases.expressions {
            self.condition(frame, &case.lhs);
            let given = self.value(frame, &case.rhs);
            result = Some(result.map_or(given.clone(), |result| result.or(&given)));
        }
        result.filter(|_| cases.def_case.is_some()).unwrap_or(Type::Unknown)
    }

    fn looped(&mut self, frame: &mut Frame, flow: &FlowControl) -> Type {
        self.condition(frame, &flow.expr);
        self.block(frame, flow.body.statements());
        self.block(frame, flow.branch.statements());
        Type::Unknown
    }

    fn condition(&mut self, frame: &mut Frame, expression: &Expr) {
        let given = self.value(frame, expression);
        if !matches!(given, Type::Unknown | Type::Boolean | Type::Unit) {
            let message = format!("a condition is true or false, not {}", given.name().unwrap_or("this"));
            self.report(&frame.file.clone(), expression.start_position(), "condition", message);
        }
    }

    /// What stands left of `=`: a variable, or a property of one.
    fn assigned(&mut self, frame: &mut Frame, target: &Expr) {
        let mut root = target;
        while let Expr::Dot(parts, ..) | Expr::Index(parts, ..) = root {
            root = &parts.lhs;
        }
        let Expr::Variable(variable, ..) = root else {
            self.value(frame, target);
            return;
        };
        let name = variable.1.to_string();
        let file = frame.file.clone();
        let guarded = frame.find(&name).is_some_and(Type::is_guarded);
        if guarded {
            let message = format!("'{name}' can't be changed: a policy only reads");
            self.report(&file, root.start_position(), "assigned", message);
        } else if frame.find(&name).is_none() && self.constants.contains_key(&name) {
            let message = format!("'{name}' is a constant and can't be changed");
            self.report(&file, root.start_position(), "assigned", message);
        } else if matches!(target, Expr::Variable(..)) {
            self.value(frame, root);
        } else {
            // The engine doesn't see how large a map becomes part by part.
            let message = "a part of a map can't be assigned; write the map whole, as in #{ a: 1 }";
            self.report(&file, root.start_position(), "assigned_part", message);
        }
    }

    /// What a list of expressions holds, where all are texts.
    pub(super) fn list(&mut self, frame: &mut Frame, items: &[Expr]) -> Type {
        let types: Vec<Type> = items.iter().map(|item| self.value(frame, item)).collect();
        let mut all: Option<Type> = None;
        for item in types {
            all = Some(all.map_or(item.clone(), |all| all.or(&item)));
        }
        match all {
            None => Type::List(Texts { count: Some(0), ..Texts::of::<String>([]) }),
            Some(Type::Text(texts)) => Type::List(Texts { count: Some(items.len()), ..texts }),
            _ => Type::List(Texts { count: Some(items.len()), ..Texts::default() }),
        }
    }
}

/// Whether a block always ends with a return.
fn ends(statements: &[Stmt]) -> bool {
    matches!(statements.last(), Some(Stmt::Return(..)))
}
