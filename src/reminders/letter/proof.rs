//! Reads the templates and proves each before a person depends on it.
//!
//! Every template is rendered on the worst data that could come: long names, HTML
//! and Markdown in every value, each stage, each fact missing in turn. What a letter
//! must say is then looked for in what it does say. This module touches nothing but
//! the template files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::ToSpan;
use jiff::civil::{Date, date};

use super::document::{Flaw, is_shield};
use super::fast;
use super::several::{SEVERAL, several_path};
use super::unfiled;
use super::words::{date_in_words, environment};
use super::{
    Advice, DOSSIER_URL, Error, Fact, FactNames, Letter, MESSAGE, Occasion, Reason, RuleReference, SHARED, Templates,
};
use super::{layout_path, mentions, message_path, sha256};
use crate::calendar::AsOf;
use crate::fault::{Explain, Fault, Place};
use crate::language::{Language, Text};
use crate::personal::Personal;
use crate::pipeline::reader::{Faults, read_text};
use crate::pipeline::{Agency, Item};

/// Columns that identify a person, a card or a car: printed through `mask` or not at all.
const IDENTIFIERS: [&str; 6] =
    ["plate", "licence_number", "card_number", "registration_number", "citizen_id", "owner_id"];

/// Reads the templates of one language; those with a fault are left out.
pub(super) fn read(root: &Path, items: &[Item], facts: &FactNames, language: Language, faults: &Faults) -> Templates {
    let mut templates =
        Templates { environment: environment(language), versions: BTreeMap::new(), forms: BTreeMap::new() };
    let layout = layout_path(language);
    let before = faults.len();
    let layout_text = read_text(root, Path::new(&layout), faults);
    if let Some(text) = &layout_text {
        check_layout(&mut templates, &layout, text, faults);
    }
    let layout_text = layout_text.filter(|_| faults.len() == before);

    for item in items {
        let path = message_path(&item.id, language);
        let before = faults.len();
        let Some(text) = read_text(root, Path::new(&path), faults) else { continue };
        if !text.starts_with("# ") {
            faults.push(Fault::new(
                "letter.no-subject",
                Place::line(&path, 1),
                "the first line is not the subject",
                "begin the file with a line such as `# Subject`",
            ));
        }
        compile(&mut templates, &path, &text, faults);
        if let Some(columns) = facts.get(&item.id) {
            let known = SHARED.into_iter().chain([DOSSIER_URL]).chain(columns.iter().map(String::as_str)).collect();
            unknown_names(&templates, &path, &known, &item.id, faults);
        }
        // A template is proved inside its layout, and not at all while the layout is at fault.
        if let Some(layout_text) = layout_text.as_ref().filter(|_| faults.len() == before) {
            let version = sha256(&[layout_text, &text]).chars().take(12).collect();
            templates.versions.insert(item.id.clone(), version);
            templates.forms.insert(item.id.clone(), fast::forms([layout_text, &text]));
            prove(&templates, item, facts.get(&item.id), language, faults);
        }
        if faults.len() > before {
            templates.versions.remove(&item.id);
        }
    }
    several(root, &mut templates, language, faults);
    prove_several(&templates, items, facts, language, faults);
    unfiled::read(root, items, &mut templates, language, faults);
    templates
}

/// Compiles the template of a letter for several obligations, where the installation has one.
fn several(root: &Path, templates: &mut Templates, language: Language, faults: &Faults) {
    let path = several_path(language);
    if !root.join(&path).exists() {
        return;
    }
    let Some(text) = read_text(root, Path::new(&path), faults) else { return };
    compile(templates, &path, &text, faults);
    unknown_names(templates, &path, &SEVERAL.into_iter().collect(), "a letter of several", faults);
}

/// How many obligations the letter of several is proved with: as many as a person has on a bad day.
const TOGETHER: usize = 4;

