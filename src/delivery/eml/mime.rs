//! The bodies of a message on the wire: transfer encodings of RFC 2045, each part written once into one buffer.
//!
//! A part stays as it is where it can: in 8 bits it is little more than half of what an encoding makes of Vietnamese,
//! on every server that it passes. A server that does not take 8 bits (RFC 6152) gets the same in 7. Which encoding a
//! part gets there, and each line of it, is as lettre gives it: text that is ASCII in short lines stays as it is, text
//! of which more than a third needs escapes becomes base64, all other is quoted-printable. This module must not know
//! what a part says.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::{memchr_iter, memchr2_iter, memmem};

/// Characters of an encoded line without its end (RFC 2045, 6.7 and 6.8).
const LINE_CHARACTERS: usize = 76;
/// The digits of quoted-printable.
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Octets of a line without its end, in 7 bits as in 8 (RFC 5322, 2.1.1; RFC 6152, 2).
const LINE_OCTETS: usize = 998;
/// What names the encoding of a part.
const ENCODING: &str = "Content-Transfer-Encoding: ";

/// How many bits of an octet a message may use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bits {
    /// As a signed message, whose signature no server on the way may break, and one for any server.
    Seven,
    /// As a message for a server that takes it.
    Eight,
}

/// Writes a part with its headers: its type is `text/<subtype>` in UTF-8, its lines end as they may.
pub(super) fn part(subtype: &str, text: &str, bits: Bits, out: &mut String) {
    out.push_str("Content-Type: text/");
    out.push_str(subtype);
    out.push_str("; charset=utf-8\r\n");
    encoded(text, bits, out);
    out.push_str("\r\n");
}

/// Writes a text behind the name of its encoding.
fn encoded(text: &str, bits: Bits, out: &mut String) {
    out.push_str(ENCODING);
    match Encoding::of(text.as_bytes(), bits) {
        Encoding::EightBit => {
            out.push_str("8bit\r\n\r\n");
            with_line_ends(text, out);
        }
        Encoding::SevenBit => {
            out.push_str("7bit\r\n\r\n");
            with_line_ends(text, out);
        }
        Encoding::QuotedPrintable => {
            out.push_str("quoted-printable\r\n\r\n");
            quoted_printable(text.as_bytes(), out);
        }
        Encoding::Base64 => {
            out.push_str("base64\r\n\r\n");
            let mut lines = String::with_capacity(text.len() + text.len() / 32 + 2);
            with_line_ends(text, &mut lines);
            base64(lines.as_bytes(), out);
        }
    }
}

/// A message of ours in 7 bits: each part of it that is in 8 is encoded, and nothing else changes.
pub(in crate::delivery) fn in_seven_bits(message: &str) -> String {
    let mut out = String::with_capacity(message.len() * 2);
    let (head, body) = message.split_at(message.find("\r\n\r\n").map_or(message.len(), |at| at + 2));
    out.push_str(head);
    let boundary = head.rsplit_once(" boundary=\"").and_then(|(_, boundary)| boundary.split('"').next());
    let between = format!("\r\n--{}", boundary.unwrap_or_default());
    let eight_bit = format!("{ENCODING}8bit\r\n\r\n");
    for (index, part) in body.split(between.as_str()).enumerate() {
        if index > 0 {
            out.push_str(&between);
        }
        match part.split_once(eight_bit.as_str()) {
            // What stands before is the rest of the part's own headers: in its words there is an empty line before.
            Some((before, text)) if !before.contains("\r\n\r\n") => {
                out.push_str(before);
                encoded(&text.replace("\r\n", "\n"), Bits::Seven, &mut out);
            }
            _ => out.push_str(part),
        }
    }
    out
}

enum Encoding {
    EightBit,
    SevenBit,
    QuotedPrintable,
    Base64,
}

impl Encoding {
    fn of(text: &[u8], bits: Bits) -> Self {
        let has_line_over = |octets| has_line_over(text, octets);
        if text.is_ascii() && !has_line_over(LINE_CHARACTERS - 1) {
            return Encoding::SevenBit;
        }
        if bits == Bits::Eight && !has_line_over(LINE_OCTETS) && !has_control(text) {
            return Encoding::EightBit;
        }
        let escaped = text.iter().filter(|byte| !matches!(byte, b'\t' | b' '..=b'~')).count();
        if escaped <= text.len() / 3 { Encoding::QuotedPrintable } else { Encoding::Base64 }
    }
}

/// Whether a line is longer than so many octets. The sign that ends the line before it is counted with it.
fn has_line_over(text: &[u8], octets: usize) -> bool {
    let mut last = 0;
    memchr_iter(b'\n', text).any(|at| at - std::mem::replace(&mut last, at) > octets) || text.len() - last > octets
}

/// What no server takes as it is: an end of a line that is none, and the octet 0.
fn has_control(text: &[u8]) -> bool {
    memchr2_iter(b'\r', 0, text).any(|at| text.get(at..at + 2) != Some(b"\r\n"))
}

/// The text with CRLF at the end of every line.
fn with_line_ends(text: &str, out: &mut String) {
    let mut from = 0;
    for at in memchr_iter(b'\n', text.as_bytes()) {
        let words = text.get(from..at).unwrap_or_default();
        out.push_str(words.strip_suffix('\r').unwrap_or(words));
        out.push_str("\r\n");
        from = at + 1;
    }
    out.push_str(text.get(from..).unwrap_or_default());
}

/// All digits at once, and then the lines of them: whole lines hold whole groups of four, so the padding is at the end.
fn base64(bytes: &[u8], out: &mut String) {
    let digits = STANDARD.encode(bytes);
    let mut rest = digits.as_str();
    while let Some((line, others)) = rest.split_at_checked(LINE_CHARACTERS).filter(|(_, others)| !others.is_empty()) {
        out.push_str(line);
        out.push_str("\r\n");
        rest = others;
    }
    out.push_str(rest);
}

fn quoted_printable(text: &[u8], out: &mut String) {
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let words = line.strip_suffix(b"\n");
        quoted_line(words.map_or(line, |words| words.strip_suffix(b"\r").unwrap_or(words)), out);
        if words.is_some() {
            out.push_str("\r\n");
        }
    }
}

/// One line of the text, on as many lines as it takes.
fn quoted_line(line: &[u8], out: &mut String) {
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
    quoted.write(quoted.column);
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'<' | b'>'..=b'~')
}

/// A line that is being written.
struct Quoted<'o> {
    out: &'o mut String,
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
        self.write(from);
        self.out.push_str("=\r\n");
        self.written.copy_within(from..self.column, 0);
        self.column = moved;
    }

    /// Writes the line so far.
    fn write(&mut self, until: usize) {
        // All of it is ASCII.
        let line = self.written.get(..until).and_then(|line| std::str::from_utf8(line).ok());
        self.out.push_str(line.unwrap_or_default());
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
