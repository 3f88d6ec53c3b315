//! Which channel a message takes, and which messages take the places that a channel has left.

use std::collections::{BTreeMap, HashMap};

use chudong::calendar::AsOf;
use chudong::language::Text;
use chudong::obligations::{Facts, Obligation};
use chudong::personal::{Personal, PseudonymKey};
use chudong::pipeline::secret::SecretRef;
use chudong::pipeline::{Channel, ChannelKind, Gateway, Item, Uncertain};
use chudong::reminders::plan::{self, ALL, Before, Circumstances, History, Plan, Reason, Recipients, Standing};
use chudong::reminders::quota::{Places, allot};
use jiff::ToSpan;
use jiff::civil::{Date, date};
use proptest::prelude::*;

use crate::messages::SAMPLE;

const TODAY: Date = date(2026, 11, 21);

fn channel(name: &str, is_phone: bool) -> Channel {
    let gateway = Gateway {
        url: "https://sms.example".into(),
        token: SecretRef::Env("NONE".into()),
        sender: "AN BINH".into(),
        keeps_diacritics: true,
        parts_max: 4,
        is_idempotent: false,
        connections: 1,
    };
    let kind = if is_phone { ChannelKind::Sms(Box::new(gateway)) } else { ChannelKind::Folder };
    Channel {
        name: name.into(),
        from: String::new(),
        from_name: Text::new("", ""),
        recheck_minutes: 30,
        pace: Default::default(),
        kind,
    }
}

/// A town where an item leaves by Zalo, then by text message, then by mail.
struct Town {
    item: Item,
    channels: Vec<Channel>,
    people: Recipients,
    obligations: Vec<Obligation>,
    key: PseudonymKey,
    standing: Standing,
    history: History,
}

impl Town {
    /// One person for each due date, with a phone and a mail address where it is said.
    fn of(people: &[(i32, bool, bool)]) -> Town {
        let mut item = SAMPLE.pipeline.item("driving_licence").unwrap().clone();
        item.channels = ["zns", "sms", "email"].map(str::to_owned).to_vec();
        item.uncertain = Uncertain::LeaveToClerk;
        item.notice_days = vec![60, 30, 7];
        let obligation = |(number, (days, _, _)): (usize, &(i32, bool, bool))| Obligation {
            key: format!("o{number}").parse().unwrap(),
            item: item.id.as_str().into(),
            subject_id: Personal::new(format!("p{number}").into()),
            due_on: TODAY.saturating_add(days.days()),
            fulfilled_on: None,
            rule_version: "rule@2025-01-01".into(),
            facts: Facts::default(),
        };
        let obligations = people.iter().enumerate().map(obligation).collect();
        let rows = people.iter().enumerate();
        let rows = rows.map(|(number, (_, has_phone, has_mail))| (format!("p{number}"), *has_phone, *has_mail));
        Town {
            channels: vec![channel("email", false), channel("sms", true), channel("zns", true)],
            people: recipients(rows.collect()),
            obligations,
            key: PseudonymKey::new([1; 32]),
            standing: Standing::default(),
            history: History::default(),
            item,
        }
    }

    fn plan(&self) -> Plan<'_> {
        let now = Circumstances {
            items: std::slice::from_ref(&self.item),
            channels: &self.channels,
            people: Some(&self.people),
            standing: &self.standing,
            as_of: AsOf::new(TODAY),
            key: &self.key,
        };
        plan::plan(&self.obligations, &self.history, &now)
    }

    /// The ways of the only reminder, in order; or why there is none.
    fn ways(&self) -> Result<Vec<String>, Reason> {
        let plan = self.plan();
        match plan.reminders.first() {
            Some(one) => Ok(std::iter::once(one.channel)
                .chain(one.otherwise.iter().map(|way| way.channel))
                .map(|c| c.name.clone())
                .collect()),
            None => Err(plan.held.keys().next().unwrap().1),
        }
    }

    /// The key of the only reminder's message on each channel.
    fn keys(&self) -> BTreeMap<String, String> {
        let plan = self.plan();
        let one = plan.reminders.first().unwrap();
        let first = (one.channel.name.clone(), one.key.to_string());
        std::iter::once(first)
            .chain(one.otherwise.iter().map(|way| (way.channel.name.clone(), way.key.to_string())))
            .collect()
    }
}

/// A number, and whether there are a phone and a mail address.
type Row = (String, bool, bool);

