//! Dated rules: what the law says, since when, where it says it, and since when one could know.
//!
//! A rule is a file in `pipelines/law/`. Nothing is overwritten: a change is a
//! new version, a suspension or an end beside the old one, each with the day on
//! which it was decided, so that an earlier night can be replayed with the law of
//! that night, *as known* that night. Which of two versions counts is said by one of
//! them and never guessed from their dates: it *replaces* the other for good, or it
//! *suspends* it for as long as it holds itself. In SQL a rule is two tables: `law.<rule>` has
//! the values in force on the day of the run, `law_versions.<rule>` every term with
//! its values. This module must not know what a rule is applied to.

use jiff::civil::Date;

use crate::calendar::Day;
use crate::language::Text;

/// All rules, by name.
#[derive(Debug, Clone, Default)]
pub struct Law {
    /// In alphabetical order.
    pub rules: Vec<Rule>,
}

impl Law {
    /// The rule of this name.
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.name == name)
    }

    /// The rule and the version that a `rule_version` names.
    pub fn version(&self, version_name: &str) -> Option<(&Rule, &Version)> {
        let rule = self.rule(version_name.split_once('@')?.0)?;
        let version = rule.versions.iter().find(|version| rule.version_name(version) == version_name)?;
        Some((rule, version))
    }

    /// The rules and versions that a `rule_version` names, one or several between which stands `", "`, in its order;
    /// none where one of them names no version.
    pub fn versions(&self, named: &str) -> Option<Vec<(&Rule, &Version)>> {
        named.split(BETWEEN_VERSIONS).map(|name| self.version(name)).collect()
    }
}

/// What stands between the names of several versions in a `rule_version`.
pub const BETWEEN_VERSIONS: &str = ", ";

/// A parameter of the law, by date.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Name of its file.
    pub name: String,
    /// What it says.
    pub title: Text,
    /// The unit of its values: one of [`UNITS`].
    pub unit: String,
    /// Its versions, by the first day in force and then by the day of enactment. Of two whose terms overlap, one says
    /// that it replaces or suspends the other.
    pub versions: Vec<Version>,
}

/// The units in which a rule may count.
///
/// `day_of_month`, `month` and `year` are places in the calendar, not distances; a `count` is of whatever the
/// rule's title says.
pub const UNITS: [&str; 13] = [
    "years",
    "months",
    "weeks",
    "days",
    "working_days",
    "hours",
    "day_of_month",
    "month",
    "year",
    "vnd",
    "percent",
    "per_mille",
    "count",
];

/// What a rule says during one term.
#[derive(Debug, Clone)]
pub struct Version {
    /// The day it was signed or adopted: the first on which it could be known.
    pub enacted_on: Date,
    /// First day in force; it may lie before `enacted_on`.
    pub in_force_from: Date,
    /// Last day in force, as enacted; none while no end was set.
    pub in_force_to: Option<Date>,
    /// The versions that it takes the place of, from the first day on which it is in force: they do not come back when
    /// it is suspended, ended or over.
    pub replaces: Vec<VersionId>,
    /// The versions that are out of force on the days on which it is in force, and on no others (a bridging act).
    pub suspends: Vec<VersionId>,
    /// The article.
    pub reference: Text,
    /// How well the source is known: A or B (`domain/README`).
    pub confidence: String,
    /// Where it was read, a web address.
    pub source: Option<String>,
    /// Its values: one without a key, several without keys, or one per key.
    pub values: Vec<(Option<String>, i64)>,
    /// When it was out of force in between.
    pub suspended: Vec<Suspension>,
    /// How it was ended before its time.
    pub ended: Option<Ended>,
}

/// Which version of a rule: its first day in force and its enactment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId {
    /// Its first day in force.
    pub in_force_from: Date,
    /// The day it was enacted.
    pub enacted_on: Date,
}

/// A time in which a version is not in force, decided by another act (*ngưng hiệu lực*).
#[derive(Debug, Clone)]
pub struct Suspension {
    /// The day of that decision: the first on which it could be known.
    pub decided_on: Date,
    /// First day out of force.
    pub from: Date,
    /// Last day out of force; none means to the end of the version's term.
    pub to: Option<Date>,
    /// The article of the act that suspends.
    pub reference: Text,
}

/// The end of a version by another act (*bãi bỏ*).
#[derive(Debug, Clone)]
pub struct Ended {
    /// The day of that decision: the first on which it could be known.
    pub decided_on: Date,
    /// First day no longer in force.
    pub on: Date,
    /// The article of the act that ends it.
    pub reference: Option<Text>,
}

/// A stretch of days on which one version is in force, as known on some day.
#[derive(Debug, Clone, Copy)]
pub struct Term<'a> {
    /// First day.
    pub from: Date,
    /// Last day; [`Date::MAX`] while no end is known.
    pub to: Date,
    /// What is in force.
    pub version: &'a Version,
}

impl Rule {
    /// The version in force on a day, as known on a day.
    ///
    /// `check` refuses a rule of which there could be two; of one that was never checked, the one enacted last counts.
    pub fn in_force(&self, day: impl Into<Day>) -> Option<&Version> {
        self.holding(day.into()).max_by_key(|version| (version.enacted_on, version.in_force_from))
    }

