//! The steps from the fields and the numbers of the law to the date, in words that can be done again by hand.

use std::collections::BTreeMap;

use jiff::Span;
use jiff::civil::{Date, Weekday};
use serde::Serialize;

use super::account::{Node, Of};
use super::arms;
use super::words::{count, join, same, sentence, value, weekday_and_day};
use crate::language::{self, Text, date as day};
use crate::pipeline::calendar::{DayKind, LegalCalendar};

/// One step.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The function, as it is written in SQL.
    pub function: String,
    /// Its arguments, as text; none where null.
    pub arguments: Vec<Option<String>>,
    /// What it gave.
    pub result: Option<String>,
    /// In words.
    pub words: Text,
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Step({})", self.function)
    }
}

/// What the steps are put in words with.
pub(super) struct Given<'a> {
    pub(super) calendar: &'a LegalCalendar,
    /// What was decided after this date is not known.
    pub(super) known_on: Date,
}

/// The most days that are named one by one where working days are counted or moved over.
const DAYS_NAMED_MAX: usize = 40;

/// The steps of an account, in order, each once.
pub(super) fn steps(account: &Node, given: &Given<'_>) -> Vec<Step> {
    let mut steps = found(account, given);
    // That an obligation lies in the window of its night is no part of how its day came about.
    steps.retain(|step| step.function != arms::CONDITION);
    if !steps.iter().any(|step| !arms::is_of_a_choice(step)) {
        steps.push(step("value", account, plain(account)));
    }
    steps
}

/// The steps of an account, in order, each once; none where its value stands in a field.
pub(super) fn found(account: &Node, given: &Given<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    walk(account, given, &mut steps);
    steps
}

/// The first year whose decree is awaited, of the days over which an account counts working days or moves to one:
/// the due day may still move.
pub(super) fn assumed_year(account: &Node, given: &Given<'_>) -> Option<i16> {
    let mut found: Option<i16> = None;
    account.each(&mut |node| {
        let Of::Call(name) = node.kind() else { return };
        if !COUNTS_WORKING_DAYS.contains(&name) {
            return;
        }
        let dates = node.found().filter_map(Node::date).chain(node.date());
        let (first, last) = dates.fold((Date::MAX, Date::MIN), |(first, last), date| (first.min(date), last.max(date)));
        let between = first.series(Span::new().days(1)).take_while(|date| *date <= last);
        let year = between.filter_map(|date| given.calendar.awaits_decree(date, given.known_on)).min();
        found = found.into_iter().chain(year).min();
    });
    found
}

/// The functions whose value depends on which days are worked.
const COUNTS_WORKING_DAYS: [&str; 4] =
    ["next_working_day", "previous_working_day", "add_working_days", "working_days_between"];

fn walk(node: &Node, given: &Given<'_>, steps: &mut Vec<Step>) {
    let mut put = |step: Step| {
        if !steps.contains(&step) {
            steps.push(step);
        }
    };
    match node.kind() {
        // What chose a number is said with the rule; which of several it was is said here.
        Of::Chosen => node.found().skip(1).for_each(|part| arms::choices(part, steps)),
        Of::Law(..) | Of::Column(..) | Of::Another(..) | Of::Given => {}
        Of::Choice(arm) => put(arms::choice(arm, node)),
        Of::Branch(arm) => {
            put(arms::branch(arm, node));
            node.part(0).into_iter().for_each(|part| walk(part, given, steps));
        }
        Of::Named(_) => node.found().for_each(|part| walk(part, given, steps)),
        Of::Untold => put(step("untold", node, untold(node))),
        Of::Latest | Of::Earliest => {
            node.found().for_each(|part| walk(part, given, steps));
        }
        // Part of the words of the step that takes it.
        Of::Call("date_part" | "negative") => node.found().for_each(|part| walk(part, given, steps)),
        Of::Call(name) => {
            for part in node.found() {
                // Of a number, its whole formula is one step.
                if !is_formula(name) || !matches!(part.kind(), Of::Call(inner) if is_formula(inner)) {
                    walk(part, given, steps);
                } else {
                    part.found().for_each(|part| within_formula(part, given, steps));
                }
            }
            if let Some(words) = call(name, node, given)
                && !steps.iter().any(|known| known.words == words)
            {
                steps.push(step(name, node, words));
            }
        }
    }
}

