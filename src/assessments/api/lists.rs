//! Lists of customers over HTTP: who is on one and why, entering by hand and taking off, and the lists of a customer.

use actix_web::http::header;
use actix_web::{HttpResponse, delete, get, post, web};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Id;
use crate::assessments::lists::{self, NewEntry, Why};
use crate::assessments::model::Outcome;
use crate::assessments::store::{self, ListEntry};
use crate::assessments::view::Renderer;
use crate::customers::texts::date;
use crate::db::Db;
use crate::faults::Fault;
use crate::http::current::Current;
use crate::http::extract::{Body, Languages, Parameters, PathId};
use crate::http::list::{Listed, Page};
use crate::http::paging::{self, PageParameters};
use crate::http::problem::{Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{ReadCustomers, WriteLists};
use crate::policy::pack::Pack;
use crate::policy::texts::LabelKind;
use crate::releases::active::Active;
use crate::releases::author;

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config.service(list_members).service(create_list_entry).service(delete_list_entry).service(list_customer_lists);
}

/// A customer on a list, with why: an outcome, an entry by hand, or both.
#[derive(Serialize, ToSchema)]
#[schema(as = ListMember, example = json!({"customer_id": "0193f0a2-7c1e-7aaa-8000-0123456789ab", "customer_code": "X17", "customer_name": "Corner shop",
    "outcome": {"policy": "value_group", "outcome": "core", "label": "Core", "since": "2018-01-01", "assessment_id": "0193f0a2-7c1e-7aaa-8000-0123456789ac"}}))]
pub struct MemberView {
    /// His id.
    #[schema(value_type = uuid::Uuid)]
    customer_id: Id,
    /// His code.
    customer_code: String,
    /// His name.
    customer_name: String,
    /// The outcome that leads to the list, where he has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    outcome: Option<LeadingOutcome>,
    /// The entry by hand, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    entry: Option<EntryView>,
}

/// The outcome that leads to a list.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"policy": "value_group", "outcome": "core", "label": "Core", "since": "2018-01-01", "assessment_id": "0193f0a2-7c1e-7aaa-8000-0123456789ac"}))]
pub struct LeadingOutcome {
    /// The policy.
    policy: String,
    /// The standing outcome.
    outcome: String,
    /// Its label.
    label: String,
    /// Since which business date it stands.
    #[schema(value_type = String, format = Date)]
    since: Date,
    /// The assessment that says why: `/v1/assessments/{id}/explanation`.
    #[schema(value_type = uuid::Uuid)]
    assessment_id: Id,
}

/// An entry by hand.
#[derive(Serialize, ToSchema)]
#[schema(as = ListEntry, example = json!({"id": "0193f0a2-7c1e-7aaa-8000-0123456789ab", "reason": "Model shop of the district", "author": "ana",
    "created_at": "2018-01-01T10:00:00.123456Z", "expires_on": "2018-06-30"}))]
pub struct EntryView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    id: Id,
    /// Why.
    reason: String,
    /// Who made it.
    author: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The last business date on which it counts; absent where it has no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = Date)]
    expires_on: Option<Date>,
}

impl From<ListEntry> for EntryView {
    fn from(entry: ListEntry) -> Self {
        let ListEntry { id, reason, author, created_at, expires_on, .. } = entry;
        Self { id, reason, author, created_at, expires_on }
    }
}

fn leading(outcome: Option<Outcome>, list: &str, pack: &Pack, renderer: &Renderer<'_>) -> Option<LeadingOutcome> {
    let policy = pack.lists.get(list)?.policy.clone()?;
    outcome.map(|outcome| LeadingOutcome {
        label: renderer.outcome_label(&policy, &outcome.outcome),
        policy,
        outcome: outcome.outcome,
        since: outcome.since,
        assessment_id: outcome.assessment_id,
    })
}

/// A page of a list's members.
#[derive(Serialize, ToSchema)]
pub struct ListMemberList {
    /// The members.
    items: Vec<MemberView>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for ListMemberList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// Members of a list
///
/// Active customers who are on it by their standing outcome or by hand, in the order in which they became customers.
#[utoipa::path(tag = "lists", operation_id = "listMembers", security(("bearer" = ["customers:read"])), params(
    ("list" = String, Path, description = "The list's id in the pack", min_length = 1, max_length = 64, example = "core"), PageParameters), responses(
    (status = 200, body = ListMemberList, description = "A page"),
    Problems
))]
#[get("/v1/lists/{list}/members")]
pub async fn list_members(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    list: web::Path<String>,
    parameters: Parameters,
) -> Result<Listed<ListMemberList>, Problem> {
    let (after, limit) = parameters.page::<Id>()?;
    let (state, id) = (active.0.clone(), list.into_inner());
    let (found, id) = db
        .run(move |conn| {
            let after = after.unwrap_or(Id::NIL);
            lists::members(conn, &state, &id, after, i64::from(limit) + 1).map(|found| (found, id))
        })
        .await?;
    let pack = &active.release.pack;
    let renderer = Renderer::new(pack, &languages.0);
    let (items, next_cursor) = paging::page(found, limit, |last| paging::cursor(&last.0.customer_id));
    let member = |(customer, Why { outcome, entry }): (store::Listed, Why)| MemberView {
        customer_id: customer.customer_id,
        customer_code: customer.code,
        customer_name: customer.name,
        outcome: leading(outcome, &id, pack, &renderer),
        entry: entry.map(EntryView::from),
    };
    Ok(Listed(ListMemberList { items: items.into_iter().map(member).collect(), next_cursor }))
}

