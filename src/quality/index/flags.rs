//! Columns of `sql/quality/indices/dossiers.sql` that count each dossier received at most once.
//!
//! Only shares of these can be published exactly: what is known of a count is then known of its parts. Points, days and
//! ratings are sums of another kind.

use crate::pipeline::indices::{Count, Formula, Fraction};

/// The column of all dossiers received.
pub const BASE: &str = "received";

/// The flags, each with the one without which a dossier cannot have it.
///
/// `satisfied` is not among them: it is a part of `on_time` that the decisions divide by all dossiers, and what is left
/// of all dossiers without it could be computed without being a cell of its own.
const FLAGS: [(&str, Option<&str>); 13] = [
    ("on_time", None),
    ("settled", None),
    ("online", None),
    ("online_full", None),
    ("synced", None),
    ("result_due", None),
    ("result_electronic", Some("result_due")),
    ("digitised", None),
    ("reused", None),
    ("personal_store", None),
    ("population_data", None),
    ("fee_due", None),
    ("paid_online", Some("fee_due")),
];

/// The flag that all dossiers with this one have, besides being received.
pub fn part_of(flag: &str) -> Option<&'static str> {
    FLAGS.iter().find(|(known, _)| *known == flag).and_then(|(_, whole)| *whole)
}

/// Columns of `procedures.sql` and `publications.sql`: what an agency offers, and what it announced and published, which
/// everybody can see. They say nothing of any dossier; whether a procedure had one does.
const OFFERED: [&str; 10] = [
    "offered",
    "offered_online",
    "with_fee",
    "for_people",
    "announced",
    "announced_late",
    "to_publish",
    "published_late",
    "published",
    "published_incomplete",
];

/// Whether a formula counts procedures by what everybody can see of them, or counts nothing: nobody is to be protected.
pub fn is_public(formula: &Formula) -> bool {
    let is_seen = |count: &Count| match count {
        Count::Procedures { with, without } => {
            with.iter().chain(without).all(|column| OFFERED.contains(&column.as_str()))
        }
        Count::Sum(_) | Count::Greatest { .. } => false,
    };
    match formula {
        Formula::Constant { .. } => true,
        Formula::Share { of, .. } | Formula::Information { of } => is_seen(&of.numerator) && is_seen(&of.denominator),
        _ => false,
    }
}

/// The numerator and the denominator of a formula that is the share of a flag in what it is a part of.
pub fn share(formula: &Formula) -> Option<(&str, &str)> {
    let (Formula::Share { of, .. } | Formula::Information { of }) = formula else { return None };
    let Fraction { numerator: Count::Sum(numerator), denominator: Count::Sum(denominator) } = of else { return None };
    let is_flag = FLAGS.iter().any(|(known, _)| known == numerator);
    let is_whole = part_of(numerator).unwrap_or(BASE) == denominator;
    (is_flag && is_whole).then_some((numerator, denominator))
}
