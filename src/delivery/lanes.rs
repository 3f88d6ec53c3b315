//! Short messages to a service over HTTP, several at once, and when to stop.
//!
//! A failure that would be the same for each message stops the rest at once. An answer that says nothing of the person,
//! or none at all, is believed to be of one message only while others are taken: so many in a row, or all of a turn
//! before any other, are a matter of the service or of ours. Those of them that it refused without a word of why are
//! then deferred, for one wrong setting must not end everybody's stage. This module must not know what is sent.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::future::join_all;

use super::breaker::DOUBTFUL_MAX;
use super::permit::RECALLED;
use super::service::Service;
use super::{Class, Code, Error, Outcome, Permit, Slip};

/// A peer that takes short messages one by one.
pub(super) trait Peer: Sync {
    /// The service that it is.
    fn service(&self) -> &Service;

    /// Sends one message and says what became of it.
    fn send_one(&self, slip: &Slip) -> impl Future<Output = Outcome> + Send;

    /// Whether after this failure every other message would fail in the same way.
    fn stops(&self, code: Code) -> bool {
        matches!(code.class(), Class::Ours | Class::Quota) || matches!(code, Code::Busy { .. })
    }
}

/// What the lanes share while they work.
struct Work<'m> {
    slips: &'m [&'m Slip],
    permit: &'m Permit,
    next: AtomicUsize,
    has_stopped: AtomicBool,
    ends: Mutex<Ends>,
}

/// What became of the messages of a turn.
struct Ends {
    outcomes: Vec<Outcome>,
    /// Those in a row whose outcome says nothing of the person, in the order in which they ended.
    row: Vec<usize>,
    /// Whether the row is long enough; nothing that ends later breaks it.
    is_long: bool,
}

impl Ends {
    /// Takes an outcome, and says whether the row is long enough by now.
    fn take(&mut self, service: &Service, index: usize, outcome: Outcome) -> bool {
        if let Some(place) = self.outcomes.get_mut(index) {
            *place = outcome;
        }
        match Word::of(outcome) {
            Word::OfOne => {
                service.hears();
                if !self.is_long {
                    self.row.clear();
                }
            }
            Word::OfNobody => {
                self.row.push(index);
                self.is_long |= u64::try_from(self.row.len()).is_ok_and(|row| row >= DOUBTFUL_MAX);
            }
            Word::Else => {}
        }
        self.is_long
    }

    /// The code of a row that is a matter of the service or of ours. What it refused in that row is deferred.
    fn judge(&mut self, service: &Service) -> Option<Code> {
        let code = self.row.last().and_then(|index| self.outcomes.get(*index)?.code())?;
        // A single answer of a busy service may be another one tomorrow; a way that is closed, or a refusal, is not.
        let is_telling = self.row.len() > 1 || code == Code::NotConnected || is_unexplained(code);
        let is_first = is_telling && !service.is_heard();
        if !(self.is_long || is_first || self.is_cut_off()) {
            return None;
        }
        for index in &self.row {
            match self.outcomes.get_mut(*index) {
                Some(place) if matches!(place, Outcome::Refused { .. }) => *place = Outcome::Deferred { code },
                _ => {}
            }
        }
        Some(code)
    }

    /// Whether no connection could be made for any message of the turn: that is never a matter of one message.
    fn is_cut_off(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.code() == Some(Code::NotConnected))
    }
}

/// Of whom an outcome speaks.
enum Word {
    /// It is taken, or refused with a word of why: the service is at work.
    OfOne,
    /// No answer, one that asks for patience, or a refusal without a word of why.
    OfNobody,
    /// It was not tried, or what failed is told by itself.
    Else,
}

impl Word {
    fn of(outcome: Outcome) -> Word {
        let Some(code) = outcome.code() else { return Word::OfOne };
        match code {
            Code::NotConnected | Code::TimedOut | Code::ConnectionLost | Code::Unreadable => Word::OfNobody,
            Code::Http { .. } if code.class() == Class::RetryLater || is_unexplained(code) => Word::OfNobody,
            Code::Http { .. } if code.class().is_final() => Word::OfOne,
            Code::Zns(_) => Word::OfOne,
            _ => Word::Else,
        }
    }
}

/// A refusal by its status alone, which says that something in the request is wrong and not whose.
fn is_unexplained(code: Code) -> bool {
    matches!(code, Code::Http { said: None, .. }) && code.class() == Class::Data
}

/// Gives each message to a peer, several at once; outcomes are in the order of the messages. A failure that would be
/// the same for each stops the rest, and is given beside them.
pub(super) async fn send_all<P: Peer>(
    peer: &P,
    slips: &[&Slip],
    lanes: usize,
    permit: &Permit,
) -> (Vec<Outcome>, Option<Error>) {
    let outcomes = vec![Outcome::Deferred { code: Code::Stopped }; slips.len()];
    let work = Work {
        slips,
        permit,
        next: AtomicUsize::new(0),
        has_stopped: AtomicBool::new(false),
        ends: Mutex::new(Ends { outcomes, row: Vec::new(), is_long: false }),
    };
    join_all((0..lanes.clamp(1, slips.len().max(1))).map(|_| lane(peer, &work))).await;
    let mut ends = work.ends.into_inner().unwrap_or_else(PoisonError::into_inner);
    let judged = ends.judge(peer.service());
    let stops = |code: &Code| *code != Code::Stopped && peer.stops(*code);
    let stopper = ends.outcomes.iter().filter_map(Outcome::code).find(stops).or(judged);
    (ends.outcomes, stopper.map(|code| peer.service().trouble(code)))
}

/// One lane takes messages until none is left or the peer has said enough.
async fn lane<P: Peer>(peer: &P, work: &Work<'_>) {
    while !work.has_stopped.load(Ordering::Relaxed) {
        let index = work.next.fetch_add(1, Ordering::Relaxed);
        let Some(slip) = work.slips.get(index) else { return };
        let outcome = if work.permit.holds() { peer.send_one(slip).await } else { RECALLED };
        let mut ends = work.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let is_enough = ends.take(peer.service(), index, outcome);
        if is_enough || outcome.code().is_some_and(|code| peer.stops(code)) {
            work.has_stopped.store(true, Ordering::Relaxed);
        }
    }
}
