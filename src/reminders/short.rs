//! What a phone shows of a letter: one paragraph, or the values of an approved template.
//!
//! A short message says what the subject of the letter says, from whom, where the thing is done and how to refuse; all
//! else is on the portal. This module must not know how a message leaves the building.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use unicode_normalization::UnicodeNormalization;

use super::letter::{DOSSIER_URL, Fact, FactNames, Letter, Occasion};
use crate::fault::Place;
use crate::language::Language;
use crate::pipeline::reader::Faults;
use crate::pipeline::{Channel, ChannelKind, Gateway, Pipeline, Template};

/// The words that every template may be filled with, beside the columns of its item.
const SHARED: [&str; 11] = [
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
];

/// Characters of a text message in its first part and in each of several, where all are of the GSM alphabet.
const GSM_CHARS: (usize, usize) = (160, 153);

/// The same in UTF-16 units, where one character is not.
const WIDE_UNITS: (usize, usize) = (70, 67);

/// A short message. It speaks of a person, so `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Short {
    /// One line.
    pub subject: String,
    /// One paragraph. Where a dossier was prepared, it leads there and not to the portal.
    pub text: String,
    /// The same without the dossier, where one was prepared: for a gateway that takes no more.
    pub without_dossier: Option<String>,
    /// What a template may be filled with, by name.
    pub values: BTreeMap<String, String>,
    /// The language of all of it.
    pub language: Language,
}

impl fmt::Debug for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

/// A message that a channel cannot carry. It names a parameter, never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// There is no template for this item.
    #[error("there is no approved template")]
    NoTemplate,
    /// A value that the template needs is not there.
    #[error("the parameter {0} has no value")]
    Missing(String),
    /// A value is longer than the parameter takes.
    #[error("the value of the parameter {0} is too long")]
    TooLong(String),
    /// The text needs more parts than the gateway may be given.
    #[error("the text is too long")]
    TooManyParts,
}

impl Short {
    /// The short message of an occasion whose letter is written; it begins with the channel's name for the sender.
    pub fn of(letter: &Letter, occasion: &Occasion<'_>, channel: &Channel) -> Short {
        let language = letter.language;
        let (sender, subject) = (channel.from_name.get(language), plain(&letter.subject));
        let portal = occasion.item.procedure_url(occasion.agency);
        let refuse = match language {
            Language::Vi => "Từ chối nhận tin",
            Language::En => "Refuse these messages",
        };
        let to = |place: &str| plain(&format!("{sender}: {subject}. {place} {refuse}: {}", occasion.agency.refuse));
        let prepared = match language {
            Language::Vi => "Hồ sơ đã chuẩn bị",
            Language::En => "Prepared dossier",
        };
        let (text, without_dossier) = match occasion.facts.get(DOSSIER_URL) {
            Some(Fact::Text(url)) => (to(&format!("{prepared}: {url}")), Some(to(&portal))),
            _ => (to(&portal), None),
        };
        Short { text, without_dossier, subject, values: values(occasion), language }
    }

    /// What a template is filled with: each value there is, none longer than Zalo takes.
    pub fn fill(&self, template: &Template) -> Result<BTreeMap<String, String>, Unfit> {
        let mut filled = BTreeMap::new();
        for parameter in &template.parameters {
            let value = self.values.get(&parameter.value).filter(|value| !value.is_empty());
            let value = value.ok_or_else(|| Unfit::Missing(parameter.name.clone()))?;
            if value.chars().count() > parameter.chars_max {
                return Err(Unfit::TooLong(parameter.name.clone()));
            }
            filled.insert(parameter.name.clone(), value.clone());
        }
        Ok(filled)
    }

    /// The text for a gateway, where it needs no more parts than allowed; with the dossier if that fits.
    pub fn fit(&self, gateway: &Gateway) -> Result<&str, Unfit> {
        let is_fit = |text: &&str| match gateway.keeps_diacritics {
            true => parts(text) <= gateway.parts_max,
            false => parts(&without_diacritics(text)) <= gateway.parts_max,
        };
        let texts = std::iter::once(&self.text).chain(&self.without_dossier).map(String::as_str);
        texts.into_iter().find(is_fit).ok_or(Unfit::TooManyParts)
    }
}

/// Into how many parts a text message is cut (GSM 03.38, 03.40).
pub fn parts(text: &str) -> usize {
    const EXTENDED: &str = "^{}\\[~]|€\u{c}";
    const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
    let is_gsm = text.chars().all(|c| BASIC.contains(c) || EXTENDED.contains(c));
    let (units, (whole, part)) = match is_gsm {
        true => (text.chars().map(|c| if EXTENDED.contains(c) { 2 } else { 1 }).sum(), GSM_CHARS),
        false => (text.encode_utf16().count(), WIDE_UNITS),
    };
    if units <= whole { 1 } else { usize::div_ceil(units, part) }
}

