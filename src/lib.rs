//! chudong (*chủ động*, "proactive").
pub mod calendar;
pub mod fault;
pub mod language;
pub mod personal;
pub mod pipeline;
pub mod tables;

pub mod delivery;
pub mod disclosure;
pub mod landing;
pub mod publication;
pub mod quality;
pub mod reminders;
pub mod samples;
pub mod satisfaction;
