//! Reads every file of `pipelines/` into a [`Pipeline`], with all faults at once.

mod attention;
mod blind;
mod calendar;
mod catalogue;
mod channel;
mod exact;
mod form;
mod indices;
mod item;
mod law;
mod mail;
mod options;
mod privacy;
mod publication;
mod retention;
mod shared;
mod source;
mod zns;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::calendar::LegalCalendar;
use super::indices::Definition;
use super::law::Law;
use super::options::Confidence;
use super::reader::{Document, Faults, Node};
use super::{
    Agency, ChangeBound, Channel, Commune, Item, Missed, Pipeline, ProcedureGroup, Schedule, StandardTable, Unit,
};
use calendar::read_calendar;
pub use catalogue::{catalogue, items};
use channel::channels;
use indices::read_indices;
use privacy::privacy;
use shared::{read_law, read_procedure_groups, read_standard_tables};
use source::source;

/// Reads and checks the pipeline of one agency under `root`.
///
/// The value is there when the file could be understood well enough to look
/// further; it may be used only when `faults` stayed empty.
pub fn read(root: &Path, agency: &str, faults: &Faults) -> Option<Pipeline> {
    let path = PathBuf::from("pipelines").join(agency).join("pipeline.toml");
    let law = read_law(root, faults);
    let calendar = read_calendar(root, faults);
    let indices = read_indices(root, faults);
    let standard_tables = read_standard_tables(root, faults);
    let procedure_groups = read_procedure_groups(root, faults);
    let document = Document::open(root, &path, faults)?;
    document.read(|node| {
        let parts = Parts { root, law, indices, calendar, standard_tables, procedure_groups, faults };
        pipeline(node, agency, path.clone(), parts)
    })
}

/// The agencies that have a folder with a `pipeline.toml`, in alphabetical order.
pub fn agencies(root: &Path) -> Vec<String> {
    folders(&root.join("pipelines"))
        .into_iter()
        .filter(|name| root.join("pipelines").join(name).join("pipeline.toml").is_file())
        .collect()
}

struct Parts<'a> {
    root: &'a Path,
    law: Law,
    indices: Vec<Definition>,
    calendar: LegalCalendar,
    standard_tables: Vec<StandardTable>,
    procedure_groups: Vec<ProcedureGroup>,
    faults: &'a Faults,
}

