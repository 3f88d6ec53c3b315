//! Which obligations deserve a message today, the most urgent first.
//!
//! Pure: it is given the obligations, the people, the day, and the state of
//! every message that was ever recorded, and returns what to send and what not,
//! with the reason.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::ToSpan;
use jiff::civil::Date;

use crate::calendar::AsOf;
use crate::language::Language;
use crate::obligations::Obligation;
use crate::personal::{Personal, PseudonymKey, hex};
use crate::pipeline::attention::Late;
use crate::pipeline::{Audience, Channel, Item, Uncertain};
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
    /// Nobody writes to the dead.
    pub is_deceased: bool,
    /// Nor to a business that is closed.
    pub is_closed: bool,
    /// They used their right to refuse.
    pub refuses_reminders: bool,
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
    /// Who refuses what: subject, item and channel, with `*` for every item or channel.
    pub refused: HashSet<(String, String, String)>,
    /// The language that a subject chose, where it is not the register's.
    pub languages: HashMap<String, Language>,
}

impl History {
    /// Whether a subject refuses reminders of an item over a channel.
    pub fn is_refused(&self, subject: &str, item: &str, channel: &str) -> bool {
        let holds = |item: &str, channel: &str| {
            self.refused.contains(&(subject.to_owned(), item.to_owned(), channel.to_owned()))
        };
        !self.refused.is_empty() && (holds(item, channel) || holds("*", channel) || holds(item, "*") || holds("*", "*"))
    }
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
    /// The mail server refused this stage's message for good.
    RefusedByServer,
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
    /// What was sent to this address came back, or was called unwanted.
    Suppressed,
    /// It leaves on the first open day: today is a day of Tết, and there is time.
    WaitsForOpenDay,
    /// It leaves when the sending window opens.
    WaitsForWindow,
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
            Reason::LeftToClerk => "uncertain after a crash, left to a clerk",
            Reason::TooEarly => "first notice lies ahead",
            Reason::NoRegister => "people could not be looked up tonight",
            Reason::NotWritten => "message could not be written",
            Reason::Fulfilled => "fulfilled",
            Reason::Withdrawn => "withdrawn",
            Reason::DueDateMoved => "due date moved",
            Reason::NotRechecked => "could not be looked at again before sending",
            Reason::Suppressed => "address gives messages back",
            Reason::WaitsForOpenDay => "waits until after Tết",
            Reason::WaitsForWindow => "waits for the sending window",
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
    let deceased = table.bools("is_deceased")?;
    let closed = table.bools("is_closed")?;
    let refuses = table.bools("refuses_reminders")?;
    let mut recipients = Recipients::default();
    let ends = deceased.into_iter().zip(closed).zip(refuses);
    let rows = subjects.into_iter().zip(kinds).zip(names).zip(languages).zip(emails).zip(ends);
    for (((((subject, kind), name), language), email), ((is_deceased, is_closed), refuses_reminders)) in rows {
        let (Some(subject), Some(name)) = (subject, name) else { continue };
        let recipient = Recipient {
            full_name: Personal::new(name),
            language: Language::from_tag(language.as_deref()),
            email: email.map(|email| email.trim().to_owned()).filter(|email| !email.is_empty()).map(Personal::new),
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

/// Decides for every obligation whether its message goes out today; `people` is none when they could not be looked up.
pub fn plan<'a>(
    obligations: &'a [Obligation],
    items: &'a [Item],
    people: Option<&'a Recipients>,
    history: &History,
    channel: &Channel,
    as_of: AsOf,
    key: &PseudonymKey,
) -> Plan<'a> {
    let mut plan = Plan::default();
    let Some(people) = people else {
        let open = obligations.iter().filter(|obligation| obligation.is_open(as_of));
        open.for_each(|obligation| plan.hold(&obligation.item, Reason::NoRegister));
        return plan;
    };
    for obligation in obligations.iter().filter(|obligation| obligation.is_open(as_of)) {
        let Some(item) = items.iter().find(|item| item.id == obligation.item) else { continue };
        match decide(obligation, item, people, history, channel, as_of, key) {
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
    channel: &Channel,
    as_of: AsOf,
    key: &PseudonymKey,
) -> Result<Reminder<'a>, Reason> {
    let days_left = days_between(as_of.date(), obligation.due_on);
    let of_stage = |notice| decide_stage(obligation, item, people, history, channel, as_of, key, notice);
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

#[expect(clippy::too_many_arguments, reason = "one more than its only caller has")]
fn decide_stage<'a>(
    obligation: &'a Obligation,
    item: &'a Item,
    people: &'a Recipients,
    history: &History,
    channel: &Channel,
    as_of: AsOf,
    key: &PseudonymKey,
    stage_notice_days: u16,
) -> Result<Reminder<'a>, Reason> {
    let days_left = days_between(as_of.date(), obligation.due_on);
    let message_key = message_key(obligation, stage_notice_days, channel, key);
    match history.messages.get(&message_key) {
        Some(Before::Sent) => return Err(Reason::AlreadySent),
        Some(Before::Refused) => return Err(Reason::RefusedByServer),
        // A folder can be looked into: writing again leaves what is there as it is.
        Some(Before::Uncertain) if item.uncertain == Uncertain::LeaveToClerk && !channel.is_repeatable() => {
            return Err(Reason::LeftToClerk);
        }
        Some(Before::Uncertain | Before::Deferred) | None => {}
    }
    if history.shortest_sent.get(&obligation.key).is_some_and(|sent| *sent < stage_notice_days) {
        return Err(Reason::LaterStageSent);
    }
    let recipient = people.get(&obligation.subject_id, item.audience).ok_or(Reason::NotInRegister)?;
    if let Some(reason) = not_written_to(recipient) {
        return Err(reason);
    }
    let days = Days::of(obligation, item, history, as_of, stage_notice_days)?;
    let subject = key.pseudonym(&obligation.subject_id);
    if history.is_refused(&subject, &item.id, channel.name()) {
        return Err(Reason::Refuses);
    }
    let language = history.languages.get(&subject).copied().unwrap_or(recipient.language);
    // The notices fall: the longest is the first stage. There are at most 730 of them.
    let place = item.notice_days.iter().position(|notice| *notice == stage_notice_days).unwrap_or(0);
    let stage = u16::try_from(place).unwrap_or(0).saturating_add(1);
    let Days { planned_on, valid_until } = days;
    Ok(Reminder {
        key: message_key,
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
    })
}

/// The days between which a message leaves.
struct Days {
    planned_on: Date,
    valid_until: Date,
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
            return Ok(Days { planned_on, valid_until });
        }
        match item.late {
            Late::Send => Ok(Days { planned_on, valid_until }),
            Late::Drop => Err(Reason::LateDropped),
            Late::Escalate => Err(Reason::LateLeftToClerk),
        }
    }
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
        Some(recipient) => not_written_to(recipient),
    }
}

/// Why nobody writes to someone.
fn not_written_to(recipient: &Recipient) -> Option<Reason> {
    let reasons = [
        (recipient.is_deceased, Reason::Deceased),
        (recipient.is_closed, Reason::Closed),
        (recipient.refuses_reminders, Reason::Refuses),
        (recipient.email.is_none(), Reason::NoAddress),
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
