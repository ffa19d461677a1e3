//! How much of everything one request, one client and all of them together may take.

use std::num::NonZeroU32;
use std::time::Duration;

/// The limits of a process.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest JSON body in bytes, unpacked: 10,000 items of 1.6 KB.
    pub body: usize,
    /// Longest time for the head of a request.
    pub head_time: Duration,
    /// Longest time for a JSON body, from its begin to its end.
    pub body_time: Duration,
    /// Longest time until a request is answered. Uploads have their own.
    pub request_time: Duration,
    /// Requests that are answered at once; more are refused.
    pub requests_at_once: usize,
    /// Requests a second for each user, or for each address without a user; twice as many at once. No limit where there is none.
    pub rate: Option<NonZeroU32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 16 << 20,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            request_time: Duration::from_secs(60),
            requests_at_once: 256,
            rate: NonZeroU32::new(100),
        }
    }
}
