//! Which obligations deserve a message today, and what it says.
//!
//! [`plan`](plan::plan) decides, [`attention`] says which of it leaves today and
//! [`window`] at which hours, [`quota`] shares out what a channel has room for,
//! [`letter`] and [`short`] write. All are pure: they know neither the ledger nor
//! how a channel is spoken to.

pub mod attention;
pub mod letter;
pub mod phone;
pub mod plan;
pub mod quota;
pub mod short;
pub mod window;
