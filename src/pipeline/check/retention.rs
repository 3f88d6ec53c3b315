//! Reads `[retention]`: for how long what is sealed in the ledger stays there.

use super::super::reader::Node;
use super::super::retention::{DOSSIERS_DAYS, RATING_TEXTS_DAYS, RETENTION_DAYS, Retention};
use super::in_range;

/// A day at least, so that the night that wrote it is over; ten years at most.
pub(super) fn retention(node: &Node<'_>) -> Option<Retention> {
    let days = |key: &str, usual: u16| {
        let days = in_range(node, key, node.int_or(key, usual.into()), 1, 3650)?;
        u16::try_from(days).ok()
    };
    let addresses_days = days("addresses_days", RETENTION_DAYS);
    let explanations_days = days("explanations_days", RETENTION_DAYS);
    let rating_texts_days = days("rating_texts_days", RATING_TEXTS_DAYS);
    let dossiers_days = days("dossiers_days", DOSSIERS_DAYS);
    Some(Retention {
        addresses_days: addresses_days?,
        explanations_days: explanations_days?,
        rating_texts_days: rating_texts_days?,
        dossiers_days: dossiers_days?,
    })
}
