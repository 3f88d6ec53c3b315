//! The bodies of a message on the wire: transfer encodings of RFC 2045, each part written once into one buffer.
//!
//! Which encoding a part gets, and each line of it, is as lettre gives it: text that is ASCII in short lines stays as
//! it is, text of which more than a third needs escapes becomes base64, all other is quoted-printable. This module
//! must not know what a part says.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::{memchr_iter, memmem};

/// Characters of an encoded line without its end (RFC 2045, 6.7 and 6.8).
const LINE_CHARACTERS: usize = 76;
/// The digits of quoted-printable.
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Writes a part with its headers: its type is `text/<subtype>` in UTF-8, its lines end as they may.
pub(super) fn part(subtype: &str, text: &str, out: &mut Vec<u8>) {
    out.extend(b"Content-Type: text/");
    out.extend(subtype.as_bytes());
    out.extend(b"; charset=utf-8\r\nContent-Transfer-Encoding: ");
    match Encoding::of(text.as_bytes()) {
        Encoding::SevenBit => {
            out.extend(b"7bit\r\n\r\n");
            with_line_ends(text.as_bytes(), out);
        }
        Encoding::QuotedPrintable => {
            out.extend(b"quoted-printable\r\n\r\n");
            quoted_printable(text.as_bytes(), out);
        }
        Encoding::Base64 => {
            out.extend(b"base64\r\n\r\n");
            let mut lines = Vec::with_capacity(text.len() + text.len() / 32 + 2);
            with_line_ends(text.as_bytes(), &mut lines);
            base64(&lines, out);
        }
    }
    out.extend(b"\r\n");
}

enum Encoding {
    SevenBit,
    QuotedPrintable,
    Base64,
}

impl Encoding {
    fn of(text: &[u8]) -> Self {
        if text.is_ascii() && !is_line_too_long(text) {
            return Encoding::SevenBit;
        }
        let escaped = text.iter().filter(|byte| !matches!(byte, b'\t' | b' '..=b'~')).count();
        if escaped <= text.len() / 3 { Encoding::QuotedPrintable } else { Encoding::Base64 }
    }
}

fn is_line_too_long(text: &[u8]) -> bool {
    let mut last = 0;
    memchr_iter(b'\n', text).any(|at| at - std::mem::replace(&mut last, at) >= LINE_CHARACTERS)
        || text.len() - last >= LINE_CHARACTERS
}

/// The text with CRLF at the end of every line.
fn with_line_ends(text: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    for at in memchr_iter(b'\n', text) {
        let words = text.get(from..at).unwrap_or_default();
        out.extend_from_slice(words.strip_suffix(b"\r").unwrap_or(words));
        out.extend_from_slice(b"\r\n");
        from = at + 1;
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
}

/// All digits at once, and then the lines of them: whole lines hold whole groups of four, so the padding is at the end.
fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    let digits = STANDARD.encode(bytes);
    for (index, line) in digits.as_bytes().chunks(LINE_CHARACTERS).enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(line);
    }
}

fn quoted_printable(text: &[u8], out: &mut Vec<u8>) {
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let words = line.strip_suffix(b"\n");
        quoted_line(words.map_or(line, |words| words.strip_suffix(b"\r").unwrap_or(words)), out);
        if words.is_some() {
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// One line of the text, on as many lines as it takes.
fn quoted_line(line: &[u8], out: &mut Vec<u8>) {
    // A space at the end is escaped, so that no server on the way loses it.
    let (line, end) = match line.split_last() {
        Some((end @ (b' ' | b'\t'), line)) => (line, Some(*end)),
        _ => (line, None),
    };
    let mut quoted = Quoted { out, written: [0; LINE_CHARACTERS], column: 0, last: 0 };
    // One after the other: in Vietnamese what stands for itself is seldom longer than a few letters.
    for byte in line {
        if is_plain(*byte) { quoted.plain(*byte) } else { quoted.escaped(*byte) }
    }
    if let Some(end) = end {
        quoted.escaped(end);
    }
    quoted.end();
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'<' | b'>'..=b'~')
}

/// A line that is being written.
struct Quoted<'o> {
    out: &'o mut Vec<u8>,
    /// It is put together beside the buffer, which then grows once for each line.
    written: [u8; LINE_CHARACTERS],
    /// Characters on the line.
    column: usize,
    /// How many of them came last, together.
    last: usize,
}

impl Quoted<'_> {
    /// A character that stands for itself.
    fn plain(&mut self, byte: u8) {
        if self.column >= LINE_CHARACTERS {
            self.soft_break();
        }
        if let Some(place) = self.written.get_mut(self.column) {
            *place = byte;
        }
        self.column += 1;
        self.last = 1;
    }

    fn escaped(&mut self, byte: u8) {
        if self.column + 3 > LINE_CHARACTERS {
            self.soft_break();
        }
        let digit = |number: u8| HEX.get(usize::from(number & 15)).copied().unwrap_or(b'0');
        if let Some(place) = self.written.get_mut(self.column..self.column + 3) {
            place.copy_from_slice(&[b'=', digit(byte >> 4), digit(byte)]);
        }
        self.column += 3;
        self.last = 3;
    }

    /// Breaks the line before what comes next; a full line, which has no room for the sign, before what came last.
    fn soft_break(&mut self) {
        let moved = if self.column == LINE_CHARACTERS { self.last } else { 0 };
        let from = self.column - moved;
        self.out.extend_from_slice(self.written.get(..from).unwrap_or_default());
        self.out.extend_from_slice(b"=\r\n");
        self.written.copy_within(from..self.column, 0);
        self.column = moved;
    }

    fn end(self) {
        self.out.extend_from_slice(self.written.get(..self.column).unwrap_or_default());
    }
}

/// Writes a message with its dots stuffed and its end (RFC 5321, 4.5.2).
pub(in crate::delivery) fn stuff(message: &str, out: &mut String) {
    let mut from = 0;
    if message.starts_with('.') {
        out.push('.');
    }
    for at in memmem::find_iter(message.as_bytes(), b"\r\n.") {
        out.push_str(message.get(from..at + 3).unwrap_or_default());
        out.push('.');
        from = at + 3;
    }
    out.push_str(message.get(from..).unwrap_or_default());
    out.push_str("\r\n.\r\n");
}