/// Renders the letter of several on worst-case data: each section must say what its own letter must say.
fn prove_several(templates: &Templates, items: &[Item], facts: &FactNames, language: Language, faults: &Faults) {
    let path = several_path(language);
    let is_sound = templates.environment.get_template(&path).is_ok();
    let proved: Vec<&Item> = items.iter().filter(|item| templates.versions.contains_key(&item.id)).collect();
    let parts = proved.get(..proved.len().min(TOGETHER)).unwrap_or_default();
    if !is_sound || parts.len() < 2 {
        return;
    }
    let trials: Vec<Trial<'_>> = parts.iter().map(|item| Trial::new(item, language, 1, 1)).collect();
    let given: Vec<BTreeMap<String, Fact>> =
        parts.iter().map(|item| worst_facts(templates, item, facts.get(&item.id), language)).collect();
    let occasions: Vec<Occasion<'_>> = trials.iter().zip(&given).map(|(trial, facts)| trial.occasion(facts)).collect();
    match templates.render_several(&occasions, language) {
        Err(error) => faults.push(explained(templates, &path, &error)),
        Ok(letter) => {
            let mut unsaid: Vec<&str> = trials.iter().flat_map(|trial| trial.unsaid(&letter)).collect();
            unsaid.sort_unstable();
            unsaid.dedup();
            for what in unsaid {
                faults.push(Fault::new(
                    "letter.says-too-little",
                    Place::file(&path),
                    format!("the letter of several does not say {what}"),
                    "print it in this template: the layout of single letters does not stand around it",
                ));
            }
        }
    }
}

/// The worst values of the columns of an item; without its columns, of whatever the template asks for.
fn worst_facts(
    templates: &Templates,
    item: &Item,
    names: Option<&BTreeSet<String>>,
    language: Language,
) -> BTreeMap<String, Fact> {
    let asked = || {
        let template = templates.environment.get_template(&message_path(&item.id, language));
        template.map(|template| template.undeclared_variables(false).into_iter().collect()).unwrap_or_default()
    };
    let names: BTreeSet<String> = names.cloned().unwrap_or_else(asked);
    let names = names.into_iter().chain([DOSSIER_URL.to_owned()]);
    names.map(|name| (name.clone(), worst_fact(&name))).collect()
}

fn check_layout(templates: &mut Templates, path: &str, text: &str, faults: &Faults) {
    compile(templates, path, text, faults);
    let known: BTreeSet<&str> = SHARED.into_iter().chain([MESSAGE]).collect();
    unknown_names(templates, path, &known, "the layout", faults);
    let template = templates.environment.get_template(path);
    if template.is_ok_and(|template| !template.undeclared_variables(false).contains(MESSAGE)) {
        faults.push(Fault::new(
            "letter.layout-without-message",
            Place::file(path),
            "the layout has no place for the message",
            format!("write {{{{ {MESSAGE} }}}} on a line of its own"),
        ));
    }
}

pub(super) fn compile(templates: &mut Templates, path: &str, text: &str, faults: &Faults) {
    let strange = |c: char| is_shield(c) || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    if let Some(index) = text.lines().position(|line| line.contains(strange)) {
        faults.push(Fault::new(
            "letter.strange-character",
            Place::line(path, index + 1),
            "the line holds a control character or one of the private use area",
            "type the line again without it",
        ));
    }
    if let Err(error) = templates.environment.add_template_owned(path.to_owned(), text.to_owned()) {
        faults.push(Fault::new(
            "letter.syntax",
            Place::File { path: path.into(), line: error.line() },
            format!("the template cannot be read: {}", error.detail().unwrap_or("syntax error")),
            "correct the line; the syntax is that of Jinja",
        ));
    }
}

/// Names that the template asks for and nobody gives.
pub(super) fn unknown_names(templates: &Templates, path: &str, known: &BTreeSet<&str>, of: &str, faults: &Faults) {
    let Ok(template) = templates.environment.get_template(path) else { return };
    let globals: BTreeSet<&str> = templates.environment.globals().map(|(name, _)| name).collect();
    for name in template.undeclared_variables(false) {
        if known.contains(name.as_str()) || globals.contains(name.as_str()) {
            continue;
        }
        faults.push(Fault::new(
            "letter.unknown-value",
            Place::File { path: path.into(), line: line_with(templates, path, &name) },
            format!("{name} is not a value of {of}"),
            format!("use one of {}", known.iter().copied().collect::<Vec<_>>().join(", ")),
        ));
    }
}

/// The first line of a template that uses this name.
fn line_with(templates: &Templates, path: &str, name: &str) -> Option<usize> {
    let template = templates.environment.get_template(path).ok()?;
    let index = template.source().lines().position(|line| mentions(line, name) && line.contains('{'))?;
    Some(index + 1)
}

