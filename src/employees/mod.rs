//! Employees: who they are, whose account is theirs, and which area each serves when.

pub mod api;
pub mod model;
pub mod record;
pub mod store;
