//! Lists as answers: the page, and by `Link` (RFC 8288) the request that gives the next one.

use actix_web::body::BoxBody;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::Serialize;

/// A page of a list.
pub trait Page: Serialize {
    /// Cursor of the next page; nothing at the end.
    fn next_cursor(&self) -> Option<&str>;
}

/// A page as an answer.
pub struct Listed<T>(pub T);

impl<T: Page> Responder for Listed<T> {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        if let Some(cursor) = self.0.next_cursor() {
            response.insert_header((header::LINK, next_link(request, cursor)));
        }
        response.json(self.0)
    }
}

/// The same request with another cursor. What the client sent is already encoded.
fn next_link(request: &HttpRequest, cursor: &str) -> String {
    let kept = request.query_string().split('&').filter(|part| !part.is_empty() && !part.starts_with("cursor="));
    let query: Vec<String> = kept.map(str::to_owned).chain([format!("cursor={cursor}")]).collect();
    format!("<{}?{}>; rel=\"next\"", request.path(), query.join("&"))
}
