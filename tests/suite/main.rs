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
mod appeals;
#[path = "../engine/attacks.rs"]
mod attacks;
mod base;
mod bulk;
mod cadence;
mod calendar;
mod causes;
mod clock;
mod cluster;
mod comparison;
mod compatibility;
mod customers;
mod cut_off;
mod decisions;
mod description;
mod drift;
mod due;
mod events;
mod explanation;
mod failures;
mod fleet;
mod history;
mod hostile;
mod hostile_rules;
mod idempotency;
mod import_customers;
mod import_kinds;
mod imports;
mod industries;
mod interleavings;
mod kills;
mod limits;
mod lists;
mod load;
mod local_server;
mod migrations;
mod nodes;
mod observability;
mod observations;
mod operation;
mod outage;
mod overrides;
mod pack_checks;
mod paths;
mod preconditions;
mod problems;
mod process;
mod publication;
mod publishing;
mod releases;
mod replay;
mod roles;
mod rules;
mod running;
mod sample;
mod scenarios;
mod serve;
mod shadow;
mod sign_in;
mod stability;
mod staff;
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
