//! Which rows of a table are asked for: a condition over granted columns that
//! every source understands.
//!
//! A filter is written as SQL has it (`expires_on between $as_of and $until`),
//! and is only ever a comparison of a granted column with a value, and such
//! comparisons joined. [`Filter::on`] puts in the dates of a night; the
//! [`Condition`] is then rendered for the source. This module must not know how
//! a source is reached, nor what a column means.

use jiff::ToSpan;
use jiff::civil::Date;
use sqlparser::ast::{
    BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::Column;
use super::law::Law;

/// A row filter as declared.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// As written.
    pub text: String,
    condition: Condition<Given>,
}

/// A condition over the columns of one table; unknown where SQL says unknown.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition<V = Literal> {
    /// All of them hold.
    All(Vec<Condition<V>>),
    /// One of them holds.
    Any(Vec<Condition<V>>),
    /// The contrary; unknown stays unknown.
    Not(Box<Condition<V>>),
    /// It does not hold, or nobody knows.
    NotTrue(Box<Condition<V>>),
    /// The column is empty.
    IsNull(String),
    /// The column compared with a value.
    Compare(String, Comparison, V),
}

/// How a column and a value are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// Its sign in SQL.
    pub fn sign(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }
}

/// A value in a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
    /// A civil date.
    Date(Date),
    /// A civil date and time, in microseconds since 1 January 1970, 0:00.
    Timestamp(i64),
    /// A moment, in microseconds since 1970, UTC.
    Instant(i64),
}

/// A value as declared: a literal, or a date that each night puts in.
#[derive(Debug, Clone, PartialEq)]
enum Given {
    Literal(Literal),
    Night(Night, Vec<Step>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Night {
    AsOf,
    Until,
}

/// A distance from the night, forward or back.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Days(i64),
    Months(i64),
    /// The longest value of a rule, times 1 or -1.
    Rule(String, i64),
}

/// The dates of a night.
#[derive(Debug, Clone, Copy)]
pub struct Dates<'a> {
    /// The night's date: `$as_of`.
    pub as_of: Date,
    /// The end of the longest notice that the agency gives: `$until`.
    pub until: Date,
    /// The rules, for `longest('rule')`.
    pub law: &'a Law,
}

/// How a source writes conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Standard SQL: PostgreSQL and DataFusion.
    Standard,
    /// SQLite, which has no dates: they are compared as texts in ISO 8601.
    Sqlite,
    /// MySQL and MariaDB.
    Mysql,
    /// ODBC's escapes, which every driver translates.
    Odbc,
}

impl Filter {
    /// Reads a filter; the error says what it may not say.
    pub fn parse(text: &str, columns: &[Column]) -> Result<Self, String> {
        let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).and_then(|mut parser| {
            let expr = parser.parse_expr()?;
            parser.expect_token(&sqlparser::tokenizer::Token::EOF).map(|_| expr)
        });
        let expr = parsed.map_err(|error| format!("it is not a condition: {error}"))?;
        Ok(Filter { text: text.to_owned(), condition: condition(&expr, columns)? })
    }

    /// The condition of a night; the error says which rule has no value then.
    pub fn on(&self, dates: Dates<'_>) -> Result<Condition, String> {
        resolve(&self.condition, dates)
    }

    /// The columns that it looks at.
    pub fn columns(&self) -> Vec<&str> {
        fn walk<'f>(condition: &'f Condition<Given>, columns: &mut Vec<&'f str>) {
            match condition {
                Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| walk(part, columns)),
                Condition::Not(inner) | Condition::NotTrue(inner) => walk(inner, columns),
                Condition::IsNull(column) | Condition::Compare(column, _, _) => columns.push(column),
            }
        }
        let mut columns = Vec::new();
        walk(&self.condition, &mut columns);
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// The rules that it takes its horizon from.
    pub fn rules(&self) -> Vec<&str> {
        fn walk<'f>(condition: &'f Condition<Given>, rules: &mut Vec<&'f str>) {
            match condition {
                Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| walk(part, rules)),
                Condition::Not(inner) | Condition::NotTrue(inner) => walk(inner, rules),
                Condition::Compare(_, _, Given::Night(_, steps)) => {
                    rules.extend(steps.iter().filter_map(|step| match step {
                        Step::Rule(rule, _) => Some(rule.as_str()),
                        _ => None,
                    }));
                }
                Condition::Compare(..) | Condition::IsNull(_) => {}
            }
        }
        let mut rules = Vec::new();
        walk(&self.condition, &mut rules);
        rules
    }
}

