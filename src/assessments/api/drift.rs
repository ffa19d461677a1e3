//! How far outcomes have drifted from one run to the next, over HTTP.

use actix_web::{get, web};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Id;
use crate::assessments::drift::{self, Drift, GroupDrift, Index, PolicyDrift};
use crate::assessments::store;
use crate::assessments::view::Renderer;
use crate::db::Db;
use crate::http::current::Current;
use crate::http::extract::{Languages, PathId};
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::ReadRuns;
use crate::policy::model::Cause;
use crate::policy::texts::LabelKind;
use crate::releases::active::{Active, InForce};
use crate::schemas::DecimalText;

/// Mounts the handler.
pub fn configure(config: &mut ServiceConfig) {
    config.service(get_run_drift);
}

/// How far outcomes have drifted from one run to another.
#[derive(Serialize, ToSchema)]
pub struct RunDrift {
    /// The run.
    #[schema(value_type = uuid::Uuid)]
    run_id: Id,
    /// The run before it; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    compared_with: Option<Id>,
    /// The policies that both have, in the order of the pack.
    policies: Vec<PolicyDriftView>,
}

/// How far the outcomes of a policy have drifted.
#[derive(Serialize, ToSchema)]
#[schema(as = PolicyDrift, example = json!({"policy": "volume_grade", "title": "Volume grade", "groups": [
    {"customers": 136, "customers_before": 136, "index": "0.3125", "alarm": true, "moved": ["data"],
        "inputs": [{"key": "monthly_volume", "label": "Cases a month", "index": "0.4012", "beyond_chance": true}]}]}))]
pub struct PolicyDriftView {
    /// The policy's id.
    policy: String,
    /// The policy's title.
    title: String,
    /// All customers first, then the groups that both runs have.
    groups: Vec<GroupDriftView>,
}

/// How far the outcomes of a policy have drifted in a group.
#[derive(Serialize, ToSchema)]
#[schema(as = GroupDrift, example = json!({"field": "retail_format", "value": "grocery", "label": "Grocery", "customers": 60, "customers_before": 60,
    "index": "0.3125", "alarm": true, "moved": ["data"], "inputs": []}))]
pub struct GroupDriftView {
    /// The field whose value makes the group; absent for all customers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<String>,
    /// The value of that field.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    value: Option<String>,
    /// The value's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    label: Option<String>,
    /// Its customers now.
    customers: u64,
    /// Its customers in the run before.
    customers_before: u64,
    /// The population stability index of the outcomes: 0 where they are distributed as before; with four places.
    #[schema(value_type = DecimalText)]
    index: Decimal,
    /// Whether the index reaches what the pack alarms from, and is larger than chance makes it in one of a hundred cases.
    alarm: bool,
    /// What has moved: `data`, `rules`, or `population`, the statistics of all customers; nothing where chance alone may have made the index.
    moved: Vec<Cause>,
    /// The values that the policy reads, also through others, that which has moved most first.
    inputs: Vec<InputDrift>,
}

/// How far a value has drifted.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"key": "monthly_volume", "label": "Cases a month", "index": "0.4012", "beyond_chance": true}))]
pub struct InputDrift {
    /// Key of the field or metric.
    key: String,
    /// Its label.
    label: String,
    /// The population stability index of its values, numbers by tenths of the customers before; with four places.
    #[schema(value_type = DecimalText)]
    index: Decimal,
    /// Whether it is larger than chance makes it in one of a hundred cases.
    beyond_chance: bool,
}

/// Drift of a run
///
/// How the run's customers are distributed over outcomes, and over the values that policies read, against the run over all customers
/// before it: policy by policy, and in the groups that the pack names. 404 where the run hasn't finished or wasn't over all customers.
#[utoipa::path(tag = "runs", operation_id = "getRunDrift", security(("bearer" = ["runs:read"])),
    params(("id" = uuid::Uuid, Path, description = "The run's id")), responses(
    (status = 200, body = RunDrift, description = "The indexes"),
    Problems
))]
#[get("/v1/runs/{id}/drift")]
pub async fn get_run_drift(
    _: Permit<ReadRuns>,
    db: web::Data<Db>,
    in_force: web::Data<InForce>,
    active: Current<Active>,
    languages: Languages,
    id: PathId,
) -> Result<web::Json<RunDrift>, Problem> {
    let found = db
        .run(move |conn| {
            let Some(run) = store::run(conn, id.0)? else { return Ok(None) };
            drift::of_run(conn, &in_force, &run)
        })
        .await?;
    let Drift { compared_with, policies } = found.ok_or_else(|| Problem::new(Code::NotFound))?;
    let renderer = Renderer::new(&active.release.pack, &languages.0);
    let policies = policies.into_iter().map(|one| policy(one, &renderer)).collect();
    Ok(web::Json(RunDrift { run_id: id.0, compared_with, policies }))
}

fn policy(drift: PolicyDrift, renderer: &Renderer<'_>) -> PolicyDriftView {
    PolicyDriftView {
        title: renderer.label(LabelKind::Policy, &drift.policy),
        policy: drift.policy,
        groups: drift.groups.into_iter().map(|one| group(one, renderer)).collect(),
    }
}

fn group(drift: GroupDrift, renderer: &Renderer<'_>) -> GroupDriftView {
    let (field, value) = drift.group.unzip();
    let label = field.as_deref().zip(value.as_deref()).map(|(field, value)| renderer.choice_label(field, value));
    let input = |(key, Index { value, beyond_chance }): (String, Index)| InputDrift {
        label: renderer.value_label(&key),
        key,
        index: value,
        beyond_chance,
    };
    GroupDriftView {
        field,
        value,
        label,
        customers: drift.customers,
        customers_before: drift.customers_before,
        index: drift.index.value,
        alarm: drift.alarm,
        moved: drift.moved,
        inputs: drift.inputs.into_iter().map(input).collect(),
    }
}
