//! The OTLP/gRPC client of the demo: gzip, a bearer token, patience while the server starts or is busy.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::codec::CompressionEncoding;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use crate::demo::generator::Slice;

/// How long one request is tried again before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(30);
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(3);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(20);

/// Why the demo could not send.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// Not an address.
    #[error("{0:?} is not an OTLP/gRPC address; use http://host:port such as http://127.0.0.1:4317")]
    Endpoint(String),
    /// https needs to know whom to trust.
    #[error("{0} speaks TLS; name the certificate of its authority with --ca-cert")]
    Authority(String),
    /// Not a token.
    #[error("the token holds characters that no header can carry")]
    Token,
    /// Nobody answered for the whole of our patience.
    #[error(
        "no server answers at {endpoint} since {seconds} seconds ({detail}); start one with `tracelake`, or name it with --endpoint"
    )]
    Unreachable {
        /// Where.
        endpoint: String,
        /// How long it was tried.
        seconds: u64,
        /// The last answer.
        detail: String,
    },
    /// The server answered no.
    #[error("the server at {endpoint} refused the records: {detail}")]
    Refused {
        /// Where.
        endpoint: String,
        /// The code and message.
        detail: String,
    },
}

/// A connection to a server; cheap to make, connects when it sends.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    endpoint: String,
    channel: Channel,
    token: Option<MetadataValue<Ascii>>,
}

impl Sender {
    /// Takes `http://host:port`, or `https://host:port` with the authority's certificate, and an optional token.
    pub(crate) fn new(endpoint: &str, authority: Option<&[u8]>, token: Option<&str>) -> Result<Self, SendError> {
        let fault = || SendError::Endpoint(endpoint.to_owned());
        let mut target = Endpoint::from_shared(endpoint.to_owned()).map_err(|_| fault())?;
        match (target.uri().scheme_str(), target.uri().host(), authority) {
            (Some("http"), Some(_), None) => {}
            (Some("https"), Some(_), Some(pem)) => {
                let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
                target = target.tls_config(tls).map_err(|_| fault())?;
            }
            (Some("https"), Some(_), None) => return Err(SendError::Authority(endpoint.to_owned())),
            _ => return Err(fault()),
        }
        let token = token.map(|token| format!("Bearer {token}").parse().map_err(|_| SendError::Token)).transpose()?;
        let channel = target.connect_timeout(Duration::from_secs(3)).timeout(ATTEMPT).connect_lazy();
        Ok(Self { endpoint: endpoint.to_owned(), channel, token })
    }

    /// Sends all of a slice; returns how many records the server refused.
    pub(crate) async fn send(&self, slice: Slice) -> Result<u64, SendError> {
        let Slice { traces, logs, metrics, .. } = slice;
        let (traces, logs, metrics) =
            tokio::try_join!(self.send_traces(traces), self.send_logs(logs), self.send_metrics(metrics))?;
        Ok(u64::try_from(traces + logs + metrics).unwrap_or_default())
    }

    async fn send_traces(&self, request: ExportTraceServiceRequest) -> Result<i64, SendError> {
        if request.resource_spans.is_empty() {
            return Ok(0);
        }
        let client = TraceServiceClient::new(self.channel.clone()).send_compressed(CompressionEncoding::Gzip);
        let answer = self.retry(request, |request| {
            let mut client = client.clone();
            async move { client.export(request).await }
        });
        Ok(answer.await?.partial_success.map_or(0, |partial| partial.rejected_spans))
    }

    async fn send_logs(&self, request: ExportLogsServiceRequest) -> Result<i64, SendError> {
        if request.resource_logs.is_empty() {
            return Ok(0);
        }
        let client = LogsServiceClient::new(self.channel.clone()).send_compressed(CompressionEncoding::Gzip);
        let answer = self.retry(request, |request| {
            let mut client = client.clone();
            async move { client.export(request).await }
        });
        Ok(answer.await?.partial_success.map_or(0, |partial| partial.rejected_log_records))
    }

    async fn send_metrics(&self, request: ExportMetricsServiceRequest) -> Result<i64, SendError> {
        if request.resource_metrics.is_empty() {
            return Ok(0);
        }
        let client = MetricsServiceClient::new(self.channel.clone()).send_compressed(CompressionEncoding::Gzip);
        let answer = self.retry(request, |request| {
            let mut client = client.clone();
            async move { client.export(request).await }
        });
        Ok(answer.await?.partial_success.map_or(0, |partial| partial.rejected_data_points))
    }

    /// Tries until the server takes the request, refuses it for good, or our patience ends.
    async fn retry<M: Clone, A, F>(&self, message: M, send: impl Fn(Request<M>) -> F) -> Result<A, SendError>
    where
        F: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        let begin = Instant::now();
        let mut delay = FIRST_DELAY;
        loop {
            let mut request = Request::new(message.clone());
            if let Some(token) = &self.token {
                request.metadata_mut().insert("authorization", token.clone());
            }
            let status = match send(request).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) => status,
            };
            if !is_retryable(status.code()) {
                let detail = format!("{:?}: {}", status.code(), status.message());
                return Err(SendError::Refused { endpoint: self.endpoint.clone(), detail });
            }
            if begin.elapsed() + delay > PATIENCE {
                let (endpoint, seconds) = (self.endpoint.clone(), PATIENCE.as_secs());
                return Err(SendError::Unreachable { endpoint, seconds, detail: status.message().to_owned() });
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(LONGEST_DELAY);
        }
    }
}

/// The codes that OTLP lets a client try again (and what a connection that breaks looks like).
fn is_retryable(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::ResourceExhausted
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Cancelled
            | Code::Unknown
    )
}
