//! A random system from a seed: who calls whom by what means, and how it is observed.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Everything about a system.
#[derive(Debug)]
pub(super) struct System {
    pub(super) seed: u64,
    pub(super) services: Vec<Service>,
    pub(super) databases: Vec<Database>,
    pub(super) queues: Vec<Queue>,
    pub(super) outsides: Vec<Outside>,
    pub(super) entries: Vec<Entry>,
    /// Share of spans that never arrive.
    pub(super) lost: f64,
    pub(super) sampling: Sampling,
    /// An Istio gateway stands in front of the user's calls.
    pub(super) gateway: bool,
    pub(super) requests: usize,
}

/// Who keeps which spans.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sampling {
    /// All.
    None,
    /// Whole traces.
    Trace,
    /// Each service by its own probability, all by the trace's randomness.
    Service,
}

#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: String,
    /// Its spans carry their kind.
    pub(super) has_kinds: bool,
    /// Its calls leave a CLIENT span.
    pub(super) has_client_spans: bool,
    /// Its SERVER spans take over the id of the CLIENT span, as Zipkin's do.
    pub(super) shares_ids: bool,
    pub(super) mesh: Mesh,
    /// Sends no spans: only its sidecars do.
    pub(super) is_silent: bool,
    /// Hands the context it was called with on, so that its sidecar's calls hang below its sidecar's span.
    pub(super) hands_on: bool,
    /// Its CLIENT spans name the callee.
    pub(super) names_callee: bool,
    pub(super) skew_ns: i64,
    /// OpenTelemetry threshold of its sampler, 14 hex digits' worth.
    pub(super) threshold: u64,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mesh {
    None,
    /// One span of each proxy.
    Istio,
    /// A span for either side of each proxy.
    IstioBothSides,
    Linkerd,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Calls a service, up to so many times until it succeeds.
    Call {
        service: usize,
        attempts: usize,
    },
    Database(usize),
    Outside(usize),
    Publish(usize),
    /// Work inside, below which the next steps hang.
    Internal,
    /// A span of an RPC without anything that names its peer.
    Nameless,
}

#[derive(Debug)]
pub(super) struct Database {
    pub(super) system: &'static str,
    pub(super) namespace: Option<String>,
    pub(super) naming: usize,
    pub(super) nested: Nested,
}

/// Spans inside a span of the same call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Nested {
    None,
    /// The connection's span, with nothing of its own.
    Connection,
    /// The HTTP request that carries it.
    Transport,
    /// The driver's span below the mapper's, with a span between.
    Driver,
}

#[derive(Debug)]
pub(super) struct Outside {
    pub(super) name: String,
    pub(super) naming: usize,
    /// Attempts below a span of the call as a whole; 0 for a single span.
    pub(super) attempts: usize,
}

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) destination: Option<String>,
    pub(super) is_old_name: bool,
    pub(super) consumers: Vec<usize>,
    pub(super) delivery: Delivery,
    /// Messages are created by spans of their own, then sent together by a span that links to them.
    pub(super) is_created_first: bool,
    /// Producers are CLIENT spans that name the destination and nothing else.
    pub(super) is_sent_by_clients: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Delivery {
    /// The consumer is a child of the producer.
    Child,
    /// A trace of its own, with a link.
    Link,
    /// A child that links to its parent besides.
    ChildAndLink,
    /// A trace of its own with links to many messages.
    Batch,
    /// One span fetches many, spans below it work on one each and link to it.
    Fetch,
    /// The same, without links of the inner ones.
    FetchUnlinked,
}

#[derive(Debug)]
pub(super) enum Entry {
    User(usize),
    /// A SERVER or INTERNAL span that says it was started by a timer.
    Timer(usize),
    /// Starts by itself, nobody knows why.
    Itself(usize),
}

/// Thresholds of the probabilities 1/2, 1/4, 1/10 and 1.
const THRESHOLDS: [u64; 4] = [0x80_0000_0000_0000, 0xc0_0000_0000_0000, 0xe6_6666_6666_6668, 0];

impl System {
    pub(super) fn random(seed: u64, rng: &mut StdRng) -> Self {
        let sampling = match seed % 5 {
            0 => Sampling::Trace,
            1 => Sampling::Service,
            _ => Sampling::None,
        };
        let is_meshed = rng.random_bool(0.35);
        let lost = if is_meshed || sampling != Sampling::None { 0.0 } else { *[0.0, 0.1, 0.3].choose(rng).unwrap() };
        let count = rng.random_range(2..9);
        let threshold = *THRESHOLDS[..3].choose(rng).unwrap();
        let mut services: Vec<Service> = (0..count).map(|at| service(rng, at, is_meshed)).collect();
        for service in &mut services {
            // Of two halves that share an id, one alone is taken for the other: nobody can tell.
            service.shares_ids &= lost == 0.0 && sampling != Sampling::Service;
            service.threshold = match sampling {
                Sampling::None => 0,
                Sampling::Trace => threshold,
                Sampling::Service => *THRESHOLDS.choose(rng).unwrap(),
            };
            service.names_callee &= sampling != Sampling::Service;
        }
        let mut system = Self {
            seed,
            databases: (0..rng.random_range(0..3)).map(|at| database(rng, at)).collect(),
            queues: (0..rng.random_range(0..4)).map(|at| queue(rng, at, &services)).collect(),
            outsides: (0..rng.random_range(0..3)).map(|at| outside(rng, at)).collect(),
            entries: Vec::new(),
            services,
            lost,
            sampling,
            gateway: is_meshed && rng.random_bool(0.3),
            requests: if sampling == Sampling::None { 12 } else { 120 },
        };
        for at in 0..count {
            system.services[at].steps = system.steps(rng, at);
        }
        system.entries = (0..rng.random_range(1..4)).map(|_| system.entry(rng)).collect();
        system
    }

