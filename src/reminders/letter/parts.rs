//! The two parts of a letter, written from one tree: plain text and accessible HTML.
//!
//! Both say the same words in the same order. The HTML sets no colour at all, so
//! that the reader's own scheme, light, dark or high contrast, decides, and holds
//! no image, no script and nothing that is fetched. This module must not know
//! what a letter is about.

use super::document::{Block, Document, Inline, plain};
use crate::language::Language;

/// Columns of the text part; a longer word, such as an address, stands alone on its line.
const WIDTH: usize = 72;

/// The text part: UTF-8, lines of at most [`WIDTH`] columns, `\n` between them.
pub(super) fn text(document: &Document) -> String {
    let mut out = String::with_capacity(2048);
    write_text(document, &mut out);
    out
}

/// What the text part is written into.
pub(super) trait Lines {
    /// Signs as they are.
    fn literal(&mut self, text: &str);
    /// Words that fill lines, the first of which begins with `first` and the others with `rest`; a heading is
    /// underlined with a sign.
    fn words(&mut self, words: &str, first: &str, rest: &str, underline: Option<char>);
}

impl Lines for String {
    fn literal(&mut self, text: &str) {
        self.push_str(text);
    }

    fn words(&mut self, words: &str, first: &str, rest: &str, underline: Option<char>) {
        let from = self.len();
        wrap(words, first, rest, self);
        if let Some(line) = underline {
            let written = self.get(from..).unwrap_or("");
            let columns = written.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            self.extend(std::iter::repeat_n(line, columns));
            self.push('\n');
        }
    }
}

/// Writes the text part.
pub(super) fn write_text(document: &Document, out: &mut impl Lines) {
    write_blocks(&document.blocks, "", out);
}

fn write_blocks(blocks: &[Block], indent: &str, out: &mut impl Lines) {
    for (index, block) in blocks.iter().enumerate() {
        if index > 0 {
            out.literal("\n");
        }
        match block {
            Block::Heading(level, words) => {
                let line = if *level == 1 { '=' } else { '-' };
                out.words(&with_addresses(words), indent, indent, Some(line));
            }
            Block::Paragraph(words) => out.words(&with_addresses(words), indent, indent, None),
            Block::List(first, items) => write_list(*first, items, indent, out),
            Block::Quote(blocks) => write_blocks(blocks, &format!("{indent}> "), out),
            Block::Rule => {
                out.literal(indent);
                out.literal("* * *\n");
            }
        }
    }
}

fn write_list(first: Option<u64>, items: &[Vec<Block>], indent: &str, out: &mut impl Lines) {
    for (index, item) in items.iter().enumerate() {
        let mark = match first {
            Some(first) => format!("{}. ", first.saturating_add(index as u64)),
            None => "- ".to_owned(),
        };
        let inner = format!("{indent}{}", " ".repeat(mark.chars().count()));
        let (head, rest) = match item.split_first() {
            Some((Block::Paragraph(words), rest)) => (with_addresses(words), rest),
            _ => (String::new(), item.as_slice()),
        };
        out.words(&head, &format!("{indent}{mark}"), &inner, None);
        write_blocks(rest, &inner, out);
    }
}

/// The words, each link followed by its address.
fn with_addresses(inlines: &[Inline]) -> String {
    let mut out = String::new();
    for inline in inlines {
        match inline {
            Inline::Text(text) => out.push_str(text),
            Inline::Break => out.push('\n'),
            Inline::Strong(words) | Inline::Emphasis(words) => out.push_str(&with_addresses(words)),
            Inline::Link { words, address } => {
                let words = plain(words);
                if !words.is_empty() && words != *address {
                    out.push_str(&words);
                    out.push_str(": ");
                }
                out.push_str(address);
            }
        }
    }
    out
}

/// Fills lines word by word. A column is a character, which holds for Vietnamese and English in NFC.
fn wrap(text: &str, first: &str, rest: &str, out: &mut String) {
    let mut lead = first;
    for part in text.split('\n') {
        let mut columns = lead.chars().count();
        let mut is_empty = true;
        out.push_str(lead);
        for word in part.split(' ').filter(|word| !word.is_empty()) {
            let length = word.chars().count();
            if !is_empty && columns + 1 + length > WIDTH {
                out.push('\n');
                out.push_str(rest);
                columns = rest.chars().count();
                is_empty = true;
            }
            if !is_empty {
                out.push(' ');
                columns += 1;
            }
            out.push_str(word);
            columns += length;
            is_empty = false;
        }
        out.push('\n');
        lead = rest;
    }
}

