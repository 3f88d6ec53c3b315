//! What several chapters' tests need.

pub mod mysql;
pub mod postgres;
pub mod smtp;
pub mod world;
