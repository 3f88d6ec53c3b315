//! The page that people see: one static file, in Vietnamese and in English.
//!
//! `figures` reads the tables, `chart` turns figures into positions, `words`
//! holds what is said; the templates beside this file put them together and
//! escape every value. No script, no request to anywhere: the page is complete
//! in itself. It must not compute a figure that is not in a released table.

mod chart;
mod figures;
mod words;

use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use super::period::Period;
use super::sheet::Breakdown;
use super::{Error, Labels, Sheet};
use crate::language::Language;
use crate::pipeline::Counted;
use chart::{Dots, Trend};
use figures::{Figures, Indicator};
use words::Words;

/// The page as HTML.
pub(super) fn html(sheets: &[Sheet], labels: &Labels) -> Result<String, Error> {
    let figures = Figures::read(sheets)?;
    let articles = Language::ALL.map(|language| article(sheets, &figures, labels, language));
    let page = Page { style: include_str!("style.css"), articles };
    render(&page).map_err(|source| Error::Page { source })
}

fn render(page: &Page) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    // A misspelt name in a template is an error and never an empty place on the page.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template("page", include_str!("page.html.j2"))?;
    environment.add_template("article", include_str!("article.html.j2"))?;
    environment.add_template("charts", include_str!("charts.html.j2"))?;
    environment.add_template("method.vi", include_str!("method.vi.html.j2"))?;
    environment.add_template("method.en", include_str!("method.en.html.j2"))?;
    environment.get_template("page")?.render(Serde(page))
}

/// What the templates read.
#[derive(Serialize)]
struct Page {
    style: &'static str,
    articles: [Article; 2],
}

/// The page in one language.
#[derive(Serialize)]
struct Article {
    lang: &'static str,
    other_lang: &'static str,
    t: &'static Words,
    agency: String,
    unit: String,
    contact: String,
    /// The latest month with a figure for the whole unit.
    latest: Option<String>,
    headlines: Vec<Headline>,
    sections: Vec<Section>,
    method: Method,
    downloads: Vec<Download>,
}

/// One number of the overview, with its plain reading.
#[derive(Serialize)]
struct Headline {
    indicator: &'static str,
    title: &'static str,
    /// What is counted, after a number.
    counted: &'static str,
    /// None when the month was rolled up.
    figure: Option<HeadlineFigure>,
    /// Said when there is none.
    otherwise: String,
}

#[derive(Serialize)]
struct HeadlineFigure {
    percent: String,
    reading: String,
    interval: String,
    count: String,
}

/// An indicator with its charts and tables.
#[derive(Serialize)]
struct Section {
    id: String,
    indicator: &'static str,
    title: &'static str,
    lead: &'static str,
    trend: Option<Trend>,
    dots: Vec<Dots>,
}

/// The facts in "how these figures are protected".
#[derive(Serialize)]
struct Method {
    ratings: Option<MethodFacts>,
    dossiers: Option<MethodFacts>,
    rho: String,
    epsilon: String,
    delta: String,
    policy: String,
}

#[derive(Serialize)]
struct MethodFacts {
    per_person: String,
    sigma: String,
    min_count: String,
}

/// The files of one table in all periods, the latest first.
#[derive(Serialize)]
struct Download {
    name: String,
    title: String,
    periods: Vec<DownloadPeriod>,
}

#[derive(Serialize)]
struct DownloadPeriod {
    folder: String,
    words: String,
}

fn article(sheets: &[Sheet], figures: &Figures, labels: &Labels, language: Language) -> Article {
    let latest = figures.latest_month();
    let sections = Indicator::ALL.into_iter().filter(|indicator| figures.knows(*indicator));
    Article {
        lang: language.tag(),
        other_lang: match language {
            Language::Vi => Language::En.tag(),
            Language::En => Language::Vi.tag(),
        },
        t: Words::of(language),
        agency: labels.agency.get(language).to_owned(),
        unit: labels.unit.get(language).to_owned(),
        contact: labels.contact.get(language).to_owned(),
        latest: latest.map(|period| period.words(language)),
        headlines: latest.map(|month| headlines(figures, month, language)).unwrap_or_default(),
        sections: sections.map(|indicator| section(figures, indicator, labels, language)).collect(),
        method: method(sheets, language),
        downloads: downloads(sheets, language),
    }
}

