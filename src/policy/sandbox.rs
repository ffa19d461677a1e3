//! The engine in which scripts compile and run: nothing from outside reaches them, and every limit is set by number.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rhai::{Dynamic, Engine, OptimizationLevel, Token};
use rust_decimal::Decimal;

/// Longest source text of a script, in bytes.
pub(super) const MAX_SOURCE: usize = 256 * 1024;
/// Longest time that one policy may take for one subject.
pub(super) const TIME_LIMIT: Duration = Duration::from_millis(200);
/// Operations that one call may take.
pub(super) const MAX_OPERATIONS: u64 = 1_000_000;
/// Depth of calls of functions.
pub(super) const MAX_CALL_LEVELS: usize = 16;
/// Depth of expressions at the top of a script, and in its functions.
const MAX_EXPRESSION_DEPTHS: (usize, usize) = (64, 32);
/// Longest text, in bytes.
const MAX_STRING: usize = 65_536;
/// Most elements of a list, those of lists in it included.
const MAX_ARRAY: usize = 500;
/// Most properties of a map, those of maps in it included.
const MAX_MAP: usize = 300;
/// Most functions of a script with its libraries.
const MAX_FUNCTIONS: usize = 200;
/// Most variables at one time.
const MAX_VARIABLES: usize = 200;
/// Operations between two looks at the clock: a look at each one would cost a third of the run.
const CLOCK_EVERY: u64 = 256;

thread_local! {
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// An engine without packages: operators of numbers, texts and booleans, and what the host adds.
pub(super) fn engine() -> Engine {
    let mut engine = Engine::new_raw();
    engine.set_optimization_level(OptimizationLevel::None);
    engine.set_max_operations(MAX_OPERATIONS);
    engine.set_max_call_levels(MAX_CALL_LEVELS);
    engine.set_max_expr_depths(MAX_EXPRESSION_DEPTHS.0, MAX_EXPRESSION_DEPTHS.1);
    engine.set_max_string_size(MAX_STRING);
    engine.set_max_array_size(MAX_ARRAY);
    engine.set_max_map_size(MAX_MAP);
    engine.set_max_functions(MAX_FUNCTIONS);
    engine.set_max_variables(MAX_VARIABLES);
    // The interner is behind one lock, for which the threads of a run would queue.
    engine.set_max_strings_interned(0);
    engine.set_fail_on_invalid_map_property(true);
    engine.set_allow_anonymous_fn(false);
    engine.set_strict_variables(true);
    for symbol in ["eval", "this", "try", "catch"] {
        engine.disable_symbol(symbol);
    }
    engine.on_print(|_| {});
    engine.on_debug(|_, _, _| {});
    engine.on_progress(|operations| {
        if operations % CLOCK_EVERY != 0 {
            return None;
        }
        let over = DEADLINE.get().is_some_and(|deadline| Instant::now() > deadline);
        over.then_some(Dynamic::UNIT)
    });
    read_numbers_as_decimals(&mut engine);
    engine
}

/// Whether a key is a word of the script language, so that no script could read it.
pub(super) fn is_reserved(key: &str) -> bool {
    let mut engine = engine();
    engine.set_strict_variables(false);
    engine.compile(format!("customer.{key}")).is_err()
}

/// Whole numbers in scripts are decimals too, so that `1 / 2` is a half and `switch` finds a field's value.
#[expect(deprecated, reason = "rhai marks the token hook as volatile, not as going away; tests pin what it does")]
fn read_numbers_as_decimals(engine: &mut Engine) {
    engine.on_parse_token(|token, _, _| match token {
        Token::IntegerConstant(number) => {
            Token::DecimalConstant(Box::new((Decimal::from(number), number.to_string().into())))
        }
        other => other,
    });
}

/// Runs `work` on this thread with a deadline after which scripts stop.
pub(super) fn within<T>(limit: Duration, work: impl FnOnce() -> T) -> T {
    struct Reset(Option<Instant>);
    impl Drop for Reset {
        fn drop(&mut self) {
            DEADLINE.set(self.0);
        }
    }
    let _reset = Reset(DEADLINE.replace(Some(Instant::now() + limit)));
    work()
}
