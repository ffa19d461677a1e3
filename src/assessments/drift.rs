//! Whether outcomes drift: how a run's customers are distributed, against the run before it, by policy and by group, and what has moved
//! where that alarms.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;

use super::distribution::{Bin, Counted, Distribution};
use super::model::Run;
use super::store;
use crate::Id;
use crate::customers::model::FieldType;
use crate::db::{self, Conn};
use crate::events::model::{Content, DriftAlarm, Event, EventKind};
use crate::policy::changes::changed_policies;
use crate::policy::engine::Needed;
use crate::policy::model::Cause;
use crate::policy::pack::Drifting;
use crate::policy::release::LoadedPack;
use crate::releases;
use crate::releases::active::{Active, InForce};

/// From which index on a value that policies read has moved: below it nothing worth a look has changed (N. Siddiqi, Credit Risk
/// Scorecards, 2006).
const MOVED_FROM: f64 = 0.1;
/// Numbers are put together until each class has this part of the earlier run's customers.
const CLASSES: u64 = 10;

/// What is counted of each customer of a run.
pub struct Counting {
    /// Keys of the fields and metrics whose values are counted: those that policies read, without lists, free text and what is personal.
    pub keys: BTreeSet<String>,
    /// Fields whose values make groups.
    pub by: Vec<String>,
}

impl Counting {
    /// What a release wants.
    pub fn of(release: &LoadedPack) -> Self {
        let countable = |key: &String| {
            release.pack.fields.get(key).is_some_and(|field| {
                let kind = field.field_type;
                let counts = matches!(kind, FieldType::Choice | FieldType::Boolean | FieldType::Date);
                !field.personal && (counts || matches!(kind, FieldType::Integer | FieldType::Decimal))
            })
        };
        let mut keys = release.policies.reads(|facts| &facts.fields);
        keys.retain(countable);
        keys.extend(release.policies.reads(|facts| &facts.metrics));
        Self { keys, by: release.pack.drift.by.clone() }
    }
}

/// How far outcomes have drifted from one run to another.
#[derive(Clone, Debug, Default)]
pub struct Drift {
    /// The run before; absent where there is none.
    pub compared_with: Option<Id>,
    /// The policies that both have, in the order of the pack.
    pub policies: Vec<PolicyDrift>,
}

/// How far the outcomes of a policy have drifted.
#[derive(Clone, Debug)]
pub struct PolicyDrift {
    /// The policy.
    pub policy: String,
    /// All customers first, then those groups that both runs have.
    pub groups: Vec<GroupDrift>,
}

/// How far the outcomes of a policy have drifted in a group.
#[derive(Clone, Debug)]
pub struct GroupDrift {
    /// The field and the value that make it; absent for all customers.
    pub group: Option<(String, String)>,
    /// Its customers now.
    pub customers: u64,
    /// Its customers in the run before.
    pub customers_before: u64,
    /// The population stability index of the outcomes.
    pub index: Index,
    /// Whether it reaches what the pack alarms from, and more than chance makes it.
    pub alarm: bool,
    /// What has moved; nothing where the index isn't larger than chance makes it.
    pub moved: Vec<Cause>,
    /// What the policy reads, also through others, that which has moved most first.
    pub inputs: Vec<(String, Index)>,
}

/// A population stability index: Σ (now − before) × ln(now ÷ before) over the shares of classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Index {
    /// The index, with four places.
    pub value: Decimal,
    /// Whether it is larger than chance makes it in one of a hundred cases.
    pub beyond_chance: bool,
}

