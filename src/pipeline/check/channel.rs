//! How messages leave: the table `[channel]` or the list `[[channels]]`, and references to secrets.

use super::super::channel::leads_into_private_network;
use super::super::reader::Node;
use super::super::secret::SecretRef;
use super::super::{Agency, Channel, ChannelKind, ChannelPace, Gateway, RECHECK_MINUTES, Reach, Smtp, Tls, Webhook};
use super::{attention, done, in_range, is_word, zns};
use crate::language::Text;

/// Whether text has the form of a mail address, `name@agency.example`.
///
/// This is narrower than RFC 5322: no quotes, no comments, no host without a dot. An
/// agency that writes to people has a plain address, and anything else is a slip.
fn is_address(text: &str) -> bool {
    let is_name = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    };
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match text.rsplit_once('@') {
        Some((name, host)) => {
            name.len() <= 64
                && host.len() <= 253
                && host.contains('.')
                && name.split('.').all(is_name)
                && host.split('.').all(is_label)
        }
        None => false,
    }
}

/// The channels of the pipeline; none when one of them cannot be understood.
pub(super) fn channels(node: &Node<'_>, agency: Option<&Agency>) -> Option<Vec<Channel>> {
    if !node.has("channels") {
        return Some(vec![node.table("channel").and_then(|n| done(&n, |n| channel(n, agency)))?]);
    }
    if node.has("channel") {
        let next = "move [channel] into the list, as a [[channels]] of its own";
        node.fault("channel", "pipeline.two-ways", "both [channel] and [[channels]] are given", next);
    }
    let nodes = node.array("channels");
    if nodes.is_empty() {
        node.fault("channels", "toml.empty", "no channel is given", "add a [[channels]] table");
        return None;
    }
    let mut channels: Vec<Channel> = Vec::new();
    let mut is_whole = true;
    for channel_node in nodes {
        let Some(read) = done(&channel_node, |n| channel(n, agency)) else {
            is_whole = false;
            continue;
        };
        if channels.iter().any(|other| other.name == read.name) {
            let what = format!("two channels are called \"{}\"", read.name);
            channel_node.fault("name", "pipeline.twice", what, "give each a name = \"...\" of its own");
        }
        channels.push(read);
    }
    is_whole.then_some(channels)
}

fn channel(node: &Node<'_>, agency: Option<&Agency>) -> Option<Channel> {
    let name = node.text_or_none("name");
    if let Some(name) = name.as_deref().filter(|name| !is_word(name)) {
        let next = "use lower-case letters, digits and _, beginning with a letter";
        node.fault("name", "pipeline.bad-name", format!("\"{name}\" cannot be the name of a channel"), next);
    }
    let recheck_minutes =
        in_range(node, "recheck_minutes", node.int_or("recheck_minutes", RECHECK_MINUTES.into()), 0, 1440);
    let pace = pace(node);
    let word = node.text("kind")?;
    let is_mail = matches!(word.as_str(), "folder" | "smtp");
    let from = if is_mail { sender(node) } else { Some(String::new()) };
    let from_name = if is_mail || node.has("from_name") { node.both("from_name") } else { Some(named(agency)) };
    let kind = match word.as_str() {
        "folder" => Some(ChannelKind::Folder),
        "smtp" => smtp(node).map(ChannelKind::Smtp),
        "zns" => zns::zns(node).map(|zns| ChannelKind::Zns(Box::new(zns))),
        "sms" => gateway(node).map(|gateway| ChannelKind::Sms(Box::new(gateway))),
        "webhook" => webhook(node).map(|webhook| ChannelKind::Webhook(Box::new(webhook))),
        other => {
            let words = ChannelKind::WORDS.map(|word| format!("\"{word}\"")).join(", ");
            let what = format!("kind = \"{other}\" is not a channel");
            node.fault("kind", "toml.unknown-word", what, format!("write one of {words}"));
            None
        }
    };
    let (kind, recheck_minutes) = (kind?, u16::try_from(recheck_minutes?).ok()?);
    let name = name.unwrap_or_else(|| kind.word().to_owned());
    Some(Channel { name, from: from?, from_name: from_name?, recheck_minutes, pace: pace?, kind })
}

