//! The one integration binary.
mod delivery;
mod disclosure;
mod faults;
mod landing;
mod messages;
mod night;
mod pipelines;
mod postgres;
mod publication;
mod samples;
mod support;

/// The installation folder: the repository itself.
pub fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
}
