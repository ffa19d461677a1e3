//! Customers over HTTP.

use actix_web::http::header;
use actix_web::{HttpResponse, get, patch, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::file::{Customer, Profile, Status, divide};
use super::model::Fields;
use super::record::{self, Rules};
use super::selection::Outcomes;
use super::{list, store};
use crate::Id;
use crate::db::Db;
use crate::http::current::Current;
use crate::http::etag;
use crate::http::extract::{IfMatch, Members, Parameters, PathId};
use crate::http::list::{Listed, Page};
use crate::http::paging::PageParameters;
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{ReadCustomers, WriteCustomers};
use crate::schemas;
use crate::versions::Versions;

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config.service(list_customers);
    config.service(create_customer);
    config.service(get_customer);
    config.service(change_customer);
    config.service(deactivate_customer);
    config.service(reactivate_customer);
}

/// A customer.
#[derive(Serialize, ToSchema)]
#[schema(as = Customer, example = json!({
    "id": "0193d2c1-7b1e-7c55-9d1f-0a3b4c5d6e7f", "code": "X17", "name": "Ana", "status": "active",
    "profile": {"network": {"retail_format": "grocery", "floor_area": "42.5"}}, "version": 3,
    "created_at": "2026-11-21T10:00:00.123456Z", "updated_at": "2026-11-21T11:30:00Z"
}))]
pub struct CustomerView {
    /// His id.
    #[schema(value_type = uuid::Uuid)]
    id: Id,
    /// His code in the industry's own systems: unique, never changed.
    #[schema(min_length = 1, max_length = 64, example = "X17")]
    code: String,
    /// His name.
    #[schema(min_length = 1, max_length = 200, example = "Ana")]
    name: String,
    /// Whether he takes part in assessments.
    status: Status,
    /// Values by section and field, as the pack in force declares them (`GET /v1/pack`). Decimals and dates are strings;
    /// absent values are left out.
    #[schema(value_type = schemas::Profile)]
    profile: Profile,
    /// Rises by one with each change; also his `ETag`.
    #[schema(minimum = 1)]
    version: i64,
    /// When he was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When he was changed last.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl CustomerView {
    fn new(fields: &Fields, customer: Customer) -> Self {
        let (profile, _) = divide(fields, &customer.profile);
        let Customer { id, code, name, status, version, created_at, updated_at, .. } = customer;
        Self { id, code, name, status, profile, version, created_at, updated_at }
    }
}

/// A page of customers.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"items": [{
    "id": "0193d2c1-7b1e-7c55-9d1f-0a3b4c5d6e7f", "code": "X17", "name": "Ana", "status": "active", "profile": {},
    "version": 1, "created_at": "2026-11-21T10:00:00Z", "updated_at": "2026-11-21T10:00:00Z"
}], "next_cursor": "eyJzb3J0IjoibmFtZSJ9"}))]
pub struct CustomerPage {
    /// The customers, in the order asked for.
    items: Vec<CustomerView>,
    /// Cursor of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for CustomerPage {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// A customer to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, from = "Map<String, Json>")]
#[schema(example = json!({"code": "X17", "name": "Ana", "profile": {"network": {"retail_format": "grocery"}}}))]
pub struct CustomerBody {
    /// His code in the industry's own systems: unique, without control characters, trimmed.
    #[schema(value_type = String, required = true, min_length = 1, max_length = 64, example = "X17")]
    code: Json,
    /// His name, without control characters, trimmed.
    #[schema(value_type = String, required = true, min_length = 1, max_length = 200, example = "Ana")]
    name: Json,
    /// Values by section and field, as the pack in force declares them.
    #[schema(value_type = schemas::ProfileBody, required = false)]
    profile: Json,
    /// Members that there aren't: told together with what is wrong with the others.
    #[serde(skip)]
    unknown: Vec<String>,
}

impl From<Map<String, Json>> for CustomerBody {
    fn from(mut sent: Map<String, Json>) -> Self {
        let [code, name, profile] = ["code", "name", "profile"].map(|key| sent.remove(key).unwrap_or_default());
        Self { code, name, profile, unknown: sent.into_iter().map(|(key, _)| key).collect() }
    }
}

/// A JSON merge patch (RFC 7396) of a customer: what is left out stays, `null` removes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, from = "Map<String, Json>")]
#[schema(example = json!({"name": "Ana María", "profile": {"network": {"floor_area": "50", "retail_format": null}}}))]
pub struct CustomerPatch {
    /// A code can't change: it may only be repeated.
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 64)]
    code: Option<Json>,
    /// His name.
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 200, example = "Ana María")]
    name: Option<Json>,
    /// Values by section and field; `null` removes a value, a section or the whole profile. The result is checked whole.
    #[schema(value_type = Option<schemas::ProfilePatch>)]
    profile: Option<Json>,
    /// Members that there aren't: told together with what is wrong with the others.
    #[serde(skip)]
    unknown: Vec<String>,
}

