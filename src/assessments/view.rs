//! Decisions as readers see them: labels and reasons in their language, inputs with values and windows.

mod overrides;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

pub use self::overrides::{OverrideInForce, OverrideView};
use super::model::{Assessment, Flag, Outcome};
use crate::Id;
use crate::digest::Digest;
use crate::policy::model::{Decision, Entitlement, Indicator, Input, InputKind, PolicyResult, Reason, Verdict};
use crate::policy::overriding::lifted;
use crate::policy::pack::{Cadence, Pack};
use crate::policy::texts::LabelKind;
use crate::schemas::{DecimalText, EntitlementValue, NamedTexts};
use crate::transactions::model::Period;

/// All policies of one release applied to one customer at one instant.
#[derive(Serialize, ToSchema)]
#[schema(as = Assessment)]
pub struct AssessmentView {
    /// Its id; absent for an evaluation, which is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = uuid::Uuid)]
    id: Option<Id>,
    /// Whom it is about.
    subject: SubjectView,
    /// Digest of the release.
    release: Digest,
    /// Digest of the cohort.
    cohort: Digest,
    /// The date it is as of.
    #[schema(value_type = String, format = Date, example = "2018-01-01")]
    as_of: Date,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    assessed_at: Timestamp,
    /// One entry for each policy, in the pack's order.
    decisions: Vec<DecisionView>,
}

/// Whom an assessment is about.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Subject, example = json!({"kind": "customer", "id": "0193f0a2-7c1e-7aaa-8000-0123456789ab", "code": "X17"}))]
pub struct SubjectView {
    /// What he is.
    kind: SubjectViewKind,
    /// His id; absent for a document.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = uuid::Uuid)]
    id: Option<Id>,
    /// His code; absent for a document without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    code: Option<String>,
}

/// What a subject is.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SubjectViewKind {
    /// A customer of the base.
    Customer,
    /// A document that was sent with the request.
    Document,
}

/// Whether a policy decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecisionStatus {
    /// It did.
    Decided,
    /// Its script stopped with an error.
    Failed,
    /// A policy that it depends on has no outcome.
    Blocked,
}

impl DecisionStatus {
    /// The status of a verdict.
    pub fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Decided(_) => Self::Decided,
            Verdict::Failed(_) => Self::Failed,
            Verdict::Blocked(_) => Self::Blocked,
        }
    }
}

/// One policy's part of an assessment.
#[derive(Serialize, ToSchema)]
#[schema(as = Decision, example = json!({"policy": "volume_grade", "title": "Volume grade", "cadence": "month", "status": "decided",
    "outcome": "3", "label": "Grade 3", "entitlements": {"monthly_supply": "15"},
    "reasons": [{"code": "band", "values": {"value": "12.5", "from": "10", "next": "15"},
        "text": "12.5 a month reach grade 3 (from 10); grade 2 begins at 15"}],
    "inputs": [{"key": "monthly_volume", "kind": "metric", "label": "Mean monthly volume", "value": "12.5",
        "window": {"from": "2017-10-01", "to": "2017-12-31"}}]}))]
pub struct DecisionView {
    /// The policy's id.
    policy: String,
    /// The policy's title.
    title: String,
    /// How often its outcome may change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cadence: Option<Cadence>,
    /// Whether it decided.
    status: DecisionStatus,
    /// Its outcome; absent unless it decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    outcome: Option<String>,
    /// What the policy alone says, where stability or an override holds another outcome: the first reason tells why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    computed_outcome: Option<String>,
    /// The outcome's label.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    label: Option<String>,
    /// The script's error, or the policy that blocks this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
    /// The score in points of the policy, a decimal of at most 6 places, where the policy has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<DecimalText>)]
    score: Option<Decimal>,
    /// Parts of the score.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    indicators: Vec<IndicatorView>,
    /// What the outcome entitles to, by key: decimals as strings.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false, value_type = BTreeMap<String, EntitlementValue>, example = json!({"monthly_supply": "15"}))]
    entitlements: BTreeMap<String, Entitlement>,
    /// Why, most important first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    reasons: Vec<ReasonView>,
    /// What the policy read, in the order of reading.
    inputs: Vec<InputView>,
}

