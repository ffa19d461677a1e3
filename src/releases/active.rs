//! What is in force in this process: the release, the basis and the cohort, swapped as one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;

use super::model::{Basis, Closed};
use super::store;
use crate::db::{self, Conn};
use crate::digest::Digest;
use crate::policy::diagnostic::Diagnostic;
use crate::policy::model::Cohort;
use crate::policy::release::{LoadedPack, load};
use crate::policy::source::Source;

/// Releases that stay loaded beside the one in force, for decisions that were made by them.
const KEPT: usize = 4;

/// One consistent state.
#[derive(Clone)]
pub struct Active {
    /// The release, loaded.
    pub release: Arc<LoadedPack>,
    /// The basis.
    pub basis: Basis,
    /// The cohort.
    pub cohort: Arc<Cohort>,
    /// What has been closed.
    pub closed: Closed,
}

/// The state in force. Cheap to clone; empty until the service has started.
#[derive(Clone, Default)]
pub struct InForce {
    current: Arc<ArcSwapOption<Active>>,
    /// Faults of a newer content of the pack's folder.
    stale: Arc<ArcSwapOption<Vec<Diagnostic>>>,
    loaded: Arc<Mutex<BTreeMap<Digest, Arc<LoadedPack>>>>,
}

impl InForce {
    /// The state now: callers keep it to the end of what they do.
    pub fn get(&self) -> Option<Arc<Active>> {
        self.current.load_full()
    }

    /// Why a newer content of the pack's folder isn't in force in this process; nothing where there is no such content.
    pub fn load_faults(&self) -> Option<Arc<Vec<Diagnostic>>> {
        self.stale.load_full()
    }

    /// Notes that the folder has a newer content that can't come into force: what is in force is stale. The log tells it once.
    pub fn mark_stale(&self, faults: Vec<Diagnostic>) {
        if self.load_faults().is_some_and(|known| *known == faults) {
            return;
        }
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        tracing::warn!(
            stale = true,
            "the pack's folder can't come into force; the last good release stays:\n\n{}",
            texts.join("\n\n")
        );
        self.stale.store(Some(Arc::new(faults)));
    }

    /// Notes that the folder has nothing newer that can't come into force.
    pub fn mark_fresh(&self) {
        if self.stale.swap(None).is_some() {
            tracing::info!(stale = false, "the release in force isn't stale any more");
        }
    }

    /// Follows the database to the basis that is current there.
    pub fn refresh(&self, conn: &mut Conn) -> db::Result<()> {
        let Some(basis) = store::current_basis(conn)? else { return Ok(()) };
        let is_newer =
            |known: &Option<Arc<Active>>| known.as_ref().is_none_or(|known| known.basis.number < basis.number);
        if !is_newer(&self.get()) {
            return Ok(());
        }
        let state = match self.state(conn, basis.clone()) {
            // The other nodes follow; this one serves on by what it has, and says so.
            Err(db::Error::Corrupt(why)) if self.get().is_some() => {
                self.mark_stale(vec![Diagnostic::of_file("", "unloadable", why)]);
                return Ok(());
            }
            state => Arc::new(state?),
        };
        // Several threads follow: whoever read an older basis must not put it behind a newer one.
        let before = self.current.rcu(|known| if is_newer(known) { Some(state.clone()) } else { known.clone() });
        if !is_newer(&before) {
            return Ok(());
        }
        let Basis { number, release, business_date, .. } = &basis;
        tracing::info!(basis = number, %release, %business_date, "a new basis is in force");
        if before.is_some_and(|before| before.basis.release != *release) {
            // Somebody has published a release since the folder was found faulty.
            self.mark_fresh();
        }
        Ok(())
    }

    /// The state of a basis, in force or not.
    pub fn state(&self, conn: &mut Conn, basis: Basis) -> db::Result<Active> {
        let cohort = store::cohort(conn, basis.cohort)?
            .ok_or_else(|| db::Error::Corrupt(format!("the cohort {} is missing", basis.cohort)))?;
        let mut closed = Closed::default();
        for closing in store::closings_to(conn, basis.number, i64::MAX)? {
            closed.enter(&closing);
        }
        Ok(Active { release: self.release(conn, basis.release)?, basis, cohort: Arc::new(cohort), closed })
    }

    /// A loaded release, by digest.
    pub fn release(&self, conn: &mut Conn, digest: Digest) -> db::Result<Arc<LoadedPack>> {
        if let Some(loaded) = self.loaded().get(&digest) {
            return Ok(loaded.clone());
        }
        let content = store::release(conn, digest)?
            .ok_or_else(|| db::Error::Corrupt(format!("the release {digest} is missing")))?;
        let unreadable = |faults: Vec<Diagnostic>| {
            let first = faults.first().map(ToString::to_string).unwrap_or_default();
            db::Error::Corrupt(format!("the release {digest} can't be loaded: {first}"))
        };
        let source = Source::from_json(&content).map_err(unreadable)?;
        let release = Arc::new(load(&source).map_err(unreadable)?);
        self.keep(digest, release.clone());
        Ok(release)
    }

    /// Keeps a release that is loaded already.
    pub fn keep(&self, digest: Digest, release: Arc<LoadedPack>) {
        let in_force = self.get().map(|active| active.basis.release);
        let mut loaded = self.loaded();
        while loaded.len() >= KEPT {
            let Some(oldest) = loaded.keys().copied().find(|kept| Some(*kept) != in_force) else { break };
            loaded.remove(&oldest);
        }
        loaded.insert(digest, release);
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, BTreeMap<Digest, Arc<LoadedPack>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
