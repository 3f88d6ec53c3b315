//! What a clerk is told when a file is wrong, and what a night does when its state folder or a source fails.
//!
//! `data-samples/awkward/` holds one fault per file, named for it. Each is put in its place in an
//! installation, and the whole message is in a snapshot.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use chudong::ledger::{Ledger, MessageState};

use crate::support::world::{World, differences, run, tree};

const NIGHT: &str = "2026-11-21";

const PIPELINE: &str = "pipelines/awkward/pipeline.toml";
const ITEM: &str = "pipelines/items/temporary_residence/item.toml";
const LAW: &str = "pipelines/law/temporary_residence_extension.toml";
const STAYS: &str = "sql/staging/awkward/temporary_residences.sql";
const PEOPLE: &str = "sql/staging/awkward/people.sql";
const LETTER: &str = "pipelines/items/temporary_residence/message.vi.md";

/// The files that have no fault: the agency in which the others take their places.
const SOUND: [(&str, &str); 3] =
    [("pipelines/sound.toml", PIPELINE), ("sql/sound_people.sql", PEOPLE), ("sql/sound_stays.sql", STAYS)];

/// Each file with its place, in the order of the snapshots. Two in one entry make one fault together.
const FAULTS: &[&[(&str, &str)]] = &[
    &[("pipelines/empty.toml", PIPELINE)],
    &[("pipelines/toml_syntax.toml", PIPELINE)],
    &[("pipelines/not_utf8.toml", PIPELINE)],
    &[("pipelines/missing_key.toml", PIPELINE)],
    &[("pipelines/unknown_key.toml", PIPELINE)],
    &[("pipelines/wrong_toml_type.toml", PIPELINE)],
    &[("pipelines/wrong_type_word.toml", PIPELINE)],
    &[("pipelines/key_column.toml", PIPELINE)],
    &[("pipelines/unclassified_column.toml", PIPELINE)],
    &[("pipelines/no_authorisation.toml", PIPELINE)],
    &[("pipelines/term_turned_round.toml", PIPELINE)],
    &[("pipelines/purpose_not_granted.toml", PIPELINE)],
    &[("pipelines/secret_in_clear.toml", PIPELINE)],
    &[("pipelines/store_in_clear.toml", PIPELINE)],
    &[("pipelines/mail_in_clear.toml", PIPELINE)],
    &[("pipelines/cron_never.toml", PIPELINE)],
    &[("pipelines/unknown_item.toml", PIPELINE)],
    &[("pipelines/item_with_an_unknown_rule.toml", ITEM)],
    &[("pipelines/item_with_rising_notice_days.toml", ITEM)],
    &[("pipelines/law_with_versions_that_overlap.toml", LAW)],
    &[("sql/insert.sql", STAYS)],
    &[("sql/copy.sql", STAYS)],
    &[("sql/create_table.sql", STAYS)],
    &[("sql/deletes_beside.sql", STAYS)],
    &[("sql/locks.sql", STAYS)],
    &[("sql/two_statements.sql", STAYS)],
    &[("sql/only_a_comment.sql", STAYS)],
    &[("sql/open_comment.sql", STAYS)],
    &[("sql/syntax_error.sql", STAYS)],
    &[("sql/unknown_value.sql", STAYS)],
    &[("sql/unknown_function.sql", STAYS)],
    &[("sql/unknown_table.sql", STAYS)],
    &[("sql/no_folder_named.sql", STAYS)],
    &[("sql/reads_itself.sql", STAYS)],
    &[("sql/circle.sql", PEOPLE), ("sql/circle_back.sql", STAYS)],
    &[("sql/unknown_column.sql", STAYS)],
    &[("sql/missing_column.sql", STAYS)],
    &[("sql/extra_column.sql", STAYS)],
    &[("sql/mistyped_column.sql", STAYS)],
    &[("templates/no_subject.md", LETTER)],
    &[("templates/syntax_error.md", LETTER)],
    &[("templates/open_braces.md", LETTER)],
    &[("templates/unknown_filter.md", LETTER)],
    &[("templates/unknown_value.md", LETTER)],
    &[("templates/without_the_link.md", LETTER)],
    &[("templates/without_the_day.md", LETTER)],
];

