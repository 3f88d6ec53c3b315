//! The recommended option: decided without harm, explained truly, written down, and the same again from the ledger.

mod cards;
mod decide;
mod night;
mod sheet;
mod told;
mod watched;
mod written;