    /// Any service may call any: circles come about by themselves.
    fn steps(&self, rng: &mut StdRng, of: usize) -> Vec<Step> {
        let steps = 0..rng.random_range(0..6);
        let is_silent = self.services[of].is_silent;
        let step = |_| match rng.random_range(0..10) {
            0..4 => Step::Call { service: rng.random_range(0..self.services.len()), attempts: rng.random_range(1..4) },
            4..6 if !self.databases.is_empty() && !is_silent => {
                Step::Database(rng.random_range(0..self.databases.len()))
            }
            6 if !self.outsides.is_empty() => Step::Outside(rng.random_range(0..self.outsides.len())),
            7 | 8 if !self.queues.is_empty() && !is_silent => Step::Publish(rng.random_range(0..self.queues.len())),
            9 if !is_silent => [Step::Internal, Step::Nameless].choose(rng).unwrap().clone(),
            _ => Step::Call { service: rng.random_range(0..self.services.len()), attempts: 1 },
        };
        steps.map(step).collect()
    }

    fn entry(&self, rng: &mut StdRng) -> Entry {
        let service = rng.random_range(0..self.services.len());
        match rng.random_range(0..4) {
            0 if !self.services[service].is_silent => Entry::Timer(service),
            1 if !self.services[service].is_silent => Entry::Itself(service),
            _ => Entry::User(service),
        }
    }
}

fn service(rng: &mut StdRng, at: usize, is_meshed: bool) -> Service {
    let mesh = match is_meshed {
        true => *[Mesh::None, Mesh::Istio, Mesh::IstioBothSides, Mesh::Linkerd].choose(rng).unwrap(),
        false => Mesh::None,
    };
    let is_istio = matches!(mesh, Mesh::Istio | Mesh::IstioBothSides);
    let is_silent = is_istio && rng.random_bool(0.3);
    let hands_on = mesh != Mesh::None && !is_silent && rng.random_bool(0.2);
    let has_kinds = is_silent || rng.random_bool(0.8);
    let has_client_spans = !hands_on && !is_silent && rng.random_bool(0.7);
    Service {
        name: format!("s{at}"),
        has_kinds,
        has_client_spans,
        shares_ids: has_kinds && mesh == Mesh::None && rng.random_bool(0.4),
        mesh,
        is_silent,
        hands_on,
        names_callee: rng.random_bool(0.5),
        skew_ns: if rng.random_bool(0.3) { rng.random_range(-2_000_000_000..2_000_000_000) } else { 0 },
        threshold: 0,
        steps: Vec::new(),
    }
}

fn database(rng: &mut StdRng, at: usize) -> Database {
    Database {
        system: ["mysql", "redis", "postgresql"][rng.random_range(0..3)],
        namespace: rng.random_bool(0.7).then(|| format!("db{at}")),
        naming: rng.random_range(0..3),
        nested: *[Nested::None, Nested::Connection, Nested::Transport, Nested::Driver].choose(rng).unwrap(),
    }
}

fn outside(rng: &mut StdRng, at: usize) -> Outside {
    let attempts = if rng.random_bool(0.3) { rng.random_range(1..4) } else { 0 };
    Outside { name: format!("out{at}.example"), naming: rng.random_range(0..4), attempts }
}

fn queue(rng: &mut StdRng, at: usize, services: &[Service]) -> Queue {
    use Delivery::{Batch, Child, ChildAndLink, Fetch, FetchUnlinked, Link};
    let able: Vec<usize> = (0..services.len()).filter(|at| !services[*at].is_silent).collect();
    let count = rng.random_range(0..3);
    let consumers = able.choose_multiple(rng, count).copied().collect();
    Queue {
        destination: rng.random_bool(0.8).then(|| format!("q{at}")),
        is_old_name: rng.random_bool(0.3),
        consumers,
        delivery: *[Child, Link, ChildAndLink, Batch, Fetch, FetchUnlinked].choose(rng).unwrap(),
        is_created_first: rng.random_bool(0.2),
        is_sent_by_clients: rng.random_bool(0.2),
    }
}
