//! Dossiers of administrative procedures and the ratings that people gave.
//!
//! How many dossiers a commune receives on a working day follows from its people
//! and the day; the running number of the day, which is part of the dossier
//! number (Circular 01/2018/TT-VPCP, Art. 19), is the place within that cell. Each
//! dossier is made alone, from its index.

use std::collections::BTreeMap;

use super::draw::{Draw, Stream, scattered};
use super::world::{Commune, Day, Person, World, civil, night};
use crate::calendar;
use jiff::civil::{Date, Weekday, date};

/// First day on which a dossier was received.
pub const FIRST: Date = date(2025, 11, 1);
/// Last day on which a dossier was received.
pub const LAST: Date = date(2026, 10, 31);

/// Working days on which offices were closed all the same: New Year, Tết, the Hùng kings, 30 April, 1 May, National Day.
const CLOSED: [Date; 11] = [
    date(2026, 1, 1),
    date(2026, 2, 16),
    date(2026, 2, 17),
    date(2026, 2, 18),
    date(2026, 2, 19),
    date(2026, 2, 20),
    date(2026, 4, 27),
    date(2026, 4, 30),
    date(2026, 5, 1),
    date(2026, 9, 1),
    date(2026, 9, 2),
];

/// Code in `pipelines/procedure-groups.toml`, term in working days; and how often it is asked for.
pub const PROCEDURES: [((&str, usize), u32); 17] = [
    (("1.004194", 3), 140),
    (("1.002755", 3), 80),
    (("1.010028", 1), 20),
    (("1.004222", 7), 90),
    (("1.116410", 7), 120),
    (("1.001193", 1), 100),
    (("1.000656", 1), 40),
    (("1.000894", 1), 60),
    (("1.004873", 3), 90),
    (("1.014027", 10), 40),
    (("1.014028", 10), 20),
    (("1.001699", 15), 20),
    (("1.001776", 10), 40),
    (("1.001570", 3), 30),
    (("1.013225", 7), 60),
    (("1.013226", 7), 20),
    (("1.013227", 5), 30),
];

/// A dossier.
pub struct Dossier {
    /// `H97.01-251103-0001`.
    pub number: String,
    /// Who filed it.
    pub applicant: Person,
    /// Code in the national catalogue.
    pub procedure: &'static str,
    /// Where it was received, by the commune's place in the list.
    pub commune: usize,
    /// 1 direct, 2 online, 3 public post.
    pub channel: i64,
    /// 1 to 10, the national portal's statuses.
    pub status: i64,
    /// When it was received.
    pub received_on: Day,
    /// When the result is due; none for a dossier that was not accepted.
    pub due_on: Option<Day>,
    /// When it was finished; none while it is not.
    pub finished_on: Option<Day>,
    /// Its number in the order of receipt, from which all else about it is drawn.
    pub index: u64,
    late: bool,
}

/// A rating of a dossier.
pub struct Rating {
    /// Number of the rating.
    pub id: String,
    /// The dossier's number.
    pub dossier: String,
    /// 1 very dissatisfied to 5 very satisfied.
    pub level: i64,
    /// When it was given.
    pub rated_on: Day,
}

/// One commune on one working day.
struct Cell {
    commune: usize,
    received_on: Day,
    /// Index of its first dossier.
    first: u64,
    /// How many dossiers the commune had before that day.
    before: u64,
}

/// The year's dossiers: how many fall on each commune and day.
pub struct Year<'w> {
    world: &'w World,
    /// Every working day of the year and some months after it.
    working_days: Vec<Day>,
    cells: Vec<Cell>,
}

