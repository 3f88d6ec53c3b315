//! What a pull leaves behind when it cannot go on, and how one person leaves what was landed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use chudong::landing::{self, Store};
use chudong::personal::{Personal, hex};
use chudong::pipeline::{Load, Source, SourceKind, SourceTable, Type};
use chudong::tables::TableName;
use jiff::civil::{Date, date};
use rusqlite::Connection;

use crate::landing::{column, on, said, source, table};

const NIGHT: Date = date(2026, 11, 21);

/// The register of people, read by changes.
pub fn people() -> SourceTable {
    let columns = vec![
        column("id", Type::Int),
        column("moved", Type::Int),
        column("note", Type::Text),
        column("subject", Type::Text),
    ];
    let mut people = table("people", columns);
    people.load = Load::Incremental { cursor: "moved".into(), overlap: 1, compare_days: 30 };
    people
}

fn register(folder: &Path) -> Source {
    source(SourceKind::Sqlite { path: folder.join("register.sqlite") }, vec![people()])
}

/// A register of so many people, with notes of so many bytes that no compression makes shorter.
fn fill(folder: &Path, people: i64, note_bytes: usize) -> Connection {
    let database = Connection::open(folder.join("register.sqlite")).unwrap();
    database
        .execute_batch(
            "pragma synchronous = off; create table people (id integer, moved integer, note text, subject text)",
        )
        .unwrap();
    database.execute_batch("begin").unwrap();
    for id in 0..people {
        let sql = "insert into people values (?1, ?1, hex(randomblob(?2)), ?3)";
        database.execute(sql, (id, i64::try_from(note_bytes / 2).unwrap(), format!("{:012}", id / 2))).unwrap();
    }
    database.execute_batch("commit").unwrap();
    database
}

pub fn store(folder: &Path) -> Store {
    Store::Folder(folder.join("landing"))
}

fn name() -> TableName {
    TableName::new("insurance", "people")
}

/// This test binary as a process of its own that does what `worker` does.
fn process(folder: &Path, nights: u32) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "landing_faults::worker", "--nocapture"]);
    command.env("CHUDONG_TEST_FOLDER", folder).env("CHUDONG_TEST_NIGHTS", nights.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// The work of a process that is killed or runs out of space; by itself, nothing.
#[test]
fn worker() {
    let Some(folder) = std::env::var_os("CHUDONG_TEST_FOLDER").map(PathBuf::from) else { return };
    let nights: i64 = std::env::var("CHUDONG_TEST_NIGHTS").unwrap().parse().unwrap();
    let database = Connection::open(folder.join("register.sqlite")).unwrap();
    for night in 0..nights {
        database.execute("update people set moved = 100000 + ?1 where id = ?1", [night]).unwrap();
        let mut source = register(&folder);
        if night % 2 == 1 {
            source.tables[0].load = Load::Snapshot;
        }
        let as_of = NIGHT.saturating_add(jiff::Span::new().days(night));
        let said = said(&landing::pull(&source, crate::root(), on(as_of), &store(&folder)));
        writeln!(std::io::stdout(), "{said}").unwrap();
    }
}

/// Every generation that is there, read back whole: manifest, rows, reasons.
pub fn generations(folder: &Path) -> Vec<(String, Vec<String>)> {
    let kept = folder.join("landing/insurance.people");
    let mut generations = Vec::new();
    for entry in std::fs::read_dir(&kept).into_iter().flatten() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(stem) = name.strip_suffix(".json") else { continue };
        let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(kept.join(&name)).unwrap()).unwrap();
        let mut subjects = Vec::new();
        for part in [&manifest["base"], &manifest["changes"]].into_iter().filter(|part| !part.is_null()) {
            let path = kept.join(part["file"].as_str().unwrap());
            use sha2::Digest;
            let digest: [u8; 32] = sha2::Sha256::digest(std::fs::read(&path).unwrap()).into();
            assert_eq!(part["sha256"].as_str().unwrap(), hex(&digest));
            let rows = landing::read_generation(&path).unwrap();
            assert_eq!(rows.rows() as u64, part["rows"].as_u64().unwrap());
            subjects.extend(rows.texts("subject").unwrap().into_iter().flatten());
        }
        landing::read_generation(&kept.join(format!("{stem}.quarantine.parquet"))).unwrap();
        generations.push((stem.to_owned(), subjects));
    }
    generations.sort();
    generations
}

