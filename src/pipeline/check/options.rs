//! Reads `[options]` and the outcomes that it switches on, with every fault at its key.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::super::Item;
use super::super::options::{
    ByDueDay, Confidence, Contribution, Criterion, Fee, MEASURED_LEAST, Named, Options, Outcome, Post, READING_DAYS,
    Via, WAYS_MAX, WayThere,
};
use super::super::reader::{Document, Faults, Node};
use super::{done, entries, in_range, is_procedure_code, is_word};
use crate::language::Text;

/// Reads what an agency recommends. `items` is none where those of the pipeline could not be understood.
pub(super) fn options(node: &Node<'_>, root: &Path, items: Option<&[Item]>, faults: &Faults) -> Option<Options> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for name in node.texts("use").unwrap_or_default() {
        if outcomes.iter().any(|outcome| outcome.id == name) {
            node.fault("use", "pipeline.twice", format!("the outcome \"{name}\" is named twice"), "remove one");
            continue;
        }
        let path = PathBuf::from("pipelines/options").join(format!("{name}.toml"));
        if !root.join(&path).is_file() {
            let what = format!("there are no ways for \"{name}\"");
            node.fault("use", "options.unknown-outcome", what, format!("add {}, or correct the name", path.display()));
            continue;
        }
        // Nothing is recommended about an item that is switched off, and it need not be taken out here too.
        if items.is_none_or(|items| items.iter().any(|item| item.id == name)) {
            outcomes.extend(Document::open(root, &path, faults)?.read(|node| outcome(node, &name)));
        }
    }
    let policy = match node.texts_or_none("policy") {
        Some(words) => policy(node, &words),
        None => Some(Options::default().policy),
    };
    let least = in_range(node, "measured_least", node.int_or("measured_least", MEASURED_LEAST.into()), 10, 100_000);
    let reading = in_range(node, "reading_days", node.int_or("reading_days", READING_DAYS.into()), 0, 30);
    Some(Options {
        outcomes,
        policy: policy?,
        measured_least: u32::try_from(least?).ok()?,
        reading_days: u16::try_from(reading?).ok()?,
    })
}

/// Every outcome there is, whether an agency has switched it on or not.
pub(super) fn catalogue(root: &Path, faults: &Faults) -> Options {
    let folder = PathBuf::from("pipelines/options");
    let files = entries(&root.join(&folder), |entry| entry.path().extension().is_some_and(|e| e == "toml"));
    let mut found = Options::default();
    for file in files {
        let document = Document::open(root, &folder.join(&file), faults);
        let id = file.trim_end_matches(".toml");
        found.outcomes.extend(document.and_then(|document| document.read(|node| outcome(node, id))));
    }
    found
}

/// Every criterion once.
fn policy(node: &Node<'_>, words: &[String]) -> Option<Vec<Criterion>> {
    let known = |word: &String| Criterion::WORDS.iter().find(|(known, _)| known == word).map(|(_, found)| *found);
    let found: Vec<Criterion> = words.iter().filter_map(known).collect();
    let once: BTreeSet<Criterion> = found.iter().copied().collect();
    if found.len() == words.len() && once.len() == words.len() && once.len() == Criterion::WORDS.len() {
        return Some(found);
    }
    let list: Vec<_> = Criterion::WORDS.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let next = format!("write each of {} once, what counts most first", list.join(", "));
    node.fault("policy", "options.policy", "policy does not order every criterion once", next);
    None
}

fn outcome(node: &Node<'_>, id: &str) -> Option<Outcome> {
    let title = node.both("title");
    let by_due_day = node.word("by_due_day", &ByDueDay::WORDS);
    let (statuses, reasons, rights) = (named(node, "statuses"), named(node, "reasons"), named(node, "rights"));
    // The table is in alphabetical order; the file says which status is the ordinary one.
    let ordinary = node.text("ordinary_status");
    let mut statuses = statuses;
    if let Some(ordinary) = &ordinary {
        match statuses.iter().position(|status| status.word == *ordinary) {
            Some(at) => statuses.rotate_left(at),
            None => node.fault(
                "ordinary_status",
                "options.unknown-status",
                format!("there is no status \"{ordinary}\""),
                "add it to [statuses], or correct the word",
            ),
        }
        // Only the first changed its place: the others stay in the order of their words.
        if let Some((_, others)) = statuses.split_first_mut() {
            others.sort_by(|a, b| a.word.cmp(&b.word));
        }
    }
    let contributions = contributions(node);
    let nodes = node.array("option");
    let mut ways: Vec<WayThere> = Vec::new();
    for way_node in &nodes {
        let Some(way) = done(way_node, |node| way(node, &statuses)) else { continue };
        if way.months.is_some() && contributions.is_empty() {
            let next = "declare [[contribution]], or take months out";
            way_node.fault("months", "options.no-contribution", "no contribution is paid by the month", next);
        }
        if ways.iter().any(|other| other.id == way.id) {
            way_node.fault("id", "pipeline.twice", format!("the option {} is declared twice", way.id), "rename one");
            continue;
        }
        ways.push(way);
    }
    if !(2..=WAYS_MAX).contains(&nodes.len()) {
        let what = format!("the outcome {id} has {} options", nodes.len());
        node.fault("option", "options.count", what, format!("declare 2 to {WAYS_MAX}: one alone is no choice"));
    }
    ordinary?;
    Some(Outcome {
        id: id.to_owned(),
        title: title?,
        by_due_day: by_due_day?,
        statuses,
        reasons,
        rights,
        contributions,
        ways,
    })
}

