//! Evaluation of service staff: computed by the pack's policy, signed by both persons, and the bonus pool of an area.

pub mod api;
pub mod evaluate;
pub mod model;
pub mod pools;
pub mod store;