#[test]
fn a_pull_killed_at_any_moment_leaves_whole_generations() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 3000, 40);
    let mut nights = Vec::new();
    for moment in 0..12_u64 {
        let mut child = process(folder.path(), 40).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(25 + 17 * moment));
        child.kill().unwrap();
        child.wait().unwrap();
        let after = generations(folder.path());
        assert!(after.len() >= nights.len().min(1), "a generation was lost: {nights:?}, then {after:?}");
        nights = after.into_iter().map(|(name, _)| name).collect();
    }
    // The last kill may have hit the owner's own writing. Then its journal waits for somebody who may write.
    Connection::open(folder.path().join("register.sqlite"))
        .unwrap()
        .execute_batch("begin immediate; rollback")
        .unwrap();
    // The next night finishes, and what killed runs left is gone.
    let last = NIGHT.saturating_add(jiff::Span::new().days(50));
    let pulled = landing::pull(&register(folder.path()), crate::root(), on(last), &store(folder.path()));
    assert!(said(&pulled).starts_with("insurance.people: read "), "{}", said(&pulled));
    let left = std::fs::read_dir(folder.path().join("landing/insurance.people")).unwrap();
    let aside = left.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.')).count();
    assert_eq!(aside, 0);
}

/// Where nobody may mount, a disk that fills cannot be had.
pub fn may_mount() -> bool {
    let may =
        Command::new("unshare").args(["--mount", "--map-root-user", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]).status();
    may.is_ok_and(|status| status.success())
}

