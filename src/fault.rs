//! What is said to a person when something is wrong.
//!
//! A [`Fault`] has four parts that never change their order: a stable code, the
//! place, what is wrong, and what to do next. Bad data and bad files are not
//! errors: reading them returns a value *and* its faults. An `Error` of a
//! chapter becomes a fault at the rim through [`Explain`].
//!
//! A fault must not know a person: a row is named by its number, never by what
//! it holds.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A file, and the line where it is known. Lines count from 1.
    File {
        /// Path as the person wrote it, relative to the installation folder where possible.
        path: PathBuf,
        /// Line, counting from 1.
        line: Option<usize>,
    },
    /// A table of a source or a model, by its full name.
    Table(String),
    /// Anything else: a server, a folder, a verb. Never a person.
    Thing(String),
}

impl Place {
    /// A file as a whole.
    pub fn file(path: impl AsRef<Path>) -> Self {
        Place::File { path: path.as_ref().to_path_buf(), line: None }
    }

    /// A line of a file, counting from 1.
    pub fn line(path: impl AsRef<Path>, line: usize) -> Self {
        Place::File { path: path.as_ref().to_path_buf(), line: Some(line) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Place::File { path, line: None } => write!(f, "{}", path.display()),
            Place::Table(name) => write!(f, "table {name}"),
            Place::Thing(what) => f.write_str(what),
        }
    }
}

/// One thing that is wrong: code, place, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Stable code, `chapter.what-is-wrong`; a scheduler or a guide may rely on it.
    pub code: &'static str,
    /// Where it is wrong.
    pub place: Place,
    /// What is wrong: one sentence, lower case, without a full stop.
    pub what: String,
    /// What to do next: one sentence in the imperative.
    pub next: String,
}

impl Fault {
    /// A fault from its four parts.
    pub fn new(code: &'static str, place: Place, what: impl Into<String>, next: impl Into<String>) -> Self {
        Fault { code, place, what: what.into(), next: next.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}\n  at:   {}\n  next: {}", self.code, self.what, self.place, self.next)
    }
}

/// A word with the article that English wants before it.
pub fn with_article(word: &str) -> String {
    let article = if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {word}")
}

/// An error of a chapter, as it is explained to a person.
///
/// `Display` of the error says what could not be done; these three say the rest.
pub trait Explain: std::error::Error {
    /// Stable code, `chapter.what-is-wrong`.
    fn code(&self) -> &'static str;
    /// Where.
    fn place(&self) -> Place;
    /// What to do next.
    fn next(&self) -> String;

    /// The error and its causes as one fault.
    fn fault(&self) -> Fault {
        let mut what = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            // Libraries often repeat the text of their cause in their own; the first line says it.
            let text = error.to_string();
            let text = text.lines().next().unwrap_or_default();
            if !what.contains(text) {
                what.push_str(": ");
                what.push_str(text);
            }
            cause = error.source();
        }
        Fault::new(self.code(), self.place(), what, self.next())
    }
}
