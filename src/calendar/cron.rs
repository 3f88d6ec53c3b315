//! When a job fires: the five Unix fields, in Vietnam's time.
//!
//! The `cron` crate speaks Quartz: it wants seconds, counts Sunday as 1 and
//! requires day of month *and* day of week to match. People write Unix: five
//! fields, Sunday is 0 or 7, and where both days are restricted either is
//! enough. A line is read as Unix, expanded, and handed over in Quartz's words;
//! a line that never fires is refused. Vietnam has no summer time, so every
//! minute of the year exists once.

use std::str::FromStr;

use jiff::Timestamp;

/// A cron line that fires.
#[derive(Debug, Clone)]
pub struct Cron {
    // Two where day of month and day of week are both restricted: either is enough.
    schedules: Vec<cron::Schedule>,
}

/// Why a cron line cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error("it has {0} fields, not five")]
    Fields(usize),
    /// A field that is not understood.
    #[error("the field {field} is not understood: \"{text}\"")]
    Field {
        /// Which of the five.
        field: &'static str,
        /// As it was written.
        text: String,
    },
    /// For example 30 February.
    #[error("it never fires")]
    Never,
}

impl CronError {
    /// What to do next.
    pub fn next(&self) -> String {
        match self {
            CronError::Fields(6 | 7) => {
                "leave out seconds and years: minute hour day-of-month month day-of-week".into()
            }
            CronError::Fields(_) => "write minute hour day-of-month month day-of-week, like \"0 2 * * *\"".into(),
            CronError::Field { field, .. } => {
                format!("write {field} as a number, a range a-b, a list a,b, a step */n, or *")
            }
            CronError::Never => "choose a day that exists in one of those months".into(),
        }
    }
}

struct FieldKind {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [FieldKind; 5] = [
    FieldKind { name: "minute", low: 0, high: 59, names: &[] },
    FieldKind { name: "hour", low: 0, high: 23, names: &[] },
    FieldKind { name: "day of month", low: 1, high: 31, names: &[] },
    FieldKind { name: "month", low: 1, high: 12, names: &MONTHS },
    FieldKind { name: "day of week", low: 0, high: 7, names: &DAYS },
];

impl Cron {
    /// Reads a line of five Unix fields.
    pub fn parse(line: &str) -> Result<Self, CronError> {
        let texts: Vec<&str> = line.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = texts.as_slice() else {
            return Err(CronError::Fields(texts.len()));
        };
        let [minute_kind, hour_kind, day_kind, month_kind, weekday_kind] = &FIELDS;
        let minute = minute_kind.expand(minute)?;
        let hour = hour_kind.expand(hour)?;
        let days = day_kind.expand(day)?;
        let month = month_kind.expand(month)?;
        // Quartz counts from Sunday as 1; Unix calls Sunday both 0 and 7.
        let mut weekdays: Vec<u32> = weekday_kind.expand(weekday)?.into_iter().map(|day| day % 7 + 1).collect();
        weekdays.sort_unstable();
        weekdays.dedup();
        // As in crontab(5): a field is unrestricted when it begins with a star, and not when it lists everything.
        let any_day = day.starts_with('*');
        let any_weekday = weekday.starts_with('*');
        let line = |days: &str, weekdays: &str| {
            let text = format!("0 {} {} {days} {} {weekdays}", list(&minute), list(&hour), list(&month));
            cron::Schedule::from_str(&text).map_err(|_| CronError::Field { field: "line", text })
        };
        let schedules = if any_day || any_weekday {
            // A step such as */2 restricts without being a list of its own: both then have to match.
            vec![line(&list(&days), &list(&weekdays))?]
        } else {
            vec![line(&list(&days), "*")?, line("*", &list(&weekdays))?]
        };
        let cron = Cron { schedules };
        // A leap day may be eight years away (1896 to 1904, 2096 to 2104).
        match cron.next_after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(cron),
            None => Err(CronError::Never),
        }
    }

    /// The first instant after `after` at which it fires.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let zone = chrono::FixedOffset::east_opt(7 * 3600)?;
        let after = chrono::DateTime::from_timestamp(after.as_second(), 0)?.with_timezone(&zone);
        let next = self.schedules.iter().filter_map(|schedule| schedule.after(&after).next()).min()?;
        Timestamp::from_second(next.timestamp()).ok()
    }

    /// The instants after `after` at which it fires, in order.
    pub fn after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next_after(after), |last| self.next_after(*last))
    }
}

fn list(values: &[u32]) -> String {
    values.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

impl FieldKind {
    fn expand(&self, text: &str) -> Result<Vec<u32>, CronError> {
        let wrong = || CronError::Field { field: self.name, text: text.to_owned() };
        let mut values = Vec::new();
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, step.parse::<usize>().ok().filter(|step| *step > 0).ok_or_else(wrong)?),
                None => (part, 1),
            };
            let (from, to) = match range.split_once('-') {
                _ if range == "*" => (self.low, if self.high == 7 { 6 } else { self.high }),
                // A week that is written "mon-sun" ends on a Sunday.
                Some((from, to)) if self.high == 7 && to.eq_ignore_ascii_case("sun") => {
                    (self.value(from).ok_or_else(wrong)?, 7)
                }
                Some((from, to)) => (self.value(from).ok_or_else(wrong)?, self.value(to).ok_or_else(wrong)?),
                None => {
                    let value = self.value(range).ok_or_else(wrong)?;
                    // "5/10" is "from 5 on, every 10th".
                    (value, if part.contains('/') { self.high } else { value })
                }
            };
            if from > to {
                return Err(wrong());
            }
            values.extend((from..=to).step_by(step));
        }
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some(index) => u32::try_from(index).ok()? + self.low,
            None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok()?,
            None => return None,
        };
        (self.low..=self.high).contains(&value).then_some(value)
    }
}
