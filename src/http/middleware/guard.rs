//! Bounds what requests take of the process: how many at once, for how long; and a panic ends its own request only.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::http::client::Client;
use crate::http::limits::Limits;
use crate::http::problem::{Code, Problem};
use crate::identity::model::Principal;

/// The part of all places that is for callers without a valid token.
const ANONYMOUS_PART: usize = 4;
/// What is asked by those who watch the service, also when it has too much to do.
pub(in crate::http) const WATCHED: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Lets as many requests in at once as the process takes. Callers without a valid token have places of their own: whoever holds
/// them keeps no user out.
pub struct Gate {
    users: Arc<Semaphore>,
    anonymous: Arc<Semaphore>,
    of_address: usize,
    /// How many places of callers without a valid token are whose.
    held: Arc<Mutex<HashMap<Option<IpAddr>, usize>>>,
}

impl Gate {
    /// A gate for all threads of a process.
    pub fn new(limits: &Limits) -> web::Data<Self> {
        let anonymous = (limits.requests_at_once / ANONYMOUS_PART).max(1);
        let users = limits.requests_at_once.saturating_sub(anonymous).max(1);
        web::Data::new(Self {
            users: Arc::new(Semaphore::new(users)),
            anonymous: Arc::new(Semaphore::new(anonymous)),
            of_address: limits.anonymous_of_address,
            held: Arc::default(),
        })
    }

    /// A place for a request, until it is dropped.
    fn enter(&self, request: &ServiceRequest) -> Option<Place> {
        if request.extensions().contains::<Arc<Principal>>() {
            return Some(Place { _permit: self.users.clone().try_acquire_owned().ok()?, _turn: None });
        }
        let turn = Turn::take(&self.held, Client::of(request.request()).place(), self.of_address)?;
        Some(Place { _permit: self.anonymous.clone().try_acquire_owned().ok()?, _turn: Some(turn) })
    }
}

struct Place {
    _permit: OwnedSemaphorePermit,
    _turn: Option<Turn>,
}

/// One of the places that callers without a valid token may have at an address.
struct Turn {
    held: Arc<Mutex<HashMap<Option<IpAddr>, usize>>>,
    address: Option<IpAddr>,
}

impl Turn {
    fn take(held: &Arc<Mutex<HashMap<Option<IpAddr>, usize>>>, address: Option<IpAddr>, most: usize) -> Option<Self> {
        let mut counts = held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Self { held: held.clone(), address })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut counts = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// The middleware that lets requests in. It stands behind what knows the caller.
pub async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let gate = request.app_data::<web::Data<Gate>>().cloned();
    let Some(gate) = gate.filter(|_| !WATCHED.contains(&request.path())) else { return next.call(request).await };
    let Some(_place) = gate.enter(&request) else { return Err(Problem::new(Code::Busy).into()) };
    next.call(request).await
}

/// The middleware that ends a request which panics or takes too long. Uploads have their own time.
pub async fn keep(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let time = request.app_data::<web::Data<Limits>>().map(|limits| limits.request_time);
    let own =
        WATCHED.contains(&request.path()) || request.content_type().to_ascii_lowercase().starts_with("multipart/");
    let Some(time) = time.filter(|_| !own) else { return unwound(request, next).await };
    match timeout(time, unwound(request, next)).await {
        Ok(answered) => answered,
        Err(_) => {
            let seconds = time.as_secs_f64();
            Err(Problem::detailed(Code::TimedOut, format!("there was no answer within {seconds} seconds")).into())
        }
    }
}

/// Answers a panic as a problem. Nothing of a request outlives it: its state is dropped, and its transaction rolls back.
async fn unwound<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    AssertUnwindSafe(next.call(request)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a request panicked");
        Err(Problem::new(Code::Internal).into())
    })
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::{App, HttpResponse, test, web};

    use super::*;
    use crate::http::middleware::answers;

    async fn panics() -> HttpResponse {
        panic!("a secret")
    }

    #[actix_web::test]
    async fn a_panic_is_a_problem_of_its_own_request() {
        let app = App::new()
            .app_data(Gate::new(&Limits { requests_at_once: 1, ..Limits::default() }))
            .service(web::resource("/panics").get(panics))
            .service(web::resource("/works").get(HttpResponse::Ok))
            .wrap(from_fn(admit))
            .wrap(from_fn(keep))
            .wrap(from_fn(answers::write));
        let app = test::init_service(app).await;
        for _ in 0..2 {
            let request = test::TestRequest::get().uri("/panics").to_request();
            let error = test::try_call_service(&app, request).await.unwrap_err();
            let response = error.error_response();
            assert_eq!(response.status(), 500);
            let body = actix_web::body::to_bytes(response.into_body()).await.unwrap_or_default();
            let text = String::from_utf8_lossy(&body);
            assert!(text.contains("\"code\":\"internal\"") && !text.contains("secret"), "{text}");
        }
        let works = test::TestRequest::get().uri("/works").to_request();
        assert_eq!(test::call_service(&app, works).await.status(), 200);
    }

    #[actix_web::test]
    async fn an_address_has_its_share_of_the_places_without_a_token() {
        let gate = Gate::new(&Limits { requests_at_once: 12, anonymous_of_address: 2, ..Limits::default() });
        let of = |address: &str| {
            let peer = std::net::SocketAddr::new(address.parse().unwrap(), 1);
            gate.enter(&test::TestRequest::default().peer_addr(peer).to_srv_request())
        };
        let first = of("2001:db8::1");
        let second = of("2001:db8::2");
        assert!(first.is_some() && second.is_some());
        assert!(of("2001:db8::3").is_none(), "the same 64 bits");
        let other = of("2001:db8:0:1::1");
        assert!(other.is_some());
        assert!(of("192.0.2.1").is_none(), "a quarter of 12 is taken");
        drop(first);
        assert!(of("192.0.2.1").is_some());
        assert!(of("2001:db8::3").is_some());
    }
}
