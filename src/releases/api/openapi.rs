//! The description of the API as a running service gives it: with the declarations of the pack in force.

use std::sync::Arc;

use actix_web::http::header::{self, ETag, EntityTag};
use actix_web::{HttpRequest, HttpResponse, get, web};
use arc_swap::ArcSwapOption;
use serde_json::{Value as Json, json};

use crate::digest::Digest;
use crate::http::{etag, examples};
use crate::policy::pack::Pack;
use crate::releases::active::InForce;
use crate::releases::description::with_pack;

/// The description without a pack, and the one of the release that was in force last.
pub struct Descriptions {
    base: Json,
    made: ArcSwapOption<Made>,
}

/// A description as it is sent.
struct Made {
    release: Option<Digest>,
    text: web::Bytes,
    tag: EntityTag,
}

impl Descriptions {
    /// Descriptions on a base, which is given while nothing is in force.
    pub fn new(base: Json) -> Self {
        Self { base, made: ArcSwapOption::empty() }
    }

    /// Made once for each release.
    fn current(&self, in_force: &InForce) -> Arc<Made> {
        let active = in_force.get();
        let release = active.as_ref().map(|active| active.basis.release);
        if let Some(made) = self.made.load_full().filter(|made| made.release == release) {
            return made;
        }
        let text = match active {
            Some(active) => running(&self.base, &active.release.pack).to_string(),
            None => self.base.to_string(),
        };
        let tag = EntityTag::new_strong(Digest::of(&text).to_string());
        let made = Arc::new(Made { release, text: text.into(), tag });
        self.made.store(Some(made.clone()));
        made
    }
}

/// The description that a service gives while a pack is in force.
pub fn running(base: &Json, pack: &Pack) -> Json {
    let mut description = with_pack(base, pack);
    examples::complete(&mut description);
    let document = description.pointer("/components/schemas/Document/example").cloned();
    if let Some(Json::Object(request)) = description.pointer_mut("/components/schemas/EvaluationRequest") {
        // A customer or a document may be sent, not both.
        request.insert("example".to_owned(), json!({"document": document}));
    }
    description
}

/// Gives the description, or 304 to whoever has it. It needs no token, as `/docs` reads it.
#[get("/openapi.json")]
pub async fn get_description(
    request: HttpRequest,
    descriptions: web::Data<Descriptions>,
    in_force: web::Data<InForce>,
) -> HttpResponse {
    let made = descriptions.current(&in_force);
    let tag = ETag(made.tag.clone());
    if etag::knows(&request, &tag) {
        return HttpResponse::NotModified().insert_header(tag).finish();
    }
    HttpResponse::Ok()
        .insert_header(tag)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .content_type("application/json")
        .body(made.text.clone())
}
