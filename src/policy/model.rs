//! What policies decide: outcomes, scores, indicators, reasons and entitlements, as structure that is stored and rendered later.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::transactions::model::Period;

/// All policies of one release applied to one subject at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessed {
    /// One entry for each policy, in the order of the pack.
    pub policies: Vec<PolicyResult>,
}

/// What one policy made of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyResult {
    /// The policy's id.
    pub policy: String,
    /// The decision, or why there is none.
    #[serde(flatten)]
    pub result: Verdict,
    /// What the script read, in the order of first reading.
    pub inputs: Vec<Input>,
}

impl PolicyResult {
    /// The policy with its outcome, where it decided.
    pub fn outcome(&self) -> Option<(String, String)> {
        match &self.result {
            Verdict::Decided(decision) => Some((self.policy.clone(), decision.outcome.clone())),
            Verdict::Failed(_) | Verdict::Blocked(_) => None,
        }
    }
}

/// A decision, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The policy decided.
    Decided(Decision),
    /// The script stopped with an error: the message, with line and column.
    Failed(String),
    /// A policy that this one depends on has no outcome: its id.
    Blocked(String),
}

/// One policy's decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// One of the policy's declared outcomes.
    pub outcome: String,
    /// What the script decided, where stability holds another outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub computed: Option<String>,
    /// What would stand if no override held, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<String>,
    /// The score, rounded half up to 6 places, where the policy has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<Decimal>,
    /// Parts of the score.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indicators: Vec<Indicator>,
    /// Why, most important first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// What the outcome entitles to, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub entitlements: BTreeMap<String, Entitlement>,
}

impl Decision {
    /// What stands but for overrides.
    pub fn held_outcome(&self) -> &String {
        self.overridden.as_ref().unwrap_or(&self.outcome)
    }

    /// What the script decided, whatever stability or an override made of it.
    pub fn computed_outcome(&self) -> &String {
        self.computed.as_ref().unwrap_or(self.held_outcome())
    }
}

/// One part of a score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indicator {
    /// Its key.
    pub key: String,
    /// Its value; absent where its data are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Decimal>,
    /// Its weight as declared.
    pub weight: Decimal,
    /// What it adds to the score: value × weight ÷ sum of the weights present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contribution: Option<Decimal>,
    /// Its own parts, where it is itself a score.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Indicator>,
}

/// A reason: a code whose text stands in the pack's texts, and the values it mentions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Code of the reason.
    pub code: String,
    /// Values by placeholder, in canonical text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

/// The value of an entitlement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Entitlement {
    /// Yes or no.
    Boolean(bool),
    /// A list of texts.
    Texts(Vec<String>),
    /// A number in canonical text, or a text.
    Text(String),
}

/// Something that a script read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Input {
    /// Where it comes from.
    pub kind: InputKind,
    /// Key of the field or metric, id of the policy or cohort.
    pub key: String,
    /// The value in canonical text; absent where there was none. For a cohort, its cuts separated by `;`.
    #[serde(default)]
    pub value: Option<String>,
    /// The window of a metric.
    #[serde(default)]
    pub window: Option<Period>,
    /// The group of a cohort whose cuts counted; absent where those of all did.
    #[serde(default)]
    pub group: Option<String>,
}

impl Serialize for Input {
    /// As it is kept: the cuts of a cohort stand in the cohort itself, once for everybody.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut kept = serializer.serialize_map(None)?;
        kept.serialize_entry("kind", &self.kind)?;
        kept.serialize_entry("key", &self.key)?;
        if let Some(value) = self.value.as_ref().filter(|_| self.kind != InputKind::Cohort) {
            kept.serialize_entry("value", value)?;
        }
        if let Some(window) = &self.window {
            kept.serialize_entry("window", window)?;
        }
        if let Some(group) = &self.group {
            kept.serialize_entry("group", group)?;
        }
        kept.end()
    }
}

impl Input {
    /// The value in an assessment as of a date.
    pub fn value_at(&self, as_of: Date) -> Option<String> {
        match self.kind {
            InputKind::AsOf => Some(as_of.to_string()),
            InputKind::Month => Some(as_of.first_of_month().to_string()),
            _ => self.value.clone(),
        }
    }
}

/// Where an input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// A field of the customer file.
    Field,
    /// A metric.
    Metric,
    /// The outcome of another policy.
    Outcome,
    /// The cuts of a cohort, in the subject's group.
    Cohort,
    /// The as-of date. Its value isn't kept with the input: it is that of the assessment.
    AsOf,
    /// The first day of the month of the as-of date, kept like that.
    Month,
    /// The outcome of the last closing of the policy itself.
    Previous,
    /// The business date since which that one stands.
    PreviousSince,
    /// The outcome of an override of the policy itself.
    Override,
    /// The last business date on which that one counts.
    OverrideUntil,
}

