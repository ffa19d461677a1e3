//! The `baremo` binary: parses the command line, nothing else.

use std::process::ExitCode;

use baremo::cli::Cli;
use clap::Parser;

fn main() -> ExitCode {
    Cli::parse().run()
}
