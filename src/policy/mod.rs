//! The rule engine: packs, their checks, and the assessment of subjects. Only here: rhai.

pub mod cohorts;
pub mod diagnostic;
mod document;
pub mod manifest;
pub mod model;
pub mod pack;
pub mod source;
pub mod texts;
