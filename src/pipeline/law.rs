//! Dated rules: what the law says, since when, and where it says it.
//!
//! A rule is a file in `pipelines/law/`. Nothing is overwritten: a change is a
//! new version with its own `in_force_from`, so that an earlier night can be
//! replayed with the law of that night. In SQL a rule is the table `law.<rule>`
//! with the values in force on the day of the run.

use jiff::civil::Date;

use crate::calendar::AsOf;
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
}

/// A parameter of the law, by date.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Name of its file.
    pub name: String,
    /// What it says.
    pub title: Text,
    /// The unit of its values: `years`, `months`, `days`, `vnd`, `percent`.
    pub unit: String,
    /// Its versions, the earliest first; their terms do not overlap.
    pub versions: Vec<Version>,
}

/// What a rule says during one term.
#[derive(Debug, Clone)]
pub struct Version {
    /// First day in force.
    pub in_force_from: Date,
    /// Last day in force; none while no end is known.
    pub in_force_to: Option<Date>,
    /// The article.
    pub reference: Text,
    /// How well the source is known: A, B or C (`domain/README`).
    pub confidence: String,
    /// Its values: one without a key, several without keys, or one per key.
    pub values: Vec<(Option<String>, i64)>,
}

impl Rule {
    /// The version in force on a day.
    pub fn in_force(&self, as_of: AsOf) -> Option<&Version> {
        let day = as_of.date();
        self.versions.iter().rev().find(|v| v.in_force_from <= day && v.in_force_to.is_none_or(|to| day <= to))
    }

    /// The name of a version, stable over time: `driving_licence_term@2025-01-01`.
    pub fn version_name(&self, version: &Version) -> String {
        format!("{}@{}", self.name, version.in_force_from)
    }
}
