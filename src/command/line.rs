//! The command line: flags, help with examples, and how flags become a configuration layer.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::load::{Layers, Problems, load};
use crate::config::schema::Config;

/// Version, commit and on-disk format.
pub(crate) const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("BUILD_COMMIT"), ", on-disk format 1)");

#[derive(Debug, Parser)]
#[command(
    name = "tracelake",
    version = VERSION,
    about = "An observability collector and tracing backend that keeps its word: acknowledged means on disk.",
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  tracelake                                    serve on 4317 (OTLP/gRPC), 4318 (OTLP/HTTP), 4319 (pages and API)
  tracelake --listen-zipkin 127.0.0.1          and take Zipkin's spans on 9411
  tracelake --data-dir /var/lib/tracelake      keep the data elsewhere
  tracelake demo                               a synthetic shop sends to the server, see http://127.0.0.1:4319
  tracelake sql 'SELECT count(*) FROM spans'   ask the running server
  tracelake config reference > tracelake.toml  every key with its default"
)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) serve: ConfigArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take telemetry and answer questions (what happens without a command)
    #[command(after_help = "Examples:
  tracelake serve --config /etc/tracelake.toml
  tracelake serve --listen-otlp-http off --listen-http 127.0.0.1:0
  TRACELAKE_LISTEN_HTTP=0.0.0.0:4319 TRACELAKE_AUTH_TOKENS_FILE=tokens.toml tracelake serve

SIGTERM and SIGINT drain and flush; a second one ends at once.")]
    Serve(ConfigArgs),
    /// Send the telemetry of a synthetic shop of 15 services to a server
    #[command(after_help = "Examples:
  tracelake demo                           the last ten minutes at once, then live until Ctrl-C
  tracelake demo --once                    the last fifteen minutes at once, then end
  tracelake demo --rate 200 --duration 5m
  tracelake demo --once --seed 7 --start 2026-01-31T08:00:00Z   the same records every time

From its seventh minute on the payment service fails for a quarter of an hour.")]
    Demo(DemoArgs),
    /// Ask a question in SQL, of a running server or of a data directory that no server uses
    #[command(after_help = "Examples:
  tracelake sql 'SELECT service_name, count(*) FROM spans GROUP BY 1 ORDER BY 2 DESC'
  tracelake sql --param ERROR 'SELECT time, body FROM logs WHERE severity_text = $1 LIMIT 5' --format json
  tracelake sql --data-dir ./tracelake-data 'SELECT count(*) FROM logs'

Tables: spans logs metrics audit exceptions issues alerts notices.")]
    Sql(SqlArgs),
    /// Check the configuration and everything on disk: of a directory that no server uses, or of a running server
    #[command(after_help = "Examples:
  tracelake check --config /etc/tracelake.toml
  tracelake check --data-dir /var/lib/tracelake
  tracelake check --server http://127.0.0.1:4319 --json
  tracelake check --data-dir /var/lib/tracelake --repair     what is damaged goes to data/_quarantine

Exit code 0: everything is as it was written. 1: something is damaged, or the directory is in use.")]
    Check(CheckArgs),
    /// Make a backup: a running server makes it itself, into a directory of its machine
    #[command(after_help = "Examples:
  tracelake backup --to /backups/tracelake --keep 14
  tracelake backup --to /mnt/other-disk/tracelake --server http://127.0.0.1:4319
  tracelake backup --to /backups/tracelake --data-dir /var/lib/tracelake     while no server uses it

A directory takes many backups; later ones share files with earlier ones.")]
    Backup(BackupArgs),
    /// Make a data directory from a backup
    #[command(after_help = "Examples:
  tracelake restore --from /backups/tracelake --list
  tracelake restore --from /backups/tracelake --data-dir /var/lib/tracelake-new
  tracelake restore --from /backups/tracelake --at 2026-01-31T08:00:00Z --data-dir /tmp/then")]
    Restore(RestoreArgs),
    /// Have a running server write its rows in memory to Parquet now
    #[command(after_help = "Example:
  tracelake flush --server http://127.0.0.1:4319")]
    Flush(RemoteArgs),
    /// Remove rows for which a SQL condition holds from a running server, for good
    #[command(after_help = "Examples:
  tracelake erase --table spans --where \"attr(attributes, 'user.id') = '42'\" --dry-run
  tracelake erase --table logs --where \"service_name = 'shop' AND body LIKE '%4711%'\" --start 2026-01-01T00:00:00Z
  tracelake erase --table metrics --where true --end now-90d

