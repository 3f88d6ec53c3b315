//! The letter that tells a person that the dossier which they confirmed is not handed in, and why: one template for every
//! item, inside the layout of all letters. This module must not know what a dossier holds, nor where it waits.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::civil::date;
use minijinja::value::Value;

use super::proof::{compile, unknown_names};
use super::{Error, Letter, Letters, MESSAGE, Occasion, Templates, document, layout_path, parts, sha256, values};
use crate::calendar::AsOf;
use crate::fault::{Explain, Fault, Place};
use crate::language::{Language, Text};
use crate::personal::Personal;
use crate::pipeline::reader::{Faults, read_text};
use crate::pipeline::{Agency, Item};
use crate::reminders::plan::WhyUnfiled;

/// What the template may print.
const NAMES: [&str; 8] = ["name", "title", "due_on", "agency", "portal", "procedure_url", "contact", "unfiled"];

/// The template, by its path in the installation.
pub fn unfiled_path(language: Language) -> String {
    format!("pipelines/items/unfiled.{}.md", language.tag())
}

impl Letters {
    /// The letter that tells why a dossier is not handed in.
    ///
    /// # Errors
    ///
    /// As those of [`Letters::render`].
    pub fn render_unfiled(&self, occasion: &Occasion<'_>, why: WhyUnfiled) -> Result<Letter, Error> {
        self.of(occasion.language).render_unfiled(occasion, why)
    }
}

impl Templates {
    fn render_unfiled(&self, occasion: &Occasion<'_>, why: WhyUnfiled) -> Result<Letter, Error> {
        let language = occasion.language;
        let (path, layout) = (unfiled_path(language), layout_path(language));
        let missing = |_| Error::NoTemplate { item: "unfiled".into(), language };
        let message = self.environment.get_template(&path).map_err(missing)?;
        let layout = self.environment.get_template(&layout).map_err(missing)?;
        let version: String = sha256(&[layout.source(), message.source()]).chars().take(12).collect();
        let mut shared = values(occasion);
        // The rules say by when something is due. This letter tells of no such day anew.
        shared.insert("rules".into(), Value::from(Vec::<Value>::new()));
        let mut own = shared.clone();
        own.retain(|name, _| NAMES.contains(&name.as_str()));
        own.insert("unfiled".into(), Value::from(why.word()));
        let body = message.render(Value::from(own.clone())).map_err(|error| self.refused(&error, &own))?;
        shared.insert(MESSAGE.into(), Value::from_safe_string(body));
        let markdown = layout.render(Value::from(shared.clone())).map_err(|error| self.refused(&error, &shared))?;
        let document = document::parse(&markdown).map_err(|flaw| Error::Flaw { path: path.into(), flaw })?;
        let (text, html) = (parts::text(&document), parts::html(&document, language));
        Ok(Letter::new(document.subject, text, html, language, &version))
    }
}

/// Compiles the template, where the installation has one, and proves it for every reason.
pub(super) fn read(root: &Path, items: &[Item], templates: &mut Templates, language: Language, faults: &Faults) {
    let path = unfiled_path(language);
    if !root.join(&path).exists() {
        return;
    }
    let Some(text) = read_text(root, Path::new(&path), faults) else { return };
    let before = faults.len();
    compile(templates, &path, &text, faults);
    unknown_names(templates, &path, &BTreeSet::from(NAMES), "the letter on a dossier that is not handed in", faults);
    let Some(item) = items.first().filter(|_| faults.len() == before) else { return };
    let sentinel = |text: &str| Text { vi: text.to_owned(), en: text.to_owned() };
    let agency = Agency {
        name: sentinel("Agency Sentinel"),
        contact: sentinel("Contact Sentinel"),
        portal: "https://portal.example".into(),
        refuse: "https://refuse.example/x".into(),
    };
    let name = Personal::new("Nguyễn <b>*Thị*</b> [Dài](https://evil.example) {{ 7 }}".to_owned());
    let occasion = Occasion {
        item,
        agency: &agency,
        language,
        as_of: AsOf::new(date(2026, 11, 21)),
        name: &name,
        due_on: date(2026, 12, 15),
        stage: 1,
        facts: &std::collections::BTreeMap::new(),
        reasons: &[],
        rules: &[],
        is_late: false,
        options: None,
        told_before: None,
        assumed_year: None,
    };
    let mut said = BTreeSet::new();
    for why in WhyUnfiled::ALL {
        match templates.render_unfiled(&occasion, why) {
            // A layout with a fault is said already.
            Err(Error::NoTemplate { .. }) => return,
            Err(error) => return faults.push(error.fault()),
            Ok(letter) => said.insert(letter.text),
        };
    }
    if said.len() < WhyUnfiled::ALL.len() {
        let words = WhyUnfiled::ALL.map(WhyUnfiled::word).join(", ");
        faults.push(Fault::new(
            "letter.says-too-little",
            Place::file(&path),
            "two reasons for which a dossier is not handed in are told in the same words",
            format!("say something of its own for each value of unfiled: {words}"),
        ));
    }
}
