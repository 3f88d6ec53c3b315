//! The verbs.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed: standard error says what, where, and what to do |
//! | 2 | wrong usage |
//! | 3 | done, but something is held for a person |

mod ask;
mod book;
mod bounces;
mod budget;
mod cases;
mod dumps;
mod erase;
mod explain;
mod keeper;
mod lineage;
mod new;
mod plan;
mod preferences;
mod preview;
mod prove;
mod push;
mod quality;
mod ratings;
mod release;
mod restate;
mod serve;
mod simulate;
mod submit;
mod trace;
mod verbs;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use crate::calendar::AsOf;
use crate::check;
use crate::fault::{Explain, Fault, Place};
use crate::report::Report;
use crate::run;
use crate::samples;
use crate::world::World;
use ask::{Inquiry, Limits, QUERY_ROWS_MAX, ask, inquire};
use book::look;
use cases::{mutate, test};
use keeper::{keep_running, list_times};
use prove::{check_all, read_pipeline};
use verbs::{Cli, Day, Decision, LedgerVerb, QueryFormat, ReportFormat, SamplesFormat, Verb};

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
    // Before anything personal or secret is in memory.
    if let Err(fault) = dumps::refuse() {
        return ended(Err(vec![fault]));
    }
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
        Verb::Check { as_of } => check_all(&root, as_of).await,
        Verb::Plan { plan } => plan::plan(root, &agency, state, plan).await,
        Verb::Run { day, send, format, accept, retry_minutes, today } => {
            let checked = check::check(&root, &agency).await?;
            let today = Some(today.unwrap_or_else(AsOf::today).date());
            let world = World { retry_minutes, today, ..World::new(root, state) };
            let as_of = day.as_of.unwrap_or_else(AsOf::today);
            let report = match send {
                true => run::send(&world, &checked, as_of, &accept).await,
                false => run::run(&world, &checked, as_of, &accept).await,
            };
            show(&report.map_err(one)?, format)
        }
        Verb::Schedule { list: true } => list_times(&root),
        Verb::Schedule { list: false } => keep_running(&root, &agency, state).await,
        Verb::Serve { today } => serve::serve(&root, &agency, state, today).await,
        Verb::Preferences { verb } => preferences::preferences(root, &agency, state, &verb),
        Verb::Query { select, format, tables, timeout_seconds, all_rows, analyst } => {
            let limits =
                Limits { time: Duration::from_secs(timeout_seconds), rows: (!all_rows).then_some(QUERY_ROWS_MAX) };
            if let Some(analyst) = analyst {
                let asked = Inquiry { agency: &agency, analyst: &analyst, select: select.filter(|_| !tables) };
                return inquire(root, state, asked, format, limits).await;
            }
            ask(&state, select.filter(|_| !tables), format, limits).await
        }
        Verb::Lineage { model, format } => lineage::trace(&root, &agency, &model, format).await,
        Verb::Explain { asked } => explain::explain(root, &agency, state, asked).await,
        Verb::Trace { asked } => trace::trace(root, &agency, state, asked),
        Verb::Preview { asked } => preview::preview(&root, &agency, asked).await,
        Verb::Bounces { receipts } => bounces::bounces(root, &agency, state, receipts.as_deref()).await,
        Verb::Ratings { verb } => ratings::ratings(root, &agency, state, verb).await,
        Verb::Quality { asked } => quality::quality(root, &agency, state, asked).await,
        Verb::Release { asked } => release::release(root, &agency, state, asked).await,
        Verb::Restate { asked } => restate::restate(root, &agency, state, asked).await,
        Verb::Withdraw { asked } => restate::withdraw(root, &agency, state, asked).await,
        Verb::Push => push::push(root, &agency, state).await,
        Verb::Submit { paper: Some(folder), .. } => submit::paper(root, &agency, state, &folder).await,
        Verb::Submit { paper: None, again, today, withdraw, reason } => {
            let today = today.unwrap_or_else(AsOf::today).date();
            if !withdraw.is_empty() {
                let why = (withdraw.as_slice(), reason.as_deref().unwrap_or_default());
                return submit::withdraw(root, &agency, state, why, today).await;
            }
            submit::submit(root, &agency, state, &again, today).await
        }
        Verb::Budget { format } => budget::budget(root, &agency, state, format).await,
        Verb::Ledger { verb } => look(&state, &verb),
        Verb::Erase { number_from } => erase::erase(root, &agency, state, number_from.as_deref()),
        Verb::Test { filter, mutate: false, format } => test(&root, filter.as_deref(), format).await,
        Verb::Test { filter, mutate: true, format } => mutate(&root, filter.as_deref(), format).await,
        Verb::New { what } => new::make(&root, what),
        Verb::Samples { people, seed, out, format } => make_samples(people, seed, out, format),
        Verb::Simulate { listen, daily_quota } => simulate::simulate(listen, daily_quota).await,
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
    Ok(report_ended(report))
}

fn report_ended(report: &Report) -> Ended {
    match report.outcome.as_str() {
        "failed" => Ended::Failed,
        "held" => Ended::Held,
        _ => Ended::Done,
    }
}

fn json(value: &impl serde::Serialize) -> String {
    // Reports hold text, numbers and maps with text keys: all of it can be written.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
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
