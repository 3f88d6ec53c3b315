//! What an authorised analyst may ask: counts by at most three listed dimensions, and nothing else.
//!
//! Noise that sticks to its records protects only while the same records cannot be asked for in many ways (Asghar and
//! Kaafar 2020; Gadotti et al. 2019). So a question has one form:
//!
//! ```sql
//! select commune_code, procedure_group, ck_count(record_key) as n
//! from analyst.ratings
//! where month = '2026-10'
//! group by commune_code, procedure_group
//! order by n
//! ```
//!
//! Columns are listed dimensions; filters are equalities of a listed dimension with a code, all to be met, which only
//! choose among the cells that the same question would show without them. The form is kept by building the select anew
//! from what was understood and comparing the two: whatever was not understood is refused.
//!
//! This part knows neither keys nor noise: the session is given a function for both.

use std::collections::BTreeSet;
use std::fmt;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, ObjectName, OrderByKind, Query, Select, SelectItem, SetExpr, TableFactor, Value,
};

use super::functions::ck_count::{self, Noise};
use super::{Engine, Error, library};
use crate::fault::{Fault, Place};
use crate::tables::{Table, TableName};

/// The most dimensions of a question, those that filter with them.
pub const DIMENSIONS_MAX: usize = 3;

/// The column that holds the record keys.
pub const RECORD_KEY: &str = "record_key";

/// A table that analysts may ask about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name, as the session knows it.
    pub table: TableName,
    /// Columns by which may be counted.
    pub dimensions: Vec<String>,
}

/// A question that may be answered. Its text is canonical: the same question has the same text, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    table: TableName,
    select: String,
    canonical: String,
}

impl Question {
    /// The table that it is about.
    pub fn table(&self) -> &TableName {
        &self.table
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical)
    }
}

/// A session that answers counts by cell key, and nothing else.
///
/// Whoever asks records the [`Question`] first; [`Analyst::answer`] takes nothing else.
#[derive(Debug)]
pub struct Analyst {
    engine: Engine,
    listed: Vec<Listed>,
}

impl Engine {
    /// A session for analysts: the tables that are registered in it can be asked about only as [`Analyst::read`] allows.
    ///
    /// # Errors
    ///
    /// The session cannot be made.
    pub fn for_analyst(listed: Vec<Listed>, noise: Noise) -> Result<Analyst, Error> {
        let engine = Engine::new()?;
        engine.context.register_udaf(ck_count::function(noise));
        Ok(Analyst { engine, listed })
    }
}

impl Analyst {
    /// Makes a listed table known. It has its dimensions and a column `record_key`.
    ///
    /// # Errors
    ///
    /// The session does not take it.
    pub fn register(&self, name: &TableName, table: &Table) -> Result<(), Error> {
        self.engine.register(name, table)
    }

    /// Reads a question.
    ///
    /// # Errors
    ///
    /// Text that is no select, or one that is refused: what is wrong, and what may be asked.
    pub fn read(&self, text: &str) -> Result<Question, Fault> {
        let query = library::parse_select(text).map_err(|(what, _)| refused(&what))?;
        understood(&query, &self.listed).map_err(|what| refused(&what))
    }

    /// Answers a question.
    ///
    /// # Errors
    ///
    /// The query fails.
    pub async fn answer(&self, question: &Question, most: Option<usize>) -> Result<Table, Error> {
        self.engine.query(&question.select, most).await
    }
}

/// Why an analyst's select is not answered; nothing when it is.
pub fn refuse(query: &Query, listed: &[Listed]) -> Option<Fault> {
    understood(query, listed).err().map(|what| refused(&what))
}

fn refused(what: &str) -> Fault {
    Fault::new(
        "sql.analyst",
        Place::Thing("the question".into()),
        format!("this is not answered to analysts: {what}"),
        format!(
            "ask: select <dimensions>, ck_count({RECORD_KEY}) from <table> [where <dimension> = '<code>' [and ...]] \
             group by <dimensions> [order by <columns>], with at most {DIMENSIONS_MAX} dimensions"
        ),
    )
}

fn understood(query: &Query, listed: &[Listed]) -> Result<Question, String> {
    let SetExpr::Select(select) = query.body.as_ref() else { return Err("it is more than one plain select".into()) };
    let (table, listed) = table(select, listed)?;
    let (shown, names) = items(select, listed)?;
    let filters = match &select.selection {
        Some(condition) => filters(condition, listed)?,
        None => Vec::new(),
    };
    let dimensions: BTreeSet<&str> =
        shown.iter().chain(filters.iter().map(|(name, _)| name)).map(String::as_str).collect();
    if dimensions.len() > DIMENSIONS_MAX {
        return Err(format!("it is by {} dimensions", dimensions.len()));
    }
    let groups = groups(select, listed)?;
    if groups.iter().collect::<BTreeSet<_>>() != shown.iter().collect() {
        return Err("its columns are not those that it groups by".into());
    }
    let text = rebuilt(query, select, &table, &names)?;
    let again = library::parse_select(&text).map_err(|_| "it cannot be written again".to_owned())?;
    if *again != *query {
        return Err("it has a part that is not allowed".into());
    }
    let mut filters: Vec<String> = filters.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    filters.sort();
    filters.dedup();
    let by: Vec<&str> = groups.iter().collect::<BTreeSet<_>>().into_iter().map(String::as_str).collect();
    let canonical = format!("{} by [{}] where [{}]", listed.table, by.join(", "), filters.join(" and "));
    Ok(Question { table: listed.table.clone(), select: text, canonical })
}

