//! The one Markdown source of a letter, as a small tree from which both parts are written.
//!
//! Values never pass through the Markdown parser as themselves. [`shield`]
//! turns a value into private-use characters, one per byte, which Markdown takes
//! for letters; [`parse`] turns them back when the structure is already known.
//! So a name such as `<b>*x*` or `[a](http://evil)` is text whatever it holds,
//! and the number of headings, links and elements depends on the template alone.
//!
//! A hole stands for a value that is not known yet, as one more private-use character:
//! Markdown takes it for a letter too, so the tree is that of any value in its place.
//!
//! This module must not know what a letter is about, nor how it is written out.

use std::fmt::Write;
use std::iter::Peekable;

use pulldown_cmark::{Event, Options, Parser, Tag, TextMergeStream};

/// The byte 0 as a private-use character; the byte 255 is 255 characters further.
const SHIELD: u32 = 0xE100;
/// The first hole in a text; one inside an address, and one that begins an address, are further up by [`HOLES`].
const HOLE: u32 = 0xE200;
/// How many holes there can be.
pub(super) const HOLES: u32 = 128;
/// What a link may lead to.
const SCHEMES: [&str; 4] = ["https://", "http://", "mailto:", "tel:"];
/// Deeper nesting than this is a mistake, and would make the writers recurse without end.
const DEPTH_MAX: usize = 8;

/// A letter: its subject and its blocks, the first of which is the subject as a heading.
#[derive(Clone)]
pub(super) struct Document {
    pub(super) subject: String,
    pub(super) blocks: Vec<Block>,
}

/// What stands below each other.
#[derive(Clone)]
pub(super) enum Block {
    /// Level 1 to 6 and its words.
    Heading(u8, Vec<Inline>),
    Paragraph(Vec<Inline>),
    /// The first number of an ordered list, and the items.
    List(Option<u64>, Vec<Vec<Block>>),
    Quote(Vec<Block>),
    Rule,
}

/// What stands beside each other.
#[derive(Clone)]
pub(super) enum Inline {
    Text(String),
    Break,
    Strong(Vec<Inline>),
    Emphasis(Vec<Inline>),
    Link { words: Vec<Inline>, address: String },
}

/// What makes a Markdown source unfit for a letter. It holds words of the template, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// HTML, code, images, tables: one of the two parts could not say the same.
    #[error("the template holds {what}, which a letter cannot show in both of its parts")]
    Unsupported {
        /// What it is.
        what: &'static str,
        /// Its first words in the template, to find the line by.
        snippet: String,
    },
    /// The first block is not a heading of level 1, or is empty.
    #[error("the letter does not begin with its subject, a line such as `# Subject`")]
    Subject,
    /// A second heading of level 1, or a level left out.
    #[error("the headings are out of order: one `#`, then `##`, and no level left out")]
    Headings,
    /// A link to something that is not an address on the web, of mail or of a telephone.
    #[error("a link leads to something other than https:, http:, mailto: or tel:")]
    Link {
        /// Its address as far as it stands in the template, to find the line by.
        snippet: String,
    },
    /// Lists in lists in lists.
    #[error("the letter is nested more than {DEPTH_MAX} levels deep")]
    Deep,
}

/// A value as characters that Markdown leaves alone.
///
/// Control characters and runs of white space become one space, so that a value
/// cannot begin a new line; characters that turn the direction of writing are dropped,
/// so that it cannot show the words around it in another order.
pub(super) fn shield(value: &str) -> String {
    tidy(value).bytes().filter_map(|byte| char::from_u32(SHIELD + u32::from(byte))).collect()
}

/// A value as it stands in a letter: what [`shield`] hides.
pub(super) fn tidy(value: &str) -> String {
    let mut tidy = String::with_capacity(value.len());
    for word in value.split(|c: char| c.is_whitespace() || c.is_control()) {
        let mut letters = word.chars().filter(|c| !turns_direction(*c)).peekable();
        if letters.peek().is_some() {
            if !tidy.is_empty() {
                tidy.push(' ');
            }
            tidy.extend(letters);
        }
    }
    tidy
}

/// Whether a character is one that [`shield`] uses, or a hole; a template must not hold any.
pub(super) fn is_shield(c: char) -> bool {
    (SHIELD..HOLE + 3 * HOLES).contains(&u32::from(c))
}

/// Where a hole stands, which tells what its value must become there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// Among words.
    Words,
    /// In an address, after its scheme.
    Address,
    /// At the beginning of an address, of which it gives the scheme.
    Scheme,
}

