//! Appeals over HTTP: filing, reading and answering them, and how they went by policy.

use actix_web::http::header;
use actix_web::{HttpResponse, get, post, web};
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Id;
use crate::assessments::appeals::{self, Error, NewAnswer, NewAppeal};
use crate::assessments::model::{FiledFor, Resolution};
use crate::assessments::store::{self, Answered, Appeal, AppealCounts, AppealFilter};
use crate::assessments::view::Renderer;
use crate::customers::texts::date;
use crate::db::Db;
use crate::faults::{Fault, excerpt};
use crate::http::current::Current;
use crate::http::etag;
use crate::http::extract::{Body, Languages, Parameters, PathId};
use crate::http::list::{Listed, Page};
use crate::http::paging::{self, PageParameters};
use crate::http::problem::{Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{DecideAppeals, ReadCustomers, WriteAppeals};
use crate::policy::texts::LabelKind;
use crate::releases::active::Active;
use crate::releases::author;
use crate::schemas::DecimalText;

/// Most characters of grounds, evidence and answers.
const MAX_TEXT: usize = 2000;

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_appeals)
        .service(create_appeal)
        .service(get_appeal)
        .service(resolve_appeal)
        .service(get_appeal_report);
}

/// How far an appeal is.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppealStatus {
    /// It waits for an answer.
    Open,
    /// It was answered.
    Resolved,
}

/// An appeal against a decision.
#[derive(Serialize, ToSchema)]
#[schema(as = Appeal, example = json!({"id": "0193f0a2-7c1e-7aaa-8000-0123456789ab", "customer_id": "0193f0a2-7c1e-7aaa-8000-0123456789ac",
    "customer_code": "X17", "policy": "volume_grade", "title": "Volume grade", "assessment_id": "0193f0a2-7c1e-7aaa-8000-0123456789ad", "outcome": "4",
    "label": "Grade 4", "filed_for": "customer", "grounds": "The order of 12 December is missing", "author": "ana", "filed_at": "2018-01-03T10:00:00.123456Z",
    "filed_on": "2018-01-03", "answer_by": "2018-01-18", "status": "open", "overdue": false}))]
pub struct AppealView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    id: Id,
    /// The customer's id.
    #[schema(value_type = uuid::Uuid)]
    customer_id: Id,
    /// His code.
    customer_code: String,
    /// The policy.
    policy: String,
    /// Its title.
    title: String,
    /// The assessment that gave the outcome.
    #[schema(value_type = uuid::Uuid)]
    assessment_id: Id,
    /// The outcome that stood when the appeal was filed.
    outcome: String,
    /// Its label.
    label: String,
    /// Who appeals.
    filed_for: FiledFor,
    /// Why.
    grounds: String,
    /// What proves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    evidence: Option<String>,
    /// Who filed it.
    author: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    filed_at: Timestamp,
    /// The business date of filing.
    #[schema(value_type = String, format = Date)]
    filed_on: Date,
    /// The last business date on which it is answered in time.
    #[schema(value_type = String, format = Date)]
    answer_by: Date,
    /// How far it is.
    status: AppealStatus,
    /// Whether it was answered late, or is late without an answer.
    overdue: bool,
    /// The answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    answer: Option<AnswerView>,
}

/// The answer to an appeal.
#[derive(Serialize, ToSchema)]
#[schema(as = AppealAnswer, example = json!({"resolution": "corrected", "answer": "The order was entered", "reviewer": "luis",
    "resolved_at": "2018-01-04T10:00:00.123456Z", "resolved_on": "2018-01-04"}))]
pub struct AnswerView {
    /// What came of the appeal.
    resolution: Resolution,
    /// What the reviewer says.
    answer: String,
    /// The reviewer.
    reviewer: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    resolved_at: Timestamp,
    /// The business date.
    #[schema(value_type = String, format = Date)]
    resolved_on: Date,
    /// The override that he made, where that came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    override_id: Option<Id>,
}

impl From<Answered> for AnswerView {
    fn from(answered: Answered) -> Self {
        let Answered { resolution, on, at, reviewer, answer, override_id, .. } = answered;
        Self { resolution, answer, reviewer, resolved_at: at, resolved_on: on, override_id }
    }
}

