//! The letter a person receives, from the templates in `pipelines/items/`.
//!
//! A template is a Markdown file with minijinja holes, `<item>/message.<language>.md`;
//! its first line, `# ...`, is the subject. `layout.<language>.md` stands around every
//! one of them and says what no item may forget: why the person gets this, where to
//! ask, how to refuse. From the one Markdown source both parts are made, so plain text
//! and HTML always say the same.
//!
//! Templates are compiled once; rendering is pure. This module must not know when a
//! letter is due, whether one was sent before, or how it leaves the building.

mod document;
mod fast;
mod form;
mod open;
mod parts;
mod proof;
mod several;
mod standing;
mod unfiled;
mod words;
mod worst;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use minijinja::value::Value;
use minijinja::{Environment, ErrorKind};
use sha2::{Digest, Sha256};

use crate::calendar::{AsOf, Day};
use crate::fault::{Explain, Place};
use crate::language::{Language, Text};
use crate::personal::{Personal, hex};
use crate::pipeline::law::Law;
use crate::pipeline::reader::Faults;
use crate::pipeline::{Agency, Item, Source};

pub use crate::obligations::Fact;
pub use document::Flaw;
use form::Forms;
pub use several::several_path;
use standing::{assumed_year, told_before, with_change};
pub use unfiled::unfiled_path;
use words::{NOT_A_DATE, NOT_A_TEXT};
pub use worst::Worst;

/// The columns that each item's obligations give, by the item's name: what its templates may print.
pub type FactNames = BTreeMap<String, BTreeSet<String>>;

/// All templates of the items in use, compiled.
#[derive(Debug)]
pub struct Letters {
    vi: Templates,
    en: Templates,
}

/// Why one letter is written, to whom, and with which values.
#[derive(Debug, Clone)]
pub struct Occasion<'a> {
    /// The obligation; gives the template, the title and the path of the procedure.
    pub item: &'a Item,
    /// Who writes; gives `agency`, `portal`, `procedure_url`, `refuse_url` and `contact`.
    pub agency: &'a Agency,
    /// The language of the person.
    pub language: Language,
    /// The day for which the run speaks; `days_left` is counted from it.
    pub as_of: AsOf,
    /// Full name of the person.
    pub name: &'a Personal<String>,
    /// The last day on which the obligation can be met in time.
    pub due_on: Date,
    /// Which reminder this is, counting from 1; there are as many as the item has `notice_days`.
    pub stage: u16,
    /// What is known about this obligation, by column name. A null is left out.
    pub facts: &'a BTreeMap<String, Fact>,
    /// Which data was used, and on what ground.
    pub reasons: &'a [Reason],
    /// Which rules were applied.
    pub rules: &'a [RuleReference],
    /// Whether the letter leaves late, and says so: what it speaks of may be done already.
    pub is_late: bool,
    /// The ways in which it can be done, and which of them is recommended; none where nothing is compared.
    pub options: Option<&'a Advice>,
    /// The day that an earlier message told, where the due day has moved since; none where none told another.
    pub told_before: Option<Date>,
    /// The year whose days of rest are not decreed yet, where the due day rests on them and may still move.
    pub assumed_year: Option<i16>,
}

/// What a letter says about the ways in which something can be done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Advice {
    /// What the way that is recommended is called; none where none is.
    pub recommended: Option<String>,
    /// Why.
    pub why: String,
    /// Every way, the recommended one first: what it is called, and what there is to know of it.
    pub ways: Vec<(String, String)>,
}

/// A source whose data was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Its name.
    pub source: Text,
    /// Who owns it.
    pub owner: Text,
    /// The articles on which it is read.
    pub legal_ground: Text,
}

impl Reason {
    /// What a person is told about a source.
    pub fn of(source: &Source) -> Self {
        let authorisation = &source.authorisation;
        Reason {
            source: source.title.clone(),
            owner: authorisation.owner.clone(),
            legal_ground: authorisation.legal_ground.clone(),
        }
    }
}

/// A rule that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleReference {
    /// What it says.
    pub title: Text,
    /// The article.
    pub reference: Text,
}