/// Faults that depend on the day: `check` has nothing to say until it is asked about that day.
const FAULTS_OF_THE_DAY: &[&[(&str, &str)]] =
    &[&[("pipelines/term_over.toml", PIPELINE)], &[("pipelines/law_not_in_force.toml", LAW)]];

fn awkward(file: &str) -> Vec<u8> {
    std::fs::read(crate::root().join("data-samples/awkward").join(file)).unwrap()
}

/// An installation with the agency of the awkward files alone.
fn installation() -> World {
    let world = World::of("awkward");
    for agency in ["an-binh", "binh-minh"] {
        std::fs::remove_dir_all(world.root().join("pipelines").join(agency)).unwrap();
    }
    put(&world, &SOUND);
    world
}

fn put(world: &World, files: &[(&str, &str)]) {
    for (file, place) in files {
        world.put(place, &awkward(file));
    }
}

/// Puts the files in their places, one set after the other, and gives what is said about each.
fn said_of_each(all: &[&[(&str, &str)]], arguments: &[&str]) -> String {
    let world = installation();
    let mut said = String::new();
    for files in all {
        let replaced: Vec<Option<Vec<u8>>> =
            files.iter().map(|(_, place)| std::fs::read(world.root().join(place)).ok()).collect();
        put(&world, files);
        let before = world.everything();
        let ended = world.chudong(arguments);
        assert_eq!(ended.code, Some(1), "{files:?}\n{}", ended.err);
        assert_eq!(differences(&before, &world.everything()), Vec::<String>::new());
        // What has no fault but of that day is counted all the same.
        assert!(ended.out.is_empty() || ended.out.starts_with("awkward: "), "{}", ended.out);
        let names: Vec<&str> = files.iter().map(|(file, _)| *file).collect();
        said.push_str(&format!("---- {}\n{}\n", names.join(" and "), world.shown(&ended.said())));
        for ((_, place), bytes) in files.iter().zip(replaced) {
            world.put(place, &bytes.unwrap());
        }
    }
    said
}

#[test]
fn the_files_without_a_fault_have_none() {
    let world = installation();
    let ended = world.chudong(&["check"]).with(0);
    assert_eq!(ended.out, "awkward: 1 sources, 1 items, 6 models\n");
    assert_eq!(ended.said(), "");
}

#[test]
fn each_fault_of_a_file_is_said_with_its_place_and_what_to_do() {
    let said = said_of_each(FAULTS, &["check"]);
    insta::assert_snapshot!("faults_of_files", said);
    assert!(!said.contains("open-sesame"), "a secret that stands in a file is not repeated");
    assert!(!said.contains("panicked"));
}

#[test]
fn a_fault_of_the_day_is_said_by_a_check_of_that_day() {
    let world = installation();
    for files in FAULTS_OF_THE_DAY {
        put(&world, files);
    }
    world.chudong(&["check"]).with(0);
    insta::assert_snapshot!("faults_of_the_day", said_of_each(FAULTS_OF_THE_DAY, &["check", "--as-of", NIGHT]));
}

#[test]
fn an_authorisation_that_is_over_stops_the_night_before_it_begins() {
    let said = said_of_each(&[&[("pipelines/term_over.toml", PIPELINE)]], &["run", "--as-of", NIGHT]);
    assert!(said.contains("error[pipeline.authorisation-term]"), "{said}");
}

#[test]
fn a_day_without_a_calendar_is_said_by_a_check_of_that_day() {
    let world = World::of("an-binh");
    world.chudong(&["check", "--as-of", NIGHT]).with(0);
    std::fs::remove_file(world.root().join("pipelines/law/calendar/2027.toml")).unwrap();
    let said = world.chudong(&["check", "--as-of", NIGHT]).with(1).said();
    assert!(said.contains("error[calendar.no-year]: there is no calendar of 2027"), "{said}");
    assert!(said.contains("pipelines/law/calendar/2027.toml"), "{said}");
}

