//! What a person may attach: how large, and of which kinds, told by the first bytes and never by the name.

use super::Attachment;
use crate::personal::{Personal, sha256};
use crate::pipeline::form::Unsound;

/// The largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 5 << 20;

/// The most bytes of all files of a dossier together.
pub const FILES_BYTES_MAX: usize = 15 << 20;

/// The most characters of a file's name that are kept.
const NAME_CHARS_MAX: usize = 100;

/// The kind of a file by its first bytes; none where it is not one that is taken.
pub fn media_type(bytes: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 3] = [
        (b"%PDF-", "application/pdf"),
        (&[0xFF, 0xD8, 0xFF], "image/jpeg"),
        (&[0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A], "image/png"),
    ];
    KINDS.iter().find(|(first, _)| bytes.starts_with(first)).map(|(_, kind)| *kind)
}

/// A file as it is kept with a dossier.
///
/// # Errors
///
/// Where it is too large, or of no kind that is taken.
pub fn attachment(field: &str, name: &str, bytes: Vec<u8>) -> Result<Attachment, Unsound> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Unsound::FileTooLarge);
    }
    let media_type = media_type(&bytes).ok_or(Unsound::FileKind)?;
    Ok(Attachment {
        field: field.to_owned(),
        name: Personal::new(without_path(name)),
        media_type: media_type.to_owned(),
        sha256: sha256(&bytes),
        bytes: Personal::new(bytes),
    })
}

/// The last part of a name, without signs that are no letters of any name.
fn without_path(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
    let plain = plain.trim().trim_start_matches('.');
    if plain.is_empty() { "file".to_owned() } else { plain.to_owned() }
}
