//! An agency's request, as written and as checked.
//!
//! `reader` keeps lines, `check` reads every file of `pipelines/` and returns a
//! [`Pipeline`] together with *all* faults. The rest of the program sees only
//! the checked form. This module reads files under `pipelines/` and nothing
//! else: no database, no network, no secret, no clock.

pub mod authorisation;
pub mod check;
pub mod filter;
pub mod law;
pub mod reader;
pub mod secret;

use std::path::PathBuf;

use num_rational::Ratio;

use crate::calendar::AsOf;
use crate::language::Text;
use authorisation::{Authorisation, Class, Purpose};
use filter::Filter;
use law::Law;
use secret::SecretRef;

pub use check::{agencies, read};

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
    /// How messages leave.
    pub channel: Channel,
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
    /// How published figures are protected; without one, nothing is published.
    pub privacy: Option<PrivacyPolicy>,
}

impl Pipeline {
    /// The source of this name.
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.name == name)
    }

    /// The end of the longest notice that the agency gives of anything: `$until` of its filters.
    pub fn until(&self, as_of: AsOf) -> jiff::civil::Date {
        use jiff::ToSpan;
        let longest_days = self.items.iter().flat_map(|item| &item.notice_days).copied().max().unwrap_or(0);
        as_of.date().saturating_add(i64::from(longest_days).days())
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
    /// Level of proactive service, 1 to 4 (Decree 224/2026, Art. 16: *nhắc*, *chuẩn bị hồ sơ*, *khuyến nghị*, *tự động thực hiện*); only the first is built.
    pub level: u8,
    /// The rules its due date depends on.
    pub rules: Vec<String>,
    /// Days before the due date on which a reminder goes out, the longest first. Each is a stage.
    pub notice_days: Vec<u16>,
    /// Code in the national catalogue of procedures, where one is sourced.
    pub procedure_code: Option<String>,
    /// Path on the agency's portal where it is done.
    pub procedure_path: String,
    /// What happens to a message that a crash left uncertain.
    pub uncertain: Uncertain,
}

/// What happens to a message of which a crash left unknown whether the peer took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncertain {
    /// Send it again: better twice than never.
    Resend,
    /// Leave it to a clerk: better asked than twice.
    LeaveToClerk,
}

/// How messages leave the building. A closed list: real, or into a folder.
#[derive(Debug, Clone)]
pub struct Channel {
    /// The address in `From`.
    pub from: String,
    /// The name beside it.
    pub from_name: Text,
    /// Which one.
    pub kind: ChannelKind,
}

impl Channel {
    /// Whether sending a message again does nothing where it had left before.
    pub fn is_repeatable(&self) -> bool {
        matches!(self.kind, ChannelKind::Folder)
    }

    /// The word in the outbox's key.
    pub fn name(&self) -> &'static str {
        match self.kind {
            ChannelKind::Folder => "folder",
            ChannelKind::Smtp(_) => "smtp",
        }
    }
}

/// The channels.
#[derive(Debug, Clone)]
pub enum ChannelKind {
    /// One `.eml` file per message in `outbox/` of the state folder.
    Folder,
    /// A mail server.
    Smtp(Smtp),
}

/// A mail server.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// Account and the reference to its password.
    pub credentials: Option<(String, SecretRef)>,
    /// How many connections at once.
    pub connections: usize,
}

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Not at all: loopback only, refused elsewhere.
    None,
    /// `STARTTLS`, required.
    StartTls,
    /// TLS from the first byte.
    Wrapped,
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

/// A database or a folder that the agency may read.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its word; landed tables are called `<source>.<table>`.
    pub name: String,
    /// Its name for people.
    pub title: Text,
    /// What kind, and where.
    pub kind: SourceKind,
    /// On what ground it is read.
    pub authorisation: Authorisation,
    /// What is read from it.
    pub tables: Vec<SourceTable>,
}

