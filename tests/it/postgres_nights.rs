//! Nights over a real PostgreSQL server that go wrong on our side: the process is killed while its files are put in
//! place, the disk fills, two runs meet, the clock goes back. What landed before stays, and nothing half-landed is seen.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chudong::landing;
use chudong::pipeline::{Source, SourceKind};
use jiff::ToSpan;
use jiff::civil::{Date, date};

use crate::landing::{on, said, source};
use crate::landing_faults::{generations, may_mount, people, store};
use crate::support::postgres::Server;

const FIRST: Date = date(2026, 11, 21);

/// The register of people at a server, read by changes.
fn register(host: &str, port: u16) -> Source {
    let server = chudong::pipeline::Server {
        host: host.into(),
        port,
        database: "agency".into(),
        user: "owner".into(),
        password: None,
        authority: None,
        readers: 4,
        silence_seconds: 60,
    };
    source(SourceKind::Postgres(server), vec![people()])
}

fn socket(server: &Server) -> (String, u16) {
    let SourceKind::Postgres(place) = server.over_socket("owner") else { unreachable!("the server is PostgreSQL") };
    (place.host, place.port)
}

/// So many people, with notes of so many bytes that no compression makes much shorter.
fn fill(server: &Server, people: u32, note_bytes: u32) {
    let words = note_bytes / 32;
    server.run(&format!(
        "create table people (id int primary key, moved int, note text, subject text);
         insert into people select i, i, (select string_agg(md5(random()::text || i || w), '')
             from generate_series(1, {words}) as w), lpad((i / 2)::text, 12, '0') from generate_series(1, {people}) as i;
         analyze people"
    ));
}

/// This test binary as a process of its own that does what `worker` does.
fn process(folder: &Path, server: &Server, night: Date) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "postgres_nights::worker", "--nocapture"]);
    surrounded(&mut command, folder, server, night);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn surrounded(command: &mut Command, folder: &Path, server: &Server, night: Date) {
    let (host, port) = socket(server);
    command.env("CHUDONG_TEST_FOLDER", folder).env("CHUDONG_TEST_NIGHT", night.to_string());
    command.env("CHUDONG_TEST_HOST", host).env("CHUDONG_TEST_PORT", port.to_string());
}

/// The work of a process that is killed, meets another or runs out of space; by itself, nothing.
#[test]
fn worker() {
    let Some(host) = std::env::var_os("CHUDONG_TEST_HOST") else { return };
    let folder = PathBuf::from(std::env::var_os("CHUDONG_TEST_FOLDER").unwrap());
    let port = std::env::var("CHUDONG_TEST_PORT").unwrap().parse().unwrap();
    let night = std::env::var("CHUDONG_TEST_NIGHT").unwrap().parse().unwrap();
    let source = register(host.to_str().unwrap(), port);
    let said = said(&landing::pull(&source, crate::root(), on(night), &store(&folder)));
    writeln!(std::io::stdout(), "{said}").unwrap();
}

fn pull(folder: &Path, server: &Server, night: Date) -> Result<landing::Pulled, landing::Error> {
    let (host, port) = socket(server);
    landing::pull(&register(&host, port), crate::root(), on(night), &store(folder))
}

/// The names in the folder of the table.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("landing/insurance.people")).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// Kills the process once `stage` is true of the names in the folder; whether it was.
fn killed_at(mut child: Child, folder: &Path, stage: impl Fn(&[String]) -> bool) -> bool {
    let begun = Instant::now();
    let reached = loop {
        if stage(&names(folder)) {
            break true;
        }
        if child.try_wait().unwrap().is_some() {
            break false;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "the pull does not end");
    };
    child.kill().unwrap();
    child.wait().unwrap();
    reached
}

#[test]
fn a_pull_killed_while_its_files_are_put_in_place_leaves_whole_generations() {
    let server = Server::start();
    fill(&server, 20_000, 64);
    let folder = tempfile::tempdir().unwrap();
    pull(folder.path(), &server, FIRST).unwrap();
    let of = |night: Date| move |name: &&String| name.starts_with(&night.to_string());
    // Files aside, the rows in place, the rows set aside in place, the manifest in place.
    let stages: [fn(&str) -> bool; 4] = [
        |name| name.starts_with('.'),
        |name| name.ends_with(".parquet") && !name.ends_with(".quarantine.parquet"),
        |name| name.ends_with(".quarantine.parquet"),
        |name| name.ends_with(".json"),
    ];
    let (mut reached, mut whole) = (0, generations(folder.path()));
    for round in 0..3 {
        for (place, stage) in (0..).zip(stages) {
            let night = FIRST.saturating_add((1 + 4 * round + place).days());
            server.run(&format!("update people set moved = 100000 + {round} * 4 + {place} where id = 7 + {place}"));
            let child = process(folder.path(), &server, night).spawn().unwrap();
            let is_there = |names: &[String]| match place {
                0 => names.iter().any(|name| stage(name)),
                _ => names.iter().filter(of(night)).any(|name| stage(name)),
            };
            reached += usize::from(killed_at(child, folder.path(), is_there));
            // What was there can still be read as it was, and every generation that is seen is whole.
            let after = generations(folder.path());
            let of_before: Vec<_> =
                after.iter().filter(|(name, _)| whole.iter().any(|(before, _)| before == name)).cloned().collect();
            assert!(!of_before.is_empty());
            assert!(of_before.iter().all(|generation| whole.contains(generation)));
            assert!(after.iter().all(|(_, subjects)| subjects.len() >= 20_000));
            whole = after;
        }
    }
    assert!(reached >= 4, "only {reached} of 12 kills met a pull at work");
    // The next night finishes, and what killed runs left is gone.
    let last = pull(folder.path(), &server, FIRST.saturating_add(40.days())).unwrap();
    assert!(last.failed.is_empty());
    let rows = last.tables[0].table().unwrap();
    assert_eq!(rows.rows(), 20_000);
    // What was changed before the last kill is among them.
    let moved = rows.ints("moved").unwrap();
    assert_eq!(moved.iter().flatten().filter(|moved| **moved >= 100_000).count(), 4);
    assert!(names(folder.path()).iter().all(|name| !name.starts_with('.')));
}

