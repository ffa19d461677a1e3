//! The compiled policies of a pack, and the assessment of subjects by them.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rhai::{Dynamic, Engine, EvalAltResult};

pub use super::analysis::ScriptFacts;
use super::diagnostic::{Diagnostic, MOST_TOGETHER};
use super::failure;
use super::host::{self, Draft, shown};
use super::model::{Assessed, Circumstances, Override, PolicyResult, Subject, Verdict};
use super::overriding;
use super::pack::{Cadence, Pack, PolicyDeclaration, SubjectKind, script_path};
use super::runner::{Runner, Runners};
use super::sandbox::{POLICY, TOGETHER, within};
use super::script::{Loaded, Loader, engine};
use super::stability::Rule;
use super::subject::{Context, Customer, Plan, Reading};
use crate::faults::did_you_mean;

/// The policies of one pack, compiled: immutable, shared by all threads.
pub struct CompiledPolicies {
    engine: Engine,
    plan: Arc<Plan>,
    /// In the order of the manifest.
    policies: Vec<Policy>,
    /// Places of policies, each after those whose outcomes it reads.
    order: Vec<usize>,
    /// Cohorts that any policy reads.
    cohorts: BTreeSet<String>,
    runners: Runners,
    /// The date field from which newcomers are counted.
    opening_field: Option<String>,
}

/// Some policies with all whose outcomes they read, and what all of these read.
#[derive(Clone)]
pub struct Needed {
    /// Their ids.
    pub policies: BTreeSet<String>,
    /// Keys of fields and metrics.
    pub inputs: BTreeSet<String>,
    /// Ids of cohorts.
    pub cohorts: BTreeSet<String>,
    /// Those whose outcomes others of them read as they stand from one closing to the next.
    pub standing: BTreeSet<String>,
    /// Those with a stability, which compares with what stood before.
    pub stable: BTreeSet<String>,
    /// Whether their decisions are wanted without what led to them: score, indicators, reasons and inputs.
    pub bare: bool,
}

impl Needed {
    /// These and others.
    pub fn and(&self, other: &Self) -> Self {
        let both = |of: fn(&Self) -> &BTreeSet<String>| of(self) | of(other);
        Self {
            policies: both(|needed| &needed.policies),
            inputs: both(|needed| &needed.inputs),
            cohorts: both(|needed| &needed.cohorts),
            standing: both(|needed| &needed.standing),
            stable: both(|needed| &needed.stable),
            bare: self.bare && other.bare,
        }
    }
}

struct Policy {
    id: String,
    declaration: PolicyDeclaration,
    loaded: Loaded,
    /// Places of the policies whose outcomes it reads.
    needs: Vec<usize>,
}

/// Compiles and checks the scripts of a pack, by policy id, with its libraries, by file stem. Every fault of every script is
/// reported.
pub fn compile(
    pack: &Pack,
    scripts: &BTreeMap<String, String>,
    libs: &BTreeMap<String, String>,
) -> Result<CompiledPolicies, Vec<Diagnostic>> {
    compile_prepared(pack, scripts, libs, |_| {})
}

