//! Functions on dates.

use jiff::civil::Date;
use rhai::Engine;
use rust_decimal::Decimal;

use crate::transactions::model::Month;

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<Date>("date")
        .register_fn("==", |a: Date, b: Date| a == b)
        .register_fn("!=", |a: Date, b: Date| a != b)
        .register_fn("<", |a: Date, b: Date| a < b)
        .register_fn("<=", |a: Date, b: Date| a <= b)
        .register_fn(">", |a: Date, b: Date| a > b)
        .register_fn(">=", |a: Date, b: Date| a >= b)
        .register_fn("to_string", |date: &mut Date| date.to_string())
        .register_fn("days_between", |a: Date, b: Date| Decimal::from(days(a, b)))
        .register_fn("months_between", |a: Date, b: Date| Decimal::from(months(a, b)))
        .register_fn("years_between", |a: Date, b: Date| Decimal::from(months(a, b)) / Decimal::from(12));
}

/// Days from `a` to `b`, negative when `b` is earlier.
fn days(a: Date, b: Date) -> i32 {
    (b - a).get_days()
}

/// Complete calendar months from `a` to `b`, negative when `b` is earlier. The last day of a month completes one that began
/// on a later day than the month has.
pub(in crate::policy) fn months(a: Date, b: Date) -> i32 {
    if b < a {
        return -months(b, a);
    }
    let begun = Month::of(b).since(Month::of(a));
    let complete = b.day() >= a.day() || b == b.last_of_month();
    if complete { begun } else { begun - 1 }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn months_are_complete_ones() {
        assert_eq!(months(date(2017, 1, 15), date(2018, 1, 14)), 11);
        assert_eq!(months(date(2017, 1, 15), date(2018, 1, 15)), 12);
        assert_eq!(months(date(2018, 1, 31), date(2018, 2, 28)), 1);
        assert_eq!(months(date(2018, 1, 31), date(2018, 3, 30)), 1);
        assert_eq!(months(date(2018, 3, 15), date(2018, 1, 15)), -2);
    }

    #[test]
    fn days_count_leap_days() {
        assert_eq!(days(date(2016, 2, 1), date(2016, 3, 1)), 29);
        assert_eq!(days(date(2018, 1, 2), date(2018, 1, 1)), -1);
    }
}
