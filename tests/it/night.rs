//! Whole nights through the binary: what a clerk starts, what a crash interrupts, what a second run repeats.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chudong::ledger::MessageState;
use chudong::pipeline::{Rho, SourceKind};
use chudong::report::Report;
use jiff::civil::Date;

use crate::support::postgres;
use crate::support::smtp::{self, Mood};
use crate::support::times;
use crate::support::world::{Ended, Tree, World, differences, tree};

const NIGHT: &str = "2026-11-21";
const NEXT: &str = "2026-11-22";

/// The summary of a run, as a program reads it.
fn report(ended: &Ended) -> Report {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}\n{}", ended.out))
}

/// A summary in which seconds and folders are the same every time.
fn summary(world: &World, ended: &Ended) -> String {
    let is_seconds = |word: &str| {
        let (whole, part) = word.split_once('.').unwrap_or((word, ""));
        part.len() == 2 && format!("{whole}{part}").bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut is_pulled = false;
    let mut text = String::new();
    for line in world.shown(&ended.out).lines() {
        is_pulled = line == "Pulled" || (is_pulled && !line.is_empty());
        let seconds = line.split(' ').find(|word| is_pulled && is_seconds(word));
        match seconds {
            // The column is as wide as its head, and a pull of over a thousand seconds is no test.
            Some(word) => text.push_str(&line.replacen(&format!("{word:>7}"), "      -", 1)),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// The body of a ledger entry.
fn body(entry: &chudong::ledger::Entry) -> serde_json::Value {
    serde_json::from_str(&entry.body).unwrap()
}

/// The message files are those that the ledger says left, no more and no fewer.
#[track_caller]
fn messages_are_as_recorded(world: &World) {
    let stem = |(_, line): &(String, serde_json::Value)| {
        // A file is named like the part of the Message-ID before the @.
        let id = line["message_id"].as_str().unwrap().to_owned();
        id.trim_start_matches('<').split('@').next().unwrap().to_owned()
    };
    let recorded: BTreeSet<String> = world.recorded().iter().map(stem).collect();
    let files: BTreeSet<String> =
        world.messages().keys().map(|name| name.display().to_string().replace(".eml", "")).collect();
    let differ: Vec<&String> = files.symmetric_difference(&recorded).collect();
    assert!(differ.is_empty(), "{differ:?}");
    assert_eq!(files.len(), world.outbox().len());
    assert!(world.outbox().iter().all(|row| row.state == MessageState::Accepted));
}

/// Every file of every period is the one whose hash the ledger holds, and there is no other.
#[track_caller]
fn figures_are_as_recorded(world: &World) {
    let ledger = world.ledger();
    // Pages are written anew from the tables; which there are is for `page` to prove.
    let is_page = |name: &Path| {
        name.starts_with("communes") || name.starts_with("groups") || name.extension().is_some_and(|end| end == "html")
    };
    let mut published = world.published();
    assert!(published.contains_key(Path::new("index.en.html")));
    published.retain(|name, _| !is_page(name));
    let mut known = BTreeSet::from(["codes.json", "catalog.jsonld", "dataset.jsonld", "SHA256SUMS"].map(Into::into));
    let is_exact = |name: &Path| name.starts_with("exact");
    let exact = ledger.exact_tables().unwrap().into_iter().filter_map(|kept| {
        let folder = PathBuf::from("exact").join(&kept.table);
        known.extend([PathBuf::from("exact"), folder.clone()]);
        Some((folder.join(&kept.period), kept.files?))
    });
    let mut folders: Vec<(PathBuf, Vec<(String, String)>)> = exact.collect();
    for folder in published.iter().filter(|(name, bytes)| bytes.is_none() && !is_exact(name)).map(|(name, _)| name) {
        let publication = ledger.publication(&folder.display().to_string()).unwrap().unwrap();
        folders.push((folder.clone(), publication.files));
    }
    for (folder, files) in folders {
        known.insert(folder.clone());
        for (name, hash) in files {
            let path = folder.join(name);
            let bytes = published[&path].as_ref().unwrap();
            assert_eq!(chudong::personal::sha256(bytes), hash, "{}", path.display());
            known.insert(path);
        }
    }
    assert_eq!(published.keys().cloned().collect::<BTreeSet<_>>(), known);
}

// ---- night after night --------------------------------------------------------

#[test]
fn the_first_nights_of_the_sample_agency() {
    let world = World::of("an-binh");
    let first = world.night(NIGHT).with(0);
    insta::assert_snapshot!("summary_of_the_first_night", summary(&world, &first));
    messages_are_as_recorded(&world);
    figures_are_as_recorded(&world);
    assert!(world.published().keys().any(|name| name.ends_with("index.html")));
    world.ledger_is_sound();
    let (messages, published) = (world.messages(), world.published());
    let spent = world.ledger().spent().unwrap();

    // The same night again: nobody is written to, nothing is drawn, no byte differs.
    let second = world.night(NIGHT).with(0);
    insta::assert_snapshot!("summary_of_the_second_night", summary(&world, &second));
    assert_eq!(differences(&messages, &world.messages()), Vec::<String>::new());
    assert_eq!(differences(&published, &world.published()), Vec::<String>::new());
    assert_eq!(world.ledger().spent().unwrap(), spent);

    // And for a program.
    let third = world.chudong(&["run", "--as-of", NIGHT, "--format", "json"]).with(0);
    let mut counts = report(&third);
    assert_eq!(counts.run.as_deref(), Some("2026-11-21.3"));
    counts.run = Some("2026-11-21.2".into());
    let as_text = Ended { out: counts.to_string(), ..third };
    assert_eq!(summary(&world, &as_text), summary(&world, &second));

    // The next day only those are written to whose stage begins on it: the data has not changed.
    let next = world.chudong(&["run", "--as-of", NEXT, "--format", "json"]).with(0);
    let today: Date = NEXT.parse().unwrap();
    let mut sent = 0;
    for (_, body) in world.recorded().iter().filter(|(run, _)| run == "2026-11-22.1") {
        let due_on: Date = body["due_on"].as_str().unwrap().parse().unwrap();
        assert_eq!(i64::from((due_on - today).get_days()), body["stage"].as_i64().unwrap(), "{body}");
        sent += 1;
    }
    assert!(sent > 0);
    assert_eq!(report(&next).items.iter().map(|item| item.messages).sum::<u64>(), sent);
    assert_eq!(world.messages().len() as u64, messages.len() as u64 + sent);
    assert_eq!(differences(&published, &world.published()), Vec::<String>::new());
    world.ledger_is_sound();
}

#[test]
fn the_state_folder_may_lie_beside_where_one_stands() {
    let world = World::small(40);
    world.without_figures();
    let (root, state) = (world.root(), world.state());
    assert_eq!(root.parent(), state.parent());
    let beside = Path::new("..").join(state.file_name().unwrap());
    let mut command = world.command(&["run", "--as-of", NIGHT]);
    // What is named twice would be refused: this command names nothing but what is relative.
    let mut relative = Command::new(command.get_program());
    relative.args(["run", "--as-of", NIGHT, "--root", ".", "--agency", "an-binh", "--state"]).arg(&beside);
    relative.env("CHUDONG_TODAY", NIGHT).env("TMPDIR", world.temporary()).current_dir(&root);
    let ended = crate::support::world::run(&mut relative).with(0);
    assert!(!ended.out.contains("sql.engine") && state.join("ledger.sqlite").exists(), "{}", ended.out);
    // The same night by its whole path finds that nothing is left to do.
    let again = crate::support::world::run(&mut command).with(0);
    assert!(again.out.contains("Nothing was left to do"), "{}", again.out);
}

#[test]
fn a_person_reminded_at_sixty_days_is_reminded_again_at_thirty_and_at_seven() {
    let world = World::of("binh-minh");
    world.without_figures();
    world.night(NIGHT).with(0);
    // Obligation, day due, and the stages that were sent for it.
    let stages = || -> BTreeMap<String, (Date, Vec<i64>)> {
        let mut stages: BTreeMap<String, (Date, Vec<i64>)> = BTreeMap::new();
        for (_, body) in world.recorded() {
            let due_on = body["due_on"].as_str().unwrap().parse().unwrap();
            let sent = &mut stages.entry(body["obligation"].as_str().unwrap().into()).or_insert((due_on, vec![])).1;
            sent.push(body["stage"].as_i64().unwrap());
        }
        stages
    };
    let first = stages();
    let (obligation, (due_on, _)) = first.iter().find(|(_, (_, sent))| *sent == [60]).unwrap();
    for (days, expected) in [(31, vec![60]), (30, vec![60, 30]), (29, vec![60, 30]), (2, vec![60, 30, 7])] {
        let as_of = due_on.checked_sub(jiff::ToSpan::days(days)).unwrap();
        if as_of > NIGHT.parse::<Date>().unwrap() {
            world.night(&as_of.to_string()).with(0);
        }
        assert_eq!(stages()[obligation].1, expected, "{days} days before");
    }
    messages_are_as_recorded(&world);
}

#[test]
fn a_plan_writes_nothing_and_says_what_differs() {
    let world = World::small(500);
    let plan = |as_of: &str| {
        let before = world.everything();
        let text = world.chudong(&["plan", "--as-of", as_of]).with(0);
        let json = world.chudong(&["plan", "--as-of", as_of, "--format", "json"]).with(0);
        assert_eq!(differences(&before, &world.everything()), Vec::<String>::new());
        let as_text = Ended { out: report(&json).to_string(), ..json };
        assert_eq!(summary(&world, &as_text), summary(&world, &text));
        summary(&world, &text)
    };
    let before = plan(NIGHT);
    assert!(!world.state().exists());
    world.night(NIGHT).with(0);
    let after = plan(NIGHT);
    let next = plan(NEXT);
    insta::assert_snapshot!("plans", format!("{before}\n----\n\n{after}\n----\n\n{next}"));

    // What the plan foresaw is what the next night does.
    let foreseen = report(&world.chudong(&["plan", "--as-of", NEXT, "--format", "json"]).with(0));
    let done = report(&world.chudong(&["run", "--as-of", NEXT, "--format", "json"]).with(0));
    assert_eq!(foreseen.items, done.items);
}

#[test]
fn a_plan_beside_what_a_killed_run_left_writes_nothing() {
    let mut world = World::small(500);
    killed(&world, &At::Line("sending", Duration::ZERO));
    let before = world.everything();
    world.chudong(&["plan", "--as-of", NIGHT]).with(0);
    world.chudong(&["ledger", "list"]).with(0);
    // SQLite's index of the log is rebuilt after a crash; it is no record.
    let mut after = world.everything();
    let index = std::path::Path::new("state/ledger.sqlite-shm");
    if let (Some(old), Some(new)) = (before.get(index), after.get_mut(index)) {
        new.clone_from(old);
    }
    assert_eq!(differences(&before, &after), Vec::<String>::new());
    world.leaves_in_flight();
}

/// Folders of plans in the landing folder.
fn plans(world: &World) -> Vec<PathBuf> {
    let listing = std::fs::read_dir(world.state().join("landing")).into_iter().flatten();
    let names = listing.map(|entry| entry.unwrap().path());
    names.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(".plan-")).collect()
}

/// Stops a plan when all has landed, lets another verb do its work, and kills the plan.
fn killed_plan(world: &World, meanwhile: impl Fn()) {
    let mut command = world.command(&["plan", "--as-of", NIGHT]);
    let mut plan = command.process_group(0).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(plan.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("building")), "the plan never came so far");
    postgres::signal("STOP", plan.id().into());
    let under_way = plans(world);
    assert!(!under_way.is_empty(), "the plan lands elsewhere");
    for folder in &under_way {
        assert_eq!(std::fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    }
    meanwhile();
    assert_eq!(plans(world), under_way, "what a plan is using was taken from it");
    plan.kill().unwrap();
    plan.wait().unwrap();
    assert_eq!(plans(world), under_way);
}

#[test]
fn what_a_killed_plan_had_landed_lies_in_the_state_folder_and_goes_with_the_next_verb() {
    let world = World::small(500);
    let plan = || drop(world.chudong(&["plan", "--as-of", NEXT]).with(0));
    let run = || drop(world.night(NIGHT).with(0));
    let number = world.root().join("number");
    chudong::files::replace(&number, b"001200000000").unwrap();
    // Every table can be searched: those in which nobody could be found are not kept.
    let erase = || drop(world.chudong(&["erase", "--number-from", &number.display().to_string()]).with(0));
    for verb in [&plan as &dyn Fn(), &run, &erase] {
        killed_plan(&world, verb);
        verb();
        assert_eq!(plans(&world), Vec::<PathBuf>::new());
    }
    let is_empty = std::fs::read_dir(world.temporary()).unwrap().next().is_none();
    assert!(is_empty, "something was left in the folder for temporary files");
}

// ---- a run that is interrupted ----------------------------------------------------

/// When a run is killed.
enum At {
    /// So long after its start.
    Time(Duration),
    /// So long after it said that it begins a step.
    Line(&'static str, Duration),
}

/// A night under way; its log can be read.
fn started(world: &World) -> Child {
    let mut command = world.command(&["run", "--as-of", NIGHT]);
    command.process_group(0).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Starts a night and kills it as the system would, without a chance to tidy up. True when it had ended before.
fn killed(world: &World, at: &At) -> bool {
    let mut run = started(world);
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines().map_while(Result::ok);
    let wait = match at {
        At::Time(wait) => *wait,
        At::Line(step, wait) => {
            lines.find(|line| line.contains(step));
            *wait
        }
    };
    std::thread::sleep(wait);
    // SIGKILL; a night starts no process of its own, so there is nobody else to end.
    drop(run.kill());
    // A process that had ended has a code; one that was killed has none.
    run.wait().unwrap().code().is_some()
}

/// Some milliseconds below `most`, another number every time.
fn some(most: u64) -> Duration {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    Duration::from_millis(u64::from_le_bytes(bytes) % most)
}

/// An installation whose night is short: it is run forty times.
fn short() -> World {
    let world = World::small(500);
    world.edit("pipelines/an-binh/pipeline.toml", "first_month = 2026-07-01", "first_month = 2026-09-01");
    world
}

#[test]
fn a_run_killed_anywhere_is_finished_by_the_next() {
    let undisturbed = short();
    let begun = Instant::now();
    undisturbed.night(NIGHT).with(0);
    let length = begun.elapsed();
    let messages = undisturbed.messages();
    assert!(messages.len() > 20);
    let key = std::fs::read(undisturbed.state().join("keys/pseudonym.key")).unwrap();
    let cost: Vec<(String, Rho)> = undisturbed.ledger().spent().unwrap();

    let mut moments: Vec<At> = Vec::new();
    for _ in 0..4 * times() {
        let most = u64::try_from(length.as_millis()).unwrap().max(1);
        moments.push(At::Time(some(most)));
    }
    // The messages are in flight when it says so: these two are killed in the window that SMTP cannot close.
    moments.extend([At::Line("sending", Duration::ZERO), At::Line("sending", Duration::from_millis(3))]);
    let steps = [
        "pulling insurance",
        "pulling population",
        "building staging.people",
        "building obligations.driving_licence",
        "opening the channel",
        "writing",
        "sending",
        "sending",
        "closing 2026-09",
        "closing 2026-10",
        "closing 2026-10",
        "publishing",
        "publishing",
        "publishing",
    ];
    for _ in 0..times() {
        moments.extend(steps.into_iter().enumerate().map(|(index, step)| At::Line(step, some(1 + 16 * index as u64))));
    }
    let [next, cut, in_flight] = [const { AtomicUsize::new(0) }; 3];
    let threads = std::thread::available_parallelism().map_or(2, |threads| threads.get().clamp(2, 4));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(at) = moments.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let what = match at {
                        At::Time(wait) => format!("killed after {wait:?} of {length:?}"),
                        At::Line(step, wait) => format!("killed {wait:?} after it said: {step}"),
                    };
                    let was = finished_by_the_next(at, &key, &messages, &cost, &what);
                    cut.fetch_add(usize::from(was.cut), Ordering::Relaxed);
                    in_flight.fetch_add(usize::from(was.in_flight), Ordering::Relaxed);
                }
            });
        }
    });
    assert!(cut.into_inner() >= moments.len() * 2 / 3, "most runs were over before they were killed");
    assert!(in_flight.into_inner() > 0, "no run was killed while messages were in flight");
}

