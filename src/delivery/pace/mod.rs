//! How fast messages may leave: token buckets for each provider, each domain of recipients and each agency, shared by
//! all processes of a machine that name the same folder.
//!
//! A bucket fills at its rate and holds the tokens of one second, so that over any interval no more leave than rate ×
//! time + one second's worth, whoever sends. Agencies may give a bucket different rates: the smallest counts. Who finds
//! a bucket empty leaves a claim with the lane of its message, and for as long as it holds nobody takes a token of this
//! bucket for a lane that is less urgent. Where the shared state cannot be read or written, each process goes on alone
//! by one bucket of the smallest rate that its agency knows.
//!
//! It must not know what a message says, nor the clock: the instant is an argument.

mod bucket;
mod shelf;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use self::bucket::Bucket;
use self::shelf::Shelf;
use crate::fault::{Explain, Place};
use crate::pipeline::{Channel, ChannelKind};

/// Who waits for tokens looks again no sooner than after this time: a bucket loses nothing by it, and a sender that
/// woke for each token would commit for each message.
const PAUSE: SignedDuration = SignedDuration::from_millis(250);

/// How urgent a message is: 0 comes before 1. Made by whoever knows why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u8);

/// A bucket, and the tokens that it gets in a second by whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Its name, the same in every process.
    pub bucket: String,
    /// Tokens in a second, at least one.
    pub per_second: u32,
}

/// A message that wants to leave: it needs one token of each bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Want {
    /// How urgent it is.
    pub lane: Lane,
    /// Its buckets.
    pub limits: Vec<Limit>,
}

impl Want {
    /// What a message of an agency needs to leave by a channel; `domain` is the recipient's, of a mail address.
    pub fn of(lane: Lane, agency: (&str, Option<u32>), channel: &Channel, domain: Option<&str>) -> Want {
        let mut limits = Vec::with_capacity(3);
        let provider = provider(channel);
        if let (name, Some(per_second)) = agency {
            limits.push(Limit { bucket: format!("agency {name}"), per_second });
        }
        if let Some(per_second) = channel.pace.per_second {
            limits.push(Limit { bucket: format!("provider {provider}"), per_second });
        }
        if let Some((domain, per_second)) = domain.and_then(|domain| Some((domain, channel.pace.of_domain(domain)?))) {
            limits.push(Limit { bucket: format!("domain {domain} at {provider}"), per_second });
        }
        Want { lane, limits }
    }
}

/// The same word for the same provider, however the agencies call their channels.
fn provider(channel: &Channel) -> String {
    match &channel.kind {
        ChannelKind::Folder => format!("folder {}", channel.name),
        ChannelKind::Smtp(smtp) => format!("smtp {}:{}", smtp.host, smtp.port),
        ChannelKind::Zns(zns) => format!("zns {} {}", zns.url, zns.app_id),
        ChannelKind::Sms(gateway) => format!("sms {} {}", gateway.url, gateway.sender),
        ChannelKind::Webhook(webhook) => format!("webhook {}", webhook.url),
    }
}

/// What was asked for, answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// For each that was asked for, in order: whether it has its tokens. Those after the last one were not asked for.
    pub granted: Vec<bool>,
    /// When to ask again; none where everything was granted.
    pub again: Option<Timestamp>,
}

/// The state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite says so.
    #[error("the shared state of the pace cannot be used")]
    Shelf {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: rusqlite::Error,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        "delivery.pace"
    }

    fn place(&self) -> Place {
        let Error::Shelf { path, .. } = self;
        Place::file(path)
    }

    fn next(&self) -> String {
        "let every agency's account write to this file, or remove it: it is made again; until then each run keeps to \
         the smallest of its rates"
            .into()
    }
}

/// The buckets of a machine, as one process uses them.
#[derive(Debug)]
pub struct Pace {
    shelf: Option<Shelf>,
    alone: Alone,
    trouble: Option<Error>,
}

/// What is left where nothing can be shared: one bucket that holds one token.
#[derive(Debug)]
struct Alone {
    per_second: u32,
    bucket: Bucket,
}

impl Pace {
    /// Opens the state in a folder that is there, and makes it where there is none. `agency` names whose rates these
    /// are, `smallest` is the smallest of them: by it alone this process sends where the state cannot be used.
    pub fn open(folder: &Path, agency: &str, smallest: u32, now: Timestamp) -> Pace {
        let path = folder.join("pace.sqlite");
        let opened = Shelf::open(&path, agency, now);
        let alone = Alone { per_second: smallest.max(1), bucket: Bucket::default() };
        match opened {
            Ok(shelf) => Pace { shelf: Some(shelf), alone, trouble: None },
            Err(source) => Pace { shelf: None, alone, trouble: Some(Error::Shelf { path, source }) },
        }
    }

    /// Takes tokens for as many of these messages as there are, the first ones first, and for no more than `most`.
    pub fn take(&mut self, now: Timestamp, most: usize, wants: &[Want]) -> Taken {
        if let Some(shelf) = &mut self.shelf {
            match shelf.take(now, most, wants) {
                Ok(taken) => return taken,
                Err(source) => {
                    self.trouble = Some(Error::Shelf { path: shelf.path().to_path_buf(), source });
                    self.shelf = None;
                }
            }
        }
        self.alone.take(now, most, wants)
    }

    /// Why the state is not shared, once.
    pub fn trouble(&mut self) -> Option<Error> {
        self.trouble.take()
    }
}

impl Alone {
    fn take(&mut self, now: Timestamp, most: usize, wants: &[Want]) -> Taken {
        let mut tally = Tally::new(now, most);
        self.bucket.settle(self.per_second, now);
        for want in wants {
            if tally.is_full() {
                break;
            }
            let at = if want.limits.is_empty() { now } else { self.bucket.earliest(self.per_second, 1, now) };
            if at <= now && !want.limits.is_empty() {
                self.bucket.take(self.per_second, now);
            }
            tally.answer(at);
        }
        tally.taken
    }
}

/// Answers, as they come together.
struct Tally {
    now: Timestamp,
    most: usize,
    granted: usize,
    taken: Taken,
}

impl Tally {
    fn new(now: Timestamp, most: usize) -> Self {
        Tally { now, most, granted: 0, taken: Taken::default() }
    }

    fn is_full(&self) -> bool {
        self.granted >= self.most
    }

    /// A message may leave at an instant: it does, if that is now.
    fn answer(&mut self, at: Timestamp) {
        let is_granted = at <= self.now;
        self.granted += usize::from(is_granted);
        self.taken.granted.push(is_granted);
        if !is_granted {
            let soonest = self.now.checked_add(PAUSE).unwrap_or(Timestamp::MAX);
            let at = at.max(soonest);
            self.taken.again = Some(self.taken.again.map_or(at, |again| again.min(at)));
        }
    }
}

/// Buckets by name, while one question is answered.
type Buckets = HashMap<String, shelf::Shared>;
