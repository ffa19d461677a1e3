//! How many requests a second each user may send; who has no valid token is known by his address.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use super::guard::WATCHED;
use crate::Id;
use crate::http::client::Client;
use crate::http::limits::Limits;
use crate::http::problem::{Code, Problem};
use crate::identity::model::Principal;

/// Seconds of requests that may come at once.
const BURST_SECONDS: u32 = 2;
/// Requests after which those are forgotten who have long been quiet.
const FORGET_EVERY: u32 = 4096;
const STATE: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    User(Id),
    /// Where he stands, if that is known.
    Place(Option<IpAddr>),
}

impl Key {
    fn of(request: &ServiceRequest) -> Self {
        if let Some(principal) = request.extensions().get::<Arc<Principal>>() {
            return Self::User(principal.user_id);
        }
        Self::Place(Client::of(request.request()).place())
    }
}

type Limiter = RateLimiter<Key, DefaultKeyedStateStore<Key>, DefaultClock, StateInformationMiddleware>;

/// Counts the requests of everybody.
pub struct Rates {
    limiter: Option<Limiter>,
    policy: HeaderValue,
    counted: AtomicU32,
}

impl Rates {
    /// Counts for all threads of a process.
    pub fn new(limits: &Limits) -> web::Data<Self> {
        let burst = |rate: NonZeroU32| rate.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_SECONDS - 1));
        let policy = limits.rate.map(|rate| format!("\"default\";q={};w={BURST_SECONDS}", burst(rate)));
        let policy = HeaderValue::from_str(&policy.unwrap_or_default());
        let limiter = limits.rate.map(|rate| {
            let quota = Quota::per_second(rate).allow_burst(burst(rate));
            RateLimiter::keyed(quota).with_middleware::<StateInformationMiddleware>()
        });
        let policy = policy.unwrap_or_else(|_| HeaderValue::from_static(""));
        web::Data::new(Self { limiter, policy, counted: AtomicU32::new(0) })
    }

    /// Counts a request. Gives how many more may follow at once, or in how many seconds the next may.
    fn count(&self, limiter: &Limiter, key: &Key) -> Result<u32, i64> {
        if self.counted.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            limiter.retain_recent();
        }
        limiter.check_key(key).map(|state| state.remaining_burst_capacity()).map_err(|refused| {
            let wait = refused.wait_time_from(DefaultClock::default().now());
            i64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(i64::MAX).max(1)
        })
    }
}

/// The middleware.
pub async fn limit(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let rates = request.app_data::<web::Data<Rates>>().cloned();
    let rates = rates.filter(|_| !WATCHED.contains(&request.path()));
    let Some((rates, limiter)) = rates.as_ref().and_then(|rates| Some((rates, rates.limiter.as_ref()?))) else {
        return next.call(request).await;
    };
    let told = |state: String| HeaderValue::from_str(&state).unwrap_or_else(|_| HeaderValue::from_static(""));
    match rates.count(limiter, &Key::of(&request)) {
        Ok(left) => {
            let mut response = next.call(request).await?;
            response.headers_mut().insert(POLICY, rates.policy.clone());
            response.headers_mut().insert(STATE, told(format!("\"default\";r={left}")));
            Ok(response)
        }
        Err(seconds) => Err(Problem::new(Code::RateLimited)
            .retry_after(seconds)
            .with_header(POLICY, rates.policy.clone())
            .with_header(STATE, told(format!("\"default\";r=0;t={seconds}")))
            .into()),
    }
}
