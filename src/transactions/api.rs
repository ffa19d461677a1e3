//! Transactions, products and metrics over HTTP.

mod observations;
mod products;

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, post, web};
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::computation::MetricValue;
use super::metrics;
use super::model::{Function, Line, Period};
use super::record::{self, NewLine, NewTransaction, Recorded, Rules};
use super::store::{self, Transaction};
use crate::customers::file::values_of;
use crate::customers::model::{Fields, Value};
use crate::customers::store as customer_store;
use crate::customers::texts::date;
use crate::db::{self, Db};
use crate::faults::{Fault, Told};
use crate::http::current::Current;
use crate::http::extract::{Body, Parameters, PathId};
use crate::http::json;
use crate::http::list::{Listed, Page};
use crate::http::paging::{self, PageParameters};
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{ReadCustomers, WriteTransactions};
use crate::schemas::{DecimalText, Measures, NamedTexts, TransactionKind};

/// Most items of a batch.
pub const MAX_ITEMS: usize = 10_000;

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(create_transactions)
        .service(list_customer_transactions)
        .service(list_customer_metrics)
        .configure(products::configure)
        .configure(observations::configure);
}

/// Transactions to record.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransactionBatch {
    /// 1 to 10,000 transactions, each answered for itself.
    #[schema(min_items = 1, max_items = 10000, value_type = Vec<TransactionBody>)]
    items: Vec<serde_json::Value>,
}

/// A transaction. It is known by its source and external id: sent twice it counts once, sent changed it is corrected.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"source": "shop", "external_id": "A-17", "kind": "order", "customer_code": "X17",
    "occurred_at": "2017-12-28", "lines": [{"product": "P1", "measures": {"quantity": "12", "amount": "480.00"}}]}))]
pub struct TransactionBody {
    /// The system it comes from.
    #[schema(min_length = 1, max_length = 64, example = "shop")]
    source: String,
    /// Its id in that system.
    #[schema(min_length = 1, max_length = 200, example = "A-17")]
    external_id: String,
    /// One of the pack's kinds.
    #[schema(value_type = TransactionKind)]
    kind: String,
    /// Code of the customer.
    #[schema(min_length = 1, max_length = 64, example = "X17")]
    customer_code: String,
    /// When: a date, a local time of the pack's zone, or an instant with zone; not after the business date.
    #[schema(max_length = 64, examples("2017-12-28", "2017-12-28T09:30:00", "2017-12-28T09:30:00+08:00"))]
    occurred_at: String,
    /// The order it belongs to, where several transactions are one order; the external id when absent.
    #[schema(nullable = false, min_length = 1, max_length = 128)]
    order: Option<String>,
    /// Revision in the source: a transaction with a lower one than the one known changes nothing.
    #[schema(nullable = false, minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    revision: Option<u64>,
    /// Whether it is cancelled, so that it counts no more.
    #[serde(default)]
    cancelled: bool,
    /// Its lines.
    #[schema(min_items = 1, max_items = 200)]
    lines: Vec<LineBody>,
}

/// A line of a transaction, as it is sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TransactionLineBody, example = json!({"product": "P1", "measures": {"quantity": "12", "amount": "480.00"}}))]
pub struct LineBody {
    /// Product code, for kinds with products.
    #[schema(nullable = false, max_length = 64)]
    product: Option<String>,
    /// Value of each measure of the kind: decimals of at most 15 digits before and 6 after the point, 0 or more.
    #[schema(value_type = Measures)]
    measures: BTreeMap<String, String>,
}

impl From<TransactionBody> for NewTransaction {
    fn from(body: TransactionBody) -> Self {
        let lines = body.lines.into_iter().map(|line| NewLine { product: line.product, measures: line.measures });
        Self {
            source: body.source,
            external_id: body.external_id,
            kind: body.kind,
            customer_code: body.customer_code,
            occurred_at: body.occurred_at,
            order: body.order,
            revision: body.revision.map(|revision| i64::try_from(revision).unwrap_or(i64::MAX)),
            cancelled: body.cancelled,
            lines: lines.collect(),
        }
    }
}

/// What became of a batch.
#[derive(Serialize, ToSchema)]
pub struct TransactionBatchResult {
    /// One answer for each item, in their order.
    items: Vec<TransactionResult>,
}

/// What became of an item.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"index": 0, "status": "created", "id": "0193f0a2-7c1e-7aaa-8000-0123456789ab"}))]
pub struct TransactionResult {
    /// The item's place in the batch, from 0.
    index: usize,
    /// What became of it.
    status: RecordStatus,
    /// Id of the transaction, unless it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = uuid::Uuid)]
    id: Option<crate::Id>,
    /// The faults of a refused item, at most 100. After some ten thousand in all, each further item has its first only.
    #[schema(max_items = 100)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<Fault>,
}

/// What became of a transaction or an observation that was sent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordStatus {
    /// It is new.
    Created,
    /// It was known with the same content.
    Unchanged,
    /// It was known with another content, and has this one now.
    Corrected,
    /// Its revision is lower than the one known: nothing changed.
    Outdated,
    /// It has faults: nothing was recorded.
    Refused,
}

