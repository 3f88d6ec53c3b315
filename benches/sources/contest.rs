//! Contenders run in turn, and what came out as a table beside the targets.

use std::io::Write;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{Fallible, say};

/// One run of one contender.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    pub wall_seconds: f64,
    /// Of the contender's own processes; the server's are not in it.
    pub cpu_seconds: f64,
    /// Of the database server meanwhile, where there is one.
    #[serde(default)]
    pub server_cpu_seconds: Option<f64>,
    /// The largest resident memory of its process.
    pub peak_mb: Option<u64>,
    pub rows: u64,
}

type Run<'a> = Box<dyn FnMut(u32) -> Fallible<Measured> + 'a>;

/// Someone who does the work, in a process of its own.
pub struct Contender<'a> {
    name: String,
    rows: RangeInclusive<u64>,
    run: Run<'a>,
    runs: Vec<Measured>,
}

impl<'a> Contender<'a> {
    /// `run` is given the number of the round, from 0; it must bring `rows` rows.
    pub fn new(name: &str, rows: u64, run: impl FnMut(u32) -> Fallible<Measured> + 'a) -> Self {
        Contender { name: name.to_owned(), rows: rows..=rows, run: Box::new(run), runs: Vec::new() }
    }

    /// Counts as right with any number of rows in this range.
    pub fn with_rows(self, rows: RangeInclusive<u64>) -> Self {
        Contender { rows, ..self }
    }

    fn median(&self, value: impl Fn(&Measured) -> f64) -> f64 {
        let mut values: Vec<_> = self.runs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        let upper = values.len() / 2;
        let lower = values.len().saturating_sub(1) / 2;
        let at = |index| values.get(index).copied().unwrap_or(f64::NAN);
        (at(lower) + at(upper)) / 2.0
    }

    fn wall_seconds(&self) -> f64 {
        self.median(|run| run.wall_seconds)
    }

    fn peak_mb(&self) -> Option<u64> {
        self.runs.iter().filter_map(|run| run.peak_mb).max()
    }
}

/// What one contender of ours should reach.
pub struct Goal {
    ours: String,
    bound: Bound,
}

enum Bound {
    /// So many times the wall time of the fastest of these.
    Ratio { bases: Vec<String>, at_most: f64 },
    /// Megabytes, in every run.
    Peak(u64),
    /// Seconds.
    Wall(f64),
    /// So many times the peak memory of the fastest of these.
    PeakRatio { bases: Vec<String>, at_most: f64 },
}

impl Goal {
    pub fn ratio(ours: &str, bases: &[&str], at_most: f64) -> Self {
        let bases = bases.iter().map(|base| (*base).to_owned()).collect();
        Goal { ours: ours.to_owned(), bound: Bound::Ratio { bases, at_most } }
    }

    pub fn peak_ratio(ours: &str, bases: &[&str], at_most: f64) -> Self {
        let bases = bases.iter().map(|base| (*base).to_owned()).collect();
        Goal { ours: ours.to_owned(), bound: Bound::PeakRatio { bases, at_most } }
    }

    pub fn peak(ours: &str, at_most_mb: u64) -> Self {
        Goal { ours: ours.to_owned(), bound: Bound::Peak(at_most_mb) }
    }

    pub fn wall(ours: &str, at_most_seconds: f64) -> Self {
        Goal { ours: ours.to_owned(), bound: Bound::Wall(at_most_seconds) }
    }
}

/// Contenders for the same work.
pub struct Contest<'a> {
    pub title: String,
    pub contenders: Vec<Contender<'a>>,
    pub goals: Vec<Goal>,
    /// Each needs what the one before it left; otherwise every round begins with another one.
    pub is_in_order: bool,
}