fn view(appeal: Appeal, active: &Active, renderer: &Renderer<'_>) -> AppealView {
    let answered_on = appeal.answered.as_ref().map(|answered| answered.on);
    AppealView {
        id: appeal.id,
        customer_id: appeal.customer_id,
        customer_code: appeal.customer_code,
        title: renderer.label(LabelKind::Policy, &appeal.policy),
        assessment_id: appeal.assessment_id,
        label: renderer.outcome_label(&appeal.policy, &appeal.outcome),
        policy: appeal.policy,
        outcome: appeal.outcome,
        filed_for: appeal.filed_for,
        grounds: appeal.grounds,
        evidence: appeal.evidence,
        author: appeal.author,
        filed_at: appeal.filed_at,
        filed_on: appeal.filed_on,
        answer_by: appeal.answer_by,
        status: if answered_on.is_some() { AppealStatus::Resolved } else { AppealStatus::Open },
        overdue: answered_on.unwrap_or(active.basis.business_date) > appeal.answer_by,
        answer: appeal.answered.map(AnswerView::from),
    }
}

/// A page of appeals.
#[derive(Serialize, ToSchema)]
pub struct AppealList {
    /// The appeals, in the order in which they were filed.
    items: Vec<AppealView>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for AppealList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// Appeals
///
/// In the order in which they were filed.
#[utoipa::path(tag = "overrides", operation_id = "listAppeals", security(("bearer" = ["customers:read"])), params(
    ("customer_id" = Option<uuid::Uuid>, Query, nullable = false, description = "Those of this customer"),
    ("policy" = Option<String>, Query, nullable = false, max_length = 200, description = "Those against decisions of this policy", example = "volume_grade"),
    ("status" = Option<AppealStatus>, Query, nullable = false, description = "Those that are as far"),
    ("overdue" = Option<bool>, Query, nullable = false, description = "Those alone that wait for an answer and are late"),
    PageParameters), responses(
    (status = 200, body = AppealList, description = "A page"),
    Problems
))]
#[get("/v1/appeals")]
pub async fn list_appeals(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    mut parameters: Parameters,
) -> Result<Listed<AppealList>, Problem> {
    let fault = |name: &str, code, detail| Problem::invalid(vec![Fault::new(name, code, detail)]);
    let answered = match parameters.text("status")?.as_deref() {
        None => None,
        Some("open") => Some(false),
        Some("resolved") => Some(true),
        Some(other) => {
            let detail = format!("'{}' is neither open nor resolved", excerpt(other));
            return Err(fault("status", "unknown_choice", detail));
        }
    };
    let customer_id = parameters
        .text("customer_id")?
        .map(|text| text.parse().map_err(|_| fault("customer_id", "id", format!("'{}' is no id", excerpt(&text)))));
    let filter = AppealFilter {
        customer_id: customer_id.transpose()?,
        policy: parameters.text("policy")?,
        answered,
        overdue_on: parameters.flag("overdue")?.then_some(active.basis.business_date),
    };
    let (after, limit) = parameters.page::<Id>()?;
    let found =
        db.run(move |conn| store::appeals(conn, &filter, after.unwrap_or(Id::NIL), i64::from(limit) + 1)).await?;
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    let (items, next_cursor) = paging::page(found, limit, |last| paging::cursor(&last.id));
    let items = items.into_iter().map(|appeal| view(appeal, &active, &renderer)).collect();
    Ok(Listed(AppealList { items, next_cursor }))
}

/// An appeal to be filed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"customer_id": "0193f0a2-7c1e-7aaa-8000-0123456789ac", "policy": "volume_grade", "filed_for": "customer",
    "grounds": "The order of 12 December is missing", "evidence": "delivery note 4711"}))]
pub struct AppealRequest {
    /// The customer's id.
    #[schema(value_type = uuid::Uuid)]
    customer_id: Id,
    /// The policy whose standing outcome the appeal goes against.
    #[schema(min_length = 1, max_length = 64)]
    policy: String,
    /// Who appeals.
    filed_for: FiledFor,
    /// Why.
    #[schema(min_length = 1, max_length = 2000)]
    grounds: String,
    /// What proves it: a document's number, an address.
    #[schema(nullable = false, min_length = 1, max_length = 2000)]
    evidence: Option<String>,
}