fn pipeline(node: &Node<'_>, id: &str, path: PathBuf, parts: Parts<'_>) -> Option<Pipeline> {
    let agency = node.table("agency").and_then(|n| done(&n, agency));
    let schedule = node.table("schedule").and_then(|n| done(&n, schedule));
    let channels = channels(node, agency.as_ref());
    let attention = attention::attention(node, channels.as_deref());
    let retention =
        node.table_or_none("retention").map_or_else(|| Some(Default::default()), |n| done(&n, retention::retention));
    let known = channels.as_deref().unwrap_or_default();
    let serve = node.table_or_none("serve").map(|n| done(&n, |n| attention::serve(n, known)));
    let items = node.table("items").and_then(|n| {
        let names = n.texts("use");
        let items = names.map(|names| read_items(&n, &names, channels.as_deref(), &parts));
        n.done();
        items
    });
    let (dossiers, dossiers_on_paper) = node.table_or_none("dossiers").map_or_else(Default::default, |n| {
        let known = items.as_deref().unwrap_or_default();
        let forms = form::dossiers(&n, parts.root, known, &parts.standard_tables, parts.faults);
        let on_paper = n.bool_or("paper", false);
        n.done();
        (forms, on_paper)
    });
    if !dossiers.is_empty() && !node.has("serve") {
        let what = "dossiers are prepared, and there is no page on which people see them";
        let next = "add [serve] with base_url = \"https://...\"; chudong serve answers there";
        node.fault("dossiers", "pipeline.dossiers-without-page", what, next);
    }
    for form in dossiers.iter().filter(|form| form.confidence == Confidence::Unsourced && node.has("submission")) {
        let (item, code) = (&form.item, &form.procedure);
        let what = format!("the procedure code {code} of {item} is not sourced, and the portal files dossiers by it");
        let next =
            format!("look it up in the national catalogue, and write it there: procedures = {{ {item} = \"...\" }}");
        node.fault("dossiers", "pipeline.procedure-unsourced", what, &next);
    }
    if !dossiers.is_empty() && !dossiers_on_paper && !node.has("submission") {
        let what = "people confirm dossiers, and there is no way by which these leave";
        let next = "add [submission] for the portal, or paper = true where somebody prints them with \
                    `chudong submit --paper DIR` and takes them to whoever decides";
        node.fault("dossiers", "pipeline.dossiers-without-way", what, next);
    }
    let mail = node.table_or_none("mail").map_or_else(|| Some(Default::default()), |n| done(&n, mail::mail));
    let lead_days = attention.as_ref().map_or(0, |attention| attention.lead_days);
    let level = |item: &Item| match dossiers.iter().any(|form| form.item == item.id) {
        true => item.level.max(2),
        false => item.level,
    };
    let items: Option<Vec<Item>> =
        items.map(|items| items.into_iter().map(|item| Item { lead_days, level: level(&item), ..item }).collect());
    let unit = node.table("unit").and_then(|n| done(&n, unit));
    let mut sources = Vec::new();
    for (name, source_node) in node.named("sources") {
        if !is_word(&name) {
            let next = "use lower-case letters, digits and _, beginning with a letter";
            source_node.fault("", "pipeline.bad-name", format!("\"{name}\" cannot be the name of a source"), next);
        }
        if [
            "staging",
            "law",
            "law_versions",
            "calendar",
            "codes",
            "obligations",
            "reminders",
            "history",
            "options",
            "satisfaction",
            "quality",
            "indices",
            "checks",
            "dossiers",
            "published",
        ]
        .contains(&name.as_str())
        {
            let what = format!("\"{name}\" is a name of our own and cannot be a source's");
            source_node.fault("", "pipeline.bad-name", what, "choose another name");
        }
        sources.extend(source(&name, &source_node, &parts.law));
        source_node.done();
    }
    if node.named("sources").is_empty() {
        node.fault("sources", "pipeline.no-source", "the pipeline reads no source", "add a [sources.<name>] table");
    }
    blind::check(node, &sources);
    let privacy = node.table_or_none("privacy").map(|n| done(&n, privacy));
    let privacy = match privacy {
        None => None,
        Some(checked) => Some(checked?),
    };
    let exact =
        node.table_or_none("exact").map(|n| done(&n, |n| exact::exact(n, &parts.procedure_groups, &parts.indices)));
    let exact = match exact {
        None => None,
        Some(checked) => Some(checked?),
    };
    let analysts = node.table_or_none("analysts").map(|n| done(&n, exact::analysts));
    let analysts = match analysts {
        None => None,
        Some(checked) => Some(checked?),
    };
    let terms = node.table_or_none("publication");
    let terms = terms.map_or_else(|| Some(Default::default()), |n| done(&n, publication::publication));
    let push = node.table_or_none("push").map(|n| done(&n, publication::push));
    let options = node.table_or_none("options");
    let options = options.map(|n| done(&n, |n| options::options(n, parts.root, items.as_deref(), parts.faults)));
    let submission = node.table_or_none("submission").map(|n| done(&n, |n| publication::submission(n, &sources)));
    let pipeline = Pipeline {
        id: id.to_owned(),
        path,
        agency: agency?,
        schedule: schedule?,
        items: items?,
        channels: channels?,
        mail: mail?,
        attention: attention?,
        serve: serve.map_or(Some(None), |serve| serve.map(Some))?,
        retention: retention?,
        dossiers,
        dossiers_on_paper,
        unit: unit?,
        procedure_groups: parts.procedure_groups,
        sources,
        standard_tables: parts.standard_tables,
        law: parts.law,
        indices: parts.indices,
        calendar: parts.calendar,
        privacy,
        exact,
        analysts,
        options: options.unwrap_or_else(|| Some(Default::default()))?,
        publication: terms?,
        push: push.map_or(Some(None), |push| push.map(Some))?,
        submission: submission.map_or(Some(None), |submission| submission.map(Some))?,
    };
    exact::together(node, &pipeline);
    Some(pipeline)
}

fn done<T>(node: &Node<'_>, read: impl FnOnce(&Node<'_>) -> Option<T>) -> Option<T> {
    let value = read(node);
    node.done();
    value
}

fn agency(node: &Node<'_>) -> Option<Agency> {
    let name = node.both("name");
    let contact = node.both("contact");
    let portal = web_address(node, "portal");
    let refuse = web_address(node, "refuse");
    Some(Agency { name: name?, contact: contact?, portal: portal?, refuse: refuse? })
}