/// The letters alone: `Đổi giấy phép` becomes `Doi giay phep`.
pub fn without_diacritics(text: &str) -> String {
    let plain = |c: char| match c {
        'đ' => 'd',
        'Đ' => 'D',
        '–' | '—' | '−' => '-',
        '“' | '”' => '"',
        '‘' | '’' => '\'',
        '…' => '.',
        c => c,
    };
    text.nfd().filter(|c| !unicode_normalization::char::is_combining_mark(*c)).map(plain).collect()
}

/// One line: what breaks, steers or hides text has no place in a short message.
fn plain(text: &str) -> String {
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let spaced: String = text.nfc().map(|c| if is_hidden(c) { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn values(occasion: &Occasion<'_>) -> BTreeMap<String, String> {
    let (item, agency, language) = (occasion.item, occasion.agency, occasion.language);
    let mut values = BTreeMap::new();
    for (name, fact) in occasion.facts {
        let value = match fact {
            Fact::Text(text) => plain(text),
            Fact::Int(number) => number.to_string(),
            Fact::Date(date) => day(*date),
            // Yes and no have no form that fits every template; a fact of text can say it in words.
            Fact::Bool(_) => continue,
        };
        values.insert(name.clone(), value);
    }
    let days_left = (occasion.due_on - occasion.as_of.date()).get_days();
    // These come last: a fact of the same name does not replace them.
    let shared: [String; SHARED.len()] = [
        plain(occasion.name.reveal()),
        plain(item.title.get(language)),
        day(occasion.due_on),
        days_left.to_string(),
        occasion.stage.to_string(),
        item.notice_days.len().to_string(),
        plain(agency.name.get(language)),
        agency.portal.clone(),
        item.procedure_url(agency),
        agency.refuse.clone(),
        plain(agency.contact.get(language)),
    ];
    values.extend(SHARED.iter().map(|name| (*name).to_owned()).zip(shared));
    values
}

/// 21/11/2026, as Zalo's templates have it in either language.
fn day(date: Date) -> String {
    format!("{:02}/{:02}/{:04}", date.day(), date.month(), date.year())
}

/// Looks at the approved templates of every Zalo channel: that each parameter has a value, and that the values that are
/// the same for everybody fit. `facts` holds the columns of those items whose SQL could be read.
pub fn check(pipeline: &Pipeline, facts: &FactNames, faults: &Faults) {
    for channel in &pipeline.channels {
        let ChannelKind::Zns(zns) = &channel.kind else { continue };
        for template in &zns.templates {
            check_template(pipeline, &channel.name, template, facts, faults);
        }
    }
}

fn check_template(pipeline: &Pipeline, channel: &str, template: &Template, facts: &FactNames, faults: &Faults) {
    let Some(item) = pipeline.item(&template.item) else { return };
    let at = || Place::file(&pipeline.path);
    let whose = format!("the template {} of {} on the channel {channel}", template.id, template.item);
    let own = facts.get(&template.item);
    let (agency, language) = (&pipeline.agency, template.language);
    let known_lengths: [(&str, usize); 6] = [
        ("title", plain(item.title.get(language)).chars().count()),
        ("agency", plain(agency.name.get(language)).chars().count()),
        ("contact", plain(agency.contact.get(language)).chars().count()),
        ("portal", agency.portal.chars().count()),
        ("procedure_url", item.procedure_url(agency).chars().count()),
        ("refuse_url", agency.refuse.chars().count()),
    ];
    for parameter in &template.parameters {
        let (name, value) = (&parameter.name, parameter.value.as_str());
        let is_known = SHARED.contains(&value) || own.is_none_or(|own| own.contains(value));
        if !is_known {
            let what = format!("{whose}: the parameter {name} is to be {value}, which nothing gives");
            let next = format!("name one of {}, or a column of sql/obligations/{}.sql", SHARED.join(", "), item.id);
            faults.push(crate::fault::Fault::new("pipeline.template-value", at(), what, next));
        }
        let length = known_lengths.iter().find(|(known, _)| *known == value).map(|(_, length)| *length);
        // A date has ten characters, a number of days at most six.
        let length = length.or(match value {
            "due_on" => Some(10),
            "days_left" => Some(6),
            _ => None,
        });
        if length.is_some_and(|length| length > parameter.chars_max) {
            let what = format!(
                "{whose}: {value} has {} characters and the parameter {name} takes {}",
                length.unwrap_or(0),
                parameter.chars_max
            );
            let next = "fill it with something shorter, or have a template approved that takes more";
            faults.push(crate::fault::Fault::new("pipeline.template-length", at(), what, next));
        }
    }
}