/// `per_second = 100` and `per_domain = { "gmail.com" = 20, "*" = 50 }`.
fn pace(node: &Node<'_>) -> Option<ChannelPace> {
    let per_second = attention::rate(node, "per_second");
    let mut per_domain = Vec::new();
    let mut is_whole = true;
    if let Some(domains) = node.table_or_none("per_domain") {
        for domain in domains.keys() {
            let is_domain = domain == "*" || domain.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
            if !is_domain {
                let what = format!("\"{domain}\" is not a domain");
                let next = "write it like \"gmail.com\", or \"*\" for every other; a domain in other letters in its \
                            form xn--...";
                domains.fault(&domain, "pipeline.domain", what, next);
            }
            match attention::rate(&domains, &domain) {
                Some(Some(rate)) => per_domain.push((domain.to_ascii_lowercase(), rate)),
                _ => is_whole = false,
            }
        }
        domains.done();
    }
    Some(ChannelPace { per_second: per_second?, per_domain }).filter(|_| is_whole)
}

/// A short message begins with who sends it: the agency, where the channel has no shorter name for it.
fn named(agency: Option<&Agency>) -> Text {
    agency.map_or_else(|| Text::new("", ""), |agency| agency.name.clone())
}

/// The address in `From`.
fn sender(node: &Node<'_>) -> Option<String> {
    let from = node.text("from");
    if from.as_deref().is_some_and(|from| !is_address(from)) {
        node.fault("from", "pipeline.address", "from is not a mail address", "write it like name@agency.gov.vn");
    }
    from
}

fn gateway(node: &Node<'_>) -> Option<Gateway> {
    let url = service_address(node, "url", None);
    let token = required_secret(node, "token");
    let sender = node.text("sender");
    if sender.as_deref().is_some_and(|sender| sender.chars().count() > 11) {
        let what = "sender is longer than the 11 characters of a brandname";
        node.fault("sender", "pipeline.sender-name", what, "write the brandname as it is registered");
    }
    let keeps_diacritics = node.bool_or("diacritics", true);
    let parts_max = in_range(node, "parts", node.int_or("parts", 4), 1, 10);
    let is_idempotent = node.bool_or("idempotent", false);
    let connections = connections(node);
    Some(Gateway {
        url: url?,
        token: token?,
        sender: sender?,
        keeps_diacritics,
        parts_max: usize::try_from(parts_max?).ok()?,
        is_idempotent,
        connections: connections?,
    })
}

fn webhook(node: &Node<'_>) -> Option<Webhook> {
    let url = service_address(node, "url", None);
    let is_private = node.bool_or("private_network", false);
    if url.as_deref().is_some_and(|url| !is_private && leads_into_private_network(url)) {
        let what = "url leads into a private network";
        let next = "write the address of the service as others reach it; where it is meant to be there, add \
                    private_network = true";
        node.fault("url", "pipeline.private-network", what, next);
    }
    let secret = required_secret(node, "secret");
    let reach = node.word_or("address", &[("email", Reach::Email), ("phone", Reach::Phone)], Reach::Phone);
    let connections = connections(node);
    Some(Webhook { url: url?, secret: secret?, reach, is_private, connections: connections? })
}

/// How many requests at once.
pub(super) fn connections(node: &Node<'_>) -> Option<usize> {
    let connections = in_range(node, "connections", node.int_or("connections", 8), 1, 64);
    usize::try_from(connections?).ok()
}

