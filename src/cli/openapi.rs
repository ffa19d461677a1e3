//! `baremo openapi`: the description of the API, sorted, without a server or a database.

use std::io::Write;
use std::process::ExitCode;

use super::Failure;
use crate::app::described;

/// The description as it is committed: keys sorted, indented, with a newline at the end.
pub fn text() -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string_pretty(&described()?)? + "\n")
}

/// Writes it to standard output.
pub fn write() -> Result<ExitCode, Failure> {
    std::io::stdout().write_all(text()?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