/// `[[contribution]]`: what is paid by the month, one term after the other.
fn contributions(node: &Node<'_>) -> Vec<Contribution> {
    let mut found: Vec<Contribution> = Vec::new();
    for node in node.array("contribution") {
        let Some(one) = done(&node, contribution) else { continue };
        if let Some(other) = found.iter().find(|other| overlap((other.from, other.to), (one.from, one.to))) {
            let what = format!("two contributions hold on {}", one.from.max(other.from));
            node.fault("from", "options.fee-overlap", what, "end the earlier one the day before");
        }
        found.push(one);
    }
    found
}

fn contribution(node: &Node<'_>) -> Option<Contribution> {
    let base_vnd = if node.has("base_vnd") { Some(vnd(node, "base_vnd")?) } else { None };
    let per_mille = node.int("per_mille").and_then(|part| in_range(node, "per_mille", part, 1, 1000));
    let percents = node.ints("member_percents").unwrap_or_default();
    let percents = percents.into_iter().map(|part| in_range(node, "member_percents", part, 0, 100));
    let percents: Option<Vec<u8>> = percents.map(|part| u8::try_from(part?).ok()).collect();
    let (from, to) = term(node, "from", "to");
    let reference = node.both("reference");
    let (confidence, source) = known(node);
    Some(Contribution {
        base_vnd,
        per_mille: u16::try_from(per_mille?).ok()?,
        member_percents: percents?,
        from: from?,
        to,
        reference: reference?,
        confidence: confidence?,
        source,
    })
}

/// Whether two terms share a day.
fn overlap((from, to): (Date, Option<Date>), (other_from, other_to): (Date, Option<Date>)) -> bool {
    let reaches = |end: Option<Date>, from: Date| end.is_none_or(|end| end >= from);
    reaches(to, other_from) && reaches(other_to, from)
}

/// An amount of money.
fn vnd(node: &Node<'_>, key: &str) -> Option<u32> {
    let vnd = node.int(key).and_then(|vnd| in_range(node, key, vnd, 0, 1_000_000_000));
    u32::try_from(vnd?).ok()
}

/// `[reasons]` and the like: a text in both languages for each word.
fn named(node: &Node<'_>, key: &str) -> Vec<Named> {
    let Some(table) = node.table_or_none(key) else { return Vec::new() };
    let mut found = Vec::new();
    for word in table.keys() {
        if !is_word(&word) {
            let what = format!("\"{word}\" cannot be a word of a select");
            table.fault(&word, "pipeline.bad-name", what, "use lower-case letters, digits and _");
        }
        found.extend(table.both(&word).map(|title| Named { word, title }));
    }
    table.done();
    found
}

