//! What several chapters' tests need.

pub mod browser;
pub mod dovecot;
pub mod mysql;
pub mod postfix;
pub mod postgres;
pub mod s3;
pub mod smtp;
pub mod world;

/// How many random cases a test makes: this many, and times `CHUDONG_TEST_TIMES` for a long night of looking.
pub fn cases(usually: u32) -> u32 {
    usually.saturating_mul(times())
}

/// How often what is random is tried: once, or as often as `CHUDONG_TEST_TIMES` says.
pub fn times() -> u32 {
    std::env::var("CHUDONG_TEST_TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(1).max(1)
}