impl<'w> Year<'w> {
    /// Shares the dossiers of the world out over its communes and days.
    pub fn of(world: &'w World) -> Self {
        let last = night() + 200;
        let working_days: Vec<Day> = (calendar::to_days(FIRST)..=last).filter(|day| is_working_day(*day)).collect();
        let received: Vec<Day> =
            working_days.iter().copied().take_while(|day| *day <= calendar::to_days(LAST)).collect();
        let mut loads = Vec::with_capacity(received.len() * world.communes.len());
        for day in &received {
            let of_day = load_of_day(*day);
            for (at, commune) in world.communes.iter().enumerate().filter(|(_, commune)| commune.people > 0) {
                let draw = Draw::new(world.seed, Stream::Workload, (*day as u64) << 20 | at as u64);
                loads.push((at, *day, commune.people * of_day * (600 + draw.below(0, 800))));
            }
        }
        let total: u128 = loads.iter().map(|(.., load)| u128::from(*load)).sum();
        let mut before = vec![0; world.communes.len()];
        let mut cells = Vec::with_capacity(loads.len());
        let (mut shared, mut first) = (0_u128, 0);
        for (commune, received_on, load) in loads {
            shared += u128::from(load);
            // Rounding the running total and not each cell makes exactly as many dossiers as asked for.
            let end = (u128::from(world.dossiers) * shared / total.max(1)) as u64;
            let of_commune = before.get_mut(commune);
            let cell = Cell { commune, received_on, first, before: of_commune.as_deref().copied().unwrap_or(0) };
            if end > first {
                cells.push(cell);
            }
            if let Some(of_commune) = of_commune {
                *of_commune += end - first;
            }
            first = end;
        }
        Year { world, working_days, cells }
    }

    /// Where the dossiers are filed.
    pub fn world(&self) -> &World {
        self.world
    }

    /// The working day that comes this many after a day.
    pub fn working_day_after(&self, day: Day, working_days: u64) -> Day {
        let at = self.working_days.partition_point(|working| *working < day);
        let after = usize::try_from(working_days).unwrap_or(usize::MAX);
        self.working_days.get(at.saturating_add(after)).copied().unwrap_or(day)
    }

    /// How many dossiers each commune received in each month, by the first day of the month.
    pub fn received(&self) -> BTreeMap<(usize, Date), u64> {
        let mut received = BTreeMap::new();
        let ends = self.cells.iter().skip(1).map(|cell| cell.first).chain([self.world.dossiers]);
        for (cell, end) in self.cells.iter().zip(ends) {
            let month = civil(cell.received_on).first_of_month();
            *received.entry((cell.commune, month)).or_default() += end - cell.first;
        }
        received
    }

    /// A dossier, by index in the order of receipt.
    pub fn dossier(&self, index: u64) -> Option<Dossier> {
        let at = self.cells.partition_point(|cell| cell.first <= index).checked_sub(1)?;
        let cell = self.cells.get(at)?;
        let commune = self.world.communes.get(cell.commune)?;
        let draw = Draw::new(self.world.seed, Stream::Dossier, index);
        let of_day = index - cell.first;
        let received = civil(cell.received_on);
        let (procedure, term) = draw.weighted(0, &PROCEDURES, ("1.004194", 3));
        let channel = draw.weighted(1, &[(2, 850), (1, 125), (3, 25)], 2);
        let course = self.course(draw, cell.received_on, term, commune.late_per_mille);
        Some(Dossier {
            number: format!(
                "{}-{:02}{:02}{:02}-{:04}",
                commune.unit,
                received.year() % 100,
                received.month(),
                received.day(),
                of_day + 1
            ),
            applicant: self.applicant(draw, commune, cell.before + of_day, cell.received_on),
            procedure,
            commune: cell.commune,
            channel,
            status: course.status,
            received_on: cell.received_on,
            due_on: course.due_on,
            finished_on: course.finished_on,
            late: course.late,
            index,
        })
    }

