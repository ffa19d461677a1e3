//! The walk through calls: functions of the pack, which are followed, and functions of the host.

use rhai::{Expr, FnCallExpr, Position};

use super::natives::NativeCall;
use super::tables::values;
use super::types::Type;
use super::{Frame, Walk};
use crate::faults::did_you_mean;

impl Walk<'_> {
    /// `name(…)`, or an operator.
    pub(super) fn function_call(&mut self, frame: &mut Frame, call: &FnCallExpr, position: Position) -> Type {
        if let Some(operator) = &call.op_token {
            return self.operator(frame, operator, call, position);
        }
        let name = call.name.as_str();
        let functions = self.script.functions;
        if let Some(function) = functions.get(name) {
            let given: Vec<Type> = call.args.iter().map(|given| self.expression(frame, given)).collect();
            if given.len() != function.params.len() {
                let message = format!("{name}({}) was given {}", function.params.join(", "), values(given.len()));
                self.report(&frame.file, position, "wrong_number", message);
                return Type::Unknown;
            }
            return self.function(name, function, given);
        }
        let types: Vec<Type> = call.args.iter().map(|given| self.value(frame, given)).collect();
        if !self.offered(frame, name, types.len(), false, position) {
            return Type::Unknown;
        }
        let expressions: Vec<Option<&Expr>> = call.args.iter().map(Some).collect();
        self.native(
            frame,
            &NativeCall { name, types: &types, expressions: &expressions, items: &[], position, outcome_only: false },
        )
    }

    /// `value.name(…)`.
    pub(super) fn method(
        &mut self,
        frame: &mut Frame,
        on: Type,
        call: &FnCallExpr,
        position: Position,
        outcome_only: bool,
    ) -> Type {
        let name = call.name.as_str();
        let file = frame.file.clone();
        let mut types = vec![on];
        types.extend(call.args.iter().map(|given| self.value(frame, given)));
        if let Some(guarded) = types.first().filter(|on| on.is_guarded()) {
            let hint = if self.script.functions.contains_key(name) {
                format!("; call {name}(…) with it")
            } else {
                String::new()
            };
            let message = format!("{} has no functions{hint}", guarded.name().unwrap_or_default());
            self.report(&file, position, "guarded", message);
            return Type::Unknown;
        }
        if self.script.functions.contains_key(name) {
            let message = format!("'{name}' is a function of the pack and is called as {name}(…)");
            self.report(&file, position, "method_call", message);
            return Type::Unknown;
        }
        if !self.offered(frame, name, types.len(), true, position) {
            return Type::Unknown;
        }
        let expressions: Vec<Option<&Expr>> = std::iter::once(None).chain(call.args.iter().map(Some)).collect();
        let items: Vec<Type> = match call.args.first() {
            Some(Expr::Array(items, _)) => items.iter().map(|item| self.value(frame, item)).collect(),
            _ => Vec::new(),
        };
        let call = NativeCall { name, types: &types, expressions: &expressions, items: &items, position, outcome_only };
        self.native(frame, &call)
    }

    /// Whether the host offers the function with this number of values.
    fn offered(&mut self, frame: &Frame, name: &str, count: usize, method: bool, position: Position) -> bool {
        let natives = self.script.natives;
        let hidden = usize::from(method);
        match natives.get(name) {
            Some(counts) if counts.contains(&count) => true,
            Some(counts) => {
                let wanted: Vec<String> = counts.iter().map(|count| count.saturating_sub(hidden).to_string()).collect();
                let given = count.saturating_sub(hidden);
                let noun = if wanted == ["1"] { "value" } else { "values" };
                let message = format!("'{name}' takes {} {noun}, not {given}", wanted.join(" or "));
                self.report(&frame.file, position, "wrong_number", message);
                false
            }
            None => {
                let own = self.script.functions.keys().filter(|_| !method);
                let hint = did_you_mean(name, natives.keys().chain(own).map(String::as_str));
                self.report(&frame.file, position, "unknown_function", format!("there is no function '{name}'{hint}"));
                false
            }
        }
    }
}