impl Index {
    /// Of customers by class, before and now; nothing where one side has none. A class without customers counts as half a one.
    ///
    /// Where nothing changes, the index × nm ÷ (n + m) follows χ² with a degree of freedom less than there are classes (B. Yurdakul, J.
    /// Naranjo, Statistical properties of the population stability index, 2020); its quantile is Wilson's and Hilferty's.
    pub fn of(classes: &[(u64, u64)]) -> Option<Self> {
        let number = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let (before, now) = classes.iter().fold((0, 0), |(before, now), class| (before + class.0, now + class.1));
        if before == 0 || now == 0 {
            return None;
        }
        let (before, now) = (number(before), number(now));
        let index: f64 = classes
            .iter()
            .filter(|class| **class != (0, 0))
            .map(|class| {
                let (was, is) = (number(class.0).max(0.5) / before, number(class.1).max(0.5) / now);
                (is - was) * libm::log(is / was)
            })
            .sum();
        let degrees = f64::from(u32::try_from(classes.len()).unwrap_or(u32::MAX)) - 1.0;
        let spread = 2.0 / (9.0 * degrees.max(1.0));
        let quantile = degrees * libm::pow(1.0 - spread + 2.326 * libm::sqrt(spread), 3.0);
        Some(Self {
            value: Decimal::from_f64(index).unwrap_or_default().round_dp(4).normalize(),
            beyond_chance: index * before * now / (before + now) > quantile,
        })
    }

    fn reaches(self, from: Decimal) -> bool {
        self.beyond_chance && self.value >= from
    }
}

/// Customers before and now, outcome by outcome.
fn of_outcomes<B: Ord>(before: &BTreeMap<B, u64>, now: &BTreeMap<B, u64>) -> Vec<(u64, u64)> {
    let bins: BTreeSet<&B> = before.keys().chain(now.keys()).collect();
    let count = |side: &BTreeMap<B, u64>, bin: &B| side.get(bin).copied().unwrap_or_default();
    bins.into_iter().map(|bin| (count(before, bin), count(now, bin))).collect()
}

/// Customers before and now by classes of a value: numbers are put together to tenths of the customers before.
fn of_values(before: &BTreeMap<Bin, u64>, now: &BTreeMap<Bin, u64>) -> Vec<(u64, u64)> {
    let is_number = |bin: &Bin| matches!(bin, Bin::Number(_));
    let split = |side: &BTreeMap<Bin, u64>, numbers: bool| -> BTreeMap<Bin, u64> {
        side.iter().filter(|(bin, _)| is_number(bin) == numbers).map(|(bin, count)| (bin.clone(), *count)).collect()
    };
    let mut classes = of_outcomes(&split(before, false), &split(now, false));
    let numbers = of_outcomes(&split(before, true), &split(now, true));
    let enough: u64 = numbers.iter().map(|(before, _)| before).sum::<u64>().div_ceil(CLASSES);
    let mut open = None;
    for (was, is) in numbers {
        let (before, now) = open.unwrap_or((0, 0));
        let class = (before + was, now + is);
        open = Some(class).filter(|class| class.0 < enough);
        if open.is_none() {
            classes.push(class);
        }
    }
    // What is left over belongs to the last class.
    match (open, classes.last_mut()) {
        (Some(left), Some(last)) if enough > 0 => *last = (last.0 + left.0, last.1 + left.1),
        (Some(left), _) => classes.push(left),
        (None, _) => {}
    }
    classes
}

/// How far the outcomes of a run have drifted from the run before it; nothing where it isn't known how they are distributed.
pub fn of_run(conn: &mut Conn, in_force: &InForce, run: &Run) -> Result<Option<Drift>, db::Error> {
    let Some((now, compared_with)) = store::distribution(conn, run.id)? else { return Ok(None) };
    compare(conn, in_force, run.basis, &now, compared_with).map(Some)
}

fn compare(
    conn: &mut Conn,
    in_force: &InForce,
    basis: i64,
    now: &Distribution,
    compared_with: Option<Id>,
) -> Result<Drift, db::Error> {
    let Some(earlier) = compared_with else { return Ok(Drift::default()) };
    let (Some((before, _)), Some(run)) = (store::distribution(conn, earlier)?, store::run(conn, earlier)?) else {
        return Ok(Drift::default());
    };
    let active = state(conn, in_force, basis)?;
    let changes = Changes::between(conn, in_force, run.basis, &active)?;
    let declared = &active.release.pack.drift;
    let policies = active.release.pack.customer_policies().filter_map(|(policy, _)| {
        let read = active.release.policies.with_needed(&BTreeSet::from([policy.clone()]));
        let changed = changes.of(policy, &read);
        let group =
            |(group, counted)| group_drift((policy, &read), (group, before.part(group)?, counted), &changed, declared);
        let groups: Vec<GroupDrift> = now.parts().filter_map(group).collect();
        (!groups.is_empty()).then(|| PolicyDrift { policy: policy.clone(), groups })
    });
    Ok(Drift { compared_with, policies: policies.collect() })
}

