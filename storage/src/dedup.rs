//! Which payloads are durable or about to be: the same payload again is acknowledged, not stored again.
//!
//! Knows hashes only. A retry of a pending payload shares its fate. Hashes outlive the segments they came from in a
//! small file that is written before segments go, so it names only what is synced. In memory a payload counts from its
//! acknowledgement on, for tenants with `durability = "interval"` a moment before its sync: the sender of the retry is
//! promised what the first one was, and after a power cut that lost the first the retry is new.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::oneshot;
use tracelake_model::{PayloadHash, Position, Receipt, Refusal, UnixNano};

/// How an append ended.
pub(crate) type Outcome = Result<Receipt, Refusal>;

const MAGIC: &[u8; 8] = b"TLHASH01";
const SEEN_BYTES: usize = 32;

/// What a payload that comes in is.
#[derive(Debug)]
pub(crate) enum Claim {
    /// Not seen in the window; whoever claimed it must settle it.
    New,
    /// Being written; the answer tells how that ended.
    Pending(oneshot::Receiver<Outcome>),
    /// Acknowledged already.
    Durable(Position),
}

#[derive(Debug)]
enum State {
    Pending(Vec<oneshot::Sender<Outcome>>),
    Durable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    hash: PayloadHash,
    at: UnixNano,
    position: Position,
}

/// The window of known payloads.
#[derive(Debug)]
pub(crate) struct Dedup {
    window: Duration,
    hashes_max: usize,
    known: HashMap<PayloadHash, (State, Position)>,
    /// Durable hashes, oldest first.
    order: VecDeque<Seen>,
}

impl Dedup {
    pub(crate) fn new(window: Duration, hashes_max: usize) -> Self {
        Self { window, hashes_max, known: HashMap::new(), order: VecDeque::new() }
    }

    /// Asks whether a payload is new, and if so marks it pending.
    pub(crate) fn claim(&mut self, hash: PayloadHash, now: UnixNano) -> Claim {
        self.expire(now);
        match self.known.get_mut(&hash) {
            Some((State::Durable, position)) => Claim::Durable(*position),
            Some((State::Pending(waiting), _)) => {
                let (tell, told) = oneshot::channel();
                waiting.push(tell);
                Claim::Pending(told)
            }
            None => {
                self.known.insert(hash, (State::Pending(Vec::new()), Position(0)));
                Claim::New
            }
        }
    }

    /// Ends a claim: all who wait for the same payload get the same answer.
    pub(crate) fn settle(&mut self, hash: PayloadHash, received: UnixNano, outcome: &Outcome) {
        let waiting = match self.known.remove(&hash) {
            Some((State::Pending(waiting), _)) => waiting,
            _ => Vec::new(),
        };
        if let Ok(receipt) = outcome {
            self.remember(hash, received, receipt.position);
        }
        for tell in waiting {
            // Whoever hung up meanwhile needs no answer.
            let _ = tell.send(outcome.clone().map(|receipt| Receipt { duplicate: true, ..receipt }));
        }
    }

    /// Forgets what is pending: nobody will settle it, and whoever waits learns so.
    pub(crate) fn abandon_pending(&mut self) {
        self.known.retain(|_, (state, _)| matches!(state, State::Durable));
    }

    /// Takes a durable payload in: from a settled claim, the file, or a replay.
    pub(crate) fn remember(&mut self, hash: PayloadHash, at: UnixNano, position: Position) {
        if matches!(self.known.insert(hash, (State::Durable, position)), Some((State::Durable, _))) {
            return;
        }
        self.order.push_back(Seen { hash, at, position });
        while self.order.len() > self.hashes_max {
            self.forget_oldest();
        }
    }

