//! A reminder, and the channels it may take: which are open to a person, and what was recorded on each.

use std::collections::HashSet;
use std::ops::Deref;

use jiff::civil::Date;

use super::{Before, History, Reason, Recipient, Told, WhyUnfiled};
use crate::language::Language;
use crate::obligations::Obligation;
use crate::personal::{Digest, PseudonymKey};
use crate::pipeline::{Channel, Item, Reach, Uncertain};

/// A message that is to be sent today.
#[derive(Debug, Clone)]
pub struct Reminder<'a> {
    /// Its unique key: a keyed digest of subject, item, period, stage and channel; of a letter that corrects the day that
    /// an earlier one told, also of the new day and of that message's key.
    pub key: Digest,
    /// What it is about.
    pub obligation: &'a Obligation,
    /// The item.
    pub item: &'a Item,
    /// To whom.
    pub recipient: Recipient<'a>,
    /// Keyed pseudonym of the person.
    pub subject: Digest,
    /// The stage, by its notice in days.
    pub stage_notice_days: u16,
    /// The stage, counted from 1: the last one is as high as the item has notices.
    pub stage: u16,
    /// Days from today to the due date.
    pub days_left: i32,
    /// The language it is written in: the one they chose, or the register's.
    pub language: Language,
    /// The day of its notice: it leaves on it, or earlier.
    pub planned_on: Date,
    /// The last day on which it may leave.
    pub valid_until: Date,
    /// By which channel it goes.
    pub channel: &'a Channel,
    /// The channels that are open to it after that one, in the item's order.
    pub otherwise: Rare<Way<'a>>,
    /// Whether it leaves so late after its day that its letter says so.
    pub is_late: bool,
    /// The day that an earlier message told, where this letter corrects it.
    pub told_before: Option<Date>,
    /// The other reminders of this person that leave in the same letter, in their order; empty for most.
    pub together: Rare<Reminder<'a>>,
    /// Whether it has to leave by itself: a letter of several could not be written.
    pub is_alone: bool,
    /// Why the dossier is not handed in that the person confirmed, where the message tells that and reminds of nothing.
    pub unfiled: Option<WhyUnfiled>,
}

impl<'a> Reminder<'a> {
    /// The same reminder by another of its ways: 0 is the channel it has, 1 the first after it. Without such a way it
    /// stays as it is.
    #[must_use]
    pub fn by(mut self, way: usize) -> Self {
        self.take_way(way);
        self
    }

    /// Puts it on another of its ways, where it stands: see [`Reminder::by`].
    pub fn take_way(&mut self, way: usize) {
        if way > 0 && way <= self.otherwise.len() {
            let mut after = std::mem::take(&mut self.otherwise).into_iter().skip(way - 1);
            if let Some(next) = after.next() {
                (self.channel, self.key) = (next.channel, next.key);
            }
            self.otherwise = after.collect();
        }
    }

    /// The days for which it may still wait: until the day before its next stage begins, or until it is due.
    pub fn slack_days(&self) -> u32 {
        let shorter = self.item.notice_days.iter().copied().filter(|notice| *notice < self.stage_notice_days).max();
        let last = shorter.map_or(0, |notice| i32::from(notice) + 1);
        u32::try_from(self.days_left - last).unwrap_or(0)
    }

    /// The same reminder by the channel after that of a message's key; none where there is no such channel or key.
    pub fn after(&self, key: &str) -> Option<Self> {
        let mut keys = std::iter::once(&self.key).chain(self.otherwise.iter().map(|way| &way.key));
        let way = keys.position(|own| *own == *key)?;
        (way < self.otherwise.len()).then(|| self.clone().by(way + 1))
    }

    /// The channel on which the reminder has this key.
    pub fn channel_of(&self, key: &str) -> Option<&'a Channel> {
        let otherwise = self.otherwise.iter().find(|way| way.key == *key).map(|way| way.channel);
        if self.key == *key { Some(self.channel) } else { otherwise }
    }

    /// Whether the person does not want it by its channel, or the address is known not to work there.
    pub fn is_closed(&self, closed: &Standing) -> bool {
        closed.objection(&self.subject, &self.item.id, &self.channel.name).is_some()
    }

    /// The same reminder by the first of its channels that is open to the person; none where none is.
    pub fn by_open(self, closed: &Standing) -> Option<Self> {
        let mut next = Some(self);
        while let Some(reminder) = next {
            if closed.objection(&reminder.subject, &reminder.item.id, &reminder.channel.name).is_none() {
                return Some(reminder);
            }
            next = reminder.by_next();
        }
        None
    }

    /// Whether another reminder can leave in the same letter: to the same person at the same address, in the same
    /// language, by the same channel, which carries letters.
    pub fn goes_with(&self, other: &Reminder<'_>) -> bool {
        self.channel.carries_letters()
            && !(self.is_alone || other.is_alone)
            && self.subject == other.subject
            && self.channel.name == other.channel.name
            && self.language == other.language
            && self.recipient.is(other.recipient)
    }

    /// The last day on which the message may leave: that of the reminder in it that is the first to expire.
    pub fn last_day(&self) -> Date {
        self.together.iter().map(|other| other.valid_until).fold(self.valid_until, Date::min)
    }

    /// The reminders of one message, each by itself.
    pub fn apart(mut self) -> Vec<Reminder<'a>> {
        let others = std::mem::take(&mut self.together);
        std::iter::once(self).chain(others).collect()
    }

    /// The domain of the mail address it goes to, in lower case; none where it goes to a phone.
    pub fn domain(&self) -> Option<String> {
        let email = self.recipient.email().filter(|_| self.channel.reach() == Reach::Email)?;
        email.reveal().rsplit_once('@').map(|(_, domain)| domain.trim().to_ascii_lowercase())
    }

    /// The same reminder by its next channel; none where there is none.
    pub fn by_next(self) -> Option<Self> {
        if self.otherwise.is_empty() { None } else { Some(self.by(1)) }
    }
}

