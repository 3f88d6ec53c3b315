//! Score sheets: what a decision makes of what was counted, by its data, its SQL and the verb.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

/// What the numbers of a sheet are, computed a second time.
mod exact;
/// A changed definition is noticed by a case.
mod mutants;
/// What a clerk is told when a definition is wrong.
mod written;

use chudong::calendar::AsOf;
use chudong::check::{self, Checked};
use chudong::fault::Fault;
use chudong::language::Language;
use chudong::ledger::{Entry, Followed, Ledger, MessageKey, MessageState, Outcomes, OutcomesOf, Record, Settlement};
use chudong::obligations::life::{Change, Event, Standing, State};
use chudong::pipeline::indices::Definition;
use chudong::pipeline::reader::Faults;
use chudong::pipeline::{Counted, Pipeline};
use chudong::quality::index::{Counts, Scope, Sheet, score};
use chudong::run::{self, Asked};
use jiff::civil::date;

use crate::support::world::World;

/// The pipeline of the repository, with its decisions.
fn pipeline() -> Pipeline {
    let faults = Faults::default();
    let pipeline = chudong::pipeline::read(crate::root(), "an-binh", &faults).unwrap();
    assert!(faults.is_empty(), "{:?}", faults.into_vec());
    pipeline
}

fn decision(name: &str) -> Definition {
    let found = pipeline().indices.into_iter().find(|definition| definition.name == name);
    found.unwrap_or_else(|| panic!("there is no {name}"))
}

const NIGHT: &str = "2026-11-21";

/// A world after a night, with what was checked of it once: many sheets are asked for.
struct Office {
    world: World,
    checked: Checked,
}

impl Office {
    async fn open() -> Self {
        let world = World::small(2_000);
        world.night(NIGHT).with(0);
        let checked = check::check(&world.root(), "an-binh").await.unwrap();
        Office { world, checked }
    }

    async fn ask(&self, decision: &str, unit: Option<&str>, period: &str) -> Result<Sheet, Fault> {
        self.by(&asked(decision, unit, period)).await
    }

    async fn by(&self, asked: &Asked) -> Result<Sheet, Fault> {
        let world = chudong::world::World::new(self.world.root(), self.world.state());
        run::quality(&world, &self.checked, asked).await
    }
}

fn asked(decision: &str, unit: Option<&str>, period: &str) -> Asked {
    let unit = unit.map(str::to_owned);
    Asked { decision: decision.into(), unit, procedure: None, period: period.parse().unwrap(), night: None }
}

