//! Which rows of a table are asked for: a condition over granted columns that
//! every source understands.
//!
//! A filter is written as SQL has it (`expires_on between $as_of and $until`),
//! and is only ever a comparison of a granted column with a value, and such
//! comparisons joined. [`Filter::on`] puts in the dates of a night; the
//! [`Condition`] is then rendered for the source. This module must not know how
//! a source is reached, nor what a column means.
//!
//! # Months differ in length
//!
//! "Issued at most 60 months before" has no one answer on 29 February, and the
//! select that computes the due date may round the other way than the filter.
//! A filter may ask for a row too many, never for one too few: a bound that was
//! moved by months or years is moved by [`MONTH_SLACK_DAYS`] more, to the side
//! on which it lets more rows through, for each such step.
//!
//! # What a filter takes away
//!
//! A row that is not asked for is not judged: it is neither quarantined nor
//! counted, and a second row with its key is not noticed. Where an empty column
//! is to be noticed, the filter asks for it (`expires_on is null or …`). Text is
//! compared as the source has it, before it is brought to NFC.

mod moments;
mod read;
mod render;
mod window;

use jiff::civil::Date;

use super::Column;
use super::law::Law;

pub use render::Dialect;

/// How far two ways of adding months can lie apart: between the 28th and the 31st.
pub const MONTH_SLACK_DAYS: i64 = 3;

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
    Night(Night, Vec<Step>, Held),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Night {
    AsOf,
    Until,
    Since,
}

/// In what the compared column holds the date; at its first moment where the column is finer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Date,
    Timestamp,
    Instant,
}

/// A distance from the night, forward or back.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Days(i64),
    Months(i64),
    /// The longest value of a rule, in whichever of its terms, times 1 or -1.
    Rule(String, i64),
}

/// The dates of a night.
#[derive(Debug, Clone, Copy)]
pub struct Dates<'a> {
    /// The night's date: `$as_of`.
    pub as_of: Date,
    /// The end of the longest notice that the agency gives: `$until`.
    pub until: Date,
    /// The first due date that is still followed: `$since`.
    pub since: Date,
    /// What was decided after this date is not known.
    pub known_on: Date,
    /// The rules, for `longest('rule')`.
    pub law: &'a Law,
}

impl Filter {
    /// Reads a filter over these columns; the error says what it may not say.
    pub fn parse(text: &str, columns: &[Column]) -> Result<Self, String> {
        Ok(Filter { text: text.to_owned(), condition: read::condition_of(text, columns)? })
    }

    /// The condition of a night; the error says which rule has no value then.
    pub fn on(&self, dates: Dates<'_>) -> Result<Condition, String> {
        resolve(&self.condition, dates, true)
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
                Condition::Compare(_, _, Given::Night(_, steps, _)) => {
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

/// Puts in the dates of a night. `grows` says that a row more is better than a row less: what stands
/// under a `not` takes rows away, and there it is the other way round.
fn resolve(condition: &Condition<Given>, dates: Dates<'_>, grows: bool) -> Result<Condition, String> {
    let each =
        |parts: &[Condition<Given>]| parts.iter().map(|part| resolve(part, dates, grows)).collect::<Result<_, _>>();
    Ok(match condition {
        Condition::All(parts) => Condition::All(each(parts)?),
        Condition::Any(parts) => Condition::Any(each(parts)?),
        Condition::Not(inner) => Condition::Not(Box::new(resolve(inner, dates, !grows)?)),
        Condition::NotTrue(inner) => Condition::NotTrue(Box::new(resolve(inner, dates, !grows)?)),
        Condition::IsNull(column) => Condition::IsNull(column.clone()),
        Condition::Compare(column, comparison, given) => {
            let literal = match given {
                Given::Literal(literal) => literal.clone(),
                Given::Night(night, steps, held) => held.literal(bound(*night, steps, dates, *comparison, grows)?)?,
            };
            Condition::Compare(column.clone(), *comparison, literal)
        }
    })
}

fn bound(night: Night, steps: &[Step], dates: Dates<'_>, comparison: Comparison, grows: bool) -> Result<Date, String> {
    let mut date = match night {
        Night::AsOf => dates.as_of,
        Night::Until => dates.until,
        Night::Since => dates.since,
    };
    let mut slack_days = 0;
    for step in steps {
        let (moved, is_by_months) = walk(date, step, dates)?;
        date = moved;
        slack_days += if is_by_months { MONTH_SLACK_DAYS } else { 0 };
    }
    let later = match comparison {
        Comparison::Less | Comparison::LessOrEqual => grows,
        Comparison::Greater | Comparison::GreaterOrEqual => !grows,
        // Never moved by months: the reader refuses it.
        Comparison::Equal | Comparison::NotEqual => return Ok(date),
    };
    moved(date, jiff::Span::new().try_days(if later { slack_days } else { -slack_days }))
}

/// The date one step on, and whether the step was one of months.
fn walk(date: Date, step: &Step, dates: Dates<'_>) -> Result<(Date, bool), String> {
    let (days, months) = match step {
        Step::Days(count) => (Some(*count), None),
        Step::Months(count) => (None, Some(*count)),
        Step::Rule(name, sign) => {
            let none = || format!("the rule {name} has no version that was enacted by {}", dates.known_on);
            let rule = dates.law.rule(name).ok_or_else(none)?;
            // Every term counts: an obligation may be judged by the law of its own day.
            let value = rule.longest(dates.known_on).ok_or_else(none)?;
            match rule.unit.as_str() {
                "weeks" => (value.checked_mul(*sign).and_then(|weeks| weeks.checked_mul(7)), None),
                "days" => (value.checked_mul(*sign), None),
                "months" => (None, value.checked_mul(*sign)),
                "years" => (None, value.checked_mul(*sign).and_then(|years| years.checked_mul(12))),
                unit => return Err(format!("the rule {name} counts {unit}, which is no time")),
            }
        }
    };
    match (days, months) {
        (Some(days), _) => Ok((moved(date, jiff::Span::new().try_days(days))?, false)),
        (None, Some(months)) => Ok((moved(date, jiff::Span::new().try_months(months))?, true)),
        (None, None) => Err(OUTSIDE.to_owned()),
    }
}

const OUTSIDE: &str = "its date lies outside the calendar";

fn moved(date: Date, span: Result<jiff::Span, jiff::Error>) -> Result<Date, String> {
    span.and_then(|span| date.checked_add(span)).map_err(|_| OUTSIDE.to_owned())
}

impl Held {
    fn literal(self, date: Date) -> Result<Literal, String> {
        let micros = |zone| {
            let moment = date.to_zoned(zone).map_err(|_| OUTSIDE.to_owned())?;
            Ok::<_, String>(moment.timestamp().as_microsecond())
        };
        Ok(match self {
            Held::Date => Literal::Date(date),
            Held::Timestamp => Literal::Timestamp(micros(jiff::tz::TimeZone::UTC)?),
            Held::Instant => Literal::Instant(micros(crate::calendar::vietnam())?),
        })
    }
}
