//! A filter as written becomes a condition, or a sentence on what it may not say.

use jiff::civil::Date;
use sqlparser::ast::{
    BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Interval, UnaryOperator, Value,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::{Comparison, Condition, Given, Held, Literal, Night, Step};
use crate::pipeline::{Column, Family, Type};

/// A longer filter is a table of its own. It keeps the walks over a condition, which are as deep as it is long, shallow.
const CHARS_MAX: usize = 4_000;

const FORM: &str = "a filter compares granted columns with values: =, <>, <, <=, >, >=, between, in, is null, and, or, not; \
                    the dates are $as_of, $until and $since, with + or - of days, interval '…' or longest('rule')";

pub(super) fn condition_of(text: &str, columns: &[Column]) -> Result<Condition<Given>, String> {
    if text.chars().count() > CHARS_MAX {
        return Err(format!("it is longer than {CHARS_MAX} characters"));
    }
    let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).and_then(|mut parser| {
        let expr = parser.parse_expr()?;
        parser.expect_token(&sqlparser::tokenizer::Token::EOF).map(|_| expr)
    });
    condition(&parsed.map_err(|error| format!("it is not a condition: {error}"))?, columns)
}

fn condition(expr: &Expr, columns: &[Column]) -> Result<Condition<Given>, String> {
    let both = |left: &Expr, right: &Expr| Ok::<_, String>(vec![condition(left, columns)?, condition(right, columns)?]);
    let compare = |left: &Expr, comparison, right: &Expr| {
        let column = column(left, columns)?;
        let given = fitted(column, comparison, given(right)?)?;
        Ok::<_, String>(Condition::Compare(column.name.clone(), comparison, given))
    };
    let is_null = |inner: &Expr| Ok::<_, String>(Condition::IsNull(column(inner, columns)?.name.clone()));
    let maybe_not = |negated: bool, condition| if negated { Condition::Not(Box::new(condition)) } else { condition };
    match expr {
        Expr::Nested(inner) => condition(inner, columns),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => Ok(Condition::Not(Box::new(condition(expr, columns)?))),
        Expr::IsNull(inner) => is_null(inner),
        Expr::IsNotNull(inner) => Ok(Condition::Not(Box::new(is_null(inner)?))),
        Expr::IsNotTrue(inner) => Ok(Condition::NotTrue(Box::new(condition(inner, columns)?))),
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
        Expr::BinaryOp { left, op, right } => match op {
            BinaryOperator::And => Ok(Condition::All(both(left, right)?)),
            BinaryOperator::Or => Ok(Condition::Any(both(left, right)?)),
            op => compare(left, comparison(op)?, right),
        },
        // A column that holds yes or no stands by itself.
        Expr::Identifier(_) => {
            let column = column(expr, columns)?;
            let given = fitted(column, Comparison::Equal, Given::Literal(Literal::Bool(true)))?;
            Ok(Condition::Compare(column.name.clone(), Comparison::Equal, given))
        }
        _ => Err(FORM.to_owned()),
    }
}

fn comparison(op: &BinaryOperator) -> Result<Comparison, String> {
    Ok(match op {
        BinaryOperator::Eq => Comparison::Equal,
        BinaryOperator::NotEq => Comparison::NotEqual,
        BinaryOperator::Lt => Comparison::Less,
        BinaryOperator::LtEq => Comparison::LessOrEqual,
        BinaryOperator::Gt => Comparison::Greater,
        BinaryOperator::GtEq => Comparison::GreaterOrEqual,
        _ => return Err(FORM.to_owned()),
    })
}

fn column<'c>(expr: &Expr, columns: &'c [Column]) -> Result<&'c Column, String> {
    match expr {
        Expr::Identifier(name) => columns
            .iter()
            .find(|column| column.name == name.value)
            .ok_or_else(|| format!("\"{}\" is not among the granted columns", name.value)),
        Expr::Nested(inner) => column(inner, columns),
        _ => Err(FORM.to_owned()),
    }
}

/// The value in the form that the column's type asks for. Sources differ in how they compare what is of
/// two types, and some do so in silence; here only what is of one type is compared.
fn fitted(column: &Column, comparison: Comparison, given: Given) -> Result<Given, String> {
    let name = &column.name;
    let is_equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
    let held = match column.kind {
        Type::Date => Some(Held::Date),
        Type::Timestamp => Some(Held::Timestamp),
        Type::Instant => Some(Held::Instant),
        _ => None,
    };
    match (given, held) {
        (Given::Night(_, steps, _), _) if is_equality && steps.iter().any(|step| !matches!(step, Step::Days(_))) => {
            Err(format!("{name} is compared with one day that months or a rule lead to: write a range, with >= or <="))
        }
        (Given::Night(night, steps, _), Some(held)) => Ok(Given::Night(night, steps, held)),
        (Given::Literal(Literal::Date(date)), Some(held)) => held.literal(date).map(Given::Literal),
        (Given::Literal(Literal::Text(text)), Some(held)) => held.literal(day(&text)?).map(Given::Literal),
        (Given::Literal(literal), None) => {
            let is_ordered = !matches!(column.kind.family(), Family::Text | Family::Bool);
            let fits = matches!(
                (column.kind.family(), &literal),
                (Family::Text, Literal::Text(_))
                    | (Family::Int | Family::Float | Family::Decimal, Literal::Int(_))
                    | (Family::Bool, Literal::Bool(_))
            );
            if !fits || column.kind.is_list() {
                return Err(mismatch(column));
            }
            if !is_ordered && !is_equality {
                return Err(format!("{name} is {}: it is compared with = and <> only", column.kind.word()));
            }
            Ok(Given::Literal(literal))
        }
        _ => Err(mismatch(column)),
    }
}

