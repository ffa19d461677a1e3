//! Letting a release decide in the shadow of the one in force for a period, over HTTP.

use std::collections::BTreeMap;

use actix_web::http::header;
use actix_web::{HttpResponse, get, post, web};
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::comparison::view::{MatrixCell, matrix};
use crate::Id;
use crate::assessments::model::ShadowStatus;
use crate::assessments::shadow::{self, Fact, Plan, SeenPolicy, Shadowed};
use crate::assessments::store::{self, Shadow};
use crate::assessments::view::Renderer;
use crate::assessments::worker::Workers;
use crate::customers::texts::date;
use crate::db::{self, Db};
use crate::digest::Digest;
use crate::faults::Fault;
use crate::http::current::Current;
use crate::http::extract::{Body, Languages, PathDigest};
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{ReadCustomers, WriteReleases};
use crate::policy::pack::Pack;
use crate::policy::texts::LabelKind;
use crate::releases::active::{Active, InForce};
use crate::releases::author;
use crate::schemas::{DecimalText, MetricKey};
use crate::transactions::model::Period;

/// Mounts the handlers.
pub fn configure(config: &mut ServiceConfig) {
    config.service(create_shadow).service(get_shadow).service(cancel_shadow);
}

/// For how long a release is to decide in the shadow, and what is to be looked at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"ends_on": "2018-06-30", "facts": ["on_time_share"]}))]
pub struct ShadowBody {
    /// The business date on which it ends, at most five years from now.
    #[schema(format = Date)]
    ends_on: String,
    /// Keys of metrics of the release that are numbers, each once: their mean is told by outcome.
    #[serde(default)]
    #[schema(required = false, max_items = 20, value_type = Vec<MetricKey>)]
    facts: Vec<String>,
}

/// A release that decides in the shadow of the one in force.
#[derive(Serialize, ToSchema)]
#[schema(as = Shadow)]
pub struct ShadowView {
    /// The release.
    release: Digest,
    /// How far it is.
    status: ShadowStatus,
    /// Who wants it.
    #[schema(example = "ana")]
    author: String,
    /// The business date on which it began.
    #[schema(value_type = String, format = Date)]
    starts_on: Date,
    /// The business date on which it ends.
    #[schema(value_type = String, format = Date)]
    ends_on: Date,
    /// The run of the last business date; absent before the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    run_id: Option<Id>,
    /// What came of it so far; absent until the first run has finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    result: Option<ShadowResult>,
}

/// What came of a shadow.
#[derive(Serialize, ToSchema)]
pub struct ShadowResult {
    /// The business date of it.
    #[schema(value_type = String, format = Date)]
    on: Date,
    /// Customers.
    customers: u64,
    /// The policies that differ from those in force.
    policies: Vec<ShadowPolicy>,
}

/// What came of one policy.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"policy": "volume_grade", "title": "Volume grade", "decided": 100, "moved": 7, "share_moved": "0.07",
    "matrix": [{"from": {"outcome": "2", "label": "Grade 2"}, "to": {"outcome": "3", "label": "Grade 3"}, "customers": 7}],
    "course": [{"on": "2018-01-01", "decided": 100, "moved": 7}], "facts": []}))]
pub struct ShadowPolicy {
    /// The policy's id.
    policy: String,
    /// Its title.
    title: String,
    /// Customers for whom both releases have an outcome.
    decided: u64,
    /// Of these, those whose outcome differs.
    moved: u64,
    /// Share of those whose outcome differs, from 0 to 1.
    #[schema(value_type = DecimalText)]
    share_moved: Decimal,
    /// Customers by the outcome that stands and the one that would stand: only combinations that occur.
    matrix: Vec<MatrixCell>,
    /// How that was on each business date.
    course: Vec<ShadowDay>,
    /// What came of customers later, by the outcome that they had on the first day.
    facts: Vec<ShadowFact>,
}

