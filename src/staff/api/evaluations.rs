//! Evaluations of employees over HTTP: computing, signing, correcting and listing them.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpResponse, get, post, web};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{month, shown};
use crate::Id;
use crate::assessments::view::{DecisionView, Renderer};
use crate::db::{self, Conn, Db};
use crate::digest::Digest;
use crate::employees::model::Employee;
use crate::employees::store as employees;
use crate::faults::{Fault, excerpt};
use crate::http::current::Current;
use crate::http::etag;
use crate::http::extract::{Body, IfMatch, Languages, Parameters, PathId};
use crate::http::list::{Listed, Page};
use crate::http::paging::{self, PageParameters};
use crate::http::problem::{Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{EvaluateStaff, Permission, Principal, ReadStaff, SignStaff};
use crate::identity::{roles, store as users};
use crate::policy::release::LoadedPack;
use crate::releases::active::{Active, InForce};
use crate::releases::author;
use crate::releases::model::By;
use crate::schemas::{DecimalText, NamedTexts, Remarks};
use crate::staff::evaluate::{self, Error, NewEvaluation, Renewal};
use crate::staff::model::{EvaluationStatus, StaffEvaluation};
use crate::staff::store::{self, EvaluationFilter};
use crate::transactions::model::Month;

/// Most characters of a remark.
const MAX_REMARK: usize = 1000;

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(list_evaluations)
        .service(create_evaluation)
        .service(get_evaluation)
        .service(recompute_evaluation)
        .service(sign_evaluation)
        .service(correct_evaluation);
}

/// An evaluation of an employee for a month.
#[derive(Serialize, ToSchema)]
#[schema(as = StaffEvaluation, example = json!({"id": "0193f0a2-7c1e-7aaa-8000-0123456789ab", "employee_id": "0193f0a2-7c1e-7aaa-8000-0123456789ac",
    "employee_code": "T1", "employee_name": "Ana Ruiz", "period": "2018-01", "area": "north", "score": "92", "decision": {"policy": "technician_score",
    "title": "Technician's score", "cadence": "month", "status": "decided", "outcome": "excellent", "label": "Excellent", "score": "92",
    "indicators": [{"key": "attendance", "label": "Attendance", "value": "80", "weight": "10", "contribution": "8"}], "inputs": []},
    "remarks": {"attendance": "Two late arrivals"}, "status": "half_signed", "in_charge": "mia", "employee_signed_at": "2018-02-02T10:00:00.123456Z",
    "corrected": false, "release": "sha256:3f5a9d1c0e8b7a6f4d2c1b0a9e8d7c6b5a4f3e2d1c0b9a8f7e6d5c4b3a291807", "computed_at": "2018-02-01T10:00:00.123456Z",
    "version": 2}))]
pub struct EvaluationView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    id: Id,
    /// The employee's id.
    #[schema(value_type = uuid::Uuid)]
    employee_id: Id,
    /// His code.
    employee_code: String,
    /// His name.
    employee_name: String,
    /// The month.
    #[schema(example = "2018-01", pattern = "^[0-9]{4}-[0-9]{2}$")]
    period: String,
    /// The area that he served on the month's last day.
    area: String,
    /// The final score in points of the pack's policy, 0 or more.
    #[schema(value_type = DecimalText)]
    score: Decimal,
    /// What the policy decided: its indicators are the modules, each with weight and score.
    decision: DecisionView,
    /// What is remarked, by module.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false, value_type = NamedTexts)]
    remarks: BTreeMap<String, String>,
    /// How far it is.
    status: EvaluationStatus,
    /// The user who is in charge.
    in_charge: String,
    /// When the employee signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = DateTime)]
    employee_signed_at: Option<Timestamp>,
    /// When the person in charge signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = DateTime)]
    in_charge_signed_at: Option<Timestamp>,
    /// The signed evaluation that it corrects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    corrects: Option<Id>,
    /// Why it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// Whether a later one corrects it.
    corrected: bool,
    /// Digest of the release by which it was computed.
    release: Digest,
    /// When it was computed.
    #[schema(value_type = String, format = DateTime)]
    computed_at: Timestamp,
    /// How often it was computed or signed, from 1.
    #[schema(minimum = 1)]
    version: i64,
}

/// An evaluation with what it is shown by.
struct Shown {
    evaluation: StaffEvaluation,
    employee: Employee,
    release: Arc<LoadedPack>,
}

impl Shown {
    fn read(conn: &mut Conn, in_force: &InForce, evaluation: StaffEvaluation) -> Result<Self, Error> {
        let release = in_force.release(conn, evaluation.release)?;
        Self::by(conn, release, evaluation)
    }

