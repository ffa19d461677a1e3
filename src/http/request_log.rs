//! One span for each request, with its id, method, route pattern and status. Paths, queries, headers and bodies may hold personal
//! data or secrets and are not logged.

use actix_web::HttpMessage;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use tracing::Span;
use tracing_actix_web::RootSpanBuilder;

use super::metrics::method;

/// Longest id that a client may give its request.
const MAX_ID: usize = 64;

/// What a request is called in logs, traces and its answer: as the client has named it by `X-Request-Id`, where that is 1 to 64
/// letters, digits, `-`, `_` or `.`, else a new UUID.
#[derive(Clone)]
pub struct RequestId(String);

impl RequestId {
    /// The id of a request, given at the first call.
    pub fn of(request: &ServiceRequest) -> Self {
        if let Some(id) = request.extensions().get::<Self>() {
            return id.clone();
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let sent = request.headers().get("x-request-id").and_then(|id| id.to_str().ok());
        let sent = sent.filter(|id| (1..=MAX_ID).contains(&id.len()) && id.bytes().all(is_plain));
        let id = Self(sent.map_or_else(|| crate::Id::new().to_string(), str::to_owned));
        request.extensions_mut().insert(id.clone());
        id
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Makes the span.
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let span = tracing::info_span!(
            "request",
            id = RequestId::of(request).as_str(),
            method = method(request.method()),
            route = request.match_pattern().unwrap_or_default(),
            status = tracing::field::Empty,
        );
        #[cfg(feature = "otel")]
        super::traces::follow(&span, request.headers());
        span
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, actix_web::Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        span.record("status", status.as_u16());
        let _entered = span.enter();
        if status.is_server_error() {
            tracing::warn!("a request failed");
        } else {
            tracing::debug!("a request was answered");
        }
    }
}
