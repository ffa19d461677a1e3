//! Comparing a release with the one in force before it replaces it, and approving it, over HTTP.

use std::collections::BTreeMap;

use actix_web::http::header;
use actix_web::{HttpResponse, get, post, web};
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Id;
use crate::assessments::comparison::{self, Comparison, MoverDecisions, Population, export};
use crate::assessments::model::{Run, RunStatus};
use crate::assessments::publishing::{self, Exceeded};
use crate::assessments::run;
use crate::assessments::store;
use crate::assessments::tally::{PolicyTally, Side, Sums};
use crate::assessments::view::{DecisionView, Renderer};
use crate::assessments::worker::Workers;
use crate::db::{self, Conn, Db};
use crate::digest::Digest;
use crate::faults::Fault;
use crate::http::current::Current;
use crate::http::extract::{Body, Languages, Parameters, PathDigest};
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{ApproveReleases, ReadCustomers, WriteReleases};
use crate::policy::pack::Publishing;
use crate::policy::texts::LabelKind;
use crate::releases::active::{Active, InForce};
use crate::releases::author::{self, said};
use crate::releases::view::ReleaseSummary;
use crate::schemas::{ChosenValues, DecimalText};

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

/// What came of a comparison.
#[derive(Serialize, ToSchema)]
pub struct ComparisonResult {
    /// The digest that names it: an approval is one of this.
    digest: Digest,
    /// The release that was in force.
    in_force: Digest,
    /// The cohort by which the release decided.
    cohort: Digest,
    /// The date of both.
    #[schema(value_type = String, format = Date)]
    business_date: Date,
    /// Customers compared.
    customers: u64,
    /// Limits of the pack in force that it goes beyond: activating the release wants a written reason.
    exceeded: Vec<ExceededView>,
    /// Policies that decide as before: nothing on which they rest differs.
    #[schema(example = json!(["abc"]))]
    unchanged: Vec<String>,
    /// One entry for each of the others.
    policies: Vec<PolicyComparison>,
}

/// A limit of the pack in force that a comparison goes beyond.
#[derive(Serialize, ToSchema)]
#[schema(as = ExceededLimit, example = json!({"limit": "moved_at_most", "policy": "volume_grade", "detail": "12 of 100 customers move, 12 %; at most 8 % may"}))]
pub struct ExceededView {
    /// Which one, as the pack calls it.
    limit: &'static str,
    /// The policy.
    policy: String,
    /// What was found, and what is allowed.
    detail: String,
}

/// What differs in one policy.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"policy": "volume_grade", "title": "Volume grade", "decided": 100, "moved": 7, "moved_by_script": 9, "share_moved": "0.07", "newly_failed": 0,
    "matrix": [{"from": {"outcome": "2", "label": "Grade 2"}, "to": {"outcome": "3", "label": "Grade 3"}, "customers": 7}],
    "entitlements": [{"key": "monthly_supply", "label": "Monthly supply", "before": "1200", "after": "1185"}],
    "groups": [], "movers": [], "failures": [], "cost": {"before": "12.5", "after": "13.1"}}))]
pub struct PolicyComparison {
    /// The policy's id.
    policy: String,
    /// Its title.
    title: String,
    /// Customers for whom both releases decided.
    decided: u64,
    /// Of these, those whose outcome differs.
    moved: u64,
    /// Those whose outcome would differ if nothing held outcomes stable.
    moved_by_script: u64,
    /// Share of those whose outcome differs, from 0 to 1.
    #[schema(value_type = DecimalText)]
    share_moved: Decimal,
    /// Customers for whom the release fails and the one in force doesn't.
    newly_failed: u64,
    /// Customers by outcome before and after: only combinations that occur.
    matrix: Vec<MatrixCell>,
    /// Sums of what outcomes entitle to.
    entitlements: Vec<EntitlementSums>,
    /// Who moves, by fields of the customer file that have few values.
    groups: Vec<GroupMoves>,
    /// The customers whose outcome differs most, at most 20.
    movers: Vec<MoverView>,
    /// What the release said where it fails and the one in force doesn't: some of it.
    failures: Vec<ComparedFailure>,
    /// What a decision costs on average, measured for some of the customers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cost: Option<CostView>,
}

