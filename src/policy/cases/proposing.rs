//! Proposes cases for the edges of a policy that no case guards yet: of each change of a rule that nothing notices, circumstances in which
//! it would show. What they expect is what the rule says now; whether that is right the author has to say.

use std::collections::BTreeSet;
use std::fmt::Write;

use jiff::civil::{Date, date};
use rust_decimal::Decimal;

use super::super::diagnostic::Diagnostic;
use super::super::engine::CompiledPolicies;
use super::super::model::{Cohort, Decision, Entitlement, Subject, Verdict};
use super::super::release::LoadedPack;
use super::super::source::Source;
use super::mutation::{changes, compiled};
use super::{Case, Expected, Search, reading, running};
use crate::customers::model::{FieldType, Value};

/// Cases, proposed ones among them, in which one thing is changed.
const BEGINNINGS: usize = 20;
/// The date of a case where the policy has none.
const AS_OF: Date = date(2018, 1, 1);

/// The text of proposed cases, by policy in the order of the pack; those without an unguarded edge are left out, and so is what isn't found in
/// time. Needs a stack of 16 MiB.
///
/// # Errors
/// Every fault in the form of the cases.
pub fn propose(
    loaded: &LoadedPack,
    source: &Source,
    search: Search<'_>,
) -> Result<Vec<(String, String)>, Vec<Diagnostic>> {
    let files = reading::read(loaded, source)?;
    let scripts = source.scripts();
    let mut proposed = Vec::new();
    for (id, declared) in loaded.pack.policies.iter().filter(|(id, _)| search.concerns(id)) {
        let Some(text) = scripts.get(id) else { continue };
        let mut cases: Vec<Case> =
            files.iter().filter(|(policy, _)| policy == id).flat_map(|(_, cases)| cases.clone()).collect();
        // One that fails already would notice everything.
        cases.retain(|case| running::differences(&loaded.policies, id, case).is_empty());
        let blank = cases.is_empty().then(|| blank(loaded, id));
        let outcomes: Vec<&str> = declared.outcomes.iter().map(String::as_str).collect();
        let all = changes(text, &outcomes);
        let numbers = numbers(all.iter().map(|change| change.from.as_str()));
        let mut written = String::new();
        for change in all.iter().take_while(|_| !search.is_over()) {
            let Some(changed) = compiled(loaded, source, (&declared.script_path(id), change.applied(text))) else {
                continue;
            };
            let notices = |case: &Case| !running::differences(&changed, id, case).is_empty();
            if cases.iter().any(notices) {
                continue;
            }
            let shows = |case: &Case| decided(&changed, id, case) != decided(&loaded.policies, id, case);
            let beginnings = blank.iter().chain(cases.iter().take(BEGINNINGS));
            let mut tried = beginnings.flat_map(|beginning| variations(loaded, id, beginning, &numbers));
            let Some(mut case) = tried.find(shows) else { continue };
            let Some(decision) = decided(&loaded.policies, id, &case) else { continue };
            case.expected = Expected { outcome: Some(decision.outcome.clone()), ..Expected::default() };
            case.expected.entitlements.clone_from(&decision.entitlements);
            case.expected.score = decision.score;
            if cases.iter().any(|known| known.name == case.name) {
                case.name = format!("{} ({})", case.name, cases.len() + 1);
            }
            written += &told(&case);
            cases.push(case);
        }
        if !written.is_empty() {
            proposed.push((id.clone(), written));
        }
    }
    Ok(proposed)
}

fn decided(policies: &CompiledPolicies, policy: &str, case: &Case) -> Option<Decision> {
    match running::run(policies, policy, case).result {
        // What a case can't state shows nothing.
        Verdict::Decided(decision) => Some(Decision { reasons: Vec::new(), computed: None, ..decision }),
        Verdict::Failed(_) | Verdict::Blocked(_) => None,
    }
}

/// The numbers among some texts, each with its neighbours.
fn numbers<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Decimal> {
    let mut numbers = BTreeSet::new();
    for text in texts {
        for part in text.trim_matches('"').split(|c: char| !c.is_ascii_digit() && c != '.') {
            let Ok(number) = part.trim_matches('.').parse::<Decimal>() else { continue };
            let step = Decimal::new(1, number.scale());
            numbers.extend([number, number + step, number - step]);
        }
    }
    numbers.into_iter().collect()
}

/// A case where there is none: every choice its first, every number 0, every date the first of 2017.
fn blank(loaded: &LoadedPack, policy: &str) -> Case {
    let mut subject = Subject { code: "case".to_owned(), ..Subject::default() };
    let (mut outcomes, pack) = (std::collections::BTreeMap::new(), &loaded.pack);
    if let Some(facts) = loaded.policies.script(policy) {
        for key in facts.fields.iter().chain(&facts.metrics) {
            let field = pack.fields.get(key);
            let metric = pack.definitions.metrics.get(key).map(|metric| metric.value_type());
            let value = match field.map(|field| field.field_type).or(metric) {
                Some(FieldType::Choice) => field.and_then(|field| field.choices.first().cloned()).map(Value::Text),
                Some(FieldType::Choices) => Some(Value::Choices(Vec::new())),
                Some(FieldType::Boolean) => Some(Value::Boolean(false)),
                Some(FieldType::Integer | FieldType::Decimal) => Some(Value::Number(Decimal::ZERO)),
                Some(FieldType::Date) => Some(Value::Date(date(2017, 1, 1))),
                Some(FieldType::Text | FieldType::Phone | FieldType::Email) | None => None,
            };
            subject.values.extend(value.map(|value| (key.clone(), value)));
        }
        for other in &facts.outcomes {
            let first = pack.policies.get(other).and_then(|declared| declared.outcomes.first());
            outcomes.extend(first.map(|outcome| (other.clone(), outcome.clone())));
        }
    }
    let (cohort, previous) = (Cohort::default(), std::collections::BTreeMap::new());
    let (name, expected) = ("as it stands".to_owned(), Expected::default());
    Case { name, line: 0, as_of: AS_OF, subject, cohort, outcomes, previous, expected }
}

