//! Events as they are kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Id;
use crate::digest::Digest;
use crate::policy::model::Cause;
use crate::schemas::{DecimalText, PolicyDays};

/// Something that has happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its id.
    pub id: Id,
    /// What it is.
    pub kind: EventKind,
    /// Whom it concerns.
    pub customer_id: Option<Id>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// What changed.
    pub content: Content,
}

impl Event {
    /// An event of now.
    pub fn new(kind: EventKind, customer_id: Option<Id>, content: Content) -> Self {
        Self { id: Id::new(), kind, customer_id, occurred_at: Timestamp::now(), content }
    }
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Standing or provisional outcomes of a customer changed.
    OutcomesChanged,
    /// A release came into force.
    ReleaseActivated,
    /// A closing came into force: standing outcomes follow, customer by customer.
    ClosingStarted,
    /// Everybody has passed a closing.
    ClosingFinished,
    /// A run found outcomes distributed otherwise than the one before it.
    DriftAlarm,
    /// A customer is on a list from now on.
    ListEntered,
    /// A customer is on a list no more.
    ListLeft,
    /// Somebody decided instead of a policy.
    OverrideCreated,
    /// What somebody decided instead of a policy counts no more.
    OverrideEnded,
    /// Somebody appealed against a decision.
    AppealFiled,
    /// An appeal was answered.
    AppealResolved,
    /// An appeal wasn't answered in time.
    AppealOverdue,
}

impl EventKind {
    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::OutcomesChanged => "outcomes_changed",
            Self::ReleaseActivated => "release_activated",
            Self::ClosingStarted => "closing_started",
            Self::ClosingFinished => "closing_finished",
            Self::DriftAlarm => "drift_alarm",
            Self::ListEntered => "list_entered",
            Self::ListLeft => "list_left",
            Self::OverrideCreated => "override_created",
            Self::OverrideEnded => "override_ended",
            Self::AppealFiled => "appeal_filed",
            Self::AppealResolved => "appeal_resolved",
            Self::AppealOverdue => "appeal_overdue",
        }
    }

    /// The kind of a name.
    pub fn from_key(key: &str) -> Option<Self> {
        let closings = [Self::ClosingStarted, Self::ClosingFinished];
        let lists = [Self::ListEntered, Self::ListLeft];
        let others = [Self::OutcomesChanged, Self::ReleaseActivated, Self::DriftAlarm];
        let overrides = [Self::OverrideCreated, Self::OverrideEnded];
        let appeals = [Self::AppealFiled, Self::AppealResolved, Self::AppealOverdue];
        closings.into_iter().chain(lists).chain(overrides).chain(appeals).chain(others).find(|kind| kind.key() == key)
    }
}

/// What changed, as far as the kind of event has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Content {
    /// The customer's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub customer_code: Option<String>,
    /// The assessment that changed the outcomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    pub assessment_id: Option<Id>,
    /// The outcomes that changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub changes: Vec<OutcomeChange>,
    /// Digest of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub release: Option<Digest>,
    /// Number of the basis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1)]
    pub basis: Option<i64>,
    /// The policies that are closed, each with the last day of the period.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false, value_type = PolicyDays)]
    pub policies: BTreeMap<String, Date>,
    /// The list that the customer entered or left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub list: Option<String>,
    /// The policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub policy: Option<String>,
    /// The override.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    pub override_id: Option<Id>,
    /// The appeal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    pub appeal_id: Option<Id>,
    /// The run that found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<uuid::Uuid>)]
    pub run_id: Option<Id>,
    /// Where outcomes have drifted: `/v1/runs/{id}/drift` has more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub alarms: Vec<DriftAlarm>,
}

/// A policy whose outcomes are distributed otherwise than in the run before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"policy": "volume_grade", "field": "retail_format", "value": "grocery", "index": "0.3125", "moved": ["data"]}))]
pub struct DriftAlarm {
    /// The policy.
    pub policy: String,
    /// The field whose value makes the group; absent for all customers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub field: Option<String>,
    /// The value of that field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub value: Option<String>,
    /// The population stability index of the outcomes, with four places.
    #[schema(value_type = DecimalText)]
    pub index: Decimal,
    /// What has moved: data, rules, or the statistics of the population.
    pub moved: Vec<Cause>,
}

/// One policy's outcome before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"policy": "volume_grade", "from": "3", "to": "2", "provisional": false, "closed_on": "2017-12-31"}))]
pub struct OutcomeChange {
    /// The policy.
    pub policy: String,
    /// The outcome before; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub from: Option<String>,
    /// The outcome now.
    pub to: String,
    /// Whether it is the provisional outcome, which stands only from the next closing on.
    pub provisional: bool,
    /// The last day of the period whose closing changed the standing outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<String>, format = Date)]
    pub closed_on: Option<Date>,
}
