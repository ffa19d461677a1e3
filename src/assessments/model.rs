//! Assessments, current outcomes and runs as they are kept.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Id;
use crate::digest::Digest;
use crate::policy::model::{Assessed, Cadence, Verdict};
use crate::releases::model::ClosingCause;

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

/// The outcome in force of one policy for one customer, and the one that the latest data would give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The standing outcome.
    pub outcome: String,
    /// Why the latest assessment gave none, so that this one stays.
    pub flag: Option<Flag>,
    /// Since which business date it stands.
    pub since: Date,
    /// The assessment that gave it.
    pub assessment_id: Id,
    /// The last day of the period whose closing made it stand; absent where it follows the data.
    pub closed_on: Option<Date>,
    /// The provisional outcome, where it is another one and no override holds.
    pub provisional: Option<String>,
    /// What would stand without the override, where one holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Overridden>,
}

/// What would stand without an override.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overridden {
    /// The outcome.
    pub outcome: String,
    /// Since which business date it would stand.
    pub since: Date,
    /// The assessment that gave it.
    pub assessment_id: Id,
    /// Since which business date it is another one than the person decided; absent where both are the same.
    pub differs_since: Option<Date>,
}

/// How a standing outcome follows the provisional one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// At once: the policy is continuous, or the customer hasn't passed a closing of it yet.
    Follows,
    /// Now, with the closing of the period that ends on this day.
    Closes(Date),
    /// Not before the next closing.
    Locked,
}

impl Outcome {
    /// The outcome after an assessment `by` its date and id, given the one before; nothing where there was and is none. A policy that failed or is
    /// blocked keeps its old outcome, flagged. An override holds at once, and what would stand without it goes on beside it.
    pub fn after(before: Option<&Self>, result: &Verdict, standing: Standing, by: (Date, Id)) -> Option<Self> {
        let Verdict::Decided(decision) = result else {
            return before.map(|before| Self { flag: Flag::of(result), provisional: None, ..before.clone() });
        };
        let restored = before.and_then(Self::without_override);
        let computed = Self::computed_after(restored.as_ref().or(before), decision.held_outcome(), standing, by);
        Some(match &decision.overridden {
            Some(_) => computed.under(&decision.outcome, before, by),
            None => computed,
        })
    }

    /// The outcome that would stand without the override that holds, if one does.
    fn without_override(&self) -> Option<Self> {
        let Overridden { outcome, since, assessment_id, .. } = self.overridden.clone()?;
        Some(Self { outcome, since, assessment_id, overridden: None, ..self.clone() })
    }

    /// An outcome below the one that a person decided.
    fn under(self, outcome: &str, before: Option<&Self>, (as_of, assessment_id): (Date, Id)) -> Self {
        let stood = before.filter(|before| before.outcome == outcome);
        let differed = before.and_then(|before| before.overridden.as_ref()?.differs_since);
        Self {
            outcome: outcome.to_owned(),
            flag: None,
            since: stood.map_or(as_of, |stood| stood.since),
            assessment_id: stood.map_or(assessment_id, |stood| stood.assessment_id),
            closed_on: self.closed_on,
            provisional: None,
            overridden: Some(Overridden {
                differs_since: (self.outcome != outcome).then(|| differed.unwrap_or(as_of)),
                outcome: self.outcome,
                since: self.since,
                assessment_id: self.assessment_id,
            }),
        }
    }

    fn computed_after(before: Option<&Self>, decided: &str, standing: Standing, by: (Date, Id)) -> Self {
        let (as_of, assessment_id) = by;
        let closed_on = if let Standing::Closes(day) = standing { Some(day) } else { None };
        let new = Self {
            outcome: decided.to_owned(),
            flag: None,
            since: as_of,
            assessment_id,
            closed_on,
            provisional: None,
            overridden: None,
        };
        let Some(before) = before else { return new };
        let same = before.outcome == decided;
        match standing {
            Standing::Locked => {
                let provisional = (!same).then(|| decided.to_owned());
                Self { flag: None, provisional, ..before.clone() }
            }
            Standing::Closes(_) if same => Self { since: before.since, ..new },
            Standing::Follows if same => Self { flag: None, provisional: None, closed_on, ..before.clone() },
            _ => new,
        }
    }
}

/// Why a policy has no new outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
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

/// Why there is a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunCause {
    /// Somebody started it.
    Command,
    /// It follows a new basis.
    Basis,
    /// It closes policies.
    Closing,
    /// It compares a release with the one in force, and assesses nobody.
    Comparison,
    /// A release decides in the shadow of the one in force, and assesses nobody.
    Shadow,
}

