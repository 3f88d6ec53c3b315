//! What belongs to mail beside the channel that sends it: signatures, and the mailbox into which comes what comes back.
//!
//! This module must not know how a signature is made or a mailbox is read.

use std::path::PathBuf;

use super::secret::SecretRef;

/// The table `[mail]` of an agency; all of it may be left out.
#[derive(Debug, Clone, Default)]
pub struct Mail {
    /// The domain of the envelope senders, to which undeliverable messages come back; that of `From` where none is said.
    pub return_domain: Option<String>,
    /// The keys with which messages are signed (RFC 6376), each with a signature of its own.
    pub dkim: Vec<Dkim>,
    /// Where reports about messages arrive; none means that nobody reads them here.
    pub mailbox: Option<Mailbox>,
}

/// A key of DKIM (RFC 6376, RFC 8463).
#[derive(Debug, Clone)]
pub struct Dkim {
    /// The domain that signs; for DMARC that of `From` or one above it.
    pub domain: String,
    /// The name under which the public key is in the DNS: `<selector>._domainkey.<domain>`.
    pub selector: String,
    /// Where the private key is: PKCS #8 or PKCS #1 in PEM; RSA of 2,048 bits or more, or Ed25519.
    pub key: SecretRef,
}

/// Where reports about messages arrive.
#[derive(Debug, Clone)]
pub enum Mailbox {
    /// A maildir of this machine, with `new` and `cur`, into which the mail server delivers.
    Maildir(PathBuf),
    /// A mailbox on a server.
    Imap(Imap),
}

/// A mailbox on a server (RFC 3501, RFC 9051).
#[derive(Debug, Clone)]
pub struct Imap {
    /// Host name; its certificate must bear it.
    pub host: String,
    /// Port; TLS from the first byte.
    pub port: u16,
    /// The account.
    pub user: String,
    /// Its password.
    pub password: SecretRef,
    /// The folder that is read.
    pub folder: String,
    /// The folder into which a message is moved when it was read.
    pub done: String,
}
