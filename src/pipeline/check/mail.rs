//! The table `[mail]`: signatures, and where reports about messages arrive.

use super::super::mail::{Dkim, Imap, Mail, Mailbox};
use super::super::reader::Node;
use super::channel::secret_at;
use super::{done, in_range};

pub(super) fn mail(node: &Node<'_>) -> Option<Mail> {
    let return_domain = domain(node, "return_domain");
    let keys: Vec<Option<Dkim>> = node.array("dkim").iter().map(|node| done(node, dkim)).collect();
    let mailbox = node.table_or_none("mailbox").map(|node| done(&node, mailbox));
    let mailbox = match mailbox {
        None => None,
        Some(mailbox) => Some(mailbox?),
    };
    Some(Mail { return_domain, dkim: keys.into_iter().collect::<Option<_>>()?, mailbox })
}

fn dkim(node: &Node<'_>) -> Option<Dkim> {
    let selector = node.text("selector");
    let is_sound = |selector: &String| selector.split('.').all(is_label);
    if selector.as_ref().is_some_and(|selector| !is_sound(selector)) {
        let next = "write the name under which the public key is in the DNS, like 2026a";
        node.fault("selector", "pipeline.dkim-selector", "this is not a selector", next);
    }
    let domain = if node.has("domain") { domain(node, "domain") } else { node.text("domain") };
    let key = secret_at(node, "key");
    Some(Dkim { domain: domain?, selector: selector?, key: key? })
}

fn mailbox(node: &Node<'_>) -> Option<Mailbox> {
    match node.text("kind")?.as_str() {
        "maildir" => {
            let path = std::path::PathBuf::from(node.text("path")?);
            if path.is_relative() {
                let next = "write the whole path, beginning with /";
                node.fault("path", "pipeline.relative-path", "the path of the maildir does not begin with /", next);
            }
            Some(Mailbox::Maildir(path))
        }
        "imap" => {
            let host = node.text("host");
            let port = in_range(node, "port", node.int_or("port", 993), 1, 65535);
            let user = node.text("user");
            let password = secret_at(node, "password");
            let folder = node.text_or_none("folder").unwrap_or_else(|| "INBOX".into());
            let read = node.text_or_none("done").unwrap_or_else(|| "Processed".into());
            let port = u16::try_from(port?).ok()?;
            Some(Mailbox::Imap(Imap { host: host?, port, user: user?, password: password?, folder, done: read }))
        }
        other => {
            let what = format!("kind = \"{other}\" is not a mailbox");
            node.fault("kind", "toml.unknown-word", what, "write one of \"maildir\", \"imap\"");
            None
        }
    }
}

/// A domain name in its ASCII form, in lower case; none where it is left out.
fn domain(node: &Node<'_>, key: &str) -> Option<String> {
    let text = node.text_or_none(key)?;
    let is_one = text.len() <= 253 && text.contains('.') && text.split('.').all(is_label);
    if !is_one {
        let next = "write it like agency.gov.vn; one with other letters in its xn-- form";
        node.fault(key, "pipeline.domain", format!("{key} is not a domain name"), next);
    }
    Some(text.to_ascii_lowercase())
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}
