//! A pack's declarations: what `pack.toml` says about the industry, its customers' fields, its figures and its policies.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use super::model::Cadence;
use super::source::common;
use super::stability::Stability;
use super::texts::Texts;
use crate::customers::model::{FieldType, Fields};
use crate::faults::{Fault, did_you_mean, excerpt};
use crate::schemas::DecimalText;
use crate::transactions::model::Definitions;
pub use crate::transactions::model::SubjectKind;

/// Everything that a pack declares, checked.
#[derive(Clone, Debug)]
pub struct Pack {
    /// The pack's id, to which a base is bound.
    pub id: String,
    /// Its title by language.
    pub title: BTreeMap<String, String>,
    /// The zone of months and days.
    pub time_zone: TimeZone,
    /// ISO 4217 code of the money.
    pub currency: String,
    /// Unit of quantities.
    pub unit: String,
    /// Languages of its texts; the first is the fallback.
    pub languages: Vec<String>,
    /// Days after its end that a month closes.
    pub closes_after: u16,
    /// Fields of the customer file.
    pub fields: Arc<Fields>,
    /// Kinds and metrics.
    pub definitions: Arc<Definitions>,
    /// Those of customers.
    pub customer_definitions: Arc<Definitions>,
    /// Cohorts by id.
    pub cohorts: IndexMap<String, CohortDeclaration>,
    /// Policies by id, in the order of the manifest.
    pub policies: IndexMap<String, PolicyDeclaration>,
    /// What a customer can influence, by key of a field or metric.
    pub influences: IndexMap<String, Influence>,
    /// What a release has to pass before it replaces this one; nothing where whoever may publish simply does.
    pub publishing: Option<Publishing>,
    /// How the distributions of two runs are compared.
    pub drift: Drifting,
    /// Lists of customers, by id.
    pub lists: IndexMap<String, ListDeclaration>,
    /// What may be published of an area; nothing where there is no such section.
    pub publication: Option<Publication>,
    /// What holds for persons who decide instead of a policy.
    pub overrides: Overriding,
    /// What holds for appeals against decisions.
    pub appeals: Appealing,
    /// How service staff are evaluated; nothing where there is no such section.
    pub staff: Option<Staffing>,
    /// Labels and reason texts.
    pub texts: Texts,
}

impl Pack {
    /// The policies that decide about customers.
    pub fn customer_policies(&self) -> impl Iterator<Item = (&String, &PolicyDeclaration)> {
        self.policies.iter().filter(|(_, policy)| policy.subject == SubjectKind::Customer)
    }

    /// The areas that employees serve, where the pack says something about staff.
    pub fn areas(&self) -> Option<&[String]> {
        let field = self.fields.get(&self.staff.as_ref()?.by)?;
        (field.field_type == FieldType::Choice).then_some(field.choices.as_slice())
    }

    /// The policy that somebody names.
    ///
    /// # Errors
    /// There is none: the fault says so at the pointer.
    pub fn policy(&self, pointer: &str, id: &str) -> Result<&PolicyDeclaration, Fault> {
        self.policies.get(id).ok_or_else(|| {
            let hint = did_you_mean(id, self.policies.keys().map(String::as_str));
            Fault::new(pointer, "unknown_policy", format!("the pack has no policy '{}'{hint}", excerpt(id)))
        })
    }

    /// The policies that closings concern, with their cadence.
    pub fn closed_policies(&self) -> impl Iterator<Item = (&String, Cadence)> {
        let closes = |(_, cadence): &(&String, Cadence)| *cadence != Cadence::Continuous;
        self.customer_policies().map(|(id, policy)| (id, policy.cadence)).filter(closes)
    }
}

/// How a customer can influence a field or a metric: what a path to a better outcome is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Influence {
    /// A number, step by step.
    Steps {
        /// The change of one step: below 0 where less is what he works at.
        step: Decimal,
        /// The smallest number that can be reached.
        min: Option<Decimal>,
        /// The largest number that can be reached.
        max: Option<Decimal>,
        /// What a step costs, in whatever the pack reckons effort by.
        cost: Decimal,
    },
    /// A choice or a truth value: what it costs to come to each, by value.
    Values(IndexMap<String, Decimal>),
}

/// What a release has to pass before it replaces one of this pack: a comparison with it over all customers, and what else is said here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publishing {
    /// Whether somebody else than its author has to approve it.
    pub second_person: bool,
    /// Largest share of the customers, from 0 to 1, whose outcome of one policy may change without a written reason.
    pub moved_at_most: Option<Decimal>,
    /// Largest share, from 0 to 1, by which the sum of an entitlement may change without a written reason.
    pub sums_within: Option<Decimal>,
    /// Movements that want a written reason, whomever they concern.
    pub never: Vec<Movement>,
}

/// What holds for persons who decide instead of a policy. Which policies that may be stands with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"longest": 366, "warn_after": 30}))]
pub struct Overriding {
    /// For how many days one may last at most, the first and the last one included.
    pub longest: u16,
    /// After how many days on which the policy says otherwise that is a warning.
    pub warn_after: u16,
}

impl Default for Overriding {
    fn default() -> Self {
        Self { longest: 366, warn_after: 30 }
    }
}

