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
            .route("/panics", web::get().to(panics))
            .route("/works", web::get().to(HttpResponse::Ok))
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
}