fn web_address(node: &Node<'_>, key: &str) -> Option<String> {
    let text = node.text(key)?;
    if !text.starts_with("https://") || text.contains(char::is_whitespace) {
        let what = format!("{key} = \"{text}\" is not a web address");
        node.fault(key, "pipeline.web-address", what, "write an address that begins with https://");
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

fn schedule(node: &Node<'_>) -> Option<Schedule> {
    let missed =
        node.word_or("missed", &[("none", Missed::None), ("last", Missed::Last), ("all", Missed::All)], Missed::Last);
    let cron = node.text("cron")?;
    if let Err(why) = crate::calendar::cron::Cron::parse(&cron) {
        node.fault("cron", "pipeline.cron", format!("cron = \"{cron}\": {why}"), why.next());
        return None;
    }
    Some(Schedule { cron, missed })
}

/// The items that may have been meant: those that share a word with a name that is not one.
fn like(name: &str, known: &[String]) -> String {
    let shares = |item: &&String| item.split('_').any(|word| name.split('_').any(|other| other == word));
    let alike: Vec<&str> = known.iter().filter(shares).map(String::as_str).collect();
    match alike.as_slice() {
        [] => "see pipelines/items/ for those there are".into(),
        alike => format!("perhaps {} is meant; see pipelines/items/ for those there are", alike.join(" or ")),
    }
}

fn read_items(node: &Node<'_>, names: &[String], channels: Option<&[Channel]>, parts: &Parts<'_>) -> Vec<Item> {
    let known = catalogue::items(parts.root);
    let held = item::hold_change(node).unwrap_or_else(|| Some(ChangeBound::default()));
    let mut items: Vec<Item> = Vec::new();
    for name in names {
        if !known.contains(name) {
            let what = format!("there is no item \"{name}\"");
            node.fault("use", "pipeline.unknown-item", what, like(name, &known));
            continue;
        }
        if items.iter().any(|item| item.id == *name) {
            node.fault("use", "pipeline.twice", format!("the item \"{name}\" is named twice"), "remove one");
            continue;
        }
        items.extend(read_item(parts.root, name, &parts.law, held, channels, parts.faults));
    }
    items
}

/// `channels` is none where those of the pipeline could not be understood, or where there is no pipeline.
fn read_item(
    root: &Path,
    name: &str,
    law: &Law,
    held: Option<ChangeBound>,
    channels: Option<&[Channel]>,
    faults: &Faults,
) -> Option<Item> {
    let path = PathBuf::from("pipelines/items").join(name).join("item.toml");
    Document::open(root, &path, faults)?.read(|node| item::item(node, name, law, held, channels))
}

fn is_procedure_code(code: &str) -> bool {
    matches!(code.split_once('.'), Some((head, tail))
        if head.len() == 1 && tail.len() == 6 && (head.to_owned() + tail).bytes().all(|b| b.is_ascii_digit()))
}

fn unit(node: &Node<'_>) -> Option<Unit> {
    let code = node.text("code");
    let name = node.both("name");
    let mut communes: Vec<Commune> = Vec::new();
    for commune_node in node.array("communes") {
        if let Some(code) = commune_node.text("code") {
            if code.len() != 5 || !code.bytes().all(|b| b.is_ascii_digit()) {
                let what = format!("\"{code}\" is not a commune's code");
                commune_node.fault(
                    "code",
                    "pipeline.commune-code",
                    what,
                    "write five digits (Decision 19/2025/QĐ-TTg)",
                );
            }
            if communes.iter().any(|commune| commune.code == code) {
                commune_node.fault("code", "pipeline.twice", format!("commune {code} is named twice"), "remove one");
            }
            if let Some(name) = commune_node.both("name") {
                communes.push(Commune { code, name });
            }
        }
        commune_node.done();
    }
    if communes.is_empty() {
        node.fault("communes", "toml.empty", "the unit has no commune", "list its communes: figures need their codes");
    }
    Some(Unit { code: code?, name: name?, communes })
}

fn in_range(node: &Node<'_>, key: &str, value: i64, low: i64, high: i64) -> Option<i64> {
    if (low..=high).contains(&value) {
        return Some(value);
    }
    let what = format!("{key} = {value} is out of range");
    node.fault(key, "pipeline.out-of-range", what, format!("write a number from {low} to {high}"));
    None
}

/// Lower-case letters, digits and `_`, beginning with a letter: safe as a name in SQL and as a file.
pub fn is_word(name: &str) -> bool {
    name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && name.len() <= 63
}

fn folders(path: &Path) -> Vec<String> {
    entries(path, |entry| entry.path().is_dir())
}

fn entries(path: &Path, keep: impl Fn(&std::fs::DirEntry) -> bool) -> Vec<String> {
    let Ok(listing) = std::fs::read_dir(path) else { return Vec::new() };
    let names: BTreeSet<String> =
        listing.flatten().filter(keep).filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.into_iter().collect()
}
