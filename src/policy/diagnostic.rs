//! A fault of a pack, as a compiler reports it: file, line, column, excerpt, what is wrong and what was probably meant.

use std::fmt;

use serde::Serialize;

use super::explanations::explanation;
use crate::faults::cut;

/// How much a diagnostic weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultSeverity {
    /// The pack can't come into force.
    #[default]
    Error,
    /// It can, but this is seldom meant.
    Warning,
}

/// One fault in one file of a pack, or what is seldom meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How much it weighs.
    pub severity: FaultSeverity,
    /// Stable code: `unknown_field`, `syntax`, …; each has a page in [`super::explanations`].
    pub code: &'static str,
    /// Path inside the pack, `policies/volume_grade.rhai`.
    pub file: String,
    /// Line, from 1; absent when the fault concerns the whole file.
    pub line: Option<usize>,
    /// Column in characters, from 1.
    pub column: Option<usize>,
    /// The line of the file; of a long one what stands around the column.
    pub excerpt: Option<Box<str>>,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Where the column is in the excerpt, from 1.
    #[serde(skip)]
    pub mark: u8,
}

/// Most faults of one file that are told.
pub const MOST: usize = 200;
/// Most faults of a pack that are told.
pub const MOST_TOGETHER: usize = 1_000;
/// Longest message, in characters: it may quote what stands in the pack.
const LONGEST: usize = 2_000;

impl Diagnostic {
    /// A fault of a whole file.
    pub fn of_file(file: &str, code: &'static str, message: impl Into<String>) -> Self {
        debug_assert!(explanation(code).is_some(), "no page explains '{code}'");
        let message = cut(message.into(), LONGEST);
        Self {
            severity: FaultSeverity::Error,
            code,
            file: file.to_owned(),
            line: None,
            column: None,
            excerpt: None,
            message,
            mark: 0,
        }
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
        let shown = text.lines().nth(line.saturating_sub(1)).map(|line| around(line, column));
        let (excerpt, mark) = shown.map_or((None, column), |(excerpt, mark)| (Some(excerpt.into()), mark));
        // Excerpts are short; small as it is, a fault is cheap to hand on.
        let mark = u8::try_from(mark).unwrap_or(u8::MAX);
        Self { line: Some(line), column: Some(column), excerpt, mark, ..Self::of_file(file, code, message) }
    }

    /// The same as a warning.
    #[must_use]
    pub fn as_warning(self) -> Self {
        Self { severity: FaultSeverity::Warning, ..self }
    }
}

/// Longest line that is shown whole, in characters.
const SHOWN: usize = 160;

/// A long line cut around a column, and where the column is then.
fn around(line: &str, column: usize) -> (String, usize) {
    let length = line.chars().count();
    if length <= SHOWN {
        return (line.to_owned(), column);
    }
    let from = column.saturating_sub(SHOWN / 2).min(length - SHOWN);
    let part: String = line.chars().skip(from).take(SHOWN).collect();
    let before = if from > 0 { "…" } else { "" };
    let after = if from + SHOWN < length { "…" } else { "" };
    (format!("{before}{part}{after}"), column - from + before.chars().count())
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            FaultSeverity::Error => "error",
            FaultSeverity::Warning => "warning",
        };
        write!(f, "{severity}[{}]: {}\n  --> {}", self.code, self.message, self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
            if let Some(excerpt) = &self.excerpt {
                let number = line.to_string();
                let margin = " ".repeat(number.len());
                let caret = " ".repeat(usize::from(self.mark.saturating_sub(1)));
                write!(f, "\n{margin} |\n{number} | {excerpt}\n{margin} | {caret}^")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_around_the_fault() {
        let line = format!("{}x{}", "a".repeat(1000), "b".repeat(1000));
        for (column, marked) in [(1, 'a'), (1001, 'x'), (2001, 'b')] {
            let shown = Diagnostic::at("a.rhai", &line, 1, column, "syntax", "m").to_string();
            let lines: Vec<&str> = shown.lines().collect();
            assert!(lines[3].chars().count() < 170, "{shown}");
            let caret = lines[4].chars().position(|c| c == '^').unwrap();
            assert_eq!(lines[3].chars().nth(caret), Some(marked), "{shown}");
        }
        let short = Diagnostic::at("a.rhai", "let x", 1, 5, "syntax", "m").to_string();
        assert!(short.ends_with("1 | let x\n  |     ^"), "{short}");
    }
}
