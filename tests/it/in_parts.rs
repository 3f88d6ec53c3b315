//! A night planned by parts of its persons is the night planned at once, and a crash between parts is no crash at all.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use chudong::calendar::AsOf;
use chudong::language::{Language, Text};
use chudong::ledger::verify::verify;
use chudong::ledger::{Ledger, MessageKey, MessageState, Record, Recovered};
use chudong::obligations::{Facts, Obligation};
use chudong::personal::{Digest, Personal, PseudonymKey};
use chudong::pipeline::secret::SecretRef;
use chudong::pipeline::{Channel, ChannelKind, Gateway, Pipeline};
use chudong::reminders::attention::{self, LinePlace};
use chudong::reminders::plan::{self, ALL, Before, Chosen, Circumstances, History, Parts, Plan, Recipients, Reminder};
use chudong::reminders::plan::{Standing, Told};
use chudong::reminders::quota::{self, Places, Queue};
use chudong::reminders::window::Window;
use chudong::tables::Table;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use proptest::prelude::*;

use crate::messages::SAMPLE;

const TODAY: Date = date(2026, 11, 21);
const ITEMS: [&str; 3] = ["identity_card", "driving_licence", "vehicle_inspection"];
/// Channels that have places for a day; the mail has room for all.
const COUNTED: [&str; 2] = ["zns", "sms"];

fn channel(name: &str) -> Channel {
    let gateway = Gateway {
        url: "https://sms.example".into(),
        token: SecretRef::Env("NONE".into()),
        sender: "AN BINH".into(),
        keeps_diacritics: true,
        parts_max: 4,
        is_idempotent: false,
        connections: 1,
    };
    let kind = if name == "email" { ChannelKind::Folder } else { ChannelKind::Sms(Box::new(gateway)) };
    Channel {
        name: name.into(),
        from: String::new(),
        from_name: Text::new("", ""),
        recheck_minutes: 30,
        pace: Default::default(),
        kind,
    }
}

/// Something that a person has to do: item, days left, and what an earlier night left behind of it, as a number.
type Task = (usize, i32, u8);

/// A person: what they have to do, what is particular about them, and on which of the last days messages went to them.
#[derive(Debug, Clone)]
struct Person {
    tasks: Vec<Task>,
    trait_of: u8,
    sent_days_ago: Vec<i32>,
}

fn persons(most: usize) -> impl Strategy<Value = Vec<Person>> {
    let task = (0..ITEMS.len(), -2_i32..70, 0_u8..12);
    let person = (prop::collection::vec(task, 1..5), 0_u8..12, prop::collection::vec(0_i32..8, 0..3));
    let person = person.prop_map(|(tasks, trait_of, sent_days_ago)| Person { tasks, trait_of, sent_days_ago });
    prop::collection::vec(person, 1..most)
}

/// Where they live: everything that a night is planned from.
struct Town {
    pipeline: Pipeline,
    people: Recipients,
    obligations: Vec<Obligation>,
    key: PseudonymKey,
    standing: Standing,
    history: History,
}

impl Town {
    fn of(persons: &[Person], most_per_week: Option<u16>, is_digested: bool) -> Town {
        let mut pipeline = SAMPLE.pipeline.clone();
        pipeline.items.retain(|item| ITEMS.contains(&item.id.as_str()));
        for item in &mut pipeline.items {
            item.channels = ["zns", "sms", "email"].map(str::to_owned).to_vec();
        }
        pipeline.channels = ["zns", "sms", "email"].map(channel).to_vec();
        (pipeline.attention.most_per_week, pipeline.attention.is_digested) = (most_per_week, is_digested);
        let (obligations, key) = (obligations(persons), PseudonymKey::new([1; 32]));
        let standing = Standing::default();
        let people = recipients(persons);
        let mut town = Town { pipeline, people, obligations, key, standing, history: History::default() };
        town.live(persons);
        town
    }

