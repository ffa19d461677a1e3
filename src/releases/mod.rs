//! Releases of the pack, the basis on which grades rest, and what is in force in this process.

pub mod active;
pub mod api;
pub mod author;
pub mod description;
pub mod model;
pub mod start;
pub mod store;
pub mod view;
