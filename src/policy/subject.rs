//! What scripts read: the customer, the context with outcomes and cohorts, and the record of what was read.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use jiff::civil::Date;
use rhai::{Array, Dynamic, Engine, ImmutableString};

use super::host::{CohortView, Fallible, fault};
use super::model::{Circumstances, Cohort, Cuts, Input, InputKind, Subject};
use super::pack::{CohortDeclaration, Pack};
use crate::customers::model::Value;

/// What can be read under a pack: engines, readings and the record refer to its entries by their place.
#[derive(Debug)]
pub(super) struct Plan {
    /// Fields and metrics.
    values: Vec<(String, InputKind)>,
    /// Policies in the order of the manifest.
    policies: Vec<String>,
    /// Cohorts with what the pack declares of them.
    cohorts: Vec<(Arc<str>, CohortDeclaration)>,
}

impl Plan {
    pub(super) fn of(pack: &Pack) -> Self {
        let fields = pack.fields.iter().map(|(key, _)| (key.to_owned(), InputKind::Field));
        let metrics = pack.definitions.metrics.keys().map(|key| (key.clone(), InputKind::Metric));
        Self {
            values: fields.chain(metrics).collect(),
            policies: pack.policies.keys().cloned().collect(),
            cohorts: pack.cohorts.iter().map(|(id, cohort)| (Arc::from(id.as_str()), cohort.clone())).collect(),
        }
    }

    /// The cuts that count for `subject`, for those cohorts that `wanted` names: his group's, or else those of all.
    fn cuts(&self, cohort: &Cohort, subject: &Subject, wanted: impl Fn(&str) -> bool) -> Vec<Option<GroupCuts>> {
        let cuts = self.cohorts.iter().map(|(id, declaration)| {
            let computed = cohort.cohorts.get(&**id).filter(|_| wanted(id))?;
            let (group, cuts) = declaration.cuts_of(computed, &subject.values);
            Some(GroupCuts { group, cuts: Arc::clone(cuts) })
        });
        cuts.collect()
    }
}

/// The cuts that count for a subject, with his group where it has some of its own.
struct GroupCuts {
    group: Option<String>,
    cuts: Arc<Cuts>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Value(usize),
    Outcome(usize),
    Cohort(usize),
    AsOf,
    Month,
}

/// One subject as policies read him, one policy after the other.
pub(super) struct Reading {
    plan: Arc<Plan>,
    subject: Arc<Subject>,
    as_of: Date,
    /// Cuts by the cohort's place in the plan.
    cuts: Vec<Option<GroupCuts>>,
    /// Outcomes by the policy's place in the plan, entered as policies decide.
    decided: Vec<OnceLock<ImmutableString>>,
    /// What the policy at work has read.
    reads: Mutex<Vec<Read>>,
}

/// `customer` in scripts.
#[derive(Clone)]
pub(super) struct Customer(pub(super) Arc<Reading>);

/// `customer.maybe` in scripts.
#[derive(Clone)]
struct Maybe(Arc<Reading>);

/// `context` in scripts.
#[derive(Clone)]
pub(super) struct Context(pub(super) Arc<Reading>);

/// `context.outcomes` in scripts.
#[derive(Clone)]
struct Outcomes(Arc<Reading>);

/// `context.cohorts` in scripts.
#[derive(Clone)]
struct Cohorts(Arc<Reading>);

