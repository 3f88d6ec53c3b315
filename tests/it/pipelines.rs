//! Pipelines as written become pipelines as checked, with every fault at its line.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use chudong::calendar::AsOf;
use chudong::check;
use chudong::pipeline::{self, Load, SourceKind, Type, VolumeBound, reader::Faults};
use jiff::civil::date;

use crate::support::world::World;

#[test]
fn the_sample_agency_has_no_fault() {
    let faults = Faults::default();
    let pipeline = pipeline::read(crate::root(), "an-binh", &faults);
    let said: Vec<String> = faults.into_vec().iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
    assert_eq!(pipeline.map(|p| p.items.len()), Some(5));
}

/// The agency of the awkward files with other sources.
fn with_sources(sources: &str) -> (World, Option<pipeline::Pipeline>, Vec<String>) {
    let world = World::of("awkward");
    let sound = std::fs::read_to_string(crate::root().join("data-samples/awkward/pipelines/sound.toml")).unwrap();
    let head = sound.split("[sources.").next().unwrap();
    world.put("pipelines/awkward/pipeline.toml", format!("{head}{sources}").as_bytes());
    let fee = std::fs::read_to_string(world.root().join("pipelines/law/temporary_residence_extension.toml")).unwrap();
    world.put("pipelines/law/passenger_fee.toml", fee.replace("\"days\"", "\"vnd\"").as_bytes());
    let faults = Faults::default();
    let read = pipeline::read(&world.root(), "awkward", &faults);
    (world, read, faults.into_vec().iter().map(ToString::to_string).collect())
}

/// A source of this kind with one table.
fn one(kind: &str, table: &str) -> String {
    format!(
        r#"
[sources.register]
title = {{ vi = "Sổ", en = "Register" }}
{kind}
[sources.register.authorisation]
owner = {{ vi = "Sở", en = "Department" }}
legal_ground = {{ vi = "Điều 1", en = "Art. 1" }}
purposes = ["reminders"]
from = 2026-07-01
to = 2027-06-30

[sources.register.tables.cards]
{table}
columns.number = {{ type = "text", class = "personal" }}
columns.person = {{ type = "text", class = "personal", subject = true }}
columns.valid_to = {{ type = "date", class = "personal" }}
columns.fee = {{ type = "decimal(18,2)", class = "personal" }}
columns.weight = {{ type = "float", class = "personal" }}
columns.changed_at = {{ type = "instant", class = "personal" }}
"#
    )
}

const SERVER: &str = "kind = \"postgres\"\nhost = \"localhost\"\ndatabase = \"register\"\nuser = \"reader\"";

