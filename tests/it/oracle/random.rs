//! Random numbers and days: the same from the same seed, and days where it hurts.

use jiff::ToSpan;
use jiff::civil::{Date, date};

use super::Night;
use super::law::{last_of_month, months_later};

/// A generator of random numbers (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Debug)]
pub struct Random {
    state: u64,
}

/// Days around which a calendar is odd: holidays, Tết, ends of months and years, leap days.
const ODD: [Date; 24] = [
    date(2024, 2, 29),
    date(2025, 1, 1),
    date(2025, 1, 29),
    date(2025, 2, 28),
    date(2025, 4, 30),
    date(2025, 7, 1),
    date(2025, 9, 2),
    date(2025, 12, 31),
    date(2026, 1, 1),
    date(2026, 1, 31),
    date(2026, 2, 17),
    date(2026, 2, 28),
    date(2026, 3, 31),
    date(2026, 4, 26),
    date(2026, 5, 1),
    date(2026, 7, 1),
    date(2026, 8, 31),
    date(2026, 9, 2),
    date(2026, 11, 24),
    date(2026, 12, 31),
    date(2027, 1, 31),
    date(2027, 2, 6),
    date(2027, 2, 28),
    date(2028, 2, 29),
];

impl Random {
    /// The generator of the subject of this number.
    pub fn new(item: &str, number: u64) -> Self {
        // FNV-1a, so that items do not share their subjects.
        let state = item
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let mut random = Random { state: state ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15) };
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to, and without, this one.
    pub fn below(&mut self, count: u64) -> u64 {
        self.next() % count.max(1)
    }

    /// A number from the first to the last.
    pub fn between(&mut self, first: i64, last: i64) -> i64 {
        first + self.below(last.abs_diff(first) + 1) as i64
    }

    /// Whether something happens that happens in so many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// A value in so many of a hundred cases.
    pub fn maybe<T>(&mut self, percent: u64, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.percent(percent).then(|| value(self))
    }

    /// Any order.
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// A day near this one: itself as often as not.
    pub fn near(&mut self, day: Date) -> Date {
        match self.below(10) {
            0..5 => day,
            5..7 => plus(day, -1),
            7..9 => plus(day, 1),
            _ => plus(day, self.between(-12, 12)),
        }
    }

    /// A day on which something may fall due that the night should, or should just not, see.
    pub fn due(&mut self, night: &Night) -> Date {
        match self.below(10) {
            0 => self.near(night.since),
            1 => self.near(night.as_of),
            2 => self.near(night.until),
            3..5 => self.odd(plus(night.since, -40), plus(night.until, 40)),
            _ => self.day(plus(night.since, -20), plus(night.until, 20)),
        }
    }

    /// Any day from the first to the last.
    pub fn day(&mut self, first: Date, last: Date) -> Date {
        plus(first, self.between(0, i64::from((last - first).get_days()).max(0)))
    }

    /// A day from the first to the last, or a little outside, on which a calendar is odd.
    pub fn odd(&mut self, first: Date, last: Date) -> Date {
        let between: Vec<Date> = ODD.iter().copied().filter(|odd| first <= *odd && *odd <= last).collect();
        let any = self.day(first, last);
        match self.below(4) {
            0 | 1 if !between.is_empty() => {
                let odd = self.pick(&between);
                self.near(odd)
            }
            2 => last_of_month(any),
            3 => {
                let start = any.first_of_month();
                self.near(start)
            }
            // The 29th and 30th clamp in some months and not in others.
            _ => plus(any.first_of_month(), self.between(27, 29)),
        }
    }

    /// A day from which so many months lead to about this due day: the day of the month is the same, or at its end.
    pub fn months_before(&mut self, due_on: Date, months: i64) -> Date {
        let start = months_later(due_on, -months);
        match self.below(4) {
            // What is clamped lands on the last day from several days.
            0 => last_of_month(start),
            1 => self.near(start),
            _ => start,
        }
    }

    /// A day up to the night on which something was done that was due on this day: before, on it, after.
    pub fn done(&mut self, due_on: Date, night: &Night) -> Date {
        let day = match self.below(8) {
            0 => self.near(due_on),
            1 => self.near(night.as_of),
            2 => plus(due_on, self.between(-800, 0)),
            3 => self.odd(plus(due_on, -60), plus(due_on, 60)),
            _ => plus(due_on, self.between(-60, 60)),
        };
        day.min(night.as_of)
    }
}

/// So many days later.
pub fn plus(day: Date, days: i64) -> Date {
    day.saturating_add(days.days())
}