impl Contest<'_> {
    /// Runs all rounds and prints the tables.
    pub fn run(mut self, rounds: u32) -> Fallible<()> {
        let count = self.contenders.len();
        for round in 0..rounds {
            for turn in 0..count {
                let index = if self.is_in_order { turn } else { (turn + round as usize) % count };
                let Some(contender) = self.contenders.get_mut(index) else { continue };
                // What the one before has written must not be written to the disk on this one's time.
                std::process::Command::new("sync").status()?;
                let measured = (contender.run)(round).map_err(|error| format!("{}: {error}", contender.name))?;
                if !contender.rows.contains(&measured.rows) {
                    let (found, wanted) = (measured.rows, &contender.rows);
                    return Err(format!("{}: {found} rows came, not {wanted:?}", contender.name).into());
                }
                say(&format!("  round {}: {}: {:.3} s", round + 1, contender.name, measured.wall_seconds))?;
                contender.runs.push(measured);
            }
        }
        self.print(rounds)
    }

    fn print(&self, rounds: u32) -> Fallible<()> {
        let mut out = std::io::stdout().lock();
        let cores = std::thread::available_parallelism()?;
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split_whitespace().next().unwrap_or("unknown");
        let how = format!("{rounds} rounds, alternating; medians, peak memory the largest; {cores} cores, load {load}");
        writeln!(out, "\n{}\n{how}\n", self.title)?;
        writeln!(
            out,
            "{:<45} {:>8} {:>17} {:>8} {:>9} {:>8}",
            "", "wall s", "from–to", "CPU s", "server's", "peak MB"
        )?;
        for contender in &self.contenders {
            let walls = || contender.runs.iter().map(|run| run.wall_seconds);
            let (least, most) = (walls().fold(f64::INFINITY, f64::min), walls().fold(0.0, f64::max));
            let server_cpu = match contender.runs.first().and_then(|run| run.server_cpu_seconds) {
                Some(_) => format!("{:.2}", contender.median(|run| run.server_cpu_seconds.unwrap_or(f64::NAN))),
                None => "–".into(),
            };
            writeln!(
                out,
                "{:<45} {:>8.3} {:>17} {:>8.2} {:>9} {:>8}",
                contender.name,
                contender.wall_seconds(),
                format!("{least:.3}–{most:.3}"),
                contender.median(|run| run.cpu_seconds),
                server_cpu,
                contender.peak_mb().map_or_else(|| "–".into(), |mb| mb.to_string()),
            )?;
        }
        writeln!(out, "\n{:<45} {:>9} {:>9}  {:<8} of", "target", "measured", "at most", "")?;
        for goal in &self.goals {
            let Verdict { measured, at_most, word, of } = self.judge(goal);
            writeln!(out, "{:<45} {measured:>9} {at_most:>9}  {word:<8} {of}", goal.ours)?;
        }
        Ok(())
    }

    fn judge(&self, goal: &Goal) -> Verdict {
        let find = |name: &String| self.contenders.iter().find(|contender| contender.name == *name);
        let word = |is_met| if is_met { "met" } else { "MISSED" };
        match &goal.bound {
            Bound::Ratio { bases, at_most } | Bound::PeakRatio { bases, at_most } => {
                let base = bases.iter().filter_map(find).min_by(|a, b| a.wall_seconds().total_cmp(&b.wall_seconds()));
                let is_peak = matches!(goal.bound, Bound::PeakRatio { .. });
                let value = |of: &Contender<'_>| {
                    if is_peak { of.peak_mb().map_or(f64::NAN, |mb| mb as f64) } else { of.wall_seconds() }
                };
                let ratio = find(&goal.ours).zip(base).map(|(ours, base)| value(ours) / value(base));
                Verdict {
                    measured: ratio.map_or_else(|| "–".into(), |ratio| format!("{ratio:.3} ×")),
                    at_most: format!("{at_most:.2} ×"),
                    word: ratio.map_or("unknown", |ratio| word(ratio <= *at_most)),
                    of: base.map_or_else(
                        || format!("{}: the peer could not be had", bases.join(", ")),
                        |base| {
                            let (what, which) = (
                                if is_peak { "peak memory of " } else { "" },
                                if bases.len() > 1 { ", the fastest" } else { "" },
                            );
                            format!("{what}{}{which}", base.name)
                        },
                    ),
                }
            }
            Bound::Peak(at_most) => {
                let peak = find(&goal.ours).and_then(Contender::peak_mb);
                Verdict {
                    measured: peak.map_or_else(|| "–".into(), |mb| format!("{mb} MB")),
                    at_most: format!("{at_most} MB"),
                    word: peak.map_or("unknown", |mb| word(mb < *at_most)),
                    of: "peak memory".into(),
                }
            }
            Bound::Wall(at_most) => {
                let wall = find(&goal.ours).map(Contender::wall_seconds);
                Verdict {
                    measured: wall.map_or_else(|| "–".into(), |wall| format!("{wall:.2} s")),
                    at_most: format!("{at_most:.2} s"),
                    word: wall.map_or("unknown", |wall| word(wall < *at_most)),
                    of: "wall time".into(),
                }
            }
        }
    }
}

struct Verdict {
    measured: String,
    at_most: String,
    word: &'static str,
    of: String,
}
