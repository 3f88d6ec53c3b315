//! The parts of a form as browsers send it (RFC 7578): a name, perhaps a file's name, and bytes.
//!
//! It must not know what any part is for. A body that is cut off or not of this form has no parts at all.

use std::ops::Range;

use memchr::memmem;

/// One part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part<'b> {
    /// The name of the field.
    pub(super) name: String,
    /// The name of the file; none where it is no file.
    pub(super) file: Option<String>,
    /// What was sent.
    pub(super) bytes: &'b [u8],
}

/// The most parts that are looked at.
const PARTS_MAX: usize = 200;

/// The longest head of a part, in bytes.
const HEAD_BYTES_MAX: usize = 4096;

/// The boundary that a content type names; none where it is no form of parts.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let mut words = content_type.split(';').map(str::trim);
    let is_form = words.next()?.eq_ignore_ascii_case("multipart/form-data");
    let value = words.find_map(|word| {
        let (name, value) = word.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    // RFC 2046, 5.1.1: one to seventy characters.
    (is_form && (1..=70).contains(&value.len())).then_some(value)
}

/// The parts of a body; none where it is not whole.
pub(super) fn parts<'b>(body: &'b [u8], boundary: &str) -> Option<Vec<Part<'b>>> {
    let first = format!("--{boundary}");
    let between = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(first.as_bytes())?;
    let mut found = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(found);
        }
        let after = rest.strip_prefix(b"\r\n")?;
        let end = end_of(after, between.as_bytes())?;
        let (part, next) = after.split_at_checked(end)?;
        rest = next.get(between.len()..)?;
        let head = memmem::find(part.get(..part.len().min(HEAD_BYTES_MAX))?, b"\r\n\r\n")?;
        let (name, file) = names(std::str::from_utf8(part.get(..head)?).ok()?)?;
        found.push(Part { name, file, bytes: part.get(head + 4..)? });
        if found.len() > PARTS_MAX {
            return None;
        }
    }
}

/// Where a part ends: at a boundary that is one, and not only begins like one.
fn end_of(bytes: &[u8], between: &[u8]) -> Option<usize> {
    memmem::find_iter(bytes, between).find(|at| {
        let after = at.saturating_add(between.len());
        bytes.get(after..).is_some_and(|after| after.starts_with(b"\r\n") || after.starts_with(b"--"))
    })
}

/// The names in the head of a part.
fn names(head: &str) -> Option<(String, Option<String>)> {
    let line = head.split("\r\n").find(|line| {
        line.split_once(':').is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))
    })?;
    Some((quoted(line, "name")?, quoted(line, "filename")))
}

/// The value of a parameter in quotation marks. Browsers write `"` in it as `%22` (the standard of HTML, 4.10.21.8).
fn quoted(line: &str, parameter: &str) -> Option<String> {
    let mark = format!("; {parameter}=\"");
    let from = line.find(&mark)?.saturating_add(mark.len());
    let rest = line.get(from..)?;
    let until: Range<usize> = 0..rest.find('"')?;
    Some(rest.get(until)?.replace("%22", "\"").replace("%0D", " ").replace("%0A", " "))
}