#[test]
fn every_awkward_file_is_tested_and_explained() {
    let folder = crate::root().join("data-samples/awkward");
    let there: BTreeSet<String> = ["pipelines", "sql", "templates"]
        .into_iter()
        .flat_map(|part| tree(&folder.join(part)).into_keys().map(move |name| format!("{part}/{}", name.display())))
        .collect();
    let tested: BTreeSet<String> = FAULTS
        .iter()
        .chain(FAULTS_OF_THE_DAY)
        .flat_map(|files| files.iter())
        .chain(&SOUND)
        .map(|(file, _)| (*file).to_owned())
        .collect();
    assert_eq!(there, tested);
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let unexplained: Vec<&String> = there.iter().filter(|file| !readme.contains(&format!("`{file}`"))).collect();
    assert!(unexplained.is_empty(), "README.md does not explain {unexplained:?}");
}

#[test]
fn all_faults_are_said_at_once_in_the_order_of_their_places() {
    let world = installation();
    put(
        &world,
        &[
            ("pipelines/unknown_key.toml", PIPELINE),
            ("pipelines/item_with_rising_notice_days.toml", "pipelines/items/driving_licence/item.toml"),
            ("pipelines/law_with_versions_that_overlap.toml", LAW),
            ("sql/mistyped_column.sql", STAYS),
            ("templates/unknown_value.md", LETTER),
        ],
    );
    world.edit(PIPELINE, "[\"temporary_residence\"]", "[\"temporary_residence\", \"driving_licence\"]");
    world.edit(PIPELINE, "\"personal\" }\ncolumns.name", "\"private\" }\ncolumns.name");
    insta::assert_snapshot!("faults_of_several_files", world.chudong(&["check"]).with(1).said());
}

#[test]
fn a_fault_that_two_agencies_share_is_said_once() {
    let world = World::of("an-binh");
    put(&world, &[("pipelines/law_with_versions_that_overlap.toml", LAW)]);
    insta::assert_snapshot!("fault_of_two_agencies", world.chudong(&["check"]).with(1).said());
}

#[test]
fn an_unknown_agency_or_folder_is_said_with_those_that_there_are() {
    let world = World::of("an-bin");
    let agency = world.chudong(&["run", "--as-of", NIGHT]).with(1).said();
    std::fs::remove_dir_all(world.root().join("pipelines")).unwrap();
    let folder = world.chudong(&["check"]).with(1).said();
    insta::assert_snapshot!("unknown_agency_and_folder", world.shown(&format!("{agency}{folder}")));
    // Wrong usage has a code of its own.
    world.chudong(&["run", "--as-of", "2026-02-30"]).with(2);
    world.chudong(&["fly"]).with(2);
}

// ---- the state folder ---------------------------------------------------------------------

#[test]
fn a_state_folder_that_cannot_be_made_ends_the_night_before_any_source_is_read() {
    let world = World::of("binh-minh");
    std::fs::write(world.temporary().join("file"), "").unwrap();
    // Not even root can make a folder in these two.
    let under_a_file = world.temporary().join("file/state");
    let mut said = String::new();
    for state in [under_a_file.as_path(), Path::new("/proc/chudong")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chudong"));
        command.args(["run", "--as-of", NIGHT, "--agency", "binh-minh", "--root"]).arg(world.root());
        let ended = run(command.arg("--state").arg(state)).with(1);
        assert!(!ended.err.contains("pulling"), "{}", ended.err);
        said.push_str(&ended.said());
    }
    insta::assert_snapshot!("state_folder_that_cannot_be_made", world.shown(&said));
}

#[test]
fn a_key_that_is_gone_or_cut_short_is_never_replaced() {
    let world = World::of("binh-minh");
    world.night(NIGHT).with(0);
    let key = world.state().join("keys/pseudonym.key");
    let bytes = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let before = tree(&world.state());
    let gone = world.night(NIGHT).with(1).said();
    assert_eq!(differences(&before, &tree(&world.state())), Vec::<String>::new());
    std::fs::write(&key, bytes.get(..16).unwrap()).unwrap();
    let short = world.night(NIGHT).with(1).said();
    insta::assert_snapshot!("key_gone_or_cut_short", world.shown(&format!("{gone}{short}")));
    // With the key back it is as if nothing had been.
    std::fs::write(&key, bytes).unwrap();
    let messages = world.messages();
    world.night(NIGHT).with(0);
    assert_eq!(differences(&messages, &world.messages()), Vec::<String>::new());
}