/// What mail programs show where it differs from their own style, said once. Those that drop it show the same words in
/// the same order, in the typeface and width of the element around them.
const STYLE: &str =
    "h1{font-size:1.5em}h2{font-size:1.2em}h1,h2,h3{line-height:1.3}ul,ol{padding-left:1.5em}li{margin:.25em 0}";

/// Octets of a line that every mail server takes (RFC 5322, 2.1.1).
const LINE_OCTETS: usize = 998;

/// The HTML part: one column, the language named, real headings.
pub(super) fn html(document: &Document, language: Language) -> String {
    let mut out = String::with_capacity(4096);
    let tag = language.tag();
    out.push_str("<!DOCTYPE html>\n<html lang=\"");
    out.push_str(tag);
    out.push_str("\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    out.push_str("<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
    escape(&document.subject, &mut out);
    out.push_str("</title>\n<style>");
    out.push_str(STYLE);
    out.push_str("</style>\n</head>\n<body style=\"margin:0;padding:0\">\n");
    // Many mail programs keep the body and drop what is around it: the language is said again.
    out.push_str("<div role=\"article\" lang=\"");
    out.push_str(tag);
    out.push_str("\" style=\"max-width:38em;margin:0 auto;padding:1em;font-family:Arial,Helvetica,sans-serif;font-size:1em;line-height:1.5;overflow-wrap:anywhere\">\n");
    html_blocks(&document.blocks, &mut out);
    out.push_str("</div>\n</body>\n</html>\n");
    out
}

fn html_blocks(blocks: &[Block], out: &mut String) {
    for block in blocks {
        match block {
            Block::Heading(level, words) => {
                let level = char::from(b'0' + (*level).clamp(1, 6));
                out.push_str("<h");
                out.push(level);
                out.push('>');
                html_inlines(words, out);
                out.push_str("</h");
                out.push(level);
                out.push_str(">\n");
            }
            Block::Paragraph(words) => {
                out.push_str("<p>");
                html_inlines(words, out);
                out.push_str("</p>\n");
            }
            Block::List(first, items) => html_list(*first, items, out),
            Block::Quote(blocks) => {
                out.push_str("<blockquote style=\"margin:0 0 1em;padding:.5em 1em 0;border-left:.25em solid\">\n");
                html_blocks(blocks, out);
                out.push_str("</blockquote>\n");
            }
            Block::Rule => out.push_str("<hr style=\"border:0;border-top:1px solid;margin:1.5em 0\">\n"),
        }
    }
}

fn html_list(first: Option<u64>, items: &[Vec<Block>], out: &mut String) {
    match first {
        Some(first) => {
            out.push_str("<ol start=\"");
            out.push_str(&first.to_string());
            out.push_str("\">\n");
        }
        None => out.push_str("<ul>\n"),
    }
    for item in items {
        out.push_str("<li>");
        match item.split_first() {
            Some((Block::Paragraph(words), rest)) => {
                html_inlines(words, out);
                html_blocks(rest, out);
            }
            _ => html_blocks(item, out),
        }
        out.push_str("</li>\n");
    }
    out.push_str(if first.is_some() { "</ol>\n" } else { "</ul>\n" });
}

fn html_inlines(inlines: &[Inline], out: &mut String) {
    for inline in inlines {
        match inline {
            Inline::Text(text) => escape(text, out),
            Inline::Break => out.push_str("<br>\n"),
            Inline::Strong(words) => {
                out.push_str("<strong>");
                html_inlines(words, out);
                out.push_str("</strong>");
            }
            Inline::Emphasis(words) => {
                out.push_str("<em>");
                html_inlines(words, out);
                out.push_str("</em>");
            }
            Inline::Link { words, address } => {
                out.push_str("<a href=\"");
                escape(address, out);
                out.push_str("\">");
                html_inlines(words, out);
                out.push_str("</a>");
            }
        }
    }
}

/// The HTML in lines that no mail server has to break: a long one is broken between words, where a browser shows a
/// space all the same.
pub(super) fn in_lines(html: String) -> String {
    if html.lines().all(|line| line.len() <= LINE_OCTETS) {
        return html;
    }
    let mut out = String::with_capacity(html.len());
    for line in html.lines() {
        let (mut octets, mut is_in_tag) = (0, false);
        for c in line.chars() {
            match c {
                '<' => is_in_tag = true,
                '>' => is_in_tag = false,
                ' ' if !is_in_tag && line.len() > LINE_OCTETS && octets >= WIDTH => {
                    out.push('\n');
                    octets = 0;
                    continue;
                }
                _ => {}
            }
            out.push(c);
            octets += c.len_utf8();
        }
        out.push('\n');
    }
    out
}

/// Text as it stands in HTML, in an attribute as well.
pub(super) fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}
