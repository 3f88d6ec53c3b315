//! The worst values that could stand in a letter, for looking at it before a person gets it. Nobody in them exists.
//!
//! This module must not know the templates.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, date};

use super::{Fact, proof};
use crate::personal::Personal;

/// In which way the values are bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worst {
    /// Names and texts as long as registers have them, and the longest date.
    Longest,
    /// No fact is known.
    Empty,
    /// Markup, signs of templates, letters without width, other directions of writing.
    Odd,
}

impl Worst {
    /// All of them.
    pub const ALL: [Worst; 3] = [Worst::Longest, Worst::Empty, Worst::Odd];

    /// The word on the command line and above a preview.
    pub fn word(self) -> &'static str {
        match self {
            Worst::Longest => "longest",
            Worst::Empty => "empty",
            Worst::Odd => "odd",
        }
    }

    /// The name of the person.
    pub fn name(self) -> Personal<String> {
        Personal::new(match self {
            // As long as a name of the population database may be, of the longest Vietnamese names there are.
            Worst::Longest => {
                "Công Tằng Tôn Nữ Tạ Hoàng Thị Huyền Trân Quỳnh Nhưỡng Nguyễn ".repeat(4).trim().to_owned()
            }
            Worst::Empty => "Ý".to_owned(),
            Worst::Odd => format!(
                "{}\u{202E}\u{200B}Nguye\u{302}\u{303}n 👩🏽‍🚒 \u{0}\r\nBcc: x@example.com",
                proof::worst_text("name")
            ),
        })
    }

    /// The values of these columns; the type of each is told by the last word of its name.
    pub fn facts(self, names: &BTreeSet<String>) -> BTreeMap<String, Fact> {
        let value = |name: &String| match (self, proof::worst_fact(name)) {
            (Worst::Longest, Fact::Text(_)) => Fact::Text("Giấy chứng nhận đăng ký ".repeat(10).trim().to_owned()),
            (_, fact) => fact,
        };
        match self {
            Worst::Empty => BTreeMap::new(),
            _ => names.iter().map(|name| (name.clone(), value(name))).collect(),
        }
    }

    /// The date that is longest in words, in both languages: a Wednesday in September.
    pub fn due_on(self) -> Date {
        date(2026, 9, 23)
    }
}