/// A list that is empty for most, and then takes one word: a night holds a million of them.
#[derive(Debug, Clone)]
#[expect(clippy::box_collection, reason = "the place that it takes while it is empty is what it is for")]
pub struct Rare<T>(Option<Box<Vec<T>>>);

impl<T> Rare<T> {
    /// Puts one more behind the others.
    pub fn push(&mut self, one: T) {
        self.0.get_or_insert_default().push(one);
    }
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Rare(None)
    }
}

impl<T> Deref for Rare<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.0.as_deref().map(Vec::as_slice).unwrap_or_default()
    }
}

impl<T> FromIterator<T> for Rare<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let all: Vec<T> = all.into_iter().collect();
        Rare((!all.is_empty()).then(|| Box::new(all)))
    }
}

impl<T> IntoIterator for Rare<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.map(|all| *all).unwrap_or_default().into_iter()
    }
}

impl<'r, T> IntoIterator for &'r Rare<T> {
    type Item = &'r T;
    type IntoIter = std::slice::Iter<'r, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A channel that a message may take, and its key there.
#[derive(Debug, Clone)]
pub struct Way<'a> {
    /// The channel.
    pub channel: &'a Channel,
    /// The message's key on it.
    pub key: Digest,
}

/// What stands between a person and a channel: learnt from bounces, or said by the person; and what stands between a
/// person and any message.
///
/// The first two hold (subject's pseudonym, item, channel); [`ALL`] in place of an item or a channel means every one.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// The address is known not to work, for now.
    pub suppressed: HashSet<(String, String, String)>,
    /// The person does not want it.
    pub refused: HashSet<(String, String, String)>,
    /// Keys of obligations for which a dossier is handed in, and nothing is asked of the person.
    pub handed_in: HashSet<String>,
}

/// Every item, or every channel.
pub const ALL: &str = "*";

impl Standing {
    /// Why a channel is closed for this person and item; none where it is open.
    pub fn objection(&self, subject: &str, item: &str, channel: &str) -> Option<Reason> {
        let is_in = |set: &HashSet<(String, String, String)>| {
            let holds =
                |item: &str, channel: &str| set.contains(&(subject.to_owned(), item.to_owned(), channel.to_owned()));
            !set.is_empty() && (holds(item, channel) || holds(ALL, channel) || holds(item, ALL) || holds(ALL, ALL))
        };
        if is_in(&self.refused) {
            return Some(Reason::Refuses);
        }
        is_in(&self.suppressed).then_some(Reason::Suppressed)
    }
}

/// The channels of an item, with the keys of this stage's message on each; `told` by an earlier message is the day that
/// it corrects.
pub(super) fn ways<'a>(
    obligation: &Obligation,
    item: &Item,
    stage: (u16, Option<&Told>),
    channels: &'a [Channel],
    key: &PseudonymKey,
) -> Vec<Way<'a>> {
    let known = item.channels.iter().filter_map(|name| channels.iter().find(|channel| channel.name == *name));
    known.map(|channel| Way { channel, key: message_key(obligation, stage, channel, key) }).collect()
}

/// The channels that what was recorded of this stage leaves open. One message is one: sent by any channel it is sent,
/// and where nobody knows whether it was taken, no other channel is used beside it.
pub(super) fn under_way<'a>(ways: Vec<Way<'a>>, item: &Item, history: &History) -> Result<Vec<Way<'a>>, Reason> {
    let before = |way: &Way<'_>| history.messages.get(&*way.key).copied();
    if ways.iter().any(|way| before(way) == Some(Before::Sent)) {
        return Err(Reason::AlreadySent);
    }
    if let Some(way) = ways.iter().find(|way| before(way) == Some(Before::Uncertain)) {
        // A folder can be looked into: writing again leaves what is there as it is.
        if item.uncertain == Uncertain::LeaveToClerk && !way.channel.is_repeatable() {
            return Err(Reason::LeftToClerk);
        }
        return Ok(vec![way.clone()]);
    }
    Ok(ways.into_iter().filter(|way| before(way) != Some(Before::Refused)).collect())
}

/// The obligation's key already holds subject, item, object and period.
///
/// A correction stays the same on every night until it was sent, and a day that moves back gives another one: its key
/// holds the message that it corrects.
fn message_key(
    obligation: &Obligation,
    (stage_notice_days, told): (u16, Option<&Told>),
    channel: &Channel,
    key: &PseudonymKey,
) -> Digest {
    let stage = stage_notice_days.to_string();
    let due_on = obligation.due_on.to_string();
    let mut parts = vec![obligation.key.as_bytes(), stage.as_bytes(), channel.name().as_bytes()];
    parts.extend(told.into_iter().flat_map(|told| [due_on.as_bytes(), told.message.as_bytes()]));
    Digest::of(key.digest("message", &parts))
}
