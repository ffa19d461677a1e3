//! The basis and its closings over HTTP.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, patch, post, web};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::runs::{RunView, started};
use crate::Id;
use crate::assessments::activation::{Closes, Order};
use crate::assessments::basis::{self, Change};
use crate::assessments::run::{self, Purpose};
use crate::assessments::schedule;
use crate::assessments::worker::Workers;
use crate::customers::texts::date;
use crate::db::Db;
use crate::digest::Digest;
use crate::faults::Fault;
use crate::http::current::Current;
use crate::http::etag;
use crate::http::extract::{Body, IfMatch, Languages, Parameters};
use crate::http::list::{Listed, Page};
use crate::http::paging::{self, PageParameters};
use crate::http::problem::{Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{ReadReleases, WriteBasis};
use crate::policy::pack::Cadence;
use crate::releases::active::{Active, InForce};
use crate::releases::author::{self, said};
use crate::releases::model::{By, Closing, ClosingCause};
use crate::releases::store;
use crate::schemas::PolicyDays;

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config.service(get_basis).service(change_basis).service(list_closings).service(create_closing);
}

/// What grades rest on.
#[derive(Serialize, ToSchema)]
#[schema(as = Basis)]
pub struct BasisView {
    /// Its number; it rises.
    #[schema(minimum = 1)]
    number: i64,
    /// Digest of the release.
    release: Digest,
    /// Digest of the cohort.
    cohort: Digest,
    /// The business date.
    #[schema(value_type = String, format = Date)]
    business_date: Date,
}

impl BasisView {
    /// The basis of a state.
    pub fn of(active: &Active) -> Self {
        let basis = &active.basis;
        Self { number: basis.number, release: basis.release, cohort: basis.cohort, business_date: basis.business_date }
    }
}

/// The basis in force
///
/// Release, cohort and business date on which grades rest, with the `ETag` that changing it needs.
#[utoipa::path(tag = "basis", operation_id = "getBasis", security(("bearer" = ["releases:read"])), responses(
    (status = 200, body = BasisView, description = "The basis", headers(("ETag" = String, description = "Its number"))),
    Problems
))]
#[get("/v1/basis")]
pub async fn get_basis(_: Permit<ReadReleases>, active: Current<Active>) -> HttpResponse {
    HttpResponse::Ok().insert_header(etag::tag(active.basis.number)).json(BasisView::of(&active))
}

/// What is to be changed of the basis; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"business_date": "2018-02-01"}))]
pub struct BasisPatch {
    /// Digest of a kept release that is to be in force.
    #[schema(nullable = false, value_type = Option<Digest>)]
    release: Option<String>,
    /// Why, where the pack in force wants a written reason.
    #[schema(nullable = false, max_length = 1000)]
    reason: Option<String>,
    /// When the policies that the release changes are closed; at once when absent.
    #[schema(nullable = false)]
    closes: Option<ClosesView>,
    /// The business date that is to come, where it is a fixed setting: not before the one in force, and at most 10 years after it.
    #[schema(nullable = false, format = Date)]
    business_date: Option<String>,
}

/// When the policies that a release changes are closed.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Closes)]
pub enum ClosesView {
    /// With the activation: their standing outcomes follow the new rules.
    Now,
    /// At their next closing.
    ByCadence,
}

impl BasisPatch {
    fn check(self, by: By) -> Result<Change, Vec<Fault>> {
        let mut faults = Vec::new();
        let reason = self.reason.and_then(|text| said("/reason", &text).map_err(|fault| faults.push(fault)).ok());
        let business_date = self.business_date.and_then(|text| {
            date(&text).map_err(|(code, detail)| faults.push(Fault::new("/business_date", code, detail))).ok()
        });
        let release = self.release.and_then(|text| {
            text.parse().map_err(|error| faults.push(Fault::new("/release", "digest", format!("{error}")))).ok()
        });
        let closes = match self.closes {
            None | Some(ClosesView::Now) => Closes::Now,
            Some(ClosesView::ByCadence) => Closes::ByCadence,
        };
        let order = Order { closes, by, reason };
        if faults.is_empty() { Ok(Change { release, order, business_date }) } else { Err(faults) }
    }
}

