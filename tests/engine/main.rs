//! What needs the engine alone, neither a service nor a database: built apart, so that it can be built optimised too.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that can't go on has failed"
)]

mod attacks;
mod determinism;
mod fuzz;
mod monotone;
mod subjects;
