//! Events: what has changed, kept in the transaction that changed it, for whoever follows.

pub mod api;
pub mod model;
pub mod store;
