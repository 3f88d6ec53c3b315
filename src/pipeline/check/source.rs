//! What is read: the tables `[sources.<name>]`, their authorisation and their columns.

use std::path::PathBuf;

use super::super::authorisation::{Authorisation, Class, Purpose};
use super::super::filter::Filter;
use super::super::law::Law;
use super::super::reader::Node;
use super::super::{
    Bucket, Column, Family, GENERATIONS_KEPT, Load, OnFault, Server, Source, SourceKind, SourceTable, Type, VolumeBound,
};
use super::blind::blind;
use super::channel::{is_loopback, password, secret_at};
use super::{done, in_range, is_word};
use crate::fault::Place;

pub(super) fn source(name: &str, node: &Node<'_>, law: &Law) -> Option<Source> {
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
    let named = node.named("tables");
    let is_empty = named.is_empty();
    for (table, table_node) in named {
        tables.extend(source_table(&table, &table_node, law));
        refuse_increment_of_files(&table_node, kind.as_ref());
        table_node.done();
    }
    if is_empty {
        node.fault(
            "tables",
            "pipeline.no-table",
            format!("nothing is read from the source {name}"),
            "add a [sources.<name>.tables.<table>], or remove the source",
        );
    }
    if let Some(authorisation) = &authorisation {
        refuse_wider_columns(node, authorisation, &tables);
    }
    Some(Source { name: name.to_owned(), title: title?, kind: kind?, authorisation: authorisation?, tables })
}

fn source_kind(node: &Node<'_>) -> Option<SourceKind> {
    let path = |key| node.text(key).map(PathBuf::from);
    match node.text("kind")?.as_str() {
        "sqlite" => Some(SourceKind::Sqlite { path: path("path")? }),
        "parquet" => Some(SourceKind::Parquet { path: path("path")? }),
        "csv" => {
            let path = path("path");
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
            Some(SourceKind::Csv { path: path?, delimiter: *delimiter })
        }
        "ndjson" => Some(SourceKind::NdJson { path: path("path")? }),
        "excel" => Some(SourceKind::Excel { path: path("path")? }),
        "s3" => bucket(node).map(SourceKind::ObjectStore),
        "postgres" => server(node, 5432).map(SourceKind::Postgres),
        "mysql" => server(node, 3306).map(SourceKind::Mysql),
        "odbc" => {
            let connection = node.text("connection");
            let password = password(node);
            let connection = connection?;
            if connection
                .to_lowercase()
                .split(';')
                .any(|part| ["pwd", "password"].contains(&part.split('=').next().unwrap_or_default().trim()))
            {
                let next = "take it out, and add password = { file = \"…\" } or { credential = \"…\" }";
                node.fault("connection", "pipeline.secret-in-file", "the connection string holds a password", next);
            }
            Some(SourceKind::Odbc { connection, password })
        }
        other => {
            let what = format!("kind = \"{other}\" is not a kind of source");
            node.fault(
                "kind",
                "toml.unknown-word",
                what,
                "write one of \"sqlite\", \"csv\", \"ndjson\", \"excel\", \"parquet\", \"s3\", \"postgres\", \"mysql\", \"odbc\"",
            );
            None
        }
    }
}

fn server(node: &Node<'_>, default_port: i64) -> Option<Server> {
    let host = node.text("host");
    let port = in_range(node, "port", node.int_or("port", default_port), 1, 65535);
    let (database, user) = (node.text("database"), node.text("user"));
    let password = password(node);
    let authority = node.text_or_none("authority").map(PathBuf::from);
    let readers = in_range(node, "readers", node.int_or("readers", READERS), 1, 16);
    let silence = in_range(node, "silence_seconds", node.int_or("silence_seconds", SILENCE), 1, 86_400);
    Some(Server {
        host: host?,
        port: u16::try_from(port?).ok()?,
        database: database?,
        user: user?,
        password,
        authority,
        readers: u8::try_from(readers?).ok()?,
        silence_seconds: u32::try_from(silence?).ok()?,
    })
}

/// Connections that read one table at once, when the pipeline does not say.
const READERS: i64 = 4;

/// Seconds that a server may say nothing, when the pipeline does not say: longer than its longest count.
const SILENCE: i64 = 600;