fn state(conn: &mut Conn, in_force: &InForce, basis: i64) -> Result<Active, db::Error> {
    let basis = releases::store::basis(conn, basis)?
        .ok_or_else(|| db::Error::Corrupt(format!("the basis {basis} is missing")))?;
    in_force.state(conn, basis)
}

/// What differs between the states that two runs rest on.
struct Changes {
    policies: BTreeSet<String>,
    cohorts: BTreeSet<String>,
}

impl Changes {
    fn between(conn: &mut Conn, in_force: &InForce, earlier: i64, active: &Active) -> Result<Self, db::Error> {
        let before = match state(conn, in_force, earlier) {
            // One that can't be loaded any more has other rules, as far as can be said.
            Err(db::Error::Corrupt(_)) => None,
            before => Some(before?),
        };
        let policies = match &before {
            Some(before) if before.basis.release == active.basis.release => BTreeSet::new(),
            Some(before) => changed_policies(&before.release, &active.release),
            None => active.release.pack.policies.keys().cloned().collect(),
        };
        let cuts = |state: &Active, id: &String| state.cohort.cohorts.get(id).cloned();
        let differs = |id: &&String| before.as_ref().is_none_or(|before| cuts(before, id) != cuts(active, id));
        Ok(Self { policies, cohorts: active.release.pack.cohorts.keys().filter(differs).cloned().collect() })
    }

    fn of(&self, policy: &str, read: &Needed) -> Vec<Cause> {
        let rules = self.policies.contains(policy).then_some(Cause::Rules);
        let population = read.cohorts.iter().any(|id| self.cohorts.contains(id)).then_some(Cause::Population);
        rules.into_iter().chain(population).collect()
    }
}

fn group_drift(
    (policy, read): (&str, &Needed),
    (group, before, now): (Option<(&str, &str)>, &Counted, &Counted),
    changed: &[Cause],
    declared: &Drifting,
) -> Option<GroupDrift> {
    let index = Index::of(&of_outcomes(before.outcomes.get(policy)?, now.outcomes.get(policy)?))?;
    let input = |key: &String| {
        let index = Index::of(&of_values(before.inputs.get(key)?, now.inputs.get(key)?))?;
        Some((key.clone(), index))
    };
    let mut inputs: Vec<(String, Index)> = read.inputs.iter().filter_map(input).collect();
    inputs.sort_by(|one, other| other.1.value.cmp(&one.1.value).then_with(|| one.0.cmp(&other.0)));
    let moved_from = Decimal::from_f64(MOVED_FROM).unwrap_or_default();
    // Where neither rules nor statistics differ it can only be the data, whether one value shows it or not.
    let by_data = changed.is_empty() || inputs.iter().any(|(_, index)| index.reaches(moved_from));
    let moved = by_data.then_some(Cause::Data).into_iter().chain(changed.iter().copied()).collect();
    Some(GroupDrift {
        group: group.map(|(field, value)| (field.to_owned(), value.to_owned())),
        customers: now.customers,
        customers_before: before.customers,
        index,
        alarm: index.reaches(declared.alarm_from),
        moved: if index.beyond_chance { moved } else { Vec::new() },
        inputs,
    })
}

/// What the shards of a run have counted, put together, with the drift from the run before; nothing where they haven't counted everybody.
pub fn found(conn: &mut Conn, in_force: &InForce, run: &Run) -> Result<Option<(Distribution, Drift)>, db::Error> {
    let mut distribution = Distribution::default();
    for part in store::shard_tallies::<Distribution>(conn, run.id)? {
        distribution.add(&part);
    }
    if distribution.all.customers != run.progress.assessed || distribution.all.customers == 0 {
        return Ok(None);
    }
    let compared_with = store::distributed_before(conn, run.id)?;
    let drift = compare(conn, in_force, run.basis, &distribution, compared_with)?;
    Ok(Some((distribution, drift)))
}

