//! Overrides over HTTP: deciding instead of a policy, ending that, a customer's overrides, and those in effect.

use actix_web::http::header;
use actix_web::{HttpResponse, delete, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Id;
use crate::assessments::overrides::{self, Error, NewOverride};
use crate::assessments::store;
use crate::assessments::view::{OverrideInForce, OverrideView, Renderer};
use crate::customers::store as customer_store;
use crate::customers::texts::date;
use crate::db::Db;
use crate::faults::Fault;
use crate::http::current::Current;
use crate::http::extract::{Body, Languages, Parameters, PathId};
use crate::http::list::{Listed, Page};
use crate::http::paging::{self, PageParameters};
use crate::http::problem::{Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{ReadCustomers, WriteOverrides};
use crate::releases::active::Active;
use crate::releases::author;

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config.service(list_overrides).service(list_customer_overrides).service(create_override).service(delete_override);
}

/// A page of a customer's overrides.
#[derive(Serialize, ToSchema)]
pub struct OverrideList {
    /// The overrides.
    items: Vec<OverrideView>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for OverrideList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// Overrides of a customer
///
/// Those that hold and those that have ended, newest first.
#[utoipa::path(tag = "overrides", operation_id = "listCustomerOverrides", security(("bearer" = ["customers:read"])), params(
    ("id" = uuid::Uuid, Path, description = "The customer's id"), PageParameters), responses(
    (status = 200, body = OverrideList, description = "A page"),
    Problems
))]
#[get("/v1/customers/{id}/overrides")]
pub async fn list_customer_overrides(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    id: PathId,
    parameters: Parameters,
) -> Result<Listed<OverrideList>, Problem> {
    let (before, limit) = parameters.page::<Id>()?;
    let found = db
        .run(move |conn| {
            customer_store::code(conn, id.0)?.ok_or(Error::NotFound)?;
            Ok::<_, Error>(store::overrides_of(conn, id.0, before, i64::from(limit) + 1)?)
        })
        .await?;
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    let (items, next_cursor) = paging::page(found, limit, |last| paging::cursor(&last.id));
    let items = items.into_iter().map(|kept| OverrideView::new(kept, &renderer)).collect();
    Ok(Listed(OverrideList { items, next_cursor }))
}

/// What somebody decides instead of a policy.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"policy": "value_group", "outcome": "core", "reason": "Only shop in the valley", "expires_on": "2018-06-30"}))]
pub struct OverrideRequest {
    /// The policy. The pack may say which can be overridden; one that entitles to something never can.
    #[schema(min_length = 1, max_length = 64)]
    policy: String,
    /// One of its outcomes.
    #[schema(min_length = 1, max_length = 64)]
    outcome: String,
    /// Why.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
    /// The last business date on which it counts.
    #[schema(format = Date)]
    expires_on: String,
}

/// Override a decision
///
/// From the business date on the outcome stands for the customer, whatever the policy says, and other policies read it. What the policy says goes on
/// beside it. 409 where another override holds.
#[utoipa::path(tag = "overrides", operation_id = "createOverride", security(("bearer" = ["overrides:write"])), params(
    ("id" = uuid::Uuid, Path, description = "The customer's id")), request_body = OverrideRequest, responses(
    (status = 201, body = OverrideView, description = "Overridden", headers(("Location" = String, description = "Address of the override"))),
    Problems
))]
#[post("/v1/customers/{id}/overrides")]
pub async fn create_override(
    permit: Permit<WriteOverrides>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    id: PathId,
    body: Body<OverrideRequest>,
) -> Result<HttpResponse, Problem> {
    let OverrideRequest { policy, outcome, reason, expires_on } = body.0;
    let mut faults = Vec::new();
    let reason = author::said("/reason", &reason).map_err(|fault| faults.push(fault)).ok();
    let read = |(code, detail)| faults.push(Fault::new("/expires_on", code, detail));
    let expires_on = date(&expires_on).map_err(read).ok();
    let (Some(reason), Some(expires_on)) = (reason, expires_on) else { return Err(Problem::invalid(faults)) };
    let new = NewOverride { policy, outcome, reason, expires_on };
    let (state, whose) = (active.0.clone(), (permit.principal.user_id, id.0));
    let kept = db
        .run(move |conn| {
            let by = author::by(conn, whose.0)?;
            overrides::create(conn, &state, &by, whose, &new)
        })
        .await?;
    let location = (header::LOCATION, format!("/v1/customers/{}/overrides/{}", kept.customer_id, kept.id));
    let view = OverrideView::new(kept, &Renderer::new(&active.release.pack, &languages.0));
    Ok(HttpResponse::Created().insert_header(location).json(view))
}

/// End an override
///
/// From the business date on what the policy says stands again. 409 where it has ended.
#[utoipa::path(tag = "overrides", operation_id = "deleteOverride", security(("bearer" = ["overrides:write"])), params(
    ("id" = uuid::Uuid, Path, description = "The customer's id"),
    ("override" = uuid::Uuid, Path, description = "The override's id")), responses(
    (status = 204, description = "Ended"),
    (status = 409, description = "It has ended already"),
    Problems
))]
#[delete("/v1/customers/{id}/overrides/{override}")]
pub async fn delete_override(
    permit: Permit<WriteOverrides>,
    db: web::Data<Db>,
    active: Current<Active>,
    path: web::Path<(Id, Id)>,
) -> Result<HttpResponse, Problem> {
    let (customer_id, id) = path.into_inner();
    let (state, user) = (active.0.clone(), permit.principal.user_id);
    db.run(move |conn| {
        let by = author::by(conn, user)?;
        overrides::end(conn, &state, &by, customer_id, id)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A page of overrides in effect.
#[derive(Serialize, ToSchema)]
pub struct OverrideInForceList {
    /// The overrides.
    items: Vec<OverrideInForce>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for OverrideInForceList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// Overrides in effect
///
/// In the order in which they were made.
#[utoipa::path(tag = "overrides", operation_id = "listOverrides", security(("bearer" = ["customers:read"])), params(
    ("policy" = Option<String>, Query, nullable = false, max_length = 200, description = "Those of this policy", example = "volume_grade"),
    ("differs_for_long" = Option<bool>, Query, nullable = false, description = "Those alone from which the policy has differed for longer than the pack lets pass without a warning"),
    PageParameters), responses(
    (status = 200, body = OverrideInForceList, description = "A page"),
    Problems
))]
#[get("/v1/overrides")]
pub async fn list_overrides(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    mut parameters: Parameters,
) -> Result<Listed<OverrideInForceList>, Problem> {
    let (policy, differing) = (parameters.text("policy")?, parameters.flag("differs_for_long")?);
    let (after, limit) = parameters.page::<Id>()?;
    let state = active.0.clone();
    let found = db
        .run(move |conn| {
            let after = after.unwrap_or(Id::NIL);
            overrides::in_force(conn, &state, policy.as_deref(), differing, after, i64::from(limit) + 1)
        })
        .await?;
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    let (items, next_cursor) = paging::page(found, limit, |last| paging::cursor(&last.kept.id));
    let items = items.into_iter().map(|one| OverrideInForce::new(one, &active, &renderer)).collect();
    Ok(Listed(OverrideInForceList { items, next_cursor }))
}
