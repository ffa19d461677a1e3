//! Runs over HTTP: starting, following and cancelling them, and whom they failed for.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Id;
use crate::assessments::model::{FailureReason, Run, RunCause, RunFailure, RunStatus};
use crate::assessments::run::{self, Purpose};
use crate::assessments::store;
use crate::assessments::view::Renderer;
use crate::assessments::worker::Workers;
use crate::db::{self, Db};
use crate::faults::Fault;
use crate::http::current::Current;
use crate::http::etag;
use crate::http::extract::{Body, Languages, Parameters, PathId};
use crate::http::list::{Listed, Page};
use crate::http::paging::{self, PageParameters};
use crate::http::problem::{Code, Problem, Problems};
use crate::http::streams::Streams;
use crate::identity::api::Permit;
use crate::identity::model::{ReadCustomers, ReadRuns, WriteRuns};
use crate::policy::pack::PolicyDeclaration;
use crate::policy::texts::LabelKind;
use crate::releases::active::Active;

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(create_run)
        .service(list_runs)
        .service(get_run)
        .service(follow_run)
        .service(cancel_run)
        .service(list_run_failures);
}

/// How a run is to be made.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"renew_cohort": true}))]
pub struct RunRequest {
    /// Whether the statistics of the population are computed anew first; otherwise those of the basis are used.
    #[serde(default)]
    renew_cohort: bool,
    /// Id of a run: only those customers are assessed for whom it failed and who are active still, by the rules in force and the
    /// statistics of the basis.
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    failed_of: Option<Id>,
}

impl RunRequest {
    fn purpose(&self) -> Result<Purpose, Problem> {
        match (self.renew_cohort, self.failed_of) {
            (true, Some(_)) => {
                let detail = "statistics are computed anew only for a run over all customers";
                Err(Problem::invalid(vec![Fault::new("/renew_cohort", "not_allowed", detail)]))
            }
            (true, None) => Ok(Purpose::RenewCohort),
            (false, Some(of)) => Ok(Purpose::Repeat(of)),
            (false, None) => Ok(Purpose::Assess),
        }
    }
}

/// The assessment of all active customers, or of those for whom another run failed.
#[derive(Serialize, ToSchema)]
#[schema(as = Run)]
pub struct RunView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    id: Id,
    /// Why it is there.
    cause: RunCause,
    /// How far it is.
    status: RunStatus,
    /// Number of the basis it rests on.
    #[schema(minimum = 1)]
    basis: i64,
    /// The run whose failed customers it assesses; absent where it assesses everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    failed_of: Option<Id>,
    /// Customers to assess: those who were active when it began.
    total: u64,
    /// Customers assessed so far.
    assessed: u64,
    /// Of these, those whose assessment equals their last one, so that no new one is kept.
    unchanged: u64,
    /// Of these, those for whom some policy failed or whose data can't be read: `/v1/runs/{id}/failures` names them.
    failed: u64,
    /// Customers assessed so far, by policy and outcome.
    summary: Vec<PolicySummary>,
    /// When it was started.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ended; absent while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = String, format = DateTime)]
    finished_at: Option<Timestamp>,
}

/// How a policy's outcomes are distributed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({"policy": "volume_grade", "title": "Volume grade",
    "outcomes": [{"outcome": "1", "label": "Grade 1", "customers": 6}, {"outcome": "2", "label": "Grade 2", "customers": 9}]}))]
pub struct PolicySummary {
    /// The policy's id.
    pub policy: String,
    /// The policy's title.
    pub title: String,
    /// Its outcomes, best first, and at last `failed` and `blocked` where there are any.
    pub outcomes: Vec<OutcomeCount>,
}

/// Number of customers with an outcome.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({"outcome": "1", "label": "Grade 1", "customers": 6}))]
pub struct OutcomeCount {
    /// The outcome.
    pub outcome: String,
    /// Its label.
    pub label: String,
    /// Number of customers.
    pub customers: u64,
}

impl RunView {
    /// A run with the labels of the state in force.
    pub fn new(run: Run, renderer: &Renderer<'_>, active: &Active) -> Self {
        Self {
            id: run.id,
            cause: run.cause,
            status: run.status,
            basis: run.basis,
            failed_of: run.failed_of,
            total: run.total,
            assessed: run.progress.assessed,
            unchanged: run.progress.unchanged,
            failed: run.progress.failed,
            summary: summary(&run, renderer, active),
            created_at: run.created_at,
            finished_at: run.finished_at,
        }
    }
}

