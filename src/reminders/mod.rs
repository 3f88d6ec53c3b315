//! reminders
pub mod letter;
