//! Assessments, current outcomes and runs as they are kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Id;
use crate::digest::Digest;
use crate::policy::model::{Assessed, Verdict};

/// All policies of one release applied to one customer at one instant.
#[derive(Clone, Debug)]
pub struct Assessment {
    /// Its id.
    pub id: Id,
    /// The customer.
    pub customer_id: Id,
    /// The run that made it.
    pub run_id: Option<Id>,
    /// Number of the basis.
    pub basis: i64,
    /// The release.
    pub release: Digest,
    /// The cohort.
    pub cohort: Digest,
    /// The date it is as of.
    pub as_of: Date,
    /// When it was made.
    pub assessed_at: Timestamp,
    /// What the policies decided.
    pub assessed: Assessed,
}

/// The outcome in force of one policy for one customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The outcome.
    pub outcome: String,
    /// Why the latest assessment gave none, so that this one stays.
    pub flag: Option<Flag>,
    /// Since which business date.
    pub since: Date,
    /// The assessment that gave it.
    pub assessment_id: Id,
}

/// Why a policy has no new outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// Its script stopped with an error.
    Failed,
    /// A policy that it depends on has no outcome.
    Blocked,
}

impl Flag {
    /// The flag of a verdict, if it isn't a decision.
    pub fn of(verdict: &Verdict) -> Option<Self> {
        match verdict {
            Verdict::Decided(_) => None,
            Verdict::Failed(_) => Some(Self::Failed),
            Verdict::Blocked(_) => Some(Self::Blocked),
        }
    }

    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Blocked => "blocked",
        }
    }

    /// The flag of a name.
    pub fn from_key(key: &str) -> Option<Self> {
        [Self::Failed, Self::Blocked].into_iter().find(|flag| flag.key() == key)
    }
}

/// Number of customers by policy and outcome; policies without an outcome count under `failed` and `blocked`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary(pub BTreeMap<String, BTreeMap<String, u64>>);

impl Summary {
    /// Counts one assessment.
    pub fn count(&mut self, assessed: &Assessed) {
        for policy in &assessed.policies {
            let outcome = match &policy.result {
                Verdict::Decided(decision) => decision.outcome.as_str(),
                Verdict::Failed(_) => Flag::Failed.key(),
                Verdict::Blocked(_) => Flag::Blocked.key(),
            };
            let counts = self.0.entry(policy.policy.clone()).or_default();
            *counts.entry(outcome.to_owned()).or_default() += 1;
        }
    }

    /// Adds the counts of another one.
    pub fn add(&mut self, other: &Self) {
        for (policy, counts) in &other.0 {
            let sums = self.0.entry(policy.clone()).or_default();
            for (outcome, count) in counts {
                *sums.entry(outcome.clone()).or_default() += count;
            }
        }
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Its cohort is being computed.
    Preparing,
    /// Customers are being assessed.
    Running,
    /// Every customer has been assessed.
    Finished,
    /// Somebody cancelled it.
    Cancelled,
}

impl RunStatus {
    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of a name.
    pub fn from_key(key: &str) -> Option<Self> {
        [Self::Preparing, Self::Running, Self::Finished, Self::Cancelled].into_iter().find(|status| status.key() == key)
    }

    /// Whether work remains.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Preparing | Self::Running)
    }
}

/// The assessment of all active customers.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its id.
    pub id: Id,
    /// Number of the basis it rests on.
    pub basis: i64,
    /// How far it is.
    pub status: RunStatus,
    /// Active customers when it began.
    pub total: u64,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What it has done so far.
    pub progress: Progress,
}

/// What a run, or a shard of it, has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Customers assessed.
    pub assessed: u64,
    /// Of these, those whose assessment equals their last one, so that no new one is kept.
    pub unchanged: u64,
    /// Of these, those for whom some policy failed.
    pub failed: u64,
    /// Customers by policy and outcome.
    pub summary: Summary,
}
