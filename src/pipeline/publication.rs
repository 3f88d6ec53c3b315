//! What leaves the agency for others than the people it writes to: `[publication]`, the open files, `[push]`, the
//! rating system, and `[submission]`, the portal that takes confirmed dossiers.
//!
//! This module must not know what is published, nor how a signature or a request is made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::secret::SecretRef;

/// The table `[publication]`; all of it may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Where the folder `published` is served, without a slash at the end; none means under the agency's portal.
    pub base_url: Option<String>,
    /// The Ed25519 key with which lists of checksums are signed: PKCS #8 in PEM; none leaves them unsigned.
    pub signing_key: Option<SecretRef>,
    /// What holds a release for a person.
    pub gates: Gates,
}

/// The bounds of what is published without a person having looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gates {
    /// Working days between the newest record and the end of the month, beyond which a source is stale.
    pub stale_working_days: u16,
    /// For so many periods in a row a share may be the same to the last digit; one more is held.
    pub same_periods: u16,
    /// The least ratings per hundred dossiers, over the whole unit, that are plausible.
    pub response_percent_least: u16,
    /// The most; people may rate a dossier of an earlier month, so a little over a hundred is possible.
    pub response_percent_most: u16,
}

impl Gates {
    /// Where the pipeline says nothing.
    pub const USUAL: Gates =
        Gates { stale_working_days: 5, same_periods: 23, response_percent_least: 1, response_percent_most: 100 };
}

impl Default for Terms {
    fn default() -> Self {
        Terms { base_url: None, signing_key: None, gates: Gates::USUAL }
    }
}

/// The table `[push]`: the system of the national portal that rates agencies (Decision 766/QĐ-TTg).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Base address of its interface, without a slash at the end.
    pub url: String,
    /// Where tokens are given (OAuth 2.0, RFC 6749, 4.4: client credentials).
    pub token_url: String,
    /// The name of the client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretRef,
    /// What the token is asked for; none where the server decides.
    pub scope: Option<String>,
    /// The agency's code there, like `H97`; a commune is `H97.97001`.
    pub department: String,
    /// Certificate and private key of the client in one PEM text, for mutual TLS (RFC 8705); none where tokens suffice.
    pub identity: Option<SecretRef>,
    /// The authority that signed the server's certificate, in PEM; none means those of this machine.
    pub authority: Option<PathBuf>,
}

/// The table `[submission]`: the national portal, which takes dossiers that people have confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Base address of its interface, without a slash at the end.
    pub url: String,
    /// Where tokens are given (OAuth 2.0, RFC 6749, 4.4: client credentials).
    pub token_url: String,
    /// The name of the client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretRef,
    /// What the token is asked for; none where the server decides.
    pub scope: Option<String>,
    /// The unit that handles the dossiers, by its code in the national list, like `H97.12`.
    pub department: String,
    /// The portal's code (`MaCSDL`) of the database behind a source of ours; the population database has `1`.
    pub databases: BTreeMap<String, String>,
    /// Certificate and private key of the client in one PEM text, for mutual TLS (RFC 8705); none where tokens suffice.
    pub identity: Option<SecretRef>,
    /// The authority that signed the server's certificate, in PEM; none means those of this machine.
    pub authority: Option<PathBuf>,
}
