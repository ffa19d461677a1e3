//! Explaining an assessment to whom it concerns, over HTTP.

use std::collections::BTreeMap;

use actix_web::{get, web};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::paths::PathView;
use crate::assessments::explanation::{DecidedBy, PolicyExplanation, Reader, explain, prepare};
use crate::assessments::store;
use crate::assessments::view::{AssessmentReference, DecisionView, IndicatorView, Renderer, reference};
use crate::db::{self, Conn, Db};
use crate::faults::Fault;
use crate::http::extract::{Languages, Parameters, PathId};
use crate::http::problem::{Code, Problem, Problems};
use crate::identity::api::Permit;
use crate::identity::model::{Permission, ReadCustomers, ReadReleases};
use crate::policy::model::{Entitlement, PolicyResult, Verdict};
use crate::policy::pack::Pack;
use crate::policy::texts::LabelKind;
use crate::releases::active::InForce;
use crate::schemas::{DecimalText, EntitlementValue};

/// Mounts the handler.
pub fn configure(config: &mut ServiceConfig) {
    config.service(get_explanation);
}

/// An assessment as somebody may see it.
#[derive(Serialize, ToSchema)]
pub struct Explanation {
    /// For whom.
    #[serde(rename = "for")]
    reader: Reader,
    /// By which rules, relative to whom, as of when; only an auditor sees that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    assessment: Option<AssessmentReference>,
    /// One entry for each policy; a customer sees those that decided.
    policies: Vec<PolicyExplanationView>,
}

/// Why a policy decided as it did.
#[derive(Serialize, ToSchema)]
#[schema(as = PolicyExplanation, example = json!({"policy": "volume_grade", "title": "Volume grade", "outcome": "3", "label": "Grade 3",
    "decided_by": "band", "sentences": ["12.5: this band begins at 10, the next higher one at 15"], "entitlements": {"monthly_supply": "15"},
    "next": {"outcome": "2", "label": "Grade 2", "missing": "2.5", "from": "15", "text": "2.5 more for “Grade 2”"}, "paths": []}))]
pub struct PolicyExplanationView {
    /// The policy's id.
    policy: String,
    /// Its title.
    title: String,
    /// Its outcome; absent where it didn't decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    outcome: Option<String>,
    /// The outcome's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    label: Option<String>,
    /// What decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    decided_by: Option<DecidedBy>,
    /// Why, in sentences, most important first.
    sentences: Vec<String>,
    /// What the outcome entitles to, by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false, value_type = BTreeMap<String, EntitlementValue>, example = json!({"monthly_supply": "15"}))]
    entitlements: BTreeMap<String, Entitlement>,
    /// How far the next better outcome is, where a value lies in a band.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<NextOutcome>,
    /// The nearest conditions that weren't met: what would have led to the next better outcome, the cheapest first.
    paths: Vec<PathView>,
    /// The rows of tables that the script asked for, each as its constant and the row's name; not for the customer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, example = json!(["GRADES, [10, 3]", "SUPPLY, 3"]))]
    rows: Vec<String>,
    /// The part of the score from which most is missing; not for the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    weakest: Option<IndicatorView>,
    /// The decision with scores, parts and inputs; not for the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    decision: Option<DecisionView>,
}

/// How far the next better outcome is.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"outcome": "2", "label": "Grade 2", "missing": "2.5", "from": "15", "text": "2.5 more for “Grade 2”"}))]
pub struct NextOutcome {
    /// The outcome.
    outcome: String,
    /// Its label.
    label: String,
    /// What is missing of the value, above 0, in the unit of what the band looks at: a metric's, a field's, or points of a score.
    #[schema(value_type = DecimalText)]
    missing: Decimal,
    /// Where it begins, in the same unit.
    #[schema(value_type = DecimalText)]
    from: Decimal,
    /// The sentence.
    text: String,
}

/// Explains by the texts of the release that decided.
struct Explainer<'a> {
    reader: Reader,
    pack: &'a Pack,
    renderer: Renderer<'a>,
}

