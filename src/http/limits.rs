//! How much of everything one request, one client and all of them together may take.

use std::num::NonZeroU32;
use std::time::Duration;

/// The limits of a process.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest JSON body in bytes, unpacked: 10,000 items of 1.6 KB.
    pub body: usize,
    /// Longest time for which a connection may be silent between two requests: longer than the minute that balancers and clients keep
    /// theirs, since whoever closes first must not be the one that can't know whether a request is on its way.
    pub silence: Duration,
    /// Longest time for the head of a request.
    pub head_time: Duration,
    /// Longest time for a JSON body, from its begin to its end.
    pub body_time: Duration,
    /// Largest JSON body of a caller without a valid token, in bytes, unpacked: name and password many times over.
    pub anonymous_body: usize,
    /// Longest time for such a body.
    pub anonymous_body_time: Duration,
    /// Longest time until a request is answered. Uploads have their own.
    pub request_time: Duration,
    /// Requests that are answered at once; more are refused. A quarter of the places is for callers without a valid token, so that
    /// they take none from users, nor users theirs.
    pub requests_at_once: usize,
    /// Most places of callers without a valid token that are one address's.
    pub anonymous_of_address: usize,
    /// Requests a second for each user, or for each address without a user; twice as many at once. No limit where there is none.
    pub rate: Option<NonZeroU32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 16 << 20,
            silence: Duration::from_secs(75),
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            anonymous_body: 64 << 10,
            anonymous_body_time: Duration::from_secs(10),
            request_time: Duration::from_secs(60),
            requests_at_once: 256,
            anonymous_of_address: 16,
            rate: NonZeroU32::new(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{STATEMENT_TIME, WAIT};

    #[test]
    fn a_statement_that_takes_too_long_ends_before_its_request() {
        // For a turn, then for a connection, then for the answer.
        assert!(WAIT + WAIT + STATEMENT_TIME < Limits::default().request_time);
    }
}
