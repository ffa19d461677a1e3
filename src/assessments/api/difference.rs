//! What changed from one assessment to another, over HTTP.

use actix_web::{get, web};
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Id;
use crate::assessments::difference::{self, Error, PolicyDifference, Sides};
use crate::assessments::view::{AssessmentReference, DecisionStatus, ReasonView, Renderer, reference};
use crate::db::Db;
use crate::faults::Fault;
use crate::http::extract::{Languages, Parameters, PathId};
use crate::http::problem::{Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::ReadCustomers;
use crate::policy::model::{Entitlement, Input, InputKind, PolicyResult, Verdict};
use crate::policy::texts::LabelKind;
use crate::releases::active::InForce;
use crate::schemas::{DecimalText, EntitlementValue};
use crate::transactions::model::Period;

/// Mounts the handler.
pub fn configure(config: &mut ServiceConfig) {
    config.service(get_difference);
}

/// What changed from one assessment of a customer to another.
#[derive(Serialize, ToSchema)]
pub struct AssessmentDifference {
    /// The earlier one.
    before: AssessmentReference,
    /// The later one.
    after: AssessmentReference,
    /// Whether they are by different releases.
    release_differs: bool,
    /// Whether they are relative to different cohorts.
    cohort_differs: bool,
    /// Whether they are as of different dates.
    as_of_differs: bool,
    /// The policies that differ, in the order of the later one; those that it doesn't have come last.
    policies: Vec<PolicyDifferenceView>,
}

/// What changed in one policy.
#[derive(Serialize, ToSchema)]
#[schema(as = PolicyDifference, example = json!({"policy": "volume_grade", "title": "Volume grade",
    "before": {"status": "decided", "outcome": "3", "label": "Grade 3"}, "after": {"status": "decided", "outcome": "2", "label": "Grade 2"},
    "entitlements": [{"key": "monthly_supply", "before": "15", "after": "20"}],
    "inputs": [{"key": "monthly_volume", "kind": "metric", "label": "Mean monthly volume",
        "before": {"value": "12.5", "window": {"from": "2017-10-01", "to": "2017-12-31"}},
        "after": {"value": "16", "window": {"from": "2017-11-01", "to": "2018-01-31"}}}]}))]
pub struct PolicyDifferenceView {
    /// The policy's id.
    policy: String,
    /// The policy's title.
    title: String,
    /// What it decided before; absent where the policy is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    before: Option<DecisionSide>,
    /// What it decided after; absent where the policy is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    after: Option<DecisionSide>,
    /// Entitlements that differ.
    entitlements: Vec<EntitlementDifference>,
    /// Inputs of which value or window differ.
    inputs: Vec<InputDifference>,
}

/// One of two decisions that are compared.
#[derive(Serialize, ToSchema)]
pub struct DecisionSide {
    /// Whether the policy decided.
    status: DecisionStatus,
    /// Its outcome; absent unless it decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    outcome: Option<String>,
    /// The outcome's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    label: Option<String>,
    /// The script's error, or the policy that blocks this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
    /// The score in points of the policy, of at most 6 places, where the policy has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<DecimalText>)]
    score: Option<Decimal>,
    /// Why, most important first; only where the reasons differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    reasons: Vec<ReasonView>,
}

/// An entitlement that differs.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"key": "monthly_supply", "before": "15", "after": "20"}))]
pub struct EntitlementDifference {
    /// Its key.
    key: String,
    /// What it was: a truth value, a text, a decimal as text, or a list of texts; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<EntitlementValue>)]
    before: Option<Entitlement>,
    /// What it is, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<EntitlementValue>)]
    after: Option<Entitlement>,
}

/// An input that differs.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"key": "monthly_volume", "kind": "metric", "label": "Mean monthly volume",
    "before": {"value": "12.5", "window": {"from": "2017-10-01", "to": "2017-12-31"}},
    "after": {"value": "16", "window": {"from": "2017-11-01", "to": "2018-01-31"}}}))]
pub struct InputDifference {
    /// Key of the field or metric, id of the policy or cohort.
    key: String,
    /// Where it comes from.
    kind: InputKind,
    /// Its label.
    label: String,
    /// What was read before; absent where the policy didn't read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    before: Option<ReadValue>,
    /// What was read after, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    after: Option<ReadValue>,
}

/// What a policy read.
#[derive(Serialize, ToSchema)]
pub struct ReadValue {
    /// The value in canonical text, for a cohort its cuts separated by `;`; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    value: Option<String>,
    /// The window of a metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    window: Option<Period>,
}

