//! Dates, times, moments and intervals: by the declared format, or strictly in ISO 8601.

use arrow::datatypes::IntervalMonthDayNano;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::fmt::temporal::SpanParser;
use jiff::tz::TimeZone;

use super::texts::utf8;
use super::{Raw, Reason};

/// 1 January 1900 and 31 December 2200, in days since 1 January 1970.
pub(in crate::sources) const DAYS: std::ops::RangeInclusive<i64> = -25_567..=84_370;

const DAY_MICROS: i64 = 86_400_000_000;

/// How text becomes a date or a time.
#[derive(Debug, Clone)]
pub(in crate::sources) enum Form {
    /// ISO 8601.
    Iso,
    /// `%d/%m/%Y` and its kin, with their separator: what most exports have, read without the library.
    DayMonthYear(u8, String),
    /// Any other, in `strftime` letters.
    Letters(String),
}

impl Form {
    pub(super) fn new(format: Option<&str>) -> Self {
        let Some(format) = format else { return Form::Iso };
        match format.as_bytes() {
            [b'%', b'd', a, b'%', b'm', b, b'%', b'Y'] if a == b && b"/-.".contains(a) => {
                Form::DayMonthYear(*a, format.to_owned())
            }
            _ => Form::Letters(format.to_owned()),
        }
    }
}

pub(super) fn date(raw: Raw<'_>, form: &Form, zone: &TimeZone) -> Result<Option<i32>, Reason> {
    let days = match raw {
        Raw::Null | Raw::Field([]) => return Ok(None),
        Raw::Days(days) => days,
        Raw::Civil(micros) => midnight(micros)?,
        Raw::Instant(micros) => midnight(vietnam_micros(zone, micros))?,
        Raw::Text(bytes) | Raw::Field(bytes) => {
            let text = utf8(bytes)?;
            day(text, form).map_err(|reason| if is_zero_date(text) { Reason::ZeroDate } else { reason })?
        }
        Raw::List(_) => return Err(Reason::NotAList),
        Raw::Fault(reason) => return Err(reason),
        _ => return Err(Reason::NotADate),
    };
    if !DAYS.contains(&days) {
        return Err(Reason::DateOutOfRange);
    }
    i32::try_from(days).map(Some).map_err(|_| Reason::DateOutOfRange)
}

/// A civil date and time, in microseconds since 1 January 1970, 0:00.
pub(super) fn timestamp(raw: Raw<'_>, form: &Form, zone: &TimeZone) -> Result<Option<i64>, Reason> {
    let micros = match raw {
        Raw::Null | Raw::Field([]) => return Ok(None),
        Raw::Civil(micros) => micros,
        Raw::Instant(micros) => vietnam_micros(zone, micros),
        Raw::Text(bytes) | Raw::Field(bytes) => {
            let text = utf8(bytes)?;
            let read = match form {
                Form::Iso => zoned_moment(text, Reason::NotATimestamp).and_then(|(micros, offset)| match offset {
                    None => Ok(micros),
                    Some(_) => Err(Reason::UnexpectedZone),
                }),
                Form::DayMonthYear(_, format) | Form::Letters(format) => lettered(text, format, Reason::NotATimestamp)
                    .and_then(|parts| {
                        let time = parts.to_time().map_err(|_| Reason::NotATimestamp)?;
                        civil_micros(parts.to_date().map_err(|_| Reason::NoSuchDay)?.to_datetime(time))
                    }),
            };
            read.map_err(|reason| if is_zero_date(text) { Reason::ZeroDate } else { reason })?
        }
        Raw::List(_) => return Err(Reason::NotAList),
        Raw::Fault(reason) => return Err(reason),
        _ => return Err(Reason::NotATimestamp),
    };
    in_range(micros).map(Some)
}

