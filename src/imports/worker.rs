//! The work on an import: its file is taken out of the database and imported as `baremo import` imports it. A killed process' import
//! passes on when its lease ends and is begun again, which changes nothing that was done.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::import::{self, Error, ImportFile, Rules};
use super::model::{Import, ImportError, ImportStatus, Options, Outcome, ReportedFault};
use super::store::{self, Lease, PART};
use crate::Id;
use crate::csv_rows::{FileError, FileFault, Input, Report, Stopped, Watch};
use crate::db::{self, Db, transaction};

/// Time between two notes of how far an import is.
const BETWEEN_NOTES: Duration = Duration::from_millis(500);
/// Time between two looks for what can be removed.
const BETWEEN_TIDIES: Duration = Duration::from_secs(60);
/// How often an import is begun before it is given up: whatever ends the process that works on it would end the next one too.
const ATTEMPTS: u64 = 10;

/// Works on imports, one after the other.
pub struct Importer {
    db: Db,
    rules: Box<dyn Fn() -> Option<Rules> + Send>,
    /// As whom it takes leases.
    owner: Id,
    tidied: Cell<Option<Instant>>,
}

impl Importer {
    /// One that asks for the rules in force at each import.
    pub fn new(db: Db, rules: impl Fn() -> Option<Rules> + Send + 'static) -> Self {
        Self { db, rules: Box::new(rules), owner: Id::new(), tidied: Cell::default() }
    }

    /// Works on the next import. False when there was none.
    pub fn step(&self, stop: &dyn Fn() -> bool) -> Result<bool, db::Error> {
        let Some(rules) = (self.rules)() else { return Ok(false) };
        let claimed = self.db.run_here(|conn| transaction(conn, |conn| store::claim(conn, self.owner)))?;
        let Some((import, lease)) = claimed else {
            self.tidy()?;
            return Ok(false);
        };
        let _entered = tracing::info_span!("import", import = %import.id).entered();
        let mut work = Work { db: &self.db, lease, stop, told: None, done: 0, outcome: Outcome::default() };
        if import.attempts > ATTEMPTS {
            let detail = format!("the import was begun {ATTEMPTS} times and never came to its end");
            work.fail("given_up", detail)?;
            return Ok(true);
        }
        match work.import(&rules, &import) {
            Ok(()) => {}
            Err(Error::Stopped(_)) if stop() => self.db.run_here(|conn| store::release(conn, lease))?,
            // Cancelled, or another process has it: what it leaves is removed by whoever ended it.
            Err(Error::Stopped(_)) => {}
            Err(Error::Database(error)) if error.is_unavailable() => return Err(error),
            Err(Error::File(FileError { fault, .. })) if !matches!(fault, FileFault::Unreadable(_)) => {
                work.fail(fault.code(), fault.to_string().replace("\n  ", "; "))?;
            }
            Err(error) => {
                tracing::error!(import = %import.id, %error, "an import failed");
                work.fail("internal", "something went wrong inside the service; its log says what".to_owned())?;
            }
        }
        Ok(true)
    }

    /// Removes what is left of imports, now and then.
    fn tidy(&self) -> Result<(), db::Error> {
        if self.tidied.get().is_none_or(|tidied| tidied.elapsed() >= BETWEEN_TIDIES) {
            self.db.run_here(store::tidy)?;
            self.tidied.set(Some(Instant::now()));
        }
        Ok(())
    }
}

/// The work on one import.
struct Work<'a> {
    db: &'a Db,
    lease: Lease,
    stop: &'a dyn Fn() -> bool,
    /// When the database was last told how far it is.
    told: Option<Instant>,
    /// Bytes read so far.
    done: u64,
    outcome: Outcome,
}

