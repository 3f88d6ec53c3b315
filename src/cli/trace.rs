//! The verb `trace`: everything that was used, decided and sent, about one message or one person.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::erase::subject;
use super::{Ended, Fault, ReportFormat, json, one, print, read_pipeline};
use crate::calendar::AsOf;
use crate::ledger::{Told, TracedDossier, TracedMessage, TracedRecommendation};
use crate::run::{self, Opened, Question, Story, Whom};
use crate::world::World;

/// What is traced.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Asked {
    /// One message: its key or the beginning of it, its Message-ID, or the name of its file.
    #[arg(long, value_name = "ID", conflicts_with_all = ["subject", "subject_file"])]
    message: Option<String>,
    /// A person, by the pseudonym that the ledger has; without it, the number is read from standard input.
    #[arg(
        long,
        value_name = "PSEUDONYM",
        num_args = 0..=1,
        default_missing_value = "",
        required_unless_present_any = ["message", "subject_file"]
    )]
    subject: Option<String>,
    /// The file that holds the person's number, which only its owner may read.
    #[arg(long, value_name = "FILE", conflicts_with = "subject")]
    subject_file: Option<PathBuf>,
    /// Say what this night did for each obligation: what it sent, or why nothing.
    #[arg(long, value_name = "YYYY-MM-DD")]
    night: Option<AsOf>,
    /// Open what is sealed: why each message was sent, and where it went. Mind who reads the screen.
    #[arg(long)]
    explain: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
}

pub(super) fn trace(root: PathBuf, agency: &str, state: PathBuf, asked: Asked) -> Result<Ended, Vec<Fault>> {
    let whom = match (asked.message, asked.subject_file.as_deref(), asked.subject) {
        (Some(message), ..) => Whom::Message(message),
        (None, Some(file), _) => Whom::Person(subject(Some(file))?),
        (None, None, Some(pseudonym)) if !pseudonym.is_empty() => Whom::Subject(pseudonym),
        (None, None, _) => Whom::Person(subject(None::<&Path>)?),
    };
    // What was done stays traceable where today's files are at fault.
    let pipeline = read_pipeline(&root, agency).ok();
    let question = Question { whom, night: asked.night, opens: asked.explain };
    let story = run::trace(&World::new(root, state), pipeline.as_ref(), &question).map_err(one)?;
    match asked.format {
        ReportFormat::Json => print(&json(&story)),
        ReportFormat::Text => print(&told(&story)),
    }?;
    Ok(Ended::Done)
}

fn told(story: &Story) -> String {
    let traced = &story.traced;
    let mut text = format!("Person {}\n", traced.subject);
    for answer in &story.nights {
        text.push_str(&format!(
            "\nThe night of {}, obligation {}\n  {}\n",
            answer.night, answer.obligation, answer.answer
        ));
    }
    for message in &traced.messages {
        text.push_str(&of_message(message, story.most_per_week));
        if let Some(opened) = story.opened.get(&message.key) {
            text.push_str(&of_opened(opened));
        }
    }
    for (key, told) in &traced.obligations {
        section(&mut text, &format!("Obligation {key}"), told);
    }
    traced.dossiers.iter().for_each(|dossier| text.push_str(&of_dossier(dossier)));
    traced.recommendations.iter().for_each(|one| text.push_str(&of_recommendation(one)));
    section(&mut text, "What the person wants and asked for", &traced.wishes);
    section(&mut text, "Addresses left alone", &traced.suppressions);
    for (run, told) in &traced.pulls {
        section(&mut text, &format!("What run {run} read"), told);
    }
    text
}

fn of_message(message: &TracedMessage, most_per_week: Option<u16>) -> String {
    let TracedMessage { key, item, stage_notice_days, channel, state, attempts, .. } = message;
    let reason = message.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let mut text =
        format!("\nMessage {key}\n  {item}, notice of {stage_notice_days} days, by {channel}: {state}{reason}\n");
    text.push_str(&format!("  attempts {attempts}, Message-ID {}\n", message.message_id));
    if message.week_messages > 0 {
        let most = most_per_week.map(|most| format!(" of {most}")).unwrap_or_default();
        text.push_str(&format!("  messages to the person in its week: {}{most}\n", message.week_messages));
    }
    message.events.iter().for_each(|told| text.push_str(&line(told, &OF_MESSAGE)));
    text
}

fn of_dossier(dossier: &TracedDossier) -> String {
    let TracedDossier { dossier: number, obligation, item, due_on, state, until, events } = dossier;
    let until = until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
    let mut text =
        format!("\nDossier {number}\n  {item}, due on {due_on}: {state}{until}\n  obligation {obligation}\n");
    events.iter().for_each(|told| text.push_str(&line(told, &OF_DOSSIER)));
    text
}

fn of_recommendation(one: &TracedRecommendation) -> String {
    let TracedRecommendation { night, obligation, outcome, recommended, explained, is_kept, shown_in } = one;
    let recommended = recommended.as_deref().unwrap_or("no option, because none is without harm");
    let shown = match shown_in {
        Some(message) => format!("shown in message {message}"),
        None => "shown in no message".to_owned(),
    };
    let kept = if *is_kept { "kept, sealed: `chudong explain --options` tells it" } else { "no longer kept" };
    format!(
        "\nRecommendation of {night}, obligation {obligation}\n  {outcome}: {recommended}; {shown}\n  explanation {explained}, what was weighed is {kept}\n"
    )
}

fn of_opened(opened: &Opened) -> String {
    let mut text = String::new();
    for (entry, address) in &opened.addresses {
        text.push_str(&format!("  went to {address} (entry {entry})\n"));
    }
    match &opened.explanation {
        Some(explanation) => explanation.lines().for_each(|line| text.push_str(&format!("  | {line}\n"))),
        None => text.push_str("  no explanation is kept: it was erased, or its term is over\n"),
    }
    text
}

fn section(text: &mut String, title: &str, told: &[Told]) {
    if told.is_empty() {
        return;
    }
    text.push_str(&format!("\n{title}\n"));
    told.iter().for_each(|told| text.push_str(&line(told, &OF_OTHERS)));
}

/// One thing that happened: instant, run, entry and kind, then what it says.
fn line(told: &Told, known: &[&str]) -> String {
    let says = match &told.says {
        Value::Object(fields) => {
            let shown = fields.iter().filter(|(name, value)| !value.is_null() && !known.contains(&name.as_str()));
            shown.map(|(name, value)| format!("{name}={}", word(value))).collect::<Vec<_>>().join(" ")
        }
        Value::Array(cells) => cells.iter().filter(|cell| !cell.is_null()).map(word).collect::<Vec<_>>().join(" "),
        other => word(other),
    };
    let run = if told.run.is_empty() { "-" } else { &told.run };
    format!("  {} {run} #{} {} {says}\n", told.at, told.entry, told.kind)
}

/// Fields that the head of a message has said.
const OF_MESSAGE: [&str; 6] = ["key", "item", "channel", "message_id", "obligation", "subject"];

/// Fields that the head of a dossier has said.
const OF_DOSSIER: [&str; 4] = ["of", "whose", "obligation", "subject"];

/// Fields that say nothing to a reader.
const OF_OTHERS: [&str; 2] = ["asked", "columns"];

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
