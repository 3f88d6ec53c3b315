//! An agency's request, as written and as checked.
//!
//! `reader` keeps lines, `check` reads every file of `pipelines/` and returns a
//! [`Pipeline`] together with *all* faults. The rest of the program sees only
//! the checked form. This module reads files under `pipelines/` and nothing
//! else: no database, no network, no secret, no clock.

pub mod attention;
pub mod authorisation;
pub mod blind;
pub mod calendar;
pub mod check;
pub mod exact;
pub mod filter;
pub mod form;
pub mod indices;
pub mod law;
pub mod mail;
pub mod options;
pub mod publication;
pub mod reader;
pub mod retention;
pub mod secret;

mod channel;
mod column;
mod source;

use std::path::PathBuf;

use num_rational::Ratio;

use crate::calendar::AsOf;
use crate::language::Text;
use attention::{Attention, Consequence, Late, Serve};
use calendar::LegalCalendar;
use law::Law;

pub use channel::{
    Channel, ChannelKind, ChannelPace, Gateway, Hours, Parameter, RECHECK_MINUTES, Reach, Smtp, Template, Tls, Webhook,
    Zns, is_public, leads_into_private_network,
};
pub use check::{agencies, catalogue, is_word, items, read};
pub use column::{Column, Family, OnFault, Type};
pub use source::{Bucket, GENERATIONS_KEPT, Load, Server, Source, SourceKind, SourceTable, VolumeBound};

/// Everything an agency asks for, checked.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Name of the agency's folder under `pipelines/`.
    pub id: String,
    /// The file it was read from, relative to the installation folder.
    pub path: PathBuf,
    /// Who sends.
    pub agency: Agency,
    /// When it runs.
    pub schedule: Schedule,
    /// What it reminds of, in the order of the file.
    pub items: Vec<Item>,
    /// How messages leave, in the order of the file; never empty, and no two of one name.
    pub channels: Vec<Channel>,
    /// Signatures of mail, and where reports about it arrive.
    pub mail: mail::Mail,
    /// When people may be written to, and how often.
    pub attention: Attention,
    /// The process that answers when a person refuses; none where refusals come in by another way.
    pub serve: Option<Serve>,
    /// For how long what is sealed in the ledger stays there.
    pub retention: retention::Retention,
    /// The forms of the items whose dossiers it prepares; none where it only reminds.
    pub dossiers: Vec<form::Form>,
    /// Whether confirmed dossiers are printed and taken to whoever decides, where no portal takes them.
    pub dossiers_on_paper: bool,
    /// Where it is responsible.
    pub unit: Unit,
    /// Procedure groups, a code list shared by all agencies.
    pub procedure_groups: Vec<ProcedureGroup>,
    /// What it reads.
    pub sources: Vec<Source>,
    /// What obligations and figures may read.
    pub standard_tables: Vec<StandardTable>,
    /// Dated rules.
    pub law: Law,
    /// Indices of service quality, in alphabetical order.
    pub indices: Vec<indices::Definition>,
    /// Public holidays and swaps.
    pub calendar: LegalCalendar,
    /// How published figures are protected; without one, nothing is published.
    pub privacy: Option<PrivacyPolicy>,
    /// Which exact counts are published; without one, none is.
    pub exact: Option<exact::ExactPolicy>,
    /// What analysts may ask; without it, nobody may.
    pub analysts: Option<exact::Analysts>,
    /// The ways that lead to one outcome, and how one of them is recommended.
    pub options: options::Options,
    /// How published figures stand on the shelf: where, signed with what, held when.
    pub publication: publication::Terms,
    /// The rating system that is told of published figures; none where it is not.
    pub push: Option<publication::Push>,
    /// The portal that takes confirmed dossiers; none where they leave on paper.
    pub submission: Option<publication::Submission>,
}

impl Pipeline {
    /// The source of this name.
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.name == name)
    }

    /// The channel of this name.
    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name == name)
    }

    /// How old what was read of the sources may be when a message leaves, in minutes: the strictest channel's.
    pub fn recheck_minutes(&self) -> u16 {
        self.channels.iter().map(|channel| channel.recheck_minutes).min().unwrap_or(RECHECK_MINUTES)
    }

    /// The end of the longest notice that the agency gives of anything: `$until` of its filters.
    pub fn until(&self, as_of: AsOf) -> jiff::civil::Date {
        use jiff::ToSpan;
        let ahead_days = self.items.iter().map(Item::ahead_days).max().unwrap_or(0);
        as_of.date().saturating_add(ahead_days.days())
    }

    /// The last day on which obligations could have been due that are still followed: `$since` of its filters.
    pub fn since(&self, as_of: AsOf) -> jiff::civil::Date {
        use jiff::ToSpan;
        let longest_days = self.items.iter().map(|item| item.settle_days).max().unwrap_or(0);
        as_of.date().saturating_sub(i64::from(longest_days).days())
    }

    /// The form of an item whose dossiers are prepared.
    pub fn form(&self, item: &str) -> Option<&form::Form> {
        self.dossiers.iter().find(|form| form.item == item)
    }

    /// The item of this name.
    pub fn item(&self, id: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.id == id)
    }
}

