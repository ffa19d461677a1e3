//! What changed from one assessment of a customer to another: a comparison of what the two kept, policy by policy.

use super::model::Assessment;
use super::store;
use crate::Id;
use crate::db::{self, Conn, Failure};
use crate::faults::Fault;
use crate::policy::model::{Entitlement, Input, PolicyResult, Reason, Verdict};

/// Why two assessments can't be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no assessment of this id.
    #[error("there is no such assessment")]
    NotFound,
    /// No other one is named, and it is the customer's first.
    #[error("no assessment of the customer before this one is kept; name another one with 'to'")]
    First,
    /// The other one isn't one of the same customer.
    #[error("the request has faults")]
    Invalid(Fault),
    /// The database.
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Failure for Error {
    fn database(&self) -> Option<&db::Error> {
        if let Self::Database(error) = self { Some(error) } else { None }
    }
}

/// An assessment and another one of the same customer, in the order in which they were made. Where no other one is named it is
/// the one just before.
pub fn pair(conn: &mut Conn, id: Id, to: Option<Id>) -> Result<(Assessment, Assessment), Error> {
    let named = store::assessment(conn, id)?.ok_or(Error::NotFound)?;
    let other = match to {
        None => store::history(conn, named.customer_id, Some(id), 1)?.pop().ok_or(Error::First)?,
        Some(to) => {
            let refused = |code, detail| Error::Invalid(Fault::new("to", code, detail));
            let other = store::assessment(conn, to)?
                .ok_or_else(|| refused("unknown_assessment", format!("there is no assessment {to}")))?;
            if other.customer_id != named.customer_id {
                let detail = format!("the assessment {to} is one of another customer than {id}");
                return Err(refused("other_customer", detail));
            }
            other
        }
    };
    Ok(if other.id < named.id { (other, named) } else { (named, other) })
}

/// What stood before and what stands after; one of the two is absent where it is new or gone.
pub type Sides<'a, T> = (Option<&'a T>, Option<&'a T>);

/// What changed in one policy.
#[derive(Debug, PartialEq)]
pub struct PolicyDifference<'a> {
    /// Its results.
    pub results: Sides<'a, PolicyResult>,
    /// Entitlements that differ, by key.
    pub entitlements: Vec<(&'a str, Sides<'a, Entitlement>)>,
    /// Inputs of which value or window differ.
    pub inputs: Vec<Sides<'a, Input>>,
}

impl PolicyDifference<'_> {
    /// Whether the reasons differ.
    pub fn has_other_reasons(&self) -> bool {
        reasons(self.results.0) != reasons(self.results.1)
    }
}

/// The policies in which two assessments differ, in the order of the later one; those that it doesn't have come last.
pub fn between<'a>(before: &'a Assessment, after: &'a Assessment) -> Vec<PolicyDifference<'a>> {
    let results = paired(&before.assessed.policies, &after.assessed.policies, |a, b| a.policy == b.policy);
    let difference = |results: Sides<'a, PolicyResult>| {
        let (old, new) = (inputs(results.0), inputs(results.1));
        let mut inputs = paired(old, new, |a, b| (a.kind, &a.key) == (b.kind, &b.key));
        let read = |input: Option<&Input>, by: &Assessment| input.map(|input| (input.value_at(by.as_of), input.window));
        inputs.retain(|(old, new)| read(*old, before) != read(*new, after));
        let same = results.0.map(|result| &result.result) == results.1.map(|result| &result.result);
        (!same || !inputs.is_empty()).then(|| PolicyDifference { results, entitlements: entitlements(results), inputs })
    };
    results.into_iter().filter_map(difference).collect()
}

/// Entries of two lists that are `same`, in the order of the second; those that it doesn't have come last.
fn paired<'a, T>(before: &'a [T], after: &'a [T], same: impl Fn(&T, &T) -> bool) -> Vec<Sides<'a, T>> {
    let kept = after.iter().map(|new| (before.iter().find(|old| same(old, new)), Some(new)));
    let gone = before.iter().filter(|old| !after.iter().any(|new| same(old, new))).map(|old| (Some(old), None));
    kept.chain(gone).collect()
}