/// A part of a score.
#[derive(Serialize, ToSchema)]
#[schema(as = Indicator, no_recursion, example = json!({"key": "volume", "label": "Volume", "value": "80", "weight": "0.4",
    "contribution": "32"}))]
pub struct IndicatorView {
    /// Its key.
    key: String,
    /// Its label.
    label: String,
    /// Its value in points of the policy, of at most 6 places; absent where its data are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<DecimalText>)]
    value: Option<Decimal>,
    /// Its weight as declared, above 0, in the unit that all weights of the score share.
    #[schema(value_type = DecimalText)]
    weight: Decimal,
    /// What it adds to the score, in points: value × weight ÷ sum of the weights present.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<DecimalText>)]
    contribution: Option<Decimal>,
    /// Its own parts, where it is itself a score.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, no_recursion)]
    parts: Vec<IndicatorView>,
}

impl IndicatorView {
    /// Its label.
    pub fn label(&self) -> &str {
        &self.label
    }
}

impl DecisionView {
    /// The same without what scripts say of their errors.
    pub fn without_errors(self) -> Self {
        Self { error: None, ..self }
    }
}

/// A reason in the reader's language.
#[derive(Serialize, ToSchema)]
#[schema(as = Reason, example = json!({"code": "band", "values": {"value": "12.5", "from": "10", "next": "15"},
    "text": "12.5 a month reach grade 3 (from 10); grade 2 begins at 15"}))]
pub struct ReasonView {
    /// Its code.
    code: String,
    /// The sentence.
    pub text: String,
    /// The values it mentions.
    #[schema(value_type = NamedTexts)]
    values: BTreeMap<String, String>,
}

/// Something that a policy read.
#[derive(Serialize, ToSchema)]
#[schema(as = Input, example = json!({"key": "monthly_volume", "kind": "metric", "label": "Mean monthly volume", "value": "12.5",
    "window": {"from": "2017-10-01", "to": "2017-12-31"}}))]
pub struct InputView {
    /// Key of the field or metric, id of the policy or cohort.
    key: String,
    /// Where it comes from.
    kind: InputKind,
    /// Its label.
    label: String,
    /// The value in canonical text, for a cohort its cuts separated by `;`; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    value: Option<String>,
    /// The window of a metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    window: Option<Period>,
}

/// The decision in force of one policy.
#[derive(Serialize, ToSchema)]
pub struct CurrentDecision {
    /// The standing decision.
    #[serde(flatten)]
    decision: DecisionView,
    /// Since which business date the outcome stands.
    #[schema(value_type = String, format = Date)]
    since: Date,
    /// The last day of the period whose closing made it stand; absent where it follows the data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = Date)]
    closed_on: Option<Date>,
    /// The business date of the next closing; absent for continuous policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = Date)]
    next_closing_on: Option<Date>,
    /// Why the latest assessment gave no outcome, so that this one stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    flag: Option<Flag>,
    /// The assessment that the decision is part of.
    assessment: AssessmentReference,
    /// The override that holds: a person decided instead of the policy.
    #[serde(rename = "override", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    overridden: Option<OverrideInForce>,
    /// What the latest data would give, where that is another outcome: it stands from the next closing on, if it stays so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    provisional: Option<ProvisionalDecision>,
}

/// What the latest data would give.
#[derive(Serialize, ToSchema)]
pub struct ProvisionalDecision {
    /// The decision.
    #[serde(flatten)]
    decision: DecisionView,
    /// The assessment that it is part of.
    assessment: AssessmentReference,
}

/// Which assessment, by which rules, relative to whom, as of when.
#[derive(Serialize, ToSchema)]
pub struct AssessmentReference {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    id: Id,
    /// Digest of the release.
    release: Digest,
    /// Digest of the cohort.
    cohort: Digest,
    /// The date it is as of.
    #[schema(value_type = String, format = Date)]
    as_of: Date,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    assessed_at: Timestamp,
}

