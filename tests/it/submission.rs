//! A confirmed dossier goes to the portal: each value once, never twice, and what becomes of it comes back.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

/// What a person decided is not lost, nor handed in when nobody needs it, nor late.
mod decided;
/// The way to the portal, against a stand-in with faults.
mod portal;
/// A ledger that was restored.
mod restored;
/// The dossiers that the tests hand in.
pub mod sample;
/// What is not handed in, and who learns of it.
mod unfiled;
/// The ledger and the night: what is announced, what is settled.
mod way;
/// From the letter to the settled obligation, through the real binary.
mod whole;

use std::collections::{BTreeMap, BTreeSet};

use chudong::dossiers::{Confirmed, Field, Origin};
use chudong::fault::Explain;
use chudong::personal::{Personal, sha256};
use chudong::pipeline;
use chudong::pipeline::reader::Faults;
use chudong::submission::payload::{self, Uploaded};
use chudong::submission::{Becomes, Error, Status};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::world::World;
use sample::{confirmed, field, terms};

// ---- the ten statuses ---------------------------------------------------------

#[test]
fn each_of_the_ten_statuses_means_one_thing_for_the_obligation() {
    let expected = [
        (1, "registered", Becomes::UnderWay),
        (2, "accepted", Becomes::UnderWay),
        (3, "not accepted", Becomes::OpenAgain),
        (4, "in progress", Becomes::UnderWay),
        (5, "supplement asked", Becomes::Supplement),
        (6, "fee asked", Becomes::Fee),
        (7, "withdrawn", Becomes::OpenAgain),
        (8, "stopped", Becomes::OpenAgain),
        (9, "done", Becomes::Fulfilled),
        (10, "result given", Becomes::Fulfilled),
    ];
    let actual: Vec<(u8, &str, Becomes)> =
        Status::ALL.iter().map(|status| (status.number(), status.word(), status.becomes())).collect();
    assert_eq!(actual, expected);
    for status in Status::ALL {
        assert_eq!(Status::from_number(status.number().into()), Some(status));
        assert_eq!(status.is_end(), matches!(status.number(), 3 | 7..=10));
    }
    assert!([0, 11, u64::MAX].into_iter().all(|number| Status::from_number(number).is_none()));
}

// ---- the payload --------------------------------------------------------------

#[test]
fn a_dossier_is_written_in_the_words_of_the_portal() {
    let dossier = sample::with_files(confirmed("0".repeat(32).as_str()));
    let files: Vec<Uploaded> = (1..=2).map(|at| Uploaded { id: format!("T{at:06}") }).collect();
    let payload = payload::of(&dossier, &terms("https://portal.example", None), "H97-261123-0000001", &files).unwrap();
    let text = serde_json::to_string_pretty(payload.reveal()).unwrap();
    insta::assert_snapshot!("payload", text);
    assert_eq!(format!("{payload:?}"), "[personal]");
}

#[test]
fn what_no_portal_could_take_is_refused_before_anything_leaves() {
    let refused = |change: &dyn Fn(&mut Confirmed)| {
        let mut dossier = confirmed("a");
        change(&mut dossier);
        payload::check(&dossier).unwrap_err()
    };
    let with = |id: &str, word: &str, value: &str| field(id, Some(word), value, Origin::Person);
    let error = refused(&|dossier| dossier.identity_number = Personal::new("07908500123X".into()));
    assert!(matches!(&error, Error::Identity { .. }));
    assert!(!format!("{} {error:?}", error.fault()).contains("07908500123X"));
    let error = refused(&|dossier| dossier.fields.push(with("mine", "TrangThaiHoSo", "10")));
    assert!(matches!(&error, Error::Reserved { word, .. } if word == "TrangThaiHoSo"), "{error:?}");
    let error = refused(&|dossier| {
        dossier.fields.extend([with("one", "Email", "one@mail.example"), with("two", "Email", "two@mail.example")])
    });
    assert_eq!(error.code(), "submission.word-twice");
    assert!(!format!("{} {error:?}", error.fault()).contains("mail.example"));
    let error = refused(&|dossier| dossier.fields.push(with("name", "ChuHoSo", "Somebody Else")));
    assert_eq!(error.code(), "submission.other-person");
    assert!(!format!("{} {error:?}", error.fault()).contains("Somebody"));
}

/// A value as people and registers write it, with everything that JSON must escape.
fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[\\PC]{0,60}",
        Just("\"'\\\u{8}\t\n\r\u{0}\u{1f}</script>&amp;{{7*7}}".to_owned()),
        Just("Nguyễn Thị Hồng Đào, số 5/2 ngõ 18\u{301}".to_owned()),
        Just("\u{202e}evil\u{feff}\u{200d}😀𠮷".to_owned()),
    ]
}

