//! Reads a dated rule, with every fault at its key.

use jiff::civil::Date;

use crate::language::Text;

use super::super::law::{Ended, Rule, Suspension, UNITS, Version};
use super::super::reader::Node;
use super::done;

pub(super) fn rule(node: &Node<'_>, name: &str) -> Rule {
    let title = node.both("title");
    let unit = node.word("unit", &UNITS.map(|unit| (unit, unit)));
    let nodes = node.array("version");
    // An overlap is meant only where both say when they were enacted: otherwise somebody forgot to end the earlier one.
    let is_meant = |a: &Node<'_>, b: &Node<'_>| a.has("enacted_on") && b.has("enacted_on");
    let mut versions: Vec<(&Node<'_>, Version)> = Vec::new();
    for version_node in &nodes {
        versions.extend(done(version_node, version).map(|version| (version_node, version)));
    }
    if nodes.is_empty() {
        node.fault("version", "toml.empty", format!("the rule {name} has no version"), "add a [[version]]");
    }
    versions.sort_by_key(|(_, version)| (version.in_force_from, version.enacted_on));
    for (index, (node, version)) in versions.iter().enumerate() {
        for (earlier, other) in versions.iter().take(index).filter(|(_, other)| overlap(other, version)) {
            if other.enacted_on != version.enacted_on && is_meant(earlier, node) {
                continue;
            }
            let day = version.in_force_from.max(other.in_force_from);
            let what = format!("two versions of {name} are in force on {day}, and none is enacted after the other");
            let next = "end the earlier version the day before the later one begins, or give both their enacted_on";
            node.fault("in_force_from", "pipeline.rule-overlap", what, next);
        }
    }
    let versions = versions.into_iter().map(|(_, version)| version).collect();
    // A rule at fault is there all the same: whoever reads it is not at fault.
    let title = title.unwrap_or_else(|| Text { vi: name.to_owned(), en: name.to_owned() });
    Rule { name: name.to_owned(), title, unit: unit.unwrap_or("days").to_owned(), versions }
}

fn overlap(a: &Version, b: &Version) -> bool {
    let reaches = |end: Option<Date>, from: Date| end.is_none_or(|end| end >= from);
    reaches(a.in_force_to, b.in_force_from) && reaches(b.in_force_to, a.in_force_from)
}

fn version(node: &Node<'_>) -> Option<Version> {
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
    let suspensions = node.array("suspended").into_iter();
    let (places, suspended): (Vec<Node<'_>>, Vec<Suspension>) =
        suspensions.filter_map(|node| done(&node, suspension).map(|suspension| (node, suspension))).unzip();
    let end = node.table_or_none("ended").and_then(|node| done(&node, ended).map(|ended| (node, ended)));
    let (end_node, ended) = end.unzip();
    let version = Version {
        enacted_on: enacted_on?,
        in_force_from: in_force_from?,
        in_force_to,
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
    Some(version)
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
