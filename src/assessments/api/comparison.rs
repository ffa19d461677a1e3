//! Comparing a release with the one in force before it replaces it, and approving it, over HTTP.

pub(super) mod view;

use actix_web::http::header;
use actix_web::{HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use self::view::ComparisonResult;
use crate::Id;
use crate::assessments::comparison::{self, Comparison, Population, export};
use crate::assessments::model::{Run, RunStatus};
use crate::assessments::publishing;
use crate::assessments::run;
use crate::assessments::store;
use crate::assessments::worker::Workers;
use crate::db::{self, Conn, Db};
use crate::digest::Digest;
use crate::faults::Fault;
use crate::http::current::Current;
use crate::http::extract::{Body, Languages, Parameters, PathDigest};
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{ApproveReleases, ReadCustomers, WriteReleases};
use crate::releases::active::{Active, InForce};
use crate::releases::author::{self, said};
use crate::releases::view::ReleaseSummary;
use crate::schemas::{ChosenValues, Workbook};

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(create_comparison)
        .service(get_comparison)
        .service(export_comparison)
        .service(cancel_comparison)
        .service(create_approval);
}

/// Whom a comparison looks at.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct ComparisonRequest {
    /// Only customers with one of these values, by field. A comparison of a part is good for looking, not for approval.
    #[serde(default)]
    #[schema(required = false, value_type = ChosenValues)]
    population: Population,
}

/// What differs, over the customers, between a release and the one in force.
#[derive(Serialize, ToSchema)]
#[schema(as = Comparison)]
pub struct ComparisonView {
    /// The release that is compared.
    release: Digest,
    /// How far it is.
    status: RunStatus,
    /// The run that makes it: `/v1/runs/{id}/events` follows it.
    #[schema(value_type = uuid::Uuid)]
    run_id: Id,
    /// Customers to look at.
    total: u64,
    /// Customers looked at so far.
    compared: u64,
    /// Only customers with one of these values, by field; everybody where there is none.
    #[schema(value_type = ChosenValues)]
    population: Population,
    /// What came of it; absent until it is finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    result: Option<ComparisonResult>,
}

/// A comparison as it is kept, with its run.
struct Found {
    run: Run,
    population: Population,
    result: Option<(Digest, Comparison)>,
}

fn find(conn: &mut Conn, release: Digest) -> db::Result<Option<Found>> {
    let Some(task) = store::last_comparison(conn, release)? else { return Ok(None) };
    let Some(run) = store::run(conn, task.run_id)? else { return Ok(None) };
    // Read again: it may have been finished in between.
    let Some(task) = store::comparison(conn, run.id)? else { return Ok(None) };
    let result = task.content.map(|(content, digest)| Ok::<_, db::Error>((digest, Comparison::read(&content)?)));
    Ok(Some(Found { run, population: task.population, result: result.transpose()? }))
}

impl ComparisonView {
    fn new(release: Digest, found: Found, result: Option<ComparisonResult>) -> Self {
        Self {
            release,
            status: found.run.status,
            run_id: found.run.id,
            total: found.run.total,
            compared: found.run.progress.assessed,
            population: found.population,
            result,
        }
    }
}

/// Start a comparison
///
/// Lets the release decide about all active customers, beside the one in force, without keeping any outcome. 409 while another
/// comparison is being made.
#[utoipa::path(tag = "releases", operation_id = "createComparison", security(("bearer" = ["releases:write"])),
    params(("digest" = Digest, Path, description = "The release's digest, sha256:…")), request_body = ComparisonRequest, responses(
    (status = 202, body = ComparisonView, description = "Started", headers(("Location" = String, description = "Address of the comparison"))),
    Problems
))]
#[post("/v1/releases/{digest}/comparison")]
pub async fn create_comparison(
    permit: Permit<WriteReleases>,
    db: web::Data<Db>,
    active: Current<Active>,
    workers: web::Data<Workers>,
    digest: PathDigest,
    body: Body<ComparisonRequest>,
) -> Result<HttpResponse, Problem> {
    let digest = digest.0;
    let (state, user, population) = (active.0.clone(), permit.principal.user_id, body.0.population);
    let found = db
        .run(move |conn| {
            let by = author::by(conn, user)?;
            let run = comparison::create(conn, &state, digest, population.clone(), by)?;
            Ok::<_, run::Error>(Found { run, population, result: None })
        })
        .await?;
    workers.wake();
    let location = (header::LOCATION, format!("/v1/releases/{digest}/comparison"));
    Ok(HttpResponse::Accepted().insert_header(location).json(ComparisonView::new(digest, found, None)))
}