    fn by(conn: &mut Conn, release: Arc<LoadedPack>, evaluation: StaffEvaluation) -> Result<Self, Error> {
        let employee = employees::find(conn, evaluation.employee_id)?.ok_or(Error::NotFound)?;
        Ok(Self { evaluation, employee, release })
    }

    fn view(self, languages: &Languages) -> Result<EvaluationView, Problem> {
        let Self { evaluation, employee, release } = self;
        let renderer = Renderer::new(&release.pack, &languages.0);
        let as_of = Month::of(evaluation.period).plus(1).period().from;
        let result = evaluation.assessed.policies.iter().find(|result| result.policy == evaluation.policy);
        let result = result.ok_or_else(|| db::Error::Corrupt("an evaluation without its policy".to_owned()))?;
        Ok(EvaluationView {
            decision: renderer.decision(result, as_of),
            status: evaluation.status(),
            id: evaluation.id,
            employee_id: evaluation.employee_id,
            employee_code: employee.code,
            employee_name: employee.name,
            period: shown(evaluation.period),
            area: evaluation.area,
            score: evaluation.score,
            remarks: evaluation.remarks,
            in_charge: evaluation.in_charge,
            employee_signed_at: evaluation.employee_signed_at,
            in_charge_signed_at: evaluation.in_charge_signed_at,
            corrects: evaluation.corrects,
            reason: evaluation.reason,
            corrected: evaluation.corrected,
            release: evaluation.release,
            computed_at: evaluation.computed_at,
            version: evaluation.version,
        })
    }

    fn answer(self, languages: &Languages) -> Result<HttpResponse, Problem> {
        let view = self.view(languages)?;
        Ok(HttpResponse::Ok().insert_header(etag::tag(view.version)).json(view))
    }

    fn created(self, languages: &Languages) -> Result<HttpResponse, Problem> {
        let view = self.view(languages)?;
        let location = (header::LOCATION, format!("/v1/staff-evaluations/{}", view.id));
        Ok(HttpResponse::Created().insert_header(location).insert_header(etag::tag(view.version)).json(view))
    }
}

/// Whose evaluations a user sees: everybody's, or his own and those of which he is in charge.
fn seen_by(conn: &mut Conn, principal: &Principal) -> db::Result<Option<(Option<Id>, Id)>> {
    if principal.permissions.has(ReadStaff::NAME) {
        return Ok(None);
    }
    Ok(Some((employees::of_user(conn, principal.user_id)?, principal.user_id)))
}

/// A page of evaluations.
#[derive(Serialize, ToSchema)]
pub struct StaffEvaluationList {
    /// The evaluations, in the order in which they were made.
    items: Vec<EvaluationView>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for StaffEvaluationList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// Evaluations of employees
///
/// In the order in which they were made. Who may not read those of all sees his own and those of which he is in charge.
#[utoipa::path(tag = "staff", operation_id = "listStaffEvaluations", security(("bearer" = ["staff:sign"])), params(
    ("employee_id" = Option<uuid::Uuid>, Query, nullable = false, description = "Those of this employee"),
    ("area" = Option<String>, Query, nullable = false, max_length = 200, description = "Those of this area", example = "north"),
    ("period" = Option<String>, Query, nullable = false, pattern = "^[0-9]{4}-[0-9]{2}$", description = "Those of this month", example = "2018-01"),
    PageParameters), responses(
    (status = 200, body = StaffEvaluationList, description = "A page"),
    Problems
))]
#[get("/v1/staff-evaluations")]
pub async fn list_evaluations(
    permit: Permit<SignStaff>,
    db: web::Data<Db>,
    in_force: web::Data<InForce>,
    languages: Languages,
    mut parameters: Parameters,
) -> Result<Listed<StaffEvaluationList>, Problem> {
    let mut faults = Vec::new();
    let period =
        parameters.text("period")?.and_then(|text| month("period", &text).map_err(|fault| faults.push(fault)).ok());
    let employee_id = parameters.text("employee_id")?.and_then(|text| {
        let fault = |_| faults.push(Fault::new("employee_id", "id", format!("'{}' is no id", excerpt(&text))));
        text.parse().map_err(fault).ok()
    });
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let mut filter = EvaluationFilter { employee_id, area: parameters.text("area")?, period, seen_by: None };
    let (after, limit) = parameters.page::<Id>()?;
    let principal = permit.principal.clone();
    let found = db
        .run(move |conn| {
            filter.seen_by = seen_by(conn, &principal)?;
            let found = store::evaluations(conn, &filter, after.unwrap_or(Id::NIL), i64::from(limit) + 1)?;
            found.into_iter().map(|one| Shown::read(conn, &in_force, one)).collect::<Result<Vec<_>, Error>>()
        })
        .await?;
    let (items, next_cursor) = paging::page(found, limit, |last| paging::cursor(&last.evaluation.id));
    let items = items.into_iter().map(|one| one.view(&languages)).collect::<Result<_, _>>()?;
    Ok(Listed(StaffEvaluationList { items, next_cursor }))
}

