//! What a comparison counts: how each policy's outcomes move from one release to another, whom that concerns, and what it costs.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::model::Flag;
use crate::Id;
use crate::policy::model::{Assessed, Entitlement, PolicyResult, Verdict};

/// Most values by which customers are counted; a field with more tells nothing at a glance.
const MAX_GROUPS: usize = 100;
/// Most movers that are named, of each policy.
pub const MAX_MOVERS: usize = 20;
/// Most messages of new failures that are kept, of each policy.
const MAX_FAILURES: usize = 10;

/// What one side says of a customer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum Side {
    /// The policy decided this outcome.
    Outcome(String),
    /// It failed or is blocked.
    Undecided(Flag),
    /// The release doesn't have the policy.
    Absent,
}

impl Side {
    /// What a result says; nothing where the release does not have the policy.
    pub fn of(result: Option<&PolicyResult>) -> Self {
        match result.map(|result| &result.result) {
            None => Self::Absent,
            Some(Verdict::Decided(decision)) => Self::Outcome(decision.outcome.clone()),
            Some(Verdict::Failed(_)) => Self::Undecided(Flag::Failed),
            Some(Verdict::Blocked(_)) => Self::Undecided(Flag::Blocked),
        }
    }

    /// The outcome, if there is one.
    pub fn outcome(&self) -> Option<&str> {
        if let Self::Outcome(outcome) = self { Some(outcome) } else { None }
    }
}

impl From<Side> for String {
    /// The key of a map: outcomes have a sign before them, so that none is taken for something else.
    fn from(side: Side) -> Self {
        match side {
            Side::Outcome(outcome) => format!("={outcome}"),
            Side::Undecided(flag) => flag.key().to_owned(),
            Side::Absent => "absent".to_owned(),
        }
    }
}

impl From<String> for Side {
    fn from(key: String) -> Self {
        match key.strip_prefix('=') {
            Some(outcome) => Self::Outcome(outcome.to_owned()),
            None => Flag::from_key(&key).map_or(Self::Absent, Self::Undecided),
        }
    }
}

/// Customers by what the release in force says and what the other one says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moves(BTreeMap<Side, BTreeMap<Side, u64>>);

impl Moves {
    /// Counts a customer.
    pub fn count(&mut self, from: Side, to: Side) {
        *self.0.entry(from).or_default().entry(to).or_default() += 1;
    }

    /// Adds what was counted of other customers.
    pub fn add(&mut self, other: Self) {
        for (from, row) in other.0 {
            let sums = self.0.entry(from).or_default();
            row.into_iter().for_each(|(to, number)| *sums.entry(to).or_default() += number);
        }
    }

    /// The combinations that occur, with their number of customers.
    pub fn cells(&self) -> impl Iterator<Item = (&Side, &Side, u64)> {
        self.0.iter().flat_map(|(from, row)| row.iter().map(move |(to, number)| (from, to, *number)))
    }

    /// Customers for whom both releases decided.
    pub fn decided(&self) -> u64 {
        self.sum(|from, to| from.outcome().is_some() && to.outcome().is_some())
    }

    /// Customers whose outcome differs: those for whom both releases decided.
    pub fn moved(&self) -> u64 {
        self.sum(|from, to| from.outcome().is_some() && to.outcome().is_some() && from != to)
    }

    /// Customers for whom the other release fails and the one in force doesn't.
    pub fn newly_failed(&self) -> u64 {
        let failed = |side: &Side| *side == Side::Undecided(Flag::Failed);
        self.sum(|from, to| failed(to) && !failed(from))
    }

    /// Customers who have an outcome by the release in force, while the other one doesn't have the policy.
    pub fn removed(&self) -> u64 {
        self.sum(|from, to| from.outcome().is_some() && *to == Side::Absent)
    }

    /// The share of the customers whose outcome differs, from 0 to 1, with six places.
    pub fn share_moved(&self) -> Decimal {
        let decided = Decimal::from(self.decided());
        Decimal::from(self.moved()).checked_div(decided).unwrap_or_default().round_dp(6)
    }

    /// Number of customers who move from one outcome to another.
    pub fn moving(&self, from: &str, to: &str) -> u64 {
        self.sum(|before, after| before.outcome() == Some(from) && after.outcome() == Some(to))
    }

