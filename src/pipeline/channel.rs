//! The channels by which messages leave, as an agency's request names them.
//!
//! A closed list. This module must not know how any of them is spoken to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::secret::SecretRef;
use crate::language::{Language, Text};

/// How messages leave the building.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Its name in `item.toml`, in the outbox's key and in the report; the word of its kind where none is given.
    pub name: String,
    /// The address in `From` of a letter; empty for a channel that carries none.
    pub from: String,
    /// The name beside it, with which a short message begins too; the agency's where none is given.
    pub from_name: Text,
    /// How old what was read of the sources may be when a batch of messages leaves, in minutes; when it is older,
    /// the sources are read again and what no longer stands is held.
    pub recheck_minutes: u16,
    /// How fast messages may leave by it.
    pub pace: ChannelPace,
    /// Which one.
    pub kind: ChannelKind,
}

/// How fast messages may leave by a channel; what is not said is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelPace {
    /// Messages in a second, of all agencies of the machine that use this provider.
    pub per_second: Option<u32>,
    /// Messages in a second to one domain, by the domain in lower case; `*` is every other one, each by itself.
    pub per_domain: Vec<(String, u32)>,
}

impl ChannelPace {
    /// Messages in a second to a domain, in lower case; none where they are not limited.
    pub fn of_domain(&self, domain: &str) -> Option<u32> {
        let of = |name: &str| self.per_domain.iter().find(|(known, _)| known == name).map(|(_, rate)| *rate);
        of(domain).or_else(|| of("*"))
    }

    /// All of its rates.
    pub fn rates(&self) -> impl Iterator<Item = u32> {
        self.per_second.into_iter().chain(self.per_domain.iter().map(|(_, rate)| *rate))
    }
}

/// `recheck_minutes` of a channel that does not say.
pub const RECHECK_MINUTES: u16 = 30;

/// What a channel needs to know of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// A mail address.
    Email,
    /// A mobile number.
    Phone,
}

impl Channel {
    /// Whether sending a message again does nothing where it had left before: a file is in its place, or the peer
    /// promises to know a message by its number.
    pub fn is_repeatable(&self) -> bool {
        match &self.kind {
            ChannelKind::Folder | ChannelKind::Webhook(_) => true,
            ChannelKind::Sms(gateway) => gateway.is_idempotent,
            ChannelKind::Smtp(_) | ChannelKind::Zns(_) => false,
        }
    }

    /// Its name, which is the word in the outbox's key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it needs to know of a person.
    pub fn reach(&self) -> Reach {
        match &self.kind {
            ChannelKind::Folder | ChannelKind::Smtp(_) => Reach::Email,
            ChannelKind::Zns(_) | ChannelKind::Sms(_) => Reach::Phone,
            ChannelKind::Webhook(webhook) => webhook.reach,
        }
    }

    /// Whether it carries whole letters (RFC 5322), or short messages.
    pub fn carries_letters(&self) -> bool {
        matches!(self.kind, ChannelKind::Folder | ChannelKind::Smtp(_))
    }

    /// Whether what it carries can hold a link of one person: letters and free text, no approved template.
    pub fn carries_links(&self) -> bool {
        !matches!(self.kind, ChannelKind::Zns(_))
    }

    /// Whether it can carry a message of this item in this language at all: ZNS sends approved templates alone.
    pub fn carries(&self, item: &str, language: Language) -> bool {
        match &self.kind {
            ChannelKind::Zns(zns) => zns.template(item, language).is_some(),
            _ => true,
        }
    }
}

/// The channels.
#[derive(Debug, Clone)]
pub enum ChannelKind {
    /// One `.eml` file per message in `outbox/` of the state folder.
    Folder,
    /// A mail server.
    Smtp(Smtp),
    /// Zalo Notification Service.
    Zns(Box<Zns>),
    /// A gateway for text messages to phones.
    Sms(Box<Gateway>),
    /// A signed request to a service of the agency's own.
    Webhook(Box<Webhook>),
}

impl ChannelKind {
    /// The words of pipeline.toml.
    pub const WORDS: [&'static str; 5] = ["folder", "smtp", "zns", "sms", "webhook"];

    /// The word in pipeline.toml, and the name of a channel that is given none.
    pub fn word(&self) -> &'static str {
        match self {
            ChannelKind::Folder => "folder",
            ChannelKind::Smtp(_) => "smtp",
            ChannelKind::Zns(_) => "zns",
            ChannelKind::Sms(_) => "sms",
            ChannelKind::Webhook(_) => "webhook",
        }
    }
}

/// A mail server.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// Account and the reference to its password.
    pub credentials: Option<(String, SecretRef)>,
    /// How many connections at once.
    pub connections: usize,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Not at all: loopback only, refused elsewhere.
    None,
    /// `STARTTLS`, required.
    StartTls,
    /// TLS from the first byte.
    Wrapped,
}

/// Zalo Notification Service: approved templates to the Zalo account of a phone number.
#[derive(Debug, Clone)]
pub struct Zns {
    /// Where messages go: `https://business.openapi.zalo.me`, without a slash at the end.
    pub url: String,
    /// Where tokens come from: `https://oauth.zaloapp.com`, without a slash at the end.
    pub oauth_url: String,
    /// The application's number.
    pub app_id: String,
    /// Its secret key.
    pub app_secret: SecretRef,
    /// The refresh token with which the first access token is had. It is good once; its successors are kept sealed
    /// in the state folder.
    pub refresh_token: SecretRef,
    /// The most messages of a day, where the official account's own quota is not to be used up.
    pub daily_quota: Option<u32>,
    /// The hours in which Zalo takes no message, in Vietnam's time.
    pub closed: Hours,
    /// How many requests at once.
    pub connections: usize,
    /// Sends to administrators of the application alone, as Zalo's `mode: development` does.
    pub is_development: bool,
    /// The approved templates.
    pub templates: Vec<Template>,
}

