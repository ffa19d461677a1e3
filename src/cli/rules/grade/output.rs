//! Writes grades as CSV or as lines of JSON.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use super::super::Format;
use super::Graded;
use crate::csv_rows::safe_cell;
use crate::digest::Digest;
use crate::policy::model::{Circumstances, Decision, PolicyResult, Verdict};
use crate::policy::release::LoadedPack;

/// One customer's line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    code: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    as_of: String,
    release: Digest,
    cohort: Digest,
    policies: &'a [PolicyResult],
}

/// Writes the grades of all customers to a file.
pub(super) fn write(
    path: &Path,
    format: Format,
    loaded: &LoadedPack,
    graded: &[Graded],
    circumstances: Circumstances<'_>,
) -> io::Result<()> {
    let file = BufWriter::new(File::create(path)?);
    match format {
        Format::Csv => csv(file, loaded, graded),
        Format::Ndjson => ndjson(file, loaded, graded, circumstances),
    }
}

/// A row for each customer: for each policy its outcome, its score where it has one, and what stopped it in the last column.
fn csv(file: impl Write, loaded: &LoadedPack, graded: &[Graded]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(file);
    let scored: Vec<(&String, bool)> = loaded
        .pack
        .customer_policies()
        .map(|(id, _)| (id, loaded.policies.script(id).is_some_and(|facts| facts.weights)))
        .collect();
    let mut header = vec!["code".to_owned(), "name".to_owned()];
    for (id, has_score) in &scored {
        header.push((*id).clone());
        header.extend(has_score.then(|| format!("{id}_score")));
    }
    header.push("errors".to_owned());
    writer.write_record(&header)?;
    for Graded { name, subject, assessed } in graded {
        let mut row = vec![safe_cell(&subject.code).into_owned(), safe_cell(name).into_owned()];
        let mut errors = Vec::new();
        for (id, has_score) in &scored {
            let result = assessed.policies.iter().find(|result| result.policy == **id);
            let decision = match result.map(|result| &result.result) {
                Some(Verdict::Decided(decision)) => Some(decision),
                Some(Verdict::Failed(message)) => {
                    errors.push(format!("{id}: {message}"));
                    None
                }
                Some(Verdict::Blocked(needed)) => {
                    errors.push(format!("{id}: '{needed}' has no outcome"));
                    None
                }
                None => None,
            };
            row.push(decision.map(|decision| safe_cell(&decision.outcome).into_owned()).unwrap_or_default());
            row.extend(has_score.then(|| decision.map(score).unwrap_or_default()));
        }
        row.push(safe_cell(&errors.join("; ")).into_owned());
        writer.write_record(&row)?;
    }
    writer.flush()
}

fn score(decision: &Decision) -> String {
    decision.score.map(|score| score.normalize().to_string()).unwrap_or_default()
}

fn ndjson(
    mut file: impl Write,
    loaded: &LoadedPack,
    graded: &[Graded],
    circumstances: Circumstances<'_>,
) -> io::Result<()> {
    let cohort = circumstances.cohort.digest();
    for Graded { name, subject, assessed } in graded {
        let line = Line {
            code: &subject.code,
            name,
            as_of: circumstances.as_of.to_string(),
            release: loaded.digest,
            cohort,
            policies: &assessed.policies,
        };
        serde_json::to_writer(&mut file, &line)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}
