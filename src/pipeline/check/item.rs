//! Reads an item: what people are reminded of, with every fault at its key.

use super::super::attention::{Consequence, LATE_AFTER_DAYS, Late};
use super::super::law::Law;
use super::super::reader::Node;
use super::super::{Audience, ChangeBound, Channel, ChannelKind, Item, SETTLE_DAYS, Uncertain};
use super::{in_range, is_procedure_code};

/// `otherwise` is what holds an item that does not say which change does; `channels` are those of the pipeline, none
/// where they could not be understood.
pub(super) fn item(
    node: &Node<'_>,
    id: &str,
    law: &Law,
    otherwise: Option<ChangeBound>,
    channels: Option<&[Channel]>,
) -> Option<Item> {
    let title = node.both("title");
    let rules = node.texts("rules").unwrap_or_default();
    for rule in rules.iter().filter(|rule| law.rule(rule).is_none()) {
        let what = format!("there is no rule \"{rule}\"");
        let next = format!("add pipelines/law/{rule}.toml, or correct the name");
        node.fault("rules", "pipeline.unknown-rule", what, next);
    }
    let level = in_range(node, "level", node.int_or("level", 1), 1, 4);
    let notice_days = notice_days(node);
    let settle_days = in_range(node, "settle_days", node.int_or("settle_days", SETTLE_DAYS.into()), 1, 730);
    let (procedure_code, procedure_path) = procedure(node);
    let dossier_days = dossier_days(node, procedure_code.as_deref());
    let uncertain = node.word_or(
        "uncertain",
        &[("resend", Uncertain::Resend), ("leave_to_clerk", Uncertain::LeaveToClerk)],
        Uncertain::LeaveToClerk,
    );
    let audience = node.word_or("audience", &Audience::WORDS, Audience::Citizen);
    let confidence = node.word_or("confidence", &[("A", "A"), ("B", "B")], "A");
    let consequence = node.word_or("consequence", &Consequence::WORDS, Consequence::Inconvenience);
    let late = node.word_or("late", &Late::WORDS, Late::Send);
    let late_after = node.int_or("late_after_days", LATE_AFTER_DAYS.into());
    let late_after_days = in_range(node, "late_after_days", late_after, 1, 730);
    let valid_days = match node.has("valid_days") {
        true => in_range(node, "valid_days", node.int("valid_days")?, 1, 730).map(Some),
        false => Some(None),
    };
    let leaves_by = leaves_by(node, id, channels);
    Some(Item {
        id: id.to_owned(),
        title: title?,
        level: u8::try_from(level?).ok()?,
        rules,
        notice_days: notice_days?,
        settle_days: u16::try_from(settle_days?).ok()?,
        audience,
        confidence: confidence.to_owned(),
        hold_change: hold_change(node).unwrap_or(otherwise),
        procedure_code,
        dossier_days,
        renewed_in_place: node.bool_or("renewed_in_place", false),
        procedure_path,
        uncertain,
        channels: leaves_by,
        consequence,
        late,
        late_after_days: u16::try_from(late_after_days?).ok()?,
        valid_days: valid_days?.and_then(|days| u16::try_from(days).ok()),
        // The pipeline says it, when it is read.
        lead_days: 0,
    })
}

