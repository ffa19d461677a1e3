//! Entity tags: the version of a resource in quotes, what a client knows already, and on which versions its change may rest.

use actix_web::body::BoxBody;
use actix_web::http::header::{self, ContentType, ETag, EntityTag, Header, IfMatch, IfNoneMatch};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::problem::{Code, Problem};
use crate::digest::Digest;
use crate::versions::Versions;

/// The tag of a version.
pub fn tag(version: i64) -> ETag {
    ETag(EntityTag::new_strong(version.to_string()))
}

/// A resource without versions, with the digest of its content as its tag.
pub fn tagged(content: &impl Serialize) -> Result<HttpResponse, Problem> {
    let body = serde_json::to_vec(content).map_err(|_| Problem::new(Code::Internal))?;
    let tag = ETag(EntityTag::new_strong(Digest::of(&body).to_string()));
    Ok(HttpResponse::Ok().insert_header(tag).content_type(ContentType::json()).body(body))
}

/// The versions that `If-Match` accepts. Weak tags name none, and tags that aren't ours neither.
pub fn versions(request: &HttpRequest) -> Versions {
    match IfMatch::parse(request) {
        Ok(IfMatch::Any) => Versions::Any,
        Ok(IfMatch::Items(tags)) => {
            let named = |named: &EntityTag| {
                let version = named.tag().parse().ok()?;
                tag(version).0.strong_eq(named).then_some(version)
            };
            Versions::These(tags.iter().filter_map(named).collect())
        }
        Err(_) => Versions::These(Vec::new()),
    }
}

/// Whether the client says by `If-None-Match` that it has what a tag names.
pub fn knows(request: &HttpRequest, ETag(current): &ETag) -> bool {
    if !request.headers().contains_key(header::IF_NONE_MATCH) {
        return false;
    }
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(current)),
        Err(_) => false,
    }
}

/// The answer, or 304 where it is one to a reading request that has its tag already.
pub fn unless_known(request: &HttpRequest, response: HttpResponse<BoxBody>) -> HttpResponse<BoxBody> {
    let reads = request.method() == Method::GET && response.status() == StatusCode::OK;
    let tag = response
        .headers()
        .get(header::ETAG)
        .and_then(|tag| tag.to_str().ok())
        .and_then(|tag| tag.parse().ok())
        .map(ETag);
    match &tag {
        Some(tag) if reads && knows(request, tag) => {
            let mut known = response.set_body(BoxBody::new(()));
            *known.status_mut() = StatusCode::NOT_MODIFIED;
            known.headers_mut().remove(header::CONTENT_TYPE);
            known.headers_mut().remove(header::CONTENT_ENCODING);
            known
        }
        _ => response,
    }
}
