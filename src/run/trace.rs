//! Everything that was used, decided and sent about one message or one person: from the ledger alone, reading no
//! source and writing nothing.
//!
//! It is told under pseudonyms. What is sealed is opened only where it is asked for.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::calendar::AsOf;
use crate::fault::{Explain, Fault, Place};
use crate::ledger::{self, Ledger, Told, Traced};
use crate::personal::Personal;
use crate::pipeline::Pipeline;
use crate::world::World;

use super::explain::key_prefix;

/// Of whom or what everything is told.
#[derive(Debug)]
pub enum Whom {
    /// One message: its key, its Message-ID or file name, or as much of the beginning as no other has.
    Message(String),
    /// A person, by the keyed pseudonym.
    Subject(String),
    /// A person, by the number in the registers.
    Person(Personal<String>),
}

/// What was asked.
#[derive(Debug)]
pub struct Question {
    /// Of whom.
    pub whom: Whom,
    /// A night: what it did for each obligation of the person is said.
    pub night: Option<AsOf>,
    /// Whether what is sealed is opened: it names the person.
    pub opens: bool,
}

/// Everything that is known.
#[derive(Debug, Serialize)]
pub struct Story {
    /// What the ledger holds.
    #[serde(flatten)]
    pub traced: Traced,
    /// The most messages to a person in seven days, where there is a limit today.
    pub most_per_week: Option<u16>,
    /// What a night did, where one was asked for.
    pub nights: Vec<NightAnswer>,
    /// What was sealed with each message, by its key; empty unless it was asked for.
    pub opened: BTreeMap<String, Opened>,
}

/// What a night did for an obligation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NightAnswer {
    /// The night.
    pub night: String,
    /// The key of the obligation.
    pub obligation: String,
    /// What was sent, or why nothing was.
    pub answer: String,
}

/// What was sealed with a message. It is about a person and says so.
#[derive(Debug, Default, Serialize)]
pub struct Opened {
    /// Why it was sent, in the language of the person; none where it was erased, or past its term.
    pub explanation: Option<String>,
    /// Where each attempt went, by the entry that recorded it.
    pub addresses: BTreeMap<i64, String>,
}

/// Tells everything about a message or a person.
///
/// `pipeline` is the agency's of today; without one the story is the same but for today's limits.
pub fn trace(world: &World, pipeline: Option<&Pipeline>, question: &Question) -> Result<Story, Fault> {
    let ledger = Ledger::read(&world.state).map_err(|error| error.fault())?;
    if let Some(pipeline) = pipeline {
        ledger.belongs_to(&pipeline.id).map_err(|error| error.fault())?;
    }
    let traced = match &question.whom {
        Whom::Message(asked) => of_message(&ledger, asked)?,
        Whom::Subject(subject) => of_subject(&ledger, subject.trim())?,
        Whom::Person(number) => {
            let key = world.opening_pseudonym_key().map_err(|error| error.fault())?;
            of_subject(&ledger, &key.pseudonym(number))?
        }
    };
    let nights = match question.night {
        Some(night) => on_night(&ledger, &traced, night)?,
        None => Vec::new(),
    };
    let opened = if question.opens { open(world, &ledger, &traced)? } else { BTreeMap::new() };
    let most_per_week = pipeline.and_then(|pipeline| pipeline.attention.most_per_week);
    Ok(Story { traced, most_per_week, nights, opened })
}

fn of_message(ledger: &Ledger, asked: &str) -> Result<Traced, Fault> {
    // A Message-ID is the key and a domain; a file of the folder channel is named by it.
    let asked = asked.trim().trim_start_matches('<').split('@').next().unwrap_or_default();
    let prefix = key_prefix(asked.trim_end_matches('>').trim_end_matches(".eml"))?;
    let found = ledger.messages_like(&prefix, 2).map_err(|error| error.fault())?;
    let place = || Place::Thing("the message".into());
    let key = match found.as_slice() {
        [(key, _)] => key,
        [] => {
            let next = "look for it with `chudong ledger list --kind messages.recorded`, or trace its person";
            return Err(Fault::new("trace.unknown-message", place(), "no message has a key that begins so", next));
        }
        _ => {
            let what = "several messages have a key that begins so";
            return Err(Fault::new("trace.ambiguous-message", place(), what, "give more of the key"));
        }
    };
    let traced = ledger.trace_message(key).map_err(|error| error.fault())?;
    Ok(traced.unwrap_or_default())
}