/// What a kill met.
struct Was {
    /// The run had not ended.
    cut: bool,
    /// Messages were recorded and not settled.
    in_flight: bool,
}

fn finished_by_the_next(at: &At, key: &[u8], messages: &Tree, cost: &[(String, Rho)], what: &str) -> Was {
    let world = short();
    std::fs::create_dir_all(world.state().join("keys")).unwrap();
    std::fs::write(world.state().join("keys/pseudonym.key"), key).unwrap();
    let cut = !killed(&world, at);

    // What is seen from outside is whole already: each period has all its files, and each message is one of ours.
    let published = world.published();
    let is_period = |name: &Path| name.to_string_lossy().starts_with("20");
    for period in published.iter().filter(|(name, bytes)| bytes.is_none() && is_period(name)).map(|(name, _)| name) {
        let files = published.keys().filter(|name| name.parent() == Some(period)).count();
        assert_eq!(files, 34, "{what}: {}", period.display());
    }
    for (name, bytes) in world.messages().iter().filter(|(name, _)| !name.to_string_lossy().starts_with('.')) {
        assert_eq!(messages.get(name), Some(bytes), "{what}: {}", name.display());
    }

    let ended = world.night(NIGHT);
    assert_eq!(ended.code, Some(0), "{what}\n{}\n{}", ended.out, ended.err);
    assert_eq!(differences(messages, &world.messages()), Vec::<String>::new(), "{what}");
    messages_are_as_recorded(&world);
    figures_are_as_recorded(&world);
    let spent = world.ledger().spent().unwrap();
    assert_eq!(spent.len(), cost.len(), "{what}");
    let cap = Rho::new(3, 8);
    for ((month, spent), (_, cost)) in spent.iter().zip(cost) {
        assert!(spent >= cost && *spent <= cap, "{what}: {month} cost {spent}");
    }
    let verified = world.chudong(&["ledger", "verify"]);
    assert_eq!(verified.code, Some(0), "{what}\n{}", verified.err);
    // What a killed run had begun and not finished is gone.
    let left: Vec<String> = tree(&world.state()).keys().map(|name| name.display().to_string()).collect();
    let is_half = |name: &&String| name.ends_with(".part") || name.contains("staging") || name.contains("/.");
    assert_eq!(left.iter().filter(is_half).collect::<Vec<_>>(), Vec::<&String>::new(), "{what}");
    Was { cut, in_flight: ended.out.contains("were in flight when an earlier run ended") }
}