/// How the customers of a run are distributed over every policy's outcomes.
pub fn summary(run: &Run, renderer: &Renderer<'_>, active: &Active) -> Vec<PolicySummary> {
    let counts = &run.progress.summary.0;
    let policy = |(id, declared): (&String, &PolicyDeclaration)| {
        let of_policy = counts.get(id);
        let count = |outcome: &str| of_policy.and_then(|counts| counts.get(outcome)).copied().unwrap_or_default();
        let undecided = ["failed", "blocked"].into_iter().filter(|outcome| count(outcome) > 0);
        let outcome = |outcome: &str| OutcomeCount {
            outcome: outcome.to_owned(),
            label: renderer.outcome_label(id, outcome),
            customers: count(outcome),
        };
        PolicySummary {
            policy: id.clone(),
            title: renderer.label(LabelKind::Policy, id),
            outcomes: declared.outcomes.iter().map(String::as_str).chain(undecided).map(outcome).collect(),
        }
    };
    active.release.pack.customer_policies().map(policy).collect()
}

/// Start a run
///
/// Assesses all active customers in the background, or with `failed_of` those for whom another run failed; follow it at the address in `Location`. One run is open at a time: 409 while
/// another one is.
#[utoipa::path(tag = "runs", operation_id = "createRun", security(("bearer" = ["runs:write"])), request_body = RunRequest, responses(
    (status = 202, body = RunView, description = "Started", headers(("Location" = String, description = "Address of the run"))),
    Problems
))]
#[post("/v1/runs")]
pub async fn create_run(
    _: Permit<WriteRuns>,
    db: web::Data<Db>,
    active: Current<Active>,
    workers: web::Data<Workers>,
    languages: Languages,
    body: Body<RunRequest>,
) -> Result<HttpResponse, Problem> {
    let state = active.0.clone();
    let purpose = body.0.purpose()?;
    let run = db.run(move |conn| run::create(conn, &state, purpose)).await?;
    workers.wake();
    Ok(started(run, &active, &languages))
}

/// The answer to whoever has started a run.
pub fn started(run: Run, active: &Active, languages: &Languages) -> HttpResponse {
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    let location = (header::LOCATION, format!("/v1/runs/{}", run.id));
    HttpResponse::Accepted().insert_header(location).json(RunView::new(run, &renderer, active))
}

/// A page of runs.
#[derive(Serialize, ToSchema)]
pub struct RunList {
    /// The runs, newest first.
    items: Vec<RunView>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for RunList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// List runs
///
/// Newest first.
#[utoipa::path(tag = "runs", operation_id = "listRuns", security(("bearer" = ["runs:read"])), params(PageParameters), responses(
    (status = 200, body = RunList, description = "A page"),
    Problems
))]
#[get("/v1/runs")]
pub async fn list_runs(
    _: Permit<ReadRuns>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    parameters: Parameters,
) -> Result<Listed<RunList>, Problem> {
    let (before, limit) = parameters.page::<Id>()?;
    let found = db.run(move |conn| store::runs_page(conn, before, i64::from(limit) + 1)).await?;
    let (items, next_cursor) = paging::page(found, limit, |last| paging::cursor(&last.id));
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    Ok(Listed(RunList {
        items: items.into_iter().map(|run| RunView::new(run, &renderer, &active)).collect(),
        next_cursor,
    }))
}

/// Read a run
///
/// With its progress so far.
#[utoipa::path(tag = "runs", operation_id = "getRun", security(("bearer" = ["runs:read"])),
    params(("id" = uuid::Uuid, Path, description = "The run's id")), responses(
    (status = 200, body = RunView, description = "The run", headers(("ETag" = String, description = "Its content's"))),
    Problems
))]
#[get("/v1/runs/{id}")]
pub async fn get_run(
    _: Permit<ReadRuns>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    id: PathId,
) -> Result<HttpResponse, Problem> {
    let run = find_run(&db, id.0).await?;
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    etag::tagged(&RunView::new(run, &renderer, &active))
}

async fn find_run(db: &Db, id: Id) -> Result<Run, Problem> {
    db.run(move |conn| store::run(conn, id)).await?.ok_or_else(|| Problem::new(Code::NotFound))
}