/// The same with an engine that was prepared, for whoever wants to see scripts run.
pub(super) fn compile_prepared(
    pack: &Pack,
    scripts: &BTreeMap<String, String>,
    libs: &BTreeMap<String, String>,
    prepare: impl FnOnce(&mut Engine),
) -> Result<CompiledPolicies, Vec<Diagnostic>> {
    let plan = Arc::new(Plan::of(pack));
    let mut engine = engine(&plan);
    prepare(&mut engine);
    let mut diagnostics = Vec::new();
    let loader = Loader::new(pack, &plan, &engine, libs, &mut diagnostics);
    let mut loaded = Vec::with_capacity(pack.policies.len());
    for (id, declaration) in &pack.policies {
        if diagnostics.len() >= MOST_TOGETHER {
            break;
        }
        let Some(text) = scripts.get(id) else {
            let message = format!("the policy '{id}' is declared but has no script");
            diagnostics.push(Diagnostic::of_file(&declaration.script_path(id), "missing_script", message));
            continue;
        };
        match loader.load(id, declaration, text) {
            Ok(one) => loaded.push((id.clone(), declaration.clone(), one)),
            Err(faults) => {
                diagnostics.extend(faults.into_iter().filter(|fault| !diagnostics.contains(fault)).collect::<Vec<_>>())
            }
        }
    }
    for id in scripts.keys().filter(|id| !pack.policies.contains_key(*id)) {
        let hint = did_you_mean(id, pack.policies.keys().map(String::as_str));
        let message = format!("pack.toml declares no policy '{id}'{hint}");
        diagnostics.push(Diagnostic::of_file(&script_path(id), "undeclared_policy", message));
    }
    drop(loader);
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    diagnostics.extend(loaded.iter().flat_map(|(id, declared, loaded)| foreign(pack, id, declared, &loaded.facts)));
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let cohorts = loaded.iter().flat_map(|(_, _, loaded)| loaded.facts.cohorts.iter().cloned()).collect();
    let place = |id: &String| pack.policies.get_index_of(id);
    let policies: Vec<Policy> = loaded
        .into_iter()
        .map(|(id, declaration, loaded)| {
            let needs = loaded.facts.outcomes.iter().filter_map(place).collect();
            Policy { id, declaration, loaded, needs }
        })
        .collect();
    let order = order(&policies)?;
    let opening_field = pack.definitions.opening_field.clone();
    Ok(CompiledPolicies { engine, plan, policies, order, cohorts, runners: Runners::new(), opening_field })
}

/// What a policy reads of others than it decides about.
fn foreign(pack: &Pack, id: &str, declared: &PolicyDeclaration, facts: &ScriptFacts) -> Vec<Diagnostic> {
    let subject = declared.subject;
    let of_others = |key: &&String| {
        let metric = pack.definitions.metrics.get(*key).map(|metric| pack.definitions.subject_of(metric));
        let policy = pack.policies.get(*key).map(|policy| policy.subject);
        metric.or(policy).unwrap_or_default() != subject
    };
    let read = facts.metrics.iter().chain(&facts.fields).chain(&facts.outcomes);
    let fault = |key: &String| {
        let whom = if subject == SubjectKind::Employee { "employees" } else { "customers" };
        let message = format!("the policy decides about {whom}, and '{key}' isn't theirs");
        Diagnostic::of_file(&declared.script_path(id), "subject", message)
    };
    read.filter(of_others).map(fault).collect()
}

/// Places of the policies, each after those it needs; a cycle is a fault that names it.
fn order(policies: &[Policy]) -> Result<Vec<usize>, Vec<Diagnostic>> {
    let mut order: Vec<usize> = Vec::with_capacity(policies.len());
    while order.len() < policies.len() {
        let ready = policies
            .iter()
            .enumerate()
            .find(|(place, policy)| !order.contains(place) && policy.needs.iter().all(|needed| order.contains(needed)));
        match ready {
            Some((place, _)) => order.push(place),
            None => return Err(vec![cycle(policies, &order)]),
        }
    }
    Ok(order)
}

/// The cycle among the policies that can't be put in order.
fn cycle(policies: &[Policy], order: &[usize]) -> Diagnostic {
    let mut at = (0..policies.len()).find(|place| !order.contains(place)).unwrap_or_default();
    let mut way: Vec<usize> = Vec::new();
    while !way.contains(&at) {
        way.push(at);
        let needs = policies.get(at).map(|policy| policy.needs.as_slice()).unwrap_or_default();
        at = needs.iter().copied().find(|needed| !order.contains(needed)).unwrap_or(at);
    }
    let round = way.iter().skip_while(|place| **place != at).chain(std::iter::once(&at));
    let round: Vec<&Policy> = round.filter_map(|place| policies.get(*place)).collect();
    let names: Vec<&str> = round.iter().map(|policy| policy.id.as_str()).collect();
    let first = round.first().map(|policy| policy.path()).unwrap_or_default();
    let message = format!("policies read each other's outcomes in a circle: {}", names.join(" → "));
    Diagnostic::of_file(&first, "cycle", message)
}

impl CompiledPolicies {
    /// Applies all policies about customers to one, each after those whose outcomes it reads. The results are in the order of the
    /// manifest. Needs a stack of 16 MiB.
    pub fn assess(&self, subject: &Arc<Subject>, circumstances: Circumstances<'_>) -> Assessed {
        within(TOGETHER, || self.assess_all(SubjectKind::Customer, subject, circumstances, None))
    }