fn mismatch(column: &Column) -> String {
    let with = match column.kind {
        Type::Text => "a text in '…'",
        Type::Int | Type::Float | Type::Decimal { .. } => "a whole number",
        Type::Bool => "true or false",
        Type::Date | Type::Timestamp | Type::Instant => "$as_of, $until, $since or date '2026-11-21'",
        Type::Time | Type::Interval | Type::Bytes | Type::List(_) | Type::DecimalList { .. } => {
            "nothing; it is null or it is not"
        }
    };
    format!("{} is {}: it is compared with {with}", column.name, column.kind.word())
}

fn given(expr: &Expr) -> Result<Given, String> {
    let night = |night| Ok(Given::Night(night, Vec::new(), Held::Date));
    let literal = |literal| Ok(Given::Literal(literal));
    match expr {
        Expr::Nested(inner) => given(inner),
        Expr::Value(value) => match &value.value {
            // Sources disagree on what a backslash is; nobody's code or name has one.
            Value::SingleQuotedString(text) if text.contains(|c: char| c == '\\' || c.is_control()) => {
                Err("a text may hold neither a backslash nor a control character".to_owned())
            }
            Value::SingleQuotedString(text) => literal(Literal::Text(text.clone())),
            Value::Boolean(value) => literal(Literal::Bool(*value)),
            Value::Number(text, _) => literal(Literal::Int(text.parse().map_err(|_| FORM.to_owned())?)),
            Value::Placeholder(word) if word == "$as_of" => night(Night::AsOf),
            Value::Placeholder(word) if word == "$until" => night(Night::Until),
            Value::Placeholder(word) if word == "$since" => night(Night::Since),
            Value::Placeholder(word) => Err(format!("{word} is not known here; $as_of, $until and $since are")),
            _ => Err(FORM.to_owned()),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match given(expr)? {
            Given::Literal(Literal::Int(value)) => literal(Literal::Int(value.saturating_neg())),
            _ => Err(FORM.to_owned()),
        },
        Expr::TypedString(typed) if typed.data_type == DataType::Date => match &typed.value.value {
            Value::SingleQuotedString(text) => literal(Literal::Date(day(text)?)),
            _ => Err(FORM.to_owned()),
        },
        Expr::BinaryOp { left, op, right } => {
            let sign = match op {
                BinaryOperator::Plus => 1,
                BinaryOperator::Minus => -1,
                _ => return Err(FORM.to_owned()),
            };
            let Given::Night(night, mut steps, held) = given(left)? else { return Err(FORM.to_owned()) };
            steps.push(step(right, sign)?);
            Ok(Given::Night(night, steps, held))
        }
        _ => Err(FORM.to_owned()),
    }
}

/// ISO 8601 and nothing else: a library may take more than a person means.
fn day(text: &str) -> Result<Date, String> {
    let is_plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let date = if is_plain { text.parse().ok() } else { None };
    date.ok_or_else(|| format!("'{text}' is not a date of the form 2026-11-21"))
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
        Expr::Interval(interval) => distance(interval, sign),
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

fn distance(interval: &Interval, sign: i64) -> Result<Step, String> {
    let Expr::Value(value) = interval.value.as_ref() else { return Err(FORM.to_owned()) };
    let Value::SingleQuotedString(text) = &value.value else { return Err(FORM.to_owned()) };
    let wrong = || format!("interval '{text}' is not understood; write interval '60 months', days or years");
    let (count, unit) = match (text.split_once(' '), &interval.leading_field) {
        (Some((count, unit)), None) => (count, unit.to_lowercase()),
        (None, Some(field)) => (text.as_str(), field.to_string().to_lowercase()),
        _ => return Err(wrong()),
    };
    let count = sign * i64::from(count.parse::<i32>().map_err(|_| wrong())?);
    match unit.as_str() {
        "day" | "days" => Ok(Step::Days(count)),
        "month" | "months" => Ok(Step::Months(count)),
        "year" | "years" => Ok(Step::Months(count * 12)),
        _ => Err(wrong()),
    }
}