#[test]
fn a_ledger_that_is_damaged_stops_every_verb_and_stays_as_it_is() {
    let world = World::of("binh-minh");
    world.night(NIGHT).with(0);
    let path = world.state().join("ledger.sqlite");
    let whole = std::fs::read(&path).unwrap();
    // A page in the middle, so that what is left is still a database to look at.
    let cut = whole.get(..whole.len() / 8192 * 4096).unwrap();
    let mut said = String::new();
    for (what, bytes) in
        [("not a database", b"Dear reader, this is not a database.".repeat(100)), ("cut", cut.to_vec())]
    {
        std::fs::write(&path, &bytes).unwrap();
        for verb in [&["run", "--as-of", NIGHT][..], &["plan", "--as-of", NIGHT], &["ledger", "verify"]] {
            let ended = world.chudong(verb).with(1);
            assert!(!ended.err.contains("panicked"), "{}", ended.err);
            said.push_str(&format!("---- {what}: {}\n{}{}\n", verb.join(" "), ended.out, ended.said()));
        }
        assert!(std::fs::read(&path).unwrap() == bytes, "the evidence is as it was");
    }
    insta::assert_snapshot!("damaged_ledgers", world.shown(&said));
    std::fs::write(&path, &whole).unwrap();
    world.ledger_is_sound();
}

/// Runs a shell script in which `mount` may be used, where the kernel lets us.
fn with_mounts(script: &str) -> Option<crate::support::world::Ended> {
    let shell = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-ceu", script]);
        command.output().is_ok_and(|output| output.status.success()).then_some(command)
    };
    let probe = "d=$(mktemp -d); mount -t tmpfs -o size=1m tmpfs $d; umount $d; rmdir $d";
    if shell(probe).is_none() {
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "left out: this kernel lets us mount nothing");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-cu", script]);
    Some(run(&mut command))
}

