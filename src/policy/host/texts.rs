//! Functions on texts and lists.

use jiff::civil::Date;
use rhai::{Array, Dynamic, Engine, ImmutableString, Map};
use rust_decimal::Decimal;

use super::number;

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_fn("len", |text: &mut ImmutableString| Decimal::from(text.chars().count()))
        .register_fn("len", |list: &mut Array| Decimal::from(list.len()))
        .register_fn("contains", |text: &mut ImmutableString, part: &str| text.contains(part))
        .register_fn("contains", |list: &mut Array, value: Dynamic| list.iter().any(|item| equal(item, &value)))
        .register_fn("contains", |map: &mut Map, key: &str| map.contains_key(key))
        .register_fn("starts_with", |text: &mut ImmutableString, part: &str| text.starts_with(part))
        .register_fn("ends_with", |text: &mut ImmutableString, part: &str| text.ends_with(part))
        .register_iterator::<Array>();
}

/// Equal numbers, texts, booleans or dates; lists and everything else are never equal here, so that a comparison can't be
/// made to take long.
fn equal(a: &Dynamic, b: &Dynamic) -> bool {
    if let (Some(a), Some(b)) = (number(a), number(b)) {
        return a == b;
    }
    if let (Ok(a), Ok(b)) = (a.as_bool(), b.as_bool()) {
        return a == b;
    }
    match (a.read_lock::<ImmutableString>(), b.read_lock::<ImmutableString>()) {
        (Some(a), Some(b)) => *a == *b,
        _ => match (a.read_lock::<Date>(), b.read_lock::<Date>()) {
            (Some(a), Some(b)) => *a == *b,
            _ => false,
        },
    }
}