/// Read a comparison
///
/// The last one of the release: how far it is, and when it is finished what came of it. `policy` leaves all others out.
#[utoipa::path(tag = "releases", operation_id = "getComparison", security(("bearer" = ["customers:read"])), params(
    ("digest" = Digest, Path, description = "The release's digest, sha256:…"),
    ("policy" = Option<String>, Query, nullable = false, max_length = 200, description = "Only this policy", example = "volume_grade"),
), responses(
    (status = 200, body = ComparisonView, description = "The comparison"),
    Problems
))]
#[get("/v1/releases/{digest}/comparison")]
pub async fn get_comparison(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    active: Current<Active>,
    in_force: web::Data<InForce>,
    languages: Languages,
    digest: PathDigest,
    mut parameters: Parameters,
) -> Result<web::Json<ComparisonView>, Problem> {
    let digest = digest.0;
    let only = parameters.text("policy")?;
    if let Some((name, _)) = parameters.0.first() {
        return Err(Problem::invalid(vec![Parameters::unknown(name, &["policy"])]));
    }
    let read = move |conn: &mut Conn| {
        let Some(mut found) = find(conn, digest)? else { return Ok(None) };
        let result = found.result.take();
        let packs = match &result {
            Some((_, kept)) => Some((in_force.release(conn, kept.in_force)?, in_force.release(conn, kept.candidate)?)),
            None => None,
        };
        Ok::<_, db::Error>(Some((found, result.zip(packs))))
    };
    let (found, finished) = db.run(read).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
    let limits = active.release.pack.publishing.as_ref();
    let result = finished.map(|((named, kept), (before, after))| {
        let packs = (&before.pack, &after.pack);
        ComparisonResult::new((named, &kept), packs, &languages.0, limits, |policy| {
            only.as_ref().is_none_or(|only| only == policy)
        })
    });
    Ok(web::Json(ComparisonView::new(digest, found, result)))
}

/// How a comparison is written.
#[derive(Clone, Copy, ToSchema)]
#[schema(rename_all = "lowercase")]
enum Format {
    Csv,
    Xlsx,
}

/// How the comparison is to be written, and which part of it.
fn wanted(parameters: &Parameters) -> Result<(Format, export::Part), Vec<Fault>> {
    let (mut format, mut part, mut faults) = (None, export::Part::Matrix, Vec::new());
    for (name, value) in &parameters.0 {
        match (name.as_str(), value.as_str()) {
            ("format", "csv") => format = Some(Format::Csv),
            ("format", "xlsx") => format = Some(Format::Xlsx),
            ("format", _) => faults.push(Fault::new("format", "unknown_choice", "the format is csv or xlsx")),
            ("part", key) => match export::Part::from_key(key) {
                Some(known) => part = known,
                None => {
                    let known: Vec<&str> = export::Part::ALL.map(export::Part::key).into();
                    faults.push(Fault::new("part", "unknown_choice", format!("a part is {}", known.join(", "))));
                }
            },
            (name, _) => faults.push(Parameters::unknown(name, &["format", "part"])),
        }
    }
    if format.is_none() && faults.is_empty() {
        faults.push(Fault::new("format", "required", "the format is csv or xlsx"));
    }
    format.filter(|_| faults.is_empty()).map(|format| (format, part)).ok_or(faults)
}