/// The address of a service that is told of people: protected by TLS, or on this machine.
pub(super) fn service_address(node: &Node<'_>, key: &str, otherwise: Option<&str>) -> Option<String> {
    let text = match (node.has(key), otherwise) {
        (false, Some(otherwise)) => return Some(otherwise.to_owned()),
        _ => node.text(key)?,
    };
    let is_plain = |text: &str| !text.contains(char::is_whitespace) && !text.contains(['@', '?', '#']);
    let host_of = |rest: &str| -> String {
        let authority = rest.split('/').next().unwrap_or_default();
        match authority.strip_prefix('[') {
            Some(inner) => inner.split(']').next().unwrap_or_default().to_owned(),
            None => authority.split(':').next().unwrap_or_default().to_owned(),
        }
    };
    match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) if is_plain(rest) && !host_of(rest).is_empty() => {}
        (_, Some(rest)) if is_plain(rest) && is_loopback(&host_of(rest)) => {}
        (None, Some(_)) => {
            let what = format!("{key} would send personal data in the clear");
            let next = "write an address that begins with https://; only a service on loopback may do without";
            node.fault(key, "pipeline.clear-text", what, next);
        }
        _ => {
            let what = format!("{key} is not the address of a service");
            let next = "write it like https://sms.example.vn/send, without a user, a question mark or a hash";
            node.fault(key, "pipeline.web-address", what, next);
        }
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// A reference to a secret that must be there.
pub(super) fn required_secret(node: &Node<'_>, key: &str) -> Option<SecretRef> {
    if node.has(key) {
        return secret_at(node, key);
    }
    let next = format!("add {key} = {{ file = \"/path\" }}");
    node.fault(key, "toml.missing-key", format!("the secret {key} is missing"), next);
    None
}

fn smtp(node: &Node<'_>) -> Option<Smtp> {
    let host = node.text("host")?;
    let tls = node.word_or(
        "tls",
        &[("none", Tls::None), ("starttls", Tls::StartTls), ("wrapped", Tls::Wrapped)],
        Tls::StartTls,
    );
    if tls == Tls::None && !is_loopback(&host) {
        let what = "tls = \"none\" would send personal data in the clear";
        node.fault(
            "tls",
            "pipeline.clear-text",
            what,
            "use \"starttls\" or \"wrapped\"; only a server on loopback may do without",
        );
    }
    let port = in_range(node, "port", node.int_or("port", 587), 1, 65535);
    let connections = in_range(node, "connections", node.int_or("connections", 4), 1, 64);
    let user = node.text_or_none("user");
    let password = password(node);
    let credentials = match (user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        _ => {
            let next = "give both, or neither";
            node.fault("user", "pipeline.half-credentials", "user and password belong together", next);
            None
        }
    };
    Some(Smtp {
        host,
        port: u16::try_from(port?).ok()?,
        tls,
        credentials,
        connections: usize::try_from(connections?).ok()?,
    })
}

pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.starts_with('/')
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A reference to a password, where there is one.
pub(super) fn password(node: &Node<'_>) -> Option<SecretRef> {
    if node.has("password") { secret_at(node, "password") } else { None }
}

/// A reference to a secret; the secret itself is refused and not repeated.
pub(super) fn secret_at(node: &Node<'_>, key: &str) -> Option<SecretRef> {
    if node.is_text(key) {
        let next = format!(
            "write {key} = {{ env = \"NAME\" }}, {{ file = \"/path\" }} or {{ credential = \"name\" }}, \
             and change it: whoever read this file has seen it"
        );
        node.fault(key, "pipeline.secret", format!("the secret {key} stands in the file"), next);
        return None;
    }
    node.table(key).and_then(|n| done(&n, secret))
}

fn secret(node: &Node<'_>) -> Option<SecretRef> {
    let env = node.text_or_none("env").map(SecretRef::Env);
    let file = node.text_or_none("file").map(|path| SecretRef::File(path.into()));
    if matches!(&file, Some(SecretRef::File(path)) if path.is_relative()) {
        let what = "the path of the secret file does not begin with /";
        let next = "write the whole path: where the service was started must not decide which secret is sent";
        node.fault("file", "pipeline.secret", what, next);
    }
    let credential = node.text_or_none("credential").map(SecretRef::Credential);
    let mut given = [env, file, credential].into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(secret), None) => Some(secret),
        _ => {
            let next = "write { env = \"NAME\" }, { file = \"/path\" } or { credential = \"name\" }";
            node.fault("", "pipeline.secret", "this is not a reference to one secret", next);
            None
        }
    }
}