/// The one table of the select.
fn table<'a>(select: &Select, listed: &'a [Listed]) -> Result<(String, &'a Listed), String> {
    let [from] = select.from.as_slice() else { return Err("it does not read one table".into()) };
    let TableFactor::Table { name, .. } = &from.relation else {
        return Err("it reads something that is no table".into());
    };
    let parts = idents(name);
    let is_it = |listed: &&Listed| parts == [listed.table.schema.as_str(), listed.table.table.as_str()];
    let listed = listed.iter().find(is_it).ok_or("it reads a table that is not listed for analysts")?;
    Ok((name.to_string(), listed))
}

/// The dimensions among the columns, and all columns as they were written.
fn items(select: &Select, listed: &Listed) -> Result<(Vec<String>, Vec<String>), String> {
    let (mut shown, mut written, mut counts) = (Vec::new(), Vec::new(), 0);
    for item in &select.projection {
        let (expr, alias) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, None),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias)),
            _ => return Err("it shows all columns".into()),
        };
        let text = match expr {
            Expr::Function(function) if idents(&function.name) == [ck_count::NAME] => {
                counts += 1;
                format!("{}({RECORD_KEY})", function.name)
            }
            other => {
                shown.push(dimension(other, listed)?);
                other.to_string()
            }
        };
        written.push(alias.map_or_else(|| text.clone(), |alias| format!("{text} AS {alias}")));
    }
    if counts == 1 { Ok((shown, written)) } else { Err(format!("it does not have ck_count({RECORD_KEY}) once")) }
}

fn dimension(expr: &Expr, listed: &Listed) -> Result<String, String> {
    let Expr::Identifier(name) = expr else { return Err("it computes with columns".into()) };
    let is_it = |dimension: &&String| **dimension == name.value;
    let found = listed.dimensions.iter().find(is_it);
    found.cloned().ok_or_else(|| "it uses a column that is not listed for analysts".into())
}

/// The equalities of a filter: dimensions and texts, quoted.
fn filters(condition: &Expr, listed: &Listed) -> Result<Vec<(String, String)>, String> {
    let Expr::BinaryOp { left, op, right } = condition else { return Err("its filter is not an equality".into()) };
    match op {
        BinaryOperator::And => {
            let mut all = filters(left, listed)?;
            all.extend(filters(right, listed)?);
            Ok(all)
        }
        BinaryOperator::Eq => match right.as_ref() {
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) if is_code(text) => {
                    Ok(vec![(dimension(left, listed)?, value.to_string())])
                }
                _ => Err("its filter compares with something that is no code".into()),
            },
            _ => Err("its filter compares with something that is no code".into()),
        },
        _ => Err("its filter is not an equality".into()),
    }
}

/// Whether a text may be a code: the question is written down for good, and no name or number of a person may be in it.
fn is_code(text: &str) -> bool {
    let is_sign = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    text.len() <= 40
        && text.bytes().all(is_sign)
        && !text.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= 8)
}

fn groups(select: &Select, listed: &Listed) -> Result<Vec<String>, String> {
    match &select.group_by {
        GroupByExpr::Expressions(exprs, modifiers) if modifiers.is_empty() => {
            exprs.iter().map(|expr| dimension(expr, listed)).collect()
        }
        _ => Err("it groups otherwise than by columns".into()),
    }
}

/// The select, from the parts that were understood.
fn rebuilt(query: &Query, select: &Select, table: &str, items: &[String]) -> Result<String, String> {
    let mut text = format!("SELECT {} FROM {table}", items.join(", "));
    if let Some(condition) = &select.selection {
        text.push_str(&format!(" WHERE {condition}"));
    }
    if let GroupByExpr::Expressions(exprs, _) = &select.group_by
        && !exprs.is_empty()
    {
        text.push_str(&format!(" GROUP BY {}", joined(exprs)));
    }
    if let Some(order) = &query.order_by {
        let OrderByKind::Expressions(exprs) = &order.kind else { return Err("it orders by everything".into()) };
        if !exprs.iter().all(|by| matches!(by.expr, Expr::Identifier(_)) && by.with_fill.is_none()) {
            return Err("it orders by something that is no column".into());
        }
        text.push_str(&format!(" ORDER BY {}", joined(exprs)));
    }
    Ok(text)
}

fn joined<T: fmt::Display>(parts: &[T]) -> String {
    parts.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn idents(name: &ObjectName) -> Vec<&str> {
    name.0.iter().map(|part| part.as_ident().map_or("", |ident| ident.value.as_str())).collect()
}
