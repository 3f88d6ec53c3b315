//! What service quality is counted from: dossiers that were due, on time or late, online or not.
//!
//! The rows of [`table`] are made by `sql/quality/dossiers.sql` and are private.
//! [`index`] makes score sheets of such counts, for the agency itself; what of them may leave, `disclosure` decides.
//! This module must not know how they are protected or published.

pub mod index;

use crate::tables::TableName;

/// How one dossier was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handling {
    /// Finished on or before the day it was due.
    pub is_on_time: bool,
    /// Submitted online.
    pub is_online: bool,
}

impl Handling {
    /// The four ways, in the order of the published columns.
    pub const ALL: [Handling; 4] = [
        Handling { is_on_time: true, is_online: true },
        Handling { is_on_time: true, is_online: false },
        Handling { is_on_time: false, is_online: true },
        Handling { is_on_time: false, is_online: false },
    ];
}

/// The same dossiers with the `week` of their month, 1 to 4: `quality.weekly_dossiers`.
pub fn weekly_table() -> TableName {
    TableName::new("quality", "weekly_dossiers")
}

/// The table of dossiers that were due, `quality.dossiers`: `record_id`, `subject_id`, `month` (in which the dossier
/// was due, `2026-10`), `commune_code`, `procedure_group`, `is_on_time`, `is_online`.
pub fn table() -> TableName {
    TableName::new("quality", "dossiers")
}
