//! All integration tests, in one binary so that they link once: one module a subject.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that can't go on has failed"
)]

mod access;
mod admin;
mod app;
mod base;
mod cadence;
mod calendar;
mod clock;
mod comparison;
mod compatibility;
mod customers;
mod decisions;
mod description;
mod due;
mod events;
mod fuzz;
mod history;
mod hostile;
mod hostile_rules;
mod idempotency;
mod import_customers;
mod imports;
mod industries;
mod interleavings;
mod kills;
mod limits;
mod local_server;
mod migrations;
mod observability;
mod operation;
mod outage;
mod preconditions;
mod problems;
mod process;
mod releases;
mod roles;
mod rules;
mod sample;
mod serve;
mod sign_in;
mod streams;
mod tobacco;
mod tokens;
mod tour;
#[cfg(feature = "otel")]
mod traces;
mod transactions;
mod uploads;
mod watch;
mod year;
