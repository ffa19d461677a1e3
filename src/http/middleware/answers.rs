//! Every answer in its final form: problems get their body in the reader's language, whoever has refused, and what panics is one.

use std::panic::AssertUnwindSafe;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};
use futures_util::FutureExt;

use crate::http::extract::Languages;
use crate::http::problem::{Code, LANGUAGES, MEDIA_TYPE, Problem};
use crate::http::request_log::RequestId;

/// For whom an answer is written.
struct Reader {
    language: &'static str,
    id: RequestId,
}

/// The middleware.
pub async fn write(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let reader = Reader::of(&request);
    if request.method() == Method::HEAD {
        // Answered as GET is; the server below leaves the body out.
        request.head_mut().method = Method::GET;
    }
    // Nothing of a request outlives its panic: its state is dropped, transactions roll back.
    let answered = AssertUnwindSafe(next.call(request)).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a request panicked");
        Err(Problem::new(Code::Internal).into())
    });
    match answered {
        Ok(response) => {
            let (request, response) = response.into_parts();
            Ok(ServiceResponse::new(request, reader.write(response.map_into_boxed_body())))
        }
        Err(mut error) => {
            error.add_response_mapper(move |response| reader.write(response));
            Err(error)
        }
    }
}

impl Reader {
    fn of(request: &ServiceRequest) -> Self {
        let Languages(preferred) = Languages::of(request.request());
        let known = preferred.iter().find_map(|tag| LANGUAGES.into_iter().find(|language| language == tag));
        let [english, ..] = LANGUAGES;
        Self { language: known.unwrap_or(english), id: RequestId::of(request) }
    }

    fn write(&self, mut response: HttpResponse<BoxBody>) -> HttpResponse<BoxBody> {
        let status = response.status();
        if !status.is_client_error() && !status.is_server_error() {
            return response;
        }
        let problem = response.extensions_mut().remove::<Problem>();
        let is_written = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == MEDIA_TYPE);
        if problem.is_none() && is_written {
            return response;
        }
        let body = problem.unwrap_or_else(|| Problem::of_status(status)).body(self.language, self.id.as_str());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(self.language));
        headers.append(header::VARY, HeaderValue::from_static("Accept-Language"));
        if status == StatusCode::REQUEST_TIMEOUT || status == StatusCode::PAYLOAD_TOO_LARGE {
            // The rest of the body isn't read, so nothing can follow it.
            response.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
        }
        response.set_body(BoxBody::new(serde_json::to_string(&body).unwrap_or_default()))
    }
}
