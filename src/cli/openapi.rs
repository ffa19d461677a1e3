//! `baremo openapi`: the description of the API, sorted, without a server or a database.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{Failure, listed};
use crate::app::described;
use crate::policy::release::load;
use crate::policy::source::Source;
use crate::releases::api::openapi::running;

/// Options of describing.
#[derive(Debug, Args)]
pub struct Openapi {
    /// Folder of a pack: the description is then that of a service that runs with it. Without, it is the one that knows no industry
    #[arg(long, value_name = "FOLDER")]
    pack: Option<PathBuf>,
}

impl Openapi {
    /// Writes the description to standard output.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let text = self.pack.as_deref().map_or_else(|| Ok(text()?), text_with)?;
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The description as it is committed: keys sorted, indented, with a newline at the end.
pub fn text() -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(&described()?)? + "\n")
}

/// The description with the pack of a folder.
fn text_with(folder: &Path) -> Result<String, Failure> {
    let loaded = Source::from_folder(folder).and_then(|source| load(&source)).map_err(listed)?;
    Ok(serde_json::to_string_pretty(&running(&described()?, &loaded.pack))? + "\n")
}
