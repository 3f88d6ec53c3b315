//! Reads the decisions that define indices of service quality, with every fault at its key.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::indices::{Band, Count, Definition, DefinitionVersion, Formula, Fraction, Group, Metric, Tier, Zero};
use super::super::reader::{Document, Faults, Node};
use super::{done, entries, in_range, is_word};
use crate::fault::{Fault, Place};
use crate::language::Text;

/// Reads every file of `pipelines/indices/`.
pub(super) fn read_indices(root: &Path, faults: &Faults) -> Vec<Definition> {
    let folder = PathBuf::from("pipelines/indices");
    let files = entries(&root.join(&folder), |entry| entry.path().extension().is_some_and(|e| e == "toml"));
    let mut definitions = Vec::new();
    for file in files {
        let path = folder.join(&file);
        let name = file.trim_end_matches(".toml").to_owned();
        if !is_word(&name) {
            let what = "this cannot be the name of a decision";
            faults.push(Fault::new(
                "pipeline.bad-name",
                Place::file(&path),
                what,
                "use lower-case letters, digits and _",
            ));
        }
        if let Some(document) = Document::open(root, &path, faults) {
            definitions.push(document.read(|node| definition(node, &name)));
        }
    }
    definitions
}

fn definition(node: &Node<'_>, name: &str) -> Definition {
    let title = node.both("title");
    let nodes = node.array("version");
    if nodes.is_empty() {
        node.fault("version", "toml.empty", format!("the decision {name} has no version"), "add a [[version]]");
    }
    let mut written: Vec<Written<'_, '_>> = Vec::new();
    for version_node in &nodes {
        written.extend(
            done(version_node, |node| {
                let replaces = node.texts_or_none("replaces").unwrap_or_default();
                version(node).map(|version| (version, replaces))
            })
            .map(|(version, replaces)| Written { node: version_node, version, replaces }),
        );
    }
    written.sort_by_key(|written| (written.version.in_force_from, written.version.enacted_on));
    check_overlaps(name, &written);
    let versions = written.into_iter().map(|written| written.version).collect();
    let title = title.unwrap_or_else(|| Text::new(name, name));
    Definition { name: name.to_owned(), title, versions }
}

/// A version where it stands, with the first days in force of those whose place it says that it takes.
struct Written<'n, 'd> {
    node: &'n Node<'d>,
    version: DefinitionVersion,
    replaces: Vec<String>,
}

/// Of two versions that are in force on one day the one enacted last counts; that one says so, as a rule of the law does.
fn check_overlaps(name: &str, written: &[Written<'_, '_>]) {
    let first_day = |written: &Written<'_, '_>| written.version.in_force_from.to_string();
    for (index, later) in written.iter().enumerate() {
        for wanted in &later.replaces {
            if !written.iter().enumerate().any(|(at, other)| at != index && first_day(other) == *wanted) {
                let what = format!("there is no other version of {name} that begins on {wanted}");
                let next = "name one of the others by its first day in force, or take the key out";
                later.node.fault("replaces", "pipeline.rule-unknown-version", what, next);
            }
        }
        let takes_place = |one: &Written<'_, '_>, of: &Written<'_, '_>| {
            one.version.enacted_on > of.version.enacted_on && one.replaces.contains(&first_day(of))
        };
        let overlaps = |other: &&Written<'_, '_>| {
            other.version.in_force_to.is_none_or(|to| to >= later.version.in_force_from)
                && !takes_place(later, other)
                && !takes_place(other, later)
        };
        if let Some(other) = written.iter().take(index).find(overlaps) {
            let (day, short) = (later.version.in_force_from, first_day(other));
            let what =
                format!("two versions of {name} are in force on {day}, and neither says that it replaces the other");
            let next = format!(
                "end the earlier version the day before the later one begins, or write replaces = [\"{short}\"] in the \
                 later one, with the days on which both were enacted"
            );
            later.node.fault("in_force_from", "pipeline.rule-overlap", what, &next);
        }
    }
}

