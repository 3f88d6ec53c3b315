//! The quick way to a letter: filled into the form of one that was rendered before, wherever that gives the same.
//!
//! The first letter of a form is rendered and filled in both, and the form is kept only if the two are equal.

use std::collections::BTreeMap;

use minijinja::value::Value;

use super::document::{is_shield, parse_with_holes};
use super::form::{Filled, Form, Forms, Values};
use super::open::open_names;
use super::words::{OPEN_VALUES, open_value};
use super::{Error, Fact, Letter, Occasion, Templates, values};

/// The name of the person, which is in every letter.
const NAME: &str = "name";
/// The address by which the person refuses, which may be theirs alone.
const REFUSE_URL: &str = "refuse_url";

/// The forms of a template and its layout, none of them made yet.
pub(super) fn forms(sources: [&str; 2]) -> Forms {
    let open = open_names(sources);
    // What is printed of a person in every letter must be open, or no two letters are alike.
    let printed = [NAME, REFUSE_URL];
    if printed.iter().any(|name| !open.contains(*name)) {
        return Forms::default();
    }
    let others = open.iter().map(String::as_str).filter(|name| !printed.contains(name));
    let names = printed.into_iter().chain(others).take(OPEN_VALUES as usize);
    Forms::of(names.map(str::to_owned).collect())
}

impl Templates {
    /// The letter for one occasion, the quick way where there is one.
    pub(super) fn letter(&self, occasion: &Occasion<'_>) -> Result<Letter, Error> {
        let Some(forms) = self.forms(occasion) else { return self.render(occasion) };
        let key = key(occasion, forms);
        match forms.get(&key) {
            Some(form) => {
                let filled = form.and_then(|form| self.fill(&form, occasion, forms));
                filled.map_or_else(|| self.render(occasion), Ok)
            }
            None => {
                let letter = self.render(occasion)?;
                let form = self.form(occasion, forms);
                let form = form.filter(|form| self.fill(form, occasion, forms).as_ref() == Some(&letter));
                forms.keep(key, form);
                Ok(letter)
            }
        }
    }

    /// The letter for one occasion, if a form of it is kept.
    pub(super) fn filled(&self, occasion: &Occasion<'_>) -> Option<Letter> {
        let forms = self.forms(occasion)?;
        let form = forms.get(&key(occasion, forms))??;
        self.fill(&form, occasion, forms)
    }

    fn forms(&self, occasion: &Occasion<'_>) -> Option<&Forms> {
        self.forms.get(&occasion.item.id).filter(|forms| forms.number(NAME).is_some())
    }

    fn fill(&self, form: &Form, occasion: &Occasion<'_>, forms: &Forms) -> Option<Letter> {
        let Filled { subject, text, html } = form.fill(&Filler { occasion, forms })?;
        Some(Letter::new(subject, text, html, occasion.language, self.version(occasion).ok()?))
    }

    /// The letter of an occasion with holes in place of its open values.
    fn form(&self, occasion: &Occasion<'_>, forms: &Forms) -> Option<Form> {
        let mut values: BTreeMap<String, Value> = values(occasion);
        // A sign of the private use area in a known value could be taken for a hole.
        if values.iter().any(|(name, value)| forms.number(name).is_none() && value.to_string().contains(is_shield)) {
            return None;
        }
        for (name, value) in &mut values {
            if let Some(number) = forms.number(name).filter(|_| is_open(occasion, name)) {
                *value = open_value(number)?;
            }
        }
        let markdown = self.markdown(occasion, values).ok()?;
        // What stands in the words of a definition is looked up by Markdown, so that a value could become a link.
        if markdown.contains("]:") {
            return None;
        }
        Form::new(&parse_with_holes(&markdown).ok()?, occasion.language)
    }
}

/// Whether the value of a name can be left open: a truth is printed in the engine's own words.
fn is_open(occasion: &Occasion<'_>, name: &str) -> bool {
    [NAME, REFUSE_URL].contains(&name) || !matches!(occasion.facts.get(name), None | Some(Fact::Bool(_)))
}

struct Filler<'o, 'a> {
    occasion: &'o Occasion<'a>,
    forms: &'o Forms,
}

impl Values for Filler<'_, '_> {
    fn value(&self, number: u32) -> Option<String> {
        let name = self.forms.name(number)?;
        match name {
            NAME => Some(self.occasion.name.reveal().clone()),
            REFUSE_URL => Some(self.occasion.agency.refuse.clone()),
            name => match self.occasion.facts.get(name)? {
                Fact::Text(text) => Some(text.clone()),
                Fact::Int(number) => Some(number.to_string()),
                Fact::Date(date) => Some(date.to_string()),
                Fact::Bool(_) => None,
            },
        }
    }
}

/// All that a letter's words depend on, but its open values: each with its length, so that no two keys are alike.
fn key(occasion: &Occasion<'_>, forms: &Forms) -> Vec<u8> {
    let Occasion {
        item,
        agency,
        language,
        as_of,
        due_on,
        stage,
        is_late,
        facts,
        reasons,
        rules,
        options,
        told_before,
        assumed_year,
        name: _,
    } = occasion;
    let mut key = Vec::with_capacity(1024);
    let mut put = |text: &str| put(text, &mut key);
    let path = item.procedure_path.as_deref().unwrap_or_default();
    for text in [item.title.get(*language), path, agency.name.get(*language), &agency.portal] {
        put(text);
    }
    put(agency.contact.get(*language));
    put(if *is_late { "late" } else { "" });
    put(&told_before.map(|day| day.to_string()).unwrap_or_default());
    put(&assumed_year.map(|year| year.to_string()).unwrap_or_default());
    // A list begins with its length.
    put(&reasons.len().to_string());
    for reason in *reasons {
        for text in [&reason.source, &reason.owner, &reason.legal_ground] {
            put(text.get(*language));
        }
    }
    put(&rules.len().to_string());
    for rule in *rules {
        put(rule.title.get(*language));
        put(rule.reference.get(*language));
    }
    put(if options.is_some() { "options" } else { "" });
    for options in options.iter() {
        // Without a way that is recommended the letter has other words than with one whose name is empty.
        put(if options.recommended.is_some() { "recommended" } else { "" });
        put(options.recommended.as_deref().unwrap_or_default());
        put(&options.why);
        put(&options.ways.len().to_string());
        for (title, words) in &options.ways {
            put(title);
            put(words);
        }
    }
    put(&facts.len().to_string());
    for (name, fact) in *facts {
        put(name);
        let is_known = forms.number(name).is_none();
        // An open value is of a type all the same: not every type goes through every filter.
        match fact {
            Fact::Text(text) => put(&format!("text {}", if is_known { text } else { "" })),
            Fact::Int(number) => put(&format!("number {}", if is_known { *number } else { 0 })),
            Fact::Date(date) if is_known => put(&format!("date {date}")),
            Fact::Date(_) => put("date"),
            Fact::Bool(yes) => put(&format!("truth {yes}")),
        }
    }
    let day = |day: jiff::civil::Date| [day.year(), i16::from(day.month()), i16::from(day.day())];
    let numbers = day(*due_on).into_iter().chain(day(as_of.date())).map(i64::from);
    let notices = i64::try_from(item.notice_days.len()).unwrap_or(i64::MAX);
    for number in numbers.chain([i64::from(*stage), notices]) {
        key.extend(number.to_be_bytes());
    }
    key
}

fn put(text: &str, key: &mut Vec<u8>) {
    key.extend((text.len() as u64).to_be_bytes());
    key.extend(text.as_bytes());
}