/// The command line of a night, for a shell.
fn line(world: &World) -> String {
    let command = world.command(&["run", "--as-of", NIGHT]);
    let words = command.get_args().map(|word| word.to_str().unwrap());
    std::iter::once(command.get_program().to_str().unwrap())
        .chain(words)
        .map(|word| format!("'{word}'"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_full_disk_is_said_and_the_next_night_finishes_what_it_stopped() {
    let world = World::small(200);
    world.edit("pipelines/an-binh/pipeline.toml", "first_month = 2026-07-01", "first_month = 2026-09-01");
    // Each size stops the night at another place, from the key to the shelf.
    let often: &[u32] = &[4, 512, 1024, 1536, 2048, 3072, 3600, 4096];
    let sizes = if crate::support::times() > 1 {
        &[4, 64, 128, 256, 512, 700, 900, 1024, 1280, 1536, 1792, 2048, 2560, 3072, 3600, 4096, 4400]
    } else {
        often
    };
    let (mut codes, mut places) = (BTreeSet::new(), BTreeSet::new());
    let mut left = BTreeSet::new();
    for kilobytes in sizes {
        let (night, disk) = (line(&world), world.state().display().to_string());
        let copy = world.temporary().join(format!("{kilobytes}"));
        let copy = copy.display();
        let script = format!(
            "mkdir -p {disk} && mount -t tmpfs -o size={kilobytes}k,mode=700 tmpfs {disk} || exit 9
             {night}; echo \"exit $?\"
             mount -o remount,size=64m {disk} || exit 9
             {night} > {copy}.out 2> {copy}.err; echo \"exit $?\"
             cp -a {disk} {copy}",
        );
        let Some(ended) = with_mounts(&script) else { return };
        let ended = ended.with(0);
        assert!(!ended.err.contains("panicked"), "{}", ended.err);
        let exits: Vec<&str> = ended.out.lines().filter(|line| line.starts_with("exit ")).collect();
        let second = std::fs::read_to_string(world.temporary().join(format!("{kilobytes}.err"))).unwrap();
        assert_eq!(exits.get(1), Some(&"exit 0"), "{kilobytes} KiB: {second}\n{}", ended.err);
        if exits.first() == Some(&"exit 0") {
            continue;
        }
        assert_eq!(exits.first(), Some(&"exit 1"), "{kilobytes} KiB: {}", ended.err);
        // What the second night left is what a night leaves that nothing stopped.
        let state = world.temporary().join(kilobytes.to_string());
        let outbox = Ledger::read(&state).unwrap().outbox().unwrap();
        assert!(outbox.iter().all(|row| row.state == MessageState::Accepted));
        left.insert((outbox.len(), tree(&state.join("outbox")).len(), tree(&state.join("published")).len()));
        let said = format!("{}{}", ended.out, ended.err);
        let code = said.split("error[").nth(1).and_then(|rest| rest.split(']').next());
        codes.insert(code.unwrap_or_else(|| panic!("{kilobytes} KiB: nothing is said\n{said}")).to_owned());
        let first = said.split("error[").nth(1).and_then(|rest| rest.lines().next()).unwrap_or_default();
        places.insert(world.shown(first));
    }
    assert!(codes.iter().all(|code| code.ends_with(".disk-full")), "{codes:?}");
    assert!(places.len() > 1, "the disk was full in one place only: {places:?}");
    assert_eq!(left.len(), 1, "messages, message files, published files: {left:?}");
}

#[test]
fn a_state_folder_that_became_read_only_is_said() {
    let world = World::of("binh-minh");
    world.night(NIGHT).with(0);
    let (night, state) = (line(&world), world.state().display().to_string());
    let script =
        |verb: &str| format!("mount --bind {state} {state} && mount -o remount,bind,ro {state} || exit 9\n{verb}");
    let before = tree(&world.state());
    let Some(ended) = with_mounts(&script(&night)) else { return };
    insta::assert_snapshot!("read_only_state_folder", world.shown(&ended.with(1).said()));
    // An auditor can verify such a copy, and a clerk can plan beside it.
    for (verb, says) in
        [("ledger verify", "sound: "), ("plan --as-of 2026-11-22", "Difference from the night of 2026-11-21")]
    {
        let ended = with_mounts(&script(&night.replace("'run' '--as-of' '2026-11-21'", verb))).unwrap().with(0);
        assert!(ended.out.contains(says), "{}", ended.out);
    }
    assert_eq!(differences(&before, &tree(&world.state())), Vec::<String>::new());
}

#[test]
fn the_rules_that_a_select_reads_are_those_that_its_item_and_its_head_name() {
    let item = "pipelines/items/identity_card/item.toml";
    let select = "sql/obligations/identity_card.sql";
    for (path, from, to, code, place) in [
        (select, "law.identity_card_grace", "law.identity_card_ages", "sql.rule-not-read", item),
        (select, ", identity_card_grace", "", "sql.rule-not-in-head", select),
        (select, "from law.identity_card_ages", "from law.driving_licence_term", "sql.rule-not-declared", select),
    ] {
        let world = World::of("an-binh");
        world.edit(path, from, to);
        let said = world.chudong(&["check"]).with(1).said();
        let fault = said.split("error[").find(|fault| fault.starts_with(code)).unwrap_or_else(|| panic!("{said}"));
        assert!(fault.contains(&format!("at:   {place}")), "{said}");
    }
}

// ---- an output that nobody reads ---------------------------------------------------------------

#[test]
fn a_night_is_not_stopped_by_a_standard_error_that_is_full_or_closed() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let world = World::of("binh-minh");
    assert_eq!(world.command(&["run", "--as-of", NIGHT]).stderr(full()).output().unwrap().status.code(), Some(0));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let world = World::of("binh-minh");
    assert_eq!(world.command(&["run", "--as-of", NIGHT]).stderr(writer).output().unwrap().status.code(), Some(0));
    // An answer that is cut short is no success; a reader that went away is.
    let ask = ["query", "select * from history.runs"];
    let cut = run(world.command(&ask).stdout(full())).with(1);
    assert!(cut.err.contains("error[cli.output]"), "{}", cut.err);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let gone = world.command(&ask).stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap();
    assert_eq!(gone.wait_with_output().unwrap().status.code(), Some(0));
}

// ---- values of people in what SQL says -------------------------------------------------------

#[test]
fn what_a_select_could_not_convert_is_in_no_report_and_no_ledger() {
    let path = "sql/obligations/driving_licence.sql";
    // What the select computes from a person's value, and what is said of it.
    let hidden = "(it is not shown: it may be personal)";
    for (select, says) in [
        ("cast(ends_in_window.licence_class || ' Manh' as int) as number", hidden),
        ("arrow_cast(ends_in_window.licence_class || ' Manh', 'Date32') as number", hidden),
    ] {
        let world = World::small(200);
        let anchor = "        min(newer.issued_on) as fulfilled_on,";
        world.edit(path, anchor, &format!("        {select},\n{anchor}"));
        world.edit(path, "-- private: subject_id", "-- private: number, subject_id");
        // On empty tables there is no value that could fail.
        world.chudong(&["check"]).with(0);
        let night = world.night(NIGHT);
        assert_ne!(night.code, Some(0), "{select}");
        let entries: String =
            world.ledger().list(None, usize::MAX).unwrap().into_iter().map(|entry| entry.body).collect();
        let said = format!("{}{}", night.out, night.err);
        assert!(said.contains(says) && said.contains(path), "{select}\n{said}");
        assert!(!said.contains("Manh") && !entries.contains("Manh"), "{select}\n{said}\n{entries}");
    }
}

// ---- a source that fails -------------------------------------------------------------------

#[test]
fn a_source_that_is_gone_leaves_out_its_items_and_the_next_night_sends_them() {
    let undisturbed = World::small(500);
    undisturbed.night(NIGHT).with(0);
    let messages = undisturbed.messages();

    let world = World::small(500);
    let key = Path::new("keys/pseudonym.key");
    std::fs::create_dir_all(world.state().join("keys")).unwrap();
    std::fs::copy(undisturbed.state().join(key), world.state().join(key)).unwrap();
    let file = world.root().join("data-samples/an-binh/transport.sqlite");
    let aside = world.temporary().join("transport.sqlite");
    std::fs::rename(&file, &aside).unwrap();
    let first = world.night(NIGHT).with(1);
    let faults = first.out.split("Faults\n").nth(1).unwrap().split("\n\n").next().unwrap();
    insta::assert_snapshot!("source_that_is_gone", world.shown(faults));
    let sent = world.messages();
    assert!(!sent.is_empty() && sent.len() < messages.len());
    assert!(sent.iter().all(|(name, bytes)| messages.get(name) == Some(bytes)));
    let items: BTreeSet<String> = world.outbox().into_iter().map(|row| row.item).collect();
    assert!(!items.contains("driving_licence") && !items.contains("vehicle_inspection"));
    // Figures come from another source and are published all the same.
    assert_eq!(world.published().keys().collect::<Vec<_>>(), undisturbed.published().keys().collect::<Vec<_>>());
    let published = world.published();

    std::fs::rename(&aside, &file).unwrap();
    world.night(NIGHT).with(0);
    assert_eq!(differences(&messages, &world.messages()), Vec::<String>::new());
    assert_eq!(differences(&published, &world.published()), Vec::<String>::new());
    world.ledger_is_sound();
}

// ---- a law that says nothing ---------------------------------------------------------------

/// Ends the only version of a rule before the night.
fn end_rule(world: &World, rule: &str, from: &str) {
    let file = format!("pipelines/law/{rule}.toml");
    world.edit(
        &file,
        &format!("in_force_from = {from}\n"),
        &format!("in_force_from = {from}\nin_force_to = 2026-10-31\n"),
    );
}

#[test]
fn a_rule_that_is_not_in_force_leaves_out_its_items_and_the_others_run() {
    let undisturbed = World::small(500);
    undisturbed.night("2026-11-20").with(0);
    let world = World::beside(&undisturbed);
    let key = Path::new("keys/pseudonym.key");
    std::fs::create_dir_all(world.state().join("keys")).unwrap();
    std::fs::copy(undisturbed.state().join(key), world.state().join(key)).unwrap();
    world.night("2026-11-20").with(0);
    undisturbed.night(NIGHT).with(0);
    let messages = undisturbed.messages();
    let known = |world: &World| world.entries("obligations.followed").len();
    let followed = known(&world);

    let law = "pipelines/law/temporary_residence_extension.toml";
    let whole = std::fs::read(world.root().join(law)).unwrap();
    end_rule(&world, "temporary_residence_extension", "2021-07-01");
    // A plan says it as the night does, and neither withdraws what it cannot see.
    let planned = world.chudong(&["plan", "--as-of", NIGHT]).with(1).out;
    let night = world.night(NIGHT).with(1);
    let said = "error[pipeline.rule-not-in-force]: no version of the rule temporary_residence_extension is in force on \
                the day of the night: the item temporary_residence is left out";
    for out in [&planned, &night.out] {
        assert_eq!(out.matches("error[").count(), 1, "{out}");
        assert!(out.contains(said), "{out}");
    }
    let items: BTreeSet<String> =
        world.outbox().into_iter().filter(|row| row.run.starts_with(NIGHT)).map(|row| row.item).collect();
    assert!(!items.is_empty() && !items.contains("temporary_residence"), "{items:?}");
    let entries: Vec<String> =
        world.entries("obligations.followed").into_iter().skip(followed).map(|entry| entry.body).collect();
    assert!(entries.iter().all(|body| !body.contains("temporary_residence")), "{entries:?}");

    // With the rule back the night sends what it left out, and nothing twice.
    world.put(law, &whole);
    world.night(NIGHT).with(0);
    assert_eq!(differences(&messages, &world.messages()), Vec::<String>::new());
    world.ledger_is_sound();
}

#[test]
fn a_year_without_a_calendar_leaves_out_the_items_that_count_working_days_in_it() {
    let world = World::small(500);
    world.without_figures();
    let working = "next_working_day(add_months(ends_in_window.issued_on, 24, 'clamp')) as counted_on,";
    let select = "sql/obligations/driving_licence.sql";
    let anchor = "        min(newer.issued_on) as fulfilled_on,";
    world.edit(select, anchor, &format!("        {working}\n{anchor}"));
    world.edit(select, "-- private: subject_id", "-- private: counted_on, subject_id");
    for year in ["2025", "2026", "2027"] {
        std::fs::remove_file(world.root().join(format!("pipelines/law/calendar/{year}.toml"))).unwrap();
    }
    let night = world.night(NIGHT).with(1);
    assert!(
        night.out.contains("are not known, and whether a day of it is a working day is not guessed"),
        "{}",
        night.out
    );
    let items: BTreeSet<String> = world.outbox().into_iter().map(|row| row.item).collect();
    assert!(items.len() > 1 && !items.contains("driving_licence"), "{items:?}");
}

/// What a head says of private columns is compared with the tables; each wrong line is a fault of its file.
#[test]
fn a_head_that_is_wrong_about_private_columns_is_a_fault() {
    let world = World::of("an-binh");
    world.chudong(&["check"]).with(0);
    let edits = [
        ("sql/staging/an-binh/people.sql", ", email, phone, is_deceased", ", phone, is_deceased", "leaves out email"),
        (
            "sql/staging/an-binh/dossiers.sql",
            "-- private: dossier_id",
            "-- private: channel, dossier_id",
            "names what standard-tables.toml calls public: channel",
        ),
        (
            "sql/obligations/vehicle_inspection.sql",
            "fulfilled_on, plate",
            "fulfilled_on, number_plate",
            "names what the select does not give: number_plate",
        ),
        ("sql/reminders/recipients.sql", "language, email", "language", "leaves out email"),
    ];
    for (path, from, to, said) in edits {
        let before = std::fs::read_to_string(world.root().join(path)).unwrap();
        // In the head alone: the select has the same words.
        let (head, select) = before.split_once("\n\n").unwrap_or((&before, ""));
        let after = match head.contains(from) {
            true => format!("{}\n\n{select}", head.replacen(from, to, 1)),
            false => before.replacen(from, to, 1),
        };
        assert_ne!(before, after, "{path}");
        world.put(path, after.as_bytes());
        let ended = world.chudong(&["check"]).with(1);
        let expected = format!("error[sql.private]: the line private of the head {said}\n  at:   {path}\n");
        assert!(ended.err.contains(&expected), "{expected}\n{}", ended.err);
        world.put(path, before.as_bytes());
    }
}
