//! Who may import whom, and where each heavy library lives: the architecture as data.
//!
//! A new arrow is a new word in [`ARROWS`], and so a visible line in a review. A word
//! that no file needs any more has to go as well: the table is what the code does.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each module with the modules it imports. Arrows point up this list only: a row names nothing but rows above it.
const ARROWS: [(&str, &[&str]); 36] = [
    // Words everyone shares.
    ("language", &[]),
    ("fault", &[]),
    ("files", &[]),
    ("personal", &["fault"]),
    ("calendar", &[]),
    ("tables", &["calendar", "fault"]),
    ("pipeline", &["calendar", "fault", "language", "personal"]),
    // Taking in, computing.
    ("sources", &["calendar", "fault", "personal", "pipeline"]),
    ("landing", &["calendar", "fault", "files", "personal", "pipeline", "sources", "tables"]),
    ("sql", &["calendar", "fault", "files", "pipeline", "tables"]),
    // Deciding, pure: no ledger, no engine, no world.
    ("obligations", &["calendar", "fault", "language", "personal", "pipeline", "tables"]),
    ("reminders", &["calendar", "fault", "language", "obligations", "personal", "pipeline", "tables"]),
    ("satisfaction", &["calendar", "language", "personal", "pipeline", "tables"]),
    ("quality", &["calendar", "fault", "language", "pipeline", "tables"]),
    ("dossiers", &["fault", "language", "personal", "pipeline", "tables"]),
    ("options", &["calendar", "fault", "language", "personal", "pipeline", "tables"]),
    ("disclosure", &["calendar", "fault", "language", "personal", "pipeline", "quality", "satisfaction", "tables"]),
    // Acting, at the rim.
    ("ledger", &["calendar", "fault", "files", "obligations", "personal", "pipeline", "tables"]),
    ("delivery", &["calendar", "fault", "files", "language", "ledger", "personal", "pipeline", "reminders"]),
    ("bounces", &["calendar", "delivery", "fault", "files", "ledger", "personal", "pipeline"]),
    ("publication", &["calendar", "disclosure", "fault", "language", "personal", "pipeline", "tables"]),
    ("push", &["delivery", "fault", "personal", "pipeline", "publication", "tables"]),
    ("paper", &["calendar", "dossiers", "fault", "personal"]),
    ("submission", &["calendar", "delivery", "dossiers", "fault", "personal", "pipeline"]),
    // Telling the story.
    ("telemetry", &[]),
    ("world", &["fault", "files", "personal", "telemetry"]),
    ("report", &["calendar", "fault", "ledger"]),
    ("query", &["fault", "landing", "ledger", "tables"]),
    ("schedule", &["calendar", "pipeline", "reminders"]),
    (
        "serve",
        &[
            "bounces",
            "calendar",
            "delivery",
            "dossiers",
            "fault",
            "language",
            "ledger",
            "personal",
            "pipeline",
            "satisfaction",
        ],
    ),
    (
        "check",
        &[
            "calendar",
            "disclosure",
            "dossiers",
            "fault",
            "language",
            "obligations",
            "options",
            "pipeline",
            "quality",
            "reminders",
            "sql",
            "tables",
        ],
    ),
    ("lineage", &["calendar", "check", "pipeline", "sql", "tables"]),
    (
        "run",
        &[
            "bounces",
            "calendar",
            "check",
            "delivery",
            "disclosure",
            "dossiers",
            "fault",
            "files",
            "landing",
            "language",
            "ledger",
            "lineage",
            "obligations",
            "options",
            "paper",
            "personal",
            "pipeline",
            "publication",
            "push",
            "quality",
            "reminders",
            "report",
            "satisfaction",
            "sql",
            "submission",
            "tables",
            "world",
        ],
    ),
    // Beside the night.
    ("samples", &["calendar", "fault"]),
    ("scaffold", &["check", "fault", "pipeline"]),
    ("simulate", &["calendar", "delivery", "fault", "personal"]),
];

/// The verbs know what they call.
const CLI: (&str, &[&str]) = (
    "cli",
    &[
        "calendar",
        "check",
        "delivery",
        "fault",
        "files",
        "language",
        "ledger",
        "lineage",
        "personal",
        "pipeline",
        "push",
        "query",
        "reminders",
        "report",
        "run",
        "samples",
        "scaffold",
        "schedule",
        "serve",
        "simulate",
        "sql",
        "submission",
        "tables",
        "world",
    ],
);