/// One business date of a shadow.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"on": "2018-01-01", "decided": 100, "moved": 7}))]
pub struct ShadowDay {
    /// The business date.
    #[schema(value_type = String, format = Date)]
    on: Date,
    /// Customers for whom both releases had an outcome.
    decided: u64,
    /// Of these, those whose outcome differed.
    moved: u64,
}

/// A metric by outcome.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"metric": "on_time_share", "label": "Paid on time", "window": {"from": "2018-01-01", "to": "2018-06-30"}, "reaches_back": false,
    "in_force": [{"outcome": "2", "label": "Grade 2", "customers": 12, "mean": "0.96"}],
    "release": [{"outcome": "3", "label": "Grade 3", "customers": 12, "mean": "0.91"}]}))]
pub struct ShadowFact {
    /// Key of the metric.
    metric: String,
    /// Its label.
    label: String,
    /// The days that it looks at.
    window: Period,
    /// Whether some of them lie before the shadow began: what happened then is no consequence.
    reaches_back: bool,
    /// By the outcome that the release in force gave on the first day.
    in_force: Vec<OutcomeMean>,
    /// By the outcome that the release in the shadow gave on the first day.
    release: Vec<OutcomeMean>,
}

/// The mean of a metric over customers with an outcome.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"outcome": "2", "label": "Grade 2", "customers": 12, "mean": "0.96"}))]
pub struct OutcomeMean {
    /// The outcome.
    outcome: String,
    /// Its label.
    label: String,
    /// Customers who had it on the first day and have a value now.
    customers: u64,
    /// The mean of their values in the unit of the metric, with six places.
    #[schema(value_type = DecimalText)]
    mean: Decimal,
}

impl ShadowView {
    fn new(shadow: Shadow, result: Option<ShadowResult>) -> Self {
        Self {
            release: shadow.release,
            status: shadow.status,
            author: shadow.by.name,
            starts_on: shadow.starts_on,
            ends_on: shadow.ends_on,
            run_id: shadow.run_id,
            result,
        }
    }
}

/// Start a shadow
///
/// Lets the release decide about all active customers on each business date until `ends_on`, beside the one in force and as if it had been
/// in force since today: its policies close by the calendar, and its stability compares with its own outcomes. Nobody's outcome changes.
/// 409 while another release does so, or when the release is a draft or in force.
#[utoipa::path(tag = "releases", operation_id = "createShadow", security(("bearer" = ["releases:write"])),
    params(("digest" = Digest, Path, description = "The release's digest, sha256:…")), request_body = ShadowBody, responses(
    (status = 201, body = ShadowView, description = "Begun", headers(("Location" = String, description = "Address of the shadow"))),
    Problems
))]
#[post("/v1/releases/{digest}/shadow")]
pub async fn create_shadow(
    permit: Permit<WriteReleases>,
    db: web::Data<Db>,
    active: Current<Active>,
    in_force: web::Data<InForce>,
    workers: web::Data<Workers>,
    digest: PathDigest,
    body: Body<ShadowBody>,
) -> Result<HttpResponse, Problem> {
    let (state, user, digest, ShadowBody { ends_on, facts }) =
        (active.0.clone(), permit.principal.user_id, digest.0, body.0);
    let ends_on =
        date(&ends_on).map_err(|(code, detail)| Problem::invalid(vec![Fault::new("/ends_on", code, detail)]))?;
    let begun = db
        .run(move |conn| {
            let plan = Plan { release: digest, by: author::by(conn, user)?, ends_on, facts };
            shadow::begin(conn, &in_force, &state, &plan)
        })
        .await?;
    workers.wake();
    let location = (header::LOCATION, format!("/v1/releases/{digest}/shadow"));
    Ok(HttpResponse::Created().insert_header(location).json(ShadowView::new(begun, None)))
}

