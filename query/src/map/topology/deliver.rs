//! Runs messages through a system's queues: by parent, by link, one by one, in batches, fetched and worked on.

use rand::Rng;
use serde_json::json;

use super::record::Record;
use super::run::{Work, work};
use super::system::{Delivery, Queue};
use crate::map::parent::{CLIENT, CONSUMER, PRODUCER};

/// Messages that one consumer takes up at once.
const BATCH_MAX: usize = 5;

/// A service sends messages to a queue; some consumers take them up at once.
pub(super) fn publish(record: &mut Record<'_>, at: Work, place: usize) {
    let queue = &record.system.queues[place];
    let service = &record.system.services[at.service];
    let mut sent = Vec::new();
    if queue.is_created_first && service.has_kinds {
        for _ in 0..record.rng.random_range(1..4) {
            sent.push(messaging(record, (at.trace, Some(at.span)), at.service, PRODUCER, (queue, "create")));
        }
        let send = messaging(record, (at.trace, Some(at.span)), at.service, CLIENT, (queue, "send"));
        record.spans[send].links.clone_from(&sent);
        if let Some(node) = node(queue) {
            let told = sent.iter().map(|span| vec![*span]).collect();
            let edge = (record.node(at.service), node, "Messaging");
            record.act(edge, send, &[]).unless = told;
        }
    } else {
        let by_client = queue.is_sent_by_clients && queue.destination.is_some() && service.has_kinds;
        let (kind, operation) = if by_client { (CLIENT, "") } else { (PRODUCER, "publish") };
        sent.push(messaging(record, (at.trace, Some(at.span)), at.service, kind, (queue, operation)));
    }
    for &span in &sent {
        record.spans[span].error = record.rng.random_bool(0.05);
        if let Some(node) = node(queue) {
            let edge = (record.node(at.service), node, "Messaging");
            record.act(edge, span, &[]);
        }
    }
    for (number, &consumer) in queue.consumers.iter().enumerate() {
        for &span in &sent {
            match queue.delivery {
                Delivery::Child | Delivery::ChildAndLink | Delivery::Link => {
                    one(record, queue, consumer, span, at.depth + 1);
                }
                Delivery::Batch | Delivery::Fetch | Delivery::FetchUnlinked => {
                    record.waiting[place][number].push(span);
                }
            }
        }
    }
}

/// Consumers take up what waits for them: all of it, or now and then a batch. Whether there was anything.
pub(super) fn take_up(record: &mut Record<'_>, all: bool) -> bool {
    let mut found = false;
    for (place, queue) in record.system.queues.iter().enumerate() {
        for (number, &consumer) in queue.consumers.iter().enumerate() {
            while !record.waiting[place][number].is_empty() && (all || record.rng.random_bool(0.5)) {
                found = true;
                let waiting = &mut record.waiting[place][number];
                let count = record.rng.random_range(1..=BATCH_MAX).min(waiting.len());
                let messages: Vec<usize> = waiting.drain(..count).collect();
                match queue.delivery {
                    Delivery::Batch => batch(record, queue, consumer, &messages),
                    _ => fetch(record, queue, consumer, &messages),
                }
            }
        }
    }
    found
}

fn one(record: &mut Record<'_>, queue: &Queue, consumer: usize, message: usize, depth: usize) {
    let (trace, below) = match queue.delivery {
        Delivery::Link => (record.trace(), None),
        _ => (record.spans[message].trace, Some(message)),
    };
    let span = process(record, (trace, below), consumer, queue);
    if queue.delivery != Delivery::Child {
        record.spans[span].links.push(message);
    }
    came(record, span, message);
    out_of(record, queue, span);
    work(record, Work::new(record, span, depth));
}

fn batch(record: &mut Record<'_>, queue: &Queue, consumer: usize, messages: &[usize]) {
    let trace = record.trace();
    let span = process(record, (trace, None), consumer, queue);
    record.spans[span].links = messages.to_vec();
    for &message in messages {
        came(record, span, message);
        out_of(record, queue, span);
    }
    work(record, Work::new(record, span, 3));
}

fn fetch(record: &mut Record<'_>, queue: &Queue, consumer: usize, messages: &[usize]) {
    let trace = record.trace();
    let kind = if record.rng.random_bool(0.5) { CLIENT } else { CONSUMER };
    let outer = messaging(record, (trace, None), consumer, kind, (queue, "receive"));
    record.spans[outer].is_request = record.spans[outer].kind == CONSUMER;
    record.spans[outer].links = messages.to_vec();
    for &message in messages {
        let span = process(record, (trace, Some(outer)), consumer, queue);
        if queue.delivery == Delivery::Fetch {
            record.spans[span].links.push(message);
            came(record, span, message);
            let told = record.acts.len();
            came(record, outer, message);
            record.acts[told..].iter_mut().for_each(|act| act.unless.push(vec![span]));
        } else {
            came(record, outer, message);
        }
        out_of(record, queue, span);
        let told = record.acts.len();
        out_of(record, queue, outer);
        record.acts[told..].iter_mut().for_each(|act| act.unless.push(vec![span]));
        work(record, Work::new(record, span, 3));
    }
}

/// A message reached a consumer's span from the span that sent it.
fn came(record: &mut Record<'_>, span: usize, message: usize) {
    let (from, to) = (record.spans[message].owner, record.spans[span].owner);
    if from != to {
        let edge = (record.node(from), record.node(to), "Messaging");
        record.act(edge, span, &[message]);
    }
}

/// A consumer's span took a message out of its queue.
fn out_of(record: &mut Record<'_>, queue: &Queue, span: usize) {
    if let Some(node) = node(queue) {
        let edge = (node, record.node(record.spans[span].owner), "Messaging");
        record.act(edge, span, &[]);
    }
}

fn node(queue: &Queue) -> Option<String> {
    queue.destination.as_ref().map(|name| format!("queue:{name}"))
}

fn process(record: &mut Record<'_>, (trace, below): (usize, Option<usize>), consumer: usize, queue: &Queue) -> usize {
    let span = messaging(record, (trace, below), consumer, CONSUMER, (queue, "process"));
    record.spans[span].error = record.rng.random_bool(0.2);
    record.spans[span].is_request = record.spans[span].kind == CONSUMER;
    span
}

fn messaging(
    record: &mut Record<'_>,
    (trace, below): (usize, Option<usize>),
    service: usize,
    kind: i8,
    (queue, operation): (&Queue, &str),
) -> usize {
    let span = record.span(trace, below, service, kind);
    record.column(span, "messaging_system", "kafka");
    if let Some(name) = &queue.destination {
        match queue.is_old_name {
            true => record.rest(span, "messaging.destination", name),
            false => record.column(span, "messaging_destination_name", name),
        }
    }
    match queue.is_old_name {
        _ if operation.is_empty() => {}
        true => record.rest(span, "messaging.operation", operation),
        false => record.column(span, "messaging_operation_type", operation),
    }
    record.spans[span].rest.insert("messaging.batch.message_count".to_owned(), json!(1));
    span
}
