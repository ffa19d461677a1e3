//! What is said when a script stops: the error in plain words, and the function and position it comes from.

use rhai::{EvalAltResult, Position};

use super::sandbox::{MAX_CALL_LEVELS, MAX_OPERATIONS, TIME_LIMIT};

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

/// The error in plain words, without its position.
pub(super) fn message(error: &EvalAltResult) -> String {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) => message(inner),
        EvalAltResult::ErrorRuntime(value, _) => value.to_string(),
        EvalAltResult::ErrorTooManyOperations(_) => {
            format!("stopped after {MAX_OPERATIONS} operations: is there a loop without end?")
        }
        EvalAltResult::ErrorTerminated(..) => {
            format!("stopped after {} ms: a policy takes no longer", TIME_LIMIT.as_millis())
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