/// File an appeal
///
/// Against the outcome that stands, within the days that the pack allows after it came. 409 where one waits for an answer.
#[utoipa::path(tag = "overrides", operation_id = "createAppeal", security(("bearer" = ["appeals:write"])), request_body = AppealRequest, responses(
    (status = 201, body = AppealView, description = "Filed", headers(("Location" = String, description = "Address of the appeal"))),
    Problems
))]
#[post("/v1/appeals")]
pub async fn create_appeal(
    permit: Permit<WriteAppeals>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    body: Body<AppealRequest>,
) -> Result<HttpResponse, Problem> {
    let AppealRequest { customer_id, policy, filed_for, grounds, evidence } = body.0;
    let mut faults = Vec::new();
    let grounds = author::text("/grounds", &grounds, MAX_TEXT).map_err(|fault| faults.push(fault)).ok();
    let evidence = evidence.map(|text| author::text("/evidence", &text, MAX_TEXT)).transpose();
    let evidence = evidence.map_err(|fault| faults.push(fault)).ok();
    let (Some(grounds), Some(evidence)) = (grounds, evidence) else { return Err(Problem::invalid(faults)) };
    let new = NewAppeal { customer_id, policy, filed_for, grounds, evidence };
    let (state, user) = (active.0.clone(), permit.principal.user_id);
    let appeal = db
        .run(move |conn| {
            let by = author::by(conn, user)?;
            appeals::file(conn, &state, &by, user, &new)
        })
        .await?;
    let location = (header::LOCATION, format!("/v1/appeals/{}", appeal.id));
    let view = view(appeal, &active, &Renderer::new(&active.release.pack, &languages.0));
    Ok(HttpResponse::Created().insert_header(location).json(view))
}

/// An appeal
///
/// With its answer, once there is one.
#[utoipa::path(tag = "overrides", operation_id = "getAppeal", security(("bearer" = ["customers:read"])), params(
    ("id" = uuid::Uuid, Path, description = "The appeal's id")), responses(
    (status = 200, body = AppealView, description = "The appeal", headers(("ETag" = String, description = "Its content's"))),
    Problems
))]
#[get("/v1/appeals/{id}")]
pub async fn get_appeal(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    id: PathId,
) -> Result<HttpResponse, Problem> {
    let found = db.run(move |conn| store::find_appeal(conn, id.0)?.ok_or(Error::NotFound)).await?;
    etag::tagged(&view(found, &active, &Renderer::new(&active.release.pack, &languages.0)))
}

/// An answer to an appeal.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"resolution": "overridden", "answer": "Only shop in the valley", "override": {"outcome": "3", "expires_on": "2018-06-30"}}))]
pub struct AppealAnswerRequest {
    /// What comes of the appeal. `corrected` wants that something known of the customer has changed since it was filed.
    resolution: Resolution,
    /// What the reviewer says.
    #[schema(min_length = 1, max_length = 1000)]
    answer: String,
    /// What he decides instead of the policy, where the resolution is `overridden`.
    #[serde(rename = "override")]
    #[schema(nullable = false)]
    decided: Option<AppealOverride>,
}

/// What a reviewer decides instead of a policy.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"outcome": "3", "expires_on": "2018-06-30"}))]
pub struct AppealOverride {
    /// One of the policy's outcomes.
    #[schema(min_length = 1, max_length = 64)]
    outcome: String,
    /// The last business date on which it counts.
    #[schema(format = Date)]
    expires_on: String,
}

/// Answer an appeal
///
/// 403 for whoever filed it or decided what it goes against; 409 where it was answered. With `overridden` the outcome stands from the business date
/// on, instead of an override that held until then.
#[utoipa::path(tag = "overrides", operation_id = "resolveAppeal", security(("bearer" = ["appeals:decide"])), params(
    ("id" = uuid::Uuid, Path, description = "The appeal's id")), request_body = AppealAnswerRequest, responses(
    (status = 200, body = AppealView, description = "Answered"),
    Problems
))]
#[post("/v1/appeals/{id}/resolution")]
pub async fn resolve_appeal(
    permit: Permit<DecideAppeals>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    id: PathId,
    body: Body<AppealAnswerRequest>,
) -> Result<web::Json<AppealView>, Problem> {
    let AppealAnswerRequest { resolution, answer, decided } = body.0;
    let mut faults = Vec::new();
    // It becomes the reason of an override, which is as long.
    let answer = author::said("/answer", &answer).map_err(|fault| faults.push(fault)).ok();
    if decided.is_some() != (resolution == Resolution::Overridden) {
        let detail = "'overridden' comes with an 'override', and nothing else does".to_owned();
        faults.push(Fault::new("/override", "required", detail));
    }
    let decided = decided.and_then(|AppealOverride { outcome, expires_on }| {
        let read = |(code, detail)| faults.push(Fault::new("/override/expires_on", code, detail));
        Some((outcome, date(&expires_on).map_err(read).ok()?))
    });
    let Some(answer) = answer.filter(|_| faults.is_empty()) else { return Err(Problem::invalid(faults)) };
    let new = NewAnswer { resolution, answer, decided };
    let (state, who) = (active.0.clone(), (permit.principal.user_id, id.0));
    let appeal = db
        .run(move |conn| {
            let by = author::by(conn, who.0)?;
            appeals::answer(conn, &state, &by, who, &new)
        })
        .await?;
    Ok(web::Json(view(appeal, &active, &Renderer::new(&active.release.pack, &languages.0))))
}