fn way(node: &Node<'_>, statuses: &[Named]) -> Option<WayThere> {
    let id = node.text("id");
    if id.as_deref().is_some_and(|id| !is_word(id)) {
        let next = "use lower-case letters, digits and _, beginning with a letter";
        node.fault("id", "pipeline.bad-name", "this cannot be the word of an option", next);
    }
    let (title, reference) = (node.both("title"), node.both("reference"));
    let via = node.word("via", &Via::WORDS);
    let procedure_code = node.text_or_none("procedure_code");
    if procedure_code.as_deref().is_some_and(|code| !is_procedure_code(code)) {
        let next = "write it like 1.002755, or leave it out";
        node.fault("procedure_code", "pipeline.procedure-code", "this is not a procedure code", next);
    }
    let mark = node.text_or_none("mark");
    if mark.as_deref().is_some_and(|mark| !is_word(mark)) {
        let next = "use lower-case letters, digits and _, beginning with a letter";
        node.fault("mark", "pipeline.bad-name", "this cannot be the mark of an option", next);
    }
    let (from, to) = term(node, "in_force_from", "in_force_to");
    let (confidence, source) = known(node);
    let working_days = node.int("working_days").and_then(|days| in_range(node, "working_days", days, 0, 730));
    let post = node.table_or_none("post").and_then(|node| done(&node, post));
    let months = node.has("months").then(|| node.int("months").and_then(|n| in_range(node, "months", n, 1, 120)));
    let visits = node.int("visits").and_then(|visits| in_range(node, "visits", visits, 0, 20));
    let (steps, documents, duties) = (texts(node, "steps"), texts(node, "documents"), texts(node, "duties"));
    let mut fees: Vec<Fee> = Vec::new();
    for fee_node in node.array("fee") {
        let Some(fee) = done(&fee_node, |node| fee(node, statuses)) else { continue };
        let overlaps = |other: &&Fee| other.status == fee.status && overlap((other.from, other.to), (fee.from, fee.to));
        if let Some(other) = fees.iter().find(overlaps) {
            let day = fee.from.max(other.from);
            let what = format!("two fees of the status \"{}\" hold on {day}", fee.status);
            fee_node.fault("from", "options.fee-overlap", what, "end the earlier one the day before");
        }
        fees.push(fee);
    }
    Some(WayThere {
        id: id?,
        title: title?,
        via: via?,
        procedure_code,
        mark,
        in_force_from: from?,
        in_force_to: to,
        reference: reference?,
        confidence: confidence?,
        source,
        working_days: u16::try_from(working_days?).ok()?,
        post,
        months: match months {
            Some(months) => Some(u16::try_from(months?).ok()?),
            None => None,
        },
        visits: u16::try_from(visits?).ok()?,
        steps,
        documents,
        duties,
        fees,
    })
}

/// `[option.post]`: the days on the road, and the postage where the tariff is known.
fn post(node: &Node<'_>) -> Option<Post> {
    let working_days = node.int("working_days").and_then(|days| in_range(node, "working_days", days, 0, 60));
    let vnd = if node.has("vnd") { Some(vnd(node, "vnd")?) } else { None };
    let (confidence, _) = known(node);
    Some(Post { working_days: u16::try_from(working_days?).ok()?, vnd, confidence: confidence? })
}

fn fee(node: &Node<'_>, statuses: &[Named]) -> Option<Fee> {
    let status = node.text("status");
    if let Some(status) = status.as_deref().filter(|word| !statuses.iter().any(|known| known.word == *word)) {
        let list: Vec<&str> = statuses.iter().map(|known| known.word.as_str()).collect();
        let next = format!("write one of {}, or add it to [statuses]", list.join(", "));
        node.fault("status", "options.unknown-status", format!("there is no status \"{status}\""), next);
    }
    // An amount, or what is known instead: never both, and never a 0 for what nobody knows.
    let unknown = if node.has("unknown") { node.both("unknown") } else { None };
    let amount = if unknown.is_some() && !node.has("vnd") { None } else { Some(vnd(node, "vnd")) };
    if unknown.is_some() && amount.is_some() {
        let next = "write vnd where the amount is known, unknown where it is not";
        node.fault("unknown", "options.amount", "the fee has an amount and is not known", next);
    }
    let (from, to) = term(node, "from", "to");
    let reference = node.both("reference");
    let (confidence, source) = known(node);
    let vnd = match amount {
        Some(amount) => Some(amount?),
        None => None,
    };
    Some(Fee { status: status?, vnd, unknown, from: from?, to, reference: reference?, confidence: confidence?, source })
}

/// The first and the last day of something that holds for a time.
fn term(node: &Node<'_>, from_key: &str, to_key: &str) -> (Option<Date>, Option<Date>) {
    let (from, to) = (node.date(from_key), node.date_or_none(to_key));
    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        node.fault(to_key, "pipeline.term", "it ends before it begins", "correct the dates");
    }
    (from, to)
}

/// How well a fact is known, and where it was read: what is not called unsourced has a source.
fn known(node: &Node<'_>) -> (Option<Confidence>, Option<String>) {
    let confidence = node.word("confidence", &Confidence::WORDS);
    let source = node.text_or_none("source");
    if source.as_deref().is_some_and(|source| !source.starts_with("https://") && !source.starts_with("http://")) {
        let next = "write the address of the page on which it was read, or leave it out";
        node.fault("source", "pipeline.web-address", "source is not a web address", next);
    }
    if confidence == Some(Confidence::Unsourced) && source.is_some() {
        let next = "say how well the source knows it (A, B or C), or take the source out";
        node.fault("confidence", "options.sourced", "it is called unsourced and has a source", next);
    }
    (confidence, source)
}

/// A list of texts in both languages; none where nothing is said.
fn texts(node: &Node<'_>, key: &str) -> Vec<Text> {
    let read = |node: &Node<'_>| {
        let (vi, en) = (node.text("vi"), node.text("en"));
        Some(Text { vi: vi?, en: en? })
    };
    node.array(key).iter().filter_map(|node| done(node, read)).collect()
}
