//! HTML that is written by hand because there are thousands of rows of it: escaped text, and a figure as a cell.
//!
//! The templates escape what they are given; what is made here is escaped here and nowhere else.

use super::figures::{Cell, Estimate};
use super::words;
use crate::language::Language;

/// Adds a text with every letter that means something in HTML escaped, within elements and quoted attributes.
pub(super) fn escape(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
}

/// A number as short as it can be written without being seen to move.
pub(super) fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// A link around a name.
pub(super) fn link(out: &mut String, href: &str, name: &str) {
    out.push_str("<a href=\"");
    escape(out, href);
    out.push_str("\">");
    escape(out, name);
    out.push_str("</a>");
}

/// An interval as a line with its point on it. The same figures stand in words in the same row, so that it is hidden
/// from those who cannot see it.
pub(super) fn whisker(out: &mut String, estimate: &Estimate, across: impl Fn(f64) -> f64, reference: Option<f64>) {
    let at = |percent: f64| short(across(percent));
    out.push_str("<svg class=\"whisker\" aria-hidden=\"true\">");
    if let Some(reference) = reference {
        let x = at(reference);
        out.push_str(&format!("<line class=\"ref\" x1=\"{x}%\" x2=\"{x}%\" y2=\"100%\"/>"));
    }
    let (low, high, point) = (at(estimate.low), at(estimate.high), at(estimate.percent));
    out.push_str(&format!(
        "<line class=\"range\" x1=\"{low}%\" x2=\"{high}%\" y1=\"9\" y2=\"9\"/><circle class=\"dot\" cx=\"{point}%\" cy=\"9\" r=\"5\"/></svg>"
    ));
}

/// The percentage and its interval, or why there is none; `aside` is said of the figure where it is not empty.
pub(super) fn figure(out: &mut String, cell: Option<&Cell>, aside: &str, language: Language) {
    match cell {
        Some(Cell::Published(estimate)) => {
            out.push_str("<td class=\"num\"><b>");
            out.push_str(&words::percent(estimate.percent, language));
            out.push_str("</b> <span>");
            out.push_str(&words::interval(estimate, language));
            if estimate.is_poor {
                out.push_str(", ");
                out.push_str(words::Words::of(language).poor);
            }
            if !aside.is_empty() {
                out.push_str("</span> <span>");
                out.push_str(aside);
            }
            out.push_str("</span></td>");
        }
        Some(Cell::RolledUp(to)) => {
            out.push_str("<td class=\"words\">");
            out.push_str(words::rolled_up_short(Some(*to), language));
            out.push_str("</td>");
        }
        None => {
            out.push_str("<td class=\"words\">");
            out.push_str(words::Words::of(language).not_published_short);
            out.push_str("</td>");
        }
    }
}
