//! Numbers of the law that cannot be meant: none, less than none, or more than a life is long.
//!
//! What a rule is written like is looked at where it is read; this holds its numbers against its unit. It must not know
//! what a rule is applied to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::fault::{Fault, Place};
use crate::pipeline::Pipeline;
use crate::pipeline::law::{Rule, Version};
use crate::pipeline::reader::Faults;
use crate::sql::Units;

/// The least and the greatest number of each unit. Where nothing is a number that a law may say, the least is 0.
const BOUNDS: [(&str, i64, i64); 13] = [
    ("years", 1, 150),
    ("months", 1, 1_800),
    ("weeks", 1, 5_200),
    ("days", 1, 36_500),
    ("working_days", 1, 2_500),
    ("hours", 1, 87_600),
    ("day_of_month", 1, 31),
    ("month", 1, 12),
    ("year", 1900, 2200),
    ("vnd", 0, 1_000_000_000_000_000),
    ("percent", 0, 1_000),
    ("per_mille", 0, 10_000),
    ("count", 0, 1_000_000),
];

/// The days of each month of a common year.
const DAYS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The unit of each rule.
pub(super) fn units(pipeline: &Pipeline) -> Units {
    pipeline.law.rules.iter().map(|rule| (rule.name.clone(), rule.unit.clone())).collect()
}

/// Says which numbers of the rules cannot be meant.
pub(super) fn check(root: &Path, pipeline: &Pipeline, faults: &Faults) {
    let mut texts: BTreeMap<PathBuf, String> = BTreeMap::new();
    for rule in &pipeline.law.rules {
        for version in &rule.versions {
            for (key, value) in &version.values {
                let Some(what) = unsound(rule, key.as_deref(), *value) else { continue };
                let path = PathBuf::from(format!("pipelines/law/{}.toml", rule.name));
                let text = texts
                    .entry(path.clone())
                    .or_insert_with(|| std::fs::read_to_string(root.join(&path)).unwrap_or_default());
                let place = match line(text, version, *value) {
                    Some(line) => Place::line(&path, line),
                    None => Place::file(&path),
                };
                let what = format!("{}: {what}", rule.version_name(version));
                let next = "correct the number or the unit; what the law does not say any more is ended, not set to 0";
                faults.push(Fault::new("law.value", place, what, next));
            }
        }
    }
}

/// Why a number cannot be meant; none where it can.
fn unsound(rule: &Rule, key: Option<&str>, value: i64) -> Option<String> {
    let (unit, least, most) = BOUNDS.iter().find(|(unit, ..)| *unit == rule.unit)?;
    if !(*least..=*most).contains(&value) {
        return Some(format!("{value} is no number of {unit} that a law says: {least} to {most} can be meant"));
    }
    // A day of a month that is named beside it.
    let month = key.filter(|_| *unit == "day_of_month").and_then(|key| key.parse::<usize>().ok())?;
    let longest = *DAYS.get(month.checked_sub(1)?)?;
    (value > longest).then(|| format!("month {month} has no day {value}, in every year or in common years"))
}

/// The line on which a version says a number: the first with that number as a value, after the one with the day from
/// which the version is in force.
fn line(text: &str, version: &Version, value: i64) -> Option<usize> {
    let (from, number) = (version.in_force_from.to_string(), value.to_string());
    let digits = |line: &str| line.chars().filter(|c| *c != '_').collect::<String>();
    let says = |line: &str| {
        let Some((_, value)) = line.split_once('=') else { return false };
        let is_part = |c: char| !(c.is_ascii_digit() || c == '-');
        digits(value.split('#').next().unwrap_or_default()).split(is_part).any(|word| word == number)
    };
    let begins = text.lines().position(|line| line.contains("in_force_from") && line.contains(&from))?;
    let found = text.lines().enumerate().skip(begins).find(|(_, line)| says(line) && !line.contains("in_force"));
    found.map(|(at, _)| at + 1)
}
