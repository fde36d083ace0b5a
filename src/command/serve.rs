//! `tracelake serve`: the server in the foreground.

use std::io::Write;

use crate::command::line::ConfigArgs;
use crate::error::Error;
use crate::{server, telemetry};

/// Serves until a signal. The addresses taken go to `out` as one line.
pub(crate) async fn run(args: &ConfigArgs, out: &mut dyn Write) -> Result<(), Error> {
    let config = args.load()?;
    telemetry::start_log(&config.log);
    let ready = |line: &str| {
        // Whoever started us may have closed our output; that is no reason to end.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    };
    server::run(&config, ready).await
}