impl Reading {
    /// A subject of whom nothing was decided, with the cuts of those cohorts that `wanted` names.
    pub(super) fn new(
        plan: &Arc<Plan>,
        subject: &Arc<Subject>,
        circumstances: Circumstances<'_>,
        wanted: impl Fn(&str) -> bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            plan: Arc::clone(plan),
            subject: Arc::clone(subject),
            as_of: circumstances.as_of,
            cuts: plan.cuts(circumstances.cohort, subject, wanted),
            decided: plan.policies.iter().map(|_| OnceLock::new()).collect(),
            reads: Mutex::new(Vec::with_capacity(16)),
        })
    }

    /// Enters the outcome of the policy at `place`; the first one stays.
    pub(super) fn enter(&self, place: usize, outcome: &str) {
        if let Some(slot) = self.decided.get(place) {
            slot.get_or_init(|| outcome.into());
        }
    }

    fn record(&self, read: Read) {
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        if !reads.contains(&read) {
            reads.push(read);
        }
    }

    fn value(&self, place: usize, key: &str) -> Option<Dynamic> {
        self.record(Read::Value(place));
        self.subject.values.get(key).map(dynamic)
    }

    fn outcome(&self, place: usize, id: &str) -> Fallible<ImmutableString> {
        self.record(Read::Outcome(place));
        let outcome = self.decided.get(place).and_then(OnceLock::get);
        outcome.cloned().ok_or_else(|| fault(format!("the policy '{id}' has no outcome")))
    }

    fn cohort(&self, place: usize, id: &Arc<str>) -> Fallible<CohortView> {
        self.record(Read::Cohort(place));
        let cuts = self.cuts.get(place).and_then(Option::as_ref);
        let cuts = cuts.ok_or_else(|| fault(format!("the cohort '{id}' has no cuts: it hasn't been computed")))?;
        Ok(CohortView { id: Arc::clone(id), cuts: Arc::clone(&cuts.cuts) })
    }

    /// What was read since this was last asked, in the order of first reading.
    pub(super) fn take_inputs(&self) -> Vec<Input> {
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        reads.drain(..).filter_map(|read| self.input(read)).collect()
    }

    fn input(&self, read: Read) -> Option<Input> {
        Some(match read {
            Read::Value(place) => {
                let (key, kind) = self.plan.values.get(place)?;
                let value = self.subject.values.get(key).map(Value::to_string);
                Input {
                    kind: *kind,
                    key: key.clone(),
                    value,
                    window: self.subject.windows.get(key).copied(),
                    group: None,
                }
            }
            Read::Outcome(place) => {
                let value = self.decided.get(place).and_then(OnceLock::get).map(ToString::to_string);
                Input {
                    kind: InputKind::Outcome,
                    key: self.plan.policies.get(place)?.clone(),
                    value,
                    window: None,
                    group: None,
                }
            }
            Read::Cohort(place) => {
                let cuts = self.cuts.get(place).and_then(Option::as_ref);
                let value = cuts.map(|cuts| cuts.cuts.text().to_owned());
                let group = cuts.and_then(|cuts| cuts.group.clone());
                let (id, _) = self.plan.cohorts.get(place)?;
                Input { kind: InputKind::Cohort, key: id.to_string(), value, window: None, group }
            }
            Read::AsOf => {
                Input { kind: InputKind::AsOf, key: "as_of".to_owned(), value: None, window: None, group: None }
            }
            Read::Month => {
                Input { kind: InputKind::Month, key: "month".to_owned(), value: None, window: None, group: None }
            }
        })
    }
}

/// Adds the readers of everything that the pack declares.
pub(super) fn register(engine: &mut Engine, plan: &Plan) {
    engine
        .register_type_with_name::<Customer>("customer")
        .register_type_with_name::<Maybe>("customer.maybe")
        .register_type_with_name::<Context>("context")
        .register_type_with_name::<Outcomes>("context.outcomes")
        .register_type_with_name::<Cohorts>("context.cohorts")
        .register_get("code", |customer: &mut Customer| ImmutableString::from(customer.0.subject.code.as_str()))
        .register_get("maybe", |customer: &mut Customer| Maybe(Arc::clone(&customer.0)))
        .register_get("outcomes", |context: &mut Context| Outcomes(Arc::clone(&context.0)))
        .register_get("cohorts", |context: &mut Context| Cohorts(Arc::clone(&context.0)))
        .register_get("as_of", |context: &mut Context| {
            context.0.record(Read::AsOf);
            context.0.as_of
        })
        .register_get("month", |context: &mut Context| {
            context.0.record(Read::Month);
            context.0.as_of.first_of_month()
        });
    for (place, (key, _)) in plan.values.iter().enumerate() {
        let name = key.clone();
        engine.register_get(key, move |customer: &mut Customer| -> Fallible<Dynamic> {
            let value = customer.0.value(place, &name);
            value.ok_or_else(|| {
                fault(format!("'{name}' is absent; customer.maybe.{name} ?? … reads what may be absent"))
            })
        });
        let name = key.clone();
        engine.register_get(key, move |maybe: &mut Maybe| maybe.0.value(place, &name).unwrap_or(Dynamic::UNIT));
    }
    for (place, id) in plan.policies.iter().enumerate() {
        let name = id.clone();
        engine.register_get(id, move |outcomes: &mut Outcomes| outcomes.0.outcome(place, &name));
    }
    for (place, (id, _)) in plan.cohorts.iter().enumerate() {
        let name = Arc::clone(id);
        engine.register_get(&**id, move |cohorts: &mut Cohorts| cohorts.0.cohort(place, &name));
    }
}

fn dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Boolean(yes) => (*yes).into(),
        Value::Number(number) => (*number).into(),
        Value::Date(date) => Dynamic::from(*date),
        Value::Choices(chosen) => Dynamic::from_array(chosen.iter().map(|one| one.as_str().into()).collect::<Array>()),
    }
}
