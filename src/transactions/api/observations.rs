//! Observations over HTTP: recording them in batches, and listing those of a customer.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, post, web};
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{MAX_ITEMS, RecordStatus, parts};
use crate::Id;
use crate::customers::store as customer_store;
use crate::customers::texts::date;
use crate::db::{self, Conn, Db};
use crate::employees::store as employee_store;
use crate::faults::{Fault, Told, did_you_mean, excerpt};
use crate::http::current::Current;
use crate::http::extract::{Body, Parameters, PathId};
use crate::http::json;
use crate::http::list::{Listed, Page};
use crate::http::paging::{self, PageParameters};
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{EvaluateStaff, Permission, ReadCustomers, ReadStaff, WriteObservations};
use crate::schemas::DecimalText;
use crate::transactions::model::{Function, Observed, Period};
use crate::transactions::observations::left;
use crate::transactions::observe::{NewObservation, Recorder, observe};
use crate::transactions::record::{Recorded, Rules};
use crate::transactions::store::{self, Observation};

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(create_observations)
        .service(list_customer_observations)
        .service(list_employee_observations)
        .service(get_metric_ledger);
}

/// Observations to record.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ObservationBatch {
    /// 1 to 10,000 observations, each answered for itself.
    #[schema(min_items = 1, max_items = 10000, value_type = Vec<ObservationBody>)]
    items: Vec<serde_json::Value>,
}

/// An observation. It is known by its source and external id: sent twice it counts once, sent changed it becomes a further version.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"source": "inspection", "external_id": "B-9", "kind": "breach", "customer_code": "X17",
    "observed_on": "2017-12-28", "value": "4", "evidence": "Report 4711", "reported_by": "Officer Li"}))]
pub struct ObservationBody {
    /// The system it comes from.
    #[schema(min_length = 1, max_length = 64, example = "inspection")]
    source: String,
    /// Its id in that system.
    #[schema(min_length = 1, max_length = 200, example = "B-9")]
    external_id: String,
    /// One of the pack's kinds of observations.
    #[schema(min_length = 1, max_length = 64, example = "breach")]
    kind: String,
    /// Code of the customer, where the kind is one of customers.
    #[schema(nullable = false, min_length = 1, max_length = 64, example = "X17")]
    customer_code: Option<String>,
    /// Code of the employee, where the kind is one of employees.
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    employee_code: Option<String>,
    /// The day on which it was made; not after the business date.
    #[schema(format = Date)]
    observed_on: String,
    /// Its value in the unit of its kind: a decimal of at most 15 digits before and 6 after the point within the bounds of the kind; absent where the kind has none.
    #[schema(nullable = false, value_type = Option<DecimalText>)]
    value: Option<String>,
    /// What shows it: a text, the address of a picture.
    #[schema(nullable = false, min_length = 1, max_length = 2000)]
    evidence: Option<String>,
    /// Who reported it.
    #[schema(nullable = false, min_length = 1, max_length = 128)]
    reported_by: Option<String>,
    /// Whether it is taken back, so that it counts no more.
    #[serde(default)]
    withdrawn: bool,
}

impl From<ObservationBody> for NewObservation {
    fn from(body: ObservationBody) -> Self {
        let ObservationBody {
            source,
            external_id,
            kind,
            customer_code,
            employee_code,
            observed_on,
            value,
            evidence,
            reported_by,
            withdrawn,
        } = body;
        Self {
            source,
            external_id,
            kind,
            customer_code,
            employee_code,
            observed_on,
            value,
            evidence,
            reported_by,
            withdrawn,
        }
    }
}

/// What became of a batch.
#[derive(Serialize, ToSchema)]
pub struct ObservationBatchResult {
    /// One answer for each item, in their order.
    items: Vec<ObservationResult>,
}

/// What became of an item.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"index": 0, "status": "created", "id": "0193f0a2-7c1e-7aaa-8000-0123456789ab"}))]
pub struct ObservationResult {
    /// The item's place in the batch, from 0.
    index: usize,
    /// What became of it.
    status: RecordStatus,
    /// Id of the observation, unless it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = uuid::Uuid)]
    id: Option<Id>,
    /// The faults of a refused item, at most 100. After some ten thousand in all, each further item has its first only.
    #[schema(max_items = 100)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<Fault>,
}

