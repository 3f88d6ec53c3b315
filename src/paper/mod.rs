//! A confirmed dossier on paper: an accessible PDF for the person, and for an agency without a connection.
//!
//! PDF/UA-1 (ISO 14289-1): every word is in the tag tree in reading order, the language of each line is known, headings
//! are bookmarks, page numbers are artifacts. What is said is made first (`story`), then set on pages (`page`), then
//! drawn with its tags (`draw`); the last is the only place that knows the library. The same dossier gives the same
//! bytes. This chapter must not know where a dossier is kept, or who reads it.

mod draw;
mod face;
mod page;
mod story;

use crate::dossiers::{Confirmed, Reader};
use crate::fault::{Explain, Place};
use crate::personal::Personal;

/// The dossier could not be written as a PDF. Nothing of what it says is in the error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A font that is part of the program cannot be read.
    #[error("a font of the program cannot be read")]
    Font,
    /// What was made is no PDF that everybody can read, or no PDF.
    #[error("dossier {dossier} cannot be written as an accessible PDF: {why}")]
    Pdf {
        /// The dossier, by its random number.
        dossier: String,
        /// Why, by the library that writes it.
        why: String,
    },
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Font => "paper.font",
            Error::Pdf { .. } => "paper.pdf",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::Font => Place::Thing("the program".into()),
            Error::Pdf { dossier, .. } => Place::Thing(format!("dossier {dossier}")),
        }
    }

    fn next(&self) -> String {
        "report this with the code above: nothing that a person writes should lead here".into()
    }
}

/// The dossier as a PDF/UA-1 in Vietnamese, with English beside it; `reader` knows how its values read.
///
/// # Errors
///
/// [`Error::Font`] and [`Error::Pdf`]: neither can come from what a dossier says.
pub fn dossier(confirmed: &Confirmed, reader: Reader<'_>) -> Result<Personal<Vec<u8>>, Error> {
    let fonts = face::Fonts::open()?;
    let story = story::of(confirmed, reader);
    let pages = page::set(&story, &fonts);
    draw::draw(confirmed, &story, &pages, &fonts).map(Personal::new)
}
