//! The verbs.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed: standard error says what, where, and what to do |
//! | 2 | wrong usage |
//! | 3 | done, but something is held for a person |

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use jiff::civil::Date;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::calendar::cron::Cron;
use crate::calendar::{AsOf, now, vietnam};
use crate::check::{self, Checked};
use crate::fault::{Explain, Fault, Place};
use crate::ledger::{Ledger, Lock, MessageKey, MessageState};
use crate::pipeline::{Missed, Pipeline};
use crate::report::Report;
use crate::samples;
use crate::sql::{Engine, cases};
use crate::tables::Table;
use crate::world::World;
use crate::{ledger, pipeline, query, run, schedule};

/// What a newcomer asks next.
const AFTER: &str = "\
Examples:
  chudong check                          is what I wrote sound?
  chudong plan                           what would tonight do?
  chudong run --as-of 2026-11-21         the night of a date, again if need be: it acts once
  chudong query --tables                 what may I ask?

Exit codes:
  0  done
  1  failed: standard error says what, where, and what to do
  2  wrong usage
  3  done, but something is held for a person

CHUDONG_LOG chooses what is logged: warn, info, debug.";

/// Proactive public services: from authorised databases to reminders, and from ratings to protected figures.
#[derive(Debug, Parser)]
#[command(name = "chudong", version, max_term_width = 100, after_help = AFTER)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// The installation folder, which holds pipelines/ and sql/.
    #[arg(long, global = true, env = "CHUDONG_ROOT", default_value = ".", value_name = "DIR", help_heading = "Where")]
    root: PathBuf,
    /// The agency, for the verbs that speak for one: a folder of pipelines/.
    #[arg(
        long,
        global = true,
        env = "CHUDONG_AGENCY",
        default_value = "an-binh",
        value_name = "NAME",
        help_heading = "Where"
    )]
    agency: String,
    /// The state folder, one for each agency: ledger, key, outbox, published figures.
    #[arg(
        long,
        global = true,
        env = "CHUDONG_STATE",
        default_value = "var",
        value_name = "DIR",
        help_heading = "Where"
    )]
    state: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say everything that is wrong with the pipelines, rules, messages and SQL of all agencies; touch nothing.
    Check,
    /// Say what tonight would send and publish, and how it differs from the last run; write nothing.
    Plan {
        #[command(flatten)]
        day: Day,
        /// How to print it.
        #[arg(long, value_enum, default_value_t)]
        format: ReportFormat,
    },
    /// Run the night: pull, compute, remind, publish. Run again, it sends and spends nothing twice.
    Run {
        #[command(flatten)]
        day: Day,
        /// How to print the summary.
        #[arg(long, value_enum, default_value_t)]
        format: ReportFormat,
        /// Accept that this table has lost rows since the last night; a person has looked.
        #[arg(long, value_name = "SOURCE.TABLE")]
        accept: Vec<String>,
    },
    /// Run each night at the time that the pipeline says, until stopped; a night that failed is tried again.
    Schedule {
        /// Print the next five times of every agency and end.
        #[arg(long)]
        list: bool,
    },
    /// Ask the published tables and the run history with SQL; nothing can be changed from here.
    Query {
        /// One select, for example: select * from history.runs
        #[arg(required_unless_present = "tables")]
        select: Option<String>,
        /// How to print the rows.
        #[arg(long, value_enum, default_value_t)]
        format: QueryFormat,
        /// List the tables and their columns.
        #[arg(long)]
        tables: bool,
        /// How long the answer may take.
        #[arg(long, default_value_t = 60, value_name = "N")]
        timeout_seconds: u64,
        /// Print every row, however many there are; otherwise more than 100,000 are refused.
        #[arg(long)]
        all_rows: bool,
    },
    /// Look at the ledger (what was pulled, sent and published), or verify it.
    Ledger {
        #[command(subcommand)]
        verb: LedgerVerb,
    },
    /// Prove the SQL with the case files in tests/cases: given rows, expected rows.
    ///
    /// With UPDATE_EXPECT=1 in the environment, the expected rows are rewritten with what came.
    Test {
        /// Only cases whose path contains this, for example: driving_licence
        filter: Option<String>,
    },
    /// Make synthetic data: large tables for measuring, or the sample agency's sources.
    Samples {
        /// How many people.
        #[arg(long, default_value_t = samples::DEFAULT_PEOPLE, value_name = "N")]
        people: u64,
        /// The same seed gives the same data.
        #[arg(long, default_value_t = samples::DEFAULT_SEED, value_name = "N")]
        seed: u64,
        /// The folder to write to; it is made if there is none.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// In which form.
        #[arg(long, value_enum, default_value_t)]
        format: SamplesFormat,
    },
    /// Print a completion script for a shell, for example: chudong completions bash > /etc/bash_completion.d/chudong
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, clap::Args)]
struct Day {
    /// The civil date in Vietnam that the run speaks for; today if left out.
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_of: Option<AsOf>,
}

