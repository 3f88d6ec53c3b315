//! Which obligations deserve a message today, and what it says.
//!
//! [`plan`](plan::plan) decides, [`letter`] writes. Both are pure: they know
//! neither the ledger nor any channel.

pub mod letter;
pub mod plan;