fn bucket(node: &Node<'_>) -> Option<Bucket> {
    let endpoint = node.text("endpoint");
    if let Some(endpoint) = &endpoint {
        let host = endpoint.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
        let is_safe = endpoint.starts_with("https://") || host.is_some_and(is_loopback);
        if !is_safe {
            let next = "write https://…; http:// is for a store on this machine";
            node.fault("endpoint", "pipeline.clear-text", "the connection to this store would not be encrypted", next);
        }
        if endpoint.contains('@') {
            let next = "take it out, and add access_key and secret_key";
            node.fault("endpoint", "pipeline.secret-in-file", "the endpoint holds an account", next);
        }
    }
    let region = node.text_or_none("region").unwrap_or_else(|| "us-east-1".into());
    let bucket = node.text("bucket");
    let prefix = node.text_or_none("prefix").unwrap_or_default();
    let access_key = secret_at(node, "access_key");
    let secret_key = secret_at(node, "secret_key");
    Some(Bucket {
        endpoint: endpoint?,
        region,
        bucket: bucket?,
        prefix,
        access_key: access_key?,
        secret_key: secret_key?,
    })
}

fn authorisation(node: &Node<'_>) -> Option<Authorisation> {
    let owner = node.both("owner");
    let legal_ground = node.both("legal_ground");
    let purposes = purposes(node, node.texts("purposes"));
    let (from, to) = (node.date("from"), node.date("to"));
    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        node.fault("to", "pipeline.term", "the authorisation ends before it begins", "correct from and to");
    }
    Some(Authorisation { owner: owner?, legal_ground: legal_ground?, purposes, from: from?, to: to? })
}

fn purposes(node: &Node<'_>, words: Option<Vec<String>>) -> Vec<Purpose> {
    let mut purposes = Vec::new();
    for word in words.unwrap_or_default() {
        match Purpose::WORDS.iter().find(|(known, _)| *known == word) {
            Some((_, purpose)) => purposes.push(*purpose),
            None => {
                let list: Vec<_> = Purpose::WORDS.iter().map(|(known, _)| *known).collect();
                let what = format!("\"{word}\" is not a purpose");
                node.fault("purposes", "toml.unknown-word", what, format!("write one of {}", list.join(", ")));
            }
        }
    }
    purposes
}

/// A column may be granted for less than its source, never for more.
fn refuse_wider_columns(node: &Node<'_>, authorisation: &Authorisation, tables: &[SourceTable]) {
    for (table, column) in tables.iter().flat_map(|table| table.columns.iter().map(move |column| (table, column))) {
        let wider = column.purposes.iter().flatten().find(|purpose| !authorisation.purposes.contains(purpose));
        if let Some(purpose) = wider {
            let word = purpose.word();
            let what = format!(
                "the column {}.{} names the purpose {word}, which its source is not granted for",
                table.name, column.name
            );
            let next = "take it out of the column, or have it granted and add it to the authorisation";
            node.fault("authorisation", "pipeline.wider-purpose", what, next);
        }
    }
}

fn source_table(name: &str, node: &Node<'_>, law: &Law) -> Option<SourceTable> {
    if !is_word(name) {
        let next = "use lower-case letters, digits and _, beginning with a letter; name the source's own table with from = \"...\"";
        node.fault("", "pipeline.bad-name", format!("\"{name}\" cannot be the name of a table"), next);
    }
    let from = node.text_or_none("from").or_else(|| node.text_or_none("file")).unwrap_or_else(|| name.to_owned());
    let columns = columns(node, false);
    let key = key(node, &columns);
    let line = match node.place() {
        Place::File { line, .. } => line,
        _ => None,
    };
    let filter = filter(node, &columns, law);
    for name in filter.iter().flat_map(Filter::columns) {
        if columns.iter().any(|column| column.name == name && column.on_fault == OnFault::Null) {
            let what = format!("the filter reads {name}, and a value of it that cannot be read becomes empty");
            let next =
                "leave on_fault out (the row is set aside) or write \"error\": an empty value would hide its row";
            node.fault("filter", "pipeline.filter-null", what, next);
        }
    }
    let driving_date = node.text_or_none("driving_date");
    if let Some(name) = &driving_date
        && !columns.iter().any(|column| column.name == *name && column.kind == Type::Date)
    {
        let what = format!("driving_date = \"{name}\" is no granted date column");
        node.fault("driving_date", "pipeline.driving-date", what, "name the date from which what is due is computed");
    }
    let control_totals = control_totals(node, &columns);
    let keep = in_range(node, "keep_generations", node.int_or("keep_generations", i64::from(GENERATIONS_KEPT)), 1, 366);
    let load = load(node, &columns);
    let volume = volume(node);
    let blind = blind(node, &columns);
    Some(SourceTable {
        name: name.to_owned(),
        from,
        key: key?,
        load: load?,
        volume,
        columns,
        filter,
        driving_date,
        keep_generations: u16::try_from(keep?).ok()?,
        control_totals,
        blind,
        line,
    })
}

