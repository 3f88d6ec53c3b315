//! Into which bins records are counted, which shares are computed from them, and where cells come from.

use std::collections::BTreeSet;

use crate::language::Text;
use crate::pipeline::{Bins, Counted, Dimension, ProcedureGroup, Unit};
use crate::quality::Handling;
use crate::satisfaction;

/// The names of the bins, which are the names of their published columns.
pub(super) fn names(bins: Bins) -> &'static [&'static str] {
    match bins {
        Bins::Level => &["level_1", "level_2", "level_3", "level_4", "level_5"],
        Bins::Satisfied => &["satisfied", "not_satisfied"],
        Bins::TimelinessAndChannel => &["on_time_online", "on_time_offline", "late_online", "late_offline"],
    }
}

/// A share that is published beside the counts: the sum of some bins, of all.
pub(super) struct Share {
    /// The published columns are `<name>_percent`, `<name>_percent_low` and `<name>_percent_high`.
    pub name: &'static str,
    /// The bins that are summed.
    pub bins: &'static [&'static str],
}

/// The shares that are computed from these bins.
pub(super) fn shares(bins: Bins) -> &'static [Share] {
    match bins {
        Bins::Level => &[Share { name: "satisfied", bins: &["level_4", "level_5"] }],
        Bins::Satisfied => &[Share { name: "satisfied", bins: &["satisfied"] }],
        Bins::TimelinessAndChannel => &[
            Share { name: "on_time", bins: &["on_time_online", "on_time_offline"] },
            Share { name: "online", bins: &["on_time_online", "late_online"] },
        ],
    }
}

/// The bin of a record's value; none when it belongs into none of them.
///
/// The value of a rating is its level, that of a dossier is its place in [`Handling::ALL`].
pub(super) fn bin_of(bins: Bins, value: u8) -> Option<usize> {
    let value = i64::from(value);
    let bin = match bins {
        Bins::Level | Bins::Satisfied if !satisfaction::LEVELS.contains(&value) => return None,
        Bins::Level => value - satisfaction::LEVELS.start(),
        Bins::Satisfied => i64::from(value < satisfaction::SATISFIED_FROM),
        Bins::TimelinessAndChannel => value,
    };
    usize::try_from(bin).ok().filter(|bin| *bin < names(bins).len())
}

/// Whether these are the finest bins in which records of their kind are counted.
pub(super) fn is_fine(bins: Bins) -> bool {
    bins != Bins::Satisfied
}

/// For each of the finest bins of a kind of records, the bin of the coarsest measure that holds it: for levels the bin
/// of [`Bins::Satisfied`]; the bins of dossiers are their own.
pub(super) fn coarse_of(of: Counted) -> Vec<usize> {
    let bins = match of {
        Counted::Ratings => return satisfaction::LEVELS.filter_map(satisfied_bin).collect(),
        Counted::Dossiers => Bins::TimelinessAndChannel,
    };
    (0..names(bins).len()).collect()
}

fn satisfied_bin(level: i64) -> Option<usize> {
    bin_of(Bins::Satisfied, u8::try_from(level).ok()?)
}

/// What a bin counts, for a reader.
pub(super) fn meaning(bin: &str) -> Text {
    let level = bin.strip_prefix("level_").and_then(|level| level.parse().ok()).and_then(satisfaction::level_name);
    if let Some(name) = level {
        return Text::new(format!("Số lượt đánh giá \"{}\"", name.vi), format!("Ratings of \"{}\"", name.en));
    }
    let (vi, en) = match bin {
        "satisfied" => ("Số lượt đánh giá hài lòng (mức 4 và 5)", "Ratings of satisfied (levels 4 and 5)"),
        "not_satisfied" => {
            ("Số lượt đánh giá chưa hài lòng (mức 1, 2 và 3)", "Ratings of not satisfied (levels 1, 2 and 3)")
        }
        "on_time_online" => ("Số hồ sơ nộp trực tuyến, giải quyết đúng hạn", "Dossiers submitted online and on time"),
        "on_time_offline" => {
            ("Số hồ sơ không nộp trực tuyến, giải quyết đúng hạn", "Dossiers not submitted online and on time")
        }
        "late_online" => ("Số hồ sơ nộp trực tuyến, giải quyết quá hạn", "Dossiers submitted online and late"),
        _ => ("Số hồ sơ không nộp trực tuyến, giải quyết quá hạn", "Dossiers not submitted online and late"),
    };
    Text::new(vi, en)
}

/// The place of a way of handling in [`Handling::ALL`].
pub(super) fn handling_value(handling: Handling) -> u8 {
    let place = Handling::ALL.iter().position(|other| *other == handling);
    // There are four of them and all are listed.
    place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
}

/// The public code lists that make the cells, each in alphabetical order and without repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub communes: Vec<String>,
    pub groups: Vec<String>,
}

impl Keys {
    /// The cells of a unit and of the procedure groups. Nothing here comes from the data.
    pub fn new(unit: &Unit, groups: &[ProcedureGroup]) -> Self {
        let sorted = |codes: BTreeSet<&String>| codes.into_iter().cloned().collect();
        Keys {
            communes: sorted(unit.communes.iter().map(|commune| &commune.code).collect()),
            groups: sorted(groups.iter().map(|group| &group.id).collect()),
        }
    }

    /// The values of one dimension.
    pub fn of(&self, dimension: Dimension) -> &[String] {
        match dimension {
            Dimension::Commune => &self.communes,
            Dimension::ProcedureGroup => &self.groups,
        }
    }

    /// How many cells a measure has; none when that is more than can be counted.
    pub fn len(&self, by: &[Dimension]) -> Option<usize> {
        by.iter().try_fold(1_usize, |cells, dimension| cells.checked_mul(self.of(*dimension).len()))
    }
}

/// The word of a policy file.
pub(super) fn counted_word(of: Counted) -> &'static str {
    match of {
        Counted::Ratings => "ratings",
        Counted::Dossiers => "dossiers",
    }
}

/// The word of a policy file.
pub(super) fn dimension_word(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::Commune => "commune",
        Dimension::ProcedureGroup => "procedure_group",
    }
}
