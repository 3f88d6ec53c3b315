//! What is on each page, as the templates read it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::amended::{self, Amended};
use super::chart::{self, Trend};
use super::computed::{self, Computed, Method};
use super::figures::{Figures, Indicator, Place};
use super::ranked::{self, Entry, List, Ranked};
use super::scores::{self, Sheets};
use super::words::{self, Words};
use super::{Kind, path};
use crate::language::{Language, Text};
use crate::pipeline::Counted;
use crate::publication::sheet::Breakdown;
use crate::publication::stock::Amendment;
use crate::publication::{Error, Labels, Sheet};

/// All that pages are made of.
pub(super) struct Site<'s> {
    pub(super) sheets: &'s [Sheet<'s>],
    pub(super) figures: &'s Figures,
    pub(super) labels: &'s Labels,
    amendments: &'s [Amendment],
    scores: Sheets<'s>,
}

/// One number, with its plain reading.
#[derive(Serialize)]
struct Headline {
    indicator: &'static str,
    title: &'static str,
    period: String,
    /// What is counted, after a number.
    counted: &'static str,
    /// None when it was rolled up.
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
    band: Option<String>,
}

/// An indicator with its charts and tables.
#[derive(Serialize)]
struct Section {
    indicator: &'static str,
    title: &'static str,
    lead: &'static str,
    trend: Option<Trend>,
    ranked: Option<Ranked>,
    computed: Vec<Computed>,
}

/// A way to another page.
#[derive(Serialize)]
struct Link {
    name: String,
    href: String,
}

/// The first page.
#[derive(Serialize)]
pub(super) struct Province {
    latest: Option<String>,
    /// Whether only exact tables are published, which have no charts.
    is_exact: bool,
    /// Whether a published table was corrected or withdrawn.
    has_amendments: bool,
    preliminary: bool,
    headlines: Vec<Headline>,
    scores: Vec<scores::Shown>,
    /// The communes that have scores of their own.
    scored_places: Vec<Link>,
    scores_computed: Vec<Computed>,
    sections: Vec<Section>,
    method: Method,
}

/// All procedure groups.
#[derive(Serialize)]
pub(super) struct Groups {
    sections: Vec<Section>,
    method: Method,
}

/// One commune, or one procedure group.
#[derive(Serialize)]
pub(super) struct PlacePage {
    headlines: Vec<Headline>,
    scores: Vec<scores::Shown>,
    sections: Vec<Section>,
    /// What the table below is about.
    within: &'static str,
    heads: Vec<&'static str>,
    head: &'static str,
    rows: String,
    computed: Vec<Computed>,
}

/// Every file of every table.
#[derive(Serialize)]
pub(super) struct Downloads {
    tables: Vec<Download>,
    amended: Vec<Amended>,
}

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

