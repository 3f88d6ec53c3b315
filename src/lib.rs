//! chudong (*chủ động*, "proactive").
pub mod calendar;
pub mod fault;
pub mod files;
pub mod language;
pub mod personal;
pub mod pipeline;
pub mod tables;

pub mod delivery;
pub mod disclosure;
pub mod landing;
pub mod ledger;
pub mod obligations;
pub mod publication;
pub mod reminders;
pub mod report;
pub mod samples;
pub mod satisfaction;
pub mod schedule;
pub mod sql;
pub mod telemetry;
pub mod world;
