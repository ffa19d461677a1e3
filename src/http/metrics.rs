//! Metrics in Prometheus' text format: what this process counts as it works, and how a request is counted. Labels are route
//! patterns and fixed words, never what a client has sent.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use sha2::{Digest, Sha256};

use super::request_log::RequestId;
use crate::config::Secret;

/// The header by which clients name their requests and answers repeat the name.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUESTS: &str = "baremo_http_requests_total";
const REQUEST_SECONDS: &str = "baremo_http_request_seconds";
const REQUESTS_RUNNING: &str = "baremo_http_requests_running";
/// Upper bounds of the histogram of request times, in seconds.
const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// What the process has counted so far. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    scraper: Option<[u8; 32]>,
}

impl Metrics {
    /// Begins to count. Who sends `token` as a bearer token may read the metrics without being a user. One for each process: of
    /// several the first one counts.
    pub fn begin(token: Option<&Secret>) -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new().set_buckets(&SECONDS)?.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_ok() {
            describe_counter!(REQUESTS, "Requests answered, by method, route and status.");
            describe_histogram!(REQUEST_SECONDS, "Time until a request was answered, by method and route.");
            describe_gauge!(REQUESTS_RUNNING, "Requests that are being answered.");
            describe_counter!(
                crate::assessments::write::ASSESSED,
                "Customers assessed, by what led to it (due, run) and result (stored, unchanged, overtaken)."
            );
        }
        Ok(Self { handle, scraper: token.map(|token| fingerprint(token.reveal())) })
    }

    /// The metrics as text.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Lets go of single measurements that are in the histograms by now; to be called every few seconds, whoever reads them or not.
    pub fn tidy(&self) {
        self.handle.run_upkeep();
    }

    /// Whether a bearer token is that of the scraper. Digests are compared, so that the time says nothing about the token.
    pub fn is_scraper(&self, token: &str) -> bool {
        self.scraper.is_some_and(|scraper| scraper == fingerprint(token))
    }
}

fn fingerprint(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Names, measures and counts a request. The outermost middleware, so that it sees what the others refuse.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let id = RequestId::of(&request);
    let method = method(request.method());
    let (begun, running) = (Instant::now(), Running::begin());
    let answered = next.call(request).await;
    drop(running);
    let (route, status) = match &answered {
        Ok(response) => (response.request().match_pattern(), response.status()),
        Err(error) => (None, error.as_response_error().status_code()),
    };
    let route = route.unwrap_or_else(|| "none".to_owned());
    let status = status.as_u16().to_string();
    histogram!(REQUEST_SECONDS, "method" => method, "route" => route.clone()).record(begun.elapsed());
    counter!(REQUESTS, "method" => method, "route" => route, "status" => status).increment(1);
    answered.map(|mut response| {
        if let Ok(id) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    })
}

/// What a method is called in metrics, logs and traces: a client may send any word as one.
pub(super) fn method(method: &Method) -> &'static str {
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    known.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// A request that is being answered; also one whose client goes away ends.
struct Running;

impl Running {
    fn begin() -> Self {
        gauge!(REQUESTS_RUNNING).increment(1);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        gauge!(REQUESTS_RUNNING).decrement(1);
    }
}
