//! Dossiers that are prepared for a person (level 2 of proactive services), and what the person makes of them.
//!
//! A decider: values with their origins come in, a dossier goes out. It must not know where it is kept, on which page it
//! is shown, or by which way it leaves.

pub mod confirmed;

pub use confirmed::{Attachment, Confirmed, Field, Origin};