/// Steps to a date that stands inside the formula of a number.
fn within_formula(node: &Node, given: &Given<'_>, steps: &mut Vec<Step>) {
    match node.kind() {
        Of::Call(name) if is_formula(name) || name == "date_part" || name == "negative" => {
            node.found().for_each(|part| within_formula(part, given, steps));
        }
        _ => walk(node, given, steps),
    }
}

fn is_formula(name: &str) -> bool {
    matches!(name, "+" | "-" | "*" | "/" | "%")
}

pub(super) fn step(function: &str, node: &Node, words: Text) -> Step {
    let arguments = node.parts.iter().map(|part| part.as_ref().and_then(|part| part.value.clone())).collect();
    Step { function: function.to_owned(), arguments, result: node.value.clone(), words }
}

fn plain(node: &Node) -> Text {
    let value = value(node.value.as_deref());
    Text::new(
        format!("Hạn chính là giá trị của trường này: {}.", value.vi),
        format!("The due date is the value of this field: {}.", value.en),
    )
}

fn untold(node: &Node) -> Text {
    let value = value(node.value.as_deref());
    let by = node.of.split_once(' ').map_or("", |(_, by)| by);
    Text::new(
        format!("Giá trị {} do phép tính {by} trên nhiều dòng cho; không diễn giải thêm được.", value.vi),
        format!("The value {} is given by {by} over several rows, and is not followed further.", value.en),
    )
}

/// A function in words; none where a null makes it say nothing.
fn call(name: &str, node: &Node, given: &Given<'_>) -> Option<Text> {
    let number = |at: usize| node.part(at).and_then(Node::number);
    let (first, result) = (node.part(0).and_then(Node::date), node.date());
    match (name, first, result) {
        ("add_months", Some(from), Some(to)) => Some(added_months(from, number(1)?, to)),
        ("last_day_of_month", Some(from), Some(to)) => Some(arrow(
            &Text::new(
                format!("Ngày cuối cùng của tháng có ngày {}", day(from).vi),
                format!("Last day of the month of {}", day(from).en),
            ),
            to,
        )),
        ("days_from_day_after", Some(from), Some(to)) => Some(counted(from, number(1)?, to, from.tomorrow().ok()?)),
        ("days_from_day", Some(from), Some(to)) => Some(counted(from, number(1)?, to, from)),
        ("before_day", Some(from), Some(to)) => Some(arrow(
            &Text::new(
                format!("Trước ngày {}: ngày cuối cùng là ngày liền trước", day(from).vi),
                format!("Before {}: the last day is the one before it", day(from).en),
            ),
            to,
        )),
        ("on_day", Some(_), Some(_)) => None,
        ("next_working_day" | "previous_working_day", Some(from), Some(to)) => Some(rolled(from, to, given)),
        ("add_working_days", Some(from), Some(to)) => Some(worked(from, number(1)?, to, given)),
        ("make_date", _, Some(to)) => Some(fixed(node, to)),
        ("least" | "greatest", _, Some(to)) => Some(of_several(name, node, to)),
        ("+" | "-", Some(from), Some(to)) => {
            let days = number(1)?;
            let words = count(days, "days");
            let sign = if name == "+" { "+" } else { "−" };
            Some(arrow(
                &Text::new(
                    format!("{} {sign} {}", day(from).vi, words.vi),
                    format!("{} {sign} {}", day(from).en, words.en),
                ),
                to,
            ))
        }
        ("+" | "-" | "*" | "/" | "%", ..) => {
            let formula = formula(node, false);
            let value = node.value.clone()?;
            Some(Text::new(format!("{} = {value}", formula.vi), format!("{} = {value}", formula.en)))
        }
        (_, _, _) if node.value.is_none() => None,
        _ => {
            let arguments: Vec<Text> = node.found().map(|part| value(part.value.as_deref())).collect();
            let (arguments, value) = (join(&arguments, "; "), value(node.value.as_deref()));
            Some(Text::new(
                format!("{name}({}) → {}", arguments.vi, value.vi),
                format!("{name}({}) → {}", arguments.en, value.en),
            ))
        }
    }
}

fn arrow(from: &Text, to: Date) -> Text {
    let to = day(to);
    Text::new(format!("{} → {}", from.vi, to.vi), format!("{} → {}", from.en, to.en))
}

