//! The house stays tidy: imports point down, files stay small, each says what it is for.
//!
//! Reads manifests and sources as text; deliberately knows nothing of what the code does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each crate may never name in its manifest (see CONVENTIONS.md, "Crates").
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("model", &["tracelake-", "tokio", "datafusion", "parquet", "axum", "http", "tonic", "hyper"]),
    (
        "ingest",
        &[
            "tracelake-storage",
            "tracelake-query",
            "tracelake-alerting",
            "tracelake-ui",
            "datafusion",
            "parquet",
            "object_store",
        ],
    ),
    (
        "storage",
        &[
            "tracelake-ingest",
            "tracelake-query",
            "tracelake-alerting",
            "tracelake-ui",
            "tonic",
            "axum",
            "opentelemetry-proto",
        ],
    ),
    ("statement", &["tracelake-", "axum", "http"]),
    ("query", &["tracelake-ingest", "tracelake-alerting", "tracelake-ui"]),
    ("alerting", &["tracelake-ingest", "tracelake-ui", "parquet", "object_store"]),
    ("ui", &["tracelake-"]),
];

/// Lines of a file without its tests.
const FILE_LINES_MAX: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sources_under(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("directory entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !matches!(name, "node_modules" | "target" | "data" | "web") {
            sources_under(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["src", "model", "ingest", "storage", "statement", "query", "alerting", "ui", "tests", "benches"] {
        sources_under(&root().join(folder), &mut found);
    }
    assert!(found.len() > 50, "only {} sources were found", found.len());
    found.sort();
    found
}

fn assert_none(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{what}:\n  {}", faults.join("\n  "));
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn arrows_between_crates_point_down() {
    let mut faults = Vec::new();
    for (name, forbidden) in FORBIDDEN {
        let manifest = read(&root().join(name).join("Cargo.toml"));
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        for line in dependencies.lines() {
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let hit = |bad: &&str| dependency == *bad || (bad.ends_with('-') && dependency.starts_with(*bad));
            if forbidden.iter().any(hit) {
                faults.push(format!("{name} depends on {dependency}"));
            }
        }
    }
    assert_none("a crate imports what it must not", &faults);
}

#[test]
fn every_file_says_what_it_is_for_and_stays_small() {
    let mut faults = Vec::new();
    for path in sources() {
        let text = read(&path);
        if !text.starts_with("//!") {
            faults.push(format!("{} does not open with //!", shown(&path)));
        }
        let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        if lines > FILE_LINES_MAX {
            faults.push(format!("{} has {lines} lines, {FILE_LINES_MAX} is the limit", shown(&path)));
        }
    }
    assert_none("untidy files", &faults);
}

#[test]
fn doors_hold_no_logic() {
    let mut faults = Vec::new();
    for path in sources() {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let door = name == "mod.rs" || (name == "lib.rs" && !shown(&path).starts_with("ui/"));
        if !door {
            continue;
        }
        for line in read(&path).lines() {
            let code = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            if ["fn ", "impl ", "impl<", "struct ", "enum ", "async fn "].iter().any(|word| code.starts_with(word)) {
                faults.push(format!("{}: {line}", shown(&path)));
            }
        }
    }
    assert_none("a door holds logic", &faults);
}

#[test]
fn nothing_unfinished_or_switched_off_stands_in_the_house() {
    let marks = [["todo", "!("].concat(), ["unimplemented", "!("].concat(), ["#[", "ignore"].concat()];
    let mut faults = Vec::new();
    for path in sources() {
        for (number, line) in read(&path).lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                faults.push(format!("{}:{}: {line}", shown(&path), number + 1));
            }
        }
    }
    assert_none("unfinished or switched off", &faults);
}

#[test]
fn no_two_files_import_each_other() {
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let files: BTreeSet<String> = sources().iter().map(|path| module_of(path)).collect();
    for path in sources() {
        let from = module_of(&path);
        let Some(crate_name) = from.split("::").next().map(str::to_owned) else { continue };
        let text = read(&path);
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for used in code.split("crate::").skip(1) {
            let named: String = used.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
            let mut parts: Vec<&str> = named.split("::").filter(|part| !part.is_empty()).collect();
            while !parts.is_empty() {
                let target = format!("{crate_name}::{}", parts.join("::"));
                if files.contains(&target) && target != from {
                    imports.entry(from.clone()).or_default().insert(target);
                    break;
                }
                parts.pop();
            }
        }
    }
    let mutual = |a: &String, b: &String| a < b && imports.get(b).is_some_and(|back| back.contains(a));
    let pairs = imports.iter().flat_map(|(a, to)| to.iter().map(move |b| (a, b)));
    let faults: Vec<String> = pairs.filter(|(a, b)| mutual(a, b)).map(|(a, b)| format!("{a} <-> {b}")).collect();
    assert_none("files that import each other", &faults);
}

/// `storage/src/wal/frame.rs` as `storage::wal::frame`; a `mod.rs` is its folder.
fn module_of(path: &Path) -> String {
    let text = shown(path).replace(".rs", "").replace("/src/", "/").replace('/', "::");
    text.trim_end_matches("::mod").trim_end_matches("::lib").to_owned()
}

#[test]
fn lock_files_hold_no_addresses_of_their_own() {
    let lock = read(&root().join("ui/web/package-lock.json"));
    assert!(!lock.contains("\"resolved\""), "package-lock.json names download addresses; see ui/web/.npmrc");
}
