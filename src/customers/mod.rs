//! The customer file: what a customer is, how he is recorded, found and imported.

pub mod api;
pub mod error;
pub mod evolution;
pub mod file;
pub mod import;
pub mod list;
pub mod model;
pub mod record;
pub mod selection;
pub mod store;
pub mod texts;
