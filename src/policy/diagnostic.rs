//! A fault of a pack, as a compiler reports it: file, line, column, excerpt, what is wrong and what was probably meant.

use std::fmt;

use serde::Serialize;

/// One fault in one file of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable code: `unknown_field`, `syntax`, …
    pub code: &'static str,
    /// Path inside the pack, `policies/volume_grade.rhai`.
    pub file: String,
    /// Line, from 1; absent when the fault concerns the whole file.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// The line of the file.
    pub excerpt: Option<String>,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Diagnostic {
    /// A fault of a whole file.
    pub fn of_file(file: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self { code, file: file.to_owned(), line: None, column: None, excerpt: None, message: message.into() }
    }

    /// A fault at a line and column of `text`, both from 1.
    pub fn at(
        file: &str,
        text: &str,
        line: usize,
        column: usize,
        code: &'static str,
        message: impl Into<String>,
    ) -> Self {
        let excerpt = text.lines().nth(line.saturating_sub(1)).map(str::to_owned);
        Self { line: Some(line), column: Some(column), excerpt, ..Self::of_file(file, code, message) }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}\n  --> {}", self.code, self.message, self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
            if let Some(excerpt) = &self.excerpt {
                let number = line.to_string();
                let margin = " ".repeat(number.len());
                let caret = " ".repeat(column.saturating_sub(1));
                write!(f, "\n{margin} |\n{number} | {excerpt}\n{margin} | {caret}^")?;
            }
        }
        Ok(())
    }
}