/// Renders decisions by the texts of the release that made them, in one language.
pub struct Renderer<'a> {
    pack: &'a Pack,
    language: &'a str,
}

impl<'a> Renderer<'a> {
    /// The first of the reader's languages that the pack has, else the pack's own.
    pub fn new(pack: &'a Pack, preferred: &'a [String]) -> Self {
        let known = |language: &&String| pack.texts.languages().any(|known| known == language.as_str());
        let fallback = pack.languages.first().map_or("", String::as_str);
        Self { pack, language: preferred.iter().find(known).map_or(fallback, String::as_str) }
    }

    /// A kept assessment.
    pub fn assessment(&self, kept: &Assessment, code: &str) -> AssessmentView {
        let subject =
            SubjectView { kind: SubjectViewKind::Customer, id: Some(kept.customer_id), code: Some(code.to_owned()) };
        AssessmentView { id: Some(kept.id), ..self.evaluation(kept, subject) }
    }

    /// An evaluation of a customer.
    pub fn of_customer(&self, made: &Assessment, code: &str) -> AssessmentView {
        AssessmentView { id: None, ..self.assessment(made, code) }
    }

    /// An evaluation of a document.
    pub fn of_document(&self, made: &Assessment, code: Option<String>) -> AssessmentView {
        self.evaluation(made, SubjectView { kind: SubjectViewKind::Document, id: None, code })
    }

    fn evaluation(&self, made: &Assessment, subject: SubjectView) -> AssessmentView {
        AssessmentView {
            id: None,
            subject,
            release: made.release,
            cohort: made.cohort,
            as_of: made.as_of,
            assessed_at: made.assessed_at,
            decisions: made.assessed.policies.iter().map(|result| self.decision(result, made.as_of)).collect(),
        }
    }

    /// The decision in force of a policy: the standing one from the assessment that gave it, and the provisional one, where it
    /// differs, from the latest assessment.
    pub fn current(
        &self,
        policy: &str,
        outcome: &Outcome,
        standing: &Assessment,
        latest: Option<&Assessment>,
        next_closing_on: Option<Date>,
        overridden: Option<OverrideInForce>,
    ) -> Option<CurrentDecision> {
        let provisional = latest.filter(|_| outcome.provisional.is_some());
        let provisional = provisional.and_then(|latest| {
            let decision = self.decision(result_of(latest, policy)?, latest.as_of);
            Some(ProvisionalDecision { decision, assessment: reference(latest) })
        });
        let result = result_of(standing, policy)?;
        // What stands may have been closed while an override held.
        let lifted = outcome.overridden.is_none().then(|| lifted(result));
        Some(CurrentDecision {
            decision: self.decision(lifted.as_ref().unwrap_or(result), standing.as_of),
            since: outcome.since,
            closed_on: outcome.closed_on,
            next_closing_on,
            flag: outcome.flag,
            assessment: reference(standing),
            overridden,
            provisional,
        })
    }

    /// What a policy made of a subject, as of a date.
    pub fn decision(&self, result: &PolicyResult, as_of: Date) -> DecisionView {
        let policy = result.policy.as_str();
        let base = DecisionView {
            policy: policy.to_owned(),
            title: self.label(LabelKind::Policy, policy),
            cadence: self.pack.policies.get(policy).map(|declared| declared.cadence),
            status: DecisionStatus::of(&result.result),
            outcome: None,
            computed_outcome: None,
            label: None,
            error: None,
            score: None,
            indicators: Vec::new(),
            entitlements: BTreeMap::new(),
            reasons: Vec::new(),
            inputs: result.inputs.iter().map(|input| self.input(input, as_of)).collect(),
        };
        match &result.result {
            Verdict::Failed(said) | Verdict::Blocked(said) => DecisionView { error: Some(said.clone()), ..base },
            Verdict::Decided(decision) => self.decided(policy, decision, base),
        }
    }

