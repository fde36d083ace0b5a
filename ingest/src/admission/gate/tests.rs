//! Who is let in, who is refused, and when they are told to come back.

use std::collections::{BTreeMap, VecDeque};

use tracelake_model::ManualClock;

use super::*;
use crate::config::{Rate, TenantLimits};

const START: UnixNano = UnixNano(1_700_000_000_000_000_000);

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("a tenant")
}

fn gate(config: Config) -> (Arc<Admission>, ManualClock) {
    let clock = ManualClock::new(START);
    (Admission::new(config, Arc::new(clock.clone())), clock)
}

fn room(in_flight_bytes: u64) -> (Arc<Admission>, ManualClock) {
    gate(Config { in_flight_bytes, ..Config::default() })
}

fn rated(rate: u64, burst: u64) -> (Arc<Admission>, ManualClock) {
    let (tenant_rate, tenant_burst_bytes) = (Rate::BytesPerSecond(rate), Some(burst));
    gate(Config { tenant_rate, tenant_burst_bytes, ..Config::default() })
}

fn ask(admission: &Arc<Admission>, name: &str, bytes: u64) -> Result<Permit, Error> {
    let mut permit = admission.permit(&tenant(name), Some(bytes))?;
    permit.receive(bytes)?;
    Ok(permit)
}

fn holding(admission: &Arc<Admission>, name: &str, bytes: u64) -> Permit {
    ask(admission, name, bytes).expect("has room")
}

fn retry(refused: Result<Permit, Error>) -> Duration {
    refused.expect_err("is refused").retry_after().expect("with a time to come back")
}

#[test]
fn bytes_past_the_limit_are_refused_until_others_are_done() {
    let (admission, _) = room(100);
    let mut first = holding(&admission, "a", 60);
    let second = holding(&admission, "a", 40);
    assert!(matches!(first.receive(1), Err(Error::InFlight { limit: 100, .. })));
    let early = admission.permit(&tenant("a"), Some(1));
    assert!(matches!(early, Err(Error::InFlight { .. })), "before a byte is read");
    assert_eq!(admission.figures().in_flight, 100);
    drop(second);
    assert!(first.receive(1).is_ok());
    assert!(first.inflate(500).is_ok(), "a request that is alone is never refused");
    drop(first);
    assert_eq!(admission.figures().in_flight, 0);
}

#[test]
fn while_a_tenant_waits_no_other_takes_more_than_its_share() {
    let (admission, _) = room(100);
    let mut many: Vec<_> = (0..4).map(|_| holding(&admission, "greedy", 25)).collect();
    assert!(matches!(ask(&admission, "small", 30), Err(Error::InFlight { .. })));
    assert_eq!(admission.figures().waiting, 1);
    many.pop();
    let refused = ask(&admission, "greedy", 20);
    assert!(matches!(refused, Err(Error::Share { share: 50, .. })), "{refused:?}");
    assert!(matches!(many[0].receive(1), Err(Error::Share { .. })), "nor do its requests under way grow");
    let mut small = admission.permit(&tenant("small"), None).expect("is let in");
    small.receive(5).expect("has room");
    assert!(matches!(ask(&admission, "greedy", 5), Err(Error::Share { .. })), "the small one is not done yet");
    small.receive(15).expect("has room");
    drop(small);
    drop(many);
    let all: Vec<_> = (0..4).map(|_| holding(&admission, "greedy", 25)).collect();
    assert_eq!((admission.figures().in_flight, all.len()), (100, 4), "nobody else wants any of it");
}

#[test]
fn who_does_not_come_back_holds_nobody_up_for_long() {
    let (admission, clock) = room(100);
    let all: Vec<_> = (0..4).map(|_| holding(&admission, "greedy", 25)).collect();
    let comes_back = retry(ask(&admission, "small", 30));
    drop(all);
    let _half: Vec<_> = (0..2).map(|_| holding(&admission, "greedy", 25)).collect();
    assert!(matches!(ask(&admission, "greedy", 1), Err(Error::Share { .. })));
    clock.advance(comes_back + WAIT_GRACE);
    holding(&admission, "greedy", 50);
}

#[test]
fn a_small_tenant_that_heeds_its_times_is_let_in_beside_one_that_does_not() {
    let (admission, clock) = room(1000);
    let mut under_way = VecDeque::new();
    let (mut comes_back, mut let_in) = (START, 0);
    for _ in 0..10_000 {
        clock.advance(Duration::from_millis(1));
        // What anybody holds becomes durable after 200 ms.
        let done = clock.now().plus(Duration::from_millis(200));
        while let Ok(permit) = ask(&admission, "greedy", 50) {
            under_way.push_back((done, permit));
        }
        while under_way.front().is_some_and(|(until, _)| *until <= clock.now()) {
            under_way.pop_front();
        }
        if clock.now() >= comes_back {
            let wait = match ask(&admission, "small", 100) {
                Ok(permit) => {
                    under_way.push_back((done, permit));
                    let_in += 1;
                    Duration::from_millis(100)
                }
                Err(error) => error.retry_after().expect("a time"),
            };
            comes_back = clock.now().plus(wait);
        }
        assert!(admission.figures().in_flight <= 1000);
    }
    // Ten seconds: without a share it would hardly ever find room.
    assert!(let_in >= 20, "let in {let_in} times");
}