/// Where a source is.
#[derive(Debug, Clone)]
pub enum SourceKind {
    /// An SQLite file.
    Sqlite {
        /// Relative to the installation folder.
        path: PathBuf,
    },
    /// A folder of CSV files.
    Csv {
        /// Relative to the installation folder.
        path: PathBuf,
        /// One byte between fields.
        delimiter: u8,
    },
    /// A folder of files with one JSON object per line.
    NdJson {
        /// Relative to the installation folder.
        path: PathBuf,
    },
    /// A folder of workbooks; `from` names the file and, after `#`, the sheet.
    Excel {
        /// Relative to the installation folder.
        path: PathBuf,
    },
    /// A folder of Parquet files.
    Parquet {
        /// Relative to the installation folder.
        path: PathBuf,
    },
    /// Parquet files in an S3-compatible store.
    ObjectStore(Bucket),
    /// A PostgreSQL server, version 14 or newer.
    Postgres(Server),
    /// A MySQL or MariaDB server.
    Mysql(Server),
    /// Whatever an ODBC driver reaches: SQL Server, Oracle, Db2.
    Odbc {
        /// The connection string, without a secret: `Driver={…};Server=…;UID=…`.
        connection: String,
        /// Reference to the password, which is added as `PWD=`.
        password: Option<SecretRef>,
    },
}

impl SourceKind {
    /// The word of the files.
    pub fn word(&self) -> &'static str {
        match self {
            SourceKind::Sqlite { .. } => "sqlite",
            SourceKind::Csv { .. } => "csv",
            SourceKind::NdJson { .. } => "ndjson",
            SourceKind::Excel { .. } => "excel",
            SourceKind::Parquet { .. } => "parquet",
            SourceKind::ObjectStore(_) => "s3",
            SourceKind::Postgres(_) => "postgres",
            SourceKind::Mysql(_) => "mysql",
            SourceKind::Odbc { .. } => "odbc",
        }
    }
}

/// Where a database server is, and as whom to connect.
///
/// A server that is not on this machine is reached over TLS, with its
/// certificate and its name verified; there is no other way.
#[derive(Debug, Clone)]
pub struct Server {
    /// Host name, address, or folder of a Unix socket (for MySQL, the socket itself).
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub database: String,
    /// Account.
    pub user: String,
    /// Reference to its password.
    pub password: Option<SecretRef>,
    /// Certificates of the authorities to trust (PEM), relative to the installation folder; none means
    /// those of the system. With it, TLS is used on this machine too.
    pub authority: Option<PathBuf>,
    /// How many connections read one table at once, 1 to 16.
    pub readers: u8,
    /// How long it may say nothing while we wait for it, before it is given up, 1 to 86,400 seconds.
    pub silence_seconds: u32,
}

/// A bucket of an S3-compatible store.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// `https://host`, or `http://` on this machine.
    pub endpoint: String,
    /// Its region, as the store names it.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What the names of the files begin with.
    pub prefix: String,
    /// Reference to the access key.
    pub access_key: SecretRef,
    /// Reference to the secret key.
    pub secret_key: SecretRef,
}

/// A table of a source: a declared select.
#[derive(Debug, Clone)]
pub struct SourceTable {
    /// Its word; the landed table is `<source>.<name>`.
    pub name: String,
    /// Table or view at the source, where it differs from `name`; for files, the file's name.
    pub from: String,
    /// The columns that identify a row.
    pub key: Vec<String>,
    /// The columns granted, in alphabetical order.
    pub columns: Vec<Column>,
    /// Which rows are asked for; none means all.
    pub filter: Option<Filter>,
    /// The date that its obligation is computed from: what is landed is sorted by it. None means by key.
    pub driving_date: Option<String>,
    /// How it is read on the nights after the first.
    pub load: Load,
    /// How many generations are kept, tonight's included.
    pub keep_generations: u16,
    /// The change of volume from one night to the next that a person must look at.
    pub volume: VolumeBound,
    /// Columns whose sums the source computes beside the count, to be compared with what landed.
    pub control_totals: Vec<String>,
    /// Where in the pipeline file it stands.
    pub line: Option<usize>,
}