fn headlines(figures: &Figures, month: Period, language: Language) -> Vec<Headline> {
    let mut headlines = Vec::new();
    for indicator in Indicator::ALL.into_iter().filter(|indicator| figures.knows(*indicator)) {
        let cell = figures.unit(indicator, month);
        let figure = cell.and_then(|cell| cell.estimate()).map(|estimate| HeadlineFigure {
            percent: words::percent(estimate.percent, language),
            reading: indicator.reading(estimate, language),
            interval: words::interval(estimate, language),
            count: words::whole(estimate.count, language),
        });
        let otherwise = match cell {
            Some(cell) => words::rolled_up(cell.rolled_up_to(), language),
            None => Words::of(language).not_published.to_owned(),
        };
        headlines.push(Headline {
            indicator: indicator.tag(),
            title: indicator.title(language),
            counted: indicator.counted(language),
            figure,
            otherwise,
        });
    }
    headlines
}

fn section(figures: &Figures, indicator: Indicator, labels: &Labels, language: Language) -> Section {
    let id = format!("{}-{}", language.tag(), indicator.tag());
    let lists = [(Breakdown::Commune, &labels.communes), (Breakdown::Group, &labels.procedure_groups)];
    let dots = lists
        .into_iter()
        .filter_map(|(breakdown, list)| chart::dots(figures, indicator, breakdown, list, labels, &id, language));
    Section {
        indicator: indicator.tag(),
        title: indicator.title(language),
        lead: indicator.lead(language),
        trend: chart::trend(figures, indicator, labels, &id, language),
        dots: dots.collect(),
        id,
    }
}

/// The facts of the latest period of each kind of record.
fn method(sheets: &[Sheet], language: Language) -> Method {
    let noisy = || sheets.iter().filter_map(|sheet| Some((sheet.period, sheet.noise?)));
    let latest_of = |of: Counted| noisy().filter(|(_, noise)| noise.of == of).max_by_key(|(period, _)| *period);
    let facts = |of: Counted| {
        latest_of(of).map(|(_, noise)| MethodFacts {
            per_person: noise.per_person.to_string(),
            sigma: noise.sigma.to_string(),
            min_count: words::whole(i64::from(noise.min_count), language),
        })
    };
    let latest = noisy().max_by_key(|(period, _)| *period).map(|(_, noise)| noise);
    Method {
        ratings: facts(Counted::Ratings),
        dossiers: facts(Counted::Dossiers),
        rho: latest.map(|account| account.rho_month.to_string()).unwrap_or_default(),
        epsilon: latest.map(|account| words::decimal(account.epsilon_month, 2, language)).unwrap_or_default(),
        delta: latest.map(|account| format!("{:e}", account.delta)).unwrap_or_default(),
        policy: latest.map(|account| account.policy.clone()).unwrap_or_default(),
    }
}

fn downloads(sheets: &[Sheet], language: Language) -> Vec<Download> {
    // Tables of engine E come last.
    let mut tables: BTreeMap<(bool, Option<Counted>, Breakdown, &str), Vec<&Sheet>> = BTreeMap::new();
    for sheet in sheets {
        let of = sheet.noise.map(|noise| noise.of);
        tables.entry((of.is_none(), of, sheet.breakdown(), sheet.name)).or_default().push(sheet);
    }
    let mut downloads = Vec::new();
    for ((_, _, _, name), sheets) in tables {
        let title = sheets.first().map(|sheet| sheet.title().get(language).to_owned()).unwrap_or_default();
        let periods = sheets.iter().rev().map(|sheet| DownloadPeriod {
            folder: sheet.folder.clone(),
            words: words::capital(&sheet.period.words(language)),
        });
        downloads.push(Download { name: name.to_owned(), title, periods: periods.collect() });
    }
    downloads
}
