//! What several chapters' tests need.

pub mod postgres;
pub mod smtp;
pub mod world;
