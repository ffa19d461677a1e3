//! Bonus pools over HTTP: distributing, correcting, listing and exporting them.

use actix_web::http::header;
use actix_web::{HttpResponse, get, post, web};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::evaluations::Correction;
use super::{month, shown};
use crate::Id;
use crate::csv_rows::safe_cell;
use crate::db::Db;
use crate::http::current::Current;
use crate::http::etag;
use crate::http::extract::{Body, Parameters, PathId};
use crate::http::list::{Listed, Page};
use crate::http::paging::{self, PageParameters};
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{EvaluateStaff, ReadStaff};
use crate::releases::active::Active;
use crate::releases::author;
use crate::schemas::DecimalText;
use crate::staff::evaluate::Error;
use crate::staff::model::{BonusPool, Share};
use crate::staff::{pools, store};

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config.service(list_pools).service(create_pool).service(get_pool).service(correct_pool).service(export_pool);
}

/// A bonus pool of an area for a month.
#[derive(Serialize, ToSchema)]
#[schema(as = BonusPool, example = json!({"id": "0193f0a2-7c1e-7aaa-8000-0123456789ab", "area": "north", "period": "2018-01", "collected": "10000",
    "share": "0.001", "amount": "10", "currency": "EUR", "shares": [{"employee_id": "0193f0a2-7c1e-7aaa-8000-0123456789ac", "employee_code": "T1",
    "employee_name": "Ana Ruiz", "evaluation_id": "0193f0a2-7c1e-7aaa-8000-0123456789ad", "score": "90", "amount": "10"}], "author": "mia",
    "created_at": "2018-02-01T10:00:00.123456Z", "corrected": false}))]
pub struct PoolView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    id: Id,
    /// The area.
    area: String,
    /// The month.
    #[schema(pattern = "^[0-9]{4}-[0-9]{2}$")]
    period: String,
    /// What was collected in the month of the area's customers, net of what was paid back: in `currency`, below 0 where more was paid back.
    #[schema(value_type = DecimalText)]
    collected: Decimal,
    /// Which share of it is distributed, from 0 to 1.
    #[schema(value_type = DecimalText)]
    share: Decimal,
    /// What is distributed, in `currency`: 0 or more, of at most two places.
    #[schema(value_type = DecimalText)]
    amount: Decimal,
    /// The money (ISO 4217).
    currency: String,
    /// Who gets what, by code: the amounts sum to what is distributed.
    shares: Vec<ShareView>,
    /// Who distributed it.
    author: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The pool that it corrects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    corrects: Option<Id>,
    /// Why it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// Whether a later one corrects it.
    corrected: bool,
}

/// What an employee gets of a pool.
#[derive(Serialize, ToSchema)]
#[schema(as = BonusShare, example = json!({"employee_id": "0193f0a2-7c1e-7aaa-8000-0123456789ac", "employee_code": "T1", "employee_name": "Ana Ruiz",
    "evaluation_id": "0193f0a2-7c1e-7aaa-8000-0123456789ad", "score": "90", "amount": "10"}))]
pub struct ShareView {
    /// His id.
    #[schema(value_type = uuid::Uuid)]
    employee_id: Id,
    /// His code.
    employee_code: String,
    /// His name.
    employee_name: String,
    /// The signed evaluation.
    #[schema(value_type = uuid::Uuid)]
    evaluation_id: Id,
    /// Its score in points of the pack's policy, 0 or more.
    #[schema(value_type = DecimalText)]
    score: Decimal,
    /// His part in the currency of the pool: 0 or more, of at most two places.
    #[schema(value_type = DecimalText)]
    amount: Decimal,
}

impl From<BonusPool> for PoolView {
    fn from(pool: BonusPool) -> Self {
        let share = |Share { employee_id, code, name, evaluation_id, score, amount }| ShareView {
            employee_id,
            employee_code: code,
            employee_name: name,
            evaluation_id,
            score,
            amount: amount.normalize(),
        };
        Self {
            id: pool.id,
            area: pool.area,
            period: shown(pool.period),
            collected: pool.collected.normalize(),
            share: pool.share.normalize(),
            amount: pool.amount.normalize(),
            currency: pool.currency,
            shares: pool.shares.into_iter().map(share).collect(),
            author: pool.author,
            created_at: pool.created_at,
            corrects: pool.corrects,
            reason: pool.reason,
            corrected: pool.corrected,
        }
    }
}

/// A page of bonus pools.
#[derive(Serialize, ToSchema)]
pub struct BonusPoolList {
    /// The pools, in the order in which they were distributed.
    items: Vec<PoolView>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for BonusPoolList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// Bonus pools
///
/// In the order in which they were distributed.
#[utoipa::path(tag = "staff", operation_id = "listBonusPools", security(("bearer" = ["staff:read"])), params(
    ("area" = Option<String>, Query, nullable = false, max_length = 200, description = "Those of this area", example = "north"),
    ("period" = Option<String>, Query, nullable = false, pattern = "^[0-9]{4}-[0-9]{2}$", description = "Those of this month", example = "2018-01"),
    PageParameters), responses(
    (status = 200, body = BonusPoolList, description = "A page"),
    Problems
))]
#[get("/v1/bonus-pools")]
pub async fn list_pools(
    _: Permit<ReadStaff>,
    db: web::Data<Db>,
    mut parameters: Parameters,
) -> Result<Listed<BonusPoolList>, Problem> {
    let area = parameters.text("area")?;
    let period = parameters.text("period")?.map(|text| month("period", &text)).transpose();
    let period = period.map_err(|fault| Problem::invalid(vec![fault]))?;
    let (after, limit) = parameters.page::<Id>()?;
    let found = db
        .run(move |conn| store::pools(conn, (area.as_deref(), period), after.unwrap_or(Id::NIL), i64::from(limit) + 1))
        .await?;
    let (items, next_cursor) = paging::page(found, limit, |last| paging::cursor(&last.id));
    Ok(Listed(BonusPoolList { items: items.into_iter().map(PoolView::from).collect(), next_cursor }))
}

