//! One bucket, as the instant at which it will be full again (GCRA, the generic cell rate algorithm of ITU-T I.371).
//!
//! One number, which any process can advance. It must not know who shares it.

use jiff::Timestamp;

const SECOND_NS: i64 = 1_000_000_000;

/// The instant at which a bucket is full, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) full_at_ns: i64,
}

impl Bucket {
    /// The first instant, from now on, at which a bucket that holds `burst` tokens has one.
    pub(super) fn earliest(self, per_second: u32, burst: u32, now: Timestamp) -> Timestamp {
        let interval = interval_ns(per_second);
        let tolerance = interval.saturating_mul(i64::from(burst.max(1)) - 1);
        let full_at = self.believed(per_second, now);
        let at = full_at.saturating_sub(tolerance);
        if at <= nanoseconds(now) { now } else { instant(at) }
    }

    /// Takes a token.
    pub(super) fn take(&mut self, per_second: u32, now: Timestamp) {
        let from = self.believed(per_second, now).max(nanoseconds(now));
        self.full_at_ns = from.saturating_add(interval_ns(per_second));
    }

    /// Keeps what is believed of it: a wait that moved with the clock would never end.
    pub(super) fn settle(&mut self, per_second: u32, now: Timestamp) {
        self.full_at_ns = self.believed(per_second, now);
    }

    /// An empty bucket is full after the time of all its tokens. More is not believed: the clock was put back.
    fn believed(self, per_second: u32, now: Timestamp) -> i64 {
        let most = SECOND_NS.saturating_add(interval_ns(per_second));
        self.full_at_ns.min(nanoseconds(now).saturating_add(most))
    }
}

/// The time of one token, rounded up: never faster than the rate.
fn interval_ns(per_second: u32) -> i64 {
    let per_second = i64::from(per_second.max(1));
    SECOND_NS.saturating_add(per_second - 1) / per_second
}

/// Nanoseconds since 1970; those of the year 2262 for all that is later.
pub(super) fn nanoseconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX)
}

/// The instant of so many nanoseconds since 1970.
pub(super) fn instant(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::MAX)
}