impl From<Map<String, Json>> for CustomerPatch {
    fn from(mut sent: Map<String, Json>) -> Self {
        let [code, name, profile] = ["code", "name", "profile"].map(|key| sent.remove(key));
        Self { code, name, profile, unknown: sent.into_iter().map(|(key, _)| key).collect() }
    }
}

/// List customers
///
/// Besides the parameters below: `field[<key>][gt|gte|lt|lte]=<value>` compares numbers and dates. Only fields that the pack
/// declares as filterable filter and sort. The header `Link` has the next page too.
#[utoipa::path(tag = "customers", operation_id = "listCustomers", security(("bearer" = ["customers:read"])), params(
    ("code" = Option<String>, Query, description = "Only the customer of this code", max_length = 64, example = "X17"),
    ("status" = Option<Status>, Query, description = "Only customers of this status", example = "active"),
    ("q" = Option<String>, Query, description = "Only customers whose code or name contains this text, whatever the case",
        max_length = 200, example = "ana"),
    ("field" = Option<BTreeMap<String, String>>, Query, style = DeepObject, explode,
        example = json!({"retail_format": "grocery"}), description = "Only customers with this value of a field, `field[retail_format]=grocery`; of a list of choices, those \
            that have it among theirs"),
    ("outcome" = Option<BTreeMap<String, String>>, Query, style = DeepObject, explode,
        example = json!({"volume_grade": "1"}), description = "Only customers with this outcome of a policy, `outcome[volume_grade]=1`"),
    ("sort" = Option<String>, Query, example = "-name", pattern = r"^-?(created_at|code|name|field\[[a-z][a-z0-9_]{0,63}\])$",
        description = "`created_at` (the default), `code`, `name` or `field[<key>]`, `-` before it for the largest first; \
            absent values come last"), PageParameters), responses(
    (status = 200, body = CustomerPage, description = "A page"),
    Problems
))]
#[get("/v1/customers")]
pub async fn list_customers(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    fields: Current<Fields>,
    outcomes: Current<Outcomes>,
    parameters: Parameters,
) -> Result<Listed<CustomerPage>, Problem> {
    let known = fields.0.clone();
    let (found, next_cursor) = db.run(move |conn| list::list(conn, (&known, &outcomes), &parameters.0)).await?;
    let items = found.into_iter().map(|customer| CustomerView::new(&fields, customer)).collect();
    Ok(Listed(CustomerPage { items, next_cursor }))
}

/// Create a customer
///
/// The profile is checked whole, and every fault is told.
#[utoipa::path(tag = "customers", operation_id = "createCustomer", security(("bearer" = ["customers:write"])), request_body = CustomerBody, responses(
    (status = 201, body = CustomerView, description = "Created", headers(
        ("Location" = String, description = "Where he is"), ("ETag" = String, description = "His version")
    )),
    Problems
))]
#[post("/v1/customers")]
pub async fn create_customer(
    _: Permit<WriteCustomers>,
    db: web::Data<Db>,
    rules: Current<Rules>,
    body: Members<CustomerBody>,
) -> Result<HttpResponse, Problem> {
    let Members(CustomerBody { code, name, profile, unknown }) = body;
    let draft = record::Draft { code, name, profile, unknown };
    let known = rules.0.clone();
    let created = db.run(move |conn| record::create(conn, &known, &draft)).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/v1/customers/{}", created.id)))
        .insert_header(etag::tag(created.version))
        .json(CustomerView::new(&rules.fields, created)))
}

