//! Imports of uploaded files: kept in the database until a process has imported them, and followed by whoever sent them.

pub mod api;
pub mod import;
pub mod model;
pub mod store;
pub mod worker;