/// An evaluation to be computed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"employee_id": "0193f0a2-7c1e-7aaa-8000-0123456789ab", "period": "2018-01", "remarks": {"attendance": "One late arrival"}}))]
pub struct StaffEvaluationBody {
    /// The employee.
    #[schema(value_type = uuid::Uuid)]
    employee_id: Id,
    /// A month that has ended.
    #[schema(example = "2018-01", min_length = 7, max_length = 7, pattern = "^[0-9]{4}-[0-9]{2}$")]
    period: String,
    /// The user's name of who is in charge, a user who may sign; the caller when absent.
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    in_charge: Option<String>,
    /// What is remarked, by module.
    #[serde(default)]
    #[schema(required = false, value_type = Remarks)]
    remarks: BTreeMap<String, String>,
}

fn check_remarks(remarks: &BTreeMap<String, String>, faults: &mut Vec<Fault>) {
    for (module, remark) in remarks {
        let pointer = format!("/remarks{}", crate::faults::pointer_segment(module));
        faults.extend(author::text(&pointer, remark, MAX_REMARK).err());
    }
}

/// Evaluate an employee
///
/// For a month that has ended, by the pack's policy about employees, from what was observed. 409 where he was evaluated for it already.
#[utoipa::path(tag = "staff", operation_id = "createStaffEvaluation", security(("bearer" = ["staff:evaluate"])), request_body = StaffEvaluationBody, responses(
    (status = 201, body = EvaluationView, description = "Computed", headers(
        ("Location" = String, description = "Address of the evaluation"), ("ETag" = String, description = "Its version"))),
    Problems
))]
#[post("/v1/staff-evaluations")]
pub async fn create_evaluation(
    permit: Permit<EvaluateStaff>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    body: Body<StaffEvaluationBody>,
) -> Result<HttpResponse, Problem> {
    let StaffEvaluationBody { employee_id, period, in_charge, remarks } = body.0;
    let mut faults = Vec::new();
    let period = month("/period", &period).map_err(|fault| faults.push(fault)).ok();
    check_remarks(&remarks, &mut faults);
    let Some(period) = period.filter(|_| faults.is_empty()) else { return Err(Problem::invalid(faults)) };
    let (state, caller) = (active.0.clone(), permit.principal.user_id);
    let made = db
        .run(move |conn| {
            let in_charge = match in_charge {
                Some(named) => person_in_charge(conn, &named)?,
                None => author::by(conn, caller)?,
            };
            let new = NewEvaluation { employee_id, period, in_charge, remarks };
            let made = evaluate::create(conn, &state, &new)?;
            Shown::by(conn, state.release.clone(), made)
        })
        .await?;
    made.created(&languages)
}

fn person_in_charge(conn: &mut Conn, username: &str) -> Result<By, Error> {
    let user = users::find_by_name(conn, &username.trim().to_ascii_lowercase())?.ok_or_else(|| {
        let detail = format!("there is no user '{}'", excerpt(username));
        Error::Invalid(vec![Fault::new("/in_charge", "unknown_user", detail)])
    })?;
    if !roles::permissions(conn, &user.roles)?.has(SignStaff::NAME) {
        return Err(evaluate::impossible("/in_charge", format!("'{}' may not sign", excerpt(username))));
    }
    Ok(By { user_id: Some(user.id), name: user.username })
}

/// An evaluation of an employee
///
/// Who may not read those of all sees his own and those of which he is in charge.
#[utoipa::path(tag = "staff", operation_id = "getStaffEvaluation", security(("bearer" = ["staff:sign"])), params(
    ("id" = uuid::Uuid, Path, description = "The evaluation's id")), responses(
    (status = 200, body = EvaluationView, description = "The evaluation", headers(("ETag" = String, description = "Its version"))),
    Problems
))]
#[get("/v1/staff-evaluations/{id}")]
pub async fn get_evaluation(
    permit: Permit<SignStaff>,
    db: web::Data<Db>,
    in_force: web::Data<InForce>,
    languages: Languages,
    id: PathId,
) -> Result<HttpResponse, Problem> {
    let principal = permit.principal.clone();
    let found = db
        .run(move |conn| {
            let evaluation = store::evaluation(conn, id.0)?.ok_or(Error::NotFound)?;
            let is_seen = seen_by(conn, &principal)?.is_none_or(|(employee, user)| {
                employee == Some(evaluation.employee_id) || user == evaluation.in_charge_id
            });
            if is_seen { Shown::read(conn, &in_force, evaluation) } else { Err(Error::NotFound) }
        })
        .await?;
    found.answer(&languages)
}

