//! Why a message is not sent, as a closed list. It knows no message.

/// Why a message is not sent today although its obligation is due soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// This stage was sent before.
    AlreadySent,
    /// A later stage was sent before: this run speaks for an earlier day.
    LaterStageSent,
    /// The person has no address.
    NoAddress,
    /// The address cannot be written to.
    BadAddress,
    /// The person refuses reminders.
    Refuses,
    /// The person has died.
    Deceased,
    /// The business is closed.
    Closed,
    /// The person is not in the register of people, nor in that of businesses.
    NotInRegister,
    /// Every channel that was open refused this stage's message for good.
    RefusedByServer,
    /// No channel is open: what was sent to the address came back, or was called unwanted.
    Suppressed,
    /// The message does not fit the channel: a value is missing or too long.
    DoesNotFit,
    /// The channel failed tonight, and a later night is in time; the report says why it failed.
    ChannelFailed,
    /// The channel has no place left today, and a later day is in time.
    WaitsForQuota,
    /// A crash left open whether it was taken, and the item leaves such messages to a clerk.
    LeftToClerk,
    /// The first notice lies in the future.
    TooEarly,
    /// Who is to be written to could not be looked up tonight; the report says why.
    NoRegister,
    /// The message could not be written; the report says why.
    NotWritten,
    /// Done since it was decided to write.
    Fulfilled,
    /// No longer among what the sources give, since it was decided to write.
    Withdrawn,
    /// Due on another day, or by another version of the rule, since it was decided to write.
    DueDateMoved,
    /// The sources could not be read again before sending; the report says why.
    NotRechecked,
    /// It leaves on the first open day: today is a day of Tết, and there is time.
    WaitsForOpenDay,
    /// It leaves when the sending window opens.
    WaitsForWindow,
    /// The other side put it off, and the time to try again has not come.
    WaitsForTry,
    /// Too many messages of its domain, template or item were refused: it leaves when a person lifts the stop.
    Stopped,
    /// Its day went by unsent, and the item drops such messages.
    LateDropped,
    /// Its day went by unsent, and the item leaves such messages to a clerk.
    LateLeftToClerk,
    /// The last day on which it was worth sending went by.
    Expired,
    /// The register has another address for the person than the one it was to go to.
    AddressChanged,
    /// The person has handed in a dossier for it, and nothing is asked of them.
    HandedIn,
}

impl Reason {
    /// Whether the outbox or the calendar tell it anyway: a message left before, or the first notice lies ahead.
    pub fn is_told_elsewhere(self) -> bool {
        matches!(self, Reason::AlreadySent | Reason::LaterStageSent | Reason::TooEarly)
    }

    /// In words, for the summary.
    pub fn words(self) -> &'static str {
        match self {
            Reason::AlreadySent => "already reminded at this stage",
            Reason::LaterStageSent => "already reminded at a later stage",
            Reason::NoAddress => "no address",
            Reason::BadAddress => "address cannot be written to",
            Reason::Refuses => "refuses reminders",
            Reason::Deceased => "deceased",
            Reason::Closed => "business is closed",
            Reason::NotInRegister => "not in the register of people",
            Reason::RefusedByServer => "refused by whoever was to take it",
            Reason::Suppressed => "address gives messages back",
            Reason::DoesNotFit => "does not fit the channel",
            Reason::ChannelFailed => "channel failed tonight",
            Reason::WaitsForQuota => "waits for the channel's quota",
            Reason::LeftToClerk => "uncertain after a crash, left to a clerk",
            Reason::TooEarly => "first notice lies ahead",
            Reason::NoRegister => "people could not be looked up tonight",
            Reason::NotWritten => "message could not be written",
            Reason::Fulfilled => "fulfilled",
            Reason::Withdrawn => "withdrawn",
            Reason::DueDateMoved => "due date moved",
            Reason::NotRechecked => "could not be looked at again before sending",
            Reason::WaitsForOpenDay => "waits until after Tết",
            Reason::WaitsForWindow => "waits for the sending window",
            Reason::WaitsForTry => "waits for another try",
            Reason::Stopped => "stopped after refusals",
            Reason::LateDropped => "too late for this notice",
            Reason::LateLeftToClerk => "late, left to a clerk",
            Reason::Expired => "no longer valid",
            Reason::AddressChanged => "address changed",
            Reason::HandedIn => "a dossier is handed in",
        }
    }
}
