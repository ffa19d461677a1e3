//! Runs one case and tells what came otherwise than expected.

use std::str::FromStr;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::super::engine::CompiledPolicies;
use super::super::model::{Circumstances, Decision, Entitlement, NONE_OVERRIDES, NONE_STANDING, PolicyResult, Verdict};
use super::{Case, Expected};

/// What the policy makes of a case.
pub(super) fn run(policies: &CompiledPolicies, policy: &str, case: &Case) -> PolicyResult {
    let circumstances = Circumstances {
        as_of: case.as_of,
        cohort: &case.cohort,
        standing: &NONE_STANDING,
        previous: &case.previous,
        overrides: &NONE_OVERRIDES,
    };
    policies.assess_one(policy, &Arc::new(case.subject.clone()), circumstances, &case.outcomes)
}

/// A sentence for each part of the decision that differs from what the case expects.
pub(super) fn differences(policies: &CompiledPolicies, policy: &str, case: &Case) -> Vec<String> {
    match (&case.expected.error, run(policies, policy, case).result) {
        (Some(wanted), Verdict::Failed(message)) if message.contains(wanted) => Vec::new(),
        (Some(wanted), Verdict::Failed(message)) => {
            vec![format!("expected an error with '{wanted}', but the error is: {message}")]
        }
        (Some(wanted), Verdict::Decided(decision)) => {
            vec![format!("expected an error with '{wanted}', but the outcome is '{}'", decision.outcome)]
        }
        (None, Verdict::Failed(message)) => vec![format!("expected a decision, but there is an error: {message}")],
        (_, Verdict::Blocked(needed)) => {
            vec![format!("the policy reads the outcome of '{needed}', which the case doesn't state")]
        }
        (None, Verdict::Decided(decision)) => compare(&case.expected, &decision),
    }
}

fn compare(expected: &Expected, decision: &Decision) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differs = |part: &str, wanted: String, came: String| {
        differences.push(format!("{part}: expected {wanted}, got {came}"));
    };
    if let Some(outcome) = expected.outcome.as_ref().filter(|outcome| **outcome != decision.outcome) {
        differs("outcome", format!("'{outcome}'"), format!("'{}'", decision.outcome));
    }
    if let Some(score) = expected.score.filter(|score| Some(*score) != decision.score) {
        let came = decision.score.map_or("none".to_owned(), |score| score.normalize().to_string());
        differs("score", score.normalize().to_string(), came);
    }
    for (key, wanted) in &expected.entitlements {
        match decision.entitlements.get(key) {
            Some(came) if equal(wanted, came) => {}
            Some(came) => differs(&format!("entitlement '{key}'"), shown(wanted), shown(came)),
            None => differs(&format!("entitlement '{key}'"), shown(wanted), "none".to_owned()),
        }
    }
    if let Some(wanted) = &expected.reasons {
        let came: Vec<&String> = decision.reasons.iter().map(|reason| &reason.code).collect();
        if wanted.iter().ne(came.iter().copied()) {
            let list = |codes: Vec<&String>| format!("[{}]", codes.into_iter().cloned().collect::<Vec<_>>().join(", "));
            differs("reasons", list(wanted.iter().collect()), list(came));
        }
    }
    differences
}

/// Whether two entitlements are the same; numbers are, however many zeros they are written with.
fn equal(wanted: &Entitlement, came: &Entitlement) -> bool {
    match (wanted, came) {
        (Entitlement::Text(wanted), Entitlement::Text(came)) => {
            let numbers = (Decimal::from_str(wanted), Decimal::from_str(came));
            wanted == came || matches!(numbers, (Ok(wanted), Ok(came)) if wanted == came)
        }
        _ => wanted == came,
    }
}

fn shown(entitlement: &Entitlement) -> String {
    match entitlement {
        Entitlement::Boolean(yes) => yes.to_string(),
        Entitlement::Texts(texts) => format!("[{}]", texts.join(", ")),
        Entitlement::Text(text) => text.clone(),
    }
}