impl Work<'_> {
    fn import(&mut self, rules: &Rules, import: &Import) -> Result<(), Error> {
        let (mut file, report) = (Unnamed::new()?, Unnamed::new()?);
        self.copy(&mut file)?;
        let Options { mapping, encoding, transaction_kind, source } = import.options.clone();
        let input = Input {
            file: file.path.clone(),
            mapping,
            encoding,
            dry_run: import.dry_run,
            report: Some(report.path.clone()),
        };
        let (kind, user_id) = (import.kind, Some(import.created_by));
        let said = import::import(self.db, rules, ImportFile { kind, input, transaction_kind, source, user_id }, self)?;
        self.note(&said);
        self.done = import.total_bytes;
        self.keep_report(&report)?;
        self.end(ImportStatus::Finished)?;
        tracing::info!(import = %import.id, rows = said.counts.read, faulty = said.counts.faulty, "an import is finished");
        Ok(())
    }

    /// Takes the file out of the database.
    fn copy(&mut self, file: &mut Unnamed) -> Result<(), Error> {
        for part in 0.. {
            let content = self.db.run_here(|conn| store::file_part(conn, self.lease.id, part))?;
            let Some(content) = content else { break };
            file.file.write_all(&content)?;
            self.tell()?;
        }
        Ok(())
    }

    /// Puts the report into the database, where every process can give it.
    fn keep_report(&self, report: &Unnamed) -> Result<(), Error> {
        let written = File::open(&report.path)?;
        for part in 0.. {
            let mut content = Vec::with_capacity(PART);
            (&written).take(PART.try_into().unwrap_or(u64::MAX)).read_to_end(&mut content)?;
            if content.is_empty() {
                break;
            }
            let kept = self.db.run_here(|conn| {
                transaction(conn, |conn| {
                    let is_ours = store::keep(conn, self.lease)?;
                    if is_ours {
                        store::add_report_part(conn, self.lease, part, &content)?;
                    }
                    Ok::<_, db::Error>(is_ours)
                })
            })?;
            if !kept {
                return Err(Stopped.into());
            }
        }
        Ok(())
    }

    fn note(&mut self, report: &Report) {
        self.outcome.counts = report.counts;
        self.outcome.faults = report.first().iter().map(ReportedFault::new).collect();
    }

    /// Says that it lives and how far it is, unless that was just said. An error when it is to end.
    fn tell(&mut self) -> Result<(), Error> {
        if (self.stop)() {
            return Err(Stopped.into());
        }
        if self.told.is_some_and(|told| told.elapsed() < BETWEEN_NOTES) {
            return Ok(());
        }
        self.told = Some(Instant::now());
        let is_ours = self.db.run_here(|conn| store::advance(conn, self.lease, self.done, &self.outcome))?;
        if is_ours { Ok(()) } else { Err(Stopped.into()) }
    }

    fn fail(&mut self, code: &str, detail: String) -> Result<(), db::Error> {
        self.outcome.error = Some(ImportError { code: code.to_owned(), detail });
        self.end(ImportStatus::Failed)
    }

    fn end(&self, status: ImportStatus) -> Result<(), db::Error> {
        self.db.run_here(|conn| {
            if store::end(conn, self.lease, status, self.done, &self.outcome)? {
                store::remove_file(conn, self.lease.id)?;
            }
            Ok(())
        })
    }
}

impl Watch for Work<'_> {
    fn begun(&mut self, _: u64) {}

    fn reached(&mut self, bytes: u64, report: &Report) -> Result<(), Stopped> {
        self.done = bytes;
        self.note(report);
        match self.tell() {
            Ok(()) => Ok(()),
            Err(Error::Stopped(stopped)) => Err(stopped),
            Err(error) => {
                // The import's own next statement tells whether the database is away.
                tracing::warn!(%error, "how far an import is can't be noted");
                Ok(())
            }
        }
    }
}

/// A temporary file without a name: nothing is left of it when the process is killed. It holds personal data.
struct Unnamed {
    file: File,
    /// Where this process finds it as long as it is open.
    path: PathBuf,
}

impl Unnamed {
    fn new() -> io::Result<Self> {
        use std::os::fd::AsRawFd;
        let file = tempfile::tempfile()?;
        let path = Path::new("/proc/self/fd").join(file.as_raw_fd().to_string());
        Ok(Self { file, path })
    }
}
