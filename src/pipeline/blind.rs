//! How a table of answers about satisfaction is taken in without its raters.
//!
//! A source table that declares `blind` never lands: it is read into memory, counted by cell once a month has closed,
//! and forgotten. This module must not know how it is read or counted.

use std::collections::BTreeMap;

/// What a blind table's columns mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blind {
    /// What shows that the rater used the service.
    pub proof: Proof,
    /// The column with the day, or the moment, of the answer.
    pub answered_on: String,
    /// The questions of the form and the column of each; the overall question is among them.
    pub questions: Vec<(Question, String)>,
    /// How many levels an answer has.
    pub scale: Scale,
    /// What the words of the form stand for; without words, an answer is the number of its level.
    pub answers: BTreeMap<String, i64>,
    /// Of a form with three levels, the level of five for which each counts, lowest first; empty where they are
    /// counted apart from those of five.
    pub counts_as: Vec<i64>,
    /// The column with what a rater wrote, which is sealed and never counted.
    pub text: Option<String>,
    /// The column with the commune of a kiosk, for answers that prove nothing.
    pub commune: Option<String>,
}

/// What shows that somebody who rates has used the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The dossier's number, as portals of today export it: it is joined in memory and goes no further.
    Dossier {
        /// The column that holds it.
        column: String,
    },
    /// A token that was given out once, for a dossier that was finished.
    Token {
        /// The column that holds it.
        column: String,
    },
    /// Nothing: an open kiosk. Such answers are counted apart and in no protected figure.
    Nothing,
}

impl Proof {
    /// The words of the files.
    pub fn word(&self) -> &'static str {
        match self {
            Proof::Dossier { .. } => "dossier",
            Proof::Token { .. } => "token",
            Proof::Nothing => "none",
        }
    }
}

/// How many levels an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scale {
    /// Không hài lòng, hài lòng, rất hài lòng: dissatisfied, satisfied, very satisfied.
    Three,
    /// From very dissatisfied to very satisfied.
    Five,
}

impl Scale {
    /// Its highest level; the lowest is 1.
    pub fn levels(self) -> i64 {
        match self {
            Scale::Three => 3,
            Scale::Five => 5,
        }
    }
}

/// A question of the form that one-stop portals use. Five to twelve mirror the nine indices of Decree 61/2018.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// The service as a whole.
    Overall,
    /// Convenience, and how fast one is answered.
    Convenience,
    /// Processed and returned in time.
    OnTime,
    /// How staff behaved.
    Attitude,
    /// The time it took against what the law gives.
    SettlementTime,
    /// The time of each step against the rules.
    StepTime,
    /// How often one had to come to complete the dossier.
    Contacts,
    /// How many agencies one had to see.
    Agencies,
    /// Reception and return at the one-stop office.
    OneStop,
    /// How procedures are made public.
    Publicity,
    /// How petitions are answered.
    Petitions,
    /// Progress and quality of online services.
    Online,
}

impl Question {
    /// The words of the files, in the order of the form.
    pub const WORDS: [(&'static str, Question); 12] = [
        ("overall", Question::Overall),
        ("convenience", Question::Convenience),
        ("on_time", Question::OnTime),
        ("attitude", Question::Attitude),
        ("settlement_time", Question::SettlementTime),
        ("step_time", Question::StepTime),
        ("contacts", Question::Contacts),
        ("agencies", Question::Agencies),
        ("one_stop", Question::OneStop),
        ("publicity", Question::Publicity),
        ("petitions", Question::Petitions),
        ("online", Question::Online),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, question)| *question == self).map_or("overall", |(word, _)| word)
    }

    /// The question of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, question)| *question)
    }
}