/// Compare two assessments
///
/// What changed from the earlier to the later one, whichever is named first: in which policies outcome, score, entitlements,
/// reasons or inputs differ. Labels and reasons are those of the releases that made them.
#[utoipa::path(tag = "assessments", operation_id = "getAssessmentDifference", security(("bearer" = ["customers:read"])), params(
    ("id" = uuid::Uuid, Path, description = "An assessment's id"),
    ("to" = Option<uuid::Uuid>, Query, nullable = false, description = "Id of another assessment of the same customer; the one just before when absent"),
), responses(
    (status = 200, body = AssessmentDifference, description = "What changed"),
    Problems
))]
#[get("/v1/assessments/{id}/difference")]
pub async fn get_difference(
    _: Permit<ReadCustomers>,
    db: web::Data<Db>,
    in_force: web::Data<InForce>,
    languages: Languages,
    id: PathId,
    parameters: Parameters,
) -> Result<web::Json<AssessmentDifference>, Problem> {
    let to = other(&parameters)?;
    let (pair, releases) = db
        .run(move |conn| {
            let pair = difference::pair(conn, id.0, to)?;
            let releases = (in_force.release(conn, pair.0.release)?, in_force.release(conn, pair.1.release)?);
            Ok::<_, Error>((pair, releases))
        })
        .await?;
    let (before, after) = &pair;
    let renderers = (Renderer::new(&releases.0.pack, &languages.0), Renderer::new(&releases.1.pack, &languages.0));
    let sides = Comparison { before: (&renderers.0, before.as_of), after: (&renderers.1, after.as_of) };
    Ok(web::Json(AssessmentDifference {
        before: reference(before),
        after: reference(after),
        release_differs: before.release != after.release,
        cohort_differs: before.cohort != after.cohort,
        as_of_differs: before.as_of != after.as_of,
        policies: difference::between(before, after).iter().filter_map(|policy| sides.policy(policy)).collect(),
    }))
}

/// The assessment with which another one is compared, where one is named.
pub(super) fn other(parameters: &Parameters) -> Result<Option<Id>, Problem> {
    let mut to: Option<Id> = None;
    for (name, value) in &parameters.0 {
        let read = match name.as_str() {
            "to" => value
                .parse()
                .map(|id| to = Some(id))
                .map_err(|_| Fault::new("to", "id", format!("'{value}' is not the id of an assessment"))),
            _ => Err(Parameters::unknown(name, &["to"])),
        };
        read.map_err(|fault| Problem::invalid(vec![fault]))?;
    }
    Ok(to)
}

/// By whose texts, and as of when, the two sides are shown.
struct Comparison<'a> {
    before: (&'a Renderer<'a>, Date),
    after: (&'a Renderer<'a>, Date),
}

impl Comparison<'_> {
    fn policy(&self, difference: &PolicyDifference<'_>) -> Option<PolicyDifferenceView> {
        let (before, after) = difference.results;
        let policy = after.or(before)?.policy.clone();
        let renderer = if after.is_some() { self.after.0 } else { self.before.0 };
        let with_reasons = difference.has_other_reasons();
        let side = |result: Option<&PolicyResult>, renderer| result.map(|one| decision(one, renderer, with_reasons));
        let entitlement = |(key, (before, after)): &(&str, Sides<'_, Entitlement>)| EntitlementDifference {
            key: (*key).to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        };
        Some(PolicyDifferenceView {
            title: renderer.label(LabelKind::Policy, &policy),
            before: side(before, self.before.0),
            after: side(after, self.after.0),
            entitlements: difference.entitlements.iter().map(entitlement).collect(),
            inputs: difference.inputs.iter().filter_map(|sides| self.input(*sides)).collect(),
            policy,
        })
    }

    fn input(&self, (before, after): Sides<'_, Input>) -> Option<InputDifference> {
        let input = after.or(before)?;
        let renderer = if after.is_some() { self.after.0 } else { self.before.0 };
        let read = |input: &Input, as_of| ReadValue { value: input.value_at(as_of), window: input.window };
        Some(InputDifference {
            key: input.key.clone(),
            kind: input.kind,
            label: renderer.input_label(input),
            before: before.map(|input| read(input, self.before.1)),
            after: after.map(|input| read(input, self.after.1)),
        })
    }
}

fn decision(result: &PolicyResult, renderer: &Renderer<'_>, with_reasons: bool) -> DecisionSide {
    let none = DecisionSide {
        status: DecisionStatus::of(&result.result),
        outcome: None,
        label: None,
        error: None,
        score: None,
        reasons: Vec::new(),
    };
    match &result.result {
        Verdict::Failed(said) | Verdict::Blocked(said) => DecisionSide { error: Some(said.clone()), ..none },
        Verdict::Decided(decision) => DecisionSide {
            outcome: Some(decision.outcome.clone()),
            label: Some(renderer.outcome_label(&result.policy, &decision.outcome)),
            score: decision.score,
            reasons: if with_reasons { renderer.reasons(&result.policy, decision) } else { Vec::new() },
            ..none
        },
    }
}