/// What holds for appeals against decisions. Against which policies they may go stands with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"file_within": 30, "answer_within": 15}))]
pub struct Appealing {
    /// Within how many days after an outcome has come an appeal against it is filed.
    pub file_within: u16,
    /// Within how many days it is answered.
    pub answer_within: u16,
}

impl Default for Appealing {
    fn default() -> Self {
        Self { file_within: 30, answer_within: 15 }
    }
}

/// How service staff are evaluated, and what is distributed among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"policy": "technician_score", "by": "area", "collected": "collected", "share": "0.001"}))]
pub struct Staffing {
    /// The policy about employees whose score is the final one.
    pub policy: String,
    /// The choice field of customers whose values are the areas that employees serve.
    pub by: String,
    /// The metric of customers that has what was collected of each in the month before the as-of date.
    pub collected: String,
    /// Which share of that, from 0 to 1, is distributed.
    #[schema(value_type = DecimalText)]
    pub share: Decimal,
}

/// How the distributions of two runs are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drifting {
    /// Choice or boolean fields whose values make groups of customers.
    pub by: Vec<String>,
    /// The population stability index of outcomes that alarms.
    pub alarm_from: Decimal,
}

impl Default for Drifting {
    /// No groups, and 0.25: from there on a population has changed for good (N. Siddiqi, Credit Risk Scorecards, 2006).
    fn default() -> Self {
        Self { by: Vec::new(), alarm_from: Decimal::new(25, 2) }
    }
}

/// A list of customers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListDeclaration {
    /// The policy whose outcomes lead to it; absent where it is kept by hand alone.
    pub policy: Option<String>,
    /// Those outcomes.
    pub outcomes: Vec<String>,
}

/// What may be published of an area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The field whose value makes an area.
    pub by: String,
    /// The policies whose standing outcomes may be shown.
    pub policies: Vec<String>,
    /// Fields that are shown beside; none of them is personal.
    pub show: Vec<String>,
}

/// From one outcome of a policy to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// The policy's id.
    pub policy: String,
    /// The outcome before.
    pub from: String,
    /// The outcome after.
    pub to: String,
}

/// A population that subjects are compared with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CohortDeclaration {
    /// The metric or numeric field whose distribution counts.
    pub value: String,
    /// Choice or boolean fields whose values make groups.
    #[serde(default)]
    pub group: Vec<String>,
    /// Fewest customers of a group that has cuts of its own.
    #[serde(default)]
    pub minimum: u64,
    /// Where classes are cut.
    pub cuts: CutRule,
    /// Only customers with one of these values, by field.
    #[serde(default)]
    pub population: BTreeMap<String, Vec<String>>,
}

/// Where the classes of a cohort are cut.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CutRule {
    /// At shares of the number of customers, ascending, each above 0 and below 1.
    Quantiles(Vec<Decimal>),
    /// At shares of the sum of the value, largest customers first, ascending, each above 0 and below 1.
    Pareto(Vec<Decimal>),
    /// At every hundredth of the number of customers; must be `true`.
    Ranks(bool),
}

/// One policy as the manifest declares it.
#[derive(Clone, Debug)]
pub struct PolicyDeclaration {
    /// Whether it is a general policy, whose files stand in `common/<policy>`.
    pub common: bool,
    /// What it decides about.
    pub subject: SubjectKind,
    /// Its outcomes, best first; for cells the combinations, joined by `_`.
    pub outcomes: Vec<String>,
    /// The parts of each outcome, where they are declared as cells.
    pub cells: Vec<Vec<String>>,
    /// How often its outcome may change.
    pub cadence: Cadence,
    /// Keys of its score's parts.
    pub indicators: Vec<String>,
    /// What its outcomes entitle to.
    pub entitlements: IndexMap<String, EntitlementDeclaration>,
    /// What keeps its outcomes from one closing to the next.
    pub stability: Option<Stability>,
    /// Whether a person may decide instead. Never where outcomes entitle to something: the script doesn't know then what stands.
    pub overridable: bool,
    /// Whether an appeal may go against its decisions.
    pub appealable: bool,
}

impl PolicyDeclaration {
    /// The path of its script inside the pack.
    pub fn script_path(&self, id: &str) -> String {
        if self.common { common(id, "policy.rhai") } else { script_path(id) }
    }

    /// The path of its cases inside the pack.
    pub fn cases_path(&self, id: &str) -> String {
        if self.common { common(id, "cases.toml") } else { format!("cases/{id}.toml") }
    }
}

/// The path of the script of a policy that is the pack's own.
pub(super) fn script_path(id: &str) -> String {
    format!("policies/{id}.rhai")
}

/// Type and unit of an entitlement.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntitlementDeclaration {
    /// What its value is.
    #[serde(rename = "type")]
    pub entitlement_type: EntitlementType,
    /// Unit of a number.
    pub unit: Option<String>,
}

/// What the value of an entitlement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntitlementType {
    /// An exact number.
    Decimal,
    /// A whole number.
    Integer,
    /// A text.
    Text,
    /// Yes or no.
    Boolean,
    /// A list of texts.
    Texts,
}

impl EntitlementType {
    /// What a script has to give.
    pub(super) fn wanted(self) -> &'static str {
        match self {
            Self::Decimal => "a number",
            Self::Integer => "a whole number",
            Self::Text => "a text",
            Self::Boolean => "true or false",
            Self::Texts => "a list of texts",
        }
    }
}
