//! Rows in the form a client accepts: JSON, NDJSON, CSV or an Arrow stream, written as they come.
//!
//! A fault before the first 256 KiB are full is told by its status. Past that the status is sent: a later fault breaks
//! the body off, so that a cut answer never looks complete.

use std::pin::Pin;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tracelake_model::push_json_string;

use crate::error::Error;
use crate::http::cell::{push_json, push_text, type_name};
use crate::http::reply::{body, warn};
use crate::sql::answer::SqlAnswer;

/// Told in every form, because only JSON has room for it in the body.
const TRUNCATED: HeaderName = HeaderName::from_static("tracelake-truncated");

/// The forms of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Ndjson,
    Csv,
    Arrow,
}

impl Form {
    const ALL: [Form; 4] = [Self::Json, Self::Ndjson, Self::Csv, Self::Arrow];

    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// The first form that `Accept` names, by its quality (RFC 9110 section 12.5.1); JSON without a wish.
    pub(crate) fn accepted(headers: &HeaderMap) -> Result<Form, Error> {
        let wishes: Vec<&str> =
            headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let wish = wishes.join(",");
        if wish.trim().is_empty() {
            return Ok(Form::Json);
        }
        let mut ranges: Vec<(f32, &str)> = wish.split(',').map(quality).filter(|(quality, _)| *quality > 0.0).collect();
        ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
        let found = ranges.iter().find_map(|(_, range)| Self::ALL.into_iter().find(|form| form.matches(range)));
        found.ok_or_else(|| {
            let forms = Self::ALL.map(Self::content_type).join(", ");
            Error::NotAcceptable(format!("cannot answer as {wish}; Accept one of {forms}"))
        })
    }

    fn matches(self, range: &str) -> bool {
        let essence = self.content_type().split(';').next().unwrap_or_default();
        let (kind, _) = essence.split_once('/').unwrap_or_default();
        range == "*/*" || range.eq_ignore_ascii_case(essence) || range.strip_suffix("/*") == Some(kind)
    }
}

fn quality(range: &str) -> (f32, &str) {
    let mut parts = range.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let quality = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse().ok());
    (quality.unwrap_or(1.0), essence)
}

/// Writes an answer in a form.
///
/// `on_break` hears of a fault that comes once the answer has begun to flow.
pub(crate) async fn write(
    answer: SqlAnswer,
    form: Form,
    on_break: impl Fn() + Send + 'static,
) -> Result<Response, Error> {
    let warnings = answer.warnings.clone();
    let mut response = write_rows(answer, form, on_break).await?;
    warn(&mut response, &warnings);
    Ok(response)
}

async fn write_rows(answer: SqlAnswer, form: Form, on_break: impl Fn() + Send + 'static) -> Result<Response, Error> {
    const BUFFERED_BYTES: usize = 256 << 10;
    let mut writer = Writer::new(answer, form)?;
    let mut head = Vec::new();
    while head.len() < BUFFERED_BYTES {
        match writer.next().await? {
            Some(chunk) => head.extend_from_slice(&chunk),
            None => {
                let truncated = writer.answer.is_truncated();
                let mut response = body(StatusCode::OK, form.content_type(), head);
                if truncated {
                    response.headers_mut().insert(TRUNCATED, HeaderValue::from_static("true"));
                }
                return Ok(response);
            }
        }
    }
    let rest = stream::try_unfold((writer, on_break), |(mut writer, on_break)| async move {
        let chunk = writer.next().await.inspect_err(|_| on_break())?;
        Ok::<_, Error>(chunk.map(|chunk| (chunk, (writer, on_break))))
    });
    let head = stream::iter([Ok(Bytes::from(head))]);
    let all: Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>> = Box::pin(head.chain(rest));
    Ok(body(StatusCode::OK, form.content_type(), Body::from_stream(all)))
}

/// An answer on its way out.
struct Writer {
    answer: SqlAnswer,
    schema: SchemaRef,
    form: Form,
    arrow: Option<StreamWriter<Vec<u8>>>,
    state: State,
    row_count: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    Rows,
    Done,
}

impl Writer {
    fn new(answer: SqlAnswer, form: Form) -> Result<Self, Error> {
        let schema = SchemaRef::clone(&answer.schema);
        let arrow = match form {
            Form::Arrow => Some(StreamWriter::try_new(Vec::new(), &schema).map_err(defect)?),
            _ => None,
        };
        Ok(Self { answer, schema, form, arrow, state: State::Begin, row_count: 0 })
    }