/// The channels by which an item leaves: those it names, of those the agency has; `email` is the first that carries
/// letters, whatever its name. An item is every agency's, so the word of a kind that this one does not have is passed
/// over; any other word is a slip.
fn leaves_by(node: &Node<'_>, id: &str, channels: Option<&[Channel]>) -> Vec<String> {
    const KEY: &str = "channels";
    const EMAIL: &str = "email";
    let named = node.texts_or_none(KEY);
    let Some(channels) = channels else { return Vec::new() };
    let known = || channels.iter().map(|channel| channel.name.as_str()).collect::<Vec<_>>().join(", ");
    let Some(named) = named else {
        let all = channels.iter().filter(|channel| carries(channel, id));
        let all: Vec<String> = all.map(|channel| channel.name.clone()).collect();
        if all.is_empty() {
            let what = format!("none of the channels carries {id}: Zalo has no approved template for it");
            let next = format!("add [[channels.templates]] with item = \"{id}\", or a channel of another kind");
            node.fault("", "pipeline.no-template", what, next);
        }
        return all;
    };
    let mut leaves_by: Vec<String> = Vec::new();
    for name in named {
        let found = channels.iter().find(|channel| channel.name == name);
        let found = found.or_else(|| channels.iter().find(|channel| name == EMAIL && channel.carries_letters()));
        match found {
            Some(channel) if leaves_by.contains(&channel.name) => {
                node.fault(KEY, "pipeline.twice", format!("the channel \"{name}\" is named twice"), "remove one");
            }
            Some(channel) if !carries(channel, id) => {
                let what = format!("the channel \"{name}\" has no approved template for {id}");
                let next = format!("add [[channels.templates]] with item = \"{id}\", or take the channel out here");
                node.fault(KEY, "pipeline.no-template", what, next);
            }
            Some(channel) => leaves_by.push(channel.name.clone()),
            None if name == EMAIL || ChannelKind::WORDS.contains(&name.as_str()) => {}
            None => {
                let what = format!("there is no channel \"{name}\"");
                node.fault(KEY, "pipeline.unknown-channel", what, format!("the pipeline has: {}", known()));
            }
        }
    }
    if leaves_by.is_empty() {
        let what = format!("none of the channels of {id} is one of the pipeline's");
        node.fault(KEY, "pipeline.unknown-channel", what, format!("name one of: {}", known()));
    }
    leaves_by
}

fn carries(channel: &Channel, item: &str) -> bool {
    channel.carries(item, crate::language::Language::Vi)
}

/// `hold_change = { percent = 50, least = 100 }`, or `"never"`; nothing where it is not said.
pub(super) fn hold_change(node: &Node<'_>) -> Option<Option<ChangeBound>> {
    const KEY: &str = "hold_change";
    if node.is_text(KEY) {
        return node.word(KEY, &[("never", None)]);
    }
    let bound = node.table_or_none(KEY)?;
    let number = |key, most| {
        let number = bound.int(key)?;
        in_range(&bound, key, number, 1, most)
    };
    let (percent, least) = (number("percent", 100_000), number("least", i64::from(u32::MAX)));
    bound.done();
    Some(Some(ChangeBound { percent: u32::try_from(percent?).ok()?, least: u32::try_from(least?).ok()? }))
}

fn notice_days(node: &Node<'_>) -> Option<Vec<u16>> {
    let days = node.ints("notice_days")?;
    let days: Option<Vec<u16>> = days.iter().map(|day| u16::try_from(*day).ok()).collect();
    let falls = days.as_ref().is_some_and(|days| !days.is_empty() && days.is_sorted_by(|a, b| a > b));
    if !falls || days.iter().flatten().any(|day| *day > 730) {
        let what = "notice_days is not a falling list of days";
        node.fault("notice_days", "pipeline.notice-days", what, "write it like [60, 30, 7], none over 730");
        return None;
    }
    days
}

/// How long before the due date a dossier counts; it needs a procedure whose dossier it is.
fn dossier_days(node: &Node<'_>, procedure_code: Option<&str>) -> Option<u16> {
    const KEY: &str = "dossier_days";
    if !node.has(KEY) {
        return None;
    }
    if procedure_code.is_none() {
        let next = "add procedure_code, or take dossier_days out";
        node.fault(
            KEY,
            "pipeline.dossier-days",
            "dossier_days is of the dossiers of a procedure, and none is named",
            next,
        );
    }
    u16::try_from(in_range(node, KEY, node.int(KEY)?, 1, 1_095)?).ok()
}

/// The code of the procedure and its path on the portal, where there are such.
fn procedure(node: &Node<'_>) -> (Option<String>, Option<String>) {
    let code = node.text_or_none("procedure_code");
    if code.as_deref().is_some_and(|code| !is_procedure_code(code)) {
        let next = "write it like 1.002755, or leave it out";
        node.fault("procedure_code", "pipeline.procedure-code", "this is not a procedure code", next);
    }
    let path = node.text_or_none("procedure_path");
    if path.as_deref().is_some_and(|path| !path.starts_with('/')) {
        let what = "procedure_path does not begin with /";
        let next = "write the path after the portal's address, or leave it out";
        node.fault("procedure_path", "pipeline.procedure-path", what, next);
    }
    (code, path)
}
