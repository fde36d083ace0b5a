//! Which occurrences of exceptions are one issue.
//!
//! With a stack: the type and the top five frames of the application's own code (of all code where none is its own).
//! Without: the type and the message with everything that varies taken out. The service is not part of it: the same
//! library fault in two services has one fingerprint, and issues group by service besides. Deliberately no learning.

use xxhash_rust::xxh3::xxh3_64;

use crate::exception::stack::{Frame, frames};

const FRAMES_MAX: usize = 5;
const MESSAGE_CHARS_MAX: usize = 300;

/// The fingerprint of an exception, 16 hex digits. Missing parts are empty texts.
pub fn fingerprint(kind: &str, message: &str, stacktrace: &str) -> String {
    let frames = frames(stacktrace);
    let own: Vec<&Frame> = frames.iter().filter(|frame| frame.in_app).take(FRAMES_MAX).collect();
    let top: Vec<&Frame> = if own.is_empty() { frames.iter().take(FRAMES_MAX).collect() } else { own };
    let mut identity = kind.trim().to_owned();
    if top.is_empty() {
        identity.push('\0');
        identity.push_str(&template(message));
    }
    for frame in top {
        identity.push('\n');
        identity.push_str(&frame.name);
    }
    format!("{:016x}", xxh3_64(identity.as_bytes()))
}

/// The first line of a message with numbers, ids, addresses, times and quoted values as `<*>`.
pub(crate) fn template(message: &str) -> String {
    let line: String = message.lines().next().unwrap_or_default().chars().take(MESSAGE_CHARS_MAX).collect();
    let mut out = String::new();
    let mut rest = line.as_str();
    while let Some(first) = rest.chars().next() {
        let (taken, shown) = if is_quote(first) {
            quoted(rest, first)
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let word = &rest[..end];
            let core = word.trim_end_matches(['.', ':', '-', '/']);
            if varies(core) { (core.len(), "<*>") } else { (end, word) }
        } else {
            (first.len_utf8(), &rest[..first.len_utf8()])
        };
        if !(shown == "<*>" && out.ends_with("<*>")) {
            out.push_str(shown);
        }
        rest = &rest[taken..];
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | '“' | '‘')
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/' | '@' | '+' | '%' | '#')
}

/// A quoted value varies; an apostrophe without its partner is just a letter.
fn quoted(rest: &str, open: char) -> (usize, &str) {
    let close = match open {
        '“' => '”',
        '‘' => '’',
        other => other,
    };
    let from = open.len_utf8();
    match rest[from..].find(close) {
        Some(end) => (from + end + close.len_utf8(), "<*>"),
        None => (from, &rest[..from]),
    }
}

fn varies(word: &str) -> bool {
    word.contains(|c: char| c.is_numeric())
        || word.contains('@')
        || word.contains("://")
        || word.len() >= 8 && word.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_its_words_and_loses_its_values() {
        let check = |message: &str, expected: &str| assert_eq!(template(message), expected, "{message}");
        check("User 4711 not found", "User <*> not found");
        check("timeout after 30s (attempt 2/5)", "timeout after <*> (attempt <*>)");
        check("no row for id 550e8400-e29b-41d4-a716-446655440000.", "no row for id <*>.");
        check("connect to 10.0.0.7:5432: connection refused", "connect to <*>: connection refused");
        check("key \"user:alice\" and 'bob' missing", "key <*> and <*> missing");
        check("can't open /var/lib/x", "can't open /var/lib/x");
        check("commit deadbeefcafe lost", "commit <*> lost");
        check("mail to bob@example.org bounced", "mail to <*> bounced");
        check("주문 1234번을 찾을 수 없습니다", "주문 <*> 찾을 수 없습니다");
        check("first line\nsecond line 1", "first line");
        check("", "");
    }

    #[test]
    fn equal_faults_share_a_fingerprint_and_different_ones_do_not() {
        let same = |a: (&str, &str, &str), b: (&str, &str, &str)| {
            assert_eq!(fingerprint(a.0, a.1, a.2), fingerprint(b.0, b.1, b.2), "{a:?} {b:?}");
        };
        let different = |a: (&str, &str, &str), b: (&str, &str, &str)| {
            assert_ne!(fingerprint(a.0, a.1, a.2), fingerprint(b.0, b.1, b.2), "{a:?} {b:?}");
        };
        same(("KeyError", "'a17'", ""), ("KeyError", "'b99'", ""));
        different(("KeyError", "'a'", ""), ("ValueError", "'a'", ""));
        different(("Error", "disk full", ""), ("Error", "disk gone", ""));
        let java = |line: u32, lambda: &str, top: &str| {
            format!(
                "java.lang.IllegalStateException: order {line}\n\tat java.base/java.util.Optional.orElseThrow(Optional.java:403)\n\
                 \tat com.shop.{top}.pay(Pay.java:{line})\n\tat com.shop.Api$$Lambda${lambda}.run(Unknown Source)\n\
                 \tat org.springframework.web.Filter.doFilter(Filter.java:{line})\n"
            )
        };
        let (a, b, c) = (java(10, "14/0x0800", "Pay"), java(99, "7/0x0111", "Pay"), java(10, "14/0x0800", "Refund"));
        same(("java.lang.IllegalStateException", "order 10", &a), ("java.lang.IllegalStateException", "order 99", &b));
        different(("java.lang.IllegalStateException", "", &a), ("java.lang.IllegalStateException", "", &c));
    }

    #[test]
    fn a_fingerprint_never_changes_between_versions() {
        // Stored rows carry fingerprints: a change here splits every known issue.
        let stack = "Traceback (most recent call last):\n  File \"/app/shop/pay.py\", line 9, in pay\nKeyError: 'a'\n";
        assert_eq!(fingerprint("KeyError", "'a'", ""), "9c43b4d580df5eef");
        assert_eq!(fingerprint("KeyError", "'a'", stack), "a85fd26bbdd53c80");
    }
}