#[test]
fn a_request_alone_in_its_tenant_passes_its_share() {
    let (admission, _) = room(100);
    let mut large = holding(&admission, "large", 40);
    let other = holding(&admission, "other", 60);
    assert!(ask(&admission, "third", 50).is_err());
    drop(other);
    large.receive(30).expect("its only request");
}

#[test]
fn the_time_to_come_back_is_computed_from_the_drain() {
    let (admission, clock) = room(1000);
    let _base = holding(&admission, "a", 10);
    assert_eq!(retry(ask(&admission, "a", 1000)), RETRY_UNKNOWN);
    for _ in 0..10 {
        clock.advance(Duration::from_millis(100));
        drop(holding(&admission, "a", 50));
    }
    let _most = holding(&admission, "a", 900);
    assert_eq!(admission.figures().drain, 500);
    // 90 are free; of 340, 250 are too much, which drain in half a second.
    let first = retry(ask(&admission, "a", 340));
    assert_eq!(first, Duration::from_millis(500));
    // The next one is told to come when the first has drained too.
    assert_eq!(retry(ask(&admission, "a", 340)), first + Duration::from_millis(680));
    // Another tenant does not queue behind them; half of the drain is its own.
    assert_eq!(retry(ask(&admission, "b", 340)), first * 2);
    for _ in 0..1000 {
        assert!(retry(ask(&admission, "a", 340)) <= RETRY_MAX);
    }
}

#[test]
fn a_tenant_beyond_its_rate_is_refused_before_its_body_is_read() {
    let (admission, clock) = rated(1000, 500);
    let mut first = admission.permit(&tenant("a"), None).expect("a full bucket");
    first.receive(800).expect("is taken whole");
    let refused = admission.permit(&tenant("a"), None);
    assert!(matches!(refused, Err(Error::Rate { bytes_per_second: 1000, .. })));
    let after = retry(refused);
    assert_eq!(after, Duration::from_nanos(300_000_001));
    assert!(admission.permit(&tenant("b"), None).is_ok(), "a tenant's debt is its own");
    clock.advance(after);
    assert!(admission.permit(&tenant("a"), None).is_ok(), "the time told was enough");
}

#[test]
fn a_rate_counts_the_larger_of_both_forms_of_a_body_once() {
    let check = |received: u64, inflated: u64, charged: u64| {
        let (admission, _) = rated(1000, 10_000);
        let mut permit = admission.permit(&tenant("a"), None).expect("is let in");
        permit.receive(received / 2).expect("room");
        permit.receive(received - received / 2).expect("room");
        permit.inflate(inflated / 2).expect("room");
        permit.inflate(inflated - inflated / 2).expect("room");
        assert_eq!(permit.charged, charged);
    };
    check(100, 0, 100);
    check(100, 5000, 5000);
    check(100, 40, 100);
}

#[test]
fn what_must_be_sent_again_is_not_charged_twice() {
    let (admission, _) = rated(1, 100);
    let mut permit = admission.permit(&tenant("a"), None).expect("is let in");
    permit.receive(5000).expect("is taken");
    permit.refund();
    drop(permit);
    assert!(admission.permit(&tenant("a"), None).is_ok());
}

#[test]
fn tenants_that_rest_are_forgotten() {
    let (admission, clock) = rated(1000, 500);
    for number in 0..1000 {
        drop(holding(&admission, &format!("t{number}"), 10));
        clock.advance(Duration::from_secs(1));
    }
    assert!(admission.lock().tenants.len() <= 2);
    let own = TenantLimits { rate: Some(Rate::Unlimited), burst_bytes: None };
    let tenants = BTreeMap::from([(tenant("free"), own)]);
    let (admission, _) = gate(Config { tenants, tenant_rate: Rate::BytesPerSecond(1), ..Config::default() });
    for _ in 0..3 {
        drop(holding(&admission, "free", 1000));
    }
}

#[test]
fn what_is_announced_is_held_before_it_comes_and_no_longer_once_its_sender_is_late() {
    let (admission, _) = room(100);
    let mut first = admission.permit(&tenant("a"), Some(60)).expect("has room");
    assert_eq!((admission.figures().in_flight, first.announced()), (60, 60));
    assert!(matches!(admission.permit(&tenant("a"), Some(41)), Err(Error::InFlight { .. })), "before a byte came");
    first.receive(10).expect("has its room");
    assert_eq!((admission.figures().in_flight, first.announced()), (60, 50));
    first.forget_announced();
    assert_eq!((admission.figures().in_flight, first.announced()), (10, 0));
    let mut second = admission.permit(&tenant("a"), None).expect("no rate");
    second.announce(85).expect("has room");
    assert!(matches!(first.receive(6), Err(Error::InFlight { .. })), "what comes late finds no room");
    drop(first);
    second.receive(90).expect("more than was announced, with room");
    assert_eq!(admission.figures().in_flight, 90);
    drop(second);
    assert_eq!(admission.figures().in_flight, 0);
}

#[test]
fn rows_are_held_until_they_are_durable_whatever_the_limit() {
    let (admission, _) = room(100);
    let mut permit = holding(&admission, "a", 50);
    let _other = holding(&admission, "a", 20);
    permit.inflate(30).expect("has room");
    assert_eq!(admission.figures().in_flight, 100);
    permit.decode(90, false);
    assert_eq!(admission.figures().in_flight, 160, "rows in the place of decompressed bytes");
    assert!(matches!(admission.permit(&tenant("a"), Some(1)), Err(Error::InFlight { .. })));
    drop(permit);
    assert_eq!(admission.figures().in_flight, 20);
}
