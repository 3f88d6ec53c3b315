//! Which obligations deserve a message today, the most urgent first.
//!
//! Pure: it is given the obligations, the people, the day, and the state of
//! every message that was ever recorded, and returns what to send and what not,
//! with the reason.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::ToSpan;
use jiff::civil::Date;

use super::phone::Phone;
use crate::calendar::AsOf;
use crate::language::Language;
use crate::obligations::Obligation;
use crate::personal::{Personal, PseudonymKey, hex};
use crate::pipeline::attention::Late;
use crate::pipeline::{Audience, Channel, Item, Reach, Uncertain};
use crate::tables::{self, Table};

/// How to write to a person.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Their name.
    pub full_name: Personal<String>,
    /// Their language.
    pub language: Language,
    /// Where, if they have an address.
    pub email: Option<Personal<String>>,
    /// Their mobile number as the register writes it, if they have one.
    pub phone: Option<Personal<String>>,
    /// Nobody writes to the dead.
    pub is_deceased: bool,
    /// Nor to a business that is closed.
    pub is_closed: bool,
    /// They used their right to refuse.
    pub refuses_reminders: bool,
}

impl Recipient {
    /// What a channel needs to know of them, as the register writes it.
    pub fn address(&self, reach: Reach) -> Option<&Personal<String>> {
        match reach {
            Reach::Email => self.email.as_ref(),
            Reach::Phone => self.phone.as_ref(),
        }
    }
}

/// Those who have something due, by `subject_id`.
#[derive(Debug, Clone, Default)]
pub struct Recipients {
    people: HashMap<Personal<String>, Recipient>,
    businesses: HashMap<Personal<String>, Recipient>,
}

impl Recipients {
    /// The subjects that have a mail address, with it: persons, or businesses.
    pub fn addresses(&self, of_businesses: bool) -> impl Iterator<Item = (&Personal<String>, &Personal<String>)> {
        let register = if of_businesses { &self.businesses } else { &self.people };
        register.iter().filter_map(|(subject, recipient)| Some((subject, recipient.email.as_ref()?)))
    }

    /// Whom to write to about an item. A household business may bear the number of its owner: an item for businesses
    /// looks for the business first, every other item for the person.
    pub fn get(&self, subject_id: &Personal<String>, audience: Audience) -> Option<&Recipient> {
        let (first, second) = match audience {
            Audience::Business => (&self.businesses, &self.people),
            Audience::Citizen | Audience::Household => (&self.people, &self.businesses),
        };
        first.get(subject_id).or_else(|| second.get(subject_id))
    }
}

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
    /// On which days messages went to each subject, for as long as they count.
    pub sent: super::attention::Sent,
    /// By obligation key: the night on which it was first seen to be open. Those that are not in it are new.
    pub known_on: HashMap<String, Date>,
    /// The language that a subject chose, where it is not the register's.
    pub languages: HashMap<String, Language>,
}

/// What stands between a person and a channel: learnt from bounces, or said by the person.
///
/// Both hold (subject's pseudonym, item, channel); [`ALL`] in place of an item or a channel means every one.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// The address is known not to work, for now.
    pub suppressed: HashSet<(String, String, String)>,
    /// The person does not want it.
    pub refused: HashSet<(String, String, String)>,
}

/// Every item, or every channel.
pub const ALL: &str = "*";

impl Standing {
    /// Why a channel is closed for this person and item; none where it is open.
    fn objection(&self, subject: &str, item: &str, channel: &str) -> Option<Reason> {
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

/// A channel that a message may take, and its key there.
#[derive(Debug, Clone)]
pub struct Way<'a> {
    /// The channel.
    pub channel: &'a Channel,
    /// The message's key on it.
    pub key: String,
}

/// A message that is to be sent today.
#[derive(Debug, Clone)]
pub struct Reminder<'a> {
    /// Its unique key: a keyed digest of subject, item, period, stage and channel.
    pub key: String,
    /// What it is about.
    pub obligation: &'a Obligation,
    /// The item.
    pub item: &'a Item,
    /// To whom.
    pub recipient: &'a Recipient,
    /// Keyed pseudonym of the person.
    pub subject: String,
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
    pub otherwise: Vec<Way<'a>>,
    /// Whether it leaves so late after its day that its letter says so.
    pub is_late: bool,
    /// The other reminders of this person that leave in the same letter, in their order; empty for most.
    pub together: Vec<Reminder<'a>>,
    /// Whether it has to leave by itself: a letter of several could not be written.
    pub is_alone: bool,
}

