//! A confirmed dossier as an accessible PDF, read back by programs that are not ours.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::Command;

use chudong::dossiers::{Confirmed, Origin, Reader, as_read};
use chudong::language::Text;
use chudong::paper;
use chudong::personal::Personal;
use chudong::pipeline::authorisation::Class;
use chudong::pipeline::form::{AnswerRule, Choice, FieldKind, Form, FormField};
use chudong::pipeline::options::Confidence;
use serde_json::Value;

use crate::submission::sample::{confirmed, field, with_files};

const DOSSIER: &str = "5f0c41d2a9b84d6f8e37c1b0a2d94e6b";

/// A program that the tests bring.
fn tool(name: &str) -> PathBuf {
    crate::root().join("target/test-tools/bin").join(name)
}

fn written(folder: &Path, name: &str, dossier: &Confirmed) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, paper::dossier(dossier, Reader(Some(&form()))).unwrap().reveal()).unwrap();
    path
}

/// What a reader that knows nothing of tags extracts, line by line.
fn text(path: &Path) -> String {
    let output = Command::new("pdftotext").args(["-layout", "-enc", "UTF-8"]).arg(path).arg("-").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What qpdf's library finds in each file: the catalogue, the metadata, the tags in reading order with their text.
pub fn read(paths: &[PathBuf]) -> Vec<Value> {
    let script = crate::root().join("tests/it/paper/read.py");
    let output = Command::new(tool("python")).arg(script).args(paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A form of fields of every kind.
fn form() -> Form {
    let field = |id: &str, kind: FieldKind, choices: &[(&str, &str, &str)]| FormField {
        id: id.into(),
        portal: None,
        title: Text::new(format!("Trường {id}"), format!("Field {id}")),
        help: None,
        kind,
        is_required: true,
        rule: AnswerRule {
            choices: choices
                .iter()
                .map(|(value, vi, en)| Choice { value: (*value).into(), title: Text::new(*vi, *en) })
                .collect(),
            ..AnswerRule::default()
        },
        legal_ground: Text::new("", ""),
        class: Class::Personal,
        from: Vec::new(),
        stale_after_days: None,
    };
    Form {
        item: "driving_licence".into(),
        procedure: "1.002809".into(),
        confidence: Confidence::A,
        title: Text::new("", ""),
        version: String::new(),
        identity: "identity_number".into(),
        name: "name".into(),
        fields: vec![
            field("sex", FieldKind::Choice, &[("female", "Nữ", "Female"), ("male", "Nam", "Male")]),
            field("issued_on", FieldKind::Date, &[]),
            field("fee_vnd", FieldKind::Number, &[]),
            field("days", FieldKind::Number, &[]),
            field("is_first", FieldKind::Boolean, &[]),
            field("photo", FieldKind::File, &[]),
        ],
    }
}

#[test]
fn values_are_written_as_people_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut dossier = with_files(confirmed(DOSSIER));
    let kept = [
        ("sex", "female", "Nữ", "Female"),
        ("issued_on", "2026-12-15", "15/12/2026", "15 December 2026"),
        ("fee_vnd", "1250000", "1.250.000 ₫", "1,250,000 ₫"),
        ("days", "-12345", "-12.345", "-12,345"),
        ("is_first", "false", "Không", "No"),
    ];
    for (id, value, ..) in kept {
        dossier.fields.push(field(id, None, value, Origin::Person));
    }
    let text = squeezed(&text(&written(folder.path(), "one.pdf", &dossier)));
    let form = form();
    for (id, value, vi, en) in kept {
        assert_eq!(as_read(form.field(id).unwrap(), value), Text::new(vi, en));
        assert!(text.contains(&squeezed(vi)) && text.contains(&squeezed(en)), "{id}: {text}");
        assert!(id == "is_first" || !text.contains(value), "{id}: {text}");
    }
    assert!(text.contains("ChomụcTrườngphoto:image/png"), "{text}");
    // What no program could have written stands as it is: nothing of what somebody said is lost.
    for (id, value) in [("sex", "other"), ("issued_on", "2026-02-30"), ("fee_vnd", "1e9"), ("is_first", "maybe")] {
        assert_eq!(as_read(form.field(id).unwrap(), value), Text::new(value, value));
    }
}

/// A text as it is compared: lines are broken where there is room.
pub fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

#[test]
fn the_tags_the_language_and_the_words_are_what_a_screen_reader_needs() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "one.pdf", &with_files(confirmed(DOSSIER)));
    if let Ok(folder) = std::env::var("CHUDONG_SCREENSHOTS") {
        std::fs::copy(&path, format!("{folder}/dossier.pdf")).unwrap();
    }
    let read = read(&[path]).remove(0);
    assert_eq!(read["lang"], "vi");
    assert_eq!(read["marked"], true);
    assert_eq!(read["display_title"], true);
    assert_eq!(read["title"], "Hồ sơ: Đổi giấy phép lái xe do ngành Công an cấp");
    assert_eq!(read["ua_part"], "1");
    assert_eq!(read["tab_order"], "S");
    assert_eq!(read["untagged"], 0, "every mark on the page is tagged or an artifact");
    let tags = read["tags"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>();
    insta::assert_snapshot!("tags", tags.join("\n"));
    let outline = read["outline"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>();
    insta::assert_snapshot!("bookmarks", outline.join("\n"));
}

#[test]
fn a_reader_without_tags_finds_every_value_and_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let dossier = with_files(confirmed(DOSSIER));
    let text = squeezed(&text(&written(folder.path(), "one.pdf", &dossier)));
    for field in &dossier.fields {
        for said in [&field.title_vi, &field.title_en, field.value.reveal()] {
            assert!(text.contains(&squeezed(said)), "{said} in {text}");
        }
    }
    for said in ["079085001234", "20/12/2026", "23/11/2026 01:30:05 (UTC+07:00)", "1.002809", DOSSIER, "Trang 1/"] {
        assert!(text.contains(&squeezed(said)), "{said} in {text}");
    }
    for file in &dossier.attachments {
        assert!(text.contains(&file.sha256[..12]), "{text}");
    }
}

#[test]
fn the_same_dossier_gives_the_same_bytes_and_another_one_others() {
    let dossier = with_files(confirmed(DOSSIER));
    let reader = Reader(None);
    let first = paper::dossier(&dossier, reader).unwrap();
    assert_eq!(first, paper::dossier(&dossier, reader).unwrap());
    let mut other = dossier;
    other.fields[1].value = Personal::new("790123456780".into());
    assert_ne!(first, paper::dossier(&other, reader).unwrap());
    assert_eq!(format!("{first:?}"), "[personal]");
    assert!(first.reveal().len() < 200_000, "{} bytes", first.reveal().len());
}

/// A hundred names as long and as odd as a register may hold them, each a dossier of its own.
fn names() -> Vec<String> {
    let syllables = [
        "Nguyễn",
        "Phan",
        "Trương",
        "Hoàng",
        "Đặng",
        "Ưng",
        "Quỳnh",
        "Thị",
        "Ngọc",
        "Khuê",
        "Thuỷ",
        "Nữ",
        "Ybêt",
        "Hvương",
        "Nghiêm",
        "Ẩn",
        "Ỷ",
        "Ỗ",
        "Ữ",
        "Ẵ",
        "Ậ",
        "đ",
        "Ð",
        "ô\u{301}",
        "O\u{31b}\u{323}",
        "W",
        "ﬁ",
        "😀",
        "한국",
    ];
    // A sequence without a generator: the same in each run, and no two alike.
    let pick = |name: usize, at: usize| syllables[(name * 7 + at * at * 13 + name * at * 5) % syllables.len()];
    let whole = |name: usize| {
        let parts: Vec<&str> = (0..name % 40 + 1).map(|at| pick(name, at)).collect();
        // Every tenth is one word without a space, longer than any line.
        if name % 10 == 9 { parts.concat() } else { parts.join(" ") }
    };
    (0..100).map(whole).collect()
}

#[test]
fn a_hundred_long_names_are_whole_within_the_margins_and_read_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    let mut expected = Vec::new();
    for (at, name) in names().into_iter().enumerate() {
        let mut dossier = confirmed(&format!("{at:032x}"));
        dossier.name = Personal::new(name.clone());
        dossier.fields.push(field("mother", None, &name, Origin::Person));
        paths.push(written(folder.path(), &format!("{at}.pdf"), &dossier));
        expected.push(name);
    }
    let all = read(&paths);
    assert_eq!(all.len(), 100);
    for (read, name) in all.iter().zip(expected) {
        let composed = squeezed(&nfc(&name));
        let said = squeezed(read["text"].as_str().unwrap());
        assert!(said.matches(&composed).count() >= 2, "{name} in {said}");
        assert_eq!(read["untagged"], 0);
        assert_eq!(read["outside"], 0, "a line of {name} leaves the margins");
    }
}

