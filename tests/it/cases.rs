//! The case files prove the models, and a changed law is noticed by at least one of them.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::fs;
use std::path::Path;

use chudong::check::catalogue::{Catalogue, catalogue};
use chudong::pipeline::Pipeline;
use chudong::pipeline::reader::Faults;
use chudong::sql::cases::{self, Bench, Case};
use chudong::sql::library;

async fn read_catalogue() -> Catalogue {
    let (catalogue, faults) = catalogue(crate::root()).await;
    assert!(faults.is_empty(), "{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    catalogue
}

/// All cases of the installation that prove an item; those of score sheets are in `indices`, those of options below.
fn all(pipeline: &Pipeline) -> Vec<Case> {
    let faults = Faults::default();
    let mut paths = cases::find(crate::root());
    paths.retain(|path| cases::proved(path).is_some_and(|name| name.schema == "obligations"));
    let read: Vec<Case> = paths.iter().filter_map(|path| cases::read(crate::root(), path, pipeline, &faults)).collect();
    let said: Vec<String> = faults.into_vec().iter().map(ToString::to_string).collect();
    assert!(said.is_empty(), "{}", said.join("\n"));
    assert_eq!(read.len(), paths.len());
    read
}

/// Whether any case gives something else than it expects; the first one that does ends the search.
async fn is_noticed(bench: &Bench<'_>, law: &Pipeline, cases: &[&Case]) -> bool {
    for case in cases {
        if !bench.holds(case, law).await {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_is_as_expected() {
    let catalogue = read_catalogue().await;
    let cases = all(&catalogue.pipeline);
    assert!(cases.len() >= 15, "only {} cases were found", cases.len());
    let bench = Bench::new(&catalogue.pipeline, &catalogue.library);
    let mut failed = Vec::new();
    for case in &cases {
        match bench.judge(case).await {
            Ok(None) => {}
            Ok(Some(difference)) => failed.push(format!("{}\n{difference}", case.path.display())),
            Err(error) => failed.push(format!("{}\n{error}", case.path.display())),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // Each item that an agency can switch on is proved by at least one.
    for item in &catalogue.pipeline.items {
        assert!(cases.iter().any(|case| case.model.table == item.id), "no case proves {}", item.id);
    }
}

#[test]
fn every_number_of_every_rule_is_proved() {
    let output = chudong(crate::root(), &["test", "--mutate", "--format", "json"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let verdict: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(verdict["noticed"].as_u64().unwrap() >= 2 * 22, "{said}");
    assert_eq!(verdict["unnoticed"], serde_json::json!({}), "no case notices these changes of the law");
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_term_of_a_rule_is_proved() {
    let catalogue = read_catalogue().await;
    let cases = all(&catalogue.pipeline);
    let bench = Bench::new(&catalogue.pipeline, &catalogue.library);
    let mut survived = Vec::new();
    for item in &catalogue.pipeline.items {
        let own: Vec<&Case> = cases.iter().filter(|case| case.model.table == item.id).collect();
        for name in &item.rules {
            // Without the rule nothing may be found: a model that reads it only for its name proves nothing.
            let mut mutant = catalogue.pipeline.clone();
            let rule = mutant.law.rules.iter_mut().find(|rule| rule.name == *name).unwrap();
            rule.versions.clear();
            if !is_noticed(&bench, &mutant, &own).await {
                survived.push(name.clone());
            }
        }
    }
    assert!(survived.is_empty(), "no case notices that these rules are not in force: {survived:?}");
}

/// Numbers and comparisons that stand in the models themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bound_in_a_model_is_proved() {
    let catalogue = read_catalogue().await;
    let cases = all(&catalogue.pipeline);
    let mut survived = Vec::new();
    let mut mutants = 0;
    for model in &catalogue.library.models {
        let own: Vec<&Case> = cases.iter().filter(|case| case.model == model.name).collect();
        let text = fs::read_to_string(crate::root().join(&model.path)).unwrap();
        for (what, text) in mutated(&text) {
            let Ok(query) = library::parse_select(&text) else { panic!("{what} in {} is not SQL", model.name) };
            let mut library = catalogue.library.clone();
            library.models.iter_mut().find(|other| other.name == model.name).unwrap().query = query;
            mutants += 1;
            let bench = Bench::new(&catalogue.pipeline, &library);
            if !is_noticed(&bench, &catalogue.pipeline, &own).await {
                survived.push(format!("{}: {what}", model.path.display()));
            }
        }
    }
    assert!(mutants >= 15, "only {mutants} mutants were made");
    assert!(survived.is_empty(), "no case notices these changes of a model:\n{}", survived.join("\n"));
}

/// The text with one number one higher or lower, or one comparison moved by its edge.
fn mutated(text: &str) -> Vec<(String, String)> {
    let start = text.find("with\n").unwrap();
    let mut found = Vec::new();
    let mut put = |at: usize, old: &str, new: &str| {
        let line = text[..at].lines().count();
        found.push((format!("line {line}: {old} → {new}"), format!("{}{new}{}", &text[..at], &text[at + old.len()..])));
    };
    for (at, c) in text.char_indices().skip_while(|(at, _)| *at < start) {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        let rest = &text[at..];
        if c.is_ascii_digit() && !(before.is_alphanumeric() || before == '_') {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let number: i64 = digits.parse().unwrap();
            put(at, &digits, &(number + 1).to_string());
            put(at, &digits, &(number - 1).to_string());
        }
        for (old, new) in [
            (" <= ", " < "),
            (" < ", " <= "),
            ("between $as_of and $until", "between $as_of + 1 and $until"),
            ("between $as_of and $until", "between $as_of - 1 and $until"),
            ("between $as_of and $until", "between $as_of and $until - 1"),
            ("between $as_of and $until", "between $as_of and $until + 1"),
            ("max(", "min("),
            ("not is_commercial", "is_commercial"),
        ] {
            if rest.starts_with(old) {
                put(at, old, new);
            }
        }
    }
    found
}

#[test]
fn a_wrong_expectation_is_said_in_words() {
    let folder = copy_of_the_installation();
    let root = folder.path();
    let path = root.join("tests/cases/obligations/driving_licence/class_c_ends_after_five_years.toml");
    let text = fs::read_to_string(&path).unwrap();
    let wrong = text.replace("due_on = 2026-11-21\n", "due_on = 2026-11-22\n");
    assert_ne!(text, wrong);
    fs::write(&path, wrong).unwrap();
    let output = chudong(root, &["test", "obligations/driving_licence"]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());

    // A case officer corrects it with one variable, and the file is again what it was.
    let output = command(root, &["test", "class_c_ends"]).env("UPDATE_EXPECT", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut before, mut after): (Vec<_>, Vec<_>) = {
        let rewritten = fs::read_to_string(&path).unwrap();
        (text.lines().map(str::to_owned).collect(), rewritten.lines().map(str::to_owned).collect())
    };
    before.sort();
    after.sort();
    assert_eq!(before, after);
}

/// Rows beyond the window, of nobody, expected once too often, expected by nobody.
const ODD: &str = r#"
about = "Five ways in which rows differ"
as_of = 2026-11-21

[[given.driving_licences]]
licence_number = "L1"
subject_id = "An"
licence_class = "C"
issued_on = 2022-06-01

[[given.driving_licences]]
licence_number = "L2"
subject_id = "Binh"
licence_class = "C"
issued_on = 2021-12-01

[[given.driving_licences]]
licence_number = "L3"
subject_id = "Dung"
licence_class = "C"
issued_on = 2021-12-05

[[expected]]
subject_id = "An"
due_on = 2027-06-01

[[expected]]
subject_id = "Binh"
due_on = 2026-12-01

[[expected]]
subject_id = "Binh"
due_on = 2026-12-01

[[expected]]
subject_id = "Chi"
due_on = 2026-12-01
"#;

#[test]
fn a_row_that_did_not_come_says_why_where_that_is_certain() {
    let folder = copy_of_the_installation();
    let root = folder.path();
    fs::write(root.join("tests/cases/obligations/driving_licence/odd.toml"), ODD).unwrap();
    let output = chudong(root, &["test", "odd"]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());

    // The same for a program.
    let output = chudong(root, &["test", "odd", "--format", "json"]);
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((verdict["as_expected"].as_u64(), verdict["not"].as_u64()), (Some(0), Some(1)));
    let difference = &verdict["cases"][0]["difference"];
    assert_eq!(difference["missing"].as_array().unwrap().len(), 3);
    assert_eq!(difference["surplus"][0]["subject_id"], "Dung");

    // Before its law there is nothing, and it is said which rule that is.
    let text = ODD.replace("as_of = 2026-11-21", "as_of = 2017-05-31");
    fs::write(root.join("tests/cases/obligations/driving_licence/odd.toml"), text).unwrap();
    let said = String::from_utf8(chudong(root, &["test", "odd"]).stdout).unwrap();
    assert!(said.contains("    the rule driving_licence_term is not in force on 2017-05-31\n"), "{said}");
    assert!(said.contains("    no given row is of subject_id Chi\n"), "{said}");
}

#[test]
fn a_select_that_fails_is_one_case_that_fails() {
    let folder = copy_of_the_installation();
    let root = folder.path();
    let path = root.join("tests/cases/obligations/driving_licence/odd.toml");
    fs::write(&path, ODD.replace("licence_class = \"C\"", "licence_class = \"C\"\ncovers = [\"month_end\"]")).unwrap();
    let said = String::from_utf8(chudong(root, &["test", "odd"]).stderr).unwrap();
    assert!(said.contains("error[toml.unknown-key]"), "{said}");
    fs::write(&path, ODD.replace("as_of = 2026-11-21", "as_of = 2026-11-21\ncovers = [\"noon\"]")).unwrap();
    let said = String::from_utf8(chudong(root, &["test", "odd"]).stderr).unwrap();
    assert!(said.contains("error[case.covers]: \"noon\" is nothing that a case covers"), "{said}");
    // What fails while it runs ends this case, and not the verb.
    let sql = root.join("sql/obligations/driving_licence.sql");
    let text = fs::read_to_string(&sql).unwrap();
    let broken = text.replacen(
        "with\n",
        "with\nbroken as (select 1 / (value - value) as one from law.driving_licence_term),\n",
        1,
    );
    let broken = broken.trim_end().to_owned() + " where exists (select * from broken where one = 1)\n";
    fs::write(&sql, broken).unwrap();
    fs::write(&path, ODD).unwrap();
    let output = chudong(root, &["test", "driving_licence/odd"]);
    let (said, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("error[sql.model]") && said.ends_with("0 cases as expected, 1 not\n"), "{said}\n{err}");
}

#[test]
fn a_case_that_cannot_be_read_is_a_fault_with_its_line() {
    let folder = copy_of_the_installation();
    let root = folder.path();
    let path = root.join("tests/cases/obligations/driving_licence/odd.toml");
    fs::write(&path, "about = \"odd\"\nas_of = 2026-11-21\nas_off = 1\n\n[[given.licences]]\nsubject_id = \"An\"\n")
        .unwrap();
    let output = chudong(root, &["test", "odd"]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap());
}

#[test]
fn the_verb_counts_what_it_ran() {
    let output = chudong(crate::root(), &["test"]);
    let expected = format!("{} cases as expected, 0 not\n", cases::find(crate::root()).len());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_ways_to_an_outcome_are_proved_with_the_obligations_that_they_serve() {
    let output = chudong(crate::root(), &["test", "cases/options"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "3 cases as expected, 0 not\n", "{}", String::from_utf8_lossy(&output.stderr));
    // Every outcome that the sample recommends has one, and a select that says something else is noticed.
    let root = copy_of_the_installation();
    let path = root.path().join("sql/options/temporary_residence.sql");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("known.level < 2", "known.level < 1")).unwrap();
    let output = chudong(root.path(), &["test", "cases/options"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with("2 cases as expected, 1 not\n") && said.contains("no_level_2"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

fn command(root: &Path, arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_chudong"));
    command.args(arguments).arg("--root").arg(root).env_remove("UPDATE_EXPECT");
    command
}

fn chudong(root: &Path, arguments: &[&str]) -> std::process::Output {
    command(root, arguments).output().unwrap()
}

/// `pipelines/`, `sql/` and the cases, to be changed at will.
fn copy_of_the_installation() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["pipelines", "sql", "tests/cases"] {
        copy(&crate::root().join(name), &folder.path().join(name));
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_value_that_is_none_of_its_type_is_a_fault_with_its_line() {
    let world = crate::support::world::World::of("an-binh");
    let path = "tests/cases/obligations/driving_licence/impossible.toml";
    let text = "about = \"x\"\nas_of = 2026-07-01\n\n[[given.driving_licences]]\nissued_on = \"2024-02-31\"\n";
    world.put(path, text.as_bytes());
    let ended = world.chudong(&["test", "impossible"]).with(1);
    assert!(ended.err.contains("error[case.value]: issued_on is not a date"), "{}", ended.err);
    assert!(ended.err.contains("impossible.toml:5"), "{}", ended.err);
    // A filter that nothing matches proves nothing, and says so.
    let none = world.chudong(&["test", "nosuchfilter"]).with(1);
    assert!(none.err.contains("error[case.none]") && none.out.is_empty(), "{}", none.err);
}
