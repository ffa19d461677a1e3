//! The customer file.

pub mod model;
