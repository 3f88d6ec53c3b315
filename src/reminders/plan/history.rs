//! What was recorded earlier, as far as planning cares. It does not know where that is kept.

use std::collections::{HashMap, HashSet};

use jiff::civil::Date;

use super::ALL;
use crate::language::Language;
use crate::reminders::attention;

/// What became of a message earlier, as far as planning cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// It was taken: this stage is over.
    Sent,
    /// It was refused for good: this stage is over.
    Refused,
    /// The peer said later: send it again.
    Deferred,
    /// Unknown whether it was taken: the item says what to do.
    Uncertain,
}

/// What became of everything that was ever recorded.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// By message key.
    pub messages: HashMap<String, Before>,
    /// By obligation key: the shortest notice, in days, of a message that was sent.
    pub shortest_sent: HashMap<String, u16>,
    /// By obligation key: what the newest message that was sent about it told. Whoever keeps the history may leave out
    /// those that told the due day of tonight.
    pub told: HashMap<String, Told>,
    /// On which days messages went to each subject, for as long as they count.
    pub sent: attention::Sent,
    /// By obligation key: the night on which it was first seen to be open. Those that are not in it are new.
    pub known_on: HashMap<String, Date>,
    /// By obligation key: the day, not after tonight, on which the person wanted to be asked again about its dossier.
    pub wished: HashMap<String, Date>,
    /// By obligation key: those whose person has a link to a dossier that nobody knows any more, since the ledger was
    /// restored.
    pub unlinked: HashSet<String>,
    /// By obligation key: what its person is to learn about the dossier that they confirmed. The obligation may be done, or
    /// no longer there.
    pub unfiled: HashMap<String, Unfiled>,
    /// The languages that subjects chose, where they are not the register's.
    pub languages: HashMap<String, Vec<Chosen>>,
}

/// What a message told that was sent about an obligation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The due day in it.
    pub due_on: Date,
    /// Its key.
    pub message: String,
}

/// A dossier that a person confirmed and that is not handed in, for which its person is written to once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfiled {
    /// Why it is not.
    pub why: WhyUnfiled,
    /// What tells it from every other such occasion: part of the message's key.
    pub message: String,
}

/// Why a dossier that a person confirmed is not handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WhyUnfiled {
    /// The duty is done, by what a register says.
    Fulfilled,
    /// Registers no longer say that there is anything to do.
    Gone,
    /// The portal refused it.
    Refused,
    /// The portal cannot take it under the code of its procedure: the agency takes it on paper.
    Unsourced,
    /// A clerk withdrew it.
    Withdrawn,
}

impl WhyUnfiled {
    /// Every reason.
    pub const ALL: [WhyUnfiled; 5] =
        [WhyUnfiled::Fulfilled, WhyUnfiled::Gone, WhyUnfiled::Refused, WhyUnfiled::Unsourced, WhyUnfiled::Withdrawn];

    /// The word by which a template knows it.
    pub fn word(self) -> &'static str {
        match self {
            WhyUnfiled::Fulfilled => "fulfilled",
            WhyUnfiled::Gone => "gone",
            WhyUnfiled::Refused => "refused",
            WhyUnfiled::Unsourced => "unsourced",
            WhyUnfiled::Withdrawn => "withdrawn",
        }
    }
}

/// A language that a subject chose, of an item and a channel, or of [`ALL`] of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The item.
    pub item: String,
    /// The channel.
    pub channel: String,
    /// The language.
    pub language: Language,
}

impl History {
    /// The language that a subject chose for an item and a channel: what was said of one item goes before what was said
    /// of one channel, and that before what was said of all.
    pub fn language(&self, subject: &str, item: &str, channel: &str) -> Option<Language> {
        let chosen = self.languages.get(subject)?;
        let fits = |said: &&Chosen| [ALL, item].contains(&&*said.item) && [ALL, channel].contains(&&*said.channel);
        let narrowest = chosen.iter().filter(fits).max_by_key(|said| (said.item != ALL, said.channel != ALL));
        narrowest.map(|said| said.language)
    }
}