impl Condition {
    /// The condition as a source understands it. Columns are qualified with `t`.
    pub fn sql(&self, dialect: Dialect) -> String {
        let mut text = String::new();
        self.write(dialect, &mut text);
        text
    }

    fn write(&self, dialect: Dialect, text: &mut String) {
        match self {
            Condition::All(parts) => write_parts(parts, " and ", "1 = 1", dialect, text),
            Condition::Any(parts) => write_parts(parts, " or ", "1 = 0", dialect, text),
            Condition::Not(inner) => {
                text.push_str("not (");
                inner.write(dialect, text);
                text.push(')');
            }
            Condition::NotTrue(inner) => {
                text.push_str("case when ");
                inner.write(dialect, text);
                text.push_str(" then 0 else 1 end = 1");
            }
            Condition::IsNull(column) => text.push_str(&format!("{} is null", dialect.column(column))),
            Condition::Compare(column, comparison, literal) => {
                let (column, value) = (dialect.column(column), dialect.literal(literal));
                text.push_str(&format!("{column} {} {value}", comparison.sign()));
            }
        }
    }
}

fn write_parts(parts: &[Condition], between: &str, none: &str, dialect: Dialect, text: &mut String) {
    if parts.is_empty() {
        return text.push_str(none);
    }
    text.push('(');
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            text.push_str(between);
        }
        part.write(dialect, text);
    }
    text.push(')');
}

