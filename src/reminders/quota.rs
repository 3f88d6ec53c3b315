//! Which messages take the places that a channel has left today, and what the others do.
//!
//! Pure. Who cannot wait goes first: by the days for which a message may still wait, and among those of the same day by
//! legal consequence. What does not fit today waits where its turn comes in time, and otherwise takes its next channel.

use std::collections::HashMap;

use super::plan::Reminder;

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
    reminders: Vec<Reminder<'a>>,
    places: &HashMap<String, Places>,
    rank: impl Fn(&Reminder<'a>) -> R,
) -> Allotted<'a> {
    let mut allotted = Allotted::default();
    if places.is_empty() {
        allotted.today = reminders;
        return allotted;
    }
    let mut queue: Vec<(usize, Reminder<'a>)> = reminders.into_iter().enumerate().collect();
    queue.sort_by_cached_key(|(place, reminder)| (reminder.slack_days(), rank(reminder), *place));
    let mut queued: HashMap<&str, u64> = HashMap::new();
    let mut today = Vec::with_capacity(queue.len());
    let mut later = Vec::new();
    for (place, reminder) in queue {
        match turn(&reminder, places, &mut queued) {
            Turn::Today(way) => today.push((place, reminder.by(way))),
            Turn::Later => later.push((place, reminder)),
        }
    }
    let in_order = |mut found: Vec<(usize, Reminder<'a>)>| {
        found.sort_by_key(|(place, _)| *place);
        found.into_iter().map(|(_, reminder)| reminder).collect()
    };
    allotted.today = in_order(today);
    allotted.later = in_order(later);
    allotted
}

enum Turn {
    /// By the channel it has (0), or by one of those after it.
    Today(usize),
    Later,
}

fn turn<'a>(reminder: &Reminder<'a>, places: &HashMap<String, Places>, queued: &mut HashMap<&'a str, u64>) -> Turn {
    let slack_days = reminder.slack_days();
    let channels = std::iter::once(reminder.channel).chain(reminder.otherwise.iter().map(|way| way.channel));
    for (way, channel) in channels.enumerate() {
        let Some(room) = places.get(&channel.name) else { return Turn::Today(way) };
        let ahead = queued.entry(channel.name.as_str()).or_default();
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