#[test]
fn of_two_runs_at_once_one_is_refused() {
    let world = World::small(500);
    let mut first =
        world.command(&["run", "--as-of", NIGHT]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(first.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.by_ref().any(|line| line.contains("pulling")));
    let second = world.night(NIGHT).with(1);
    insta::assert_snapshot!(world.shown(&second.said()), @r"
    error[ledger.locked]: another run is at work in this state folder
      at:   [world]/state/lock
      next: wait until the other run has ended
    ");
    for _ in lines {}
    assert!(first.wait().unwrap().success());
    messages_are_as_recorded(&world);
    figures_are_as_recorded(&world);
    assert!(world.outbox().iter().all(|row| row.attempts == 1));
    assert_eq!(world.ledger().runs().unwrap().len(), 1);
    world.ledger_is_sound();
}

// ---- another agency, other sources, another channel -----------------------------------

#[test]
fn a_second_agency_has_a_state_folder_of_its_own() {
    let world = World::of("binh-minh");
    let first = world.night(NIGHT).with(0);
    insta::assert_snapshot!("summary_of_the_second_agency", summary(&world, &first));
    messages_are_as_recorded(&world);
    assert!(!world.messages().is_empty());
    // It has no privacy policy, so that all its tables are exact, with the small counts withheld.
    let shelf = world.published();
    let tables: Vec<_> = shelf.keys().filter(|path| path.extension().is_some_and(|end| end == "csv")).collect();
    assert!(tables.len() > 5 && tables.iter().all(|path| path.starts_with("exact")), "{tables:?}");
    world.ledger_is_sound();

    let before = tree(&world.state());
    // The last word wins on the command line of the other agency.
    let mut other = Command::new(env!("CARGO_BIN_EXE_chudong"));
    other.args(["run", "--as-of", NIGHT, "--agency", "an-binh", "--root"]).arg(world.root());
    let other = crate::support::world::run(other.arg("--state").arg(world.state())).with(1);
    insta::assert_snapshot!(world.shown(&other.said()), @r"
    error[ledger.other-agency]: this state folder belongs to the agency binh-minh, not to an-binh
      at:   [world]/state/ledger.sqlite
      next: give each agency a state folder of its own with --state
    ");
    assert_eq!(differences(&before, &tree(&world.state())), Vec::<String>::new());
}

#[test]
fn a_night_on_postgres_sends_what_a_night_on_sqlite_sends() {
    let on_sqlite = World::small(500);
    on_sqlite.night(NIGHT).with(0);

    let on_postgres = World::small(500);
    std::fs::create_dir_all(on_postgres.state().join("keys")).unwrap();
    let key = std::path::Path::new("keys/pseudonym.key");
    std::fs::copy(on_sqlite.state().join(key), on_postgres.state().join(key)).unwrap();
    let server = postgres::Server::start();
    let file = on_postgres.root().join("data-samples/an-binh/population.sqlite");
    server.run(&as_postgres(&file));
    let SourceKind::Postgres(chudong::pipeline::Server { host, port, database, user, .. }) =
        server.over_socket("owner")
    else {
        unreachable!()
    };
    on_postgres.edit(
        "pipelines/an-binh/pipeline.toml",
        "kind = \"sqlite\"\npath = \"data-samples/an-binh/population.sqlite\"",
        &format!("kind = \"postgres\"\nhost = \"{host}\"\nport = {port}\ndatabase = \"{database}\"\nuser = \"{user}\""),
    );
    // A server gives what it holds today: the authorisation has to hold on the day of the test as well.
    on_postgres.edit("pipelines/an-binh/pipeline.toml", "to = 2027-06-30", "to = 2099-12-31");
    std::fs::remove_file(file).unwrap();
    on_postgres.night(NIGHT).with(0);

    assert!(on_sqlite.messages().len() > 20);
    assert_eq!(differences(&on_sqlite.messages(), &on_postgres.messages()), Vec::<String>::new());
    figures_are_as_recorded(&on_postgres);
}

/// The tables of an SQLite file as SQL for PostgreSQL, with types of its own for dates and truth values.
fn as_postgres(file: &std::path::Path) -> String {
    let connection = rusqlite::Connection::open(file).unwrap();
    let texts = |sql: &str| -> Vec<String> {
        let mut select = connection.prepare(sql).unwrap();
        select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let mut sql = String::new();
    for table in texts("select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'") {
        let columns = texts(&format!("select name from pragma_table_info('{table}')"));
        let kind = |column: &String| match column.as_str() {
            name if name.ends_with("_on") || name.ends_with("_date") => "date",
            "refuses_reminders" => "boolean",
            _ => "text",
        };
        let declared: Vec<String> = columns.iter().map(|column| format!("{column} {}", kind(column))).collect();
        sql.push_str(&format!("create table {table} ({});\n", declared.join(", ")));
        let quoted: Vec<String> =
            columns.iter().map(|column| format!("coalesce(quote(cast({column} as text)), 'null')")).collect();
        for row in texts(&format!("select {} from {table}", quoted.join(" || ', ' || "))) {
            sql.push_str(&format!("insert into {table} values ({row});\n"));
        }
    }
    sql
}

/// The second agency with a mail server; what a crash leaves uncertain of one item waits for a clerk.
fn over_smtp(server: &smtp::Server) -> World {
    let world = World::of("binh-minh");
    let channel = format!("kind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"", server.port);
    world.edit("pipelines/binh-minh/pipeline.toml", "kind = \"folder\"", &channel);
    world.edit("pipelines/items/temporary_residence/item.toml", "\"resend\"", "\"leave_to_clerk\"");
    world
}

/// The night over SMTP: its report, and the messages accepted, deferred, refused and uncertain.
fn smtp_night(world: &World, code: i32) -> (Report, [u64; 4]) {
    let report = report(&world.chudong(&["run", "--as-of", NIGHT, "--format", "json"]).with(code));
    let mut sums = [0; 4];
    for item in &report.items {
        for (sum, count) in sums.iter_mut().zip([item.messages, item.deferred, item.refused, item.uncertain]) {
            *sum += count;
        }
    }
    (report, sums)
}

#[test]
fn messages_leave_by_smtp_and_each_answer_of_the_server_is_kept() {
    let server = smtp::Server::start("220 test.example", &["PIPELINING"], 1000);
    let world = over_smtp(&server);
    let (_, good) = smtp_night(&world, 0);
    let recipients = server.recipients();
    assert!(recipients.len() >= 8);
    assert_eq!(good, [recipients.len() as u64, 0, 0, 0]);
    assert!(world.outbox().iter().all(|row| row.state == MessageState::Accepted));
    assert_eq!(world.messages(), Tree::new(), "nothing is written to the folder");

    // Another installation with the same people: one is to be written to later, and one never.
    let server = smtp::Server::start("220 test.example", &["PIPELINING"], 1000);
    let world = over_smtp(&server);
    let (later, never) = (recipients.first().unwrap().clone(), recipients.last().unwrap().clone());
    let to = |who: &String| recipients.iter().filter(|recipient| *recipient == who).count() as u64;
    let (to_later, to_never) = (to(&later), to(&never));
    let all = recipients.len() as u64;
    assert!(to_later + to_never < all);
    let is_never = never.clone();
    server.set_moods(move |to| match to {
        to if to == later => Mood::AtRecipient("451 4.7.1 later"),
        to if to == is_never => Mood::AtRecipient("550 5.1.1 no such person"),
        _ => Mood::Takes,
    });
    assert_eq!(smtp_night(&world, 0).1, [all - to_later - to_never, to_later, to_never, 0]);

    // The next run sends what was deferred and nothing else, not even to whom the server would take now.
    server.set_moods(|_| Mood::Takes);
    let (report, sums) = smtp_night(&world, 0);
    assert_eq!(sums, [to_later, 0, 0, 0]);
    let held: u64 = report.items.iter().filter_map(|item| item.held.get("refused by whoever was to take it")).sum();
    assert_eq!(held, to_never);
    let expected: Vec<String> = recipients.into_iter().filter(|to| *to != never).collect();
    assert_eq!(server.recipients(), expected);
    assert_eq!(smtp_night(&world, 0).1, [0, 0, 0, 0]);
    assert_eq!(server.recipients(), expected);
    world.ledger_is_sound();
}

/// The mail server refuses the agency, and says nothing about anybody: what it refused waits until a person has set it
/// right and lifts the stop, and then everybody is written to, once.
#[test]
fn a_server_that_refuses_the_agency_ends_nobodys_stage() {
    let server = smtp::Server::start("220 test.example", &["PIPELINING"], 1000);
    let world = over_smtp(&server);
    server.set_moods(|_| Mood::AtEnd("554 5.7.1 bad reputation"));
    let refused = world.chudong(&["run", "--as-of", NIGHT]);
    assert!(refused.out.contains("ledger breakers"), "{}", refused.out);
    let rows = world.outbox();
    assert!(!rows.is_empty());
    let waits = |state| matches!(state, MessageState::Deferred | MessageState::Reserved);
    assert!(rows.iter().all(|row| waits(row.state)), "{rows:?}");
    // As long as it is stopped nothing is tried.
    server.set_moods(|_| Mood::Takes);
    world.chudong(&["run", "--as-of", NIGHT]);
    assert_eq!(server.recipients().len(), 0);
    let stops = world.chudong(&["ledger", "breakers", "--format", "json"]).with(0).out;
    for stop in serde_json::Deserializer::from_str(&stops).into_iter::<serde_json::Value>() {
        let stop = stop.unwrap();
        world.chudong(&["ledger", "breakers", "--lift", stop["scope"].as_str().unwrap()]).with(0);
    }
    smtp_night(&world, 0);
    assert_eq!(server.recipients().len(), rows.len());
    assert!(world.outbox().iter().all(|row| row.state == MessageState::Accepted));
    world.ledger_is_sound();
}

#[test]
fn a_connection_lost_after_the_message_is_settled_by_the_policy_of_the_item() {
    let server = smtp::Server::start("220 test.example", &[], 1000);
    let world = over_smtp(&server);
    server.set_moods(|_| Mood::DropsAfterMessage);
    let (first, _) = smtp_night(&world, 3);
    let line = |name: &str| first.items.iter().find(|item| item.item == name).unwrap();
    let resent = line("driving_licence").uncertain;
    let left = line("temporary_residence").held["uncertain after a crash, left to a clerk"];
    assert!(resent > 0 && left > 0);
    assert!(world.outbox().iter().all(|row| row.state == MessageState::Uncertain));

    server.set_moods(|_| Mood::Takes);
    let second = world.night(NIGHT).with(3);
    assert!(second.out.contains(&format!("{left} uncertain after a crash, left to a clerk")), "{}", second.out);
    assert!(second.out.contains("as of 2026-11-21: held"), "{}", second.out);
    assert_eq!(server.recipients().len() as u64, resent);
    // The clerk is asked again each night, and nobody is written to twice.
    assert_eq!(smtp_night(&world, 3).1, [0, 0, 0, 0]);
    assert_eq!(server.recipients().len() as u64, resent);
    world.ledger_is_sound();
}

/// The state folder was made by somebody else, for all to enter; and `published` is a link into a web root elsewhere.
#[test]
fn the_shelf_may_be_elsewhere_and_the_ledger_is_private_wherever_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::small(400);
    // Where there is a second file system, a rename from beside the link would fail; elsewhere
    // the staging folder beside the link would be seen by its name.
    let memory = std::path::Path::new("/dev/shm");
    let elsewhere = if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() };
    let figures = elsewhere.path().join("figures");
    std::fs::create_dir(&figures).unwrap();
    std::fs::create_dir(world.state()).unwrap();
    std::fs::set_permissions(world.state(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(&figures, world.state().join("published")).unwrap();
    // Whatever stands beside the link in place of the staging folder is in nobody's way.
    std::fs::write(world.state().join("published.staging"), "").unwrap();
    world.night(NIGHT).with(0);
    assert!(figures.join("index.html").is_file() && figures.join("2026-10").is_dir());
    assert!(!elsewhere.path().join("figures.staging").exists());
    let mode = |name: &str| std::fs::metadata(world.state().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("ledger.sqlite"), 0o600);

    // One that an earlier version made for all to read is taken back.
    std::fs::set_permissions(world.state().join("ledger.sqlite"), std::fs::Permissions::from_mode(0o644)).unwrap();
    world.night(NIGHT).with(0);
    assert_eq!(mode("ledger.sqlite"), 0o600);
    world.ledger_is_sound();
}

/// A clerk has looked into the server's journal: one message had arrived, the others had not.
#[test]
fn a_clerk_settles_what_is_uncertain_and_no_night_asks_again() {
    let server = smtp::Server::start("220 test.example", &[], 1000);
    let world = over_smtp(&server);
    server.set_moods(|_| Mood::DropsAfterMessage);
    smtp_night(&world, 3);
    server.set_moods(|_| Mood::Takes);
    smtp_night(&world, 3);
    let taken = server.recipients().len();

    let list = world.chudong(&["ledger", "uncertain"]).with(0).out;
    let keys: Vec<&str> = list.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(keys.len() >= 2 && list.lines().all(|line| line.contains(" temporary_residence ")), "{list}");
    let settle = |key: &str, decision: &str, reason: &str| {
        world.chudong(&["ledger", "settle", key, decision, "--reason", reason])
    };
    // Nothing is settled without a reason, with a person in it, or twice; and nothing that is not uncertain.
    settle(keys[0], "accepted", " ").with(1);
    let refused = settle(keys[0], "accepted", "An of 097059261121 has it").with(1);
    assert!(refused.err.contains("error[cli.reason]"), "{}", refused.err);
    settle(keys[0], "perhaps", "journal of the server").with(2);
    let refused = settle("no-such-key", "accepted", "journal of the server").with(1);
    assert!(refused.err.contains("error[ledger.not-uncertain]"), "{}", refused.err);

    settle(keys[0], "accepted", "in the journal of the server").with(0);
    let twice = settle(keys[0], "resend", "in the journal of the server").with(1);
    assert!(twice.err.contains("is accepted, not uncertain"), "{}", twice.err);
    for key in &keys[1..] {
        settle(key, "resend", "not in the journal of the server").with(0);
    }
    let entry = world.entries("messages.settled").pop().unwrap();
    let body = body(&entry);
    assert_eq!(body["messages"][0]["reason"], "not in the journal of the server");
    let by = body["decided_by"].as_str().unwrap();
    assert_eq!(by, String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim());
    assert_eq!(world.chudong(&["ledger", "uncertain"]).with(0).out, "");
    world.ledger_is_sound();

    // The next night is a quiet one: it sends what was to be sent again, and holds nothing for a person.
    smtp_night(&world, 0);
    assert_eq!(server.recipients().len(), taken + keys.len() - 1);
    smtp_night(&world, 0);
    assert_eq!(server.recipients().len(), taken + keys.len() - 1);
    world.ledger_is_sound();

    // While a run is at work, nobody decides.
    let _lock = chudong::ledger::Lock::take(&world.state()).unwrap();
    let locked = settle(keys[0], "accepted", "in the journal of the server").with(1);
    assert!(locked.err.contains("error[ledger.locked]"), "{}", locked.err);
}

#[test]
fn a_run_killed_on_the_wire_is_settled_by_the_policy_of_the_item() {
    let server = smtp::Server::start("220 test.example", &[], 1000);
    let world = over_smtp(&server);
    // The server reads each message and never answers: whoever is killed now cannot know.
    server.set_moods(|_| Mood::Silent);
    assert!(!killed(&world, &At::Line("sending", Duration::from_millis(200))));
    let in_flight = world.outbox().iter().filter(|row| row.state == MessageState::InFlight).count();
    let left = world.outbox().iter().filter(|row| row.item == "temporary_residence").count();
    assert!(left > 0 && in_flight > left);

    server.set_moods(|_| Mood::Takes);
    let second = world.night(NIGHT).with(3);
    let said = format!("{in_flight} messages were in flight when an earlier run ended");
    assert!(second.out.contains(&said), "{}", second.out);
    assert!(second.out.contains(&format!("{left} uncertain after a crash, left to a clerk")), "{}", second.out);
    assert_eq!(server.recipients().len(), in_flight - left);
    smtp_night(&world, 3);
    assert_eq!(server.recipients().len(), in_flight - left);
    world.ledger_is_sound();
}

#[test]
#[should_panic(expected = "messages are recorded and not settled")]
fn a_world_that_is_dropped_with_messages_in_flight_fails_its_test() {
    let server = smtp::Server::start("220 test.example", &[], 1000);
    let world = over_smtp(&server);
    server.set_moods(|_| Mood::Silent);
    killed(&world, &At::Line("sending", Duration::from_millis(200)));
}

// ---- no person --------------------------------------------------------------------------

/// Byte strings that are looked for together.
struct Needles(BTreeMap<[u8; 8], Vec<String>>);

impl Needles {
    fn new(words: impl IntoIterator<Item = String>) -> Self {
        let mut needles = BTreeMap::<[u8; 8], Vec<String>>::new();
        for word in words {
            // What is shorter than eight bytes would be found anywhere.
            if let Some(start) = word.as_bytes().first_chunk() {
                needles.entry(*start).or_default().push(word);
            }
        }
        Needles(needles)
    }

    /// How many are in `bytes`. They are not named: a failing test must not show them either.
    fn count_in(&self, bytes: &[u8]) -> usize {
        let found = |(index, window): (usize, &[u8])| {
            let start: &[u8; 8] = window.first_chunk()?;
            let words = self.0.get(start)?;
            words.iter().any(|word| bytes[index..].starts_with(word.as_bytes())).then_some(())
        };
        bytes.windows(8).enumerate().filter_map(found).count()
    }
}

#[test]
fn no_person_is_in_a_log_a_summary_the_ledger_or_on_the_shelf() {
    let world = World::small(1500);
    let data = world.root().join("data-samples/an-binh");
    let population = rusqlite::Connection::open(data.join("population.sqlite")).unwrap();
    let transport = rusqlite::Connection::open(data.join("transport.sqlite")).unwrap();
    // Values that are wrong are the ones that a message is tempted to show.
    population
        .execute_batch(
            "update citizens set email = 'Nguyễn <' || email || '>, x' where rowid % 5 = 0;
             update citizens set birth_date = full_name where rowid % 50 = 1;
             update identity_cards set issued_on = 'ngày ' || card_number where rowid % 40 = 1;
             update temporary_residences set expires_on = registration_number where rowid % 10 = 1",
        )
        .unwrap();
    transport.execute_batch("update driving_licences set issued_on = licence_number where rowid % 30 = 1").unwrap();
    let texts = |connection: &rusqlite::Connection, sql: &str| -> Vec<String> {
        let mut select = connection.prepare(sql).unwrap();
        select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let mut words = texts(&population, "select citizen_id from citizens union select full_name from citizens");
    words.extend(texts(&population, "select email from citizens where email is not null"));
    words.extend(texts(&population, "select card_number from identity_cards"));
    words.extend(texts(&population, "select registration_number from temporary_residences"));
    words.extend(texts(&transport, "select licence_number from driving_licences union select plate from vehicles"));
    assert!(words.len() > 5000);
    let needles = Needles::new(words);

    let ended = crate::support::world::run(world.command(&["run", "--as-of", NIGHT]).env("CHUDONG_LOG", "trace"));
    assert_eq!(ended.code, Some(0), "{}", ended.said());
    assert!(ended.out.contains("not a date") && ended.out.contains("address cannot be written to"), "{}", ended.out);
    let plan = world.chudong(&["plan", "--as-of", NEXT]).with(0);
    // A run that fails midway says more than one that does not.
    std::fs::remove_file(data.join("insurance/household_cards.csv")).unwrap();
    std::fs::write(data.join("one-stop/ratings.csv"), std::fs::read(data.join("one-stop/dossiers.csv")).unwrap())
        .unwrap();
    let failed =
        crate::support::world::run(world.command(&["run", "--as-of", NEXT]).env("CHUDONG_LOG", "trace")).with(1);

    // The search finds what is there: every letter names its recipient.
    let letters = world.messages();
    assert!(!letters.is_empty());
    assert!(letters.values().flatten().all(|bytes| needles.count_in(bytes) > 0));

    for (what, text) in [("run", &ended), ("plan", &plan), ("failed run", &failed)] {
        assert_eq!(needles.count_in(text.out.as_bytes()), 0, "in the summary of the {what}");
        assert_eq!(needles.count_in(text.err.as_bytes()), 0, "in the log of the {what}");
    }
    for (name, bytes) in tree(&world.state()) {
        assert_eq!(needles.count_in(name.to_string_lossy().as_bytes()), 0, "in the name of a file");
        // Landed tables and letters hold people: that is what they are for. The rest must not.
        let is_landed = name.starts_with("landing") && !name.to_string_lossy().contains(".quarantine.");
        if !is_landed && !name.starts_with("outbox") {
            let found = needles.count_in(&bytes.unwrap_or_default());
            assert_eq!(found, 0, "in {}", name.display());
        }
    }
    let listed = world.chudong(&["ledger", "list", "--last", "100000"]).with(0);
    assert_eq!(needles.count_in(listed.out.as_bytes()), 0, "in the list of the ledger");
}