    /// The next bytes; `None` after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.state == State::Begin {
            self.state = State::Rows;
            return Ok(Some(self.begin().into()));
        }
        if self.state == State::Done {
            return Ok(None);
        }
        match self.answer.stream.next().await {
            Some(batch) => Ok(Some(self.rows(&batch?).map_err(defect)?.into())),
            None => {
                self.state = State::Done;
                Ok(Some(self.end().map_err(defect)?.into()))
            }
        }
    }

    fn begin(&self) -> Vec<u8> {
        let mut out = String::new();
        match self.form {
            Form::Json => {
                out.push_str("{\"columns\":[");
                for (i, field) in self.schema.fields().iter().enumerate() {
                    out.push_str(if i > 0 { ",{\"name\":" } else { "{\"name\":" });
                    push_json_string(&mut out, field.name());
                    out.push_str(",\"type\":");
                    push_json_string(&mut out, &type_name(field.data_type()));
                    out.push('}');
                }
                out.push_str("],\"rows\":[");
            }
            Form::Csv => {
                for (i, field) in self.schema.fields().iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    push_csv(&mut out, field.name());
                }
                out.push_str("\r\n");
            }
            Form::Ndjson | Form::Arrow => {}
        }
        out.into_bytes()
    }

    fn rows(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        if let Some(arrow) = &mut self.arrow {
            arrow.write(batch)?;
            return Ok(std::mem::take(arrow.get_mut()));
        }
        let mut out = String::new();
        for row in 0..batch.num_rows() {
            match self.form {
                Form::Json => self.json_row(&mut out, batch, row)?,
                Form::Ndjson => self.object_row(&mut out, batch, row)?,
                Form::Csv | Form::Arrow => csv_row(&mut out, batch, row)?,
            }
            self.row_count += 1;
        }
        Ok(out.into_bytes())
    }

    fn json_row(&self, out: &mut String, batch: &RecordBatch, row: usize) -> Result<(), ArrowError> {
        out.push_str(if self.row_count > 0 { ",[" } else { "[" });
        for (i, column) in batch.columns().iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            push_json(out, column, row)?;
        }
        out.push(']');
        Ok(())
    }

    fn object_row(&self, out: &mut String, batch: &RecordBatch, row: usize) -> Result<(), ArrowError> {
        out.push('{');
        for (i, (field, column)) in self.schema.fields().iter().zip(batch.columns()).enumerate() {
            if i > 0 {
                out.push(',');
            }
            push_json_string(out, field.name());
            out.push(':');
            push_json(out, column, row)?;
        }
        out.push_str("}\n");
        Ok(())
    }

    fn end(&mut self) -> Result<Vec<u8>, ArrowError> {
        if let Some(arrow) = &mut self.arrow {
            arrow.finish()?;
            return Ok(std::mem::take(arrow.get_mut()));
        }
        Ok(match (self.form, self.answer.is_truncated()) {
            (Form::Json, truncated) => {
                let mut end = if truncated { "],\"truncated\":true" } else { "]" }.to_owned();
                for (number, warning) in self.answer.warnings.iter().enumerate() {
                    end.push_str(if number == 0 { ",\"warnings\":[" } else { "," });
                    push_json_string(&mut end, warning);
                }
                end.push_str(if self.answer.warnings.is_empty() { "}" } else { "]}" });
                end.into_bytes()
            }
            _ => Vec::new(),
        })
    }
}

fn csv_row(out: &mut String, batch: &RecordBatch, row: usize) -> Result<(), ArrowError> {
    let mut cell = String::new();
    for (i, column) in batch.columns().iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        cell.clear();
        push_text(&mut cell, column, row)?;
        if cell.is_empty() && column.is_valid(row) {
            // An empty text is told from NULL by its quotes.
            out.push_str("\"\"");
        } else {
            push_csv(out, &cell);
        }
    }
    out.push_str("\r\n");
    Ok(())
}

/// A field of CSV (RFC 4180), quoted where it must be.
fn push_csv(out: &mut String, text: &str) {
    if !text.contains([',', '"', '\r', '\n']) {
        out.push_str(text);
        return;
    }
    out.push('"');
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

fn defect(error: ArrowError) -> Error {
    Error::Engine(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_accept_names_first() {
        let check = |accept: &str, expected: Option<Form>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("a header"));
            assert_eq!(Form::accepted(&headers).ok(), expected, "{accept}");
        };
        check("*/*", Some(Form::Json));
        check("application/json", Some(Form::Json));
        check("text/csv", Some(Form::Csv));
        check("text/*", Some(Form::Csv));
        check("text/html, application/x-ndjson;q=0.8, text/csv;q=0.9", Some(Form::Csv));
        check("application/vnd.apache.arrow.stream, */*;q=0.1", Some(Form::Arrow));
        check("text/html", None);
        check("text/csv;q=0", None);
        assert_eq!(Form::accepted(&HeaderMap::new()).ok(), Some(Form::Json));
    }
}
