//! Letters that differ in a few values are rendered once, with holes, and then only filled in.
//!
//! A form is the letter of everything but its open values: item, agency, sources, rules, day, stage and the values that
//! a template decides by are its key, written out in full. Its parts come from the same writers as any letter, so the
//! words that stand around a hole are wrapped and escaped with the value in it. Where a value does not fit its hole,
//! nothing is given and the template is rendered: it then says what is wrong. This module must not know templates.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use super::document::{Block, Document, Inline, Within, as_hole, has_holes, is_address, percent_encode, plain, tidy};
use super::parts::{self, Lines, escape};
use super::words::{Shape, value_of_hole};
use crate::language::Language;

/// How many forms of an item are kept: a night has as many as the item has stages and due dates in use.
const FORMS_MAX: usize = 512;

/// What an item's template leaves open, and the forms of its letters.
#[derive(Debug, Default)]
pub(super) struct Forms {
    /// The names that it only prints, in the order of their holes.
    open: Vec<String>,
    kept: RwLock<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    forms: HashMap<Vec<u8>, Option<Arc<Form>>>,
    /// Letters differ in so much that hardly a form is used again: making more would cost, not save.
    is_vain: bool,
}

impl Forms {
    /// For a template that leaves these names open.
    pub(super) fn of(open: Vec<String>) -> Self {
        Forms { open, kept: RwLock::default() }
    }

    /// The number of a name that is left open.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.open.iter().position(|open| open == name).and_then(|at| u32::try_from(at).ok())
    }

    /// The name of a number.
    pub(super) fn name(&self, number: u32) -> Option<&str> {
        self.open.get(usize::try_from(number).ok()?).map(String::as_str)
    }

    /// The form of a key. None where it was not looked for yet, none inside where there is none to be had.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<Arc<Form>>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if kept.is_vain { Some(None) } else { kept.forms.get(key).cloned() }
    }

    /// Keeps a form, or that there is none, in the place of others where there are too many.
    pub(super) fn keep(&self, key: Vec<u8>, form: Option<Form>) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.forms.len() >= FORMS_MAX {
            let used = |form: &Option<Arc<Form>>| form.as_ref().map_or(0, |form| form.filled.load(Relaxed));
            kept.is_vain = kept.forms.values().map(used).sum::<usize>() < FORMS_MAX;
            kept.forms.clear();
        }
        kept.forms.insert(key, form.map(Arc::new));
    }
}

/// A letter with holes.
#[derive(Debug)]
pub(super) struct Form {
    language: Language,
    subject: Pieces,
    text: Vec<Passage>,
    html: Pieces,
    /// Words and addresses of links that are printed once where they turn out to be the same.
    links: Vec<(Pieces, Pieces)>,
    /// How many letters were made with it.
    filled: AtomicUsize,
}

/// What was filled in.
pub(super) struct Filled {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

/// Fixed words, each followed by a hole, and the words after the last hole.
#[derive(Debug, Default)]
struct Pieces {
    before: Vec<(String, u32, Within)>,
    last: String,
}

/// A stretch of the text part.
#[derive(Debug)]
enum Passage {
    Fixed(String),
    Words { words: Pieces, first: String, rest: String, underline: Option<char> },
}

/// The value of an open name by its number, as the template would print it plainly; none where there is none.
pub(super) trait Values {
    /// The value.
    fn value(&self, number: u32) -> Option<String>;
}

/// The values of one letter, each made once for all its holes.
struct Known<'v> {
    language: Language,
    values: &'v dyn Values,
    made: Vec<(u32, String)>,
}

impl Known<'_> {
    /// Makes what stands in a hole; none where nothing, or not that, may stand there.
    fn make(&mut self, hole: u32, within: Within) -> Option<()> {
        if !self.made.iter().any(|(made, _)| *made == hole) {
            let (number, shape) = value_of_hole(hole);
            let value = self.values.value(number)?;
            let value = if shape == Shape::Plain { value } else { shape.of(&value, self.language).ok()? };
            let value = tidy(&value);
            if value.is_empty() {
                return None;
            }
            self.made.push((hole, value));
        }
        (within != Within::Scheme || is_address(self.get(hole))).then_some(())
    }

    fn get(&self, hole: u32) -> &str {
        self.made.iter().find(|(made, _)| *made == hole).map_or("", |(_, value)| value)
    }
}

impl Form {
    /// The form of a document with holes; none where its letters are not alike in everything but their holes.
    pub(super) fn new(document: &Document, language: Language) -> Option<Form> {
        let mut links = Vec::new();
        each_link(&document.blocks, &mut |words, address| {
            // An address has a scheme, so words without one are no address.
            let may_be_same = is_address(&words) || words.chars().next().is_some_and(|c| as_hole(c).is_some());
            if may_be_same && (has_holes(&words) || has_holes(address)) {
                links.push((Pieces::of(&words), Pieces::of(address)));
            }
        });
        let mut text = Text::default();
        parts::write_text(document, &mut text);
        let html = Pieces::of(&parts::html(document, language));
        Some(Form {
            language,
            subject: Pieces::of(&document.subject),
            text: text.passages(),
            html,
            links,
            filled: AtomicUsize::new(0),
        })
    }