/// Change the basis
///
/// Puts another kept release in force, forward or back, or moves a fixed business date forward. Everybody concerned is assessed anew in the
/// background. A date behind closings is reached step by step: 202 while a closing on the way has still to be passed; the basis
/// moves on by itself.
#[utoipa::path(tag = "basis", operation_id = "changeBasis", security(("bearer" = ["basis:write"])), params(
    ("If-Match" = String, Header, description = "The `ETag` that the caller read", example = "\"3\""),
), request_body(content = BasisPatch, content_type = "application/merge-patch+json"), responses(
    (status = 200, body = BasisView, description = "Changed", headers(("ETag" = String, description = "Its number"))),
    (status = 202, body = BasisView, description = "Changed as far as the next closing", headers(("ETag" = String, description = "Its number"))),
    (status = 409, description = "The date moves by itself or by the configuration, or the release can't come into force"),
    Problems
))]
#[patch("/v1/basis")]
pub async fn change_basis(
    permit: Permit<WriteBasis>,
    db: web::Data<Db>,
    in_force: web::Data<InForce>,
    workers: web::Data<Workers>,
    IfMatch(numbers): IfMatch,
    body: Body<BasisPatch>,
) -> Result<HttpResponse, Problem> {
    let user = permit.principal.user_id;
    let by = db.run(move |conn| author::by(conn, user)).await?;
    let change = body.0.check(by).map_err(Problem::invalid)?;
    let wanted = change.business_date;
    let setting = workers.business_date();
    let active = db.run(move |conn| basis::change(conn, &in_force, setting, &numbers, &change)).await?;
    workers.wake();
    let reached = wanted.is_none_or(|wanted| wanted == active.basis.business_date);
    let mut response = if reached { HttpResponse::Ok() } else { HttpResponse::Accepted() };
    Ok(response.insert_header(etag::tag(active.basis.number)).json(BasisView::of(&active)))
}

/// The moment at which provisional outcomes became standing ones.
#[derive(Serialize, ToSchema)]
#[schema(as = Closing)]
pub struct ClosingView {
    /// Number of the basis that came into force with it.
    #[schema(minimum = 1)]
    basis: i64,
    /// Why.
    cause: ClosingCause,
    /// The last day of the period that was closed, by policy.
    #[schema(value_type = PolicyDays)]
    policies: BTreeMap<String, Date>,
    /// The run in which it was prepared, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    run_id: Option<Id>,
    /// When it came into force.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When everybody had passed it; absent while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
}

impl From<Closing> for ClosingView {
    fn from(closing: Closing) -> Self {
        let Closing { basis, cause, policies, run_id, created_at, finished_at } = closing;
        Self { basis, cause, policies, run_id, created_at, finished_at }
    }
}

/// The next closing of a cadence.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"cadence": "month", "closes_on": "2018-02-01", "closed_on": "2018-01-31"}))]
pub struct NextClosing {
    /// The cadence.
    cadence: Cadence,
    /// The business date on which it closes.
    #[schema(value_type = String, format = Date)]
    closes_on: Date,
    /// The last day of the period that it closes.
    #[schema(value_type = String, format = Date)]
    closed_on: Date,
}

/// Past and next closings.
#[derive(Serialize, ToSchema)]
pub struct ClosingList {
    /// Past closings, newest first.
    items: Vec<ClosingView>,
    /// The next closing of each cadence that the pack uses.
    next: Vec<NextClosing>,
    /// Cursor of the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

impl Page for ClosingList {
    fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref()
    }
}

/// List closings
///
/// Past ones, newest first, and the next one of each cadence.
#[utoipa::path(tag = "basis", operation_id = "listClosings", security(("bearer" = ["releases:read"])), params(PageParameters), responses(
    (status = 200, body = ClosingList, description = "A page"),
    Problems
))]
#[get("/v1/closings")]
pub async fn list_closings(
    _: Permit<ReadReleases>,
    db: web::Data<Db>,
    active: Current<Active>,
    parameters: Parameters,
) -> Result<Listed<ClosingList>, Problem> {
    let (before, limit) = parameters.page::<i64>()?;
    let last = before.map_or(i64::MAX, |before| before.saturating_sub(1));
    let found = db.run(move |conn| store::closings_to(conn, last, i64::from(limit) + 1)).await?;
    let (items, next_cursor) = paging::page(found, limit, |last| paging::cursor(&last.basis));
    let next = schedule::cadences(&active.release.pack).into_iter().map(|cadence| {
        let (closes_on, closed_on) = next_closing(&active, cadence);
        NextClosing { cadence, closes_on, closed_on }
    });
    Ok(Listed(ClosingList {
        items: items.into_iter().map(ClosingView::from).collect(),
        next: next.collect(),
        next_cursor,
    }))
}

/// The next closing of a cadence: its day, and the last day of the period that it closes.
pub fn next_closing(active: &Active, cadence: Cadence) -> (Date, Date) {
    schedule::next_of(cadence, active.release.pack.closes_after, active.basis.business_date)
}

/// Close now
///
/// Computes the statistics of the population anew, assesses everybody, and makes the provisional outcomes of all policies that have
/// a cadence the standing ones; follow the run at the address in `Location`. 409 while a run is open.
#[utoipa::path(tag = "basis", operation_id = "createClosing", security(("bearer" = ["basis:write"])), responses(
    (status = 202, body = RunView, description = "Started", headers(("Location" = String, description = "Address of the run"))),
    Problems
))]
#[post("/v1/closings")]
pub async fn create_closing(
    _: Permit<WriteBasis>,
    db: web::Data<Db>,
    active: Current<Active>,
    workers: web::Data<Workers>,
    languages: Languages,
) -> Result<HttpResponse, Problem> {
    let state = active.0.clone();
    let run = db.run(move |conn| run::create(conn, &state, Purpose::Close)).await?;
    workers.wake();
    Ok(started(run, &active, &languages))
}
