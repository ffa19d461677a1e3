//! The rule engine: packs, their checks, and the assessment of subjects. Only here: rhai.

#[cfg(test)]
macro_rules! dec {
    ($number:expr) => {
        stringify!($number).replace(' ', "").parse::<rust_decimal::Decimal>().unwrap()
    };
}

mod analysis;
pub mod cases;
pub mod changes;
pub mod cohorts;
pub mod diagnostic;
pub mod difference;
mod document;
pub mod engine;
pub mod explanations;
mod failure;
mod host;
pub mod ledger;
pub mod manifest;
pub mod model;
pub mod overriding;
pub mod pack;
pub mod release;
mod runner;
pub mod sample;
mod sandbox;
mod script;
pub mod source;
pub mod stability;
mod subject;
mod tables;
pub mod texts;

#[cfg(test)]
mod tests;
