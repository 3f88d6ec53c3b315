//! Until when what was given to a channel may leave: asked again before each message.
//!
//! A group can be on the wire for minutes, where the other side is slow. Whoever gave it may take back what has not
//! begun to leave: each channel asks before a message, and gives the rest back as [`Code::Recalled`]. It does not know
//! why a permit ends.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use jiff::Timestamp;

use super::{Code, Outcome};
use crate::calendar::now;

/// What becomes of a message whose permit ended before it began to leave.
pub(super) const RECALLED: Outcome = Outcome::Deferred { code: Code::Recalled };

/// Whether messages may leave now. It is shared by whoever gives it and the channels that ask.
#[derive(Debug)]
pub struct Permit {
    until_millis: AtomicI64,
    is_withdrawn: AtomicBool,
}

impl Default for Permit {
    /// One that never ends by itself.
    fn default() -> Self {
        Permit { until_millis: AtomicI64::new(i64::MAX), is_withdrawn: AtomicBool::new(false) }
    }
}

impl Permit {
    /// Holds from now on, until an instant; without one, until it is withdrawn.
    pub fn renew(&self, until: Option<Timestamp>) {
        self.until_millis.store(until.map_or(i64::MAX, Timestamp::as_millisecond), Ordering::Release);
        self.is_withdrawn.store(false, Ordering::Release);
    }

    /// Holds no longer.
    pub fn withdraw(&self) {
        self.is_withdrawn.store(true, Ordering::Release);
    }

    /// Whether a message may begin to leave.
    pub fn holds(&self) -> bool {
        let until = self.until_millis.load(Ordering::Acquire);
        !self.is_withdrawn.load(Ordering::Acquire) && (until == i64::MAX || now().as_millisecond() < until)
    }
}
