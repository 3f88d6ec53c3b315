//! Awkward sources: each fault is said once, in one place, with its next step,
//! and what is right beside it lands.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use chudong::calendar::AsOf;
use chudong::landing::{self, Error, Landed, Pulled, Store};
use chudong::language::Text;
use chudong::pipeline::authorisation::{Authorisation, Class, Purpose};
use chudong::pipeline::filter::Dates;
use chudong::pipeline::law::Law;
use chudong::pipeline::{Column, OnFault, Source, SourceKind, SourceTable, Type};
use chudong::tables::Table;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use proptest::prelude::*;

/// The night for which most of these pulls are made.
pub fn night() -> Dates<'static> {
    on(date(2026, 11, 21))
}

/// A night of an agency without rules, which gives 30 days' notice.
pub fn on(as_of: Date) -> Dates<'static> {
    static LAW: LazyLock<Law> = LazyLock::new(Law::default);
    Dates { as_of, until: as_of.saturating_add(30.days()), since: as_of, known_on: as_of, law: &LAW }
}

/// A granted column that quarantines.
pub fn column(name: &str, kind: Type) -> Column {
    Column {
        name: name.into(),
        kind,
        class: Class::Personal,
        format: None,
        on_fault: OnFault::Quarantine,
        is_subject: false,
        purposes: None,
        nullable: true,
        meaning: None,
    }
}

/// A table of a source, identified by its first column.
pub fn table(from: &str, columns: Vec<Column>) -> SourceTable {
    let name = from.split('.').next().unwrap().to_owned();
    SourceTable::snapshot(&name, from, vec![columns[0].name.clone()], columns)
}

/// An authorised source.
pub fn source(kind: SourceKind, tables: Vec<SourceTable>) -> Source {
    let text = || Text { vi: "Thẻ".into(), en: "Cards".into() };
    Source {
        name: "insurance".into(),
        title: text(),
        kind,
        authorisation: Authorisation {
            owner: text(),
            legal_ground: text(),
            purposes: vec![Purpose::Reminders],
            from: date(2026, 7, 1),
            // A server is read today, whenever the tests run.
            to: date(2099, 6, 30),
        },
        tables,
    }
}

fn cards(from: &str, format: Option<&str>) -> SourceTable {
    let mut valid_to = column("valid_to", Type::Date);
    valid_to.format = format.map(str::to_owned);
    let columns =
        vec![column("card_number", Type::Text), column("full_name", Type::Text), valid_to, column("fee", Type::Int)];
    table(from, columns)
}

fn csv(file: &str) -> Source {
    let kind = SourceKind::Csv { path: "data-samples/awkward".into(), delimiter: b',' };
    source(kind, vec![cards(file, Some("%d/%m/%Y"))])
}

fn sqlite(file: &str) -> Source {
    let path = PathBuf::from("data-samples/awkward").join(file);
    source(SourceKind::Sqlite { path }, vec![cards("cards", None)])
}

fn parquet(file: &str) -> Source {
    source(SourceKind::Parquet { path: "data-samples/awkward".into() }, vec![cards(file, None)])
}

fn pull(source: &Source) -> Result<Pulled, Error> {
    landing::pull(source, crate::root(), night(), &Store::Nowhere)
}

/// What a clerk would read: the faults, or the counts.
pub fn said(pulled: &Result<Pulled, Error>) -> String {
    match pulled {
        Err(error) => error.faults().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        Ok(pulled) => {
            let failed = pulled.failed.iter().flat_map(|(_, error)| error.faults()).map(|fault| fault.to_string());
            pulled.tables.iter().map(counts).chain(failed).collect::<Vec<_>>().join("\n")
        }
    }
}

fn counts(landed: &Landed) -> String {
    let (name, read) = (&landed.name, landed.rows_read);
    let mut text = format!("{name}: read {read}, landed {}", landed.rows_landed);
    assert_eq!(landed.rows_landed + landed.rows_quarantined, read);
    for finding in &landed.findings {
        let column = finding.column.as_deref().unwrap_or("the row");
        text.push_str(&format!("\n{:?} {} for {column}: {}", finding.effect, finding.rows, finding.reason));
    }
    text
}

