//! Which obligations deserve a message today, and what it says.
//!
//! [`plan`](plan::plan) decides, [`attention`] says which of it leaves today and
//! [`window`] at which hours, [`letter`] writes. All are pure: they know neither
//! the ledger nor any channel.

pub mod attention;
pub mod letter;
pub mod plan;
pub mod window;
