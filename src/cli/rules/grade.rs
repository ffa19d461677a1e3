//! `baremo rules run`: grades the customers of a file by a pack, with no database.

mod files;
mod output;

use std::path::Path;
use std::sync::Arc;
use std::thread;

use self::files::{Customers, Faulty};
use super::{Failed, GradeArguments, SCRIPT_STACK, counted, say, sound, tell};
use crate::policy::cohorts::CohortBuilder;
use crate::policy::model::{Assessed, Circumstances, NONE_OVERRIDES, NONE_PREVIOUS, NONE_STANDING, Subject, Verdict};
use crate::policy::release::LoadedPack;
use crate::policy::source::Source;

/// Most faulty rows that are listed one by one.
const LISTED: usize = 100;

/// One customer with the decisions about him.
struct Graded {
    name: String,
    subject: Arc<Subject>,
    assessed: Assessed,
}

/// Reads both files, grades every customer that can be read, and writes the grades.
pub(super) fn run(arguments: &GradeArguments) -> Result<(), Failed> {
    let (source, loaded) = sound(&arguments.folder)?;
    refuse_inputs(arguments, &source)?;
    let mapping = arguments.map_customers.iter().cloned().collect();
    let mut customers = files::customers(&arguments.customers, &loaded.pack, &mapping).map_err(unreadable)?;
    let reading = files::Reading {
        pack: &loaded.pack,
        mapping: arguments.map_transactions.iter().cloned().collect(),
        kind: arguments.kind.as_deref(),
    };
    let faulty_transactions = reading.transactions(&arguments.transactions, &mut customers).map_err(unreadable)?;
    let faulty_observations = match &arguments.observations {
        Some(path) => files::observations(path, &loaded.pack, &mut customers).map_err(unreadable)?,
        None => Vec::new(),
    };
    for remark in &customers.remarks {
        tell(&format!("warning: {remark}"));
    }
    let inactive = customers.inactive();
    let Customers { active, mut faulty, .. } = customers;
    faulty.extend(faulty_transactions);
    faulty.extend(faulty_observations);
    let mut builder = CohortBuilder::new(&loaded.pack);
    let subjects: Vec<(String, Arc<Subject>)> = active
        .into_values()
        .map(|customer| customer.into_subject(&loaded.pack, arguments.as_of))
        .inspect(|(_, subject)| builder.add(&subject.values))
        .collect();
    let cohort = builder.finish();
    let circumstances = Circumstances {
        as_of: arguments.as_of,
        cohort: &cohort,
        standing: &NONE_STANDING,
        previous: &NONE_PREVIOUS,
        overrides: &NONE_OVERRIDES,
    };
    let graded = grade(&loaded, subjects, circumstances)?;
    output::write(&arguments.output, arguments.format, &loaded, &graded, circumstances)
        .map_err(|error| Failed(format!("{}: {error}", arguments.output.display())))?;
    conclude(&arguments.output, &graded, inactive, &faulty)
}

/// Refuses to write over what is read.
fn refuse_inputs(arguments: &GradeArguments, source: &Source) -> Result<(), Failed> {
    // What isn't there yet is no input.
    let Ok(output) = arguments.output.canonicalize() else { return Ok(()) };
    let of_pack = source.files().map(|(path, _)| arguments.folder.join(path));
    let files = [arguments.customers.clone(), arguments.transactions.clone()];
    let mut inputs = files.into_iter().chain(arguments.observations.clone()).chain(of_pack);
    match inputs.find(|input| input.canonicalize().is_ok_and(|input| input == output)) {
        Some(input) => {
            let shown = input.display();
            Err(Failed(format!("the output would be written over {shown}, which is read; name another file")))
        }
        None => Ok(()),
    }
}

fn unreadable(error: crate::csv_rows::FileError) -> Failed {
    Failed(error.to_string())
}

/// Assesses all subjects on all cores; the results are in the order of the subjects.
fn grade(
    loaded: &LoadedPack,
    subjects: Vec<(String, Arc<Subject>)>,
    circumstances: Circumstances<'_>,
) -> Result<Vec<Graded>, Failed> {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = subjects.len().div_ceil(cores).max(1);
    let assess = |(name, subject): &(String, Arc<Subject>)| Graded {
        name: name.clone(),
        subject: Arc::clone(subject),
        assessed: loaded.policies.assess(subject, circumstances),
    };
    thread::scope(|scope| {
        let start = |part| {
            thread::Builder::new()
                .stack_size(SCRIPT_STACK)
                .spawn_scoped(scope, move || Vec::from_iter(<[_]>::iter(part).map(assess)))
        };
        let started: Vec<_> = subjects.chunks(share).map(start).collect();
        let mut graded = Vec::with_capacity(subjects.len());
        for thread in started {
            let thread = thread.map_err(|error| Failed(format!("no thread can be started: {error}")))?;
            graded.extend(thread.join().map_err(|_| Failed("a thread stopped while grading".to_owned()))?);
        }
        Ok(graded)
    })
}

/// Tells how it went: every faulty row, every policy that stopped, and what was written.
fn conclude(output: &Path, graded: &[Graded], inactive: usize, faulty: &[Faulty]) -> Result<(), Failed> {
    for row in faulty.iter().take(LISTED) {
        tell(&row.to_string());
    }
    if faulty.len() > LISTED {
        tell(&format!("and {} more faulty rows", faulty.len() - LISTED));
    }
    let mut stopped = 0;
    for customer in graded {
        for policy in &customer.assessed.policies {
            if let Verdict::Failed(message) = &policy.result {
                stopped += 1;
                if stopped <= LISTED {
                    tell(&format!("customer {}, policy {}: {message}", customer.subject.code, policy.policy));
                }
            }
        }
    }
    let left_out = match inactive {
        0 => String::new(),
        some => format!("; {} left out", counted(some, "inactive one was", "inactive ones were")),
    };
    say(&format!("{} written to {}{left_out}", counted(graded.len(), "customer", "customers"), output.display()));
    let mut problems = Vec::new();
    if !faulty.is_empty() {
        problems.push(format!("{} left out", counted(faulty.len(), "faulty row was", "faulty rows were")));
    }
    if stopped > 0 {
        problems.push(format!("{} made no decision", counted(stopped, "policy run", "policy runs")));
    }
    if problems.is_empty() { Ok(()) } else { Err(Failed(problems.join("; "))) }
}
