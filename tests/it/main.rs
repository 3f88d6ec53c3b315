//! The one integration binary.
mod delivery;
mod disclosure;
mod landing;
mod messages;
mod pipelines;
mod postgres;
mod publication;
mod samples;
mod support;

/// The case files prove the models, and a changed law is noticed.
mod cases;
/// Who may import whom, and where each heavy library lives.
mod layering;
/// What happened stays what happened: chain, outbox, budget, lock, crash.
mod ledger;
/// What a person may ask, in three forms, and what is refused.
mod queries;
/// When a night is due: cron lines and missing nights.
mod schedule;

/// The installation folder: the repository itself.
pub fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
}