#[test]
fn every_kind_of_source_and_every_key_of_a_table_is_read() {
    let table = r#"
from = "the_cards"
key = ["number"]
filter = "valid_to is null or valid_to >= $as_of - longest('temporary_residence_extension')"
driving_date = "valid_to"
increment = { cursor = "changed_at", overlap = 30, compare_days = 3 }
keep_generations = 5
volume = { drop_percent = 10, rise_percent = 300, least_rows = 5 }
control_totals = ["fee", "valid_to"]"#;
    let (_world, read, said) = with_sources(&one(SERVER, table));
    assert_eq!(said, Vec::<String>::new());
    let pipeline = read.unwrap();
    let source = pipeline.source("register").unwrap();
    let table = source.tables.first().unwrap();
    assert_eq!((table.name.as_str(), table.from.as_str()), ("cards", "the_cards"));
    assert_eq!(table.filter.as_ref().unwrap().rules(), ["temporary_residence_extension"]);
    assert_eq!(table.driving_date.as_deref(), Some("valid_to"));
    assert_eq!(table.load, Load::Incremental { cursor: "changed_at".into(), overlap: 30, compare_days: 3 });
    assert_eq!(table.keep_generations, 5);
    assert_eq!(table.volume, VolumeBound { drop_percent: 10, rise_percent: Some(300), least_rows: 5 });
    assert_eq!(table.control_totals, ["fee", "valid_to"]);
    assert_eq!(table.column("fee").unwrap().kind, Type::Decimal { digits: 18, scale: 2 });
    assert!(table.column("person").unwrap().is_subject && !table.column("number").unwrap().is_subject);
    // The longest notice of the agency's items: fifteen days.
    assert_eq!(pipeline.until(AsOf::new(date(2026, 11, 21))), date(2026, 12, 6));

    let kinds = [
        ("sqlite", "path = \"a.sqlite\"".to_owned()),
        ("csv", "path = \"a\"\ndelimiter = \";\"".to_owned()),
        ("ndjson", "path = \"a\"".to_owned()),
        ("excel", "path = \"a\"".to_owned()),
        ("parquet", "path = \"a\"".to_owned()),
        (
            "s3",
            "endpoint = \"https://store.example\"\nbucket = \"b\"\naccess_key = { env = \"A\" }\nsecret_key = { credential = \"S\" }"
                .to_owned(),
        ),
        ("mysql", "host = \"db.example\"\ndatabase = \"d\"\nuser = \"u\"\nauthority = \"ca.pem\"\nreaders = 2".to_owned()),
        ("odbc", "connection = \"Driver={SQLite3};Database=a\"\npassword = { file = \"/run/secret\" }".to_owned()),
    ];
    for (word, keys) in kinds {
        let (_world, read, said) = with_sources(&one(&format!("kind = \"{word}\"\n{keys}"), "key = [\"number\"]"));
        assert_eq!(said, Vec::<String>::new(), "{word}");
        let kind = read.unwrap().source("register").unwrap().kind.clone();
        assert_eq!(kind.word(), word);
        if let SourceKind::Mysql(server) = &kind {
            assert_eq!((server.port, server.readers), (3306, 2));
        }
        assert!(!format!("{kind:?}").is_empty());
    }
}

