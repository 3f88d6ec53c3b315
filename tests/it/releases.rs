//! Releases of figures over nights: late records, two editions, runs that are killed, replays, what is spent.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use chudong::disclosure::{Draws, release};
use chudong::fault::Explain;
use chudong::ledger::{Ledger, Reservation};
use chudong::pipeline::reader::Faults;
use chudong::pipeline::{self, Rho};
use chudong::publication::{self, Labels, Status};
use serde_json::Value;

use crate::support::world::{Tree, World};

const DOSSIERS: &str = "data-samples/an-binh/one-stop/dossiers.csv";
const PIPELINE: &str = "pipelines/an-binh/pipeline.toml";

/// An agency that has published since October 2026.
fn one_month() -> World {
    let world = World::small(400);
    world.edit(PIPELINE, "first_month = 2026-07-01", "first_month = 2026-10-01");
    world
}

/// The same in two editions: on 11 November and on 21 November.
fn two_editions() -> World {
    let world = one_month();
    world.edit(
        PIPELINE,
        "[[privacy.measures]]\ntable = \"satisfaction_by_commune\"\n",
        "[privacy.editions]\nfirst_percent = 30\nsecond_after_days = 20\n\n\
         [[privacy.measures]]\ntable = \"satisfaction_by_commune\"\n",
    );
    world
}

/// Takes one dossier that was due in October, and with it its rating, out of the source: of a person all of whose dossiers
/// of that month count; returns the whole file. A month of ratings is taken in once: a late one gets into the second
/// edition and into no other.
fn without_one(world: &World) -> String {
    let whole = std::fs::read_to_string(world.root().join(DOSSIERS)).unwrap();
    let fields = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<String>>();
    let of_october: Vec<&str> = whole.lines().filter(|line| fields(line)[7].ends_with("/10/2026")).collect();
    let of_person = |line: &&str| of_october.iter().filter(|other| fields(other)[1] == fields(line)[1]).count();
    let is_counted = |line: &&&str| !["3", "7"].contains(&fields(line)[5].as_str()) && of_person(line) <= 2;
    let late = of_october.iter().find(is_counted).unwrap();
    world.put(DOSSIERS, whole.replace(&format!("{late}\n"), "").as_bytes());
    whole
}

fn of_folder(tree: &Tree, folder: &str) -> Tree {
    tree.iter()
        .filter(|(path, _)| path.starts_with(folder))
        .map(|(path, bytes)| (path.clone(), bytes.clone()))
        .collect()
}

fn spent(world: &World) -> Vec<(String, Rho)> {
    world.ledger().spent().unwrap()
}

#[test]
fn one_late_record_in_a_closed_month_changes_and_costs_nothing() {
    let world = one_month();
    let whole = without_one(&world);
    world.night("2026-11-21").with(0);
    let (published, cost) = (world.published(), spent(&world));
    assert_eq!(cost, [("2026-10".to_owned(), Rho::new(3, 16))]);
    world.put(DOSSIERS, whole.as_bytes());
    let night = world.night("2026-11-22").with(0);
    assert!(night.out.contains("Records changed after their month was published (2026-10)"), "{}", night.out);
    assert_eq!(world.published(), published);
    assert_eq!(spent(&world), cost);
    world.ledger_is_sound();
}

