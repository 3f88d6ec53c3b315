//! When to stop: too many messages of one domain, template or item are refused for good, or the channel's own side
//! fails.
//!
//! Pure counting within one run, late bounces included. It must not know a message, a person or the ledger; what a
//! stop means for those that wait is decided by whoever asks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::language::Language;
use crate::pipeline::attention::Breaker;

/// What messages are counted by, and what is stopped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All to one domain, by a channel.
    Domain {
        /// In lower case.
        domain: String,
        /// The channel, by its name.
        channel: String,
    },
    /// All of an item in a language by a channel.
    Template {
        /// The item.
        item: String,
        /// The language.
        language: Language,
        /// The channel, by its name.
        channel: String,
    },
    /// All of an item.
    Item(String),
}

/// As the ledger and the command line write it: `domain gmail.com smtp`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Domain { domain, channel } => write!(f, "domain {domain} {channel}"),
            Scope::Template { item, language, channel } => write!(f, "template {item} {} {channel}", language.tag()),
            Scope::Item(item) => write!(f, "item {item}"),
        }
    }
}

/// How a message ended, as far as a breaker cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// It left, or nobody knows.
    Left,
    /// It was refused for good because of the person or of what it says.
    Refused,
    /// It was refused because of something that the agency must set right.
    Ours,
    /// It was refused with a code that speaks of the agency, or of this person: others will tell.
    Doubtful,
}

/// What became of a scope just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A person should look.
    Warned,
    /// Nothing more is sent until a person lifts it.
    Stopped {
        /// Whether the channel's own side failed, or too many were refused.
        is_ours: bool,
    },
}

/// So many were sent, and so many of them refused for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// All that had an end.
    pub sent: u64,
    /// Those refused, late bounces included.
    pub refused: u64,
}

/// So many doubtful refusals on a channel, and nothing taken between them, are the agency's own matter.
pub const DOUBTFUL_MAX: u64 = 5;

/// The breakers of a run.
#[derive(Debug)]
pub struct Breakers {
    settings: Breaker,
    counts: BTreeMap<Scope, Count>,
    /// By channel: the doubtful refusals since something was taken.
    doubtful: BTreeMap<String, u64>,
    warned: BTreeSet<Scope>,
    /// As they are written: those of earlier runs are known by that alone.
    stopped: BTreeSet<String>,
}

impl Breakers {
    /// Breakers of which these are stopped already.
    pub fn new(settings: Breaker, stopped: impl IntoIterator<Item = String>) -> Self {
        Breakers {
            settings,
            counts: BTreeMap::new(),
            doubtful: BTreeMap::new(),
            warned: BTreeSet::new(),
            stopped: stopped.into_iter().collect(),
        }
    }

    /// Counts the end of a message in each of its scopes, and says what changed.
    pub fn count(&mut self, scopes: &[Scope], end: End) -> Vec<(Scope, Count, Change)> {
        let mut changes = Vec::new();
        for scope in scopes {
            let count = match self.counts.get_mut(scope) {
                Some(count) => count,
                None => self.counts.entry(scope.clone()).or_default(),
            };
            count.sent = count.sent.saturating_add(1);
            count.refused = count.refused.saturating_add(u64::from(end != End::Left));
            let count = *count;
            if let Some(change) = self.judge(scope, count, end) {
                changes.push((scope.clone(), count, change));
            }
        }
        changes
    }

    /// Whether any of these scopes is stopped.
    pub fn is_stopped(&self, scopes: &[Scope]) -> bool {
        !self.stopped.is_empty() && scopes.iter().any(|scope| self.stopped.contains(&scope.to_string()))
    }

    /// How many scopes are stopped.
    pub fn stopped(&self) -> usize {
        self.stopped.len()
    }

    /// Adds what earlier runs sent, and what came back of it since, and says what changed.
    pub fn recall(&mut self, earlier: impl IntoIterator<Item = (Scope, Count)>) -> Vec<(Scope, Count, Change)> {
        let mut changes = Vec::new();
        for (scope, earlier) in earlier {
            let count = self.counts.entry(scope.clone()).or_default();
            count.sent = count.sent.saturating_add(earlier.sent);
            count.refused = count.refused.saturating_add(earlier.refused);
            let count = *count;
            if let Some(change) = self.judge(&scope, count, End::Refused) {
                changes.push((scope, count, change));
            }
        }
        changes
    }

    /// Counts the doubtful refusals on a channel in a row, and says whether they leave no doubt.
    fn is_beyond_doubt(&mut self, channel: &str, end: End) -> bool {
        match end {
            End::Left => {
                self.doubtful.remove(channel);
                false
            }
            End::Doubtful => {
                let row = self.doubtful.entry(channel.to_owned()).or_default();
                *row = row.saturating_add(1);
                *row >= DOUBTFUL_MAX
            }
            End::Refused | End::Ours => false,
        }
    }

    fn judge(&mut self, scope: &Scope, count: Count, end: End) -> Option<Change> {
        // What a template says, or the account that it is sent by, is not put right by trying the next person.
        let is_ours = match scope {
            Scope::Template { channel, .. } => end == End::Ours || self.is_beyond_doubt(channel, end),
            _ => false,
        };
        let reaches = |percent: u64| {
            let refused = count.refused.saturating_mul(100);
            count.sent >= self.settings.from && refused >= count.sent.saturating_mul(percent)
        };
        if is_ours || (end != End::Left && reaches(self.settings.stop_percent)) {
            let is_new = self.stopped.insert(scope.to_string());
            return is_new.then_some(Change::Stopped { is_ours });
        }
        let is_warned = end != End::Left && reaches(self.settings.warn_percent) && self.warned.insert(scope.clone());
        is_warned.then_some(Change::Warned)
    }
}
