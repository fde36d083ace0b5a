//! Frames of a stack trace, found by line patterns: Java and Kotlin, Python, JavaScript, Go, Rust, .NET, Ruby.
//!
//! A frame is a function with its place, without line numbers, addresses and generated parts, so that it stays the
//! same from build to build. Text that fits no pattern has no frames. Deliberately no source maps and no demangling.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A stack trace beyond this many lines is cut: no runtime prints a meaningful frame that late.
const LINES_MAX: usize = 2_000;

/// One line of a stack trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Function and place, stable between builds.
    pub name: String,
    /// Whether the code is the application's own, not a library's or the runtime's.
    pub in_app: bool,
}

/// What a line of one language looks like.
struct Line {
    regex: Regex,
    /// Whether a line may look like this at all. Most lines are of another language, and this is far cheaper to tell.
    may_match: fn(&str) -> bool,
}

impl Line {
    fn captures<'t>(&self, line: &'t str) -> Option<Captures<'t>> {
        if (self.may_match)(line) { self.regex.captures(line) } else { None }
    }

    fn is_match(&self, line: &str) -> bool {
        (self.may_match)(line) && self.regex.is_match(line)
    }
}

struct Patterns {
    java: Line,
    python: Line,
    script: Line,
    script_bare: Line,
    script_gecko: Line,
    go_file: Line,
    rust: Line,
    dotnet: Line,
    ruby: Line,
    generated: Regex,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let regex = |pattern: &str| Regex::new(pattern).expect("a pattern written here is valid");
    let line = |may_match, pattern: &str| Line { regex: regex(pattern), may_match };
    let at: fn(&str) -> bool = |line| line.trim_start().starts_with("at ");
    Patterns {
        java: line(
            at,
            r"^\s*at (?:[\w.@-]*/{1,2})*([\w.$<>]+)\((?:[\w$.-]+\.(?:java|kt|kts|scala|groovy|clj)(?::\d+)?|Native Method|Unknown Source|<generated>|[^():]*:\d+)\)",
        ),
        python: line(|line| line.trim_start().starts_with("File "), r#"^\s*File "([^"]+)", line \d+(?:, in (.+))?$"#),
        script: line(at, r"^\s*at (?:async )?(?:new )?(.+?) \((?:file://)?([^()]+?):\d+:\d+\)$"),
        script_bare: line(at, r"^\s*at (?:async )?(?:file://)?([^\s()]+?):\d+:\d+$"),
        script_gecko: line(|line| line.contains('@'), r"^([^@\s]*)@((?:https?|file)://.+?):\d+:\d+$"),
        go_file: line(
            |line| line.starts_with(char::is_whitespace) && line.contains(':'),
            r"^\s+(\S.*?\.(?:go|s)):\d+(?: \+0x[0-9a-f]+)?$",
        ),
        rust: line(|line| line.trim_start().starts_with(char::is_numeric), r"^\s*\d+:\s+(?:0x[0-9a-f]+ - )?(\S.*)$"),
        dotnet: line(at, r"^\s*at ([\w.`<>$+|\[\],]+)\(([^)]*)\)(?: in (.+):line \d+)?$"),
        ruby: line(
            |line| line.contains(".rb:"),
            r"^\s*(?:from |\d+: from )?(/?[^\s:]+\.rb):\d+:in [`']([^']+)'(?:: .*)?$",
        ),
        generated: regex(r"0x[0-9a-fA-F]+|\d+"),
    }
});

/// Reads one language's frames; none when the text is of another.
type Reader = fn(&[&str]) -> Vec<Frame>;

/// The frames of a stack trace, the place of failure first. Of chained exceptions, those of the root cause.
pub(crate) fn frames(text: &str) -> Vec<Frame> {
    let lines: Vec<&str> = text.lines().take(LINES_MAX).map(str::trim_end).collect();
    let readers: [Reader; 7] = [python, go, rust, java, dotnet, script, ruby];
    readers.into_iter().map(|read| read(&lines)).find(|frames| !frames.is_empty()).unwrap_or_default()
}

fn frame(name: &str, in_app: bool) -> Frame {
    let stable = name.contains(char::is_numeric).then(|| PATTERNS.generated.replace_all(name, "0").into_owned());
    Frame { name: stable.unwrap_or_else(|| name.to_owned()), in_app }
}

