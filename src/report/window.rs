//! What a plan of many nights says, for a clerk, for a table and for a program. Counts only.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FaultLine, Report, number};
use crate::calendar::AsOf;

/// What the nights of a window would do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Window {
    /// The agency's folder.
    pub agency: String,
    /// The first date.
    pub from: String,
    /// The last date.
    pub to: String,
    /// How many nights would run.
    pub nights: u64,
    /// Each night and item on which something arises or goes out.
    pub lines: Vec<ItemNight>,
    /// What each item comes to in all nights; `standing` is that of the last one.
    pub totals: Vec<ItemNight>,
    /// Nights that would be refused, and why.
    pub refused: Vec<(String, FaultLine)>,
    /// What went wrong, with the number of nights.
    pub faults: Vec<(FaultLine, u64)>,
    /// Things that a person should know.
    pub notes: Vec<String>,
}

/// One item on one night, or on all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemNight {
    /// The night; none for all of them.
    pub night: Option<String>,
    /// The item.
    pub item: String,
    /// Obligations that are there for the first time.
    pub arise: u64,
    /// Obligations that are there.
    pub standing: u64,
    /// Messages that go out.
    pub messages: u64,
}

impl Window {
    /// A window without a night.
    pub fn new(agency: &str, from: AsOf, to: AsOf) -> Self {
        Window { agency: agency.to_owned(), from: from.to_string(), to: to.to_string(), ..Window::default() }
    }

    /// Adds a night; one before the window comes without lines.
    pub fn night(&mut self, as_of: AsOf, lines: Vec<ItemNight>, report: Report) {
        self.take(report);
        if lines.is_empty() {
            return;
        }
        self.nights += 1;
        for mut line in lines {
            match self.totals.iter_mut().find(|total| total.item == line.item) {
                Some(total) => {
                    total.arise += line.arise;
                    total.messages += line.messages;
                    total.standing = line.standing;
                }
                None => self.totals.push(line.clone()),
            }
            if line.arise + line.messages > 0 {
                line.night = Some(as_of.to_string());
                self.lines.push(line);
            }
        }
    }

    /// Takes over what a night found to be wrong: once, however many nights it is of.
    pub fn take(&mut self, report: Report) {
        for fault in report.faults {
            let is_same = |known: &FaultLine| {
                (&known.code, &known.place, &known.what) == (&fault.code, &fault.place, &fault.what)
            };
            match self.faults.iter_mut().find(|(known, _)| is_same(known)) {
                Some((_, nights)) => *nights += 1,
                None => self.faults.push((fault, 1)),
            }
        }
        for note in report.notes.into_iter().chain(report.checks.into_iter().map(|check| {
            let severity = if check.severity == "warn" { "" } else { "; what reads its tables is held" };
            format!("The check {} found something{severity}. {}", check.check, check.about)
        })) {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// As comma-separated values with a header; names of items and dates need no quotation marks.
    pub fn csv(&self) -> String {
        let mut text = String::from("night,item,arise,standing,messages\n");
        for line in &self.lines {
            let night = line.night.as_deref().unwrap_or_default();
            text.push_str(&format!("{night},{},{},{},{}\n", line.item, line.arise, line.standing, line.messages));
        }
        text
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, plan, from {} to {}: {} nights", self.agency, self.from, self.to, self.nights)?;
        let head = ["night", "item", "arise", "standing", "messages"].map(str::to_owned);
        let row = |night: &str, line: &ItemNight| {
            [night.to_owned(), line.item.clone(), number(line.arise), number(line.standing), number(line.messages)]
        };
        let mut rows = vec![head];
        let mut last = None;
        for line in &self.lines {
            // A night is named once.
            let night = if last == Some(&line.night) { "" } else { line.night.as_deref().unwrap_or_default() };
            last = Some(&line.night);
            rows.push(row(night, line));
        }
        write!(f, "\n{}", columns(&rows))?;
        let mut sum = ItemNight { item: "all".into(), ..ItemNight::default() };
        let mut rows = Vec::new();
        for total in &self.totals {
            sum.arise += total.arise;
            sum.standing += total.standing;
            sum.messages += total.messages;
            rows.push(row("total", total));
        }
        rows.push(row("total", &sum));
        rows.insert(0, ["", "item", "arise", "standing", "messages"].map(str::to_owned));
        write!(f, "\n{}", columns(&rows))?;
        self.rest(f)
    }
}

impl Window {
    fn rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut refused: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (night, fault) in &self.refused {
            refused.entry(&fault.code).or_default().push(night);
        }
        for (code, nights) in refused {
            let (first, last) = (nights.first().unwrap_or(&""), nights.last().unwrap_or(&""));
            let fault = self.refused.iter().find(|(_, fault)| fault.code == code);
            let what = fault.map(|(_, fault)| fault.what.as_str()).unwrap_or_default();
            writeln!(f, "\n{} nights from {first} to {last} would be refused, error[{code}]: {what}", nights.len())?;
        }
        for (fault, nights) in &self.faults {
            writeln!(
                f,
                "\nerror[{}]: {} ({nights} nights)\n  at:   {}\n  next: {}",
                fault.code, fault.what, fault.place, fault.next
            )?;
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

/// The first two columns to the left, numbers to the right.
fn columns(rows: &[[String; 5]]) -> String {
    let mut widths = [0; 5];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            line.push_str(&if index < 2 { format!("  {cell}{pad}") } else { format!("  {pad}{cell}") });
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
