//! Making releases over HTTP: keeping files as a release, checking one, listing them, and telling what differs between two.

use std::collections::BTreeMap;

use actix_web::http::header;
use actix_web::{HttpResponse, get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::check::{PackCheck, PackFiles, examined};
use crate::db::{self, Conn, Db};
use crate::digest::Digest;
use crate::faults::{Fault, pointer_segment};
use crate::http::current::Current;
use crate::http::extract::{Body, Parameters, PathDigest};
use crate::http::list::{Listed, Page};
use crate::http::paging::{self, PageParameters};
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{ReadReleases, WriteReleases};
use crate::policy::diagnostic::Diagnostic;
use crate::policy::difference::{Cell, Change, Difference, difference};
use crate::policy::source::Source;
use crate::releases::active::{Active, InForce};
use crate::releases::author::{self, said};
use crate::releases::model::{Release, StepKind};
use crate::releases::store;
use crate::releases::view::ReleaseSummary;
use crate::schemas::PackFileTexts;

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config.service(create_release).service(list_releases).service(check_release).service(get_release_difference);
}

/// Files that are to be kept as a release.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"message": "A function for shares of a whole", "files": {"lib/shares.rhai": "fn share(part, whole) {\n    if whole == 0 { 0 } else { part / whole }\n}\n"}}))]
pub struct ReleaseBody {
    /// What changes, and why, for whoever reads it later.
    #[schema(min_length = 1, max_length = 1000)]
    message: String,
    /// Texts by path inside the pack, such as `policies/<policy>.rhai`; null leaves a file out.
    #[schema(value_type = PackFileTexts)]
    files: BTreeMap<String, Option<String>>,
    /// Whether these are all files of the pack. Otherwise those that aren't named are as in the release in force.
    #[serde(default)]
    #[schema(required = false, default = false)]
    whole: bool,
}

/// Make a release
///
/// Keeps files, as they are or in place of those of the release in force, under the digest of their content. It is a draft until it
/// was checked. The same content is kept once: then the release is as it was.
#[utoipa::path(tag = "releases", operation_id = "createRelease", security(("bearer" = ["releases:write"])), request_body = ReleaseBody, responses(
    (status = 201, body = ReleaseSummary, description = "Kept", headers(("Location" = String, description = "Address of the release"))),
    Problems
))]
#[post("/v1/releases")]
pub async fn create_release(
    permit: Permit<WriteReleases>,
    db: web::Data<Db>,
    active: Current<Active>,
    body: Body<ReleaseBody>,
) -> Result<HttpResponse, Problem> {
    let ReleaseBody { message, files, whole } = body.0;
    let files = PackFiles { files, whole };
    let message = said("/message", &message).map_err(|fault| Problem::invalid(vec![fault]))?;
    let (in_force, pack_id) = (active.basis.release, active.release.pack.id.clone());
    let user = permit.principal.user_id;
    let kept = db
        .run(move |conn| {
            let kept = files.kept(conn, in_force)?;
            let source = match files.source(kept) {
                Ok(source) => source,
                Err(faults) => return Ok(Err(faults)),
            };
            let by = author::by(conn, user)?;
            author::keep(conn, &source, &pack_id, &by, Some(message), Some(in_force)).map(Ok)
        })
        .await
        .map_err(|error: db::Error| Problem::from(error))?;
    let release = kept.map_err(|faults| {
        let fault = |fault: &Diagnostic| {
            let file = Some(fault.file.as_str()).filter(|file| !file.is_empty()).map(pointer_segment);
            Fault::new(format!("/files{}", file.unwrap_or_default()), fault.code, fault.message.clone())
        };
        Problem::invalid(faults.iter().map(fault).collect())
    })?;
    let digest = release.digest;
    let location = (header::LOCATION, format!("/v1/releases/{digest}"));
    Ok(HttpResponse::Created().insert_header(location).json(ReleaseSummary::new(release, in_force)))
}

/// A page of releases.
#[derive(Serialize, ToSchema)]
pub struct ReleaseList {
    /// The releases, newest first.
    items: Vec<ReleaseSummary>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for ReleaseList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// List releases
///
/// Newest first, with what was done with each.
#[utoipa::path(tag = "releases", operation_id = "listReleases", security(("bearer" = ["releases:read"])), params(PageParameters), responses(
    (status = 200, body = ReleaseList, description = "A page"),
    Problems
))]
#[get("/v1/releases")]
pub async fn list_releases(
    _: Permit<ReadReleases>,
    db: web::Data<Db>,
    active: Current<Active>,
    parameters: Parameters,
) -> Result<Listed<ReleaseList>, Problem> {
    let (before, limit) = parameters.page::<(Timestamp, Digest)>()?;
    let found = db.run(move |conn| store::releases_page(conn, before, i64::from(limit) + 1)).await?;
    let place = |last: &Release| paging::cursor(&(last.created_at, last.digest));
    let (items, next_cursor) = paging::page(found, limit, place);
    let in_force = active.basis.release;
    let items = items.into_iter().map(|release| ReleaseSummary::new(release, in_force)).collect();
    Ok(Listed(ReleaseList { items, next_cursor }))
}

/// The files of a release that is kept.
pub fn source_of(conn: &mut Conn, digest: Digest) -> db::Result<Option<Source>> {
    let content = store::release(conn, digest)?;
    let unreadable = |_| db::Error::Corrupt(format!("the release {digest} can't be read"));
    content.map(|content| Source::from_json(&content).map_err(unreadable)).transpose()
}

