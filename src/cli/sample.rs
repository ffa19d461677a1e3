//! `baremo sample`: customers and transactions, made by the distributions of a pack's `sample.toml`, as files for imports.

pub mod load;
mod write;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, value_parser};

use super::{Failure, listed};
use crate::csv_rows::Progress;
use crate::policy::source::{SAMPLE, Source};
use crate::policy::{manifest, sample};

/// Options of making data.
#[derive(Debug, Args)]
pub struct Sample {
    /// Folder of the pack whose sample.toml says by which distributions
    #[arg(long, value_name = "FOLDER")]
    pack: PathBuf,
    /// How many customers; as many as sample.toml says when left out
    #[arg(long, value_parser = value_parser!(u32).range(1..=i64::from(sample::MOST_CUSTOMERS)))]
    customers: Option<u32>,
    /// Where chance begins: the same number makes the same data; that of sample.toml when left out
    #[arg(long)]
    seed: Option<u64>,
    /// Folder to write the files to, made when it is missing; files that are there are replaced
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
}

impl Sample {
    /// Writes the files and says how many rows each has.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let source = Source::from_folder(&self.pack).map_err(listed)?;
        let pack = manifest::parse(&source).map_err(listed)?;
        let sample = sample::read(&source, &pack).map_err(listed)?;
        let Some(generate) = sample.and_then(|sample| sample.generate) else {
            let path = self.pack.join(SAMPLE);
            return Err(format!("{} says of no distributions: it has no [generate]", path.display()).into());
        };
        let customers = self.customers.unwrap_or(generate.customers);
        let seed = self.seed.unwrap_or(generate.seed);
        let mut progress = Progress::shown("making");
        let written = write::write(&generate, &pack, customers, seed, &self.output, &mut progress)?;
        let mut out = std::io::stdout().lock();
        for file in &written {
            writeln!(out, "{}: {} rows", self.output.join(&file.name).display(), file.rows)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
