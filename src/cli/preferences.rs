//! The verb `preferences`: what people said on paper, at a counter or by telephone goes into the ledger by a file.

use std::path::{Path, PathBuf};

use jiff::civil::Date;
use unicode_normalization::UnicodeNormalization;

use super::{Ended, ReportFormat, explained, json, print, read_pipeline};
use crate::calendar::{AsOf, WorkingDays};
use crate::fault::{Fault, Place};
use crate::ledger::{ALL, Asked, Ledger, Preference, RECOMMENDATIONS, Request, Stance};
use crate::personal::{Personal, PseudonymKey};
use crate::pipeline::Pipeline;
use crate::pipeline::options::Criterion;
use crate::world::World;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Preferences {
    /// Take what people said from a CSV file: all of it, or nothing where a row is wrong. Taken twice, it acts once.
    ///
    /// Columns: subject_id, request (refuse, want, language, access, rectify, restrict or delete), item and channel
    /// (empty for all; the item recommendations for those alone, with cost, visits, time, documents or duties as the
    /// channel for what counts first), language (vi or en), received_on, acknowledged_on, done_on. A refusal holds at once. The file
    /// names people: let only its owner read it, and delete it afterwards.
    Import {
        /// The file, in UTF-8.
        file: PathBuf,
    },
    /// List the requests under the data law that are open, with their clocks; by pseudonym, no person is named.
    Requests {
        /// How to print them.
        #[arg(long, value_enum, default_value_t)]
        format: ReportFormat,
    },
}

pub(super) fn preferences(
    root: PathBuf,
    agency: &str,
    state: PathBuf,
    verb: &Preferences,
) -> Result<Ended, Vec<Fault>> {
    let pipeline = read_pipeline(&root, agency)?;
    match verb {
        Preferences::Import { file } => import(&World::new(root, state), &pipeline, file),
        Preferences::Requests { format } => requests(&state, &pipeline, *format),
    }
}

/// What the rows of a file come to.
#[derive(Debug, Default)]
struct Wishes {
    preferences: Vec<Preference>,
    requests: Vec<Request>,
    faults: Vec<Fault>,
}

/// The first rows that are wrong, and how many more there are: of a file in another form all of them are.
fn first_of(file: &Path, mut faults: Vec<Fault>) -> Vec<Fault> {
    const SHOWN: usize = 20;
    let more = faults.len().saturating_sub(SHOWN);
    if more > 0 {
        faults.truncate(SHOWN);
        let what = format!("{more} more rows are wrong");
        let next = "look whether the columns are those of `chudong preferences import --help`; nothing was taken";
        faults.push(Fault::new("preferences.rows", Place::file(file), what, next));
    }
    faults
}

impl Wishes {
    /// A refusal that was done before stays done on that day: whoever takes its row again, to say when its receipt was
    /// confirmed, does not do it again.
    fn keep_days(&mut self, known: &[Request]) {
        for request in &mut self.requests {
            let is_same = |other: &&Request| {
                other.subject == request.subject
                    && other.kind == request.kind
                    && other.item == request.item
                    && other.channel == request.channel
                    && other.received_on == request.received_on
            };
            let before = known.iter().find(is_same).and_then(|other| other.done_on);
            if request.kind == Asked::Refuse.word() {
                request.done_on = before.into_iter().chain(request.done_on).min();
            }
        }
    }
}