/// The character of a hole among words.
pub(super) fn hole(number: u32) -> Option<char> {
    if number < HOLES { char::from_u32(HOLE + number) } else { None }
}

/// Which hole a character is, and where; none where it is itself.
pub(super) fn as_hole(c: char) -> Option<(u32, Within)> {
    let number = u32::from(c).checked_sub(HOLE)?;
    let within = match number / HOLES {
        0 => Within::Words,
        1 => Within::Address,
        2 => Within::Scheme,
        _ => return None,
    };
    Some((number % HOLES, within))
}

/// Whether a text has a hole.
pub(super) fn has_holes(text: &str) -> bool {
    text.contains(|c| as_hole(c).is_some())
}

/// Whether a link may lead there.
pub(super) fn is_address(text: &str) -> bool {
    SCHEMES.iter().any(|scheme| text.starts_with(scheme))
}

/// A text with all that a URL cannot hold percent-encoded.
pub(super) fn percent_encode(text: &str, url: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=%[]".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

fn turns_direction(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// The text with its shielded values as themselves.
fn unshield(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut bytes = Vec::new();
    for c in text.chars() {
        match u8::try_from(u32::from(c).wrapping_sub(SHIELD)) {
            Ok(byte) => bytes.push(byte),
            Err(_) => {
                flush(&mut bytes, &mut out);
                out.push(c);
            }
        }
    }
    flush(&mut bytes, &mut out);
    out
}

fn flush(bytes: &mut Vec<u8>, out: &mut String) {
    if !bytes.is_empty() {
        // A template that cuts a value in the middle of a character gets a mark, not an error.
        out.push_str(&String::from_utf8_lossy(bytes));
        bytes.clear();
    }
}

/// The tree of a Markdown source with shielded values.
pub(super) fn parse(markdown: &str) -> Result<Document, Flaw> {
    read(markdown, false)
}

/// Like [`parse`], for a source that has holes: no value in it may be of the characters that stand for holes.
pub(super) fn parse_with_holes(markdown: &str) -> Result<Document, Flaw> {
    read(markdown, true)
}

fn read(markdown: &str, keeps_holes: bool) -> Result<Document, Flaw> {
    let events = TextMergeStream::new(Parser::new_ext(markdown, Options::empty()));
    let mut reader = Reader { events: events.peekable(), keeps_holes };
    let blocks = reader.blocks(0)?;
    let subject = match blocks.first() {
        Some(Block::Heading(1, words)) => plain(words),
        _ => return Err(Flaw::Subject),
    };
    if subject.trim().is_empty() {
        return Err(Flaw::Subject);
    }
    headings_in_order(&blocks)?;
    Ok(Document { subject, blocks })
}

/// The words alone, without addresses.
pub(super) fn plain(inlines: &[Inline]) -> String {
    let mut out = String::new();
    for inline in inlines {
        match inline {
            Inline::Text(text) => out.push_str(text),
            Inline::Break => out.push(' '),
            Inline::Strong(words) | Inline::Emphasis(words) | Inline::Link { words, .. } => out.push_str(&plain(words)),
        }
    }
    out
}

fn headings_in_order(blocks: &[Block]) -> Result<(), Flaw> {
    let mut last = 0;
    for block in blocks {
        if let Block::Heading(level, _) = block {
            let second_subject = *level == 1 && last > 0;
            if second_subject || *level > last + 1 {
                return Err(Flaw::Headings);
            }
            last = *level;
        }
    }
    Ok(())
}

struct Reader<'a, I: Iterator<Item = Event<'a>>> {
    events: Peekable<I>,
    keeps_holes: bool,
}

impl<'a, I: Iterator<Item = Event<'a>>> Reader<'a, I> {
    /// Blocks up to the end of what they stand in.
    fn blocks(&mut self, depth: usize) -> Result<Vec<Block>, Flaw> {
        if depth > DEPTH_MAX {
            return Err(Flaw::Deep);
        }
        let mut blocks = Vec::new();
        loop {
            // The items of a tight list hold words without a paragraph around them.
            let loose = self.inlines(depth)?;
            if !loose.is_empty() {
                blocks.push(Block::Paragraph(loose));
            }
            match self.events.next() {
                None | Some(Event::End(_)) => return Ok(blocks),
                Some(Event::Start(Tag::Paragraph)) => {
                    let words = self.inlines(depth)?;
                    self.end()?;
                    blocks.push(Block::Paragraph(words));
                }
                Some(Event::Start(Tag::Heading { level, .. })) => {
                    let words = self.inlines(depth)?;
                    self.end()?;
                    // A heading in a list or a quotation is in no order that a reader could follow.
                    if depth > 0 {
                        return Err(Flaw::Headings);
                    }
                    blocks.push(Block::Heading(level as u8, words));
                }
                Some(Event::Start(Tag::List(first))) => blocks.push(Block::List(first, self.items(depth)?)),
                Some(Event::Start(Tag::BlockQuote(_))) => blocks.push(Block::Quote(self.blocks(depth + 1)?)),
                Some(Event::Rule) => blocks.push(Block::Rule),
                Some(other) => return Err(self.unsupported(&other)),
            }
        }
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Vec<Block>>, Flaw> {
        let mut items = Vec::new();
        loop {
            match self.events.next() {
                None | Some(Event::End(_)) => return Ok(items),
                Some(Event::Start(Tag::Item)) => items.push(self.blocks(depth + 1)?),
                Some(other) => return Err(self.unsupported(&other)),
            }
        }
    }

    /// Words up to the first event that is not one of words.
    fn inlines(&mut self, depth: usize) -> Result<Vec<Inline>, Flaw> {
        if depth > DEPTH_MAX {
            return Err(Flaw::Deep);
        }
        let mut inlines = Vec::new();
        while let Some(event) = self.events.next_if(is_inline) {
            inlines.push(match event {
                Event::Text(text) => Inline::Text(unshield(&text)),
                Event::SoftBreak => Inline::Text(" ".into()),
                Event::Start(Tag::Strong) => Inline::Strong(self.inside(depth)?),
                Event::Start(Tag::Emphasis) => Inline::Emphasis(self.inside(depth)?),
                Event::Start(Tag::Link { dest_url, .. }) => {
                    Inline::Link { address: address(&dest_url, self.keeps_holes)?, words: self.inside(depth)? }
                }
                _ => Inline::Break,
            });
        }
        Ok(inlines)
    }

    fn inside(&mut self, depth: usize) -> Result<Vec<Inline>, Flaw> {
        let words = self.inlines(depth + 1)?;
        self.end()?;
        Ok(words)
    }

    fn end(&mut self) -> Result<(), Flaw> {
        match self.events.next() {
            None | Some(Event::End(_)) => Ok(()),
            Some(other) => Err(self.unsupported(&other)),
        }
    }

    fn unsupported(&mut self, event: &Event<'_>) -> Flaw {
        let (what, text) = match event {
            Event::Html(text) | Event::InlineHtml(text) => ("HTML", snippet(text)),
            Event::Start(Tag::HtmlBlock) => ("HTML", self.text_inside()),
            Event::Code(text) => ("code", snippet(text)),
            Event::Start(Tag::CodeBlock(_)) => ("code, or a line indented by four spaces", self.text_inside()),
            Event::Start(Tag::Image { dest_url, .. }) => ("an image", snippet(dest_url)),
            _ => ("Markdown of an unknown kind", String::new()),
        };
        Flaw::Unsupported { what, snippet: text }
    }

    fn text_inside(&mut self) -> String {
        match self.events.next() {
            Some(Event::Html(text) | Event::Text(text)) => snippet(&text),
            _ => String::new(),
        }
    }
}

fn is_inline(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::Text(_)
            | Event::SoftBreak
            | Event::HardBreak
            | Event::Start(Tag::Strong | Tag::Emphasis | Tag::Link { .. })
    )
}

/// The first words of a piece of the template, up to the first value.
fn snippet(text: &str) -> String {
    text.lines().next().and_then(|line| line.split(is_shield).next()).unwrap_or("").trim().to_owned()
}

/// The address of a link as a URL: of a known scheme, all that a URL cannot hold percent-encoded.
fn address(shielded: &str, keeps_holes: bool) -> Result<String, Flaw> {
    let address = unshield(shielded);
    let begins_with_hole = keeps_holes && address.chars().next().is_some_and(|c| as_hole(c).is_some());
    if !is_address(&address) && !begins_with_hole {
        return Err(Flaw::Link { snippet: snippet(shielded) });
    }
    let mut url = String::with_capacity(address.len());
    if !keeps_holes {
        percent_encode(&address, &mut url);
        return Ok(url);
    }
    for (at, c) in address.char_indices() {
        match as_hole(c) {
            Some((number, _)) => {
                let places = if at == 0 { 2 } else { 1 };
                url.extend(char::from_u32(HOLE + places * HOLES + number));
            }
            None => percent_encode(c.encode_utf8(&mut [0; 4]), &mut url),
        }
    }
    Ok(url)
}