The condition looks at the columns that SQL shows. Rows go from memory, files and the write-ahead log; those
that arrive later stay. The audit table is never erased; rows under a hold are refused. What was computed
from erased rows (exceptions, alerts, notices) is in tables of its own.")]
    Erase(EraseArgs),
    /// Configuration: every key with its default and its meaning
    #[command(after_help = "Example:
  tracelake config reference > tracelake.toml")]
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Make a bearer token, and its entry for auth.tokens_file
    #[command(after_help = "Example:
  tracelake token --name collector --roles ingest >> tokens.toml     (the token itself goes to standard error)")]
    Token(TokenArgs),
    /// Print shell completions
    #[command(after_help = "Example:
  tracelake completions bash > /etc/bash_completion.d/tracelake")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print a commented configuration file of all keys and defaults
    Reference,
}

#[derive(Debug, Default, Args)]
pub(crate) struct ConfigArgs {
    /// Configuration file (TOML); environment: TRACELAKE_CONFIG
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Directory of the data, default ./tracelake-data; environment: TRACELAKE_DATA_DIR
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// OTLP/gRPC address or off, default 127.0.0.1:4317; environment: TRACELAKE_LISTEN_OTLP_GRPC
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen_otlp_grpc: Option<String>,
    /// OTLP/HTTP address or off, default 127.0.0.1:4318; environment: TRACELAKE_LISTEN_OTLP_HTTP
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen_otlp_http: Option<String>,
    /// Address of pages and API or off, default 127.0.0.1:4319; environment: TRACELAKE_LISTEN_HTTP
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen_http: Option<String>,
    /// Zipkin's own door (a host; the usual port is 9411), default off; 4318 takes Zipkin's spans too; environment: TRACELAKE_LISTEN_ZIPKIN
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen_zipkin: Option<String>,
    /// Jaeger's own door, Thrift over HTTP (a host; the usual port is 14268), default off; 4318 takes Jaeger's spans too; environment: TRACELAKE_LISTEN_JAEGER_HTTP
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen_jaeger_http: Option<String>,
    /// Allow addresses beyond loopback without authentication
    #[arg(long)]
    pub(crate) insecure: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Configuration file whose [demo] section counts; environment: TRACELAKE_CONFIG
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where to send, OTLP/gRPC; default http://127.0.0.1:4317
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Requests per second, default 50; the past is sent with at most 10 unless --once comes with a rate
    #[arg(long)]
    pub(crate) rate: Option<String>,
    /// Seed of everything that is chance, default 1
    #[arg(long)]
    pub(crate) seed: Option<String>,
    /// Live for so long, then end (30s, 5m, 1h); without it until Ctrl-C
    #[arg(long, value_parser = crate::config::value::parse_duration)]
    pub(crate) duration: Option<std::time::Duration>,
    /// Send the last fifteen minutes at once, then end
    #[arg(long, conflicts_with = "duration")]
    pub(crate) once: bool,
    /// Begin the story here (RFC 3339, now-15m or Unix nanoseconds) instead of some minutes ago
    #[arg(long, value_name = "TIME", requires = "once")]
    pub(crate) start: Option<String>,
    /// Bearer token with the role ingest
    #[arg(long, env = "TRACELAKE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// PEM file of the authority behind an https endpoint
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Ask the server at this address instead of reading a directory
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Bearer token with the role admin, with --server
    #[arg(long, env = "TRACELAKE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// PEM file of an authority to trust besides the system's, with --server
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Take checksums only, decode no rows
    #[arg(long)]
    pub(crate) quick: bool,
    /// Move what is damaged to quarantine, so that the rest is served; deletes nothing
    #[arg(long)]
    pub(crate) repair: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl CheckArgs {
    /// The server to ask; `None`: a directory is read.
    pub(crate) fn remote(&self) -> Option<RemoteArgs> {
        let server = self.server.clone()?;
        Some(RemoteArgs { server, token: self.token.clone(), ca_cert: self.ca_cert.clone() })
    }
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Directory of the backups, on the server's machine; an empty one becomes one
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Remove all backups but the newest so many, once this one is made
    #[arg(long, value_name = "N", value_parser = parse_keep)]
    pub(crate) keep: Option<usize>,
    /// Copy files even where a second name on the same disk would do
    #[arg(long)]
    pub(crate) copy: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    /// Back up this directory, which no server uses, instead of asking a server
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Configuration file, with --data-dir
    #[arg(long, value_name = "FILE", requires = "data_dir")]
    pub(crate) config: Option<PathBuf>,
}

fn parse_keep(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|keep| *keep > 0).ok_or_else(|| "a number of backups, 1 at least".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// Directory of the backups
    #[arg(long, value_name = "DIR")]
    pub(crate) from: PathBuf,
    /// The newest backup of this time or before (RFC 3339, now-1d or Unix nanoseconds), or latest
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// The new data directory, absent or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// List the backups instead
    #[arg(long)]
    pub(crate) list: bool,
    /// Leave out files that are damaged in the backup; the server says what is missing
    #[arg(long)]
    pub(crate) skip_damaged: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RemoteArgs {
    /// The server's address of pages and API
    #[arg(long, value_name = "URL", env = "TRACELAKE_SERVER", default_value = "http://127.0.0.1:4319")]
    pub(crate) server: String,
    /// Bearer token
    #[arg(long, env = "TRACELAKE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// PEM file of an authority to trust besides the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    /// spans, logs, metrics, exceptions, alerts or notices
    #[arg(long)]
    pub(crate) table: String,
    /// What is true of the rows that go, as after WHERE; true for all
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) condition: String,
    /// Only rows from this time on (RFC 3339, now-15m or Unix nanoseconds)
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<String>,
    /// Only rows before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) end: Option<String>,
    /// Only count
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SqlArgs {
    /// One read-only statement; - reads it from standard input
    pub(crate) query: String,
    /// Value of $1, $2 ... in order; JSON where it is JSON, else text
    #[arg(long = "param", value_name = "VALUE")]
    pub(crate) params: Vec<String>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    /// Read this directory, which no server uses, instead of asking a server
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Whose data, with --data-dir
    #[arg(long, requires = "data_dir", default_value = "default")]
    pub(crate) tenant: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One object with columns and rows
    Json,
    /// With a header line
    Csv,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// Who will use it
    #[arg(long)]
    pub(crate) name: String,
    /// Whose data it reaches
    #[arg(long, default_value = "default")]
    pub(crate) tenant: String,
    /// What it allows: ingest, read, admin
    #[arg(long, value_delimiter = ',', default_value = "ingest,read")]
    pub(crate) roles: Vec<String>,
}

impl ConfigArgs {
    /// Flags over environment over file over defaults.
    pub(crate) fn load(&self) -> Result<Config, Problems> {
        let mut flags = Vec::new();
        let given = [
            ("", "data_dir", &self.data_dir),
            ("listen", "otlp_grpc", &self.listen_otlp_grpc),
            ("listen", "otlp_http", &self.listen_otlp_http),
            ("listen", "http", &self.listen_http),
            ("listen", "zipkin", &self.listen_zipkin),
            ("listen", "jaeger_http", &self.listen_jaeger_http),
        ];
        flags.extend(given.into_iter().filter_map(|(section, key, text)| Some((section, key, text.clone()?))));
        if self.insecure {
            flags.push(("listen", "insecure", "true".to_owned()));
        }
        load(&layers(self.config.as_ref(), flags)?)
    }
}

impl DemoArgs {
    /// The same for the demo's section.
    pub(crate) fn load(&self) -> Result<Config, Problems> {
        let given = [("endpoint", &self.endpoint), ("rate", &self.rate), ("seed", &self.seed)];
        let flags = given.into_iter().filter_map(|(key, text)| Some(("demo", key, text.clone()?)));
        load(&layers(self.config.as_ref(), flags.collect())?)
    }
}

fn layers(file: Option<&PathBuf>, flags: Vec<(&'static str, &'static str, String)>) -> Result<Layers, Problems> {
    let mut environment = Vec::new();
    let mut problems = Vec::new();
    let ours = |name: &OsString| ["TRACELAKE_", "AWS_"].iter().any(|start| name.to_string_lossy().starts_with(start));
    for (name, text) in std::env::vars_os().filter(|(name, _)| ours(name)) {
        match (name.into_string(), text.into_string()) {
            (Ok(name), Ok(text)) => environment.push((name, text)),
            (name, _) => problems.push(format!("environment variable {name:?} is not UTF-8")),
        }
    }
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let named = environment.iter().find(|(name, _)| name == "TRACELAKE_CONFIG").map(|(_, file)| PathBuf::from(file));
    Ok(Layers { file: file.cloned().or(named), environment, flags })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_command_shows_an_example() {
        let mut line = CommandLine::command();
        line.build();
        line.clone().debug_assert();
        for command in line.get_subcommands().filter(|command| command.get_name() != "help") {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("tracelake "), "{}", command.get_name());
        }
    }
}