#[derive(Debug, Subcommand)]
enum LedgerVerb {
    /// Print the newest entries.
    List {
        /// Only kinds that begin with this: run, pull, message, release.
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        /// How many entries, counted from the newest.
        #[arg(long, default_value_t = 20, value_name = "N")]
        last: usize,
        /// How to print them.
        #[arg(long, value_enum, default_value_t)]
        format: ReportFormat,
    },
    /// List the messages of which nobody knows whether they were taken: key, item and run.
    Uncertain,
    /// Write down what a person decided about an uncertain message, so that no night asks again.
    Settle {
        /// Its key, as `ledger uncertain` prints it.
        key: String,
        /// What was decided.
        #[arg(value_enum)]
        decision: Decision,
        /// Why, for whoever reads the ledger later; without names, numbers and addresses of people.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Find any entry that was changed, removed or moved, and name it.
    Verify,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Decision {
    /// It arrived, or need not arrive: it is not sent again.
    Accepted,
    /// It did not arrive: the next run sends it.
    Resend,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum ReportFormat {
    /// For a person.
    #[default]
    Text,
    /// For a program.
    Json,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum QueryFormat {
    /// Aligned columns.
    #[default]
    Table,
    /// Comma-separated, with a header.
    Csv,
    /// One object per row.
    Json,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum SamplesFormat {
    /// The standard tables, as Parquet and as CSV.
    #[default]
    Both,
    /// The standard tables as Parquet.
    Parquet,
    /// The standard tables as CSV.
    Csv,
    /// The sources of the sample agency: SQLite and CSV drops.
    Agency,
}

/// How a verb ended.
enum Ended {
    Done,
    Held,
    Failed,
}

/// The stack of the thread that plans SQL. A plan of many terms or arms is as deep as it is long, and
/// is walked by recursion; what is not used is only an address. `sql::library` caps the length.
const PLANNER_STACK_BYTES: usize = 1 << 28;

/// The stack of the threads that compute: they drop parts of such a plan.
const WORKER_STACK_BYTES: usize = 1 << 26;

/// Runs the verb of the command line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let planner = std::thread::Builder::new().stack_size(PLANNER_STACK_BYTES).spawn(move || work(cli));
    match planner.map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        // The panic was said where it happened; the exit code stays that of a panic.
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => ended(Err(vec![thread_fault(&error)])),
    }
}

fn work(cli: Cli) -> ExitCode {
    let workers =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(WORKER_STACK_BYTES).build();
    let runtime = match workers {
        Ok(runtime) => runtime,
        Err(error) => return ended(Err(vec![thread_fault(&error)])),
    };
    let is_query = matches!(cli.verb, Verb::Query { .. });
    let code = ended(runtime.block_on(verb(cli)));
    if is_query {
        // A query over its time may hold a thread for hours; it has nothing to finish.
        runtime.shutdown_background();
    }
    code
}

fn thread_fault(error: &std::io::Error) -> Fault {
    let place = Place::Thing("the operating system".into());
    Fault::new("cli.no-threads", place, format!("no threads could be started: {error}"), "raise the limit on processes")
}

fn ended(result: Result<Ended, Vec<Fault>>) -> ExitCode {
    match result {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Failed) => ExitCode::from(1),
        Ok(Ended::Held) => ExitCode::from(3),
        Err(faults) => {
            for fault in &faults {
                complain(&format!("{fault}\n"));
            }
            if faults.len() > 1 {
                complain(&format!("{} faults\n", faults.len()));
            }
            ExitCode::from(1)
        }
    }
}

/// Writes text; a reader that went away (`| head`) is no error.
fn say(to: &mut impl Write, text: &str) -> std::io::Result<()> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Says on standard error what is wrong. Where even that cannot be written, the exit code says it.
fn complain(text: &str) {
    drop(say(&mut std::io::stderr(), text));
}

/// Writes to standard output. An answer that is cut short must not pass for a whole one.
fn print(text: &str) -> Result<(), Vec<Fault>> {
    say(&mut std::io::stdout(), text).map_err(|error| {
        let what = format!("the answer could not be written: {error}");
        let next = "make room where it goes, or send it elsewhere; what the verb did is done and stays so";
        vec![Fault::new("cli.output", Place::Thing("standard output".into()), what, next)]
    })
}

async fn verb(cli: Cli) -> Result<Ended, Vec<Fault>> {
    let Cli { verb, root, agency, state } = cli;
    match verb {
        Verb::Check => check_all(&root).await,
        Verb::Plan { day, format } => {
            let checked = check::check(&root, &agency).await?;
            let world = World::new(root, state);
            let report = run::plan(&world, &checked, day.as_of.unwrap_or_else(AsOf::today)).await.map_err(one)?;
            show(&report, format)
        }
        Verb::Run { day, format, accept } => {
            let checked = check::check(&root, &agency).await?;
            let world = World::new(root, state);
            let report =
                run::run(&world, &checked, day.as_of.unwrap_or_else(AsOf::today), &accept).await.map_err(one)?;
            show(&report, format)
        }
        Verb::Schedule { list: true } => list_times(&root),
        Verb::Schedule { list: false } => keep_running(&root, &agency, state).await,
        Verb::Query { select, format, tables, timeout_seconds, all_rows } => {
            let limits =
                Limits { time: Duration::from_secs(timeout_seconds), rows: (!all_rows).then_some(QUERY_ROWS_MAX) };
            ask(&state, select.filter(|_| !tables), format, limits).await
        }
        Verb::Ledger { verb } => look(&state, &verb),
        Verb::Test { filter } => test(&root, filter.as_deref()).await,
        Verb::Samples { people, seed, out, format } => make_samples(people, seed, out, format),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "chudong", &mut script);
            print(&String::from_utf8_lossy(&script))?;
            Ok(Ended::Done)
        }
    }
}

