//! The work on an import: its file is taken out of the database and imported as `baremo import` imports it. A killed process' import
//! passes on when its lease ends and is begun again, which changes nothing that was done.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::model::{Import, ImportError, ImportKind, ImportStatus, Outcome, ReportedFault};
use super::store::{self, Lease, PART};
use crate::Id;
use crate::csv_rows::{FileError, FileFault, Report, Stopped, Watch};
use crate::customers::record::Rules as CustomerRules;
use crate::db::{self, Db, transaction};
use crate::transactions::import_observations::{ObservationImport, import_observations};
use crate::transactions::record::Rules as RecordingRules;
use crate::{customers, transactions};

/// Time between two notes of how far an import is.
const BETWEEN_NOTES: Duration = Duration::from_millis(500);
/// Time between two looks for what can be removed.
const BETWEEN_TIDIES: Duration = Duration::from_secs(60);
/// How often an import is begun before it is given up: whatever ends the process that works on it would end the next one too.
const ATTEMPTS: u64 = 10;

/// The rules by which imports record.
pub struct Rules {
    /// Of customers.
    pub customers: CustomerRules,
    /// Of transactions.
    pub transactions: RecordingRules,
}

/// Works on imports, one after the other.
pub struct Importer {
    db: Db,
    rules: Box<dyn Fn() -> Option<Rules> + Send>,
    /// As whom it takes leases.
    owner: Id,
    tidied: Cell<Option<Instant>>,
}

/// Why the work on an import ended before the file did.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    File(FileError),
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error("the copy of the file: {0}")]
    Copy(#[from] io::Error),
    #[error(transparent)]
    Database(#[from] db::Error),
    #[error(transparent)]
    Record(transactions::record::Error),
}

impl From<customers::import::Error> for Error {
    fn from(error: customers::import::Error) -> Self {
        match error {
            customers::import::Error::File(error) => Self::File(error),
            customers::import::Error::Stopped(stopped) => stopped.into(),
            customers::import::Error::Database(error) => error.into(),
        }
    }
}

impl From<transactions::import::Error> for Error {
    fn from(error: transactions::import::Error) -> Self {
        match error {
            transactions::import::Error::File(error) => Self::File(error),
            transactions::import::Error::Stopped(stopped) => stopped.into(),
            transactions::import::Error::Record(transactions::record::Error::Database(error))
            | transactions::import::Error::Database(error) => error.into(),
            transactions::import::Error::Record(error) => Self::Record(error),
        }
    }
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
        let said = self.read(rules, import, file.path.clone(), report.path.clone())?;
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

    fn read(&mut self, rules: &Rules, import: &Import, file: PathBuf, report: PathBuf) -> Result<Report, Error> {
        let (mapping, encoding) = (import.options.mapping.clone(), import.options.encoding);
        let (dry_run, report, db) = (import.dry_run, Some(report), self.db);
        Ok(match import.kind {
            ImportKind::Customers => {
                let import = customers::import::Import { file, mapping, encoding, dry_run, report };
                customers::import::import(db, &rules.customers, &import, self)?
            }
            ImportKind::Products => {
                let import = transactions::import::ProductImport { file, mapping, encoding, dry_run, report };
                transactions::import::import_products(db, &import, self)?
            }
            ImportKind::Transactions => {
                let (kind, source) = (import.options.transaction_kind.clone(), import.options.source.clone());
                let import = transactions::import::Import { file, mapping, encoding, kind, source, dry_run, report };
                transactions::import::import(db, &rules.transactions, &import, self)?
            }
            ImportKind::Observations => {
                let (source, user_id) = (import.options.source.clone(), Some(import.created_by));
                let import = ObservationImport { file, mapping, encoding, source, user_id, dry_run, report };
                import_observations(db, &rules.transactions, &import, self)?
            }
        })
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