/// Follow a run
///
/// Server-sent events: an event `run` with the run at each change, at most two a second, until it has ended; a comment when nothing has
/// changed for 5 seconds. A stream ends with its access token, also when the user signs out, is disabled or may follow it
/// no more, and when the service stops: ask again. 429 where the user has 8 streams open, 503 where all have too many.
#[utoipa::path(tag = "runs", operation_id = "followRun", security(("bearer" = ["runs:read"])),
    params(("id" = uuid::Uuid, Path, description = "The run's id")), responses(
    (status = 200, body = String, content_type = "text/event-stream", description = "The events, each with a `Run` as JSON",
        example = "event: run\ndata: {\"id\": \"0193f0a2-7c1e-7aaa-8000-0123456789ab\", \"status\": \"running\", …}\n\n"),
    Problems
))]
#[get("/v1/runs/{id}/events")]
pub async fn follow_run(
    permit: Permit<ReadRuns>,
    request: HttpRequest,
    db: web::Data<Db>,
    active: Current<Active>,
    streams: web::Data<Streams>,
    languages: Languages,
    id: PathId,
) -> Result<HttpResponse, Problem> {
    let id = find_run(&db, id.0).await?.id;
    let (active, languages) = (active.0.clone(), Arc::new(languages.0));
    streams.follow(permit.lasting(&request, &db)?, "run", move || {
        let (db, active, languages) = (db.clone(), active.clone(), languages.clone());
        async move {
            let run = find_run(&db, id).await?;
            let has_ended = !run.status.is_open();
            let renderer = Renderer::new(&active.release.pack, &languages);
            Ok((RunView::new(run, &renderer, &active), has_ended))
        }
    })
}

/// Cancel a run
///
/// What it has assessed stays. 409 when it has ended, or follows a new basis or a closing.
#[utoipa::path(tag = "runs", operation_id = "cancelRun", security(("bearer" = ["runs:write"])),
    params(("id" = uuid::Uuid, Path, description = "The run's id")), responses(
    (status = 200, body = RunView, description = "The run, cancelled"),
    Problems
))]
#[post("/v1/runs/{id}/cancellation")]
pub async fn cancel_run(
    _: Permit<WriteRuns>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    id: PathId,
) -> Result<web::Json<RunView>, Problem> {
    let run = db.run(move |conn| run::cancel(conn, id.0)).await?;
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    Ok(web::Json(RunView::new(run, &renderer, &active)))
}

/// A page of a run's failures.
#[derive(Serialize, ToSchema)]
pub struct RunFailureList {
    /// The failures, one for each customer.
    items: Vec<RunFailureView>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for RunFailureList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// A customer for whom a run failed.
#[derive(Serialize, ToSchema)]
#[schema(as = RunFailure)]
pub struct RunFailureView {
    /// His id.
    #[schema(value_type = uuid::Uuid)]
    customer_id: Id,
    /// His code.
    #[schema(example = "X17")]
    customer_code: String,
    /// What failed.
    reasons: Vec<FailureReasonView>,
}

/// A policy that failed for a customer, or data of his that can't be read.
#[derive(Serialize, ToSchema)]
#[schema(as = FailureReason, example = json!({"policy": "volume_grade", "title": "Volume grade",
    "message": "policies/volume_grade.rhai:12:20: in 'decide': the field 'floor_area' is absent"}))]
pub struct FailureReasonView {
    /// The policy's id; absent where all policies failed because the customer's data can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    policy: Option<String>,
    /// The policy's title.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    title: Option<String>,
    /// What its script said, or what can't be read; the first 500 characters.
    message: String,
}

impl RunFailureView {
    fn new(failure: RunFailure, renderer: &Renderer<'_>) -> Self {
        let reason = |FailureReason { policy, message }| {
            let title = policy.as_deref().map(|policy| renderer.label(LabelKind::Policy, policy));
            FailureReasonView { policy, title, message }
        };
        let reasons = failure.reasons.into_iter().map(reason).collect();
        Self { customer_id: failure.customer_id, customer_code: failure.customer_code, reasons }
    }
}

/// Failures of a run
///
/// The customers for whom some policy failed, or whose data can't be read, with what was said; policies that only depend on one that
/// failed are left out. They are kept for 30 days after the start of the run. `POST /v1/runs` with `failed_of` assesses them again.
#[utoipa::path(tag = "runs", operation_id = "listRunFailures", security(("bearer" = ["customers:read"])), params(
    ("id" = uuid::Uuid, Path, description = "The run's id"), PageParameters), responses(
    (status = 200, body = RunFailureList, description = "A page"),
    Problems
))]
#[get("/v1/runs/{id}/failures")]
pub async fn list_run_failures(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    id: PathId,
    parameters: Parameters,
) -> Result<Listed<RunFailureList>, Problem> {
    let (after, limit) = parameters.page::<(u8, Id)>()?;
    let found = db
        .run(move |conn| {
            if store::run_status(conn, id.0)?.is_none() {
                return Ok(None);
            }
            store::failures_page(conn, id.0, after, i64::from(limit) + 1).map(Some)
        })
        .await
        .map_err(|error: db::Error| Problem::from(error))?
        .ok_or_else(|| Problem::new(Code::NotFound))?;
    let place = |last: &RunFailure| paging::cursor(&(last.customer_id.shard(), last.customer_id));
    let (items, next_cursor) = paging::page(found, limit, place);
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    let items = items.into_iter().map(|failure| RunFailureView::new(failure, &renderer)).collect();
    Ok(Listed(RunFailureList { items, next_cursor }))
}