/// An entry to be made by hand.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"customer_id": "0193f0a2-7c1e-7aaa-8000-0123456789ab", "reason": "Model shop of the district", "expires_on": "2018-06-30"}))]
pub struct ListEntryBody {
    /// The customer's id.
    #[schema(value_type = uuid::Uuid)]
    customer_id: Id,
    /// Why.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
    /// The last business date on which it counts; without end where it is left out.
    #[schema(nullable = false, format = Date)]
    expires_on: Option<String>,
}

/// Enter a customer in a list
///
/// By hand, beside whoever is on it by his outcome. 409 where he is entered already.
#[utoipa::path(tag = "lists", operation_id = "createListEntry", security(("bearer" = ["lists:write"])), params(
    ("list" = String, Path, description = "The list's id in the pack", min_length = 1, max_length = 64, example = "core")), request_body = ListEntryBody, responses(
    (status = 201, body = EntryView, description = "Entered", headers(("Location" = String, description = "Address of the entry"))),
    Problems
))]
#[post("/v1/lists/{list}/members")]
pub async fn create_list_entry(
    permit: Permit<WriteLists>,
    db: web::Data<Db>,
    active: Current<Active>,
    list: web::Path<String>,
    body: Body<ListEntryBody>,
) -> Result<HttpResponse, Problem> {
    let ListEntryBody { customer_id, reason, expires_on } = body.0;
    let mut faults = Vec::new();
    let reason = author::said("/reason", &reason).map_err(|fault| faults.push(fault)).ok();
    let read = |text: String| date(&text).map_err(|(code, detail)| Fault::new("/expires_on", code, detail));
    let expires_on = expires_on.map(read).transpose().map_err(|fault| faults.push(fault)).ok();
    let (Some(reason), Some(expires_on)) = (reason, expires_on) else { return Err(Problem::invalid(faults)) };
    let new = NewEntry { list: list.into_inner(), customer_id, reason, expires_on };
    let (state, user) = (active.0.clone(), permit.principal.user_id);
    let entry = db
        .run(move |conn| {
            let by = author::by(conn, user)?;
            lists::enter(conn, &state, &by, user, &new)
        })
        .await?;
    let location = (header::LOCATION, format!("/v1/lists/{}/members/{}", entry.list, entry.id));
    Ok(HttpResponse::Created().insert_header(location).json(EntryView::from(entry)))
}

/// Take an entry off a list
///
/// One that was made by hand. Who is on the list by his outcome stays.
#[utoipa::path(tag = "lists", operation_id = "deleteListEntry", security(("bearer" = ["lists:write"])), params(
    ("list" = String, Path, description = "The list's id in the pack", min_length = 1, max_length = 64, example = "core"),
    ("entry" = uuid::Uuid, Path, description = "The entry's id")), responses(
    (status = 204, description = "Taken off"),
    Problems
))]
#[delete("/v1/lists/{list}/members/{entry}")]
pub async fn delete_list_entry(
    _: Permit<WriteLists>,
    db: web::Data<Db>,
    active: Current<Active>,
    path: web::Path<(String, Id)>,
) -> Result<HttpResponse, Problem> {
    let (list, entry) = path.into_inner();
    let state = active.0.clone();
    db.run(move |conn| lists::remove(conn, &state, &list, entry)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A list on which a customer is, with why.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"list": "core", "title": "Core customers", "outcome": {"policy": "value_group", "outcome": "core", "label": "Core",
    "since": "2018-01-01", "assessment_id": "0193f0a2-7c1e-7aaa-8000-0123456789ac"}}))]
pub struct Membership {
    /// The list's id.
    list: String,
    /// Its title.
    title: String,
    /// The outcome that leads to the list, where he has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    outcome: Option<LeadingOutcome>,
    /// The entry by hand, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    entry: Option<EntryView>,
}

/// The lists of a customer.
#[derive(Serialize, ToSchema)]
pub struct Memberships {
    /// One entry for each list, in the order of the pack.
    items: Vec<Membership>,
}

/// Lists of a customer
///
/// Those on which he is, with why.
#[utoipa::path(tag = "lists", operation_id = "listCustomerLists", security(("bearer" = ["customers:read"])), params(
    ("id" = uuid::Uuid, Path, description = "The customer's id")), responses(
    (status = 200, body = Memberships, description = "The lists"),
    Problems
))]
#[get("/v1/customers/{id}/lists")]
pub async fn list_customer_lists(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    id: PathId,
) -> Result<web::Json<Memberships>, Problem> {
    let state = active.0.clone();
    let found = db.run(move |conn| lists::of_customer(conn, &state, id.0)).await?;
    let pack = &active.release.pack;
    let renderer = Renderer::new(pack, &languages.0);
    let membership = |(list, Why { outcome, entry }): (String, Why)| Membership {
        title: renderer.label(LabelKind::List, &list),
        outcome: leading(outcome, &list, pack, &renderer),
        entry: entry.map(EntryView::from),
        list,
    };
    Ok(web::Json(Memberships { items: found.into_iter().map(membership).collect() }))
}
