//! The parser's own suite: tables of queries with their canonical text, or with the place and the words of the error.

use crate::traceql::parse::parse;

/// `query ==> canonical text`, `query ===` where they are the same; `␤` is a line break. Lines of `#` are headings.
const VALID: &str = include_str!("cases/valid.txt");
/// `query ==> line:column words of the message`.
const INVALID: &str = include_str!("cases/invalid.txt");

fn cases(table: &'static str) -> impl Iterator<Item = (String, &'static str)> {
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let (query, expected) = line
            .split_once(" ==> ")
            .or_else(|| line.strip_suffix(" ===").map(|query| (query, query)))
            .unwrap_or_else(|| panic!("no case: {line}"));
        (query.replace('␤', "\n"), expected)
    })
}

#[test]
fn valid_queries_have_a_canonical_text_that_reads_back_as_the_same_tree() {
    let (mut count, mut faults) = (0, Vec::new());
    for (query, expected) in cases(VALID) {
        count += 1;
        match parse(&query) {
            Err(error) => faults.push(format!("{query}: {error}")),
            Ok(tree) => {
                let shown = tree.to_string();
                if shown != expected {
                    faults.push(format!("{query}\n  expected {expected}\n  got      {shown}"));
                }
                match parse(&shown) {
                    Ok(again) if again == tree || shown.contains("NaN") => {}
                    other => faults.push(format!("{shown} reads back as {other:?}")),
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count >= 180, "{count} cases");
}

#[test]
fn invalid_queries_say_where_and_what() {
    let (mut count, mut faults) = (0, Vec::new());
    for (query, expected) in cases(INVALID) {
        count += 1;
        let (place, words) = expected.split_once(' ').expect("a place and words");
        match parse(&query) {
            Ok(tree) => faults.push(format!("{query} was read as {tree}")),
            Err(error) if format!("{}:{}", error.line, error.column) != place || !error.message.contains(words) => {
                faults.push(format!(
                    "{query}\n  expected {expected}\n  got      {}:{} {}",
                    error.line, error.column, error.message
                ));
            }
            Err(_) => {}
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count >= 110, "{count} cases");
}

#[test]
fn size_depth_and_length_are_bounded() {
    let refused = |query: &str, words: &str| {
        let error = parse(query).expect_err("a limit").to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(&format!("{{ .a = \"{}\" }}", "x".repeat(40_000)), "limit");
    refused(&format!("{{ {}true{} }}", "(".repeat(100), ")".repeat(100)), "nested deeper");
    refused(&format!("{{ {}true }}", "!".repeat(100)), "nested deeper");
    refused(&format!("{}{{ }}{}", "(".repeat(100), ")".repeat(100)), "nested deeper");
    refused(&format!("{{ {}true }}", "true && ".repeat(600)), "more than 500 operators");
    refused(&format!("{{ 2 ={} 2 }}", " 2 ^".repeat(600)), "more than 500 operators");
    refused(&format!("{}{{ }}", "{ } >> ".repeat(600)), "more than 500 operators");
    refused(&format!("{{ .a =~ \"{}\" }}", "(a{1000}){1000}"), "not a regular expression");
    assert!(parse(&format!("{{ {}true{} }}", "(".repeat(60), ")".repeat(60))).is_ok());
    assert!(parse(&format!("{{ {}true }}", "true && ".repeat(499))).is_ok());
}

#[test]
fn no_text_makes_the_parser_panic() {
    use rand::rngs::StdRng;
    use rand::seq::IndexedRandom;
    use rand::{Rng, SeedableRng};
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let queries: Vec<String> = cases(VALID).chain(cases(INVALID)).map(|(query, _)| query).collect();
    let pieces = [
        "{", "}", "(", ")", "|", "&&", ">>", "!", "-", ".a", "span.", "\"", "`", "é", "1", "1h", "by", "\\", "=~",
        "rate()",
    ];
    for _ in 0..20_000 {
        let mut text: Vec<char> = queries.choose(&mut random).expect("queries").chars().collect();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..=text.len());
            if random.random_bool(0.5) && at < text.len() {
                text.remove(at);
            } else {
                let piece = pieces.choose(&mut random).expect("pieces");
                text.splice(at..at, piece.chars());
            }
        }
        let text: String = text.into_iter().collect();
        if let Ok(tree) = parse(&text) {
            let shown = tree.to_string();
            assert_eq!(parse(&shown).map(|again| again.to_string()), Ok(shown.clone()), "{text}");
        }
    }
}
