//! How many variables can be alive at one time: each may hold the longest text, and functions call each other many deep, so that
//! the engine's limit for one function is none for all of them.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{ASTNode, Expr, Stmt};

use super::{Function, Walk};
use crate::policy::sandbox::{MAX_CALL_LEVELS, MAX_VARIABLES};

/// What one function takes for itself, and whom it calls.
#[derive(Default)]
struct Frame<'a> {
    variables: usize,
    calls: BTreeSet<&'a str>,
}

impl Walk<'_> {
    /// Reports `decide` where it and the functions that it calls can hold more variables than one script may.
    pub(super) fn room(&mut self) {
        let functions = self.script.functions;
        let frames: BTreeMap<&str, Frame<'_>> =
            functions.iter().map(|(name, function)| (name.as_str(), frame(function, functions))).collect();
        let mut most: BTreeMap<&str, usize> = BTreeMap::new();
        for _ in 0..=MAX_CALL_LEVELS {
            let of = |frame: &Frame<'_>| {
                let called = frame.calls.iter().filter_map(|name| most.get(name)).max();
                frame.variables + called.copied().unwrap_or_default()
            };
            most = frames.iter().map(|(name, frame)| (*name, of(frame))).collect();
        }
        let Some(decide) = functions.get("decide") else { return };
        let count = most.get("decide").copied().unwrap_or_default();
        if count > MAX_VARIABLES {
            let message = format!(
                "decide and the functions that it calls within each other can have {count} variables and parameters at one \
                 time; {MAX_VARIABLES} are allowed"
            );
            self.report(&decide.file, decide.position, "too_many_variables", message);
        }
    }
}

fn frame<'a>(function: &Function, functions: &'a BTreeMap<String, Function>) -> Frame<'a> {
    let mut frame = Frame { variables: function.params.len(), ..Frame::default() };
    for statement in function.body.iter() {
        statement.walk(&mut Vec::new(), &mut |path: &[ASTNode<'_>]| {
            match path.last() {
                Some(ASTNode::Stmt(Stmt::Var(..))) => frame.variables += 1,
                Some(ASTNode::Stmt(Stmt::For(parts, _))) => frame.variables += 1 + usize::from(parts.1.is_some()),
                Some(ASTNode::Stmt(Stmt::FnCall(call, _)) | ASTNode::Expr(Expr::FnCall(call, _))) => {
                    frame.calls.extend(functions.get_key_value(call.name.as_str()).map(|(name, _)| name.as_str()));
                }
                _ => {}
            }
            true
        });
    }
    frame
}