/// The columns that identify a row: granted, named once, of a type in which two values are the same or not.
fn key(node: &Node<'_>, columns: &[Column]) -> Option<Vec<String>> {
    let key = node.texts("key")?;
    for (index, name) in key.iter().enumerate() {
        let fault = |code, what: String, next: &str| node.fault("key", code, what, next);
        if key.iter().take(index).any(|earlier| earlier == name) {
            fault("pipeline.twice", format!("the key names {name} twice"), "remove one");
        }
        match columns.iter().find(|column| column.name == *name).map(|column| column.kind) {
            None => {
                let what = format!("the key column {name} is not among the columns");
                fault("pipeline.key-column", what, "add it to columns, or correct the key");
            }
            Some(kind) if kind.is_list() || matches!(kind, Type::Float | Type::Interval) => {
                let what = format!("the key column {name} is {}, which identifies no row", kind.word());
                fault("pipeline.key-column", what, "name the column by which the source itself tells its rows apart");
            }
            Some(_) => {}
        }
    }
    Some(key)
}

fn filter(node: &Node<'_>, columns: &[Column], law: &Law) -> Option<Filter> {
    let filter = match Filter::parse(&node.text_or_none("filter")?, columns) {
        Ok(filter) => filter,
        Err(what) => {
            let what = format!("the filter cannot be used: {what}");
            node.fault("filter", "pipeline.filter", what, "correct the filter; it may name granted columns only");
            return None;
        }
    };
    for name in filter.rules() {
        match law.rule(name) {
            None => {
                let what = format!("there is no rule \"{name}\", from which the filter takes a time");
                let next = format!("add pipelines/law/{name}.toml, or correct the name");
                node.fault("filter", "pipeline.unknown-rule", what, next);
            }
            Some(rule) if !["days", "weeks", "months", "years"].contains(&rule.unit.as_str()) => {
                let what = format!("the rule {name} counts {}, and the filter takes a time from it", rule.unit);
                node.fault("filter", "pipeline.rule-unit", what, "name a rule of days, weeks, months or years");
            }
            Some(_) => {}
        }
    }
    Some(filter)
}

fn control_totals(node: &Node<'_>, columns: &[Column]) -> Vec<String> {
    let names = node.texts_or_none("control_totals").unwrap_or_default();
    for (index, name) in names.iter().enumerate() {
        let kind = columns.iter().find(|column| column.name == *name).map(|column| column.kind);
        let can_be_summed = matches!(kind, Some(Type::Int | Type::Decimal { .. } | Type::Date));
        if !can_be_summed {
            let what = format!("control_totals names {name}, which is no granted column of int, decimal or date");
            node.fault("control_totals", "pipeline.control-total", what, "name columns that can be summed exactly");
        }
        if names.iter().take(index).any(|earlier| earlier == name) {
            node.fault("control_totals", "pipeline.twice", format!("control_totals names {name} twice"), "remove one");
        }
    }
    names
}

/// Files have no index by which rows that changed could be found.
fn refuse_increment_of_files(node: &Node<'_>, kind: Option<&SourceKind>) {
    let is_file = kind.is_some_and(|kind| ["csv", "ndjson", "excel", "parquet", "s3"].contains(&kind.word()));
    if is_file && node.has("increment") {
        let what = "an increment is asked of files, which are read from beginning to end in any case";
        node.fault("increment", "pipeline.increment", what, "leave increment out: the table is read whole every night");
    }
}

/// `increment = { cursor = "updated_at", overlap = 60, compare_days = 7 }`; without it, all rows every night.
fn load(node: &Node<'_>, columns: &[Column]) -> Option<Load> {
    let Some(increment) = node.table_or_none("increment") else { return Some(Load::Snapshot) };
    let cursor = increment.text("cursor");
    let overlap = in_range(&increment, "overlap", increment.int_or("overlap", 60), 0, 1_000_000);
    let compare_days = in_range(&increment, "compare_days", increment.int_or("compare_days", 7), 1, 366);
    increment.done();
    let cursor = cursor?;
    let kind = columns.iter().find(|column| column.name == cursor).map(|column| column.kind);
    if !matches!(kind, Some(Type::Instant | Type::Timestamp | Type::Date | Type::Int)) {
        let what = format!("the cursor {cursor} is no granted column of instant, timestamp, date or int");
        let next = "name a granted column that never falls when a row changes, or leave increment out";
        increment.fault("cursor", "pipeline.cursor", what, next);
    }
    Some(Load::Incremental {
        cursor,
        overlap: u32::try_from(overlap?).ok()?,
        compare_days: u16::try_from(compare_days?).ok()?,
    })
}

