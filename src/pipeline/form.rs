//! The form of a dossier that is prepared for a person: its fields, and what an answer must look like.
//!
//! A form is data, `pipelines/items/<item>/form.toml`; an agency prepares the dossiers of the items that `[dossiers]`
//! names. Whether a text is a sound answer is decided here, once for the page and for whoever checks again. This module
//! must not know where a value comes from, nor where a dossier goes.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::authorisation::Class;
use super::options::Confidence;
use crate::language::Text;

/// The form of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// The item whose dossier it is.
    pub item: String,
    /// The administrative procedure (*thủ tục hành chính*) in the national catalogue, such as `1.002809`.
    pub procedure: String,
    /// How well that code is known: one that nobody found a source for goes to no portal.
    #[serde(default = "unsourced")]
    pub confidence: Confidence,
    /// What the procedure is called.
    pub title: Text,
    /// SHA-256 of the file, its first twelve hexadecimal digits: which form was shown.
    pub version: String,
    /// The field that holds the person's number.
    pub identity: String,
    /// The field that holds the person's name.
    pub name: String,
    /// The fields, in the order in which they are shown.
    pub fields: Vec<FormField>,
}

/// What an earlier version wrote down said nothing of it.
fn unsourced() -> Confidence {
    Confidence::Unsourced
}

impl Form {
    /// The field of this name.
    pub fn field(&self, id: &str) -> Option<&FormField> {
        self.fields.iter().find(|field| field.id == id)
    }
}

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormField {
    /// Its word: the column of the select that fills it, alone or before `__` and the word of a source.
    pub id: String,
    /// The national portal's word, where it has one.
    pub portal: Option<String>,
    /// What it is called.
    pub title: Text,
    /// What helps to fill it in; none where the title says all.
    pub help: Option<Text>,
    /// What kind of answer it takes.
    pub kind: FieldKind,
    /// Whether a dossier without it is incomplete.
    pub is_required: bool,
    /// What an answer must look like.
    pub rule: AnswerRule,
    /// The articles by which the agency asks for it.
    pub legal_ground: Text,
    /// Whom it concerns.
    pub class: Class,
    /// The columns of standard tables that may fill it, as `staging.people.full_name`; none for what only the person
    /// knows.
    pub from: Vec<String>,
    /// From how many days on a value is called old; none where it does not age.
    pub stale_after_days: Option<u16>,
}

/// What kind of answer a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// A line of text.
    Text,
    /// A civil date, written `yyyy-mm-dd`.
    Date,
    /// One of a list.
    Choice,
    /// A whole number.
    Number,
    /// A file that is attached.
    File,
    /// Yes or no, written `true` or `false`.
    Boolean,
}

impl FieldKind {
    /// The words of form.toml.
    pub const WORDS: [(&'static str, FieldKind); 6] = [
        ("text", FieldKind::Text),
        ("date", FieldKind::Date),
        ("choice", FieldKind::Choice),
        ("number", FieldKind::Number),
        ("file", FieldKind::File),
        ("boolean", FieldKind::Boolean),
    ];
}

/// A pattern of text, of a closed list: whoever writes a form writes no regular expression that nobody can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Twelve digits (*số định danh cá nhân*).
    IdentityNumber,
    /// A Vietnamese telephone number: ten digits from 0, or +84 and nine.
    Phone,
    /// A mail address, roughly.
    Email,
    /// Letters, digits, `-`, `/` and `.`, such as the number of a paper.
    PaperNumber,
    /// Five digits of a commune.
    CommuneCode,
}

impl Pattern {
    /// The words of form.toml.
    pub const WORDS: [(&'static str, Pattern); 5] = [
        ("identity_number", Pattern::IdentityNumber),
        ("phone", Pattern::Phone),
        ("email", Pattern::Email),
        ("paper_number", Pattern::PaperNumber),
        ("commune_code", Pattern::CommuneCode),
    ];

    fn is_met(self, text: &str) -> bool {
        let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
        match self {
            Pattern::IdentityNumber => digits(text, 12),
            Pattern::CommuneCode => digits(text, 5),
            Pattern::Phone => match text.strip_prefix("+84") {
                Some(rest) => digits(rest, 9),
                None => text.starts_with('0') && digits(text, 10),
            },
            Pattern::Email => text.split_once('@').is_some_and(|(user, domain)| {
                let is_plain = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c == '@');
                is_plain(user) && is_plain(domain) && domain.contains('.') && !domain.starts_with('.')
            }),
            Pattern::PaperNumber => {
                !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || ['-', '/', '.', ' '].contains(&c))
            }
        }
    }
}