/// A moment, in microseconds since 1970, UTC. What names no zone is none.
pub(super) fn instant(raw: Raw<'_>, form: &Form) -> Result<Option<i64>, Reason> {
    let micros = match raw {
        Raw::Null | Raw::Field([]) => return Ok(None),
        Raw::Instant(micros) => micros,
        Raw::Civil(_) => return Err(Reason::NoZone),
        Raw::Text(bytes) | Raw::Field(bytes) => {
            let text = utf8(bytes)?;
            let read = match form {
                Form::Iso => zoned_moment(text, Reason::NotAMoment)
                    .and_then(|(micros, offset)| Ok(micros - offset.ok_or(Reason::NoZone)? * 1_000_000)),
                Form::DayMonthYear(_, format) | Form::Letters(format) => lettered(text, format, Reason::NotAMoment)
                    .and_then(|parts| {
                        let date = parts.to_date().map_err(|_| Reason::NoSuchDay)?;
                        let offset = parts.offset().ok_or(Reason::NoZone)?;
                        let time = parts.to_time().map_err(|_| Reason::NotAMoment)?;
                        Ok(civil_micros(date.to_datetime(time))? - i64::from(offset.seconds()) * 1_000_000)
                    }),
            };
            read.map_err(|reason| if is_zero_date(text) { Reason::ZeroDate } else { reason })?
        }
        Raw::List(_) => return Err(Reason::NotAList),
        Raw::Fault(reason) => return Err(reason),
        _ => return Err(Reason::NotAMoment),
    };
    in_range(micros).map(Some)
}

/// A time of day, in microseconds.
pub(super) fn time(raw: Raw<'_>, form: &Form) -> Result<Option<i64>, Reason> {
    let micros = match raw {
        Raw::Null | Raw::Field([]) => return Ok(None),
        Raw::Time(micros) => micros,
        Raw::Text(bytes) | Raw::Field(bytes) => match form {
            Form::Iso => iso_time(utf8(bytes)?)?,
            Form::DayMonthYear(_, format) | Form::Letters(format) => {
                let parts = lettered(utf8(bytes)?, format, Reason::NotATime)?;
                time_micros(parts.to_time().map_err(|_| Reason::NotATime)?)?
            }
        },
        Raw::List(_) => return Err(Reason::NotAList),
        Raw::Fault(reason) => return Err(reason),
        _ => return Err(Reason::NotATime),
    };
    if (0..DAY_MICROS).contains(&micros) { Ok(Some(micros)) } else { Err(Reason::NoSuchTime) }
}

/// An interval; as text in ISO 8601, `P1Y2M3DT4H`.
pub(super) fn interval(raw: Raw<'_>) -> Result<Option<IntervalMonthDayNano>, Reason> {
    let (months, days, micros) = match raw {
        Raw::Null | Raw::Field([]) => return Ok(None),
        Raw::Interval { months, days, micros } => (months, days, micros),
        Raw::Text(bytes) | Raw::Field(bytes) => iso_interval(bytes)?,
        Raw::List(_) => return Err(Reason::NotAList),
        Raw::Fault(reason) => return Err(reason),
        _ => return Err(Reason::NotAnInterval),
    };
    let nanos = micros.checked_mul(1_000).ok_or(Reason::TooLarge)?;
    Ok(Some(IntervalMonthDayNano::new(months, days, nanos)))
}

/// An instant (microseconds since 1970, UTC) as civil time in Vietnam, in the same measure;
/// what lies outside the years -9999 to 9999 stays out of range.
pub(in crate::sources) fn vietnam_micros(zone: &TimeZone, micros: i64) -> i64 {
    match Timestamp::from_microsecond(micros) {
        Ok(instant) => micros.saturating_add(i64::from(zone.to_offset(instant).seconds()) * 1_000_000),
        Err(_) => i64::MAX,
    }
}

/// The day that a civil date and time begins.
fn midnight(micros: i64) -> Result<i64, Reason> {
    // Infinity is neither a day nor a time of day.
    let days = in_range(micros)?.div_euclid(DAY_MICROS);
    if micros.rem_euclid(DAY_MICROS) == 0 { Ok(days) } else { Err(Reason::TimeOfDay) }
}

fn in_range(micros: i64) -> Result<i64, Reason> {
    if DAYS.contains(&micros.div_euclid(DAY_MICROS)) { Ok(micros) } else { Err(Reason::DateOutOfRange) }
}

/// Zeros and separators only: `0000-00-00`, `00/00/0000 00:00:00`.
fn is_zero_date(text: &str) -> bool {
    let zeros = text.bytes().filter(|byte| *byte == b'0').count();
    zeros >= 6 && text.bytes().all(|byte| b"0-/.: T".contains(&byte))
}