/// A case with one thing changed, in every way that may show something.
fn variations(loaded: &LoadedPack, policy: &str, from: &Case, numbers: &[Decimal]) -> Vec<Case> {
    let mut cases = Vec::new();
    let Some(facts) = loaded.policies.script(policy) else { return cases };
    let with = |key: &String, value: Value| {
        let mut case = from.clone();
        case.name = format!("{key} {value}");
        case.subject.values.insert(key.clone(), value);
        case
    };
    for key in facts.fields.iter().chain(&facts.metrics) {
        let field = loaded.pack.fields.get(key);
        let metric = loaded.pack.definitions.metrics.get(key).map(|metric| metric.value_type());
        match field.map(|field| field.field_type).or(metric) {
            Some(FieldType::Integer) => {
                cases.extend(
                    numbers.iter().filter(|number| number.is_integer()).map(|number| with(key, Value::Number(*number))),
                );
            }
            Some(FieldType::Decimal) => cases.extend(numbers.iter().map(|number| with(key, Value::Number(*number)))),
            Some(FieldType::Choice) => {
                let choices = field.map(|field| field.choices.as_slice()).unwrap_or_default();
                cases.extend(choices.iter().map(|choice| with(key, Value::Text(choice.clone()))));
            }
            Some(FieldType::Boolean) => cases.extend([true, false].map(|yes| with(key, Value::Boolean(yes)))),
            _ => {}
        }
    }
    for other in &facts.outcomes {
        let declared = loaded.pack.policies.get(other).map(|declared| declared.outcomes.as_slice()).unwrap_or_default();
        cases.extend(declared.iter().map(|outcome| {
            let mut case = from.clone();
            case.name = format!("{other} {outcome}");
            case.outcomes.insert(other.clone(), outcome.clone());
            case
        }));
    }
    // What a field doesn't take is no case.
    let fits = |case: &Case| {
        let fits = |(key, value): (&String, &Value)| {
            loaded.pack.fields.get(key).is_none_or(|field| field.parse(&value.to_string()).is_ok())
        };
        case.subject.values.iter().all(fits)
    };
    cases.retain(fits);
    cases
}

/// A case as it stands in a file.
fn told(case: &Case) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let list = |entries: Vec<String>| entries.join(", ");
    let mut text = format!("[[case]]\nname = {}\nas_of = {}\n", quoted(&case.name), case.as_of);
    let given = case.subject.values.iter().map(|(key, value)| format!("{key} = {}", quoted(&value.to_string())));
    let _ = writeln!(text, "given = {{ {} }}", list(given.collect()));
    if !case.outcomes.is_empty() {
        let outcomes = case.outcomes.iter().map(|(policy, outcome)| format!("{policy} = {}", quoted(outcome)));
        let _ = writeln!(text, "outcomes = {{ {} }}", list(outcomes.collect()));
    }
    if !case.cohort.cohorts.is_empty() {
        let cuts = |(id, cuts): (&String, &super::super::model::CohortCuts)| {
            let cuts = cuts.all.cuts().iter().map(|cut| quoted(&cut.normalize().to_string()));
            format!("{id} = [{}]", list(cuts.collect()))
        };
        let _ = writeln!(text, "cohorts = {{ {} }}", list(case.cohort.cohorts.iter().map(cuts).collect()));
    }
    for previous in case.previous.values() {
        let _ = writeln!(text, "previous = {{ outcome = {}, since = {} }}", quoted(&previous.outcome), previous.since);
    }
    let mut expected: Vec<String> =
        case.expected.outcome.iter().map(|outcome| format!("outcome = {}", quoted(outcome))).collect();
    expected.extend(case.expected.score.map(|score| format!("score = {}", quoted(&score.normalize().to_string()))));
    if !case.expected.entitlements.is_empty() {
        let entitlement = |(key, value): (&String, &Entitlement)| {
            let value = match value {
                Entitlement::Boolean(yes) => yes.to_string(),
                Entitlement::Texts(texts) => format!("[{}]", list(texts.iter().map(|text| quoted(text)).collect())),
                Entitlement::Text(text) => quoted(text),
            };
            format!("{key} = {value}")
        };
        let all = case.expected.entitlements.iter().map(entitlement).collect();
        expected.push(format!("entitlements = {{ {} }}", list(all)));
    }
    let _ = writeln!(text, "expect = {{ {} }}\n", list(expected));
    text
}
