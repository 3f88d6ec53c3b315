//! Two games. In each, two agencies differ in who rated how, and in nothing else; an attacker who cannot tell what they
//! left behind apart can join no rating with anybody, by ids, times, order of rows or files, or position.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use chudong::ledger::tokens::sealed_counts;
use chudong::pipeline;
use chudong::pipeline::reader::Faults;
use chudong::satisfaction::counts::Counts;
use rusqlite::types::ValueRef;

use crate::support::world::{Tree, World, tree};

const FOLDER: &str = "data-samples/an-binh/one-stop";
const RATINGS: &str = "data-samples/an-binh/one-stop/ratings.csv";
const NIGHTS: [&str; 2] = ["2026-11-20", "2026-11-21"];

fn csv(world: &World, file: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(world.root().join(FOLDER).join(file)).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn put_ratings(world: &World, rows: &[Vec<String>]) {
    let lines: String = rows.iter().map(|row| format!("{}\n", row.join(","))).collect();
    world.put(RATINGS, format!("rating_id,dossier_number,level,rated_on\n{lines}").as_bytes());
}

/// An agency with the keys of another: the digests of both are then the same.
fn with_keys_of(other: &World) -> World {
    let world = small();
    let keys = world.state().join("keys");
    std::fs::create_dir_all(&keys).unwrap();
    for key in ["pseudonym.key", "sealing.key"] {
        std::fs::copy(other.state().join("keys").join(key), keys.join(key)).unwrap();
    }
    world
}

fn small() -> World {
    let world = World::small(400);
    world.edit("pipelines/an-binh/pipeline.toml", "first_month = 2026-07-01", "first_month = 2026-08-01");
    world
}

/// The nights, and all that was said in them.
fn nights(world: &World) -> String {
    let ended = NIGHTS.map(|night| world.night(night).with(0));
    ended.iter().map(|ended| format!("{}{}", ended.out, ended.err)).collect()
}

/// The counts of each month, for whoever has the keys.
fn opened(world: &World) -> BTreeMap<String, Counts> {
    let key = chudong::world::World::new(world.root(), world.state()).opening_key().unwrap();
    let taken = world.ledger().taken_ratings().unwrap();
    let open = |part: &str, sealed: &[u8]| Counts::of_text(&key.open(&sealed_counts(part), sealed).unwrap()).unwrap();
    taken.iter().map(|(month, part, sealed)| (month.clone(), open(part, sealed))).collect()
}

/// The cell of each dossier: its commune, the group of its procedure, and the month in which it was finished.
fn cells(world: &World) -> BTreeMap<String, (String, String, String)> {
    let groups = pipeline::read(&world.root(), "an-binh", &Faults::default()).unwrap().procedure_groups;
    let group = |procedure: &String| {
        let found = groups.iter().find(|group| group.procedures.contains(procedure));
        found.map(|group| group.id.clone()).unwrap_or_default()
    };
    let finished = |row: &[String]| row[8].get(3..).unwrap_or_default().to_owned();
    let dossiers = csv(world, "dossiers.csv");
    dossiers.iter().map(|row| (row[0].clone(), (row[3].clone(), group(&row[2]), finished(row)))).collect()
}

/// Who holds the keys and reads every count learns what a cell answered, and of nobody in it who answered what: levels
/// are exchanged within cells among persons of whom one rating was given, days are others, the file runs backwards.
#[test]
fn with_the_keys_nobody_tells_apart_who_in_a_cell_answered_what() {
    let one = small();
    let rows = csv(&one, "ratings.csv");
    nights(&one);
    let other = with_keys_of(&one);
    let cells = cells(&one);
    let mut by_cell: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    let persons: BTreeMap<String, String> =
        csv(&one, "dossiers.csv").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let mut often: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for row in &rows {
        *often.entry((&persons[&row[1]], &cells[&row[1]].2)).or_default() += 1;
    }
    for (place, row) in rows.iter().enumerate() {
        if often[&(persons[&row[1]].as_str(), cells[&row[1]].2.as_str())] == 1 {
            by_cell.entry(&cells[&row[1]]).or_default().push(place);
        }
    }
    let mut permuted = rows.clone();
    let mut moved = 0;
    for places in by_cell.values() {
        for (from, to) in places.iter().zip(places.iter().cycle().skip(1)) {
            permuted[*to][2] = rows[*from][2].clone();
            moved += usize::from(rows[*from][2] != rows[*to][2]);
        }
    }
    assert!(moved > 40, "{moved} persons answer otherwise");
    for row in &mut permuted {
        row[0] = format!("X{}", &row[0]);
        // Another day of the same month, as good as any.
        row[3] = format!("{:02}{}", 28 - row[3][..2].parse::<u32>().unwrap().min(27), &row[3][2..]);
    }
    permuted.reverse();
    put_ratings(&other, &permuted);
    nights(&other);
    let (one, other) = (opened(&one), opened(&other));
    assert_eq!(one.keys().collect::<Vec<_>>(), ["2026-08", "2026-09", "2026-10"]);
    assert!(one.values().all(|counts| counts.sum(|_| true) > 50));
    let texts = |all: &BTreeMap<String, Counts>| -> Vec<_> { all.values().map(Counts::to_text).collect() };
    assert!(texts(&one) == texts(&other), "the counts tell who answered what");
}

/// The DBA has everything but the keys and what is published with noise: where everybody answers otherwise, with other
/// ids on other days, all that was landed, recorded, logged and reported is the same.
#[test]
fn without_the_keys_nothing_that_is_left_depends_on_any_answer() {
    let one = small();
    let rows = csv(&one, "ratings.csv");
    let said = nights(&one);
    let other = with_keys_of(&one);
    let mut changed = rows.clone();
    for row in &mut changed {
        row[0] = format!("X{}", &row[0]);
        row[2] = (6 - row[2].parse::<i64>().unwrap()).to_string();
    }
    changed.reverse();
    put_ratings(&other, &changed);
    let otherwise = nights(&other);
    // What differs between two agencies that differ in nothing is chance: times, names of folders, noise, what is sealed.
    let control = with_keys_of(&one);
    nights(&control);
    let files = [&one, &control, &other].map(left_behind);
    // What was drawn is named by its hash, which is another one with each noise; how many there are is compared.
    let named = |path: &PathBuf| match path.starts_with("drawn.parts") && path.components().count() > 1 {
        true => PathBuf::from("drawn.parts/what was drawn"),
        false => path.clone(),
    };
    let names = files.each_ref().map(|files| files.keys().map(named).collect::<Vec<_>>());
    assert_eq!(names[0], names[2], "which files there are depends on the answers");
    // Figures have noise, and those of a small place may be the same twice by chance.
    let has_figures = |path: &PathBuf| {
        let name = path.to_string_lossy();
        path.starts_with("published") && !name.ends_with("codes.json") && !name.ends_with(".csv-metadata.json")
    };
    let kept = files[0].keys().filter(|path| !has_figures(path));
    let steady: Vec<&PathBuf> = kept.filter(|path| files[1].get(*path) == Some(&files[0][*path])).collect();
    let differ: Vec<&&PathBuf> = steady.iter().filter(|path| files[0][**path] != files[2][**path]).collect();
    assert_eq!(differ, Vec::<&&PathBuf>::new(), "these files depend on the answers");
    let is_steady = |folder: &str| steady.iter().any(|path| path.starts_with(folder));
    assert!(is_steady("landing/one_stop.dossiers") && is_steady("keys"), "{steady:?}");
    assert!(!names[0].iter().any(|path| path.starts_with("landing/one_stop.ratings")), "answers landed");
    let tables = [&one, &control, &other].map(ledger);
    for (table, columns) in &tables[0] {
        let steady: Vec<&String> =
            columns.keys().filter(|column| in_order(columns, column) == in_order(&tables[1][table], column)).collect();
        let rows = |columns: &Columns| {
            let count = columns.values().next().map_or(0, Vec::len);
            let row = |row: usize| steady.iter().map(|column| columns[*column][row].clone()).collect::<Vec<_>>();
            let mut rows: Vec<Vec<String>> = (0..count).map(row).collect();
            rows.sort();
            rows
        };
        assert_eq!(rows(columns), rows(&tables[2][table]), "{table} depends on the answers");
    }
    let is_steady =
        |table: &str, column: &str| in_order(&tables[0][table], column) == in_order(&tables[1][table], column);
    assert!(["part", "month", "sealed", "entry"].iter().all(|column| is_steady("rating_month", column)));
    assert!(["seq", "run", "kind"].iter().all(|column| is_steady("entry", column)));
    // No id of a rating stands anywhere, keys and published files included.
    let ids: BTreeSet<&[u8]> = rows.iter().map(|row| row[0].as_bytes()).collect();
    let length = ids.iter().next().unwrap().len();
    assert!(ids.iter().all(|id| id.len() == length));
    for (path, bytes) in tree(&one.state()) {
        let found = bytes.iter().flat_map(|bytes| bytes.windows(length)).any(|window| ids.contains(window));
        assert!(!found, "{} holds the id of a rating", path.display());
    }
    assert!(!ids.iter().any(|id| said.contains(std::str::from_utf8(id).unwrap())), "an id was logged");
    assert_eq!(said.lines().count(), otherwise.lines().count());
    // Where a rating was proved by a number, this number stands in the dossiers' table alone.
    let rated = rows.last().unwrap()[1].as_bytes();
    for (path, bytes) in tree(&one.state()).into_iter().filter(|(path, _)| !path.starts_with("landing")) {
        let found = bytes.iter().flat_map(|bytes| bytes.windows(rated.len())).any(|window| window == rated);
        assert!(!found, "{} holds the number of a dossier", path.display());
    }
}

/// All files of the state. Published sheets hold keyed hashes of what they were counted from, by which nobody without the
/// key can try a guess; here they are blank.
fn left_behind(world: &World) -> Tree {
    let mut files = tree(&world.state());
    for (path, bytes) in &mut files {
        let Some(bytes) = bytes.as_mut().filter(|_| path.starts_with("published")) else { continue };
        let Ok(text) = std::str::from_utf8(bytes) else { continue };
        let is_hash = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_sign = |sign: char| !sign.is_ascii_alphanumeric();
        let words = text.split_inclusive(is_sign).map(|part| {
            let word = part.trim_end_matches(is_sign);
            if is_hash(&word) { part.replace(word, "hash") } else { part.to_owned() }
        });
        *bytes = words.collect::<String>().into_bytes();
    }
    files
}

/// The columns of a table, each with its values in the order of the rows.
type Columns = BTreeMap<String, Vec<String>>;

fn in_order(columns: &Columns, column: &str) -> Vec<String> {
    let mut values = columns[column].clone();
    values.sort();
    values
}

/// Every table of the ledger; of what is sealed, drawn or hashed, the length.
fn ledger(world: &World) -> BTreeMap<String, Columns> {
    let connection = rusqlite::Connection::open(world.state().join("ledger.sqlite")).unwrap();
    let names = |sql: &str| -> Vec<String> {
        let mut select = connection.prepare(sql).unwrap();
        select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let mut all = BTreeMap::new();
    for table in names("select name from sqlite_schema where type = 'table' and name not like 'sqlite%'") {
        let words = names(&format!("select name from pragma_table_info('{table}')"));
        let mut columns: Columns = words.iter().map(|word| (word.clone(), Vec::new())).collect();
        let mut select = connection.prepare(&format!("select * from \"{table}\"")).unwrap();
        let mut rows = select.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for (place, word) in words.iter().enumerate() {
                let value = match row.get_ref(place).unwrap() {
                    // The id of a release is a keyed hash of what was counted, as in published sheets.
                    ValueRef::Text(text) if ["key", "release_id"].contains(&word.as_str()) && text.len() == 64 => {
                        "hash".into()
                    }
                    ValueRef::Blob(bytes) => format!("{} bytes", bytes.len()),
                    ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    ValueRef::Integer(number) => number.to_string(),
                    other => format!("{other:?}"),
                };
                columns.get_mut(word).unwrap().push(value);
            }
        }
        all.insert(table, columns);
    }
    all
}