/// What can change an outcome, in the order in which causes are replaced one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// What is known of the customer: his file, his transactions, and outcomes that stand until a closing.
    Data,
    /// The release.
    Rules,
    /// The date: windows move on, and ages grow.
    Time,
    /// The statistics of all customers.
    Population,
    /// What keeps outcomes stable from one closing to the next.
    Stability,
    /// What persons decided instead.
    Override,
}

/// How often a policy's outcome may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cadence {
    /// As soon as the data do.
    Continuous,
    /// When a month closes.
    Month,
    /// When a quarter closes.
    Quarter,
    /// When a year closes.
    Year,
}

/// A subject as policies see it: his values, and the windows of those that are metrics.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The customer's code.
    pub code: String,
    /// Fields and metrics by key; absent ones have no entry.
    pub values: crate::customers::model::Values,
    /// Windows of metrics by key; those of one date are shared.
    pub windows: Arc<BTreeMap<String, Period>>,
}

/// When, and relative to whom, a subject is assessed.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The date everything is as of.
    pub as_of: Date,
    /// Frozen statistics of the population.
    pub cohort: &'a Cohort,
    /// Outcomes that stand until their next closing, by policy: others read these, whatever is decided now.
    pub standing: &'a BTreeMap<String, String>,
    /// What stood after their last closing, by policy: stability compares with it.
    pub previous: &'a BTreeMap<String, Previous>,
    /// What persons decided instead, by policy.
    pub overrides: &'a BTreeMap<String, Override>,
}

/// What a person decided instead of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The outcome.
    pub outcome: String,
    /// The last business date on which it counts.
    pub until: Date,
}

/// No overrides.
pub static NONE_OVERRIDES: BTreeMap<String, Override> = BTreeMap::new();

/// What stood after the last closing of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    /// The outcome.
    pub outcome: String,
    /// The business date since which it stands.
    pub since: Date,
}

/// Nothing that stood before.
pub static NONE_PREVIOUS: BTreeMap<String, Previous> = BTreeMap::new();

/// No outcomes that stand until a closing.
pub static NONE_STANDING: BTreeMap<String, String> = BTreeMap::new();

/// Frozen statistics of the population for every cohort that a pack declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cohort {
    /// By cohort id.
    pub cohorts: BTreeMap<String, CohortCuts>,
}

impl Cohort {
    /// Puts the cuts back into the inputs of what was decided relative to this cohort.
    pub fn complete(&self, assessed: &mut Assessed) {
        for input in assessed.policies.iter_mut().flat_map(|policy| &mut policy.inputs) {
            if input.kind == InputKind::Cohort && input.value.is_none() {
                let cuts = self.cohorts.get(&input.key).map(|cuts| cuts.of(input.group.as_deref()));
                input.value = cuts.map(|cuts| cuts.text().to_owned());
            }
        }
    }
}

/// The cuts of one cohort, for all and for each group that is large enough.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CohortCuts {
    /// Cuts over the whole population, ascending.
    pub all: Arc<Cuts>,
    /// Cuts by group: the values of the grouping fields, joined by `/`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Arc<Cuts>>,
}

impl CohortCuts {
    /// The cuts of a group, or else those of all.
    pub fn of(&self, group: Option<&str>) -> &Arc<Cuts> {
        group.and_then(|group| self.groups.get(group)).unwrap_or(&self.all)
    }
}

/// Cuts of one group, ascending, with the number of customers they come from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cuts {
    /// Customers counted.
    count: u64,
    /// The smallest value of each class but the lowest.
    cuts: Vec<Decimal>,
    /// The cuts as inputs have them, made when they are first read: a hundred numbers that every subject would write anew.
    #[serde(skip)]
    text: OnceLock<String>,
}

impl Cuts {
    /// Ascending cuts, each the smallest value of its class; the lowest class has none.
    pub fn new(count: u64, cuts: Vec<Decimal>) -> Self {
        Self { count, cuts, text: OnceLock::new() }
    }

    /// Customers counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The cuts, ascending.
    pub fn cuts(&self) -> &[Decimal] {
        &self.cuts
    }

    /// How many cuts a value reaches.
    pub fn reached(&self, value: Decimal) -> usize {
        self.cuts.partition_point(|cut| *cut <= value)
    }

    /// The cuts in canonical text, separated by `;`.
    pub fn text(&self) -> &str {
        self.text.get_or_init(|| {
            let texts: Vec<String> = self.cuts.iter().map(|cut| cut.normalize().to_string()).collect();
            texts.join(";")
        })
    }
}

impl PartialEq for Cuts {
    fn eq(&self, other: &Self) -> bool {
        (self.count, &self.cuts) == (other.count, &other.cuts)
    }
}

impl Eq for Cuts {}
