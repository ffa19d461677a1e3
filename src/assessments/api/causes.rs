//! Why outcomes changed from one assessment to another, over HTTP.

use actix_web::{get, web};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::difference::other;
use crate::assessments::causes::{Level, Part, PolicyCauses, causes};
use crate::assessments::difference::{Error, pair};
use crate::assessments::view::{AssessmentReference, Renderer, reference};
use crate::db::Db;
use crate::http::current::Current;
use crate::http::extract::{Languages, Parameters, PathId};
use crate::http::problem::{Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::ReadCustomers;
use crate::policy::model::Cause;
use crate::policy::texts::LabelKind;
use crate::releases::active::{Active, InForce};
use crate::schemas::DecimalText;

/// Mounts the handler.
pub fn configure(config: &mut ServiceConfig) {
    config.service(get_causes);
}

/// Why outcomes changed from one assessment of a customer to another.
#[derive(Serialize, ToSchema)]
pub struct AssessmentCauses {
    /// The earlier one.
    before: AssessmentReference,
    /// The later one.
    after: AssessmentReference,
    /// The policies whose outcome or score changed, in the order of the later one.
    policies: Vec<PolicyCausesView>,
}

/// Why one policy's decision changed.
#[derive(Serialize, ToSchema)]
#[schema(as = PolicyCauses, example = json!({"policy": "volume_grade", "title": "Volume grade",
    "before": {"outcome": "3", "label": "Grade 3", "ordinal": 2}, "after": {"outcome": "1", "label": "Grade 1", "ordinal": 0},
    "parts": [{"cause": "data", "ordinal": -1}, {"cause": "rules", "ordinal": -1}, {"cause": "time", "ordinal": 0}, {"cause": "population", "ordinal": 0}]}))]
pub struct PolicyCausesView {
    /// The policy's id.
    policy: String,
    /// The policy's title.
    title: String,
    /// What it decided before.
    before: LevelView,
    /// What it decided after.
    after: LevelView,
    /// What each cause adds, in the order in which they were replaced: they add up.
    parts: Vec<PartView>,
}

/// Where a decision lies.
#[derive(Serialize, ToSchema)]
#[schema(as = Level, example = json!({"outcome": "3", "label": "Grade 3", "ordinal": 2}))]
pub struct LevelView {
    /// Its outcome.
    outcome: String,
    /// The outcome's label.
    label: String,
    /// The outcome's place among those that the policy declares, from 0 for the best.
    #[schema(minimum = 0)]
    ordinal: i64,
    /// Its score in points of the policy, of at most 6 places, where the policy has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<DecimalText>)]
    score: Option<Decimal>,
}

/// What a cause adds.
#[derive(Serialize, ToSchema)]
#[schema(as = CausePart, example = json!({"cause": "data", "ordinal": -1}))]
pub struct PartView {
    /// The cause.
    cause: Cause,
    /// What it adds to the outcome's place: below 0 is better.
    #[schema(minimum = -1000, maximum = 1000)]
    ordinal: i64,
    /// What it adds to the score in points of the policy, below 0 where it lowers it; only where there is a score before and after.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<DecimalText>)]
    score: Option<Decimal>,
}

/// Explain why outcomes changed
///
/// From the earlier to the later assessment, whichever is named first: data, rules, the passing of time and the population are
/// replaced one after the other, and what the outcome's place and the score move by is that cause's part. What a rule of stability keeps, or a person
/// decides instead, has parts of its own.
#[utoipa::path(tag = "assessments", operation_id = "getAssessmentCauses", security(("bearer" = ["customers:read"])), params(
    ("id" = uuid::Uuid, Path, description = "An assessment's id"),
    ("to" = Option<uuid::Uuid>, Query, nullable = false, description = "Id of another assessment of the same customer; the one just before when absent"),
), responses(
    (status = 200, body = AssessmentCauses, description = "The parts of each policy"),
    Problems
))]
#[get("/v1/assessments/{id}/causes")]
pub async fn get_causes(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    in_force: web::Data<InForce>,
    active: Current<Active>,
    languages: Languages,
    id: PathId,
    parameters: Parameters,
) -> Result<web::Json<AssessmentCauses>, Problem> {
    let to = other(&parameters)?;
    let (pair, causes, release) = db
        .run(move |conn| {
            let pair = pair(conn, id.0, to)?;
            let causes = causes(conn, &in_force, &active.0, (&pair.0, &pair.1))?;
            let release = in_force.release(conn, pair.1.release)?;
            Ok::<_, Error>((pair, causes, release))
        })
        .await?;
    let renderer = Renderer::new(&release.pack, &languages.0);
    let policies = causes.into_iter().map(|one| policy(one, &renderer)).collect();
    Ok(web::Json(AssessmentCauses { before: reference(&pair.0), after: reference(&pair.1), policies }))
}

fn policy(causes: PolicyCauses, renderer: &Renderer<'_>) -> PolicyCausesView {
    let PolicyCauses { policy, before, after, parts } = causes;
    let level = |level: Level| LevelView {
        label: renderer.outcome_label(&policy, &level.outcome),
        outcome: level.outcome,
        ordinal: level.ordinal,
        score: level.score,
    };
    let part = |Part { cause, ordinal, score }| PartView { cause, ordinal, score };
    PolicyCausesView {
        title: renderer.label(LabelKind::Policy, &policy),
        before: level(before),
        after: level(after),
        parts: parts.into_iter().map(part).collect(),
        policy,
    }
}