    fn expire(&mut self, now: UnixNano) {
        while self.order.front().is_some_and(|oldest| oldest.at.plus(self.window) < now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.order.pop_front() {
            self.known.remove(&oldest.hash);
        }
    }

    /// Hashes kept.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// The window that is really kept: shorter than configured while the maximum of hashes is reached.
    pub(crate) fn window(&self, now: UnixNano) -> Duration {
        let oldest = self.order.front().filter(|_| self.order.len() >= self.hashes_max);
        let kept = oldest.map(|oldest| u64::try_from(now.0.saturating_sub(oldest.at.0)).unwrap_or(0));
        kept.map_or(self.window, |nanos| Duration::from_nanos(nanos).min(self.window))
    }

    /// The file's content: hashes still in the window whose frames stand at or before `through`.
    pub(crate) fn file_content(&mut self, through: Position, now: UnixNano) -> Vec<u8> {
        self.expire(now);
        let mut out = MAGIC.to_vec();
        for seen in self.order.iter().filter(|seen| seen.position <= through) {
            out.extend(seen.hash);
            out.extend(seen.at.0.to_le_bytes());
            out.extend(seen.position.0.to_le_bytes());
        }
        let crc = crc32fast::hash(&out);
        out.extend(crc.to_le_bytes());
        out
    }

    /// Takes in a file's content; whether it was sound.
    pub(crate) fn load(&mut self, content: &[u8]) -> bool {
        let Some((body, crc)) = content.split_last_chunk::<4>() else { return false };
        let Some(entries) = body.strip_prefix(MAGIC) else { return false };
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) || entries.len() % SEEN_BYTES != 0 {
            return false;
        }
        for entry in entries.chunks_exact(SEEN_BYTES) {
            let mut hash = [0; 16];
            hash.copy_from_slice(&entry[..16]);
            let (mut at, mut position) = ([0; 8], [0; 8]);
            at.copy_from_slice(&entry[16..24]);
            position.copy_from_slice(&entry[24..]);
            self.remember(hash, UnixNano(i64::from_le_bytes(at)), Position(u64::from_le_bytes(position)));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use tracelake_model::Fault;

    use super::*;

    const START: UnixNano = UnixNano(1_000_000_000_000);

    fn hash(number: u8) -> PayloadHash {
        [number; 16]
    }

    fn at(seconds: u64) -> UnixNano {
        START.plus(Duration::from_secs(seconds))
    }

    fn stored(dedup: &mut Dedup, number: u8, seconds: u64) {
        assert!(matches!(dedup.claim(hash(number), at(seconds)), Claim::New));
        let receipt = Receipt { position: Position(u64::from(number)), duplicate: false };
        dedup.settle(hash(number), at(seconds), &Ok(receipt));
    }

    #[test]
    fn a_payload_is_known_for_the_window_and_not_longer() {
        let mut dedup = Dedup::new(Duration::from_secs(60), 10);
        stored(&mut dedup, 1, 0);
        assert!(matches!(dedup.claim(hash(1), at(60)), Claim::Durable(Position(1))));
        assert!(matches!(dedup.claim(hash(1), at(61)), Claim::New));
    }

    #[test]
    fn a_retry_of_a_pending_payload_shares_its_fate() {
        let mut dedup = Dedup::new(Duration::from_secs(60), 10);
        assert!(matches!(dedup.claim(hash(1), START), Claim::New));
        let Claim::Pending(mut first) = dedup.claim(hash(1), START) else { panic!("it is pending") };
        let refusal = Refusal { fault: Fault::Unavailable, detail: "disk".into(), retry_after: None };
        dedup.settle(hash(1), START, &Err(refusal.clone()));
        assert_eq!(first.try_recv(), Ok(Err(refusal)));
        assert!(matches!(dedup.claim(hash(1), START), Claim::New), "a refused payload may be sent again");
        let Claim::Pending(mut second) = dedup.claim(hash(1), START) else { panic!("it is pending") };
        dedup.settle(hash(1), START, &Ok(Receipt { position: Position(9), duplicate: false }));
        assert_eq!(second.try_recv(), Ok(Ok(Receipt { position: Position(9), duplicate: true })));
    }

    #[test]
    fn too_many_hashes_shorten_the_window_and_it_is_said() {
        let mut dedup = Dedup::new(Duration::from_secs(60), 3);
        for number in 0..5 {
            stored(&mut dedup, number, u64::from(number));
        }
        assert_eq!((dedup.len(), dedup.window(at(4))), (3, Duration::from_secs(2)));
        assert!(matches!(dedup.claim(hash(1), at(4)), Claim::New));
        assert!(matches!(dedup.claim(hash(2), at(4)), Claim::Durable(_)));
    }

    #[test]
    fn the_file_brings_back_what_stood_in_dropped_segments_and_damage_is_noticed() {
        let mut dedup = Dedup::new(Duration::from_secs(60), 10);
        for number in 1..=3 {
            stored(&mut dedup, number, u64::from(number));
        }
        let content = dedup.file_content(Position(2), at(4));
        let mut again = Dedup::new(Duration::from_secs(60), 10);
        assert!(again.load(&content));
        assert!(matches!(again.claim(hash(2), at(5)), Claim::Durable(Position(2))));
        assert!(matches!(again.claim(hash(3), at(5)), Claim::New), "its segment still tells");
        for at in 0..content.len() {
            let mut damaged = content.clone();
            damaged[at] ^= 1;
            assert!(!Dedup::new(Duration::from_secs(60), 10).load(&damaged), "byte {at}");
        }
    }
}
