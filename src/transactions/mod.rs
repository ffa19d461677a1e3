//! Orders, payments and their totals: recording, monthly totals, products, and the metrics that follow.

pub mod api;
pub mod computation;
pub mod import;
pub mod metrics;
pub mod model;
pub mod period;
pub mod products;
pub mod record;
pub mod store;
pub mod totals;
