//! Small batches become larger ones without anybody noticing: rows, order, numbers and bytes stay right.

use tracelake_model::{Table, TenantId};

use crate::point::Point;
use crate::tests::rig::Rig;

fn gather_all(rig: &Rig) {
    while rig.core().gather_step(false) {}
}

fn send(rig: &Rig, numbers: std::ops::Range<usize>) {
    for number in numbers {
        rig.send(&format!("logs {number:04}\naudit {number:04}")).expect("stored");
    }
}

fn texts(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{number:04}")).collect()
}

/// Batches of a table in the tail, and whether their rows come in the order of the log.
fn batches(rig: &Rig, table: Table) -> usize {
    let snapshot = rig.core().tail.lock().snapshot(&TenantId::default());
    snapshot.tail(table).len()
}

fn check(rig: &Rig, count: usize) {
    assert_eq!(rig.texts(Table::Logs), texts(0..count));
    let numbered = texts(0..count).into_iter().zip(1..);
    assert_eq!(rig.rows(Table::Audit), numbered.collect::<Vec<_>>());
}

#[test]
fn many_small_batches_become_few_and_rows_keep_their_order() {
    let rig = Rig::new();
    send(&rig, 0..200);
    let bytes = rig.core().tail.lock().bytes();
    assert_eq!(batches(&rig, Table::Logs), 200);
    let before = rig.core().tail.lock().snapshot(&TenantId::default());
    gather_all(&rig);
    assert!(batches(&rig, Table::Logs) < 40, "{}", batches(&rig, Table::Logs));
    check(&rig, 200);
    assert_eq!(before.tail(Table::Logs).len(), 200, "a snapshot keeps what it has");
    let snapshot = rig.core().tail.lock().snapshot(&TenantId::default());
    let body =
        |batch: &arrow::array::RecordBatch| batch.column_by_name("body").map(std::sync::Arc::clone).expect("text");
    let bodies: Vec<_> = snapshot.tail(Table::Logs).iter().map(body).collect();
    let bodies: Vec<_> = bodies.iter().flat_map(|body| arrow::array::AsArray::as_string::<i32>(body).iter()).collect();
    assert!(bodies.is_sorted(), "the order of the log");
    let left = rig.core().tail.lock().bytes();
    assert!(left * 3 < bytes, "{left} of {bytes} bytes are left");
    assert_eq!(rig.core().flush_step().expect("it flushes").rows, 400);
    assert_eq!(rig.core().tail.lock().bytes(), 0);
    check(&rig, 200);
}

#[test]
fn gathering_goes_on_beside_appends_flushes_and_restarts() {
    for restart in [false, true] {
        let mut rig = Rig::new();
        for round in 0..6 {
            send(&rig, round * 50..round * 50 + 50);
            if round % 3 == 0 {
                gather_all(&rig);
            }
            if round % 2 == 1 {
                rig.core().flush_step().expect("it flushes");
            }
            if restart && round == 4 {
                rig.crash(7);
            }
            check(&rig, round * 50 + 50);
        }
        gather_all(&rig);
        check(&rig, 300);
        rig.core().flush_step().expect("it flushes");
        assert_eq!(rig.core().tail.lock().bytes(), 0);
        rig.crash(3);
        check(&rig, 300);
    }
}

#[test]
fn what_a_flush_took_meanwhile_stays_with_the_flush() {
    let rig = Rig::new();
    send(&rig, 0..40);
    let tenant = TenantId::default();
    let run = rig.core().tail.lock().run(&tenant, Table::Logs).expect("enough small batches");
    *rig.core().crash_at.lock() = Some(Point::PartsWritten);
    assert!(rig.core().flush_step().is_err(), "frozen, not flushed");
    let bytes = rig.core().tail.lock().bytes();
    rig.core().tail.lock().settle(&run, None);
    gather_all(&rig);
    assert_eq!(rig.core().tail.lock().bytes(), bytes);
    check(&rig, 40);
    send(&rig, 40..120);
    gather_all(&rig);
    check(&rig, 120);
    *rig.core().crash_at.lock() = None;
    rig.core().flush_step().expect("it flushes");
    assert_eq!(rig.core().tail.lock().bytes(), 0);
    check(&rig, 120);
}

#[test]
fn large_batches_stay_as_they_are_and_keep_their_place() {
    let rig = Rig::new();
    let large = |from: usize| (from..from + 600).map(|number| format!("logs {number:04}\n")).collect::<String>();
    let mut sent = 0;
    for round in 0..70 {
        if round % 10 == 3 {
            rig.send(&large(sent)).expect("stored");
            sent += 600;
        } else {
            rig.send(&format!("logs {sent:04}")).expect("stored");
            sent += 1;
        }
        if round % 7 == 0 {
            gather_all(&rig);
        }
    }
    gather_all(&rig);
    let snapshot = rig.core().tail.lock().snapshot(&TenantId::default());
    let rows: Vec<_> = snapshot.tail(Table::Logs).iter().map(arrow::array::RecordBatch::num_rows).collect();
    assert_eq!(rows.iter().filter(|rows| **rows == 600).count(), 7, "{rows:?}");
    assert!(rows.len() < 45, "{rows:?}");
    assert_eq!(rig.texts(Table::Logs), texts(0..sent));
}
