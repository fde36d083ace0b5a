//! Taps see every durable request once per start, in order, and hold the log only as far as they say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tracelake_model::{Durable, Position, Table, Tap};

use crate::tests::rig::Rig;

/// Remembers what it saw; moves on by itself or not.
pub(crate) struct Stuck {
    position: AtomicU64,
    seen: Mutex<Vec<u64>>,
}

impl Stuck {
    pub(crate) fn at(position: u64) -> Arc<Self> {
        Arc::new(Self { position: AtomicU64::new(position), seen: Mutex::default() })
    }

    pub(crate) fn move_to(&self, position: u64) {
        self.position.store(position, Ordering::SeqCst);
    }

    pub(crate) fn take(&self) -> Vec<u64> {
        std::mem::take(&mut self.seen.lock())
    }
}

impl Tap for Stuck {
    fn name(&self) -> &'static str {
        "stuck"
    }

    fn position(&self) -> Option<Position> {
        Some(Position(self.position.load(Ordering::SeqCst)))
    }

    fn observe(&self, durable: &Durable) {
        assert!(durable.batches.iter().all(|batch| batch.table() != Table::Exceptions), "derived rows");
        self.seen.lock().push(durable.position.0);
    }
}

fn feed_all(rig: &Rig) {
    while rig.core().feed_step(false) {}
}

#[test]
fn a_tap_sees_requests_in_order_and_never_derived_rows() {
    let rig = Rig::new();
    let tap = Stuck::at(0);
    rig.core().feed.attach(Arc::clone(&tap) as Arc<dyn Tap>, 0);
    rig.send_all(&["logs a", "logs b"]);
    rig.send_derived(1).expect("stored");
    rig.send("logs c").expect("stored");
    feed_all(&rig);
    assert_eq!(tap.take(), [1, 2, 4]);
}

#[test]
fn after_a_restart_a_tap_sees_everything_past_its_position_even_when_it_is_flushed() {
    let mut rig = Rig::new();
    rig.core().feed.attach(Stuck::at(0), 0);
    for number in 1..=30 {
        rig.send(&format!("logs {number:0>400}")).expect("stored");
    }
    rig.core().flush_step().expect("it flushes");
    assert!(rig.core().segments.count() > 3, "the tap holds segments");
    rig.crash(9);
    let (held, late) = (Stuck::at(7), Stuck::at(29));
    let visible = rig.core().tail.lock().visible();
    rig.core().feed.attach(Arc::clone(&held) as Arc<dyn Tap>, visible);
    rig.core().feed.attach(Arc::clone(&late) as Arc<dyn Tap>, visible);
    rig.send("logs new").expect("stored");
    feed_all(&rig);
    assert_eq!(held.take(), (8..=31).collect::<Vec<_>>());
    assert_eq!(late.take(), [30, 31]);
    held.position.store(31, Ordering::SeqCst);
    late.position.store(31, Ordering::SeqCst);
    rig.core().flush_step().expect("it flushes");
    assert!(rig.core().segments.count() <= 2, "nobody needs the rest");
}

#[test]
fn a_slow_tap_reads_from_the_log_what_memory_did_not_hold_in_order() {
    let mut rig = Rig::closed();
    rig.config.feed_requests_max = 3;
    rig.reopen().expect("it opens");
    let tap = Stuck::at(0);
    rig.core().feed.attach(Arc::clone(&tap) as Arc<dyn Tap>, 0);
    for number in 1..=20 {
        rig.send(&format!("logs {number:0>400}")).expect("stored");
        if number == 10 {
            assert!(rig.core().feed_step(false), "a part of it");
        }
    }
    assert!(rig.core().feed.waiting().1, "the tap is behind");
    feed_all(&rig);
    assert_eq!(tap.take(), (1..=20).collect::<Vec<_>>());
}
