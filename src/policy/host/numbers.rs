//! Functions on numbers, and the ranges that `for` and `in` use.

use rhai::{Dynamic, Engine};
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Fallible, canonical, fault, shown};

/// Most digits after the point that `round` takes.
const MAX_PLACES: u32 = 28;

/// Numbers from one to another, in steps of 1.
#[derive(Clone)]
struct Range {
    next: Decimal,
    end: Decimal,
    inclusive: bool,
}

impl Range {
    fn holds(&self, number: Decimal) -> bool {
        number < self.end || (self.inclusive && number == self.end)
    }
}

impl Iterator for Range {
    type Item = Decimal;

    fn next(&mut self) -> Option<Decimal> {
        let number = self.next;
        if !self.holds(number) {
            return None;
        }
        self.next = number.checked_add(Decimal::ONE)?;
        Some(number)
    }
}

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_fn("-", |x: Decimal| -x)
        .register_fn("+", |x: Decimal| x)
        .register_fn("!", |x: bool| !x)
        .register_fn("round", round)
        .register_fn("floor", |x: Decimal| x.floor())
        .register_fn("ceiling", |x: Decimal| x.ceil())
        .register_fn("abs", |x: Decimal| x.abs())
        .register_fn("min", |a: Decimal, b: Decimal| a.min(b))
        .register_fn("max", |a: Decimal, b: Decimal| a.max(b))
        .register_fn("clamp", clamp)
        .register_fn("to_string", |x: &mut Decimal| x.normalize().to_string())
        .register_fn("text", |x: Dynamic| canonical(&x).ok_or_else(|| fault(format!("{} has no text", shown(&x)))))
        .register_fn("absent", || ())
        .register_fn("is_absent", |x: Dynamic| x.is_unit());
    engine
        .register_type_with_name::<Range>("range")
        .register_iterator::<Range>()
        .register_fn("..", |a: Decimal, b: Decimal| Range { next: a, end: b, inclusive: false })
        .register_fn("..=", |a: Decimal, b: Decimal| Range { next: a, end: b, inclusive: true })
        .register_fn("contains", |range: &mut Range, x: Decimal| x >= range.next && range.holds(x));
}

fn round(x: Decimal, places: Decimal) -> Fallible<Decimal> {
    let digits = if places.is_integer() { u32::try_from(places).ok() } else { None };
    let digits = digits.filter(|digits| *digits <= MAX_PLACES);
    let digits = digits.ok_or_else(|| fault(format!("round wants 0 to {MAX_PLACES} places, not {places}")))?;
    Ok(x.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero))
}

fn clamp(x: Decimal, low: Decimal, high: Decimal) -> Fallible<Decimal> {
    if low > high {
        return Err(fault(format!("clamp wants its lower end first, but {low} is above {high}")));
    }
    Ok(x.clamp(low, high))
}
