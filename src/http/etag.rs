//! Entity tags: the version of a resource, in quotes.

use actix_web::HttpRequest;
use actix_web::http::header::{self, ETag, EntityTag, Header, IfNoneMatch};

/// The tag of a version.
pub fn tag(version: i64) -> ETag {
    ETag(EntityTag::new_strong(version.to_string()))
}

/// The version of a tag, or nothing when it isn't one of ours.
pub fn version(tag: &str) -> Option<i64> {
    tag.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

/// Whether the client says by `If-None-Match` that it has this version.
pub fn is_known(request: &HttpRequest, version: i64) -> bool {
    knows(request, &tag(version))
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
