//! Paths to a better outcome over HTTP.

use actix_web::{get, web};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::assessments::paths::{self, Goal, MOST_ASKED, Path, Paths, Search};
use crate::assessments::view::Renderer;
use crate::db::{self, Conn, Db};
use crate::faults::{Fault, did_you_mean, excerpt};
use crate::http::current::Current;
use crate::http::extract::{Languages, Parameters, PathId};
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::ReadCustomers;
use crate::policy::pack::Pack;
use crate::policy::texts::LabelKind;
use crate::releases::active::Active;
use crate::schemas::DecimalText;

/// Mounts the handler.
pub fn configure(config: &mut ServiceConfig) {
    config.service(get_paths);
}

/// What leads to a better outcome of a policy.
#[derive(Serialize, ToSchema)]
#[schema(as = OutcomePaths, example = json!({"policy": "volume_grade", "title": "Volume grade", "outcome": "3", "goal": "2", "complete": true,
    "paths": [{"cost": "5", "outcome": "2", "label": "Grade 2",
        "changes": [{"key": "monthly_volume", "label": "Mean monthly volume", "from": "12.5", "to": "15", "cost": "5"}]}]}))]
pub struct PathsView {
    /// The policy's id.
    policy: String,
    /// Its title.
    title: String,
    /// The outcome that the latest data give; absent where the policy doesn't decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "3")]
    outcome: Option<String>,
    /// The outcome that is to be reached, or a better one; absent where there is no better one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "2")]
    goal: Option<String>,
    /// Paths, the cheapest first; none where nothing within the bounds leads there.
    paths: Vec<PathView>,
    /// Whether everything was tried that could be cheaper: then there is no other path within the bounds.
    complete: bool,
}

/// Changes that together lead to the goal.
#[derive(Serialize, ToSchema)]
#[schema(as = OutcomePath, example = json!({"cost": "5", "outcome": "2", "label": "Grade 2",
    "changes": [{"key": "monthly_volume", "label": "Mean monthly volume", "from": "12.5", "to": "15", "cost": "5"}]}))]
pub struct PathView {
    /// What they cost together, above 0, in the unit of effort of the pack.
    #[schema(value_type = DecimalText)]
    cost: Decimal,
    /// The outcome that they lead to.
    outcome: String,
    /// Its label.
    label: String,
    /// The changes.
    changes: Vec<ChangeView>,
}

/// A change of a field or metric.
#[derive(Serialize, ToSchema)]
#[schema(as = OutcomePathChange, example = json!({"key": "monthly_volume", "label": "Mean monthly volume", "from": "12.5", "to": "15", "cost": "5"}))]
pub struct ChangeView {
    /// Its key.
    key: String,
    /// Its label.
    label: String,
    /// What it is now; absent where there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    from: Option<String>,
    /// What it has to become.
    to: String,
    /// What that costs, above 0, in the unit of effort of the pack.
    #[schema(value_type = DecimalText)]
    cost: Decimal,
}

impl PathView {
    /// A path by the labels of a pack.
    pub fn new(path: Path, policy: &str, renderer: &Renderer<'_>, pack: &Pack) -> Self {
        let change = |change: paths::Change| {
            let is_field = pack.fields.get(&change.key).is_some();
            let kind = if is_field { LabelKind::Field } else { LabelKind::Metric };
            ChangeView {
                label: renderer.label(kind, &change.key),
                key: change.key,
                from: change.from,
                to: change.to,
                cost: change.cost.normalize(),
            }
        };
        Self {
            cost: path.cost.normalize(),
            label: renderer.outcome_label(policy, &path.outcome),
            outcome: path.outcome,
            changes: path.changes.into_iter().map(change).collect(),
        }
    }
}

fn goal(active: &Active, parameters: &Parameters) -> Result<Goal, Vec<Fault>> {
    let (mut policy, mut outcome, mut faults) = (None, None, Vec::new());
    for (name, value) in &parameters.0 {
        match name.as_str() {
            "policy" => policy = Some(value.clone()),
            "outcome" => outcome = Some(value.clone()),
            name => faults.push(Parameters::unknown(name, &["policy", "outcome"])),
        }
    }
    match policy.as_ref().map(|policy| (policy, active.release.pack.policy("policy", policy))) {
        None => faults.push(Fault::new("policy", "required", "name the policy whose outcome is to be better")),
        Some((_, Err(fault))) => faults.push(fault),
        Some((policy, Ok(declared))) => {
            if let Some(outcome) = outcome.as_ref().filter(|outcome| !declared.outcomes.contains(outcome)) {
                let hint = did_you_mean(outcome, declared.outcomes.iter().map(String::as_str));
                let detail = format!("the policy '{policy}' has no outcome '{}'{hint}", excerpt(outcome));
                faults.push(Fault::new("outcome", "unknown_outcome", detail));
            }
        }
    }
    match policy.filter(|_| faults.is_empty()) {
        Some(policy) => Ok(Goal { policy, outcome }),
        None => Err(faults),
    }
}

/// Paths to a better outcome
///
/// The cheapest changes of what the pack says that the customer can influence which lead to an outcome of a policy or a better one, by
/// what is known of him now and would stand at the next closing; each was verified by running the policies. No path is an answer.
#[utoipa::path(tag = "assessments", operation_id = "getPaths", security(("bearer" = ["customers:read"])), params(
    ("id" = uuid::Uuid, Path, description = "The customer's id"),
    ("policy" = String, Query, max_length = 64, description = "The policy", example = "volume_grade"),
    ("outcome" = Option<String>, Query, nullable = false, max_length = 64, description = "The outcome to reach; the next better one when it is left out", example = "1"),
), responses(
    (status = 200, body = PathsView, description = "The paths"),
    Problems
))]
#[get("/v1/customers/{id}/paths")]
pub async fn get_paths(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    active: Current<Active>,
    languages: Languages,
    id: PathId,
    parameters: Parameters,
) -> Result<web::Json<PathsView>, Problem> {
    let goal = goal(&active, &parameters).map_err(Problem::invalid)?;
    let (state, policy) = (active.0.clone(), goal.policy.clone());
    let read = move |conn: &mut Conn| paths::prepare(conn, state, id.0, goal);
    let find = |search: Option<Search>| search.map(|search| search.find(MOST_ASKED));
    let found = db.run_then(read, find).await.map_err(|error: db::Error| Problem::from(error))?;
    let Paths { now, goal, paths, complete } = found.ok_or_else(|| Problem::new(Code::NotFound))?;
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    Ok(web::Json(PathsView {
        title: renderer.label(LabelKind::Policy, &policy),
        outcome: now,
        goal,
        paths: paths.into_iter().map(|path| PathView::new(path, &policy, &renderer, &active.release.pack)).collect(),
        complete,
        policy,
    }))
}
