//! Paths to a better outcome: the cheapest changes of what a customer can influence that lead there, each verified by running the policies.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use rust_decimal::Decimal;

use super::assess::{Assessor, Before, Read};
use super::model::Assessment;
use super::{replay, store};
use crate::Id;
use crate::customers::model::{Value, Values};
use crate::db::{self, Conn, Subjects};
use crate::policy::model::{Circumstances, PolicyResult, Subject, Verdict};
use crate::policy::pack::Influence;
use crate::releases;
use crate::releases::active::{Active, InForce};
use crate::releases::model::Basis;

/// Most times that the policies are asked: enough for every combination of a few things in some steps.
pub const MOST_ASKED: usize = 5_000;
/// Most paths of an answer.
const MOST_PATHS: usize = 5;
/// Most steps of one number.
const MOST_STEPS: u32 = 200;

/// Where a path leads.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The policy.
    pub policy: String,
    /// The outcome that is to be reached, or a better one; the next better one when it isn't named.
    pub outcome: Option<String>,
}

/// A change of one field or metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its key.
    pub key: String,
    /// What it is now; absent where there is nothing.
    pub from: Option<String>,
    /// What it has to become.
    pub to: String,
    /// What that costs.
    pub cost: Decimal,
}

/// Changes that together lead to the goal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// What they cost together.
    pub cost: Decimal,
    /// The changes.
    pub changes: Vec<Change>,
    /// The outcome that they lead to.
    pub outcome: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The outcome now; absent where the policy doesn't decide.
    pub now: Option<String>,
    /// The outcome that was to be reached; absent where there is no better one.
    pub goal: Option<String>,
    /// Paths, the cheapest first. No path is another one with more to it.
    pub paths: Vec<Path>,
    /// Whether everything within the bounds was tried that could be cheaper, so that there is no other path.
    pub complete: bool,
}

/// What the search needs of the database.
pub struct Search {
    assessor: Assessor,
    subject: Arc<Subject>,
    before: Before,
    goal: Goal,
}

/// Reads what is known of a customer; nothing where there is none, or what is known of him can't be read.
pub fn prepare(conn: &mut Conn, active: Arc<Active>, id: Id, goal: Goal) -> db::Result<Option<Search>> {
    let as_of = active.basis.business_date;
    let assessor = Assessor::new(conn, active, as_of)?;
    let Some(customer) = store::lean_customer(conn, id)? else { return Ok(None) };
    let read = assessor.read(conn, Subjects::Listed(&[id]), vec![customer])?.into_iter().next();
    Ok(read.and_then(|Read { subject, before, .. }| {
        // At the next closing everything is decided anew, so nothing that stands until then is read.
        let before = Before { standing: BTreeMap::new(), ..before };
        Some(Search::new(assessor, subject.ok()?, before, goal))
    }))
}

/// A search from an assessment that is kept, by its release, relative to its cohort and as of its date: what would have led to more then.
/// Nothing where what it read can't be read again.
pub fn of_kept(conn: &mut Conn, in_force: &InForce, kept: &Assessment, goal: Goal) -> db::Result<Option<Search>> {
    let Some(basis) = releases::store::basis(conn, kept.basis)? else { return Ok(None) };
    let basis = Basis { release: kept.release, cohort: kept.cohort, ..basis };
    let active = Arc::new(in_force.state(conn, basis)?);
    let results = &kept.assessed.policies;
    let read = replay::subject(kept, "", &active.release).ok();
    let before = replay::previous(results).ok().zip(replay::overrides(results).ok());
    let assessor = Assessor::new(conn, active, kept.as_of)?;
    Ok(read.zip(before).map(|(subject, (previous, overrides))| {
        let before = Before { standing: BTreeMap::new(), previous, overrides };
        Search::new(assessor, Arc::new(subject), before, goal)
    }))
}

/// Something that can be changed: the values that it can take one after the other, with what each costs.
struct Lever {
    key: String,
    from: Option<String>,
    values: Vec<(Value, Decimal)>,
}

impl Search {
    /// What persons decided instead of the policy that is looked at leads nowhere; of others it holds.
    fn new(assessor: Assessor, subject: Arc<Subject>, mut before: Before, goal: Goal) -> Self {
        before.overrides.remove(&goal.policy);
        Self { assessor, subject, before, goal }
    }

    /// Looks for paths among so many combinations. Needs a stack of 16 MiB.
    pub fn find(&self, most: usize) -> Paths {
        let pack = &self.assessor.active().release.pack;
        let outcomes =
            pack.policies.get(&self.goal.policy).map(|policy| policy.outcomes.as_slice()).unwrap_or_default();
        let place = |outcome: &str| outcomes.iter().position(|known| known == outcome);
        let now = self.outcome(&self.subject);
        let at = now.as_deref().and_then(place);
        // Cells have no order: one of them is reached where it is named, and none is better than another.
        let is_ordered = pack.policies.get(&self.goal.policy).is_some_and(|policy| policy.cells.is_empty());
        let wanted = match &self.goal.outcome {
            Some(outcome) => place(outcome),
            None if !is_ordered => None,
            None => at.map_or(outcomes.len().checked_sub(1), |at| at.checked_sub(1)),
        };
        let goal = wanted.and_then(|wanted| outcomes.get(wanted)).cloned();
        let is_there = |at: usize, wanted: usize| if is_ordered { at <= wanted } else { at == wanted };
        let Some(wanted) = wanted.filter(|wanted| at.is_none_or(|at| !is_there(at, *wanted))) else {
            return Paths { now, goal, paths: Vec::new(), complete: true };
        };
        let reaches = |outcome: &str| place(outcome).is_some_and(|place| is_there(place, wanted));
        let (paths, complete) = self.cheapest(&self.levers(), &reaches, most);
        Paths { now, goal, paths, complete }
    }

