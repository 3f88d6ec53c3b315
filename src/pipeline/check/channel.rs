//! How messages leave: the table `[channel]`, and references to secrets.

use super::super::reader::Node;
use super::super::secret::SecretRef;
use super::super::{Channel, ChannelKind, RECHECK_MINUTES, Smtp, Tls};
use super::{done, in_range};

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

pub(super) fn channel(node: &Node<'_>) -> Option<Channel> {
    let from = node.text("from");
    if from.as_deref().is_some_and(|from| !is_address(from)) {
        node.fault("from", "pipeline.address", "from is not a mail address", "write it like name@agency.gov.vn");
    }
    let from_name = node.both("from_name");
    let recheck_minutes =
        in_range(node, "recheck_minutes", node.int_or("recheck_minutes", RECHECK_MINUTES.into()), 0, 1440);
    let kind = match node.text("kind")?.as_str() {
        "folder" => ChannelKind::Folder,
        "smtp" => ChannelKind::Smtp(smtp(node)?),
        other => {
            let what = format!("kind = \"{other}\" is not a channel");
            node.fault("kind", "toml.unknown-word", what, "write one of \"folder\", \"smtp\"");
            return None;
        }
    };
    let recheck_minutes = u16::try_from(recheck_minutes?).ok()?;
    Some(Channel { from: from?, from_name: from_name?, recheck_minutes, kind })
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