    fn sum(&self, counts: impl Fn(&Side, &Side) -> bool) -> u64 {
        self.cells().filter(|(from, to, _)| counts(from, to)).map(|(_, _, number)| number).sum()
    }
}

/// A customer whose outcome differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mover {
    /// His id.
    pub customer_id: Id,
    /// By how many places the outcome differs among those declared: above 0 is worse.
    pub steps: i64,
}

/// The sum of an entitlement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// By the release in force.
    pub before: Decimal,
    /// By the candidate.
    pub after: Decimal,
}

/// How long a policy took, for some of the customers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Customers for whom it was measured.
    pub measured: u64,
    /// Nanoseconds of all of them, by the release in force.
    pub before: u64,
    /// Nanoseconds of all of them, by the candidate.
    pub after: u64,
}

/// What was counted of one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyTally {
    /// Customers whose outcome would differ without stability: those for whom both scripts decided something else.
    pub moved_by_script: u64,
    /// Customers by what the release in force says and what the candidate says.
    pub matrix: Moves,
    /// Sums of numbers to which outcomes entitle, by key.
    pub sums: BTreeMap<String, Sums>,
    /// Customers whose outcome differs, by field and value.
    pub moved_by: BTreeMap<String, BTreeMap<String, u64>>,
    /// Those whose outcome differs most.
    pub movers: Vec<Mover>,
    /// What was said where the candidate fails and the release in force doesn't: some of it.
    pub failures: BTreeMap<String, Id>,
    /// What it costs.
    pub cost: Cost,
}

impl PolicyTally {
    fn add(&mut self, other: Self) {
        self.moved_by_script += other.moved_by_script;
        self.matrix.add(other.matrix);
        for (key, sums) in other.sums {
            let all = self.sums.entry(key).or_default();
            all.before += sums.before;
            all.after += sums.after;
        }
        for (field, counts) in other.moved_by {
            let sums = self.moved_by.entry(field).or_default();
            counts.into_iter().for_each(|(value, number)| *sums.entry(value).or_default() += number);
        }
        self.movers.extend(other.movers);
        self.keep_largest();
        for (message, customer) in other.failures {
            self.fail(message, customer);
        }
        self.cost.measured += other.cost.measured;
        self.cost.before += other.cost.before;
        self.cost.after += other.cost.after;
    }

    fn fail(&mut self, message: String, customer: Id) {
        if self.failures.len() < MAX_FAILURES || self.failures.contains_key(&message) {
            self.failures.entry(message).or_insert(customer);
        }
    }

    fn keep_largest(&mut self) {
        self.movers.sort_by_key(|mover| (std::cmp::Reverse(mover.steps.abs()), mover.customer_id));
        self.movers.truncate(MAX_MOVERS);
    }
}

/// What was counted of all policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Customers compared.
    pub customers: u64,
    /// Customers by field and value; nothing for a field with too many values.
    pub fields: BTreeMap<String, Option<BTreeMap<String, u64>>>,
    /// By policy: those of the candidate, and those of the release in force that it doesn't have.
    pub policies: BTreeMap<String, PolicyTally>,
}

impl Tally {
    /// Counts a customer with the values by which customers are counted, and with what both releases say of him.
    pub fn count(&mut self, customer: Id, values: &[(&str, String)], sides: [&Assessed; 2], scales: &Scales) {
        self.customers += 1;
        for (field, value) in values {
            if !self.fields.contains_key(*field) {
                self.fields.insert((*field).to_owned(), Some(BTreeMap::new()));
            }
            let Some(Some(counts)) = self.fields.get_mut(*field) else { continue };
            match counts.get_mut(value) {
                Some(count) => *count += 1,
                None => drop(counts.insert(value.clone(), 1)),
            }
        }
        let [before, after] = sides;
        let find = |side: &'_ Assessed, policy: &str| side.policies.iter().position(|result| result.policy == policy);
        for result in &after.policies {
            let old = find(before, &result.policy).and_then(|place| before.policies.get(place));
            self.count_policy(&result.policy, customer, values, (old, Some(result)), scales);
        }
        for gone in before.policies.iter().filter(|result| find(after, &result.policy).is_none()) {
            self.count_policy(&gone.policy, customer, values, (Some(gone), None), scales);
        }
        self.forget_unclear();
    }