/// What an answer must look like, beside its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerRule {
    /// The pattern of a text.
    pub pattern: Option<Pattern>,
    /// The smallest number.
    pub min: Option<i64>,
    /// The largest number.
    pub max: Option<i64>,
    /// The first day.
    #[serde(with = "day")]
    pub first_day: Option<Date>,
    /// The last day.
    #[serde(with = "day")]
    pub last_day: Option<Date>,
    /// The most characters of a text.
    pub max_chars: u16,
    /// The answers of a list, each with what it is called.
    pub choices: Vec<Choice>,
}

/// One answer of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Its word, which the portal gets.
    pub value: String,
    /// What it is called.
    pub title: Text,
}

/// Why an answer is not sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsound {
    /// It must be there.
    Missing,
    /// It has more characters than it may.
    TooLong,
    /// It is no date, number, or word of the list.
    WrongKind,
    /// It does not look as it must.
    Pattern,
    /// It is smaller, larger, earlier or later than it may be.
    OutOfRange,
    /// Several registers disagree, and none was chosen.
    NotChosen,
    /// What a register says was chosen, and something else was written beside it.
    Both,
    /// The file is larger than it may be.
    FileTooLarge,
    /// The file is of no kind that is taken.
    FileKind,
}

impl FormField {
    /// Brings an answer into the form in which it is kept, or says why it is not sound. Nothing for an empty answer
    /// to a field that may be empty. Files are looked at elsewhere.
    ///
    /// # Errors
    ///
    /// Why the answer is not sound.
    pub fn answer(&self, text: &str) -> Result<Option<String>, Unsound> {
        let text = tidy(text);
        if text.is_empty() {
            return if self.is_required { Err(Unsound::Missing) } else { Ok(None) };
        }
        if text.chars().count() > usize::from(self.rule.max_chars) {
            return Err(Unsound::TooLong);
        }
        let rule = &self.rule;
        match self.kind {
            FieldKind::Text | FieldKind::File if rule.pattern.is_some_and(|pattern| !pattern.is_met(&text)) => {
                Err(Unsound::Pattern)
            }
            FieldKind::Text | FieldKind::File => Ok(Some(text)),
            FieldKind::Date => {
                let date = read_date(&text).ok_or(Unsound::WrongKind)?;
                let is_early = rule.first_day.is_some_and(|first| date < first);
                let is_late = rule.last_day.is_some_and(|last| date > last);
                if is_early || is_late { Err(Unsound::OutOfRange) } else { Ok(Some(date.to_string())) }
            }
            FieldKind::Number => {
                let number: i64 = text.parse().map_err(|_| Unsound::WrongKind)?;
                let is_small = rule.min.is_some_and(|min| number < min);
                let is_large = rule.max.is_some_and(|max| number > max);
                if is_small || is_large { Err(Unsound::OutOfRange) } else { Ok(Some(number.to_string())) }
            }
            FieldKind::Choice => {
                let is_known = rule.choices.iter().any(|choice| choice.value == text);
                if is_known { Ok(Some(text)) } else { Err(Unsound::WrongKind) }
            }
            FieldKind::Boolean => match text.as_str() {
                "true" | "false" => Ok(Some(text)),
                _ => Err(Unsound::WrongKind),
            },
        }
    }
}

/// A text without control characters and without space at its ends, and one space for several.
pub fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !tidy.is_empty() {
            tidy.push(' ');
        }
        tidy.push_str(word);
    }
    tidy
}

/// `yyyy-mm-dd` as browsers send it, or `dd/mm/yyyy` as people write it.
fn read_date(text: &str) -> Option<Date> {
    if let Ok(date) = text.parse::<Date>()
        && text.len() == 10
    {
        return Some(date);
    }
    let mut parts = text.split('/');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let is_whole = parts.next().is_none() && year.len() == 4;
    let date = Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()?;
    is_whole.then_some(date)
}

/// A day as text: the crate of days speaks no serde here.
mod day {
    use jiff::civil::Date;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(day: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
        day.map(|day| day.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
    }
}
