//! Tells the binary which commit it was built from (`unknown` without git), and its allocator how long to keep pages.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What jemalloc reads when the process starts. Pages that nobody uses go back to the system after a fifth of a second
/// instead of ten, and there is one arena a core instead of four: at full speed that is 100 MB and more, for some 3 % of
/// CPU (docs/decisions/0017).
const ALLOCATOR: &str =
    "const char *_rjem_malloc_conf = \"percpu_arena:percpu,dirty_decay_ms:200,muzzy_decay_ms:0\";\n";

fn main() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BUILD_COMMIT={commit}");
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    match compile_allocator_settings() {
        Some(object) => println!("cargo::rustc-link-arg-bins={}", object.display()),
        None => println!("cargo::warning=no C compiler: the allocator keeps unused pages for ten seconds"),
    }
}

/// The settings are a symbol that jemalloc looks for; a line of C is how it is made without unsafe Rust. `None` where it
/// cannot be, as when building for another system.
fn compile_allocator_settings() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var(name).ok();
    if variable("HOST") != variable("TARGET") {
        return None;
    }
    let folder = variable("OUT_DIR")?;
    let (source, object) = (Path::new(&folder).join("allocator.c"), Path::new(&folder).join("allocator.o"));
    std::fs::write(&source, ALLOCATOR).ok()?;
    let compiler = variable("CC").unwrap_or_else(|| "cc".to_owned());
    let compiled = Command::new(compiler).args(["-c", "-fPIC", "-o"]).args([&object, &source]).status().ok()?;
    compiled.success().then_some(object)
}
