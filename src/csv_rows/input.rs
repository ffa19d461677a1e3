//! A file that somebody wants to import, and the way that all imports read one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Column, Encoding, FileError, Report, Row, Rows, Stopped, Watch};

/// What to import, and how.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// The file.
    pub file: PathBuf,
    /// Column of the file by target, where its name is another one.
    pub mapping: BTreeMap<String, String>,
    /// The file's encoding.
    pub encoding: Encoding,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// CSV file for every faulty row.
    pub report: Option<PathBuf>,
}

impl Input {
    /// Opens the file, whose header must name `columns`, and begins the report with the columns that aren't read.
    pub fn open(&self, columns: &[Column]) -> Result<(Rows, Report), FileError> {
        let rows = Rows::open(&self.file, self.encoding, columns, &self.mapping)?;
        let mut report = Report::new(self.report.as_deref())?;
        for remark in rows.unused(columns) {
            report.warning(remark);
        }
        Ok((rows, report))
    }
}

impl Rows {
    /// Reads all rows and gives them to `take`, of as many lines at once as `size` says; faulty ones go to the report.
    ///
    /// # Errors
    /// When the file can't be read on, somebody stops the import, or `take` fails. What was taken before stays.
    pub fn take_in<E: From<FileError> + From<Stopped>>(
        mut self,
        size: usize,
        report: &mut Report,
        watch: &mut dyn Watch,
        mut take: impl FnMut(Vec<Row>, &mut Report) -> Result<(), E>,
    ) -> Result<(), E> {
        watch.begun(self.bytes_total());
        let mut chunk = Vec::new();
        // The last lines of the chunk before the last one and of that, and how many rows were read since.
        let (mut settled, mut last, mut in_chunk) = (0, 0, 0);
        while let Some(row) = self.next() {
            report.counts.read += 1;
            in_chunk += 1;
            let line = match row? {
                Ok(row) => {
                    let line = row.line();
                    chunk.push(row);
                    line
                }
                Err(fault) => {
                    let line = fault.line;
                    report.faulty(vec![fault]);
                    line
                }
            };
            let is_full = in_chunk == size;
            if is_full {
                // `take` may still work on what it got last: of the rows before that everything is known.
                report.settle(settled + 1)?;
                (settled, last, in_chunk) = (last, line, 0);
                take(std::mem::take(&mut chunk), report)?;
            }
            report.tell(watch, &self, is_full)?;
        }
        take(chunk, report)?;
        watch.ended();
        Ok(())
    }
}