impl Zns {
    /// The template for an item in a language; where there is none in English, the Vietnamese one.
    pub fn template(&self, item: &str, language: Language) -> Option<&Template> {
        let in_language = |wanted| self.templates.iter().find(|one| one.item == item && one.language == wanted);
        in_language(language).or_else(|| in_language(Language::Vi))
    }
}

/// From an hour of the day to another, perhaps over midnight; the same twice is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// The first instant inside.
    pub from: jiff::civil::Time,
    /// The first instant outside.
    pub to: jiff::civil::Time,
}

impl Hours {
    /// Zalo takes nothing between 22:00 and 06:00 (error −133).
    pub const ZNS_CLOSED: Hours = Hours { from: jiff::civil::time(22, 0, 0, 0), to: jiff::civil::time(6, 0, 0, 0) };

    /// Whether a time of the day lies inside.
    pub fn contain(self, time: jiff::civil::Time) -> bool {
        if self.from <= self.to { self.from <= time && time < self.to } else { self.from <= time || time < self.to }
    }
}

/// A template that Zalo has approved for the agency's official account.
#[derive(Debug, Clone)]
pub struct Template {
    /// The item it speaks of.
    pub item: String,
    /// Its language.
    pub language: Language,
    /// Zalo's number for it.
    pub id: String,
    /// What is filled in.
    pub parameters: Vec<Parameter>,
}

/// A hole in a template.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name at Zalo.
    pub name: String,
    /// What is filled in: a word that every letter knows (`name`, `due_on`, `agency`…) or a column of the item.
    pub value: String,
    /// The most characters that Zalo takes.
    pub chars_max: usize,
}

impl Parameter {
    /// The kinds of parameters at Zalo, each with the most characters that it takes.
    pub const KINDS: [(&'static str, usize); 7] =
        [("name", 30), ("phone", 15), ("address", 200), ("code", 30), ("status", 30), ("contact", 50), ("label", 30)];
}

/// A gateway for text messages, spoken to by JSON over HTTP.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Where messages go.
    pub url: String,
    /// The token, sent as `Authorization: Bearer …`.
    pub token: SecretRef,
    /// The registered sender name (*brandname*).
    pub sender: String,
    /// Whether letters keep their diacritics; without them three times as many fit.
    pub keeps_diacritics: bool,
    /// The most parts that a message may be cut into.
    pub parts_max: usize,
    /// Whether the gateway promises to know a message by its number, so that sending it again does nothing.
    pub is_idempotent: bool,
    /// How many requests at once.
    pub connections: usize,
}

/// A service of the agency's own that takes messages onward.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Where messages go.
    pub url: String,
    /// The key of the signature.
    pub secret: SecretRef,
    /// What the service is told of the person.
    pub reach: Reach,
    /// Whether it is meant to stand in a private network, or on this machine.
    pub is_private: bool,
    /// How many requests at once.
    pub connections: usize,
}

/// Whether an address is one that everybody reaches: neither of a private or shared network, nor of this machine or link,
/// nor one in the new protocol that stands for such a one in the old.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(four) => is_public_four(four),
        IpAddr::V6(six) => is_public_six(six),
    }
}

fn is_public_four(four: Ipv4Addr) -> bool {
    let [first, second, third, _] = four.octets();
    // 100.64.0.0/10 is shared by those behind one provider (RFC 6598); 198.18.0.0/15 is for measuring; 192.0.0.0/24 is
    // for what networks need themselves (RFC 6890).
    let is_shared = (first, second & 0xc0) == (100, 64) || (first, second & 0xfe) == (198, 18);
    let is_special = four.is_private() || four.is_loopback() || four.is_link_local();
    !(is_special || is_shared || (first, second, third) == (192, 0, 0) || first == 0 || first >= 224)
}

fn is_public_six(six: Ipv6Addr) -> bool {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_four(Ipv4Addr::new(a, b, c, d))
    };
    match six.segments() {
        // Translated into the old protocol by a network (RFC 6052), or carried through it (RFC 3056).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        // Compatible with the old protocol and long out of use (RFC 4291), this machine among them; a translation of one
        // network's own (RFC 8215); to be discarded (RFC 6666); an address behind a router, in disguise (RFC 4380).
        [0, 0, 0, 0, 0, 0, _, _] | [0x64, 0xff9b, 1, ..] | [0x100, 0, 0, 0, ..] | [0x2001, 0, ..] => false,
        // fec0::/10 was for one site (RFC 3879).
        [first, ..] => {
            let is_special = six.is_multicast() || six.is_unique_local() || six.is_unicast_link_local();
            !(is_special || first & 0xffc0 == 0xfec0)
        }
    }
}

/// Whether the host of an address of the web is an address of a private network, in whatever way it is written: as a
/// client reads it, `https://167772161` and `https://10.0.0.1.` are 10.0.0.1. This machine is no network, and where a
/// name leads is not known before it is asked for.
pub fn leads_into_private_network(url: &str) -> bool {
    let parsed = Url::parse(url).ok();
    let address = match parsed.as_ref().and_then(Url::host) {
        Some(Host::Ipv4(four)) => IpAddr::V4(four),
        Some(Host::Ipv6(six)) => IpAddr::V6(six),
        _ => return false,
    };
    !address.is_loopback() && !is_public(address)
}
