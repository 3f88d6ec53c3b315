//! Which obligations deserve a message today, the most urgent first.
//!
//! Pure: it is given the obligations, the people, the day, and the state of
//! every message that was ever recorded, and returns what to send and what not,
//! with the reason.

mod history;
mod parts;
mod reason;
mod recipients;
mod ways;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread;

use jiff::ToSpan;
use jiff::civil::Date;

pub use history::{Before, Chosen, History, Told, Unfiled, WhyUnfiled};
pub use parts::Parts;
pub use reason::Reason;
pub use recipients::{Recipient, Recipients, recipients};
pub use ways::{ALL, Rare, Reminder, Standing, Way};

use super::phone::Phone;
use crate::calendar::AsOf;
use crate::obligations::Obligation;
use crate::personal::{Digest, PseudonymKey, SharedText};
use crate::pipeline::attention::Late;
use crate::pipeline::{Channel, Item, Reach};

use recipients::not_written_to;
use ways::{under_way, ways};

/// Decides for every obligation whether its message goes out today, and by which channel: the first of the item's that
/// is open to the person.
pub fn plan<'a>(obligations: &'a [Obligation], history: &History, now: &Circumstances<'a, '_>) -> Plan<'a> {
    plan_of(&obligations.iter().collect::<Vec<_>>(), history, now)
}

/// Like [`plan`], of some obligations: of those of one of the [`Parts`].
pub fn plan_of<'a>(obligations: &[&'a Obligation], history: &History, now: &Circumstances<'a, '_>) -> Plan<'a> {
    let mut plan = Plan::default();
    let Some(people) = now.people else {
        let open = obligations.iter().filter(|obligation| obligation.is_open(now.as_of));
        open.for_each(|obligation| plan.hold_back(obligation, Reason::NoRegister));
        return plan;
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(obligations.len().div_ceil(AT_ONCE));
    if cores > 1 {
        on_cores(cores, obligations, &mut plan, &|few| decide_all(few, people, history, now));
    } else {
        plan = decide_all(obligations, people, history, now);
    }
    // They are long, and moved once: what they are ordered by is taken out of them.
    plan.reminders.sort_by_cached_key(|reminder| (reminder.days_left, reminder.key));
    plan
}

/// Obligations that one core decides at once.
const AT_ONCE: usize = 4096;

fn decide_all<'a>(
    obligations: &[&'a Obligation],
    people: &'a Recipients,
    history: &History,
    now: &Circumstances<'a, '_>,
) -> Plan<'a> {
    let mut plan = Plan::default();
    for obligation in obligations {
        let is_open = obligation.is_open(now.as_of);
        let unfiled = history.unfiled.get(&*obligation.key);
        if !is_open && unfiled.is_none() {
            continue;
        }
        let Some(item) = now.items.iter().find(|item| obligation.item == item.id) else { continue };
        match unfiled.map(|unfiled| decide_unfiled(obligation, item, people, history, now, unfiled)) {
            Some(Ok(reminder)) => {
                plan.reminders.push(reminder);
                continue;
            }
            Some(Err(reason)) => drop(plan.untold.insert(obligation.key, reason)),
            None => {}
        }
        if !is_open {
            continue;
        }
        match decide(obligation, item, people, history, now) {
            Ok(reminder) => plan.reminders.push(reminder),
            Err(reason) => plan.hold_back(obligation, reason),
        }
    }
    plan
}

/// Decides on so many cores, and takes what is decided in as it comes: what is planned stands in memory once.
fn on_cores<'a>(
    cores: usize,
    obligations: &[&'a Obligation],
    plan: &mut Plan<'a>,
    decide: &(impl Fn(&[&'a Obligation]) -> Plan<'a> + Sync),
) {
    let waiting = Mutex::new(obligations.chunks(AT_ONCE));
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    plan.reminders.reserve_exact(obligations.len());
    thread::scope(|scope| {
        let (give, take) = sync_channel(cores);
        for _ in 0..cores {
            let (give, next) = (give.clone(), &next);
            // Nobody takes only where a panic of this thread is on its way.
            scope.spawn(move || while next().is_some_and(|few| give.send(decide(few)).is_ok()) {});
        }
        drop(give);
        take.into_iter().for_each(|few| plan.take_in(few));
    });
}

/// What a plan is made with, beside the obligations.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a, 'n> {
    /// The items that are switched on.
    pub items: &'a [Item],
    /// The channels, which the items name.
    pub channels: &'a [Channel],
    /// Who is written to; none when they could not be looked up.
    pub people: Option<&'a Recipients>,
    /// Which channels are closed to whom.
    pub standing: &'n Standing,
    /// The day.
    pub as_of: AsOf,
    /// Turns people into pseudonyms, and names messages.
    pub key: &'n PseudonymKey,
}

/// What to send today, and what not.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// The most urgent first: by days left, then by key.
    pub reminders: Vec<Reminder<'a>>,
    /// How many are held, by item and reason.
    pub held: BTreeMap<(String, Reason), u64>,
    /// Which of those that were held say why nowhere else: item and reason, by the key of the obligation.
    pub unsent: BTreeMap<Digest, (SharedText, Reason)>,
    /// Why nobody is told today that a dossier is not handed in, by the key of its obligation.
    pub untold: BTreeMap<Digest, Reason>,
}