    /// Lets earlier nights leave their traces: of messages, of wishes, of what came back.
    fn live(&mut self, persons: &[Person]) {
        let subjects: Vec<Digest> = (0..persons.len()).map(|at| self.key.subject(&number(at))).collect();
        for (person, subject) in persons.iter().zip(&subjects) {
            let days = person.sent_days_ago.iter().map(|ago| TODAY.saturating_sub(ago.days())).collect();
            self.history.sent.insert(subject.to_string(), days);
            let closed = |channel: &str| (subject.to_string(), ALL.to_owned(), channel.to_owned());
            match person.trait_of {
                0 => drop(self.standing.refused.insert(closed(ALL))),
                1 => drop(self.standing.refused.insert(closed("zns"))),
                2 => drop(self.standing.suppressed.insert(closed("email"))),
                3 => {
                    let chosen = Chosen { item: ALL.into(), channel: ALL.into(), language: Language::En };
                    self.history.languages.insert(subject.to_string(), vec![chosen]);
                }
                _ => {}
            }
        }
        let traces: Vec<u8> = persons.iter().flat_map(|person| person.tasks.iter().map(|task| task.2)).collect();
        let found = self.plan(&self.obligations.iter().collect::<Vec<_>>(), &self.history).reminders;
        let keys: BTreeMap<Digest, Digest> = found.iter().map(|one| (one.obligation.key, one.key)).collect();
        let mut obligations = self.obligations.clone();
        for (obligation, trace) in obligations.iter_mut().zip(traces) {
            let known = obligation.key.to_string();
            let message = keys.get(&obligation.key).map(ToString::to_string);
            match (trace, message) {
                (0, Some(message)) => drop(self.history.messages.insert(message, Before::Sent)),
                (1, Some(message)) => drop(self.history.messages.insert(message, Before::Refused)),
                (2, Some(message)) => drop(self.history.messages.insert(message, Before::Uncertain)),
                (3, _) => drop(self.standing.handed_in.insert(known)),
                (4, _) => drop(self.history.wished.insert(known, TODAY)),
                (5, Some(message)) => {
                    self.history.shortest_sent.insert(known.clone(), 7);
                    let told = Told { due_on: obligation.due_on.saturating_add(9.days()), message };
                    self.history.told.insert(known, told);
                }
                (6, _) => obligation.fulfilled_on = Some(TODAY),
                _ => {}
            }
        }
        self.obligations = obligations;
    }

    fn plan<'a>(&'a self, obligations: &[&'a Obligation], history: &History) -> Plan<'a> {
        let now = Circumstances {
            items: &self.pipeline.items,
            channels: &self.pipeline.channels,
            people: Some(&self.people),
            standing: &self.standing,
            as_of: AsOf::new(TODAY),
            key: &self.key,
        };
        plan::plan_of(obligations, history, &now)
    }

    /// What leaves today of some obligations, in its order.
    fn arranged<'a>(&'a self, obligations: &[&'a Obligation], history: &History, window: &Window) -> Plan<'a> {
        let mut plan = self.plan(obligations, history);
        attention::arrange(&mut plan, &history.sent, window, &self.pipeline, AsOf::new(TODAY));
        plan
    }

    fn at_once(&self, window: &Window) -> Plan<'_> {
        self.arranged(&self.obligations.iter().collect::<Vec<_>>(), &self.history, window)
    }

    /// The plan of each part, made from the history of its persons alone.
    fn in_parts(&self, parts: Parts, window: &Window) -> Vec<Plan<'_>> {
        let split = parts.split(&self.obligations, &self.key);
        let plans = split.iter().zip(0..).map(|(due, part)| {
            let mut history = self.history.clone();
            let is_in = |subject: &str| subject.parse().is_ok_and(|subject| parts.of(&subject) == part);
            history.sent.retain(|subject, _| is_in(subject));
            history.languages.retain(|subject, _| is_in(subject));
            self.arranged(due, &history, window)
        });
        plans.collect()
    }

