//! What the command line takes: the verbs, their options, and what `--help` says of each.
//!
//! Words alone: what a verb does is not known here.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use super::{explain, new, plan, preferences, preview, quality, ratings, release, restate, trace};
use crate::calendar::AsOf;
use crate::samples;

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
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) verb: Verb,
    /// The installation folder, which holds pipelines/ and sql/.
    #[arg(long, global = true, env = "CHUDONG_ROOT", default_value = ".", value_name = "DIR", help_heading = "Where")]
    pub(super) root: PathBuf,
    /// The agency, for the verbs that speak for one: a folder of pipelines/.
    #[arg(
        long,
        global = true,
        env = "CHUDONG_AGENCY",
        default_value = "an-binh",
        value_name = "NAME",
        help_heading = "Where"
    )]
    pub(super) agency: String,
    /// The state folder, one for each agency: ledger, key, outbox, published figures.
    #[arg(
        long,
        global = true,
        env = "CHUDONG_STATE",
        default_value = "var",
        value_name = "DIR",
        help_heading = "Where"
    )]
    pub(super) state: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Say everything that is wrong with the pipelines, rules, messages and SQL of all agencies; touch nothing.
    Check {
        /// Say also what the night of this date would lack: rules not in force, calendars, authorisations.
        #[arg(long, value_name = "YYYY-MM-DD")]
        as_of: Option<AsOf>,
    },
    /// Say what tonight would send and publish, and how it differs from the last run; write nothing.
    ///
    /// With --from and --to: how many obligations arise and messages go out on each night of a window, past or
    /// to come, as if each night ran and nothing changed in the sources. The sources are read once.
    Plan {
        #[command(flatten)]
        plan: plan::Plan,
    },
    /// Run the night: pull, compute, remind, publish. Run again, it sends and spends nothing twice.
    Run {
        #[command(flatten)]
        day: Day,
        /// Only look again and send what waited for the sending window; publish nothing. For those who use timers.
        #[arg(long)]
        send: bool,
        /// How to print the summary.
        #[arg(long, value_enum, default_value_t)]
        format: ReportFormat,
        /// Accept that this table has far fewer or more rows than in its last nights; a person has looked. Of
        /// the obligations of an item it is obligations.ITEM.
        #[arg(long, value_name = "SOURCE.TABLE")]
        accept: Vec<String>,
        /// For how many minutes messages that the peer deferred are tried again by this run; the next run does it else.
        #[arg(long, value_name = "MINUTES", default_value_t = 0)]
        retry_minutes: u32,
        /// Judge by this day whether a message is still worth sending, late, or on a day of Tết: for a rehearsal.
        /// Without it, by the clock, whatever night is caught up.
        #[arg(long, value_name = "YYYY-MM-DD", env = "CHUDONG_TODAY")]
        today: Option<AsOf>,
    },
    /// Run each night at the time that the pipeline says, until stopped; a night that failed is tried again.
    Schedule {
        /// Print the next five times of every agency and end.
        #[arg(long)]
        list: bool,
    },
    /// Answer people who refuse reminders, or decide about a prepared dossier, by the link in their letter, until
    /// stopped; [serve] says where.
    Serve {
        /// Judge by this day whether a dossier can still be decided: for a rehearsal. Without it, by the clock.
        #[arg(long, value_name = "YYYY-MM-DD", env = "CHUDONG_TODAY")]
        today: Option<AsOf>,
    },
    /// What people want and refuse, and the requests under the data law.
    Preferences {
        #[command(subcommand)]
        verb: preferences::Preferences,
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
        /// Ask as this analyst, about the tables of [analysts]: counts by cell key, each question written down.
        #[arg(long, value_name = "NAME")]
        analyst: Option<String>,
    },
    /// Say which columns of which sources reach a table of sql/, and what decides its rows.
    Lineage {
        /// The table, for example: obligations.driving_licence
        model: String,
        /// How to print it; json is one RunEvent of OpenLineage 2-0-2.
        #[arg(long, value_enum, default_value_t)]
        format: ReportFormat,
    },
    /// Say why an obligation is due on its day: the rule, the fields, the arithmetic.
    ///
    /// It is told by the query that computed the date, from what is kept of that night: its landed tables, the
    /// law and the calendar as they were known then. No source is touched. It prints personal data, because
    /// that is what it is for: mind who reads the screen, and where its output goes.
    Explain {
        #[command(flatten)]
        asked: explain::Asked,
    },
    /// Say everything that was used, decided and sent about one message or one person, from the ledger alone.
    ///
    /// A person is named by the pseudonym or by the number, which is read from standard input or from a file that only
    /// its owner may read: an argument would stay in the shell's history. It is told under pseudonyms; --explain opens
    /// what is sealed.
    Trace {
        #[command(flatten)]
        asked: trace::Asked,
    },
    /// Show the message of an item as it would be in the worst case: longest names, no facts, odd characters.
    Preview {
        #[command(flatten)]
        asked: preview::Asked,
    },
    /// Read the mailbox into which messages come back, and the receipts of services: undeliverable, unwanted, received
    /// late. A night does it too.
    Bounces {
        /// A file of receipts in JSON that a service gave otherwise than to `chudong serve`.
        #[arg(long)]
        receipts: Option<PathBuf>,
    },
    /// Print the score sheet of a unit: what a decision makes of its month, quarter or year.
    ///
    /// It is counted from what a night landed; no source is touched. The counts are exact, and so the sheet is for
    /// the agency itself: what is published of it goes through disclosure control.
    Quality {
        #[command(flatten)]
        asked: quality::Asked,
    },
    /// Draw the tokens with which people rate the service, or read what raters wrote.
    Ratings {
        #[command(subcommand)]
        verb: ratings::RatingsVerb,
    },
    /// Let a period pass that a gate holds, for example since a source ends early: you have looked at it.
    ///
    /// It lets pass what was found and nothing else; the next run publishes the period.
    Release {
        #[command(flatten)]
        asked: release::Asked,
    },
    /// Put a table as it is released now beside what was published of it, with every old and new value and the reason.
    ///
    /// Published files are never rewritten: the earlier ones stay. Nothing is drawn again, so it costs no privacy.
    Restate {
        #[command(flatten)]
        asked: restate::Asked,
    },
    /// Take a table off the shelf, and leave a stone with its hashes and the reason.
    Withdraw {
        #[command(flatten)]
        asked: restate::Asked,
    },
    /// Tell the rating system of the national portal what was published and it does not know yet; [push] says where.
    ///
    /// A night does it too, last. Every message has a key by which the portal takes it once; what it took and refused is
    /// in the ledger. A complete snapshot is never replaced by a partial one.
    Push,
    /// Hand the dossiers in that people have confirmed, and ask the portal how they stand; [submission] says where.
    ///
    /// A night does it too. Every dossier has a key by which the portal takes it once; what it answered is in the ledger.
    Submit {
        /// Write the confirmed dossiers into this folder as accessible PDF instead, readable by this account alone.
        #[arg(long, value_name = "DIR", conflicts_with = "again")]
        paper: Option<PathBuf>,
        /// Withdraw a confirmed dossier that has not left: nothing of it is handed in, and the next night tells its
        /// person. May be given several times; nothing else is done then.
        #[arg(long, value_name = "DOSSIER", conflicts_with_all = ["again", "paper"], requires = "reason")]
        withdraw: Vec<String>,
        /// Why it is withdrawn: one sentence for the ledger, without personal data.
        #[arg(long, value_name = "TEXT", requires = "withdraw")]
        reason: Option<String>,
        /// Try a dossier once more that the portal refused; may be given several times.
        #[arg(long, value_name = "DOSSIER")]
        again: Vec<String>,
        /// The day that is written down as that of handing in, for a rehearsal; without it, today in Vietnam.
        #[arg(long, value_name = "YYYY-MM-DD", env = "CHUDONG_TODAY")]
        today: Option<AsOf>,
    },
    /// Say what is spent and left of the privacy budget, month by month, and what one month costs under the policy.
    Budget {
        /// How to print it.
        #[arg(long, value_enum, default_value_t)]
        format: ReportFormat,
    },
    /// Look at the ledger (what was pulled, sent and published), or verify it.
    Ledger {
        #[command(subcommand)]
        verb: LedgerVerb,
    },
    /// Take one person out of all landed tables, by the number in the columns marked `subject = true`.
    ///
    /// The number is read from standard input, or from a file that only its owner may read: an
    /// argument would stay in the shell's history and in the list of processes.
    ///
    /// Every kept generation that holds the person is written anew without those rows. The ledger
    /// keeps one entry for each table, with a keyed pseudonym in place of the person. It also keeps the proof
    /// of what was sent: that is what it is for, and it holds no name. The sources are not touched:
    /// unless the owner of the data erases the person there, the next night lands the person again.
    /// What stays, and why, is printed at the end.
    Erase {
        /// The file that holds the number; standard input if left out.
        #[arg(long, value_name = "FILE")]
        number_from: Option<PathBuf>,
    },
    /// Prove the SQL with the case files in tests/cases: given rows, expected rows. Touches no source.
    ///
    /// With UPDATE_EXPECT=1 in the environment, the expected rows are rewritten with what came.
    Test {
        /// Only cases whose path contains this, for example: driving_licence
        filter: Option<String>,
        /// Change each number of each rule by one, and say which changes no case notices.
        #[arg(long)]
        mutate: bool,
        /// How to print what differs.
        #[arg(long, value_enum, default_value_t)]
        format: ReportFormat,
    },
    /// Make the files of something new, with marks of what to fill in; nothing that is there is written over.
    New {
        #[command(subcommand)]
        what: new::New,
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
    /// Stand in for Zalo, an SMS gateway, a webhook and the national portal on this machine, until stopped: for trying out.
    ///
    /// Telephone numbers say what becomes of a message: 84900000001 is asked to wait twice, 84900000002 has no account,
    /// 84900000003 complains, 84900000004 confirms late, 84900000005 takes the message and the answer is lost,
    /// 84900000006 takes nothing and the answer is lost, 8499999 and four digits is refused with that error of Zalo's
    /// (84999990118: -118); every other number gets its message.
    Simulate {
        /// Where to listen; only this machine's own addresses are taken. Port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
        listen: std::net::SocketAddr,
        /// How many messages Zalo takes in a day.
        #[arg(long, default_value_t = crate::simulate::DAILY_QUOTA, value_name = "N")]
        daily_quota: u32,
    },
    /// Print a completion script for a shell, for example: chudong completions bash > /etc/bash_completion.d/chudong
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Day {
    /// The civil date in Vietnam that the run speaks for; today if left out.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(super) as_of: Option<AsOf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum LedgerVerb {
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
    /// Count the obligations that were ever followed, by item and by how they stand.
    Obligations {
        /// Of this item alone.
        #[arg(long, value_name = "ITEM")]
        item: Option<String>,
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
    /// List the addresses that nobody writes to because messages came back: blind index, channel, reason, until when.
    Suppressions {
        /// Write to this address again, by its blind index: a person knows that it works.
        #[arg(long, value_name = "ADDRESS")]
        lift: Option<String>,
        /// How to print them.
        #[arg(long, value_enum, default_value_t)]
        format: ReportFormat,
    },
    /// List what is stopped because its messages were refused: a domain, a template, an item.
    Breakers {
        /// Send it again, as the list names it: a person has mended what was wrong.
        #[arg(long, value_name = "SCOPE")]
        lift: Option<String>,
        /// How to print them.
        #[arg(long, value_enum, default_value_t)]
        format: ReportFormat,
    },
    /// Find any entry that was changed, removed or moved, and name it.
    Verify,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Decision {
    /// It arrived, or need not arrive: it is not sent again.
    Accepted,
    /// It did not arrive: the next run sends it.
    Resend,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum ReportFormat {
    /// For a person.
    #[default]
    Text,
    /// For a program.
    Json,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum QueryFormat {
    /// Aligned columns.
    #[default]
    Table,
    /// Comma-separated, with a header.
    Csv,
    /// One object per row.
    Json,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum SamplesFormat {
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