fn version(node: &Node<'_>) -> Option<DefinitionVersion> {
    let enacted_on = node.date("enacted_on");
    let in_force_from = node.date("in_force_from");
    let in_force_to = node.date_or_none("in_force_to");
    if let (Some(from), Some(to)) = (in_force_from, in_force_to)
        && to < from
    {
        node.fault("in_force_to", "pipeline.term", "the version ends before it begins", "correct the dates");
    }
    let reference = node.both("reference");
    let confidence = node.word("confidence", &[("A", "A"), ("B", "B")]);
    let decimals = in_range(node, "decimals", node.int_or("decimals", 2), 0, 6);
    let maximum = points_or_none(node, "maximum");
    let mut codes = BTreeSet::new();
    let nodes = node.array("group");
    let count = nodes.len();
    let groups: Vec<Group> = nodes.iter().filter_map(|node| done(node, |node| group(node, &mut codes))).collect();
    if count == 0 {
        node.fault("group", "toml.empty", "the version has no group", "add a [[version.group]] with its metrics");
    }
    if groups.len() == count {
        let sum = sum(groups.iter().map(|group| group.maximum));
        sums_up(node, "its groups", maximum, sum);
    }
    let bands = bands(node, maximum);
    Some(DefinitionVersion {
        enacted_on: enacted_on?,
        in_force_from: in_force_from?,
        in_force_to,
        reference: reference?,
        confidence: confidence?.to_owned(),
        decimals: u8::try_from(decimals?).ok()?,
        maximum,
        groups,
        bands,
    })
}

/// The sum of those that are there; none where none is.
fn sum(maxima: impl Iterator<Item = Option<i64>>) -> Option<i64> {
    // Each is at most 1,000, so that no sum of a file's worth of them overflows.
    maxima.fold(None, |sum, maximum| maximum.map(|maximum| sum.unwrap_or(0) + maximum).or(sum))
}

fn sums_up(node: &Node<'_>, of: &str, declared: Option<i64>, sum: Option<i64>) {
    if declared == sum {
        return;
    }
    let shown = |points: Option<i64>| points.map_or("none".to_owned(), |points| points.to_string());
    let what = format!("the maximum is {}, and {of} give {} in all", shown(declared), shown(sum));
    let next = "correct one of them: points that nothing gives can never be reached";
    node.fault("maximum", "indices.maximum", what, next);
}

fn group(node: &Node<'_>, codes: &mut BTreeSet<String>) -> Option<Group> {
    let (code, title) = (code(node, codes), node.both("title"));
    let maximum = points_or_none(node, "maximum");
    let nodes = node.array("metric");
    let count = nodes.len();
    let metrics: Vec<Metric> = nodes.iter().filter_map(|node| done(node, |node| metric(node, codes))).collect();
    if count == 0 {
        node.fault("metric", "toml.empty", "the group has no metric", "add a [[version.group.metric]]");
    }
    if metrics.len() == count {
        sums_up(node, "its metrics", maximum, sum(metrics.iter().map(|metric| metric.formula.maximum())));
    }
    Some(Group { code: code?, title: title?, maximum, metrics })
}

/// A code, which is written in capitals and said once in a version.
fn code(node: &Node<'_>, codes: &mut BTreeSet<String>) -> Option<String> {
    let code = node.text("code")?;
    let is_code = code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    if !is_code {
        let next = "use capital letters, digits and _, as the national portal does";
        node.fault("code", "pipeline.bad-name", format!("\"{code}\" cannot be a code"), next);
    }
    if !codes.insert(code.clone()) {
        node.fault("code", "pipeline.twice", format!("the code {code} is given twice"), "rename or remove one");
    }
    Some(code)
}

fn points_or_none(node: &Node<'_>, key: &str) -> Option<i64> {
    if node.has(key) { points(node, key) } else { None }
}

fn points(node: &Node<'_>, key: &str) -> Option<i64> {
    let points = node.int(key)?;
    in_range(node, key, points, 0, 1_000)
}

/// The words for formulas.
#[derive(Clone, Copy)]
enum Word {
    Linear,
    Threshold,
    Mean,
    Tiers,
    Constant,
    Information,
    Average,
    WorkingDays,
}

const WORDS: [(&str, Word); 8] = [
    ("linear", Word::Linear),
    ("threshold", Word::Threshold),
    ("mean", Word::Mean),
    ("tiers", Word::Tiers),
    ("constant", Word::Constant),
    ("information", Word::Information),
    ("average", Word::Average),
    ("working_days", Word::WorkingDays),
];

fn metric(node: &Node<'_>, codes: &mut BTreeSet<String>) -> Option<Metric> {
    let (code, title) = (code(node, codes), node.both("title"));
    let needs = node.texts_or_none("needs").unwrap_or_default();
    let is_absent_by_procedure = node.bool_or("absent_by_procedure", false);
    let formula = node.word("score", &WORDS).and_then(|word| formula(node, word));
    Some(Metric { code: code?, title: title?, needs, formula: formula?, is_absent_by_procedure, place: node.place() })
}