    fn is_digested(&self) -> bool {
        self.pipeline.attention.is_digested
    }
}

fn number(at: usize) -> Personal<String> {
    Personal::new(format!("0970{at:08}"))
}

fn obligations(persons: &[Person]) -> Vec<Obligation> {
    let tasks = persons.iter().enumerate().flat_map(|(at, person)| person.tasks.iter().map(move |task| (at, task)));
    let one = |(place, (at, (item, days_left, _))): (usize, (usize, &Task))| Obligation {
        key: format!("o{place}").parse().unwrap(),
        item: ITEMS.get(*item).copied().unwrap().into(),
        subject_id: Personal::new(number(at).reveal().as_str().into()),
        due_on: TODAY.saturating_add(days_left.days()),
        fulfilled_on: None,
        rule_version: "rule@2025-01-01".into(),
        facts: Facts::default(),
    };
    tasks.enumerate().map(one).collect()
}

fn recipients(persons: &[Person]) -> Recipients {
    type Cell<'c> = &'c dyn Fn(usize, &Person) -> Option<String>;
    let texts = |of: Cell<'_>| -> ArrayRef {
        Arc::new(persons.iter().enumerate().map(|(at, person)| of(at, person)).collect::<StringArray>())
    };
    let bools = |of: fn(&Person) -> bool| -> ArrayRef {
        Arc::new(BooleanArray::from(persons.iter().map(of).collect::<Vec<bool>>()))
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("subject_id", texts(&|at, person| (person.trait_of != 4).then(|| number(at).reveal().clone()))),
        ("kind", texts(&|_, _| Some("person".into()))),
        ("full_name", texts(&|_, _| Some("Nguyễn Văn An".into()))),
        ("language", texts(&|_, _| Some("vi".into()))),
        ("email", texts(&|at, person| (person.trait_of != 5).then(|| format!("citizen.{at}@example.com")))),
        ("phone", texts(&|_, person| (person.trait_of % 2 == 0).then(|| "0912 345 678".to_owned()))),
        ("is_deceased", bools(|person| person.trait_of == 6)),
        ("is_closed", bools(|_| false)),
        ("refuses_reminders", bools(|person| person.trait_of == 7)),
    ];
    plan::recipients(&Table::from_batch(RecordBatch::try_from_iter(columns).unwrap())).unwrap()
}

/// Everything that is decided about each reminder, in their order.
fn told(reminders: &[Reminder<'_>]) -> Vec<String> {
    reminders.iter().map(|reminder| format!("{reminder:?}")).collect()
}

/// The letters in which they leave: how many reminders are in each.
fn letters(reminders: &[Reminder<'_>]) -> Vec<usize> {
    reminders.chunk_by(|a, b| a.goes_with(b)).map(<[_]>::len).collect()
}

/// The plans of parts as one.
fn joined<'a>(plans: Vec<Plan<'a>>, is_digested: bool) -> Plan<'a> {
    let mut whole = Plan::default();
    plans.into_iter().for_each(|plan| whole.take_in(plan));
    attention::in_order(&mut whole.reminders, is_digested);
    whole
}

/// Today's and later reminders, told in the order of the line, of parts that never stand together: their claims are
/// taken in a first pass, and each part is given its turns in a second.
fn allotted_in_parts(town: &Town, parts: Parts, window: &Window, places: &HashMap<String, Places>) -> [Vec<String>; 2] {
    let mut queue: Queue<'_, _> = Queue::default();
    for plan in town.in_parts(parts, window) {
        let line = attention::places(&plan.reminders, town.is_digested());
        for (reminder, place) in plan.reminders.iter().zip(line) {
            queue.claim(reminder, (reminder.item.consequence, place));
        }
    }
    let mut turns = queue.turns(places).into_iter();
    let (mut today, mut later) = (Vec::new(), Vec::new());
    for mut plan in town.in_parts(parts, window) {
        let line = attention::places(&plan.reminders, town.is_digested());
        for (reminder, place) in plan.reminders.iter_mut().zip(line) {
            let goes = turns.next().unwrap().take(reminder);
            let to = if goes { &mut today } else { &mut later };
            to.push((place, format!("{reminder:?}")));
        }
    }
    assert!(turns.next().is_none());
    let in_line = |mut all: Vec<(LinePlace, String)>| {
        // Those of one person have one place, and stand in their order.
        all.sort_by_key(|(place, _)| *place);
        all.into_iter().map(|(_, told)| told).collect()
    };
    [in_line(today), in_line(later)]
}

