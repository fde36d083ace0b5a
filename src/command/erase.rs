//! `tracelake erase`: removes rows from a running server, for good, or counts them.

use std::io::Write;

use serde_json::{Value, json};

use crate::command::line::EraseArgs;
use crate::command::remote::post;
use crate::error::Error;

/// Asks and tells in a sentence what went.
pub(crate) async fn run(args: &EraseArgs, out: &mut dyn Write) -> Result<(), Error> {
    let body = json!({
        "table": args.table, "where": args.condition, "start": args.start, "end": args.end, "dry_run": args.dry_run,
    });
    let answer = post(&args.remote, "/api/v1/admin/erase", "application/json", Some(&body)).await?;
    let text = answer.text().await.map_err(|error| Error::Server(format!("the answer broke off: {error}")))?;
    let told = tell(&serde_json::from_str(&text).unwrap_or(Value::Null));
    writeln!(out, "{told}").map_err(|source| Error::System { what: "cannot write the output", source })
}

fn tell(answer: &Value) -> String {
    let figure = |name: &str| answer[name].as_u64().unwrap_or_default();
    let (rows, parts, table) = (figure("rows"), figure("parts_with_rows"), answer["table"].as_str().unwrap_or("?"));
    if answer["dry_run"] == true {
        return format!("{rows} rows of {table} in {parts} files would be erased");
    }
    let mut told =
        format!("erased {rows} rows of {table} in {parts} files; {} old files deleted", figure("files_deleted"));
    match figure("files_waiting") {
        0 => {}
        waiting => told.push_str(&format!(", {waiting} go when the queries that read them end")),
    }
    told.push_str(match answer["log_is_clear"] == true {
        true => "; the write-ahead log holds no copy",
        false => "; the write-ahead log still holds copies until alerting is past them",
    });
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_and_what_waits_is_told() {
        let mut answer = json!({
            "table": "spans", "dry_run": true, "rows": 7, "parts_with_rows": 2, "files_deleted": 3,
            "files_waiting": 0, "log_is_clear": true,
        });
        assert_eq!(tell(&answer), "7 rows of spans in 2 files would be erased");
        answer["dry_run"] = json!(false);
        let told = "erased 7 rows of spans in 2 files; 3 old files deleted; the write-ahead log holds no copy";
        assert_eq!(tell(&answer), told);
        (answer["files_waiting"], answer["log_is_clear"]) = (json!(1), json!(false));
        let told = tell(&answer);
        assert!(told.contains("1 go when the queries") && told.contains("until alerting is past them"), "{told}");
    }
}