/// The event of what alarms; nothing where nothing does.
pub fn event(run_id: Id, drift: &Drift) -> Option<Event> {
    let alarms: Vec<DriftAlarm> = drift
        .policies
        .iter()
        .flat_map(|of| of.groups.iter().filter(|group| group.alarm).map(|group| (&of.policy, group)))
        .map(|(policy, group)| DriftAlarm {
            policy: policy.clone(),
            field: group.group.as_ref().map(|(field, _)| field.clone()),
            value: group.group.as_ref().map(|(_, value)| value.clone()),
            index: group.index.value,
            moved: group.moved.clone(),
        })
        .collect();
    (!alarms.is_empty()).then(|| {
        Event::new(EventKind::DriftAlarm, None, Content { run_id: Some(run_id), alarms, ..Content::default() })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(classes: &[(u64, u64)]) -> String {
        Index::of(classes).unwrap().value.to_string()
    }

    #[test]
    fn the_index_is_that_of_its_formula() {
        // 0.1 × ln(0.6 ÷ 0.5) + (−0.1) × ln(0.4 ÷ 0.5) = 0.018232 + 0.022314.
        assert_eq!(value(&[(50, 60), (50, 40)]), "0.0405");
        // 0.2 × ln(0.7 ÷ 0.5) × … of 1,000: 0.2 × 0.336472 + 0.2 × 0.510826 = 0.169460.
        assert_eq!(value(&[(500, 700), (500, 300)]), "0.1695");
        assert_eq!(value(&[(5, 50), (5, 50)]), "0");
        assert_eq!(Index::of(&[(0, 3), (0, 4)]), None);
    }

    #[test]
    fn few_customers_alarm_by_more_than_many() {
        // χ² with one degree of freedom passes 6.63 in one of a hundred cases: 0.1695 × n ÷ 2 does from 79 customers on.
        assert!(!Index::of(&[(35, 49), (35, 21)]).unwrap().beyond_chance);
        assert!(Index::of(&[(50, 70), (50, 30)]).unwrap().beyond_chance);
    }

    #[test]
    fn numbers_are_put_together_to_tenths_of_those_before() {
        let bins = |counts: &[(i64, u64)]| {
            counts.iter().map(|(edge, count)| (Bin::Number(Decimal::from(*edge)), *count)).collect::<BTreeMap<_, _>>()
        };
        let before = bins(&[(1, 5), (2, 5), (3, 30), (4, 60)]);
        let now = bins(&[(2, 10), (3, 30), (5, 60)]);
        assert_eq!(of_values(&before, &now), [(10, 10), (30, 30), (60, 60)]);
    }

    proptest! {
        #[test]
        fn the_index_is_symmetric_never_below_zero_and_0_where_nothing_differs(
            classes in proptest::collection::vec((1_u64..1000, 1_u64..1000), 1..30),
        ) {
            let index = Index::of(&classes).unwrap();
            let turned: Vec<(u64, u64)> = classes.iter().map(|(before, now)| (*now, *before)).collect();
            prop_assert!(index.value >= Decimal::ZERO);
            prop_assert_eq!(Index::of(&turned).unwrap(), index);
            let same: Vec<(u64, u64)> = classes.iter().map(|(before, _)| (*before, *before)).collect();
            prop_assert!(Index::of(&same).unwrap().value.is_zero());
        }

        #[test]
        fn classes_lose_nobody(
            before in proptest::collection::btree_map(0_i64..50, 1_u64..100, 0..30),
            now in proptest::collection::btree_map(0_i64..50, 1_u64..100, 0..30),
        ) {
            let bins = |side: &BTreeMap<i64, u64>| -> BTreeMap<Bin, u64> {
                side.iter().map(|(edge, count)| (Bin::Number(Decimal::from(*edge)), *count)).collect()
            };
            let classes = of_values(&bins(&before), &bins(&now));
            let sum = classes.iter().fold((0, 0), |sum, class| (sum.0 + class.0, sum.1 + class.1));
            prop_assert_eq!(sum, (before.values().sum(), now.values().sum()));
        }
    }
}
