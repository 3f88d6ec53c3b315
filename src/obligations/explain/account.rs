//! How a value came about, as the query that gave it tells: a tree, read from its text.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A value, and what it was computed from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What it is of: `column staging.people.birth_date`, `law law.passport_term.value`, `chosen`, `call add_months`,
    /// `choice 1/2 a > b`, `branch 2/2 else`, `named ends.expires_on`, `another staging.people.birth_date`, `given`,
    /// `latest`, `earliest`, `untold row_number`.
    pub of: String,
    /// The value as text, dates in ISO 8601; none where it is null.
    pub value: Option<String>,
    /// What it was computed from, in order; none where an outer join found no row.
    pub parts: Vec<Option<Node>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its values belong to a person.
        write!(f, "Node({})", self.of)
    }
}

/// What a node is of, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of<'a> {
    /// A column of a table: `staging.people`, `birth_date`.
    Column(&'a str, &'a str),
    /// A column of a table, in another row than the obligation's.
    Another(&'a str, &'a str),
    /// A column of the law: the rule, the column.
    Law(&'a str, &'a str),
    /// The first part, chosen by the others.
    Chosen,
    /// A function.
    Call(&'a str),
    /// One of several words: which of how many and on what condition; the parts say by what.
    Choice(Arm<'a>),
    /// The first part, one of several: which of how many and on what condition; the other parts say by what.
    Branch(Arm<'a>),
    /// Its part, under the name that the select has for it.
    Named(&'a str),
    /// Written in the select.
    Given,
    /// The greatest of several rows.
    Latest,
    /// The least of several rows.
    Earliest,
    /// Not followed further.
    Untold,
}

/// Which of several was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arm<'a> {
    /// `2/3`: the second of three.
    pub place: &'a str,
    /// The condition as the select has it; none where no condition held.
    pub condition: Option<&'a str>,
}

impl<'a> Arm<'a> {
    fn of(name: &'a str) -> Self {
        let (place, condition) = name.split_once(' ').unwrap_or((name, "else"));
        Arm { place, condition: Some(condition).filter(|condition| *condition != "else") }
    }
}

impl Node {
    /// From its text; none when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// What it is of.
    pub fn kind(&self) -> Of<'_> {
        let (word, name) = self.of.split_once(' ').unwrap_or((&self.of, ""));
        let (table, column) = name.rsplit_once('.').unwrap_or(("", name));
        match word {
            "column" => Of::Column(table, column),
            "law" => Of::Law(table.rsplit('.').next().unwrap_or_default(), column),
            "chosen" => Of::Chosen,
            "call" => Of::Call(name),
            "another" => Of::Another(table, column),
            "choice" => Of::Choice(Arm::of(name)),
            "branch" => Of::Branch(Arm::of(name)),
            "named" => Of::Named(name),
            "given" => Of::Given,
            "latest" => Of::Latest,
            "earliest" => Of::Earliest,
            _ => Of::Untold,
        }
    }

    /// Its value as a date.
    pub fn date(&self) -> Option<Date> {
        self.value.as_deref()?.parse().ok()
    }

    /// Its value as a whole number.
    pub fn number(&self) -> Option<i64> {
        self.value.as_deref()?.parse().ok()
    }

    /// The part at a place.
    pub fn part(&self, at: usize) -> Option<&Node> {
        self.parts.get(at)?.as_ref()
    }

    /// The parts that are there.
    pub fn found(&self) -> impl Iterator<Item = &Node> {
        self.parts.iter().flatten()
    }

    /// Shows it and all below it, the parts before the whole.
    pub fn each<'a>(&'a self, visit: &mut dyn FnMut(&'a Node)) {
        for part in self.found() {
            part.each(visit);
        }
        visit(self);
    }
}
