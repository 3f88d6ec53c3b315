//! The cases of `tests/cases/quality/` notice each number and each word of each definition.

use chudong::pipeline::Pipeline;
use chudong::pipeline::indices::{Count, DefinitionVersion, Formula, Fraction, Metric, Zero};
use chudong::pipeline::law::Law;
use chudong::pipeline::reader::Faults;
use chudong::run::judge;
use chudong::sql::Library;
use chudong::sql::cases::{self, Bench, Case};
use chudong::tables::{Table, TableName};

type Proof = (Case, Vec<(TableName, Table)>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_number_of_every_definition_is_proved() {
    let faults = Faults::default();
    let pipeline = &chudong::pipeline::catalogue(crate::root(), &faults);
    let library = Library::of_indices(crate::root(), pipeline, &faults);
    let bench = Bench::new(pipeline, &library);
    let mut proofs: Vec<Proof> = Vec::new();
    for path in cases::find(crate::root()).into_iter().filter(|path| cases::is_of_an_index(path)) {
        let case = cases::read(crate::root(), &path, pipeline, &faults).unwrap();
        let tables = bench.counted(&case).await.unwrap();
        let difference = judge(pipeline, &tables, &case).unwrap();
        assert!(difference.is_none(), "{}\n{}", path.display(), difference.unwrap());
        proofs.push((case, tables));
    }
    assert!(faults.is_empty(), "{:?}", faults.into_vec());
    assert!(proofs.len() >= 30, "only {} cases were found", proofs.len());
    let (mut made, mut survived) = (0, Vec::new());
    // Only its decisions are judged by: the rest would be copied for each mutant.
    let decisions =
        Pipeline { items: Vec::new(), law: Law::default(), standard_tables: Vec::new(), ..pipeline.clone() };
    for (what, changed) in mutants(&decisions) {
        made += 1;
        let notices = |(case, tables): &Proof| !matches!(judge(&changed, tables, case), Ok(None));
        if !proofs.iter().any(notices) {
            survived.push(what);
        }
    }
    assert!(made > 200, "only {made} mutants were made");
    assert!(survived.is_empty(), "no case notices these changes:\n{}", survived.join("\n"));
}

/// Every definition with one thing changed.
fn mutants(pipeline: &Pipeline) -> Vec<(String, Pipeline)> {
    let mut made = Vec::new();
    for (at, definition) in pipeline.indices.iter().enumerate() {
        for (index, version) in definition.versions.iter().enumerate() {
            for (what, changed) in of_version(version) {
                let mut mutant = pipeline.clone();
                mutant.indices.get_mut(at).unwrap().versions[index] = changed;
                made.push((format!("{} {what}", definition.name), mutant));
            }
        }
    }
    made
}

fn of_version(version: &DefinitionVersion) -> Vec<(String, DefinitionVersion)> {
    let mut made = Vec::new();
    for decimals in [version.decimals + 1, version.decimals - 1] {
        // Where nothing is scored nothing is rounded.
        if version.maximum.is_some() {
            made.push((format!("decimals → {decimals}"), DefinitionVersion { decimals, ..version.clone() }));
        }
    }
    for (g, group) in version.groups.iter().enumerate() {
        // What became of reminders is no table that a case can give: `exact` proves it.
        let is_counted = |metric: &Metric| metric.code != "ACTED_IN_TIME";
        for (m, metric) in group.metrics.iter().enumerate().filter(|(_, metric)| is_counted(metric)) {
            for (what, changed) in of_metric(metric) {
                let mut mutant = version.clone();
                mutant.groups[g].metrics[m] = changed;
                made.push((format!("{}: {what}", metric.code), mutant));
            }
        }
    }
    made
}

fn of_metric(metric: &Metric) -> Vec<(String, Metric)> {
    let with = |formula: Formula| Metric { formula, ..metric.clone() };
    let mut made = Vec::new();
    let mut put = |what: String, formula: Formula| made.push((what, with(formula)));
    match &metric.formula {
        Formula::Share { of, zero, maximum, full_at_percent } => {
            for maximum in [maximum + 1, maximum - 1] {
                let formula =
                    Formula::Share { of: of.clone(), zero: *zero, maximum, full_at_percent: *full_at_percent };
                put(format!("maximum → {maximum}"), formula);
            }
            for percent in [full_at_percent + 5, full_at_percent - 5] {
                let formula =
                    Formula::Share { of: of.clone(), zero: *zero, maximum: *maximum, full_at_percent: percent };
                put(format!("full at {percent} %"), formula);
            }
            for (word, other) in Zero::WORDS.into_iter().filter(|(_, other)| other != zero) {
                let formula = Formula::Share {
                    of: of.clone(),
                    zero: other,
                    maximum: *maximum,
                    full_at_percent: *full_at_percent,
                };
                put(format!("zero → {word}"), formula);
            }
            for (what, of) in of_fraction(of) {
                let formula = Formula::Share { of, zero: *zero, maximum: *maximum, full_at_percent: *full_at_percent };
                put(what, formula);
            }
        }
        Formula::Mean { of, maximum } => {
            for (what, of) in of_fraction(of) {
                put(what, Formula::Mean { of, maximum: *maximum });
            }
        }
        Formula::Tiers { of, zero, maximum, tiers } => {
            for (t, tier) in tiers.iter().enumerate() {
                for points in [tier.points + 1, tier.points - 1] {
                    let mut tiers = tiers.clone();
                    tiers[t].points = points;
                    let formula = Formula::Tiers { of: of.clone(), zero: *zero, maximum: *maximum, tiers };
                    put(format!("tier of {} → {points}", tier.points), formula);
                }
                if !tier.none.is_empty() {
                    let mut tiers = tiers.clone();
                    tiers[t].none.clear();
                    let formula = Formula::Tiers { of: of.clone(), zero: *zero, maximum: *maximum, tiers };
                    put("without its none".into(), formula);
                }
            }
        }
        Formula::Constant { points } => put("one more".into(), Formula::Constant { points: points + 1 }),
        Formula::Information { of } => {
            for (what, of) in of_fraction(of) {
                put(what, Formula::Information { of });
            }
        }
        Formula::Average { of } => {
            for (what, of) in of_fraction(of) {
                put(what, Formula::Average { of });
            }
        }
        Formula::WorkingDays { percent } => {
            put("half of it".into(), Formula::WorkingDays { percent: percent / 2 });
        }
    }
    made
}

/// Another column above the line, and another below it.
fn of_fraction(of: &Fraction) -> Vec<(String, Fraction)> {
    let mut made = Vec::new();
    for (what, other) in of_count(&of.numerator) {
        made.push((format!("numerator {what}"), Fraction { numerator: other, ..of.clone() }));
    }
    for (what, other) in of_count(&of.denominator) {
        made.push((format!("denominator {what}"), Fraction { denominator: other, ..of.clone() }));
    }
    made
}

fn of_count(count: &Count) -> Vec<(String, Count)> {
    let other = || "nothing_is_called_so".to_owned();
    match count {
        Count::Sum(column) => vec![(format!("without {column}"), Count::Sum(other()))],
        Count::Greatest { columns, or_last_year } => {
            let without = columns.iter().map(|column| {
                let rest = columns.iter().filter(|other| *other != column).cloned().collect();
                (format!("without {column}"), Count::Greatest { columns: rest, or_last_year: or_last_year.clone() })
            });
            let never = Count::Greatest { columns: columns.clone(), or_last_year: None };
            without.chain([("without last year".to_owned(), never)]).collect()
        }
        Count::Procedures { with, without } => {
            // Of several conditions each matters.
            let less = |list: &[String], at: usize| -> Vec<String> {
                list.iter().enumerate().filter(|(index, _)| *index != at).map(|(_, name)| name.clone()).collect()
            };
            let mut made = Vec::new();
            for (at, column) in with.iter().enumerate().filter(|_| with.len() > 1) {
                let with = less(with, at);
                made.push((format!("without {column}"), Count::Procedures { with, without: without.clone() }));
            }
            for (at, column) in without.iter().enumerate() {
                let without = less(without, at);
                made.push((format!("whatever {column}"), Count::Procedures { with: with.clone(), without }));
            }
            made
        }
    }
}
