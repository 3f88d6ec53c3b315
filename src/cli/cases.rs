//! The verb `test`: whether the SQL computes what the cases say, and whether the cases say enough.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::prove::all_agencies;
use super::{Ended, ReportFormat, json, one, print};
use crate::check::Checked;
use crate::check::catalogue::{Catalogue, catalogue};
use crate::fault::{Explain, Fault, Place};
use crate::pipeline::Pipeline;
use crate::pipeline::law::Law;
use crate::pipeline::reader::Faults;
use crate::report::FaultLine;
use crate::run;
use crate::sql::Library;
use crate::sql::cases::{self, Bench, Case, Difference, shown};

/// What became of all cases.
#[derive(Debug, Default, Serialize)]
struct Verdict {
    as_expected: usize,
    not: usize,
    /// The cases that did not give what they expect.
    cases: Vec<Line>,
}

/// A case that did not give what it expects.
#[derive(Debug, Serialize)]
struct Line {
    path: PathBuf,
    about: String,
    as_of: String,
    until: String,
    /// What came otherwise; none where the select failed.
    difference: Option<Difference>,
    /// Why the select failed.
    fault: Option<FaultLine>,
}

impl Verdict {
    /// Notes what became of a case.
    fn add(&mut self, judged: Result<Option<Difference>, Fault>, case: Case) {
        let (difference, fault) = match judged {
            Ok(None) => {
                self.as_expected += 1;
                return;
            }
            Ok(difference) => (difference, None),
            Err(fault) => (None, Some(FaultLine::from(&fault))),
        };
        self.not += 1;
        let (as_of, until) = (case.as_of.to_string(), case.until.to_string());
        self.cases.push(Line { path: case.path, about: case.about, as_of, until, difference, fault });
    }
}

/// Runs the cases whose path holds the filter.
pub(super) async fn test(root: &Path, filter: Option<&str>, format: ReportFormat) -> Result<Ended, Vec<Fault>> {
    let made = Made::of(root, filter).await?;
    let benches = made.benches();
    let indices = Bench::new(&made.catalogue.pipeline, &made.indices);
    let rewrites = std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1");
    let faults = Faults::default();
    let mut verdict = Verdict::default();
    for path in &made.paths {
        if cases::is_of_an_index(path) {
            let Some(case) = cases::read(root, path, &made.catalogue.pipeline, &faults) else { continue };
            verdict.add(run::prove(&made.catalogue.pipeline, &indices, &case).await, case);
            continue;
        }
        let Some((pipeline, bench)) = made.bench(&benches, path) else {
            faults.push(no_table(path));
            continue;
        };
        let Some(mut case) = cases::read(root, path, pipeline, &faults) else { continue };
        if rewrites {
            case.rewrite(root, bench).await.map_err(one)?;
            // What is compared is what now stands in the file.
            let Some(rewritten) = cases::read(root, path, pipeline, &faults) else { continue };
            case = rewritten;
        }
        let judged = match bench.judge(&case).await {
            // What comes as expected must also be what a night takes.
            Ok(None) => run::is_taken(pipeline, bench, &case).await.map(|()| None),
            judged => judged.map_err(|error| error.fault()),
        };
        verdict.add(judged, case);
    }
    // What is wrong with an item matters where one of the cases asked for proves it.
    let mut faults = faults.into_vec();
    if faults.iter().any(|fault| fault.code == NO_TABLE) {
        faults.extend(made.faults.iter().cloned());
    }
    match format {
        ReportFormat::Text => print(&verdict.to_string()),
        ReportFormat::Json => print(&json(&verdict)),
    }?;
    match (faults.is_empty(), verdict.not) {
        (false, _) => Err(faults),
        (true, 0) => Ok(Ended::Done),
        (true, _) => Ok(Ended::Failed),
    }
}

const NO_TABLE: &str = "case.no-table";

fn no_table(path: &Path) -> Fault {
    let what = "nothing makes the table that this case proves";
    let next = "correct the folder that the case is in, or the faults of its item that are named here";
    Fault::new(NO_TABLE, Place::file(path), what, next)
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.cases {
            let day = |date: &str| shown("", date);
            writeln!(f, "{}: {}", line.path.display(), line.about)?;
            writeln!(f, "  as of {}, looking ahead to {}", day(&line.as_of), day(&line.until))?;
            if let Some(difference) = &line.difference {
                write!(f, "{difference}")?;
            }
            if let Some(fault) = &line.fault {
                writeln!(
                    f,
                    "  error[{}]: {}\n    at:   {}\n    next: {}",
                    fault.code, fault.what, fault.place, fault.next
                )?;
            }
            writeln!(f)?;
        }
        writeln!(f, "{} cases as expected, {} not", self.as_expected, self.not)
    }
}

/// The models that cases prove: those of the items, from the catalogue, and those of agencies.
struct Made {
    paths: Vec<PathBuf>,
    catalogue: Catalogue,
    /// What indices of service quality count, on the standard tables themselves.
    indices: Library,
    agencies: Vec<Checked>,
    faults: Vec<Fault>,
}

