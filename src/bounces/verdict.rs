//! What a report says, in one word, and what follows from it: for the message, and for the address.
//!
//! Only what is certain about the *address* suppresses it. Servers say `5.7.1` of a sender they distrust and `5.6.0`
//! of a letter they cannot read: those are ours to mend, and no person loses a reminder to them for good.

use super::report::{Action, Code};
use crate::ledger::{AddressAct, MessageState};

/// What a report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// There is no such mailbox, or no such domain.
    AddressWrong,
    /// There is the mailbox, and it is closed.
    MailboxClosed,
    /// There is no room in it.
    MailboxFull,
    /// Given up after trying for days.
    GaveUp,
    /// Refused, and nobody can tell from the code why.
    Refused,
    /// Refused because of us: our reputation, our letter, our way of asking.
    Ours,
    /// Not yet; the server goes on trying.
    Delayed,
    /// Handed on to a server that gives no receipts.
    Relayed,
    /// It is in the mailbox.
    Delivered,
    /// The person called it unwanted.
    Complaint,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// The message's new state, from those of the list.
    pub state: Option<(MessageState, &'static [MessageState])>,
    /// What becomes of the address.
    pub address: AddressAct,
}

/// After this an address that was wrong is tried once more, in days: half a year, as people take names that others left.
const WRONG_DAYS: u16 = 180;
/// Closed mailboxes are opened again.
const CLOSED_DAYS: u16 = 60;
/// Full mailboxes are emptied.
const FULL_DAYS: u16 = 14;
/// Reports on so many days within a month, before a full or silent mailbox is left alone.
const COUNTED_ON_DAYS: u16 = 3;

/// The peer has taken it, as far as is known.
const TAKEN: &[MessageState] = &[MessageState::Accepted, MessageState::Uncertain];
const OPEN: &[MessageState] = &[MessageState::Uncertain];
const NOT_KNOWN_TO_HAVE_ARRIVED: &[MessageState] =
    &[MessageState::Uncertain, MessageState::Deferred, MessageState::Refused];

impl Verdict {
    /// The word in the ledger and in reports.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::AddressWrong => "address_wrong",
            Verdict::MailboxClosed => "mailbox_closed",
            Verdict::MailboxFull => "mailbox_full",
            Verdict::GaveUp => "gave_up",
            Verdict::Refused => "refused",
            Verdict::Ours => "ours",
            Verdict::Delayed => "delayed",
            Verdict::Relayed => "relayed",
            Verdict::Delivered => "delivered",
            Verdict::Complaint => "complaint",
        }
    }

    /// What follows from it.
    pub fn effect(self) -> Effect {
        let refused = Some((MessageState::Refused, TAKEN));
        // It did not arrive and the address is not at fault: a later run may send it, while it is still of use.
        let again = Some((MessageState::Deferred, TAKEN));
        let count = AddressAct::Count { on_days: COUNTED_ON_DAYS, days: FULL_DAYS };
        let suppress = |days| AddressAct::Suppress { days: Some(days) };
        let (state, address) = match self {
            Verdict::AddressWrong => (refused, suppress(WRONG_DAYS)),
            Verdict::MailboxClosed => (refused, suppress(CLOSED_DAYS)),
            Verdict::MailboxFull | Verdict::GaveUp => (again, count),
            Verdict::Refused => (refused, count),
            // On the wire the same code defers: when it is set right, the message is still of use.
            Verdict::Ours => (again, AddressAct::Nothing),
            // Who delays or hands on a message has taken it.
            Verdict::Delayed | Verdict::Relayed => (Some((MessageState::Accepted, OPEN)), AddressAct::Nothing),
            Verdict::Delivered => (Some((MessageState::Accepted, NOT_KNOWN_TO_HAVE_ARRIVED)), AddressAct::Lift),
            Verdict::Complaint => (Some((MessageState::Accepted, OPEN)), AddressAct::Suppress { days: None }),
        };
        Effect { state, address }
    }

    /// What a delivery report says about a recipient: what was done, and the code.
    pub(super) fn of(action: Action, code: Code) -> Verdict {
        match action {
            Action::Delayed => Verdict::Delayed,
            Action::Relayed => Verdict::Relayed,
            Action::Delivered => Verdict::Delivered,
            Action::Failed => failed(code),
        }
    }
}

/// RFC 3463 and the registry of enhanced status codes, with what the large servers make of them.
fn failed(code: Code) -> Verdict {
    let Some([class, subject, detail]) = code.enhanced else {
        return match code.reply {
            Some(551 | 553) => Verdict::AddressWrong,
            Some(552) => Verdict::MailboxFull,
            Some(400..=499) => Verdict::GaveUp,
            _ => Verdict::Refused,
        };
    };
    match (class, subject, detail) {
        // A full mailbox is a matter of days, whichever class the server gives it.
        (_, 2, 2) => Verdict::MailboxFull,
        (4, ..) => Verdict::GaveUp,
        // About the sender's address.
        (5, 1, 7..=9) => Verdict::Ours,
        (5, 1, _) => Verdict::AddressWrong,
        (5, 2, 1) | (5, 7, 13) => Verdict::MailboxClosed,
        // Microsoft refuses unknown recipients with 5.4.1; a domain without a route has 5.4.4.
        (5, 4, 1 | 4) => Verdict::AddressWrong,
        (5, 4, _) | (5, 3, 0..=3) => Verdict::GaveUp,
        (5, 2, 3) | (5, 3, _) | (5, 5, 1..) | (5, 6, _) | (5, 7, _) => Verdict::Ours,
        (5, 0, 0) => failed(Code { enhanced: None, ..code }),
        _ => Verdict::Refused,
    }
}