impl RunCause {
    /// The causes of runs that assess nobody.
    pub const SILENT: [Self; 2] = [Self::Comparison, Self::Shadow];

    /// Whether customers are assessed.
    pub fn assesses(self) -> bool {
        !Self::SILENT.contains(&self)
    }

    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Basis => "basis",
            Self::Closing => "closing",
            Self::Comparison => "comparison",
            Self::Shadow => "shadow",
        }
    }

    /// The cause of a name.
    pub fn from_key(key: &str) -> Option<Self> {
        let assessing = [Self::Command, Self::Basis, Self::Closing];
        assessing.into_iter().chain(Self::SILENT).find(|cause| cause.key() == key)
    }
}

/// A closing that a run prepares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedClosing {
    /// Why.
    pub cause: ClosingCause,
    /// The last day of the period that is closed, by cadence.
    pub periods: BTreeMap<Cadence, Date>,
}

/// The assessment of all active customers, or of those for whom another run failed.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its id.
    pub id: Id,
    /// Why it is there.
    pub cause: RunCause,
    /// What it closes, if it does.
    pub closing: Option<PlannedClosing>,
    /// The run whose failed customers it assesses; everybody when there is none.
    pub failed_of: Option<Id>,
    /// Number of the basis it rests on.
    pub basis: i64,
    /// How far it is.
    pub status: RunStatus,
    /// Customers to assess: those who were active when it began.
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

/// Seconds for which a worker holds a shard without a sign of life, when nothing is set.
pub const DEFAULT_LEASE: u32 = 15;

/// As whom a worker takes shards.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// Its id.
    pub id: Id,
    /// For how long, in seconds by the database's clock, it holds one without a sign of life.
    pub lease: u32,
}

impl Owner {
    /// A new one.
    pub fn new(lease: u32) -> Self {
        Self { id: Id::new(), lease }
    }

    /// How often it gives a sign of life while it holds a shard.
    pub fn sign_of_life(self) -> Duration {
        Duration::from_secs(u64::from(self.lease)) / 5
    }
}

/// Days after the start of a run for which its failures are kept.
pub const FAILURE_DAYS: i64 = 30;
/// Most characters that are kept of a failure's message.
const MAX_MESSAGE: usize = 500;

/// A customer for whom a run failed.
#[derive(Clone, Debug)]
pub struct RunFailure {
    /// His id.
    pub customer_id: Id,
    /// His code.
    pub customer_code: String,
    /// What failed.
    pub reasons: Vec<FailureReason>,
}

/// A policy that failed, or data that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureReason {
    /// The policy's id; absent where all failed because the customer's data can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What its script said, or what can't be read; the first 500 characters.
    pub message: String,
}

impl FailureReason {
    /// Of a policy, or of the data.
    pub fn new(policy: Option<&str>, message: &str) -> Self {
        Self { policy: policy.map(str::to_owned), message: message.chars().take(MAX_MESSAGE).collect() }
    }
}

/// How far a shadow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShadowStatus {
    /// The release decides on each business date.
    Open,
    /// Its last day has come, or the release came into force.
    Ended,
    /// Somebody ended it before.
    Cancelled,
}

impl ShadowStatus {
    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Ended => "ended",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of a name.
    pub fn from_key(key: &str) -> Option<Self> {
        [Self::Open, Self::Ended, Self::Cancelled].into_iter().find(|status| status.key() == key)
    }
}

/// Who appeals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FiledFor {
    /// The customer himself.
    Customer,
    /// His account manager.
    AccountManager,
}

impl FiledFor {
    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::AccountManager => "account_manager",
        }
    }

    /// Whom a name means.
    pub fn from_key(key: &str) -> Option<Self> {
        [Self::Customer, Self::AccountManager].into_iter().find(|filed_for| filed_for.key() == key)
    }
}

/// What comes of an appeal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The decision stays.
    Upheld,
    /// The data were corrected, and the policy has decided again.
    Corrected,
    /// A person decided instead of the policy.
    Overridden,
}

impl Resolution {
    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Upheld => "upheld",
            Self::Corrected => "corrected",
            Self::Overridden => "overridden",
        }
    }

    /// The resolution of a name.
    pub fn from_key(key: &str) -> Option<Self> {
        [Self::Upheld, Self::Corrected, Self::Overridden].into_iter().find(|resolution| resolution.key() == key)
    }
}