fn one(fault: Fault) -> Vec<Fault> {
    vec![fault]
}

fn explained(error: impl Explain) -> Vec<Fault> {
    vec![error.fault()]
}

fn show(report: &Report, format: ReportFormat) -> Result<Ended, Vec<Fault>> {
    match format {
        ReportFormat::Text => print(&report.to_string()),
        ReportFormat::Json => print(&json(report)),
    }?;
    Ok(match report.outcome.as_str() {
        "failed" => Ended::Failed,
        "held" => Ended::Held,
        _ => Ended::Done,
    })
}

fn json(value: &impl serde::Serialize) -> String {
    // Reports hold text, numbers and maps with text keys: all of it can be written.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

async fn check_all(root: &Path) -> Result<Ended, Vec<Fault>> {
    let (agencies, faults) = all_agencies(root).await?;
    for checked in agencies {
        print(&format!(
            "{}: {} sources, {} items, {} models\n",
            checked.pipeline.id,
            checked.pipeline.sources.len(),
            checked.pipeline.items.len(),
            checked.library.models.len()
        ))?;
    }
    if faults.is_empty() { Ok(Ended::Done) } else { Err(faults) }
}

/// The agencies that are sound, and every fault of the others.
async fn all_agencies(root: &Path) -> Result<(Vec<Checked>, Vec<Fault>), Vec<Fault>> {
    let agencies = pipeline::agencies(root);
    if agencies.is_empty() {
        let next = "name the installation folder with --root: it holds pipelines/ and sql/";
        let place = Place::file(root.join("pipelines"));
        return Err(vec![Fault::new("pipeline.no-agency", place, "there is no agency here", next)]);
    }
    let (mut sound, mut faults) = (Vec::new(), Vec::new());
    for agency in &agencies {
        match check::check(root, agency).await {
            Ok(checked) => sound.push(checked),
            // What agencies share is wrong for each of them, and is said once.
            Err(found) => faults.extend(found.into_iter().filter(|fault| !faults.contains(fault)).collect::<Vec<_>>()),
        }
    }
    faults.sort_by(|a, b| (&a.place, a.code, &a.what).cmp(&(&b.place, b.code, &b.what)));
    Ok((sound, faults))
}

fn read_pipeline(root: &Path, agency: &str) -> Result<Pipeline, Vec<Fault>> {
    let faults = pipeline::reader::Faults::default();
    let found = pipeline::read(root, agency, &faults);
    match (found, faults.into_vec()) {
        (Some(pipeline), faults) if faults.is_empty() => Ok(pipeline),
        (_, faults) => Err(faults),
    }
}

fn list_times(root: &Path) -> Result<Ended, Vec<Fault>> {
    for agency in pipeline::agencies(root) {
        let pipeline = read_pipeline(root, &agency)?;
        let cron = cron(&pipeline)?;
        print(&format!("{agency}  {}\n", pipeline.schedule.cron))?;
        for time in cron.after(now()).take(5) {
            print(&format!("  {}\n", time.to_zoned(vietnam()).strftime("%Y-%m-%d %H:%M %:z")))?;
        }
    }
    Ok(Ended::Done)
}

fn cron(pipeline: &Pipeline) -> Result<Cron, Vec<Fault>> {
    Cron::parse(&pipeline.schedule.cron).map_err(|error| {
        vec![Fault::new("pipeline.cron", Place::file(&pipeline.path), error.to_string(), error.next())]
    })
}

/// After the first failure of a night, the next attempt; each further wait is twice the one before.
const RETRY: Duration = Duration::from_secs(15 * 60);
/// How long at most to sleep: the clock may be set while we do, and a file may be edited.
const NAP: Duration = Duration::from_secs(1);

/// Waiting for the nights of one agency.
///
/// It outlives what people do to its files: what cannot be read is said once, and the
/// pipeline that was read last holds until it can be read again.
struct Keeper<'a> {
    root: &'a Path,
    agency: &'a str,
    state: PathBuf,
    /// What was read last without a fault.
    good: Option<(Cron, Missed)>,
    /// What was said to be wrong, so that it is not said again every second.
    said: Vec<Fault>,
    /// The newest night that the ledger proved when it was last read; outer none before it was.
    proven: Option<Option<Date>>,
    /// How often the night of this date has failed.
    failed: Option<(AsOf, u32)>,
    not_before: Timestamp,
}