fn room(today: u32, daily: u32) -> HashMap<String, Places> {
    COUNTED.iter().map(|name| ((*name).to_owned(), Places { today, daily })).collect()
}

fn parts(number: u32) -> Parts {
    Parts::new(NonZero::new(number).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_night_in_parts_is_the_night_at_once(
        persons in persons(24),
        number in 1_u32..9,
        most_per_week in prop::option::of(1_u16..4),
        is_digested in any::<bool>(),
        is_tet in any::<bool>(),
        (today, daily) in (0_u32..8, 0_u32..8),
    ) {
        let town = Town::of(&persons, most_per_week, is_digested);
        let closed = if is_tet { BTreeSet::from([TODAY, TODAY.tomorrow().unwrap()]) } else { BTreeSet::new() };
        let window = Window::new(None, closed);
        let whole = town.at_once(&window);
        let joined = joined(town.in_parts(parts(number), &window), is_digested);
        prop_assert_eq!(told(&joined.reminders), told(&whole.reminders), "who is written to, how, and in which order");
        prop_assert_eq!(letters(&joined.reminders), letters(&whole.reminders), "what leaves in one letter");
        prop_assert_eq!(joined.held, whole.held, "how many are not written to, and why");
        prop_assert_eq!(joined.unsent, whole.unsent, "who is not written to, and why");
        let places = room(today, daily);
        let allotted = quota::allot(whole.reminders, &places, |reminder| reminder.item.consequence);
        let [goes, waits] = allotted_in_parts(&town, parts(number), &window, &places);
        prop_assert_eq!(goes, told(&allotted.today), "who takes the places of today");
        prop_assert_eq!(waits, told(&allotted.later), "who waits for a place");
    }
}

#[test]
fn persons_fall_into_one_part_as_often_as_into_another() {
    let key = PseudonymKey::new([3; 32]);
    let mut subjects: Vec<Digest> = (0..4000).map(|at| key.subject(&number(at))).collect();
    subjects.sort_unstable();
    for many in [1, 2, 7, 40] {
        let of: Vec<u32> = subjects.iter().map(|subject| parts(many).of(subject)).collect();
        assert!(of.is_sorted(), "a part is a range of pseudonyms");
        let sizes: Vec<usize> = of.chunk_by(|a, b| a == b).map(<[_]>::len).collect();
        let fair = 4000 / many as usize;
        assert_eq!(sizes.len(), many as usize);
        assert!(sizes.iter().all(|size| (fair / 2..=fair * 3 / 2).contains(size)), "{sizes:?}");
    }
}

#[test]
fn there_are_as_many_parts_as_so_many_obligations_ask_for() {
    let number = |obligations| Parts::of_obligations(obligations).number();
    assert_eq!([0, 1, 200_000, 200_001, 1_000_000, 2_000_000].map(number), [1, 1, 1, 2, 5, 10]);
    assert_eq!(number(usize::MAX), u32::MAX, "no number is too large");
    // What is no pseudonym is in the first part, like everybody where there is one.
    assert_eq!(parts(7).of(&"o1".parse().unwrap()), 0);
    assert_eq!(parts(7).of(&"ffffffff".parse().unwrap()), 6);
}

// ---- a crash between parts ------------------------------------------------------

fn record(reminder: &Reminder<'_>) -> Record {
    Record {
        key: MessageKey(reminder.key.into()),
        subject: reminder.subject.into(),
        obligation: reminder.obligation.key.into(),
        item: reminder.item.id.clone(),
        stage_notice_days: reminder.stage_notice_days,
        channel: reminder.channel.name.clone(),
        message_id: format!("{}@an-binh.example", reminder.key),
        due_on: reminder.obligation.due_on,
        rule_version: reminder.obligation.rule_version.to_string(),
        valid_until: Some(reminder.valid_until),
        ..Record::default()
    }
}

/// Plans and reserves part by part, and ends without a word after so many reminders.
fn reserve_until(ledger: &mut Ledger, run: &str, town: &Town, parts: Parts, end: usize) -> usize {
    let (mut left, mut reserved) = (end, 0);
    for mut plan in town.in_parts(parts, &Window::default()) {
        attention::by_lane(&mut plan.reminders);
        let in_lanes = |a: &Reminder<'_>, b: &Reminder<'_>| (attention::lane(a), a.key) < (attention::lane(b), b.key);
        assert!(plan.reminders.is_sorted_by(in_lanes));
        let few = plan.reminders.get(..left.min(plan.reminders.len())).unwrap();
        reserved += ledger.reserve_made(run, few, &record).unwrap();
        left -= few.len();
    }
    reserved
}

/// The files as they lie there while the process that writes them lives: what a power cut leaves.
fn image(state: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(state).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
    }
    copy
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// The next run finds what was reserved as it finds it every night, makes the rest whole, and each leaves once.
    #[test]
    fn after_a_crash_between_parts_each_message_leaves_once(
        persons in persons(40),
        before in 1_u32..7,
        after in 1_u32..7,
        permille in 0_usize..1001,
    ) {
        let mut town = Town::of(&persons, None, true);
        // Messages of earlier nights are in no ledger here.
        town.history.messages.clear();
        let night = AsOf::new(TODAY);
        let planned: BTreeSet<String> =
            town.at_once(&Window::default()).reminders.iter().map(|reminder| reminder.key.to_string()).collect();
        let end = planned.len() * permille / 1000;

        let state = tempfile::tempdir().unwrap();
        let mut dies = Ledger::open(state.path(), "an-binh").unwrap();
        let run = dies.begin_run(night).unwrap();
        prop_assert_eq!(reserve_until(&mut dies, &run, &town, parts(before), end), end);
        let left = image(state.path());
        drop(dies);

        let mut ledger = Ledger::open(left.path(), "an-binh").unwrap();
        let run = ledger.begin_run(night).unwrap();
        prop_assert_eq!(ledger.recover(&run).unwrap(), Recovered::default(), "what is reserved was not on the wire");
        let fresh = reserve_until(&mut ledger, &run, &town, parts(after), planned.len());
        prop_assert_eq!(fresh, planned.len() - end, "what was reserved stays, the rest is new");
        let rows = ledger.outbox().unwrap();
        prop_assert!(rows.iter().all(|row| row.state == MessageState::Reserved && row.attempts == 0));
        let keys: BTreeSet<String> = rows.iter().map(|row| row.key.0.clone()).collect();
        prop_assert_eq!((rows.len(), &keys), (planned.len(), &planned), "none is lost, and none is there twice");
        // What was given to the wire once is not given to it again, by whatever part it comes.
        let mut leave = || {
            let plan = joined(town.in_parts(parts(before), &Window::default()), true);
            let records = plan.reminders.iter().map(|reminder| (record(reminder), ())).collect();
            ledger.record(&run, records).unwrap().len()
        };
        prop_assert_eq!((leave(), leave()), (planned.len(), 0));
        ledger.anchor().unwrap();
        let faults = verify(left.path()).unwrap().faults;
        prop_assert!(faults.is_empty(), "{:?}", faults.iter().map(|fault| &fault.what).collect::<Vec<_>>());
    }
}
