//! The two fonts, how wide a text is in them, and where its lines break.
//!
//! Both are subsets of Noto Sans with all letters of Vietnamese (`fonts/OFL.txt`). They have no layout features, so that
//! the width of a text is the sum of the widths of its characters.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;

use super::Error;

/// A font of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Face {
    Regular,
    Bold,
}

/// How a text looks, and in which language it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Style {
    pub(super) face: Face,
    /// Points.
    pub(super) size: f32,
    /// None is the language of the document, Vietnamese.
    pub(super) lang: Option<&'static str>,
}

/// A line as it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) style: Style,
    /// Characters that the font has. A line ends with a space, unless it was broken within a word: words stay apart.
    pub(super) text: String,
    /// What it says, where the font lacks a character of it.
    pub(super) actual: Option<String>,
}

impl Line {
    /// From the top of this line to that of the next, in points.
    pub(super) fn height(&self) -> f32 {
        self.style.size * 1.4
    }
}

pub(super) struct Fonts {
    pub(super) regular: &'static [u8],
    pub(super) bold: &'static [u8],
    widths: HashMap<(Face, char), f32>,
}

impl Fonts {
    pub(super) fn open() -> Result<Fonts, Error> {
        let mut widths = HashMap::new();
        let tables = [
            (Face::Regular, include_str!("fonts/NotoSans-Regular.widths")),
            (Face::Bold, include_str!("fonts/NotoSans-Bold.widths")),
        ];
        for (face, table) in tables {
            for line in table.lines() {
                let (code, width) = line.split_once(' ').ok_or(Error::Font)?;
                let sign = u32::from_str_radix(code, 16).ok().and_then(char::from_u32).ok_or(Error::Font)?;
                let width: u16 = width.parse().map_err(|_| Error::Font)?;
                widths.insert((face, sign), f32::from(width) / 1000.0);
            }
        }
        let regular = include_bytes!("fonts/NotoSans-Regular.ttf");
        Ok(Fonts { regular, bold: include_bytes!("fonts/NotoSans-Bold.ttf"), widths })
    }

    fn has(&self, face: Face, sign: char) -> bool {
        self.widths.contains_key(&(face, sign))
    }

    /// Points.
    pub(super) fn width(&self, style: Style, text: &str) -> f32 {
        text.chars().filter_map(|sign| self.widths.get(&(style.face, sign))).sum::<f32>() * style.size
    }

    /// The lines of a text that are no wider than so many points. A word that is wider by itself is broken within.
    pub(super) fn lines(&self, style: Style, text: &str, width: f32) -> Vec<Line> {
        let mut lines = Vec::new();
        for paragraph in text.split(['\n', '\r', '\u{2028}', '\u{2029}']) {
            let said: String = paragraph.nfc().filter_map(legible).collect();
            let mut rest = said.trim();
            while !rest.is_empty() {
                let (line, after) = rest.split_at(self.fitting(style, rest, width));
                rest = after.trim_start();
                // What follows is another sentence or another language: it must not grow together with this one.
                let line = if rest.is_empty() { format!("{} ", line.trim_end()) } else { line.to_owned() };
                lines.push(self.line(style, &line));
            }
        }
        if lines.is_empty() {
            // A cell without a word would be one that a screen reader skips.
            lines.push(self.line(style, "—"));
        }
        lines
    }

    /// How many bytes of a text fit: up to behind a space where there is one, else behind a sign that parts long names,
    /// else as many characters as there is room for, and one at least.
    fn fitting(&self, style: Style, text: &str, width: f32) -> usize {
        let (mut used, mut behind_space, mut behind_sign) = (0.0, None, None);
        for (at, sign) in text.char_indices() {
            let sign_width = self.widths.get(&(style.face, sign)).or(self.widths.get(&(style.face, UNKNOWN)));
            used += sign_width.copied().unwrap_or(1.0) * style.size;
            let end = at.saturating_add(sign.len_utf8());
            if sign == ' ' {
                behind_space = Some(end);
            } else if used > width && at > 0 {
                // A combining mark is never parted from its letter by this: the fonts give it no width of its own, or
                // it is composed.
                return behind_space.or(behind_sign).unwrap_or(at);
            } else if matches!(sign, '.' | '_' | '/' | '-' | '@') {
                behind_sign = Some(end);
            }
        }
        text.len()
    }

    fn line(&self, style: Style, said: &str) -> Line {
        let text: String = said.chars().map(|sign| if self.has(style.face, sign) { sign } else { UNKNOWN }).collect();
        let actual = (text != said).then(|| said.to_owned());
        Line { style, text, actual }
    }
}

/// What stands for a character that the font lacks; a program that reads aloud is told the character itself.
const UNKNOWN: char = '\u{fffd}';

/// What of a text can be printed at all: spaces of every kind are spaces, what only steers a display is left out.
fn legible(sign: char) -> Option<char> {
    match sign {
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => None,
        '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fe00}'..='\u{fe0f}' => None,
        sign if sign.is_whitespace() => Some(' '),
        sign if sign.is_control() || u32::from(sign) & 0xfffe == 0xfffe => None,
        sign => Some(sign),
    }
}
