//! When a message that was deferred is tried again within the same run: by what the peer said, with jitter, until
//! the message is no longer valid or the time to send is over, and never a fixed number of times.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::delivery::{Class, Code, Outcome};

/// The longest pause between two tries.
const MOST: SignedDuration = SignedDuration::from_mins(30);

/// Messages that wait for another try, by the instant of it. `M` is whatever the caller knows a message by.
#[derive(Debug)]
pub struct Retries<M> {
    waiting: BTreeMap<(Timestamp, Reverse<u64>), M>,
    tries: HashMap<String, u32>,
    put: u64,
    until: Option<Timestamp>,
}

impl<M> Retries<M> {
    /// Tries again until an instant; not at all where there is none: a later run does.
    pub fn until(until: Option<Timestamp>) -> Self {
        Retries { waiting: BTreeMap::new(), tries: HashMap::new(), put: 0, until }
    }

    /// The instant at which a deferred message is tried again; none where that is not before the end, or where
    /// another try changes nothing: a used-up quota is a matter of another day, and what the agency must set right
    /// is not set right by waiting. `last` is the last instant at which it may leave.
    pub fn next(&mut self, key: &str, outcome: Outcome, now: Timestamp, last: Timestamp) -> Option<Timestamp> {
        let until = self.until?.min(last);
        let Outcome::Deferred { code } = outcome else { return None };
        if code.class() != Class::RetryLater {
            return None;
        }
        let tries = self.tries.entry(key.to_owned()).or_default();
        *tries = tries.saturating_add(1);
        let at = now.checked_add(pause(code, *tries, spread(key, *tries))).ok()?;
        (at < until).then_some(at)
    }

    /// Lets a message wait until an instant.
    pub fn wait(&mut self, at: Timestamp, message: M) {
        self.put = self.put.saturating_add(1);
        self.waiting.insert((at, Reverse(self.put)), message);
    }

    /// Takes those whose time has come.
    pub fn due(&mut self, now: Timestamp) -> Vec<M> {
        let mut due = Vec::new();
        while let Some(first) = self.waiting.first_entry() {
            if first.key().0 > now {
                break;
            }
            due.push(first.remove());
        }
        due
    }

    /// When the next one's time comes; none when nothing waits.
    pub fn first(&self) -> Option<Timestamp> {
        self.waiting.keys().next().map(|(at, _)| *at)
    }

    /// Forgets what an accepted message left behind.
    pub fn forget(&mut self, key: &str) {
        self.tries.remove(key);
    }
}

/// The pause before a try: longer where the peer asks for patience, doubled with each try, spread over half to
/// once and a half of it, so that what was refused together does not come back together.
fn pause(code: Code, tries: u32, spread_permille: i32) -> SignedDuration {
    if let Code::Busy { wait_seconds, .. } = code {
        // Not before what was asked for, and not all at its very end.
        let asked = SignedDuration::from_secs(i64::from(wait_seconds).max(1));
        let spread = asked.min(MOST).checked_mul(spread_permille).unwrap_or_default() / 4000;
        return asked.saturating_add(spread);
    }
    let first = match code {
        // A full mailbox is emptied by a person.
        Code::Reply { reply: 452, .. } | Code::Reply { enhanced: Some([4, 2, 2]), .. } => SignedDuration::from_mins(15),
        // Greylisting lets nobody in before five minutes, as a rule.
        Code::Reply { reply: 450 | 451, .. } | Code::Http { status: 429, .. } => SignedDuration::from_mins(5),
        // It opens at an hour, not after a moment.
        Code::Closed => MOST,
        _ => SignedDuration::from_mins(1),
    };
    let doubled = first.checked_mul(1 << tries.saturating_sub(1).min(10)).unwrap_or(MOST);
    let most = doubled.min(MOST);
    most.checked_mul(500 + spread_permille).map_or(most, |spread| spread / 1000)
}

/// 0 to 999, from the key: the same message waits as long in a run that is repeated, and others do not.
fn spread(key: &str, tries: u32) -> i32 {
    let digest = crate::personal::sha256(format!("{key} {tries}").as_bytes());
    let number = digest.get(..6).and_then(|digits| i32::from_str_radix(digits, 16).ok());
    number.map_or(500, |number| number % 1000)
}
