//! What a person decided instead of a policy: it stands in the decision, with a reason of its own, and what the policy would have decided stands
//! beside it.

use std::collections::BTreeMap;

use super::model::{Decision, Input, InputKind, Override, PolicyResult, Reason, Verdict};

/// The code of the reason that tells of an override.
pub(super) const REASON: &str = "override";

/// Puts a person's outcome in the place of the one that was decided, and enters among the inputs what was read for that.
pub(super) fn apply(over: &Override, policy: &str, decision: &mut Decision, inputs: &mut Vec<Input>) {
    let until = over.until.to_string();
    for (kind, value) in [(InputKind::Override, &over.outcome), (InputKind::OverrideUntil, &until)] {
        inputs.push(Input { kind, key: policy.to_owned(), value: Some(value.clone()), window: None, group: None });
    }
    let computed = std::mem::replace(&mut decision.outcome, over.outcome.clone());
    let values = BTreeMap::from([("computed".to_owned(), computed.clone()), ("until".to_owned(), until)]);
    decision.reasons.insert(0, Reason { code: REASON.to_owned(), values });
    decision.overridden = Some(computed);
}

/// What a policy made of a subject as it was before the override, which has ended since.
pub fn lifted(result: &PolicyResult) -> PolicyResult {
    let mut result = result.clone();
    if let Verdict::Decided(decision) = &mut result.result
        && let Some(outcome) = decision.overridden.take()
    {
        decision.outcome = outcome;
        decision.reasons.retain(|reason| reason.code != REASON);
        result.inputs.retain(|input| !matches!(input.kind, InputKind::Override | InputKind::OverrideUntil));
    }
    result
}
