//! Reads a dated rule, with every fault at its key.

use std::collections::BTreeSet;

use crate::calendar::Day;
use crate::language::Text;

use super::super::law::{Ended, Rule, Suspension, UNITS, Version, VersionId};
use super::super::reader::Node;
use super::done;

/// A version as it was written: which others it takes the place of is known when all have been read.
struct Written {
    version: Version,
    replaces: Vec<String>,
    suspends: Vec<String>,
}

pub(super) fn rule(node: &Node<'_>, name: &str) -> Rule {
    let title = node.both("title");
    let unit = node.word("unit", &UNITS.map(|unit| (unit, unit)));
    let nodes = node.array("version");
    let mut written: Vec<(&Node<'_>, Written)> = Vec::new();
    for version_node in &nodes {
        written.extend(done(version_node, version).map(|version| (version_node, version)));
    }
    if nodes.is_empty() {
        node.fault("version", "toml.empty", format!("the rule {name} has no version"), "add a [[version]]");
    }
    written.sort_by_key(|(_, written)| (written.version.in_force_from, written.version.enacted_on));
    // A rule at fault is there all the same: whoever reads it is not at fault.
    let title = title.unwrap_or_else(|| Text { vi: name.to_owned(), en: name.to_owned() });
    let versions = written.iter().map(|(_, written)| written.version.clone()).collect();
    let mut rule = Rule { name: name.to_owned(), title, unit: unit.unwrap_or("days").to_owned(), versions };
    let related: Vec<_> = written.iter().map(|(node, written)| relations(node, written, &rule)).collect();
    for (version, (replaces, suspends)) in rule.versions.iter_mut().zip(related) {
        (version.replaces, version.suspends) = (replaces, suspends);
    }
    let places: Vec<&Node<'_>> = written.iter().map(|(node, _)| *node).collect();
    if !check_circle(&rule, &places) {
        check_overlaps(&rule, &places);
    }
    rule
}

/// The versions that a version says it replaces and suspends.
fn relations(node: &Node<'_>, written: &Written, rule: &Rule) -> (Vec<VersionId>, Vec<VersionId>) {
    let short = |version: &Version| {
        let name = rule.version_name(version);
        name.split_once('@').map(|(_, short)| short.to_owned()).unwrap_or_default()
    };
    let others = || rule.versions.iter().filter(|other| other.id() != written.version.id());
    let resolve = |key: &str, names: &[String]| {
        let mut ids = Vec::new();
        for name in names {
            match others().find(|other| short(other) == *name) {
                Some(other) => ids.push(other.id()),
                None => {
                    let known: Vec<String> = others().map(short).collect();
                    let next = match known.as_slice() {
                        [] => "there is no other version: take the key out".to_owned(),
                        known => format!("name one of the others by its first day in force: {}", known.join(", ")),
                    };
                    let what = format!("there is no other version of {} that begins on {name}", rule.name);
                    node.fault(key, "pipeline.rule-unknown-version", what, next);
                }
            }
        }
        ids
    };
    (resolve("replaces", &written.replaces), resolve("suspends", &written.suspends))
}

/// Whether versions set each other aside in a circle, so that none would be in force.
fn check_circle(rule: &Rule, places: &[&Node<'_>]) -> bool {
    let over = |id: VersionId| {
        let version = rule.versions.iter().find(move |version| version.id() == id);
        version.into_iter().flat_map(|version| version.replaces.iter().chain(&version.suspends)).copied()
    };
    for (version, place) in rule.versions.iter().zip(places) {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![version.id()]);
        while let Some(id) = waiting.pop() {
            waiting.extend(over(id).filter(|id| seen.insert(*id)));
        }
        if seen.contains(&version.id()) {
            let what = format!("{} replaces or suspends, by way of others, itself", rule.version_name(version));
            let next = "of two versions one replaces or suspends the other: take out what turns it round";
            place.fault("in_force_from", "pipeline.rule-circle", what, next);
            return true;
        }
    }
    false
}

/// Whether on any day, by what was known on any day, two versions are in force: which of them counts is for the law to
/// say, and so for the file.
fn check_overlaps(rule: &Rule, places: &[&Node<'_>]) {
    let mut said = BTreeSet::new();
    for known_on in rule.decisions() {
        for day in rule.turns(known_on) {
            let holding: Vec<&Version> = rule.holding(Day::known(day, known_on)).collect();
            let [earlier, .., later] = holding.as_slice() else { continue };
            if !said.insert((earlier.id(), later.id())) {
                continue;
            }
            let place = rule.versions.iter().zip(places).find(|(version, _)| version.id() == later.id());
            let Some((_, place)) = place else { continue };
            let (first, second) = (rule.version_name(earlier), rule.version_name(later));
            let known = if known_on == day { String::new() } else { format!(", as known on {known_on}") };
            let what = format!(
                "{first} and {second} are both in force on {day}{known}, and neither says that it replaces or suspends \
                 the other"
            );
            let short = first.split_once('@').map(|(_, short)| short).unwrap_or_default();
            let next = format!(
                "write replaces = [\"{short}\"], or suspends = [\"{short}\"] where that one holds again afterwards; or say \
                 when the earlier one ends"
            );
            place.fault("in_force_from", "pipeline.rule-overlap", what, next);
        }
    }
}

fn version(node: &Node<'_>) -> Option<Written> {
    let in_force_from = node.date("in_force_from");
    let in_force_to = node.date_or_none("in_force_to");
    let enacted_on = if node.has("enacted_on") { node.date("enacted_on") } else { in_force_from };
    if let (Some(from), Some(to)) = (in_force_from, in_force_to)
        && to < from
    {
        node.fault("in_force_to", "pipeline.term", "the version ends before it begins", "correct the dates");
    }
    let reference = node.both("reference");
    let confidence = node.word("confidence", &[("A", "A"), ("B", "B")]);
    let source = node.text_or_none("source");
    if source.as_deref().is_some_and(|source| !source.starts_with("https://") && !source.starts_with("http://")) {
        let next = "write the address of the page on which the version was read, or leave it out";
        node.fault("source", "pipeline.web-address", "source is not a web address", next);
    }
    let values = values(node);
    let replaces = node.texts_or_none("replaces").unwrap_or_default();
    let suspends = node.texts_or_none("suspends").unwrap_or_default();
    let suspensions = node.array("suspended").into_iter();
    let (places, suspended): (Vec<Node<'_>>, Vec<Suspension>) =
        suspensions.filter_map(|node| done(&node, suspension).map(|suspension| (node, suspension))).unzip();
    let end = node.table_or_none("ended").and_then(|node| done(&node, ended).map(|ended| (node, ended)));
    let (end_node, ended) = end.unzip();
    let version = Version {
        enacted_on: enacted_on?,
        in_force_from: in_force_from?,
        in_force_to,
        replaces: Vec::new(),
        suspends: Vec::new(),
        reference: reference?,
        confidence: confidence?.to_owned(),
        source,
        values: values?,
        suspended,
        ended,
    };
    for (node, suspension) in places.iter().zip(&version.suspended) {
        check_suspension(node, &version, suspension);
    }
    if let (Some(node), Some(ended)) = (&end_node, &version.ended) {
        check_end(node, &version, ended);
    }
    Some(Written { version, replaces, suspends })
}

fn values(node: &Node<'_>) -> Option<Vec<(Option<String>, i64)>> {
    let values: Option<Vec<(Option<String>, i64)>> = match (node.has("value"), node.has("values")) {
        (true, false) => node.int("value").map(|value| vec![(None, value)]),
        (false, true) if node.is_list("values") => {
            node.ints("values").map(|values| values.into_iter().map(|value| (None, value)).collect())
        }
        (false, true) => node.table("values").map(|values| {
            values.keys().into_iter().filter_map(|key| values.int(&key).map(|value| (Some(key), value))).collect()
        }),
        _ => {
            let next = "write value = 10, values = [14, 25], or values = { B = 120, C = 60 }";
            node.fault("value", "pipeline.rule-value", "a version has either value or values", next);
            return None;
        }
    };
    if values.as_ref().is_some_and(Vec::is_empty) {
        node.fault("values", "toml.empty", "values is empty", "write at least one value");
    }
    values
}

fn suspension(node: &Node<'_>) -> Option<Suspension> {
    let (decided_on, from, to) = (node.date("decided_on"), node.date("from"), node.date_or_none("to"));
    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        node.fault("to", "pipeline.term", "the suspension ends before it begins", "correct the dates");
    }
    let reference = node.both("reference");
    Some(Suspension { decided_on: decided_on?, from: from?, to, reference: reference? })
}

fn ended(node: &Node<'_>) -> Option<Ended> {
    let (decided_on, on) = (node.date("decided_on"), node.date("on"));
    let reference = if node.has("reference") { node.both("reference") } else { None };
    Some(Ended { decided_on: decided_on?, on: on?, reference })
}

fn check_suspension(node: &Node<'_>, version: &Version, suspension: &Suspension) {
    let is_before = suspension.from < version.in_force_from;
    let last = suspension.to.unwrap_or(suspension.from);
    if is_before || version.in_force_to.is_some_and(|to| last > to) {
        let key = if is_before || suspension.to.is_none() { "from" } else { "to" };
        let what = format!("the suspension lies outside the term of the version, which {}", term(version));
        node.fault(key, "pipeline.suspension-term", what, "correct the dates, or move it to the version it suspends");
    }
    if suspension.decided_on < version.enacted_on {
        let what = format!("the suspension was decided before the version was enacted, on {}", version.enacted_on);
        node.fault("decided_on", "pipeline.decided-before", what, "correct the dates");
    }
}

fn check_end(node: &Node<'_>, version: &Version, ended: &Ended) {
    if ended.on < version.in_force_from || version.in_force_to.is_some_and(|to| ended.on > to) {
        let what = format!("the version is ended outside its term, which {}", term(version));
        let next = "correct the dates; a version that never began is ended on its first day";
        node.fault("on", "pipeline.end-term", what, next);
    }
    if ended.decided_on < version.enacted_on {
        let what = format!("the end was decided before the version was enacted, on {}", version.enacted_on);
        node.fault("decided_on", "pipeline.decided-before", what, "correct the dates");
    }
}

fn term(version: &Version) -> String {
    match version.in_force_to {
        Some(to) => format!("runs from {} to {to}", version.in_force_from),
        None => format!("begins on {}", version.in_force_from),
    }
}