impl<'s> Site<'s> {
    pub(super) fn new(
        sheets: &'s [Sheet<'s>],
        figures: &'s Figures,
        labels: &'s Labels,
        amendments: &'s [Amendment],
    ) -> Result<Self, Error> {
        Ok(Site { sheets, figures, labels, amendments, scores: Sheets::read(sheets)? })
    }

    pub(super) fn province(&self, language: Language) -> Province {
        let latest = self.figures.latest_month(Breakdown::Unit);
        let is_preliminary =
            |sheet: &Sheet| Some(sheet.period) == latest && sheet.edition == crate::disclosure::Edition::Preliminary;
        Province {
            latest: latest.map(|period| period.words(language)),
            is_exact: latest.is_none() && self.sheets.iter().any(|sheet| sheet.noise.is_none()),
            has_amendments: !self.amendments.is_empty(),
            preliminary: self.sheets.iter().any(is_preliminary),
            headlines: self.headlines(Place::Unit, language),
            scores: self.scores.shown(&self.labels.unit_code, self.labels, language),
            scored_places: self.scored_places(language),
            scores_computed: self.scores.sources().map(|sheet| computed::of(sheet, "", language)).collect(),
            sections: self.sections(Kind::Province, language),
            method: computed::method(self.sheets, language),
        }
    }

    fn scored_places(&self, language: Language) -> Vec<Link> {
        let communes = self.entries(language, Kind::Commune, Place::Commune, "").into_iter().zip(&self.labels.communes);
        let scored = communes.filter(|(_, (code, _))| self.scores.knows(code));
        scored.map(|(entry, _)| Link { name: entry.name, href: entry.href }).collect()
    }

    pub(super) fn groups(&self, language: Language) -> Groups {
        Groups { sections: self.sections(Kind::Groups, language), method: computed::method(self.sheets, language) }
    }

    pub(super) fn place(&self, kind: Kind, language: Language) -> PlacePage {
        let t = Words::of(language);
        let indicators = self.indicators();
        let (place, within, head, entries) = match kind {
            Kind::Group(at) => {
                let entries =
                    self.entries(language, Kind::Commune, |commune| Place::CommuneAndGroup(commune, at), "../");
                (Place::Group(at), t.communes, t.commune, entries)
            }
            Kind::Commune(at) => {
                let entries = self.entries(language, Kind::Group, |group| Place::CommuneAndGroup(at, group), "../");
                (Place::Commune(at), t.groups, t.group, entries)
            }
            _ => (Place::Unit, t.communes, t.commune, Vec::new()),
        };
        let code = match kind {
            Kind::Commune(at) => self.labels.communes.get(at).map(|(code, _)| code.as_str()),
            _ => None,
        };
        let is_known = |indicator: &&Indicator| self.figures.source(**indicator, Breakdown::CommuneAndGroup).is_some();
        let known: Vec<Indicator> = indicators.iter().filter(is_known).copied().collect();
        let sources = known.iter().filter_map(|known| self.figures.source(*known, Breakdown::CommuneAndGroup));
        PlacePage {
            headlines: self.headlines(place, language),
            scores: code.map(|code| self.scores.shown(code, self.labels, language)).unwrap_or_default(),
            sections: self.sections(kind, language),
            within,
            heads: known.iter().map(|indicator| indicator.title(language)).collect(),
            head,
            rows: if known.is_empty() {
                String::new()
            } else {
                ranked::crossed(self.figures, &known, &entries, language)
            },
            computed: computed::all(self.sheets, sources, ("../", language)),
        }
    }

    pub(super) fn downloads(&self, language: Language) -> Downloads {
        // Tables of engine E come last.
        let mut tables: BTreeMap<(bool, Option<Counted>, Breakdown, &str), Vec<&Sheet>> = BTreeMap::new();
        for sheet in self.sheets {
            let of = sheet.noise.map(|noise| noise.of);
            tables.entry((of.is_none(), of, sheet.breakdown(), sheet.name)).or_default().push(sheet);
        }
        let download = |((_, _, _, name), sheets): ((_, _, _, &str), Vec<&Sheet>)| Download {
            name: name.to_owned(),
            title: sheets.first().map(|sheet| sheet.title().get(language).to_owned()).unwrap_or_default(),
            periods: sheets
                .iter()
                .rev()
                .map(|sheet| DownloadPeriod {
                    folder: computed::folder(sheet),
                    words: words::capital(&sheet.period.words(language)),
                })
                .collect(),
        };
        let amended = amended::all(self.amendments, self.sheets, language);
        Downloads { tables: tables.into_iter().map(download).collect(), amended }
    }

    fn indicators(&self) -> Vec<Indicator> {
        Indicator::ALL.into_iter().filter(|indicator| self.figures.knows(*indicator)).collect()
    }

    fn list(&self, kind: Kind) -> &'s [(String, Text)] {
        match kind {
            Kind::Group(_) => &self.labels.procedure_groups,
            _ => &self.labels.communes,
        }
    }

    fn headlines(&self, place: Place, language: Language) -> Vec<Headline> {
        let headline = |indicator: Indicator| {
            // The whole area is told for its latest month, even where that is too small; a part of it where it is known.
            let found = match place {
                Place::Unit => self
                    .figures
                    .latest_month(Breakdown::Unit)
                    .and_then(|month| Some((month, self.figures.cell(indicator, month, place)?))),
                place => self.figures.latest_cell(indicator, place),
            };
            let figure = found.and_then(|(_, cell)| cell.estimate()).map(|estimate| HeadlineFigure {
                percent: words::percent(estimate.percent, language),
                reading: indicator.reading(estimate, language),
                interval: words::interval(estimate, language),
                count: words::whole(estimate.count, language),
                band: estimate.band.map(|band| format!("{} {band}", Words::of(language).band_name)),
            });
            Headline {
                indicator: indicator.tag(),
                title: indicator.title(language),
                period: found.map(|(period, _)| words::capital(&period.words(language))).unwrap_or_default(),
                counted: indicator.counted(language),
                figure,
                otherwise: match found {
                    Some((_, cell)) => words::rolled_up(cell.rolled_up_to(), language),
                    None => Words::of(language).not_published.to_owned(),
                },
            }
        };
        self.indicators().into_iter().map(headline).collect()
    }

    fn sections(&self, kind: Kind, language: Language) -> Vec<Section> {
        let t = Words::of(language);
        let unit = self.labels.unit.get(language);
        let name = |list: &'s [(String, Text)], at: usize| list.get(at).map_or("", |(_, name)| name.get(language));
        let (place, name) = match kind {
            Kind::Commune(at) => (Some(Place::Commune(at)), name(&self.labels.communes, at)),
            Kind::Group(at) => (Some(Place::Group(at)), name(&self.labels.procedure_groups, at)),
            Kind::Groups => (None, ""),
            _ => (Some(Place::Unit), unit),
        };
        let entries = match kind {
            Kind::Province => self.entries(language, Kind::Commune, Place::Commune, ""),
            Kind::Groups => self.entries(language, Kind::Group, Place::Group, "../"),
            _ => Vec::new(),
        };
        let (by, noun, head) = match (kind, language) {
            (Kind::Groups, Language::Vi) => ("theo nhóm thủ tục", "nhóm thủ tục", t.group),
            (Kind::Groups, Language::En) => ("by procedure group", "procedure groups", t.group),
            (_, Language::Vi) => ("theo xã, phường", "xã, phường", t.commune),
            (_, Language::En) => ("by commune", "communes", t.commune),
        };
        let list = List { entries: &entries, by, noun, head, unit };
        let root = if kind == Kind::Province { "" } else { "../" };
        let section = |indicator: Indicator| {
            let breakdowns = [place.map(Place::breakdown), entries.first().map(|entry| entry.place.breakdown())];
            let sources = breakdowns.into_iter().flatten();
            let sources = sources.filter_map(|breakdown| self.figures.source(indicator, breakdown));
            Section {
                indicator: indicator.tag(),
                title: indicator.title(language),
                lead: indicator.lead(language),
                trend: place.and_then(|place| chart::trend(self.figures, indicator, (place, name), language)),
                ranked: ranked::ranked(self.figures, indicator, &list, language),
                computed: computed::all(self.sheets, sources, (root, language)),
            }
        };
        self.indicators().into_iter().map(section).collect()
    }

    /// The places of a list as seen from a page at `root`.
    fn entries(
        &self,
        language: Language,
        kind: fn(usize) -> Kind,
        place: impl Fn(usize) -> Place,
        root: &str,
    ) -> Vec<Entry> {
        let entry = |(at, (_, name)): (usize, &(String, Text))| Entry {
            place: place(at),
            name: name.get(language).to_owned(),
            href: format!("{root}{}", path(self.labels, kind(at), language)),
        };
        self.list(kind(0)).iter().enumerate().map(entry).collect()
    }
}
