//! Lists of checksums, `SHA256SUMS`, as `sha256sum --check` reads them, and the signature beside each.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{Labels, together};
use crate::personal::hex;

/// The name of a list.
pub(super) const NAME: &str = "SHA256SUMS";
/// The name of its signature.
pub(super) const SIGNATURE: &str = "SHA256SUMS.minisig";

/// A list of names and hashes in hexadecimal, in the order of the names.
pub(super) fn list<N: AsRef<str>, H: AsRef<str>>(files: impl IntoIterator<Item = (N, H)>) -> String {
    files.into_iter().map(|(name, hash)| format!("{}  {}\n", hash.as_ref(), name.as_ref())).collect()
}

/// The list of these files, and its signature where there is a key; `of` says of what it is: a period, or the shelf.
pub(super) fn files<N: AsRef<str>, H: AsRef<str>>(
    files: impl IntoIterator<Item = (N, H)>,
    of: &str,
    labels: &Labels,
) -> BTreeMap<String, Vec<u8>> {
    let list = list(files).into_bytes();
    let mut made = BTreeMap::new();
    if let Some(signer) = &labels.signer {
        made.insert(SIGNATURE.to_owned(), signer.sign(&list, &format!("SHA256SUMS of {of}")).into_bytes());
    }
    made.insert(NAME.to_owned(), list);
    made
}

/// Adds the list of all files that are there, and its signature.
pub(super) fn add(all: &mut BTreeMap<String, Vec<u8>>, of: &str, labels: &Labels) {
    let known: Vec<(&String, &Vec<u8>)> = all.iter().collect();
    let hashes = together::map(&known, |(name, bytes)| ((*name).clone(), hex(&Sha256::digest(bytes))));
    all.extend(files(hashes, of, labels));
}
