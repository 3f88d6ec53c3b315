//! What the server itself counts, sums and digests, to be compared with what was received.
//!
//! The digest of keys is the exclusive or of a 64-bit hash of each row's key.
//! The parts of a key are chained, each hashed with the hash of the parts before
//! it as its seed, so that ('ab', 'c') and ('a', 'bc') differ. A key with an
//! empty part is in no digest.

use tokio_postgres::Row;

use super::binary::unpadded;
use super::decode::{Malformed, int};
use super::hash;
use super::types::{Decode, Reading};
use crate::calendar::ZONE;
use crate::pipeline::{Column, SourceTable, Type};
use crate::sources::{Totals, quote};

/// How one column of a key is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyPart {
    /// As a number of 8 bytes.
    Int,
    /// As text in the collation "C".
    Text,
    /// As text without the blanks behind it.
    Padded,
    /// As the hexadecimal digits of what the server sends, which this function of it gives.
    Sent(&'static str),
}

impl KeyPart {
    /// How a key column that is read so is hashed; none when the server has no hash of it.
    pub(super) fn of(reading: &Reading) -> Option<Self> {
        Some(match reading.decode {
            _ if reading.is_list || reading.cast.is_some() => return None,
            Decode::Int => KeyPart::Int,
            Decode::Text => KeyPart::Text,
            Decode::Padded => KeyPart::Padded,
            Decode::Uuid => KeyPart::Sent("uuid_send"),
            Decode::Bool => KeyPart::Sent("boolsend"),
            Decode::Date => KeyPart::Sent("date_send"),
            Decode::Timestamp => KeyPart::Sent("timestamp_send"),
            Decode::TimestampTz => KeyPart::Sent("timestamptz_send"),
            Decode::Numeric => KeyPart::Sent("numeric_send"),
            _ => return None,
        })
    }

    /// The hash of the bytes that were received.
    #[inline]
    pub(super) fn hash(self, bytes: &[u8], seed: u64) -> u64 {
        match self {
            // A number that is none is a broken stream, and its row is never handed over.
            KeyPart::Int => hash::of_int(int(bytes).unwrap_or(0), seed),
            KeyPart::Text => hash::of_text(bytes, seed),
            KeyPart::Padded => hash::of_text(unpadded(bytes), seed),
            KeyPart::Sent(_) => hash::of_text(crate::personal::hex(bytes).as_bytes(), seed),
        }
    }

    /// The same hash by the server; `seed` is an expression too.
    fn sql(self, column: &str, seed: &str) -> String {
        match self {
            KeyPart::Int => format!("pg_catalog.hashint8extended({column}::bigint, {seed})"),
            KeyPart::Text | KeyPart::Padded => {
                format!("pg_catalog.hashtextextended({column}::text collate \"C\", {seed})")
            }
            KeyPart::Sent(function) => {
                let digits = format!("pg_catalog.encode(pg_catalog.{function}({column}), 'hex')");
                format!("pg_catalog.hashtextextended({digits} collate \"C\", {seed})")
            }
        }
    }
}

/// The select list by which the server computes its totals: rows, keys, then two columns per sum.
#[derive(Debug, Clone)]
pub(super) struct Proof {
    list: Vec<String>,
    has_keys: bool,
    sums: Vec<String>,
}

