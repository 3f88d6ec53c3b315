//! Reads every file of `pipelines/` into a [`Pipeline`], with all faults at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::authorisation::{Authorisation, Class, Purpose};
use super::law::{Law, Rule, Version};
use super::reader::{Document, Faults, Node};
use super::secret::SecretRef;
use super::{
    Agency, Bins, Channel, ChannelKind, Column, Commune, Counted, Dimension, Item, Measure, Missed, OnFault, Pipeline,
    PrivacyPolicy, ProcedureGroup, Rho, Schedule, Smtp, Source, SourceKind, SourceTable, StandardTable, Tls, Type,
    Uncertain, Unit,
};
use crate::fault::Place;

/// Reads and checks the pipeline of one agency under `root`.
///
/// The value is there when the file could be understood well enough to look
/// further; it may be used only when `faults` stayed empty.
pub fn read(root: &Path, agency: &str, faults: &Faults) -> Option<Pipeline> {
    let path = PathBuf::from("pipelines").join(agency).join("pipeline.toml");
    let law = read_law(root, faults);
    let standard_tables = read_standard_tables(root, faults);
    let procedure_groups = read_procedure_groups(root, faults);
    let document = Document::open(root, &path, faults)?;
    document.read(|node| {
        let parts = Parts { root, law, standard_tables, procedure_groups, faults };
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
    standard_tables: Vec<StandardTable>,
    procedure_groups: Vec<ProcedureGroup>,
    faults: &'a Faults,
}

fn pipeline(node: &Node<'_>, id: &str, path: PathBuf, parts: Parts<'_>) -> Option<Pipeline> {
    let agency = node.table("agency").and_then(|n| done(&n, agency));
    let schedule = node.table("schedule").and_then(|n| done(&n, schedule));
    let items = node.table("items").and_then(|n| {
        let names = n.texts("use");
        let items = names.map(|names| read_items(&n, &names, &parts));
        n.done();
        items
    });
    let channel = node.table("channel").and_then(|n| done(&n, channel));
    let unit = node.table("unit").and_then(|n| done(&n, unit));
    let mut sources = Vec::new();
    for (name, source_node) in node.named("sources") {
        if !is_word(&name) {
            let next = "use lower-case letters, digits and _, beginning with a letter";
            source_node.fault("", "pipeline.bad-name", format!("\"{name}\" cannot be the name of a source"), next);
        }
        if ["staging", "law", "codes", "obligations", "satisfaction", "quality", "checks", "published"]
            .contains(&name.as_str())
        {
            let what = format!("\"{name}\" is a name of our own and cannot be a source's");
            source_node.fault("", "pipeline.bad-name", what, "choose another name");
        }
        sources.extend(source(&name, &source_node));
        source_node.done();
    }
    if node.named("sources").is_empty() {
        node.fault("sources", "pipeline.no-source", "the pipeline reads no source", "add a [sources.<name>] table");
    }
    let privacy = node.table_or_none("privacy").map(|n| done(&n, privacy));
    let privacy = match privacy {
        None => None,
        Some(checked) => Some(checked?),
    };
    Some(Pipeline {
        id: id.to_owned(),
        path,
        agency: agency?,
        schedule: schedule?,
        items: items?,
        channel: channel?,
        unit: unit?,
        procedure_groups: parts.procedure_groups,
        sources,
        standard_tables: parts.standard_tables,
        law: parts.law,
        privacy,
    })
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

fn read_items(node: &Node<'_>, names: &[String], parts: &Parts<'_>) -> Vec<Item> {
    let known = folders(&parts.root.join("pipelines/items"));
    let mut items: Vec<Item> = Vec::new();
    for name in names {
        if !known.contains(name) {
            let what = format!("there is no item \"{name}\"");
            node.fault("use", "pipeline.unknown-item", what, format!("items are: {}", known.join(", ")));
            continue;
        }
        if items.iter().any(|item| item.id == *name) {
            node.fault("use", "pipeline.twice", format!("the item \"{name}\" is named twice"), "remove one");
            continue;
        }
        let path = PathBuf::from("pipelines/items").join(name).join("item.toml");
        if let Some(document) = Document::open(parts.root, &path, parts.faults) {
            items.extend(document.read(|node| item(node, name, &parts.law)));
        }
    }
    items
}

fn item(node: &Node<'_>, id: &str, law: &Law) -> Option<Item> {
    let title = node.both("title");
    let rules = node.texts("rules").unwrap_or_default();
    for rule in rules.iter().filter(|rule| law.rule(rule).is_none()) {
        let what = format!("there is no rule \"{rule}\"");
        node.fault(
            "rules",
            "pipeline.unknown-rule",
            what,
            format!("add pipelines/law/{rule}.toml, or correct the name"),
        );
    }
    let level = in_range(node, "level", node.int_or("level", 1), 1, 4);
    let notice_days = node.ints("notice_days").and_then(|days| {
        let days: Option<Vec<u16>> = days.iter().map(|day| u16::try_from(*day).ok()).collect();
        let falls = days.as_ref().is_some_and(|days| !days.is_empty() && days.is_sorted_by(|a, b| a > b));
        if !falls || days.iter().flatten().any(|day| *day > 730) {
            let what = "notice_days is not a falling list of days";
            node.fault("notice_days", "pipeline.notice-days", what, "write it like [60, 30, 7], none over 730");
            return None;
        }
        days
    });
    let procedure_code = node.text_or_none("procedure_code");
    if procedure_code.as_deref().is_some_and(|code| !is_procedure_code(code)) {
        let next = "write it like 1.002755, or leave it out";
        node.fault("procedure_code", "pipeline.procedure-code", "this is not a procedure code", next);
    }
    let procedure_path = node.text("procedure_path");
    if procedure_path.as_deref().is_some_and(|path| !path.starts_with('/')) {
        let what = "procedure_path does not begin with /";
        node.fault("procedure_path", "pipeline.procedure-path", what, "write the path after the portal's address");
    }
    let uncertain = node.word_or(
        "uncertain",
        &[("resend", Uncertain::Resend), ("leave_to_clerk", Uncertain::LeaveToClerk)],
        Uncertain::LeaveToClerk,
    );
    Some(Item {
        id: id.to_owned(),
        title: title?,
        level: u8::try_from(level?).ok()?,
        rules,
        notice_days: notice_days?,
        procedure_code,
        procedure_path: procedure_path?,
        uncertain,
    })
}

fn is_procedure_code(code: &str) -> bool {
    matches!(code.split_once('.'), Some((head, tail))
        if head.len() == 1 && tail.len() == 6 && (head.to_owned() + tail).bytes().all(|b| b.is_ascii_digit()))
}

/// Whether text has the form of a mail address, `name@agency.example`.
///
/// This is narrower than RFC 5322: no quotes, no comments, no host without a dot. An
/// agency that writes to people has a plain address, and anything else is a slip.
fn is_address(text: &str) -> bool {
    let is_name = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    };
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match text.rsplit_once('@') {
        Some((name, host)) => {
            name.len() <= 64
                && host.len() <= 253
                && host.contains('.')
                && name.split('.').all(is_name)
                && host.split('.').all(is_label)
        }
        None => false,
    }
}

fn channel(node: &Node<'_>) -> Option<Channel> {
    let from = node.text("from");
    if from.as_deref().is_some_and(|from| !is_address(from)) {
        node.fault("from", "pipeline.address", "from is not a mail address", "write it like name@agency.gov.vn");
    }
    let from_name = node.both("from_name");
    let kind = match node.text("kind")?.as_str() {
        "folder" => ChannelKind::Folder,
        "smtp" => ChannelKind::Smtp(smtp(node)?),
        other => {
            let what = format!("kind = \"{other}\" is not a channel");
            node.fault("kind", "toml.unknown-word", what, "write one of \"folder\", \"smtp\"");
            return None;
        }
    };
    Some(Channel { from: from?, from_name: from_name?, kind })
}

fn smtp(node: &Node<'_>) -> Option<Smtp> {
    let host = node.text("host")?;
    let tls = node.word_or(
        "tls",
        &[("none", Tls::None), ("starttls", Tls::StartTls), ("wrapped", Tls::Wrapped)],
        Tls::StartTls,
    );
    if tls == Tls::None && !is_loopback(&host) {
        let what = "tls = \"none\" would send personal data in the clear";
        node.fault(
            "tls",
            "pipeline.clear-text",
            what,
            "use \"starttls\" or \"wrapped\"; only a server on loopback may do without",
        );
    }
    let port = in_range(node, "port", node.int_or("port", 587), 1, 65535);
    let connections = in_range(node, "connections", node.int_or("connections", 4), 1, 64);
    let user = node.text_or_none("user");
    let password = password(node);
    let credentials = match (user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        _ => {
            let next = "give both, or neither";
            node.fault("user", "pipeline.half-credentials", "user and password belong together", next);
            None
        }
    };
    Some(Smtp {
        host,
        port: u16::try_from(port?).ok()?,
        tls,
        credentials,
        connections: usize::try_from(connections?).ok()?,
    })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.starts_with('/')
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A reference to a password; the password itself is refused and not repeated.
fn password(node: &Node<'_>) -> Option<SecretRef> {
    if node.is_text("password") {
        let next = "write password = { env = \"NAME\" }, { file = \"/path\" } or { credential = \"name\" }, \
                    and change the password: whoever read this file has seen it";
        node.fault("password", "pipeline.secret", "a password stands in the file", next);
        return None;
    }
    node.table_or_none("password").and_then(|n| done(&n, secret))
}

fn secret(node: &Node<'_>) -> Option<SecretRef> {
    let env = node.text_or_none("env").map(SecretRef::Env);
    let file = node.text_or_none("file").map(|path| SecretRef::File(path.into()));
    let credential = node.text_or_none("credential").map(SecretRef::Credential);
    let mut given = [env, file, credential].into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(secret), None) => Some(secret),
        _ => {
            let next = "write { env = \"NAME\" }, { file = \"/path\" } or { credential = \"name\" }";
            node.fault("", "pipeline.secret", "this is not a reference to one secret", next);
            None
        }
    }
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

fn source(name: &str, node: &Node<'_>) -> Option<Source> {
    let title = node.both("title");
    let kind = source_kind(node);
    let authorisation = match node.has("authorisation") {
        true => node.table("authorisation").and_then(|n| done(&n, authorisation)),
        false => {
            let next = "add [sources.<name>.authorisation] with owner, legal_ground, purposes, from and to";
            let what = format!("the source {name} has no authorisation: it may not be read");
            node.fault("authorisation", "pipeline.no-authorisation", what, next);
            None
        }
    };
    let mut tables = Vec::new();
    for (table, table_node) in node.named("tables") {
        tables.extend(source_table(&table, &table_node));
        table_node.done();
    }
    if tables.is_empty() {
        node.fault(
            "tables",
            "pipeline.no-table",
            format!("nothing is read from the source {name}"),
            "add a [sources.<name>.tables.<table>], or remove the source",
        );
    }
    Some(Source { name: name.to_owned(), title: title?, kind: kind?, authorisation: authorisation?, tables })
}

fn source_kind(node: &Node<'_>) -> Option<SourceKind> {
    let path = |key| node.text(key).map(PathBuf::from);
    match node.text("kind")?.as_str() {
        "sqlite" => Some(SourceKind::Sqlite { path: path("path")? }),
        "parquet" => Some(SourceKind::Parquet { path: path("path")? }),
        "csv" => {
            let delimiter = node.text_or_none("delimiter").unwrap_or_else(|| ",".into());
            let [delimiter] = delimiter.as_bytes() else {
                node.fault(
                    "delimiter",
                    "pipeline.delimiter",
                    "delimiter is not one ASCII character",
                    "write \",\" or \";\"",
                );
                return None;
            };
            Some(SourceKind::Csv { path: path("path")?, delimiter: *delimiter })
        }
        "postgres" => {
            let host = node.text("host")?;
            if !is_loopback(&host) {
                let next = "reach it through a local socket or a tunnel to loopback; TLS to a remote server is not supported yet";
                node.fault("host", "pipeline.clear-text", "the connection to this host would not be encrypted", next);
            }
            let port = in_range(node, "port", node.int_or("port", 5432), 1, 65535);
            let (database, user) = (node.text("database"), node.text("user"));
            let password = password(node);
            Some(SourceKind::Postgres {
                host,
                port: u16::try_from(port?).ok()?,
                database: database?,
                user: user?,
                password,
            })
        }
        other => {
            let what = format!("kind = \"{other}\" is not a kind of source");
            node.fault(
                "kind",
                "toml.unknown-word",
                what,
                "write one of \"sqlite\", \"csv\", \"parquet\", \"postgres\"",
            );
            None
        }
    }
}

fn authorisation(node: &Node<'_>) -> Option<Authorisation> {
    let owner = node.both("owner");
    let legal_ground = node.both("legal_ground");
    let mut purposes = Vec::new();
    for word in node.texts("purposes").unwrap_or_default() {
        match Purpose::WORDS.iter().find(|(known, _)| *known == word) {
            Some((_, purpose)) => purposes.push(*purpose),
            None => {
                let list: Vec<_> = Purpose::WORDS.iter().map(|(known, _)| *known).collect();
                let what = format!("\"{word}\" is not a purpose");
                node.fault("purposes", "toml.unknown-word", what, format!("write one of {}", list.join(", ")));
            }
        }
    }
    let (from, to) = (node.date("from"), node.date("to"));
    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        node.fault("to", "pipeline.term", "the authorisation ends before it begins", "correct from and to");
    }
    Some(Authorisation { owner: owner?, legal_ground: legal_ground?, purposes, from: from?, to: to? })
}

fn source_table(name: &str, node: &Node<'_>) -> Option<SourceTable> {
    if !is_word(name) {
        let next = "use lower-case letters, digits and _, beginning with a letter; name the source's own table with from = \"...\"";
        node.fault("", "pipeline.bad-name", format!("\"{name}\" cannot be the name of a table"), next);
    }
    let from = node.text_or_none("from").or_else(|| node.text_or_none("file")).unwrap_or_else(|| name.to_owned());
    let key = node.texts("key");
    let columns = columns(node, false);
    for part in key.iter().flatten().filter(|part| !columns.iter().any(|c| c.name == **part)) {
        let what = format!("the key column {part} is not among the columns");
        node.fault("key", "pipeline.key-column", what, "add it to columns, or correct the key");
    }
    let line = match node.place() {
        Place::File { line, .. } => line,
        _ => None,
    };
    Some(SourceTable { name: name.to_owned(), from, key: key?, columns, line })
}

fn columns(node: &Node<'_>, standard: bool) -> Vec<Column> {
    let mut columns = Vec::new();
    for (name, column_node) in node.named("columns") {
        columns.extend(column(&name, &column_node, standard));
        column_node.done();
    }
    if columns.is_empty() {
        node.fault("columns", "pipeline.no-column", "the table has no column", "list the columns that are granted");
    }
    columns
}

fn column(name: &str, node: &Node<'_>, standard: bool) -> Option<Column> {
    let kind = node.word("type", &Type::WORDS);
    if !node.has("class") {
        let what = format!("the column {name} is not classified");
        let next = "add class = \"public\", \"personal\" or \"sensitive\"; an unclassified column is not read";
        node.fault("", "pipeline.unclassified-column", what, next);
    }
    let class = if node.has("class") { node.word("class", &Class::WORDS) } else { None };
    let mut format = None;
    let mut on_fault = OnFault::Quarantine;
    let mut nullable = true;
    let mut meaning = None;
    if standard {
        nullable = node.bool_or("nullable", false);
        meaning = node.text("meaning");
    } else {
        format = node.text_or_none("format");
        if format.is_some() && kind != Some(Type::Date) {
            node.fault("format", "pipeline.format", "only a date has a format", "remove it");
        }
        if format.as_deref().is_some_and(|format| {
            jiff::fmt::strtime::parse(format, "").is_err_and(|error| !error.to_string().contains("expected"))
        }) {
            node.fault("format", "pipeline.format", "this is not a date format", "write it like \"%d/%m/%Y\"");
        }
        let words = [("error", OnFault::Error), ("quarantine", OnFault::Quarantine), ("null", OnFault::Null)];
        on_fault = node.word_or("on_fault", &words, OnFault::Quarantine);
    }
    // A column whose class is at fault is in no pipeline that is used; what reads it is checked all the same.
    let class = class.unwrap_or(Class::Sensitive);
    Some(Column { name: name.to_owned(), kind: kind?, class, format, on_fault, nullable, meaning })
}

fn privacy(node: &Node<'_>) -> Option<PrivacyPolicy> {
    let policy = node.text("policy");
    let rho_cap = node.text("rho_cap").and_then(|text| {
        let rho = text.parse::<Rho>().ok().filter(|rho| *rho > Rho::from_integer(0));
        if rho.is_none() {
            node.fault(
                "rho_cap",
                "pipeline.rho",
                "rho_cap is not a fraction over zero",
                "write it like \"3/16\": budgets are exact",
            );
        }
        rho
    });
    let delta = node.text("delta").and_then(|text| {
        let delta = text.parse::<f64>().ok().filter(|delta| *delta > 0.0 && *delta < 0.001);
        if delta.is_none() {
            node.fault("delta", "pipeline.delta", "delta is not a small probability", "write it like \"1e-9\"");
        }
        delta
    });
    let first_month = node.date("first_month");
    if first_month.is_some_and(|date| date.day() != 1) {
        node.fault(
            "first_month",
            "pipeline.first-month",
            "first_month is not the first day of a month",
            "write it like 2026-01-01",
        );
    }
    let close_after_days = in_range(node, "close_after_days", node.int_or("close_after_days", 10), 0, 365);
    let ratings_per_person = in_range(node, "ratings_per_person", node.int_or("ratings_per_person", 1), 1, 100);
    let dossiers_per_person = in_range(node, "dossiers_per_person", node.int_or("dossiers_per_person", 2), 1, 100);
    let mut measures: Vec<Measure> = Vec::new();
    for measure_node in node.array("measures") {
        if let Some(measure) = done(&measure_node, measure) {
            if measures.iter().any(|other| other.table == measure.table) {
                let what = format!("the table {} is measured twice", measure.table);
                measure_node.fault("table", "pipeline.twice", what, "remove one");
            }
            measures.push(measure);
        }
    }
    if measures.is_empty() {
        node.fault("measures", "toml.empty", "the privacy policy measures nothing", "add [[privacy.measures]]");
    }
    Some(PrivacyPolicy {
        policy: policy?,
        rho_cap: rho_cap?,
        delta: delta?,
        first_month: first_month?,
        close_after_days: u16::try_from(close_after_days?).ok()?,
        ratings_per_person: u32::try_from(ratings_per_person?).ok()?,
        dossiers_per_person: u32::try_from(dossiers_per_person?).ok()?,
        measures,
    })
}

fn measure(node: &Node<'_>) -> Option<Measure> {
    let table = node.text("table");
    if table.as_deref().is_some_and(|table| !is_word(table)) {
        node.fault(
            "table",
            "pipeline.bad-name",
            "this cannot be the name of a table",
            "use lower-case letters, digits and _",
        );
    }
    let of = node.word("of", &[("ratings", Counted::Ratings), ("dossiers", Counted::Dossiers)]);
    let dimensions = [("commune", Dimension::Commune), ("procedure_group", Dimension::ProcedureGroup)];
    let mut by = Vec::new();
    for word in node.texts("by").unwrap_or_default() {
        match dimensions.iter().find(|(known, _)| *known == word) {
            Some((_, dimension)) if !by.contains(dimension) => by.push(*dimension),
            Some(_) => node.fault("by", "pipeline.twice", format!("{word} is named twice"), "remove one"),
            None => {
                let what = format!("\"{word}\" is not a dimension");
                node.fault("by", "toml.unknown-word", what, "write commune or procedure_group");
            }
        }
    }
    by.sort();
    let bins = node.word(
        "bins",
        &[
            ("level", Bins::Level),
            ("satisfied", Bins::Satisfied),
            ("timeliness_and_channel", Bins::TimelinessAndChannel),
        ],
    );
    if let (Some(of), Some(bins)) = (of, bins)
        && (of == Counted::Dossiers) != (bins == Bins::TimelinessAndChannel)
    {
        let what = "these bins do not belong to what is counted";
        node.fault(
            "bins",
            "pipeline.bins",
            what,
            "ratings have level or satisfied, dossiers have timeliness_and_channel",
        );
    }
    let sigma = in_range(node, "sigma", node.int("sigma")?, 1, 1000);
    let min_count = in_range(node, "min_count", node.int("min_count")?, 1, 1_000_000);
    Some(Measure {
        table: table?,
        of: of?,
        by,
        bins: bins?,
        sigma: u32::try_from(sigma?).ok()?,
        min_count: u32::try_from(min_count?).ok()?,
    })
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
fn is_word(name: &str) -> bool {
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

fn read_law(root: &Path, faults: &Faults) -> Law {
    let folder = PathBuf::from("pipelines/law");
    let files = entries(&root.join(&folder), |entry| entry.path().extension().is_some_and(|e| e == "toml"));
    let mut law = Law::default();
    for file in files {
        let path = folder.join(&file);
        let name = file.trim_end_matches(".toml").to_owned();
        if !is_word(&name) {
            let next = "use lower-case letters, digits and _";
            faults.push(crate::fault::Fault::new(
                "pipeline.bad-name",
                Place::file(&path),
                "this cannot be the name of a rule",
                next,
            ));
        }
        if let Some(document) = Document::open(root, &path, faults) {
            law.rules.extend(document.read(|node| rule(node, &name)));
        }
    }
    law
}

fn rule(node: &Node<'_>, name: &str) -> Option<Rule> {
    let title = node.both("title");
    let units = ["years", "months", "days", "vnd", "percent"].map(|unit| (unit, unit));
    let unit = node.word("unit", &units);
    let mut versions = Vec::new();
    for version_node in node.array("version") {
        versions.extend(done(&version_node, version));
    }
    if versions.is_empty() {
        node.fault("version", "toml.empty", format!("the rule {name} has no version"), "add a [[version]]");
    }
    versions.sort_by_key(|version: &Version| version.in_force_from);
    let overlap = versions.windows(2).any(|pair| match pair {
        [a, b] => a.in_force_from == b.in_force_from || a.in_force_to.is_some_and(|to| to >= b.in_force_from),
        _ => false,
    });
    if overlap {
        let next = "end the earlier version the day before the later one begins";
        node.fault("version", "pipeline.rule-overlap", format!("two versions of {name} are in force on one day"), next);
    }
    Some(Rule { name: name.to_owned(), title: title?, unit: unit?.to_owned(), versions })
}

fn version(node: &Node<'_>) -> Option<Version> {
    let in_force_from = node.date("in_force_from");
    let in_force_to = node.date_or_none("in_force_to");
    if let (Some(from), Some(to)) = (in_force_from, in_force_to)
        && to < from
    {
        node.fault("in_force_to", "pipeline.term", "the version ends before it begins", "correct the dates");
    }
    let reference = node.both("reference");
    let confidence = node.word("confidence", &[("A", "A"), ("B", "B"), ("C", "C")]);
    let values = match (node.has("value"), node.has("values")) {
        (true, false) => node.int("value").map(|value| vec![(None, value)]),
        (false, true) if node.is_list("values") => {
            node.ints("values").map(|values| values.into_iter().map(|value| (None, value)).collect())
        }
        (false, true) => node.table("values").map(|values| {
            values.keys().into_iter().filter_map(|key| values.int(&key).map(|value| (Some(key), value))).collect()
        }),
        _ => {
            let next = "write value = 10, values = [14, 25], or values = { B = 120, C = 60 }";
            node.fault("value", "pipeline.rule-value", "a version has either value or values", next);
            None
        }
    };
    Some(Version {
        in_force_from: in_force_from?,
        in_force_to,
        reference: reference?,
        confidence: confidence?.to_owned(),
        values: values?,
    })
}

fn read_standard_tables(root: &Path, faults: &Faults) -> Vec<StandardTable> {
    let Some(document) = Document::open(root, Path::new("pipelines/standard-tables.toml"), faults) else {
        return Vec::new();
    };
    document.read(|node| {
        let mut tables = Vec::new();
        for (name, table_node) in node.children() {
            let meaning = table_node.both("meaning");
            let grain = table_node.texts("grain");
            let columns = columns(&table_node, true);
            table_node.done();
            if let (Some(meaning), Some(grain)) = (meaning, grain) {
                tables.push(StandardTable { name, meaning, grain, columns });
            }
        }
        tables
    })
}

fn read_procedure_groups(root: &Path, faults: &Faults) -> Vec<ProcedureGroup> {
    let Some(document) = Document::open(root, Path::new("pipelines/procedure-groups.toml"), faults) else {
        return Vec::new();
    };
    document.read(|node| {
        let mut groups: Vec<ProcedureGroup> = Vec::new();
        for group_node in node.array("group") {
            let (id, name, procedures) =
                (group_node.text("id"), group_node.both("name"), group_node.texts("procedures"));
            group_node.done();
            let (Some(id), Some(name), Some(procedures)) = (id, name, procedures) else { continue };
            for code in &procedures {
                if !is_procedure_code(code) {
                    let what = format!("\"{code}\" is not a procedure code");
                    group_node.fault("procedures", "pipeline.procedure-code", what, "write it like 1.002755");
                }
                if groups.iter().any(|group| group.procedures.contains(code)) {
                    let what = format!("the procedure {code} is in two groups");
                    group_node.fault(
                        "procedures",
                        "pipeline.twice",
                        what,
                        "remove it from one: cells must not overlap",
                    );
                }
            }
            groups.push(ProcedureGroup { id, name, procedures });
        }
        groups
    })
}
