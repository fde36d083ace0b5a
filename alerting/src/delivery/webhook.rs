//! One delivery to a generic webhook: a POST of JSON, signed as Standard Webhooks 1.0 describes.
//!
//! Redirects are not followed and no proxy is used: both would lead past the guard. The receiver's body is never read
//! into an answer, so that a test delivery cannot be used to look inside a network.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::UnixNano;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, redirect};
use tokio::sync::OnceCell;
use tracelake_model as model;
use url::Url;

use crate::delivery::guard::{Guard, host_refused};
use crate::delivery::receiver::{Receiver, Secret};
use crate::error::Error;

const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// How one delivery went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub result: Delivery,
    /// `HTTP 204`, or why the receiver could not be reached.
    pub answer: String,
}

/// Whether to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// 2xx.
    Delivered,
    /// Worth another attempt, not before this long when the receiver said so.
    Retry(Option<Duration>),
    /// The receiver said that it is gone for good (410).
    Refused,
}

/// The client of all webhooks, made at the first delivery.
pub(crate) struct Webhook {
    client: OnceCell<Client>,
    timeout: Duration,
    private_receivers: bool,
}

impl Webhook {
    pub(crate) fn new(timeout: Duration, private_receivers: bool) -> Self {
        Self { client: OnceCell::new(), timeout, private_receivers }
    }

    /// Sends one body once.
    pub(crate) async fn send(&self, receiver: &Receiver, id: &str, body: &str, now: UnixNano) -> Outcome {
        let failed = |answer: String| Outcome { result: Delivery::Retry(None), answer };
        let url = match Url::parse(&receiver.url) {
            Ok(url) => url,
            Err(error) => return failed(format!("not a URL: {error}")),
        };
        // Names are checked by the resolver; an address in the URL never gets there.
        if let Some(reason) = host_refused(&url, self.private_receivers) {
            return failed(reason);
        }
        let client = match self.client().await {
            Ok(client) => client,
            Err(error) => return failed(error.to_string()),
        };
        let request = client.post(url).headers(headers(receiver, id, body, now)).body(body.to_owned());
        match request.send().await {
            Ok(response) => {
                let status = response.status();
                let answer = format!("HTTP {}", status.as_u16());
                let result = match status.as_u16() {
                    200..=299 => Delivery::Delivered,
                    410 => Delivery::Refused,
                    429 | 503 => Delivery::Retry(retry_after(response.headers())),
                    _ => Delivery::Retry(None),
                };
                Outcome { result, answer }
            }
            Err(error) => failed(reason(error, self.timeout)),
        }
    }

    async fn client(&self) -> Result<&Client, Error> {
        let build = || async {
            // reqwest takes the process's TLS provider; a test or a tool that embeds us may not have chosen one.
            if rustls::crypto::CryptoProvider::get_default().is_none() {
                let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            }
            Client::builder()
                .user_agent(concat!("Tracelake/", env!("CARGO_PKG_VERSION")))
                .dns_resolver(Arc::new(Guard { private_receivers: self.private_receivers }))
                .redirect(redirect::Policy::none())
                .no_proxy()
                .timeout(self.timeout)
                .pool_max_idle_per_host(2)
                .pool_idle_timeout(Duration::from_secs(30))
                .build()
                .map_err(Error::Client)
        };
        self.client.get_or_try_init(build).await
    }
}

fn headers(receiver: &Receiver, id: &str, body: &str, now: UnixNano) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &receiver.headers {
        if let (Ok(name), Ok(mut value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    let timestamp = (now.0 / 1_000_000_000).to_string();
    let signature = receiver.secret.as_ref().and_then(|secret| sign(secret, id, &timestamp, body));
    let ours =
        [("webhook-id", Some(id.to_owned())), ("webhook-timestamp", Some(timestamp)), ("webhook-signature", signature)];
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in ours {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`; `None` for a secret that cannot be one.
pub(crate) fn sign(secret: &Secret, id: &str, timestamp: &str, body: &str) -> Option<String> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret.key()?);
    let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(tag.as_ref())))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// The innermost reason, without the URL, which may carry a token.
fn reason(error: reqwest::Error, timeout: Duration) -> String {
    const CHARS_MAX: usize = 300;
    if error.is_timeout() {
        return format!("no answer within {} s", timeout.as_secs_f32());
    }
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    text.chars().take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_standard_webhooks_reference() {
        // Vector of the reference libraries (standard-webhooks, libraries/*/tests).
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = r#"{"test": 2432232314}"#;
        let signature = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body);
        assert_eq!(signature.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }
}
