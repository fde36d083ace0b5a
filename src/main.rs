//! Tracelake: one binary that takes telemetry, keeps it, and answers questions about it.
//!
//! Here: the command line, the runtime, and the exit code (0 done, 1 failed, 2 the command line or configuration
//! must change). The code map is in ARCHITECTURE.md.

mod admin;
mod auth;
mod busy;
mod command;
mod config;
mod counted;
mod demo;
mod error;
mod health;
mod house;
mod listener;
mod server;
mod telemetry;
mod tls;

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use clap::Parser;

use crate::command::line::{Command, CommandLine, ConfigArgs, ConfigCommand};
use crate::error::Error;

/// Threads for blocking work (files, large requests), made when needed.
const BLOCKING_THREADS_MAX: usize = 64;

/// Requests are many short-lived columns on many threads, rows are freed on others: glibc's allocator takes half as much
/// CPU again for that.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let line = CommandLine::parse();
    match run(line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "tracelake: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(line: CommandLine) -> Result<(), Error> {
    let out = &mut stdout();
    match line.command {
        None => serve(&line.serve),
        Some(Command::Serve(args)) => serve(&args),
        Some(Command::Demo(args)) => start_runtime()?.block_on(command::demo::run(&args)),
        Some(Command::Sql(args)) => start_runtime()?.block_on(command::sql::run(args, out)),
        Some(Command::Check(args)) => start_runtime()?.block_on(command::check::run(args, out)),
        Some(Command::Backup(args)) => start_runtime()?.block_on(command::backup::backup(args, out)),
        Some(Command::Restore(args)) => start_runtime()?.block_on(command::backup::restore(args, out)),
        Some(Command::Flush(args)) => start_runtime()?.block_on(command::remote::flush(&args, out)),
        Some(Command::Erase(args)) => start_runtime()?.block_on(command::erase::run(&args, out)),
        Some(Command::Config { command: ConfigCommand::Reference }) => command::settings::print_reference(out),
        Some(Command::Token(args)) => command::settings::make_token(&args, out, &mut stderr()),
        Some(Command::Completions { shell }) => {
            command::settings::print_completions(shell, out);
            Ok(())
        }
    }
}

fn serve(args: &ConfigArgs) -> Result<(), Error> {
    let runtime = start_runtime()?;
    let result = runtime.block_on(command::serve::run(args, &mut stdout()));
    // A request that outlived the drain must not hold the process.
    runtime.shutdown_background();
    result
}

fn start_runtime() -> Result<tokio::runtime::Runtime, Error> {
    // The one process-wide setting that rustls' clients need; a second call changes nothing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().max_blocking_threads(BLOCKING_THREADS_MAX).build();
    runtime.map_err(|source| Error::System { what: "cannot start threads", source })
}
