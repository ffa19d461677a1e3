//! The `baremo` binary: parses the command line, nothing else.

use std::process::ExitCode;

use baremo::cli::Cli;
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::parse().run()
}