/// `volume = { drop_percent = 20, rise_percent = 300, least_rows = 50 }`.
fn volume(node: &Node<'_>) -> VolumeBound {
    let usual = VolumeBound::default();
    let Some(volume) = node.table_or_none("volume") else { return usual };
    let number = |key, otherwise, most| in_range(&volume, key, volume.int_or(key, otherwise), 0, most);
    let drop = number("drop_percent", i64::from(usual.drop_percent), 100);
    let rise = if volume.has("rise_percent") { number("rise_percent", 0, 1_000_000) } else { None };
    let least = number("least_rows", 50, i64::MAX);
    volume.done();
    VolumeBound {
        drop_percent: drop.and_then(|n| u32::try_from(n).ok()).unwrap_or(usual.drop_percent),
        rise_percent: rise.and_then(|n| u32::try_from(n).ok()),
        least_rows: least.and_then(|n| u64::try_from(n).ok()).unwrap_or(usual.least_rows),
    }
}

pub(super) fn columns(node: &Node<'_>, standard: bool) -> Vec<Column> {
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
    let kind = node.text("type").and_then(|word| {
        let kind = Type::parse(&word);
        if kind.is_none() {
            let words: Vec<_> = Family::WORDS.iter().map(|(word, _)| *word).collect();
            let next =
                format!("write one of {}; decimal with its sizes, decimal(18,2); a list as text[]", words.join(", "));
            node.fault("type", "toml.unknown-word", format!("\"{word}\" is not a type"), next);
        }
        kind
    });
    if !node.has("class") {
        let what = format!("the column {name} is not classified");
        let next = "add class = \"public\", \"personal\" or \"sensitive\"; an unclassified column is not read";
        node.fault("", "pipeline.unclassified-column", what, next);
    }
    let class = if node.has("class") { node.word("class", &Class::WORDS) } else { None };
    let mut format = None;
    let mut on_fault = OnFault::Quarantine;
    let mut is_subject = false;
    let mut for_less = None;
    let mut nullable = true;
    let mut meaning = None;
    if standard {
        nullable = node.bool_or("nullable", false);
        meaning = node.text("meaning");
    } else {
        format = node.text_or_none("format");
        let has_format = matches!(kind, Some(Type::Date | Type::Timestamp | Type::Instant | Type::Time));
        if format.is_some() && !has_format {
            node.fault("format", "pipeline.format", "only a date or a time has a format", "remove it");
        }
        is_subject = node.bool_or("subject", false);
        for_less = node.texts_or_none("purposes").map(|words| purposes(node, Some(words)));
        if is_subject && !matches!(kind, Some(Type::Text | Type::Int) | None) {
            let what = format!("the column {name} cannot hold the number by which a person is known");
            node.fault("subject", "pipeline.subject", what, "mark the column of text or int that holds it");
        }
        if format.as_deref().is_some_and(|format| {
            jiff::fmt::strtime::parse(format, "").is_err_and(|error| !error.to_string().contains("expected"))
        }) {
            node.fault("format", "pipeline.format", "this is not a date format", "write it like \"%d/%m/%Y\"");
        } else if format.as_deref().is_some_and(is_without_century) {
            let what = "the format reads a year without its century, which nobody knows";
            let next = "ask the owner for years of four digits and write %Y; \
                        where there are only two, declare the column as text and say the century in a model";
            node.fault("format", "pipeline.format", what, next);
        }
        let words = [("error", OnFault::Error), ("quarantine", OnFault::Quarantine), ("null", OnFault::Null)];
        on_fault = node.word_or("on_fault", &words, OnFault::Quarantine);
    }
    // A column whose class is at fault is in no pipeline that is used; what reads it is checked all the same.
    let class = class.unwrap_or(Class::Sensitive);
    Some(Column {
        name: name.to_owned(),
        kind: kind?,
        class,
        purposes: for_less,
        format,
        on_fault,
        is_subject,
        nullable,
        meaning,
    })
}

/// Whether a format reads a year of two digits (`%y`, `%g`, `%D`) or a century alone: the library would choose the
/// other half itself, 1969 for `69` and 2068 for `68`.
fn is_without_century(format: &str) -> bool {
    let mut letters = format.chars();
    while letters.by_ref().any(|letter| letter == '%') {
        // Between the sign and its letter may stand flags, a width, colons or a point.
        let directive = letters.find(|letter| !matches!(letter, '-' | '_' | '^' | '#' | ':' | '.' | '0'..='9'));
        if matches!(directive, Some('y' | 'g' | 'D' | 'C')) {
            return true;
        }
    }
    false
}
