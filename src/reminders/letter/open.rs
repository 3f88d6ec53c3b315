//! Which values a template only prints: its letters differ in them alone.
//!
//! Read from the source. A name is open where each of its appearances is a hole of its own, `{{ name }}` or with one
//! of our filters, or asks `name is defined`. Whatever else a template does with a name may change what it says, and
//! so does a source that this reader does not see through: then nothing is open. It must not know any value.

use std::collections::BTreeSet;

use super::words::Shape;

/// The names that these sources print and do nothing else with.
pub(super) fn open_names(sources: [&str; 2]) -> BTreeSet<String> {
    let (mut printed, mut used) = (BTreeSet::new(), BTreeSet::new());
    for source in sources {
        let Some(tags) = tags(source) else { return BTreeSet::new() };
        for tag in tags {
            match tag {
                Tag::Hole(inner) => match plain_hole(inner) {
                    Some(name) => drop(printed.insert(name.to_owned())),
                    None => used.extend(names(inner)),
                },
                Tag::Statement(inner) => {
                    // What is written into a name, a macro or a block can be measured there.
                    let word = inner.split_whitespace().next().unwrap_or("");
                    if !matches!(word, "if" | "elif" | "else" | "endif" | "for" | "endfor") {
                        return BTreeSet::new();
                    }
                    used.extend(names(inner));
                }
            }
        }
    }
    printed.retain(|name| !used.contains(name));
    printed
}

enum Tag<'s> {
    Hole(&'s str),
    Statement(&'s str),
}

/// The tags of a source; none where their ends cannot be told.
fn tags(source: &str) -> Option<Vec<Tag<'_>>> {
    let mut tags = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let (text, after) = rest.split_at(at);
        if has_end(text) {
            return None;
        }
        let mut signs = after.chars().skip(1);
        let end = match signs.next() {
            Some('{') => "}}",
            Some('%') => "%}",
            Some('#') => "#}",
            _ => {
                rest = after.get(1..)?;
                continue;
            }
        };
        let body = after.get(2..)?;
        let (inner, after) = body.split_once(end)?;
        let inner = inner.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        match end {
            "}}" => tags.push(Tag::Hole(inner)),
            "%}" => tags.push(Tag::Statement(inner)),
            _ => {}
        }
        rest = after;
    }
    if has_end(rest) { None } else { Some(tags) }
}

/// An end without its beginning: a text in quotation marks held the end that was taken for the tag's.
fn has_end(text: &str) -> bool {
    ["}}", "%}", "#}"].iter().any(|end| text.contains(end))
}

/// The name that a hole prints as it is, or through one of our filters.
fn plain_hole(inner: &str) -> Option<&str> {
    let (name, filter) = match inner.split_once('|') {
        Some((name, filter)) => (name.trim(), Some(filter.trim())),
        None => (inner, None),
    };
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let is_ours = filter.is_none() || Shape::ALL.iter().any(|shape| shape.filter() == filter);
    (is_name && is_ours).then_some(name)
}

/// The words of an expression outside quotation marks, but those that are only asked whether they are defined.
fn names(inner: &str) -> Vec<String> {
    let mut bare = String::with_capacity(inner.len());
    let mut quoted_by = None;
    for c in inner.chars() {
        match quoted_by {
            Some(mark) if mark == c => quoted_by = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => {
                quoted_by = Some(c);
                bare.push(' ');
            }
            None => bare.push(c),
        }
    }
    // A text without an end: nothing in it can be told from a name.
    let seen = if quoted_by.is_some() || inner.contains('\\') { inner } else { &bare };
    let words: Vec<&str> = seen.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty()).collect();
    let asks = |at: usize| {
        let word = |next: usize| words.get(at + next).copied();
        word(1) == Some("is") && (word(2) == Some("defined") || (word(2) == Some("not") && word(3) == Some("defined")))
    };
    words.iter().enumerate().filter(|(at, _)| !asks(*at)).map(|(_, word)| (*word).to_owned()).collect()
}