/// Days since 1 January 1970.
fn day(text: &str, form: &Form) -> Result<i64, Reason> {
    match form {
        Form::Iso => iso_day(text),
        Form::DayMonthYear(separator, format) => match text.as_bytes() {
            [d1, d2, a, m1, m2, b, y1, y2, y3, y4]
                if a == separator
                    && b == separator
                    && [d1, d2, m1, m2, y1, y2, y3, y4].iter().all(|d| d.is_ascii_digit()) =>
            {
                civil_days(number(&[*y1, *y2, *y3, *y4]), number(&[*m1, *m2]), number(&[*d1, *d2]))
            }
            _ => lettered_day(text, format),
        },
        Form::Letters(format) => lettered_day(text, format),
    }
}

fn lettered_day(text: &str, format: &str) -> Result<i64, Reason> {
    let parts = lettered(text, format, Reason::NotADate)?;
    let date = parts.to_date().map_err(|_| Reason::NoSuchDay)?;
    // A format may name the time that an export always has; only midnight is no more than a date.
    let is_midnight = parts.hour().is_none() || parts.to_time().is_ok_and(|time| time == Time::midnight());
    if is_midnight { Ok(i64::from(crate::calendar::to_days(date))) } else { Err(Reason::TimeOfDay) }
}

fn lettered(text: &str, format: &str, otherwise: Reason) -> Result<BrokenDownTime, Reason> {
    BrokenDownTime::parse(format, text).map_err(|_| otherwise)
}

fn number(digits: &[u8]) -> i64 {
    digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit.wrapping_sub(b'0')))
}

/// Days since 1 January 1970 of a day in the years 0 to 9999.
pub(in crate::sources) fn civil_days(year: i64, month: i64, day: i64) -> Result<i64, Reason> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    if !(1..=length).contains(&day) {
        return Err(Reason::NoSuchDay);
    }
    // Years begin in March here, so that the leap day is the last; 719,468 days lie between 1 March 0 and 1970.
    let year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Ok(365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468)
}

/// `2026-11-21`, and what stands behind it.
fn iso_date(text: &str) -> Option<(Result<i64, Reason>, &str)> {
    let ([y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2], _) = text.as_bytes().split_first_chunk()? else { return None };
    if ![y1, y2, y3, y4, m1, m2, d1, d2].iter().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let days = civil_days(number(&[*y1, *y2, *y3, *y4]), number(&[*m1, *m2]), number(&[*d1, *d2]));
    Some((days, text.get(10..)?))
}

/// A date in ISO 8601 with nothing behind it but midnight, in days since 1 January 1970.
pub(in crate::sources) fn iso_day(text: &str) -> Result<i64, Reason> {
    dashed_day(text).map_err(|reason| if is_zero_date(text) { Reason::ZeroDate } else { reason })
}

fn dashed_day(text: &str) -> Result<i64, Reason> {
    let (days, tail) = iso_date(text).ok_or(Reason::NotADate)?;
    if !tail.is_empty() {
        let time = tail.strip_prefix(['T', ' ']).ok_or(Reason::NotADate)?;
        // `00:00`, `00:00:00` and `00:00:00.000` are midnight; anything else says more than a date.
        if clock_time(time) != Ok(0) {
            let of_a_clock = time.bytes().all(|b| b.is_ascii_digit() || b":.+-Z".contains(&b));
            return Err(if of_a_clock { Reason::TimeOfDay } else { Reason::NotADate });
        }
    }
    days
}

/// A date and time in ISO 8601: civil microseconds, and the offset in seconds where one is said.
pub(in crate::sources) fn iso_moment(text: &str) -> Result<(i64, Option<i64>), Reason> {
    zoned_moment(text, Reason::NotATimestamp)
        .map_err(|reason| if is_zero_date(text) { Reason::ZeroDate } else { reason })
}

/// A time of day in ISO 8601, in microseconds.
pub(in crate::sources) fn iso_time(text: &str) -> Result<i64, Reason> {
    clock_time(text).map_err(|reason| reason.unwrap_or(Reason::NotATime))
}