/// What stands above and below the line of a metric.
fn counts(sheet: &Sheet, code: &str) -> [i64; 2] {
    let line = sheet.metric(code).unwrap();
    [line.numerator, line.denominator].map(|count| count.unwrap().to_string().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_reminded_by_commune_and_by_procedure() {
    let world = World::small(2_000);
    world.night("2026-10-20").with(0);
    world.night(NIGHT).with(0);
    let checked = check::check(&world.root(), "an-binh").await.unwrap();
    let office = Office { world, checked };
    let acted = async |asked: &Asked| counts(&office.by(asked).await.unwrap(), "ACTED_IN_TIME");
    let province = acted(&asked("224", None, "2026-11")).await;
    let mut sums = [0; 2];
    let mut communes_with_some = 0;
    for commune in &office.checked.pipeline.unit.communes {
        let found = acted(&asked("224", Some(&commune.code), "2026-11")).await;
        communes_with_some += i32::from(found[1] > 0);
        sums = [sums[0] + found[0], sums[1] + found[1]];
    }
    // No obligation is of two communes, and none of no commune.
    assert_eq!(sums, province);
    assert!(communes_with_some > 1 && province[1] > 0, "{province:?}");
    let codes = office.checked.pipeline.items.iter().filter_map(|item| item.procedure_code.clone());
    let codes: std::collections::BTreeSet<String> = codes.collect();
    let mut sums = [0; 2];
    for code in codes {
        let asked = Asked { procedure: Some(code), ..asked("224", None, "2026-11") };
        // Also where nobody has filed a dossier yet.
        let found = acted(&asked).await;
        sums = [sums[0] + found[0], sums[1] + found[1]];
    }
    // All of them are met by a procedure whose code is sourced.
    assert_eq!(sums, province);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sheets_of_the_sample_province() {
    let office = Office::open().await;
    let ask =
        async |decision: &str, unit: Option<&str>, period: &str| office.ask(decision, unit, period).await.unwrap();
    let province = ask("766", None, "2026-10").await;
    assert_eq!(province, ask("decision_766", Some("97"), "2026-10").await);
    insta::assert_snapshot!("sheet_766_en", province.text(Language::En));
    insta::assert_snapshot!("sheet_61_vi", ask("61", Some("97001"), "2026-Q4").await.text(Language::Vi));
    insta::assert_snapshot!("sheet_224_en", ask("224", None, "2026").await.text(Language::En));

    // The communes together are the province: no dossier is of two units, and none of no unit.
    let mut sums = [0; 2];
    for commune in &office.checked.pipeline.unit.communes {
        let found = counts(&ask("766", Some(&commune.code), "2026-10").await, "PROCESSED_ON_TIME");
        sums = [sums[0] + found[0], sums[1] + found[1]];
    }
    assert_eq!(sums, counts(&province, "PROCESSED_ON_TIME"));
    assert!(sums[0] > 0 && sums[0] < sums[1], "{sums:?}");

    // Three months make the quarter: from dossiers, so that their counts add up where the ratios do not.
    let mut sums = [0; 2];
    for month in ["2026-07", "2026-08", "2026-09"] {
        let found = counts(&ask("766", None, month).await, "DOSSIERS_ONLINE");
        sums = [sums[0] + found[0], sums[1] + found[1]];
    }
    assert_eq!(sums, counts(&ask("766", None, "2026-Q3").await, "DOSSIERS_ONLINE"));

    // All hundred points of the sample province are known, so that it has a class.
    assert_eq!((province.maximum, province.known_maximum), (Some(100), Some(100)));
    assert!(province.class.is_some() && province.groups.iter().all(|group| group.score.is_some()));

    // What is not filled is not known, which is neither 0 nor the maximum for no petition.
    let nine = ask("61", None, "2026-10").await;
    assert_eq!(nine.groups[0].metrics.iter().filter(|metric| metric.lacks == ["dossier_steps"]).count(), 1);
    assert_eq!((nine.maximum, nine.known_maximum), (Some(18), Some(16)));

    // Ratings of months before the policy's first are in no sheet, and a sheet of them says so.
    assert_eq!(ask("224", None, "2026").await.ratings_from.as_deref(), Some("2026-07"));
    assert_eq!(province.ratings_from, None);

    for (code, decision, unit, period) in [
        ("quality.unknown-unit", "766", Some("99999"), "2026-10"),
        ("quality.unknown-decision", "76", None, "2026-10"),
        ("quality.period-to-come", "766", None, "2026-12"),
        ("quality.not-in-force", "224", None, "2026-05"),
    ] {
        let fault = office.ask(decision, unit, period).await.unwrap_err();
        assert_eq!(fault.code, code, "{fault}");
    }
    let october = Asked {
        decision: "766".into(),
        unit: None,
        procedure: Some("9.999999".into()),
        period: "2026-10".parse().unwrap(),
        night: None,
    };
    assert_eq!(office.by(&october).await.unwrap_err().code, "quality.unknown-unit");
    let gone = Asked { procedure: None, night: Some(AsOf::new(date(2026, 10, 31))), ..october.clone() };
    assert_eq!(office.by(&gone).await.unwrap_err().code, "quality.not-kept");

    // Below the province nothing is said of fewer ratings than the policy shows.
    let policy = pipeline().privacy.unwrap();
    let least = policy.measures.iter().filter(|measure| measure.of == Counted::Ratings);
    let least = i64::from(least.map(|measure| measure.min_count).min().unwrap());
    let mut few = 0;
    for commune in pipeline().unit.communes {
        let sheet = ask("224", Some(&commune.code), "2026-10").await;
        let line = sheet.metric("RATINGS_SATISFIED").unwrap();
        if sheet.few_ratings.is_some() {
            assert_eq!((line.numerator, line.denominator, line.percent), (None, None, None));
            assert!(sheet.text(Language::En).contains("nothing is said of fewer ratings than 100"));
            few += 1;
        } else {
            assert!(counts(&sheet, "RATINGS_SATISFIED")[1] >= least, "{}", commune.code);
        }
    }
    assert!(few > 0, "the sample has communes with few ratings");
    assert_eq!(ask("224", None, "2026-10").await.few_ratings, None);

    // The verb gives the same, to a person and to a program.
    let said = office.world.chudong(&["quality", "--period", "2026-10", "--unit", "97", "--language", "en"]).with(0);
    insta::assert_snapshot!("sheet_766_en", said.out);
    let said = office.world.chudong(&["quality", "--period", "2026-10", "--format", "json"]).with(0);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&json["total"], &json["known_maximum"]), (&province.total.unwrap().to_string().into(), &100.into()));
    office.world.chudong(&["quality", "--period", "October"]).with(2);
    // Who saw exact figures stands in the ledger, each time: which account, which unit, which period.
    let seen = office.world.entries("quality.seen");
    let told = |name: &str| -> Vec<String> {
        let body = |entry: &Entry| serde_json::from_str::<serde_json::Value>(&entry.body).unwrap();
        seen.iter().map(|entry| body(entry)[name].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((told("unit"), told("period")), (vec!["97".to_owned(); 2], vec!["2026-10".to_owned(); 2]));
    assert!(seen.iter().all(|entry| !entry.key.is_empty()));
    office.world.ledger_is_sound();
}

#[test]
fn a_new_decision_is_a_new_version_and_old_months_keep_theirs() {
    let world = World::of("binh-minh");
    let path = "pipelines/indices/decision_766.toml";
    let text = std::fs::read_to_string(world.root().join(path)).unwrap();
    let (_, version) = text.split_once("[[version]]\n").unwrap();
    let progress = "en = \"Progress of settlement\" }\nmaximum = ";
    let version = version
        .replace("enacted_on = 2022-06-23", "enacted_on = 2026-09-15")
        .replace("in_force_from = 2022-06-23", "in_force_from = 2026-10-01\nreplaces = [\"2022-06-23\"]")
        .replace(&format!("{progress}20"), &format!("{progress}30"))
        .replace("score = \"linear\"\nmaximum = 20", "score = \"linear\"\nmaximum = 30")
        .replace("maximum = 100", "maximum = 110");
    world.put(path, format!("{text}\n[[version]]\n{version}").as_bytes());
    let faults = Faults::default();
    let pipeline = chudong::pipeline::read(&world.root(), "binh-minh", &faults).unwrap();
    assert!(faults.is_empty(), "{:?}", faults.into_vec());
    let definition = pipeline.indices.iter().find(|definition| definition.name == "decision_766").unwrap();
    let scope = Scope { unit: "97".into(), is_root: true, procedure: None };
    let mut counts = Counts::default();
    counts.put("on_time", 1);
    counts.put("received", 1);
    for (period, known_on, version, points) in [
        ("2026-09", date(2026, 11, 20), "decision_766@2022-06-23", "20.00"),
        ("2026-10", date(2026, 11, 20), "decision_766@2026-10-01", "30.00"),
        ("2026-Q4", date(2026, 11, 20), "decision_766@2026-10-01", "30.00"),
        // Nobody knew it before it was signed.
        ("2026-10", date(2026, 9, 14), "decision_766@2022-06-23", "20.00"),
    ] {
        let sheet = score(definition, period.parse().unwrap(), known_on, &scope, &counts).unwrap();
        let shown = sheet.metric("PROCESSED_ON_TIME").unwrap().score.unwrap().to_string();
        assert_eq!((sheet.version.as_str(), shown.as_str()), (version, points), "{period}");
    }
}

#[test]
fn a_sheet_before_the_first_night_is_refused() {
    let world = World::of("an-binh");
    let said = world.chudong(&["quality", "--period", "2026-10"]).with(1).said();
    assert!(said.contains("error[quality.no-night]"), "{said}");
}

#[test]
fn of_those_reminded_how_many_acted_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path(), "an-binh").unwrap();
    let as_of = date(2026, 11, 21);
    let run = ledger.begin_run(AsOf::new(as_of)).unwrap();
    // Key, due on, state of the obligation, done on, state of the message, commune.
    let (done, open) = (State::Fulfilled, State::Open);
    let (taken, refused) = (Some(MessageState::Accepted), Some(MessageState::Refused));
    let obligations = [
        ("a", date(2026, 10, 1), done, Some(date(2026, 10, 1)), taken, Some("97001")),
        ("b", date(2026, 10, 31), done, Some(date(2026, 11, 1)), taken, Some("97001")),
        ("c", date(2026, 10, 31), State::Lapsed, None, taken, Some("97002")),
        ("d", date(2026, 10, 5), done, Some(date(2026, 10, 4)), refused, Some("97001")),
        ("e", date(2026, 10, 5), done, Some(date(2026, 10, 4)), None, None),
        ("f", date(2026, 10, 5), State::Withdrawn, None, taken, None),
        ("g", date(2026, 9, 30), done, Some(date(2026, 9, 29)), taken, Some("")),
        ("h", date(2026, 11, 1), open, None, taken, None),
    ];
    let changes = obligations.iter().map(|(key, due_on, state, fulfilled_on, _, unit)| Change {
        event: Event::Arisen,
        standing: Standing {
            key: (*key).into(),
            subject: "0f".repeat(16),
            due_on: *due_on,
            rule_version: "driving_licence_term@2025-01-01".into(),
            state: *state,
            since: as_of,
            fulfilled_on: *fulfilled_on,
            unit: unit.map(str::to_owned),
        },
        from: None,
    });
    let followed = Followed { item: "driving_licence".into(), changes: changes.collect() };
    ledger.follow(&run, as_of, &[followed]).unwrap();
    for (key, due_on, _, _, message, _) in obligations {
        let Some(state) = message else { continue };
        // Two reminders of one obligation are one obligation.
        for stage_notice_days in [30, 7] {
            let message = MessageKey(format!("{key}{stage_notice_days}"));
            let record = Record {
                key: message.clone(),
                subject: "0f".repeat(16),
                obligation: key.into(),
                item: "driving_licence".into(),
                stage_notice_days,
                channel: "folder".into(),
                message_id: format!("<{key}{stage_notice_days}@an-binh.example>"),
                due_on,
                rule_version: "driving_licence_term@2025-01-01".into(),
                template_version: "t".into(),
                rendered_hash: "r".into(),
                ..Record::default()
            };
            ledger.record(&run, vec![(record, ())]).unwrap();
            ledger.settle(&run, &[Settlement { key: message, state, reason: "250".into(), retry_at: None }]).unwrap();
        }
    }
    let of = |first, last, of| {
        let found = ledger.outcomes(first, last, of).unwrap();
        found.map(|Outcomes { reminded, acted_in_time }| (reminded, acted_in_time))
    };
    let october = |asked| of(date(2026, 10, 1), date(2026, 10, 31), asked);
    let year = |asked| of(date(2026, 1, 1), date(2026, 12, 31), asked);
    let all = OutcomesOf::default();
    assert_eq!((october(all), year(all)), (Some((3, 1)), Some((5, 2))));
    // By commune, where it is known of all that may be of it: a figure that lacks some of its people is not given.
    let commune = |unit| OutcomesOf { unit: Some(unit), items: None };
    assert_eq!((october(commune("97001")), october(commune("97002"))), (Some((2, 1)), Some((1, 0))));
    assert_eq!((october(commune("97003")), year(commune("97001"))), (Some((0, 0)), None));
    let september = of(date(2026, 9, 1), date(2026, 9, 30), commune("97001"));
    assert_eq!(september, Some((0, 0)));
    // By item.
    let items = |items| OutcomesOf { unit: Some("97001"), items: Some(items) };
    assert_eq!(october(items(&["driving_licence", "passport"])), Some((2, 1)));
    assert_eq!((october(items(&["passport"])), october(items(&[]))), (Some((0, 0)), Some((0, 0))));
}
