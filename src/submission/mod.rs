//! A dossier that a person has confirmed goes to the national portal, and what becomes of it comes back.
//!
//! The [`payload`] is pure: a [`crate::dossiers::Confirmed`] under the portal's own words. The [`Portal`] is the way there,
//! in the steps of the adapter between ministries and the portal: a token, a number, the files, the dossier, and from
//! then on its [`Status`]. Every step has a key by which the portal takes it once, made from the dossier's own random
//! number, so that nothing is handed in twice whatever breaks in between. This chapter must not know the ledger, the
//! day, or who decides which dossier leaves.

mod error;
pub mod payload;
mod portal;
mod status;

pub use crate::delivery::Patience;
pub use error::Error;
pub use portal::{Known, Portal};
pub use status::{Becomes, Status};
