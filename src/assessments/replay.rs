//! Replaying: a kept assessment is computed again from what it kept of its inputs, by its release, relative to its cohort and as of its
//! date, and compared with what was decided then, byte for byte.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::num::NonZero;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use jiff::civil::Date;
use serde_json::Value as Json;

use super::model::Assessment;
use super::store;
use super::worker::STACK;
use crate::Id;
use crate::customers::model::{FieldType, Value, Values};
use crate::customers::texts::{date, decimal};
use crate::db::id::SHARDS;
use crate::db::{self, Conn, Db};
use crate::digest::Digest;
use crate::policy::model::{
    Assessed, Circumstances, Cohort, Input, InputKind, NONE_STANDING, Override, PolicyResult, Previous, Subject,
    Verdict,
};
use crate::policy::release::LoadedPack;
use crate::releases::active::InForce;
use crate::releases::store as release_store;

/// Assessments that are looked at together.
const PAGE: i64 = 1_000;

/// A part of a decision that came out otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The policy.
    pub policy: String,
    /// Where in its result, as a JSON pointer: `/decided/outcome`, `/inputs/2/value`.
    pub pointer: String,
    /// What was kept, as JSON; absent where there was nothing.
    pub kept: Option<String>,
    /// What the same inputs give now, likewise.
    pub replayed: Option<String>,
}

/// Computes an assessment of a customer with this code again. Empty where everything is the same. Needs a stack of 16 MiB.
///
/// # Errors
/// What of its inputs can't be read.
fn replay(kept: &Assessment, code: &str, release: &LoadedPack, cohort: &Cohort) -> Replayed {
    let results = &kept.assessed.policies;
    if is_of_unreadable(&kept.assessed, release) {
        return Ok(Vec::new());
    }
    let subject = Arc::new(subject(kept, code, release)?);
    let (previous, overrides) = (previous(results)?, overrides(results)?);
    let circumstances = Circumstances {
        as_of: kept.as_of,
        cohort,
        standing: &NONE_STANDING,
        previous: &previous,
        overrides: &overrides,
    };
    let mut replayed: Vec<PolicyResult> = results
        .iter()
        .map(|result| match &result.result {
            Verdict::Blocked(_) => result.clone(),
            Verdict::Decided(_) | Verdict::Failed(_) => {
                release.policies.assess_one(&result.policy, &subject, circumstances, &outcomes(&result.inputs))
            }
        })
        .collect();
    for place in 0..replayed.len() {
        let Some(Verdict::Blocked(needed)) = replayed.get(place).map(|result| &result.result) else { continue };
        let decides = |result: &PolicyResult| result.policy == *needed && matches!(result.result, Verdict::Decided(_));
        if replayed.iter().any(decides)
            && let Some(result) = replayed.get_mut(place)
        {
            *result = release.policies.assess_one(&result.policy, &subject, circumstances, &BTreeMap::new());
        }
    }
    let mut differences = Vec::new();
    for (before, after) in results.iter().zip(&replayed) {
        let json = |result: &PolicyResult| serde_json::to_value(result).map_err(|error| error.to_string());
        compare(&before.policy, "", Some(&json(before)?), Some(&json(after)?), &mut differences);
    }
    Ok(differences)
}

/// Whether nothing was decided since the customer's own data couldn't be read: there is nothing to compute again.
fn is_of_unreadable(assessed: &Assessed, release: &LoadedPack) -> bool {
    match assessed.policies.first().map(|first| &first.result) {
        Some(Verdict::Failed(said)) => *assessed == release.policies.all_failed(said),
        _ => false,
    }
}

/// The customer as the policies saw him: whatever any of them read, and what put him into the groups whose cuts counted.
///
/// # Errors
/// What of it can't be read.
pub fn subject(kept: &Assessment, code: &str, release: &LoadedPack) -> Result<Subject, String> {
    let (mut values, mut windows) = (Values::new(), BTreeMap::new());
    for input in kept.assessed.policies.iter().flat_map(|result| &result.inputs) {
        if let Some(window) = input.window {
            windows.insert(input.key.clone(), window);
        }
        if let Some(value) = value(input, release)? {
            values.insert(input.key.clone(), value);
        }
        for (field, value) in grouping(input, release) {
            values.entry(field.to_owned()).or_insert(value);
        }
    }
    Ok(Subject { code: code.to_owned(), values, windows: Arc::new(windows) })
}

