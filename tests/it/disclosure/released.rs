//! What everybody may see: sums, rolling up, intervals, columns, the account.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::util::pretty::pretty_format_batches;
use chudong::disclosure::{self, Draws, Error, Released, release};
use chudong::fault::Explain;
use chudong::language::Text;
use chudong::pipeline::{Commune, PrivacyPolicy, ProcedureGroup, Unit};
use proptest::prelude::*;

use super::rows::sample;

/// A province of two communes and one group, satisfaction by commune and by both.
fn small() -> (PrivacyPolicy, Unit, Vec<ProcedureGroup>) {
    let (mut policy, mut unit, mut groups) = sample();
    unit.communes.truncate(2);
    groups.truncate(1);
    policy.measures.retain(|measure| {
        ["satisfaction_by_commune_and_procedure_group", "service_quality_by_commune"].contains(&measure.table.as_str())
    });
    (policy, unit, groups)
}

/// Stored draws, written by hand: satisfied and not for each commune; the four ways for each commune.
fn draws(month: &str, satisfied: [[i64; 2]; 2], quality: [[i64; 4]; 2]) -> Draws {
    let text = format!(
        r#"{{
          "format": 1, "month": "{month}", "policy": "an-binh-2026-1",
          "release_id": "{}",
          "measures": [
            {{ "table": "satisfaction_by_commune_and_procedure_group", "of": "ratings", "by": ["commune", "procedure_group"],
               "bins": ["satisfied", "not_satisfied"], "per_person": 1, "sigma": 4,
               "keys": [["97001", "identity_and_residence"], ["97002", "identity_and_residence"]], "counts": {satisfied:?} }},
            {{ "table": "service_quality_by_commune", "of": "dossiers", "by": ["commune"],
               "bins": ["on_time_online", "on_time_offline", "late_online", "late_offline"], "per_person": 2, "sigma": 8,
               "keys": [["97001"], ["97002"]], "counts": {quality:?} }}
          ]
        }}"#,
        month.replace('-', "").repeat(11).get(..64).unwrap()
    );
    Draws::from_bytes(text.as_bytes()).unwrap()
}

fn named<'a>(released: &'a [Released], name: &str) -> &'a Released {
    released.iter().find(|released| released.name() == name).unwrap()
}

fn ints(table: &RecordBatch, column: &str) -> Vec<Option<i64>> {
    table.column_by_name(column).unwrap().as_primitive::<Int64Type>().iter().collect()
}

fn floats(table: &RecordBatch, column: &str) -> Vec<Option<f64>> {
    table.column_by_name(column).unwrap().as_primitive::<Float64Type>().iter().collect()
}

