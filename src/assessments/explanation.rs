//! Explaining an assessment: what decided in each policy, how far the next outcome is, and what would lead there; and who may see what.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use super::model::Assessment;
use super::paths::{self, Goal, Path, Search};
use crate::db::{self, Conn};
use crate::policy::model::{Decision, Indicator, PolicyResult, Verdict};
use crate::releases::active::InForce;

/// Paths that are told of each policy.
const PATHS: usize = 3;
/// Combinations that are tried for each policy: of all policies together somebody waits for an answer.
const COMBINATIONS: usize = 500;

/// For whom something is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reader {
    /// The customer himself: outcomes, sentences, what would lead to more. Neither weights nor what others have.
    Customer,
    /// His account manager: also parts of scores and what was read.
    AccountManager,
    /// An auditor: also errors, computed outcomes, and by which rules, relative to whom.
    Auditor,
}

impl Reader {
    /// All readers.
    pub const ALL: [Self; 3] = [Self::Customer, Self::AccountManager, Self::Auditor];

    /// His name.
    pub fn key(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::AccountManager => "account_manager",
            Self::Auditor => "auditor",
        }
    }

    /// The reader of a name.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reader| reader.key() == key)
    }
}

/// What decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// A person, instead of the policy.
    Override,
    /// What keeps outcomes stable held another one than the figures alone say.
    Stability,
    /// The band in which a value lies.
    Band,
    /// The part of the score from which most is missing.
    Indicator,
    /// The first reason that the script gave.
    Reason,
    /// A row of a table.
    Row,
}

/// How far the next better outcome of a band is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distance {
    /// The outcome.
    pub outcome: String,
    /// What is missing of the value that the band looks at.
    pub missing: Decimal,
    /// Where it begins.
    pub from: Decimal,
}

/// Why one policy decided as it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyExplanation {
    /// What decided; absent where the script gave no reason and no score, and asked no table.
    pub by: Option<DecidedBy>,
    /// The part of the score from which most is missing, where there is a score.
    pub weakest: Option<Indicator>,
    /// How far the next better band is, where a band decided.
    pub distance: Option<Distance>,
    /// The rows of tables that the script asked for, each as its constant and the row's name, in the order of the constants.
    pub rows: Vec<String>,
    /// What would have led to the next better outcome, the cheapest first.
    pub paths: Vec<Path>,
}

/// Reads what looking for paths from a kept assessment needs, for each policy that decided.
pub fn prepare(conn: &mut Conn, in_force: &InForce, kept: &Assessment) -> db::Result<BTreeMap<String, Option<Search>>> {
    let decided = kept.assessed.policies.iter().filter_map(PolicyResult::outcome);
    let search = |(policy, _): (String, String)| {
        let goal = Goal { policy: policy.clone(), outcome: None };
        Ok((policy, paths::of_kept(conn, in_force, kept, goal)?))
    };
    decided.map(search).collect()
}

/// Why each policy of a kept assessment decided as it did, by policy; those that didn't decide are left out. Needs a stack of 16 MiB.
pub fn explain(
    kept: &Assessment,
    mut searches: BTreeMap<String, Option<Search>>,
) -> BTreeMap<String, PolicyExplanation> {
    let policies = kept.assessed.policies.iter();
    let explained = policies.filter_map(|PolicyResult { policy, result, .. }| {
        let Verdict::Decided(decision) = result else { return None };
        let search = searches.remove(policy).flatten();
        let rows = search.as_ref().map(Search::rows).unwrap_or_default();
        let paths = search.map(|search| search.find(COMBINATIONS).paths).unwrap_or_default();
        let paths = paths.into_iter().take(PATHS).collect();
        Some((policy.clone(), PolicyExplanation { paths, ..of_decision(decision, rows) }))
    });
    explained.collect()
}