/// Read a customer
///
/// With the `ETag` that changing him needs.
#[utoipa::path(tag = "customers", operation_id = "getCustomer", security(("bearer" = ["customers:read"])), params(
    ("id" = uuid::Uuid, Path, description = "His id"),
), responses(
    (status = 200, body = CustomerView, description = "The customer", headers(
        ("ETag" = String, description = "His version")
    )),
    Problems
))]
#[get("/v1/customers/{id}")]
pub async fn get_customer(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    fields: Current<Fields>,
    PathId(id): PathId,
) -> Result<HttpResponse, Problem> {
    let found = db.run(move |conn| store::find(conn, id)).await?;
    let customer = found.ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(answer(&fields, customer))
}

/// Change a customer
///
/// Takes a JSON merge patch, as `application/json` too. The result is checked whole. A change of
/// nothing keeps the version.
#[utoipa::path(tag = "customers", operation_id = "changeCustomer", security(("bearer" = ["customers:write"])), params(
    ("id" = uuid::Uuid, Path, description = "His id"),
    ("If-Match" = String, Header, description = "The `ETag` that the caller read", example = "\"3\""),
), request_body(content = CustomerPatch, content_type = "application/merge-patch+json"), responses(
    (status = 200, body = CustomerView, description = "Changed", headers(("ETag" = String, description = "His version"))),
    Problems
))]
#[patch("/v1/customers/{id}")]
pub async fn change_customer(
    _: Permit<WriteCustomers>,
    db: web::Data<Db>,
    rules: Current<Rules>,
    PathId(id): PathId,
    IfMatch(versions): IfMatch,
    body: Members<CustomerPatch>,
) -> Result<HttpResponse, Problem> {
    let Members(CustomerPatch { code, name, profile, unknown }) = body;
    let changes = record::Changes { code, name, profile, unknown };
    let known = rules.0.clone();
    let changed = db.run(move |conn| record::change(conn, &known, id, &versions, &changes)).await?;
    Ok(answer(&rules.fields, changed))
}

/// Deactivate a customer
///
/// He keeps his file and his history and takes part in no assessment. 409 when he is inactive already.
#[utoipa::path(tag = "customers", operation_id = "deactivateCustomer", security(("bearer" = ["customers:write"])), params(
    ("id" = uuid::Uuid, Path, description = "His id"),
    ("If-Match" = String, Header, description = "The `ETag` that the caller read", example = "\"3\""),
), responses(
    (status = 200, body = CustomerView, description = "Inactive now", headers(
        ("ETag" = String, description = "His version")
    )),
    Problems
))]
#[post("/v1/customers/{id}/deactivation")]
pub async fn deactivate_customer(
    _: Permit<WriteCustomers>,
    db: web::Data<Db>,
    rules: Current<Rules>,
    PathId(id): PathId,
    IfMatch(versions): IfMatch,
) -> Result<HttpResponse, Problem> {
    set_status(&db, rules, id, versions, Status::Inactive).await
}

/// Reactivate a customer
///
/// He takes part in assessments again. 409 when he is active already.
#[utoipa::path(tag = "customers", operation_id = "reactivateCustomer", security(("bearer" = ["customers:write"])), params(
    ("id" = uuid::Uuid, Path, description = "His id"),
    ("If-Match" = String, Header, description = "The `ETag` that the caller read", example = "\"3\""),
), responses(
    (status = 200, body = CustomerView, description = "Active again", headers(
        ("ETag" = String, description = "His version")
    )),
    Problems
))]
#[post("/v1/customers/{id}/reactivation")]
pub async fn reactivate_customer(
    _: Permit<WriteCustomers>,
    db: web::Data<Db>,
    rules: Current<Rules>,
    PathId(id): PathId,
    IfMatch(versions): IfMatch,
) -> Result<HttpResponse, Problem> {
    set_status(&db, rules, id, versions, Status::Active).await
}

async fn set_status(
    db: &Db,
    rules: Current<Rules>,
    id: Id,
    versions: Versions,
    status: Status,
) -> Result<HttpResponse, Problem> {
    let known = rules.0.clone();
    let changed = db.run(move |conn| record::set_status(conn, &known, id, &versions, status)).await?;
    Ok(answer(&rules.fields, changed))
}

fn answer(fields: &Fields, customer: Customer) -> HttpResponse {
    HttpResponse::Ok().insert_header(etag::tag(customer.version)).json(CustomerView::new(fields, customer))
}
