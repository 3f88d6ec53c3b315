//! What several chapters' tests need.

pub mod mysql;
pub mod postgres;
pub mod s3;
pub mod smtp;
pub mod world;
