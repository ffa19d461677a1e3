//! Bounds what requests take of the process: how many at once, for how long; and a panic ends its own request only.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::http::limits::Limits;
use crate::http::problem::{Code, Problem};

/// What is asked by those who watch the service, also when it has too much to do.
pub(super) const WATCHED: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Lets as many requests in at once as the process takes.
pub struct Gate {
    places: Arc<Semaphore>,
    time: Duration,
}

impl Gate {
    /// A gate for all threads of a process.
    pub fn new(limits: &Limits) -> web::Data<Self> {
        let places = Arc::new(Semaphore::new(limits.requests_at_once));
        web::Data::new(Self { places, time: limits.request_time })
    }
}

/// The middleware.
pub async fn keep(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let gate = request.app_data::<web::Data<Gate>>().cloned();
    let watched = WATCHED.contains(&request.path());
    let Some(gate) = gate.filter(|_| !watched) else { return unwound(request, next).await };
    let Ok(_place) = gate.places.clone().try_acquire_owned() else { return Err(Problem::new(Code::Busy).into()) };
    if request.content_type().to_ascii_lowercase().starts_with("multipart/") {
        return unwound(request, next).await;
    }
    match timeout(gate.time, unwound(request, next)).await {
        Ok(answered) => answered,
        Err(_) => {
            let seconds = gate.time.as_secs_f64();
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