/// Customers with one outcome before and one after.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"from": {"outcome": "2", "label": "Grade 2"}, "to": {"outcome": "3", "label": "Grade 3"}, "customers": 7}))]
pub struct MatrixCell {
    /// What the release in force says.
    from: SideView,
    /// What the release says.
    to: SideView,
    /// Number of customers.
    customers: u64,
}

/// What a release says of customers: an outcome, or why there is none.
#[derive(Serialize, ToSchema)]
#[schema(as = ComparedSide, example = json!({"outcome": "2", "label": "Grade 2"}))]
pub struct SideView {
    /// The outcome; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    outcome: Option<String>,
    /// Why there is no outcome: `failed`, `blocked`, or `absent` where the release doesn't have the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    status: Option<String>,
    /// The outcome's label, or the status.
    label: String,
}

/// The sum of an entitlement over all customers.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"key": "monthly_supply", "label": "Monthly supply", "before": "1200", "after": "1185"}))]
pub struct EntitlementSums {
    /// Its key.
    key: String,
    /// Its label.
    label: String,
    /// By the release in force.
    #[schema(value_type = DecimalText)]
    before: Decimal,
    /// By the release.
    #[schema(value_type = DecimalText)]
    after: Decimal,
}

/// Who moves, by one field.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"field": "area", "label": "Area", "values": [{"value": "north", "customers": 40, "moved": 3}]}))]
pub struct GroupMoves {
    /// The field's key.
    field: String,
    /// Its label.
    label: String,
    /// Its values, those with most movers first.
    values: Vec<ValueMoves>,
}

/// Who moves among the customers with one value.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"value": "north", "customers": 40, "moved": 3}))]
pub struct ValueMoves {
    /// The value.
    value: String,
    /// Customers with it.
    customers: u64,
    /// Of these, those whose outcome differs.
    moved: u64,
}

/// A customer whose outcome differs.
#[derive(Serialize, ToSchema)]
#[schema(as = Mover, example = json!({"customer_id": "0193f0a2-7c1e-7aaa-8000-0123456789ab", "customer_code": "X17", "steps": 1,
    "before": {"policy": "volume_grade", "title": "Volume grade", "status": "decided", "outcome": "2", "label": "Grade 2", "inputs": []},
    "after": {"policy": "volume_grade", "title": "Volume grade", "status": "decided", "outcome": "3", "label": "Grade 3", "inputs": []}}))]
pub struct MoverView {
    /// His id.
    #[schema(value_type = uuid::Uuid)]
    customer_id: Id,
    /// His code.
    #[schema(example = "X17")]
    customer_code: String,
    /// By how many places his outcome differs among those declared: above 0 is worse.
    #[schema(minimum = -1000, maximum = 1000)]
    steps: i64,
    /// What the release in force decides.
    before: DecisionView,
    /// What the release decides.
    after: DecisionView,
}

/// What a release said of a customer whom it can't decide about.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"message": "policies/volume_grade.rhai:12:20: the field 'floor_area' is absent", "customer_id": "0193f0a2-7c1e-7aaa-8000-0123456789ab"}))]
pub struct ComparedFailure {
    /// What its script said.
    message: String,
    /// One of the customers.
    #[schema(value_type = uuid::Uuid)]
    customer_id: Id,
}

/// What a decision costs on average, in microseconds.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"before": "12.5", "after": "13.1"}))]
pub struct CostView {
    /// By the release in force.
    #[schema(value_type = DecimalText)]
    before: Decimal,
    /// By the release.
    #[schema(value_type = DecimalText)]
    after: Decimal,
}

/// The packs of the two sides with their texts in the reader's language.
struct Sides<'a> {
    before: Renderer<'a>,
    after: Renderer<'a>,
}