/// Record observations
///
/// Each item is answered for itself; good ones are recorded whatever the others are. Sending a batch again is safe. What is corrected or
/// taken back is a further version: the earlier ones stay.
#[utoipa::path(tag = "transactions", operation_id = "createObservations", security(("bearer" = ["observations:write"])), request_body = ObservationBatch, responses(
    (status = 207, body = ObservationBatchResult, description = "An answer for each item"),
    Problems
))]
#[post("/v1/observations/batches")]
pub async fn create_observations(
    permit: Permit<WriteObservations>,
    db: web::Data<Db>,
    rules: Current<Rules>,
    body: Body<ObservationBatch>,
) -> Result<HttpResponse, Problem> {
    let items = body.0.items;
    if !(1..=MAX_ITEMS).contains(&items.len()) {
        let detail = format!("{} items are sent; a batch has 1 to {MAX_ITEMS}", items.len());
        return Err(Problem::invalid(vec![Fault::new("/items", "out_of_range", detail)]));
    }
    let (mut answers, mut places, mut sound, mut told) = (BTreeMap::new(), Vec::new(), Vec::new(), Told::default());
    for (index, item) in items.iter().enumerate() {
        match json::item::<ObservationBody>(item) {
            Ok(body) => {
                places.push(index);
                sound.push(NewObservation::from(body));
            }
            Err(faults) => drop(answers.insert(index, Recorded::Refused(told.of(faults)))),
        }
    }
    let principal = &permit.principal;
    let recorder =
        Recorder { user_id: Some(principal.user_id), evaluates: principal.permissions.has(EvaluateStaff::NAME) };
    let recorded = db.run(move |conn| observe(conn, &rules, recorder, sound, false)).await?;
    answers.extend(places.into_iter().zip(recorded));
    let answer = |(index, recorded)| {
        let (status, id, errors) = parts(recorded);
        ObservationResult { index, status, id, errors }
    };
    Ok(HttpResponse::MultiStatus().json(ObservationBatchResult { items: answers.into_iter().map(answer).collect() }))
}

/// A version of a recorded observation.
#[derive(Serialize, ToSchema)]
#[schema(as = Observation, example = json!({"id": "0193f0a2-7c1e-7aaa-8000-0123456789ab", "version": 1, "source": "inspection", "external_id": "B-9",
    "kind": "breach", "observed_on": "2017-12-28", "value": "4", "evidence": "Report 4711", "reported_by": "Officer Li",
    "recorded_by": "0193f0a2-7c1e-7aaa-8000-0123456789ac", "withdrawn": false, "superseded": false, "recorded_at": "2017-12-28T10:00:00.123456Z"}))]
