//! Orders, payments and their totals.

pub mod model;