#[test]
fn every_fault_of_a_source_is_said_at_its_line_with_what_to_do() {
    let key = "key = [\"number\"]";
    let cases: [(&str, &str); 37] = [
        (SERVER, "key = [\"nobody\"]"),
        (SERVER, "key = [\"number\", \"number\"]"),
        (SERVER, "key = [\"weight\"]"),
        (SERVER, "key = [\"number\"]\nfilter = \"salary > 3\""),
        (SERVER, "key = [\"number\"]\nfilter = \"valid_to >= $as_of - longest('no_such_rule')\""),
        (SERVER, "key = [\"number\"]\nfilter = \"valid_to >= $as_of - longest('passenger_fee')\""),
        (SERVER, "key = [\"number\"]\nfilter = 5"),
        (SERVER, "key = [\"number\"]\ndriving_date = \"changed_at\""),
        (SERVER, "key = [\"number\"]\nincrement = { cursor = \"number\" }"),
        (SERVER, "key = [\"number\"]\nincrement = { cursor = \"changed_at\", overlap = -1, compare_days = 0 }"),
        (SERVER, "key = [\"number\"]\nincrement = { overlap = 5, every = 3 }"),
        (SERVER, "key = [\"number\"]\nkeep_generations = 0"),
        (SERVER, "key = [\"number\"]\nvolume = { drop_percent = 101, rise_percent = -1, least = 5 }"),
        (SERVER, "key = [\"number\"]\ncontrol_totals = [\"weight\", \"fee\", \"fee\"]"),
        (SERVER, "key = [\"number\"]\ncolumns.day = { type = \"date\", class = \"personal\", subject = true }"),
        (SERVER, "key = [\"number\"]\ncolumns.sum = { type = \"decimal(90,2)\", class = \"personal\" }"),
        (SERVER, "key = [\"number\"]\ncolumns.sum = { type = \"decimal(18,2)[][]\", class = \"personal\" }"),
        (SERVER, "key = [\"sums\"]\ncolumns.sums = { type = \"decimal(18,2)[]\", class = \"personal\" }"),
        (SERVER, "key = [\"number\"]\ncolumns.sum = { type = \"int\", class = \"personal\", format = \"%d\" }"),
        (SERVER, "key = [\"number\"]\ncolumns.day = { type = \"date\", class = \"personal\", format = \"%d/%m/%y\" }"),
        (
            SERVER,
            "key = [\"number\"]\ncolumns.day = { type = \"timestamp\", class = \"personal\", format = \"%D %H:%M\" }",
        ),
        (SERVER, "key = [\"number\"]\ncolumns.day = { type = \"date\", class = \"personal\", format = \"%d%m%_3C\" }"),
        (SERVER, "key = [\"number\"]\ncolumns.day = { type = \"date\", class = \"personal\", on_fault = \"default\" }"),
        ("kind = \"csv\"\npath = \"a\"", "key = [\"number\"]\nincrement = { cursor = \"changed_at\" }"),
        ("kind = \"csv\"\npath = \"a\"\ndelimiter = \"||\"", key),
        ("kind = \"oracle\"", key),
        ("kind = \"mysql\"\nhost = \"db.example\"\ndatabase = \"d\"\nuser = \"u\"\nreaders = 17\nport = 0", key),
        ("kind = \"mysql\"\nhost = \"db.example\"\ndatabase = \"d\"\nuser = \"u\"\npassword = \"open-sesame\"", key),
        (
            "kind = \"mysql\"\nhost = \"db.example\"\ndatabase = \"d\"\nuser = \"u\"\npassword = { file = \"secret\" }",
            key,
        ),
        (
            "kind = \"mysql\"\nhost = \"db.example\"\ndatabase = \"d\"\nuser = \"u\"\npassword = { file = \"/a\", env = \"B\" }",
            key,
        ),
        ("kind = \"odbc\"\nconnection = \"Driver=x;PWD=open-sesame\"", key),
        ("kind = \"odbc\"\nconnection = \"Driver=x; Password = open-sesame;\"", key),
        ("kind = \"odbc\"", key),
        ("kind = \"s3\"\nendpoint = \"http://store.example\"\nbucket = \"b\"", key),
        (
            "kind = \"s3\"\nendpoint = \"https://store.example\"\nbucket = \"b\"\naccess_key = \"open-sesame\"\nsecret_key = { env = \"S\" }",
            key,
        ),
        (
            "kind = \"s3\"\nendpoint = \"https://me:open-sesame@store.example\"\nbucket = \"b\"\naccess_key = { env = \"A\" }\nsecret_key = { env = \"S\" }",
            key,
        ),
        ("kind = \"sqlite\"\npath = \"a\"\nreaders = 4", key),
    ];
    let mut said = String::new();
    for (kind, table) in cases {
        let (world, _, faults) = with_sources(&one(kind, table));
        assert!(!faults.is_empty(), "{kind}\n{table}");
        said.push_str(&format!("---- {}\n     {}\n", kind.replace('\n', "; "), table.replace('\n', "; ")));
        said.push_str(&world.shown(&faults.join("\n")));
        said.push_str("\n\n");
    }
    let echoes = said.lines().filter(|line| !line.starts_with("----")).filter(|line| line.contains("open-sesame"));
    assert_eq!(echoes.count(), 0, "a secret that stands in a file is not repeated");
    insta::assert_snapshot!("faults_of_sources", said);
}

#[test]
fn a_rule_of_a_filter_must_be_known_on_the_day() {
    let table = "key = [\"number\"]\nfilter = \"valid_to >= $as_of - longest('passenger_car_inspection')\"";
    let (_world, read, said) = with_sources(&one(SERVER, table));
    assert_eq!(said, Vec::<String>::new());
    let pipeline = read.unwrap();
    let library = chudong::sql::Library::default();
    assert!(check::gaps_on(&pipeline, &library, AsOf::new(date(2026, 11, 21))).is_empty());
    // Nothing of it was known the day before its first version was enacted; nothing else is wrong on that day.
    let versions = pipeline.law.rules.iter().find(|rule| rule.name == "passenger_car_inspection").unwrap();
    let before = versions.versions.iter().map(|version| version.enacted_on).min().unwrap().yesterday().unwrap();
    let gaps = check::gaps_on(&pipeline, &library, AsOf::new(before));
    let [gap] = gaps.as_slice() else { panic!("{gaps:?}") };
    assert_eq!(gap.fault.code, "pipeline.rule-not-known");
    assert!(gap.fault.what.contains("passenger_car_inspection") && gap.fault.next.contains("filter"));
    assert!(gap.items.is_empty(), "it is of a table, and of whatever reads it");
}
