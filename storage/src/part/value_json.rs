//! The keys and values of a JSON text of attributes, for a value index: without parsing it where it is plain, which it
//! nearly always is.

use tracelake_model::Value;

use crate::part::value_key::flag_text;

/// A value as an index knows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Plain<'a> {
    /// A text, or what stands for a boolean or an empty value.
    Text(&'a str),
    /// An integer or a double.
    Number(f64),
    /// Bytes, an array or a map.
    Odd,
}

/// Tells all keys and values; some may be told twice. `None` where the text is no JSON object of attributes: whatever
/// somebody reads out of it stands under any key.
pub(crate) fn tell(json: &str, mut see: impl FnMut(&str, Plain<'_>)) -> Option<()> {
    if walk(json, &mut see).is_some() {
        return Some(());
    }
    let entries = Value::parse_attributes(json).ok()?;
    for (key, value) in &entries {
        match value {
            Value::Empty => see(key, Plain::Text("")),
            Value::String(text) => see(key, Plain::Text(text)),
            Value::Bool(value) => see(key, Plain::Text(flag_text(*value))),
            #[expect(clippy::cast_precision_loss, reason = "an index knows numbers as doubles")]
            Value::Int(number) => see(key, Plain::Number(*number as f64)),
            Value::Double(number) => see(key, Plain::Number(*number)),
            Value::Bytes(_) | Value::Array(_) | Value::Map(_) => see(key, Plain::Odd),
        }
        // As text `attr()` shows what JSON cannot say in its own form.
        if matches!(value, Value::Double(number) if !number.is_finite()) {
            see(key, Plain::Text(&value.to_text()));
        }
    }
    Some(())
}

/// Tells keys and values as our own texts have them; `None` at what is not plain: escapes, nested values, spaces.
fn walk<'a>(json: &'a str, mut see: impl FnMut(&'a str, Plain<'a>)) -> Option<()> {
    let mut rest = json.strip_prefix('{')?;
    if rest == "}" {
        return Some(());
    }
    loop {
        let (key, after) = string(rest)?;
        let after = after.strip_prefix(':')?;
        if key.starts_with('$') {
            return None;
        }
        let (value, after) = match after.as_bytes().first()? {
            b'"' => string(after).map(|(text, after)| (Plain::Text(text), after))?,
            b'{' | b'[' => return None,
            _ => {
                let end = after.bytes().position(|byte| byte == b',' || byte == b'}')?;
                let (token, after) = after.split_at(end);
                let value = match token {
                    "true" | "false" => Plain::Text(token),
                    "null" => Plain::Text(""),
                    number => Plain::Number(parse_number(number)?),
                };
                (value, after)
            }
        };
        see(key, value);
        match after {
            "}" => return Some(()),
            _ => rest = after.strip_prefix(',')?,
        }
    }
}

/// A JSON number; nothing else that Rust would read as one.
fn parse_number(token: &str) -> Option<f64> {
    let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
    token.bytes().all(plain).then(|| token.parse().ok())?
}

/// A JSON string without escapes, and what follows it.
fn string(json: &str) -> Option<(&str, &str)> {
    let json = json.strip_prefix('"')?;
    let end = mark(json.as_bytes())?;
    let after = json[end..].strip_prefix('"')?;
    Some((&json[..end], after))
}

/// The place of the first quote or backslash.
fn mark(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    // The lowest byte of these that is marked is zero in `x`; those above it may be marked for nothing.
    let zeros = |x: u64| x.wrapping_sub(ONES) & !x & (ONES << 7);
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return Some(8 * at + (found.trailing_zeros() / 8) as usize);
        }
    }
    let left = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    Some(bytes.len() - rest.len() + left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_json_is_walked_and_the_rest_is_left_to_the_parser() {
        let check = |json: &str, expected: Option<&[(&str, Plain<'_>)]>| {
            let mut found = Vec::new();
            let done = walk(json, |key, value| found.push((key, value)));
            assert_eq!(done.map(|()| &found[..]), expected, "{json}");
        };
        let (text, number) = (Plain::Text, Plain::Number);
        check("{}", Some(&[]));
        check(
            r#"{"a":"b","n":-5,"d":0.5,"e":1e300,"t":true,"z":null,"한":"글, }","a long key of words":"and a long text, {}"}"#,
            Some(&[
                ("a", text("b")),
                ("n", number(-5.0)),
                ("d", number(0.5)),
                ("e", number(1e300)),
                ("t", text("true")),
                ("z", text("")),
                ("한", text("글, }")),
                ("a long key of words", text("and a long text, {}")),
            ]),
        );
        let bad = [
            "",
            "[]",
            "{",
            r#"{"a""#,
            r#"{"a":"b"#,
            r#"{"a":"\n"}"#,
            r#"{"a\"":1}"#,
            r#"{"a":[1]}"#,
            r#"{"a":{}}"#,
            r#"{"$a":1}"#,
            r#"{"a": 1}"#,
            r#"{"a":1} "#,
            r#"{"a":x}"#,
            r#"{"a":inf}"#,
        ];
        for bad in bad {
            assert_eq!(walk(bad, |_, _| ()), None, "{bad}");
        }
    }

    #[test]
    fn the_first_quote_or_backslash_is_found_wherever_it_stands() {
        for length in 0..40_usize {
            for at in 0..=length {
                // Bytes that differ from a mark by their lowest bit stand behind and before it.
                let mut bytes = vec![b'#'; length];
                let want = (at < length).then_some(at);
                if let Some(at) = want {
                    bytes[at] = if at % 2 == 0 { b'"' } else { b'\\' };
                    bytes[at + 1..].fill(b']');
                }
                assert_eq!(mark(&bytes), want, "{length}");
            }
        }
    }

    #[test]
    fn what_is_not_plain_is_told_all_the_same_and_what_is_no_object_is_not() {
        let told = |json: &str| {
            let mut found = Vec::new();
            let done = tell(json, |key, value| found.push(format!("{key} {value:?}")));
            done.map(|()| found)
        };
        let json = r#"{"$$d":"\"","l":[1],"m":{"x":1},"b":{"$bytes":"AA=="},"n":{"$double":"NaN"},"i":9007199254740993,"t":false,"z":null}"#;
        let all = told(json).expect("attributes");
        for one in [
            "$d Text(\"\\\"\")",
            "l Odd",
            "m Odd",
            "b Odd",
            "n Number(NaN)",
            "i Number(9007199254740992.0)",
            "t Text(\"false\")",
            "z Text(\"\")",
        ] {
            assert!(all.iter().any(|found| found == one), "{one} in {all:?}");
        }
        for bad in ["", "x", "[1]", "{\"a\":1", "{\"a\":1}}"] {
            assert_eq!(told(bad), None, "{bad}");
        }
    }
}
