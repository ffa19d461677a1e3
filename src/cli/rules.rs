//! `baremo rules`: what authors of packs need. But for releasing them it is done without a database.

mod compare;
mod doc;
mod grade;
mod junit;
mod new;
mod publish;
mod shadow;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use jiff::civil::Date;
use serde_json::json;

use crate::cli::import::mapping;
use crate::cli::{Failure, configured};
use crate::config::Config;
use crate::faults::{did_you_mean, excerpt};
use crate::policy::cases::coverage::Coverage;
use crate::policy::cases::{self, CaseReport, Search};
use crate::policy::diagnostic::Diagnostic;
use crate::policy::explanations;
use crate::policy::release::{self, LoadedPack};
use crate::policy::sample;
use crate::policy::source::Source;

/// Longest time that looking for unguarded edges takes.
const LONGEST: Duration = Duration::from_secs(300);
/// Stack on which scripts may run: deeply nested data of a script overflow a smaller one.
const SCRIPT_STACK: usize = 16 << 20;

/// The commands for packs.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// List every fault of a pack with file, line and column
    Check {
        /// The pack's folder
        folder: PathBuf,
        /// For people, or for editors and scripts
        #[arg(long, value_enum, default_value = "text")]
        format: Told,
    },
    /// Check a pack and run its cases
    Test {
        /// The pack's folder
        folder: PathBuf,
        /// For people, or as JUnit XML for whatever shows tests
        #[arg(long, value_enum, default_value = "text")]
        format: Reported,
        /// Change each number, comparison, condition and outcome of the scripts in turn, and list what no case notices
        #[arg(long, conflicts_with = "format")]
        mutate: bool,
        /// Tell which statements, branches, rows of tables and outcomes no case reaches
        #[arg(long, conflicts_with = "format")]
        coverage: bool,
    },
    /// Propose a case for each edge of a rule that none guards, to the standard output, for the author to confirm
    Cases {
        /// The pack's folder
        folder: PathBuf,
    },
    /// Tell what the code of a fault means, and what would be right; without a code, list all
    Explain {
        /// The code, as it stands in brackets: unknown_field
        code: Option<String>,
    },
    /// Write a small pack that works, to begin with
    New {
        /// A folder that doesn't exist or is empty; its name becomes the pack's id
        folder: PathBuf,
    },
    /// Write a pack's handbook to the standard output
    Doc {
        /// The pack's folder
        folder: PathBuf,
        /// One of the pack's languages; its first when left out
        #[arg(long)]
        language: Option<String>,
        /// As Markdown, or as a page that needs no network
        #[arg(long, value_enum, default_value = "markdown")]
        format: Written,
    },
    /// Grade the customers of a file by a pack, with no database
    Run(GradeArguments),
    /// Compare a pack with the release in force over all customers of the base of the configuration, and change nothing
    Compare(compare::Compare),
    /// Let a pack decide in the shadow of the release in force for a period, and tell what came of it
    Shadow(shadow::Shade),
    /// Approve the last comparison of a pack, as a user of the base
    Approve(publish::Approve),
    /// Check a pack, run its cases and put it in force in the base of the configuration
    Release(publish::Publish),
    /// Put an earlier release in force again: the one before, or another one
    Rollback(publish::Rollback),
    /// List the releases of a base, newest first, with what was done with each
    Releases(publish::Releases),
}

/// What `baremo rules run` reads and writes.
#[derive(Debug, clap::Args)]
pub struct GradeArguments {
    /// The pack's folder
    folder: PathBuf,
    /// CSV with the columns code, name and one for each field, by its key or as section.key
    #[arg(long)]
    customers: PathBuf,
    /// CSV with the columns customer, kind, on, order, product, product_category and one for each measure
    #[arg(long)]
    transactions: PathBuf,
    /// CSV with the columns kind, on, customer and value
    #[arg(long)]
    observations: Option<PathBuf>,
    /// A column of the customers under another name than its own: `--map-customers code=shop_no`; may stand several times
    #[arg(long, value_name = "TARGET=COLUMN", value_parser = mapping)]
    map_customers: Vec<(String, String)>,
    /// The same for the transactions: `--map-transactions customer=shop_no`
    #[arg(long, value_name = "TARGET=COLUMN", value_parser = mapping)]
    map_transactions: Vec<(String, String)>,
    /// Kind of all transactions, where their file has no column `kind`
    #[arg(long)]
    kind: Option<String>,
    /// The date that everything is as of, such as 2018-01-01
    #[arg(long, value_parser = as_of)]
    as_of: Date,
    /// File to write the grades to
    #[arg(long)]
    output: PathBuf,
    /// How they are written
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
}

/// How a check tells what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Told {
    /// Each fault with the line and a mark below it
    Text,
    /// One JSON document
    Json,
}