/// Record transactions
///
/// Each item is answered for itself; good ones are recorded whatever the others are. Sending a batch again is safe.
#[utoipa::path(tag = "transactions", operation_id = "createTransactions", security(("bearer" = ["transactions:write"])), request_body = TransactionBatch, responses(
    (status = 207, body = TransactionBatchResult, description = "An answer for each item"),
    Problems
))]
#[post("/v1/transactions/batches")]
pub async fn create_transactions(
    _: Permit<WriteTransactions>,
    db: web::Data<Db>,
    rules: Current<Rules>,
    body: Body<TransactionBatch>,
) -> Result<HttpResponse, Problem> {
    let items = body.0.items;
    if !(1..=MAX_ITEMS).contains(&items.len()) {
        let detail = format!("{} items are sent; a batch has 1 to {MAX_ITEMS}", items.len());
        return Err(Problem::invalid(vec![Fault::new("/items", "out_of_range", detail)]));
    }
    let read = items.iter().map(|item| json::item::<TransactionBody>(item).map(NewTransaction::from));
    let (mut refused, mut items, mut told) = (BTreeMap::new(), Vec::new(), Told::default());
    for (index, item) in read.enumerate() {
        match item {
            Ok(item) => items.push((index, item)),
            Err(faults) => drop(refused.insert(index, Recorded::Refused(told.of(faults)))),
        }
    }
    let (places, items): (Vec<usize>, Vec<NewTransaction>) = items.into_iter().unzip();
    let recorded = db.run(move |conn| record::record(conn, &rules, items, &record::Options::default())).await?;
    refused.extend(places.into_iter().zip(recorded));
    let items = refused.into_iter().map(|(index, recorded)| answer(index, recorded)).collect();
    Ok(HttpResponse::MultiStatus().json(TransactionBatchResult { items }))
}

fn answer(index: usize, recorded: Recorded) -> TransactionResult {
    let (status, id, errors) = parts(recorded);
    TransactionResult { index, status, id, errors }
}

/// What became of an item, its id, and its faults.
fn parts(recorded: Recorded) -> (RecordStatus, Option<crate::Id>, Vec<Fault>) {
    match recorded {
        Recorded::Created(id) => (RecordStatus::Created, Some(id), Vec::new()),
        Recorded::Unchanged(id) => (RecordStatus::Unchanged, Some(id), Vec::new()),
        Recorded::Corrected(id) => (RecordStatus::Corrected, Some(id), Vec::new()),
        Recorded::Outdated(id) => (RecordStatus::Outdated, Some(id), Vec::new()),
        Recorded::Refused(errors) => (RecordStatus::Refused, None, errors),
    }
}

/// A line of a recorded transaction.
#[derive(Serialize, ToSchema)]
#[schema(as = TransactionLine)]
pub struct LineView {
    /// Product code, for kinds with products.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    product: Option<String>,
    /// How many of the pack's units one unit of the product was when the line was recorded; 1 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<DecimalText>)]
    factor: Option<Decimal>,
    /// Value of each measure, as it was sent.
    #[schema(value_type = NamedTexts)]
    measures: BTreeMap<String, String>,
}

/// A recorded transaction.
#[derive(Serialize, ToSchema)]
#[schema(as = Transaction, example = json!({"id": "0193f0a2-7c1e-7aaa-8000-0123456789ab", "source": "shop", "external_id": "A-17",
    "kind": "order", "order": "A-17", "occurred_on": "2017-12-28", "cancelled": false,
    "lines": [{"product": "P1", "factor": "0.02", "measures": {"quantity": "12", "amount": "480"}}],
    "created_at": "2017-12-28T10:00:00.123456Z", "updated_at": "2017-12-28T10:00:00.123456Z"}))]
pub struct TransactionView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    id: crate::Id,
    /// The system it came from.
    source: String,
    /// Its id in that system.
    external_id: String,
    /// Its kind.
    kind: String,
    /// The order it belongs to.
    order: String,
    /// Business date, in the pack's zone.
    #[schema(value_type = String, format = Date)]
    occurred_on: Date,
    /// The instant, where one was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = String, format = DateTime)]
    occurred_at: Option<jiff::Timestamp>,
    /// Revision in the source, where one was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    revision: Option<i64>,
    /// Whether it is cancelled.
    cancelled: bool,
    /// Its lines.
    lines: Vec<LineView>,
    /// When it was first recorded.
    #[schema(value_type = String, format = DateTime)]
    created_at: jiff::Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: jiff::Timestamp,
}

impl From<Transaction> for TransactionView {
    fn from(kept: Transaction) -> Self {
        Self {
            id: kept.id,
            source: kept.source,
            external_id: kept.external_id,
            kind: kept.kind,
            order: kept.order,
            occurred_on: kept.occurred_on,
            occurred_at: kept.occurred_at,
            revision: kept.revision,
            cancelled: kept.cancelled,
            lines: kept.lines.into_iter().map(LineView::from).collect(),
            created_at: kept.created_at,
            updated_at: kept.updated_at,
        }
    }
}