    /// The same with the policies about employees.
    pub fn assess_employee(&self, subject: &Arc<Subject>, circumstances: Circumstances<'_>) -> Assessed {
        within(TOGETHER, || self.assess_all(SubjectKind::Employee, subject, circumstances, None))
    }

    /// The same for some policies. Results that are `known` are taken. Needs a stack of 16 MiB.
    pub fn assess_some(
        &self,
        subject: &Arc<Subject>,
        circumstances: Circumstances<'_>,
        wanted: &Needed,
        known: &Assessed,
    ) -> Assessed {
        within(TOGETHER, || self.assess_all(SubjectKind::Customer, subject, circumstances, Some((wanted, known))))
    }

    /// Some policies with all whose outcomes they read, and those whose outcomes these read.
    pub fn with_needed(&self, policies: &BTreeSet<String>) -> Needed {
        let mut needed = policies.clone();
        // In the order backwards each comes before those that it reads.
        for policy in self.order.iter().rev().filter_map(|place| self.policies.get(*place)) {
            if needed.contains(&policy.id) {
                needed.extend(
                    policy.needs.iter().filter_map(|place| self.policies.get(*place)).map(|read| read.id.clone()),
                );
            }
        }
        let facts = || needed.iter().filter_map(|policy| self.script(policy));
        let inputs = facts().flat_map(|facts| facts.fields.iter().chain(&facts.metrics)).cloned().collect();
        let cohorts = facts().flat_map(|facts| &facts.cohorts).cloned().collect();
        let declares = |policy: &&String, what: fn(&PolicyDeclaration) -> bool| {
            self.find(policy).is_some_and(|(_, policy)| what(&policy.declaration))
        };
        let closes = |policy: &&String| declares(policy, |declared| declared.cadence != Cadence::Continuous);
        let standing = facts().flat_map(|facts| &facts.outcomes).filter(closes).cloned().collect();
        let is_stable = |policy: &&String| declares(policy, |declared| declared.stability.is_some());
        let stable = needed.iter().filter(is_stable).cloned().collect();
        Needed { inputs, cohorts, standing, stable, policies: needed, bare: false }
    }

    fn assess_all(
        &self,
        of: SubjectKind,
        subject: &Arc<Subject>,
        circumstances: Circumstances<'_>,
        some: Option<(&Needed, &Assessed)>,
    ) -> Assessed {
        let known =
            |policy: &str| some.and_then(|(_, known)| known.policies.iter().find(|result| result.policy == policy));
        let cohorts = some.map_or(&self.cohorts, |(wanted, _)| &wanted.cohorts);
        let bare = some.is_some_and(|(wanted, _)| wanted.bare);
        let reading = Reading::new(&self.plan, subject, circumstances, |id| cohorts.contains(id));
        let mut results: Vec<Option<PolicyResult>> = self.policies.iter().map(|_| None).collect();
        self.with_runners(|runners| {
            for place in &self.order {
                let (Some(policy), Some(runner)) = (self.policies.get(*place), runners.get_mut(*place)) else { continue };
                let wanted = some.is_none_or(|(wanted, _)| wanted.policies.contains(&policy.id));
                if !wanted || policy.declaration.subject != of {
                    continue;
                }
                let failed =
                    |needed: &&usize| !matches!(results.get(**needed), Some(Some(result)) if matches!(result.result, Verdict::Decided(_)));
                let taken = known(&policy.id).cloned();
                let decide = || match policy.needs.iter().find(failed).and_then(|needed| self.policies.get(*needed)) {
                    Some(needed) => PolicyResult {
                        policy: policy.id.clone(),
                        result: Verdict::Blocked(needed.id.clone()),
                        inputs: Vec::new(),
                    },
                    None => self.run(policy, runner, &reading, (subject, circumstances), bare),
                };
                let result = taken.unwrap_or_else(decide);
                if let Verdict::Decided(decision) = &result.result {
                    let standing = circumstances.standing.get(&policy.id).filter(|_| decision.overridden.is_none());
                    reading.enter(*place, standing.unwrap_or(&decision.outcome));
                }
                if let Some(slot) = results.get_mut(*place) {
                    debug_assert!(slot.is_none(), "a policy stands once in the order");
                    *slot = Some(result);
                }
            }
        });
        Assessed { policies: results.into_iter().flatten().collect() }
    }

