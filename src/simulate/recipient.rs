//! Recipients who are nobody: a number says what becomes of its messages.

/// What becomes of a message to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient {
    /// Every number that is not named below: the message arrives.
    Delivered,
    /// 84900000001: the service asks twice for patience, then takes it.
    Deferred,
    /// 84900000002: nobody has this number.
    HardBounce,
    /// 84900000003: takes the first message, and then wants no more.
    Complaint,
    /// 84900000004: takes it, and confirms when it is asked for the third time.
    LateReceipt,
    /// 84900000005: takes it, and the answer is lost.
    AnswerLost,
    /// 84900000006: takes nothing, and the answer is lost.
    RequestLost,
    /// 8499999 and four digits: Zalo refuses with this error, below zero.
    Refuses(i32),
}

/// How often a recipient that is deferred asks for patience.
pub(super) const PATIENCE: u32 = 2;

/// How often a late recipient is asked before it confirms.
pub(super) const LATE: u32 = 3;

impl Recipient {
    /// Who has a number, or a mail address whose name is one.
    pub fn of(to: &str) -> Recipient {
        let number = to.split('@').next().unwrap_or_default();
        match number {
            "84900000001" => Recipient::Deferred,
            "84900000002" => Recipient::HardBounce,
            "84900000003" => Recipient::Complaint,
            "84900000004" => Recipient::LateReceipt,
            "84900000005" => Recipient::AnswerLost,
            "84900000006" => Recipient::RequestLost,
            _ => match number.strip_prefix("8499999").map(str::parse::<i32>) {
                Some(Ok(error)) if error > 0 => Recipient::Refuses(-error),
                _ => Recipient::Delivered,
            },
        }
    }
}