async fn keep_running(root: &Path, agency: &str, state: PathBuf) -> Result<Ended, Vec<Fault>> {
    // Before anything else: from here on a signal is kept until it is looked at, also during a night.
    let mut stop = Stop::listen().map_err(|error| vec![thread_fault(&error)])?;
    let alive_since = now();
    let mut keeper = Keeper {
        root,
        agency,
        state,
        good: None,
        said: Vec::new(),
        proven: None,
        failed: None,
        not_before: alive_since,
    };
    // A fault at the start is the caller's to mend; later ones must not end a service that waits for the night.
    keeper.good = Some(keeper.times()?);
    tracing::info!(%agency, "waiting for the nights");
    loop {
        if let Some(as_of) = keeper.due(alive_since) {
            // A night is never cut off in the middle: a signal that comes now is obeyed when it
            // has ended, so that no run is left without an outcome and no message in flight.
            let night = keeper.night(as_of);
            tokio::pin!(night);
            let is_asked_to_stop = tokio::select! {
                biased;
                () = &mut night => false,
                () = stop.asked() => true,
            };
            if is_asked_to_stop {
                tracing::info!(%as_of, "asked to stop: the night is brought to its end first");
                night.await;
                return Ok(Ended::Done);
            }
        }
        tokio::select! {
            () = stop.asked() => return Ok(Ended::Done),
            () = tokio::time::sleep(NAP) => {}
        }
    }
}