    /// The outcome of one policy, with the outcomes of others as given: what [`Self::assess_one`] decides, without a record of why.
    /// Nothing where it doesn't decide. Needs a stack of 16 MiB.
    pub fn outcome(
        &self,
        policy: &str,
        subject: &Arc<Subject>,
        circumstances: Circumstances<'_>,
        outcomes: &BTreeMap<String, String>,
    ) -> Option<String> {
        let (place, found) = self.find(policy)?;
        let reading = self.reading(found, subject, circumstances, outcomes);
        self.with_runners(|runners| {
            let outcome = |draft: Draft, declaration: &PolicyDeclaration| draft.outcome(declaration);
            self.decide(found, runners.get_mut(place)?, &reading, outcome).ok()
        })
    }

    fn find(&self, policy: &str) -> Option<(usize, &Policy)> {
        self.policies.iter().enumerate().find(|(_, candidate)| candidate.id == policy)
    }

    /// A subject as one policy reads him, with the outcomes of others as given.
    fn reading(
        &self,
        policy: &Policy,
        subject: &Arc<Subject>,
        circumstances: Circumstances<'_>,
        outcomes: &BTreeMap<String, String>,
    ) -> Arc<Reading> {
        let wanted = |id: &str| policy.loaded.facts.cohorts.contains(id);
        let reading = Reading::new(&self.plan, subject, circumstances, wanted);
        for (place, other) in self.policies.iter().enumerate() {
            if let Some(outcome) = outcomes.get(&other.id) {
                reading.enter(place, outcome);
            }
        }
        reading
    }

    /// What stands of a subject that can't be read: every policy failed, for the same reason.
    pub fn all_failed(&self, said: &str) -> Assessed {
        let failed = |policy: &Policy| PolicyResult {
            policy: policy.id.clone(),
            result: Verdict::Failed(said.to_owned()),
            inputs: Vec::new(),
        };
        let of_customers = self.policies.iter().filter(|policy| policy.declaration.subject == SubjectKind::Customer);
        Assessed { policies: of_customers.map(failed).collect() }
    }

    /// Applies one policy, with the outcomes of others as given. Needs a stack of 16 MiB.
    pub fn assess_one(
        &self,
        policy: &str,
        subject: &Arc<Subject>,
        circumstances: Circumstances<'_>,
        outcomes: &BTreeMap<String, String>,
    ) -> PolicyResult {
        let unknown = || {
            let message = format!("the pack has no policy '{policy}'");
            PolicyResult { policy: policy.to_owned(), result: Verdict::Failed(message), inputs: Vec::new() }
        };
        let Some((place, found)) = self.find(policy) else { return unknown() };
        let reading = self.reading(found, subject, circumstances, outcomes);
        let result = self.with_runners(|runners| {
            Some(self.run(found, runners.get_mut(place)?, &reading, (subject, circumstances), false))
        });
        result.unwrap_or_else(unknown)
    }

    /// Lends a runner for each policy.
    fn with_runners<T>(&self, work: impl FnOnce(&mut [Runner]) -> T) -> T {
        let make = || self.policies.iter().map(|policy| Runner::new(&self.engine, &policy.loaded)).collect();
        self.runners.lend(make, work)
    }

    /// What is loaded of a policy.
    pub(super) fn loaded(&self, policy: &str) -> Option<&Loaded> {
        self.find(policy).map(|(_, policy)| &policy.loaded)
    }

    /// Does `work`, and gives the rows of tables that a policy asked for meanwhile on this thread, each as its constant and the row's name.
    pub fn rows_asked<T>(&self, policy: &str, work: impl FnOnce() -> T) -> (T, Vec<String>) {
        let (result, asked) = host::watched(work);
        let constants = self.loaded(policy).into_iter().flat_map(|own| own.scope.iter_raw());
        let rows = constants.flat_map(|(name, _, value)| {
            let asked = host::rows_of(value).into_iter().filter(|row| asked.contains(row));
            asked.map(|(_, row)| format!("{name}, {row}")).collect::<Vec<_>>()
        });
        (result, rows.collect())
    }

    /// What any of the scripts reads, by one kind of facts.
    pub fn reads(&self, of: fn(&ScriptFacts) -> &BTreeSet<String>) -> BTreeSet<String> {
        self.policies.iter().flat_map(|policy| of(&policy.loaded.facts)).cloned().collect()
    }

