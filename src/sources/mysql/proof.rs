//! What the server counts itself, in the same snapshot: rows, a digest of the keys, control totals.
//!
//! The digest is the exclusive or over all rows of the first 64 bits of MD5 of
//! the key, whose parts are written with their length before them. It is taken
//! of the bytes, so that no collation makes two keys one: 'Hà' is not 'Ha'.

use std::fmt::Write;

use md5::{Digest, Md5};
use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::{Column, Row, Value};

use super::columns::BINARY;
use crate::pipeline::filter::{Condition, Dialect};
use crate::pipeline::{SourceTable, Type};
use crate::sources::Totals;
use crate::sources::values::units;

/// What is asked, and where the answers stand.
pub(super) struct Proof {
    key: Option<Key>,
    /// The key as one expression of bytes.
    digest: Option<String>,
    sums: Vec<Sum>,
}

/// A control total: its column, the sum as SQL, and the decimals in which it lands.
struct Sum {
    column: String,
    sql: String,
    scale: u8,
}

/// The columns of a key, as they stand in a row.
#[derive(Clone)]
pub(super) struct Key {
    parts: Vec<(usize, Part)>,
    text: Vec<u8>,
}

/// How a part of a key is written as bytes, here and at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// In decimal digits.
    Whole,
    /// As it is.
    Bytes,
    /// In UTF-8.
    Text,
    /// `2026-11-21`.
    Date,
    /// `2026-11-21 08:30:00`, and so many decimals.
    Moment(u8),
}

impl Proof {
    /// `given` are the columns of the select, in the order of the contract.
    pub(super) fn new(table: &SourceTable, given: &[Column]) -> Self {
        let place = |name: &String| table.columns.iter().position(|column| column.name == *name);
        let parts: Option<Vec<_>> =
            table.key.iter().map(|name| place(name).and_then(|at| Some((at, Part::of(given.get(at)?)?)))).collect();
        let parts = parts.filter(|parts| !parts.is_empty());
        let digest = parts.as_ref().map(|parts| {
            let texts = parts.iter().filter_map(|(at, part)| Some(part.sql(&table.columns.get(*at)?.name)));
            let texts: Vec<_> = texts.map(|text| format!("ifnull(concat(length({text}), ':', {text}), '-')")).collect();
            format!("concat({})", texts.join(", "))
        });
        let sums = table.control_totals.iter().filter_map(|name| {
            let (column, given) = place(name).and_then(|at| Some((table.columns.get(at)?, given.get(at)?)))?;
            Sum::of(name, column.kind, given.column_type())
        });
        Proof { key: parts.map(|parts| Key { parts, text: Vec::new() }), digest, sums: sums.collect() }
    }

    pub(super) fn key(&self) -> Option<Key> {
        self.key.clone()
    }

    /// One row: the number of rows, the digest, and for each control total how many values and their sum.
    pub(super) fn sql(&self, relation: &str, condition: Option<&Condition>) -> String {
        let mut sql = String::from("select count(*)");
        let digest = self.digest.as_deref().map(|key| {
            format!("cast(ifnull(bit_xor(cast(conv(left(md5({key}), 16), 16, 10) as unsigned)), 0) as char)")
        });
        write_part(&mut sql, &digest.unwrap_or_else(|| "null".to_owned()));
        for sum in &self.sums {
            let column = Dialect::Mysql.quote(&sum.column);
            write_part(&mut sql, &format!("count(t.{column}), cast(ifnull(sum({}), 0) as char)", sum.sql));
        }
        let rows = condition.map(|condition| format!(" where {}", condition.sql(Dialect::Mysql))).unwrap_or_default();
        sql + &format!(" from {relation} as t{rows}")
    }

    /// None when the row is not what was asked for.
    pub(super) fn counted(&self, row: &Row) -> Option<Totals> {
        let text = |at: usize| match row.as_ref(at)? {
            Value::Bytes(bytes) => Some(bytes.as_slice()),
            _ => None,
        };
        let number = |at: usize| std::str::from_utf8(text(at)?).ok()?.parse::<u64>().ok();
        let mut totals = Totals { rows: number(0)?, ..Totals::default() };
        if self.digest.is_some() {
            totals.keys = Some(number(1)?);
        }
        for (index, sum) in self.sums.iter().enumerate() {
            // A sum with more decimals than are declared has values that are faults.
            if let Some(units) = units(text(2 * index + 3)?, sum.scale) {
                totals.sums.insert(sum.column.clone(), (number(2 * index + 2)?, units));
            }
        }
        Some(totals)
    }
}