/// The values of the fields that group a cohort, which no script has to read.
fn grouping<'r>(input: &'r Input, release: &'r LoadedPack) -> impl Iterator<Item = (&'r str, Value)> {
    let declared = release.pack.cohorts.get(&input.key).filter(|_| input.kind == InputKind::Cohort);
    let grouped = declared
        .zip(input.group.as_deref())
        .into_iter()
        .flat_map(|(declared, group)| declared.group.iter().zip(group.splitn(declared.group.len(), '/')));
    grouped.filter_map(|(field, text)| Some((field.as_str(), release.pack.fields.get(field)?.parse(text).ok()?)))
}

fn value(input: &Input, release: &LoadedPack) -> Result<Option<Value>, String> {
    let Some(text) = &input.value else { return Ok(None) };
    let read = match input.kind {
        InputKind::Field => match release.pack.fields.get(&input.key) {
            Some(field) => field.parse(text),
            None => return Err(format!("the release has no field '{}'", input.key)),
        },
        InputKind::Metric => match release.pack.definitions.metrics.get(&input.key).map(|metric| metric.value_type()) {
            Some(FieldType::Date) => date(text).map(Value::Date),
            Some(_) => decimal(text).map(Value::Number),
            None => return Err(format!("the release has no metric '{}'", input.key)),
        },
        InputKind::Outcome
        | InputKind::Cohort
        | InputKind::AsOf
        | InputKind::Month
        | InputKind::Previous
        | InputKind::PreviousSince
        | InputKind::Override
        | InputKind::OverrideUntil => return Ok(None),
    };
    read.map(Some).map_err(|(_, detail)| format!("the input '{}' can't be read: {detail}", input.key))
}

/// What stood after the last closings, as far as stability compared with it.
///
/// # Errors
/// What of it can't be read.
pub fn previous(results: &[PolicyResult]) -> Result<BTreeMap<String, Previous>, String> {
    dated(results, InputKind::Previous, InputKind::PreviousSince, |outcome, since| Previous { outcome, since })
}

/// What persons had decided instead.
///
/// # Errors
/// What of it can't be read.
pub fn overrides(results: &[PolicyResult]) -> Result<BTreeMap<String, Override>, String> {
    dated(results, InputKind::Override, InputKind::OverrideUntil, |outcome, until| Override { outcome, until })
}

/// By policy, what is made of an outcome and a date among the inputs of each.
fn dated<T>(
    results: &[PolicyResult],
    outcome: InputKind,
    day: InputKind,
    make: fn(String, Date) -> T,
) -> Result<BTreeMap<String, T>, String> {
    let mut found = BTreeMap::new();
    for result in results {
        let read = |kind| result.inputs.iter().find(|input| input.kind == kind).and_then(|input| input.value.clone());
        if let Some((outcome, day)) = read(outcome).zip(read(day)) {
            let day = date(&day).map_err(|(_, detail)| format!("the date of '{outcome}' can't be read: {detail}"))?;
            found.insert(result.policy.clone(), make(outcome, day));
        }
    }
    Ok(found)
}

/// The outcomes of other policies that one read.
fn outcomes(inputs: &[Input]) -> BTreeMap<String, String> {
    let read = inputs.iter().filter(|input| input.kind == InputKind::Outcome);
    read.filter_map(|input| Some((input.key.clone(), input.value.clone()?))).collect()
}

/// Notes each leaf in which two values differ.
fn compare(policy: &str, pointer: &str, kept: Option<&Json>, replayed: Option<&Json>, found: &mut Vec<Difference>) {
    if kept == replayed {
        return;
    }
    match (kept, replayed) {
        (Some(Json::Object(before)), Some(Json::Object(after))) => {
            let added = after.keys().filter(|key| !before.contains_key(*key));
            for key in before.keys().chain(added) {
                compare(policy, &format!("{pointer}/{key}"), before.get(key), after.get(key), found);
            }
        }
        (Some(Json::Array(before)), Some(Json::Array(after))) => {
            for place in 0..before.len().max(after.len()) {
                compare(policy, &format!("{pointer}/{place}"), before.get(place), after.get(place), found);
            }
        }
        _ => found.push(Difference {
            policy: policy.to_owned(),
            pointer: pointer.to_owned(),
            kept: kept.map(Json::to_string),
            replayed: replayed.map(Json::to_string),
        }),
    }
}