    fn count_policy(
        &mut self,
        policy: &str,
        customer: Id,
        values: &[(&str, String)],
        (old, new): (Option<&PolicyResult>, Option<&PolicyResult>),
        scales: &Scales,
    ) {
        let (from, to) = (Side::of(old), Side::of(new));
        let tally = self.policies.entry(policy.to_owned()).or_default();
        if let (Some(before), Some(after)) = (from.outcome(), to.outcome())
            && before != after
        {
            for (field, value) in values {
                *tally.moved_by.entry((*field).to_owned()).or_default().entry(value.clone()).or_default() += 1;
            }
            tally.movers.push(Mover { customer_id: customer, steps: scales.steps(policy, before, after) });
            if tally.movers.len() > 2 * MAX_MOVERS {
                tally.keep_largest();
            }
        }
        tally.moved_by_script += u64::from(computed(old).zip(computed(new)).is_some_and(|(old, new)| old != new));
        for (result, is_after) in [(old, false), (new, true)] {
            for (key, number) in scales.numbers(policy, result) {
                let sums = tally.sums.entry(key.to_owned()).or_default();
                *(if is_after { &mut sums.after } else { &mut sums.before }) += number;
            }
        }
        if let Some(Verdict::Failed(said)) = new.map(|result| &result.result)
            && !matches!(from, Side::Undecided(Flag::Failed))
        {
            tally.fail(said.chars().take(500).collect(), customer);
        }
        tally.matrix.count(from, to);
    }

    /// Adds what was counted of other customers.
    pub fn add(&mut self, other: Self) {
        self.customers += other.customers;
        for (field, counts) in other.fields {
            let all = self.fields.entry(field).or_insert_with(|| Some(BTreeMap::new()));
            match (all.as_mut(), counts) {
                (Some(sums), Some(counts)) => {
                    counts.into_iter().for_each(|(value, number)| *sums.entry(value).or_default() += number);
                }
                _ => *all = None,
            }
        }
        for (policy, tally) in other.policies {
            self.policies.entry(policy).or_default().add(tally);
        }
        self.forget_unclear();
        self.policies.values_mut().for_each(PolicyTally::keep_largest);
    }

    /// Leaves out the fields with too many values.
    fn forget_unclear(&mut self) {
        for (field, counts) in &mut self.fields {
            if counts.as_ref().is_none_or(|counts| counts.len() > MAX_GROUPS) {
                *counts = None;
                self.policies.values_mut().for_each(|tally| drop(tally.moved_by.remove(field)));
            }
        }
    }
}

/// What a script decided, whatever stability or an override made of it.
fn computed(result: Option<&PolicyResult>) -> Option<&String> {
    match &result?.result {
        Verdict::Decided(decision) => Some(decision.computed_outcome()),
        Verdict::Failed(_) | Verdict::Blocked(_) => None,
    }
}

/// What outcomes and entitlements of two releases mean in numbers.
#[derive(Debug, Default)]
pub struct Scales {
    places: BTreeMap<String, BTreeMap<String, i64>>,
    numbers: BTreeMap<String, BTreeSet<String>>,
}