#[test]
fn a_late_record_gets_into_the_second_edition_and_there_is_no_third() {
    let world = two_editions();
    let whole = without_one(&world);
    let night = world.night("2026-11-20").with(0);
    assert!(!night.out.contains("Records changed"), "{}", night.out);
    let preliminary = of_folder(&world.published(), "2026-10-preliminary");
    assert!(preliminary.len() > 20 && of_folder(&world.published(), "2026-10").is_empty());
    assert_eq!(spent(&world), [("2026-10".to_owned(), Rho::new(9, 160))]);

    world.put(DOSSIERS, whole.as_bytes());
    // What comes late before the second edition is what that is for.
    let night = world.night("2026-11-20").with(0);
    assert!(!night.out.contains("Records changed"), "{}", night.out);
    assert_eq!(of_folder(&world.published(), "2026-10-preliminary"), preliminary);
    world.night("2026-11-21").with(0);
    let published = world.published();
    assert!(of_folder(&published, "2026-10").len() > 20);
    assert_eq!(of_folder(&published, "2026-10-preliminary"), preliminary);
    assert_eq!(spent(&world), [("2026-10".to_owned(), Rho::new(3, 16))]);

    without_one(&world);
    let night = world.night("2026-11-22").with(0);
    assert!(night.out.contains("Records changed after their month was published (2026-10)"), "{}", night.out);
    assert_eq!(world.published(), published);
    // A folder that is gone is made again from what was drawn, the preliminary one too.
    for folder in ["2026-10-preliminary", "2026-10"] {
        std::fs::remove_dir_all(world.state().join("published").join(folder)).unwrap();
    }
    world.night("2026-11-23").with(0);
    assert_eq!(world.published(), published);
    assert_eq!(spent(&world), [("2026-10".to_owned(), Rho::new(3, 16))]);
    world.ledger_is_sound();

    let said = world.chudong(&["budget"]).with(0).out;
    insta::assert_snapshot!(said);
    let said: Value = serde_json::from_str(&world.chudong(&["budget", "--format", "json"]).with(0).out).unwrap();
    let month = &said["months"][0];
    assert_eq!((&month["rho_spent"], &month["rho_left"]), (&"3/16".into(), &"3/16".into()));
    let draws: Vec<&str> =
        month["draws"].as_array().unwrap().iter().map(|draw| draw["rho"].as_str().unwrap()).collect();
    assert_eq!(draws, ["9/160", "21/160"]);
}

#[test]
fn without_a_ledger_or_a_policy_nothing_is_spent() {
    let world = World::small(400);
    let said = world.chudong(&["budget"]).with(0).out;
    assert!(said.ends_with("Nothing was ever drawn.\n"), "{said}");
    world.without_figures();
    let said = world.chudong(&["budget"]).with(0).out;
    assert!(said.contains("has no privacy policy"), "{said}");
    assert!(!world.state().exists(), "looking makes nothing");
}

/// The ledger by itself: a part counts against its month, a draw is replayed for the same rows alone.
#[test]
fn parts_share_the_cap_of_their_month_and_other_rows_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    let run = ledger.begin_run("2026-11-21".parse().unwrap()).unwrap();
    let reserve = |ledger: &mut Ledger, period: &str, id: &str, cost: Rho| {
        ledger.reserve(&run, period, (id, "spec"), "policy", cost, Rho::new(3, 8)).unwrap()
    };
    let is_reserved = |reservation: &Reservation| matches!(reservation, Reservation::Reserved { .. });
    assert!(is_reserved(&reserve(&mut ledger, "2026-10 first", "a", Rho::new(9, 160))));
    assert!(is_reserved(&reserve(&mut ledger, "2026-10 second", "b", Rho::new(21, 160))));
    // 3/16 of 3/8 are spent on October, whatever part asks; nothing on September.
    let left = Rho::new(3, 16);
    for period in ["2026-10", "2026-10 first", "2026-10 third"] {
        let refused = reserve(&mut ledger, period, "c", left + Rho::new(1, 1_000_000));
        assert!(matches!(refused, Reservation::Refused { spent } if spent == Rho::new(3, 16)), "{period}");
    }
    assert!(is_reserved(&reserve(&mut ledger, "2026-09", "d", Rho::new(3, 8))));
    ledger.store_draws(&run, "a", 1, b"noise").unwrap();
    for _ in 0..50 {
        let stored = reserve(&mut ledger, "2026-10 first", "a", Rho::new(9, 160));
        assert!(matches!(stored, Reservation::Stored(release) if release.draws == b"noise"));
    }
    // Other rows: what was drawn is shown, and nothing may be drawn again.
    let changed = reserve(&mut ledger, "2026-10 first", "z", Rho::new(9, 160));
    assert!(matches!(changed, Reservation::Changed(release) if release.release_id == "a"));
    assert_eq!(ledger.stored_parts("2026-10").unwrap().len(), 1);
    let spent = ledger.spent().unwrap();
    assert_eq!(spent, [("2026-09".to_owned(), Rho::new(3, 8)), ("2026-10".to_owned(), Rho::new(3, 16))]);
    let parts: Vec<String> =
        ledger.reservations().unwrap().iter().map(|row| format!("{} {} {}", row.month, row.part, row.state)).collect();
    assert_eq!(parts, ["2026-09 whole reserved", "2026-10 first drawn", "2026-10 second reserved"]);
    assert_eq!(chudong::ledger::verify::verify(folder.path()).unwrap().faults.len(), 0);
}