/// A pool to be distributed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"area": "north", "period": "2018-01"}))]
pub struct BonusPoolBody {
    /// The area.
    #[schema(min_length = 1, max_length = 200)]
    area: String,
    /// A month that has ended.
    #[schema(min_length = 7, max_length = 7, pattern = "^[0-9]{4}-[0-9]{2}$")]
    period: String,
}

/// Distribute a bonus pool
///
/// The pack's share of what was collected in the month of the area's customers, by the signed scores of all who served the area. The parts sum to it:
/// hundredths that are left go to the largest remainders. 409 where it is distributed already.
#[utoipa::path(tag = "staff", operation_id = "createBonusPool", security(("bearer" = ["staff:evaluate"])), request_body = BonusPoolBody, responses(
    (status = 201, body = PoolView, description = "Distributed", headers(("Location" = String, description = "Address of the pool"))),
    Problems
))]
#[post("/v1/bonus-pools")]
pub async fn create_pool(
    permit: Permit<EvaluateStaff>,
    db: web::Data<Db>,
    active: Current<Active>,
    body: Body<BonusPoolBody>,
) -> Result<HttpResponse, Problem> {
    let BonusPoolBody { area, period } = body.0;
    let period = month("/period", &period).map_err(|fault| Problem::invalid(vec![fault]))?;
    let (state, user) = (active.0.clone(), permit.principal.user_id);
    let pool = db
        .run(move |conn| {
            let by = author::by(conn, user)?;
            pools::distribute(conn, &state, (&by, user), &area, period)
        })
        .await?;
    Ok(created(pool))
}

fn created(pool: BonusPool) -> HttpResponse {
    let location = (header::LOCATION, format!("/v1/bonus-pools/{}", pool.id));
    HttpResponse::Created().insert_header(location).json(PoolView::from(pool))
}

/// A bonus pool
///
/// With the part of each employee.
#[utoipa::path(tag = "staff", operation_id = "getBonusPool", security(("bearer" = ["staff:read"])), params(
    ("id" = uuid::Uuid, Path, description = "The pool's id")), responses(
    (status = 200, body = PoolView, description = "The pool", headers(("ETag" = String, description = "Its content's"))),
    Problems
))]
#[get("/v1/bonus-pools/{id}")]
pub async fn get_pool(_: Permit<ReadStaff>, db: web::Data<Db>, id: PathId) -> Result<HttpResponse, Problem> {
    let found = db.run(move |conn| store::pool(conn, id.0)?.ok_or(Error::NotFound)).await?;
    etag::tagged(&PoolView::from(found))
}

/// Correct a bonus pool
///
/// Distributes it once more, after evaluations or payments were corrected: a new pool that names this one.
#[utoipa::path(tag = "staff", operation_id = "correctBonusPool", security(("bearer" = ["staff:evaluate"])), params(
    ("id" = uuid::Uuid, Path, description = "The pool's id")), request_body = Correction, responses(
    (status = 201, body = PoolView, description = "Distributed", headers(("Location" = String, description = "Address of the correction"))),
    Problems
))]
#[post("/v1/bonus-pools/{id}/correction")]
pub async fn correct_pool(
    permit: Permit<EvaluateStaff>,
    db: web::Data<Db>,
    active: Current<Active>,
    id: PathId,
    body: Body<Correction>,
) -> Result<HttpResponse, Problem> {
    let reason = author::said("/reason", &body.0.reason).map_err(|fault| Problem::invalid(vec![fault]))?;
    let (state, user) = (active.0.clone(), permit.principal.user_id);
    let pool = db
        .run(move |conn| {
            let by = author::by(conn, user)?;
            pools::correct(conn, &state, (&by, user), id.0, &reason)
        })
        .await?;
    Ok(created(pool))
}

/// Export a bonus pool
///
/// As CSV, a row for each employee.
#[utoipa::path(tag = "staff", operation_id = "exportBonusPool", security(("bearer" = ["staff:read"])), params(
    ("id" = uuid::Uuid, Path, description = "The pool's id")), responses(
    (status = 200, body = String, content_type = "text/csv", description = "The pool", headers(("Content-Disposition" = String, description = "The name of the file")),
        example = "period,area,employee_code,employee_name,score,amount,currency\n2018-01,north,T1,Ana Ruiz,90,10.00,EUR\n"),
    Problems
))]
#[get("/v1/bonus-pools/{id}/export")]
pub async fn export_pool(_: Permit<ReadStaff>, db: web::Data<Db>, id: PathId) -> Result<HttpResponse, Problem> {
    let pool = db.run(move |conn| store::pool(conn, id.0)?.ok_or(Error::NotFound)).await?;
    let failed = |error: csv::Error| {
        tracing::error!(%error, "a pool can't be written");
        Problem::new(Code::Internal)
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    let columns = ["period", "area", "employee_code", "employee_name", "score", "amount", "currency"];
    writer.write_record(columns).map_err(failed)?;
    for share in &pool.shares {
        let row = [
            shown(pool.period),
            pool.area.clone(),
            share.code.clone(),
            share.name.clone(),
            share.score.to_string(),
            format!("{:.2}", share.amount),
            pool.currency.clone(),
        ];
        writer.write_record(row.iter().map(|cell| safe_cell(cell).into_owned())).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(error.into_error().into()))?;
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"bonus-pool.csv\""))
        .body(bytes))
}