fn starts_with_any(text: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| text.starts_with(prefix))
}

fn contains_any(text: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| text.contains(part))
}

/// A file by its last two names: roots differ between machines and images.
fn short_file(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or(path).replace('\\', "/");
    let names: Vec<&str> = path.rsplit('/').filter(|name| !name.is_empty()).take(2).collect();
    names.into_iter().rev().collect::<Vec<_>>().join("/")
}

const JAVA_LIBRARIES: [&str; 34] = [
    "java.",
    "javax.",
    "jakarta.",
    "jdk.",
    "sun.",
    "com.sun.",
    "kotlin.",
    "kotlinx.",
    "scala.",
    "groovy.",
    "akka.",
    "org.springframework.",
    "org.apache.",
    "org.hibernate.",
    "org.eclipse.",
    "org.jboss.",
    "org.postgresql.",
    "org.junit.",
    "org.slf4j.",
    "ch.qos.",
    "com.fasterxml.",
    "com.google.",
    "com.mysql.",
    "com.zaxxer.",
    "io.grpc.",
    "io.netty.",
    "io.micrometer.",
    "io.opentelemetry.",
    "io.undertow.",
    "io.vertx.",
    "okhttp3.",
    "reactor.",
    "redis.clients.",
    "feign.",
];

fn java(lines: &[&str]) -> Vec<Frame> {
    // The root cause is printed last; its frames are the ones that name the fault.
    let is_cause = |line: &&str| line.trim_start().starts_with("Caused by:");
    let causes = lines.split(is_cause).map(java_frames).filter(|frames| !frames.is_empty());
    let causes: Vec<Vec<Frame>> = causes.collect();
    let own = causes.iter().rev().find(|frames| frames.iter().any(|frame| frame.in_app));
    own.or(causes.last()).cloned().unwrap_or_default()
}

fn java_frames(lines: &[&str]) -> Vec<Frame> {
    let names = lines.iter().filter_map(|line| PATTERNS.java.captures(line)).map(|found| found[1].to_owned());
    names
        .map(|name| (java_stable(&name), !starts_with_any(&name, &JAVA_LIBRARIES)))
        .map(|(n, own)| frame(&n, own))
        .collect()
}

/// Without what proxies and lambdas get at run time: `Shop$$SpringCGLIB$$0`, `$$Lambda$14/0x0800`, `lambda$pay$3`.
fn java_stable(name: &str) -> String {
    let Some((class, method)) = name.rsplit_once('.') else { return name.to_owned() };
    let class = class.split("$$").next().unwrap_or(class);
    format!("{class}.{}", method.split("$$").next().unwrap_or(method))
}

fn python(lines: &[&str]) -> Vec<Frame> {
    // "During handling of ..." and "direct cause" separate tracebacks: the first printed is the root cause.
    let is_chain = |line: &&str| line.contains("another exception occurred:") || line.contains("direct cause of");
    let mut tracebacks = lines.split(is_chain).map(python_frames).filter(|frames| !frames.is_empty());
    tracebacks.next().unwrap_or_default()
}

fn python_frames(lines: &[&str]) -> Vec<Frame> {
    let libraries = ["site-packages/", "dist-packages/", "/lib/python", "<frozen", "<string>", "\\Lib\\"];
    let found = lines.iter().filter_map(|line| PATTERNS.python.captures(line));
    let mut frames: Vec<Frame> = found
        .map(|found| {
            let function = found.get(2).map_or("<module>", |function| function.as_str());
            frame(&format!("{}:{function}", short_file(&found[1])), !contains_any(&found[1], &libraries))
        })
        .collect();
    frames.reverse();
    frames
}

fn script(lines: &[&str]) -> Vec<Frame> {
    lines.iter().filter_map(|line| script_frame(line)).collect()
}