impl Dialect {
    /// A name in quotation marks.
    pub fn quote(self, name: &str) -> String {
        match self {
            Dialect::Mysql => format!("`{}`", name.replace('`', "``")),
            _ => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    fn column(self, name: &str) -> String {
        format!("t.{}", self.quote(name))
    }

    fn literal(self, literal: &Literal) -> String {
        let text = |text: &str| match self {
            Dialect::Mysql => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''")),
            _ => format!("'{}'", text.replace('\'', "''")),
        };
        match literal {
            Literal::Text(value) => text(value),
            Literal::Int(value) => value.to_string(),
            Literal::Bool(value) if self == Dialect::Standard || self == Dialect::Mysql => value.to_string(),
            Literal::Bool(value) => u8::from(*value).to_string(),
            Literal::Date(date) => match self {
                Dialect::Standard | Dialect::Mysql => format!("date '{date}'"),
                Dialect::Sqlite => format!("'{date}'"),
                Dialect::Odbc => format!("{{d '{date}'}}"),
            },
            Literal::Timestamp(micros) | Literal::Instant(micros) => {
                let civil = civil(*micros);
                match (self, literal) {
                    (Dialect::Standard, Literal::Instant(_)) => format!("timestamp with time zone '{civil}+00'"),
                    (Dialect::Standard | Dialect::Mysql, _) => format!("timestamp '{civil}'"),
                    (Dialect::Sqlite, _) => format!("'{civil}'"),
                    (Dialect::Odbc, _) => format!("{{ts '{civil}'}}"),
                }
            }
        }
    }
}

/// Microseconds since 1970 as `2026-11-21 17:00:00.000000`.
fn civil(micros: i64) -> String {
    let moment = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MIN);
    moment.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()
}

fn resolve(condition: &Condition<Given>, dates: Dates<'_>) -> Result<Condition, String> {
    let each =
        |parts: &[Condition<Given>]| parts.iter().map(|part| resolve(part, dates)).collect::<Result<Vec<_>, _>>();
    Ok(match condition {
        Condition::All(parts) => Condition::All(each(parts)?),
        Condition::Any(parts) => Condition::Any(each(parts)?),
        Condition::Not(inner) => Condition::Not(Box::new(resolve(inner, dates)?)),
        Condition::NotTrue(inner) => Condition::NotTrue(Box::new(resolve(inner, dates)?)),
        Condition::IsNull(column) => Condition::IsNull(column.clone()),
        Condition::Compare(column, comparison, given) => {
            let literal = match given {
                Given::Literal(literal) => literal.clone(),
                Given::Night(night, steps) => {
                    let mut date = match night {
                        Night::AsOf => dates.as_of,
                        Night::Until => dates.until,
                    };
                    for step in steps {
                        date = walk(date, step, dates)?;
                    }
                    Literal::Date(date)
                }
            };
            Condition::Compare(column.clone(), *comparison, literal)
        }
    })
}

fn walk(date: Date, step: &Step, dates: Dates<'_>) -> Result<Date, String> {
    let days = |days: i64| i32::try_from(days).ok().and_then(|days| date.checked_add(days.days()).ok());
    let months = |months: i64| i32::try_from(months).ok().and_then(|months| date.checked_add(months.months()).ok());
    let walked = match step {
        Step::Days(count) => days(*count),
        Step::Months(count) => months(*count),
        Step::Rule(name, sign) => {
            let version = dates
                .law
                .rule(name)
                .and_then(|rule| rule.in_force(crate::calendar::AsOf::new(dates.as_of)).map(|version| (rule, version)));
            let (rule, version) =
                version.ok_or_else(|| format!("the rule {name} has no version in force on {}", dates.as_of))?;
            let longest = version.values.iter().map(|(_, value)| *value).max().unwrap_or(0);
            match rule.unit.as_str() {
                "months" => months(sign * longest),
                "years" => months(sign * longest * 12),
                _ => days(sign * longest),
            }
        }
    };
    walked.ok_or_else(|| "its date lies outside the calendar".to_owned())
}

const FORM: &str = "a filter compares granted columns with values: =, <>, <, <=, >, >=, between, in, is null, and, or, not; \
                    the dates are $as_of and $until, with + or - of days, interval '…' or longest('rule')";

fn condition(expr: &Expr, columns: &[Column]) -> Result<Condition<Given>, String> {
    let both = |left: &Expr, right: &Expr| Ok::<_, String>(vec![condition(left, columns)?, condition(right, columns)?]);
    let compare = |left: &Expr, comparison, right: &Expr| {
        Ok(Condition::Compare(column(left, columns)?, comparison, given(right)?))
    };
    let maybe_not = |negated: bool, condition| if negated { Condition::Not(Box::new(condition)) } else { condition };
    match expr {
        Expr::Nested(inner) => condition(inner, columns),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => Ok(Condition::Not(Box::new(condition(expr, columns)?))),
        Expr::IsNull(inner) => Ok(Condition::IsNull(column(inner, columns)?)),
        Expr::IsNotNull(inner) => Ok(Condition::Not(Box::new(Condition::IsNull(column(inner, columns)?)))),
        Expr::Between { expr, negated, low, high } => {
            let parts =
                vec![compare(expr, Comparison::GreaterOrEqual, low)?, compare(expr, Comparison::LessOrEqual, high)?];
            Ok(maybe_not(*negated, Condition::All(parts)))
        }
        Expr::InList { expr, list, negated } => {
            let parts =
                list.iter().map(|value| compare(expr, Comparison::Equal, value)).collect::<Result<_, String>>()?;
            Ok(maybe_not(*negated, Condition::Any(parts)))
        }
        Expr::BinaryOp { left, op, right } => {
            let comparison = match op {
                BinaryOperator::And => return Ok(Condition::All(both(left, right)?)),
                BinaryOperator::Or => return Ok(Condition::Any(both(left, right)?)),
                BinaryOperator::Eq => Comparison::Equal,
                BinaryOperator::NotEq => Comparison::NotEqual,
                BinaryOperator::Lt => Comparison::Less,
                BinaryOperator::LtEq => Comparison::LessOrEqual,
                BinaryOperator::Gt => Comparison::Greater,
                BinaryOperator::GtEq => Comparison::GreaterOrEqual,
                _ => return Err(FORM.to_owned()),
            };
            compare(left, comparison, right)
        }
        // A column that holds yes or no stands by itself.
        Expr::Identifier(_) => {
            Ok(Condition::Compare(column(expr, columns)?, Comparison::Equal, Given::Literal(Literal::Bool(true))))
        }
        _ => Err(FORM.to_owned()),
    }
}

fn column(expr: &Expr, columns: &[Column]) -> Result<String, String> {
    match expr {
        Expr::Identifier(name) if columns.iter().any(|column| column.name == name.value) => Ok(name.value.clone()),
        Expr::Identifier(name) => Err(format!("\"{}\" is not among the granted columns", name.value)),
        Expr::Nested(inner) => column(inner, columns),
        _ => Err(FORM.to_owned()),
    }
}

fn given(expr: &Expr) -> Result<Given, String> {
    let literal = |literal| Ok(Given::Literal(literal));
    match expr {
        Expr::Nested(inner) => given(inner),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => literal(Literal::Text(text.clone())),
            Value::Boolean(value) => literal(Literal::Bool(*value)),
            Value::Number(text, _) => literal(Literal::Int(text.parse().map_err(|_| FORM.to_owned())?)),
            Value::Placeholder(word) if word == "$as_of" => Ok(Given::Night(Night::AsOf, Vec::new())),
            Value::Placeholder(word) if word == "$until" => Ok(Given::Night(Night::Until, Vec::new())),
            Value::Placeholder(word) => Err(format!("{word} is not known here; $as_of and $until are")),
            _ => Err(FORM.to_owned()),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match given(expr)? {
            Given::Literal(Literal::Int(value)) => literal(Literal::Int(value.saturating_neg())),
            _ => Err(FORM.to_owned()),
        },
        Expr::TypedString(typed) if typed.data_type == DataType::Date => match &typed.value.value {
            Value::SingleQuotedString(text) => literal(Literal::Date(
                text.parse().map_err(|_| format!("'{text}' is not a date of the form 2026-11-21"))?,
            )),
            _ => Err(FORM.to_owned()),
        },
        Expr::BinaryOp { left, op, right } => {
            let sign = match op {
                BinaryOperator::Plus => 1,
                BinaryOperator::Minus => -1,
                _ => return Err(FORM.to_owned()),
            };
            let Given::Night(night, mut steps) = given(left)? else { return Err(FORM.to_owned()) };
            steps.push(step(right, sign)?);
            Ok(Given::Night(night, steps))
        }
        _ => Err(FORM.to_owned()),
    }
}

fn step(expr: &Expr, sign: i64) -> Result<Step, String> {
    match expr {
        Expr::Nested(inner) => step(inner, sign),
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => {
                text.parse::<i32>().map(|days| Step::Days(sign * i64::from(days))).map_err(|_| FORM.to_owned())
            }
            _ => Err(FORM.to_owned()),
        },
        Expr::Interval(interval) => {
            let Expr::Value(value) = interval.value.as_ref() else { return Err(FORM.to_owned()) };
            let Value::SingleQuotedString(text) = &value.value else { return Err(FORM.to_owned()) };
            let wrong = || format!("interval '{text}' is not understood; write interval '60 months', days or years");
            let (count, unit) = match (text.split_once(' '), &interval.leading_field) {
                (Some((count, unit)), None) => (count, unit.to_lowercase()),
                (None, Some(field)) => (text.as_str(), field.to_string().to_lowercase()),
                _ => return Err(wrong()),
            };
            let count = sign * i64::from(count.parse::<i32>().map_err(|_| wrong())?);
            match unit.trim_end_matches('s') {
                "day" => Ok(Step::Days(count)),
                "month" => Ok(Step::Months(count)),
                "year" => Ok(Step::Months(count * 12)),
                _ => Err(wrong()),
            }
        }
        Expr::Function(function) if function.name.to_string() == "longest" => match &function.args {
            FunctionArguments::List(list) => match list.args.as_slice() {
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))] => match &value.value {
                    Value::SingleQuotedString(rule) => Ok(Step::Rule(rule.clone(), sign)),
                    _ => Err(FORM.to_owned()),
                },
                _ => Err(FORM.to_owned()),
            },
            _ => Err(FORM.to_owned()),
        },
        _ => Err(FORM.to_owned()),
    }
}