fn any_origin() -> impl Strategy<Value = Origin> {
    prop_oneof![
        Just(Origin::Person),
        Just(Origin::Corrected { instead_of: vec!["transport.driving_licences.class".into()] }),
        ("(population|transport|other)", "[a-z]{1,8}").prop_map(|(source, column)| Origin::Register {
            column: format!("{source}.table.{column}"),
            pulled_on: sample::day(),
            legal_ground: "Luật 91/2025/QH15".into(),
        }),
        ("(population|transport|other)", "[a-z]{1,8}").prop_map(|(source, column)| Origin::Chosen {
            column: format!("{source}.table.{column}"),
            pulled_on: sample::day(),
            legal_ground: "Luật 91/2025/QH15".into(),
            instead_of: vec!["health.table.name".into()],
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::support::cases(96)))]

    #[test]
    fn every_value_is_there_once_and_reads_back_as_it_was(
        values in prop::collection::vec((any_value(), any_origin(), any::<bool>()), 0..12),
        name in any_value(),
        words in prop::sample::subsequence(vec!["Email", "Fax", "GhiChu", "SoDienThoai", "NoiNopHoSo", "TrichYeuHoSo"], 0..6),
    ) {
        let mut dossier = confirmed("b");
        dossier.name = Personal::new(name);
        dossier.fields = values
            .into_iter()
            .enumerate()
            .map(|(at, (value, origin, is_known))| {
                let word = words.get(at).copied().or(is_known.then_some("SoGiayPhepLaiXe"));
                field(&format!("field_{at}"), word, &value, origin)
            })
            .collect();
        let payload = payload::of(&dossier, &terms("https://portal.example", None), "N-1", &[]).unwrap();
        // Through the text, as it goes over the wire.
        let back: Value = serde_json::from_str(&payload.reveal().to_string()).unwrap();
        prop_assert_eq!(back.get("ChuHoSo").unwrap().as_str().unwrap(), dossier.name.reveal());
        let others: Vec<Value> = serde_json::from_str(back.get("ThongTinKhac").unwrap().as_str().unwrap()).unwrap();
        let mut others = others.iter();
        for (at, field) in dossier.fields.iter().enumerate() {
            let said = match words.get(at) {
                Some(word) => back.get(word).unwrap(),
                None => {
                    let other = others.next().unwrap();
                    let code = field.portal.as_deref().unwrap_or(&field.id);
                    prop_assert_eq!(other.get("Ma").unwrap().as_str().unwrap(), code);
                    other.get("GiaTri").unwrap()
                }
            };
            prop_assert_eq!(said.as_str().unwrap(), field.value.reveal());
        }
        prop_assert!(others.next().is_none(), "nothing is there that nobody confirmed");
        // Which databases stand behind it, and no other.
        let sources: BTreeSet<&str> = dossier.fields.iter().filter_map(source).collect();
        let codes: BTreeMap<&str, &str> = [("population", "1"), ("transport", "7")].into();
        let expected: BTreeSet<&str> = sources.iter().filter_map(|source| codes.get(source).copied()).collect();
        let listed = back.get("DSKetNoiCSDL").unwrap().as_array().unwrap();
        let listed: Vec<&str> = listed.iter().map(|one| one.get("MaCSDL").unwrap().as_str().unwrap()).collect();
        prop_assert_eq!(listed.iter().copied().collect::<BTreeSet<&str>>(), expected);
        prop_assert_eq!(listed.len(), listed.iter().collect::<BTreeSet<_>>().len());
    }
}

fn source(field: &Field) -> Option<&str> {
    match &field.origin {
        Origin::Register { column, .. } | Origin::Chosen { column, .. } => column.split('.').next(),
        _ => None,
    }
}

#[test]
fn the_hash_of_a_file_is_that_of_its_bytes() {
    let dossier = sample::with_files(confirmed("c"));
    assert!(dossier.attachments.iter().all(|file| file.sha256 == sha256(file.bytes.reveal())));
}

// ---- what the pipeline says ---------------------------------------------------

#[test]
fn check_names_what_is_wrong_with_the_way_to_the_portal() {
    let world = World::of("an-binh");
    let path = "pipelines/an-binh/pipeline.toml";
    let right = "[submission]\nurl = \"https://portal.example/v1/\"\ntoken_url = \"https://portal.example/token\"\n\
                 client_id = \"an-binh\"\nclient_secret = { env = \"NAME\" }\ndepartment = \"H97.12\"\n\
                 databases = { population = \"1\" }\n\n[unit]";
    let read = || {
        let faults = Faults::default();
        let read = pipeline::read(&world.root(), "an-binh", &faults);
        let said = faults.into_vec().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        (read.and_then(|pipeline| pipeline.submission), said)
    };
    assert!(read().0.is_none(), "nobody has to hand anything in");
    world.edit(path, "[unit]", right);
    let (submission, said) = read();
    assert_eq!(said, "");
    let submission = submission.unwrap();
    assert_eq!((submission.url.as_str(), submission.department.as_str()), ("https://portal.example/v1", "H97.12"));
    assert_eq!(submission.databases, [("population".to_owned(), "1".to_owned())].into());
    let wrong = "[submission]\nurl = \"http://portal.example\"\ntoken_url = \"https://portal.example/token\"\n\
                 client_id = \"an-binh\"\nclient_secret = \"hunter2\"\ndepartment = \"tỉnh\"\nauthority = \"ca.pem\"\n\
                 surplus = 1\ndatabases = { population = \"mã 1\", taxes = \"2\" }\n\n[unit]";
    world.edit(path, right, wrong);
    let (_, said) = read();
    for code in [
        "pipeline.clear-text",
        "pipeline.secret",
        "pipeline.department",
        "pipeline.relative-path",
        "pipeline.unknown-source",
        "pipeline.database-code",
        "toml.unknown-key",
    ] {
        assert!(said.contains(code), "{code}: {said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}