/// The agency that sends and publishes.
#[derive(Debug, Clone)]
pub struct Agency {
    /// Its name.
    pub name: Text,
    /// Base address of its portal, without a slash at the end.
    pub portal: String,
    /// The page on which a person refuses reminders.
    pub refuse: String,
    /// How to reach it, in words.
    pub contact: Text,
}

/// When the nightly job runs.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Five Unix fields: minute, hour, day of month, month, day of week; in Vietnam's time.
    pub cron: String,
    /// What to do about nights that did not run.
    pub missed: Missed,
}

/// What to do about nights that did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// Nothing.
    None,
    /// Run the last one missed.
    Last,
    /// Run each, in order.
    All,
}

/// An obligation that the agency has switched on.
#[derive(Debug, Clone)]
pub struct Item {
    /// Name of its folder, of its SQL file, of its table.
    pub id: String,
    /// What a person has to do.
    pub title: Text,
    /// Level of proactive service, 1 to 4 (Decree 224/2026, Art. 16: *nhắc*, *chuẩn bị hồ sơ*, *khuyến nghị*, *tự động thực hiện*): 2 or more where the agency prepares its dossier.
    pub level: u8,
    /// The rules its due date depends on.
    pub rules: Vec<String>,
    /// Days before the due date on which a reminder goes out, the longest first. Each is a stage.
    pub notice_days: Vec<u16>,
    /// Days after the due date for which it is still followed: what is done by then was done late, not left undone.
    pub settle_days: u16,
    /// Whose duty it is.
    pub audience: Audience,
    /// How well its sources are known: A or B.
    pub confidence: String,
    /// The change from one night to the next that holds it for a person; none where no change does.
    pub hold_change: Option<ChangeBound>,
    /// Code in the national catalogue of procedures, where one is sourced.
    pub procedure_code: Option<String>,
    /// How many days before the due date a dossier of that procedure can be filed for it: one that was settles it. None
    /// where a dossier does not say whose obligation it is of, as with an employer's many permits.
    pub dossier_days: Option<u16>,
    /// Whether its register extends what ends by giving it a later day, so that nothing else says that it was done.
    pub renewed_in_place: bool,
    /// Path on the agency's portal where it is done; none means the portal itself.
    pub procedure_path: Option<String>,
    /// What happens to a message that a crash left uncertain.
    pub uncertain: Uncertain,
    /// The channels by which it leaves, in the order in which they are tried; names of the pipeline's, never empty.
    pub channels: Vec<String>,
    /// What comes first when not all can be sent at once.
    pub consequence: Consequence,
    /// What becomes of a message whose day went by unsent.
    pub late: Late,
    /// Days after its day from which a message is late.
    pub late_after_days: u16,
    /// Days after its day until which a message is valid; none where it is until the obligation is due.
    pub valid_days: Option<u16>,
    /// How many days before its notice a message may leave: the agency's.
    pub lead_days: u16,
}

/// How many more or fewer obligations of an item than on the last night a person must look at: both are exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeBound {
    /// Of what there was.
    pub percent: u32,
    /// Obligations, of the item or of one commune.
    pub least: u32,
}

impl Default for ChangeBound {
    fn default() -> Self {
        ChangeBound { percent: 50, least: 100 }
    }
}

/// `settle_days` of an item that does not say.
pub const SETTLE_DAYS: u16 = 30;

impl Item {
    /// The dates between which obligations are asked for on a night: `$since` and `$until` of its select.
    pub fn window(&self, as_of: AsOf) -> (jiff::civil::Date, jiff::civil::Date) {
        use jiff::ToSpan;
        let since = as_of.date().saturating_sub(i64::from(self.settle_days).days());
        (since, as_of.date().saturating_add(self.ahead_days().days()))
    }

    /// Days between a night and the last due date that it looks at: the longest notice, and how much earlier than
    /// that a message may leave.
    fn ahead_days(&self) -> i64 {
        i64::from(self.notice_days.first().copied().unwrap_or(0)) + i64::from(self.lead_days)
    }

    /// Where on the agency's portal it is done.
    pub fn procedure_url(&self, agency: &Agency) -> String {
        format!("{}{}", agency.portal, self.procedure_path.as_deref().unwrap_or_default())
    }
}

/// Whose duty an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// A person's.
    Citizen,
    /// A household's, by the person who stands for it.
    Household,
    /// A business's.
    Business,
}

