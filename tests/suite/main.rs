//! All integration tests, in one binary so that they link once: one module a subject.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod local_server;
