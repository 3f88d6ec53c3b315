//! The verb `preview`: a message as it would be in the worst case, before a person gets it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::ToSpan;
use jiff::civil::Date;

use super::{Ended, explained, print};
use crate::calendar::AsOf;
use crate::check::{self, Checked};
use crate::delivery;
use crate::fault::{Explain, Fault, Place};
use crate::files;
use crate::language::Language;
use crate::personal::Personal;
use crate::pipeline::{Agency, Item};
use crate::reminders::letter::{self, Letter, Occasion, RuleReference, Worst};
use crate::tables::TableName;

/// Nobody reads there.
const TO: &str = "nguoi-nhan@example.com";

/// What is shown.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// The item, for example: driving_licence; digest for the letter of several.
    item: String,
    /// In which language.
    #[arg(long, value_enum, default_value_t)]
    language: Tongue,
    /// In which way the values are bad; all three if left out.
    #[arg(long, value_enum)]
    with: Option<With>,
    /// Which reminder, counted from 1; the last one if left out.
    #[arg(long, value_name = "N")]
    stage: Option<u16>,
    /// Which part.
    #[arg(long, value_enum, default_value_t)]
    part: Part,
    /// Write it into this folder, one file for each case, instead of the terminal.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Tongue {
    /// Vietnamese.
    #[default]
    Vi,
    /// English.
    En,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum With {
    /// Names and texts as long as registers have them.
    Longest,
    /// No fact is known.
    Empty,
    /// Markup, letters without width, other directions of writing.
    Odd,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Part {
    /// Subject and plain text.
    #[default]
    Text,
    /// The HTML part, for a browser.
    Html,
    /// The whole message, for a mail program.
    Eml,
}

pub(super) async fn preview(root: &Path, agency: &str, asked: Asked) -> Result<Ended, Vec<Fault>> {
    let checked = check::check(root, agency).await?;
    let items = checked.pipeline.items.as_slice();
    let shown = match checked.pipeline.item(&asked.item) {
        Some(item) => Shown::Item(item),
        None if asked.item == DIGEST => Shown::Digest(items),
        None => {
            let known: Vec<&str> = items.iter().map(|item| item.id.as_str()).chain([DIGEST]).collect();
            let what = format!("{agency} does not remind of {}", asked.item);
            let place = Place::file(&checked.pipeline.path);
            return Err(vec![Fault::new("cli.unknown-item", place, what, format!("take one of {}", known.join(", ")))]);
        }
    };
    let language = match asked.language {
        Tongue::Vi => Language::Vi,
        Tongue::En => Language::En,
    };
    let cases: Vec<Worst> = match asked.with {
        None => Worst::ALL.to_vec(),
        Some(With::Longest) => vec![Worst::Longest],
        Some(With::Empty) => vec![Worst::Empty],
        Some(With::Odd) => vec![Worst::Odd],
    };
    for case in cases {
        let rendered = shown.render(&checked, language, case, asked.stage);
        let text = match &rendered {
            Ok((letter, as_of)) => part(&checked, &shown, letter, *as_of, asked.part)?,
            // A value that is missing holds the message back: that is what this case is for.
            Err(error @ letter::Error::Missing { .. }) => format!("Nothing is sent: {error}\n"),
            Err(error) => return Err(vec![error.fault()]),
        };
        match &asked.out {
            Some(folder) => write(folder, &shown, language, case, asked.part, &text)?,
            None if asked.with.is_some() => print(&text)?,
            None => print(&format!("======== {} ========\n\n{text}\n", case.word()))?,
        }
    }
    Ok(Ended::Done)
}

/// The word for the letter of several.
const DIGEST: &str = "digest";

/// What is shown: one item, or several in one letter.
enum Shown<'a> {
    Item(&'a Item),
    Digest(&'a [Item]),
}

impl Shown<'_> {
    fn name(&self) -> &str {
        match self {
            Shown::Item(item) => &item.id,
            Shown::Digest(_) => DIGEST,
        }
    }

    fn render(
        &self,
        checked: &Checked,
        language: Language,
        case: Worst,
        stage: Option<u16>,
    ) -> Result<(Letter, AsOf), letter::Error> {
        let agency = &checked.pipeline.agency;
        match self {
            Shown::Item(item) => {
                let given = Given::of(checked, item, case, stage);
                Ok((checked.letters.render(&given.occasion(agency, language))?, given.as_of))
            }
            Shown::Digest(items) => {
                let given: Vec<Given<'_>> = items.iter().map(|item| Given::of(checked, item, case, stage)).collect();
                let occasions: Vec<Occasion<'_>> = given.iter().map(|given| given.occasion(agency, language)).collect();
                let as_of = given.first().map_or(AsOf::new(case.due_on()), |given| given.as_of);
                Ok((checked.letters.render_several(&occasions)?, as_of))
            }
        }
    }
}

/// The worst that could be given for one item.
struct Given<'a> {
    item: &'a Item,
    stage: u16,
    as_of: AsOf,
    due_on: Date,
    name: Personal<String>,
    facts: BTreeMap<String, letter::Fact>,
    reasons: Vec<letter::Reason>,
    rules: Vec<RuleReference>,
}