/// How a handbook is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Written {
    /// Markdown
    Markdown,
    /// A page that needs no network
    Html,
}

/// How a test tells how the cases went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reported {
    /// What differs, and how many passed
    Text,
    /// A test suite for each policy
    Junit,
}

/// How grades are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A row for each customer with each policy's outcome and score
    Csv,
    /// A line of JSON for each customer with the full decisions
    Ndjson,
}

fn as_of(text: &str) -> Result<Date, String> {
    crate::customers::texts::date(text).map_err(|(_, detail)| detail)
}

/// A command that didn't go well: what to tell, and nothing when all has been told.
struct Failed(String);

impl RulesCommand {
    /// Runs the command; the exit code is 1 when the pack has faults, a case failed or a row was faulty.
    pub fn run(self) -> ExitCode {
        let work = std::thread::Builder::new().stack_size(SCRIPT_STACK).spawn(move || self.execute());
        let result = work.map(std::thread::JoinHandle::join);
        match result {
            Ok(Ok(Ok(()))) => ExitCode::SUCCESS,
            Ok(Ok(Err(Failed(message)))) => {
                if !message.is_empty() {
                    tell(&message);
                }
                ExitCode::FAILURE
            }
            Ok(Err(_)) => ExitCode::FAILURE,
            Err(error) => {
                tell(&format!("no thread can be started: {error}"));
                ExitCode::FAILURE
            }
        }
    }

    fn execute(self) -> Result<(), Failed> {
        match self {
            Self::Check { folder, format } => check(&folder, format),
            Self::Test { folder, format, mutate, coverage } => {
                test(&folder, format)?;
                if coverage {
                    self::coverage(&folder)?;
                }
                if mutate { self::mutate(&folder) } else { Ok(()) }
            }
            Self::Cases { folder } => propose(&folder),
            Self::Explain { code } => explain(code.as_deref()),
            Self::New { folder } => new::write(&folder),
            Self::Doc { folder, language, format } => doc::print(&folder, language.as_deref(), format),
            Self::Run(arguments) => grade::run(&arguments),
            Self::Compare(command) => on_base(|config| command.run(config)),
            Self::Shadow(command) => on_base(|config| command.run(config)),
            Self::Approve(command) => on_base(|config| command.run(config)),
            Self::Release(command) => on_base(|config| command.run(config)),
            Self::Rollback(command) => on_base(|config| command.run(config)),
            Self::Releases(command) => on_base(|config| command.run(config)),
        }
    }
}

/// Does what needs the base of the configuration.
fn on_base(command: impl FnOnce(&Config) -> Result<ExitCode, Failure>) -> Result<(), Failed> {
    configured(command).map(drop).map_err(|error| Failed(format!("baremo: {error}")))
}

fn check(folder: &Path, format: Told) -> Result<(), Failed> {
    let checked = Source::from_folder(folder).and_then(|source| {
        let loaded = release::check(&source)?;
        let faults = sample::check(&source, &loaded.pack);
        if faults.is_empty() { Ok(loaded) } else { Err(faults) }
    });
    match (checked, format) {
        (Ok(loaded), Told::Text) => {
            for warning in release::warnings(&loaded) {
                tell(&format!("{warning}\n"));
            }
            say(&format!("{}: no faults. {}", folder.display(), summary(&loaded)));
            Ok(())
        }
        (Ok(loaded), Told::Json) => {
            say(&json!({"sound": true, "release": loaded.digest, "diagnostics": release::warnings(&loaded)})
                .to_string());
            Ok(())
        }
        (Err(faults), Told::Text) => Err(failed(&faults)),
        (Err(faults), Told::Json) => {
            say(&json!({"sound": false, "diagnostics": faults}).to_string());
            Err(Failed(String::new()))
        }
    }
}

fn coverage(folder: &Path) -> Result<(), Failed> {
    let (source, loaded) = sound(folder)?;
    for Coverage { policy, statements, branches, rows, outcomes } in
        cases::coverage::coverage(&loaded, &source).map_err(|faults| failed(&faults))?
    {
        let parts =
            [("statements", statements), ("branches", branches), ("rows of tables", rows), ("outcomes", outcomes)];
        let shares = parts.iter().map(|(what, reached)| format!("{} of {} {what}", reached.hit(), reached.all));
        say(&format!("{policy}: {}", shares.collect::<Vec<_>>().join(", ")));
        for (what, reached) in parts.iter().filter(|(_, reached)| !reached.missed.is_empty()) {
            say(&format!("  no case reaches these {what}: {}", reached.missed.join("; ")));
        }
    }
    Ok(())
}

