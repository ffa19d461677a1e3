//! Entity tags: the version of a resource, in quotes.

use actix_web::http::header::{ETag, EntityTag};

/// The tag of a version.
pub fn tag(version: i64) -> ETag {
    ETag(EntityTag::new_strong(version.to_string()))
}

/// The version of a tag, or nothing when it isn't one of ours.
pub fn version(tag: &str) -> Option<i64> {
    tag.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}