fn write_part(sql: &mut String, part: &str) {
    sql.push_str(", ");
    sql.push_str(part);
}

impl Sum {
    /// None for what the server would have to convert: there is no exact sum of it.
    fn of(column: &str, declared: Type, given: ColumnType) -> Option<Sum> {
        use ColumnType::*;
        let name = format!("t.{}", Dialect::Mysql.quote(column));
        let (sql, scale) = match (declared, given) {
            (
                Type::Int | Type::Decimal { .. },
                MYSQL_TYPE_TINY
                | MYSQL_TYPE_SHORT
                | MYSQL_TYPE_INT24
                | MYSQL_TYPE_LONG
                | MYSQL_TYPE_LONGLONG
                | MYSQL_TYPE_NEWDECIMAL,
            ) => (name, if let Type::Decimal { scale, .. } = declared { scale } else { 0 }),
            (Type::Date, MYSQL_TYPE_DATE | MYSQL_TYPE_DATETIME) => (format!("datediff({name}, '1970-01-01')"), 0),
            _ => return None,
        };
        Some(Sum { column: column.to_owned(), sql, scale })
    }
}

impl Part {
    /// None for what the server and we might write differently.
    fn of(given: &Column) -> Option<Part> {
        use ColumnType::*;
        let is_text = given.character_set() != BINARY;
        match given.column_type() {
            MYSQL_TYPE_TINY | MYSQL_TYPE_SHORT | MYSQL_TYPE_INT24 | MYSQL_TYPE_LONG | MYSQL_TYPE_LONGLONG
            | MYSQL_TYPE_YEAR => Some(Part::Whole),
            MYSQL_TYPE_NEWDECIMAL if !given.flags().contains(ColumnFlags::ZEROFILL_FLAG) => Some(Part::Bytes),
            MYSQL_TYPE_DATE => Some(Part::Date),
            MYSQL_TYPE_DATETIME | MYSQL_TYPE_TIMESTAMP if given.decimals() <= 6 => Some(Part::Moment(given.decimals())),
            MYSQL_TYPE_ENUM | MYSQL_TYPE_SET => Some(Part::Text),
            MYSQL_TYPE_VARCHAR | MYSQL_TYPE_VAR_STRING | MYSQL_TYPE_STRING | MYSQL_TYPE_BLOB => {
                Some(if is_text { Part::Text } else { Part::Bytes })
            }
            _ => None,
        }
    }

    /// The bytes as the server writes them.
    fn sql(self, column: &str) -> String {
        let name = format!("t.{}", Dialect::Mysql.quote(column));
        match self {
            // The sum has no zeros before it, which `zerofill` would write.
            Part::Whole => format!("cast({name} + 0 as binary)"),
            Part::Bytes | Part::Date | Part::Moment(_) => format!("cast({name} as binary)"),
            Part::Text => format!("cast(convert({name} using utf8mb4) as binary)"),
        }
    }

    /// The same bytes of a value that arrived; none when it is of another type than the column said.
    fn write(self, value: &Value, text: &mut Vec<u8>) -> Option<()> {
        match (self, value) {
            (Part::Bytes | Part::Text, Value::Bytes(bytes)) => text.extend_from_slice(bytes),
            (Part::Whole, Value::Int(value)) => text.extend_from_slice(value.to_string().as_bytes()),
            (Part::Whole, Value::UInt(value)) => text.extend_from_slice(value.to_string().as_bytes()),
            (Part::Date, Value::Date(year, month, day, ..)) => {
                text.extend_from_slice(format!("{year:04}-{month:02}-{day:02}").as_bytes());
            }
            (Part::Moment(decimals), Value::Date(year, month, day, hour, minute, second, micros)) => {
                let mut moment = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
                if decimals > 0 {
                    write!(moment, ".{micros:06}").ok()?;
                    moment.truncate(20 + usize::from(decimals));
                }
                text.extend_from_slice(moment.as_bytes());
            }
            _ => return None,
        }
        Some(())
    }
}

impl Key {
    /// The hash of a row's key.
    pub(super) fn hash(&mut self, row: &Row) -> Option<u64> {
        let mut digest = Md5::new();
        for (at, part) in &self.parts {
            match row.as_ref(*at)? {
                Value::NULL => digest.update(b"-"),
                value => {
                    self.text.clear();
                    part.write(value, &mut self.text)?;
                    digest.update(format!("{}:", self.text.len()));
                    digest.update(&self.text);
                }
            }
        }
        let digest: [u8; 16] = digest.finalize().into();
        digest.first_chunk().map(|first| u64::from_be_bytes(*first))
    }
}
