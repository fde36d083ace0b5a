//! How often and how long one request to an object store is tried.
//!
//! The S3 client underneath retries by itself what the service asks it to; this is what comes on top for storage's own
//! requests, over any store: an outage of seconds costs a pause, not a failed flush. Deliberately bounded in number and
//! time: the steps above are repeated by their threads anyway.

use std::fmt::Display;
use std::time::Duration;

use object_store::Error;

/// The limits of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Times that it is tried at most.
    pub(crate) attempts_max: u32,
    /// The first pause; each further one is twice as long.
    pub(crate) pause_first: Duration,
    /// The longest pause.
    pub(crate) pause_max: Duration,
    /// How long one attempt may take, the client's own retries included.
    pub(crate) attempt_max: Duration,
    /// No further attempt begins after so long.
    pub(crate) all_max: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts_max: 4,
            pause_first: Duration::from_millis(200),
            pause_max: Duration::from_secs(5),
            attempt_max: Duration::from_secs(120),
            all_max: Duration::from_secs(60),
        }
    }
}

impl Patience {
    /// Makes a request until it succeeds, fails for good, or the limits are reached. A request that failed may have
    /// had its effect: whoever makes requests that are not the same when made twice looks afterwards.
    pub(crate) async fn spend<T, F>(&self, mut request: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let begin = tokio::time::Instant::now();
        let mut pause = self.pause_first;
        for attempt in 1.. {
            let outcome = match tokio::time::timeout(self.attempt_max, request()).await {
                Ok(outcome) => outcome,
                Err(_) => Err(unsettled("no answer in time")),
            };
            match outcome {
                Err(fault) if is_passing(&fault) => {
                    if attempt >= self.attempts_max || begin.elapsed() >= self.all_max {
                        return Err(fault);
                    }
                    tracing::debug!(error = %fault, attempt, "an object store's request is tried again");
                }
                settled => return settled,
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(self.pause_max);
        }
        unreachable!("the attempts end with an answer")
    }
}

/// A failure that may be over at the next attempt.
pub(crate) fn unsettled(detail: impl Display) -> Error {
    Error::Generic { store: "object store", source: detail.to_string().into() }
}

/// Whether the next attempt may fare better: what the service did not say in plain words.
fn is_passing(fault: &Error) -> bool {
    matches!(fault, Error::Generic { .. } | Error::JoinError { .. })
}

/// Between half of a pause and all of it, so that many clients do not come back at once.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0; 1];
    // Without random bytes the pause is merely not spread.
    let _ = getrandom::fill(&mut byte);
    pause / 2 + pause * u32::from(byte[0]) / 510
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const QUICK: Patience = Patience {
        attempts_max: 3,
        pause_first: Duration::from_millis(1),
        pause_max: Duration::from_millis(2),
        attempt_max: Duration::from_millis(50),
        all_max: Duration::from_secs(10),
    };

    #[tokio::test]
    async fn what_passes_is_tried_again_up_to_the_limit_and_nothing_else_is() {
        let check = async |fault: fn() -> Error, expected: u32| {
            let made = Cell::new(0);
            let request = || {
                made.set(made.get() + 1);
                async { Err::<(), _>(fault()) }
            };
            assert!(QUICK.spend(request).await.is_err());
            assert_eq!(made.get(), expected);
        };
        check(|| unsettled("503"), 3).await;
        check(|| Error::NotFound { path: "x".to_owned(), source: "".into() }, 1).await;
        check(|| Error::PermissionDenied { path: "x".to_owned(), source: "".into() }, 1).await;
    }

    #[tokio::test]
    async fn an_attempt_that_never_ends_is_given_up_and_made_again() {
        let made = Cell::new(0);
        let request = || {
            made.set(made.get() + 1);
            let first = made.get() == 1;
            async move {
                if first {
                    std::future::pending::<()>().await;
                }
                Ok(7)
            }
        };
        assert_eq!(QUICK.spend(request).await.unwrap(), 7);
        assert_eq!(made.get(), 2);
    }

    #[test]
    fn a_pause_is_spread_but_never_longer() {
        let pause = Duration::from_millis(100);
        for _ in 0..100 {
            let waited = jittered(pause);
            assert!(waited >= pause / 2 && waited <= pause, "{waited:?}");
        }
    }
}
