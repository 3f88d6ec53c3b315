//! What several chapters' tests need.

pub mod postgres;
