//! The command line: one file for each subcommand.

pub mod admin;
mod base;
pub mod close;
mod distribution;
pub mod import;
pub mod logs;
pub mod migrate;
pub mod openapi;
pub mod replay;
pub mod rules;
pub mod sample;
pub mod serve;
mod starting;
mod watch;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::policy::diagnostic::Diagnostic;

/// An error on its way to the terminal.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Keeps an industry's customer file and grades every customer by policies that the industry writes itself.
#[derive(Debug, Parser)]
#[command(name = "baremo", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a pack: the API, its documentation and the work behind it
    Serve(serve::Serve),
    /// Bring the database to the schema of this version
    Migrate(migrate::Migrate),
    /// Import customers, products, transactions or observations from CSV files
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// See to users and roles, and let new keys sign tokens
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Make provisional outcomes the standing ones now, without waiting for the end of a month, quarter or year
    Close(close::Close),
    /// Compute kept assessments again, from their own inputs, rules and cohort, and tell which come out otherwise
    Replay(replay::Replay),
    /// Make customers and transactions by the distributions of a pack's sample.toml, as CSV files: no database is needed
    Sample(sample::Sample),
    /// Check, test, try and release packs
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Write the description of the API (OpenAPI 3.1) to standard output: no database is needed
    Openapi(openapi::Openapi),
}

impl Cli {
    /// Runs the command; the exit code is 0 when everything went well.
    pub fn run(self) -> ExitCode {
        let result = match self.command {
            Command::Rules(command) => return command.run(),
            Command::Sample(command) => command.run(),
            Command::Openapi(command) => command.run(),
            Command::Serve(command) => configured(|config| command.run(config)),
            Command::Migrate(command) => configured(|config| command.run(config)),
            Command::Import(command) => configured(|config| command.run(config)),
            Command::Admin(command) => configured(|config| command.run(config)),
            Command::Close(command) => configured(|config| command.run(config)),
            Command::Replay(command) => configured(|config| command.run(config)),
        };
        result.unwrap_or_else(|error| {
            // Nothing more can be said when standard error is closed.
            let _ = writeln!(std::io::stderr(), "baremo: {error}");
            ExitCode::FAILURE
        })
    }
}

/// Runs a command that needs the configuration, and begins logging as it says.
fn configured(command: impl FnOnce(&Config) -> Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
    let config = Config::read()?;
    let _logs = logs::begin(&config)?;
    command(&config)
}

/// Every fault of a pack, as a person reads them.
fn listed(faults: Vec<Diagnostic>) -> String {
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    format!("the pack has faults:\n\n{}", texts.join("\n\n"))
}
