//! A SQL answer as a table for people: as wide as its content, wide characters counted as two.

use serde_json::Value;

/// Widest cell shown; longer text is cut with an ellipsis.
const CELL_MAX: usize = 120;

/// Draws `{"columns":[{"name"}],"rows":[[..]]}`; `None` when it is not such an answer.
pub(crate) fn draw(answer: &Value) -> Option<String> {
    let columns = answer.get("columns")?.as_array()?;
    let names: Vec<String> = columns.iter().map(|column| cell(column.get("name").unwrap_or(&Value::Null))).collect();
    let rows: Vec<Vec<String>> = answer
        .get("rows")?
        .as_array()?
        .iter()
        .map(|row| row.as_array().map(|cells| cells.iter().map(cell).collect()))
        .collect::<Option<_>>()?;
    let mut widths: Vec<usize> = names.iter().map(|name| width(name)).collect();
    for row in &rows {
        for (most, text) in widths.iter_mut().zip(row) {
            *most = width(text).max(*most);
        }
    }
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut lines = vec![line(&names, &widths), line(&rule, &widths)];
    lines.extend(rows.iter().map(|row| line(row, &widths)));
    let cut = if answer.get("truncated") == Some(&Value::Bool(true)) { ", cut at the server's limit" } else { "" };
    lines.push(format!("({} {}{cut})", rows.len(), if rows.len() == 1 { "row" } else { "rows" }));
    Some(lines.join("\n") + "\n")
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded = cells.iter().zip(widths).map(|(text, most)| text.clone() + &" ".repeat(most - width(text)));
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t"),
        other => other.to_string(),
    };
    // Control characters of stored text must not reach the terminal.
    let text: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().count() <= CELL_MAX { text } else { text.chars().take(CELL_MAX - 1).chain(['…']).collect() }
}

/// Columns of a terminal: Hangul, kana and ideographs take two.
fn width(text: &str) -> usize {
    let wide = |c: char| matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ff60}' | '\u{1f300}'..='\u{1faff}');
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up_with_wide_characters_and_shows_no_control_characters() {
        let answer = serde_json::json!({
            "columns": [{"name": "a"}, {"name": "body"}],
            "rows": [["1", "결제 실패"], [null, "x\ny\u{1b}[31m"]],
        });
        let expected = "a  body\n-  ---------\n1  결제 실패\n   x\\ny\u{fffd}[31m\n(2 rows)\n";
        assert_eq!(draw(&answer).as_deref(), Some(expected));
        assert_eq!(draw(&serde_json::json!({"rows": []})), None);
    }
}
