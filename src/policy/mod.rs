//! The rule engine: packs, their checks, and the assessment of subjects. Only here: rhai.

pub mod diagnostic;
pub mod model;
pub mod pack;
pub mod texts;