impl Audience {
    /// The words of item.toml.
    pub const WORDS: [(&'static str, Audience); 3] =
        [("citizen", Audience::Citizen), ("household", Audience::Household), ("business", Audience::Business)];
}

/// What happens to a message of which a crash left unknown whether the peer took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncertain {
    /// Send it again: better twice than never.
    Resend,
    /// Leave it to a clerk: better asked than twice.
    LeaveToClerk,
}

/// A province or another unit, with its communes (*xã, phường, đặc khu*).
#[derive(Debug, Clone)]
pub struct Unit {
    /// Code, Decision 19/2025/QĐ-TTg: two digits for a province.
    pub code: String,
    /// Its name.
    pub name: Text,
    /// Its communes, the public code list of published figures.
    pub communes: Vec<Commune>,
}

/// A commune.
#[derive(Debug, Clone)]
pub struct Commune {
    /// Five digits.
    pub code: String,
    /// Its name.
    pub name: Text,
}

/// Procedures that figures speak of together.
#[derive(Debug, Clone)]
pub struct ProcedureGroup {
    /// Its word in tables.
    pub id: String,
    /// Its name.
    pub name: Text,
    /// Codes of the national catalogue.
    pub procedures: Vec<String>,
}

/// A table that obligations and figures read.
#[derive(Debug, Clone)]
pub struct StandardTable {
    /// Its name; the table is `staging.<name>`.
    pub name: String,
    /// What one row is.
    pub meaning: Text,
    /// The columns that identify a row.
    pub grain: Vec<String>,
    /// Whether it is empty where an agency does not stage it, instead of not there.
    pub optional: bool,
    /// Its columns, in alphabetical order.
    pub columns: Vec<Column>,
}

/// An exact budget or cost in zero-concentrated differential privacy (Bun and Steinke 2016).
pub type Rho = Ratio<i64>;

/// The exact sum; none when it does not fit into a fraction of 64-bit numbers.
pub fn add_rho(left: Rho, right: Rho) -> Option<Rho> {
    let wide = |n: i64| i128::from(n);
    let (a, b) = (wide(*left.numer()), wide(*left.denom()));
    let (c, d) = (wide(*right.numer()), wide(*right.denom()));
    // Each product is under 2^126, so that neither they nor their sum leave 128 bits.
    let sum = Ratio::new((a * d).checked_add(c * b)?, b * d);
    Some(Rho::new_raw(i64::try_from(*sum.numer()).ok()?, i64::try_from(*sum.denom()).ok()?))
}

/// How published figures are protected.
#[derive(Debug, Clone)]
pub struct PrivacyPolicy {
    /// Name and version; part of every release's identity.
    pub policy: String,
    /// The most that one person's activity in one month may cost.
    pub rho_cap: Rho,
    /// For stating the cost as (epsilon, delta), as written (`1e-9`).
    pub delta: f64,
    /// The first day of the first month that is published: said here, never read off the data.
    pub first_month: jiff::civil::Date,
    /// Days after the end of a month before it is published.
    pub close_after_days: u16,
    /// Ratings of one person that count in a month.
    pub ratings_per_person: u32,
    /// Dossiers of one person that count in a month.
    pub dossiers_per_person: u32,
    /// Whether each month is measured in two parts; in one, where nothing is said.
    pub editions: Option<Editions>,
    /// What is measured, each with noise of its own.
    pub measures: Vec<Measure>,
    /// What is measured of each week beside the months; nothing, where nothing is said.
    pub weekly: Option<Weekly>,
}

/// Weekly increments: tables of dossiers that were due in days 1 to 7, 8 to 14, 15 to 21 and the rest of a month.
#[derive(Debug, Clone)]
pub struct Weekly {
    /// Days after the end of a week before it is drawn.
    pub after_days: u16,
    /// What is measured, each with noise of its own in each week.
    pub measures: Vec<Measure>,
}

/// Two editions of each month, of which the second takes in what came late. There is no third.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Editions {
    /// How much of the budget of each measure the first edition takes, in percent; the second takes the rest.
    pub first_percent: u8,
    /// Days after the end of a month before its second edition is drawn.
    pub second_after_days: u16,
}

/// One table of counts that is measured with noise.
#[derive(Debug, Clone)]
pub struct Measure {
    /// Name of the published table.
    pub table: String,
    /// What is counted.
    pub of: Counted,
    /// By what: nothing means the whole province.
    pub by: Vec<Dimension>,
    /// Into which bins.
    pub bins: Bins,
    /// Standard deviation of the discrete Gaussian noise in each count.
    pub sigma: u32,
    /// Cells whose noisy count is below this are rolled up.
    pub min_count: u32,
}

/// What a measure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// Ratings of service.
    Ratings,
    /// Dossiers received.
    Dossiers,
}

/// A dimension of published cells; its values come from a public code list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// `commune_code`.
    Commune,
    /// `procedure_group`.
    ProcedureGroup,
}

impl Dimension {
    /// The column that holds it.
    pub fn column(self) -> &'static str {
        match self {
            Dimension::Commune => "commune_code",
            Dimension::ProcedureGroup => "procedure_group",
        }
    }
}

/// Into which bins a measure counts. The bins of one measure do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bins {
    /// Five levels, 1 very dissatisfied to 5 very satisfied.
    Level,
    /// Satisfied (levels 4 and 5), or not.
    Satisfied,
    /// On time or late, online or not: four bins.
    TimelinessAndChannel,
}