#[test]
fn a_value_over_many_pages_breaks_between_lines_and_no_word_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut dossier = confirmed(DOSSIER);
    let words: Vec<String> = (0..4000).map(|at| format!("từ{at}")).collect();
    let first = field("long", None, &words.join(" "), Origin::Person);
    let second = field("lines", None, &"một dòng\n\n".repeat(150), Origin::Person);
    let steering = field("odd", None, "a\u{0}b\u{7}c\u{202e}d\u{feff}e\u{ad}f\u{fffe}g\tz", Origin::Person);
    let empty = field("empty", None, " \n ", Origin::Person);
    dossier.fields.extend([first, second, steering, empty]);
    let read = read(&[written(folder.path(), "long.pdf", &dossier)]).remove(0);
    assert!(read["pages"].as_u64().unwrap() > 5, "{}", read["pages"]);
    let said = read["text"].as_str().unwrap();
    let said: Vec<&str> = said.split_whitespace().collect();
    let found: Vec<&&str> = said.iter().filter(|word| word.starts_with("từ") && word.len() > 4).collect();
    assert_eq!(found.len(), words.len());
    assert!(found.iter().zip(&words).all(|(found, word)| **found == word.as_str()), "in their order");
    assert_eq!(said.windows(2).filter(|pair| pair == &["một", "dòng"]).count(), 150);
    assert!(said.contains(&"abcdefg"), "what only steers a display is left out");
    assert_eq!((read["untagged"].as_u64(), read["outside"].as_u64()), (Some(0), Some(0)));
}

fn nfc(text: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    text.nfc().collect()
}