impl Plan<'_> {
    /// Counts one message that is not sent.
    pub fn hold(&mut self, item: &str, reason: Reason) {
        *self.held.entry((item.to_owned(), reason)).or_default() += 1;
    }

    /// Counts the message of an obligation that is not sent, and remembers why.
    pub fn hold_back(&mut self, obligation: &Obligation, reason: Reason) {
        self.hold(&obligation.item, reason);
        if !reason.is_told_elsewhere() {
            self.unsent.insert(obligation.key, (obligation.item.clone(), reason));
        }
    }
}

impl<'a> Plan<'a> {
    /// Takes in what was decided beside it, behind what stands here: of whole parts [`in_order`] makes one order.
    ///
    /// [`in_order`]: crate::reminders::attention::in_order
    pub fn take_in(&mut self, other: Plan<'a>) {
        match self.reminders.capacity() {
            0 => self.reminders = other.reminders,
            _ => self.reminders.extend(other.reminders),
        }
        for (what, count) in other.held {
            *self.held.entry(what).or_default() += count;
        }
        self.unsent.extend(other.unsent);
        self.untold.extend(other.untold);
    }
}

/// The stage that an obligation is in: the shortest notice that covers the days left.
///
/// A night that was missed does not send two messages on the next: the later
/// stage takes the place of the earlier one.
pub fn stage(notice_days: &[u16], days_left: i32) -> Option<u16> {
    notice_days.iter().copied().filter(|notice| days_left <= i32::from(*notice)).min()
}

/// What speaks against a reminder that was decided earlier, by what is seen now: `seen` is none when the
/// obligations of its item could not be computed again, and holds none when this one is not among them.
pub fn objection(
    reminder: &Reminder<'_>,
    seen: Option<Option<&Obligation>>,
    people: Option<&Recipients>,
) -> Option<Reason> {
    let decided = reminder.obligation;
    let obligation = match (seen, people) {
        (None, _) | (_, None) => return Some(Reason::NotRechecked),
        // What became of the obligation is what it tells.
        _ if reminder.unfiled.is_some() => decided,
        (Some(None), _) => return Some(Reason::Withdrawn),
        (Some(Some(obligation)), _) => obligation,
    };
    if obligation.fulfilled_on.is_some() && reminder.unfiled.is_none() {
        return Some(Reason::Fulfilled);
    }
    if (obligation.due_on, &obligation.rule_version) != (decided.due_on, &decided.rule_version) {
        return Some(Reason::DueDateMoved);
    }
    match people?.get(&decided.subject_id, reminder.item.audience) {
        None => Some(Reason::NotInRegister),
        Some(recipient) => not_written_to(recipient).or_else(|| {
            let reach = reminder.channel.reach();
            match (recipient.address(reach), reminder.recipient.address(reach)) {
                (None, _) => Some(Reason::NoAddress),
                // What was decided for one address is decided anew for another.
                (Some(now), Some(then)) if now != then => Some(Reason::AddressChanged),
                _ => None,
            }
        }),
    }
}

fn decide<'a>(
    obligation: &'a Obligation,
    item: &'a Item,
    people: &'a Recipients,
    history: &History,
    now: &Circumstances<'a, '_>,
) -> Result<Reminder<'a>, Reason> {
    let days_left = days_between(now.as_of.date(), obligation.due_on);
    if let Some((told, notice)) = correction(obligation, item, history, days_left) {
        return decide_stage(obligation, item, people, history, now, (notice, Some(told)));
    }
    if let Some((wish, notice)) = wished(obligation, item, history, days_left) {
        match decide_stage(obligation, item, people, history, now, (notice, Some(&wish))) {
            // They were asked on that day; what is due by now is told as to everybody.
            Err(Reason::AlreadySent) => {}
            decided => return decided,
        }
    }
    if let Some((told, notice)) = unlinked(obligation, item, history, days_left) {
        match decide_stage(obligation, item, people, history, now, (notice, Some(&told))) {
            Err(Reason::AlreadySent) => {}
            decided => return decided,
        }
    }
    let of_stage = |notice| decide_stage(obligation, item, people, history, now, (notice, None));
    // What would be held without looking ahead is held for the same reason where looking ahead finds nothing.
    let reason = match stage(&item.notice_days, days_left) {
        None => Reason::TooEarly,
        Some(notice) => match of_stage(notice) {
            Err(Reason::AlreadySent) => Reason::AlreadySent,
            decided => return decided,
        },
    };
    let ahead = upcoming(&item.notice_days, days_left, item.lead_days);
    ahead.and_then(|notice| of_stage(notice).ok()).ok_or(reason)
}

