//! Evaluations, decisions, assessments and runs over HTTP.

mod basis;
mod difference;
mod metrics;
mod near;

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use self::basis::next_closing;
use super::evaluate::{self, Document, Evaluated, Prepared};
use super::model::{Run, RunCause, RunStatus};
use super::run::{self, Purpose};
use super::store;
use super::view::{AssessmentView, CurrentDecision, Renderer};
use super::worker::Workers;
use crate::Id;
use crate::customers::model::date;
use crate::customers::store as customer_store;
use crate::db::{self, Conn, Db};
use crate::digest::Digest;
use crate::faults::Fault;
use crate::http::current::Current;
use crate::http::extract::{Body, Languages, Parameters, PathId};
use crate::http::list::{Listed, Page};
use crate::http::paging::{self, PageParameters};
use crate::http::problem::{Code, Problem, Problems};
use crate::http::streams::Streams;
use crate::identity::api::Permit;
use crate::identity::model::{Evaluate, ReadCustomers, ReadRuns, WriteRuns};
use crate::policy::pack::{Cadence, PolicyDeclaration};
use crate::policy::texts::LabelKind;
use crate::releases::active::{Active, InForce};
use crate::schemas::{MetricValues, NewProfile};

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(create_evaluation)
        .service(list_customer_decisions)
        .service(list_customer_assessments)
        .service(get_assessment)
        .service(create_run)
        .service(list_runs)
        .service(get_run)
        .service(follow_run)
        .service(cancel_run)
        .configure(difference::configure)
        .configure(near::configure)
        .configure(basis::configure)
        .service(metrics::get_metrics);
}

/// What is to be evaluated: a customer or a document, one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"document": {"profile": {"network": {"retail_format": "grocery"}}, "metrics": {"monthly_volume": "12.5"}}}))]
pub struct EvaluationRequest {
    /// A customer of the base.
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    customer_id: Option<Id>,
    /// A file that isn't kept.
    #[schema(nullable = false)]
    document: Option<DocumentBody>,
    /// The date it is as of; the business date when absent.
    #[schema(nullable = false, format = Date, example = "2018-01-01")]
    as_of: Option<String>,
    /// Digest of the release to evaluate by; the one in force when absent.
    #[schema(nullable = false, value_type = Option<Digest>)]
    release: Option<String>,
}

/// A customer's file that isn't kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Document)]
pub struct DocumentBody {
    /// The code that policies may read.
    #[schema(nullable = false, max_length = 64)]
    code: Option<String>,
    /// Fields by section, as in a customer.
    #[serde(default)]
    #[schema(value_type = NewProfile, required = false)]
    profile: Map<String, Json>,
    /// Values of metrics by key: decimals or dates as strings.
    #[serde(default)]
    #[schema(value_type = MetricValues, required = false)]
    metrics: BTreeMap<String, String>,
}

/// Evaluate a customer or a document
///
/// Applies all policies and keeps nothing.
#[utoipa::path(tag = "assessments", operation_id = "createEvaluation", security(("bearer" = ["evaluations:create"])), request_body = EvaluationRequest, responses(
    (status = 200, body = AssessmentView, description = "What the policies decide"),
    Problems
))]
#[post("/v1/evaluations")]
pub async fn create_evaluation(
    _: Permit<Evaluate>,
    db: web::Data<Db>,
    in_force: web::Data<InForce>,
    active: Current<Active>,
    languages: Languages,
    body: Body<EvaluationRequest>,
) -> Result<web::Json<AssessmentView>, Problem> {
    let (evaluated, as_of, release) = body.0.check().map_err(Problem::invalid)?;
    let prepare = move |conn: &mut Conn| evaluate::prepare(conn, &in_force, active.0, evaluated, as_of, release);
    let evaluation = db.run_then(prepare, Prepared::evaluate).await?;
    let renderer = Renderer::new(&evaluation.active.release.pack, &languages.0);
    Ok(web::Json(match (evaluation.code, evaluation.of_document) {
        (Some(code), false) => renderer.of_customer(&evaluation.assessment, &code),
        (code, _) => renderer.of_document(&evaluation.assessment, code),
    }))
}

impl EvaluationRequest {
    fn check(self) -> Result<(Evaluated, Option<Date>, Option<Digest>), Vec<Fault>> {
        let mut faults = Vec::new();
        let as_of = self.as_of.and_then(|text| {
            date(&text).map_err(|(code, detail)| faults.push(Fault::new("/as_of", code, detail))).ok()
        });
        let release = self.release.and_then(|text| {
            text.parse().map_err(|error| faults.push(Fault::new("/release", "digest", format!("{error}")))).ok()
        });
        let evaluated = match (self.customer_id, self.document) {
            (Some(id), None) => Some(Evaluated::Customer(id)),
            (None, Some(document)) => Some(Evaluated::Document(Document {
                code: document.code,
                profile: document.profile,
                metrics: document.metrics,
            })),
            _ => {
                faults.push(Fault::new("", "one_of", "send either customer_id or document"));
                None
            }
        };
        evaluated.filter(|_| faults.is_empty()).map(|evaluated| (evaluated, as_of, release)).ok_or(faults)
    }
}

/// The decisions in force for a customer.
#[derive(Serialize, ToSchema)]
pub struct CurrentDecisionList {
    /// One for each policy that has decided.
    items: Vec<CurrentDecision>,
}

