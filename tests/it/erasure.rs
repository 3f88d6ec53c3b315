//! One person leaves the landed tables, and the ledger says so without a name.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use chudong::landing::read_generation;
use serde_json::Value;

use crate::support::world::{Ended, World, tree};

/// Runs `erase` with this on standard input.
fn erase(world: &World, number: &str, arguments: &[&str]) -> Ended {
    let mut command = world.command(&[&["erase"], arguments].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(number.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// The Parquet files with rows of a folder, whatever generation names them.
fn files(folder: &Path) -> Vec<PathBuf> {
    let names = tree(folder).into_keys().map(|name| (name.to_string_lossy().into_owned(), folder.join(name)));
    let is_rows = |name: &str| name.ends_with(".parquet") && !name.ends_with(".quarantine.parquet");
    names.filter(|(name, _)| is_rows(name)).map(|(_, path)| path).collect()
}

/// Somebody with a health insurance card.
fn somebody(world: &World) -> String {
    let cards = files(&world.state().join("landing/insurance.household_cards"));
    let table = read_generation(cards.first().unwrap()).unwrap();
    table.texts("citizen_id").unwrap().into_iter().flatten().next().unwrap()
}

/// How many rows in the files of a folder hold a text, and how many do not.
fn rows_with(folder: &Path, number: &str) -> (usize, usize) {
    let (mut with, mut without) = (0, 0);
    for file in files(folder) {
        let table = read_generation(&file).unwrap();
        let texts: Vec<_> =
            table.schema.fields().iter().map(|field| table.texts(field.name()).unwrap_or_default()).collect();
        for row in 0..table.rows() {
            let is = texts.iter().any(|column| column.get(row).is_some_and(|text| text.as_deref() == Some(number)));
            if is { with += 1 } else { without += 1 }
        }
    }
    (with, without)
}

fn landed_rows_of(world: &World, number: &str) -> usize {
    rows_with(&world.state().join("landing"), number).0
}

#[test]
fn a_person_leaves_every_generation_and_the_ledger_stays_sound() {
    let world = World::small(400);
    world.night("2026-11-21").with(0);
    world.night("2026-11-22").with(0);
    let number = somebody(&world);
    let before = landed_rows_of(&world, &number);
    assert!(before >= 2);
    let (_, others) = rows_with(&world.state().join("landing"), &number);
    let ended = erase(&world, &format!("  {number}\n"), &[]).with(0);
    assert!(ended.out.contains("insurance.household_cards: "), "{}", ended.out);
    // Ratings never land: nothing of a person's is left that was not searched.
    assert!(!ended.out.contains("was not searched"), "{}", ended.out);
    assert!(!world.state().join("landing/one_stop.ratings").exists());
    assert_eq!(landed_rows_of(&world, &number), 0);
    let entries = world.entries("erased");
    assert!(entries.iter().all(|entry| body(&entry.body)["rows"].as_u64().unwrap() > 0));
    assert_eq!(rows_with(&world.state().join("landing"), &number), (0, others), "nobody else left");
    for entry in &entries {
        let body = body(&entry.body);
        assert_eq!(body["subject"].as_str().unwrap().len(), 32);
        for generation in body["generations"].as_array().unwrap() {
            assert_ne!(generation["before"], generation["after"]);
        }
    }
    assert_eq!(world.entries("erase.begun").len(), 1);
    // Neither the ledger nor what was said holds the number.
    let ledger = std::fs::read(world.state().join("ledger.sqlite")).unwrap();
    assert!(!ledger.windows(number.len()).any(|window| window == number.as_bytes()));
    assert!(!ended.out.contains(&number) && !ended.err.contains(&number));
    world.ledger_is_sound();
    // The history tells that it was done, and of whom not even the pseudonym.
    let history = world.chudong(&["query", "select * from history.erasures", "--format", "csv"]).with(0);
    assert!(history.out.contains("insurance.household_cards"), "{}", history.out);

    // Again: there is nothing left to do.
    let again = erase(&world, &number, &[]).with(0);
    assert!(again.out.starts_with("The person is in none of the"), "{}", again.out);
    assert_eq!(world.entries("erased").len(), entries.len());
    // The next night works, and the source gives the person again.
    world.night("2026-11-23").with(0);
    assert!(landed_rows_of(&world, &number) > 0);
    world.ledger_is_sound();
}

fn body(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_number_comes_from_a_file_of_its_owner_or_not_at_all() {
    let world = World::small(100);
    world.night("2026-11-21").with(0);
    let number = somebody(&world);
    let path = world.root().join("number");
    std::fs::write(&path, format!("{number}\n")).unwrap();
    let path_text = path.display().to_string();
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let ended = erase(&world, "", &["--number-from", &path_text]).with(1);
    assert!(ended.err.contains("secret.readable-by-others"), "{}", ended.err);
    assert!(landed_rows_of(&world, &number) > 0);
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    erase(&world, "", &["--number-from", &path_text]).with(0);
    assert_eq!(landed_rows_of(&world, &number), 0);
    // No argument takes it, and nothing passes for nobody.
    erase(&world, "", &[&number]).with(2);
    for nothing in ["", "\n", "   \n", "a\u{7}b\n"] {
        let ended = erase(&world, nothing, &[]).with(1);
        assert!(ended.err.contains("cli.number"), "{}", ended.err);
    }
    assert_eq!(world.entries("erase.begun").len(), 1);
}

#[test]
fn what_is_left_of_an_earlier_pipeline_is_named() {
    let world = World::small(100);
    world.night("2026-11-21").with(0);
    let gone = world.state().join("landing/health.prescriptions");
    std::fs::create_dir(&gone).unwrap();
    let ended = erase(&world, "nobody\n", &[]).with(3);
    assert!(
        ended.out.contains("health.prescriptions was not searched: it is no longer in the pipeline"),
        "{}",
        ended.out
    );
    assert!(ended.out.contains("The person is in none of the 11 tables"), "{}", ended.out);
}

#[test]
fn without_a_state_folder_there_is_nobody_to_erase() {
    let world = World::small(100);
    let ended = erase(&world, "nobody\n", &[]).with(1);
    assert!(ended.err.contains("ledger.none"), "{}", ended.err);
    assert!(!world.state().exists());
}