fn propose(folder: &Path) -> Result<(), Failed> {
    let (source, loaded) = sound(folder)?;
    let proposed =
        cases::proposing::propose(&loaded, &source, Search::begin(None, LONGEST)).map_err(|faults| failed(&faults))?;
    if proposed.is_empty() {
        say("# Every edge that can be reached by changing one thing is guarded.");
    }
    for (policy, text) in proposed {
        say(&format!("# For cases/{policy}.toml. What they expect is what the rule says now: is it right?\n\n{text}"));
    }
    Ok(())
}

fn explain(code: Option<&str>) -> Result<(), Failed> {
    let Some(code) = code else {
        let all = explanations::pages().map(|(code, page)| (code, page.lines().next().unwrap_or_default()));
        all.for_each(|(code, first)| say(&format!("{code:<26} {first}")));
        return Ok(());
    };
    match explanations::explanation(code) {
        Some(page) => {
            say(&format!("# {code}\n\n{page}"));
            Ok(())
        }
        None => {
            let hint = did_you_mean(code, explanations::pages().map(|(code, _)| code));
            Err(Failed(format!("no fault has the code '{}'{hint}; `baremo rules explain` lists all", excerpt(code))))
        }
    }
}

fn test(folder: &Path, format: Reported) -> Result<(), Failed> {
    let (source, loaded) = sound(folder)?;
    let report = cases::run(&loaded, &source).map_err(|faults| failed(&faults))?;
    if format == Reported::Junit {
        say(&junit::report(&loaded.pack.id, &report));
        return if report.failures().next().is_none() { Ok(()) } else { Err(Failed(String::new())) };
    }
    for result in report.failures() {
        say(&format!("FAILED {}:{}: {}", result.file, result.line, result.name));
        for difference in &result.differences {
            say(&format!("    {difference}"));
        }
    }
    if !report.untested.is_empty() {
        say(&format!("Without a case: {}", report.untested.join(", ")));
    }
    if report.results.is_empty() {
        say(&format!("{}: nothing was tested; cases stand in cases/<policy>.toml", folder.display()));
        return Ok(());
    }
    let closing = closing(folder, &loaded, &report);
    if report.failures().next().is_some() {
        return Err(Failed(closing));
    }
    say(&closing);
    Ok(())
}

/// Tells what no case of a pack whose cases pass notices.
fn mutate(folder: &Path) -> Result<(), Failed> {
    let (source, loaded) = sound(folder)?;
    let found = cases::mutate(&loaded, &source, Search::begin(None, LONGEST)).map_err(|faults| failed(&faults))?;
    found.unnoticed.iter().for_each(|one| say(&format!("{one}\n")));
    let unnoticed = found.unnoticed.len();
    let noticed = found.tried - unnoticed;
    let rest = if found.cut_off { "; time ran out before all were tried" } else { "" };
    let told = format!(
        "{}: {} tried: {noticed} noticed, {unnoticed} not{rest}",
        folder.display(),
        counted(found.tried, "change", "changes")
    );
    if unnoticed > 0 {
        return Err(Failed(told));
    }
    say(&told);
    Ok(())
}

fn closing(folder: &Path, loaded: &LoadedPack, report: &CaseReport) -> String {
    let failed = report.failures().count();
    let passed = report.results.len() - failed;
    let policies = counted(loaded.pack.policies.len(), "policy", "policies");
    let cases = counted(report.results.len(), "case", "cases");
    format!("{}: {cases} of {policies}: {passed} passed, {failed} failed", folder.display())
}

/// The pack of a folder without any fault.
fn sound(folder: &Path) -> Result<(Source, LoadedPack), Failed> {
    let source = Source::from_folder(folder).map_err(|faults| failed(&faults))?;
    let loaded = release::check(&source).map_err(|faults| failed(&faults))?;
    Ok((source, loaded))
}

/// Every fault, and how many there are.
fn failed(faults: &[Diagnostic]) -> Failed {
    let files: BTreeSet<&str> = faults.iter().map(|fault| fault.file.as_str()).collect();
    let shown: Vec<String> = faults.iter().map(|fault| format!("{fault}\n")).collect();
    let faults = counted(faults.len(), "fault", "faults");
    Failed(format!("{}\n{faults} in {}", shown.join("\n"), counted(files.len(), "file", "files")))
}

fn summary(loaded: &LoadedPack) -> String {
    let pack = &loaded.pack;
    let parts = [
        counted(pack.fields.iter().count(), "field", "fields"),
        counted(pack.definitions.kinds.len(), "kind", "kinds"),
        counted(pack.definitions.metrics.len(), "metric", "metrics"),
        counted(pack.cohorts.len(), "cohort", "cohorts"),
        counted(pack.policies.len(), "policy", "policies"),
    ];
    format!("Pack '{}': {}; {}", pack.id, parts.join(", "), loaded.digest)
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Writes to the standard output; whoever closes it early has read enough.
fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Writes to the standard error.
fn tell(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
