//! Overrides as readers see them.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use super::Renderer;
use crate::Id;
use crate::assessments::overrides;
use crate::assessments::store::{Compared, KeptOverride};
use crate::releases::active::Active;

/// What a person decided instead of a policy.
#[derive(Serialize, ToSchema)]
#[schema(as = Override, example = json!({"id": "0193f0a2-7c1e-7aaa-8000-0123456789ab", "policy": "value_group", "outcome": "core", "label": "Core",
    "reason": "Only shop in the valley", "author": "ana", "created_at": "2018-01-01T10:00:00.123456Z", "starts_on": "2018-01-01", "expires_on": "2018-06-30"}))]
pub struct OverrideView {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    id: Id,
    /// The policy.
    policy: String,
    /// The outcome that the person decided.
    outcome: String,
    /// Its label.
    label: String,
    /// Why.
    reason: String,
    /// Who decided.
    author: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The first business date on which it counts.
    #[schema(value_type = String, format = Date)]
    starts_on: Date,
    /// The last business date on which it counts.
    #[schema(value_type = String, format = Date)]
    expires_on: Date,
    /// The business date from which on it counts no more, where somebody ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = Date)]
    ended_on: Option<Date>,
    /// Who ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ended_by: Option<String>,
}

impl OverrideView {
    /// An override in the reader's language.
    pub fn new(kept: KeptOverride, renderer: &Renderer<'_>) -> Self {
        Self {
            id: kept.id,
            label: renderer.outcome_label(&kept.policy, &kept.outcome),
            policy: kept.policy,
            outcome: kept.outcome,
            reason: kept.reason,
            author: kept.author,
            created_at: kept.created_at,
            starts_on: kept.starts_on,
            expires_on: kept.expires_on,
            ended_on: kept.ended_on,
            ended_by: kept.ended_by,
        }
    }
}

/// An override in effect, and what the policy says.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"customer_id": "0193f0a2-7c1e-7aaa-8000-0123456789ac", "customer_code": "X17", "id": "0193f0a2-7c1e-7aaa-8000-0123456789ab",
    "policy": "value_group", "outcome": "core", "label": "Core", "reason": "Only shop in the valley", "author": "ana", "created_at": "2018-01-01T10:00:00.123456Z",
    "starts_on": "2018-01-01", "expires_on": "2018-06-30", "computed_outcome": "general", "computed_label": "General", "differs_since": "2018-01-01", "differs_for_long": true}))]
pub struct OverrideInForce {
    /// The customer's id.
    #[schema(value_type = uuid::Uuid)]
    customer_id: Id,
    /// His code.
    customer_code: String,
    /// The override.
    #[serde(flatten)]
    kept: OverrideView,
    /// What would stand without it; absent until the customer is assessed, which takes moments.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    computed_outcome: Option<String>,
    /// Its label.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    computed_label: Option<String>,
    /// Since which business date that is another outcome; absent where it is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = Date)]
    differs_since: Option<Date>,
    /// Whether that is longer than the pack lets pass without a warning.
    differs_for_long: bool,
}

impl OverrideInForce {
    /// An override in effect in the reader's language.
    pub fn new(compared: Compared, active: &Active, renderer: &Renderer<'_>) -> Self {
        let Compared { kept, customer_code, computed, differs_since } = compared;
        Self {
            customer_id: kept.customer_id,
            customer_code,
            computed_label: computed.as_ref().map(|computed| renderer.outcome_label(&kept.policy, computed)),
            computed_outcome: computed,
            differs_since,
            differs_for_long: overrides::differs_for_long(active, differs_since),
            kept: OverrideView::new(kept, renderer),
        }
    }
}