impl<'a> Reminder<'a> {
    /// The same reminder by another of its ways: 0 is the channel it has, 1 the first after it. Without such a way it
    /// stays as it is.
    #[must_use]
    pub fn by(mut self, way: usize) -> Self {
        if way > 0 && way <= self.otherwise.len() {
            self.otherwise.drain(..way - 1);
            let next = self.otherwise.remove(0);
            (self.channel, self.key) = (next.channel, next.key);
        }
        self
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
        let way = keys.position(|own| own == key)?;
        (way < self.otherwise.len()).then(|| self.clone().by(way + 1))
    }

    /// The channel on which the reminder has this key.
    pub fn channel_of(&self, key: &str) -> Option<&'a Channel> {
        let otherwise = self.otherwise.iter().find(|way| way.key == key).map(|way| way.channel);
        if self.key == key { Some(self.channel) } else { otherwise }
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
            && std::ptr::eq(self.recipient, other.recipient)
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
        let email = self.recipient.email.as_ref().filter(|_| self.channel.reach() == Reach::Email)?;
        email.reveal().rsplit_once('@').map(|(_, domain)| domain.trim().to_ascii_lowercase())
    }

    /// The same reminder by its next channel; none where there is none.
    pub fn by_next(self) -> Option<Self> {
        if self.otherwise.is_empty() { None } else { Some(self.by(1)) }
    }
}

/// Why a message is not sent today although its obligation is due soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// This stage was sent before.
    AlreadySent,
    /// A later stage was sent before: this run speaks for an earlier day.
    LaterStageSent,
    /// The person has no address.
    NoAddress,
    /// The address cannot be written to.
    BadAddress,
    /// The person refuses reminders.
    Refuses,
    /// The person has died.
    Deceased,
    /// The business is closed.
    Closed,
    /// The person is not in the register of people, nor in that of businesses.
    NotInRegister,
    /// Every channel that was open refused this stage's message for good.
    RefusedByServer,
    /// No channel is open: what was sent to the address came back, or was called unwanted.
    Suppressed,
    /// The message does not fit the channel: a value is missing or too long.
    DoesNotFit,
    /// The channel failed tonight, and a later night is in time; the report says why it failed.
    ChannelFailed,
    /// The channel has no place left today, and a later day is in time.
    WaitsForQuota,
    /// A crash left open whether it was taken, and the item leaves such messages to a clerk.
    LeftToClerk,
    /// The first notice lies in the future.
    TooEarly,
    /// Who is to be written to could not be looked up tonight; the report says why.
    NoRegister,
    /// The message could not be written; the report says why.
    NotWritten,
    /// Done since it was decided to write.
    Fulfilled,
    /// No longer among what the sources give, since it was decided to write.
    Withdrawn,
    /// Due on another day, or by another version of the rule, since it was decided to write.
    DueDateMoved,
    /// The sources could not be read again before sending; the report says why.
    NotRechecked,
    /// It leaves on the first open day: today is a day of Tết, and there is time.
    WaitsForOpenDay,
    /// It leaves when the sending window opens.
    WaitsForWindow,
    /// Too many messages of its domain, template or item were refused: it leaves when a person lifts the stop.
    Stopped,
    /// Its day went by unsent, and the item drops such messages.
    LateDropped,
    /// Its day went by unsent, and the item leaves such messages to a clerk.
    LateLeftToClerk,
    /// The last day on which it was worth sending went by.
    Expired,
}

impl Reason {
    /// In words, for the summary.
    pub fn words(self) -> &'static str {
        match self {
            Reason::AlreadySent => "already reminded at this stage",
            Reason::LaterStageSent => "already reminded at a later stage",
            Reason::NoAddress => "no address",
            Reason::BadAddress => "address cannot be written to",
            Reason::Refuses => "refuses reminders",
            Reason::Deceased => "deceased",
            Reason::Closed => "business is closed",
            Reason::NotInRegister => "not in the register of people",
            Reason::RefusedByServer => "refused by the mail server",
            Reason::Suppressed => "address gives messages back",
            Reason::DoesNotFit => "does not fit the channel",
            Reason::ChannelFailed => "channel failed tonight",
            Reason::WaitsForQuota => "waits for the channel's quota",
            Reason::LeftToClerk => "uncertain after a crash, left to a clerk",
            Reason::TooEarly => "first notice lies ahead",
            Reason::NoRegister => "people could not be looked up tonight",
            Reason::NotWritten => "message could not be written",
            Reason::Fulfilled => "fulfilled",
            Reason::Withdrawn => "withdrawn",
            Reason::DueDateMoved => "due date moved",
            Reason::NotRechecked => "could not be looked at again before sending",
            Reason::WaitsForOpenDay => "waits until after Tết",
            Reason::WaitsForWindow => "waits for the sending window",
            Reason::Stopped => "stopped after refusals",
            Reason::LateDropped => "too late for this notice",
            Reason::LateLeftToClerk => "late, left to a clerk",
            Reason::Expired => "no longer valid",
        }
    }
}

