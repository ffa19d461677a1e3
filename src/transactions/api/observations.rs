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
use crate::db::{self, Db};
use crate::faults::{Fault, Told};
use crate::http::current::Current;
use crate::http::extract::{Body, Parameters, PathId};
use crate::http::json;
use crate::http::list::{Listed, Page};
use crate::http::paging::{self, PageParameters};
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{ReadCustomers, WriteObservations};
use crate::schemas::DecimalText;
use crate::transactions::observe::{NewObservation, observe};
use crate::transactions::record::{Recorded, Rules};
use crate::transactions::store::{self, Observation};

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config.service(create_observations).service(list_customer_observations);
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
#[schema(as = NewObservation, example = json!({"source": "inspection", "external_id": "B-9", "kind": "breach", "customer_code": "X17",
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
    /// Code of the customer.
    #[schema(min_length = 1, max_length = 64, example = "X17")]
    customer_code: String,
    /// The day on which it was made; not after the business date.
    #[schema(format = Date)]
    observed_on: String,
    /// Its value: a decimal of at most 15 digits before and 6 after the point within the bounds of the kind; absent where the kind has none.
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
            observed_on,
            value,
            evidence,
            reported_by,
            withdrawn,
        } = body;
        Self { source, external_id, kind, customer_code, observed_on, value, evidence, reported_by, withdrawn }
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
    let user = permit.principal.user_id;
    let recorded = db.run(move |conn| observe(conn, &rules, user, sound)).await?;
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
    /// Its value, where the kind has one.
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
    /// Id of the user who recorded it.
    #[schema(value_type = uuid::Uuid)]
    recorded_by: Id,
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
            recorded_by: kept.user_id,
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
    mut parameters: Parameters,
) -> Result<Listed<ObservationList>, Problem> {
    let all = parameters.flag("all")?;
    let (after, limit) = parameters.page::<(Date, Id, i64)>()?;
    let (exists, found) = db
        .run(move |conn| {
            let exists = customer_store::find(conn, id.0)?.is_some();
            Ok::<_, db::Error>((exists, store::observations_page(conn, id.0, all, after, i64::from(limit) + 1)?))
        })
        .await?;
    if !exists {
        return Err(Problem::new(Code::NotFound));
    }
    let (items, next_cursor) =
        paging::page(found, limit, |last| paging::cursor(&(last.observed_on, last.id, last.version)));
    Ok(Listed(ObservationList { items: items.into_iter().map(ObservationView::from).collect(), next_cursor }))
}