/// Each library that is worth keeping in one place, and the files or folders of `src/` that are its homes.
const HOMES: [(&str, &[&str]); 35] = [
    ("datafusion", &["sql/"]),
    ("mimalloc", &["lib.rs"]),
    // The parser alone; whole selects are parsed by the engine.
    ("sqlparser", &["pipeline/filter/read.rs"]),
    ("polars", &["disclosure/bounding.rs"]),
    ("opendp", &["disclosure/noise.rs"]),
    ("lettre", &["delivery/"]),
    ("tokio_rustls", &["delivery/eml/dkim.rs", "delivery/smtp/", "delivery/tls.rs", "sources/postgres/wire.rs"]),
    ("rustls_native_certs", &["delivery/tls.rs", "sources/mysql/connect.rs", "sources/postgres/wire.rs"]),
    // The ledger is a SQLite file, some agencies' sources are, and so are the samples made for them.
    (
        "rusqlite",
        &["delivery/pace/", "ledger/", "sources/error.rs", "sources/sqlite/", "samples/agency.rs", "samples/mod.rs"],
    ),
    ("tokio_postgres", &["sources/postgres/"]),
    ("tokio_postgres_rustls", &["sources/postgres/wire.rs"]),
    ("mysql_async", &["sources/mysql/"]),
    ("odbc_api", &["sources/odbc/"]),
    // Two more name the part of rustls that is called like it.
    (
        "ring",
        &[
            "delivery/eml/dkim.rs",
            "delivery/tls.rs",
            "personal/",
            "publication/signature.rs",
            "sources/postgres/wire.rs",
        ],
    ),
    ("csv", &["cli/preferences.rs", "sources/csv/"]),
    ("axum", &["serve/", "simulate/"]),
    ("calamine", &["sources/excel/mod.rs"]),
    ("cfb", &["sources/excel/sound.rs"]),
    ("zip", &["sources/excel/sound.rs"]),
    ("object_store", &["sources/objects.rs", "sql/engine.rs", "sql/look_up/scan.rs"]),
    ("bytes", &["sql/look_up/scan.rs"]),
    ("memchr", &["delivery/eml/mime.rs", "serve/dossier/multipart.rs", "sources/csv/", "sources/ndjson.rs"]),
    ("cron", &["calendar/cron.rs"]),
    ("chrono", &["calendar/cron.rs"]),
    ("minijinja", &["publication/error.rs", "publication/page/", "reminders/letter/"]),
    ("pulldown_cmark", &["reminders/letter/document.rs"]),
    (
        "clap",
        &[
            "cli/explain.rs",
            "cli/mod.rs",
            "cli/new.rs",
            "cli/plan.rs",
            "cli/preferences.rs",
            "cli/preview.rs",
            "cli/quality.rs",
            "cli/ratings.rs",
            "cli/release.rs",
            "cli/restate.rs",
            "cli/trace.rs",
            "cli/verbs.rs",
        ],
    ),
    ("clap_complete", &["cli/mod.rs", "cli/verbs.rs"]),
    ("indicatif", &["telemetry.rs"]),
    ("mail_parser", &["bounces/report.rs"]),
    ("async_imap", &["bounces/imap.rs"]),
    // What draws; what is said and where it stands is made without it.
    ("krilla", &["paper/draw.rs"]),
    ("unicode_security", &["delivery/eml/address.rs"]),
    // Its addresses alone: a domain in ASCII.
    ("reqwest", &["delivery/eml/address.rs", "delivery/service.rs"]),
    // What an address of a service leads to, before it is followed.
    ("url", &["pipeline/channel.rs"]),
];

/// What only `calendar` may say.
const CLOCKS: [&str; 8] = [
    "Timestamp::now",
    "Zoned::now",
    "SystemTime",
    "Instant::now",
    "Utc::now",
    "Local::now",
    "OffsetDateTime::now",
    "UNIX_EPOCH.elapsed",
];

fn rows() -> Vec<(&'static str, BTreeSet<&'static str>)> {
    ARROWS.iter().chain([&CLI]).map(|(module, imports)| (*module, imports.iter().copied().collect())).collect()
}

#[test]
fn arrows_point_down_only() {
    let mut above = BTreeSet::new();
    for (module, imports) in rows() {
        let wrong: Vec<_> = imports.difference(&above).collect();
        assert!(wrong.is_empty(), "{module} imports {wrong:?}, which do not stand above it in the table");
        above.insert(module);
    }
}

