//! The ways that lead to one outcome, as they are declared in `pipelines/options/<outcome>.toml`, and what an agency
//! says about recommending one: `[options]`.
//!
//! An outcome bears the name of the item whose obligation it settles. What a way costs, by whom and since when, what
//! it asks and what follows from it are data with a source; what nobody found a source for says so. This module must
//! not know a person, nor which way is best.

use jiff::civil::Date;

use crate::calendar::AsOf;
use crate::language::Text;

/// What an agency recommends (*khuyến nghị phương án*, Decree 224/2026/NĐ-CP, Art. 16, level 3).
#[derive(Debug, Clone)]
pub struct Options {
    /// The outcomes that are switched on, in the order of the file; none means that nothing is recommended.
    pub outcomes: Vec<Outcome>,
    /// What counts first, and then, and then: every criterion once.
    pub policy: Vec<Criterion>,
    /// How many dossiers of a way have to be known before their time is called measured.
    pub measured_least: u32,
    /// So many days after the letter a dossier is taken to be filed: nobody files before having read it.
    pub reading_days: u16,
}

impl Default for Options {
    fn default() -> Self {
        let policy = Criterion::WORDS.map(|(_, criterion)| criterion).to_vec();
        Options { outcomes: Vec::new(), policy, measured_least: MEASURED_LEAST, reading_days: READING_DAYS }
    }
}

/// `measured_least` where the agency does not say.
pub const MEASURED_LEAST: u32 = 30;

/// `reading_days` where the agency does not say.
pub const READING_DAYS: u16 = 2;

/// The most ways that one outcome may have.
pub const WAYS_MAX: usize = 16;

impl Options {
    /// The outcome that settles the obligations of an item.
    pub fn outcome(&self, item: &str) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.id == item)
    }
}

/// By what ways are compared; less is better in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// What the person pays, in VND.
    Cost,
    /// How often the person has to go somewhere.
    Visits,
    /// Working days until the result is there: the median, then the 90th percentile.
    Time,
    /// Papers that the person has to bring.
    Documents,
    /// Obligations that follow.
    Duties,
}

impl Criterion {
    /// The words of the files, in the order that counts where an agency declares none.
    pub const WORDS: [(&'static str, Criterion); 5] = [
        ("cost", Criterion::Cost),
        ("visits", Criterion::Visits),
        ("time", Criterion::Time),
        ("documents", Criterion::Documents),
        ("duties", Criterion::Duties),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, known)| *known == self).map_or("?", |(word, _)| word)
    }
}

/// What has to have happened by the day on which the obligation is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ByDueDay {
    /// The result is there: the old licence ends on that day.
    Settled,
    /// The dossier is filed: the law asks for no more.
    Filed,
}

impl ByDueDay {
    /// The words of the file.
    pub const WORDS: [(&'static str, ByDueDay); 2] = [("settled", ByDueDay::Settled), ("filed", ByDueDay::Filed)];
}

/// By which way a dossier reaches the agency (*KenhThucHien* of the national portal's dossier).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// At the counter.
    Counter,
    /// Online.
    Online,
    /// By public post (*dịch vụ bưu chính công ích*).
    Post,
}

impl Via {
    /// The words of the files and of `codes.options`.
    pub const WORDS: [(&'static str, Via); 3] =
        [("counter", Via::Counter), ("online", Via::Online), ("post", Via::Post)];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, known)| *known == self).map_or("?", |(word, _)| word)
    }

    /// The number of the national portal's dossier.
    pub fn code(self) -> i64 {
        match self {
            Via::Counter => 1,
            Via::Online => 2,
            Via::Post => 3,
        }
    }
}

/// How well a fact is known (`domain/README`), the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Confidence {
    /// Official, or several independent sources.
    A,
    /// One credible secondary source.
    B,
    /// One weak source.
    C,
    /// Nobody found a source: whoever is told the fact is told this, too.
    #[serde(rename = "unsourced")]
    Unsourced,
}

impl Confidence {
    /// The words of the files.
    pub const WORDS: [(&'static str, Confidence); 4] =
        [("A", Confidence::A), ("B", Confidence::B), ("C", Confidence::C), ("unsourced", Confidence::Unsourced)];
}

/// Something that several services lead to, and the ways to it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its name: that of the item whose obligation it settles, of its file and of its select.
    pub id: String,
    /// What it is.
    pub title: Text,
    /// What has to have happened by the due day.
    pub by_due_day: ByDueDay,
    /// Who pays which fee, the ordinary status first.
    pub statuses: Vec<Named>,
    /// Why a way may not be open to a person.
    pub reasons: Vec<Named>,
    /// Rights that a person would lose by a way.
    pub rights: Vec<Named>,
    /// What is paid by the month whichever way is taken: no two hold on one day.
    pub contributions: Vec<Contribution>,
    /// The ways, in the order of the file; at least two, no more than [`WAYS_MAX`].
    pub ways: Vec<WayThere>,
}

/// A word of the select, and what a person reads for it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Named {
    /// The word.
    pub word: String,
    /// What it means.
    pub title: Text,
}

