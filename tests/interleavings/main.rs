//! The suite's interleavings by themselves, so that they can be built optimised and tried by the ten thousand.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that can't go on has failed"
)]
#![expect(dead_code, reason = "the other tests of the suite need more of the service under test")]

#[path = "../suite/app.rs"]
mod app;
#[path = "../suite/base.rs"]
mod base;
#[path = "../suite/interleavings.rs"]
mod interleavings;