fn recipients(rows: Vec<Row>) -> Recipients {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
    use chudong::tables::Table;
    let text =
        |of: &dyn Fn(&Row) -> Option<String>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<StringArray>()) };
    let no: ArrayRef = Arc::new(BooleanArray::from(vec![false; rows.len()]));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("subject_id", text(&|row| Some(row.0.clone()))),
        ("kind", text(&|_| Some("person".into()))),
        ("full_name", text(&|_| Some("Nguyễn Văn An".into()))),
        ("language", text(&|_| Some("vi".into()))),
        ("email", text(&|row| row.2.then(|| "an@example.com".to_owned()))),
        ("phone", text(&|row| row.1.then(|| "0912 345 678".to_owned()))),
        ("is_deceased", Arc::clone(&no)),
        ("is_closed", Arc::clone(&no)),
        ("refuses_reminders", no),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    plan::recipients(&Table::from_batch(batch)).unwrap()
}

#[test]
fn the_first_channel_that_is_open_is_taken() {
    let all = ["zns", "sms", "email"];
    assert_eq!(Town::of(&[(5, true, true)]).ways().unwrap(), all);
    assert_eq!(Town::of(&[(5, false, true)]).ways().unwrap(), ["email"]);
    assert_eq!(Town::of(&[(5, true, false)]).ways().unwrap(), ["zns", "sms"]);
    assert_eq!(Town::of(&[(5, false, false)]).ways(), Err(Reason::NoAddress));

    let mut town = Town::of(&[(5, true, true)]);
    let keys = town.keys();
    assert_eq!(keys.len(), 3, "a message has a key of its own on each channel");
    // Zalo refused this stage for good.
    town.history.messages.insert(keys["zns"].clone(), Before::Refused);
    assert_eq!(town.ways().unwrap(), ["sms", "email"]);
    for name in ["sms", "email"] {
        town.history.messages.insert(keys[name].clone(), Before::Refused);
    }
    assert_eq!(town.ways(), Err(Reason::RefusedByServer));
    // Later is not never: the same channel first.
    town.history.messages.clear();
    town.history.messages.insert(keys["zns"].clone(), Before::Deferred);
    assert_eq!(town.ways().unwrap(), all);
}

#[test]
fn a_message_sent_by_one_channel_is_sent() {
    let mut town = Town::of(&[(5, true, true)]);
    let keys = town.keys();
    town.history.messages.insert(keys["zns"].clone(), Before::Refused);
    town.history.messages.insert(keys["sms"].clone(), Before::Sent);
    assert_eq!(town.ways(), Err(Reason::AlreadySent));
    // Also by a channel that the item no longer has.
    town.history.messages.clear();
    town.history.shortest_sent.insert("o0".into(), 7);
    assert_eq!(town.ways(), Err(Reason::AlreadySent));
    town.history.shortest_sent.clear();
    // Nobody knows whether Zalo took it: no other channel is used beside it.
    town.history.messages.insert(keys["zns"].clone(), Before::Uncertain);
    assert_eq!(town.ways(), Err(Reason::LeftToClerk));
    town.item.uncertain = Uncertain::Resend;
    assert_eq!(town.ways().unwrap(), ["zns"]);
}

#[test]
fn a_refusal_and_a_dead_address_close_a_channel_and_no_other() {
    let mut town = Town::of(&[(5, true, true)]);
    let subject = town.key.pseudonym(&Personal::new("p0".into()));
    let closed = |item: &str, channel: &str| (subject.clone(), item.to_owned(), channel.to_owned());
    town.standing.suppressed.insert(closed(ALL, "zns"));
    assert_eq!(town.ways().unwrap(), ["sms", "email"]);
    town.standing.refused.insert(closed("driving_licence", "sms"));
    assert_eq!(town.ways().unwrap(), ["email"]);
    town.standing.refused.insert(closed("identity_card", ALL));
    assert_eq!(town.ways().unwrap(), ["email"]);
    town.standing.suppressed.insert(closed(ALL, "email"));
    assert_eq!(town.ways(), Err(Reason::Suppressed));
    town.standing.refused.insert(closed(ALL, ALL));
    assert_eq!(town.ways(), Err(Reason::Refuses));
}

#[test]
fn that_somebody_refused_is_told_before_an_address_that_is_missing() {
    // No telephone, for the channels that the agency would rather use.
    let mut town = Town::of(&[(5, false, true)]);
    assert_eq!(town.ways().unwrap(), ["email"]);
    let subject = town.key.pseudonym(&Personal::new("p0".into()));
    let closed = |channel: &str| (subject.clone(), ALL.to_owned(), channel.to_owned());
    town.standing.suppressed.insert(closed("email"));
    assert_eq!(town.ways(), Err(Reason::Suppressed));
    town.standing.refused.insert(closed("email"));
    assert_eq!(town.ways(), Err(Reason::Refuses));
    // Nor does who has no address at all lack one when they have refused.
    let mut town = Town::of(&[(5, false, false)]);
    assert_eq!(town.ways(), Err(Reason::NoAddress));
    town.standing.refused.insert(closed(ALL));
    assert_eq!(town.ways(), Err(Reason::Refuses));
}

