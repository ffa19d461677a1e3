//! The pack in force, releases and cohorts over HTTP.

mod cases;
mod check;
mod making;
pub mod openapi;
mod pack;

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, web};
use rust_decimal::Decimal;
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
use crate::policy::model::{Cohort, CohortCuts, Cuts};
use crate::policy::source::Source;
use crate::schemas::DecimalText;

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
#[schema(as = Cohort, example = json!({"digest": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "cohorts": {"volume_in_format": {"all": {"count": 136, "cuts": ["4.5", "9"]}, "groups": {"grocery": {"count": 80, "cuts": ["5", "11.25"]}}}}}))]
pub struct CohortView {
    /// Its digest.
    digest: Digest,
    /// Cuts of each cohort that the pack declared, by its id.
    cohorts: BTreeMap<String, CohortCutsView>,
}

/// Cuts of a cohort.
#[derive(Serialize, ToSchema)]
#[schema(as = CohortCuts, example = json!({"all": {"count": 136, "cuts": ["4.5", "9"]}}))]
pub struct CohortCutsView {
    /// Over the whole population.
    all: GroupCutsView,
    /// By group that is large enough: the values of the grouping fields, joined by `/`. Absent where there is none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<String, GroupCutsView>,
}

/// What customers are compared with: where the classes of their value begin.
#[derive(Serialize, ToSchema)]
#[schema(as = GroupCuts, example = json!({"count": 136, "cuts": ["4.5", "9"]}))]
pub struct GroupCutsView {
    /// Customers counted.
    #[schema(minimum = 0)]
    count: u64,
    /// The smallest value of each class but the lowest, ascending, in the unit of the metric that the cohort cuts.
    #[schema(value_type = Vec<DecimalText>)]
    cuts: Vec<Decimal>,
}

impl GroupCutsView {
    fn new(cuts: &Cuts) -> Self {
        Self { count: cuts.count(), cuts: cuts.cuts().to_vec() }
    }
}

impl CohortView {
    fn new(digest: Digest, cohort: &Cohort) -> Self {
        let view = |cuts: &CohortCuts| CohortCutsView {
            all: GroupCutsView::new(&cuts.all),
            groups: cuts.groups.iter().map(|(group, cuts)| (group.clone(), GroupCutsView::new(cuts))).collect(),
        };
        Self { digest, cohorts: cohort.cohorts.iter().map(|(id, cuts)| (id.clone(), view(cuts))).collect() }
    }
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
    etag::tagged(&CohortView::new(digest, &cohort))
}