pub struct ObservationView {
    /// Its id, the same for all versions.
    #[schema(value_type = uuid::Uuid)]
    id: Id,
    /// Which version it is, from 1.
    #[schema(minimum = 1)]
    version: i64,
    /// The system it came from.
    source: String,
    /// Its id in that system.
    external_id: String,
    /// Its kind.
    kind: String,
    /// The day on which it was made.
    #[schema(value_type = String, format = Date)]
    observed_on: Date,
    /// Its value in the unit of its kind and within the kind's bounds, where the kind has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<DecimalText>)]
    value: Option<Decimal>,
    /// What shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    evidence: Option<String>,
    /// Who reported it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reported_by: Option<String>,
    /// Id of the user who recorded it; absent where a command did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    recorded_by: Option<Id>,
    /// Whether it was taken back: it counts no more.
    withdrawn: bool,
    /// Whether a later version has taken its place.
    superseded: bool,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

impl From<Observation> for ObservationView {
    fn from(kept: Observation) -> Self {
        Self {
            id: kept.id,
            version: kept.version,
            source: kept.source,
            external_id: kept.external_id,
            kind: kept.kind,
            observed_on: kept.observed_on,
            value: kept.value.map(|value| value.normalize()),
            evidence: kept.evidence,
            reported_by: kept.reported_by,
            recorded_by: Some(kept.user_id).filter(|id| *id != Id::NIL),
            withdrawn: kept.withdrawn,
            superseded: kept.superseded,
            recorded_at: kept.recorded_at,
        }
    }
}

/// A page of observations.
#[derive(Serialize, ToSchema)]
pub struct ObservationList {
    /// The observations, latest first.
    items: Vec<ObservationView>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for ObservationList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// Observations of a customer
///
/// Latest first, those that were taken back included; with `all=true` also earlier versions of each.
#[utoipa::path(tag = "transactions", operation_id = "listCustomerObservations", security(("bearer" = ["customers:read"])), params(
    ("id" = uuid::Uuid, Path, description = "The customer's id"),
    ("all" = Option<bool>, Query, description = "Whether earlier versions are listed too"),
    PageParameters), responses(
    (status = 200, body = ObservationList, description = "A page"),
    Problems
))]
#[get("/v1/customers/{id}/observations")]
pub async fn list_customer_observations(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    id: PathId,
    parameters: Parameters,
) -> Result<Listed<ObservationList>, Problem> {
    let exists = move |conn: &mut Conn| Ok(customer_store::find(conn, id.0)?.is_some());
    observations_of(&db, id.0, parameters, exists).await
}

/// Observations of an employee
///
/// Latest first, those that were taken back included; with `all=true` also earlier versions of each.
#[utoipa::path(tag = "staff", operation_id = "listEmployeeObservations", security(("bearer" = ["staff:read"])), params(
    ("id" = uuid::Uuid, Path, description = "The employee's id"),
    ("all" = Option<bool>, Query, description = "Whether earlier versions are listed too"),
    PageParameters), responses(
    (status = 200, body = ObservationList, description = "A page"),
    Problems
))]
#[get("/v1/employees/{id}/observations")]
pub async fn list_employee_observations(
    _: Permit<ReadStaff>,
    db: web::Data<Db>,
    id: PathId,
    parameters: Parameters,
) -> Result<Listed<ObservationList>, Problem> {
    let exists = move |conn: &mut Conn| Ok(employee_store::find(conn, id.0)?.is_some());
    observations_of(&db, id.0, parameters, exists).await
}

async fn observations_of(
    db: &Db,
    id: Id,
    mut parameters: Parameters,
    exists: impl Fn(&mut Conn) -> db::Result<bool> + Send + 'static,
) -> Result<Listed<ObservationList>, Problem> {
    let all = parameters.flag("all")?;
    let (after, limit) = parameters.page::<(Date, Id, i64)>()?;
    let (exists, found) = db
        .run(move |conn| {
            let exists = exists(conn)?;
            Ok::<_, db::Error>((exists, store::observations_page(conn, id, all, after, i64::from(limit) + 1)?))
        })
        .await?;
    if !exists {
        return Err(Problem::new(Code::NotFound));
    }
    let (items, next_cursor) =
        paging::page(found, limit, |last| paging::cursor(&(last.observed_on, last.id, last.version)));
    Ok(Listed(ObservationList { items: items.into_iter().map(ObservationView::from).collect(), next_cursor }))
}

/// The observations of which a metric is the sum.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"key": "integrity_taken", "as_of": "2018-01-31", "window": {"from": "2017-01-31", "to": "2018-01-31"}, "balance": "6.996", "items": [
    {"observation_id": "0193f0a2-7c1e-7aaa-8000-0123456789ab", "observed_on": "2017-12-28", "value": "8", "left": "6.996", "evidence": "Report 4711"}]}))]
pub struct MetricLedger {
    /// The metric's key.
    key: String,
    /// The date it is as of.
    #[schema(value_type = String, format = Date)]
    as_of: Date,
    /// The metric's window.
    window: Period,
    /// The sum of what is left of each line, in the unit of the metric. The metric is this, rounded to 6 places.
    #[schema(value_type = DecimalText)]
    balance: Decimal,
    /// The observations, in the order of their days.
    items: Vec<LedgerLine>,
}

