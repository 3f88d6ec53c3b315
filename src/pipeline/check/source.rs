//! What is read: the tables `[sources.<name>]`, their authorisation and their columns.

use std::path::PathBuf;

use super::super::authorisation::{Authorisation, Class, Purpose};
use super::super::reader::Node;
use super::super::{Column, OnFault, Source, SourceKind, SourceTable, Type};
use super::channel::{is_loopback, password};
use super::{done, in_range, is_word};
use crate::fault::Place;

pub(super) fn source(name: &str, node: &Node<'_>) -> Option<Source> {
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
