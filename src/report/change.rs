//! Tonight beside the last night that ended, by item and commune.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::{Counts, HELD_BY_A_CHANGE, HELD_BY_A_CHECK, ItemLine, Report, difference, number};

/// What changed from one night to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// The night it is compared with; none where no night ended before.
    pub since: Option<String>,
    /// Each item as a whole, and then each commune in which it changed.
    pub lines: Vec<Change>,
}

/// What changed of one item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The item.
    pub item: String,
    /// The commune: none for the item as a whole, an empty code where none is known.
    pub commune: Option<String>,
    /// On the last night.
    pub before: Counts,
    /// Tonight.
    pub now: Counts,
}

impl ItemLine {
    /// Whether it waited for a person, so that its counts are no measure for other nights.
    pub fn is_held(&self) -> bool {
        [HELD_BY_A_CHANGE, HELD_BY_A_CHECK].iter().any(|reason| self.held.contains_key(*reason))
    }

    fn counts(&self) -> Counts {
        let reminders = self.communes.values().map(|counts| counts.reminders).sum();
        Counts { obligations: self.obligations, reminders }
    }
}

impl Report {
    /// What changed since an earlier night, by item and commune.
    pub fn changes(&self, earlier: Option<(&str, &Report)>) -> Changes {
        let Some((night, earlier)) = earlier else { return Changes::default() };
        let mut lines = Vec::new();
        let nothing = ItemLine::default();
        let items: BTreeSet<&str> = self.items.iter().chain(&earlier.items).map(|line| line.item.as_str()).collect();
        for item in items {
            let of = |report: &'_ Report| report.items.iter().find(|line| line.item == item).cloned();
            let (before, now) =
                (of(earlier).unwrap_or_else(|| nothing.clone()), of(self).unwrap_or_else(|| nothing.clone()));
            lines.push(Change { item: item.to_owned(), commune: None, before: before.counts(), now: now.counts() });
            let codes: BTreeSet<&String> = before.communes.keys().chain(now.communes.keys()).collect();
            for code in codes {
                let of = |line: &ItemLine| line.communes.get(code).copied().unwrap_or_default();
                let (before, now) = (of(&before), of(&now));
                if before != now {
                    lines.push(Change { item: item.to_owned(), commune: Some(code.clone()), before, now });
                }
            }
        }
        Changes { since: Some(night.to_owned()), lines }
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(since) = &self.since else {
            return writeln!(f, "\nThere is no earlier night that ended to compare with.");
        };
        writeln!(f, "\nBy item and commune, against the night of {since}")?;
        let mut rows = vec![["item", "commune", "obligations", "", "reminders", ""].map(str::to_owned)];
        for line in &self.lines {
            let arrow = |before, now| format!("{} → {}", number(before), number(now));
            let by = |before, now| match difference(before, now) {
                0 => String::new(),
                by => format!("{by:+}"),
            };
            let (item, commune) = match line.commune.as_deref() {
                None => (line.item.as_str(), "all"),
                Some("") => ("", "not known"),
                Some(code) => ("", code),
            };
            let (before, now) = (line.before, line.now);
            rows.push([
                item.to_owned(),
                commune.to_owned(),
                arrow(before.obligations, now.obligations),
                by(before.obligations, now.obligations),
                arrow(before.reminders, now.reminders),
                by(before.reminders, now.reminders),
            ]);
        }
        let mut widths = [0; 6];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &rows {
            let mut text = String::new();
            for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
                let pad = " ".repeat(width - cell.chars().count());
                text.push_str(&if index < 2 { format!("  {cell}{pad}") } else { format!("  {pad}{cell}") });
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}
