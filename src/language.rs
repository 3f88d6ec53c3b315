//! The two languages of the product, and text that exists in both.
//!
//! It must not know what any text is about.

use serde::{Deserialize, Serialize};

/// A language in which a person is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Vietnamese, and the default where a register gives none.
    Vi,
    /// English.
    En,
}

impl Language {
    /// Both, in the order in which they are shown.
    pub const ALL: [Language; 2] = [Language::Vi, Language::En];

    /// The BCP 47 tag, as in file names and the `lang` attribute.
    pub fn tag(self) -> &'static str {
        match self {
            Language::Vi => "vi",
            Language::En => "en",
        }
    }

    /// From a register's value; anything unknown is Vietnamese, the language of the State.
    pub fn from_tag(tag: Option<&str>) -> Self {
        match tag {
            Some(tag) if tag.eq_ignore_ascii_case("en") => Language::En,
            _ => Language::Vi,
        }
    }
}

/// The same text in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// Vietnamese.
    pub vi: String,
    /// English.
    pub en: String,
}

impl Text {
    /// A text from its two versions.
    pub fn new(vi: impl Into<String>, en: impl Into<String>) -> Self {
        Text { vi: vi.into(), en: en.into() }
    }

    /// The version in one language.
    pub fn get(&self, language: Language) -> &str {
        match language {
            Language::Vi => &self.vi,
            Language::En => &self.en,
        }
    }
}