/// One way to an outcome.
#[derive(Debug, Clone)]
pub struct WayThere {
    /// Its word, one of its outcome.
    pub id: String,
    /// What it is called.
    pub title: Text,
    /// How the dossier gets there.
    pub via: Via,
    /// The procedure in the national catalogue whose dossiers show how long it takes; none where no code is sourced.
    pub procedure_code: Option<String>,
    /// What a dossier of this way bears in the column [`MARK`], where another way shares its procedure and channel.
    pub mark: Option<String>,
    /// First day on which it is open.
    pub in_force_from: Date,
    /// Last day; none while no end is known.
    pub in_force_to: Option<Date>,
    /// The article.
    pub reference: Text,
    /// How well the article and what follows here are known.
    pub confidence: Confidence,
    /// Where it was read, a web address.
    pub source: Option<String>,
    /// Working days that the law gives the agency: what counts where too few dossiers show how long it takes.
    pub working_days: u16,
    /// What the post adds, where something goes or comes by it.
    pub post: Option<Post>,
    /// How many months of the contribution are paid at once; none where there is none.
    pub months: Option<u16>,
    /// How often the person goes somewhere.
    pub visits: u16,
    /// What the person does, in order.
    pub steps: Vec<Text>,
    /// Papers asked for.
    pub documents: Vec<Text>,
    /// Obligations that follow.
    pub duties: Vec<Text>,
    /// What it costs: no two of one status hold on one day.
    pub fees: Vec<Fee>,
}

/// The column of `quality.choices` that tells ways apart which share a procedure and a channel.
pub const MARK: &str = "mark";

impl Outcome {
    /// Ways of which a dossier cannot show which one was taken: they are filed by the same procedure and channel on some
    /// day, and no mark tells them apart. `has_marks` is whether dossiers bear marks at all.
    pub fn alike(&self, has_marks: bool) -> Vec<(&WayThere, &WayThere)> {
        let is_alike = |one: &WayThere, other: &WayThere| {
            let shares = |end: Option<Date>, from: Date| end.is_none_or(|end| from <= end);
            one.procedure_code.is_some()
                && one.procedure_code == other.procedure_code
                && one.via == other.via
                && (!has_marks || one.mark == other.mark)
                && shares(one.in_force_to, other.in_force_from)
                && shares(other.in_force_to, one.in_force_from)
        };
        let pairs = self
            .ways
            .iter()
            .enumerate()
            .flat_map(|(at, one)| self.ways.iter().skip(at + 1).map(move |other| (one, other)));
        pairs.filter(|(one, other)| is_alike(one, other)).collect()
    }
}

impl WayThere {
    /// Whether it is open on a day.
    pub fn in_force(&self, as_of: AsOf) -> bool {
        self.in_force_on(as_of.date())
    }

    /// Whether it is open on a day.
    pub fn in_force_on(&self, day: Date) -> bool {
        holds(self.in_force_from, self.in_force_to, day)
    }

    /// What a person of a status pays on a day; none where nobody said.
    pub fn fee(&self, status: &str, day: Date) -> Option<&Fee> {
        self.fees.iter().find(|fee| fee.status == status && holds(fee.from, fee.to, day))
    }
}

/// What the post adds to a way (*dịch vụ bưu chính công ích*).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Post {
    /// Working days on the road, there and back.
    pub working_days: u16,
    /// Postage, VND; none where the tariff is not known: then what the way costs is not known either.
    pub vnd: Option<u32>,
    /// How well it is known.
    pub confidence: Confidence,
}

/// What everybody pays by the month (*mức đóng*), whichever way is taken: a part of the base salary (*lương cơ sở*).
#[derive(Debug, Clone)]
pub struct Contribution {
    /// The base salary, VND by the month; none where it is not known.
    pub base_vnd: Option<u32>,
    /// Thousandths of it that the first member of a household pays.
    pub per_mille: u16,
    /// What each further member pays, in hundredths of what the first does; the last holds for all who follow.
    pub member_percents: Vec<u8>,
    /// First day.
    pub from: Date,
    /// Last day; none while no end is known.
    pub to: Option<Date>,
    /// The article.
    pub reference: Text,
    /// How well it is known.
    pub confidence: Confidence,
    /// Where it was read, a web address; there is one unless it is unsourced.
    pub source: Option<String>,
}

impl Contribution {
    /// Whether it holds on a day.
    pub fn holds(&self, day: Date) -> bool {
        holds(self.from, self.to, day)
    }
}

/// What a way costs people of one status during one term, without postage.
#[derive(Debug, Clone)]
pub struct Fee {
    /// The status.
    pub status: String,
    /// VND; none where it is only known that there is such a fee, or such a waiver.
    pub vnd: Option<u32>,
    /// What is known instead of the amount, as a person reads it; there is one where the amount is not known.
    pub unknown: Option<Text>,
    /// First day.
    pub from: Date,
    /// Last day; none while no end is known.
    pub to: Option<Date>,
    /// The article.
    pub reference: Text,
    /// How well it is known.
    pub confidence: Confidence,
    /// Where it was read, a web address; there is one unless it is unsourced.
    pub source: Option<String>,
}

fn holds(from: Date, to: Option<Date>, day: Date) -> bool {
    from <= day && to.is_none_or(|to| day <= to)
}
