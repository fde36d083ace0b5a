//! Quoted text: strings with escapes, raw strings in backticks, quoted pieces of attribute names.
//!
//! Functions take the text from its opening quote on and give what it says with the bytes it took; errors give the
//! offset of what does not fit.

type Read = Result<(String, usize), (usize, String)>;

/// A string in double quotes, with the escapes of Go, or in backticks, without any.
pub(crate) fn quoted_text(text: &str) -> Read {
    if let Some(raw) = text.strip_prefix('`') {
        let end = raw.find('`').ok_or((0, "the string has no closing backtick".to_owned()))?;
        return Ok((raw[..end].to_owned(), end + 2));
    }
    let mut out = String::new();
    let mut rest = text[1..].char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            '"' => return Ok((out, at + 2)),
            '\n' => break,
            '\\' => {
                let escape = unescape(&text[at + 2..]).map_err(|message| (at + 1, message))?;
                out.push(escape.0);
                for _ in text[at + 2..at + 2 + escape.1].chars() {
                    rest.next();
                }
            }
            c => out.push(c),
        }
    }
    Err((0, "the string has no closing quote on its line".to_owned()))
}

/// A quoted piece of a name, with `\"` and `\\`.
pub(crate) fn quoted_name(text: &str) -> Read {
    let mut out = String::new();
    let mut rest = text[1..].char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            '"' => return Ok((out, at + 2)),
            '\\' => match rest.next() {
                Some((_, c @ ('"' | '\\'))) => out.push(c),
                _ => return Err((at + 1, "a quoted name knows the escapes \\\" and \\\\ only".to_owned())),
            },
            c => out.push(c),
        }
    }
    Err((0, "the quoted name has no closing quote".to_owned()))
}

/// The character that an escape means, of the text behind the backslash, and the bytes it takes.
fn unescape(text: &str) -> Result<(char, usize), String> {
    let kind = text.chars().next().ok_or("the string ends within an escape")?;
    let code = |from: usize, digits: usize, radix: u32| {
        let found = text.get(from..from + digits).filter(|found| found.chars().all(|c| c.is_digit(radix)))?;
        let code = char::from_u32(u32::from_str_radix(found, radix).ok()?)?;
        Some((code, from + digits))
    };
    let found = match kind {
        'a' => Some(('\u{7}', 1)),
        'b' => Some(('\u{8}', 1)),
        'f' => Some(('\u{c}', 1)),
        'n' => Some(('\n', 1)),
        'r' => Some(('\r', 1)),
        't' => Some(('\t', 1)),
        'v' => Some(('\u{b}', 1)),
        '\\' | '"' | '\'' => Some((kind, 1)),
        'x' => code(1, 2, 16),
        'u' => code(1, 4, 16),
        'U' => code(1, 8, 16),
        '0'..='7' => code(0, 3, 8),
        _ => None,
    };
    found.ok_or_else(|| {
        format!("`\\{kind}` is no escape of a string; write `\\\\{kind}` for a backslash, or use backticks")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_go_and_backticks_have_none() {
        let check = |text: &str, expected: &str| {
            let (read, length) = quoted_text(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
            assert_eq!((read.as_str(), &text[length..]), (expected, " rest"), "{text}");
        };
        check(r#""a\"b\\c" rest"#, "a\"b\\c");
        check(r#""\u00e9\x41\101\n\U0001F600é" rest"#, "éAA\n😀é");
        check(r"`\d+é` rest", "\\d+é");
        for bad in ["\"a", "\"a\nb\"", r#""\d""#, r#""\u00g0""#, r#""\ud800""#, "`a", "\"\\", "\"\\x4"] {
            assert!(quoted_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_know_two_escapes() {
        assert_eq!(quoted_name(r#""a \"b\\ é" = 1"#), Ok(("a \"b\\ é".to_owned(), 12)));
        assert!(quoted_name(r#""\n""#).is_err());
        assert!(quoted_name("\"a").is_err());
    }
}