impl Made {
    async fn of(root: &Path, filter: Option<&str>) -> Result<Self, Vec<Fault>> {
        let mut paths = cases::find(root);
        paths.retain(|path| filter.is_none_or(|filter| path.to_string_lossy().contains(filter)));
        if paths.is_empty() {
            let next = "leave the filter out, or look into tests/cases";
            return Err(vec![Fault::new("case.none", Place::file("tests/cases"), "there is no such case", next)]);
        }
        let (catalogue, mut faults) = catalogue(root).await;
        // Obligations are written once for every agency; what else a case proves is of some agency.
        let is_of_an_item = |path: &PathBuf| {
            cases::is_of_an_index(path) || cases::proved(path).is_some_and(|name| name.schema == "obligations")
        };
        let of_indices = Faults::default();
        let indices = Library::of_indices(root, &catalogue.pipeline, &of_indices);
        if paths.iter().any(|path| cases::is_of_an_index(path)) {
            let found = of_indices.into_vec();
            if !found.is_empty() {
                return Err(found);
            }
        }
        let mut agencies = Vec::new();
        if !paths.iter().all(is_of_an_item) {
            let (sound, found) = all_agencies(root).await?;
            agencies = sound;
            faults.extend(found);
        }
        Ok(Made { paths, catalogue, indices, agencies, faults })
    }

    /// One bench for the catalogue, and one for each agency.
    fn benches(&self) -> Vec<Bench<'_>> {
        let catalogue = (&self.catalogue.pipeline, &self.catalogue.library);
        let agencies = self.agencies.iter().map(|checked| (&checked.pipeline, &checked.library));
        let all = std::iter::once(catalogue).chain(agencies);
        all.map(|(pipeline, library)| Bench::new(pipeline, library)).collect()
    }

    fn bench<'b>(&'b self, benches: &'b [Bench<'b>], path: &Path) -> Option<(&'b Pipeline, &'b Bench<'b>)> {
        let catalogue = (&self.catalogue.pipeline, &self.catalogue.library);
        let agencies = self.agencies.iter().map(|checked| (&checked.pipeline, &checked.library));
        let mut all = std::iter::once(catalogue).chain(agencies).zip(benches);
        let found = all.find(|((_, library), _)| cases::model(library, path).is_some());
        found.map(|((pipeline, _), bench)| (pipeline, bench))
    }
}

/// What became of the changes of the law.
#[derive(Debug, Default, Serialize)]
struct Mutations {
    noticed: usize,
    not: usize,
    /// The changes that no case notices, by item.
    unnoticed: BTreeMap<String, Vec<String>>,
}

/// Changes each number of each rule by one, and says which changes no case of the item notices.
pub(super) async fn mutate(root: &Path, filter: Option<&str>, format: ReportFormat) -> Result<Ended, Vec<Fault>> {
    let made = Made::of(root, filter).await?;
    let pipeline = &made.catalogue.pipeline;
    let faults = Faults::default();
    let all: Vec<Case> = made.paths.iter().filter_map(|path| cases::read(root, path, pipeline, &faults)).collect();
    let faults = faults.into_vec();
    if !faults.is_empty() {
        return Err(faults);
    }
    let bench = Bench::new(pipeline, &made.catalogue.library);
    let mut mutations = Mutations::default();
    for item in &pipeline.items {
        let own: Vec<&Case> =
            all.iter().filter(|case| case.model.schema == "obligations" && case.model.table == item.id).collect();
        if own.is_empty() && filter.is_some() {
            continue;
        }
        // Its own rules alone: those of all other items would be made into tables for each run.
        let rules = pipeline.law.rules.iter().filter(|rule| item.rules.contains(&rule.name));
        let law = Law { rules: rules.cloned().collect() };
        for mutant in cases::mutants(&law, &item.rules) {
            let changed = Pipeline { law: mutant.law, ..pipeline.clone() };
            if is_noticed(&bench, &own, &changed).await {
                mutations.noticed += 1;
            } else {
                mutations.not += 1;
                mutations.unnoticed.entry(item.id.clone()).or_default().push(mutant.what);
            }
        }
    }
    match format {
        ReportFormat::Text => print(&mutations.to_string()),
        ReportFormat::Json => print(&json(&mutations)),
    }?;
    Ok(if mutations.not == 0 { Ended::Done } else { Ended::Failed })
}

/// Whether any case gives something else than it expects; the first one that does ends the search.
async fn is_noticed(bench: &Bench<'_>, cases: &[&Case], changed: &Pipeline) -> bool {
    for case in cases {
        if !bench.holds(case, changed).await {
            return true;
        }
    }
    false
}

impl std::fmt::Display for Mutations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (item, changes) in &self.unnoticed {
            writeln!(f, "{item}: no case in tests/cases/obligations/{item} notices")?;
            for change in changes {
                writeln!(f, "  {change}")?;
            }
        }
        writeln!(f, "{} changes of the law noticed, {} not", self.noticed, self.not)
    }
}