impl Proof {
    /// For the columns of a table and how they are read, in the order in which they are asked for; so are the parts of
    /// a key chained. Without `keys`, keys are not digested.
    pub(super) fn new<'t>(
        table: &SourceTable,
        columns: impl Iterator<Item = (&'t Column, &'t Reading)> + Clone,
        keys: bool,
    ) -> Self {
        let key = columns
            .clone()
            .filter(|(column, _)| table.key.contains(&column.name))
            .try_fold("0".to_owned(), |seed, (column, reading)| {
                KeyPart::of(reading).map(|part| part.sql(&name(column), &seed))
            })
            .filter(|key| keys && key != "0");
        let mut proof = Proof { list: vec!["count(*)".to_owned()], has_keys: key.is_some(), sums: Vec::new() };
        proof.list.extend(key.map(|key| format!("pg_catalog.bit_xor({key})")));
        for (column, reading) in columns.filter(|(column, _)| table.control_totals.contains(&column.name)) {
            if let Some((count, sum)) = sum(column, reading) {
                proof.list.extend([count, format!("({sum})::text")]);
                proof.sums.push(column.name.clone());
            }
        }
        proof
    }

    /// How the column goes into the digest of keys; none when it does not.
    pub(super) fn key(&self, table: &SourceTable, column: &Column, reading: &Reading) -> Option<KeyPart> {
        KeyPart::of(reading).filter(|_| self.has_keys && table.key.contains(&column.name))
    }

    /// Whether the server sums the column.
    pub(super) fn sums(&self, column: &Column) -> bool {
        self.sums.contains(&column.name)
    }

    /// The select that computes the totals; `from` is what follows `from`.
    pub(super) fn select(&self, from: &str) -> String {
        format!("select {} from {from}", self.list.join(", "))
    }

    /// How many columns it has.
    pub(super) fn width(&self) -> usize {
        self.list.len()
    }

    /// A select that gives `columns` of the rows of `from`, each together with the totals of all of them, for which
    /// the server fetches each row once; without rows, one row of which only the totals are filled. `names` are the
    /// columns that both need, each as `t."name"`. Rows come in the order of their pages, whichever of the server's
    /// processes found them.
    pub(super) fn beside(&self, columns: &str, names: &[String], from: &str) -> String {
        let totals: Vec<_> = (0..self.list.len()).map(|index| format!("total_{index}")).collect();
        format!(
            "with found as materialized (select {} from {from} order by t.tableoid, t.ctid), \
             totals ({}) as materialized ({}) \
             select {columns}, totals.* from totals left join found as t on true",
            names.join(", "),
            totals.join(", "),
            self.select("found as t"),
        )
    }

    /// The totals out of the fields of such a row, as they stand behind its columns.
    pub(super) fn received(&self, fields: &[Option<&[u8]>]) -> Result<Totals, Malformed> {
        let number = |index: usize| match fields.get(index) {
            Some(Some(bytes)) => int(bytes).map(Some),
            Some(None) => Ok(None),
            None => Err(Malformed),
        };
        let rows = number(0)?.ok_or(Malformed)?;
        let keys = if self.has_keys { Some(number(1)?.unwrap_or(0).cast_unsigned()) } else { None };
        let mut totals = Totals { rows: count(rows), keys, ..Totals::default() };
        let first = 1 + usize::from(self.has_keys);
        for (index, name) in self.sums.iter().enumerate() {
            let filled = number(first + 2 * index)?.ok_or(Malformed)?;
            let sum = fields.get(first + 2 * index + 1).copied().ok_or(Malformed)?.unwrap_or(b"0");
            let sum = std::str::from_utf8(sum).map_err(|_| Malformed)?;
            if let Ok(sum) = sum.parse() {
                totals.sums.insert(name.clone(), (count(filled), sum));
            }
        }
        Ok(totals)
    }

    /// The totals out of its row. A sum that is no whole number is left out: a value under it is at fault.
    pub(super) fn totals(&self, row: &Row) -> Result<Totals, tokio_postgres::Error> {
        let rows: i64 = row.try_get(0)?;
        let keys: Option<i64> = if self.has_keys { Some(row.try_get::<_, Option<i64>>(1)?.unwrap_or(0)) } else { None };
        let mut totals = Totals { rows: count(rows), keys: keys.map(i64::cast_unsigned), ..Totals::default() };
        let first = 1 + usize::from(self.has_keys);
        for (index, name) in self.sums.iter().enumerate() {
            let filled: i64 = row.try_get(first + 2 * index)?;
            let sum: Option<String> = row.try_get(first + 2 * index + 1)?;
            if let Ok(sum) = sum.as_deref().unwrap_or("0").parse() {
                totals.sums.insert(name.clone(), (count(filled), sum));
            }
        }
        Ok(totals)
    }
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn name(column: &Column) -> String {
    format!("t.{}", quote(&column.name))
}

/// How many values are filled, and their sum, as the server computes both; none where it cannot.
fn sum(column: &Column, reading: &Reading) -> Option<(String, String)> {
    let name = name(column);
    let days = |day: &str, within: &str| {
        let filter = format!("filter (where {within})");
        Some((format!("count({name}) {filter}"), format!("sum({day} - date '1970-01-01') {filter}")))
    };
    let units = |scale: u8| {
        let cast = reading.cast.map(|kind| format!("::{kind}")).unwrap_or_default();
        // A power of ten has as many zeros as the scale, and no point that would stay in the product.
        let power = format!("1{}", "0".repeat(usize::from(scale)));
        Some((format!("count({name})"), format!("trim_scale(sum({name}{cast}) * {power}::numeric)")))
    };
    if reading.is_list {
        return None;
    }
    match (column.kind, reading.decode) {
        (Type::Int, Decode::Int) => Some((format!("count({name})"), format!("sum({name}::numeric)"))),
        (Type::Int, Decode::Numeric) => units(0),
        (Type::Decimal { scale, .. }, Decode::Int | Decode::Numeric) => units(scale),
        // Infinity has no distance from 1970; what is out of range is at fault anyway, and in no sum.
        (Type::Date, Decode::Date) => days(&name, &format!("{name} between date '1900-01-01' and date '2200-12-31'")),
        (Type::Date, Decode::Timestamp) => days(
            &format!("{name}::date"),
            &format!("{name} >= timestamp '1900-01-01' and {name} < timestamp '2201-01-01'"),
        ),
        (Type::Date, Decode::TimestampTz) => days(
            &format!("({name} at time zone '{ZONE}')::date"),
            &format!(
                "{name} >= timestamp '1900-01-01' at time zone '{ZONE}' \
                 and {name} < timestamp '2201-01-01' at time zone '{ZONE}'"
            ),
        ),
        _ => None,
    }
}
