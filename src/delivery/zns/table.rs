//! Zalo's errors, and whose matter each is.
//!
//! After the tables that Zalo and several integrators publish; they agree except for −110 and −113, which some map to
//! the caller.

use crate::delivery::Class;

/// Every error that is known, with its class, in the order of Zalo's table.
pub const CODES: [(i32, Class); 61] = [
    // Zalo's own trouble.
    (-100, Class::RetryLater),
    // The application, the official account, the token, the key, the template: the agency's.
    (-101, Class::Ours),
    (-102, Class::Ours),
    (-103, Class::Ours),
    (-104, Class::Ours),
    (-105, Class::Ours),
    (-106, Class::Ours),
    (-109, Class::Ours),
    (-117, Class::Ours),
    (-120, Class::Ours),
    (-123, Class::Ours),
    (-124, Class::Ours),
    (-1241, Class::Ours),
    (-125, Class::Ours),
    (-127, Class::Ours),
    (-128, Class::Ours),
    (-129, Class::Ours),
    (-131, Class::Ours),
    (-135, Class::Ours),
    (-1351, Class::Ours),
    (-136, Class::Ours),
    (-138, Class::Ours),
    (-145, Class::Ours),
    (-216, Class::Ours),
    (-220, Class::Ours),
    // What was sent for this person.
    (-107, Class::Data),
    (-108, Class::Data),
    (-111, Class::Data),
    (-112, Class::Data),
    (-1121, Class::Data),
    (-1122, Class::Data),
    (-1123, Class::Data),
    (-1124, Class::Data),
    (-113, Class::Data),
    (-1131, Class::Data),
    (-116, Class::Data),
    (-121, Class::Data),
    (-122, Class::Data),
    (-130, Class::Data),
    (-132, Class::Data),
    (-153, Class::Data),
    // The person: no account, an old application, no answer.
    (-110, Class::Recipient),
    (-114, Class::Recipient),
    (-118, Class::Recipient),
    (-119, Class::Recipient),
    (-134, Class::Recipient),
    (-140, Class::Recipient),
    (-230, Class::Recipient),
    (-232, Class::Recipient),
    // The person's will.
    (-139, Class::OptedOut),
    (-141, Class::OptedOut),
    // The hours.
    (-133, Class::RetryLater),
    (-234, Class::RetryLater),
    // Money and numbers.
    (-115, Class::Quota),
    (-126, Class::Quota),
    (-137, Class::Quota),
    (-144, Class::Quota),
    (-1441, Class::Quota),
    (-146, Class::Quota),
    (-147, Class::Quota),
    (-1471, Class::Quota),
];

/// Zalo's limit per person: it is the person who has had enough today, not the account.
const LIMIT_PER_PERSON: i32 = -218;

/// Whose matter an error is. One that nobody knows is for a person of the agency to look at: neither the recipient is
/// blamed for it, nor is it tried again and again.
pub fn class(error: i32) -> Class {
    if error == LIMIT_PER_PERSON {
        return Class::Quota;
    }
    CODES.iter().find(|(known, _)| *known == error).map_or(Class::Ours, |(_, class)| *class)
}
