//! A server of its own for a bench: started on free ports in an empty folder, watched through the OS.
//!
//! Runs the binary that cargo built, or the one that `TRACELAKE_BIN` names, to compare two builds.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Kernel clock ticks per second (`sysconf(_SC_CLK_TCK)` is 100 on every Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Address of OTLP/gRPC.
    #[allow(dead_code, reason = "not every bench does")]
    pub(crate) grpc: String,
    /// Address of OTLP/HTTP.
    pub(crate) otlp: String,
    /// Address of the API.
    pub(crate) api: String,
    /// Where its data is.
    pub(crate) folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts one with these settings (`TRACELAKE_...` and its value) in an empty folder.
    pub(crate) fn start(settings: &[(&str, &str)]) -> anyhow::Result<Server> {
        Self::start_in(tempfile::tempdir()?, settings)
    }

    /// Starts one with this text as its configuration file.
    #[allow(dead_code, reason = "not every bench does")]
    pub(crate) fn start_with(configuration: &str) -> anyhow::Result<Server> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), configuration)?;
        let path = file.path().to_string_lossy().into_owned();
        // It is read before the server listens.
        Self::start(&[("TRACELAKE_CONFIG", path.as_str())])
    }

    fn start_in(folder: tempfile::TempDir, settings: &[(&str, &str)]) -> anyhow::Result<Server> {
        let binary =
            std::env::var_os("TRACELAKE_BIN").map_or(PathBuf::from(env!("CARGO_BIN_EXE_tracelake")), PathBuf::from);
        let mut command = Command::new(binary);
        command.args(["serve", "--listen-otlp-grpc", "127.0.0.1:0", "--listen-otlp-http", "127.0.0.1:0"]);
        command.args(["--listen-http", "127.0.0.1:0", "--data-dir"]).arg(folder.path());
        command.envs(settings.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| anyhow::anyhow!("stdout is not piped"))?;
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if let Some(doors) = line.strip_prefix("listening ") {
                let door = |name: &str| {
                    let found = doors.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
                    found.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("no {name} in {doors}"))
                };
                let (grpc, otlp, api) = (door("otlp_grpc")?, door("otlp_http")?, door("http")?);
                return Ok(Server { child, grpc, otlp, api, folder });
            }
        }
        anyhow::bail!("the server ended before it listened")
    }

    /// Kills it without warning and starts it again in the same folder with other settings.
    #[allow(dead_code, reason = "not every bench does")]
    pub(crate) fn kill_and_start(mut self, settings: &[(&str, &str)]) -> anyhow::Result<Server> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir()?);
        Self::start_in(folder, settings)
    }

    /// User and system CPU seconds so far (proc(5), fields 14 and 15 of stat).
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        let ticks = after_name.split(' ').skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
        Ok(ticks / TICKS_PER_SECOND)
    }

    /// Peak resident memory in MB since the start or the last [`Server::forget_peak`].
    pub(crate) fn peak_mb(&self) -> anyhow::Result<f64> {
        self.status_mb("VmHWM:")
    }

    /// Resident memory in MB now.
    #[allow(dead_code, reason = "not every bench does")]
    pub(crate) fn resident_mb(&self) -> anyhow::Result<f64> {
        self.status_mb("VmRSS:")
    }

    /// Begins a new peak (proc(5), `clear_refs`).
    #[allow(dead_code, reason = "not every bench does")]
    pub(crate) fn forget_peak(&self) -> anyhow::Result<()> {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")?)
    }

    fn status_mb(&self, field: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kilobytes / 1024.0)
    }

    /// Moves everything to Parquet.
    pub(crate) async fn flush(&self, client: &reqwest::Client) -> anyhow::Result<()> {
        client.post(format!("http://{}/api/v1/admin/flush", self.api)).send().await?.error_for_status()?;
        Ok(())
    }

    /// A figure of `/metrics`, all its labels together.
    #[allow(dead_code, reason = "not every bench does")]
    pub(crate) async fn metric(&self, client: &reqwest::Client, name: &str) -> anyhow::Result<f64> {
        let text = client.get(format!("http://{}/metrics", self.api)).send().await?.error_for_status()?.text().await?;
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        let figures =
            text.lines().filter(of_name).map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>());
        Ok(figures.sum::<Result<f64, _>>()?)
    }

    /// A figure of one stage: `seconds`, `bytes` or `rows`.
    #[allow(dead_code, reason = "not every bench does")]
    pub(crate) async fn stage(&self, client: &reqwest::Client, what: &str, stage: &str) -> anyhow::Result<f64> {
        self.metric(client, &format!("tracelake_stage_{what}_total{{stage=\"{stage}\"}}")).await
    }

    /// Rows of a table, by SQL.
    pub(crate) async fn count(&self, client: &reqwest::Client, table: &str) -> anyhow::Result<f64> {
        let body = serde_json::json!({ "query": format!("SELECT CAST(COUNT(*) AS DOUBLE) FROM {table}") }).to_string();
        let request = client.post(format!("http://{}/api/v1/sql", self.api)).header("content-type", "application/json");
        let answer = request.body(body).send().await?.error_for_status()?.bytes().await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        answer["rows"][0][0].as_f64().ok_or_else(|| anyhow::anyhow!("no count in {answer}"))
    }
}

/// A client that talks to this machine only.
pub(crate) fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

/// The machine's load, for the reader of a figure.
pub(crate) fn load_average() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

/// The requests of a recording: each a protobuf varint length and one export request, zstd outside.
pub(crate) fn frames(path: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let data = zstd::stream::decode_all(std::fs::File::open(path)?)?;
    let (mut rest, mut frames) = (data.as_slice(), Vec::new());
    while !rest.is_empty() {
        let size = prost::decode_length_delimiter(&mut rest)?;
        frames.push(rest[..size].to_vec());
        rest = &rest[size..];
    }
    Ok(frames)
}

/// The recordings: the full ones where present, else the committed slices.
pub(crate) fn recorded() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let full =
        std::env::var_os("TRACELAKE_TEST_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from).join("otlp");
    for folder in [full, root.join("tests/data")] {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(".binpb.zst")).collect();
        if !files.is_empty() {
            files.sort();
            return files;
        }
    }
    Vec::new()
}