impl From<Line> for LineView {
    fn from(line: Line) -> Self {
        let measures = line.measures.into_iter().map(|(measure, value)| (measure, value.normalize().to_string()));
        Self { product: line.product, factor: line.factor, measures: measures.collect() }
    }
}

/// A page of transactions.
#[derive(Serialize, ToSchema)]
pub struct TransactionList {
    /// The transactions, latest first.
    items: Vec<TransactionView>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for TransactionList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// Transactions of a customer
///
/// Latest first, cancelled ones included.
#[utoipa::path(tag = "transactions", operation_id = "listCustomerTransactions", security(("bearer" = ["customers:read"])), params(
    ("id" = uuid::Uuid, Path, description = "The customer's id"), PageParameters), responses(
    (status = 200, body = TransactionList, description = "A page"),
    Problems
))]
#[get("/v1/customers/{id}/transactions")]
pub async fn list_customer_transactions(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    id: PathId,
    parameters: Parameters,
) -> Result<Listed<TransactionList>, Problem> {
    let (after, limit) = parameters.page::<(Date, crate::Id)>()?;
    let (exists, found) = db
        .run(move |conn| {
            let exists = customer_store::find(conn, id.0)?.is_some();
            Ok::<_, db::Error>((exists, store::page(conn, id.0, after, i64::from(limit) + 1)?))
        })
        .await?;
    if !exists {
        return Err(Problem::new(Code::NotFound));
    }
    let (items, next_cursor) = paging::page(found, limit, |last| paging::cursor(&(last.occurred_on, last.id)));
    Ok(Listed(TransactionList { items: items.into_iter().map(TransactionView::from).collect(), next_cursor }))
}

/// Metrics of a customer.
#[derive(Serialize, ToSchema)]
pub struct MetricList {
    /// The date they are computed as of.
    #[schema(value_type = String, format = Date)]
    as_of: Date,
    /// Every metric of the pack, in its order.
    items: Vec<MetricView>,
}

/// A metric with its window and the figures it came from.
#[derive(Serialize, ToSchema)]
#[schema(as = Metric, example = json!({"key": "monthly_volume", "function": "mean_per_month", "kind": "order", "measure": "quantity",
    "window": {"from": "2017-10-01", "to": "2017-12-31"}, "value": "12.5", "unit": "case", "figures": {"months": "3", "sum": "37.5"}}))]
pub struct MetricView {
    /// The metric's key.
    key: String,
    /// How it is computed.
    function: Function,
    /// Kind of transactions it reads.
    kind: String,
    /// Measure it reads, where the function wants one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    measure: Option<String>,
    /// Its window.
    window: Period,
    /// Its value: a decimal of at most 6 places, or a date; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = String)]
    value: Option<Value>,
    /// Unit of the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    unit: Option<String>,
    /// The figures that the value can be computed from by hand, by name.
    #[schema(value_type = NamedTexts)]
    figures: BTreeMap<&'static str, String>,
}

/// Metrics of a customer
///
/// Each with its window and the figures it came from, with the data as known now.
#[utoipa::path(tag = "transactions", operation_id = "listCustomerMetrics", security(("bearer" = ["customers:read"])), params(
    ("id" = uuid::Uuid, Path, description = "The customer's id"),
    ("as_of" = Option<String>, Query, nullable = false, format = Date, description = "Date they are computed as of; the business date when absent")
), responses(
    (status = 200, body = MetricList, description = "The metrics"),
    Problems
))]
#[get("/v1/customers/{id}/metrics")]
pub async fn list_customer_metrics(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    fields: Current<Fields>,
    rules: Current<Rules>,
    id: PathId,
    parameters: Parameters,
) -> Result<web::Json<MetricList>, Problem> {
    let mut as_of = rules.business_date;
    for (name, value) in &parameters.0 {
        let read = match name.as_str() {
            "as_of" => date(value).map(|read| as_of = read).map_err(|(code, detail)| Fault::new("as_of", code, detail)),
            _ => Err(Parameters::unknown(name, &["as_of"])),
        };
        read.map_err(|fault| Problem::invalid(vec![fault]))?;
    }
    let definitions = rules.definitions.clone();
    let dates = (as_of, rules.business_date);
    let values = db
        .run(move |conn| {
            let Some(customer) = customer_store::find(conn, id.0)? else { return Ok(None) };
            let opened_on = rules.definitions.opened_on(&values_of(&fields, &customer.profile));
            metrics::of_customer(conn, &rules.customer_definitions, id.0, dates, opened_on).map(Some)
        })
        .await?
        .ok_or_else(|| Problem::new(Code::NotFound))?;
    let view = |(key, value): (String, MetricValue)| {
        definitions.metrics.get(&key).map(|metric| MetricView {
            key,
            function: metric.function,
            kind: metric.kind.clone(),
            measure: metric.measure.clone(),
            window: value.window,
            value: value.value.as_ref().map(|value| Value::Text(value.to_string())),
            unit: metric.unit.clone(),
            figures: value.figures(),
        })
    };
    Ok(web::Json(MetricList { as_of, items: values.into_iter().filter_map(view).collect() }))
}