/// Kills a night so long after it said that it begins a step.
fn killed(world: &World, step: &str, wait: Duration) {
    let mut command = world.command(&["run", "--as-of", "2026-11-21"]);
    let mut run = command.process_group(0).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines().map_while(Result::ok);
    lines.find(|line| line.contains(step));
    std::thread::sleep(wait);
    drop(run.kill());
    run.wait().unwrap();
}

/// The same installation is killed again and again, at every step of both editions. Between two kills what is spent
/// never falls, and no file that was ever seen differs later.
#[test]
fn a_release_killed_at_each_step_never_gives_back_and_never_differs() {
    let world = two_editions();
    // Each kill may lose a draw; the cap leaves room for all of them.
    world.edit(PIPELINE, "rho_cap = \"3/8\"", "rho_cap = \"4\"");
    let mut seen = Tree::new();
    let mut most = Rho::from_integer(0);
    let steps = [
        ("closing 2026-10", 0),
        ("closing 2026-10", 4),
        ("closing 2026-10", 9),
        ("closing 2026-10", 16),
        ("publishing 2026-10", 0),
        ("publishing 2026-10", 5),
        ("publishing 2026-10", 30),
    ];
    for (step, wait) in steps {
        killed(&world, step, Duration::from_millis(wait));
        let now = if world.state().join("ledger.sqlite").exists() { spent(&world) } else { Vec::new() };
        let now = now.first().map_or(Rho::from_integer(0), |(_, rho)| *rho);
        assert!(now >= most, "{step}: {most} was spent, and then {now}");
        most = now;
        differ_nowhere(&mut seen, &world, step);
    }
    world.night("2026-11-21").with(0);
    differ_nowhere(&mut seen, &world, "the last night");
    let whole = spent(&world)[0].1;
    assert!(whole >= most && whole >= Rho::new(3, 16));
    world.night("2026-11-21").with(0);
    differ_nowhere(&mut seen, &world, "once more");
    assert_eq!(spent(&world)[0].1, whole);
    assert!(of_folder(&seen, "2026-10").len() > 20);
    world.ledger_is_sound();
}

fn differ_nowhere(seen: &mut Tree, world: &World, when: &str) {
    let frozen = |path: &std::path::Path| path.components().count() > 1;
    for (path, bytes) in world.published().into_iter().filter(|(path, _)| frozen(path)) {
        let before = seen.entry(path.clone()).or_insert_with(|| bytes.clone());
        assert_eq!(*before, bytes, "{when}: {}", path.display());
    }
}

/// The stored draws alone make the published files, the same bytes fifty times.
#[test]
fn fifty_replays_are_identical() {
    let world = one_month();
    world.night("2026-11-21").with(0);
    let stored = world.ledger().stored_release("2026-10").unwrap().unwrap();
    let pipeline = pipeline::read(&world.root(), "an-binh", &Faults::default()).unwrap();
    let policy = pipeline.privacy.as_ref().unwrap();
    let shelf = world.root().join("shelf");
    for replay in 0..50 {
        let draws = Draws::from_bytes(&stored.draws).unwrap();
        assert_eq!(draws.to_bytes().unwrap(), stored.draws);
        let released = release(&[draws], policy, &pipeline.unit, &pipeline.procedure_groups).unwrap();
        let published = publication::publish(&shelf, &released, &Labels::from(&pipeline)).unwrap();
        let expected = if replay == 0 { Status::Written } else { Status::Unchanged };
        assert_eq!(published.count(expected), published.files.len());
    }
    let (again, first) =
        (std::fs::read_dir(shelf.join("2026-10")).unwrap().count(), of_folder(&world.published(), "2026-10"));
    assert_eq!(again + 1, first.len());
    for (path, bytes) in first.iter().filter_map(|(path, bytes)| Some((path, bytes.as_ref()?))) {
        assert_eq!(&std::fs::read(shelf.join(path)).unwrap(), bytes, "{}", path.display());
    }
}