/// Export a comparison
///
/// A finished one, as a workbook with a sheet for each part, or one part as CSV.
#[utoipa::path(tag = "releases", operation_id = "exportComparison", security(("bearer" = ["customers:read"])), params(
    ("digest" = Digest, Path, description = "The release's digest, sha256:…"),
    ("format" = inline(Format), Query, description = "How it is written", example = "csv"),
    ("part" = inline(Option<export::Part>), Query, nullable = false, description = "For CSV: the part; `matrix` when absent", example = "matrix"),
), responses(
    (status = 200, description = "The part, or the workbook",
        headers(("Content-Disposition" = String, description = "The name of the file")),
        content(
            (String = "text/csv", example = "policy,from,to,customers\nvolume_grade,2,3,7\n"),
            (Workbook = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
        )),
    (status = 409, description = "The comparison isn't finished"),
    Problems
))]
#[get("/v1/releases/{digest}/comparison/export")]
pub async fn export_comparison(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    digest: PathDigest,
    parameters: Parameters,
) -> Result<HttpResponse, Problem> {
    let digest = digest.0;
    let (format, part) = wanted(&parameters).map_err(Problem::invalid)?;
    let found = db.run(move |conn| find(conn, digest)).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
    let unfinished = || Problem::detailed(Code::Conflict, "the comparison isn't finished");
    let (_, kept) = found.result.ok_or_else(unfinished)?;
    let failed = |error: export::Error| {
        tracing::error!(%error, "a comparison can't be exported");
        Problem::new(Code::Internal)
    };
    let (content_type, name, bytes) = match format {
        Format::Csv => {
            ("text/csv; charset=utf-8", format!("{}.csv", part.key()), export::csv(&kept, part).map_err(failed)?)
        }
        Format::Xlsx => (export::XLSX_TYPE, "comparison.xlsx".to_owned(), export::xlsx(&kept).map_err(failed)?),
    };
    Ok(HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .body(bytes))
}

/// Cancel a comparison
///
/// The last one of the release. 409 when it has ended.
#[utoipa::path(tag = "releases", operation_id = "cancelComparison", security(("bearer" = ["releases:write"])),
    params(("digest" = Digest, Path, description = "The release's digest, sha256:…")), responses(
    (status = 200, body = ComparisonView, description = "Cancelled"),
    Problems
))]
#[post("/v1/releases/{digest}/comparison/cancellation")]
pub async fn cancel_comparison(
    _: Permit<WriteReleases>,
    db: web::Data<Db>,
    digest: PathDigest,
) -> Result<web::Json<ComparisonView>, Problem> {
    let digest = digest.0;
    let cancelled = db
        .run(move |conn| {
            let task = store::last_comparison(conn, digest)?.ok_or(run::Error::NotFound)?;
            let run = run::cancel(conn, task.run_id)?;
            Ok::<_, run::Error>(Found { run, population: task.population, result: None })
        })
        .await?;
    Ok(web::Json(ComparisonView::new(digest, cancelled, None)))
}

/// An approval.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"comparison": "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "reason": "Agreed with the sales areas"}))]
pub struct ApprovalBody {
    /// Digest of the comparison that was read.
    #[schema(value_type = Digest)]
    comparison: String,
    /// Why; needed where the comparison goes beyond limits of the pack in force.
    #[schema(nullable = false, max_length = 1000)]
    reason: Option<String>,
}

/// Approve a release
///
/// Says that somebody has read the last comparison of the release with the one in force, and agrees. Where the pack in force wants a
/// second person it can't be who made the release. 409 where there is no such comparison, or it is another one meanwhile.
#[utoipa::path(tag = "releases", operation_id = "createApproval", security(("bearer" = ["releases:approve"])),
    params(("digest" = Digest, Path, description = "The release's digest, sha256:…")), request_body = ApprovalBody, responses(
    (status = 200, body = ReleaseSummary, description = "Approved"),
    Problems
))]
#[post("/v1/releases/{digest}/approval")]
pub async fn create_approval(
    permit: Permit<ApproveReleases>,
    db: web::Data<Db>,
    active: Current<Active>,
    digest: PathDigest,
    body: Body<ApprovalBody>,
) -> Result<web::Json<ReleaseSummary>, Problem> {
    let digest = digest.0;
    let ApprovalBody { comparison, reason } = body.0;
    let mut faults = Vec::new();
    let comparison: Option<Digest> =
        comparison.parse().map_err(|error| faults.push(Fault::new("/comparison", "digest", format!("{error}")))).ok();
    let reason = reason.and_then(|text| said("/reason", &text).map_err(|fault| faults.push(fault)).ok());
    let Some(comparison) = comparison.filter(|_| faults.is_empty()) else { return Err(Problem::invalid(faults)) };
    let (state, user) = (active.0.clone(), permit.principal.user_id);
    let approved = db
        .run(move |conn| {
            let by = author::by(conn, user)?;
            publishing::approve(conn, &state, digest, comparison, by, reason)
        })
        .await?;
    Ok(web::Json(ReleaseSummary::new(approved, active.basis.release)))
}