impl Explainer<'_> {
    fn policy(
        &self,
        result: &PolicyResult,
        kept_as_of: jiff::civil::Date,
        why: Option<PolicyExplanation>,
    ) -> PolicyExplanationView {
        let policy = result.policy.as_str();
        let decided = match &result.result {
            Verdict::Decided(decision) => Some(decision),
            Verdict::Failed(_) | Verdict::Blocked(_) => None,
        };
        let sees_figures = self.reader != Reader::Customer;
        let (distance, weakest, by, told) = match why {
            Some(PolicyExplanation { distance, weakest, by, rows, paths }) => (distance, weakest, by, (rows, paths)),
            None => Default::default(),
        };
        let (rows, paths) = told;
        let mut sentences: Vec<String> = decided
            .map(|decision| self.renderer.reasons(policy, decision).into_iter().map(|reason| reason.text).collect())
            .unwrap_or_default();
        let next = distance.map(|distance| {
            let label = self.renderer.outcome_label(policy, &distance.outcome);
            let missing = distance.missing.normalize();
            let text = self.said(
                &format!("{missing} more for “{label}”"),
                &format!("{missing} más para «{label}»"),
                &format!("再增加 {missing} 即为“{label}”"),
            );
            NextOutcome { outcome: distance.outcome, label, missing, from: distance.from.normalize(), text }
        });
        sentences.extend(next.iter().map(|next| next.text.clone()));
        let weakest = weakest.filter(|_| sees_figures).map(|indicator| self.renderer.indicator(policy, &indicator));
        sentences.extend(weakest.as_ref().map(|weakest| {
            let label = weakest.label();
            self.said(
                &format!("Most is missing from “{label}”"),
                &format!("Lo que más falta es «{label}»"),
                &format!("差距最大的是“{label}”"),
            )
        }));
        PolicyExplanationView {
            policy: policy.to_owned(),
            title: self.renderer.label(LabelKind::Policy, policy),
            outcome: decided.map(|decision| decision.outcome.clone()),
            label: decided.map(|decision| self.renderer.outcome_label(policy, &decision.outcome)),
            decided_by: by,
            sentences,
            entitlements: decided.map(|decision| decision.entitlements.clone()).unwrap_or_default(),
            next,
            paths: paths.into_iter().map(|path| PathView::new(path, policy, &self.renderer, self.pack)).collect(),
            rows: if sees_figures { rows } else { Vec::new() },
            weakest,
            decision: sees_figures.then(|| {
                let decision = self.renderer.decision(result, kept_as_of);
                if self.reader == Reader::Auditor { decision } else { decision.without_errors() }
            }),
        }
    }

    /// A sentence of Baremo's own in the language of the texts.
    fn said(&self, english: &str, spanish: &str, chinese: &str) -> String {
        let primary = self.renderer.language().split('-').next().unwrap_or_default();
        let said = match primary {
            "es" => spanish,
            "zh" => chinese,
            _ => english,
        };
        said.to_owned()
    }
}

/// Explain an assessment
///
/// Why each policy decided as it did, in the reader's language: what decided, how far the next outcome is, the nearest conditions that
/// weren't met, and as much of the figures as who reads it may see. For an auditor it needs `releases:read` too.
#[utoipa::path(tag = "assessments", operation_id = "getExplanation", security(("bearer" = ["customers:read"])), params(
    ("id" = uuid::Uuid, Path, description = "The assessment's id"),
    ("for" = Option<Reader>, Query, nullable = false, description = "For whom; `account_manager` when absent", example = "customer"),
), responses(
    (status = 200, body = Explanation, description = "The explanation"),
    Problems
))]
#[get("/v1/assessments/{id}/explanation")]
pub async fn get_explanation(
    permit: Permit<ReadCustomers>,
    db: web::Data<Db>,
    in_force: web::Data<InForce>,
    languages: Languages,
    id: PathId,
    parameters: Parameters,
) -> Result<web::Json<Explanation>, Problem> {
    let mut reader = Reader::AccountManager;
    for (name, value) in &parameters.0 {
        let refused = match (name.as_str(), Reader::from_key(value)) {
            ("for", Some(known)) => {
                reader = known;
                continue;
            }
            ("for", None) => {
                let known = Reader::ALL.map(Reader::key).join(", ");
                Fault::new("for", "unknown_choice", format!("an explanation is for {known}"))
            }
            (name, _) => Parameters::unknown(name, &["for"]),
        };
        return Err(Problem::invalid(vec![refused]));
    }
    if reader == Reader::Auditor && !permit.principal.permissions.has(ReadReleases::NAME) {
        return Err(Problem::detailed(
            Code::Forbidden,
            "an auditor's explanation needs the permission 'releases:read'",
        ));
    }
    let read = move |conn: &mut Conn| {
        let Some(kept) = store::assessment(conn, id.0)? else { return Ok(None) };
        let searches = prepare(conn, &in_force, &kept)?;
        Ok::<_, db::Error>(Some((in_force.release(conn, kept.release)?, kept, searches)))
    };
    let found = db
        .run_then(read, |found: Option<_>| {
            found.map(|(release, kept, searches)| {
                let explained = explain(&kept, searches);
                (kept, explained, release)
            })
        })
        .await?;
    let (kept, mut explained, release) = found.ok_or_else(|| Problem::new(Code::NotFound))?;
    let renderer = Renderer::new(&release.pack, &languages.0);
    let explainer = Explainer { reader, pack: &release.pack, renderer };
    let results = kept.assessed.policies.iter();
    let shown = results.filter(|result| reader != Reader::Customer || matches!(result.result, Verdict::Decided(_)));
    let policies = shown.map(|result| explainer.policy(result, kept.as_of, explained.remove(&result.policy))).collect();
    let assessment = (reader == Reader::Auditor).then(|| reference(&kept));
    Ok(web::Json(Explanation { reader, assessment, policies }))
}
