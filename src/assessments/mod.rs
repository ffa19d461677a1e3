//! Assessments: one customer or all of them, decisions, runs and cohorts.

pub mod api;
pub mod assess;
pub mod evaluate;
pub mod model;
pub mod run;
pub mod shard;
pub mod store;
pub mod view;
pub mod worker;
