//! A condition as a source understands it.

use std::collections::BTreeSet;

use super::{Comparison, Condition, Literal};

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

impl Condition {
    /// The condition as a source understands it. Columns are qualified with `t`.
    ///
    /// SQLite has no types: what is not in the form in which it can be compared (a date that is
    /// `21/11/2026`, a number that is a text) is asked for as well, so that it is judged and counted
    /// instead of passing for a row that does not matter. In MySQL it is the zero date, which lies before
    /// every date: as a range of its own, so that an index over the dates still finds what is asked for.
    pub fn sql(&self, dialect: Dialect) -> String {
        let mut text = String::new();
        self.write(dialect, &mut text);
        let mut guards = BTreeSet::new();
        self.guards(dialect, &mut guards);
        match guards.is_empty() {
            true => text,
            false => format!("({text} or {})", guards.into_iter().collect::<Vec<_>>().join(" or ")),
        }
    }

    fn guards(&self, dialect: Dialect, guards: &mut BTreeSet<String>) {
        match self {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().for_each(|part| part.guards(dialect, guards));
            }
            Condition::Not(inner) | Condition::NotTrue(inner) => inner.guards(dialect, guards),
            Condition::IsNull(_) => {}
            Condition::Compare(column, _, literal) => {
                let column = dialect.column(column);
                guards.extend(match dialect {
                    Dialect::Sqlite => Some(guard(&column, literal)),
                    Dialect::Mysql => zero(&column, literal),
                    Dialect::Standard | Dialect::Odbc => None,
                });
            }
        }
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
                let plain = format!("{column} {} {value}", comparison.sign());
                match (dialect, literal, comparison) {
                    // MySQL does not see the blanks behind a text, in almost any collation.
                    (Dialect::Mysql, Literal::Text(value), Comparison::Equal | Comparison::NotEqual) => {
                        let (both, length) = if *comparison == Comparison::Equal { ("and", "=") } else { ("or", "<>") };
                        let chars = value.chars().count();
                        text.push_str(&format!("({plain} {both} char_length({column}) {length} {chars})"));
                    }
                    _ => text.push_str(&plain),
                }
            }
        }
    }
}

/// Whether an SQLite value is in no form in which it can be compared with the literal; empty is in every form.
fn guard(column: &str, literal: &Literal) -> String {
    const DAY: &str = "[0-9][0-9][0-9][0-9]-[0-1][0-9]-[0-3][0-9]";
    match literal {
        Literal::Text(_) => format!("typeof({column}) not in ('text', 'null')"),
        Literal::Int(_) | Literal::Bool(_) => format!("typeof({column}) in ('text', 'blob')"),
        Literal::Date(_) => format!("{column} not glob '{DAY}'"),
        // Text in order is time in order only without a zone, with a blank in the middle, and without zeros at
        // the end that say nothing.
        Literal::Timestamp(_) | Literal::Instant(_) => format!(
            "{column} not glob '{DAY} [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*' or {column} glob '*[+Zz]*' or {column} glob '*-*-*-*' or {column} glob '*.*0'"
        ),
    }
}

/// Whether a MySQL value is `0000-00-00`. The date itself cannot be written where the server is strict.
fn zero(column: &str, literal: &Literal) -> Option<String> {
    match literal {
        Literal::Date(_) => Some(format!("{column} < date '0001-01-01'")),
        Literal::Timestamp(_) => Some(format!("{column} < timestamp '0001-01-01 00:00:00'")),
        // A moment begins with the first second of 1970, and a bound before it cannot be one.
        Literal::Instant(_) => Some(format!("{column} < timestamp '1970-01-01 00:00:01'")),
        Literal::Text(_) | Literal::Int(_) | Literal::Bool(_) => None,
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
            // MySQL's usual collations make 'Hà' the same as 'Ha'.
            Literal::Text(value) if self == Dialect::Mysql => format!("{} collate utf8mb4_bin", text(value)),
            // A column of SQLite may be declared to take 'B1' for 'b1'.
            Literal::Text(value) if self == Dialect::Sqlite => format!("{} collate binary", text(value)),
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

/// Microseconds since 1970 as `2026-11-21 17:00:00.25`, without zeros that say nothing: not every
/// ODBC source has six digits.
fn civil(micros: i64) -> String {
    let moment = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MIN);
    moment.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S%.f").to_string()
}
