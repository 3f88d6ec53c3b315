//! The persons of a night in parts, so that no more of them stands in memory than one part.
//!
//! What a plan decides about a person (budget of attention, digest, stage) rests on that person alone: a part that
//! holds every obligation of its persons is planned as if there were nobody else. What persons share is decided by
//! whoever has seen all parts: the order of leaving ([`in_order`](crate::reminders::attention::in_order)) and the
//! places of a channel ([`Queue`](crate::reminders::quota::Queue)). Whoever holds one part at a time writes each down
//! before the next, [`by_lane`](crate::reminders::attention::by_lane). It must not know where obligations come from.

use std::num::NonZero;

use crate::obligations::Obligation;
use crate::personal::{Digest, PseudonymKey};

/// Obligations in one part, about: with their persons and reminders they take some seventy megabytes.
const PER_PART: usize = 200_000;

/// Into how many parts the persons of a night fall.
///
/// A part is a range of the keyed pseudonyms, which are spread evenly over all that there are: as many persons fall
/// into one as into another, whatever register numbers look like, and the ledger, which knows pseudonyms alone, can
/// tell the part of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts(NonZero<u32>);

impl Parts {
    /// So many parts.
    pub fn new(number: NonZero<u32>) -> Self {
        Parts(number)
    }

    /// As many as so many obligations ask for; one where they are few.
    pub fn of_obligations(obligations: usize) -> Self {
        let number = u32::try_from(obligations.div_ceil(PER_PART)).unwrap_or(u32::MAX);
        Parts(NonZero::new(number).unwrap_or(NonZero::<u32>::MIN))
    }

    /// How many there are.
    pub fn number(self) -> u32 {
        self.0.get()
    }

    /// The part of a person by the keyed pseudonym: a number below that of the parts. It rises with the pseudonym.
    pub fn of(self, subject: &Digest) -> u32 {
        let digits = subject.as_str().get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        // Whatever is no pseudonym falls into the first part, as everybody does where there is one.
        let part = (u64::from(digits.unwrap_or(0)) * u64::from(self.number())) >> 32;
        u32::try_from(part).unwrap_or(0)
    }

    /// The obligations of each part, in the order in which they are given.
    pub fn split<'a>(self, obligations: &'a [Obligation], key: &PseudonymKey) -> Vec<Vec<&'a Obligation>> {
        if self.number() == 1 {
            return vec![obligations.iter().collect()];
        }
        let mut parts: Vec<Vec<&Obligation>> = Vec::new();
        parts.resize_with(usize::try_from(self.number()).unwrap_or(usize::MAX), Vec::new);
        for obligation in obligations {
            let part = usize::try_from(self.of(&key.subject(&obligation.subject_id))).unwrap_or(0);
            parts.get_mut(part).into_iter().for_each(|part| part.push(obligation));
        }
        parts
    }
}