/// The message that tells a person, once, that the dossier which they confirmed is not handed in.
fn decide_unfiled<'a>(
    obligation: &'a Obligation,
    item: &'a Item,
    people: &'a Recipients,
    history: &History,
    now: &Circumstances<'a, '_>,
    unfiled: &Unfiled,
) -> Result<Reminder<'a>, Reason> {
    // It counts as the first stage, which was sent before there was a dossier to confirm.
    let notice = item.notice_days.iter().copied().max().unwrap_or_default();
    let told = Told { due_on: obligation.due_on, message: unfiled.message.clone() };
    let today = now.as_of.date();
    let valid_until = today.saturating_add(UNFILED_DAYS.days());
    let reminder = decide_stage(obligation, item, people, history, now, (notice, Some(&told)))?;
    Ok(Reminder { unfiled: Some(unfiled.why), planned_on: today, valid_until, is_alone: true, ..reminder })
}

/// For how many days it is worth saying that a dossier is not handed in; each night says it anew until it was said.
const UNFILED_DAYS: i64 = 7;

/// What was told of an obligation whose due day has moved since, and the stage whose letter tells the new day: the one
/// that it is in now, or the first where that is far off. None where the letter of a later stage tells it anyway.
fn correction<'h>(
    obligation: &Obligation,
    item: &Item,
    history: &'h History,
    days_left: i32,
) -> Option<(&'h Told, u16)> {
    let told = history.told.get(&*obligation.key).filter(|told| told.due_on != obligation.due_on)?;
    let sent = history.shortest_sent.get(&*obligation.key)?;
    let notice = stage(&item.notice_days, days_left).or_else(|| item.notice_days.iter().copied().max())?;
    (*sent <= notice).then_some((told, notice))
}

/// What a letter answers that a person asked for when they put a dossier off, and the stage whose letter it is.
fn wished(obligation: &Obligation, item: &Item, history: &History, days_left: i32) -> Option<(Told, u16)> {
    let on = history.wished.get(&*obligation.key)?;
    let notice = stage(&item.notice_days, days_left).or_else(|| item.notice_days.iter().copied().max())?;
    // The day is part of the message's key: who puts it off once more gets another letter.
    Some((Told { due_on: obligation.due_on, message: format!("postponed until {on}") }, notice))
}

/// What a letter says anew because the link of an earlier one leads nowhere since the ledger was restored, and the stage
/// whose letter it is. The key holds the stage, so that it leaves once.
fn unlinked(obligation: &Obligation, item: &Item, history: &History, days_left: i32) -> Option<(Told, u16)> {
    if !history.unlinked.contains(&*obligation.key) {
        return None;
    }
    let notice = stage(&item.notice_days, days_left).or_else(|| item.notice_days.iter().copied().max())?;
    Some((Told { due_on: obligation.due_on, message: "the link is made anew".to_owned() }, notice))
}

/// The next stage that an obligation comes into, if that is within so many days.
fn upcoming(notice_days: &[u16], days_left: i32, lead_days: u16) -> Option<u16> {
    let next = notice_days.iter().copied().filter(|notice| days_left > i32::from(*notice)).max()?;
    (days_left - i32::from(lead_days) <= i32::from(next)).then_some(next)
}