#[test]
fn every_awkward_file_is_explained_in_the_readme_and_tested_here() {
    let folder = crate::root().join("data-samples/awkward");
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        // The folders hold what an agency wrote, and faults.rs tests them.
        if entry.path().is_dir() || ["README.md", ".gitattributes"].contains(&name.as_str()) {
            continue;
        }
        assert!(readme.contains(&format!("`{name}`")), "README.md does not explain {name}");
        assert!(include_str!("landing.rs").contains(&format!("\"{name}\"")), "no test of {name}");
    }
}

#[test]
fn missing_column() {
    insta::assert_snapshot!(said(&pull(&csv("missing_column.csv"))), @r#"
    error[landing.missing-column]: the source has no column "fee"
      at:   table insurance.missing_column
      next: correct columns in pipeline.toml, or ask the owner of the source what has changed
    "#);
}

#[test]
fn renamed_column() {
    insta::assert_snapshot!(said(&pull(&csv("renamed_column.csv"))), @r#"
    error[landing.missing-column]: the source has no column "fee"
      at:   table insurance.renamed_column
      next: did you mean "fees"? correct columns in pipeline.toml, or ask the owner of the source what has changed
    "#);
}

#[test]
fn twice_named_column() {
    insta::assert_snapshot!(said(&pull(&csv("twice_named_column.csv"))), @r#"
    error[landing.twice]: the source has the column "fee" more than once
      at:   table insurance.twice_named_column
      next: ask the owner of the source for names that differ
    "#);
}

#[test]
fn wrong_type() {
    insta::assert_snapshot!(said(&pull(&csv("wrong_type.csv"))), @r#"
    insurance.wrong_type: read 3, landed 2
    Quarantined 1 for fee: not a whole number
    "#);
}

#[test]
fn duplicate_key() {
    insta::assert_snapshot!(said(&pull(&csv("duplicate_key.csv"))), @r#"
    insurance.duplicate_key: read 4, landed 2
    Quarantined 2 for the row: duplicate key
    "#);
}

#[test]
fn empty_key() {
    insta::assert_snapshot!(said(&pull(&csv("empty_key.csv"))), @r#"
    insurance.empty_key: read 3, landed 2
    Quarantined 1 for card_number: empty key
    "#);
}

#[test]
fn date_30_02() {
    insta::assert_snapshot!(said(&pull(&csv("date_30_02.csv"))), @r#"
    insurance.date_30_02: read 3, landed 2
    Quarantined 1 for valid_to: no such day
    "#);
}

#[test]
fn date_9999() {
    insta::assert_snapshot!(said(&pull(&csv("date_9999.csv"))), @r#"
    insurance.date_9999: read 3, landed 2
    Quarantined 1 for valid_to: date outside 1900 to 2200
    "#);
}

#[test]
fn iso_date() {
    insta::assert_snapshot!(said(&pull(&csv("iso_date.csv"))), @r#"
    insurance.iso_date: read 3, landed 2
    Quarantined 1 for valid_to: not a date
    "#);
}

#[test]
fn not_a_number() {
    insta::assert_snapshot!(said(&pull(&csv("not_a_number.csv"))), @r#"
    insurance.not_a_number: read 3, landed 2
    Quarantined 1 for fee: not a whole number
    "#);
}

#[test]
fn invalid_utf8() {
    insta::assert_snapshot!(said(&pull(&csv("invalid_utf8.csv"))), @r#"
    insurance.invalid_utf8: read 3, landed 2
    Quarantined 1 for full_name: invalid UTF-8
    "#);
}

#[test]
fn control_character() {
    insta::assert_snapshot!(said(&pull(&csv("control_character.csv"))), @r#"
    insurance.control_character: read 3, landed 2
    Quarantined 1 for full_name: control character in a text
    "#);
}

#[test]
fn utf_16() {
    insta::assert_snapshot!(said(&pull(&csv("utf_16.csv"))), @r#"
    error[sources.utf-16]: the file is in UTF-16, not in UTF-8
      at:   data-samples/awkward/utf_16.csv
      next: export it again as "CSV UTF-8"
    "#);
}

#[test]
fn ragged_row() {
    insta::assert_snapshot!(said(&pull(&csv("ragged_row.csv"))), @r#"
    insurance.ragged_row: read 3, landed 2
    Quarantined 1 for the row: wrong number of fields
    "#);
}

#[test]
fn open_quote() {
    insta::assert_snapshot!(said(&pull(&csv("open_quote.csv"))), @r#"
    error[sources.open-quote]: a quotation mark that is opened here is never closed
      at:   data-samples/awkward/open_quote.csv:3
      next: close it, or double it where it belongs to the text, and export again
    "#);
}

#[test]
fn wrong_delimiter() {
    insta::assert_snapshot!(said(&pull(&csv("wrong_delimiter.csv"))), @r#"
    error[landing.no-header]: the file has no header: its first line names no declared column (1 field)
      at:   table insurance.wrong_delimiter
      next: ask the owner for a file with its header, or correct columns or delimiter in pipeline.toml
    "#);
}

#[test]
fn bom() {
    insta::assert_snapshot!(said(&pull(&csv("bom.csv"))), @"insurance.bom: read 3, landed 3");
}

#[test]
fn nfd_names() {
    insta::assert_snapshot!(said(&pull(&csv("nfd_names.csv"))), @r"
    insurance.nfd_names: read 3, landed 3
    Normalised 3 for full_name: not in NFC
    ");
}

#[test]
fn crlf_and_quotes() {
    insta::assert_snapshot!(said(&pull(&csv("crlf_and_quotes.csv"))), @"insurance.crlf_and_quotes: read 3, landed 3");
}

#[test]
fn empty() {
    insta::assert_snapshot!(said(&pull(&csv("empty.csv"))), @r#"
    error[sources.no-header]: the file is empty, not even a header row is there
      at:   data-samples/awkward/empty.csv
      next: ask the owner for the file again; its first line names the columns
    "#);
}

#[test]
fn header_only() {
    insta::assert_snapshot!(said(&pull(&csv("header_only.csv"))), @"insurance.header_only: read 0, landed 0");
}

#[test]
fn missing_table() {
    insta::assert_snapshot!(said(&pull(&sqlite("missing_table.sqlite"))), @r#"
    error[landing.missing-table]: the source has no table "cards"
      at:   table insurance.cards
      next: did you mean "card"? correct from in pipeline.toml, or ask the owner of the source what has changed
    "#);
}

#[test]
fn text_in_int() {
    insta::assert_snapshot!(said(&pull(&sqlite("text_in_int.sqlite"))), @r#"
    insurance.cards: read 3, landed 1
    Quarantined 2 for fee: not a whole number
    "#);
}

#[test]
fn awkward_dates() {
    insta::assert_snapshot!(said(&pull(&sqlite("awkward_dates.sqlite"))), @r#"
    insurance.cards: read 14, landed 6
    Quarantined 2 for valid_to: not a date
    Quarantined 1 for valid_to: no such day
    Quarantined 4 for valid_to: date outside 1900 to 2200
    Quarantined 1 for valid_to: time of day in a date
    "#);
}

#[test]
fn damaged_index() {
    insta::assert_snapshot!(said(&pull(&sqlite("damaged_index.sqlite"))), @r#"
    error[landing.count-mismatch]: the source counts 2 rows, but 3 were received
      at:   table insurance.cards
      next: ask the owner to check the table and its indexes; nothing of this table was kept
    "#);
}

#[test]
fn not_a_database() {
    insta::assert_snapshot!(said(&pull(&sqlite("not_a_database.sqlite"))), @r#"
    error[sources.not-a-database]: the SQLite database cannot be read: file is not a database
      at:   data-samples/awkward/not_a_database.sqlite
      next: check the path in pipeline.toml, and ask the owner for the database file itself
    "#);
}

#[test]
fn truncated() {
    insta::assert_snapshot!(said(&pull(&parquet("truncated.parquet"))), @r#"
    error[sources.parquet]: the file is not a whole Parquet file: Parquet error: Invalid Parquet file. Corrupt footer
      at:   data-samples/awkward/truncated.parquet
      next: fetch the file again from its owner; it was cut short or is another format
    "#);
}

#[test]
fn wrong_type_parquet() {
    insta::assert_snapshot!(said(&pull(&parquet("wrong_type.parquet"))), @r#"
    error[landing.wrong-type]: the column "fee" is Float64 at the source, but declared as int
      at:   table insurance.wrong_type
      next: declare it as float, or ask the owner for a view that casts it
    "#);
}

#[test]
fn unsigned_and_zoned() {
    insta::assert_snapshot!(said(&pull(&parquet("unsigned_and_zoned.parquet"))), @r#"
    insurance.unsigned_and_zoned: read 3, landed 1
    Quarantined 1 for valid_to: date outside 1900 to 2200
    Quarantined 1 for valid_to: time of day in a date
    Quarantined 1 for fee: number too large
    "#);
}

#[test]
fn names_land_in_nfc_and_nothing_is_trimmed() {
    let names = |file: &str| pull(&csv(file)).unwrap().tables[0].table().unwrap().texts("full_name").unwrap();
    assert_eq!(names("nfd_names.csv"), names("bom.csv"));
    assert_eq!(names("nfd_names.csv")[1].as_deref(), Some("Trần Thị Bình"));
    let quoted = names("crlf_and_quotes.csv");
    assert_eq!(quoted[0].as_deref(), Some("Nguyễn Văn An, \"chủ hộ\""));
    assert_eq!(quoted[1].as_deref(), Some("Trần Thị\nBình"));
    let folder = tempfile::tempdir().unwrap();
    let kind = SourceKind::Csv { path: folder.path().into(), delimiter: b';' };
    std::fs::write(folder.path().join("blanks.csv"), "name;fee\n An ;1\n\"\";2\n\n Bình; 3\n").unwrap();
    let columns = vec![column("fee", Type::Int), column("name", Type::Text)];
    let pulled = pull(&source(kind, vec![table("blanks", columns)])).unwrap();
    assert_eq!(pulled.tables[0].table().unwrap().texts("name").unwrap(), vec![Some(" An ".to_owned()), None]);
    assert_eq!((pulled.tables[0].rows_read, pulled.tables[0].rows_quarantined), (3, 1));
}

#[test]
fn a_file_outside_the_granted_folder_is_no_table() {
    insta::assert_snapshot!(said(&pull(&csv("../../Cargo.toml"))), @r#"
    error[landing.missing-table]: the source has no table "../../Cargo.toml"
      at:   table insurance.
      next: correct from in pipeline.toml, or ask the owner of the source what has changed
    "#);
}

/// A folder of CSV files of the test's own, as a source of the table `cards`.
fn dropped(folder: &Path) -> Source {
    let kind = SourceKind::Csv { path: folder.into(), delimiter: b',' };
    source(kind, vec![cards("cards", Some("%d/%m/%Y"))])
}

#[test]
fn a_first_line_that_is_a_person_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let said_of = |text: &str| {
        std::fs::write(folder.path().join("cards.csv"), text).unwrap();
        said(&pull(&dropped(folder.path())))
    };
    insta::assert_snapshot!(said_of("GD40970000005948,Tran Gia Manh,08/06/2027,097086071395\n"), @"
    error[landing.no-header]: the file has no header: its first line names no declared column (4 fields)
      at:   table insurance.cards
      next: ask the owner for a file with its header, or correct columns or delimiter in pipeline.toml
    ");
    // `fee` and `Lee` are one letter apart; in a line that names no column it is a person all the same.
    assert!(!said_of("GD4,Tran,x,Lee\n").contains("Lee"));
    // A header with one field that is nobody's name: the others are not listed.
    let some = said_of("card_number,full_name,valid_to,097086071395\n");
    assert!(some.contains("no column \"fee\"") && !some.contains("0970"), "{some}");
    // A declared name with a slip of the pen is one; a number at its end is a value.
    let near = said_of("card_number,full_name,valid_to,fees\n");
    assert!(near.contains("no column \"fee\"") && near.contains("did you mean \"fees\""), "{near}");
    let far = said_of("card_numb123,full_name,valid_to,fee\n");
    assert!(far.contains("no column \"card_number\"") && !far.contains("123"), "{far}");
}

#[test]
fn names_of_dropped_files_are_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("Tran Gia Manh 097086071395.csv"), "a\n").unwrap();
    let said = said(&pull(&dropped(folder.path())));
    assert!(said.contains("landing.missing-table") && !said.contains("Manh"), "{said}");
}

#[test]
fn a_dropped_link_is_not_followed() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let secret = elsewhere.path().join("cards.csv");
    std::fs::write(&secret, "card_number,full_name,valid_to,fee\n1,root,08/06/2027,1\n").unwrap();
    let link = folder.path().join("cards.csv");
    std::os::unix::fs::symlink(&secret, &link).unwrap();
    let refused = |source: &Source| {
        let said = said(&pull(source)).replace(&folder.path().display().to_string(), "[drop]");
        assert!(said.starts_with("error[sources.not-plain]"), "{said}");
        said
    };
    insta::assert_snapshot!(refused(&dropped(folder.path())), @"
    error[sources.not-plain]: the source file is a link or no plain file
      at:   [drop]/cards.csv
      next: put the file itself into the folder; a link is not followed
    ");
    // Parquet is opened by the same door, and so is a file in a folder that is a link.
    std::os::unix::fs::symlink(&secret, folder.path().join("cards.parquet")).unwrap();
    let kind = SourceKind::Parquet { path: folder.path().into() };
    refused(&source(kind, vec![cards("cards", None)]));
    std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("inside")).unwrap();
    let kind = SourceKind::Csv { path: folder.path().into(), delimiter: b',' };
    refused(&source(kind, vec![cards("inside/cards", Some("%d/%m/%Y"))]));
    // A pipe is refused as well, and nobody waits for its writer.
    std::fs::remove_file(&link).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&link).status().unwrap().success());
    refused(&dropped(folder.path()));
    // The folder itself may be linked by whoever set the service up.
    let set_up = elsewhere.path().join("drop");
    std::os::unix::fs::symlink(elsewhere.path(), &set_up).unwrap();
    assert_eq!(said(&pull(&dropped(&set_up))), "insurance.cards: read 1, landed 1");
}

#[test]
fn an_authorisation_past_its_term_reads_nothing() {
    let mut expired = csv("bom.csv");
    expired.authorisation.to = date(2026, 11, 20);
    insta::assert_snapshot!(said(&pull(&expired)), @r#"
    error[landing.not-authorised]: the authorisation of the source insurance holds from 2026-07-01 to 2026-11-20, not on 2026-11-21
      at:   source insurance
      next: ask the owner to renew it, and write the new term into pipeline.toml; until then the source is not read
    "#);
}

#[test]
fn a_server_is_read_only_while_the_authorisation_holds_today_also_for_an_earlier_night() {
    let past = |kind: SourceKind| {
        let mut past = source(kind, vec![cards("bom.csv", Some("%d/%m/%Y"))]);
        past.authorisation.from = date(2020, 1, 1);
        past.authorisation.to = date(2020, 12, 31);
        let pulled = landing::pull(&past, crate::root(), on(date(2020, 11, 21)), &Store::Nowhere);
        said(&pulled).replace(&AsOf::today().to_string(), "TODAY")
    };
    // Nobody is asked: there is no such server.
    let server = chudong::pipeline::Server {
        host: "127.0.0.1".into(),
        port: 1,
        database: "agency".into(),
        user: "reader".into(),
        password: None,
        authority: None,
        readers: 1,
        silence_seconds: 1,
    };
    insta::assert_snapshot!(past(SourceKind::Postgres(server)), @"
    error[landing.not-authorised]: the authorisation of the source insurance holds from 2020-01-01 to 2020-12-31, not today, TODAY, and a server gives what it holds today
      at:   source insurance
      next: ask the owner to renew it, and write the new term into pipeline.toml; until then the source is not read
    ");
    // What was handed over then is read for the nights of then.
    assert_eq!(past(csv("bom.csv").kind), "insurance.bom: read 3, landed 3");
}

#[test]
fn a_value_in_a_column_that_stops_the_pull_is_named_by_its_row() {
    let mut strict = csv("date_30_02.csv");
    strict.tables[0].columns[2].on_fault = OnFault::Error;
    insta::assert_snapshot!(said(&pull(&strict)), @r#"
    error[landing.value]: row 2, column valid_to: no such day, and this column stops the pull (on_fault = "error")
      at:   table insurance.date_30_02
      next: ask the owner to correct the row, or set on_fault to "quarantine" or "null" for the column
    "#);
    strict.tables[0].columns[2].on_fault = OnFault::Null;
    let pulled = pull(&strict).unwrap();
    assert_eq!(pulled.tables[0].table().unwrap().dates("valid_to").unwrap()[1], None);
    insta::assert_snapshot!(said(&Ok(pulled)), @r#"
    insurance.date_30_02: read 3, landed 3
    Nulled 1 for valid_to: no such day
    "#);
}

/// The names in a folder, sorted, with their permissions.
fn files(folder: &Path) -> Vec<(String, u32)> {
    use std::os::unix::fs::PermissionsExt;
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().permissions().mode() & 0o777))
        .collect();
    names.sort();
    names
}

#[test]
fn a_generation_is_kept_whole_private_and_beside_its_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("landing");
    let store = Store::Folder(root.clone());
    let pull = || landing::pull(&csv("duplicate_key.csv"), crate::root(), night(), &store).unwrap();
    let pulled = pull();
    let landed = &pulled.tables[0];
    let generation = landed.generation.clone().unwrap();
    let back = landing::read_generation(&landed.stored.base[0]).unwrap();
    assert_eq!(back.to_batch().unwrap(), landed.table().unwrap().to_batch().unwrap());
    assert!(!back.schema.field_with_name("card_number").unwrap().is_nullable());
    assert_eq!(store.newest(&landed.name).unwrap(), Some(generation.path.clone()));
    let reasons = landing::read_generation(&generation.quarantine).unwrap().to_batch().unwrap();
    insta::assert_snapshot!(arrow::util::pretty::pretty_format_batches(&[reasons]).unwrap(), @r#"
    +------------+---------------+--------+
    | row_number | reason        | column |
    +------------+---------------+--------+
    | 2          | duplicate key |        |
    | 4          | duplicate key |        |
    +------------+---------------+--------+
    "#);
    let kept = root.join("insurance.duplicate_key");
    assert_eq!(files(&root).iter().map(|file| file.1).collect::<Vec<_>>(), vec![0o700, 0o600]);
    assert!(files(&kept).iter().all(|file| file.1 == 0o600), "{:?}", files(&kept));

    // The same night again, with what a killed run left behind: the same generation and nothing else.
    std::fs::write(kept.join(".aside-1234.parquet"), "half").unwrap();
    let before = std::fs::read(&generation.path).unwrap();
    let again = pull().tables[0].generation.clone().unwrap();
    assert_eq!((again.path, again.unchanged), (generation.path.clone(), true));
    assert_eq!(std::fs::read(&generation.path).unwrap(), before);
    assert_eq!(files(&kept).len(), 3);
}

#[test]
fn the_newest_two_generations_stay_whatever_day_they_speak_for() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let store = Store::Folder(folder.path().join("landing"));
    let kind = SourceKind::Csv { path: data.clone(), delimiter: b',' };
    let source = source(kind, vec![table("cards", vec![column("card_number", Type::Text)])]);
    let pull = |content: &str, day: i8| {
        std::fs::write(data.join("cards.csv"), format!("card_number\n{content}\n")).unwrap();
        landing::pull(&source, crate::root(), on(date(2026, 11, day)), &store).unwrap().tables[0]
            .generation
            .clone()
            .unwrap()
            .path
    };
    let first = pull("a", 20);
    let second = pull("b", 21);
    // A correction of the same day is a generation of its own; the oldest leaves.
    let third = pull("c", 21);
    assert!(!first.exists() && second.exists() && third.exists() && second < third);
    // The clock goes back: what was just landed stays, and nothing of a later night goes.
    let past = pull("d", 19);
    assert!(past.exists() && third.exists() && second.exists());
    assert_eq!(files(third.parent().unwrap()).len(), 9);
    // The next true night lets go what is too old.
    let next = pull("e", 22);
    assert!(next.exists() && third.exists() && !second.exists() && !past.exists());
    assert_eq!(files(third.parent().unwrap()).len(), 6);
    // Nights that are run again, the later ones first: they do not pile up, and the newest stay.
    for day in [14, 13, 12, 11] {
        let again = pull(&day.to_string(), day);
        assert!(again.exists() && next.exists() && third.exists());
        assert_eq!(files(third.parent().unwrap()).len(), 9);
    }
}

#[test]
fn two_runs_do_not_pull_the_same_source_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::Folder(folder.path().into());
    let held = std::fs::File::create(folder.path().join("insurance.lock")).unwrap();
    held.lock().unwrap();
    insta::assert_snapshot!(said(&landing::pull(&csv("bom.csv"), crate::root(), night(), &store)), @r#"
    error[landing.busy]: another run is pulling the source insurance at this moment
      at:   source insurance
      next: wait until it has finished, and run again
    "#);
    drop(held);
    landing::pull(&csv("bom.csv"), crate::root(), night(), &store).unwrap();
}

#[test]
fn a_full_disk_is_one_clear_error() {
    let landed = pull(&csv("bom.csv")).unwrap();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let written = landing::write_parquet(&landed.tables[0].table().unwrap(), &full, Path::new("var/landing"));
    insta::assert_snapshot!(said(&written.map(|_| landed)), @r#"
    error[landing.disk-full]: no space is left for the landed rows
      at:   var/landing
      next: free space, or name another state folder, and run again; nothing is lost
    "#);
}

#[test]
fn a_folder_that_may_not_be_written_to_is_one_clear_error() {
    // Nobody, not even root, can make a folder there.
    let store = Store::Folder("/sys/chudong-landing".into());
    let said = said(&landing::pull(&csv("bom.csv"), crate::root(), night(), &store));
    assert!(said.starts_with("error[landing.read-only]: the landing folder may not be written to: "), "{said}");
    assert!(said.contains("at:   /sys/chudong-landing\n"), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever bytes a CSV file has: no panic, and every record that an independent count finds is landed or set aside.
    #[test]
    fn any_bytes_are_landed_set_aside_or_refused(records in prop::collection::vec("[a-c0-9\",;\r\n\u{e9}]{0,12}", 0..20), tail in prop::collection::vec(any::<u8>(), 0..8)) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = b"id,fee\n".to_vec();
        bytes.extend(records.join("\n").bytes());
        bytes.extend(tail);
        std::fs::write(folder.path().join("any.csv"), bytes).unwrap();
        let kind = SourceKind::Csv { path: folder.path().into(), delimiter: b',' };
        let columns = vec![column("id", Type::Text), column("fee", Type::Int)];
        match pull(&source(kind, vec![table("any", columns)])) {
            Ok(pulled) if pulled.tables.is_empty() => {
                prop_assert_eq!(pulled.failed[0].1.faults()[0].code, "sources.open-quote");
            }
            Ok(pulled) => {
                let landed = &pulled.tables[0];
                prop_assert_eq!(landed.rows_landed + landed.rows_quarantined, landed.rows_read);
                let ids = landed.table().unwrap().texts("id").unwrap();
                prop_assert!(ids.iter().all(Option::is_some));
                prop_assert!(ids.is_sorted_by(|a, b| a < b), "keys are unique and in order");
            }
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    /// A damaged Parquet file is refused or gives as many rows as it says; it never brings the process down.
    #[test]
    fn a_damaged_parquet_file_never_brings_the_process_down(place in any::<prop::sample::Index>(), value in any::<u8>()) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = std::fs::read(crate::root().join("data-samples/awkward/unsigned_and_zoned.parquet")).unwrap();
        *place.get_mut(&mut bytes) = value;
        std::fs::write(folder.path().join("any.parquet"), bytes).unwrap();
        let pulled = pull(&source(SourceKind::Parquet { path: folder.path().into() }, vec![cards("any", None)]));
        for landed in pulled.iter().flat_map(|pulled| &pulled.tables) {
            prop_assert_eq!(landed.rows_landed + landed.rows_quarantined, landed.rows_read);
        }
    }

    /// A date of the years 1900 to 2200 comes back as it was, in both forms; none other lands.
    #[test]
    fn dates_come_back_as_they_were(days in -40_000_i32..100_000) {
        let day = chudong::calendar::from_days(days).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let text = format!("id,iso,local\n1,{day},{}\n", day.strftime("%d/%m/%Y"));
        std::fs::write(folder.path().join("dates.csv"), text).unwrap();
        let mut columns = vec![column("id", Type::Int), column("iso", Type::Date), column("local", Type::Date)];
        columns[2].format = Some("%d/%m/%Y".into());
        columns.iter_mut().for_each(|column| column.on_fault = OnFault::Null);
        let kind = SourceKind::Csv { path: folder.path().into(), delimiter: b',' };
        let pulled = pull(&source(kind, vec![table("dates", columns)])).unwrap();
        let kept = (1900..=2200).contains(&day.year()).then_some(day);
        prop_assert_eq!(pulled.tables[0].table().unwrap().dates("iso").unwrap(), vec![kept]);
        prop_assert_eq!(pulled.tables[0].table().unwrap().dates("local").unwrap(), vec![kept]);
    }
}

/// The Parquet files of `data-samples/awkward/` hold what this writes; `UPDATE_EXPECT=1` writes them again.
#[test]
fn the_parquet_files_are_those_made_here() {
    use arrow::array::{ArrayRef, Float64Array, StringArray, TimestampMicrosecondArray, UInt64Array};
    use std::sync::Arc;
    let committed = crate::root().join("data-samples/awkward");
    let temporary = tempfile::tempdir().unwrap();
    let is_update = std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1");
    let folder = if is_update { committed.clone() } else { temporary.path().to_path_buf() };
    let write = |name: &str, columns: Vec<(&str, ArrayRef)>| {
        let batch = arrow::array::RecordBatch::try_from_iter(columns).unwrap();
        let path = folder.join(name);
        landing::write_parquet(&Table::from_batch(batch), &std::fs::File::create(&path).unwrap(), &path).unwrap();
        path
    };
    let numbers = || Arc::new(StringArray::from(vec!["BH001", "BH002", "BH003"])) as ArrayRef;
    let names = || Arc::new(StringArray::from(vec!["Nguyễn Văn An", "Trần Thị Bình", "Lê Hoàng Châu"])) as ArrayRef;
    // Midnight in Vietnam, one second later, and 9999-12-31.
    let moments = vec![1_798_650_000_000_000, 1_798_650_001_000_000, 253_402_214_400_000_000];
    let moments = || Arc::new(TimestampMicrosecondArray::from(moments.clone()).with_timezone("UTC")) as ArrayRef;
    write(
        "unsigned_and_zoned.parquet",
        vec![
            ("card_number", numbers()),
            ("full_name", names()),
            ("valid_to", moments()),
            ("fee", Arc::new(UInt64Array::from(vec![804_600, 804_600, u64::MAX]))),
        ],
    );
    let path = write(
        "wrong_type.parquet",
        vec![
            ("card_number", numbers()),
            ("full_name", names()),
            ("valid_to", moments()),
            ("fee", Arc::new(Float64Array::from(vec![804.6, 804.6, 563.22]))),
        ],
    );
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(folder.join("truncated.parquet"), &bytes[..bytes.len() / 2]).unwrap();
    for name in ["unsigned_and_zoned.parquet", "wrong_type.parquet"] {
        let rows = |folder: &std::path::Path| landing::read_generation(&folder.join(name)).unwrap().to_batch().unwrap();
        assert_eq!(rows(&folder), rows(&committed), "{name}");
    }
    let whole = std::fs::read(committed.join("wrong_type.parquet")).unwrap();
    assert_eq!(std::fs::read(committed.join("truncated.parquet")).unwrap(), whole[..whole.len() / 2]);
}