/// Which assessments of a base are replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Of a million, by the random end of their ids: the same ones each time.
    pub per_million: u32,
}

impl Sample {
    fn has(self, id: Id) -> bool {
        let [.., a, b, c, d] = *id.uuid().as_bytes();
        u64::from(u32::from_be_bytes([a, b, c, d])) * 1_000_000 < u64::from(self.per_million) << 32
    }
}

/// How one assessment went: the differences, or why it can't be computed again.
pub type Replayed = Result<Vec<Difference>, String>;

/// Replays assessments one after the other, keeping the cohorts that they are relative to.
pub struct Replayer<'a> {
    in_force: &'a InForce,
    cohorts: BTreeMap<Digest, Cohort>,
}

impl<'a> Replayer<'a> {
    /// A replayer that finds releases where the service keeps them.
    pub fn new(in_force: &'a InForce) -> Self {
        Self { in_force, cohorts: BTreeMap::new() }
    }

    /// Replays an assessment of a customer with this code. Needs a stack of 16 MiB.
    pub fn replay(&mut self, conn: &mut Conn, kept: &Assessment, code: &str) -> db::Result<Replayed> {
        let release = self.in_force.release(conn, kept.release)?;
        let cohort = match self.cohorts.entry(kept.cohort) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => match release_store::cohort(conn, kept.cohort)? {
                Some(cohort) => place.insert(cohort),
                None => return Ok(Err(format!("the cohort {} is missing", kept.cohort))),
            },
        };
        Ok(replay(kept, code, &release, cohort))
    }
}

/// Replays a sample of all assessments of a base, on as many threads as there are processors, and tells `each` how every one went.
/// Gives how many there are.
pub fn replay_base(
    db: &Db,
    in_force: &InForce,
    sample: Sample,
    each: &mut (dyn FnMut(Id, Replayed) + Send),
) -> Result<u64, db::Error> {
    let (next, each) = (AtomicU8::new(0), Mutex::new(each));
    let work = || {
        let mut replayer = Replayer::new(in_force);
        let mut all = 0;
        loop {
            let shard = next.fetch_add(1, Ordering::Relaxed);
            if shard >= SHARDS {
                return Ok(all);
            }
            all += replay_shard(db, &mut replayer, (shard, sample), &mut |id, replayed| {
                let mut each = each.lock().unwrap_or_else(PoisonError::into_inner);
                (*each)(id, replayed);
            })?;
        }
    };
    thread::scope(|scope| {
        let stopped = |why: String| db::Error::Stopped(format!("replaying: {why}"));
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let spawn = |_| thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let threads: Vec<_> = (0..threads).map(spawn).collect();
        threads.into_iter().try_fold(0, |all, thread| {
            let thread = thread.map_err(|error| stopped(error.to_string()))?;
            Ok(all + thread.join().unwrap_or_else(|_| Err(stopped("a thread ended by a panic".to_owned())))?)
        })
    })
}

fn replay_shard(
    db: &Db,
    replayer: &mut Replayer<'_>,
    (shard, sample): (u8, Sample),
    each: &mut dyn FnMut(Id, Replayed),
) -> Result<u64, db::Error> {
    let (mut all, mut after) = (0, (Id::NIL, Id::NIL));
    loop {
        let keys = db.run_here(|conn| store::assessment_keys(conn, shard, after, PAGE))?;
        let Some(last) = keys.last() else { return Ok(all) };
        after = *last;
        all += u64::try_from(keys.len()).unwrap_or_default();
        let wanted: Vec<Id> = keys.into_iter().map(|(_, id)| id).filter(|id| sample.has(*id)).collect();
        db.run_here(|conn| {
            for (id, kept) in store::kept(conn, shard, &wanted)? {
                let replayed = match kept {
                    Ok((assessment, code)) => replayer.replay(conn, &assessment, &code)?,
                    Err(unreadable) => Err(unreadable.to_string()),
                };
                each(id, replayed);
            }
            Ok::<_, db::Error>(())
        })?;
    }
}
