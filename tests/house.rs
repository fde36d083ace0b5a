//! One running server with a data directory of its own, on free loopback ports.
//!
//! Deliberately talks to the server only through its doors, as a user would.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a server may take to start or to stop before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A started server. Dropping it kills the process.
pub(crate) struct House {
    child: Child,
    folder: Arc<TempDir>,
    extra: Vec<String>,
    environment: Vec<(String, String)>,
    client: reqwest::Client,
    /// The line that names the addresses.
    line: String,
    /// Address of the OTLP/gRPC door.
    pub(crate) grpc: String,
    /// Address of the OTLP/HTTP door.
    pub(crate) otlp: String,
    /// Address of the API and the pages.
    pub(crate) api: String,
}

impl House {
    /// A server with a fresh data directory.
    pub(crate) fn start() -> House {
        Self::start_with(&[])
    }

    /// A server with a fresh data directory and further flags.
    pub(crate) fn start_with(extra: &[&str]) -> House {
        let folder = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        Self::start_in(folder, extra.iter().map(|&flag| flag.to_owned()).collect(), Vec::new())
    }

    /// A server with a fresh data directory and an environment of its own.
    pub(crate) fn start_among(environment: &[(String, String)]) -> House {
        let folder = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        Self::start_in(folder, Vec::new(), environment.to_vec())
    }

    /// A server on the directory `data-dir` of a folder.
    pub(crate) fn start_in(folder: Arc<TempDir>, extra: Vec<String>, environment: Vec<(String, String)>) -> House {
        let mut command = command(folder.path(), &extra);
        command.envs(environment.iter().map(|(name, text)| (name, text)));
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut lines = BufReader::new(stdout).lines();
        let line = loop {
            match lines.next() {
                Some(Ok(line)) if line.starts_with("listening ") => break line,
                Some(Ok(_)) => {}
                other => panic!("the server ended before it listened: {other:?}, {:?}", child.wait()),
            }
        };
        // Keeps the pipe drained, so that a chatty server never blocks on it.
        std::thread::spawn(move || lines.for_each(drop));
        let [grpc, otlp, api] = ["otlp_grpc", "otlp_http", "http"].map(|door| address(&line, door));
        House { child, folder, extra, environment, client: client(), line, grpc, otlp, api }
    }

    /// Address of a door that a flag opened.
    pub(crate) fn door(&self, name: &str) -> String {
        address(&self.line, name)
    }

    /// The data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data-dir")
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the server to end as an operator would, and waits until it has.
    pub(crate) fn stop(&mut self) {
        let sent = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().expect("kill runs");
        assert!(sent.success(), "the server was gone before it was stopped");
        let since = Instant::now();
        while self.child.try_wait().expect("the server can be waited for").is_none() {
            assert!(since.elapsed() < PATIENCE, "the server did not stop");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the process at once, as a power cut of the process would.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops and starts again on the same data.
    pub(crate) fn restart(mut self) -> House {
        self.stop();
        Self::start_in(Arc::clone(&self.folder), self.extra.clone(), self.environment.clone())
    }

    /// Kills and starts again on the same data.
    pub(crate) fn kill_and_restart(mut self) -> House {
        self.kill();
        Self::start_in(Arc::clone(&self.folder), self.extra.clone(), self.environment.clone())
    }

    /// Sends one OTLP/HTTP protobuf request; the status, or the transport's error.
    pub(crate) async fn send(&self, signal: &str, body: Vec<u8>) -> Result<u16, reqwest::Error> {
        let request = self.client.post(format!("http://{}/v1/{signal}", self.otlp));
        let answer = request.header("content-type", "application/x-protobuf").body(body).send().await?;
        Ok(answer.status().as_u16())
    }

    /// One request to the API with an optional JSON body: status and body (null when it is not JSON).
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("http://{}{path}", self.api));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.expect("the API answers");
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.expect("a body");
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// A GET that must succeed.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, None).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// The rows of a SQL query that must succeed.
    pub(crate) async fn sql(&self, query: &str) -> Vec<Vec<Value>> {
        let (status, body) = self.ask("POST", "/api/v1/sql", Some(json!({ "query": query }))).await;
        assert_eq!(status, 200, "{query}: {body}");
        serde_json::from_value(body["rows"].clone()).expect("rows")
    }

    /// The single integer that a SQL query answers.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        let rows = self.sql(query).await;
        let value = rows.first().and_then(|row| row.first()).unwrap_or_else(|| panic!("{query}: no row"));
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.parse().unwrap_or_else(|_| panic!("{query}: {value} is not an integer"))
    }

    /// Moves the tail to Parquet now.
    pub(crate) async fn flush(&self) {
        let (status, body) = self.ask("POST", "/api/v1/admin/flush", None).await;
        assert_eq!(status, 200, "flush: {body}");
    }

    /// Waits until `check` answers something, with a bound.
    pub(crate) async fn wait_for<T, F: Future<Output = Option<T>>>(&self, what: &str, check: impl Fn() -> F) -> T {
        let since = Instant::now();
        loop {
            if let Some(found) = check().await {
                return found;
            }
            assert!(since.elapsed() < PATIENCE, "waited in vain for {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The address of a door in the line that the server began with.
fn address(line: &str, door: &str) -> String {
    let found = line.split(' ').find_map(|word| word.strip_prefix(door)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {door} in {line:?}")).to_owned()
}

/// A plain HTTP client.
pub(crate) fn client() -> reqwest::Client {
    // Fails only when it was installed before, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(60)).no_proxy().build().expect("a client")
}

/// The server's command with a data directory under `folder` and free ports.
pub(crate) fn command(folder: &Path, extra: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracelake"));
    command.arg("serve").arg("--data-dir").arg(folder.join("data-dir"));
    for door in ["--listen-otlp-grpc", "--listen-otlp-http", "--listen-http"] {
        command.args([door, "127.0.0.1:0"]);
    }
    command.args(extra).stderr(if std::env::var_os("TRACELAKE_TEST_LOG").is_some() {
        Stdio::inherit()
    } else {
        Stdio::null()
    });
    command
}

/// Runs a command to its end with a bound; what it printed and how it ended.
pub(crate) fn run(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
    let since = Instant::now();
    while child.try_wait().expect("the command can be waited for").is_none() {
        if since.elapsed() > 4 * PATIENCE {
            let _ = child.kill();
            panic!("{command:?} did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("its output")
}

/// The path of a tool that `make test` installs; the test fails with the remedy when it is not there.
pub(crate) fn tool(variable: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) if Path::new(&path).exists() => PathBuf::from(path),
        _ => panic!("{variable} does not name an installed tool; run the tests by `make test`, which installs it"),
    }
}