impl Scales {
    /// Enters a policy's outcomes, best first, and the keys of those of its entitlements that are numbers. Where it is entered a second
    /// time, outcomes have the place that they have then.
    pub fn enter<'a>(&mut self, policy: &str, outcomes: &[String], numbers: impl Iterator<Item = &'a String>) {
        let places = (0..).zip(outcomes).map(|(place, outcome)| (outcome.clone(), place));
        self.places.entry(policy.to_owned()).or_default().extend(places);
        self.numbers.entry(policy.to_owned()).or_default().extend(numbers.cloned());
    }

    fn steps(&self, policy: &str, from: &str, to: &str) -> i64 {
        let place = |outcome: &str| self.places.get(policy)?.get(outcome).copied();
        place(from).zip(place(to)).map_or(0, |(from, to)| to - from)
    }

    fn numbers<'a>(
        &'a self,
        policy: &str,
        result: Option<&'a PolicyResult>,
    ) -> impl Iterator<Item = (&'a str, Decimal)> {
        let decision = result.and_then(|result| match &result.result {
            Verdict::Decided(decision) => Some(decision),
            Verdict::Failed(_) | Verdict::Blocked(_) => None,
        });
        self.numbers.get(policy).into_iter().flatten().filter_map(move |key| match decision?.entitlements.get(key) {
            Some(Entitlement::Text(number)) => Some((key.as_str(), number.parse().ok()?)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::model::Decision;

    fn assessed(outcome: Option<&str>, supply: &str) -> Assessed {
        let decided = |outcome: &str| {
            let entitlements = [("supply".to_owned(), Entitlement::Text(supply.to_owned()))].into();
            Verdict::Decided(Decision {
                outcome: outcome.to_owned(),
                computed: None,
                overridden: None,
                score: None,
                indicators: Vec::new(),
                reasons: Vec::new(),
                entitlements,
            })
        };
        let result = outcome.map_or(Verdict::Failed("no".to_owned()), decided);
        Assessed { policies: vec![PolicyResult { policy: "grade".to_owned(), result, inputs: Vec::new() }] }
    }

    fn scales() -> Scales {
        let mut scales = Scales::default();
        scales.enter("grade", &["A", "B", "C"].map(str::to_owned), ["supply".to_owned()].iter());
        scales
    }

    #[test]
    fn matrix_sums_groups_and_movers_are_those_of_the_customers() {
        let mut tally = Tally::default();
        let ids = [Id::new(), Id::new(), Id::new(), Id::new()];
        let sides = [
            (Some("A"), Some("A"), "north"),
            (Some("A"), Some("C"), "north"),
            (Some("B"), Some("A"), "south"),
            (Some("B"), None, "south"),
        ];
        for (id, (from, to, area)) in ids.iter().zip(sides) {
            let values = [("area", area.to_owned())];
            tally.count(*id, &values, [&assessed(from, "10"), &assessed(to, "7.5")], &scales());
        }
        let grade = &tally.policies["grade"];
        let moves = &grade.matrix;
        assert_eq!((moves.decided(), moves.moved(), moves.newly_failed()), (3, 2, 1));
        assert_eq!((moves.share_moved().to_string(), moves.moving("A", "C")), ("0.666667".to_owned(), 1));
        assert_eq!(grade.sums["supply"], Sums { before: Decimal::from(40), after: "22.5".parse().unwrap() });
        assert_eq!(grade.moved_by["area"], [("north".to_owned(), 1), ("south".to_owned(), 1)].into());
        let steps: Vec<(Id, i64)> = grade.movers.iter().map(|mover| (mover.customer_id, mover.steps)).collect();
        assert_eq!(steps, [(ids[1], 2), (ids[2], -1)], "the largest comes first");
        assert_eq!(grade.failures.keys().collect::<Vec<_>>(), ["no"]);
        assert_eq!(tally.fields["area"], Some([("north".to_owned(), 2), ("south".to_owned(), 2)].into()));
    }

    #[test]
    fn parts_add_up_to_the_whole_and_survive_being_kept() {
        let (mut whole, mut parts) = (Tally::default(), Tally::default());
        for number in 0..60 {
            let id = Id::new();
            let values = [("area", (number % 3).to_string()), ("name", number.to_string())];
            let to = ["A", "B", "C"][number % 3];
            let sides = [&assessed(Some("B"), "1"), &assessed(Some(to), "2")];
            whole.count(id, &values, sides, &scales());
            let mut part = Tally::default();
            part.count(id, &values, sides, &scales());
            parts.add(serde_json::from_str(&serde_json::to_string(&part).unwrap()).unwrap());
        }
        whole.policies.values_mut().for_each(PolicyTally::keep_largest);
        assert_eq!(whole, parts);
        assert_eq!(whole.policies["grade"].movers.len(), MAX_MOVERS);
    }

    #[test]
    fn a_field_with_too_many_values_is_left_out() {
        let mut tally = Tally::default();
        for number in 0..=MAX_GROUPS {
            let values = [("name", number.to_string())];
            tally.count(Id::new(), &values, [&assessed(Some("A"), "1"), &assessed(Some("B"), "1")], &scales());
        }
        assert_eq!(tally.fields["name"], None);
        assert!(tally.policies["grade"].moved_by.is_empty());
    }
}