    /// The rating that was given for a dossier, if one was: within two weeks after it was finished.
    pub fn rating(&self, dossier: &Dossier) -> Option<Rating> {
        let draw = Draw::new(self.world.seed, Stream::Rating, dossier.index);
        let finished = dossier.finished_on?;
        let rated_on = finished + draw.below(0, 8).min(draw.below(1, 15)) as Day;
        if rated_on >= night() || !draw.chance(2, self.world.ratings_per_mille) {
            return None;
        }
        let strict = self.world.communes.get(dossier.commune).map_or(0, |commune| commune.late_per_mille as u32);
        // Where more is late, people also think less of what is on time.
        let levels = match dossier.late {
            false => [(5, 640 - strict), (4, 270), (3, 50 + strict / 2), (2, 25 + strict / 4), (1, 15 + strict / 4)],
            true => [(5, 110), (4, 220), (3, 290), (2, 230), (1, 150)],
        };
        Some(Rating {
            id: format!("DG-{:09}", dossier.index + 1),
            dossier: dossier.number.clone(),
            level: draw.weighted(3, &levels, 5),
            rated_on,
        })
    }

    fn applicant(&self, draw: Draw, commune: &Commune, turn: u64, received_on: Day) -> Person {
        // The people of the commune come in turn, in a scattered order, so that few come often.
        let (first, people) = match commune.people {
            0 => (0, self.world.people),
            people => (commune.first, people),
        };
        let may_file =
            |person: &Person| person.age_on(received_on) >= 18 && person.died().is_none_or(|died| died > received_on);
        let mut person = self.world.person(first + scattered(turn, people, 0));
        for attempt in 0..12 {
            if may_file(&person) {
                break;
            }
            // For a child or somebody who has died, somebody else of the commune files it.
            person = self.world.person(first + draw.below(20 + attempt, people));
        }
        person
    }

    /// What became of a dossier.
    fn course(&self, draw: Draw, received_on: Day, term: usize, late_per_mille: u64) -> Course {
        let open = |status, due_on| Course { status, due_on, finished_on: None, late: false };
        let at = self.working_days.partition_point(|day| *day < received_on);
        let day = |after: usize| self.working_days.get(at + after).copied();
        let due_on = day(term);
        match draw.below(2, 1000) {
            0..10 => return open(3, None),
            10..16 => return open(5, due_on),
            16..18 => return open(6, due_on),
            18..24 => return open(7, due_on),
            24..28 => return open(8, due_on),
            _ => {}
        }
        // Of the newest, some are still in work, the longer the term the more; a few wait to be begun.
        if received_on > night() - 50 && draw.chance(9, 30 + 12 * term as u64) {
            return open(if draw.chance(8, 250) { 2 } else { 4 }, due_on);
        }
        let late = draw.chance(3, late_per_mille);
        let taken = match late {
            true => term + 1 + draw.below(4, 12).min(draw.below(5, 12)) as usize,
            false => term - draw.below(6, 1 + term as u64 * 2 / 3) as usize,
        };
        match day(taken) {
            Some(finished) if finished < night() => {
                // Some results wait to be fetched, the newest more often.
                let waiting = if finished > night() - 20 { 350 } else { 40 };
                let status = if draw.chance(7, waiting) { 9 } else { 10 };
                Course { status, due_on, finished_on: Some(finished), late }
            }
            _ => open(4, due_on),
        }
    }
}

struct Course {
    status: i64,
    due_on: Option<Day>,
    finished_on: Option<Day>,
    late: bool,
}

fn is_working_day(day: Day) -> bool {
    let date = civil(day);
    !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday) && !CLOSED.contains(&date)
}

/// How much of the year's work falls on a day; only the proportions mean anything.
fn load_of_day(day: Day) -> u64 {
    let date = civil(day);
    let weekday = match date.weekday() {
        Weekday::Monday => 120,
        Weekday::Tuesday => 108,
        Weekday::Friday => 92,
        _ => 100,
    };
    // The few days on which offices are open around Tết take part of what the closed ones
    // leave, so that the month is quiet and not empty; after the summer holidays it is busy.
    // Ratings follow dossiers by a week or two, so that the first month, November, gets more
    // dossiers, or it would have too few ratings.
    let season = match date.month() {
        2 => 145,
        11 => 120,
        8 | 9 => 112,
        _ => 100,
    };
    weekday * season
}
