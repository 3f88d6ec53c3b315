//! Which version of a rule held, and why no other.

use jiff::civil::Date;
use serde::Serialize;

use super::words::{count, same};
use crate::language::{Text, date as day};
use crate::pipeline::law::{Rule, Version};

/// A version of a rule that a date rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// `passport_term@2020-07-01`.
    pub rule_version: String,
    /// What the rule says.
    pub title: Text,
    /// The article.
    pub reference: Text,
    /// A or B.
    pub confidence: String,
    /// First day in force.
    #[serde(serialize_with = "iso")]
    pub in_force_from: Date,
    /// First day on which it could be known.
    #[serde(serialize_with = "iso")]
    pub enacted_on: Date,
    /// The numbers that were used: with the key where it has several, and what chose it.
    pub values: Vec<Text>,
    /// When it held, and what came of the other versions.
    pub history: Vec<Text>,
}

fn iso<S: serde::Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}

/// A version with the numbers that were used of it, as known on a day.
pub(super) fn applied(rule: &Rule, version: &Version, values: Vec<Text>, known_on: Date) -> Applied {
    let (held, known) = (held(rule, version, known_on), day(known_on));
    let mut history = vec![Text::new(
        format!("Phiên bản này {}, theo những gì được biết đến ngày {}.", held.vi, known.vi),
        format!("This version is {}, by what was known on {}.", held.en, known.en),
    )];
    if version.enacted_on > version.in_force_from {
        let (from, enacted) = (day(version.in_force_from), day(version.enacted_on));
        history.push(Text::new(
            format!("Ban hành ngày {}, có hiệu lực trở về trước từ ngày {}.", enacted.vi, from.vi),
            format!("Enacted on {}, with effect back to {}.", enacted.en, from.en),
        ));
    }
    history.extend(breaks(version, known_on));
    for other in rule.versions.iter().filter(|other| !std::ptr::eq(*other, version)) {
        history.push(other_version(rule, version, other, known_on));
        // Why it is not in force where it might be: the act that says so.
        if other.enacted_on <= known_on {
            history.extend(breaks(other, known_on));
        }
    }
    Applied {
        rule_version: rule.version_name(version),
        title: rule.title.clone(),
        reference: version.reference.clone(),
        confidence: version.confidence.clone(),
        in_force_from: version.in_force_from,
        enacted_on: version.enacted_on,
        values,
        history,
    }
}

/// A number of the law with its unit and its key.
pub(super) fn number(rule: Option<&Rule>, key: Option<&str>, value: Option<&str>, by: &[Text]) -> Text {
    let unit = rule.map(|rule| rule.unit.as_str()).unwrap_or_default();
    let number = value.and_then(|value| value.parse().ok());
    let mut said = number.map_or_else(|| same(value.unwrap_or("?")), |number| count(number, unit));
    if let Some(key) = key {
        said = Text::new(format!("{} (dòng “{key}”)", said.vi), format!("{} (row “{key}”)", said.en));
    }
    if by.is_empty() {
        return said;
    }
    let by = super::words::join(by, "; ");
    Text::new(format!("{}, chọn theo {}", said.vi, by.vi), format!("{}, chosen by {}", said.en, by.en))
}

/// The days on which a version is in force, as known on a day: "có hiệu lực từ ngày …", "in force from …".
fn held(rule: &Rule, version: &Version, known_on: Date) -> Text {
    let terms = rule.terms(known_on);
    let said: Vec<Text> = terms
        .iter()
        .filter(|term| std::ptr::eq(term.version, version))
        .map(|term| {
            let from = day(term.from);
            match term.to {
                Date::MAX => Text::new(format!("từ ngày {}", from.vi), format!("from {}", from.en)),
                to => {
                    let to = day(to);
                    Text::new(
                        format!("từ ngày {} đến hết ngày {}", from.vi, to.vi),
                        format!("from {} to {}", from.en, to.en),
                    )
                }
            }
        })
        .collect();
    let said = super::words::join(&said, ", ");
    Text::new(format!("có hiệu lực {}", said.vi), format!("in force {}", said.en))
}

/// When a version was out of force or ended, as known on a day.
fn breaks(version: &Version, known_on: Date) -> Vec<Text> {
    let mut said = Vec::new();
    for suspension in version.suspended.iter().filter(|suspension| suspension.decided_on <= known_on) {
        let (from, decided) = (day(suspension.from), day(suspension.decided_on));
        let to = suspension.to.map_or_else(|| same("…"), day);
        said.push(Text::new(
            format!(
                "Ngưng hiệu lực từ {} đến {} theo {}, quyết định ngày {}.",
                from.vi, to.vi, suspension.reference.vi, decided.vi
            ),
            format!(
                "Suspended from {} to {} by {}, decided on {}.",
                from.en, to.en, suspension.reference.en, decided.en
            ),
        ));
    }
    for ended in version.ended.iter().filter(|ended| ended.decided_on <= known_on) {
        let (on, decided) = (day(ended.on), day(ended.decided_on));
        let by = ended.reference.clone().unwrap_or_else(|| same("…"));
        said.push(Text::new(
            format!("Hết hiệu lực từ ngày {} theo {}, quyết định ngày {}.", on.vi, by.vi, decided.vi),
            format!("Ended on {} by {}, decided on {}.", on.en, by.en, decided.en),
        ));
    }
    said
}

/// Why another version did not hold.
fn other_version(rule: &Rule, applied: &Version, other: &Version, known_on: Date) -> Text {
    let (name, enacted, known) = (rule.version_name(other), day(other.enacted_on), day(known_on));
    if other.enacted_on > known_on {
        return Text::new(
            format!(
                "{name} ({}): ban hành ngày {}, đến ngày {} chưa được biết.",
                other.reference.vi, enacted.vi, known.vi
            ),
            format!("{name} ({}): enacted on {}, not yet known on {}.", other.reference.en, enacted.en, known.en),
        );
    }
    let is_in_force = rule.terms(known_on).iter().any(|term| std::ptr::eq(term.version, other));
    if !is_in_force {
        return Text::new(
            format!("{name} ({}): bị thay thế hoặc ngưng, không có hiệu lực ngày nào.", other.reference.vi),
            format!("{name} ({}): replaced or suspended, in force on no day.", other.reference.en),
        );
    }
    let held = held(rule, other, known_on);
    let (vi, en) = if other.in_force_from < applied.in_force_from {
        ("phiên bản trước", "an earlier one")
    } else {
        ("phiên bản sau", "a later one")
    };
    Text::new(
        format!("{name} ({}), {vi}: {}.", other.reference.vi, held.vi),
        format!("{name} ({}), {en}: {}.", other.reference.en, held.en),
    )
}