/// What an observation adds to a metric.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"observation_id": "0193f0a2-7c1e-7aaa-8000-0123456789ab", "observed_on": "2017-12-28", "value": "8", "left": "6.996"}))]
pub struct LedgerLine {
    /// The observation's id.
    #[schema(value_type = uuid::Uuid)]
    observation_id: Id,
    /// The day on which it was made.
    #[schema(value_type = String, format = Date)]
    observed_on: Date,
    /// Its value in the unit of its kind, where the kind has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<DecimalText>)]
    value: Option<Decimal>,
    /// What is left of it, in the unit of the metric.
    #[schema(value_type = DecimalText)]
    left: Decimal,
    /// What shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    evidence: Option<String>,
    /// Who reported it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reported_by: Option<String>,
}

/// Ledger of a metric
///
/// The observations of which a count, sum or decayed sum comes, with what is left of each at a date: they sum to the balance.
#[utoipa::path(tag = "transactions", operation_id = "getMetricLedger", security(("bearer" = ["customers:read"])), params(
    ("id" = uuid::Uuid, Path, description = "The customer's id"),
    ("key" = String, Path, description = "The metric's key", min_length = 1, max_length = 64, example = "integrity_taken"),
    ("as_of" = Option<String>, Query, nullable = false, format = Date, description = "The date; the business date when absent")), responses(
    (status = 200, body = MetricLedger, description = "The ledger"),
    Problems
))]
#[get("/v1/customers/{id}/metrics/{key}/ledger")]
pub async fn get_metric_ledger(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    rules: Current<Rules>,
    path: web::Path<(Id, String)>,
    mut parameters: Parameters,
) -> Result<web::Json<MetricLedger>, Problem> {
    let (id, key) = path.into_inner();
    let invalid = |pointer: &str, code, detail: String| Problem::invalid(vec![Fault::new(pointer, code, detail)]);
    let as_of = parameters.text("as_of")?.map(|text| date(&text)).transpose();
    let as_of = as_of.map_err(|(code, detail)| invalid("as_of", code, detail))?.unwrap_or(rules.business_date);
    if let Some((name, _)) = parameters.0.first() {
        return Err(Problem::invalid(vec![Parameters::unknown(name, &["as_of"])]));
    }
    let definitions = &rules.customer_definitions;
    let Some(metric) = definitions.metrics.get(&key).cloned() else {
        let hint = did_you_mean(&key, definitions.metrics.keys().map(String::as_str));
        return Err(invalid("key", "unknown_metric", format!("the pack declares no metric '{}'{hint}", excerpt(&key))));
    };
    let is_sum = matches!(metric.function, Function::Count | Function::Sum | Function::DecayedSum);
    if !is_sum || !definitions.observations.contains_key(&metric.kind) {
        let detail = format!("'{key}' is no count, sum or decayed sum of observations");
        return Err(invalid("key", "not_possible", detail));
    }
    let (window, kind) = (metric.window.period(as_of), metric.kind.clone());
    let found = db
        .run(move |conn| {
            let exists = customer_store::find(conn, id)?.is_some();
            Ok::<_, db::Error>(if exists { Some(store::counted_observations(conn, id, &kind, window)?) } else { None })
        })
        .await?
        .ok_or_else(|| Problem::new(Code::NotFound))?;
    let line = |kept: Observation| {
        let observed = Observed { on: kept.observed_on, value: kept.value };
        let left = left(metric.function, metric.half_life, &observed, as_of)?;
        Some(LedgerLine {
            observation_id: kept.id,
            observed_on: kept.observed_on,
            value: kept.value.map(|value| value.normalize()),
            left: left.normalize(),
            evidence: kept.evidence,
            reported_by: kept.reported_by,
        })
    };
    let items: Vec<LedgerLine> = found.into_iter().filter_map(line).collect();
    let balance = items.iter().map(|line| line.left).sum::<Decimal>().normalize();
    Ok(web::Json(MetricLedger { key, as_of, window, balance, items }))
}