/// What to send today, and what not.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// The most urgent first: by days left, then by key.
    pub reminders: Vec<Reminder<'a>>,
    /// How many are held, by item and reason.
    pub held: BTreeMap<(String, Reason), u64>,
}

impl Plan<'_> {
    /// Counts one message that is not sent.
    pub fn hold(&mut self, item: &str, reason: Reason) {
        *self.held.entry((item.to_owned(), reason)).or_default() += 1;
    }
}

/// Reads the recipients from the table of `sql/reminders/recipients.sql`.
pub fn recipients(table: &Table) -> Result<Recipients, tables::Error> {
    let subjects = table.texts("subject_id")?;
    let kinds = table.texts("kind")?;
    let names = table.texts("full_name")?;
    let languages = table.texts("language")?;
    let emails = table.texts("email")?;
    let phones = table.texts("phone")?;
    let deceased = table.bools("is_deceased")?;
    let closed = table.bools("is_closed")?;
    let refuses = table.bools("refuses_reminders")?;
    let mut recipients = Recipients::default();
    let ends = deceased.into_iter().zip(closed).zip(refuses);
    let rows = subjects.into_iter().zip(kinds).zip(names).zip(languages).zip(emails.into_iter().zip(phones)).zip(ends);
    let written = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    for (((((subject, kind), name), language), (email, phone)), ((is_deceased, is_closed), refuses_reminders)) in rows {
        let (Some(subject), Some(name)) = (subject, name) else { continue };
        let recipient = Recipient {
            full_name: Personal::new(name),
            language: Language::from_tag(language.as_deref()),
            email: written(email).map(Personal::new),
            phone: written(phone).map(Personal::new),
            // Where the register does not say, nobody is taken for willing or alive.
            is_deceased: is_deceased.unwrap_or(true),
            is_closed: is_closed.unwrap_or(true),
            refuses_reminders: refuses_reminders.unwrap_or(true),
        };
        let is_business = kind.as_deref() == Some("business");
        let register = if is_business { &mut recipients.businesses } else { &mut recipients.people };
        register.insert(Personal::new(subject), recipient);
    }
    Ok(recipients)
}

/// The stage that an obligation is in: the shortest notice that covers the days left.
///
/// A night that was missed does not send two messages on the next: the later
/// stage takes the place of the earlier one.
pub fn stage(notice_days: &[u16], days_left: i32) -> Option<u16> {
    notice_days.iter().copied().filter(|notice| days_left <= i32::from(*notice)).min()
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

/// Decides for every obligation whether its message goes out today, and by which channel: the first of the item's that
/// is open to the person.
pub fn plan<'a>(obligations: &'a [Obligation], history: &History, now: &Circumstances<'a, '_>) -> Plan<'a> {
    let mut plan = Plan::default();
    let Some(people) = now.people else {
        let open = obligations.iter().filter(|obligation| obligation.is_open(now.as_of));
        open.for_each(|obligation| plan.hold(&obligation.item, Reason::NoRegister));
        return plan;
    };
    for obligation in obligations.iter().filter(|obligation| obligation.is_open(now.as_of)) {
        let Some(item) = now.items.iter().find(|item| item.id == obligation.item) else { continue };
        match decide(obligation, item, people, history, now) {
            Ok(reminder) => plan.reminders.push(reminder),
            Err(reason) => plan.hold(&item.id, reason),
        }
    }
    plan.reminders.sort_by(|a, b| (a.days_left, &a.key).cmp(&(b.days_left, &b.key)));
    plan
}