impl Keeper<'_> {
    /// When the pipeline on the disk wants its nights.
    fn times(&self) -> Result<(Cron, Missed), Vec<Fault>> {
        let pipeline = read_pipeline(self.root, self.agency)?;
        Ok((cron(&pipeline)?, pipeline.schedule.missed))
    }

    /// The night to run now, if one is due.
    fn due(&mut self, alive_since: Timestamp) -> Option<AsOf> {
        let mut faults = Vec::new();
        // Read again each time: an edited pipeline holds from the next night on.
        match self.times() {
            Ok(times) => self.good = Some(times),
            Err(found) => faults.extend(found),
        }
        let due = match self.may_be_due(alive_since) {
            true => {
                match Ledger::read(&self.state).and_then(|ledger| ledger.newest_proven(AsOf::today())) {
                    Ok(proven) => self.proven = Some(proven),
                    Err(ledger::Error::None { .. }) => self.proven = Some(None),
                    Err(error) => {
                        // Without the ledger nobody knows which night is done: it is waited for.
                        self.proven = None;
                        faults.push(error.fault());
                    }
                }
                self.proven.and_then(|proven| self.first_due(proven, alive_since))
            }
            false => None,
        };
        self.say(faults);
        due
    }

    /// Whether it is worth looking into the ledger: what was proven stays proven, so that
    /// nothing is due that was not due by what was read last.
    fn may_be_due(&self, alive_since: Timestamp) -> bool {
        let by_last = |proven| self.first_due(proven, alive_since).is_some();
        now() >= self.not_before && self.proven.is_none_or(by_last)
    }

    fn first_due(&self, proven: Option<Date>, alive_since: Timestamp) -> Option<AsOf> {
        let (cron, missed) = self.good.as_ref()?;
        schedule::due(cron, *missed, proven, alive_since, now()).first().copied()
    }

    /// Says what is wrong when it begins to be, and that it is mended when it is.
    fn say(&mut self, faults: Vec<Fault>) {
        if faults == self.said {
            return;
        }
        for fault in faults.iter().filter(|fault| !self.said.contains(fault)) {
            tracing::error!(code = fault.code, "the schedule waits until this is mended");
            complain(&format!("{fault}\n"));
        }
        if faults.is_empty() {
            tracing::info!("what was wrong is mended");
        }
        self.said = faults;
    }

    /// Runs one night; after one that failed, the next attempt is put off.
    async fn night(&mut self, as_of: AsOf) {
        if night(self.root, self.agency, &self.state, as_of).await {
            self.failed = None;
            return;
        }
        let before = self.failed.filter(|(date, _)| *date == as_of).map_or(0, |(_, times)| times);
        self.failed = Some((as_of, before.saturating_add(1)));
        let next_fire = self.good.as_ref().and_then(|(cron, _)| cron.next_after(now()));
        self.not_before = schedule::retry(RETRY, before, now(), next_fire);
        let at = self.not_before.to_zoned(vietnam()).strftime("%Y-%m-%d %H:%M").to_string();
        tracing::warn!(%as_of, next_attempt = %at, "the night failed");
    }
}

/// Runs one night of the schedule; false when it failed.
async fn night(root: &Path, agency: &str, state: &Path, as_of: AsOf) -> bool {
    tracing::info!(%as_of, "night begins");
    let checked: Result<Checked, Vec<Fault>> = check::check(root, agency).await;
    let world = World::new(root.to_path_buf(), state.to_path_buf());
    let result = match checked {
        Ok(checked) => run::run(&world, &checked, as_of, &[]).await.map_err(one),
        Err(faults) => Err(faults),
    };
    match result {
        Ok(report) => {
            // The night is done, whether or not its summary found room.
            if let Err(faults) = print(&report.to_string()) {
                ended(Err(faults));
            }
            report.outcome != "failed"
        }
        Err(faults) => {
            ended(Err(faults));
            false
        }
    }
}