/// What is computed once more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"remarks": {"attendance": "One late arrival"}}))]
pub struct Recomputation {
    /// The user's name of who is in charge, a user who may sign; as it was when absent.
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    in_charge: Option<String>,
    /// What is remarked, by module, in place of what was; as it was when absent.
    #[schema(nullable = false, value_type = Option<Remarks>)]
    remarks: Option<BTreeMap<String, String>>,
}

/// Compute an evaluation again
///
/// From what is known now. A single signature is void then; 409 where both have signed.
#[utoipa::path(tag = "staff", operation_id = "recomputeStaffEvaluation", security(("bearer" = ["staff:evaluate"])), params(
    ("id" = uuid::Uuid, Path, description = "The evaluation's id"),
    ("If-Match" = String, Header, description = "The ETag that was read")), request_body = Recomputation, responses(
    (status = 200, body = EvaluationView, description = "Computed", headers(("ETag" = String, description = "Its version"))),
    Problems
))]
#[post("/v1/staff-evaluations/{id}/computation")]
pub async fn recompute_evaluation(
    _: Permit<EvaluateStaff>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    id: PathId,
    IfMatch(versions): IfMatch,
    body: Body<Recomputation>,
) -> Result<HttpResponse, Problem> {
    let Recomputation { in_charge, remarks } = body.0;
    let mut faults = Vec::new();
    remarks.iter().for_each(|remarks| check_remarks(remarks, &mut faults));
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let state = active.0.clone();
    let made = db
        .run(move |conn| {
            let in_charge = in_charge.map(|named| person_in_charge(conn, &named)).transpose()?;
            let made = evaluate::recompute(conn, &state, id.0, &versions, &Renewal { in_charge, remarks })?;
            Shown::by(conn, state.release.clone(), made)
        })
        .await?;
    made.answer(&languages)
}

/// Sign an evaluation
///
/// As it was read: `If-Match` names the version. 403 for everybody but the evaluated person and the one in charge. When both have signed it doesn't change any more.
#[utoipa::path(tag = "staff", operation_id = "signStaffEvaluation", security(("bearer" = ["staff:sign"])), params(
    ("id" = uuid::Uuid, Path, description = "The evaluation's id"),
    ("If-Match" = String, Header, description = "The ETag that was read")), responses(
    (status = 200, body = EvaluationView, description = "Signed", headers(("ETag" = String, description = "Its version"))),
    Problems
))]
#[post("/v1/staff-evaluations/{id}/signatures")]
pub async fn sign_evaluation(
    permit: Permit<SignStaff>,
    db: web::Data<Db>,
    in_force: web::Data<InForce>,
    languages: Languages,
    id: PathId,
    IfMatch(versions): IfMatch,
) -> Result<HttpResponse, Problem> {
    let user = permit.principal.user_id;
    let signed = db
        .run(move |conn| {
            let signed = evaluate::sign(conn, user, id.0, &versions)?;
            Shown::read(conn, &in_force, signed)
        })
        .await?;
    signed.answer(&languages)
}

/// Why something signed is corrected.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "A feedback form came late"}))]
pub struct Correction {
    /// Why.
    #[schema(min_length = 1, max_length = 1000)]
    pub(super) reason: String,
}

/// Correct a signed evaluation
///
/// A new evaluation of the same month, from what is known now, that names the signed one and is signed by both again.
#[utoipa::path(tag = "staff", operation_id = "correctStaffEvaluation", security(("bearer" = ["staff:evaluate"])), params(
    ("id" = uuid::Uuid, Path, description = "The signed evaluation's id")), request_body = Correction, responses(
    (status = 201, body = EvaluationView, description = "Computed", headers(
        ("Location" = String, description = "Address of the correction"), ("ETag" = String, description = "Its version"))),
    Problems
))]
#[post("/v1/staff-evaluations/{id}/correction")]
pub async fn correct_evaluation(
    _: Permit<EvaluateStaff>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    id: PathId,
    body: Body<Correction>,
) -> Result<HttpResponse, Problem> {
    let reason = author::said("/reason", &body.0.reason).map_err(|fault| Problem::invalid(vec![fault]))?;
    let state = active.0.clone();
    let made = db
        .run(move |conn| {
            let made = evaluate::correct(conn, &state, id.0, &reason)?;
            Shown::by(conn, state.release.clone(), made)
        })
        .await?;
    made.created(&languages)
}