fn of_subject(ledger: &Ledger, subject: &str) -> Result<Traced, Fault> {
    let is_pseudonym = subject.len() == 32 && subject.bytes().all(|digit| digit.is_ascii_hexdigit());
    let place = || Place::Thing("the person".into());
    if !is_pseudonym {
        let next = "give the 32 digits that the ledger has for the person, or their number on standard input";
        return Err(Fault::new("trace.pseudonym", place(), "the pseudonym is not 32 hexadecimal digits", next));
    }
    let traced = ledger.trace_subject(&subject.to_ascii_lowercase()).map_err(|error| error.fault())?;
    if traced.messages.is_empty() && traced.obligations.is_empty() && traced.wishes.is_empty() {
        let next = "see whether the number is written as in the registers; nothing was ever decided about it here";
        return Err(Fault::new("trace.unknown-person", place(), "the ledger knows nothing of this person", next));
    }
    Ok(traced)
}

/// What a night did for each obligation: it sent, or it had a reason not to.
fn on_night(ledger: &Ledger, traced: &Traced, night: AsOf) -> Result<Vec<NightAnswer>, Fault> {
    let day = night.to_string();
    let runs = ledger.runs().map_err(|error| error.fault())?;
    let was_run = runs.iter().any(|run| run.as_of == day);
    let mut answers = Vec::new();
    for (key, told) in &traced.obligations {
        let answer = if was_run { answer(traced, key, told, &day) } else { "no run spoke for that day".to_owned() };
        answers.push(NightAnswer { night: day.clone(), obligation: key.clone(), answer });
    }
    Ok(answers)
}

fn answer(traced: &Traced, obligation: &str, told: &[Told], day: &str) -> String {
    let day_of = |told: &Told| told.run.get(..10).unwrap_or_default().to_owned();
    let of_day = traced.messages.iter().filter(|message| message.obligation == obligation);
    let states: Vec<String> = of_day
        .filter_map(|message| {
            let last = message.events.iter().rfind(|told| day_of(told) == day)?;
            let state = text(&last.says, "state").unwrap_or_else(|| last.kind.clone());
            let reason = text(&last.says, "reason").map(|reason| format!(" ({reason})")).unwrap_or_default();
            Some(format!("message {}: {state}{reason}", message.key))
        })
        .collect();
    if !states.is_empty() {
        return states.join("; ");
    }
    // Each change holds until the next one.
    let cell = |told: &Told, at: usize| told.says.get(at).and_then(Value::as_str).map(str::to_owned);
    let until_then = |kind: &str| {
        // The last cell of a line is its night.
        let night = |told: &Told| told.says.as_array()?.last()?.as_str().map(str::to_owned);
        let is_before = |told: &Told| night(told).is_some_and(|night| night.as_str() <= day);
        told.iter().rfind(|told| told.kind == kind && is_before(told)).cloned()
    };
    if let Some((reason, since)) = until_then("reminders.unsent").and_then(|last| cell(&last, 2).zip(cell(&last, 3))) {
        return format!("nothing was sent: {reason} (since {since})");
    }
    let Some(life) = until_then("obligations.followed") else {
        return "nothing was sent: the obligation was not known yet".to_owned();
    };
    match cell(&life, 5).as_deref() {
        Some("open") => {}
        state => return format!("nothing was sent: {}", state.unwrap_or("it was not open")),
    }
    let was_sent = traced.messages.iter().any(|message| {
        let accepted = |told: &Told| text(&told.says, "state").as_deref() == Some("accepted");
        message.obligation == obligation
            && message.events.iter().any(|told| accepted(told) && day_of(told).as_str() < day)
    });
    match was_sent {
        true => "nothing was sent: already reminded at this stage".to_owned(),
        false => "nothing was sent: first notice lies ahead".to_owned(),
    }
}

fn open(world: &World, ledger: &Ledger, traced: &Traced) -> Result<BTreeMap<String, Opened>, Fault> {
    let key = world.opening_key().map_err(|error| error.fault())?;
    let broken = || {
        let what = "what is sealed cannot be opened: it was sealed with another key, or changed since";
        let next = "restore keys/sealing.key from your backup, and run chudong ledger verify";
        Fault::new("trace.sealed", Place::file(ledger.path()), what, next)
    };
    let mut opened = BTreeMap::new();
    for message in &traced.messages {
        let mut one = Opened::default();
        let stored = ledger.explanations_like(&message.key, 1).map_err(|error| error.fault())?;
        if let Some((name, sealed)) = stored.first() {
            let text = key.open(&name.0, sealed).ok_or_else(broken)?;
            one.explanation = Some(text.reveal().clone());
        }
        let entries = message.events.iter().map(|told| told.entry);
        let sealed = ledger.sealed_addresses(&message.key, entries).map_err(|error| error.fault())?;
        for (entry, sealed) in sealed {
            let text = key.open(&ledger::sealed_name(&message.key), &sealed).ok_or_else(broken)?;
            one.addresses.insert(entry, text.reveal().clone());
        }
        opened.insert(message.key.clone(), one);
    }
    Ok(opened)
}

fn text(says: &Value, name: &str) -> Option<String> {
    says.get(name).and_then(Value::as_str).map(str::to_owned)
}