fn import(world: &World, pipeline: &Pipeline, file: &Path) -> Result<Ended, Vec<Fault>> {
    let bytes = std::fs::read(file).map_err(|error| {
        let next = "name a file that this account may read";
        vec![Fault::new("preferences.unreadable", Place::file(file), format!("it cannot be read: {error}"), next)]
    })?;
    let key = world.opening_pseudonym_key().map_err(explained)?;
    let reader = Reader { file, pipeline, key: &key, today: AsOf::today().date() };
    let mut wishes = reader.read(&bytes);
    if !wishes.faults.is_empty() {
        return Err(first_of(file, wishes.faults));
    }
    // The head of the ledger is noted when a run ends; until then these entries lie after it.
    let mut ledger = Ledger::open(&world.state, &pipeline.id).map_err(explained)?;
    wishes.keep_days(&ledger.requests(Date::MIN).map_err(explained)?);
    let added = ledger.prefer(&wishes.preferences, &wishes.requests).map_err(explained)?;
    let rows = wishes.preferences.len() + wishes.requests.len();
    let late = wishes.requests.iter().filter(|request| request.is_late(reader.today)).count();
    // A refusal is done by being written down, and may have waited for that for longer than it may.
    let past = if late > 0 { format!("; {late} past their day") } else { String::new() };
    print(&format!("{added} written down, {} known already{past}\n", rows.saturating_sub(added)))?;
    Ok(Ended::Done)
}

struct Reader<'a> {
    file: &'a Path,
    pipeline: &'a Pipeline,
    key: &'a PseudonymKey,
    today: Date,
}

const COLUMNS: [&str; 8] =
    ["subject_id", "request", "item", "channel", "language", "received_on", "acknowledged_on", "done_on"];

impl Reader<'_> {
    fn read(&self, bytes: &[u8]) -> Wishes {
        let mut wishes = Wishes::default();
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
        let header = reader.headers().ok().map(|header| header.iter().map(str::to_owned).collect::<Vec<_>>());
        if header.is_none_or(|header| header != COLUMNS) {
            let next = format!("let the first line be {}", COLUMNS.join(","));
            let place = Place::line(self.file, 1);
            wishes.faults.push(Fault::new("preferences.header", place, "this is not the header of the file", next));
            return wishes;
        }
        let working = self.pipeline.calendar.known_on(self.today);
        for record in reader.records() {
            let line = |record: &csv::StringRecord| {
                record.position().and_then(|position| usize::try_from(position.line()).ok()).unwrap_or(0)
            };
            match record {
                Ok(record) => {
                    let line = line(&record);
                    if let Err((what, next)) = self.row(&record, &working, &mut wishes) {
                        wishes.faults.push(Fault::new("preferences.row", Place::line(self.file, line), what, next));
                    }
                }
                Err(error) => {
                    // The library's words may hold what stands in the row.
                    let line = error.position().and_then(|position| usize::try_from(position.line()).ok()).unwrap_or(0);
                    let what = "the row has another number of fields than the header, or is not UTF-8";
                    let place = Place::line(self.file, line);
                    wishes.faults.push(Fault::new("preferences.row", place, what, "correct the row"));
                }
            }
        }
        wishes
    }

    /// What one row says; no fault repeats a value of a person.
    fn row(&self, row: &csv::StringRecord, working: &WorkingDays, wishes: &mut Wishes) -> Result<(), Refused> {
        let field = |name: &str| {
            let at = COLUMNS.iter().position(|column| *column == name);
            at.and_then(|at| row.get(at)).filter(|text| !text.is_empty())
        };
        let number: String = field("subject_id").unwrap_or_default().nfc().collect();
        if number.is_empty() {
            return Err(("subject_id is empty".into(), "write the person's number as the registers have it"));
        }
        let subject = self.key.pseudonym(&Personal::new(number));
        let item = field("item").unwrap_or(ALL);
        if ![ALL, RECOMMENDATIONS].contains(&item) && self.pipeline.item(item).is_none() {
            return Err((
                "item is none of the pipeline's".into(),
                "write the name of an item, recommendations, or leave it empty for all",
            ));
        }
        let channel = field("channel").unwrap_or(ALL);
        // Of recommendations it says what counts first for the person.
        let is_criterion = item == RECOMMENDATIONS && Criterion::WORDS.iter().any(|(word, _)| *word == channel);
        if channel != ALL && !is_criterion && self.pipeline.channel(channel).is_none() {
            return Err((
                "channel is none of the pipeline's".into(),
                "write the name of a channel, or leave it empty for all",
            ));
        }
        let language = field("language");
        if language.is_some_and(|tag| !matches!(tag, "vi" | "en")) {
            return Err(("language is neither vi nor en".into(), "write vi or en, or leave it empty"));
        }
        let date = |name: &str| self.date(name, field(name));
        let received_on = date("received_on")?.ok_or(("received_on is empty".into(), DATE))?;
        let (acknowledged_on, done_on) = (date("acknowledged_on")?, date("done_on")?);
        let word = field("request").unwrap_or_default();
        let prefer = |stance: Option<Stance>| Preference {
            subject: subject.clone(),
            item: item.to_owned(),
            channel: channel.to_owned(),
            stance,
            language: language.map(str::to_owned),
            since: received_on,
            how: "file",
        };
        let asked = Asked::WORDS.iter().find(|(known, _)| *known == word).map(|(_, asked)| *asked);
        match (word, asked) {
            ("want", _) => wishes.preferences.push(prefer(Some(Stance::Wanted))),
            ("language", _) if language.is_some() => wishes.preferences.push(prefer(None)),
            (_, Some(asked)) => {
                let open = Request::received(&subject, asked, (item, channel), received_on, working);
                let is_refusal = matches!(asked, Asked::Refuse | Asked::Restrict);
                if is_refusal {
                    wishes.preferences.push(prefer(Some(Stance::Refused)));
                }
                // A refusal is done by being written down. That nobody has told the person so stays open.
                let done_on = done_on.or((asked == Asked::Refuse).then_some(self.today));
                wishes.requests.push(Request { acknowledged_on, done_on, ..open });
            }
            _ => return Err(("request is not known, or language is empty".into(), REQUEST)),
        }
        Ok(())
    }

    fn date(&self, name: &str, text: Option<&str>) -> Result<Option<Date>, Refused> {
        match text.map(str::parse::<Date>) {
            None => Ok(None),
            Some(Ok(date)) if date <= self.today => Ok(Some(date)),
            Some(Ok(_)) => Err((format!("{name} lies in the future"), DATE)),
            Some(Err(_)) => Err((format!("{name} is not a date"), DATE)),
        }
    }
}