impl<'a> Given<'a> {
    fn of(checked: &Checked, item: &'a Item, case: Worst, stage: Option<u16>) -> Self {
        let pipeline = &checked.pipeline;
        let stages = u16::try_from(item.notice_days.len()).unwrap_or(u16::MAX).max(1);
        let stage = stage.unwrap_or(stages).clamp(1, stages);
        let notice_days = item.notice_days.get(usize::from(stage) - 1).copied().unwrap_or(0);
        let as_of = AsOf::new(case.due_on().saturating_sub(i64::from(notice_days).days()));
        let model = TableName::new("obligations", &item.id);
        let columns =
            checked.graph.reach(&model).map(|reach| reach.lineage.columns.iter().map(|(name, _)| name.clone()));
        let names = columns.into_iter().flatten().collect();
        let mut origins = checked.library.origins(&model);
        origins.extend(checked.library.origins(&TableName::new("staging", "people")));
        let sources =
            pipeline.sources.iter().filter(|source| origins.iter().any(|origin| origin.schema == source.name));
        Given {
            item,
            stage,
            as_of,
            due_on: case.due_on(),
            name: case.name(),
            facts: case.facts(&names),
            reasons: sources.map(letter::Reason::of).collect(),
            rules: RuleReference::in_force(&pipeline.law, item, as_of),
        }
    }

    fn occasion(&self, agency: &'a Agency, language: Language) -> Occasion<'_> {
        Occasion {
            item: self.item,
            agency,
            language,
            as_of: self.as_of,
            name: &self.name,
            due_on: self.due_on,
            stage: self.stage,
            facts: &self.facts,
            reasons: &self.reasons,
            rules: &self.rules,
            is_late: false,
            options: None,
            told_before: None,
            assumed_year: None,
        }
    }
}

fn part(checked: &Checked, shown: &Shown<'_>, letter: &Letter, as_of: AsOf, part: Part) -> Result<String, Vec<Fault>> {
    Ok(match part {
        Part::Text => format!("{}\n\n{}", letter.subject, letter.text),
        Part::Html => letter.html.clone(),
        Part::Eml => {
            let to = delivery::recipient(TO).map(Personal::new).map_err(|error| {
                vec![Fault::new("cli.preview", Place::Thing(TO.into()), error.to_string(), "report this")]
            })?;
            let pipeline = &checked.pipeline;
            let key = format!("preview/{}", shown.name());
            let mut letters = pipeline.channels.iter().filter(|channel| channel.carries_letters());
            let channel = letters.next().ok_or_else(|| {
                let next = "look at --part text: that is what the other channels are made from";
                vec![Fault::new("cli.preview", Place::file(&pipeline.path), "no channel carries letters", next)]
            })?;
            let head = delivery::Head { key: &key, channel, agency: &pipeline.agency, as_of, to: &to };
            let envelope = delivery::build(letter, &head).map_err(explained)?;
            envelope.text.to_string()
        }
    })
}

fn write(
    folder: &Path,
    shown: &Shown<'_>,
    language: Language,
    case: Worst,
    part: Part,
    text: &str,
) -> Result<(), Vec<Fault>> {
    let ending = match part {
        Part::Text => "txt",
        Part::Html => "html",
        Part::Eml => "eml",
    };
    let path = folder.join(format!("{}.{}.{}.{ending}", shown.name(), language.tag(), case.word()));
    let written = files::private_folder(folder).and_then(|()| files::replace(&path, text.as_bytes()));
    written.map_err(|error| {
        let what = format!("the preview cannot be written: {error}");
        vec![Fault::new("cli.preview", Place::file(&path), what, "make room, or name another folder with --out")]
    })?;
    print(&format!("{}\n", path.display()))
}
