//! A finished comparison as readers see it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Id;
use crate::assessments::comparison::{Comparison, MoverDecisions};
use crate::assessments::publishing::{self, Exceeded};
use crate::assessments::tally::{Moves, PolicyTally, Side, Sums};
use crate::assessments::view::{DecisionView, Renderer};
use crate::digest::Digest;
use crate::policy::pack::{Pack, Publishing};
use crate::policy::texts::LabelKind;
use crate::schemas::DecimalText;

/// What came of a comparison.
#[derive(Serialize, ToSchema)]
pub struct ComparisonResult {
    /// The digest that names it: an approval is one of this.
    digest: Digest,
    /// The release that was in force.
    in_force: Digest,
    /// The cohort by which the release decided.
    cohort: Digest,
    /// The date of both.
    #[schema(value_type = String, format = Date)]
    business_date: Date,
    /// Customers compared.
    customers: u64,
    /// Limits of the pack in force that it goes beyond: activating the release wants a written reason.
    exceeded: Vec<ExceededView>,
    /// Policies that decide as before: nothing on which they rest differs.
    #[schema(example = json!(["abc"]))]
    unchanged: Vec<String>,
    /// One entry for each of the others.
    policies: Vec<PolicyComparison>,
}

/// A limit of the pack in force that a comparison goes beyond.
#[derive(Serialize, ToSchema)]
#[schema(as = ExceededLimit, example = json!({"limit": "moved_at_most", "policy": "volume_grade", "detail": "12 of 100 customers move, 12 %; at most 8 % may"}))]
pub struct ExceededView {
    /// Which one, as the pack calls it.
    limit: &'static str,
    /// The policy.
    policy: String,
    /// What was found, and what is allowed.
    detail: String,
}

/// What differs in one policy.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"policy": "volume_grade", "title": "Volume grade", "decided": 100, "moved": 7, "moved_by_script": 9, "share_moved": "0.07", "newly_failed": 0,
    "matrix": [{"from": {"outcome": "2", "label": "Grade 2"}, "to": {"outcome": "3", "label": "Grade 3"}, "customers": 7}],
    "entitlements": [{"key": "monthly_supply", "label": "Monthly supply", "before": "1200", "after": "1185"}],
    "groups": [], "movers": [], "failures": [], "cost": {"before": "12.5", "after": "13.1"}}))]
pub struct PolicyComparison {
    /// The policy's id.
    policy: String,
    /// Its title.
    title: String,
    /// Customers for whom both releases decided.
    decided: u64,
    /// Of these, those whose outcome differs.
    moved: u64,
    /// Those whose outcome would differ if nothing held outcomes stable.
    moved_by_script: u64,
    /// Share of those whose outcome differs, from 0 to 1.
    #[schema(value_type = DecimalText)]
    share_moved: Decimal,
    /// Customers for whom the release fails and the one in force doesn't.
    newly_failed: u64,
    /// Customers by outcome before and after: only combinations that occur.
    matrix: Vec<MatrixCell>,
    /// Sums of what outcomes entitle to.
    entitlements: Vec<EntitlementSums>,
    /// Who moves, by fields of the customer file that have few values.
    groups: Vec<GroupMoves>,
    /// The customers whose outcome differs most, at most 20.
    movers: Vec<MoverView>,
    /// What the release said where it fails and the one in force doesn't: some of it.
    failures: Vec<ComparedFailure>,
    /// What a decision costs on average, measured for some of the customers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cost: Option<CostView>,
}

/// Customers with one outcome before and one after.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"from": {"outcome": "2", "label": "Grade 2"}, "to": {"outcome": "3", "label": "Grade 3"}, "customers": 7}))]
pub struct MatrixCell {
    /// What the release in force says.
    from: SideView,
    /// What the release says.
    to: SideView,
    /// Number of customers.
    customers: u64,
}