fn decide_stage<'a>(
    obligation: &'a Obligation,
    item: &'a Item,
    people: &'a Recipients,
    history: &History,
    now: &Circumstances<'a, '_>,
    (stage_notice_days, told): (u16, Option<&Told>),
) -> Result<Reminder<'a>, Reason> {
    let days_left = days_between(now.as_of.date(), obligation.due_on);
    let ways = ways(obligation, item, (stage_notice_days, told), now.channels, now.key);
    let mut ways = under_way(ways, item, history)?;
    match history.shortest_sent.get(&*obligation.key) {
        // What was sent told another day.
        _ if told.is_some() => {}
        Some(sent) if *sent < stage_notice_days => return Err(Reason::LaterStageSent),
        // By a channel that the item no longer has.
        Some(sent) if *sent == stage_notice_days => return Err(Reason::AlreadySent),
        _ => {}
    }
    let recipient = people.get(&obligation.subject_id, item.audience).ok_or(Reason::NotInRegister)?;
    if let Some(reason) = not_written_to(recipient) {
        return Err(reason);
    }
    if now.standing.handed_in.contains(&*obligation.key) {
        return Err(Reason::HandedIn);
    }
    let Days { planned_on, valid_until, is_late } = match told {
        Some(_) => Days::of_correction(obligation, stage_notice_days),
        None => Days::of(obligation, item, history, now.as_of, stage_notice_days)?,
    };
    let subject = now.key.subject(&obligation.subject_id);
    let mut closed = None;
    ways.retain(|way| {
        let said = now.standing.objection(&subject, &item.id, &way.channel.name);
        let objection = match recipient.address(way.channel.reach()) {
            // What somebody said weighs more than what is missing.
            _ if said == Some(Reason::Refuses) => said,
            None => Some(Reason::NoAddress),
            // It would take a place of the channel's quota on every night, and never leave.
            Some(number) if way.channel.reach() == Reach::Phone && number.reveal().parse::<Phone>().is_err() => {
                Some(Reason::BadAddress)
            }
            Some(_) => said,
        };
        // A channel by which the person cannot be reached anyway says less than one that is closed to them.
        closed = closed.filter(|known| !is_missing(*known) || objection.is_none_or(is_missing)).or(objection);
        objection.is_none()
    });
    // Of such reasons that of the first channel is told: it is the one that the agency would rather use.
    let mut ways = ways.into_iter();
    let way = ways.next().ok_or(closed.unwrap_or(Reason::RefusedByServer))?;
    // The notices fall: the longest is the first stage. There are at most 730 of them.
    let place = item.notice_days.iter().position(|notice| *notice == stage_notice_days).unwrap_or(0);
    let stage = u16::try_from(place).unwrap_or(0).saturating_add(1);
    let Way { channel, key } = way;
    let language = history.language(&subject, &item.id, channel.name()).unwrap_or(recipient.language());
    Ok(Reminder {
        key,
        obligation,
        item,
        recipient,
        subject,
        stage_notice_days,
        stage,
        days_left,
        language,
        planned_on,
        valid_until,
        channel,
        otherwise: ways.collect(),
        is_late,
        told_before: told.map(|told| told.due_on).filter(|told| *told != obligation.due_on),
        together: Rare::default(),
        is_alone: false,
        unfiled: None,
    })
}

/// Whether it says that there is no address, and nothing of the person.
fn is_missing(reason: Reason) -> bool {
    matches!(reason, Reason::NoAddress | Reason::BadAddress)
}

/// The days between which a message leaves.
struct Days {
    planned_on: Date,
    valid_until: Date,
    is_late: bool,
}

impl Days {
    /// Those of a letter that tells another day than an earlier one: it is right until the obligation is due, and not
    /// late, since nobody could send it before the day had moved.
    fn of_correction(obligation: &Obligation, notice_days: u16) -> Days {
        let planned_on = obligation.due_on.saturating_sub(i64::from(notice_days).days());
        Days { planned_on, valid_until: obligation.due_on, is_late: false }
    }

    /// Those of a stage, or why it is past them. A message is late only for as long as its obligation was known.
    fn of(
        obligation: &Obligation,
        item: &Item,
        history: &History,
        as_of: AsOf,
        notice_days: u16,
    ) -> Result<Days, Reason> {
        let today = as_of.date();
        let planned_on = obligation.due_on.saturating_sub(i64::from(notice_days).days());
        let valid = item.valid_days.map(|days| planned_on.saturating_add(i64::from(days).days()));
        let valid_until = valid.map_or(obligation.due_on, |valid| valid.min(obligation.due_on));
        if today > valid_until {
            return Err(Reason::Expired);
        }
        let could_leave = history.known_on.get(&*obligation.key).map_or(today, |known_on| planned_on.max(*known_on));
        let late_days = u16::try_from(days_between(could_leave, today)).unwrap_or(0);
        if late_days <= item.late_after_days {
            return Ok(Days { planned_on, valid_until, is_late: false });
        }
        match item.late {
            Late::Send => Ok(Days { planned_on, valid_until, is_late: false }),
            Late::Soften => Ok(Days { planned_on, valid_until, is_late: true }),
            Late::Drop => Err(Reason::LateDropped),
            Late::Escalate => Err(Reason::LateLeftToClerk),
        }
    }
}

fn days_between(from: Date, to: Date) -> i32 {
    crate::calendar::to_days(to) - crate::calendar::to_days(from)
}
