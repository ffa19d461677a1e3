//! Assessments: one customer or all of them, decisions, due work, runs, closings and cohorts.

pub mod activation;
pub mod api;
pub mod assess;
pub mod basis;
pub mod causes;
pub mod cohort;
pub mod comparison;
pub mod day;
pub mod difference;
pub mod due;
pub mod evaluate;
pub mod explanation;
pub mod model;
pub mod near;
pub mod paths;
pub mod publishing;
pub mod replay;
pub mod retention;
pub mod run;
pub mod schedule;
pub mod shard;
pub mod store;
pub mod tally;
pub mod view;
pub mod worker;
pub mod write;