impl RuleReference {
    /// The rules of an item that are in force on a day, in the item's order.
    pub fn in_force(law: &Law, item: &Item, day: impl Into<Day>) -> Vec<Self> {
        Self::applied(law, item, day, "")
    }

    /// Like [`RuleReference::in_force`], but of the rule that a due date was computed with, the version that was
    /// used: the law of another day than tonight's may count.
    pub fn applied(law: &Law, item: &Item, day: impl Into<Day>, rule_version: &str) -> Vec<Self> {
        let day = day.into();
        let used = law.versions(rule_version).unwrap_or_default();
        let rules = item.rules.iter().filter_map(|name| law.rule(name));
        rules
            .filter_map(|rule| {
                let used = used.iter().find(|(other, _)| other.name == rule.name).map(|(_, version)| *version);
                let version = used.or_else(|| rule.in_force(day))?;
                Some(RuleReference { title: rule.title.clone(), reference: version.reference.clone() })
            })
            .collect()
    }
}

/// A finished letter. It speaks of a person, so `Debug` shows its hashes alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    /// The subject line, one line of text.
    pub subject: String,
    /// The plain part, `\n` between lines.
    pub text: String,
    /// The HTML part, a whole document.
    pub html: String,
    /// The language of all three.
    pub language: Language,
    /// SHA-256 of the template and its layout, first 12 hexadecimal digits.
    pub template_version: String,
    /// SHA-256 of subject, text and HTML, in hexadecimal. It can be tried for a name: it is stored under a key only.
    pub rendered_hash: String,
}

impl Letter {
    fn new(subject: String, text: String, html: String, language: Language, template_version: &str) -> Self {
        let html = parts::in_lines(html);
        let rendered_hash = sha256(&[&subject, &text, &html]);
        Letter { subject, text, html, language, template_version: template_version.to_owned(), rendered_hash }
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter")
            .field("language", &self.language)
            .field("template_version", &self.template_version)
            .field("rendered_hash", &self.rendered_hash)
            .finish_non_exhaustive()
    }
}

/// A letter that cannot be written. No variant holds a value of a person.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No template was read for this item and language.
    #[error("there is no usable {} message for {item}", language.tag())]
    NoTemplate {
        /// The item.
        item: String,
        /// The language.
        language: Language,
    },
    /// A value that the template prints is missing or empty.
    #[error("the template needs a value that is missing or empty{}", after_colon(&names.join(", ")))]
    Missing {
        /// The template.
        path: PathBuf,
        /// Line, counting from 1.
        line: Option<usize>,
        /// The missing names on that line, where they can be told.
        names: Vec<String>,
    },
    /// The template engine refuses.
    #[error("the template cannot be rendered: {kind}{}", after_colon(words))]
    Template {
        /// The template.
        path: PathBuf,
        /// Line, counting from 1.
        line: Option<usize>,
        /// What kind of mistake it is.
        kind: ErrorKind,
        /// The engine's own words, where they cannot hold a value.
        words: String,
    },
    /// The rendered Markdown is not fit for a letter.
    #[error("the message cannot be written as text and HTML")]
    Flaw {
        /// The template.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        flaw: Flaw,
    },
}

fn after_colon(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::NoTemplate { .. } => "letter.no-template",
            Error::Missing { .. } => "letter.value-missing",
            Error::Template { .. } => "letter.template",
            Error::Flaw { .. } => "letter.structure",
        }
    }

    fn place(&self) -> Place {
        match self {
            Error::NoTemplate { item, language } => Place::file(message_path(item, *language)),
            Error::Missing { path, line, .. } | Error::Template { path, line, .. } => {
                Place::File { path: path.clone(), line: *line }
            }
            Error::Flaw { path, .. } => Place::file(path),
        }
    }

    fn next(&self) -> String {
        match self {
            Error::NoTemplate { .. } => "run check, and correct the faults of this template".into(),
            Error::Missing { .. } => {
                "let the item's SQL give the value for every row, or ask with `is defined` before printing it".into()
            }
            Error::Template { .. } => "correct the line, then run check".into(),
            Error::Flaw { .. } => "write the message with headings, paragraphs, lists and links alone".into(),
        }
    }
}

