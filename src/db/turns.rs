//! Turns: so many use cases at once have a connection, and so many compute. The others wait without a thread, whose stack and memory they
//! would hold for nothing, in the order in which they came.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Turns of one kind. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    free: Arc<Semaphore>,
    /// Places for those who wait; further ones are refused at once, so that they don't take the places of requests.
    queue: Arc<Semaphore>,
}

impl Turns {
    pub(super) fn new(at_once: usize, most_waiting: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(at_once)), queue: Arc::new(Semaphore::new(most_waiting)) }
    }

    /// A turn, which ends when it is dropped; nothing where too many wait already or none comes in time.
    pub(super) async fn take(&self, longest: Duration) -> Option<OwnedSemaphorePermit> {
        let _place = self.queue.try_acquire().ok()?;
        timeout(longest, self.free.clone().acquire_owned()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn who_comes_when_all_turns_are_taken_waits_for_the_next_one() {
        let turns = Turns::new(1, 2);
        let first = turns.take(LONG).await.unwrap();
        let second = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take(LONG).await.is_some() }
        });
        while turns.queue.available_permits() == 2 {
            tokio::task::yield_now().await;
        }
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.unwrap());
        assert_eq!((turns.free.available_permits(), turns.queue.available_permits()), (1, 2));
    }

    #[tokio::test]
    async fn when_too_many_wait_the_next_one_is_refused() {
        let turns = Turns::new(0, 1);
        let _waiting = turns.queue.try_acquire().unwrap();
        assert!(turns.take(LONG).await.is_none());
    }

    #[tokio::test]
    async fn who_waits_too_long_goes_without() {
        assert!(Turns::new(0, 1).take(Duration::ZERO).await.is_none());
    }
}