/// Renders the template for every stage, and once without each fact.
fn prove(templates: &Templates, item: &Item, names: Option<&BTreeSet<String>>, language: Language, faults: &Faults) {
    let path = message_path(&item.id, language);
    let Ok(template) = templates.environment.get_template(&path) else { return };
    let asked = template.undeclared_variables(false);
    // Without the item's columns, whatever the template asks for is taken to be there.
    let names = names.cloned().unwrap_or_else(|| asked.iter().cloned().collect());
    let names = names.into_iter().chain([DOSSIER_URL.to_owned()]);
    let facts: BTreeMap<String, Fact> = names.map(|name| (name.clone(), worst_fact(&name))).collect();
    let before = faults.len();
    let stages = if item.notice_days.is_empty() { &[0][..] } else { &item.notice_days };
    for (stage, notice_days) in (1..).zip(stages) {
        let trial = Trial::new(item, language, stage, *notice_days);
        if let Err(error) = trial.run(templates, &facts, faults) {
            faults.push(explained(templates, &path, &error));
        }
        if faults.len() > before {
            return;
        }
    }
    for name in facts.keys().filter(|name| asked.contains(*name)) {
        let mut facts = facts.clone();
        facts.remove(name);
        match Trial::new(item, language, 1, 1).run(templates, &facts, faults) {
            // Not yet a fault: the item's SQL may give this value for every row.
            Ok(()) | Err(Error::Missing { .. }) => {}
            Err(error) => faults.push(explained(templates, &path, &error)),
        }
        if faults.len() > before {
            return;
        }
    }
}

fn explained(templates: &Templates, path: &str, error: &Error) -> Fault {
    let mut fault = error.fault();
    if let Error::Flaw { flaw: Flaw::Unsupported { snippet, .. } | Flaw::Link { snippet }, .. } = error {
        for path in [path.to_owned(), layout_path_beside(path)] {
            let Ok(template) = templates.environment.get_template(&path) else { continue };
            let found = template.source().lines().position(|line| !snippet.is_empty() && line.contains(snippet));
            if let Some(index) = found {
                fault.place = Place::line(&path, index + 1);
                break;
            }
        }
    }
    fault
}

/// The layout of the language that a message's path names.
fn layout_path_beside(path: &str) -> String {
    let language = if path.ends_with(".en.md") { Language::En } else { Language::Vi };
    layout_path(language)
}

/// The worst occasion that could come for one stage of an item. Nobody in it exists.
struct Trial<'a> {
    item: &'a Item,
    language: Language,
    stage: u16,
    due_on: Date,
    as_of: AsOf,
    agency: Agency,
    name: Personal<String>,
    reasons: Vec<Reason>,
    rules: Vec<RuleReference>,
    advice: Advice,
}

impl<'a> Trial<'a> {
    fn new(item: &'a Item, language: Language, stage: u16, notice_days: u16) -> Self {
        // The longest date in words, in both languages.
        let due_on = date(2026, 9, 23);
        let as_of = AsOf::new(due_on.saturating_sub(i64::from(notice_days).days()));
        let text = |what: &str| Text::new(worst_text(what), worst_text(what));
        Trial {
            item,
            language,
            stage,
            due_on,
            as_of,
            agency: Agency {
                name: text("agency"),
                portal: "https://portal.example".into(),
                refuse: "https://portal.example/refuse?a=1&b=%22".into(),
                contact: text("contact"),
            },
            name: Personal::new(worst_text("name")),
            reasons: (1..=3)
                .map(|n| Reason {
                    source: text(&format!("source{n}")),
                    owner: text(&format!("owner{n}")),
                    legal_ground: text(&format!("ground{n}")),
                })
                .collect(),
            rules: (1..=2)
                .map(|n| RuleReference { title: text(&format!("rule{n}")), reference: text(&format!("article{n}")) })
                .collect(),
            advice: Advice {
                recommended: Some(worst_text("way1")),
                why: worst_text("why"),
                ways: (1..=5).map(|n| (worst_text(&format!("way{n}")), worst_text(&format!("words{n}")))).collect(),
            },
        }
    }

    fn occasion<'o>(&'o self, facts: &'o BTreeMap<String, Fact>) -> Occasion<'o> {
        Occasion {
            item: self.item,
            agency: &self.agency,
            language: self.language,
            as_of: self.as_of,
            name: &self.name,
            due_on: self.due_on,
            stage: self.stage,
            facts,
            reasons: &self.reasons,
            rules: &self.rules,
            is_late: self.stage == 1,
            options: (self.stage == 1).then_some(&self.advice),
            told_before: (self.stage == 1).then_some(TOLD_BEFORE),
            assumed_year: (self.stage == 1).then_some(ASSUMED_YEAR),
        }
    }