fn added_months(from: Date, months: i64, to: Date) -> Text {
    let (sign, words) = (if months < 0 { "−" } else { "+" }, count(months.saturating_abs(), "months"));
    let date = day(from);
    let said =
        arrow(&Text::new(format!("{} {sign} {}", date.vi, words.vi), format!("{} {sign} {}", date.en, words.en)), to);
    if from.day() == to.day() {
        return said;
    }
    let nominal = from.day();
    let (vi, en) = match to.day() {
        1 => (
            format!("tháng đến không có ngày {nominal} nên lấy ngày đầu tháng sau"),
            format!("that month has no day {nominal}, so the first of the next counts"),
        ),
        _ => (
            format!("tháng đó không có ngày {nominal} nên lấy ngày cuối tháng, Bộ luật Dân sự 2015, Điều 148 khoản 3"),
            format!("that month has no day {nominal}, so its last day counts, Civil Code 2015, Art. 148(3)"),
        ),
    };
    Text::new(format!("{} ({vi})", said.vi), format!("{} ({en})", said.en))
}

fn counted(from: Date, days: i64, to: Date, first: Date) -> Text {
    let (words, from_day, first_day) = (count(days, "days"), day(from), day(first));
    let said = if first == from {
        Text::new(
            format!("{} kể từ ngày {}, ngày đó là ngày thứ nhất", words.vi, from_day.vi),
            format!("{} from {}, which is the first of them", words.en, from_day.en),
        )
    } else {
        Text::new(
            format!(
                "{} + {}, đếm từ ngày tiếp theo ({}), Bộ luật Dân sự 2015, Điều 147 khoản 2",
                from_day.vi, words.vi, first_day.vi
            ),
            format!(
                "{} + {}, counted from the day after ({}), Civil Code 2015, Art. 147(2)",
                from_day.en, words.en, first_day.en
            ),
        )
    };
    arrow(&said, to)
}

fn rolled(from: Date, to: Date, given: &Given<'_>) -> Text {
    let (before, after) = (weekday_and_day(from), weekday_and_day(to));
    if from == to {
        return sentence(Text::new(
            format!("{} là ngày làm việc nên giữ nguyên.", before.vi),
            format!("{} is a working day, so it stays.", before.en),
        ));
    }
    let jumped =
        if from < to { days(from, to) } else { days(to.tomorrow().unwrap_or(to), from.tomorrow().unwrap_or(from)) };
    let why = named(jumped, given);
    Text::new(
        format!("Chuyển từ {} sang {}: {}.", before.vi, after.vi, why.vi),
        format!("Moved from {} to {}: {}.", before.en, after.en, why.en),
    )
}

fn worked(from: Date, number: i64, to: Date, given: &Given<'_>) -> Text {
    let (words, date) = (count(number.saturating_abs(), "working_days"), day(from));
    let said = match number {
        0 => {
            return arrow(
                &Text::new(format!("{} + 0 ngày làm việc", date.vi), format!("{} + 0 working days", date.en)),
                to,
            );
        }
        1.. => Text::new(
            format!("{} + {}, đếm từ ngày tiếp theo", date.vi, words.vi),
            format!("{} + {}, counted from the day after", date.en, words.en),
        ),
        _ => Text::new(
            format!("{} − {}, đếm ngược từ ngày liền trước", date.vi, words.vi),
            format!("{} − {}, counted back from the day before", date.en, words.en),
        ),
    };
    let between =
        if number > 0 { days(from.tomorrow().unwrap_or(from), to) } else { days(to.tomorrow().unwrap_or(to), from) };
    let said = arrow(&said, to);
    let is_free = |date: &Date| !is_working(*date, given);
    let free: Vec<Date> = between.iter().copied().filter(is_free).collect();
    let is_swapped = |date: &Date| is_working(*date, given) && is_weekend(*date);
    let swapped: Vec<Date> = between.into_iter().chain([to]).filter(is_swapped).collect();
    let mut parts = vec![said];
    if !free.is_empty() {
        let free = named(free, given);
        parts.push(Text::new(format!("không tính {}", free.vi), format!("not counted: {}", free.en)));
    }
    if !swapped.is_empty() {
        let swapped = named(swapped, given);
        parts.push(Text::new(format!("tính cả {}", swapped.vi), format!("counted: {}", swapped.en)));
    }
    join(&parts, "; ")
}

/// The days from one date to another, the last one left out.
fn days(from: Date, to: Date) -> Vec<Date> {
    from.series(Span::new().days(1)).take_while(|date| *date < to).collect()
}

