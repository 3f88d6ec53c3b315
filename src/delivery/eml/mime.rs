//! The bodies of a message on the wire: transfer encodings of RFC 2045, each part written once into one buffer.
//!
//! Which encoding a part gets, and each line of it, is as lettre gives it: text that is ASCII in short lines stays as
//! it is, text of which more than a third needs escapes becomes base64, all other is quoted-printable. This module
//! must not know what a part says.

use memchr::{memchr_iter, memmem};

/// Characters of an encoded line without its end (RFC 2045, 6.7 and 6.8).
const LINE_CHARACTERS: usize = 76;
/// Bytes that one line of base64 holds.
const LINE_BYTES: usize = LINE_CHARACTERS / 4 * 3;
/// The digits of base64 (RFC 4648).
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
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
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(words) => {
                out.extend(words.strip_suffix(b"\r").unwrap_or(words));
                out.extend(b"\r\n");
            }
            None => out.extend(line),
        }
    }
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |number: u32, shift: u32| DIGITS.get((number >> shift) as usize & 63).copied().unwrap_or(b'=');
    let digits = |number: u32| [digit(number, 18), digit(number, 12), digit(number, 6), digit(number, 0)];
    for (index, line) in bytes.chunks(LINE_BYTES).enumerate() {
        if index > 0 {
            out.extend(b"\r\n");
        }
        let (whole, rest) = line.as_chunks::<3>();
        // A line is put together beside the buffer, which then grows once.
        let mut written = [b'='; LINE_CHARACTERS];
        let mut places = written.as_chunks_mut::<4>().0.iter_mut();
        for ([a, b, c], place) in whole.iter().zip(&mut places) {
            *place = digits(u32::from(*a) << 16 | u32::from(*b) << 8 | u32::from(*c));
        }
        if let Some(place) = places.next() {
            match rest {
                [a] => {
                    let [first, second, ..] = digits(u32::from(*a) << 16);
                    *place = [first, second, b'=', b'='];
                }
                [a, b] => {
                    let [first, second, third, _] = digits(u32::from(*a) << 16 | u32::from(*b) << 8);
                    *place = [first, second, third, b'='];
                }
                _ => {}
            }
        }
        out.extend(written.get(..line.len().div_ceil(3) * 4).unwrap_or_default());
    }
}

fn quoted_printable(text: &[u8], out: &mut Vec<u8>) {
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let words = line.strip_suffix(b"\n");
        quoted_line(words.map_or(line, |words| words.strip_suffix(b"\r").unwrap_or(words)), out);
        if words.is_some() {
            out.extend(b"\r\n");
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
    let mut quoted = Quoted { out, column: 0, last: 0 };
    let mut rest = line;
    while let Some(first) = rest.first() {
        if is_plain(*first) {
            let room = (LINE_CHARACTERS - quoted.column).max(1);
            let run = rest.iter().take(room).take_while(|byte| is_plain(**byte)).count();
            let (run, after) = rest.split_at(run);
            quoted.plain(run);
            rest = after;
        } else {
            quoted.escaped(*first);
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    if let Some(end) = end {
        quoted.escaped(end);
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'<' | b'>'..=b'~')
}

/// A line that is being written.
struct Quoted<'o> {
    out: &'o mut Vec<u8>,
    /// Characters on the line.
    column: usize,
    /// How many of them came last, together.
    last: usize,
}

impl Quoted<'_> {
    /// Characters that stand for themselves, no more than the line has room for, or one.
    fn plain(&mut self, run: &[u8]) {
        if self.column + run.len() > LINE_CHARACTERS {
            self.soft_break();
        }
        self.out.extend(run);
        self.column += run.len();
        self.last = 1;
    }

    fn escaped(&mut self, byte: u8) {
        if self.column + 3 > LINE_CHARACTERS {
            self.soft_break();
        }
        let digit = |number: u8| HEX.get(usize::from(number & 15)).copied().unwrap_or(b'0');
        self.out.extend([b'=', digit(byte >> 4), digit(byte)]);
        self.column += 3;
        self.last = 3;
    }

    /// Breaks the line before what comes next; a full line, which has no room for the sign, before what came last.
    fn soft_break(&mut self) {
        let moved = if self.column == LINE_CHARACTERS { self.last } else { 0 };
        let at = self.out.len() - moved;
        self.out.splice(at..at, *b"=\r\n");
        self.column = moved;
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
