//! Telling the system of the national portal that rates agencies (Decision 766/QĐ-TTg) what was published.
//!
//! A [`Snapshot`] is what stands on the shelf for one period, in the shape that the portal's own interface has: units by
//! their codes in the national list, metrics with numerator, denominator and ratio under the codes of its groups. It is
//! made from published files and from nothing else, so that the portal knows exactly what everybody can download. The
//! [`Portal`] is the way there: OAuth 2.0 client credentials, mutual TLS where it is asked for, an idempotency key on every
//! message, partial success, waiting where the portal asks for it. This chapter must not know the ledger, the day, or
//! how a figure was protected.

mod error;
mod portal;
mod snapshot;

pub use crate::delivery::Patience;
pub use error::Error;
pub use portal::{Portal, Taken};
pub use snapshot::{Snapshot, VERSION};
