//! Golden cases: what each policy must decide in given circumstances, run when a release is made and from the command line.

pub mod coverage;
mod mutation;
pub mod proposing;
mod reading;
mod running;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rust_decimal::Decimal;
use serde::Serialize;

use jiff::civil::Date;

pub use mutation::{Mutations, mutate};

use super::diagnostic::Diagnostic;
use super::model::{Cohort, Entitlement, Previous, Subject};
use super::release::LoadedPack;
use super::source::Source;

/// Longest time that all cases of a pack may take together.
const LONGEST: Duration = Duration::from_secs(30);

/// One case, ready to run.
#[derive(Clone, Debug)]
struct Case {
    name: String,
    /// Where it stands in its file, from 1.
    line: usize,
    as_of: Date,
    subject: Subject,
    cohort: Cohort,
    outcomes: BTreeMap<String, String>,
    /// What stood after the last closing of the policy.
    previous: BTreeMap<String, Previous>,
    expected: Expected,
}

/// What a case wants; what is absent isn't compared.
#[derive(Clone, Debug, Default)]
struct Expected {
    outcome: Option<String>,
    score: Option<Decimal>,
    entitlements: BTreeMap<String, Entitlement>,
    reasons: Option<Vec<String>>,
    error: Option<String>,
}

/// How one case went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    /// The policy that it tests.
    pub policy: String,
    /// Its name.
    pub name: String,
    /// Its file in the pack.
    pub file: String,
    /// The line in which it begins, from 1.
    pub line: usize,
    /// What differs from what was expected: a sentence for each part. Empty when the case passed.
    pub differences: Vec<String>,
}

impl CaseResult {
    /// Whether everything was as expected.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// How all the cases of a pack went, by file and line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CaseReport {
    /// One result for each case.
    pub results: Vec<CaseResult>,
    /// Policies without a single case.
    pub untested: Vec<String>,
}

impl CaseReport {
    /// The cases that didn't go as expected.
    pub fn failures(&self) -> impl Iterator<Item = &CaseResult> {
        self.results.iter().filter(|result| !result.passed())
    }
}

/// What edges are looked for that no case guards, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// One policy; all where there is none.
    policy: Option<&'a str>,
    begun: Instant,
    longest: Duration,
}

impl<'a> Search<'a> {
    /// A search that begins now.
    pub fn begin(policy: Option<&'a str>, longest: Duration) -> Self {
        Self { policy, begun: Instant::now(), longest }
    }

    /// Whether its time has run out.
    pub fn is_over(self) -> bool {
        self.begun.elapsed() > self.longest
    }

    fn concerns(self, policy: &str) -> bool {
        self.policy.is_none_or(|wanted| wanted == policy)
    }
}

/// Every fault in the form of the pack's cases.
pub(super) fn check(loaded: &LoadedPack, source: &Source) -> Vec<Diagnostic> {
    reading::read(loaded, source).err().unwrap_or_default()
}

/// Runs all the cases of a pack. Needs a stack of 16 MiB.
///
/// # Errors
/// Every fault in the form of the cases: then none is run.
pub fn run(loaded: &LoadedPack, source: &Source) -> Result<CaseReport, Vec<Diagnostic>> {
    let files = reading::read(loaded, source)?;
    let tested: Vec<&String> = files.iter().filter(|(_, cases)| !cases.is_empty()).map(|(policy, _)| policy).collect();
    let untested = loaded.pack.policies.keys().filter(|policy| !tested.contains(policy)).cloned().collect();
    let begun = Instant::now();
    let differences = |policy: &str, case: &Case| {
        if begun.elapsed() < LONGEST {
            running::differences(&loaded.policies, policy, case)
        } else {
            vec![format!("not run: all cases together take at most {} s", LONGEST.as_secs())]
        }
    };
    let results = files.into_iter().flat_map(|(policy, cases)| {
        cases.into_iter().map(move |case| CaseResult {
            differences: differences(&policy, &case),
            file: loaded.pack.policies.get(&policy).map(|declared| declared.cases_path(&policy)).unwrap_or_default(),
            policy: policy.clone(),
            name: case.name,
            line: case.line,
        })
    });
    Ok(CaseReport { results: results.collect(), untested })
}

#[cfg(test)]
mod tests;