/// How appeals went.
#[derive(Serialize, ToSchema)]
pub struct AppealReport {
    /// One entry for each policy, the one first that was overturned most.
    items: Vec<AppealReportItem>,
}

/// How the appeals against a policy's decisions went.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"policy": "volume_grade", "title": "Volume grade", "filed": 8, "open": 1, "late": 1, "upheld": 4, "corrected": 2, "overridden": 1,
    "overturned": 3, "overturned_share": "0.4286"}))]
pub struct AppealReportItem {
    /// The policy.
    policy: String,
    /// Its title.
    title: String,
    /// Appeals that were filed.
    filed: u64,
    /// Those that wait for an answer.
    open: u64,
    /// Those that were answered late, or are late without an answer.
    late: u64,
    /// Those after which the decision stayed.
    upheld: u64,
    /// Those after which the data were corrected.
    corrected: u64,
    /// Those after which a person decided instead.
    overridden: u64,
    /// Those after which the decision didn't stay.
    overturned: u64,
    /// Their share of those that were answered, with four places; absent where none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<DecimalText>)]
    overturned_share: Option<Decimal>,
}

/// Report on appeals
///
/// How those that were filed in a period went, by policy: which one is overturned most.
#[utoipa::path(tag = "overrides", operation_id = "getAppealReport", security(("bearer" = ["customers:read"])), params(
    ("from" = Option<String>, Query, nullable = false, format = Date, description = "The first business date of filing; from the beginning when absent"),
    ("to" = Option<String>, Query, nullable = false, format = Date, description = "The last business date of filing; until now when absent")), responses(
    (status = 200, body = AppealReport, description = "The report"),
    Problems
))]
#[get("/v1/appeal-report")]
pub async fn get_appeal_report(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    mut parameters: Parameters,
) -> Result<web::Json<AppealReport>, Problem> {
    let mut faults = Vec::new();
    let sent = [("from", parameters.text("from")?), ("to", parameters.text("to")?)];
    let [from, to] = sent.map(|(name, text)| {
        let read = |(code, detail)| faults.push(Fault::new(name, code, detail));
        text.and_then(|text| date(&text).map_err(read).ok())
    });
    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        faults.push(Fault::new("to", "out_of_range", format!("{to} is before {from}, where the period begins")));
    }
    faults.extend(parameters.0.iter().map(|(name, _)| Parameters::unknown(name, &["from", "to"])));
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let period = (from.unwrap_or(Date::constant(1000, 1, 1)), to.unwrap_or(Date::constant(9999, 12, 31)));
    let state = active.0.clone();
    let report = db.run(move |conn| appeals::report(conn, &state, period)).await?;
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    Ok(web::Json(AppealReport { items: report.into_iter().map(|one| report_item(one, &renderer)).collect() }))
}

fn report_item((policy, counts): (String, AppealCounts), renderer: &Renderer<'_>) -> AppealReportItem {
    let of = |resolution| counts.answered.get(&resolution).copied().unwrap_or_default();
    let (resolved, overturned) = (counts.resolved(), counts.overturned());
    AppealReportItem {
        title: renderer.label(LabelKind::Policy, &policy),
        policy,
        filed: resolved + counts.open,
        open: counts.open,
        late: counts.late,
        upheld: of(Resolution::Upheld),
        corrected: of(Resolution::Corrected),
        overridden: of(Resolution::Overridden),
        overturned,
        overturned_share: Decimal::from(overturned).checked_div(resolved.into()).map(|share| share.round_dp(4)),
    }
}
