//! What is said when a script stops: the error in plain words, and the function and position it comes from.

use rhai::{EvalAltResult, Position};

use super::sandbox::{MAX_CALL_LEVELS, MAX_OPERATIONS, POLICY, TOGETHER};
use crate::faults::cut;

/// Longest message, in characters: scripts put into it what they like.
const LONGEST: usize = 500;

/// The innermost function in which an error happened, unless that is the one that was called first, and its position.
pub(super) fn origin(error: &EvalAltResult) -> (Option<String>, Position) {
    let (mut function, mut position, mut error) = (None, error.position(), error);
    while let EvalAltResult::ErrorInFunctionCall(name, _, inner, at) = error {
        function = Some(name.clone());
        position = if inner.position().is_none() { *at } else { inner.position() };
        error = inner;
    }
    (function, position)
}

/// The error in plain words, without its position; the beginning of a long one.
pub(super) fn message(error: &EvalAltResult) -> String {
    shortened(whole(error))
}

/// The beginning of a message.
pub(super) fn shortened(message: String) -> String {
    cut(message, LONGEST)
}

fn whole(error: &EvalAltResult) -> String {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) => whole(inner),
        EvalAltResult::ErrorRuntime(value, _) => value.to_string(),
        EvalAltResult::ErrorTooManyOperations(_) => {
            format!("stopped after {MAX_OPERATIONS} operations: is there a loop without end?")
        }
        EvalAltResult::ErrorTerminated(together, _) if together.as_bool() == Ok(true) => {
            format!("stopped: all policies together take at most {} s", TOGETHER.time.as_secs())
        }
        EvalAltResult::ErrorTerminated(..) => {
            format!("stopped after {} ms: a policy takes no longer", POLICY.time.as_millis())
        }
        EvalAltResult::ErrorStackOverflow(_) => {
            format!("functions call each other more than {MAX_CALL_LEVELS} deep")
        }
        other => {
            let mut text = other.to_string();
            // The engine appends the position, which is said once, in front.
            if let Some(end) = text.rfind(" (line ") {
                text.truncate(end);
            }
            text
        }
    }
}