fn of_decision(decision: &Decision, rows: Vec<String>) -> PolicyExplanation {
    let distance = distance(decision);
    let weakest = weakest(&decision.indicators).cloned();
    let has_band = decision.reasons.iter().any(|reason| reason.code == "band");
    let by = match (&decision.computed, &weakest) {
        _ if decision.overridden.is_some() => Some(DecidedBy::Override),
        (Some(_), _) => Some(DecidedBy::Stability),
        (None, Some(_)) => Some(DecidedBy::Indicator),
        (None, None) if has_band => Some(DecidedBy::Band),
        (None, None) if decision.reasons.is_empty() => rows.first().map(|_| DecidedBy::Row),
        (None, None) => Some(DecidedBy::Reason),
    };
    PolicyExplanation { by, weakest, distance, rows, paths: Vec::new() }
}

/// How far the next better band is.
fn distance(decision: &Decision) -> Option<Distance> {
    let band = decision.reasons.iter().find(|reason| reason.code == "band")?;
    let number = |name: &str| band.values.get(name)?.parse::<Decimal>().ok();
    let (value, from) = (number("value")?, number("next")?);
    Some(Distance { outcome: band.values.get("next_outcome")?.clone(), missing: from.checked_sub(value)?, from })
}

/// The part from which most is missing: what it could still add at the full 100 points.
fn weakest(indicators: &[Indicator]) -> Option<&Indicator> {
    let present: Decimal = indicators.iter().filter(|one| one.value.is_some()).map(|one| one.weight).sum();
    let missing = |one: &&Indicator| {
        let full = Decimal::ONE_HUNDRED.checked_mul(one.weight)?.checked_div(present)?;
        Some(full - one.contribution?)
    };
    indicators.iter().filter(|one| one.value.is_some()).max_by_key(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::model::Reason;

    fn decision(band: &[(&str, &str)], indicators: Vec<Indicator>, computed: Option<&str>) -> Decision {
        let values: BTreeMap<String, String> =
            band.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let reasons = if values.is_empty() { Vec::new() } else { vec![Reason { code: "band".to_owned(), values }] };
        Decision {
            outcome: "3".to_owned(),
            computed: computed.map(str::to_owned),
            overridden: None,
            score: None,
            indicators,
            reasons,
            entitlements: BTreeMap::new(),
        }
    }

    fn indicator(key: &str, weight: i64, value: Option<i64>) -> Indicator {
        let contribution = value.map(|value| Decimal::from(value * weight) / Decimal::ONE_HUNDRED);
        let (weight, value) = (Decimal::from(weight), value.map(Decimal::from));
        Indicator { key: key.to_owned(), value, weight, contribution, parts: Vec::new() }
    }

    #[test]
    fn a_band_tells_how_far_the_next_one_is() {
        let band = [("value", "12.5"), ("from", "10"), ("next", "15"), ("next_outcome", "2")];
        let explained = of_decision(&decision(&band, Vec::new(), None), Vec::new());
        assert_eq!(explained.by, Some(DecidedBy::Band));
        let distance = Distance { outcome: "2".to_owned(), missing: "2.5".parse().unwrap(), from: Decimal::from(15) };
        assert_eq!(explained.distance, Some(distance));
        let best = of_decision(&decision(&[("value", "25"), ("from", "20")], Vec::new(), None), Vec::new());
        assert_eq!(best.distance, None, "nothing is better than the best");
        assert_eq!(of_decision(&decision(&band, Vec::new(), Some("1")), Vec::new()).by, Some(DecidedBy::Stability));
    }

    #[test]
    fn the_weakest_part_is_the_one_from_which_most_is_missing() {
        // 40 × 0.5 = 20 are missing of the first, 60 × 0.1 = 6 of the second; nobody knows the third.
        let parts = vec![indicator("a", 40, Some(50)), indicator("b", 60, Some(90)), indicator("c", 10, None)];
        let explained = of_decision(&decision(&[], parts, None), Vec::new());
        assert_eq!((explained.by, explained.weakest.unwrap().key), (Some(DecidedBy::Indicator), "a".to_owned()));
        assert_eq!(of_decision(&decision(&[], Vec::new(), None), Vec::new()).by, None);
        let row = vec!["TERMS, row 2".to_owned()];
        assert_eq!(of_decision(&decision(&[], Vec::new(), None), row).by, Some(DecidedBy::Row));
    }
}