/// A select sees each period once, in the edition that stands; a withdrawal takes the preliminary one with the final one.
#[test]
fn a_select_sees_the_newest_edition_and_a_withdrawal_takes_all() {
    let world = two_editions();
    world.night("2026-11-11").with(0);
    let rows = |select: &str| world.chudong(&["query", "--format", "csv", select]);
    let all = "select count(*) as n from published.satisfaction_by_commune";
    assert_eq!(rows(all).with(0).out, "n\n8\n");
    world.night("2026-11-21").with(0);
    assert_eq!(rows(all).with(0).out, "n\n8\n");
    let editions =
        "select edition, count(*) as n from editions.satisfaction_by_commune group by edition order by edition";
    assert_eq!(rows(editions).with(0).out, "edition,n\nfinal,8\npreliminary,8\n");

    let page = |world: &World| std::fs::read(world.state().join("published/index.html")).unwrap();
    let before = page(&world);
    let asked = ["withdraw", "2026-10", "satisfaction_by_commune", "--reason", "the wrong communes were asked"];
    let said = world.chudong(&asked).with(0).out;
    assert!(said.contains("withdrawn from 2026-10:") && said.contains("withdrawn from 2026-10-preliminary:"), "{said}");
    assert!(page(&world) != before, "the page is renewed at once");
    for folder in ["2026-10", "2026-10-preliminary"] {
        let folder = world.state().join("published").join(folder);
        assert!(!folder.join("satisfaction_by_commune.csv").exists());
        assert!(folder.join("satisfaction_by_commune.tombstone.json").exists());
    }
    rows(all).with(1);
    let (shelf, renewed) = (world.published(), page(&world));
    world.night("2026-11-22").with(0);
    assert_eq!(page(&world), renewed);
    assert_eq!(of_folder(&shelf, "2026-10"), of_folder(&world.published(), "2026-10"));
    world.ledger_is_sound();
}

/// What a backup holds: the ledger and its head, without the journals.
const BACKED_UP: [&str; 2] = ["ledger.sqlite", "ledger.head"];

