//! The pages that people see: static files, each in Vietnamese and in English.
//!
//! From the province to a commune or a procedure group, and from there to each other:
//! `index.html`, `downloads.html`, `groups/index.html`, `communes/<code>.html`, `groups/<id>.html`, and beside each the
//! same in English, `index.en.html`. `figures` reads the tables, `chart` and `ranked` turn figures into positions,
//! `words` holds what is said; the templates beside this file put them together and escape every value. No script runs
//! and nothing is asked of anybody: each page is complete in itself. It must not compute a figure that is not in a
//! released table.

mod amended;
mod body;
mod chart;
mod computed;
mod figures;
mod linked;
mod markup;
mod ranked;
mod scores;
mod words;

use std::num::NonZero;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use super::stock::Amendment;
use super::{Error, Labels, Sheet};
use crate::language::{Language, Text};
use body::Site;
use figures::Figures;
use words::Words;

/// One page of the site, in any language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Province,
    Downloads,
    Groups,
    Commune(usize),
    Group(usize),
}

/// The folders of the pages of one kind: every page in them is of this run or of none.
pub(super) const FOLDERS: [&str; 2] = ["communes", "groups"];

/// A page: where it stands on the shelf, and its bytes.
pub(super) type File = (String, Vec<u8>);

/// Every page, in the order of the lists.
pub(super) fn site(sheets: &[Sheet], labels: &Labels, amendments: &[Amendment]) -> Result<Vec<File>, Error> {
    let figures = Figures::read(sheets, labels)?;
    let environment = environment().map_err(|source| Error::Page { source })?;
    let site = Site::new(sheets, &figures, labels, amendments)?;
    let mut pages = vec![Kind::Province, Kind::Downloads, Kind::Groups];
    pages.extend((0..labels.communes.len()).map(Kind::Commune));
    pages.extend((0..labels.procedure_groups.len()).map(Kind::Group));
    let pages: Vec<(Kind, Language)> =
        pages.into_iter().flat_map(|kind| Language::ALL.map(|language| (kind, language))).collect();
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = pages.len().div_ceil(workers).max(1);
    let write = |part: &[(Kind, Language)]| -> Result<Vec<File>, minijinja::Error> {
        part.iter().map(|(kind, language)| page(&environment, &site, *kind, *language)).collect()
    };
    let written = std::thread::scope(|scope| {
        let write = &write;
        let parts: Vec<_> = pages.chunks(share).map(|part| scope.spawn(move || write(part))).collect();
        parts.into_iter().map(|part| part.join()).collect::<Vec<_>>()
    });
    let mut files = Vec::with_capacity(pages.len());
    for part in written {
        match part {
            Ok(part) => files.extend(part.map_err(|source| Error::Page { source })?),
            Err(panicked) => std::panic::resume_unwind(panicked),
        }
    }
    Ok(files)
}

fn page(
    environment: &Environment<'_>,
    site: &Site<'_>,
    kind: Kind,
    language: Language,
) -> Result<File, minijinja::Error> {
    let f = frame(site, kind, language);
    let html = match kind {
        Kind::Province => render(environment, "province", f, site.province(language)),
        Kind::Downloads => render(environment, "downloads", f, site.downloads(language)),
        Kind::Groups => render(environment, "groups", f, site.groups(language)),
        Kind::Commune(_) | Kind::Group(_) => render(environment, "place", f, site.place(kind, language)),
    }?;
    Ok((path(site.labels, kind, language), html.into_bytes()))
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    // A misspelt name in a template is an error and never an empty place on the page.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template("page", include_str!("page.html.j2"))?;
    environment.add_template("province", include_str!("province.html.j2"))?;
    environment.add_template("downloads", include_str!("downloads.html.j2"))?;
    environment.add_template("groups", include_str!("groups.html.j2"))?;
    environment.add_template("place", include_str!("place.html.j2"))?;
    environment.add_template("charts", include_str!("charts.html.j2"))?;
    environment.add_template("method.vi", include_str!("method.vi.html.j2"))?;
    environment.add_template("method.en", include_str!("method.en.html.j2"))?;
    Ok(environment)
}

/// What the templates read: the frame of the page, and what is in it.
#[derive(Serialize)]
struct Whole<B> {
    f: Frame,
    b: B,
}