fn room(today: u32, daily: u32) -> HashMap<String, Places> {
    HashMap::from([("zns".to_owned(), Places { today, daily })])
}

/// How many go today by each channel, and how many wait.
fn allotted(town: &Town, places: &HashMap<String, Places>) -> (BTreeMap<String, usize>, usize) {
    let allotted = allot(town.plan().reminders, places, |_| ());
    let mut by = BTreeMap::new();
    for reminder in &allotted.today {
        *by.entry(reminder.channel.name.clone()).or_default() += 1;
    }
    (by, allotted.later.len())
}

#[test]
fn who_cannot_wait_takes_the_places_and_the_rest_waits_or_goes_by_another_channel() {
    // Five in their last week, five with three weeks before the next stage.
    let mut people = vec![(1, true, true); 5];
    people.extend([(50, true, true); 5]);
    let town = Town::of(&people);
    let by = |counts: &[(&str, usize)]| counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    assert_eq!(allotted(&town, &HashMap::new()), (by(&[("zns", 10)]), 0));
    assert_eq!(allotted(&town, &room(10, 10)), (by(&[("zns", 10)]), 0));
    assert_eq!(allotted(&town, &room(5, 5)), (by(&[("zns", 5)]), 5));
    // One a day: who is due tomorrow waits until tomorrow or goes by text message; the others' turns come in time.
    assert_eq!(allotted(&town, &room(1, 1)), (by(&[("sms", 3), ("zns", 1)]), 6));
    // A channel that takes nothing, today or later.
    assert_eq!(allotted(&town, &room(0, 0)), (by(&[("sms", 10)]), 0));
    // A channel that failed tonight: everybody has a tomorrow.
    assert_eq!(allotted(&town, &room(0, u32::MAX)), (BTreeMap::new(), 10));
    let town = Town::of(&[(0, true, true), (0, true, false), (8, true, true)]);
    assert_eq!(allotted(&town, &room(0, u32::MAX)), (by(&[("sms", 3)]), 0));
}

#[test]
fn a_letter_of_several_leaves_until_the_first_of_them_expires() {
    let town = Town::of(&[(7, false, true), (3, false, true), (5, false, true)]);
    let mut reminders = town.plan().reminders;
    let days: Vec<Date> = reminders.iter().map(|reminder| reminder.last_day()).collect();
    let due = [3, 5, 7].map(|days| TODAY.saturating_add(days.days()));
    assert_eq!(days, due, "by itself each leaves until it is due");
    let mut letter = reminders.pop().unwrap();
    assert_eq!(letter.last_day(), due[2]);
    reminders.into_iter().for_each(|other| letter.together.push(other));
    assert_eq!(letter.last_day(), due[0]);
    let apart: Vec<Date> = letter.apart().iter().map(|reminder| reminder.last_day()).collect();
    assert_eq!(apart, [due[2], due[0], due[1]], "apart each has its own again");
}

#[test]
fn graver_consequences_come_first_among_those_that_are_equally_near() {
    let town = Town::of(&[(1, true, true), (1, true, true), (1, true, true)]);
    let grave = |reminder: &plan::Reminder<'_>| reminder.obligation.key != "o1";
    let allotted = allot(town.plan().reminders, &room(1, 1), grave);
    let first = allotted.today.iter().find(|reminder| reminder.channel.name == "zns").unwrap();
    assert_eq!(first.obligation.key, "o1");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Night after night with a small quota: nobody's message comes after the day on which its stage ends, and no channel
    /// carries more than it has room for.
    #[test]
    fn nobody_is_late_because_of_a_quota(
        due in proptest::collection::vec(0_i32..40, 1..40),
        today in 0_u32..8,
        daily in 0_u32..8,
    ) {
        let people: Vec<_> = due.iter().map(|days| (*days, true, true)).collect();
        let town = Town::of(&people);
        let mut places = room(today, daily);
        let reminders = town.plan().reminders;
        let all = reminders.len();
        let mut waiting = allot(reminders, &places, |_| ());
        let mut sent = 0;
        for night in 0_i32.. {
            let by_zns = waiting.today.iter().filter(|reminder| reminder.channel.name == "zns").count();
            prop_assert!(by_zns <= places["zns"].today as usize);
            sent += waiting.today.len();
            if waiting.later.is_empty() {
                break;
            }
            places = room(daily, daily);
            let mut later = waiting.later;
            for reminder in &mut later {
                reminder.days_left -= 1;
                let ends = match reminder.stage_notice_days { 60 => 31, 30 => 8, _ => 0 };
                prop_assert!(reminder.days_left >= ends, "a message waits beyond its stage on night {night}");
            }
            waiting = allot(later, &places, |_| ());
        }
        prop_assert_eq!(sent, all);
    }
}