fn back_up(state: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in BACKED_UP {
        std::fs::copy(state.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn restore(backup: &Path, state: &Path) {
    for name in BACKED_UP {
        std::fs::copy(backup.join(name), state.join(name)).unwrap();
    }
    for name in ["ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(state.join(name));
    }
}

#[test]
fn a_restored_ledger_draws_no_month_a_second_time() {
    let world = one_month();
    world.night("2026-11-05").with(0);
    let backup = back_up(&world.state());
    world.night("2026-11-21").with(0);
    let october = of_folder(&world.published(), "2026-10");
    let cost = spent(&world);
    assert_eq!(cost, [("2026-10".to_owned(), Rho::new(3, 16))]);
    let drawn = world.ledger().stored_release("2026-10").unwrap().unwrap();

    // As the README says: the ledger comes back, the journals stay.
    restore(backup.path(), &world.state());
    assert!(spent(&world).is_empty(), "the ledger has forgotten");
    let said = world.chudong(&["budget"]).with(0).out;
    assert!(said.contains("2026-10  3/16"), "the journal has not: {said}");
    let night = world.night("2026-11-21").with(0);
    assert!(night.out.contains("1 draws of figures were not known to this ledger"), "{}", night.out);
    assert_eq!(world.ledger().stored_release("2026-10").unwrap().unwrap().draws, drawn.draws);
    assert_eq!(of_folder(&world.published(), "2026-10"), october);
    assert_eq!(spent(&world), cost);
    world.ledger_is_sound();

    // Where the figures are gone as well, the same are made again.
    restore(backup.path(), &world.state());
    std::fs::remove_dir_all(world.state().join("published").join("2026-10")).unwrap();
    world.night("2026-11-21").with(0);
    assert_eq!(of_folder(&world.published(), "2026-10"), october);
    assert_eq!(spent(&world), cost);

    // Without the journal nothing is drawn either while the figures stand there.
    restore(backup.path(), &world.state());
    std::fs::remove_file(world.state().join("drawn.journal")).unwrap();
    std::fs::remove_dir_all(world.state().join("drawn.parts")).unwrap();
    let night = world.night("2026-11-21").with(1);
    assert!(night.out.contains("publication.not-in-ledger"), "{}", night.out);
    assert!(spent(&world).is_empty() && world.entries("release.reserved").is_empty());
    assert_eq!(of_folder(&world.published(), "2026-10"), october);
}

/// The ledger by itself: what another ledger reserved and drew is spent, and comes back as it was.
#[test]
fn a_new_ledger_takes_over_what_the_journal_knows() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let cap = Rho::new(3, 8);
    let reserve = |ledger: &mut Ledger, period: &str, id: &str, cost: Rho| {
        ledger.reserve("run", period, (id, "spec"), "policy", cost, cap)
    };
    let mut ledger = Ledger::open(state, "an-binh").unwrap();
    reserve(&mut ledger, "2026-09", "a", Rho::new(3, 16)).unwrap();
    reserve(&mut ledger, "2026-10", "b", Rho::new(3, 16)).unwrap();
    ledger.store_draws("run", "b", 1, b"noise").unwrap();
    let known = ledger.reservations().unwrap();
    drop(ledger);
    let forget = || {
        for name in ["ledger.sqlite", "ledger.head", "ledger.sqlite-wal", "ledger.sqlite-shm"] {
            let _ = std::fs::remove_file(state.join(name));
        }
    };
    forget();
    let mut ledger = Ledger::open(state, "an-binh").unwrap();
    assert_eq!(ledger.reservations().unwrap(), known, "before it is taken over too");
    assert_eq!(ledger.take_over_drawn().unwrap(), 2);
    assert_eq!(ledger.take_over_drawn().unwrap(), 0);
    assert_eq!(ledger.reservations().unwrap(), known);
    let stored = reserve(&mut ledger, "2026-10", "b", Rho::new(3, 16)).unwrap();
    assert!(matches!(stored, Reservation::Stored(release) if release.draws == b"noise"));
    // What was reserved and not drawn is spent: a second attempt fits, a third does not.
    let again = reserve(&mut ledger, "2026-09", "a", Rho::new(3, 16)).unwrap();
    assert!(matches!(again, Reservation::Reserved { attempt: 2 }));
    let third = reserve(&mut ledger, "2026-09", "a", Rho::new(1, 1_000_000)).unwrap();
    assert!(matches!(third, Reservation::Refused { spent } if spent == cap));
    assert_eq!(chudong::ledger::verify::verify(state).unwrap().faults.len(), 0);
    // A journal that was lost is written anew from the ledger.
    std::fs::remove_file(state.join("drawn.journal")).unwrap();
    assert_eq!(ledger.take_over_drawn().unwrap(), 0);
    let known = ledger.reservations().unwrap();
    drop(ledger);
    forget();
    let mut ledger = Ledger::open(state, "an-binh").unwrap();
    assert_eq!(ledger.take_over_drawn().unwrap(), 3);
    assert_eq!(ledger.reservations().unwrap(), known);
    drop(ledger);
    // Where what was drawn is nowhere, it is not drawn again.
    forget();
    std::fs::remove_dir_all(state.join("drawn.parts")).unwrap();
    let mut ledger = Ledger::open(state, "an-binh").unwrap();
    let lost = reserve(&mut ledger, "2026-10", "b", Rho::new(1, 1_000_000)).unwrap_err();
    assert_eq!(lost.fault().code, "ledger.draws-lost");
}
