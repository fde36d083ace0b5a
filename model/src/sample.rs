//! One self-metric of a wing. Each wing returns samples of its own statistics; the binary renders them at `/metrics`.

/// How a sample behaves over time (Prometheus exposition types).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One named figure with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// `tracelake_<wing>_<what>_<unit>`, counters ending in `_total`.
    pub name: &'static str,
    /// A sentence for operators.
    pub help: &'static str,
    /// Counter or gauge.
    pub kind: SampleKind,
    /// Label names and values.
    pub labels: Vec<(&'static str, String)>,
    /// The figure.
    pub value: f64,
}

impl Sample {
    /// A counter without labels.
    #[expect(clippy::cast_precision_loss, reason = "a metric's figure is a double by format")]
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, kind: SampleKind::Counter, labels: Vec::new(), value: value as f64 }
    }

    /// A gauge without labels.
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Self {
        Self { name, help, kind: SampleKind::Gauge, labels: Vec::new(), value }
    }

    /// The same sample with one more label.
    #[must_use]
    pub fn label(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.labels.push((name, value.into()));
        self
    }
}