/// Decisions in force for a customer
///
/// One for each policy: the standing one with the assessment that gave it, and the provisional one where the latest data would
/// give another outcome.
#[utoipa::path(tag = "assessments", operation_id = "listCustomerDecisions", security(("bearer" = ["customers:read"])),
    params(("id" = uuid::Uuid, Path, description = "The customer's id")), responses(
    (status = 200, body = CurrentDecisionList, description = "The decisions"),
    Problems
))]
#[get("/v1/customers/{id}/decisions")]
pub async fn list_customer_decisions(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    id: PathId,
) -> Result<web::Json<CurrentDecisionList>, Problem> {
    let id = id.0;
    let (outcomes, latest, assessments) = db
        .run(move |conn| {
            if customer_store::find(conn, id)?.is_none() {
                return Ok(None);
            }
            let outcomes = store::outcomes_of(conn, id.shard(), &[id])?;
            let latest = store::latest_id(conn, id)?;
            let ids: Vec<Id> = outcomes.values().map(|outcome| outcome.assessment_id).chain(latest).collect();
            let assessments = store::assessments_of(conn, id, &ids)?;
            Ok::<_, db::Error>(Some((outcomes, latest, assessments)))
        })
        .await?
        .ok_or_else(|| Problem::new(Code::NotFound))?;
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    let latest = latest.and_then(|latest| assessments.get(&latest));
    let decision = |(policy, declared): (&String, &PolicyDeclaration)| {
        let outcome = outcomes.get(&(id, policy.clone()))?;
        // An outcome that follows the data has today's reasons and inputs, whichever assessment gave it first.
        let follows = outcome.flag.is_none() && outcome.closed_on.is_none();
        let standing = latest.filter(|_| follows).or_else(|| assessments.get(&outcome.assessment_id))?;
        let next = (declared.cadence != Cadence::Continuous).then(|| next_closing(&active, declared.cadence).0);
        renderer.current(policy, outcome, standing, latest, next)
    };
    Ok(web::Json(CurrentDecisionList { items: active.release.pack.policies.iter().filter_map(decision).collect() }))
}

/// A page of assessments.
#[derive(Serialize, ToSchema)]
pub struct AssessmentList {
    /// The assessments, newest first.
    items: Vec<AssessmentView>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for AssessmentList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// Assessments of a customer
///
/// Newest first. One that equals the last one isn't kept again.
#[utoipa::path(tag = "assessments", operation_id = "listCustomerAssessments", security(("bearer" = ["customers:read"])), params(
    ("id" = uuid::Uuid, Path, description = "The customer's id"), PageParameters), responses(
    (status = 200, body = AssessmentList, description = "A page"),
    Problems
))]
#[get("/v1/customers/{id}/assessments")]
pub async fn list_customer_assessments(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    id: PathId,
    parameters: Parameters,
) -> Result<Listed<AssessmentList>, Problem> {
    let (before, limit) = parameters.page::<Id>()?;
    let (customer, found) = db
        .run(move |conn| {
            let Some(customer) = customer_store::find(conn, id.0)? else { return Ok(None) };
            let found = store::history(conn, id.0, before, i64::from(limit) + 1)?;
            Ok::<_, db::Error>(Some((customer, found)))
        })
        .await?
        .ok_or_else(|| Problem::new(Code::NotFound))?;
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    let (items, next_cursor) = paging::page(found, limit, |last| paging::cursor(&last.id));
    let items = items.iter().map(|assessment| renderer.assessment(assessment, &customer.code)).collect();
    Ok(Listed(AssessmentList { items, next_cursor }))
}

/// Read an assessment
///
/// With the labels and reasons of the release that made it.
#[utoipa::path(tag = "assessments", operation_id = "getAssessment", security(("bearer" = ["customers:read"])),
    params(("id" = uuid::Uuid, Path, description = "The assessment's id")), responses(
    (status = 200, body = AssessmentView, description = "The assessment"),
    Problems
))]
#[get("/v1/assessments/{id}")]
pub async fn get_assessment(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    in_force: web::Data<InForce>,
    languages: Languages,
    id: PathId,
) -> Result<web::Json<AssessmentView>, Problem> {
    let (assessment, code, release) = db
        .run(move |conn| {
            let Some(assessment) = store::assessment(conn, id.0)? else { return Ok(None) };
            let Some(customer) = customer_store::find(conn, assessment.customer_id)? else { return Ok(None) };
            let release = in_force.release(conn, assessment.release)?;
            Ok::<_, db::Error>(Some((assessment, customer.code, release)))
        })
        .await?
        .ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(web::Json(Renderer::new(&release.pack, &languages.0).assessment(&assessment, &code)))
}

/// How a run is to be made.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"renew_cohort": true}))]
pub struct RunRequest {
    /// Whether the statistics of the population are computed anew first; otherwise those of the basis are used.
    #[serde(default)]
    renew_cohort: bool,
}

/// The assessment of all active customers.
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
    /// Active customers when it began.
    total: u64,
    /// Customers assessed so far.
    assessed: u64,
    /// Of these, those whose assessment equals their last one, so that no new one is kept.
    unchanged: u64,
    /// Of these, those for whom some policy failed.
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
    active.release.pack.policies.iter().map(policy).collect()
}

/// Start a run
///
/// Assesses all active customers in the background; follow it at the address in `Location`. One run is open at a time: 409 while
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
    let purpose = if body.0.renew_cohort { Purpose::RenewCohort } else { Purpose::Assess };
    let run = db.run(move |conn| run::create(conn, &state, purpose)).await?;
    workers.wake();
    Ok(started(run, &active, &languages))
}

/// The answer to whoever has started a run.
fn started(run: Run, active: &Active, languages: &Languages) -> HttpResponse {
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
    (status = 200, body = RunView, description = "The run"),
    Problems
))]
#[get("/v1/runs/{id}")]
pub async fn get_run(
    _: Permit<ReadRuns>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    id: PathId,
) -> Result<web::Json<RunView>, Problem> {
    let run = find_run(&db, id.0).await?;
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    Ok(web::Json(RunView::new(run, &renderer, &active)))
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