fn entitlements<'a>(results: Sides<'a, PolicyResult>) -> Vec<(&'a str, Sides<'a, Entitlement>)> {
    let of = |result: Option<&'a PolicyResult>| match result.map(|result| &result.result) {
        Some(Verdict::Decided(decision)) => Some(&decision.entitlements),
        _ => None,
    };
    let (before, after) = (of(results.0), of(results.1));
    let keys: std::collections::BTreeSet<&String> =
        before.into_iter().chain(after).flat_map(|all| all.keys()).collect();
    let sides =
        |key: &'a String| (key.as_str(), (before.and_then(|all| all.get(key)), after.and_then(|all| all.get(key))));
    keys.into_iter().map(sides).filter(|(_, (old, new))| old != new).collect()
}

fn inputs(result: Option<&PolicyResult>) -> &[Input] {
    result.map_or(&[], |result| &result.inputs)
}

fn reasons(result: Option<&PolicyResult>) -> &[Reason] {
    match result.map(|result| &result.result) {
        Some(Verdict::Decided(decision)) => &decision.reasons,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::civil::{Date, date};

    use super::*;
    use crate::digest::Digest;
    use crate::policy::model::Assessed;

    fn assessment(as_of: Date, policies: &str) -> Assessment {
        let digest = Digest::of("x");
        Assessment {
            id: Id::new(),
            customer_id: Id::NIL,
            run_id: None,
            basis: 1,
            release: digest,
            cohort: digest,
            as_of,
            assessed_at: Timestamp::UNIX_EPOCH,
            assessed: Assessed { policies: serde_json::from_str(policies).unwrap() },
        }
    }

    const GRADE: &str = r#"{"policy": "grade", "decided": {"outcome": "2", "entitlements": {"days": "30", "visits": "1"}},
        "inputs": [{"kind": "field", "key": "area", "value": "20"}, {"kind": "metric", "key": "area", "value": "7"}]}"#;

    #[test]
    fn equal_policies_are_left_out_and_only_what_changed_of_others_is_told() {
        let before = assessment(date(2018, 1, 1), &format!("[{GRADE}, {}]", GRADE.replace("grade", "level")));
        let changed = GRADE.replace("\"30\"", "\"60\"").replace("\"7\"", "\"8\"").replace("visits", "calls");
        let after = assessment(date(2018, 1, 1), &format!("[{}, {changed}]", GRADE.replace("grade", "level")));
        let differences = between(&before, &after);
        assert_eq!(differences.len(), 1);
        assert_eq!(differences[0].results.1.unwrap().policy, "grade");
        let keys: Vec<_> =
            differences[0].entitlements.iter().map(|(key, (old, new))| (*key, old.is_some(), new.is_some())).collect();
        assert_eq!(keys, [("calls", false, true), ("days", true, true), ("visits", true, false)]);
        let values: Vec<_> =
            differences[0].inputs.iter().map(|(old, new)| (&old.unwrap().value, &new.unwrap().value)).collect();
        assert_eq!(
            values,
            [(&Some("7".to_owned()), &Some("8".to_owned()))],
            "the field of the same key hasn't changed"
        );
        assert!(!differences[0].has_other_reasons());
    }

    #[test]
    fn new_policies_and_those_that_are_gone_differ_in_all_they_have() {
        let before = assessment(date(2018, 1, 1), &format!("[{GRADE}]"));
        let after =
            assessment(date(2018, 1, 1), r#"[{"policy": "level", "failed": "policies/level.rhai:1", "inputs": []}]"#);
        let differences = between(&before, &after);
        assert!(differences[0].results.0.is_none() && differences[0].inputs.is_empty());
        assert!(differences[1].results.1.is_none());
        assert_eq!((differences[1].entitlements.len(), differences[1].inputs.len()), (2, 2));
    }

    #[test]
    fn a_date_that_was_read_differs_where_the_assessments_are_as_of_other_dates() {
        let policy = |kind: &str| {
            format!(
                r#"[{{"policy": "p", "decided": {{"outcome": "1"}}, "inputs": [{{"kind": "{kind}", "key": "k"}}]}}]"#
            )
        };
        let differs = |kind: &str, to: Date| {
            let (before, after) = (assessment(date(2018, 1, 1), &policy(kind)), assessment(to, &policy(kind)));
            !between(&before, &after).is_empty()
        };
        assert!(differs("as_of", date(2018, 1, 2)) && !differs("month", date(2018, 1, 2)));
        assert!(differs("month", date(2018, 2, 1)) && !differs("field", date(2018, 2, 1)));
    }
}
