//! What scripts can call: tables, decisions, and functions on numbers, texts, lists and dates. The functions of one contract
//! version never change what they give, so that old assessments replay to the same bytes.

pub(super) mod dates;
mod decision;
mod numbers;
mod tables;
mod texts;

pub(super) use decision::Draft;
use jiff::civil::Date;
use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map, Position};
use rust_decimal::Decimal;
pub(super) use tables::{CohortView, rows_of, watched};

use super::sandbox;

/// What a host function gives: a value, or an error to which the engine adds the position.
pub(super) type Fallible<T> = Result<T, Box<EvalAltResult>>;

/// Adds everything that scripts can call, except the readers of the pack's own fields.
pub(super) fn register(engine: &mut Engine) {
    numbers::register(engine);
    texts::register(engine);
    dates::register(engine);
    tables::register(engine);
    decision::register(engine);
}

/// An error of a host function with this message.
pub(super) fn fault(message: impl Into<String>) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(Dynamic::from(message.into()), Position::NONE).into()
}

/// The number in a value of a script.
fn number(value: &Dynamic) -> Option<Decimal> {
    value.as_decimal().ok().or_else(|| value.as_int().ok().map(Decimal::from))
}

fn expect_number(value: &Dynamic, what: &str) -> Result<Decimal, String> {
    number(value).ok_or_else(|| format!("{what} is {}, not a number", shown(value)))
}

/// The canonical text of a value, where it has one: numbers, texts, booleans, dates and lists of them.
fn canonical(value: &Dynamic) -> Option<String> {
    if let Some(number) = number(value) {
        return Some(number.normalize().to_string());
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Some(text.to_string());
    }
    if let Ok(yes) = value.as_bool() {
        return Some(yes.to_string());
    }
    if let Some(date) = value.read_lock::<Date>() {
        return Some(date.to_string());
    }
    let list = value.read_lock::<Array>()?;
    let texts: Option<Vec<String>> = list.iter().map(canonical).collect();
    texts.map(|texts| texts.join(";"))
}

/// Roughly how many bytes a value takes, without what host types hold.
pub(super) fn weight(value: &Dynamic) -> usize {
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return size_of::<Dynamic>() + text.len();
    }
    if let Some(list) = value.read_lock::<Array>() {
        return size_of::<Dynamic>() + list.iter().map(weight).sum::<usize>();
    }
    if let Some(map) = value.read_lock::<Map>() {
        return size_of::<Dynamic>() + map.iter().map(|(key, value)| key.len() + weight(value)).sum::<usize>();
    }
    size_of::<Dynamic>()
}

/// Whether a value is a number, text, truth value, date or nothing, or made of such: no table, score or decision, in which
/// others could hide without end.
fn is_plain(value: &Dynamic) -> bool {
    if let Some(list) = value.read_lock::<Array>() {
        return list.iter().all(is_plain);
    }
    if let Some(map) = value.read_lock::<Map>() {
        return map.values().all(is_plain);
    }
    value.is_unit() || canonical(value).is_some()
}

/// Takes what a value weighs from what the script may make.
fn charge(bytes: usize) -> Fallible<()> {
    sandbox::charge(bytes).map_err(fault)
}

/// A value as messages mention it.
pub(super) fn shown(value: &Dynamic) -> String {
    if value.is_unit() {
        return "absent".to_owned();
    }
    if value.is_string() {
        return format!("the text \"{value}\"");
    }
    canonical(value).unwrap_or_else(|| format!("a {}", value.type_name()))
}
