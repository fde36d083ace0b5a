//! One condition on an attribute, as the `attr` parameter writes it: `key=value`, `key!=x`, `key>500`, `key~regex`.
//!
//! A key is looked up among the record's own attributes and those of its resource. A span's own texts have TraceQL's
//! names: `span:name`, `span:statusMessage`, `instrumentation:name`, `instrumentation:version`. `=`, `~` and the comparisons hold
//! when either place fulfils them; `!=` and `!~` need the key to be there and no place to be equal. Comparisons are
//! numeric, also for numbers that were sent as text; regular expressions match anywhere in the value.

use regex::{Regex, RegexBuilder};
use tracelake_model::Value;

/// Bytes that a compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// One condition.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    key: String,
    test: Test,
    negated: bool,
}

#[derive(Clone, Debug)]
enum Test {
    Equal { text: String, number: Option<f64> },
    Matches(Regex),
    Less { than: f64, or_equal: bool },
    Greater { than: f64, or_equal: bool },
}

impl Condition {
    /// Reads `key=value` and its like; the error says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const OPERATORS: [&str; 8] = ["!=", "!~", ">=", "<=", "=", "~", ">", "<"];
        let at = text.find(['=', '!', '~', '>', '<']);
        let split = at.and_then(|at| {
            let operator = OPERATORS.into_iter().find(|operator| text[at..].starts_with(operator))?;
            Some((text[..at].trim(), operator, text[at + operator.len()..].trim()))
        });
        match split {
            Some((key, operator, value)) if !key.is_empty() => Self::new(key, operator, value),
            _ => Err(format!(
                "{text:?} is no condition; use key=value, key!=x, key>500, key>=, <, <=, key~regex or key!~"
            )),
        }
    }

    /// The condition that a key has this value.
    pub(crate) fn equal(key: &str, value: &str) -> Self {
        let test = Test::Equal { text: value.to_owned(), number: value.parse().ok() };
        Self { key: key.to_owned(), test, negated: false }
    }

    /// The attribute's key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The text that one of the key's values must have, as a number where it is one; `None` unless the condition asks for
    /// equality.
    pub(crate) fn wanted(&self) -> Option<&str> {
        match &self.test {
            Test::Equal { text, .. } if !self.negated => Some(text),
            _ => None,
        }
    }

    /// Whether values of the key, from all places where it stands, fulfil the condition.
    pub(crate) fn holds(&self, values: impl IntoIterator<Item = Value>) -> bool {
        let mut values = values.into_iter().map(|value| self.test(&value)).peekable();
        if self.negated { values.peek().is_some() && values.all(|held| !held) } else { values.any(|held| held) }
    }

    /// Whether this is `error=true`, which the status of a span fulfils too, as Jaeger's users know it.
    pub(crate) fn asks_for_error(&self) -> bool {
        self.key == "error" && !self.negated && matches!(&self.test, Test::Equal { text, .. } if text == "true")
    }

    fn new(key: &str, operator: &str, value: &str) -> Result<Self, String> {
        let number = || -> Result<f64, String> {
            let parsed = value.parse::<f64>().ok().filter(|number| !number.is_nan());
            parsed.ok_or_else(|| format!("{key}{operator}{value}: {value:?} is not a number"))
        };
        let test = match operator {
            "=" | "!=" => Self::equal(key, value).test,
            "~" | "!~" => Test::Matches(regex(value)?),
            ">" | ">=" => Test::Greater { than: number()?, or_equal: operator == ">=" },
            _ => Test::Less { than: number()?, or_equal: operator == "<=" },
        };
        Ok(Self { key: key.to_owned(), test, negated: operator.starts_with('!') })
    }

    fn test(&self, value: &Value) -> bool {
        match &self.test {
            Test::Equal { text, number } => match (value, number) {
                (Value::String(found), _) => found == text,
                (Value::Int(_) | Value::Double(_), Some(wanted)) => {
                    value.to_text() == *text || numeric(value) == Some(*wanted)
                }
                _ => value.to_text() == *text,
            },
            Test::Matches(regex) => match value {
                Value::String(found) => regex.is_match(found),
                other => regex.is_match(&other.to_text()),
            },
            Test::Less { than, or_equal } => {
                numeric(value).is_some_and(|found| found < *than || *or_equal && found == *than)
            }
            Test::Greater { than, or_equal } => {
                numeric(value).is_some_and(|found| found > *than || *or_equal && found == *than)
            }
        }
    }
}

/// A regular expression that matches anywhere, of bounded size.
pub(crate) fn regex(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build();
    built.map_err(|error| format!("not a regular expression: {error}"))
}

/// A finder of text, whatever its case, anywhere.
pub(crate) fn substring(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(&regex::escape(text)).case_insensitive(true).size_limit(REGEX_BYTES_MAX).build();
    built.map_err(|_| "the search text is too long".to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "comparisons are made in doubles")]
fn numeric(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Double(value) => Some(*value),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(condition: &str, values: &[Value], expected: bool) {
        let parsed = Condition::parse(condition).expect("a condition");
        assert_eq!(parsed.holds(values.iter().cloned()), expected, "{condition} on {values:?}");
    }

    #[test]
    fn a_condition_holds_by_text_number_or_pattern() {
        let text = |text: &str| Value::String(text.to_owned());
        check("k=a", &[text("a")], true);
        check("k=a", &[text("b"), text("a")], true);
        check("k=a", &[], false);
        check("k=", &[text("")], true);
        check("k=200", &[Value::Int(200)], true);
        check("k=200", &[Value::Double(200.0)], true);
        check("k=200", &[text("200")], true);
        check("k=0200", &[text("200")], false);
        check("k=true", &[Value::Bool(true)], true);
        check("k=9007199254740993", &[Value::Int(9_007_199_254_740_993)], true);
        check("k!=a", &[text("b")], true);
        check("k!=a", &[text("b"), text("a")], false);
        check("k!=a", &[], false);
        check("k>500", &[Value::Int(501)], true);
        check("k>500", &[Value::Int(500)], false);
        check("k>=500", &[Value::Double(500.0)], true);
        check("k<9", &[text("10")], false);
        check("k > 9", &[text("10")], true);
        check("k<=1.5", &[Value::Int(2)], false);
        check("k<5", &[text("abc")], false);
        check("k~^/api/", &[text("/api/v1")], true);
        check("k~pi", &[text("/api/v1")], true);
        check("k~^5..$", &[Value::Int(503)], true);
        check("k!~^5", &[Value::Int(503)], false);
        check("url.query=a=b&c>d", &[], false);
        check("k=a=b", &[text("a=b")], true);
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for bad in ["", "key", "=x", "k!x", "k>abc", "k>nan", "k~(", "k~(((a{99}){99}){99})"] {
            assert!(Condition::parse(bad).is_err(), "{bad}");
        }
    }
}