    /// The versions whose own term holds on a day and that no other one has replaced or suspends, as known on a day.
    pub fn holding(&self, day: Day) -> impl Iterator<Item = &Version> {
        self.versions.iter().filter(move |version| version.in_force(day) && !self.is_set_aside(version.id(), day))
    }

    fn is_set_aside(&self, id: VersionId, day: Day) -> bool {
        let by = |other: &Version| {
            let is_replaced = other.replaces.contains(&id) && other.has_begun(day);
            is_replaced || (other.suspends.contains(&id) && other.in_force(day))
        };
        self.versions.iter().any(by)
    }

    /// The days on which one of its versions comes into force or goes out of it, as known on a day, in order.
    pub fn turns(&self, known_on: Date) -> Vec<Date> {
        let mut turns: Vec<Date> = self.versions.iter().flat_map(|version| version.turns(known_on)).collect();
        turns.sort_unstable();
        turns.dedup();
        turns
    }

    /// The days on which something of it was decided, in order: between two of them nothing else is known.
    pub fn decisions(&self) -> Vec<Date> {
        let of = |version: &Version| {
            let suspended = version.suspended.iter().map(|suspension| suspension.decided_on).collect::<Vec<_>>();
            let ended = version.ended.as_ref().map(|ended| ended.decided_on);
            std::iter::once(version.enacted_on).chain(suspended).chain(ended)
        };
        let mut decisions: Vec<Date> = self.versions.iter().flat_map(of).collect();
        decisions.sort_unstable();
        decisions.dedup();
        decisions
    }

    /// Every stretch of days with the version in force on them, as known on a day: in order, cut so that no two
    /// overlap, with a gap where nothing is in force.
    pub fn terms(&self, known_on: Date) -> Vec<Term<'_>> {
        let starts = self.turns(known_on);
        let mut terms: Vec<Term<'_>> = Vec::new();
        for (index, from) in starts.iter().enumerate() {
            let Some(version) = self.in_force(Day::known(*from, known_on)) else { continue };
            let to = starts.get(index + 1).and_then(|next| next.yesterday().ok()).unwrap_or(Date::MAX);
            match terms.last_mut() {
                // A turn of another version that was not in force itself cuts nothing.
                Some(last) if std::ptr::eq(last.version, version) && last.to.tomorrow().ok() == Some(*from) => {
                    last.to = to;
                }
                _ => terms.push(Term { from: *from, to, version }),
            }
        }
        terms
    }

    /// The name of a version, stable over time: `driving_licence_term@2025-01-01`.
    ///
    /// Of several that begin on one day, the first enacted keeps this name, because letters were sent with it;
    /// the others say when they were enacted: `vat_rate@2025-01-01/2025-06-17`.
    pub fn version_name(&self, version: &Version) -> String {
        let from = version.in_force_from;
        let is_later =
            self.versions.iter().any(|other| other.in_force_from == from && other.enacted_on < version.enacted_on);
        match is_later {
            true => format!("{}@{from}/{}", self.name, version.enacted_on),
            false => format!("{}@{from}", self.name),
        }
    }

    /// The largest of its values in any term known on a day; none where nothing was known.
    pub fn longest(&self, known_on: Date) -> Option<i64> {
        let known = self.versions.iter().filter(|version| version.enacted_on <= known_on);
        known.flat_map(|version| &version.values).map(|(_, value)| *value).max()
    }
}

impl Version {
    /// Which one it is.
    pub fn id(&self) -> VersionId {
        VersionId { in_force_from: self.in_force_from, enacted_on: self.enacted_on }
    }

    /// Whether its own term has held on a day or before it, by what was known on a day. One that was repealed before
    /// its first day never began.
    fn has_begun(&self, day: Day) -> bool {
        let until = day.as_of.date();
        let mut turns = self.turns(day.known_on).into_iter().filter(|turn| *turn <= until);
        turns.any(|turn| self.in_force(Day::known(turn, day.known_on)))
    }

    /// Whether its own term holds on a day, by what was known on a day.
    pub fn in_force(&self, day: impl Into<Day>) -> bool {
        let Day { as_of, known_on } = day.into();
        let date = as_of.date();
        let is_suspended = |suspension: &Suspension| {
            suspension.decided_on <= known_on && suspension.from <= date && suspension.to.is_none_or(|to| date <= to)
        };
        let is_over = |ended: &Ended| ended.decided_on <= known_on && ended.on <= date;
        self.enacted_on <= known_on
            && self.in_force_from <= date
            && self.in_force_to.is_none_or(|to| date <= to)
            && !self.suspended.iter().any(is_suspended)
            && !self.ended.as_ref().is_some_and(is_over)
    }

    /// The days on which it comes into force or goes out of it, as known on a day.
    fn turns(&self, known_on: Date) -> Vec<Date> {
        if self.enacted_on > known_on {
            return Vec::new();
        }
        let after = |last: Option<Date>| last.and_then(|last| last.tomorrow().ok());
        let mut turns = vec![self.in_force_from];
        turns.extend(after(self.in_force_to));
        for suspension in self.suspended.iter().filter(|suspension| suspension.decided_on <= known_on) {
            turns.push(suspension.from);
            turns.extend(after(suspension.to));
        }
        turns.extend(self.ended.iter().filter(|ended| ended.decided_on <= known_on).map(|ended| ended.on));
        turns
    }
}