/// Read a shadow
///
/// The last one of the release, with what came of it so far.
#[utoipa::path(tag = "releases", operation_id = "getShadow", security(("bearer" = ["customers:read"])),
    params(("digest" = Digest, Path, description = "The release's digest, sha256:…")), responses(
    (status = 200, body = ShadowView, description = "The shadow"),
    Problems
))]
#[get("/v1/releases/{digest}/shadow")]
pub async fn get_shadow(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    active: Current<Active>,
    in_force: web::Data<InForce>,
    languages: Languages,
    digest: PathDigest,
) -> Result<web::Json<ShadowView>, Problem> {
    let digest = digest.0;
    let (shadow, release) = db
        .run(move |conn| {
            let Some(shadow) = store::last_shadow(conn, digest)? else { return Ok(None) };
            let release = in_force.release(conn, digest)?;
            Ok::<_, db::Error>(Some((shadow, release)))
        })
        .await?
        .ok_or_else(|| Problem::new(Code::NotFound))?;
    let kept = shadow.result.as_deref().map(Shadowed::read).transpose()?;
    let result = kept.map(|kept| result(&kept, &shadow, (&active.release.pack, &release.pack), &languages.0));
    Ok(web::Json(ShadowView::new(shadow, result)))
}

/// End a shadow
///
/// The last one of the release, before its last day; what came of it so far stays. 409 when it has ended.
#[utoipa::path(tag = "releases", operation_id = "cancelShadow", security(("bearer" = ["releases:write"])),
    params(("digest" = Digest, Path, description = "The release's digest, sha256:…")), responses(
    (status = 200, body = ShadowView, description = "Ended"),
    Problems
))]
#[post("/v1/releases/{digest}/shadow/cancellation")]
pub async fn cancel_shadow(
    _: Permit<WriteReleases>,
    db: web::Data<Db>,
    digest: PathDigest,
) -> Result<web::Json<ShadowView>, Problem> {
    let digest = digest.0;
    let cancelled = db.run(move |conn| shadow::cancel(conn, digest)).await?;
    Ok(web::Json(ShadowView::new(cancelled, None)))
}

fn result(kept: &Shadowed, shadow: &Shadow, packs: (&Pack, &Pack), languages: &[String]) -> ShadowResult {
    let renderers = [Renderer::new(packs.0, languages), Renderer::new(packs.1, languages)];
    let policies = kept.seen.policies.iter().map(|(id, seen)| policy((id, seen), kept, shadow, (packs.1, &renderers)));
    ShadowResult { on: kept.on, customers: kept.seen.customers, policies: policies.collect() }
}

fn policy(
    (id, seen): (&String, &SeenPolicy),
    kept: &Shadowed,
    shadow: &Shadow,
    (pack, renderers): (&Pack, &[Renderer<'_>; 2]),
) -> ShadowPolicy {
    let [before, after] = renderers;
    let course = kept.course.iter().filter_map(|day| {
        let (decided, moved) = *day.policies.get(id)?;
        Some(ShadowDay { on: day.on, decided, moved })
    });
    let means = |facts: &BTreeMap<String, Fact>, renderer: &Renderer<'_>| {
        let mean = |(outcome, fact): (&String, &Fact)| OutcomeMean {
            outcome: outcome.clone(),
            label: renderer.outcome_label(id, outcome),
            customers: fact.customers,
            mean: fact.mean(),
        };
        facts.iter().map(mean).collect()
    };
    let fact = |(metric, [in_force, release]): (&String, &[BTreeMap<String, Fact>; 2])| {
        let window = pack.definitions.metrics.get(metric)?.window.period(kept.on);
        Some(ShadowFact {
            metric: metric.clone(),
            label: after.label(LabelKind::Metric, metric),
            reaches_back: window.from < shadow.starts_on,
            window,
            in_force: means(in_force, before),
            release: means(release, after),
        })
    };
    let known = after.label(LabelKind::Policy, id);
    ShadowPolicy {
        title: if known == *id { before.label(LabelKind::Policy, id) } else { known },
        policy: id.clone(),
        decided: seen.matrix.decided(),
        moved: seen.matrix.moved(),
        share_moved: seen.matrix.share_moved().normalize(),
        matrix: matrix(&seen.matrix, id, [before, after]),
        course: course.collect(),
        facts: seen.facts.iter().filter_map(fact).collect(),
    }
}
