//! Reads `[attention]` and `[serve]`: when people may be written to, how often, and where they refuse.

use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::civil::Time;

use super::super::attention::{Attention, Breaker, LEAD_DAYS, Quiet, Serve};
use super::super::blind::Scale;
use super::super::reader::Node;
use super::super::secret::SecretRef;
use super::super::{Channel, ChannelKind};
use super::channel::secret_at;
use super::{done, in_range, web_address};

/// What a pipeline says in `[attention]`, and what goes without saying for its channels.
pub(super) fn attention(pipeline: &Node<'_>, channels: Option<&[Channel]>) -> Option<Attention> {
    let reaches_people =
        channels.unwrap_or_default().iter().any(|channel| !matches!(channel.kind, ChannelKind::Folder));
    let otherwise = if reaches_people { Attention::CONSIDERATE } else { Attention::ANY_TIME };
    match pipeline.table_or_none("attention") {
        None => Some(otherwise),
        Some(node) => done(&node, |node| said(node, &otherwise)),
    }
}

fn said(node: &Node<'_>, otherwise: &Attention) -> Option<Attention> {
    let quiet = quiet(node, otherwise.quiet);
    let words = [("closed", true), ("open", false)];
    let is_closed_on_tet = node.word_or("tet", &words, otherwise.is_closed_on_tet);
    let most_per_week = match node.has("most_per_week") {
        true => in_range(node, "most_per_week", node.int("most_per_week")?, 1, 100).map(Some),
        false => Some(None),
    };
    // Where nothing can keep a message from its day, nobody looks further ahead than the longest notice.
    let may_move = is_closed_on_tet || node.has("most_per_week");
    let otherwise_lead = if may_move { LEAD_DAYS } else { 0 };
    let lead_days = in_range(node, "lead_days", node.int_or("lead_days", otherwise_lead.into()), 0, 60);
    let shared = node.text_or_none("shared").map(PathBuf::from);
    if shared.as_ref().is_some_and(|path| path.is_relative()) {
        let what = "the path of the shared folder does not begin with /";
        let next = "write the whole path: every agency of the machine must mean the same folder";
        node.fault("shared", "pipeline.shared-folder", what, next);
    }
    Some(Attention {
        quiet: quiet?,
        is_closed_on_tet,
        most_per_week: most_per_week?.and_then(|most| u16::try_from(most).ok()),
        is_digested: node.bool_or("digest", otherwise.is_digested),
        lead_days: u16::try_from(lead_days?).ok()?,
        shared,
        per_second: rate(node, "per_second")?,
        breaker: node.table_or_none("breaker").map_or(Some(otherwise.breaker), |node| done(&node, breaker))?,
    })
}

/// Messages in a second, where the file says; the outer none is a fault.
pub(super) fn rate(node: &Node<'_>, key: &str) -> Option<Option<u32>> {
    if !node.has(key) {
        return Some(None);
    }
    let rate = in_range(node, key, node.int(key)?, 1, 100_000)?;
    u32::try_from(rate).ok().map(Some)
}

/// `breaker = { from = 1000, warn_percent = 5, stop_percent = 10 }`.
fn breaker(node: &Node<'_>) -> Option<Breaker> {
    let usual = Breaker::USUAL;
    let number = |key: &str, otherwise: u64, high: i64| {
        let otherwise = i64::try_from(otherwise).unwrap_or(high);
        in_range(node, key, node.int_or(key, otherwise), 1, high).and_then(|number| u64::try_from(number).ok())
    };
    let from = number("from", usual.from, 10_000_000);
    let stop_percent = number("stop_percent", usual.stop_percent, 100);
    let warn_percent = number("warn_percent", usual.warn_percent.min(stop_percent.unwrap_or(100)), 100);
    let breaker = Breaker { from: from?, warn_percent: warn_percent?, stop_percent: stop_percent? };
    if breaker.warn_percent > breaker.stop_percent {
        let what = "the breaker warns later than it stops";
        node.fault("warn_percent", "pipeline.breaker", what, "write a number that is not above stop_percent");
    }
    Some(breaker)
}

/// `quiet = { from = "21:00", to = "08:00" }`, or `"never"`.
fn quiet(node: &Node<'_>, otherwise: Option<Quiet>) -> Option<Option<Quiet>> {
    const KEY: &str = "quiet";
    if node.is_text(KEY) {
        return node.word(KEY, &[("never", None)]);
    }
    let Some(hours) = node.table_or_none(KEY) else { return Some(otherwise) };
    let (from, to) = (hour(&hours, "from"), hour(&hours, "to"));
    hours.done();
    let (from, to) = (from?, to?);
    if from == to {
        let what = "the quiet hours end when they begin";
        node.fault(KEY, "pipeline.quiet", what, "write two different times, or quiet = \"never\"");
        return None;
    }
    Some(Some(Quiet { from, to }))
}

fn hour(node: &Node<'_>, key: &str) -> Option<Time> {
    let text = node.text(key)?;
    let is_form = matches!(text.as_bytes(), [_, _, b':', _, _] | [_, _, b':', _, _, b':', _, _]);
    let time = text.parse::<Time>().ok().filter(|_| is_form);
    if time.is_none() {
        let what = format!("{key} = \"{text}\" is not a time of the day");
        node.fault(key, "pipeline.quiet", what, "write it like \"21:00\"");
    }
    time
}

/// `[serve]`: the process that answers when a person refuses.
pub(super) fn serve(node: &Node<'_>, channels: &[Channel]) -> Option<Serve> {
    let base_url = web_address(node, "base_url");
    let listen = node.text_or_none("listen").unwrap_or_else(|| LISTEN.to_owned());
    let address = listen.parse::<SocketAddr>();
    if address.is_err() {
        let what = format!("listen = \"{listen}\" is not an address with a port");
        node.fault("listen", "pipeline.listen", what, format!("write it like \"{LISTEN}\""));
    }
    let ratings = match node.has("ratings") {
        true => Some(node.word("ratings", &[("three", Scale::Three), ("five", Scale::Five)])?),
        false => None,
    };
    let receipts = receipts(node, channels)?;
    Some(Serve { base_url: base_url?, listen: address.ok()?, ratings, receipts })
}

/// `receipts = { sms = { file = "/run/secrets/sms-receipts" } }`
fn receipts(node: &Node<'_>, channels: &[Channel]) -> Option<Vec<(String, SecretRef)>> {
    let Some(table) = node.table_or_none("receipts") else { return Some(Vec::new()) };
    let mut read = Vec::new();
    for name in table.keys() {
        let channel = channels.iter().find(|channel| channel.name == name);
        if channel.is_none_or(|channel| channel.carries_letters()) {
            let what = format!("there is no channel \"{name}\" of short messages");
            let next = "name a channel of the kind zns, sms or webhook; letters come back through [mail.mailbox]";
            table.fault(&name, "pipeline.unknown-channel", what, next);
        }
        read.push(secret_at(&table, &name).map(|secret| (name, secret)));
    }
    table.done();
    read.into_iter().collect()
}

/// Loopback: what is not said is not reachable from outside.
const LISTEN: &str = "127.0.0.1:8433";