#[test]
fn a_disk_that_fills_while_a_server_is_read_is_said_and_leaves_the_earlier_generation() {
    if !may_mount() {
        return;
    }
    let server = Server::start();
    fill(&server, 4_000, 16_000);
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("landing")).unwrap();
    let (landing, out) = (folder.path().join("landing"), folder.path().join("out"));
    let script = format!(
        "set -e; mount -t tmpfs -o size=20m tmpfs {landing}
         mkdir {landing}/insurance.people && echo '{{}}' > {landing}/insurance.people/2026-11-20.001.0123456789abcdef.json
         {exe} --exact postgres_nights::worker --nocapture; ls -A {landing}/insurance.people > {out}",
        landing = landing.display(),
        exe = std::env::current_exe().unwrap().display(),
        out = out.display(),
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &script]);
    surrounded(&mut command, folder.path(), &server, FIRST);
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).replace(&landing.display().to_string(), "LANDING");
    assert!(said.contains("error[landing.disk-full]: no space is left for the landed rows"), "{said}");
    assert!(said.contains("at:   LANDING/insurance.people\n"), "{said}");
    assert_eq!(std::fs::read_to_string(out).unwrap(), "2026-11-20.001.0123456789abcdef.json\n");
}

#[test]
fn of_two_runs_that_pull_a_server_at_once_the_second_is_refused() {
    let server = Server::start();
    fill(&server, 2_000, 64);
    server.run(
        "alter table people rename to slow;
         create view people as select id, moved, note, subject from slow where id < 2000 or pg_sleep(4) is not null",
    );
    let folder = tempfile::tempdir().unwrap();
    let first = process(folder.path(), &server, FIRST).spawn().unwrap();
    let begun = Instant::now();
    let at_work = "select pid::text from pg_stat_activity where application_name = 'chudong' and state = 'active'";
    while server.texts(at_work).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the first run does not begin");
    }
    insta::assert_snapshot!(said(&pull(folder.path(), &server, FIRST)), @r"
    error[landing.busy]: another run is pulling the source insurance at this moment
      at:   source insurance
      next: wait until it has finished, and run again
    ");
    let first = first.wait_with_output().unwrap();
    let first = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(first.contains("insurance.people: read 2000, landed 2000"), "{first}");
    assert_eq!(generations(folder.path()).len(), 1);
}

#[test]
fn a_clock_that_goes_back_leaves_the_newest_night_of_a_server_as_it_is() {
    let server = Server::start();
    fill(&server, 500, 32);
    let folder = tempfile::tempdir().unwrap();
    let later = pull(folder.path(), &server, FIRST.tomorrow().unwrap()).unwrap();
    let newest = || store(folder.path()).newest(&later.tables[0].name).unwrap();
    let (file, bytes) = (newest(), std::fs::read(newest().unwrap()).unwrap());
    server.run("update people set moved = 9000, subject = '999999999999' where id = 3");
    let before = pull(folder.path(), &server, FIRST).unwrap();
    // The night before stands for itself, with what the server has now; that of the later day is not touched.
    assert_eq!(
        before.tables[0].read,
        landing::Read::Whole { why: Some("the newest generation speaks for a later night") }
    );
    assert_eq!(before.tables[0].rows_landed, 500);
    assert_eq!((newest(), std::fs::read(newest().unwrap()).unwrap()), (file, bytes));
    assert_eq!(generations(folder.path()).len(), 2);
    // And the night after goes on from the later one, by changes.
    let after = pull(folder.path(), &server, FIRST.saturating_add(2.days())).unwrap();
    assert!(matches!(after.tables[0].read, landing::Read::Changes { .. }), "{:?}", after.tables[0].read);
    let subjects = after.tables[0].table().unwrap().texts("subject").unwrap();
    assert_eq!(subjects.iter().flatten().filter(|subject| *subject == "999999999999").count(), 1);
}
