//! Why a customer's outcomes changed from one assessment to another: data, rules, the passing of time and the population are replaced
//! one after the other, and what the outcome moves by with each is its part; then come stability and overrides, so that the parts add up.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::assess::{Assessor, Before, Read};
use super::model::Assessment;
use super::store;
use crate::db::{self, Conn, Subjects};
use crate::digest::Digest;
use crate::policy::model::{Assessed, Cause, Decision, InputKind, PolicyResult, Verdict};
use crate::policy::pack::Pack;
use crate::releases::active::{Active, InForce};
use crate::releases::model::Basis;

/// The parts, in their order.
const CAUSES: [Cause; 6] =
    [Cause::Data, Cause::Rules, Cause::Time, Cause::Population, Cause::Stability, Cause::Override];

/// Where a decision lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Its outcome.
    pub outcome: String,
    /// The outcome's place among those declared, from 0 for the best.
    pub ordinal: i64,
    /// Its score, where the policy has one.
    pub score: Option<Decimal>,
}

/// What a cause adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The cause.
    pub cause: Cause,
    /// What it adds to the outcome's place: below 0 is better.
    pub ordinal: i64,
    /// What it adds to the score, where there is one before and after.
    pub score: Option<Decimal>,
}

/// Why one policy's decision changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyCauses {
    /// The policy.
    pub policy: String,
    /// What it decided before.
    pub before: Level,
    /// What it decided after.
    pub after: Level,
    /// One part for each cause.
    pub parts: Vec<Part>,
}

/// The policies that decided in both assessments of a customer, and otherwise in the later one, with the parts. What the customer's
/// data are now stands for what they were after the earlier one; what came after the later one is taken out of the data's part.
pub fn causes(
    conn: &mut Conn,
    in_force: &InForce,
    active: &Active,
    (before, after): (&Assessment, &Assessment),
) -> db::Result<Vec<PolicyCauses>> {
    let steps = [
        (before.release, before.as_of, before.cohort),
        (after.release, before.as_of, before.cohort),
        (after.release, after.as_of, before.cohort),
        (after.release, after.as_of, after.cohort),
    ];
    let packs = (in_force.release(conn, before.release)?, in_force.release(conn, after.release)?);
    let of = |assessment: &Assessment, pack: &Pack, outcome: fn(&Decision) -> &String| {
        self::levels(&assessment.assessed, pack, outcome)
    };
    let mut levels: Vec<Levels> = vec![of(before, &packs.0.pack, Decision::computed_outcome)];
    let mut last = None;
    for step in steps {
        let computed = match levels.last().filter(|_| last == Some(step)) {
            Some(same) => same.clone(),
            None => {
                let assessed = assess(conn, in_force, active, (step, after))?;
                let pack = if step.0 == before.release { &packs.0.pack } else { &packs.1.pack };
                self::levels(&assessed, pack, Decision::computed_outcome)
            }
        };
        levels.push(computed);
        last = Some(step);
    }
    levels.push(of(after, &packs.1.pack, Decision::computed_outcome));
    let ends = |outcome| [of(before, &packs.0.pack, outcome), of(after, &packs.1.pack, outcome)];
    let layers = [ends(Decision::held_outcome), ends(|decision| &decision.outcome)];
    let policies = after.assessed.policies.iter();
    let causes = policies.filter_map(|result| of_policy(&result.policy, &levels, &layers));
    Ok(causes.filter(|one| one.before != one.after).collect())
}

type Levels = BTreeMap<String, Level>;

/// A release, a date and a cohort.
type Step = (Digest, Date, Digest);

/// What is decided of the customer of `after` by what is known now, as a step has it.
fn assess(
    conn: &mut Conn,
    in_force: &InForce,
    active: &Active,
    ((release, as_of, cohort), after): (Step, &Assessment),
) -> db::Result<Assessed> {
    let id = after.customer_id;
    let state = in_force.state(conn, Basis { release, cohort, ..active.basis.clone() })?;
    let assessor = Assessor::new(conn, Arc::new(state), as_of)?;
    let customers = store::lean_customer(conn, id)?.into_iter().collect();
    let read = assessor.read(conn, Subjects::Listed(&[id]), customers)?;
    let before = Before { standing: standing(&after.assessed), ..Before::default() };
    let assessed = read.into_iter().next().map(|Read { subject, .. }| assessor.assess(&subject, &before));
    Ok(assessed.unwrap_or(Assessed { policies: Vec::new() }))
}

/// Outcomes of policies that others read.
fn standing(assessed: &Assessed) -> BTreeMap<String, String> {
    let inputs = assessed.policies.iter().flat_map(|result| &result.inputs);
    let read = inputs.filter(|input| input.kind == InputKind::Outcome);
    read.filter_map(|input| Some((input.key.clone(), input.value.clone()?))).collect()
}

fn levels(assessed: &Assessed, pack: &Pack, outcome: fn(&Decision) -> &String) -> Levels {
    let level = |result: &PolicyResult| {
        let Verdict::Decided(decision) = &result.result else { return None };
        let declared = pack.policies.get(&result.policy)?;
        let outcome = outcome(decision);
        let place = declared.outcomes.iter().position(|known| known == outcome)?;
        let ordinal = i64::try_from(place).ok()?;
        Some((result.policy.clone(), Level { outcome: outcome.clone(), ordinal, score: decision.score }))
    };
    assessed.policies.iter().filter_map(level).collect()
}