impl Sides<'_> {
    fn side(&self, policy: &str, side: &Side, renderer: &Renderer<'_>) -> SideView {
        match side {
            Side::Outcome(outcome) => SideView {
                outcome: Some(outcome.clone()),
                status: None,
                label: renderer.outcome_label(policy, outcome),
            },
            side => {
                let status = String::from(side.clone());
                SideView { outcome: None, label: status.clone(), status: Some(status) }
            }
        }
    }

    fn policy(&self, id: &str, tally: &PolicyTally, comparison: &Comparison) -> PolicyComparison {
        let label = |kind, key: &str| {
            let known = self.after.label(kind, key);
            if known == key { self.before.label(kind, key) } else { known }
        };
        let cells =
            tally.matrix.iter().flat_map(|(from, row)| row.iter().map(move |(to, customers)| (from, to, *customers)));
        let cell = |(from, to, customers)| MatrixCell {
            from: self.side(id, from, &self.before),
            to: self.side(id, to, &self.after),
            customers,
        };
        let sums = |(key, sums): (&String, &Sums)| EntitlementSums {
            key: key.clone(),
            label: self.after.entitlement_label(id, key),
            before: sums.before.normalize(),
            after: sums.after.normalize(),
        };
        let mover = |mover: &MoverDecisions| MoverView {
            customer_id: mover.customer_id,
            customer_code: mover.customer_code.clone(),
            steps: mover.steps,
            before: self.before.decision(&mover.before, comparison.business_date),
            after: self.after.decision(&mover.after, comparison.business_date),
        };
        let group = |(field, counts): (&String, &Option<BTreeMap<String, u64>>)| {
            let moved = tally.moved_by.get(field)?;
            let value = |(value, customers): (&String, &u64)| ValueMoves {
                value: value.clone(),
                customers: *customers,
                moved: moved.get(value).copied().unwrap_or_default(),
            };
            let mut values: Vec<ValueMoves> = counts.as_ref()?.iter().map(value).collect();
            values.sort_by_key(|one| std::cmp::Reverse(one.moved));
            Some(GroupMoves { field: field.clone(), label: self.before.label(LabelKind::Field, field), values })
        };
        let failure = |(message, customer_id): (&String, &Id)| ComparedFailure {
            message: message.clone(),
            customer_id: *customer_id,
        };
        PolicyComparison {
            policy: id.to_owned(),
            title: label(LabelKind::Policy, id),
            decided: tally.decided(),
            moved: tally.moved(),
            moved_by_script: tally.moved_by_script,
            share_moved: tally.share_moved().normalize(),
            newly_failed: tally.newly_failed(),
            matrix: cells.map(cell).collect(),
            entitlements: tally.sums.iter().map(sums).collect(),
            groups: comparison.tally.fields.iter().filter_map(group).collect(),
            movers: comparison.movers.get(id).into_iter().flatten().map(mover).collect(),
            failures: tally.failures.iter().map(failure).collect(),
            cost: cost(tally),
        }
    }
}

