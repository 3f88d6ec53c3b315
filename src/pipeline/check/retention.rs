//! Reads `[retention]`: for how long what is sealed in the ledger stays there.

use super::super::reader::Node;
use super::super::retention::{RETENTION_DAYS, Retention};
use super::in_range;

/// A day at least, so that the night that wrote it is over; ten years at most.
pub(super) fn retention(node: &Node<'_>) -> Option<Retention> {
    let days = |key: &str| {
        let days = in_range(node, key, node.int_or(key, RETENTION_DAYS.into()), 1, 3650)?;
        u16::try_from(days).ok()
    };
    let (addresses_days, explanations_days) = (days("addresses_days"), days("explanations_days"));
    Some(Retention { addresses_days: addresses_days?, explanations_days: explanations_days? })
}
