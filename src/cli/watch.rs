//! `baremo serve --watch`: looks at the pack's folder, and brings it into force when it has changed and is without a fault.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use jiff::civil::Date;

use super::base::{self, FailingCases};
use crate::app::State;
use crate::policy::source::Source;
use crate::releases::start;

/// How often the folder is looked at. A content counts when two looks in a row have found it: one that is being saved does not.
const LOOK: Duration = Duration::from_millis(500);
/// How often is looked whether the service stops.
const STEP: Duration = Duration::from_millis(50);

/// The watching of one folder.
pub struct Watch<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// The service.
    pub state: &'a State,
    /// The fixed business date, if there is one.
    pub business_date: Option<Date>,
    /// Whether the service stops.
    pub stopping: &'a AtomicBool,
}

impl Watch<'_> {
    /// Watches until the service stops. `handled` is the content that has come into force already.
    pub fn run(&self, handled: Option<Source>) {
        let mut handled = handled.map(Ok);
        let mut before = None;
        while self.pause() {
            let now = Some(Source::from_folder(self.folder));
            if now == before && now != handled {
                match now.clone().map(|content| content.and_then(|source| base::examine(source, FailingCases::Tell))) {
                    Some(Ok(folder)) if !self.publish(&folder) => continue,
                    Some(Err(faults)) => self.state.in_force.mark_stale(faults),
                    _ => {}
                }
                handled = now.clone();
            }
            before = now;
        }
    }

    /// Brings a folder into force. False when the database was away: then it is to be tried again.
    fn publish(&self, folder: &base::Folder) -> bool {
        let State { db, in_force, workers, .. } = self.state;
        let published = db.run_here(|conn| {
            if base::is_change(conn, &folder.release)? {
                base::publish(conn, in_force, folder, self.business_date)?;
            }
            Ok(())
        });
        match published {
            Ok(()) => {
                in_force.mark_fresh();
                workers.wake();
            }
            Err(start::Error::Database(error)) => {
                tracing::warn!(%error, "the pack's folder can't come into force now; it is tried again");
                return false;
            }
            Err(refusal) => in_force.mark_stale(vec![base::of_manifest(&refusal)]),
        }
        true
    }

    /// Waits until the next look. False when the service stops.
    fn pause(&self) -> bool {
        for _ in 0..LOOK.as_millis() / STEP.as_millis() {
            if self.stopping.load(Ordering::Acquire) {
                return false;
            }
            thread::sleep(STEP);
        }
        true
    }
}
