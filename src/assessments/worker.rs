//! The threads of this process that assess: one follows the basis and works on who is due, the others work on open runs and help it
//! when there is none. Their stacks are large enough for any script.

use std::cell::Cell;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::civil::Date;

use super::model::Owner;
use super::{appeals, day, due, lists, overrides, retention, run, shadow, store};
use crate::db::{self, Conn, Db};
use crate::releases::active::{Active, InForce};

/// Threads that work on runs, each with a connection of its own, beside the one for who is due.
const RUN_THREADS: usize = 2;
/// Stack of a thread on which scripts run, in bytes.
pub const STACK: usize = 16 << 20;
/// How often a worker looks for work that other processes have left.
const PAUSE: Duration = Duration::from_millis(200);

/// The workers of this process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Workers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    /// How often somebody said that there is something to do.
    calls: Mutex<u64>,
    bell: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
    business_date: OnceLock<Date>,
}

impl Workers {
    /// Starts the threads. `business_date` is the fixed setting, if there is one; `history` the full months of history that are kept;
    /// `lease` the seconds for which a thread holds a shard without a sign of life.
    pub fn start(
        &self,
        db: &Db,
        in_force: &InForce,
        business_date: Option<Date>,
        history: i16,
        lease: u32,
    ) -> Result<(), db::Error> {
        business_date.map(|date| self.0.business_date.get_or_init(|| date));
        db.run_here(|conn| db::transaction(conn, store::open_due_shards))?;
        for number in 0..=RUN_THREADS {
            let worker = Worker {
                db: db.clone(),
                in_force: in_force.clone(),
                business_date,
                history,
                owner: Owner::new(lease),
                is_first: number == 0,
                is_last: number == RUN_THREADS,
                retained_on: Cell::default(),
            };
            let workers = self.clone();
            self.employ(format!("worker-{number}"), move |stop| worker.step(stop, &|| workers.wake()))?;
        }
        Ok(())
    }

    /// Starts a thread that does a step of its work, again and again, until the workers stop. A step says whether it found anything to
    /// do, and ends early when it is told to stop.
    pub fn employ<E: Display>(
        &self,
        name: String,
        step: impl Fn(&dyn Fn() -> bool) -> Result<bool, E> + Send + 'static,
    ) -> Result<(), db::Error> {
        let workers = self.clone();
        let thread = thread::Builder::new().name(name).stack_size(STACK).spawn(move || workers.work(&step));
        let thread = thread.map_err(|error| db::Error::Stopped(format!("no thread can be started: {error}")))?;
        self.0.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// The business date that the configuration sets, if it does.
    pub fn business_date(&self) -> Option<Date> {
        self.0.business_date.get().copied()
    }

    /// Tells the workers that there is something to do.
    pub fn wake(&self) {
        *self.0.calls.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.bell.notify_all();
    }

    /// Lets each worker finish the page it is at, and waits for all.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::Release);
        self.wake();
        let threads = std::mem::take(&mut *self.0.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a worker ended by a panic");
            }
        }
    }

    fn stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Acquire)
    }

    fn work<E: Display>(&self, step: &impl Fn(&dyn Fn() -> bool) -> Result<bool, E>) {
        let mut heard = 0;
        while !self.stopping() {
            match catch_unwind(AssertUnwindSafe(|| step(&|| self.stopping()))) {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => self.pause(&mut heard),
                Err(_) => {
                    tracing::error!("a worker's step ended by a panic; it goes on with the next");
                    self.pause(&mut heard);
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a worker could not go on; it tries again");
                    self.pause(&mut heard);
                }
            }
        }
    }

    /// Waits for the next call, or a while. `heard` counts those that the thread has come for.
    fn pause(&self, heard: &mut u64) {
        let calls = self.0.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let (calls, _) = self
            .0
            .bell
            .wait_timeout_while(calls, PAUSE, |calls| *calls == *heard && !self.stopping())
            .unwrap_or_else(PoisonError::into_inner);
        *heard = *calls;
    }
}

/// One thread.
struct Worker {
    db: Db,
    in_force: InForce,
    /// The fixed setting, if there is one.
    business_date: Option<Date>,
    /// As whom it takes leases.
    owner: Owner,
    is_first: bool,
    is_last: bool,
    /// Full months of history that are kept.
    history: i16,
    /// The business date on which it last did what is to be done once a day.
    retained_on: Cell<Option<Date>>,
}

impl Worker {
    /// Does what there is to do. False when there was nothing.
    fn step(&self, stop: &dyn Fn() -> bool, wake: &dyn Fn()) -> Result<bool, run::Error> {
        let Self { db, in_force, owner, .. } = self;
        if self.is_first {
            if self.follow()? {
                wake();
            }
            return Ok(due::work(db, in_force, *owner, stop)?);
        }
        if run::work(db, in_force, *owner, stop)? || due::work(db, in_force, *owner, stop)? {
            return Ok(true);
        }
        if self.is_last {
            self.retain(stop)?;
        }
        Ok(false)
    }

    /// Ends entries of lists and overrides whose last day is over, tells of late appeals and drops old history, once on each business date.
    fn retain(&self, stop: &dyn Fn() -> bool) -> Result<(), db::Error> {
        let Some(active) = self.in_force.get() else { return Ok(()) };
        let date = active.basis.business_date;
        if self.retained_on.get() == Some(date) || !self.db.run_here(|conn| end_with_the_day(conn, &active, stop))? {
            return Ok(());
        }
        let done = match retention::work(&self.db, date, self.history, stop) {
            Err(error) if !error.is_unavailable() => {
                tracing::warn!(%error, "old history could not be dropped; that is tried again on the next business date");
                true
            }
            result => result?,
        };
        if done {
            self.retained_on.set(Some(date));
        }
        Ok(())
    }

    /// Moves the date on, and sees to it that a run follows the rules in force, and one of an open shadow the date. Whether it has started one.
    fn follow(&self) -> Result<bool, run::Error> {
        self.db.run_here(|conn| {
            day::follow(conn, &self.in_force, self.business_date)?;
            let Some(active) = self.in_force.get() else { return Ok(false) };
            Ok(run::follow(conn, &active)? || shadow::follow(conn, &active)?)
        })
    }
}

/// What ends or is late because the business date has moved on. False when `stop` said so first.
fn end_with_the_day(conn: &mut Conn, active: &Active, stop: &dyn Fn() -> bool) -> Result<bool, db::Error> {
    Ok(lists::expire(conn, active, stop)?
        && overrides::expire(conn, active, stop)?
        && appeals::tell_overdue(conn, active, stop)?)
}
