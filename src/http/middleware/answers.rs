//! Every answer in its final form: problems get their body in the reader's language, whoever has refused, and all get the headers
//! that keep browsers and caches from making more of an answer than it is.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse};

use crate::http::etag;
use crate::http::extract::{Languages, Localised};
use crate::http::metrics::REQUEST_ID;
use crate::http::problem::{LANGUAGES, MEDIA_TYPE, Problem};
use crate::http::request_log::RequestId;

/// For whom an answer is written.
struct Reader {
    language: &'static str,
    id: RequestId,
    /// Whether it is an answer of the API, and not a page.
    of_api: bool,
    /// Whether it is a file of the API's documentation, which changes with the program alone.
    of_docs: bool,
}

/// What a page may load: its own files only.
const PAGES: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

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
    match next.call(request).await {
        Ok(response) => {
            let (request, response) = response.into_parts();
            let mut response = reader.write(etag::unless_known(&request, response.map_into_boxed_body()));
            // A problem, which has a language of its own, says so itself.
            if request.extensions().contains::<Localised>()
                && !response.headers().contains_key(header::CONTENT_LANGUAGE)
            {
                response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Language"));
            }
            Ok(ServiceResponse::new(request, response))
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
        Self {
            language: known.unwrap_or(english),
            id: RequestId::of(request),
            of_api: request.path().starts_with("/v1/"),
            of_docs: request.path().starts_with("/docs/"),
        }
    }

    fn write(&self, response: HttpResponse<BoxBody>) -> HttpResponse<BoxBody> {
        let mut response = self.explained(response);
        let docs = self.of_docs && response.status().is_success();
        let headers = response.headers_mut();
        let content = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let page = content.starts_with("text/html");
        let cached = if headers.contains_key(header::ETAG) { "private, no-cache" } else { "no-store" };
        let wanted = [
            (true, header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (true, header::REFERRER_POLICY, "no-referrer"),
            (self.of_api, header::CACHE_CONTROL, cached),
            (docs, header::CACHE_CONTROL, "public, max-age=3600"),
            (page, header::CONTENT_SECURITY_POLICY, PAGES),
        ];
        for (name, value) in wanted.into_iter().filter(|(is, ..)| *is).map(|(_, name, value)| (name, value)) {
            if !headers.contains_key(&name) {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        response
    }

    /// The answer with the body of its problem, if it is one.
    fn explained(&self, mut response: HttpResponse<BoxBody>) -> HttpResponse<BoxBody> {
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
        // The body that it had may have been packed; this one isn't.
        headers.remove(header::CONTENT_ENCODING);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(self.language));
        headers.append(header::VARY, HeaderValue::from_static("Accept-Language"));
        if let Ok(id) = HeaderValue::from_str(self.id.as_str()) {
            headers.insert(REQUEST_ID, id);
        }
        if status == StatusCode::REQUEST_TIMEOUT || status == StatusCode::PAYLOAD_TOO_LARGE {
            // The rest of the body isn't read, so nothing can follow it.
            response.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
        }
        response.set_body(BoxBody::new(serde_json::to_string(&body).unwrap_or_default()))
    }
}
