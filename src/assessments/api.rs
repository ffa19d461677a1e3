//! Evaluations, decisions and assessments over HTTP.

mod appeals;
mod basis;
mod causes;
mod comparison;
mod difference;
mod drift;
mod explanation;
mod lists;
mod metrics;
mod near;
mod overrides;
mod paths;
mod publication;
mod replay;
pub mod runs;
mod shadow;

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, post, web};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use self::basis::next_closing;
pub use self::metrics::OpenImports;
use super::evaluate::{self, Document, Evaluated, Prepared};
use super::store::{self, Compared};
use super::view::{AssessmentView, CurrentDecision, OverrideInForce, Renderer};
use crate::Id;
use crate::customers::store as customer_store;
use crate::customers::texts::date;
use crate::db::{self, Conn, Db, Subjects};
use crate::digest::Digest;
use crate::faults::Fault;
use crate::http::current::Current;
use crate::http::etag;
use crate::http::extract::{Body, Languages, Parameters, PathId};
use crate::http::list::{Listed, Page};
use crate::http::paging::{self, PageParameters};
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{Evaluate, ReadCustomers};
use crate::policy::pack::{Cadence, PolicyDeclaration};
use crate::releases::active::{Active, InForce};
use crate::schemas::{MetricValues, ProfileBody};

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(create_evaluation)
        .service(list_customer_decisions)
        .service(list_customer_assessments)
        .service(get_assessment)
        .configure(runs::configure)
        .configure(difference::configure)
        .configure(causes::configure)
        .configure(drift::configure)
        .configure(lists::configure)
        .configure(overrides::configure)
        .configure(appeals::configure)
        .configure(publication::configure)
        .configure(shadow::configure)
        .configure(explanation::configure)
        .configure(comparison::configure)
        .configure(near::configure)
        .configure(paths::configure)
        .configure(replay::configure)
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
    #[schema(value_type = ProfileBody, required = false)]
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
    let (id, date) = (id.0, active.basis.business_date);
    let (code, outcomes, latest, assessments, mut overrides) = db
        .run(move |conn| {
            let Some(code) = customer_store::code(conn, id)? else { return Ok(None) };
            let outcomes = store::outcomes_of(conn, Subjects::Listed(&[id]))?;
            let latest = store::latest_id(conn, id)?;
            let ids: Vec<Id> = outcomes.values().map(|outcome| outcome.assessment_id).chain(latest).collect();
            let assessments = store::assessments_of(conn, id, &ids)?;
            let overrides = store::open_overrides(conn, id, date)?;
            Ok::<_, db::Error>(Some((code, outcomes, latest, assessments, overrides)))
        })
        .await?
        .ok_or_else(|| Problem::new(Code::NotFound))?;
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    let latest = latest.and_then(|latest| assessments.get(&latest));
    let decision = |(policy, declared): (&String, &PolicyDeclaration)| {
        let outcome = outcomes.get(&(id, policy.clone()))?;
        // An outcome that follows the data has today's reasons and inputs, whichever assessment gave it first.
        let follows = outcome.flag.is_none() && (outcome.closed_on.is_none() || outcome.overridden.is_some());
        let standing = latest.filter(|_| follows).or_else(|| assessments.get(&outcome.assessment_id))?;
        let next = (declared.cadence != Cadence::Continuous).then(|| next_closing(&active, declared.cadence).0);
        let in_force = overrides.remove(policy).map(|kept| {
            let computed = outcome.overridden.as_ref();
            let compared = Compared {
                kept,
                customer_code: code.clone(),
                computed: computed.map(|computed| computed.outcome.clone()),
                differs_since: computed.and_then(|computed| computed.differs_since),
            };
            OverrideInForce::new(compared, &active, &renderer)
        });
        renderer.current(policy, outcome, standing, latest, next, in_force)
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
    let (code, found) = db
        .run(move |conn| {
            let Some(code) = customer_store::code(conn, id.0)? else { return Ok(None) };
            let found = store::history(conn, id.0, before, i64::from(limit) + 1)?;
            Ok::<_, db::Error>(Some((code, found)))
        })
        .await?
        .ok_or_else(|| Problem::new(Code::NotFound))?;
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    let (items, next_cursor) = paging::page(found, limit, |last| paging::cursor(&last.id));
    let items = items.iter().map(|assessment| renderer.assessment(assessment, &code)).collect();
    Ok(Listed(AssessmentList { items, next_cursor }))
}

/// Read an assessment
///
/// With the labels and reasons of the release that made it.
#[utoipa::path(tag = "assessments", operation_id = "getAssessment", security(("bearer" = ["customers:read"])),
    params(("id" = uuid::Uuid, Path, description = "The assessment's id")), responses(
    (status = 200, body = AssessmentView, description = "The assessment", headers(("ETag" = String, description = "Its content's"))),
    Problems
))]
#[get("/v1/assessments/{id}")]
pub async fn get_assessment(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    in_force: web::Data<InForce>,
    languages: Languages,
    id: PathId,
) -> Result<HttpResponse, Problem> {
    let (assessment, code, release) = db
        .run(move |conn| {
            let Some(assessment) = store::assessment(conn, id.0)? else { return Ok(None) };
            let Some(code) = customer_store::code(conn, assessment.customer_id)? else { return Ok(None) };
            let release = in_force.release(conn, assessment.release)?;
            Ok::<_, db::Error>(Some((assessment, code, release)))
        })
        .await?
        .ok_or_else(|| Problem::new(Code::NotFound))?;
    etag::tagged(&Renderer::new(&release.pack, &languages.0).assessment(&assessment, &code))
}