/// `2026-11-21T08:30:00.5+07:00`: civil microseconds, and the offset in seconds where one is said.
fn zoned_moment(text: &str, otherwise: Reason) -> Result<(i64, Option<i64>), Reason> {
    let (days, tail) = iso_date(text).ok_or(otherwise)?;
    let clock = tail.strip_prefix(['T', ' ']).ok_or(otherwise)?;
    let (time, offset) = match clock.find(['Z', '+', '-']) {
        Some(place) => {
            let (time, offset) = clock.split_at(place);
            // PostgreSQL and MySQL put a blank before a zone in no output; a clerk's export may.
            (time.strip_suffix(' ').unwrap_or(time), Some(iso_offset(offset).ok_or(otherwise)?))
        }
        None => (clock, None),
    };
    let micros = clock_time(time).map_err(|reason| reason.unwrap_or(otherwise))?;
    Ok((days? * DAY_MICROS + micros, offset))
}

/// `Z`, `+07`, `+0700` or `+07:00`, in seconds.
fn iso_offset(text: &str) -> Option<i64> {
    let (sign, hours, minutes) = match text.as_bytes() {
        b"Z" => return Some(0),
        [sign, h1, h2] => (sign, [*h1, *h2], [b'0', b'0']),
        [sign, h1, h2, m1, m2] | [sign, h1, h2, b':', m1, m2] => (sign, [*h1, *h2], [*m1, *m2]),
        _ => return None,
    };
    let sign = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let is_known =
        hours.iter().chain(&minutes).all(u8::is_ascii_digit) && number(&hours) <= 25 && number(&minutes) < 60;
    is_known.then(|| sign * (number(&hours) * 3600 + number(&minutes) * 60))
}

/// `08:30`, `08:30:00` or `08:30:00.123456`, in microseconds. An error without a reason is another form.
fn clock_time(text: &str) -> Result<i64, Option<Reason>> {
    let (clock, fraction) = text.split_once('.').map_or((text, None), |(clock, fraction)| (clock, Some(fraction)));
    let (hours, minutes, seconds) = match clock.as_bytes() {
        [h1, h2, b':', m1, m2] if fraction.is_none() => ([*h1, *h2], [*m1, *m2], [b'0', b'0']),
        [h1, h2, b':', m1, m2, b':', s1, s2] => ([*h1, *h2], [*m1, *m2], [*s1, *s2]),
        _ => return Err(None),
    };
    let fraction = fraction.unwrap_or("0").as_bytes();
    let mut digits = hours.iter().chain(&minutes).chain(&seconds).chain(fraction);
    if fraction.is_empty() || !digits.all(u8::is_ascii_digit) {
        return Err(None);
    }
    if number(&hours) > 23 || number(&minutes) > 59 || number(&seconds) > 59 {
        return Err(Some(Reason::NoSuchTime));
    }
    if fraction.iter().skip(6).any(|digit| *digit != b'0') {
        return Err(Some(Reason::TooPrecise));
    }
    let micros =
        fraction.iter().chain(std::iter::repeat(&b'0')).take(6).fold(0, |sum, d| sum * 10 + i64::from(d - b'0'));
    Ok((number(&hours) * 3600 + number(&minutes) * 60 + number(&seconds)) * 1_000_000 + micros)
}

fn civil_micros(moment: DateTime) -> Result<i64, Reason> {
    Ok(i64::from(crate::calendar::to_days(Date::from(moment))) * DAY_MICROS + time_micros(moment.time())?)
}

fn time_micros(time: Time) -> Result<i64, Reason> {
    if time.nanosecond() != 0 {
        return Err(Reason::TooPrecise);
    }
    let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    Ok(seconds * 1_000_000 + i64::from(time.millisecond()) * 1_000 + i64::from(time.microsecond()))
}

/// Months, days and microseconds of `P1Y2M3DT4H5M6.5S`.
fn iso_interval(bytes: &[u8]) -> Result<(i32, i32, i64), Reason> {
    let span = SpanParser::new().parse_span(bytes).map_err(|_| Reason::NotAnInterval)?;
    if span.get_nanoseconds() != 0 {
        return Err(Reason::TooPrecise);
    }
    let months = i32::from(span.get_years()) * 12 + span.get_months();
    let days = span.get_weeks() * 7 + span.get_days();
    let seconds = i64::from(span.get_hours()) * 3600 + span.get_minutes() * 60 + span.get_seconds();
    let micros = seconds.checked_mul(1_000_000).and_then(|micros| {
        micros.checked_add(span.get_milliseconds().checked_mul(1_000)?)?.checked_add(span.get_microseconds())
    });
    Ok((months, days, micros.ok_or(Reason::TooLarge)?))
}