    fn decided(&self, policy: &str, decision: &Decision, base: DecisionView) -> DecisionView {
        DecisionView {
            outcome: Some(decision.outcome.clone()),
            computed_outcome: Some(decision.computed_outcome().clone())
                .filter(|computed| *computed != decision.outcome),
            label: Some(self.outcome_label(policy, &decision.outcome)),
            score: decision.score,
            indicators: decision.indicators.iter().map(|indicator| self.indicator(policy, indicator)).collect(),
            entitlements: decision.entitlements.clone(),
            reasons: self.reasons(policy, decision),
            ..base
        }
    }

    /// The reasons of a decision.
    pub fn reasons(&self, policy: &str, decision: &Decision) -> Vec<ReasonView> {
        let reason = |reason: &Reason| ReasonView {
            code: reason.code.clone(),
            text: self.pack.texts.reason(policy, reason, &decision.outcome, self.language),
            values: reason.values.clone(),
        };
        decision.reasons.iter().map(reason).collect()
    }

    /// The language of the texts.
    pub fn language(&self) -> &str {
        self.language
    }

    /// A part of a policy's score.
    pub fn indicator(&self, policy: &str, indicator: &Indicator) -> IndicatorView {
        IndicatorView {
            label: self.pack.texts.label_of(LabelKind::Indicator, policy, &indicator.key, self.language).to_owned(),
            key: indicator.key.clone(),
            value: indicator.value,
            weight: indicator.weight,
            contribution: indicator.contribution,
            parts: indicator.parts.iter().map(|part| self.indicator(policy, part)).collect(),
        }
    }

    fn input(&self, input: &Input, as_of: Date) -> InputView {
        InputView {
            key: input.key.clone(),
            kind: input.kind,
            label: self.input_label(input),
            value: input.value_at(as_of),
            window: input.window,
        }
    }

    /// The label of an input.
    pub fn input_label(&self, input: &Input) -> String {
        let key = input.key.as_str();
        match input.kind {
            InputKind::Field => self.label(LabelKind::Field, key),
            InputKind::Metric => self.label(LabelKind::Metric, key),
            InputKind::Outcome
            | InputKind::Previous
            | InputKind::PreviousSince
            | InputKind::Override
            | InputKind::OverrideUntil => self.label(LabelKind::Policy, key),
            InputKind::Cohort | InputKind::AsOf | InputKind::Month => key.to_owned(),
        }
    }

    /// The label of an outcome.
    pub fn outcome_label(&self, policy: &str, outcome: &str) -> String {
        self.pack.texts.label_of(LabelKind::Outcome, policy, outcome, self.language).to_owned()
    }

    /// The label of a field's choice.
    pub fn choice_label(&self, field: &str, choice: &str) -> String {
        self.pack.texts.label_of(LabelKind::Choice, field, choice, self.language).to_owned()
    }

    /// The label of a field or metric.
    pub fn value_label(&self, key: &str) -> String {
        let is_metric = self.pack.definitions.metrics.contains_key(key);
        self.label(if is_metric { LabelKind::Metric } else { LabelKind::Field }, key)
    }

    /// The label of something that a policy's outcomes entitle to.
    pub fn entitlement_label(&self, policy: &str, key: &str) -> String {
        self.pack.texts.label_of(LabelKind::Entitlement, policy, key, self.language).to_owned()
    }

    /// The label of what has a key of its own.
    pub fn label(&self, kind: LabelKind, key: &str) -> String {
        self.pack.texts.label(kind, key, self.language).to_owned()
    }
}

fn result_of<'a>(assessment: &'a Assessment, policy: &str) -> Option<&'a PolicyResult> {
    assessment.assessed.policies.iter().find(|result| result.policy == policy)
}

/// How an assessment is referred to.
pub fn reference(assessment: &Assessment) -> AssessmentReference {
    AssessmentReference {
        id: assessment.id,
        release: assessment.release,
        cohort: assessment.cohort,
        as_of: assessment.as_of,
        assessed_at: assessment.assessed_at,
    }
}
