//! What a template can do with a value: the filters, and the guard at every hole.
//!
//! It must not know what a letter is about.

use jiff::civil::Date;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use super::document::shield;
use crate::language::{self, Language};

/// What `date` says to anything else.
pub(super) const NOT_A_DATE: &str = "the value is not a date";
/// What `mask` says to anything else.
pub(super) const NOT_A_TEXT: &str = "the value is not a text";

/// An environment for the templates of one language.
///
/// Filters beside the common ones of Jinja: `date` (2026-11-21 written out),
/// `short_date` (as in a subject line), `mask` (the last characters of an identifier).
pub(super) fn environment(language: Language) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // Named so that the output of a macro is known to be already shielded, and is not shielded twice.
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("markdown".into()));
    environment.set_formatter(|out, _, value| {
        if value.is_safe() {
            // The words of a template, of a macro or of the letter inside its layout.
            return write!(out, "{value}").map_err(Error::from);
        }
        if value.is_undefined() || value.is_none() {
            return Err(ErrorKind::UndefinedError.into());
        }
        let shielded = shield(&value.to_string());
        if shielded.is_empty() {
            return Err(ErrorKind::UndefinedError.into());
        }
        out.write_str(&shielded).map_err(Error::from)
    });
    // With it, a template could print a value as Markdown.
    environment.remove_filter("safe");
    environment.add_filter("date", move |value: &Value| date_of(value).map(|date| date_in_words(date, language)));
    environment.add_filter("short_date", move |value: &Value| {
        date_of(value).map(|date| language::date(date).get(language).to_owned())
    });
    environment.add_filter("mask", |value: &Value| text_of(value).map(mask));
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment
}

fn date_of(value: &Value) -> Result<Date, Error> {
    let date = text_of(value)?.parse();
    date.map_err(|_| Error::new(ErrorKind::InvalidOperation, NOT_A_DATE))
}

fn text_of(value: &Value) -> Result<&str, Error> {
    if value.is_undefined() || value.is_none() {
        return Err(ErrorKind::UndefinedError.into());
    }
    value.as_str().ok_or_else(|| Error::new(ErrorKind::InvalidOperation, NOT_A_TEXT))
}

/// A date written out in full: "thứ Bảy, ngày 21 tháng 11 năm 2026", "Saturday, 21 November 2026".
pub(super) fn date_in_words(date: Date, language: Language) -> String {
    let weekday = language::weekday(date.weekday());
    match language {
        Language::Vi => {
            format!("{}, ngày {} tháng {} năm {}", weekday.vi, date.day(), date.month(), date.year())
        }
        Language::En => format!("{}, {}", weekday.en, language::date(date).en),
    }
}

/// The last three letters or digits of an identifier after an ellipsis; of a short one, fewer.
///
/// Whoever has the car or the card recognises it; whoever reads over a shoulder learns little.
fn mask(identifier: &str) -> String {
    let signs: Vec<char> = identifier.chars().filter(|c| c.is_alphanumeric()).collect();
    let shown = (signs.len() / 2).min(3);
    let mut masked = String::from("…");
    masked.extend(signs.iter().skip(signs.len() - shown));
    masked
}
