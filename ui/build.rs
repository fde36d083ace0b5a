//! Builds the web pages and turns them into a static table of bytes for `src/asset.rs`.
//!
//! Node is needed only with the feature `pages` and without `TRACELAKE_UI_DIST`; cargo runs this again only when the
//! pages' sources changed. It never commits or edits sources: it writes `node_modules` and a lock file beside them
//! (both ignored by git), and everything else under `OUT_DIR`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, process};

/// What the pages are made of, relative to `web/`.
const SOURCES: [&str; 8] = [
    "src",
    "public",
    "index.html",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
    "svelte.config.js",
    "tsconfig.json",
];

/// The variable that names pages built elsewhere.
const DIST_VARIABLE: &str = "TRACELAKE_UI_DIST";

/// Oldest Node that Vite 8 runs on.
const NODE_MIN: (u32, u32) = (20, 19);

fn main() {
    println!("cargo:rerun-if-env-changed={DIST_VARIABLE}");
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(variable("OUT_DIR"));
    if env::var_os("CARGO_FEATURE_PAGES").is_none() {
        write_table(&out, &out, &[]);
        return;
    }
    let dist = match env::var_os(DIST_VARIABLE) {
        Some(ready) => ready_dist(Path::new(&ready)),
        None => built_dist(&out),
    };
    let mut files = Vec::new();
    list_files(&dist, &mut files);
    write_table(&out, &dist, &files);
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("cargo did not set {name}")))
}

/// Stops the build with the ways out.
#[expect(clippy::print_stderr, reason = "cargo shows what a failed build script wrote there")]
fn fail(why: &str) -> ! {
    eprintln!(
        "\nerror: the web pages could not be built: {why}\n\n  Pick one:\n    \
         1. install Node.js >= {}.{} (with npm) and run cargo again;\n    \
         2. use pages that are built already:  {DIST_VARIABLE}=/path/to/dist cargo build --release\n    \
         3. build without them (API only):     cargo build --release --no-default-features\n",
        NODE_MIN.0, NODE_MIN.1
    );
    process::exit(1)
}

fn ready_dist(dist: &Path) -> PathBuf {
    println!("cargo:rerun-if-changed={}", dist.display());
    if !dist.join("index.html").is_file() {
        fail(&format!("{DIST_VARIABLE}={} has no index.html", dist.display()));
    }
    fs::canonicalize(dist).unwrap_or_else(|error| fail(&format!("{}: {error}", dist.display())))
}

fn built_dist(out: &Path) -> PathBuf {
    let web = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("web");
    for source in SOURCES {
        if web.join(source).exists() {
            println!("cargo:rerun-if-changed={}", web.join(source).display());
        }
    }
    let dist = out.join("dist");
    build_pages(&web, &dist);
    dist
}

fn build_pages(web: &Path, dist: &Path) {
    let node = node_version();
    // One build at a time in this folder: an editor's cargo and ours may run side by side.
    let lock = fs::File::create(web.join(".build.lock")).unwrap_or_else(|error| fail(&format!("lock file: {error}")));
    lock.lock().unwrap_or_else(|error| fail(&format!("lock file: {error}")));

    let package_lock =
        fs::read(web.join("package-lock.json")).unwrap_or_else(|error| fail(&format!("package-lock.json: {error}")));
    let wanted = format!("{node} {:016x}", hash(&package_lock));
    let stamp = web.join("node_modules/.tracelake-stamp");
    if fs::read_to_string(&stamp).unwrap_or_default() != wanted {
        run(web, "npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        fs::write(&stamp, wanted).unwrap_or_else(|error| fail(&format!("{}: {error}", stamp.display())));
    }
    let target = dist.to_str().unwrap_or_else(|| fail("the target folder's path is not UTF-8"));
    let vite = "node_modules/vite/bin/vite.js";
    run(web, "node", &[vite, "build", "--logLevel", "warn", "--outDir", target, "--emptyOutDir"]);
}

/// The version as Node prints it (`v20.20.2`), after checking that it is new enough.
fn node_version() -> String {
    let text = match Command::new("node").arg("--version").output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => fail("node was not found on PATH"),
    };
    let mut numbers = text.trim_start_matches('v').split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < NODE_MIN {
        fail(&format!("node {text} is too old ({}.{} or newer is needed)", NODE_MIN.0, NODE_MIN.1));
    }
    text
}

fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let command = format!("{program} {}", arguments.join(" "));
    match Command::new(program).args(arguments).current_dir(folder).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => fail(&format!(
            "`{command}` failed in {}:\n{}{}",
            folder.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )),
        Err(error) => fail(&format!("`{command}` could not be started: {error}")),
    }
}

/// Every file below a folder, in name order, so that the table does not depend on the file system.
fn list_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| fail(&format!("{}: {error}", folder.display())));
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            list_files(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// 64-bit FNV-1a: names a version of a file for caches, protects nothing.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Writes `assets.rs`: one entry a file, with its brotli twin (`name.br`) where the build left one.
fn write_table(out: &Path, dist: &Path, files: &[PathBuf]) {
    let mut code = String::from("pub(crate) static ASSETS: &[Asset] = &[\n");
    for file in files.iter().filter(|file| file.extension().is_none_or(|extension| extension != "br")) {
        let relative = file.strip_prefix(dist).unwrap_or(file).to_string_lossy().replace('\\', "/");
        let bytes = fs::read(file).unwrap_or_else(|error| fail(&format!("{}: {error}", file.display())));
        let twin = PathBuf::from(format!("{}.br", file.display()));
        let brotli = if twin.is_file() {
            format!("Some(include_bytes!({:?}))", twin.display().to_string())
        } else {
            "None".to_owned()
        };
        let line = format!(
            "    Asset {{ path: {relative:?}, etag: {:?}, raw: include_bytes!({:?}), brotli: {brotli} }},",
            format!("W/\"{:016x}\"", hash(&bytes)),
            file.display().to_string()
        );
        // Writing to a String cannot fail.
        let _ = writeln!(code, "{line}");
    }
    code.push_str("];\n");
    fs::write(out.join("assets.rs"), code).unwrap_or_else(|error| fail(&format!("assets.rs: {error}")));
}