/// The signals that ask a service to stop: SIGTERM from systemd, SIGINT from a keyboard.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From now on a signal no longer ends the process: it waits to be asked for.
    fn listen() -> std::io::Result<Self> {
        Ok(Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The most rows that a query prints unless it is asked for all.
const QUERY_ROWS_MAX: usize = 100_000;

/// What a query may take.
struct Limits {
    time: Duration,
    rows: Option<usize>,
}

async fn ask(state: &Path, select: Option<String>, format: QueryFormat, limits: Limits) -> Result<Ended, Vec<Fault>> {
    let tables = query::tables(state).map_err(one)?;
    let Some(select) = select else {
        for (name, table) in &tables {
            let columns: Vec<_> = table.schema.fields().iter().map(|field| field.name().as_str()).collect();
            print(&format!("{name} ({})\n", columns.join(", ")))?;
        }
        return Ok(Ended::Done);
    };
    let engine = Engine::new().map_err(explained)?;
    for (name, table) in &tables {
        engine.register(name, table).map_err(explained)?;
    }
    let answer = answer(engine, select, limits).await?;
    let text = match format {
        QueryFormat::Table => query::as_table(&answer),
        QueryFormat::Csv => query::as_csv(&answer),
        QueryFormat::Json => query::as_json(&answer),
    };
    print(&text.map_err(one)?)?;
    Ok(Ended::Done)
}

/// Runs a select on a thread of its own: one that computes without a pause cannot be stopped, only left behind.
async fn answer(engine: Engine, select: String, limits: Limits) -> Result<Table, Vec<Fault>> {
    let (send, receive) = tokio::sync::oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    // One row more than is printed tells that there are more.
    let most = limits.rows.map(|rows| rows.saturating_add(1));
    let planner = move || {
        // Nobody waits for it any more when its time is over.
        drop(send.send(runtime.block_on(engine.query(&select, most))));
    };
    let thread = std::thread::Builder::new().stack_size(PLANNER_STACK_BYTES).spawn(planner);
    thread.map_err(|error| vec![thread_fault(&error)])?;
    let refused = |code, what: String, next| vec![Fault::new(code, Place::Thing("the query".into()), what, next)];
    let table = match tokio::time::timeout(limits.time, receive).await {
        Ok(Ok(table)) => table.map_err(explained)?,
        Ok(Err(_)) => {
            let what = "the engine stopped without an answer".to_owned();
            return Err(refused("query.stopped", what, "ask in another way, and report the lines above"));
        }
        Err(_) => {
            let what = format!("there was no answer within {} seconds", limits.time.as_secs());
            return Err(refused("query.time", what, "ask for less, or allow more with --timeout-seconds"));
        }
    };
    match limits.rows {
        Some(rows) if table.rows() > rows => {
            let what = format!("the answer has more than {rows} rows");
            Err(refused("query.rows", what, "end the select with a limit, or ask for all with --all-rows"))
        }
        _ => Ok(table),
    }
}

fn look(state: &Path, verb: &LedgerVerb) -> Result<Ended, Vec<Fault>> {
    match verb {
        LedgerVerb::List { kind, last, format } => {
            let entries =
                Ledger::read(state).and_then(|ledger| ledger.list(kind.as_deref(), *last)).map_err(explained)?;
            for entry in entries {
                let line = match format {
                    ReportFormat::Text => format!(
                        "{:>7} {} {} {} {} {}\n",
                        entry.seq, entry.at, entry.run, entry.kind, entry.key, entry.body
                    ),
                    ReportFormat::Json => {
                        let body: serde_json::Value = serde_json::from_str(&entry.body).unwrap_or_default();
                        format!(
                            "{}\n",
                            serde_json::json!({
                                "seq": entry.seq, "at": entry.at, "run": entry.run, "kind": entry.kind,
                                "key": entry.key, "body": body, "hash": crate::personal::hex(&entry.hash),
                            })
                        )
                    }
                };
                print(&line)?;
            }
            Ok(Ended::Done)
        }
        LedgerVerb::Uncertain => {
            let rows = Ledger::read(state).and_then(|ledger| ledger.outbox()).map_err(explained)?;
            for row in rows.iter().filter(|row| row.state == MessageState::Uncertain) {
                print(&format!("{} {} {}\n", row.key.0, row.item, row.run))?;
            }
            Ok(Ended::Done)
        }
        LedgerVerb::Settle { key, decision, reason } => settle(state, key, *decision, reason),
        LedgerVerb::Verify => {
            let verified = ledger::verify::verify(state).map_err(explained)?;
            if !verified.faults.is_empty() {
                return Err(verified.faults);
            }
            print(&format!(
                "sound: {} entries, head {} {}\n",
                verified.entries, verified.head.seq, verified.head.hash
            ))?;
            Ok(Ended::Done)
        }
    }
}

/// Longest reason of a decision: a sentence, not a file.
const REASON_MAX: usize = 300;

fn settle(state: &Path, key: &str, decision: Decision, reason: &str) -> Result<Ended, Vec<Fault>> {
    let reason = reason.trim();
    // The ledger is for ever and holds no person: what looks like a number or an address of one is refused.
    let is_personal = reason.contains('@') || reason.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() >= 8);
    let what = match reason {
        "" => Some("the reason is empty"),
        long if long.chars().count() > REASON_MAX => Some("the reason is longer than 300 characters"),
        one_line if one_line.chars().any(char::is_control) => Some("the reason holds a line break or another control"),
        _ if is_personal => Some("the reason holds what may be a person's number or address"),
        _ => None,
    };
    if let Some(what) = what {
        let next = "say in one sentence how it was found out, without naming the person";
        return Err(vec![Fault::new("cli.reason", Place::Thing("--reason".into()), what, next)]);
    }
    let decided = match decision {
        Decision::Accepted => MessageState::Accepted,
        Decision::Resend => MessageState::Deferred,
    };
    // Who has no state folder has nothing to decide, and gets none from here.
    let agency = Ledger::read(state).and_then(|ledger| ledger.agency()).map_err(explained)?;
    let _lock = Lock::take(state).map_err(explained)?;
    let mut ledger = Ledger::open(state, &agency).map_err(explained)?;
    ledger.decide(&MessageKey(key.to_owned()), decided, &account()?, reason).map_err(explained)?;
    ledger.anchor().map_err(explained)?;
    print(match decision {
        Decision::Accepted => "settled: it is not sent again\n",
        Decision::Resend => "settled: the next run sends it again\n",
    })?;
    Ok(Ended::Done)
}

/// The system account that the process runs under, from the system and not from the environment,
/// which anybody can set; its number where the list of accounts does not name it.
fn account() -> Result<String, Vec<Fault>> {
    use std::os::unix::fs::MetadataExt;
    let own = std::fs::metadata("/proc/self").map_err(|error| {
        let next = "let the process read /proc: the decision is written down with the account that made it";
        vec![Fault::new("cli.account", Place::file("/proc/self"), format!("the account is not known: {error}"), next)]
    })?;
    let number = own.uid().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    });
    Ok(named.unwrap_or(number))
}

