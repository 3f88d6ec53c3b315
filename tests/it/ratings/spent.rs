//! From the token of a finished dossier to the count of its cell, through the binary.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use chudong::ledger::tokens::sealed_counts;
use chudong::satisfaction::counts::Counts;

use crate::support::world::World;

const PIPELINE: &str = "pipelines/an-binh/pipeline.toml";
const RATINGS: &str = "data-samples/an-binh/one-stop/ratings.csv";

/// An agency whose form asks for a token and for words.
fn with_tokens() -> World {
    let world = World::small(300);
    world.edit(PIPELINE, "first_month = 2026-07-01", "first_month = 2026-10-01");
    world.edit(
        PIPELINE,
        "blind = { proof = \"dossier\", by = \"dossier_number\", answered_on = \"rated_on\", scale = \"five\", questions = { overall = \"level\" } }",
        "columns.words = { type = \"text\", class = \"personal\" }\n\
         blind = { proof = \"token\", by = \"dossier_number\", answered_on = \"rated_on\", scale = \"five\", questions = { overall = \"level\" }, text = \"words\" }",
    );
    world.put(RATINGS, b"rating_id,dossier_number,level,rated_on,words\n");
    world
}

#[test]
fn a_token_becomes_one_count_of_its_cell_and_what_was_written_is_sealed_apart() {
    let world = with_tokens();
    // What landed before the table was declared blind goes.
    let landed = world.state().join("landing/one_stop.ratings");
    std::fs::create_dir_all(&landed).unwrap();
    std::fs::write(landed.join("old.parquet"), b"an answer").unwrap();
    world.night("2026-11-05").with(0);
    assert!(!landed.exists());
    let file = world.temporary().join("tokens.csv");
    let issue = |month: &str| world.chudong(&["ratings", "issue", "--month", month, "--to", file.to_str().unwrap()]);
    let ended = issue("2026-11").with(1);
    assert!(ended.err.contains("ratings.month-to-come"), "{}", ended.err);
    assert!(!file.exists());
    issue("2026-10").with(0);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let issued = std::fs::read_to_string(&file).unwrap();
    let tokens: Vec<&str> = issued.lines().skip(1).map(|line| line.rsplit_once(',').unwrap().1).collect();
    std::fs::remove_file(&file).unwrap();
    assert!(issue("2026-10").with(1).err.contains("ratings.issued"));
    let finished = |line: &&str| line.rsplit_once(',').unwrap().1.ends_with("/10/2026");
    let dossiers = std::fs::read_to_string(world.root().join("data-samples/an-binh/one-stop/dossiers.csv")).unwrap();
    assert_eq!(tokens.len(), dossiers.lines().filter(finished).count());
    assert!(tokens.is_sorted(), "in the order of tokens, which is nobody's");
    // The ledger and the tables hold neither token nor the number of a dossier with it.
    for (path, bytes) in crate::support::world::tree(&world.state()) {
        let is_in = bytes.is_some_and(|bytes| {
            tokens.iter().take(20).any(|token| bytes.windows(token.len()).any(|window| window == token.as_bytes()))
        });
        assert!(!is_in, "{} holds a token", path.display());
    }

    let mut rows = String::from("rating_id,dossier_number,level,rated_on,words\n");
    for (place, token) in tokens.iter().enumerate().filter(|(place, _)| place % 2 == 0) {
        rows.push_str(&format!("R{place},{token},{},0{}/11/2026,\n", 3 + place % 3, 1 + place % 9));
    }
    // Spent a second time, and one that nobody was given.
    rows.push_str(&format!("R9001,{},1,08/11/2026,chậm quá\n", tokens[1]));
    rows.push_str(&format!("R9002,{},1,09/11/2026,chậm quá\n", tokens[1]));
    rows.push_str("R9003,ZZZZZZZZZZZZZZZZZZZZZZZZZZ,1,09/11/2026,không có thẻ\n");
    world.put(RATINGS, rows.as_bytes());
    world.night("2026-11-21").with(0);
    world.ledger_is_sound();

    let spent = tokens.len().div_ceil(2) + 1;
    let (all, used) = world.ledger().tokens_spent("2026-10").unwrap();
    assert_eq!((all, used), (i64::try_from(tokens.len()).unwrap(), i64::try_from(spent).unwrap()));
    let counts = counts(&world);
    assert_eq!(counts["2026-10"].sum(|_| true), used);
    assert_eq!(counts["2026-10"].sum(|cell| cell.level == 1), 1);
    assert_eq!(counts["2026-10"].sum(|cell| cell.proof != "token"), 0);

    // What was written comes back without a place or an order, and goes after its term.
    let texts = world.chudong(&["ratings", "texts", "--month", "2026-10"]).with(0);
    assert_eq!(texts.out.trim(), "chậm quá");
    assert_eq!(world.chudong(&["ratings", "texts", "--month", "2026-09"]).with(0).out.trim(), "");

    // A month is taken in once: what comes later changes no count.
    world.put(RATINGS, rows.replace(",4,", ",1,").as_bytes());
    let changed = world.night("2026-11-22").with(0);
    assert!(!changed.out.contains("came after they were taken in"), "{}", changed.out);
    let late = format!("{rows}R9100,{},5,20/11/2026,\n", tokens[3]);
    world.put(RATINGS, late.as_bytes());
    let told = world.night("2026-11-22").with(0);
    assert!(told.out.contains("Ratings of 2026-10 came after they were taken in"), "{}", told.out);
    assert!(self::counts(&world)["2026-10"] == counts["2026-10"]);
}

fn counts(world: &World) -> BTreeMap<String, Counts> {
    let key = chudong::world::World::new(world.root(), world.state()).opening_key().unwrap();
    let taken = world.ledger().taken_ratings().unwrap();
    let open = |part: &str, sealed: &[u8]| Counts::of_text(&key.open(&sealed_counts(part), sealed).unwrap()).unwrap();
    taken.iter().map(|(month, part, sealed)| (month.clone(), open(part, sealed))).collect()
}

#[test]
fn what_is_wrong_with_a_blind_table_is_said() {
    let world = World::of("an-binh");
    world.edit(PIPELINE, "by = \"dossier_number\"", "by = \"level\"");
    world.edit(PIPELINE, "questions = { overall = \"level\" }", "questions = { mood = \"level\" }");
    world.edit(PIPELINE, "scale = \"five\",", "scale = \"five\", counts_as = [2, 4, 5],");
    world.put("sql/staging/an-binh/ratings.sql", b"-- x\n--\n-- grain: month\n-- private:\nselect '' as month\n");
    let ended = world.chudong(&["check"]).with(1);
    let said = format!("{}{}", ended.out, ended.err);
    let codes = ["pipeline.blind-column", "pipeline.blind-question", "pipeline.blind-scale"];
    for code in codes {
        assert!(said.contains(code), "{code}:\n{said}");
    }
}