    fn run(&self, templates: &Templates, facts: &BTreeMap<String, Fact>, faults: &Faults) -> Result<(), Error> {
        let letter = templates.render(&self.occasion(facts))?;
        let path = message_path(&self.item.id, self.language);
        for what in self.unsaid(&letter) {
            faults.push(Fault::new(
                "letter.says-too-little",
                Place::file(&path),
                format!("the letter does not say {what}"),
                "print it in the message or in the layout",
            ));
        }
        let text = one_line(&letter.text);
        for name in facts.keys().filter(|name| IDENTIFIERS.contains(&name.as_str())) {
            if text.contains(&worst_text(name)) || letter.subject.contains(&worst_text(name)) {
                faults.push(Fault::new(
                    "letter.identifier-in-full",
                    Place::File { line: line_with(templates, &path, name), path: path.clone().into() },
                    format!("the letter prints {name} in full"),
                    format!("write {{{{ {name}|mask }}}}"),
                ));
            }
        }
        Ok(())
    }

    /// What every letter must say, and this one does not.
    fn unsaid(&self, letter: &Letter) -> Vec<&'static str> {
        let reason = |of: fn(&Reason) -> &Text| self.reasons.iter().map(of).collect::<Vec<_>>();
        let mut wanted: Vec<(&'static str, &str)> = vec![("to whom it is written (name)", self.name.reveal())];
        let due_on = date_in_words(self.due_on, self.language);
        let procedure = self.item.procedure_url(&self.agency);
        wanted.push(("by when, written out in full (due_on|date)", &due_on));
        wanted.push(("where to do it (procedure_url)", &procedure));
        wanted.push(("how to refuse (refuse_url)", &self.agency.refuse));
        let texts = [
            ("who writes (agency)", vec![&self.agency.name]),
            ("where to ask (contact)", vec![&self.agency.contact]),
            ("which data was used (reasons, source)", reason(|reason| &reason.source)),
            ("whose data it is (reasons, owner)", reason(|reason| &reason.owner)),
            ("under which legal ground (reasons, legal_ground)", reason(|reason| &reason.legal_ground)),
            ("which rule was applied (rules, reference)", self.rules.iter().map(|rule| &rule.reference).collect()),
        ];
        for (what, texts) in &texts {
            wanted.extend(texts.iter().map(|text| (*what, text.get(self.language))));
        }
        let (told, year) = (date_in_words(TOLD_BEFORE, self.language), ASSUMED_YEAR.to_string());
        if self.stage == 1 {
            wanted
                .push(("which day was told before, where it has moved, written out in full (told_before|date)", &told));
            wanted.push(("that the day may still move, where days of rest are assumed (assumed_year)", &year));
        }
        let text = one_line(&letter.text);
        let mut unsaid: Vec<&str> =
            wanted.iter().filter(|(_, words)| !text.contains(words)).map(|(what, _)| *what).collect();
        unsaid.dedup();
        unsaid
    }
}

/// The day that the worst occasion was told before: like no other date of it.
const TOLD_BEFORE: Date = date(2025, 9, 24);
/// The year that the worst occasion waits for: like no other year of it.
const ASSUMED_YEAR: i16 = 2031;

/// The text part without its line breaks.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A value of the type that the column's name tells: its unit is its last word.
pub(super) fn worst_fact(name: &str) -> Fact {
    match name.rsplit('_').next() {
        _ if name == DOSSIER_URL => Fact::Text(format!("https://portal.example{}", "/dossier".repeat(30))),
        Some("on" | "to" | "from" | "date" | "since" | "until" | "for") => Fact::Date(date(2026, 9, 23)),
        Some("years" | "months" | "days" | "count") => Fact::Int(-1_234_567),
        _ => Fact::Text(worst_text(name)),
    }
}

/// A text that would be a heading, a link, HTML and a template if it were taken for more than text.
pub(super) fn worst_text(what: &str) -> String {
    format!("# 1. <b>*{what}*</b> [a](http://evil.example) {{{{ x }}}} & \"{}\"", "Nguyễn".repeat(20))
}