/// How a table is read on the nights after the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Load {
    /// All rows that the filter lets through, every night.
    Snapshot,
    /// The rows changed since, by a cursor.
    Incremental {
        /// A column that never falls when a row changes: `updated_at`, or a counter.
        cursor: String,
        /// How far before the last cursor to begin, for rows that were committed late: minutes of an
        /// instant or a timestamp, days of a date, steps of a number.
        overlap: u32,
        /// After so many days all keys are compared, and what was deleted at the source goes.
        compare_days: u16,
    },
}

/// How much a table's volume may change from the last night that was not held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeBound {
    /// The most that may be lost, in percent.
    pub drop_percent: u32,
    /// The most that may be added, in percent; none means any.
    pub rise_percent: Option<u32>,
    /// Changes of fewer rows are not looked at.
    pub least_rows: u64,
}

impl Default for VolumeBound {
    fn default() -> Self {
        VolumeBound { drop_percent: 20, rise_percent: None, least_rows: 50 }
    }
}

/// How many generations of a table are kept when its pipeline does not say: tonight's and the one before.
pub const GENERATIONS_KEPT: u16 = 2;

impl SourceTable {
    /// A table that is read whole every night, sorted by its key.
    pub fn snapshot(name: &str, from: &str, key: Vec<String>, columns: Vec<Column>) -> Self {
        SourceTable {
            name: name.to_owned(),
            from: from.to_owned(),
            key,
            columns,
            filter: None,
            driving_date: None,
            load: Load::Snapshot,
            keep_generations: GENERATIONS_KEPT,
            volume: VolumeBound::default(),
            control_totals: Vec::new(),
            line: None,
        }
    }

    /// The granted column of this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// A column of a landed or a standard table.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// Whom it concerns.
    pub class: Class,
    /// What it may be used for, where that is less than its source is granted for.
    pub purposes: Option<Vec<Purpose>>,
    /// How text is read as a date, in `strftime` letters (`%d/%m/%Y`); none means ISO 8601.
    pub format: Option<String>,
    /// What happens to a row whose value is not of this type.
    pub on_fault: OnFault,
    /// Whether it holds the number by which a person is known: what erasing one person looks for.
    pub is_subject: bool,
    /// Whether it may be empty. Columns of sources may; key columns never.
    pub nullable: bool,
    /// What it means, where the file says so.
    pub meaning: Option<String>,
}

/// The types of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// UTF-8, brought to NFC.
    Text,
    /// 64 bits with a sign.
    Int,
    /// Double precision, finite.
    Float,
    /// Yes or no.
    Bool,
    /// A civil date, year 1900 to 2200.
    Date,
    /// An exact number.
    Decimal {
        /// How many digits it has in all, 1 to 76.
        digits: u8,
        /// How many of them stand behind the point.
        scale: u8,
    },
    /// A civil date and time without a zone, in microseconds, year 1900 to 2200.
    Timestamp,
    /// A moment, in microseconds of UTC, year 1900 to 2200.
    Instant,
    /// A time of day, in microseconds.
    Time,
    /// Months, days and microseconds, each by itself.
    Interval,
    /// Bytes.
    Bytes,
    /// A list of values, of which any may be empty. Exact numbers are listed as text.
    List(Family),
}

/// What types have in common, whatever their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// See [`Type::Text`].
    Text,
    /// See [`Type::Int`].
    Int,
    /// See [`Type::Float`].
    Float,
    /// See [`Type::Bool`].
    Bool,
    /// See [`Type::Date`].
    Date,
    /// See [`Type::Decimal`].
    Decimal,
    /// See [`Type::Timestamp`].
    Timestamp,
    /// See [`Type::Instant`].
    Instant,
    /// See [`Type::Time`].
    Time,
    /// See [`Type::Interval`].
    Interval,
    /// See [`Type::Bytes`].
    Bytes,
}