fn formula(node: &Node<'_>, word: Word) -> Option<Formula> {
    match word {
        Word::Linear | Word::Threshold => {
            let (of, zero, maximum) = (fraction(node), zero(node), points(node, "maximum"));
            let full_at_percent = match word {
                Word::Threshold => {
                    node.int("full_at_percent").and_then(|percent| in_range(node, "full_at_percent", percent, 1, 100))
                }
                _ => Some(100),
            };
            Some(Formula::Share { of: of?, zero: zero?, maximum: maximum?, full_at_percent: full_at_percent? })
        }
        Word::Mean => {
            let (of, maximum) = (fraction(node), points(node, "maximum"));
            Some(Formula::Mean { of: of?, maximum: maximum? })
        }
        Word::Tiers => {
            let (of, zero, maximum) = (fraction(node), zero(node), points(node, "maximum"));
            let tiers = tiers(node, maximum);
            Some(Formula::Tiers { of: of?, zero: zero?, maximum: maximum?, tiers: tiers? })
        }
        Word::Constant => Some(Formula::Constant { points: points(node, "maximum")? }),
        Word::Information => Some(Formula::Information { of: fraction(node)? }),
        Word::Average => Some(Formula::Average { of: fraction(node)? }),
        Word::WorkingDays => {
            let percent = node.int("percent")?;
            Some(Formula::WorkingDays { percent: in_range(node, "percent", percent, 1, 100)? })
        }
    }
}

fn zero(node: &Node<'_>) -> Option<Zero> {
    node.word("zero", &Zero::WORDS)
}

fn fraction(node: &Node<'_>) -> Option<Fraction> {
    let (numerator, denominator) = (count(node, "numerator"), count(node, "denominator"));
    Some(Fraction { numerator: numerator?, denominator: denominator? })
}

/// A column, `{ greatest = [...], or_last_year = "..." }` or `{ procedures_with = [...], without = [...] }`.
fn count(node: &Node<'_>, key: &str) -> Option<Count> {
    if !node.has(key) || node.is_text(key) {
        return node.text(key).map(Count::Sum);
    }
    done(&node.table(key)?, |count| {
        if count.has("greatest") {
            let columns = count.texts("greatest");
            let or_last_year = count.text_or_none("or_last_year");
            return Some(Count::Greatest { columns: columns?, or_last_year });
        }
        let with = count.texts("procedures_with");
        let without = count.texts_or_none("without").unwrap_or_default();
        Some(Count::Procedures { with: with?, without })
    })
}

fn tiers(node: &Node<'_>, maximum: Option<i64>) -> Option<Vec<Tier>> {
    let nodes = node.array("tier");
    let count = nodes.len();
    let tiers: Vec<Tier> = nodes.iter().filter_map(|node| done(node, tier)).collect();
    if count == 0 {
        node.fault("tier", "toml.empty", "there is no tier", "add tier = [{ points = 2, share = [...] }]");
        return None;
    }
    let falls = tiers.windows(2).all(|pair| matches!(pair, [better, worse] if better.points > worse.points));
    let begins = tiers.first().map(|tier| tier.points);
    if tiers.len() == count && (!falls || (maximum.is_some() && begins != maximum)) {
        let what = "the tiers do not fall from the maximum";
        let next = "write the best tier first; it gives the maximum, and each further one gives less";
        node.fault("tier", "indices.tiers", what, next);
    }
    (tiers.len() == count).then_some(tiers)
}

fn tier(node: &Node<'_>) -> Option<Tier> {
    let points = points(node, "points");
    let nodes = node.array("share");
    let shares: Vec<(Fraction, i64)> = nodes
        .iter()
        .filter_map(|node| {
            done(node, |node| {
                let (of, percent) = (fraction(node), node.int("at_least_percent"));
                Some((of?, in_range(node, "at_least_percent", percent?, 1, 100)?))
            })
        })
        .collect();
    let none = node.texts_or_none("none").unwrap_or_default();
    (shares.len() == nodes.len()).then_some(Tier { points: points?, shares, none })
}

fn bands(node: &Node<'_>, maximum: Option<i64>) -> Vec<Band> {
    let nodes = node.array("band");
    let bands: Vec<Band> = nodes
        .iter()
        .filter_map(|node| {
            done(node, |node| {
                let (at_least, name) = (points(node, "at_least"), node.both("name"));
                Some(Band { at_least: at_least?, name: name? })
            })
        })
        .collect();
    if bands.len() != nodes.len() || (bands.is_empty() && maximum.is_none()) {
        return bands;
    }
    let falls = bands.windows(2).all(|pair| matches!(pair, [higher, lower] if higher.at_least > lower.at_least));
    let ends = bands.last().is_some_and(|band| band.at_least == 0);
    let fits = bands.first().zip(maximum).is_some_and(|(band, maximum)| band.at_least <= maximum);
    if !(falls && ends && fits) {
        let what = "the bands do not reach from the maximum down to 0";
        let next = "write the highest band first and end with one that begins at 0, so that each total has one class";
        node.fault("band", "indices.bands", what, next);
    }
    bands
}
