//! How fast questions about traces are answered over many spans of the demo shop, by a server of its own.
//!
//! `make bench-query ARGS=10000000` sends that many spans (1,000,000 where none is given) through the release binary's
//! demo, a quarter of an hour at a time, lets the server merge its parts, and prints p50 and p99 of each question, asked
//! one after the other over HTTP, warm. The machine's load is printed: read figures as ratios when it is busy.

#[expect(dead_code, reason = "other benches use the rest")]
mod server;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracelake_model::{Clock, SystemClock};

use server::{Server, client, load_average};

/// Spans that one quarter of an hour of the demo holds, about.
const SPANS_EACH: u64 = 835_000;

const QUARTER: Duration = Duration::from_secs(900);

/// How often each question is asked.
const ROUNDS: usize = 60;

/// Traces that are looked up, and values that are searched for.
const SAMPLES: usize = 200;

/// Longest wait for merges, and how long nothing may happen before they count as done.
const MERGE_WAIT: Duration = Duration::from_secs(900);
const QUIET: Duration = Duration::from_secs(5);

struct Bench {
    server: Server,
    client: reqwest::Client,
}

impl Bench {
    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.client.get(format!("http://{}{path}", self.server.api)).send().await?;
        Ok(serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?)
    }

    /// The texts that a statement answers in its first column.
    async fn texts(&self, query: &str) -> anyhow::Result<Vec<String>> {
        let request = self.client.post(format!("http://{}/api/v1/sql", self.server.api));
        let request = request.header("content-type", "application/json").body(json!({ "query": query }).to_string());
        let answer: Value = serde_json::from_slice(&request.send().await?.error_for_status()?.bytes().await?)?;
        let rows = answer["rows"].as_array().cloned().unwrap_or_default();
        Ok(rows.iter().filter_map(|row| row[0].as_str().map(str::to_owned)).collect())
    }

    /// Asks each path in turn, `rounds` in all, after one round that nobody counts; milliseconds, in order of size.
    async fn ask(&self, paths: &[String], rounds: usize) -> anyhow::Result<Vec<f64>> {
        anyhow::ensure!(!paths.is_empty(), "nothing to ask for");
        let mut taken = Vec::new();
        for (number, path) in paths.iter().cycle().take(paths.len() + rounds).enumerate() {
            let begun = Instant::now();
            let answer =
                self.client.get(format!("http://{}{path}", self.server.api)).send().await?.error_for_status()?;
            let bytes = answer.bytes().await?;
            if number >= paths.len() {
                taken.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::ensure!(!bytes.is_empty(), "{path}: an empty answer");
        }
        taken.sort_by(f64::total_cmp);
        Ok(taken)
    }

    async fn report(&self, out: &mut impl Write, what: &str, paths: &[String], rounds: usize) -> anyhow::Result<()> {
        let taken = self.ask(paths, rounds).await?;
        let at = |percent: usize| taken.get((taken.len() - 1) * percent / 100).copied().unwrap_or(f64::NAN);
        writeln!(out, "{what:<58} p50 {:>8.1} ms   p99 {:>8.1} ms   n {}", at(50), at(99), taken.len())?;
        Ok(out.flush()?)
    }

    /// Sends `quarters` of an hour of the shop and waits until parts are merged.
    async fn fill(&self, quarters: u64) -> anyhow::Result<()> {
        let now = SystemClock.now();
        for seed in 1..=quarters {
            let start = now.minus(QUARTER * u32::try_from(quarters + 1 - seed)?).to_rfc3339();
            let mut shop = Command::new(env!("CARGO_BIN_EXE_tracelake"));
            shop.args(["demo", "--once", "--rate", "50", "--seed", &seed.to_string(), "--start", &start, "--endpoint"]);
            shop.arg(format!("http://{}", self.server.grpc));
            anyhow::ensure!(shop.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success(), "the demo failed");
        }
        self.server.flush(&self.client).await?;
        let (begun, mut last, mut since) = (Instant::now(), -1.0, Instant::now());
        while since.elapsed() < QUIET && begun.elapsed() < MERGE_WAIT {
            let merges = self.server.metric(&self.client, "tracelake_storage_compactions_total").await?;
            if merges.to_bits() != f64::to_bits(last) {
                (last, since) = (merges, Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }
}

fn each(values: &[String], path: impl Fn(&str) -> String) -> Vec<String> {
    values.iter().map(|value| path(value)).collect()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let asked = std::env::args().skip(1).find_map(|arg| arg.parse::<u64>().ok()).unwrap_or(1_000_000);
    let mut out = std::io::stdout().lock();
    writeln!(out, "load average before: {}", load_average())?;
    let bench = Bench { server: Server::start(&[])?, client: client()? };
    bench.fill(asked.div_ceil(SPANS_EACH)).await?;
    let spans = bench.server.count(&bench.client, "spans").await?;
    writeln!(out, "{spans} spans, load average {}", load_average())?;
    let sample =
        |select: &str| format!("SELECT DISTINCT {select} FROM spans WHERE {select} IS NOT NULL LIMIT {SAMPLES}");
    let ids = bench.texts(&sample("trace_id")).await?;
    let messages = bench.texts(&sample("attr(attributes, 'messaging.message.id')")).await?;
    let keys = bench.texts(&sample("attr(attributes, 'messaging.kafka.message.key')")).await?;
    let search = |query: &str| vec![format!("/api/v1/traces?limit=20&{query}")];
    let lookups = each(&ids, |id| format!("/api/v1/traces/{id}"));
    bench.report(&mut out, "trace by id", &lookups, SAMPLES).await?;
    bench
        .report(&mut out, "summary of a trace", &each(&ids, |id| format!("/api/v1/traces/{id}?view=summary")), ROUNDS)
        .await?;
    for service in ["payment", "recommendation", "ad"] {
        let what = format!("newest 20 of service and error ({service})");
        bench.report(&mut out, &what, &search(&format!("service={service}&status=error")), ROUNDS).await?;
    }
    let unique =
        |key: &str, values: &[String]| each(values, |value| format!("/api/v1/traces?limit=20&attr={key}%3D{value}"));
    bench
        .report(
            &mut out,
            "by unique attribute (messaging.message.id)",
            &unique("messaging.message.id", &messages),
            ROUNDS,
        )
        .await?;
    let kafka = unique("messaging.kafka.message.key", &keys);
    bench.report(&mut out, "by unique attribute without a column (kafka key)", &kafka, ROUNDS).await?;
    bench.report(&mut out, "by an attribute that nothing has", &search("attr=no.such.key%3Dx"), ROUNDS).await?;
    bench
        .report(&mut out, "by common attribute (db.system.name=redis)", &search("attr=db.system.name%3Dredis"), ROUNDS)
        .await?;
    bench
        .report(&mut out, "by common attribute of the resource", &search("attr=k8s.namespace.name%3Dshop"), ROUNDS)
        .await?;
    bench
        .report(
            &mut out,
            "by number (http.response.status_code>=500)",
            &search("attr=http.response.status_code%3E%3D500"),
            ROUNDS,
        )
        .await?;
    bench.report(&mut out, "newest 20 without a condition", &search(""), ROUNDS).await?;
    bench.report(&mut out, "newest 20 by free text (q=redis)", &search("q=redis"), ROUNDS / 4).await?;
    bench.report(&mut out, "Jaeger: services", &["/jaeger/api/services".to_owned()], ROUNDS / 4).await?;
    let map = vec!["/api/v1/service-map?start=now-24h".to_owned()];
    match bench.get(&map[0]).await {
        Ok(_) => bench.report(&mut out, "service map over 24 h", &map, ROUNDS / 4).await?,
        Err(fault) => writeln!(out, "service map over 24 h: {fault}")?,
    }
    writeln!(out, "load average after: {}", load_average())?;
    Ok(())
}
