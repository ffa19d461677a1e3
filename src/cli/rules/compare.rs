//! `baremo rules compare`: what a pack would change for every customer of a base, told before it is published.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use comfy_table::Table;
use rust_decimal::Decimal;

use super::publish::Said;
use super::say;
use crate::assessments::comparison::export::{self, Part};
use crate::assessments::comparison::{self, Comparison};
use crate::assessments::model::{DEFAULT_LEASE, Owner};
use crate::assessments::tally::{Moves, PolicyTally, Side};
use crate::assessments::{publishing, run, store};
use crate::cli::Failure;
use crate::cli::base::{self, FailingCases, Folder};
use crate::config::Config;
use crate::db::Db;
use crate::db::migrate::migrate;
use crate::digest::Digest;
use crate::releases::active::{Active, InForce};
use crate::releases::start;

/// How long to wait where other processes do the work.
const PAUSE: Duration = Duration::from_millis(100);
/// Movers of a policy that are shown.
const SHOWN: usize = 5;

/// What is compared, and how that is told.
#[derive(Debug, Args)]
pub struct Compare {
    /// The pack's folder
    folder: PathBuf,
    /// How it is told
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// For CSV: policies, matrix, entitlements, groups, movers or failures
    #[arg(long, value_parser = part, default_value = "matrix")]
    part: Part,
    /// File to write to; the standard output when left out
    #[arg(long, value_name = "FILE", required_if_eq("format", "xlsx"))]
    output: Option<PathBuf>,
    #[command(flatten)]
    said: Said,
}

/// How a comparison is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// All of it, as JSON
    Json,
    /// One part of it
    Csv,
    /// A workbook with a sheet for each part
    Xlsx,
}

fn part(text: &str) -> Result<Part, String> {
    Part::from_key(text).ok_or_else(|| format!("a part is {}", Part::ALL.map(Part::key).join(", ")))
}

impl Compare {
    /// Keeps the folder as a release, compares it with the one in force, and tells what differs.
    pub fn run(self, config: &Config) -> Result<ExitCode, Failure> {
        beside_active(config, &self.folder, |db, in_force, active, folder| {
            let digest = folder.release.digest;
            if digest == active.basis.release {
                say(&format!("{digest} is in force: nothing differs"));
                return Ok(());
            }
            let run = db.run_here(|conn| {
                self.said.keep(conn, folder, Some(active.basis.release))?;
                comparison::create(conn, active, digest, comparison::Population::new(), self.said.by())
            })?;
            work(db, in_force, run.id)?;
            let found = db.run_here(|conn| store::comparison(conn, run.id))?;
            let content = found.and_then(|task| task.content).ok_or("the comparison was cancelled")?;
            let kept = Comparison::read(&content.0)?;
            self.tell(active, &kept, content)
        })
    }

    fn tell(
        &self,
        active: &Arc<Active>,
        kept: &Comparison,
        (content, digest): (String, Digest),
    ) -> Result<(), Failure> {
        let bytes = match self.format {
            Format::Text => text(active, kept, digest).into_bytes(),
            Format::Json => content.into_bytes(),
            Format::Csv => export::csv(kept, self.part)?,
            Format::Xlsx => export::xlsx(kept)?,
        };
        match &self.output {
            Some(path) => fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))?,
            None => {
                let mut out = std::io::stdout().lock();
                out.write_all(&bytes)?;
                if !bytes.ends_with(b"\n") {
                    writeln!(out)?;
                }
            }
        }
        Ok(())
    }
}

/// Does something with a folder beside what is in force in the base of the configuration.
pub(super) fn beside_active(
    config: &Config,
    folder: &Path,
    command: impl FnOnce(&Db, &InForce, &Arc<Active>, &Folder) -> Result<(), Failure>,
) -> Result<ExitCode, Failure> {
    let folder = base::load(folder, FailingCases::Refuse).map_err(|faults| base::told(folder, &faults))?;
    base::beside(config, &folder.release.pack.id, |db| {
        let in_force = InForce::default();
        db.run_here(|conn| {
            migrate(conn)?;
            start::bind(conn, &folder.release)?;
            Ok::<_, start::Error>(in_force.refresh(conn)?)
        })?;
        let active = in_force.get().ok_or("nothing is in force in the base; there is nothing to compare with")?;
        command(db, &in_force, &active, &folder)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Works on the comparison, beside a service that does the same, until it has ended.
fn work(db: &Db, in_force: &InForce, run_id: crate::Id) -> Result<(), Failure> {
    let owner = Owner::new(DEFAULT_LEASE);
    loop {
        let worked = run::work(db, in_force, owner, &|| false)?;
        let status = db.run_here(|conn| store::run_status(conn, run_id))?;
        if status.is_none_or(|status| !status.is_open()) {
            return Ok(());
        }
        if !worked {
            thread::sleep(PAUSE);
        }
    }
}

fn text(active: &Arc<Active>, kept: &Comparison, digest: Digest) -> String {
    let mut text = format!(
        "{} customers as of {}: {} beside {}, which is in force\n",
        kept.tally.customers, kept.business_date, kept.candidate, kept.in_force
    );
    for (policy, tally) in &kept.tally.policies {
        text += &told(policy, tally, kept);
    }
    if !kept.unchanged.is_empty() {
        text += &format!("\nAs before: {}\n", kept.unchanged.join(", "));
    }
    let limits = active.release.pack.publishing.as_ref();
    for beyond in limits.map(|limits| publishing::exceeded(limits, kept)).unwrap_or_default() {
        text += &format!("\nBeyond a limit of the pack in force: {}: {}\n", beyond.policy, beyond.detail);
    }
    text += &format!("\nThe comparison is {digest}\n");
    text
}

/// Who moves from which outcome to which, as a table; nothing where nobody does.
pub(super) fn moves(matrix: &Moves) -> String {
    let moves: Vec<(&Side, &Side, u64)> = matrix.cells().filter(|(from, to, _)| from != to).collect();
    if moves.is_empty() {
        return String::new();
    }
    let side = |side: &Side| side.outcome().map_or_else(|| format!("({})", String::from(side.clone())), str::to_owned);
    let mut table = Table::new();
    table.load_preset(super::super::distribution::STYLE).set_header(["From", "To", "Customers"]);
    for (from, to, number) in moves {
        table.add_row([side(from), side(to), number.to_string()]);
    }
    format!("{table}\n")
}

fn told(policy: &str, tally: &PolicyTally, kept: &Comparison) -> String {
    let percent = (tally.matrix.share_moved() * Decimal::ONE_HUNDRED).round_dp(2).normalize();
    let mut text = format!("\n{policy}: {} of {} move, {percent} %\n", tally.matrix.moved(), tally.matrix.decided());
    if tally.matrix.newly_failed() > 0 {
        text += &format!("  {} fail who didn't before\n", tally.matrix.newly_failed());
        text += &tally.failures.keys().map(|message| format!("    {message}\n")).collect::<String>();
    }
    text += &moves(&tally.matrix);
    for (key, sums) in tally.sums.iter().filter(|(_, sums)| sums.before != sums.after) {
        text += &format!("  sum of {key}: {} before, {} after\n", sums.before.normalize(), sums.after.normalize());
    }
    for mover in kept.movers.get(policy).into_iter().flatten().take(SHOWN) {
        let outcome = |result: &crate::policy::model::PolicyResult| {
            result.outcome().map(|(_, outcome)| outcome).unwrap_or_default()
        };
        text += &format!("  {}: {} → {}\n", mover.customer_code, outcome(&mover.before), outcome(&mover.after));
    }
    text
}