async fn test(root: &Path, filter: Option<&str>) -> Result<Ended, Vec<Fault>> {
    let (agencies, found) = all_agencies(root).await?;
    if !found.is_empty() {
        return Err(found);
    }
    let faults = pipeline::reader::Faults::default();
    let rewrite = std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1");
    let (mut passed, mut failed) = (0, 0);
    for path in cases::find(root) {
        if filter.is_some_and(|filter| !path.to_string_lossy().contains(filter)) {
            continue;
        }
        let place = Place::file(&path);
        // Obligations are written once for every agency: any agency that has switched one on can prove it.
        let Some(checked) = agencies.iter().find(|checked| cases::model(&checked.library, &path).is_some()) else {
            let what = "no agency builds the table that this case proves";
            let next = "name its item under [items] of a pipeline, or correct the folder that the case is in";
            faults.push(Fault::new("case.no-table", place, what, next));
            continue;
        };
        let Some(mut case) = cases::read(root, &path, &checked.pipeline, &faults) else { continue };
        if rewrite {
            case.rewrite(root, &checked.pipeline, &checked.library).await.map_err(one)?;
            // What is compared is what now stands in the file.
            let Some(rewritten) = cases::read(root, &path, &checked.pipeline, &faults) else { continue };
            case = rewritten;
        }
        match case.run(&checked.pipeline, &checked.library).await.map_err(explained)? {
            None => passed += 1,
            Some(difference) => {
                failed += 1;
                print(&format!("{}: {}\n{difference}", path.display(), case.about))?;
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults.into_vec());
    }
    if passed + failed == 0 {
        let next = "leave the filter out, or look into tests/cases";
        return Err(vec![Fault::new("case.none", Place::file("tests/cases"), "there is no such case", next)]);
    }
    print(&format!("{passed} cases as expected, {failed} not\n"))?;
    Ok(if failed == 0 { Ended::Done } else { Ended::Failed })
}

fn make_samples(people: u64, seed: u64, out: PathBuf, format: SamplesFormat) -> Result<Ended, Vec<Fault>> {
    let format = match format {
        SamplesFormat::Both => samples::Format::Both,
        SamplesFormat::Parquet => samples::Format::Parquet,
        SamplesFormat::Csv => samples::Format::Csv,
        SamplesFormat::Agency => samples::Format::Agency,
    };
    let summary = samples::write(&samples::Options { people, seed, out, format }).map_err(explained)?;
    for file in summary.files {
        print(&format!("{:>12} rows {:>14} bytes  {}\n", file.rows, file.bytes, file.path.display()))?;
    }
    Ok(Ended::Done)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
