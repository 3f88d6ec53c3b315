//! How much attention an agency asks of people, and when: `[attention]` and `[serve]` of a pipeline.

use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::civil::{Time, time};

use super::blind::Scale;
use super::secret::SecretRef;

/// `lead_days` of a pipeline that does not say: longer than the longest Tết with the days of rest around it.
pub const LEAD_DAYS: u16 = 14;

/// When a person may be written to, how often, and how much earlier than its notice a message may leave for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attention {
    /// When nothing is sent; none where every hour will do.
    pub quiet: Option<Quiet>,
    /// Whether nothing is sent on the days of Tết unless it is due.
    pub is_closed_on_tet: bool,
    /// Messages to one person within seven days, over all items; none where they are not counted.
    pub most_per_week: Option<u16>,
    /// Whether several obligations of a person that leave on one day are one letter. Short messages are never put
    /// together: an approved template speaks of one obligation, and a text message has no room for two.
    pub is_digested: bool,
    /// How many days before its notice a message may leave, so that nobody is late for want of an open day.
    pub lead_days: u16,
    /// The folder that agencies share, so that a person's messages of all of them are counted together.
    pub shared: Option<PathBuf>,
    /// Messages in a second from this agency, over all channels; none where they are not limited.
    pub per_second: Option<u32>,
    /// When refusals stop what is being sent.
    pub breaker: Breaker,
}

/// When a domain, a template or an item is stopped because too many of its messages are refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// So many messages have to be sent before refusals are looked at.
    pub from: u64,
    /// Refusals in a hundred from which a person is warned.
    pub warn_percent: u64,
    /// Refusals in a hundred from which nothing more is sent until a person lifts it.
    pub stop_percent: u64,
}

impl Breaker {
    /// Where the pipeline says nothing.
    pub const USUAL: Breaker = Breaker { from: 1000, warn_percent: 5, stop_percent: 10 };
}

impl Attention {
    /// That of a folder: nobody is woken by a file.
    pub const ANY_TIME: Attention = Attention {
        quiet: None,
        is_closed_on_tet: false,
        most_per_week: None,
        is_digested: false,
        lead_days: 0,
        shared: None,
        per_second: None,
        breaker: Breaker::USUAL,
    };

    /// That of every channel that reaches people, where the pipeline says nothing.
    pub const CONSIDERATE: Attention =
        Attention { quiet: Some(Quiet::NIGHT), is_closed_on_tet: true, lead_days: LEAD_DAYS, ..Attention::ANY_TIME };
}

/// The hours of each day, by the clock in Vietnam, in which nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// The first moment that is quiet.
    pub from: Time,
    /// The first moment that is not. Before `from`, it is on the next day.
    pub to: Time,
}

impl Quiet {
    /// From nine in the evening to eight in the morning.
    pub const NIGHT: Quiet = Quiet { from: time(21, 0, 0, 0), to: time(8, 0, 0, 0) };
}

/// The process that answers when a person refuses, or rates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// Where people reach it, without a slash at the end: what links in letters begin with.
    pub base_url: String,
    /// Where it listens; a web server with a certificate stands before it.
    pub listen: SocketAddr,
    /// The scale of the rating form; none where people rate elsewhere.
    pub ratings: Option<Scale>,
    /// The keys with which services sign their receipts, by the name of the channel: of Zalo the secret key of the
    /// official account, of the others that of Standard Webhooks. Without one nobody's receipts are taken.
    pub receipts: Vec<(String, SecretRef)>,
}

/// What not having been reminded costs a person: what comes first when not all can be sent at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consequence {
    /// A right or a benefit is lost.
    LossOfRight,
    /// A fine or an interest on arrears.
    Fine,
    /// A second way to the office.
    Inconvenience,
}

impl Consequence {
    /// The words of item.toml.
    pub const WORDS: [(&'static str, Consequence); 3] = [
        ("loss_of_right", Consequence::LossOfRight),
        ("fine", Consequence::Fine),
        ("inconvenience", Consequence::Inconvenience),
    ];
}

/// What becomes of a message whose day went by unsent, because nights were missed or nothing could be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// It is sent as it is.
    Send,
    /// It is sent, and says that it is late: what it speaks of may be done already.
    Soften,
    /// It is not sent; the next stage comes on its own day.
    Drop,
    /// It is not sent; a clerk sees to it.
    Escalate,
}

impl Late {
    /// The words of item.toml.
    pub const WORDS: [(&'static str, Late); 4] =
        [("send", Late::Send), ("soften", Late::Soften), ("drop", Late::Drop), ("escalate", Late::Escalate)];
}

/// `late_after_days` of an item that does not say.
pub const LATE_AFTER_DAYS: u16 = 3;