fn script_frame(line: &str) -> Option<Frame> {
    let (function, file) = if let Some(found) = PATTERNS.script.captures(line) {
        (found[1].to_owned(), found[2].to_owned())
    } else if let Some(found) = PATTERNS.script_bare.captures(line) {
        ("<anonymous>".to_owned(), found[1].to_owned())
    } else {
        let found = PATTERNS.script_gecko.captures(line)?;
        (found[1].to_owned(), found[2].to_owned())
    };
    let library = contains_any(&file, &["node_modules/", "node_modules\\"])
        || starts_with_any(&file, &["node:", "internal/", "native "])
        || !file.contains(['/', '\\']);
    Some(frame(&format!("{}:{}", short_file(&file), function.trim_start_matches("Object.")), !library))
}

fn go(lines: &[&str]) -> Vec<Frame> {
    // The first goroutine is the one that failed; others are printed after an empty line.
    let start = lines.iter().position(|line| line.starts_with("goroutine ")).map_or(0, |at| at + 1);
    let lines = &lines[start..];
    let end = lines.iter().position(|line| line.starts_with("goroutine ")).unwrap_or(lines.len());
    let mut frames = Vec::new();
    for pair in lines[..end].windows(2) {
        let (function, Some(found)) = (pair[0], PATTERNS.go_file.captures(pair[1])) else { continue };
        if function.starts_with(char::is_whitespace) || function.is_empty() {
            continue;
        }
        let file = &found[1];
        let name = function.trim_start_matches("created by ").split(" in goroutine").next().unwrap_or(function);
        // The arguments stand in the last parentheses; a receiver like (*Server) stays.
        let name = name.strip_suffix(')').and_then(|name| name.rfind('(').map(|at| &name[..at])).unwrap_or(name);
        let library = contains_any(file, &["/go/src/", "/pkg/mod/", "/vendor/", "/libexec/src/"])
            || starts_with_any(name, &["runtime.", "runtime/", "panic"]);
        frames.push(frame(name, !library));
    }
    frames
}

const RUST_LIBRARIES: [&str; 14] = [
    "std::",
    "core::",
    "alloc::",
    "rust_begin_unwind",
    "rust_panic",
    "__rust",
    "tokio::",
    "hyper::",
    "futures",
    "tower",
    "axum::",
    "tonic::",
    "tracing",
    "_start",
];

fn rust(lines: &[&str]) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for line in lines {
        if let Some(found) = PATTERNS.rust.captures(line) {
            let name = found[1].trim_start_matches('<').trim_start_matches("dyn ");
            // Legacy mangling ends a path with its hash.
            let cut = name.rfind("::h").filter(|&at| name.len() - at == 19).unwrap_or(name.len());
            let library = starts_with_any(name, &RUST_LIBRARIES) || !name.contains("::") && name.starts_with("__");
            if name.contains("::") || name == "main" || name.starts_with("rust_") || name.starts_with('_') {
                frames.push(frame(&name[..cut], !library && name.contains("::")));
            }
        } else if let Some(last) = frames.last_mut()
            && let Some(file) = line.trim_start().strip_prefix("at ")
            && contains_any(file, &["/rustc/", ".cargo/registry", "/library/std", "/library/core"])
        {
            last.in_app = false;
        }
    }
    frames
}

fn dotnet(lines: &[&str]) -> Vec<Frame> {
    // Inner exceptions are printed first, closed by this line.
    let is_inner_end = |line: &&str| line.contains("--- End of inner exception stack trace ---");
    let section = lines.split(is_inner_end).find(|section| section.iter().any(|line| PATTERNS.dotnet.is_match(line)));
    let found = section.unwrap_or_default().iter().filter_map(|line| PATTERNS.dotnet.captures(line));
    found
        .map(|found| {
            let library = starts_with_any(&found[1], &["System.", "Microsoft.", "Npgsql.", "Grpc.", "lambda_method"]);
            frame(&found[1], !library)
        })
        .collect()
}

fn ruby(lines: &[&str]) -> Vec<Frame> {
    let found = lines.iter().filter_map(|line| PATTERNS.ruby.captures(line));
    found
        .map(|found| {
            let library = contains_any(&found[1], &["/gems/", "/lib/ruby/", "/rubygems/"]) || found[1].starts_with('<');
            let function = found[2].trim_start_matches("block in ");
            frame(&format!("{}:{function}", short_file(&found[1])), !library)
        })
        .collect()
}

#[cfg(test)]
#[path = "stack_tests.rs"]
mod tests;
