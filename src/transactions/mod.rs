//! Orders, payments and their totals, and observations: recording, monthly totals, products, and the metrics that follow.

pub mod api;
pub mod computation;
pub mod import;
pub mod import_observations;
pub mod lines;
pub mod metrics;
pub mod model;
pub mod observations;
pub mod observe;
pub mod period;
pub mod products;
pub mod record;
pub mod store;
pub mod totals;
