//! The command line: one file for each subcommand.

pub mod rules;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keeps an industry's customer file and grades every customer by policies that the industry writes itself.
#[derive(Debug, Parser)]
#[command(name = "baremo", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check, test and try packs: no database is needed
    #[command(subcommand)]
    Rules(rules::RulesCommand),
}

impl Cli {
    /// Runs the command; the exit code is 0 when everything went well.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Rules(command) => command.run(),
        }
    }
}
