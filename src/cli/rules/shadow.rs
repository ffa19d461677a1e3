//! `baremo rules shadow`: lets a pack decide in the shadow of the release in force for a period, and tells what came of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use comfy_table::Table;
use jiff::civil::Date;
use rust_decimal::Decimal;

use super::compare::{beside_active, moves};
use super::publish::Said;
use super::say;
use crate::assessments::run::Error;
use crate::assessments::shadow::{self, Fact, Plan, Shadowed};
use crate::assessments::store::{self, Shadow};
use crate::cli::Failure;
use crate::config::Config;
use crate::faults::Fault;

/// What decides in the shadow, and until when.
#[derive(Debug, Args)]
pub struct Shade {
    /// The pack's folder
    folder: PathBuf,
    /// Begin, and end on this business date; without it what came of it so far is told
    #[arg(long, value_name = "DATE", value_parser = super::as_of)]
    until: Option<Date>,
    /// A metric whose mean is told by outcome, to be had with --until; may stand several times
    #[arg(long = "fact", value_name = "METRIC", requires = "until")]
    facts: Vec<String>,
    /// End it now
    #[arg(long, conflicts_with = "until")]
    end: bool,
    #[command(flatten)]
    said: Said,
}

impl Shade {
    /// Begins, ends, or tells what came of it.
    pub fn run(self, config: &Config) -> Result<ExitCode, Failure> {
        beside_active(config, &self.folder, |db, in_force, active, folder| {
            let release = folder.release.digest;
            let found = db.run_here(|conn| match self.until {
                Some(ends_on) => {
                    self.said.keep(conn, folder, Some(active.basis.release))?;
                    let plan = Plan { release, by: self.said.by(), ends_on, facts: self.facts.clone() };
                    shadow::begin(conn, in_force, active, &plan).map(Some)
                }
                None if self.end => shadow::cancel(conn, release).map(Some),
                None => Ok(store::last_shadow(conn, release)?),
            });
            let shadow = found.map_err(told)?.ok_or("this pack has never decided in the shadow")?;
            say(&text(&shadow)?);
            Ok(())
        })
    }
}

fn told(error: Error) -> Failure {
    match error {
        Error::Invalid(faults) => {
            let details: Vec<String> = faults.into_iter().map(|Fault { detail, .. }| detail).collect();
            details.join("; ").into()
        }
        Error::NotFound => "this pack has never decided in the shadow".into(),
        error => error.into(),
    }
}

fn text(shadow: &Shadow) -> Result<String, Failure> {
    let mut text = format!(
        "{} decides in the shadow from {} to {}: {}",
        shadow.release,
        shadow.starts_on,
        shadow.ends_on,
        shadow.status.key()
    );
    let Some(result) = shadow.result.as_deref().map(Shadowed::read).transpose()? else { return Ok(text) };
    text += &format!("\n{} customers as of {}\n", result.seen.customers, result.on);
    for (policy, seen) in &result.seen.policies {
        let percent = (seen.matrix.share_moved() * Decimal::ONE_HUNDRED).round_dp(2).normalize();
        let (moved, decided) = (seen.matrix.moved(), seen.matrix.decided());
        text += &format!("\n{policy}: {moved} of {decided} differ, {percent} %\n{}", moves(&seen.matrix));
        if !seen.facts.is_empty() {
            text += &format!("{}\n", facts(&seen.facts));
        }
    }
    Ok(text.trim_end().to_owned())
}

/// The mean of each metric by the outcome that customers had on the first day.
fn facts(facts: &BTreeMap<String, [BTreeMap<String, Fact>; 2]>) -> Table {
    let mut table = Table::new();
    table.load_preset(super::super::distribution::STYLE).set_header(["Metric", "By", "Outcome", "Customers", "Mean"]);
    for (metric, sides) in facts {
        for (by, outcomes) in ["in force", "in the shadow"].into_iter().zip(sides) {
            for (outcome, fact) in outcomes {
                let mean = fact.mean().to_string();
                table.add_row([metric.as_str(), by, outcome, &fact.customers.to_string(), &mean]);
            }
        }
    }
    table
}
