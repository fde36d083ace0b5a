//! `tracelake demo`: the last minutes at once, so that the pages are full, then the shop live.

use std::time::{Duration, Instant};

use tracelake_model::{Clock, SystemClock, UnixNano};

use crate::command::line::DemoArgs;
use crate::demo::generator::{Generator, Slice};
use crate::demo::sender::Sender;
use crate::error::Error;

/// What is sent at once before the demo goes on live.
const BACKFILL: Duration = Duration::from_secs(10 * 60);
/// What `--once` sends.
const ONCE: Duration = Duration::from_secs(15 * 60);
/// The past is sent with fewer requests per second than the present, so that it is there at once.
const BACKFILL_RATE: u32 = 10;
/// How far behind the clock the live shop stays: spans end after they begin.
const LAG: Duration = Duration::from_secs(3);
const TICK: Duration = Duration::from_secs(1);

/// Runs until it is done or Ctrl-C.
pub(crate) async fn run(args: &DemoArgs) -> Result<(), Error> {
    let config = args.load()?;
    let authority = args.ca_cert.as_ref().map(std::fs::read).transpose();
    let authority = authority.map_err(|error| Error::Usage(format!("--ca-cert: {error}")))?;
    let sender = Sender::new(&config.demo.endpoint, authority.as_deref(), args.token.as_deref())?;
    let clock = SystemClock;
    let now = clock.now();
    let (begin, until) = match &args.start {
        Some(text) => {
            let begin = UnixNano::parse(text, now).map_err(|error| Error::Usage(format!("--start: {error}")))?;
            (begin, begin.plus(ONCE))
        }
        None if args.once => (now.minus(ONCE), now),
        None => (now.minus(BACKFILL), now.minus(LAG)),
    };
    let rate = config.demo.rate;
    let mut told = Told { begin: Instant::now(), requests: 0, spans: 0, refused: 0 };
    let is_chosen = args.once && args.rate.is_some();
    let backfill_rate = if is_chosen { rate } else { rate.min(BACKFILL_RATE) };
    let mut generator = Generator::new(config.demo.seed, begin, backfill_rate);
    say(&format!("sending to {}, seed {}", config.demo.endpoint, config.demo.seed));
    tokio::select! {
        result = play(&mut generator, &sender, (begin, until), args, rate, &mut told) => result?,
        _ = tokio::signal::ctrl_c() => say("interrupted"),
    }
    told.say_total();
    Ok(())
}

async fn play(
    generator: &mut Generator,
    sender: &Sender,
    (begin, until): (UnixNano, UnixNano),
    args: &DemoArgs,
    rate: u32,
    told: &mut Told,
) -> Result<(), Error> {
    backfill(generator, sender, begin, until, told).await?;
    if args.once {
        return Ok(());
    }
    generator.set_rate(rate);
    say(&format!("live with {rate} requests per second, Ctrl-C ends"));
    let end = args.duration.map(|duration| Instant::now() + duration);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut said = Instant::now();
    while end.is_none_or(|end| Instant::now() < end) {
        tick.tick().await;
        send(sender, generator.advance(SystemClock.now().minus(LAG)), told).await?;
        if said.elapsed() >= Duration::from_secs(10) {
            said = Instant::now();
            told.say_total();
        }
    }
    Ok(())
}

/// Sends the past slice by slice; the next one is made while one is on its way.
async fn backfill(
    generator: &mut Generator,
    sender: &Sender,
    begin: UnixNano,
    until: UnixNano,
    told: &mut Told,
) -> Result<(), Error> {
    let mut at = generator.slice_end(begin, until);
    let mut ready = generator.advance(at);
    let mut said = Instant::now();
    loop {
        let next = (at < until).then(|| generator.slice_end(at, until));
        let make = async { next.map(|end| generator.advance(end)) };
        let (sent, made) = tokio::join!(send(sender, ready, told), make);
        sent?;
        let (Some(end), Some(slice)) = (next, made) else { break };
        (at, ready) = (end, slice);
        if said.elapsed() >= Duration::from_secs(1) {
            said = Instant::now();
            told.say_total();
        }
    }
    let minutes = (until.0 - begin.0 + 30_000_000_000) / 60_000_000_000;
    say(&format!("{minutes} minutes of the past sent in {:.1} s", told.begin.elapsed().as_secs_f64()));
    Ok(())
}

async fn send(sender: &Sender, slice: Slice, told: &mut Told) -> Result<(), Error> {
    let (requests, spans) = (slice.requests, slice.spans);
    told.refused += sender.send(slice).await?;
    told.requests += requests;
    told.spans += spans;
    Ok(())
}

/// What was sent so far.
struct Told {
    begin: Instant,
    requests: u64,
    spans: u64,
    refused: u64,
}

impl Told {
    fn say_total(&self) {
        let refused = if self.refused > 0 { format!(", {} records refused", self.refused) } else { String::new() };
        say(&format!(
            "{} requests, {} spans sent in {:.0} s{refused}",
            self.requests,
            self.spans,
            self.begin.elapsed().as_secs_f64()
        ));
    }
}

#[expect(clippy::print_stderr, reason = "progress of a command is for the person who started it")]
fn say(line: &str) {
    eprintln!("demo: {line}");
}