/// What is wrong with a row, and what to do.
type Refused = (String, &'static str);

const DATE: &str = "write the day like 2026-11-21, today or earlier";
const REQUEST: &str = "write one of refuse, want, language, access, rectify, restrict, delete";

fn requests(state: &Path, pipeline: &Pipeline, format: ReportFormat) -> Result<Ended, Vec<Fault>> {
    let ledger = Ledger::read(state).map_err(explained)?;
    ledger.belongs_to(&pipeline.id).map_err(explained)?;
    let today = AsOf::today().date();
    let requests: Vec<Request> = ledger.requests(today).map_err(explained)?;
    let open: Vec<&Request> = requests.iter().filter(|request| request.is_open()).collect();
    let late = open.iter().filter(|request| request.is_late(today)).count();
    match format {
        ReportFormat::Json => {
            let line = |request: &&Request| {
                serde_json::json!({
                    "subject": request.subject, "request": request.kind, "item": request.item,
                    "channel": request.channel, "received_on": request.received_on.to_string(),
                    "acknowledge_by": request.acknowledge_by.to_string(), "due_on": request.due_on.to_string(),
                    "done_on": request.done_on.map(|on| on.to_string()),
                    "acknowledged_on": request.acknowledged_on.map(|on| on.to_string()),
                    "is_late": request.is_late(today),
                })
            };
            print(&json(&open.iter().map(line).collect::<Vec<_>>()))?;
        }
        ReportFormat::Text => {
            for request in &open {
                let late = if request.is_late(today) { "  LATE" } else { "" };
                let done = request.done_on.map_or_else(String::new, |on| format!("  done {on}, receipt not confirmed"));
                print(&format!(
                    "{}  {:<8} received {}  acknowledge by {}  due {}{done}{late}\n",
                    request.subject, request.kind, request.received_on, request.acknowledge_by, request.due_on
                ))?;
            }
            print(&format!("{} open, {late} past their day\n", open.len()))?;
        }
    }
    Ok(if late > 0 { Ended::Held } else { Ended::Done })
}
