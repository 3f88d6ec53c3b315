//! One file of `sql/`: its head comment, its one select, and the tables that it reads.
//!
//! Which files an agency needs, and in which order they run, is not known here.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;

use datafusion::common::TableReference;
use datafusion::sql::parser::{DFParserBuilder, Statement as DfStatement};
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::{Expr, Query, SetExpr, Statement, Value, visit_expressions};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::{BOUND, Head, Model};
use crate::fault::{Fault, Place, with_article};
use crate::pipeline::reader::{Faults, read_text};
use crate::tables::TableName;

/// Reads a file of `sql/`; what is wrong with it is a fault, and then there is no model.
pub(super) fn read_model(root: &Path, path: &Path, name: TableName, faults: &Faults) -> Option<Model> {
    let text = read_text(root, path, faults)?;
    let head = read_head(&text);
    match parse_select(&text) {
        Ok(query) => {
            let reads = relations(&query);
            let mut unknown = placeholders(&query);
            unknown.retain(|word| !BOUND.contains(&word.as_str()));
            for word in &unknown {
                let line = line_of(&text, word);
                let next = format!("use {}, or read a rule as the table law.<rule>", BOUND.join(" or "));
                faults.push(Fault::new(
                    "sql.unknown-value",
                    Place::line(path, line),
                    format!("{word} is not a bound value"),
                    next,
                ));
            }
            unknown.is_empty().then(|| Model { name, path: path.to_path_buf(), head, reads, query })
        }
        Err((what, line)) => {
            let place = line.map_or_else(|| Place::file(path), |line| Place::line(path, line));
            let next = "write one select statement, with common table expressions if need be";
            faults.push(Fault::new("sql.not-a-select", place, what, next));
            None
        }
    }
}

fn line_of(text: &str, word: &str) -> usize {
    1 + text.lines().position(|line| line.contains(word)).unwrap_or(0)
}

fn read_head(text: &str) -> Head {
    let mut head = Head::default();
    let mut is_about = true;
    for line in text.lines().map_while(|line| line.trim_start().strip_prefix("--")) {
        let line = line.trim();
        match line.split_once(':') {
            _ if line.is_empty() => is_about = head.about.is_empty(),
            Some((key, value)) if !key.contains(' ') && ["grain", "private", "rule", "severity"].contains(&key) => {
                head.keys.insert(key.to_owned(), value.trim().to_owned());
            }
            _ if is_about => {
                if !head.about.is_empty() {
                    head.about.push(' ');
                }
                head.about.push_str(line);
            }
            _ => {}
        }
    }
    head
}

/// The longest text of a select.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// The most words and signs of a select. A plan is as deep as its longest chain of terms or arms and is
/// walked by recursion: one of this length fits the stack that `cli` gives the threads that plan.
const TOKENS_MAX: usize = 3_000;

/// Says that a text is longer than its plan may be deep.
fn refuse_long(text: &str) -> Result<(), String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("it is longer than {TEXT_BYTES_MAX} bytes"));
    }
    // What is no token at all is said by the parser, with its line.
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize().unwrap_or_default();
    let count = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).count();
    if count > TOKENS_MAX { Err(format!("it has more than {TOKENS_MAX} words and signs")) } else { Ok(()) }
}

/// Parses text that must be one select; the error says what it is instead, and the line where known.
pub fn parse_select(text: &str) -> Result<Box<Query>, (String, Option<usize>)> {
    refuse_long(text).map_err(|what| (what, None))?;
    let dialect = PostgreSqlDialect {};
    let parsed =
        DFParserBuilder::new(text).with_dialect(&dialect).build().and_then(|mut parser| parser.parse_statements());
    let mut statements = parsed.map_err(|error| {
        let text = error.strip_backtrace();
        let line = text.split("Line: ").nth(1).and_then(|rest| rest.split([',', ' ']).next()?.parse().ok());
        // SQL error: ParserError("what is wrong at Line: 4, Column: 18")
        let what = text.lines().next().unwrap_or_default();
        let what = what.split_once("(\"").map_or(what, |(_, said)| said.trim_end_matches("\")"));
        (format!("this is not SQL: {what}"), line)
    })?;
    let first = statements.pop_front();
    if !statements.is_empty() {
        return Err((format!("there are {} statements", statements.len() + 1), None));
    }
    match first {
        Some(DfStatement::Statement(statement)) => match *statement {
            Statement::Query(query) if is_plain(&query) => Ok(query),
            Statement::Query(_) => Err(("it locks, writes or inserts beside selecting".into(), None)),
            other => {
                let word = other.to_string().split_whitespace().next().unwrap_or_default().to_lowercase();
                Err((format!("it is {} statement", with_article(&word)), None))
            }
        },
        Some(_) => Err(("it is a statement that is not a select".into(), None)),
        None => Err(("the file holds no statement".into(), None)),
    }
}

fn is_plain(query: &Query) -> bool {
    fn body_is_plain(body: &SetExpr) -> bool {
        match body {
            SetExpr::Select(select) => select.into.is_none(),
            SetExpr::Query(query) => is_plain(query),
            SetExpr::SetOperation { left, right, .. } => body_is_plain(left) && body_is_plain(right),
            SetExpr::Values(_) | SetExpr::Table(_) => true,
            _ => false,
        }
    }
    let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
    query.locks.is_empty() && body_is_plain(&query.body) && ctes.into_iter().all(|cte| is_plain(&cte.query))
}

fn relations(query: &Query) -> BTreeSet<TableName> {
    let statement = DfStatement::Statement(Box::new(Statement::Query(Box::new(query.clone()))));
    let Ok((tables, _)) = resolve_table_references(&statement, true) else { return BTreeSet::new() };
    tables
        .into_iter()
        .map(|table| match table {
            TableReference::Bare { table } => TableName::new("", table.to_string()),
            TableReference::Partial { schema, table } | TableReference::Full { schema, table, .. } => {
                TableName::new(schema.to_string(), table.to_string())
            }
        })
        .collect()
}

fn placeholders(query: &Query) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let _: ControlFlow<()> = visit_expressions(query, |expr| {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(word) = &value.value
        {
            words.insert(word.clone());
        }
        ControlFlow::Continue(())
    });
    words
}