#[test]
fn a_disk_that_fills_is_said_and_leaves_the_earlier_generation() {
    if !may_mount() {
        return;
    }
    let (short, long) = (4200, 17_500);
    for (case, megabytes, people, in_order) in [
        ("in order", 30, short, true),
        ("writing", 30, short, false),
        // More than is kept in memory.
        ("spilling", 30, long, false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let database = fill(folder.path(), people, 15_000);
        if !in_order {
            database.execute("update people set id = -id where id % 5 = 0", []).unwrap();
        }
        drop(database);
        std::fs::create_dir(folder.path().join("landing")).unwrap();
        let exe = std::env::current_exe().unwrap();
        let (landing, out) = (folder.path().join("landing"), folder.path().join("out"));
        // The earlier generation stands on the same disk; it is copied out to be looked at afterwards.
        let script = format!(
            "set -e; mount -t tmpfs -o size={megabytes}m tmpfs {landing}
             mkdir {landing}/insurance.people && echo '{{}}' > {landing}/insurance.people/2026-11-20.001.0123456789abcdef.json
             {exe} --exact landing_faults::worker --nocapture; ls -A {landing}/insurance.people > {out}",
            landing = landing.display(),
            exe = exe.display(),
            out = out.display(),
        );
        let ended = Command::new("unshare")
            .args(["--mount", "--map-root-user", "sh", "-c", &script])
            .env("CHUDONG_TEST_FOLDER", folder.path())
            .env("CHUDONG_TEST_NIGHTS", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stdout).replace(&landing.display().to_string(), "LANDING");
        assert!(said.contains("error[landing.disk-full]: no space is left for the landed rows"), "{case}: {said}");
        assert!(said.contains("at:   LANDING/insurance.people\n"), "{case}: {said}");
        assert_eq!(std::fs::read_to_string(out).unwrap(), "2026-11-20.001.0123456789abcdef.json\n", "{case}");
    }
}

#[test]
fn one_person_leaves_every_generation_and_nobody_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let database = fill(folder.path(), 1000, 20);
    let store = store(folder.path());
    let pull = |night: i64| {
        let as_of = NIGHT.saturating_add(jiff::Span::new().days(night));
        let pulled = landing::pull(&register(folder.path()), crate::root(), on(as_of), &store).unwrap();
        assert!(pulled.failed.is_empty());
        pulled.tables.into_iter().next().unwrap()
    };
    pull(0);
    // One row of theirs changes; another person's row becomes theirs by mistake.
    database.execute("update people set moved = 2000 where id = 20", []).unwrap();
    database.execute("update people set moved = 2000, subject = '000000000010' where id = 50", []).unwrap();
    let newest = pull(1);
    assert_eq!(generations(folder.path()).len(), 2);
    let subject = Personal::new("000000000010".to_owned());
    let tables = [(name(), vec!["subject".to_owned()])];
    let erased = landing::erase(&store, &tables, &subject).unwrap();
    // Two rows of the base, which each of the two generations has again; their change, and what was given to them.
    assert_eq!((erased.len(), erased[0].rows, erased[0].generations.len()), (1, 6, 2));
    assert!(erased[0].generations.iter().all(|(before, after)| before != after));
    assert_eq!(erased[0].generations[1].0, newest.generation.unwrap().digest);
    let left = generations(folder.path());
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|(_, subjects)| !subjects.contains(&"000000000010".to_owned())));
    // Before the mistake, the row was another person's, and still is; after it, what it replaced does not come back.
    let of_other = |subjects: &[String]| subjects.iter().filter(|subject| *subject == "000000000025").count();
    assert_eq!((of_other(&left[0].1), of_other(&left[1].1)), (2, 1));
    assert_eq!(left[0].1.len(), 998);
    assert_eq!(files_that_hold(folder.path(), "000000000010"), Vec::<PathBuf>::new());
    // Nothing is left to do, and the next night goes on from there.
    assert_eq!(landing::erase(&store, &tables, &subject).unwrap(), Vec::new());
    assert!(matches!(pull(2).read, landing::Read::Changes { .. }));
}

#[test]
fn an_erasure_that_was_cut_off_is_finished_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 100, 20);
    let store = store(folder.path());
    landing::pull(&register(folder.path()), crate::root(), on(NIGHT), &store).unwrap();
    let kept = folder.path().join("landing/insurance.people");
    let copy = folder.path().join("copy");
    let files = |folder: &Path| {
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    let before = files(&kept);
    std::fs::create_dir(&copy).unwrap();
    before.iter().for_each(|file| {
        std::fs::copy(file, copy.join(file.file_name().unwrap())).unwrap();
    });
    let subject = Personal::new("000000000007".to_owned());
    let tables = [(name(), vec!["subject".to_owned()])];
    landing::erase(&store, &tables, &subject).unwrap();
    let after = files(&kept);
    // What a cut leaves: the new files and the old ones, in every mixture that the order of the work allows.
    let manifest = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "json");
    for old_manifest_is_there in [true, false] {
        for file in before.iter().filter(|file| old_manifest_is_there || !manifest(file)) {
            std::fs::copy(copy.join(file.file_name().unwrap()), file).unwrap();
        }
        generations(folder.path());
        landing::erase(&store, &tables, &subject).unwrap();
        assert_eq!(files(&kept), after);
        assert_eq!(files_that_hold(folder.path(), "000000000007"), Vec::<PathBuf>::new());
    }
}

/// Landed files in which the bytes of a number stand.
fn files_that_hold(folder: &Path, number: &str) -> Vec<PathBuf> {
    let kept = folder.join("landing/insurance.people");
    let files = std::fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().path());
    let parquet = files.filter(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    parquet
        .filter(|path| {
            let table = landing::read_generation(path).unwrap();
            table.has("subject") && table.texts("subject").unwrap().contains(&Some(number.to_owned()))
        })
        .collect()
}