    /// The rows of tables that the policy asks for, each as its constant and the row's name.
    pub fn rows(&self) -> Vec<String> {
        let policies = &self.assessor.active().release.policies;
        policies.rows_asked(&self.goal.policy, || self.outcome(&self.subject)).1
    }

    /// What the policy decides, or would.
    fn outcome(&self, subject: &Arc<Subject>) -> Option<String> {
        let active = self.assessor.active();
        let Before { standing, previous, overrides } = &self.before;
        let circumstances =
            Circumstances { as_of: self.assessor.as_of(), cohort: &active.cohort, standing, previous, overrides };
        let policies = &active.release.policies;
        let reads_others = policies.script(&self.goal.policy).is_some_and(|facts| !facts.outcomes.is_empty());
        let result = if reads_others {
            let all = policies.assess(subject, circumstances).policies;
            all.into_iter().find(|result| result.policy == self.goal.policy)?
        } else {
            policies.assess_one(&self.goal.policy, subject, circumstances, &BTreeMap::new())
        };
        let PolicyResult { result: Verdict::Decided(decision), .. } = result else { return None };
        Some(decision.outcome)
    }

    /// What can be changed of what the policy, or one whose outcome it reads, reads.
    fn levers(&self) -> Vec<Lever> {
        let release = &self.assessor.active().release;
        let mut reading = vec![self.goal.policy.clone()];
        let mut next = 0;
        while let Some(facts) = reading.get(next).and_then(|id| release.policies.script(id)) {
            let more: Vec<String> = facts.outcomes.iter().filter(|id| !reading.contains(id)).cloned().collect();
            reading.extend(more);
            next += 1;
        }
        let facts = reading.iter().filter_map(|id| release.policies.script(id));
        let read: Vec<&String> = facts.flat_map(|facts| facts.fields.iter().chain(&facts.metrics)).collect();
        let influences = release.pack.influences.iter().filter(|(key, _)| read.contains(key));
        influences.filter_map(|(key, influence)| self.lever(key, influence)).collect()
    }

    fn lever(&self, key: &str, influence: &Influence) -> Option<Lever> {
        let now = self.subject.values.get(key);
        let values = match influence {
            Influence::Steps { step, min, max, cost } => {
                let Some(Value::Number(from)) = now else { return None };
                steps(*from, (*step, *min, *max), *cost)
            }
            Influence::Values(costs) => {
                let field = self.assessor.active().release.pack.fields.get(key)?;
                let value = |(text, cost): (&String, &Decimal)| Some((field.parse(text).ok()?, *cost));
                let mut values: Vec<(Value, Decimal)> =
                    costs.iter().filter_map(value).filter(|(value, _)| Some(value) != now).collect();
                values.sort_by_key(|(_, cost)| *cost);
                values
            }
        };
        Some(Lever { key: key.to_owned(), from: now.map(ToString::to_string), values })
    }

    /// The cheapest combinations that reach the goal, and whether nothing else within the bounds could. Combinations are tried by what
    /// they cost: a combination's successors take one more step of its last lever, or the first step of a later one, so that each
    /// is met once.
    fn cheapest(&self, levers: &[Lever], reaches: &dyn Fn(&str) -> bool, most: usize) -> (Vec<Path>, bool) {
        let mut found: Vec<(Vec<usize>, Path)> = Vec::new();
        let mut open = BinaryHeap::from([Reverse((Decimal::ZERO, vec![0_usize; levers.len()], 0_usize))]);
        let mut asked = 0;
        while let Some(Reverse((cost, taken, last))) = open.pop() {
            let is_more = |(less, _): &(Vec<usize>, Path)| less.iter().zip(&taken).all(|(less, more)| less <= more);
            if found.iter().any(is_more) {
                continue;
            }
            if taken.iter().any(|steps| *steps > 0) {
                if asked == most {
                    let mut paths: Vec<Path> = found.into_iter().map(|(_, path)| path).collect();
                    let alone = (0..levers.len()).filter_map(|lever| self.alone(levers, lever, reaches));
                    let others: Vec<Path> = alone.chain(self.reduced(levers, reaches)).collect();
                    paths.extend(others.into_iter().filter(|path| !paths.contains(path)).collect::<Vec<_>>());
                    paths.sort_by_key(|path| path.cost);
                    paths.truncate(MOST_PATHS);
                    return (paths, false);
                }
                asked += 1;
                if let Some(path) = self.path(levers, &taken, cost).filter(|path| reaches(&path.outcome)) {
                    found.push((taken, path));
                    if found.len() == MOST_PATHS {
                        break;
                    }
                    continue;
                }
            }
            for (place, lever) in levers.iter().enumerate().skip(last) {
                let steps = taken.get(place).copied().unwrap_or_default();
                let paid = steps.checked_sub(1).and_then(|before| lever.values.get(before)).map(|(_, cost)| *cost);
                let Some((_, costs)) = lever.values.get(steps) else { continue };
                let mut next = taken.clone();
                if let Some(steps) = next.get_mut(place) {
                    *steps += 1;
                }
                open.push(Reverse((cost - paid.unwrap_or_default() + costs, next, place)));
            }
        }
        (found.into_iter().map(|(_, path)| path).collect(), true)
    }