fn is_weekend(date: Date) -> bool {
    matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// As the calendar was known.
fn is_working(date: Date, given: &Given<'_>) -> bool {
    match given.calendar.day(date, given.known_on) {
        Some(day) => day.kind == DayKind::WorkingDay,
        None => !is_weekend(date),
    }
}

/// Days with why each is none on which civil servants work, or why it is one.
fn named(days: Vec<Date>, given: &Given<'_>) -> Text {
    let left_out = days.len().saturating_sub(DAYS_NAMED_MAX);
    let mut said: Vec<Text> = days.into_iter().take(DAYS_NAMED_MAX).map(|date| why(date, given)).collect();
    if left_out > 0 {
        said.push(Text::new(format!("và {left_out} ngày nữa"), format!("and {left_out} more days")));
    }
    join(&said, ", ")
}

fn why(date: Date, given: &Given<'_>) -> Text {
    let date_words = day(date);
    let Some(legal) = given.calendar.day(date, given.known_on) else {
        let weekday = language::weekday(date.weekday());
        return Text::new(format!("{} {}", date_words.vi, weekday.vi), format!("{} {}", date_words.en, weekday.en));
    };
    let (vi, en) = match legal.kind {
        DayKind::Holiday => ("nghỉ lễ, tết", "holiday"),
        DayKind::Compensatory => ("nghỉ bù", "compensatory day off"),
        DayKind::DayOff => ("nghỉ hoán đổi", "day off by a swap"),
        DayKind::WorkingDay => ("làm bù", "worked for a swap"),
    };
    let (assumed_vi, assumed_en) = if legal.is_assumed { ("; tạm tính", "; assumed") } else { ("", "") };
    Text::new(
        format!("{} {vi} ({}; {}{assumed_vi})", date_words.vi, legal.name.vi, legal.reference.vi),
        format!("{} {en} ({}; {}{assumed_en})", date_words.en, legal.name.en, legal.reference.en),
    )
}

/// A day and a month that the law names, in a year.
fn fixed(node: &Node, to: Date) -> Text {
    let year = node.part(0).map(|part| formula(part, false)).unwrap_or_else(|| same(""));
    let part = |at: usize| node.part(at).and_then(|part| part.value.clone()).unwrap_or_default();
    let (day, month, number) = (part(2), part(1), part(0));
    arrow(
        &Text::new(
            format!("Ngày {day} tháng {month} năm {number} ({})", year.vi),
            format!("Day {day} of month {month} of {number} ({})", year.en),
        ),
        to,
    )
}

fn of_several(name: &str, node: &Node, to: Date) -> Text {
    let dates: Vec<Text> = node.found().filter_map(Node::date).map(day).collect();
    let dates = join(&dates, "; ");
    let (vi, en) = if name == "least" {
        ("Ngày sớm nhất trong", "The earliest of")
    } else {
        ("Ngày muộn nhất trong", "The latest of")
    };
    arrow(&Text::new(format!("{vi}: {}", dates.vi), format!("{en}: {}", dates.en)), to)
}

/// A number as the formula that gives it.
fn formula(node: &Node, is_inner: bool) -> Text {
    let shown = || value(node.value.as_deref());
    match node.kind() {
        Of::Call(name) if is_formula(name) => {
            let side = |at: usize| node.part(at).map_or_else(|| same("?"), |part| formula(part, true));
            let (left, right) = (side(0), side(1));
            let sign = match name {
                "-" => "−",
                "*" => "×",
                "/" => ":",
                other => other,
            };
            let (open, close) = if is_inner { ("(", ")") } else { ("", "") };
            Text::new(
                format!("{open}{} {sign} {}{close}", left.vi, right.vi),
                format!("{open}{} {sign} {}{close}", left.en, right.en),
            )
        }
        Of::Call("negative") => {
            let inner = node.part(0).map_or_else(|| same("?"), |part| formula(part, true));
            Text::new(format!("−{}", inner.vi), format!("−{}", inner.en))
        }
        Of::Call("date_part") => {
            let part = node.part(0).and_then(|part| part.value.as_deref()).unwrap_or_default().to_ascii_lowercase();
            let of = node.part(1).map_or_else(|| same("?"), |part| value(part.value.as_deref()));
            let vi = BTreeMap::from([("year", "năm"), ("month", "tháng"), ("day", "ngày"), ("quarter", "quý")]);
            Text::new(
                format!("{} của {}", vi.get(part.as_str()).copied().unwrap_or(&part), of.vi),
                format!("{part} of {}", of.en),
            )
        }
        _ => match &node.value {
            // Numbers that are computed with are not identifiers.
            Some(number) if node.number().is_some() => same(number.clone()),
            _ => shown(),
        },
    }
}
