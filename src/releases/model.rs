//! The deployment, the basis on which its grades rest, and the closings that made them stand.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Id;
use crate::digest::Digest;

/// What a base is bound to, once and for all.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Id of the pack it belongs to.
    pub pack_id: String,
    /// Time zone of its business dates.
    pub time_zone: String,
    /// Currency of its amounts.
    pub currency: String,
    /// The business date, where the sample fixed it: loading it has begun.
    pub fixed_business_date: Option<Date>,
    /// When the last file of the sample had been loaded, if it was.
    pub sample_loaded_at: Option<Timestamp>,
    /// Rises with each change of what the catalogue of products says and metrics read.
    pub catalogue_seq: i64,
}

/// What grades rest on: a rising number with release, cohort and business date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Its number; the highest is current.
    pub number: i64,
    /// Digest of the release.
    pub release: Digest,
    /// Digest of the cohort.
    pub cohort: Digest,
    /// The business date.
    pub business_date: Date,
    /// Number of the basis since which everybody is judged alike: of the last one that changed more than moving the date on.
    pub rules: i64,
    /// State of the catalogue of products.
    pub catalogue_seq: i64,
}

impl Basis {
    /// The basis that follows with the same rules on a later date.
    pub fn on(&self, business_date: Date) -> Self {
        Self { number: self.number + 1, business_date, ..self.clone() }
    }

    /// The basis that follows as `change` makes it, under which everybody is to be assessed anew.
    pub fn changed(&self, change: impl FnOnce(&mut Self)) -> Self {
        let number = self.number + 1;
        let mut next = Self { number, rules: number, ..self.clone() };
        change(&mut next);
        next
    }
}

/// Why policies are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClosingCause {
    /// A period has ended, and its days of grace are over.
    Schedule,
    /// Somebody said so.
    Command,
    /// A release that changes the policies came into force.
    Release,
}

impl ClosingCause {
    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Command => "command",
            Self::Release => "release",
        }
    }

    /// The cause of a name.
    pub fn from_key(key: &str) -> Option<Self> {
        [Self::Schedule, Self::Command, Self::Release].into_iter().find(|cause| cause.key() == key)
    }
}

/// The moment at which provisional outcomes become standing ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Number of the basis that came into force with it.
    pub basis: i64,
    /// Why.
    pub cause: ClosingCause,
    /// The last day of the period that is closed, by policy.
    pub policies: BTreeMap<String, Date>,
    /// The run in which it was prepared, if it was.
    pub run_id: Option<Id>,
    /// When it came into force.
    pub created_at: Timestamp,
    /// When everybody had passed it.
    pub finished_at: Option<Timestamp>,
}

/// What has been closed up to a basis: of each policy the last closing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed(BTreeMap<String, (i64, Date)>);

impl Closed {
    /// Enters a closing; later ones replace earlier ones.
    pub fn enter(&mut self, closing: &Closing) {
        for (policy, closed_on) in &closing.policies {
            let last = self.0.entry(policy.clone()).or_insert((closing.basis, *closed_on));
            if closing.basis >= last.0 {
                *last = (closing.basis, *closed_on);
            }
        }
    }

    /// The last day of the period to which a policy is to be closed for a customer who has passed all closings up to a basis;
    /// nothing when he has passed them all.
    pub fn pending(&self, policy: &str, passed: i64) -> Option<Date> {
        self.0.get(policy).filter(|(basis, _)| *basis > passed).map(|(_, closed_on)| *closed_on)
    }
}

/// Who does something with a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct By {
    /// The user's id; absent for whoever works at the command line without a user.
    pub user_id: Option<Id>,
    /// His name then.
    pub name: String,
}

impl By {
    /// Whether they are the same person: the same user, or the same name.
    pub fn is_same_as(&self, other: &Self) -> bool {
        (self.user_id.is_some() && self.user_id == other.user_id) || self.name.eq_ignore_ascii_case(&other.name)
    }
}

/// A step in the life of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was done.
    pub kind: StepKind,
    /// Who did it.
    pub by: By,
    /// The release in force then, if there was one: for a comparison the one it was compared with.
    pub parent: Option<Digest>,
    /// Digest of the comparison that was made or approved.
    pub comparison: Option<Digest>,
    /// What was said: the message of a release, the reason of an approval or of an activation.
    pub message: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// What is done with a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Its content was kept.
    Created,
    /// It was checked, and its cases passed.
    Checked,
    /// It was compared with the release in force over all customers.
    Compared,
    /// Somebody approved a comparison.
    Approved,
    /// It came into force.
    Activated,
}

impl StepKind {
    const ALL: [Self; 5] = [Self::Created, Self::Checked, Self::Compared, Self::Approved, Self::Activated];

    /// Its name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Checked => "checked",
            Self::Compared => "compared",
            Self::Approved => "approved",
            Self::Activated => "activated",
        }
    }

    /// The kind of a name.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.key() == key)
    }
}

/// How far a release has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// It is kept, and nothing else is known of it.
    Draft,
    /// It has no faults, and its cases pass.
    Checked,
    /// It was compared with the release in force.
    Compared,
    /// Somebody approved that comparison.
    Approved,
    /// It is in force.
    Active,
    /// It was in force before.
    Retired,
}

/// A release without its content.
#[derive(Clone, Debug)]
pub struct Release {
    /// The name of its content.
    pub digest: Digest,
    /// When it was kept.
    pub created_at: Timestamp,
    /// Whether it is or was in force.
    pub was_in_force: bool,
    /// What was done with it, oldest first.
    pub steps: Vec<Step>,
}

impl Release {
    /// The last step of a kind.
    pub fn last(&self, kind: StepKind) -> Option<&Step> {
        self.steps.iter().rev().find(|step| step.kind == kind)
    }

    /// Digest of the last comparison with this release in force.
    pub fn comparison_with(&self, in_force: Digest) -> Option<Digest> {
        let last = self.last(StepKind::Compared).filter(|step| step.parent == Some(in_force))?;
        last.comparison
    }

    /// The approval of a comparison.
    pub fn approval_of(&self, comparison: Digest) -> Option<&Step> {
        self.steps.iter().rev().find(|step| step.kind == StepKind::Approved && step.comparison == Some(comparison))
    }

    /// How far it has come, where another one or itself is in force. What was compared with a release that isn't in force any more has
    /// to be compared again.
    pub fn state(&self, in_force: Digest) -> ReleaseState {
        let compared = self.comparison_with(in_force);
        match compared {
            _ if self.digest == in_force => ReleaseState::Active,
            _ if self.was_in_force => ReleaseState::Retired,
            Some(comparison) if self.approval_of(comparison).is_some() => ReleaseState::Approved,
            Some(_) => ReleaseState::Compared,
            None if self.last(StepKind::Checked).is_some() => ReleaseState::Checked,
            None => ReleaseState::Draft,
        }
    }
}
