//! Words that a select writes out, by the column that they belong to: what a column may give, and what it is compared
//! with. It must not know which words are meant.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Select, SelectItem, Spanned, Value, Visit,
    Visitor,
};

use super::Model;

/// A word in quotation marks, as a select writes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WrittenWord {
    /// The line of the file.
    pub line: Option<usize>,
    /// The column that may give it, or is compared with it, by its own name.
    pub column: String,
    /// The word.
    pub word: String,
    /// Whether the column may give it; otherwise it is compared with it.
    pub is_given: bool,
}

/// Every word that a column of one of these names may give or is compared with, in every part of a select, each once.
pub fn written_words(model: &Model, columns: &[&str]) -> Vec<WrittenWord> {
    let mut finder = Finder { columns, found: Vec::new() };
    let _: ControlFlow<()> = model.query.visit(&mut finder);
    finder.found.sort();
    finder.found.dedup();
    finder.found
}

struct Finder<'c> {
    columns: &'c [&'c str],
    found: Vec<WrittenWord>,
}

impl Visitor for Finder<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { expr, alias } = item
                && let Some(column) = self.columns.iter().find(|column| alias.value.eq_ignore_ascii_case(column))
            {
                given(expr, column, &mut self.found);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        compared(expr, self.columns, &mut self.found);
        ControlFlow::Continue(())
    }
}

/// The words that an expression may come to.
fn given(expr: &Expr, column: &str, found: &mut Vec<WrittenWord>) {
    match expr {
        Expr::Value(_) => found.extend(word(expr, column, true)),
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => given(inner, column, found),
        Expr::Case { conditions, else_result, .. } => {
            conditions.iter().for_each(|when| given(&when.result, column, found));
            else_result.iter().for_each(|other| given(other, column, found));
        }
        Expr::Function(function) if is_choice(&function.name.to_string()) => {
            let FunctionArguments::List(list) = &function.args else { return };
            for argument in &list.args {
                if let FunctionArg::Unnamed(FunctionArgExpr::Expr(inner)) = argument {
                    given(inner, column, found);
                }
            }
        }
        _ => {}
    }
}

/// Functions that give one of their arguments as it is.
fn is_choice(name: &str) -> bool {
    ["coalesce", "nvl", "nullif"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn compared(expr: &Expr, columns: &[&str], found: &mut Vec<WrittenWord>) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::Eq | BinaryOperator::NotEq, right } => {
            for (one, other) in [(left, right), (right, left)] {
                found.extend(name(one, columns).and_then(|column| word(other, column, false)));
            }
        }
        Expr::InList { expr, list, .. } => {
            let Some(column) = name(expr, columns) else { return };
            found.extend(list.iter().filter_map(|one| word(one, column, false)));
        }
        _ => {}
    }
}

/// The column that an expression is, where it is one of these.
fn name<'c>(expr: &Expr, columns: &[&'c str]) -> Option<&'c str> {
    let ident = match expr {
        Expr::Identifier(ident) => ident,
        Expr::CompoundIdentifier(parts) => parts.last()?,
        _ => return None,
    };
    columns.iter().find(|column| ident.value.eq_ignore_ascii_case(column)).copied()
}

fn word(expr: &Expr, column: &str, is_given: bool) -> Option<WrittenWord> {
    let Expr::Value(value) = expr else { return None };
    let Value::SingleQuotedString(word) = &value.value else { return None };
    let line = usize::try_from(expr.span().start.line).ok().filter(|line| *line > 0);
    Some(WrittenWord { line, column: column.to_owned(), word: word.clone(), is_given })
}