#[test]
fn imports_are_those_of_the_table() {
    let mut actual: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for file in sources() {
        let Some(module) = file.module() else { continue };
        let row = actual.entry(module.clone()).or_default();
        for import in file.imports().into_iter().filter(|import| *import != module) {
            row.entry(import).or_insert_with(|| file.path.clone());
        }
    }
    let expected: BTreeMap<&str, BTreeSet<&str>> = rows().into_iter().collect();
    let mut wrong = Vec::new();
    for (module, imports) in &actual {
        let Some(row) = expected.get(module.as_str()) else {
            wrong.push(format!("{module} is not in the table"));
            continue;
        };
        for (import, path) in imports.iter().filter(|(import, _)| !row.contains(import.as_str())) {
            wrong.push(format!("{module} may not import {import} ({})", path.display()));
        }
        for import in row.iter().filter(|import| !imports.contains_key(**import)) {
            wrong.push(format!("{module} no longer imports {import}: take it out of the table"));
        }
    }
    wrong.extend(expected.keys().filter(|m| !actual.contains_key(**m)).map(|m| format!("there is no module {m}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_heavy_library_is_at_home() {
    let files = sources();
    let mut wrong = Vec::new();
    for (library, homes) in HOMES {
        let users: Vec<String> = files
            .iter()
            .filter(|file| file.uses_library(library))
            .map(|file| file.path.display().to_string())
            .collect();
        let is_home = |user: &str, home: &str| user == home || (home.ends_with('/') && user.starts_with(home));
        for user in users.iter().filter(|user| !homes.iter().any(|home| is_home(user, home))) {
            wrong.push(format!("{user} uses {library}, whose homes are {homes:?}"));
        }
        for home in homes.iter().filter(|home| !users.iter().any(|user| is_home(user, home))) {
            wrong.push(format!("{home} no longer uses {library}: take it out of the table"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    let silent: Vec<_> = sources().into_iter().filter(|file| !file.text.starts_with("//! ")).map(|f| f.path).collect();
    assert!(silent.is_empty(), "these files do not open with `//!`: {silent:?}");
}

#[test]
fn the_map_names_every_chapter() {
    let map = fs::read_to_string(crate::root().join("src/lib.rs")).unwrap();
    let named: BTreeSet<&str> = map
        .lines()
        .filter_map(|line| line.strip_prefix("//!"))
        .flat_map(|line| line.split("[`").skip(1).filter_map(|rest| rest.split("`]").next()))
        .collect();
    let missing: Vec<_> =
        rows().into_iter().map(|(module, _)| module).filter(|module| !named.contains(module)).collect();
    assert!(missing.is_empty(), "src/lib.rs does not speak of {missing:?}");
}

#[test]
fn only_the_calendar_reads_the_clock() {
    for file in sources() {
        let code = file.code();
        let said: Vec<_> = CLOCKS.iter().filter(|clock| code.contains(**clock)).collect();
        let is_home = file.path == Path::new("calendar/mod.rs");
        assert!(is_home || said.is_empty(), "{} says {said:?}", file.path.display());
        assert!(!is_home || !said.is_empty(), "this test no longer sees the clock of the calendar");
    }
}

#[test]
fn the_two_gates_have_one_door_each() {
    for (gate, home) in [("Recorded", "ledger"), ("Released", "disclosure")] {
        let mut made = 0;
        for file in sources() {
            let code = file.code();
            let makes = constructions(&code, gate);
            let is_home = file.module().as_deref() == Some(home);
            assert!(is_home || makes == 0, "{} makes a {gate}; only {home} may", file.path.display());
            made += makes;
            let definition = code.split(&format!("pub struct {gate}")).nth(1).map(|rest| {
                rest.split_once('{').map_or("", |(_, fields)| fields.split('}').next().unwrap_or_default()).to_owned()
            });
            if let Some(fields) = definition {
                assert!(!fields.contains("pub"), "a field of {gate} is public: anybody could make one");
            }
        }
        assert!(made > 0, "this test no longer sees where a {gate} is made");
    }
}

/// How often code writes a value of a type with its fields; definitions and `impl` blocks are none.
fn constructions(code: &str, name: &str) -> usize {
    code.match_indices(name)
        .filter(|(at, _)| {
            let before = code[..*at].trim_end();
            let after = code[at + name.len()..].trim_start();
            let is_word = code[..*at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
            let is_definition = ["struct", "impl", "for", "->", ">"].iter().any(|word| before.ends_with(word));
            !is_word && !is_definition && after.starts_with('{')
        })
        .count()
}

// ---- reading the sources ------------------------------------------------------

struct Source {
    /// Relative to `src/`.
    path: PathBuf,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = crate::root().join("src");
    let mut waiting = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source { path: path.strip_prefix(&root).unwrap().to_path_buf(), text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 100, "the sources were not found");
    found
}

impl Source {
    /// The chapter it belongs to; none for `lib.rs` and `main.rs`, which know all.
    fn module(&self) -> Option<String> {
        let first = self.path.iter().next().unwrap().to_string_lossy();
        let name = first.strip_suffix(".rs").unwrap_or(&first).to_owned();
        (name != "lib" && name != "main").then_some(name)
    }

    /// Modules between the crate's root and this file: `super` that often is the root.
    fn depth(&self) -> usize {
        let parts = self.path.components().count();
        if self.path.file_name().is_some_and(|name| name == "mod.rs") { parts - 1 } else { parts }
    }

    /// The text without comments.
    fn code(&self) -> String {
        // A `//` inside a string would end its line early; the rest of such a line names no module.
        self.text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
    }

    /// First words after `crate::`, and after as many `super::` as lead to the root.
    fn imports(&self) -> BTreeSet<String> {
        let code = self.code();
        let up = "super::".repeat(self.depth());
        ["crate::", up.as_str()]
            .iter()
            .flat_map(|prefix| {
                code.match_indices(prefix)
                    // `$crate::`, `other_crate::` and a longer chain of `super::` are something else.
                    .filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || "_$:".contains(c)))
                    .flat_map(|(at, _)| first_words(&code[at + prefix.len()..]))
                    .collect::<Vec<_>>()
            })
            // A type or a star is of the module around a nested one; the root has modules only.
            .filter(|word| word.starts_with(|c: char| c.is_lowercase()))
            .collect()
    }

    /// Whether it names the library, by itself or at the start of a path.
    fn uses_library(&self, library: &str) -> bool {
        let code = self.code();
        // A file that declares a module of that name means the module.
        let is_own_module =
            code.lines().any(|line| line.trim().trim_start_matches("pub ") == format!("mod {library};"));
        !is_own_module
            && code.match_indices(library).any(|(at, _)| {
                let before = code[..at].chars().next_back();
                let after = &code[at + library.len()..];
                let starts = !before.is_some_and(|c| c.is_alphanumeric() || "_:.$".contains(c))
                    || (code[..at].ends_with("::")
                        && !code[..at].trim_end_matches("::").ends_with(char::is_alphanumeric));
                let is_use = code[..at].ends_with("use ") && after.starts_with([';', ' ']);
                starts && (after.starts_with("::") || is_use)
            })
    }
}

/// The first word of a path, or those of a list in braces: `a::b` → a; `{a, b::{c, d}}` → a, b.
fn first_words(path: &str) -> Vec<String> {
    let word =
        |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(list) = path.strip_prefix('{') else { return vec![word(path)] };
    let mut words = vec![word(list)];
    let mut depth = 0;
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => words.push(word(&list[at + 1..])),
            _ => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    let file = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let imports = |path: &str, text: &str| file(path, text).imports().into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(imports("a/b.rs", "use crate::{x, y::{z, w},\n v::q};"), "v x y");
    assert_eq!(imports("a/b.rs", "fn f() -> crate::x::Y { super::super::w::v() } // crate::no"), "w x");
    assert_eq!(imports("a/mod.rs", "use super::x;"), "x");
    assert_eq!(imports("a/b.rs", "use super::x; use other_crate::y;"), "");
    assert!(file("a.rs", "use csv::Reader;").uses_library("csv"));
    assert!(file("a.rs", "let x: ::csv::Reader;").uses_library("csv"));
    assert!(!file("a.rs", "mod csv;\nuse csv::x;").uses_library("csv"));
    assert!(!file("a.rs", "arrow::csv::Reader; super::csv::x").uses_library("csv"));
    assert_eq!(constructions("let a = Released { table }; impl Released {} fn f() -> Released { x }", "Released"), 1);
}
