//! The engine in which scripts compile and run: nothing from outside reaches them, and every limit is set by number.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rhai::{Dynamic, Engine, OptimizationLevel, Token};
use rust_decimal::Decimal;

/// Longest source text of a script, in bytes.
pub(super) const MAX_SOURCE: usize = 256 * 1024;
/// What one policy may take for one subject.
pub(super) const POLICY: Allowance = Allowance { time: Duration::from_millis(200), made: 4 << 20, together: false };
/// What the constants of one policy may take: they stay in memory.
pub(super) const CONSTANTS: Allowance = Allowance { made: MAX_CONSTANTS, ..POLICY };
/// What all policies together may take for one subject.
pub(super) const TOGETHER: Allowance = Allowance { time: Duration::from_secs(2), made: usize::MAX, together: true };
/// Most bytes of the constants of one policy.
pub(super) const MAX_CONSTANTS: usize = 256 << 10;
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
pub(super) const MAX_VARIABLES: usize = 200;
/// Operations between two looks at the clock: a look at each one would cost a third of the run.
const CLOCK_EVERY: u64 = 256;

/// How long scripts may run, and how many bytes of tables, scores and decisions they may make.
#[derive(Clone, Copy)]
pub(super) struct Allowance {
    pub(super) time: Duration,
    made: usize,
    /// Whether it is for all policies.
    together: bool,
}

/// What is left of an allowance.
#[derive(Clone, Copy)]
struct Left {
    deadline: Instant,
    together: bool,
    made: usize,
}

thread_local! {
    static LEFT: Cell<Option<Left>> = const { Cell::new(None) };
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
        let over = LEFT.get().filter(|left| Instant::now() > left.deadline);
        over.map(|left| Dynamic::from(left.together))
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

/// Runs `work` on this thread with an allowance after which scripts stop, and no later than the one around it.
pub(super) fn within<T>(allowance: Allowance, work: impl FnOnce() -> T) -> T {
    struct Reset(Option<Left>);
    impl Drop for Reset {
        fn drop(&mut self) {
            LEFT.set(self.0);
        }
    }
    let Allowance { time, made, together } = allowance;
    let own = Left { deadline: Instant::now() + time, together, made };
    let around = LEFT.get();
    let _reset = Reset(around);
    let earlier = around.filter(|around| around.deadline < own.deadline);
    LEFT.set(Some(earlier.map_or(own, |around| Left { made, ..around })));
    work()
}

/// Takes `bytes` from what the script may still make; the engine's own limits see nothing of what the host makes for it.
///
/// # Errors
/// What to say when nothing is left.
pub(super) fn charge(bytes: usize) -> Result<(), String> {
    let Some(left) = LEFT.get() else { return Ok(()) };
    let made = left
        .made
        .checked_sub(bytes)
        .ok_or("stopped: the script makes too many or too large tables, scores and decisions")?;
    LEFT.set(Some(Left { made, ..left }));
    Ok(())
}