/// The parts of one policy, from what scripts decided step by step, to what stability and then overrides made of that before and after. A step
/// at which it doesn't decide adds nothing: the next one that does takes it all.
fn of_policy(policy: &str, levels: &[Levels], layers: &[[Levels; 2]; 2]) -> Option<PolicyCauses> {
    let (before, after) = (levels.first()?.get(policy)?, levels.last()?.get(policy)?);
    let mut at = before;
    let steps = levels.iter().skip(1).map(|levels| {
        let next = levels.get(policy).unwrap_or(at);
        let moved = (next.ordinal - at.ordinal, next.score.zip(at.score).map(|(next, at)| next - at));
        at = next;
        moved
    });
    let mut steps: Vec<(i64, Option<Decimal>)> = steps.collect();
    // What came to be known after the later assessment: it isn't part of why that one differs.
    let later = steps.pop()?;
    if let Some(data) = steps.first_mut() {
        *data = (data.0 + later.0, data.1.zip(later.1).map(|(data, later)| data + later));
    }
    // How much further each layer holds the one from what lies below it than the other.
    let (mut stood, mut stands) = (before, after);
    for [earlier, later] in layers {
        let below = stands.ordinal - stood.ordinal;
        (stood, stands) = (earlier.get(policy)?, later.get(policy)?);
        let held = stands.ordinal - stood.ordinal - below;
        steps.push((held, before.score.and(after.score).map(|_| Decimal::ZERO)));
    }
    let parts = CAUSES.into_iter().zip(steps).map(|(cause, (ordinal, score))| Part { cause, ordinal, score });
    Some(PolicyCauses {
        policy: policy.to_owned(),
        before: stood.clone(),
        after: stands.clone(),
        parts: parts.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn step(ordinal: Option<i64>) -> Levels {
        let level = ordinal.map(|ordinal| Level { outcome: ordinal.to_string(), ordinal, score: Some(ordinal.into()) });
        level.into_iter().map(|level| ("grade".to_owned(), level)).collect()
    }

    /// Neither stability nor an override makes a difference.
    fn as_computed(levels: &[Levels]) -> [[Levels; 2]; 2] {
        let ends = [levels[0].clone(), levels[levels.len() - 1].clone()];
        [ends.clone(), ends]
    }

    #[test]
    fn what_stability_holds_back_is_its_part() {
        // Computed from 4 to 0; held at 3, one step better.
        let levels = [4, 0, 0, 0, 0, 0].map(Some).map(step);
        let held = [4, 3].map(Some).map(step);
        let causes = of_policy("grade", &levels, &[held.clone(), held.clone()]).unwrap();
        assert_eq!(causes.parts.iter().map(|part| part.ordinal).collect::<Vec<_>>(), [-4, 0, 0, 0, 3, 0]);
        assert_eq!((causes.before.ordinal, causes.after.ordinal), (4, 3));
        // And a person lets it be 1 nevertheless.
        let causes = of_policy("grade", &levels, &[held, [4, 1].map(Some).map(step)]).unwrap();
        assert_eq!(causes.parts.iter().map(|part| part.ordinal).collect::<Vec<_>>(), [-4, 0, 0, 0, 3, -2]);
        assert_eq!((causes.before.ordinal, causes.after.ordinal), (4, 1));
    }

    #[test]
    fn each_step_is_a_part_and_later_data_belong_to_the_data() {
        // Better by 2 with the data, worse by 1 with the rules, and one more is known since.
        let levels = [Some(5), Some(3), Some(4), Some(4), Some(4), Some(3)].map(step);
        let causes = of_policy("grade", &levels, &as_computed(&levels)).unwrap();
        let parts: Vec<(Cause, i64)> = causes.parts.iter().map(|part| (part.cause, part.ordinal)).collect();
        assert_eq!(
            parts,
            [
                (Cause::Data, -3),
                (Cause::Rules, 1),
                (Cause::Time, 0),
                (Cause::Population, 0),
                (Cause::Stability, 0),
                (Cause::Override, 0)
            ]
        );
    }

    #[test]
    fn a_step_without_a_decision_leaves_its_part_to_the_next() {
        let levels = [Some(5), Some(5), None, Some(2), Some(2), Some(2)].map(step);
        let causes = of_policy("grade", &levels, &as_computed(&levels)).unwrap();
        assert_eq!(causes.parts.iter().map(|part| part.ordinal).collect::<Vec<_>>(), [0, 0, -3, 0, 0, 0]);
        let levels = [None, Some(1), Some(1), Some(1), Some(1), Some(1)].map(step);
        assert_eq!(of_policy("grade", &levels, &as_computed(&levels)), None);
    }

    proptest! {
        #[test]
        fn the_parts_add_up(ends in [0i64..8, 0i64..8], between in [any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()], moved in [0i64..8, 0i64..8, 0i64..8, 0i64..8], held in [0i64..8, 0i64..8], stands in [0i64..8, 0i64..8]) {
            let middle = between.into_iter().zip(moved).map(|(decides, ordinal)| decides.then_some(ordinal));
            let all: Vec<Levels> = std::iter::once(Some(ends[0])).chain(middle).chain([Some(ends[1])]).map(step).collect();
            let causes = of_policy("grade", &all, &[held, stands].map(|ends| ends.map(Some).map(step))).unwrap();
            prop_assert_eq!(causes.parts.iter().map(|part| part.ordinal).sum::<i64>(), stands[1] - stands[0]);
            prop_assert_eq!(causes.parts.iter().filter_map(|part| part.score).sum::<Decimal>(), Decimal::from(ends[1] - ends[0]));
        }
    }
}
