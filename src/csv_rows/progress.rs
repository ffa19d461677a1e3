//! How far an import is: shown on the command line, or told to whoever watches.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Report, Rows};

/// Time between two lines of progress where there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);
/// Rows after which whoever watches is told of them, at the latest.
const ROWS: u64 = 1000;

/// Somebody wants an import to end.
#[derive(Debug, thiserror::Error)]
#[error("the import was stopped")]
pub struct Stopped;

/// Whoever is told how far an import is, and may stop it.
pub trait Watch {
    /// The size of the file in bytes.
    fn begun(&mut self, total: u64);

    /// What is done: bytes of the file, and the report so far.
    fn reached(&mut self, bytes: u64, report: &Report) -> Result<(), Stopped>;

    /// All is done.
    fn ended(&mut self) {}
}

impl Report {
    /// Tells whoever watches what is done, at the end of a batch and now and then between.
    pub fn tell(&self, watch: &mut dyn Watch, rows: &Rows, batch_is_written: bool) -> Result<(), Stopped> {
        if batch_is_written || self.counts.read.is_multiple_of(ROWS) {
            watch.reached(rows.bytes_read(), self)?;
        }
        Ok(())
    }
}

impl Watch for Progress {
    fn begun(&mut self, total: u64) {
        self.begin(total);
    }

    fn reached(&mut self, bytes: u64, report: &Report) -> Result<(), Stopped> {
        self.at(bytes, report.counts.read);
        Ok(())
    }

    fn ended(&mut self) {
        self.end();
    }
}

/// Shows how far an import is: a bar on a terminal, a line now and then otherwise.
pub struct Progress {
    bar: Option<ProgressBar>,
    label: String,
    total: u64,
    told: Option<Instant>,
}

impl Progress {
    /// Shows the progress on standard error.
    pub fn shown(label: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {eta}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, label: label.to_owned(), total: 0, told: Some(Instant::now()) }
    }

    /// Shows nothing.
    pub fn hidden() -> Self {
        Self { bar: None, label: String::new(), total: 0, told: None }
    }

    /// Says how much there is, in bytes.
    pub fn begin(&mut self, total: u64) {
        self.total = total;
        if let Some(bar) = &self.bar {
            bar.set_length(total);
        }
    }

    /// Says how much is done: bytes and rows.
    pub fn at(&mut self, bytes: u64, rows: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {rows} rows", self.label));
            bar.set_position(bytes);
        } else if self.told.is_some_and(|told| told.elapsed() >= BETWEEN_LINES) {
            eprintln!("{}: {rows} rows, {} %", self.label, bytes.saturating_mul(100) / self.total.max(1));
            self.told = Some(Instant::now());
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