/// What a release says of customers: an outcome, or why there is none.
#[derive(Serialize, ToSchema)]
#[schema(as = ComparedSide, example = json!({"outcome": "2", "label": "Grade 2"}))]
pub struct SideView {
    /// The outcome; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    outcome: Option<String>,
    /// Why there is no outcome: `failed`, `blocked`, or `absent` where the release doesn't have the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    status: Option<String>,
    /// The outcome's label, or the status.
    label: String,
}

/// The sum of an entitlement over all customers.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"key": "monthly_supply", "label": "Monthly supply", "before": "1200", "after": "1185"}))]
pub struct EntitlementSums {
    /// Its key.
    key: String,
    /// Its label.
    label: String,
    /// By the release in force, in the unit of the entitlement.
    #[schema(value_type = DecimalText)]
    before: Decimal,
    /// By the release, in the unit of the entitlement.
    #[schema(value_type = DecimalText)]
    after: Decimal,
}

/// Who moves, by one field.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"field": "area", "label": "Area", "values": [{"value": "north", "customers": 40, "moved": 3}]}))]
pub struct GroupMoves {
    /// The field's key.
    field: String,
    /// Its label.
    label: String,
    /// Its values, those with most movers first.
    values: Vec<ValueMoves>,
}

/// Who moves among the customers with one value.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"value": "north", "customers": 40, "moved": 3}))]
pub struct ValueMoves {
    /// The value.
    value: String,
    /// Customers with it.
    customers: u64,
    /// Of these, those whose outcome differs.
    moved: u64,
}

/// A customer whose outcome differs.
#[derive(Serialize, ToSchema)]
#[schema(as = Mover, example = json!({"customer_id": "0193f0a2-7c1e-7aaa-8000-0123456789ab", "customer_code": "X17", "steps": 1,
    "before": {"policy": "volume_grade", "title": "Volume grade", "status": "decided", "outcome": "2", "label": "Grade 2", "inputs": []},
    "after": {"policy": "volume_grade", "title": "Volume grade", "status": "decided", "outcome": "3", "label": "Grade 3", "inputs": []}}))]
pub struct MoverView {
    /// His id.
    #[schema(value_type = uuid::Uuid)]
    customer_id: Id,
    /// His code.
    #[schema(example = "X17")]
    customer_code: String,
    /// By how many places his outcome differs among those declared: above 0 is worse.
    #[schema(minimum = -1000, maximum = 1000)]
    steps: i64,
    /// What the release in force decides.
    before: DecisionView,
    /// What the release decides.
    after: DecisionView,
}

/// What a release said of a customer whom it can't decide about.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"message": "policies/volume_grade.rhai:12:20: the field 'floor_area' is absent", "customer_id": "0193f0a2-7c1e-7aaa-8000-0123456789ab"}))]
pub struct ComparedFailure {
    /// What its script said.
    message: String,
    /// One of the customers.
    #[schema(value_type = uuid::Uuid)]
    customer_id: Id,
}

/// What a decision costs on average, in microseconds.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"before": "12.5", "after": "13.1"}))]
pub struct CostView {
    /// By the release in force, in microseconds, 0 or more.
    #[schema(value_type = DecimalText)]
    before: Decimal,
    /// By the release, in microseconds, 0 or more.
    #[schema(value_type = DecimalText)]
    after: Decimal,
}

impl ComparisonResult {
    /// A comparison in a reader's language, with the limits of the pack in force and the policies that are to be `shown`.
    pub fn new(
        (digest, kept): (Digest, &Comparison),
        (before, after): (&Pack, &Pack),
        languages: &[String],
        limits: Option<&Publishing>,
        shown: impl Fn(&str) -> bool,
    ) -> Self {
        let sides = Sides { before: Renderer::new(before, languages), after: Renderer::new(after, languages) };
        let policies = kept.tally.policies.iter().filter(|(id, _)| shown(id));
        Self {
            digest,
            in_force: kept.in_force,
            cohort: kept.cohort,
            business_date: kept.business_date,
            customers: kept.tally.customers,
            exceeded: beyond(limits, kept),
            unchanged: kept.unchanged.clone(),
            policies: policies.map(|(id, tally)| sides.policy(id, tally, kept)).collect(),
        }
    }
}