fn texts(table: &RecordBatch, column: &str) -> Vec<Option<String>> {
    table.column_by_name(column).unwrap().as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

fn show(released: &[Released]) -> String {
    let one = |released: &Released| {
        let table = pretty_format_batches(std::slice::from_ref(released.table())).unwrap();
        format!("{} {}\n{table}\n", released.name(), released.period())
    };
    released.iter().map(one).collect()
}

#[test]
fn a_month_as_it_is_released() {
    let (policy, unit, groups) = small();
    let october = draws("2026-10", [[90, 10], [70, 29]], [[300, 80, 21, -1], [60, 90, -3, 10]]);
    let released = release(&[october], &policy, &unit, &groups).unwrap();
    insta::assert_snapshot!(show(&released));
}

#[test]
fn a_quarter_as_it_is_released() {
    let (policy, unit, groups) = small();
    let months = ["2026-09", "2026-07", "2026-08"]
        .map(|month| draws(month, [[90, 10], [30, -3]], [[300, 80, 21, -1], [20, 30, 2, 1]]));
    let released = release(&months, &policy, &unit, &groups).unwrap();
    insta::assert_snapshot!(show(&released));
}

#[test]
fn the_account_says_how_it_was_protected() {
    let (policy, unit, groups) = small();
    let october = draws("2026-10", [[90, 10], [70, 29]], [[300, 80, 21, -1], [60, 90, -3, 10]]);
    let released = release(&[october], &policy, &unit, &groups).unwrap();
    let account = named(&released, "service_quality_in_province").account();
    insta::assert_snapshot!(serde_json::to_string_pretty(account).unwrap());
}

/// privacy.md: at 90 % satisfied and sigma 4 the noise on a percentage is 3.6 points at n = 100, 0.9 at n = 400.
#[test]
fn intervals_agree_with_the_worked_case() {
    let (policy, unit, groups) = small();
    let october = draws("2026-10", [[90, 10], [360, 40]], [[0; 4]; 2]);
    let released = release(&[october], &policy, &unit, &groups).unwrap();
    let table = named(&released, "satisfaction_by_commune_and_procedure_group").table();
    // n = 100: sqrt(16 (1 - 1.8 + 1.62)) / 100 = 3.622 points, times 1.96 is 7.1. n = 400: 0.906 points, 1.8.
    assert_eq!(floats(table, "satisfied_percent"), [Some(90.0), Some(90.0)]);
    assert_eq!(floats(table, "satisfied_percent_low"), [Some(82.9), Some(88.2)]);
    assert_eq!(floats(table, "satisfied_percent_high"), [Some(97.1), Some(91.8)]);
    // The total: 1.96 sqrt(2 * 16) = 11.09, outwards.
    assert_eq!(ints(table, "count_low"), [Some(88), Some(388)]);
    assert_eq!(ints(table, "count_high"), [Some(112), Some(412)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Bins add up to totals, communes and cells to what they are part of, and nothing is negative; what was drawn of
    /// three months is summed untouched.
    #[test]
    fn a_quarter_adds_up(months in prop::array::uniform3(prop::array::uniform2(prop::array::uniform2(-20_i64..150)))) {
        let (mut policy, unit, groups) = small();
        policy.measures.iter_mut().for_each(|measure| measure.min_count = 1);
        let names = ["2026-07", "2026-08", "2026-09"];
        let draws: Vec<Draws> = names.iter().zip(&months).map(|(name, counts)| draws(name, *counts, [[9; 4]; 2])).collect();
        let released = release(&draws, &policy, &unit, &groups).unwrap();
        let table = named(&released, "satisfaction_by_commune_and_procedure_group").table();
        let sum = |commune: usize, bin: usize| months.iter().map(|month| month[commune][bin]).sum::<i64>();
        for (bin, name) in ["satisfied", "not_satisfied"].into_iter().enumerate() {
            let raw: Vec<Option<i64>> = (0..2).map(|commune| Some(sum(commune, bin))).collect();
            prop_assert_eq!(ints(table, &format!("{name}_measured")), raw);
            // With one group and one measure there is nothing to fit: a count moves only where one is below zero.
            if (0..2).all(|commune| (0..2).all(|bin| sum(commune, bin) > 0)) {
                prop_assert_eq!(ints(table, name), (0..2).map(|commune| Some(sum(commune, bin))).collect::<Vec<_>>());
            }
        }
        for commune in 0..2 {
            let bins = ["satisfied", "not_satisfied"].map(|bin| ints(table, bin)[commune]);
            prop_assert!(bins.iter().flatten().all(|count| *count >= 0));
            prop_assert_eq!(ints(table, "count")[commune], bins.into_iter().sum::<Option<i64>>());
        }
    }

    #[test]
    fn a_cell_shows_all_its_figures_or_none(counts in prop::array::uniform2(prop::array::uniform2(-60_i64..160))) {
        let (policy, unit, groups) = small();
        let released = release(&[draws("2026-10", counts, [[0; 4]; 2])], &policy, &unit, &groups).unwrap();
        for released in &released {
            let table = released.table();
            let status = texts(table, "status");
            let rolled_up_to = texts(table, "rolled_up_to");
            for row in 0..table.num_rows() {
                let published = status[row].as_deref() == Some("published");
                prop_assert_eq!(rolled_up_to[row].is_none(), published);
                let is_figure = |name: &str, numeric: bool| numeric && !name.ends_with("_measured");
                let figures = table.columns().iter().zip(table.schema().fields())
                    .filter(|(_, field)| is_figure(field.name(), field.data_type().is_numeric()))
                    .map(|(column, _)| column.is_valid(row)).collect::<Vec<_>>();
                prop_assert!(figures.iter().all(|valid| *valid == published));
            }
            for share in ["satisfied", "on_time", "online"] {
                let Some(_) = table.column_by_name(&format!("{share}_percent")) else { continue };
                let of = |end: &str| floats(table, &format!("{share}_percent{end}"));
                for ((low, middle), high) in of("_low").into_iter().zip(of("")).zip(of("_high")) {
                    let (Some(low), Some(middle), Some(high)) = (low, middle, high) else { continue };
                    prop_assert!((0.0..=100.0).contains(&low) && low <= middle && middle <= high && high <= 100.0);
                }
            }
        }
        let table = named(&released, "satisfaction_by_commune_and_procedure_group").table();
        if counts.iter().flatten().all(|count| *count >= 0) {
            let totals = counts.map(|row| row.iter().sum::<i64>());
            prop_assert_eq!(ints(table, "count"), totals.map(|total| (total >= 100).then_some(total)));
        }
        prop_assert_eq!(ints(table, "satisfied_measured"), counts.map(|row| Some(row[0])));
    }

    #[test]
    fn stored_draws_of_any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..64), place in any::<prop::sample::Index>()) {
        prop_assert!(Draws::from_bytes(&bytes).is_err());
        let mut changed = draws("2026-10", [[1, 2], [3, 4]], [[5; 4]; 2]).to_bytes().unwrap();
        bytes.truncate(3);
        let at = place.index(changed.len());
        changed.splice(at..at, bytes);
        if let Err(error) = Draws::from_bytes(&changed) {
            prop_assert_eq!(error.code(), "disclosure.draws");
        }
    }
}

/// Two hundred months are drawn, fitted and published: where the intervals held less than 95 % by ever so little more
/// than chance allows, more than 40 would miss the truth. That many misses of a right interval come once in 10^13 runs.
#[test]
fn published_intervals_hold_the_truth() {
    use super::rows::{Row, row};
    let (policy, mut unit, mut groups) = sample();
    unit.communes.truncate(3);
    groups.truncate(2);
    let group = groups[0].id.clone();
    let person = |person: u32| Row {
        value: if person.is_multiple_of(4) { 2 } else { 5 },
        group: if group == "civil_status" { "civil_status" } else { "identity_and_residence" },
        ..row(person, person, if person < 240 { "97001" } else { "97002" }, "", 0)
    };
    let people: Vec<Row> = (0..400).map(person).collect();
    let (ratings, dossiers) = (super::rows::ratings(&people), super::rows::dossiers(&[]));
    let month = super::rows::october();
    let request = disclosure::Request::new(month, &policy, &unit, &groups, &ratings, &dossiers, &super::rows::key());
    let request = request.unwrap();
    let mut missed = [0_u32; 4];
    for _ in 0..200 {
        let released = release(&[request.draw().unwrap()], &policy, &unit, &groups).unwrap();
        for (place, (name, count)) in
            [("satisfaction_in_province", 400), ("satisfaction_by_commune", 240)].into_iter().enumerate()
        {
            let table = named(&released, name).table();
            let holds = |low: f64, truth: f64, high: f64| low <= truth && truth <= high;
            let of = |column: &str| ints(table, column)[0].unwrap() as f64;
            missed[place] += u32::from(!holds(of("count_low"), f64::from(count), of("count_high")));
            let of = |column: &str| floats(table, column)[0].unwrap();
            missed[place + 2] += u32::from(!holds(of("satisfied_percent_low"), 75.0, of("satisfied_percent_high")));
        }
    }
    assert!(missed.iter().all(|missed| *missed <= 40), "{missed:?} of 200 intervals do not hold the truth");
}

/// What was drawn before invariants were named, and before bands were said to be chains, is made again as it was.
#[test]
fn draws_of_the_form_before_keep_their_bytes_and_their_words() {
    let (policy, unit, groups) = small();
    let old = draws("2026-10", [[90, 10], [80, 20]], [[100, 50, 20, 10], [300, 20, 5, 5]]);
    let bytes = old.to_bytes().unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.contains("\"format\":2") && !text.contains("invariants"), "{text}");
    assert_eq!(Draws::from_bytes(&bytes).unwrap().to_bytes().unwrap(), bytes);
    let meaning = |draws: &Draws| {
        let released = release(std::slice::from_ref(draws), &policy, &unit, &groups).unwrap();
        let table = named(&released, "service_quality_by_commune");
        assert!(table.noise().unwrap().invariants.is_empty());
        let band = table.columns().iter().find(|column| column.name == "on_time_band").unwrap();
        band.meaning.en.clone()
    };
    assert!(meaning(&old).contains("within a band the 95 % intervals overlap"));
    let new = text.replace("\"format\":2", "\"format\":3").replace("\"measures\"", "\"invariants\":[],\"measures\"");
    let new = Draws::from_bytes(new.as_bytes()).unwrap();
    assert!(meaning(&new).contains("join each other in a chain"));
    // Neither form has what the other has.
    for wrong in
        [text.replace("\"format\":2", "\"format\":3"), text.replace("\"measures\"", "\"invariants\":[],\"measures\"")]
    {
        assert!(Draws::from_bytes(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn every_column_is_explained_in_both_languages() {
    let (policy, unit, groups) = sample();
    let request = super::rows::request(&policy, &[], &[]).unwrap();
    let released = release(&[request.draw().unwrap()], &policy, &unit, &groups).unwrap();
    let names: Vec<&str> = released.iter().map(Released::name).collect();
    assert_eq!(
        names,
        [
            "satisfaction_in_province",
            "satisfaction_by_commune",
            "satisfaction_by_procedure_group",
            "satisfaction_by_commune_and_procedure_group",
            "service_quality_in_province",
            "service_quality_by_commune",
            "service_quality_by_procedure_group",
            "service_quality_by_commune_and_procedure_group",
        ]
    );
    for released in &released {
        let schema = released.table().schema();
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let sheets = released.columns();
        assert_eq!(columns, sheets.iter().map(|sheet| sheet.name.as_str()).collect::<Vec<_>>());
        assert!(sheets.iter().all(|sheet| !sheet.meaning.vi.is_empty() && !sheet.meaning.en.is_empty()));
    }
    let explained = |released: &Released| {
        let line = |sheet: &chudong::disclosure::ColumnSheet| {
            format!(
                "{} {:?} \"{}\" \"{}\" [{} | {}]\n  {}\n  {}\n",
                sheet.name,
                sheet.kind,
                sheet.title.vi,
                sheet.title.en,
                sheet.unit.vi,
                sheet.unit.en,
                sheet.meaning.vi,
                sheet.meaning.en
            )
        };
        released.columns().iter().map(line).collect::<String>()
    };
    let both = ["satisfaction_by_commune", "service_quality_by_commune_and_procedure_group"];
    insta::assert_snapshot!(both.map(|name| explained(named(&released, name))).join("\n"));
}

#[test]
fn a_rolled_up_cell_of_a_quarter_names_its_parent() {
    let (policy, unit, groups) = sample();
    let months = ["2026-07", "2026-08", "2026-09"].map(|month| {
        let (ratings, dossiers) = (super::rows::ratings(&[]), super::rows::dossiers(&[]));
        let month: chudong::disclosure::Month = month.parse().unwrap();
        let request =
            chudong::disclosure::Request::new(month, &policy, &unit, &groups, &ratings, &dossiers, &super::rows::key());
        request.unwrap().draw().unwrap()
    });
    let released = release(&months, &policy, &unit, &groups).unwrap();
    let parents: Vec<(&str, Option<&str>)> =
        released.iter().map(|released| (released.name(), released.noise().unwrap().rolled_up_to.as_deref())).collect();
    assert_eq!(
        parents[..4],
        [
            ("satisfaction_in_province", None),
            ("satisfaction_by_commune", Some("satisfaction_in_province")),
            ("satisfaction_by_procedure_group", Some("satisfaction_in_province")),
            ("satisfaction_by_commune_and_procedure_group", Some("satisfaction_by_procedure_group")),
        ]
    );
    // Nothing but noise: no cell of the communes reaches the threshold, and each says where it went.
    let table = named(&released, "satisfaction_by_commune").table();
    assert_eq!(texts(table, "rolled_up_to"), vec![Some("satisfaction_in_province".to_owned()); 8]);
    assert_eq!(texts(table, "status"), vec![Some("rolled_up".to_owned()); 8]);
}

fn refused(draws: &[Draws], edit: impl FnOnce(&mut PrivacyPolicy, &mut Unit)) -> Error {
    let (mut policy, mut unit, groups) = small();
    edit(&mut policy, &mut unit);
    release(draws, &policy, &unit, &groups).unwrap_err()
}

#[test]
fn draws_of_no_whole_period_are_refused() {
    let month = |month: &str| draws(month, [[1, 1]; 2], [[1; 4]; 2]);
    for months in [
        vec![],
        vec!["2026-07", "2026-08"],
        vec!["2026-06", "2026-07", "2026-08"],
        vec!["2026-07", "2026-07", "2026-08"],
    ] {
        let draws: Vec<Draws> = months.into_iter().map(month).collect();
        assert_eq!(refused(&draws, |_, _| ()).code(), "disclosure.not-a-period");
    }
}

#[test]
fn draws_of_another_policy_are_refused() {
    let october = [draws("2026-10", [[1, 1]; 2], [[1; 4]; 2])];
    let new_commune = Commune { code: "97009".into(), name: Text::new("Xã Mới", "New Commune") };
    let refusals = [
        refused(&october, |policy, _| policy.policy = "an-binh-2027-1".into()),
        refused(&october, |policy, _| policy.measures[0].sigma = 3),
        refused(&october, |policy, _| policy.dossiers_per_person = 1),
        refused(&october, |policy, _| drop(policy.measures.pop())),
        refused(&october, |_, unit| unit.communes.push(new_commune)),
    ];
    let said: Vec<String> = refusals.iter().map(|error| error.fault().to_string()).collect();
    insta::assert_snapshot!(said.join("\n"));
}
