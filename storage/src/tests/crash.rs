//! Nothing acknowledged is lost and nothing shows twice, wherever the power goes. Each run prints its seed.

use std::collections::BTreeSet;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tracelake_model::Table;

use crate::point::Point;
use crate::tests::rig::Rig;

/// What clients know.
#[derive(Default)]
struct Truth {
    sent: Vec<String>,
    acknowledged: Vec<String>,
    derived: u64,
}

impl Truth {
    fn check(&self, rig: &Rig, seed: u64) {
        for table in [Table::Logs, Table::Audit] {
            let rows = rig.rows(table);
            let stored: BTreeSet<_> = rows.iter().map(|(text, _)| text.clone()).collect();
            assert_eq!(stored.len(), rows.len(), "seed {seed}: rows of {table} twice");
            let lines = |payloads: &[String]| -> BTreeSet<String> {
                let lines = payloads.iter().flat_map(|payload| payload.lines());
                lines.filter_map(|line| Some(line.strip_prefix(table.as_str())?[1..].to_owned())).collect()
            };
            let lost: Vec<_> = lines(&self.acknowledged).difference(&stored).cloned().collect();
            assert!(lost.is_empty(), "seed {seed}: acknowledged rows of {table} lost: {lost:?}");
            assert!(stored.is_subset(&lines(&self.sent)), "seed {seed}: rows of {table} from nowhere");
        }
        let mut seqs: Vec<_> = rig.rows(Table::Audit).iter().map(|(_, seq)| *seq).collect();
        seqs.sort_unstable();
        assert!(seqs.iter().copied().eq(1..=i64::try_from(seqs.len()).expect("few")), "seed {seed}: {seqs:?}");
        let stored = rig.texts(Table::Exceptions).len() as u64;
        assert!(stored == self.derived || stored == self.derived + 1, "seed {seed}: {stored} of {}", self.derived);
    }
}

fn work(rig: &Rig, random: &mut SmallRng, truth: &mut Truth) {
    for _ in 0..random.random_range(1..12) {
        match random.random_range(0..10) {
            0 => drop(rig.core().flush_step()),
            2 => while rig.core().gather_step(false) {},
            1 => {
                let stored = rig.texts(Table::Exceptions).len() as u64;
                truth.derived = truth.derived.max(stored);
                if rig.send_derived(truth.derived + 1).is_ok() {
                    truth.derived += 1;
                }
            }
            _ => {
                let size = random.random_range(1..900);
                let make = |number: usize| {
                    let at = number + truth.sent.len();
                    format!("logs {at}-{}\naudit {at}", "x".repeat(size))
                };
                let payloads: Vec<_> = (0..random.random_range(1..5)).map(make).collect();
                let outcomes = rig.send_all(&payloads.iter().map(String::as_str).collect::<Vec<_>>());
                truth.sent.extend(payloads.iter().cloned());
                let stored = payloads.into_iter().zip(outcomes).filter(|(_, outcome)| outcome.is_ok());
                truth.acknowledged.extend(stored.map(|(payload, _)| payload));
            }
        }
    }
}

#[test]
fn power_cuts_anywhere_lose_and_double_nothing() {
    for seed in 0..60 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut rig = Rig::new();
        let mut truth = Truth::default();
        for round in 0..4 {
            rig.disk.cut_after(random.random_range(1..60));
            work(&rig, &mut random, &mut truth);
            if random.random_bool(0.3) {
                // The power goes again while the store comes back.
                rig.disk.crash(seed * 100 + round);
                rig.disk.cut_after(random.random_range(0..8));
                drop(rig.reopen());
            }
            rig.crash(seed * 10 + round);
            truth.check(&rig, seed);
            for payload in &truth.acknowledged {
                assert!(rig.send(payload).expect("stored").duplicate, "seed {seed}: a retry was stored again");
            }
        }
        assert!(!truth.acknowledged.is_empty() || truth.sent.len() < 40, "seed {seed}: nothing was tested");
    }
}

#[test]
fn a_flush_that_dies_at_any_point_shows_every_row_once_before_and_after_a_restart() {
    for point in [Point::PartsWritten, Point::Committed, Point::Replaced, Point::HashesSaved] {
        for restart in [false, true] {
            let mut rig = Rig::new();
            let texts: Vec<_> = (10..40).map(|number| format!("{number}{}", "y".repeat(300))).collect();
            for text in &texts {
                rig.send(&format!("logs {text}\naudit {text}")).expect("stored");
            }
            *rig.core().crash_at.lock() = Some(point);
            assert!(rig.core().flush_step().is_err(), "{point:?}");
            assert_eq!(rig.texts(Table::Logs), texts, "{point:?} while it fails");
            if restart {
                rig.crash(17);
            }
            *rig.core().crash_at.lock() = None;
            rig.send("logs zz").expect("stored");
            rig.core().flush_step().expect("the next flush succeeds");
            let mut want = texts.clone();
            want.push("zz".to_owned());
            assert_eq!(rig.texts(Table::Logs), want, "{point:?} {restart}");
            assert_eq!(rig.texts(Table::Audit), texts, "{point:?} {restart}");
        }
    }
}
