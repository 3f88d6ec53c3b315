//! Which of the ways to one outcome suits a person best, and why.
//!
//! A [`Sheet`] is what a night says to everybody: the ways, their fees, how long they take. [`Scales`] weighs them for
//! one person: a way that is not open goes out with its reason; one that would miss the deadline or lose a right goes
//! out (no harm); one that another way beats in everything goes out (Pareto); the rest is put in the order of the
//! declared policy and the person's wish. [`told`] says it in words that are true to the sheet. Pure: whoever has the
//! sheet and the case of a person gets the same words again. This chapter must not know the ledger, nor how a letter
//! looks, nor who the person is.

mod batch;
mod cases;
mod decide;
mod sheet;
mod times;
pub mod told;

pub use batch::{Decided, decide_all};
pub use cases::{Cases, Weighed, contract, read};
pub use decide::{Case, Cell, Decision, Place, Scales};
pub use sheet::{Cost, Day, Error, Monthly, Offer, Sheet, Time};
pub use times::{Measured, Spread};
