//! Which messages take the places that a channel has left today, and what the others do.
//!
//! Pure. Who cannot wait goes first: by the days for which a message may still wait, and among those of the same day by
//! legal consequence. What does not fit today waits where its turn comes in time, and otherwise takes its next channel.

use std::collections::HashMap;

use super::plan::Reminder;
use crate::pipeline::Channel;

/// How many messages a channel may still carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// Today.
    pub today: u32,
    /// On each later day.
    pub daily: u32,
}

/// Reminders by what happens to them.
#[derive(Debug, Default)]
pub struct Allotted<'a> {
    /// Those that go today, each on the channel that was found for it; in the order in which they came.
    pub today: Vec<Reminder<'a>>,
    /// Those whose turn comes later, in time.
    pub later: Vec<Reminder<'a>>,
}

/// Allots the places of today. A channel that is not in `places` has room for all. `rank` is lower for graver legal
/// consequences.
pub fn allot<'a, R: Ord>(
    mut reminders: Vec<Reminder<'a>>,
    places: &HashMap<String, Places>,
    rank: impl Fn(&Reminder<'a>) -> R,
) -> Allotted<'a> {
    if places.is_empty() {
        return Allotted { today: reminders, later: Vec::new() };
    }
    let mut queue = Queue::default();
    reminders.iter().for_each(|reminder| queue.claim(reminder, rank(reminder)));
    let mut turns = queue.turns(places).into_iter();
    // They are long: what goes today stays where it is.
    let is_later = |reminder: &mut Reminder<'a>| turns.next().is_none_or(|turn| !turn.take(reminder));
    let later = reminders.extract_if(.., is_later).collect();
    Allotted { today: reminders, later }
}

/// What happens to one reminder, by the places that its channels have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It goes today: by the channel it has (0), or by one of those after it.
    Today(u16),
    /// Its turn comes later.
    Later,
}

impl Turn {
    /// Puts a reminder on the channel that was found for it; false, and it stays as it is, where it waits.
    #[must_use]
    pub fn take(self, reminder: &mut Reminder<'_>) -> bool {
        let Turn::Today(way) = self else { return false };
        reminder.take_way(way.into());
        true
    }
}

/// Those who ask for a place, as far as their turn depends on it: a few bytes for each, whose reminders need not stand
/// in memory together. `R` ranks those that can wait equally long; what is first comes first.
#[derive(Debug)]
pub struct Queue<'a, R> {
    claims: Vec<Claim<R>>,
    /// The channels of claims, in their order, each list once: items have few.
    lists: Vec<Vec<&'a str>>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim<R> {
    slack_days: u32,
    rank: R,
    /// What was claimed first comes first.
    number: u32,
    list: u32,
}

impl<R> Default for Queue<'_, R> {
    fn default() -> Self {
        Queue { claims: Vec::new(), lists: Vec::new() }
    }
}

impl<'a, R: Ord> Queue<'a, R> {
    /// Puts a reminder into the queue.
    pub fn claim(&mut self, reminder: &Reminder<'a>, rank: R) {
        let channels = || {
            std::iter::once(reminder.channel).chain(reminder.otherwise.iter().map(|way| way.channel)).map(Channel::name)
        };
        let known = self.lists.iter().position(|list| list.iter().copied().eq(channels()));
        let list = known.unwrap_or_else(|| {
            self.lists.push(channels().collect());
            self.lists.len() - 1
        });
        let number = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        let (list, number) = (number(list), number(self.claims.len()));
        self.claims.push(Claim { slack_days: reminder.slack_days(), rank, number, list });
    }

    /// The turn of each, in the order in which they were claimed.
    pub fn turns(mut self, places: &HashMap<String, Places>) -> Vec<Turn> {
        self.claims.sort_unstable();
        let mut turns = vec![Turn::Later; self.claims.len()];
        let mut queued: HashMap<&str, u64> = HashMap::new();
        for claim in &self.claims {
            let list = usize::try_from(claim.list).ok().and_then(|list| self.lists.get(list));
            let slot = usize::try_from(claim.number).ok().and_then(|number| turns.get_mut(number));
            if let (Some(list), Some(slot)) = (list, slot) {
                *slot = turn(claim.slack_days, list, places, &mut queued);
            }
        }
        turns
    }
}

fn turn<'a>(
    slack_days: u32,
    channels: &[&'a str],
    places: &HashMap<String, Places>,
    queued: &mut HashMap<&'a str, u64>,
) -> Turn {
    for (channel, way) in channels.iter().zip(0..) {
        let Some(room) = places.get(*channel) else { return Turn::Today(way) };
        let ahead = queued.entry(*channel).or_default();
        if *ahead < u64::from(room.today) {
            *ahead += 1;
            return Turn::Today(way);
        }
        let wait_days = (*ahead - u64::from(room.today)).checked_div(u64::from(room.daily)).map(|days| days + 1);
        if wait_days.is_some_and(|days| days <= u64::from(slack_days)) {
            *ahead += 1;
            return Turn::Later;
        }
    }
    // It is late on every way; it stays with the first, whose quota may be raised.
    Turn::Later
}