fn decide<'a>(
    obligation: &'a Obligation,
    item: &'a Item,
    people: &'a Recipients,
    history: &History,
    now: &Circumstances<'a, '_>,
) -> Result<Reminder<'a>, Reason> {
    let days_left = days_between(now.as_of.date(), obligation.due_on);
    let of_stage = |notice| decide_stage(obligation, item, people, history, now, notice);
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
    stage_notice_days: u16,
) -> Result<Reminder<'a>, Reason> {
    let days_left = days_between(now.as_of.date(), obligation.due_on);
    let ways = ways(obligation, item, stage_notice_days, now);
    let mut ways = under_way(ways, item, history)?;
    match history.shortest_sent.get(&obligation.key) {
        Some(sent) if *sent < stage_notice_days => return Err(Reason::LaterStageSent),
        // By a channel that the item no longer has.
        Some(sent) if *sent == stage_notice_days => return Err(Reason::AlreadySent),
        _ => {}
    }
    let recipient = people.get(&obligation.subject_id, item.audience).ok_or(Reason::NotInRegister)?;
    if let Some(reason) = not_written_to(recipient) {
        return Err(reason);
    }
    let Days { planned_on, valid_until, is_late } = Days::of(obligation, item, history, now.as_of, stage_notice_days)?;
    let subject = now.key.pseudonym(&obligation.subject_id);
    let mut closed = None;
    ways.retain(|way| {
        let objection = match recipient.address(way.channel.reach()) {
            None => Some(Reason::NoAddress),
            // It would take a place of the channel's quota on every night, and never leave.
            Some(number) if way.channel.reach() == Reach::Phone && number.reveal().parse::<Phone>().is_err() => {
                Some(Reason::BadAddress)
            }
            Some(_) => now.standing.objection(&subject, &item.id, &way.channel.name),
        };
        closed = closed.or(objection);
        objection.is_none()
    });
    // The reason of the first channel is told: it is the one that the agency would rather use.
    let mut ways = ways.into_iter();
    let way = ways.next().ok_or(closed.unwrap_or(Reason::RefusedByServer))?;
    // The notices fall: the longest is the first stage. There are at most 730 of them.
    let place = item.notice_days.iter().position(|notice| *notice == stage_notice_days).unwrap_or(0);
    let stage = u16::try_from(place).unwrap_or(0).saturating_add(1);
    let language = history.languages.get(&subject).copied().unwrap_or(recipient.language);
    let Way { channel, key } = way;
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
        together: Vec::new(),
        is_alone: false,
    })
}

/// The days between which a message leaves.
struct Days {
    planned_on: Date,
    valid_until: Date,
    is_late: bool,
}

impl Days {
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
        let could_leave = history.known_on.get(&obligation.key).map_or(today, |known_on| planned_on.max(*known_on));
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

/// The channels of an item, with the keys of this stage's message on each.
fn ways<'a>(obligation: &Obligation, item: &Item, stage_notice_days: u16, now: &Circumstances<'a, '_>) -> Vec<Way<'a>> {
    let channels = item.channels.iter().filter_map(|name| now.channels.iter().find(|channel| channel.name == *name));
    channels.map(|channel| Way { channel, key: message_key(obligation, stage_notice_days, channel, now.key) }).collect()
}

/// The channels that what was recorded of this stage leaves open. One message is one: sent by any channel it is sent,
/// and where nobody knows whether it was taken, no other channel is used beside it.
fn under_way<'a>(ways: Vec<Way<'a>>, item: &Item, history: &History) -> Result<Vec<Way<'a>>, Reason> {
    let before = |way: &Way<'_>| history.messages.get(&way.key).copied();
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
        (Some(None), _) => return Some(Reason::Withdrawn),
        (Some(Some(obligation)), _) => obligation,
    };
    if obligation.fulfilled_on.is_some() {
        return Some(Reason::Fulfilled);
    }
    if (obligation.due_on, &obligation.rule_version) != (decided.due_on, &decided.rule_version) {
        return Some(Reason::DueDateMoved);
    }
    match people?.get(&decided.subject_id, reminder.item.audience) {
        None => Some(Reason::NotInRegister),
        Some(recipient) => not_written_to(recipient).or_else(|| {
            let is_reached = recipient.address(reminder.channel.reach()).is_some();
            (!is_reached).then_some(Reason::NoAddress)
        }),
    }
}

/// Why nobody writes to someone.
fn not_written_to(recipient: &Recipient) -> Option<Reason> {
    let reasons = [
        (recipient.is_deceased, Reason::Deceased),
        (recipient.is_closed, Reason::Closed),
        (recipient.refuses_reminders, Reason::Refuses),
    ];
    reasons.into_iter().find(|(holds, _)| *holds).map(|(_, reason)| reason)
}

/// The obligation's key already holds subject, item, object and period.
fn message_key(obligation: &Obligation, stage_notice_days: u16, channel: &Channel, key: &PseudonymKey) -> String {
    let stage = stage_notice_days.to_string();
    let parts = [obligation.key.as_bytes(), stage.as_bytes(), channel.name().as_bytes()];
    hex(key.digest("message", &parts).get(..16).unwrap_or_default())
}

fn days_between(from: Date, to: Date) -> i32 {
    crate::calendar::to_days(to) - crate::calendar::to_days(from)
}