    /// The first step of one lever alone that reaches the goal.
    fn alone(&self, levers: &[Lever], lever: usize, reaches: &dyn Fn(&str) -> bool) -> Option<Path> {
        let values = &levers.get(lever)?.values;
        (1..).zip(values).find_map(|(step, (_, cost))| {
            let taken: Vec<usize> = (0..levers.len()).map(|place| if place == lever { step } else { 0 }).collect();
            self.path(levers, &taken, *cost).filter(|path| reaches(&path.outcome))
        })
    }

    /// A path by several levers, found by going as far as the bounds allow and then back with one lever after the other, the dearest first:
    /// not always the cheapest one.
    fn reduced(&self, levers: &[Lever], reaches: &dyn Fn(&str) -> bool) -> Option<Path> {
        let path = |taken: &[usize]| {
            let paid = levers.iter().zip(taken).filter_map(|(lever, steps)| lever.values.get(steps.checked_sub(1)?));
            let cost = paid.map(|(_, cost)| *cost).sum();
            self.path(levers, taken, cost).filter(|path| reaches(&path.outcome))
        };
        let mut taken: Vec<usize> = levers.iter().map(|lever| lever.values.len()).collect();
        let mut best = path(&taken)?;
        let mut order: Vec<usize> = (0..levers.len()).collect();
        order.sort_by_key(|place| {
            Reverse(levers.get(*place).and_then(|lever| lever.values.last()).map(|(_, cost)| *cost))
        });
        for place in order {
            for steps in 0..taken.get(place).copied().unwrap_or_default() {
                let mut less = taken.clone();
                if let Some(slot) = less.get_mut(place) {
                    *slot = steps;
                }
                if let Some(found) = path(&less) {
                    (taken, best) = (less, found);
                    break;
                }
            }
        }
        Some(best)
    }

    /// Where some steps of each lever lead; nothing where the policy doesn't decide then.
    fn path(&self, levers: &[Lever], taken: &[usize], cost: Decimal) -> Option<Path> {
        let mut values: Values = self.subject.values.clone();
        let mut changes = Vec::new();
        for (lever, steps) in levers.iter().zip(taken) {
            let Some((value, cost)) = steps.checked_sub(1).and_then(|step| lever.values.get(step)) else { continue };
            values.insert(lever.key.clone(), value.clone());
            let (key, from) = (lever.key.clone(), lever.from.clone());
            changes.push(Change { key, from, to: value.to_string(), cost: *cost });
        }
        let subject = Subject { values, ..self.subject.as_ref().clone() };
        Some(Path { cost, changes, outcome: self.outcome(&Arc::new(subject))? })
    }
}

/// The numbers that steps lead to within their bounds, with what each costs. The last step goes to the bound itself.
fn steps(
    from: Decimal,
    (step, min, max): (Decimal, Option<Decimal>, Option<Decimal>),
    cost: Decimal,
) -> Vec<(Value, Decimal)> {
    let mut values = Vec::new();
    let mut at = from;
    for number in 1..=MOST_STEPS {
        let Some(next) = at.checked_add(step) else { break };
        let next = next.min(max.unwrap_or(Decimal::MAX)).max(min.unwrap_or(Decimal::MIN));
        if (step > Decimal::ZERO && next <= at) || (step < Decimal::ZERO && next >= at) {
            break;
        }
        at = next;
        values.push((Value::Number(at), cost * Decimal::from(number)));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn steps_go_to_the_bound_and_not_beyond() {
        let told = |from: &str, step: &str, min: Option<&str>, max: Option<&str>| -> Vec<String> {
            let values = steps(number(from), (number(step), min.map(number), max.map(number)), number("2"));
            values.into_iter().map(|(value, cost)| format!("{value} for {cost}")).collect()
        };
        assert_eq!(told("0.9", "0.05", None, Some("0.98")), ["0.95 for 2", "0.98 for 4"]);
        assert_eq!(told("3", "-1", Some("1"), None), ["2 for 2", "1 for 4"]);
        assert!(told("5", "1", None, Some("5")).is_empty());
        assert!(told("5", "1", None, Some("4")).is_empty(), "who is beyond the bound has nothing to do");
    }
}
