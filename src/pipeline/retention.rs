//! For how long an agency keeps what is sealed in its ledger: `[retention]` of a pipeline.

/// The terms, in days after the night that wrote it. What is over is removed by the next night.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Of the address that each message went to.
    pub addresses_days: u16,
    /// Of why each message was sent.
    pub explanations_days: u16,
    /// Of what people wrote beside their ratings.
    pub rating_texts_days: u16,
    /// Of a confirmed dossier, after the portal has come to an end with it: what was confirmed, and its files.
    pub dossiers_days: u16,
}

/// A quarter, as the lists of what registers say otherwise: long enough for their owners to ask back.
pub const DOSSIERS_DAYS: u16 = 90;

/// A quarter: long enough for whoever mends what raters complain of.
pub const RATING_TEXTS_DAYS: u16 = 92;

/// A year: as long as somebody may ask why they were written to.
pub const RETENTION_DAYS: u16 = 365;

impl Default for Retention {
    fn default() -> Self {
        Retention {
            addresses_days: RETENTION_DAYS,
            explanations_days: RETENTION_DAYS,
            rating_texts_days: RATING_TEXTS_DAYS,
            dossiers_days: DOSSIERS_DAYS,
        }
    }
}