/// The templates of one language.
#[derive(Debug)]
struct Templates {
    environment: Environment<'static>,
    /// By item: version of the template together with its layout.
    versions: BTreeMap<String, String>,
    /// By item: the letters that were rendered already, to be filled in with other values.
    forms: BTreeMap<String, Forms>,
}

impl Letters {
    /// Reads and compiles the templates of the items, and proves each on worst-case data.
    ///
    /// `root` is the installation folder. A template with a fault is left out, so that
    /// rendering it later is an [`Error::NoTemplate`]. An item that is not in `facts` is
    /// one whose SQL could not be read: which values it gives is then not checked.
    pub fn read(root: &Path, items: &[Item], facts: &FactNames, faults: &Faults) -> Letters {
        let templates = |language| proof::read(root, items, facts, language, faults);
        Letters { vi: templates(Language::Vi), en: templates(Language::En) }
    }

    /// The letter for one occasion: filled into the form of one that was rendered before, where that gives the same.
    ///
    /// # Errors
    ///
    /// Where there is no template, a value is missing, or what was rendered is not fit for a letter.
    pub fn render(&self, occasion: &Occasion<'_>) -> Result<Letter, Error> {
        self.of(occasion.language).letter(occasion)
    }

    /// Like [`Letters::render`], by the template alone: a letter that was rendered for somebody else is not asked.
    ///
    /// # Errors
    ///
    /// As those of [`Letters::render`].
    pub fn render_anew(&self, occasion: &Occasion<'_>) -> Result<Letter, Error> {
        self.of(occasion.language).render(occasion)
    }

    /// Like [`Letters::render`], by filling alone: none where the template must be asked.
    pub fn filled(&self, occasion: &Occasion<'_>) -> Option<Letter> {
        self.of(occasion.language).filled(occasion)
    }

    fn of(&self, language: Language) -> &Templates {
        match language {
            Language::Vi => &self.vi,
            Language::En => &self.en,
        }
    }
}

impl Templates {
    fn render(&self, occasion: &Occasion<'_>) -> Result<Letter, Error> {
        let language = occasion.language;
        let version = self.version(occasion)?;
        let markdown = self.markdown(occasion, values(occasion))?;
        let path = message_path(&occasion.item.id, language);
        let document = document::parse(&markdown).map_err(|flaw| Error::Flaw { path: path.into(), flaw })?;
        let (text, html) = (parts::text(&document), parts::html(&document, language));
        Ok(Letter::new(document.subject, text, html, language, version))
    }

    /// The version of an item's template.
    fn version(&self, occasion: &Occasion<'_>) -> Result<&str, Error> {
        let version = self.versions.get(&occasion.item.id).map(String::as_str);
        version.ok_or_else(|| self.missing(occasion))
    }

    fn missing(&self, occasion: &Occasion<'_>) -> Error {
        Error::NoTemplate { item: occasion.item.id.clone(), language: occasion.language }
    }

    /// The message inside its layout, with these values.
    fn markdown(&self, occasion: &Occasion<'_>, mut values: BTreeMap<String, Value>) -> Result<String, Error> {
        let (item, language) = (&occasion.item.id, occasion.language);
        let missing = |_| self.missing(occasion);
        let message = self.environment.get_template(&message_path(item, language)).map_err(missing)?;
        let layout = self.environment.get_template(&layout_path(language)).map_err(missing)?;
        let refused = |error: minijinja::Error, values: &BTreeMap<String, Value>| self.refused(&error, values);
        let body = message.render(Value::from(values.clone())).map_err(|error| refused(error, &values))?;
        let body = with_change(body, occasion);
        values.insert(MESSAGE.into(), Value::from_safe_string(body));
        layout.render(Value::from(values.clone())).map_err(|error| refused(error, &values))
    }