    /// What is seldom meant in the scripts.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.policies.iter().flat_map(|policy| &policy.loaded.warnings)
    }

    /// Paths of the libraries whose functions a policy calls.
    pub fn libraries(&self, policy: &str) -> BTreeSet<&str> {
        let found = self.find(policy);
        found.into_iter().flat_map(|(_, policy)| policy.loaded.files.values()).map(String::as_str).collect()
    }

    /// What the script of a policy reads and gives.
    pub fn script(&self, policy: &str) -> Option<&ScriptFacts> {
        self.find(policy).map(|(_, policy)| &policy.loaded.facts)
    }

    fn run(
        &self,
        policy: &Policy,
        runner: &mut Runner,
        reading: &Arc<Reading>,
        (subject, circumstances): (&Subject, Circumstances<'_>),
        bare: bool,
    ) -> PolicyResult {
        let finish = if bare { |draft: Draft, declared: &_| draft.bare(declared) } else { Draft::finish };
        let decided = self.decide(policy, runner, reading, finish);
        let mut inputs = if bare { Vec::new() } else { reading.take_inputs() };
        let result = match decided {
            Ok(mut decision) => {
                if let Some(stability) = &policy.declaration.stability {
                    let (id, outcomes) = (&policy.id, &policy.declaration.outcomes);
                    let rule = Rule { stability, policy: id, outcomes, opening_field: self.opening_field.as_deref() };
                    rule.apply(&mut decision, &mut inputs, subject, circumstances);
                }
                let declared = |over: &&Override| policy.declaration.outcomes.contains(&over.outcome);
                if let Some(over) = circumstances.overrides.get(&policy.id).filter(declared)
                    && policy.declaration.overridable
                {
                    overriding::apply(over, &policy.id, &mut decision, &mut inputs);
                }
                Verdict::Decided(decision)
            }
            Err(message) => Verdict::Failed(message),
        };
        PolicyResult { policy: policy.id.clone(), result, inputs }
    }

    /// What `finish` makes of that which the script gives.
    fn decide<T>(
        &self,
        policy: &Policy,
        runner: &mut Runner,
        reading: &Arc<Reading>,
        finish: fn(Draft, &PolicyDeclaration) -> Result<T, String>,
    ) -> Result<T, String> {
        let decided = self.call(policy, runner, reading).and_then(|draft| {
            finish(draft, &policy.declaration)
                .map_err(|refused| format!("{}: {}", policy.place(), failure::shortened(refused)))
        });
        if decided.is_err() {
            *runner = Runner::new(&self.engine, &policy.loaded);
        }
        decided
    }

    fn call(&self, policy: &Policy, runner: &mut Runner, reading: &Arc<Reading>) -> Result<Draft, String> {
        let customer = Dynamic::from(Customer(Arc::clone(reading)));
        let context = Dynamic::from(Context(Arc::clone(reading)));
        let call = || within(POLICY, || runner.decide(&self.engine, &policy.loaded, customer, context));
        let given = match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(given)) => given,
            Ok(Err(error)) => return Err(policy.refusal(&error)),
            Err(_) => return Err(format!("{}: the script crashed", policy.path())),
        };
        given.try_cast_result().map_err(|given| {
            let what = if given.is_unit() { "nothing".to_owned() } else { shown(&given) };
            format!("{}: {}", policy.place(), failure::shortened(format!("decide gave {what} instead of a decision")))
        })
    }
}

impl Policy {
    /// The path of its script inside the pack.
    fn path(&self) -> String {
        self.declaration.script_path(&self.id)
    }

    /// Where `decide` stands.
    fn place(&self) -> String {
        let (line, column) = self.loaded.decide;
        format!("{}:{line}:{column}", self.path())
    }

    /// What is said of an error of the script, with its file, line and column.
    fn refusal(&self, error: &EvalAltResult) -> String {
        let (function, position) = failure::origin(error);
        let foreign = function.and_then(|name| self.loaded.files.get(&name));
        let file = foreign.cloned().unwrap_or_else(|| self.path());
        let message = failure::message(error);
        match (position.line(), position.position()) {
            (Some(line), Some(column)) => format!("{file}:{line}:{column}: {message}"),
            _ => format!("{file}: {message}"),
        }
    }
}
