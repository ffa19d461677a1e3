//! The threads of this process that follow the basis and work on open runs. Their stacks are large enough for any script.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::civil::Date;

use super::run;
use crate::Id;
use crate::db::Db;
use crate::releases::active::InForce;
use crate::releases::start;

/// Threads that assess, each with a connection of its own.
const THREADS: usize = 2;
/// Stack of a thread on which scripts run, in bytes.
pub const STACK: usize = 16 << 20;
/// How often a worker looks for work that other processes have left.
const PAUSE: Duration = Duration::from_millis(500);

/// The workers of this process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Workers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    woken: Mutex<bool>,
    bell: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Workers {
    /// Starts the threads. `business_date` is the fixed setting, if there is one.
    pub fn start(&self, db: &Db, in_force: &InForce, business_date: Option<Date>) -> std::io::Result<()> {
        for number in 0..THREADS {
            let (workers, db, in_force) = (self.clone(), db.clone(), in_force.clone());
            let thread = thread::Builder::new()
                .name(format!("worker-{number}"))
                .stack_size(STACK)
                .spawn(move || workers.work(&db, &in_force, business_date))?;
            self.0.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(())
    }

    /// Tells the workers that there is something to do.
    pub fn wake(&self) {
        *self.0.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
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

    fn work(&self, db: &Db, in_force: &InForce, business_date: Option<Date>) {
        let owner = Id::new();
        while !self.stopping() {
            let step = catch_unwind(AssertUnwindSafe(|| {
                db.run_here(|conn| start::follow(conn, in_force, business_date))
                    .map_err(run::Error::from)
                    .and_then(|()| run::work(db, in_force, owner, &|| self.stopping()))
            }));
            match step {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => self.pause(),
                Err(_) => {
                    tracing::error!("a worker's step ended by a panic; it goes on with the next");
                    self.pause();
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a worker could not go on; it tries again");
                    self.pause();
                }
            }
        }
    }

    fn pause(&self) {
        let woken = self.0.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut woken, _) = self
            .0
            .bell
            .wait_timeout_while(woken, PAUSE, |woken| !*woken && !self.stopping())
            .unwrap_or_else(PoisonError::into_inner);
        *woken = false;
    }
}