fn cost(tally: &PolicyTally) -> Option<CostView> {
    let measured = Decimal::from(tally.cost.measured) * Decimal::ONE_THOUSAND;
    let micros = |nanos: u64| Some(Decimal::from(nanos).checked_div(measured)?.round_dp(1).normalize());
    Some(CostView { before: micros(tally.cost.before)?, after: micros(tally.cost.after)? })
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
    params(("digest" = String, Path, description = "The release's digest, sha256:…")), request_body = ComparisonRequest, responses(
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
    ("digest" = String, Path, description = "The release's digest, sha256:…"),
    ("policy" = Option<String>, Query, description = "Only this policy"),
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
    parameters: Parameters,
) -> Result<web::Json<ComparisonView>, Problem> {
    let digest = digest.0;
    let mut only = None;
    for (name, value) in parameters.0 {
        match name.as_str() {
            "policy" => only = Some(value),
            name => return Err(Problem::invalid(vec![Parameters::unknown(name, &["policy"])])),
        }
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
    let result = finished.map(|((named, kept), (before, after))| {
        let sides = Sides {
            before: Renderer::new(&before.pack, &languages.0),
            after: Renderer::new(&after.pack, &languages.0),
        };
        let shown = kept.tally.policies.iter().filter(|(id, _)| only.as_ref().is_none_or(|only| only == *id));
        ComparisonResult {
            digest: named,
            in_force: kept.in_force,
            cohort: kept.cohort,
            business_date: kept.business_date,
            customers: kept.tally.customers,
            exceeded: beyond(active.release.pack.publishing.as_ref(), &kept),
            unchanged: kept.unchanged.clone(),
            policies: shown.map(|(id, tally)| sides.policy(id, tally, &kept)).collect(),
        }
    });
    Ok(web::Json(ComparisonView::new(digest, found, result)))
}

fn beyond(limits: Option<&Publishing>, kept: &Comparison) -> Vec<ExceededView> {
    let found = limits.map(|limits| publishing::exceeded(limits, kept)).unwrap_or_default();
    let view = |Exceeded { limit, policy, detail }| ExceededView { limit, policy, detail };
    found.into_iter().map(view).collect()
}

/// Export a comparison
///
/// A finished one, as a workbook with a sheet for each part, or one part as CSV.
#[utoipa::path(tag = "releases", operation_id = "exportComparison", security(("bearer" = ["customers:read"])), params(
    ("digest" = String, Path, description = "The release's digest, sha256:…"),
    ("format" = String, Query, description = "`xlsx` or `csv`", example = "csv"),
    ("part" = Option<String>, Query, description = "For CSV: `policies`, `matrix` when absent, `entitlements`, `groups`, `movers` or `failures`"),
), responses(
    (status = 200, body = String, content_type = "text/csv", description = "The part, or the workbook",
        example = "policy,from,to,customers\nvolume_grade,2,3,7\n"),
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
    let (mut format, mut part, mut faults) = (None, export::Part::Matrix, Vec::new());
    for (name, value) in &parameters.0 {
        match name.as_str() {
            "format" if ["csv", "xlsx"].contains(&value.as_str()) => format = Some(value.as_str()),
            "format" => faults.push(Fault::new("format", "unknown_choice", "the format is csv or xlsx")),
            "part" => match export::Part::from_key(value) {
                Some(known) => part = known,
                None => {
                    let known: Vec<&str> = export::Part::ALL.map(export::Part::key).into();
                    faults.push(Fault::new("part", "unknown_choice", format!("a part is {}", known.join(", "))));
                }
            },
            name => faults.push(Parameters::unknown(name, &["format", "part"])),
        }
    }
    let Some(format) = format.filter(|_| faults.is_empty()) else {
        if faults.is_empty() {
            faults.push(Fault::new("format", "required", "the format is csv or xlsx"));
        }
        return Err(Problem::invalid(faults));
    };
    let found = db.run(move |conn| find(conn, digest)).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
    let unfinished = || Problem::detailed(Code::Conflict, "the comparison isn't finished");
    let (_, kept) = found.result.ok_or_else(unfinished)?;
    let failed = |error: export::Error| {
        tracing::error!(%error, "a comparison can't be exported");
        Problem::new(Code::Internal)
    };
    let (content_type, name, bytes) = match format {
        "csv" => ("text/csv; charset=utf-8", format!("{}.csv", part.key()), export::csv(&kept, part).map_err(failed)?),
        _ => (export::XLSX_TYPE, "comparison.xlsx".to_owned(), export::xlsx(&kept).map_err(failed)?),
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
    params(("digest" = String, Path, description = "The release's digest, sha256:…")), responses(
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
pub struct NewApproval {
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
    params(("digest" = String, Path, description = "The release's digest, sha256:…")), request_body = NewApproval, responses(
    (status = 200, body = ReleaseSummary, description = "Approved"),
    Problems
))]
#[post("/v1/releases/{digest}/approval")]
pub async fn create_approval(
    permit: Permit<ApproveReleases>,
    db: web::Data<Db>,
    active: Current<Active>,
    digest: PathDigest,
    body: Body<NewApproval>,
) -> Result<web::Json<ReleaseSummary>, Problem> {
    let digest = digest.0;
    let NewApproval { comparison, reason } = body.0;
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