    /// The letter with these values; none where the template must be asked.
    pub(super) fn fill(&self, values: &dyn Values) -> Option<Filled> {
        let mut known = Known { language: self.language, values, made: Vec::with_capacity(8) };
        let words = self.text.iter().filter_map(|passage| match passage {
            Passage::Words { words, .. } => Some(words),
            Passage::Fixed(_) => None,
        });
        for (_, hole, within) in words.chain([&self.subject, &self.html]).flat_map(|pieces| &pieces.before) {
            known.make(*hole, *within)?;
        }
        for (words, address) in &self.links {
            let (mut one, mut other) = (String::new(), String::new());
            words.write(&known, as_it_is, &mut one);
            address.write(&known, as_it_is, &mut other);
            if one == other {
                return None;
            }
        }
        let mut subject = String::with_capacity(128);
        self.subject.write(&known, as_it_is, &mut subject);
        let mut html = String::with_capacity(self.html.len() + 512);
        self.html.write(&known, escape, &mut html);
        self.filled.fetch_add(1, Relaxed);
        Some(Filled { subject, text: self.fill_text(&known), html })
    }

    fn fill_text(&self, known: &Known<'_>) -> String {
        let fixed = |passage: &Passage| match passage {
            Passage::Fixed(text) => text.len(),
            Passage::Words { words, .. } => words.len() + 128,
        };
        let mut out = String::with_capacity(self.text.iter().map(fixed).sum());
        let mut filled = String::with_capacity(512);
        for passage in &self.text {
            match passage {
                Passage::Fixed(text) => out.push_str(text),
                Passage::Words { words, first, rest, underline } => {
                    filled.clear();
                    words.write(known, as_it_is, &mut filled);
                    out.words(&filled, first, rest, *underline);
                }
            }
        }
        out
    }
}

fn as_it_is(text: &str, out: &mut String) {
    out.push_str(text);
}

impl Pieces {
    fn of(text: &str) -> Self {
        let mut pieces = Pieces::default();
        for c in text.chars() {
            match as_hole(c) {
                Some((hole, within)) => pieces.before.push((std::mem::take(&mut pieces.last), hole, within)),
                None => pieces.last.push(c),
            }
        }
        pieces
    }

    fn len(&self) -> usize {
        self.before.iter().map(|(fixed, ..)| fixed.len() + 32).sum::<usize>() + self.last.len()
    }

    /// Writes the fixed words as they are, and each value as `print` prints it.
    fn write(&self, known: &Known<'_>, print: fn(&str, &mut String), out: &mut String) {
        for (fixed, hole, within) in &self.before {
            out.push_str(fixed);
            match within {
                Within::Words => print(known.get(*hole), out),
                Within::Address | Within::Scheme => {
                    let mut url = String::new();
                    percent_encode(known.get(*hole), &mut url);
                    print(&url, out);
                }
            }
        }
        out.push_str(&self.last);
    }
}

/// The text part of a document with holes.
#[derive(Default)]
struct Text {
    done: Vec<Passage>,
    fixed: String,
}

impl Text {
    fn passages(mut self) -> Vec<Passage> {
        self.done.push(Passage::Fixed(self.fixed));
        self.done
    }
}

impl Lines for Text {
    fn literal(&mut self, text: &str) {
        self.fixed.push_str(text);
    }

    fn words(&mut self, words: &str, first: &str, rest: &str, underline: Option<char>) {
        if !has_holes(words) {
            return self.fixed.words(words, first, rest, underline);
        }
        let (first, rest) = (first.to_owned(), rest.to_owned());
        self.done.push(Passage::Fixed(std::mem::take(&mut self.fixed)));
        self.done.push(Passage::Words { words: Pieces::of(words), first, rest, underline });
    }
}

fn each_link(blocks: &[Block], show: &mut impl FnMut(String, &str)) {
    for block in blocks {
        match block {
            Block::Heading(_, words) | Block::Paragraph(words) => each_link_in(words, show),
            Block::List(_, items) => items.iter().for_each(|blocks| each_link(blocks, show)),
            Block::Quote(blocks) => each_link(blocks, show),
            Block::Rule => {}
        }
    }
}

fn each_link_in(inlines: &[Inline], show: &mut impl FnMut(String, &str)) {
    for inline in inlines {
        match inline {
            Inline::Text(_) | Inline::Break => {}
            Inline::Strong(words) | Inline::Emphasis(words) => each_link_in(words, show),
            // A link in a link is none.
            Inline::Link { words, address } => show(plain(words), address),
        }
    }
}
