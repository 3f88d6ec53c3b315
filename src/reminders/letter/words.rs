//! What a template can do with a value: the filters, and the guard at every hole.
//!
//! It must not know what a letter is about.

use jiff::civil::Date;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

use super::document::{HOLES, as_hole, hole, shield};
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
    for shape in Shape::ALL {
        let Some(name) = shape.filter() else { continue };
        environment.add_filter(name, move |value: &Value| match shaped(value, shape) {
            Some(hole) => Ok(hole),
            None => text_of(value).and_then(|text| shape.of(text, language)).map(Value::from),
        });
    }
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment
}

/// In which of our ways a value is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// As it is.
    Plain,
    /// A date written out in full.
    Date,
    /// A date as in a subject line.
    ShortDate,
    /// The last characters of an identifier.
    Mask,
}

impl Shape {
    /// All of them, each at the place that its holes have.
    pub(super) const ALL: [Shape; 4] = [Shape::Plain, Shape::Date, Shape::ShortDate, Shape::Mask];

    /// The filter that gives it; none for the plain value.
    pub(super) fn filter(self) -> Option<&'static str> {
        match self {
            Shape::Plain => None,
            Shape::Date => Some("date"),
            Shape::ShortDate => Some("short_date"),
            Shape::Mask => Some("mask"),
        }
    }

    /// A text in this shape.
    pub(super) fn of(self, text: &str, language: Language) -> Result<String, Error> {
        let date = || text.parse::<Date>().map_err(|_| Error::new(ErrorKind::InvalidOperation, NOT_A_DATE));
        Ok(match self {
            Shape::Plain => text.to_owned(),
            Shape::Date => date_in_words(date()?, language),
            Shape::ShortDate => language::date(date()?).get(language).to_owned(),
            Shape::Mask => mask(text),
        })
    }
}

/// A value that is not known yet: the hole of its number, of which there is one for each shape.
pub(super) fn open_value(number: u32) -> Option<Value> {
    let sign = hole(number.checked_mul(SHAPES)?)?;
    Some(Value::from_safe_string(sign.to_string()))
}

/// Which value a hole stands for, and in which shape.
pub(super) fn value_of_hole(hole: u32) -> (u32, Shape) {
    let shape = Shape::ALL.get((hole % SHAPES) as usize).copied().unwrap_or(Shape::Plain);
    (hole / SHAPES, shape)
}

/// How many holes one value has.
const SHAPES: u32 = Shape::ALL.len() as u32;

/// How many values can be left open.
pub(super) const OPEN_VALUES: u32 = HOLES / SHAPES;

/// The hole of an open value in another shape; none for a value that is known, which is never marked as safe.
fn shaped(value: &Value, shape: Shape) -> Option<Value> {
    let mut signs = value.as_str().filter(|_| value.is_safe())?.chars();
    let (number, _) = as_hole(signs.next()?)?;
    let place = Shape::ALL.iter().position(|other| *other == shape)? as u32;
    let sign = hole(number / SHAPES * SHAPES + place).filter(|_| signs.next().is_none())?;
    Some(Value::from_safe_string(sign.to_string()))
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