fn render<B: Serialize>(
    environment: &Environment<'_>,
    template: &str,
    f: Frame,
    b: B,
) -> Result<String, minijinja::Error> {
    environment.get_template(template)?.render(Serde(Whole { f, b }))
}

/// What is the same on every page.
#[derive(Serialize)]
struct Frame {
    lang: &'static str,
    t: &'static Words,
    style: &'static str,
    /// The title of the window.
    window: String,
    heading: String,
    below: String,
    agency: String,
    contact: String,
    /// The way here from the first page, which is not among them on the first page itself.
    crumbs: Vec<Link>,
    /// The same page in the other language.
    other_lang: &'static str,
    other: String,
    /// From this page to the shelf: nothing, or `../`.
    root: &'static str,
    /// The end of the names of pages in this language.
    end: &'static str,
    /// The data of the page for search engines, as JSON that is safe in HTML; on the first page alone.
    linked: Option<String>,
}

#[derive(Serialize)]
struct Link {
    href: String,
    name: String,
}

fn frame(site: &Site<'_>, kind: Kind, language: Language) -> Frame {
    let (labels, t) = (site.labels, Words::of(language));
    let (unit, agency) = (labels.unit.get(language), labels.agency.get(language));
    let name = |list: &[(String, Text)], at: usize| {
        list.get(at).map(|(_, name)| name.get(language).to_owned()).unwrap_or_default()
    };
    let (heading, below) = match kind {
        Kind::Province => (t.title.to_owned(), unit.to_owned()),
        Kind::Downloads => (t.downloads.to_owned(), unit.to_owned()),
        Kind::Groups => (t.groups.to_owned(), unit.to_owned()),
        Kind::Commune(at) => (name(&labels.communes, at), unit.to_owned()),
        Kind::Group(at) => (name(&labels.procedure_groups, at), unit.to_owned()),
    };
    let root = if matches!(kind, Kind::Province | Kind::Downloads) { "" } else { "../" };
    let end = end(language);
    let mut crumbs = Vec::new();
    if kind != Kind::Province {
        crumbs.push(Link { href: format!("{root}index{end}"), name: unit.to_owned() });
    }
    if matches!(kind, Kind::Group(_)) {
        crumbs.push(Link { href: format!("index{end}"), name: t.groups.to_owned() });
    }
    let other = match language {
        Language::Vi => Language::En,
        Language::En => Language::Vi,
    };
    Frame {
        lang: language.tag(),
        t,
        style: include_str!("style.css"),
        window: match kind {
            Kind::Province => format!("{} – {unit}", t.title),
            _ => format!("{heading} – {} – {unit}", t.title),
        },
        heading,
        below,
        agency: agency.to_owned(),
        contact: labels.contact.get(language).to_owned(),
        crumbs,
        other_lang: other.tag(),
        other: format!("{root}{}", path(labels, kind, other)),
        root,
        end,
        linked: (kind == Kind::Province).then(|| linked::json(site.sheets, labels)),
    }
}

fn end(language: Language) -> &'static str {
    match language {
        Language::Vi => ".html",
        Language::En => ".en.html",
    }
}

/// Where a page stands, relative to the shelf.
fn path(labels: &Labels, kind: Kind, language: Language) -> String {
    let end = end(language);
    match kind {
        Kind::Province => format!("index{end}"),
        Kind::Downloads => format!("downloads{end}"),
        Kind::Groups => format!("groups/index{end}"),
        Kind::Commune(at) => format!("communes/{}{end}", slug(&labels.communes, at)),
        Kind::Group(at) => format!("groups/{}{end}", slug(&labels.procedure_groups, at)),
    }
}

/// The code of a place where it is safe as the name of a file and in a link, and its number in the list where it is not.
fn slug(list: &[(String, Text)], at: usize) -> String {
    let is_safe = |code: &&String| {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        !code.is_empty() && code.len() <= 64 && *code != "index" && code.bytes().all(is_plain)
    };
    let code = list.get(at).map(|(code, _)| code).filter(is_safe);
    // A dot is in no code, so that this is the name of nothing else.
    code.map_or_else(|| format!("no.{}", at + 1), Clone::clone)
}
