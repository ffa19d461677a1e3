//! Turns to compute: as many use cases compute at once as there are processors, so that scripts which take all the time they may
//! leave the others theirs.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

/// Most use cases that wait for a turn; further ones are refused at once, so that they don't take the places of requests.
const MOST_WAITING: usize = 64;
/// Longest time that a use case waits for its turn.
const WAIT: Duration = Duration::from_secs(5);

/// The turns of a process.
#[derive(Debug)]
pub(super) struct Turns {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    waiting: usize,
}

/// A turn that was had; its end is the next one's begin.
pub(super) struct Turn<'a>(&'a Turns);

impl Default for Turns {
    fn default() -> Self {
        let free = available_parallelism().map_or(1, usize::from);
        Self { state: Mutex::new(State { free, waiting: 0 }), freed: Condvar::new() }
    }
}

impl Turns {
    /// Waits for a turn on this thread; nothing where too many wait already or none comes in time.
    pub(super) fn take(&self) -> Option<Turn<'_>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.free == 0 {
            if state.waiting >= MOST_WAITING {
                return None;
            }
            state.waiting += 1;
            let waited = self.freed.wait_timeout_while(state, WAIT, |state| state.free == 0);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
        }
        state.free = state.free.checked_sub(1)?;
        Some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).free += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_when_all_turns_are_taken_waits_for_the_next_one() {
        let turns = Turns { state: Mutex::new(State { free: 1, waiting: 0 }), freed: Condvar::new() };
        let first = turns.take().unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| turns.take().is_some());
            while turns.state.lock().unwrap().waiting == 0 {
                std::thread::yield_now();
            }
            drop(first);
            assert!(second.join().unwrap());
        });
        assert_eq!(turns.state.lock().unwrap().free, 1);
    }

    #[test]
    fn when_too_many_wait_the_next_one_is_refused() {
        let turns = Turns { state: Mutex::new(State { free: 0, waiting: MOST_WAITING }), freed: Condvar::new() };
        assert!(turns.take().is_none());
    }
}