/// Check a release
///
/// Checks its files and runs its cases. Where nothing is wrong a draft is checked from now on, and can be compared and put in force.
#[utoipa::path(tag = "releases", operation_id = "checkRelease", security(("bearer" = ["releases:write"])),
    params(("digest" = Digest, Path, description = "The release's digest, sha256:…")), responses(
    (status = 200, body = PackCheck, description = "What was found"),
    Problems
))]
#[post("/v1/releases/{digest}/check")]
pub async fn check_release(
    permit: Permit<WriteReleases>,
    db: web::Data<Db>,
    active: Current<Active>,
    digest: PathDigest,
) -> Result<web::Json<PackCheck>, Problem> {
    let digest = digest.0;
    let examine = |source: Option<Source>| source.map(|source| examined(Ok(source)));
    let found = db.run_then(move |conn| source_of(conn, digest), examine).await?;
    let found = found.ok_or_else(|| Problem::new(Code::NotFound))?;
    if found.sound {
        let (user, in_force) = (permit.principal.user_id, active.basis.release);
        db.run(move |conn| {
            let by = author::by(conn, user)?;
            author::note_checked(conn, digest, by, Some(in_force))
        })
        .await?;
    }
    Ok(web::Json(found))
}

/// What differs from one release to another.
#[derive(Serialize, ToSchema)]
pub struct ReleaseDifference {
    /// The one before.
    from: Digest,
    /// The one after.
    to: Digest,
    /// Policies whose decisions may differ.
    policies: Vec<NamedChange>,
    /// Numbers, texts and rows of constants that differ.
    cells: Vec<CellChange>,
    /// Fields that differ.
    fields: Vec<NamedChange>,
    /// Metrics that differ.
    metrics: Vec<NamedChange>,
    /// Cohorts that differ.
    cohorts: Vec<NamedChange>,
    /// Files that differ.
    files: Vec<NamedChange>,
}

/// Something that differs between two releases.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"name": "volume_grade", "change": "changed"}))]
pub struct NamedChange {
    /// Its id, key or path.
    name: String,
    /// How.
    change: Change,
}

/// A number, a text or a row of a constant that differs.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"policy": "volume_grade", "place": "GRADES, cell 1, row 2, cell 1", "before": "15", "after": "16"}))]
pub struct CellChange {
    /// The policy.
    policy: String,
    /// The constant, and where in it, counted from 1.
    place: String,
    /// What stood there; absent where there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    before: Option<String>,
    /// What stands there; absent where there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    after: Option<String>,
}

impl ReleaseDifference {
    fn new((from, to): (Digest, Digest), found: Difference) -> Self {
        let named = |all: BTreeMap<String, Change>| {
            all.into_iter().map(|(name, change)| NamedChange { name, change }).collect::<Vec<_>>()
        };
        let cell = |Cell { policy, place, before, after }| CellChange { policy, place, before, after };
        Self {
            from,
            to,
            policies: named(found.policies),
            cells: found.cells.into_iter().map(cell).collect(),
            fields: named(found.fields),
            metrics: named(found.metrics),
            cohorts: named(found.cohorts),
            files: named(found.files),
        }
    }
}

/// What differs between releases
///
/// From another release to this one: policies, tables cell by cell, fields, metrics, cohorts, files. Without `from` the other one is
/// the release that was in force when this one was made, and else the one in force now. Both must be without faults.
#[utoipa::path(tag = "releases", operation_id = "getReleaseDifference", security(("bearer" = ["releases:read"])), params(
    ("digest" = Digest, Path, description = "The release's digest, sha256:…"),
    ("from" = Option<Digest>, Query, description = "Digest of the release before"),
), responses(
    (status = 200, body = ReleaseDifference, description = "What differs"),
    (status = 409, description = "One of them has faults"),
    Problems
))]
#[get("/v1/releases/{digest}/difference")]
pub async fn get_release_difference(
    _: Permit<ReadReleases>,
    db: web::Data<Db>,
    active: Current<Active>,
    in_force: web::Data<InForce>,
    digest: PathDigest,
    parameters: Parameters,
) -> Result<web::Json<ReleaseDifference>, Problem> {
    let to = digest.0;
    let mut from = None;
    for (name, value) in &parameters.0 {
        match name.as_str() {
            "from" => {
                let read = value.parse::<Digest>().map_err(|error| Fault::new("from", "digest", error.to_string()));
                from = Some(read.map_err(|fault| Problem::invalid(vec![fault]))?);
            }
            name => return Err(Problem::invalid(vec![Parameters::unknown(name, &["from"])])),
        }
    }
    let current = active.basis.release;
    let found = db
        .run(move |conn| {
            let Some(release) = store::release_with_steps(conn, to)? else { return Ok(None) };
            let parent = release.steps.iter().find(|step| step.kind == StepKind::Created).and_then(|step| step.parent);
            let from = from.or(parent).unwrap_or(current);
            let (Some(before), Some(after)) = (source_of(conn, from)?, source_of(conn, to)?) else { return Ok(None) };
            Ok::<_, db::Error>(Some(((from, before), (to, after))))
        })
        .await?;
    let ((from, before), (to, after)) = found.ok_or_else(|| Problem::new(Code::NotFound))?;
    let draft = |_| Problem::detailed(Code::Conflict, "the release has faults; POST …/check tells them");
    let state = in_force.clone();
    let load = move |conn: &mut Conn| {
        let loaded = (state.release(conn, from), state.release(conn, to));
        Ok::<_, db::Error>(loaded.0.ok().zip(loaded.1.ok()))
    };
    let (old, new) = db.run(load).await?.ok_or(()).map_err(draft)?;
    Ok(web::Json(ReleaseDifference::new((from, to), difference((&before, &old), (&after, &new)))))
}
