//! The pack in force, releases and cohorts over HTTP.

mod cases;
mod check;
mod making;
pub mod openapi;
mod pack;

use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::active::Active;
use super::store;
use super::view::{ReleaseSummary, ReleaseView};
use crate::db::{self, Conn, Db};
use crate::digest::Digest;
use crate::http::current::Current;
use crate::http::etag;
use crate::http::extract::PathDigest;
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::ReadReleases;
use crate::policy::model::Cohort;
use crate::policy::source::Source;

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(get_release)
        .service(get_cohort)
        .configure(cases::configure)
        .configure(check::configure)
        .configure(making::configure)
        .configure(pack::configure);
}

/// Read a release
///
/// The files of the pack, as they were when it was made, how far it has come, and what was done with it.
#[utoipa::path(tag = "pack", operation_id = "getRelease", security(("bearer" = ["releases:read"])),
    params(("digest" = Digest, Path, description = "The release's digest, sha256:…")), responses(
    (status = 200, body = ReleaseView, description = "The release", headers(("ETag" = String, description = "Its content's"))),
    Problems
))]
#[get("/v1/releases/{digest}")]
pub async fn get_release(
    _: Permit<ReadReleases>,
    db: web::Data<Db>,
    active: Current<Active>,
    digest: PathDigest,
) -> Result<HttpResponse, Problem> {
    let digest = digest.0;
    let read = move |conn: &mut Conn| {
        Ok::<_, db::Error>((store::release(conn, digest)?, store::release_with_steps(conn, digest)?))
    };
    let (content, release) = db.run(read).await?;
    let (content, release) = content.zip(release).ok_or_else(|| Problem::new(Code::NotFound))?;
    let Ok(source) = Source::from_json(&content) else { return Err(Problem::new(Code::Internal)) };
    let files = source.files().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
    etag::tagged(&ReleaseSummary::new(release, active.basis.release).with_files(files))
}

/// Frozen statistics of the population.
#[derive(Serialize, ToSchema)]
#[schema(as = Cohort)]
pub struct CohortView {
    /// Its digest.
    digest: Digest,
    /// Cuts of each declared cohort, for all and by group.
    #[schema(value_type = Object)]
    cohorts: serde_json::Value,
}

/// Read a cohort
///
/// The statistics that decisions were relative to.
#[utoipa::path(tag = "pack", operation_id = "getCohort", security(("bearer" = ["releases:read"])),
    params(("digest" = Digest, Path, description = "The cohort's digest, sha256:…")), responses(
    (status = 200, body = CohortView, description = "The cohort", headers(("ETag" = String, description = "Its content's"))),
    Problems
))]
#[get("/v1/cohorts/{digest}")]
pub async fn get_cohort(
    _: Permit<ReadReleases>,
    db: web::Data<Db>,
    digest: PathDigest,
) -> Result<HttpResponse, Problem> {
    let digest = digest.0;
    let cohort: Cohort =
        db.run(move |conn| store::cohort(conn, digest)).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
    let cohorts = serde_json::to_value(&cohort.cohorts).map_err(|error| crate::db::Error::corrupt("cohort", error))?;
    etag::tagged(&CohortView { digest, cohorts })
}
