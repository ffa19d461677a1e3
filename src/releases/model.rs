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