impl Family {
    /// The words of the files.
    pub const WORDS: [(&'static str, Family); 11] = [
        ("text", Family::Text),
        ("int", Family::Int),
        ("float", Family::Float),
        ("bool", Family::Bool),
        ("date", Family::Date),
        ("decimal", Family::Decimal),
        ("timestamp", Family::Timestamp),
        ("instant", Family::Instant),
        ("time", Family::Time),
        ("interval", Family::Interval),
        ("bytes", Family::Bytes),
    ];

    /// The word of the files.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, family)| *family == self).map_or("?", |(word, _)| word)
    }

    /// The type of one value of a list.
    pub fn element(self) -> Type {
        match self {
            Family::Text | Family::Decimal => Type::Text,
            Family::Int => Type::Int,
            Family::Float => Type::Float,
            Family::Bool => Type::Bool,
            Family::Date => Type::Date,
            Family::Timestamp => Type::Timestamp,
            Family::Instant => Type::Instant,
            Family::Time => Type::Time,
            Family::Interval => Type::Interval,
            Family::Bytes => Type::Bytes,
        }
    }
}

impl Type {
    /// The type that a file names: `date`, `decimal(18,2)`, `text[]`.
    pub fn parse(text: &str) -> Option<Type> {
        let family = |word: &str| Family::WORDS.iter().find(|(known, _)| *known == word).map(|(_, family)| *family);
        if let Some(word) = text.strip_suffix("[]") {
            return family(word).filter(|family| *family != Family::Decimal).map(Type::List);
        }
        if let Some(sizes) = text.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')) {
            let (digits, scale) = sizes.split_once(',')?;
            let (digits, scale) = (digits.trim().parse().ok()?, scale.trim().parse().ok()?);
            return (1..=76)
                .contains(&digits)
                .then_some(())
                .filter(|()| scale <= digits)
                .map(|()| Type::Decimal { digits, scale });
        }
        family(text).filter(|family| *family != Family::Decimal).map(Family::element)
    }

    /// The word of the files.
    pub fn word(self) -> String {
        match self {
            Type::Decimal { digits, scale } => format!("decimal({digits},{scale})"),
            Type::List(family) => format!("{}[]", family.word()),
            other => other.family().word().to_owned(),
        }
    }

    /// What it has in common with others; for a list, that of its values.
    pub fn family(self) -> Family {
        match self {
            Type::Text => Family::Text,
            Type::Int => Family::Int,
            Type::Float => Family::Float,
            Type::Bool => Family::Bool,
            Type::Date => Family::Date,
            Type::Decimal { .. } => Family::Decimal,
            Type::Timestamp => Family::Timestamp,
            Type::Instant => Family::Instant,
            Type::Time => Family::Time,
            Type::Interval => Family::Interval,
            Type::Bytes => Family::Bytes,
            Type::List(family) => family,
        }
    }

    /// The Arrow type.
    pub fn arrow(self) -> arrow::datatypes::DataType {
        use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
        match self {
            Type::Text => DataType::Utf8,
            Type::Int => DataType::Int64,
            Type::Float => DataType::Float64,
            Type::Bool => DataType::Boolean,
            Type::Date => DataType::Date32,
            // A scale is at most the digits, and so at most 76.
            Type::Decimal { digits, scale } if digits <= 38 => DataType::Decimal128(digits, scale as i8),
            Type::Decimal { digits, scale } => DataType::Decimal256(digits, scale as i8),
            Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Type::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            Type::Time => DataType::Time64(TimeUnit::Microsecond),
            Type::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Type::Bytes => DataType::Binary,
            Type::List(family) => {
                DataType::List(std::sync::Arc::new(Field::new_list_field(family.element().arrow(), true)))
            }
        }
    }
}

/// What happens to a row with a value that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFault {
    /// The pull of the table stops.
    Error,
    /// The row is set aside with its reason, and counted.
    Quarantine,
    /// The value becomes empty, and is counted.
    Null,
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
    /// What is measured, each with noise of its own.
    pub measures: Vec<Measure>,
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
