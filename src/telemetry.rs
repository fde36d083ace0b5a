//! Our own log, and our own figures in Prometheus' text form.
//!
//! Each wing returns samples of its own statistics; here they are rendered. Deliberately keeps no registry: a figure
//! lives where it is counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tracelake_model::{Sample, SampleKind};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::schema::{Log, LogFormat};

/// Clock ticks of a second in `/proc`: fixed at 100 for programs on Linux whatever the kernel's own.
const TICKS: f64 = 100.0;

/// Libraries whose own news are no state of ours: they speak from warnings on, unless the filter names them.
const QUIET: [&str; 2] = ["buoyant_kernel", "deltalake_core"];

/// Sends our log to standard error. The first call counts.
pub(crate) fn start_log(log: &Log) {
    let mut filter: Targets = log.level.parse().unwrap_or_else(|_| Targets::new().with_default(tracing::Level::INFO));
    for library in QUIET.into_iter().filter(|library| !log.level.contains(library)) {
        if filter.would_enable(library, &tracing::Level::INFO) {
            filter = filter.with_target(library, tracing::Level::WARN);
        }
    }
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let lines = match log.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}

/// Samples in Prometheus' text exposition format 0.0.4; samples of one name stand together.
pub(crate) fn render(samples: &[Sample]) -> String {
    let mut names: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        names.entry(sample.name).or_default().push(sample);
    }
    let mut out = String::new();
    for (name, samples) in names {
        let kind = if samples[0].kind == SampleKind::Counter { "counter" } else { "gauge" };
        let _ = writeln!(out, "# HELP {name} {}\n# TYPE {name} {kind}", samples[0].help.replace('\n', " "));
        for sample in samples {
            let _ = writeln!(out, "{name}{} {}", render_labels(sample), render_value(sample.value));
        }
    }
    out
}

fn render_labels(sample: &Sample) -> String {
    if sample.labels.is_empty() {
        return String::new();
    }
    let escape = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<_> = sample.labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    format!("{{{}}}", labels.join(","))
}

fn render_value(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

/// Figures of this process, as far as the system tells them (Linux).
pub(crate) fn process_samples(started_seconds: f64) -> Vec<Sample> {
    let mut out = vec![
        Sample::gauge("tracelake_build_info", "Always 1; the labels name version and commit.", 1.0)
            .label("version", env!("CARGO_PKG_VERSION"))
            .label("commit", env!("BUILD_COMMIT")),
        Sample::gauge("process_start_time_seconds", "Start of the process, Unix seconds.", started_seconds),
    ];
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(bytes) = resident_bytes(&status) {
        out.push(Sample::gauge("process_resident_memory_bytes", "Memory that is resident.", bytes));
    }
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(value) = cpu_seconds(&stat) {
        let (name, help) = ("process_cpu_seconds_total", "Processor time used, user and system.");
        out.push(Sample { name, help, kind: SampleKind::Counter, labels: Vec::new(), value });
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        #[expect(clippy::cast_precision_loss, reason = "a count of files is small")]
        let count = files.count() as f64;
        out.push(Sample::gauge("process_open_fds", "Files that are open.", count));
    }
    out
}

fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok().map(|kib| kib * 1024.0)
}

/// Fields 14 and 15 of proc(5) `stat`, counted behind the name, which may hold spaces.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_name_stand_together_with_one_type_and_escaped_labels() {
        let samples = [
            Sample::counter("a_total", "Counts.", 2).label("to", "x\"y\\"),
            Sample::gauge("b", "Stands.", f64::INFINITY),
            Sample::counter("a_total", "Counts.", 3),
        ];
        let expected = "# HELP a_total Counts.\n# TYPE a_total counter\na_total{to=\"x\\\"y\\\\\"} 2\na_total 3\n\
                        # HELP b Stands.\n# TYPE b gauge\nb +Inf\n";
        assert_eq!(render(&samples), expected);
    }

    #[test]
    fn the_system_s_figures_are_read_from_its_own_text() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2_097_152.0));
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 100 1 1";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds(""), None);
    }
}