    /// An error of the engine, without its words where they may hold a value.
    fn refused(&self, error: &minijinja::Error, values: &BTreeMap<String, Value>) -> Error {
        let name = error.name().unwrap_or("pipelines/items");
        let (path, line) = (PathBuf::from(name), error.line());
        if error.kind() != ErrorKind::UndefinedError {
            let is_of_template = matches!(
                error.kind(),
                ErrorKind::UnknownFilter
                    | ErrorKind::UnknownFunction
                    | ErrorKind::UnknownTest
                    | ErrorKind::TemplateNotFound
            );
            let words = error.detail().filter(|words| is_of_template || [NOT_A_DATE, NOT_A_TEXT].contains(words));
            return Error::Template { path, line, kind: error.kind(), words: words.unwrap_or("").to_owned() };
        }
        let mut names = Vec::new();
        if let (Ok(template), Some(line)) = (self.environment.get_template(name), line) {
            let line = template.source().lines().nth(line.saturating_sub(1)).unwrap_or("");
            let unknown = template.undeclared_variables(false);
            names.extend(unknown.into_iter().filter(|name| !values.contains_key(name) && mentions(line, name)));
            names.sort();
        }
        Error::Missing { path, line, names }
    }
}

/// The hole of a layout in which the item's message stands.
const MESSAGE: &str = "message";

/// The address of the dossier that was prepared for the obligation, where one was: a fact that the night adds.
pub const DOSSIER_URL: &str = "dossier_url";

/// What every template may print, beside the facts of its item.
const SHARED: [&str; 17] = [
    "name",
    "title",
    "due_on",
    "days_left",
    "stage",
    "stages",
    "agency",
    "portal",
    "procedure_url",
    "refuse_url",
    "contact",
    "reasons",
    "rules",
    "is_late",
    "options",
    "told_before",
    "assumed_year",
];

fn values(occasion: &Occasion<'_>) -> BTreeMap<String, Value> {
    let (item, agency, language) = (occasion.item, occasion.agency, occasion.language);
    let text = |text: &Text| Value::from(text.get(language));
    let mut values = BTreeMap::new();
    for (name, fact) in occasion.facts {
        let value = match fact {
            Fact::Text(text) => Value::from(text.as_str()),
            Fact::Int(number) => Value::from(*number),
            Fact::Date(date) => Value::from(date.to_string()),
            Fact::Bool(yes) => Value::from(*yes),
        };
        values.insert(name.clone(), value);
    }
    let days_left = (occasion.due_on - occasion.as_of.date()).get_days();
    let reasons = occasion.reasons.iter().map(|reason| {
        record([
            ("source", text(&reason.source)),
            ("owner", text(&reason.owner)),
            ("legal_ground", text(&reason.legal_ground)),
        ])
    });
    let rules =
        occasion.rules.iter().map(|rule| record([("title", text(&rule.title)), ("reference", text(&rule.reference))]));
    // These come last: a fact of the same name does not replace them.
    let shared: [Value; SHARED.len()] = [
        Value::from(occasion.name.reveal().as_str()),
        text(&item.title),
        Value::from(occasion.due_on.to_string()),
        Value::from(days_left),
        Value::from(occasion.stage),
        Value::from(item.notice_days.len()),
        text(&agency.name),
        Value::from(agency.portal.as_str()),
        Value::from(item.procedure_url(agency)),
        Value::from(agency.refuse.as_str()),
        text(&agency.contact),
        reasons.collect(),
        rules.collect(),
        Value::from(occasion.is_late),
        advice(occasion.options),
        told_before(occasion),
        assumed_year(occasion),
    ];
    values.extend(SHARED.iter().map(|name| (*name).to_owned()).zip(shared));
    values
}

/// The ways as templates see them; nothing where nothing is compared.
fn advice(options: Option<&Advice>) -> Value {
    let Some(options) = options else { return Value::from(()) };
    let ways = options.ways.iter();
    let ways = ways
        .map(|(title, words)| record([("title", Value::from(title.as_str())), ("words", Value::from(words.as_str()))]));
    record([
        ("recommended", options.recommended.as_deref().map_or(Value::from(()), Value::from)),
        ("why", Value::from(options.why.as_str())),
        ("ways", ways.collect()),
    ])
}

fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::from(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>())
}

/// Whether a line of a template holds this name as a word.
fn mentions(line: &str, name: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
}

fn sha256(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize())
}

// The name of a template in its environment is its path, so that the engine's errors name the file.

fn message_path(item: &str, language: Language) -> String {
    format!("pipelines/items/{item}/message.{}.md", language.tag())
}

fn layout_path(language: Language) -> String {
    format!("pipelines/items/layout.{}.md", language.tag())
}