fn beyond(limits: Option<&Publishing>, kept: &Comparison) -> Vec<ExceededView> {
    let found = limits.map(|limits| publishing::exceeded(limits, kept)).unwrap_or_default();
    let view = |Exceeded { limit, policy, detail }| ExceededView { limit, policy, detail };
    found.into_iter().map(view).collect()
}

/// The packs of the two sides with their texts in the reader's language.
struct Sides<'a> {
    before: Renderer<'a>,
    after: Renderer<'a>,
}

impl Sides<'_> {
    fn policy(&self, id: &str, tally: &PolicyTally, comparison: &Comparison) -> PolicyComparison {
        let label = |kind, key: &str| {
            let known = self.after.label(kind, key);
            if known == key { self.before.label(kind, key) } else { known }
        };
        let sums = |(key, sums): (&String, &Sums)| EntitlementSums {
            key: key.clone(),
            label: self.after.entitlement_label(id, key),
            before: sums.before.normalize(),
            after: sums.after.normalize(),
        };
        let mover = |mover: &MoverDecisions| MoverView {
            customer_id: mover.customer_id,
            customer_code: mover.customer_code.clone(),
            steps: mover.steps,
            before: self.before.decision(&mover.before, comparison.business_date),
            after: self.after.decision(&mover.after, comparison.business_date),
        };
        let group = |(field, counts): (&String, &Option<BTreeMap<String, u64>>)| {
            let moved = tally.moved_by.get(field)?;
            let value = |(value, customers): (&String, &u64)| ValueMoves {
                value: value.clone(),
                customers: *customers,
                moved: moved.get(value).copied().unwrap_or_default(),
            };
            let mut values: Vec<ValueMoves> = counts.as_ref()?.iter().map(value).collect();
            values.sort_by_key(|one| std::cmp::Reverse(one.moved));
            Some(GroupMoves { field: field.clone(), label: self.before.label(LabelKind::Field, field), values })
        };
        let failure = |(message, customer_id): (&String, &Id)| ComparedFailure {
            message: message.clone(),
            customer_id: *customer_id,
        };
        PolicyComparison {
            policy: id.to_owned(),
            title: label(LabelKind::Policy, id),
            decided: tally.matrix.decided(),
            moved: tally.matrix.moved(),
            moved_by_script: tally.moved_by_script,
            share_moved: tally.matrix.share_moved().normalize(),
            newly_failed: tally.matrix.newly_failed(),
            matrix: matrix(&tally.matrix, id, [&self.before, &self.after]),
            entitlements: tally.sums.iter().map(sums).collect(),
            groups: comparison.tally.fields.iter().filter_map(group).collect(),
            movers: comparison.movers.get(id).into_iter().flatten().map(mover).collect(),
            failures: tally.failures.iter().map(failure).collect(),
            cost: cost(tally),
        }
    }
}

/// Customers by what the release in force says of a policy and what the other one says, each with the labels of its pack.
pub fn matrix(moves: &Moves, policy: &str, renderers: [&Renderer<'_>; 2]) -> Vec<MatrixCell> {
    let side = |side: &Side, renderer: &Renderer<'_>| match side {
        Side::Outcome(outcome) => {
            SideView { outcome: Some(outcome.clone()), status: None, label: renderer.outcome_label(policy, outcome) }
        }
        side => {
            let status = String::from(side.clone());
            SideView { outcome: None, label: status.clone(), status: Some(status) }
        }
    };
    let [before, after] = renderers;
    let cell = |(from, to, customers)| MatrixCell { from: side(from, before), to: side(to, after), customers };
    moves.cells().map(cell).collect()
}

fn cost(tally: &PolicyTally) -> Option<CostView> {
    let measured = Decimal::from(tally.cost.measured) * Decimal::ONE_THOUSAND;
    let micros = |nanos: u64| Some(Decimal::from(nanos).checked_div(measured)?.round_dp(1).normalize());
    Some(CostView { before: micros(tally.cost.before)?, after: micros(tally.cost.after)? })
}
