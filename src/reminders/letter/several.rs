//! One letter for several obligations of a person: a section for each, and what all of them share once.
//!
//! A section is the item's own message without its greeting: what an item says is written in one place. This module
//! must not know which obligations are put together, nor why.

use std::collections::BTreeMap;

use minijinja::value::Value;

use super::standing::{assumed_year, told_before, with_change};
use super::{
    Error, Letter, Letters, Occasion, Templates, advice, document, message_path, parts, record, sha256, values,
};
use crate::language::Language;

/// What the template of a letter of several may print.
pub(super) const SEVERAL: [&str; 10] =
    ["name", "agency", "portal", "refuse_url", "contact", "reasons", "rules", "sections", "count", "due_on"];

/// The template, by its path in the installation.
pub fn several_path(language: Language) -> String {
    format!("pipelines/items/digest.{}.md", language.tag())
}

impl Letters {
    /// The letter for several occasions of one person, in the order given: the most urgent comes first. Name, agency
    /// and language are those of the first.
    ///
    /// # Errors
    ///
    /// Where there is no template, or a section cannot be written.
    pub fn render_several(&self, occasions: &[Occasion<'_>]) -> Result<Letter, Error> {
        let language = occasions.first().map_or(Language::Vi, |first| first.language);
        match language {
            Language::Vi => self.vi.render_several(occasions, language),
            Language::En => self.en.render_several(occasions, language),
        }
    }
}

impl Templates {
    pub(super) fn render_several(&self, occasions: &[Occasion<'_>], language: Language) -> Result<Letter, Error> {
        let path = several_path(language);
        let missing = || Error::NoTemplate { item: "digest".into(), language };
        let first = occasions.first().ok_or_else(missing)?;
        let template = self.environment.get_template(&path).map_err(|_| missing())?;
        let mut versions = vec![sha256(&[template.source()])];
        let mut sections = Vec::with_capacity(occasions.len());
        for occasion in occasions {
            sections.push(self.section(occasion, language)?);
            versions.extend(self.versions.get(&occasion.item.id).cloned());
        }
        let mut shared = values(first);
        let due_on = occasions.iter().map(|occasion| occasion.due_on).min().unwrap_or(first.due_on);
        shared.insert("due_on".into(), Value::from(due_on.to_string()));
        shared.insert("count".into(), Value::from(occasions.len()));
        shared.insert("sections".into(), Value::from(sections));
        shared.retain(|name, _| SEVERAL.contains(&name.as_str()));
        let markdown = template.render(Value::from(shared.clone())).map_err(|error| self.refused(&error, &shared))?;
        let document = document::parse(&markdown).map_err(|flaw| Error::Flaw { path: path.into(), flaw })?;
        let (text, html) = (parts::text(&document), parts::html(&document, language));
        let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
        let template_version: String = sha256(&versions).chars().take(12).collect();
        Ok(Letter::new(document.subject, text, html, language, &template_version))
    }

    fn section(&self, occasion: &Occasion<'_>, language: Language) -> Result<Value, Error> {
        let item = &occasion.item.id;
        let missing = || Error::NoTemplate { item: item.clone(), language };
        self.versions.get(item).ok_or_else(missing)?;
        let message = self.environment.get_template(&message_path(item, language)).map_err(|_| missing())?;
        let values: BTreeMap<String, Value> = values(occasion);
        let options = advice(occasion.options);
        let body = message.render(Value::from(values.clone())).map_err(|error| self.refused(&error, &values))?;
        let body = Value::from_safe_string(as_section(&with_change(body, occasion), language));
        Ok(record([
            ("message", body),
            ("is_late", Value::from(occasion.is_late)),
            ("options", options),
            ("due_on", Value::from(occasion.due_on.to_string())),
            ("told_before", told_before(occasion)),
            ("assumed_year", assumed_year(occasion)),
        ]))
    }
}

/// An item's message as a section: its subject a heading of the second level, without the greeting, and what it says
/// of the letter said of the section. Values are shielded here, so that every sign of Markdown is the template's.
fn as_section(message: &str, language: Language) -> String {
    let (letter, section) = match language {
        Language::Vi => ("bỏ qua thư này", "bỏ qua phần này"),
        Language::En => ("ignore this message", "ignore this part"),
    };
    let mut out = String::with_capacity(message.len() + 16);
    for (index, paragraph) in message.split("\n\n").map(|part| part.trim_matches('\n')).enumerate() {
        // A greeting is one line that ends in a comma.
        let is_greeting = index == 1 && paragraph.ends_with(',') && !paragraph.contains('\n');
        if paragraph.is_empty() || is_greeting {
            continue;
        }
        if paragraph.starts_with('#') {
            out.push('#');
        }
        out.push_str(&paragraph.replace(letter, section));
        out.push_str("\n\n");
    }
    out
}
