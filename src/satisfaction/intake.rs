//! Answers become counts: joined with what proves the service, bounded by person, added up, forgotten.
//!
//! Everything here is a function of its arguments: no order of rows or files changes the counts, and a second run makes
//! the same ones. Of several answers with one proof one counts, by the lowest keyed hash of the whole answer; of a
//! person's rated dossiers of a month, those with the lowest keyed hashes of their numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use jiff::civil::Date;

use super::counts::{Cell, Counts};
use super::tokens::{self, TokenCell, TokenHash};
use crate::calendar;
use crate::personal::{Personal, PseudonymKey};
use crate::pipeline::blind::{Blind, Proof, Question, Scale};
use crate::tables::{self, Table};

/// Answers of one blind table, in memory.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// What its columns mean.
    pub blind: &'a Blind,
    /// Its rows.
    pub rows: &'a Table,
}

/// With what answers are joined.
pub struct Proofs<'a> {
    /// The columns of [`super::finished`]: dossiers that were finished in the months to be taken in.
    pub finished: &'a Table,
    /// Tokens of these months that are not spent.
    pub tokens: &'a HashMap<TokenHash, TokenCell>,
    /// The months to be taken in, `2026-10`.
    pub months: &'a BTreeSet<String>,
    /// Codes of the public lists: communes, and procedure groups.
    pub codes: (&'a BTreeSet<String>, &'a BTreeSet<String>),
    /// How many ratings of one person count in a month.
    pub per_person: u32,
    /// The key of all digests.
    pub key: &'a PseudonymKey,
}

/// What was taken in of one month.
#[derive(Debug, Default)]
pub struct OfMonth {
    /// The counts.
    pub counts: Counts,
    /// The tokens that were spent, in the order of their hashes.
    pub spent: BTreeSet<TokenHash>,
    /// What people wrote, in the order of keyed hashes, which is nobody's.
    pub texts: Vec<Personal<String>>,
    /// Second answers with a proof that had one already.
    pub repeated: u64,
    /// Answers of persons who had as many as count.
    pub over_bound: u64,
}

/// What was taken in.
#[derive(Debug, Default)]
pub struct Taken {
    /// By month; each month that was asked for is there.
    pub months: BTreeMap<String, OfMonth>,
    /// The last day of which there is an answer.
    pub last_day: Option<Date>,
    /// Rows without a day, without the overall answer, or with one that is no level of the scale.
    pub incomplete: u64,
}

/// One answer, joined.
struct Answer {
    rank: [u8; 32],
    levels: Vec<(Question, i64)>,
    text: Option<String>,
    scale: Scale,
}

/// The day of a row, and its answer.
type Dated = (Option<Date>, Option<Answer>);

/// A finished dossier.
struct Dossier {
    subject: Option<String>,
    month: String,
    place: (Option<String>, Option<String>),
}

/// Takes answers in.
///
/// # Errors
///
/// A column that is not there or not of its type.
pub fn take(forms: &[Form<'_>], proofs: &Proofs<'_>) -> Result<Taken, tables::Error> {
    let mut taken = Taken::default();
    taken.months.extend(proofs.months.iter().map(|month| (month.clone(), OfMonth::default())));
    let dossiers = read_dossiers(proofs)?;
    let mut by_dossier: HashMap<String, Answer> = HashMap::new();
    let mut by_token: HashMap<TokenHash, Answer> = HashMap::new();
    for form in forms {
        let by = match &form.blind.proof {
            Proof::Dossier { column } | Proof::Token { column } => Some(form.rows.texts(column)?),
            Proof::Nothing => None,
        };
        let communes = form.blind.commune.as_deref().map(|column| form.rows.texts(column)).transpose()?;
        for (row, (day, answer)) in answers(form, proofs.key)?.into_iter().enumerate() {
            let at = |column: &Option<Vec<Option<String>>>| column.as_ref()?.get(row)?.clone();
            taken.last_day = taken.last_day.max(day);
            let (Some(day), Some(answer)) = (day, answer) else {
                taken.incomplete += 1;
                continue;
            };
            let repeated = match (&form.blind.proof, at(&by)) {
                (Proof::Nothing, _) => {
                    take_unproven(&mut taken, day, at(&communes), answer, proofs);
                    None
                }
                (Proof::Dossier { .. }, Some(number)) => match dossiers.get(number.trim()) {
                    Some(dossier) => {
                        keep_lowest(&mut by_dossier, number.trim().to_owned(), answer).then_some(&dossier.month)
                    }
                    None => None,
                },
                (Proof::Token { .. }, Some(token)) => {
                    let hash = tokens::hash(&token, proofs.key);
                    let cell = proofs.tokens.get(&hash).filter(|cell| proofs.months.contains(&cell.month));
                    cell.and_then(|cell| keep_lowest(&mut by_token, hash, answer).then_some(&cell.month))
                }
                // Without its proof an answer is of nobody who used the service.
                (_, None) => None,
            };
            if let Some(of_month) = repeated.and_then(|month| taken.months.get_mut(month)) {
                of_month.repeated += 1;
            }
        }
    }
    take_tokens(&mut taken, by_token, proofs);
    take_dossiers(&mut taken, by_dossier, &dossiers, proofs);
    Ok(taken)
}

/// The last day of which a form has an answer.
///
/// # Errors
///
/// A column that is not there or not of its type.
pub fn last_day(form: &Form<'_>) -> Result<Option<Date>, tables::Error> {
    Ok(days(form.rows, &form.blind.answered_on)?.into_iter().flatten().max())
}

/// Of two answers with one proof the one with the lower hash stays; whether there were two.
fn keep_lowest<K: std::hash::Hash + Eq>(all: &mut HashMap<K, Answer>, key: K, answer: Answer) -> bool {
    match all.get_mut(&key) {
        Some(other) => {
            if answer.rank < other.rank {
                *other = answer;
            }
            true
        }
        None => {
            all.insert(key, answer);
            false
        }
    }
}

fn read_dossiers(proofs: &Proofs<'_>) -> Result<HashMap<String, Dossier>, tables::Error> {
    let finished = proofs.finished;
    let (ids, subjects) = (finished.texts("dossier_id")?, finished.texts("subject_id")?);
    let (communes, groups) = (finished.texts("commune_code")?, finished.texts("procedure_group")?);
    let months = finished.texts("month")?;
    let known = |codes: &BTreeSet<String>, code: Option<String>| code.filter(|code| codes.contains(code));
    let rows = ids.into_iter().zip(subjects).zip(communes.into_iter().zip(groups)).zip(months);
    let mut dossiers = HashMap::new();
    for (((id, subject), (commune, group)), month) in rows {
        if let (Some(id), Some(month)) = (id, month.filter(|month| proofs.months.contains(month))) {
            let place = (known(proofs.codes.0, commune), known(proofs.codes.1, group));
            dossiers.insert(id, Dossier { subject, month, place });
        }
    }
    Ok(dossiers)
}

fn take_tokens(taken: &mut Taken, answers: HashMap<TokenHash, Answer>, proofs: &Proofs<'_>) {
    for (hash, answer) in answers {
        let Some(cell) = proofs.tokens.get(&hash) else { continue };
        let Some(of_month) = taken.months.get_mut(&cell.month) else { continue };
        of_month.spent.insert(hash);
        of_month.over_bound += u64::from(!cell.is_counting);
        add(of_month, (cell.commune.clone(), cell.group.clone()), "token", cell.is_counting, answer);
    }
    taken.months.values_mut().for_each(|of_month| sort_texts(of_month, proofs.key));
}

fn take_dossiers(
    taken: &mut Taken,
    answers: HashMap<String, Answer>,
    dossiers: &HashMap<String, Dossier>,
    proofs: &Proofs<'_>,
) {
    let rank = |number: &str| proofs.key.digest("disclosure record", &[b"ratings", number.as_bytes()]);
    let mut ranked: Vec<([u8; 32], String, Answer)> =
        answers.into_iter().map(|(number, answer)| (rank(&number), number, answer)).collect();
    ranked.sort_unstable_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    let mut counted: HashMap<(&str, &str), u32> = HashMap::new();
    for (_, number, answer) in ranked {
        let Some(dossier) = dossiers.get(&number) else { continue };
        let Some(of_month) = taken.months.get_mut(&dossier.month) else { continue };
        // A cell outside the public lists is in no figure, and takes nothing of its person's bound.
        let is_public = dossier.place.0.is_some() && dossier.place.1.is_some();
        // A dossier of nobody known cannot be bounded: it is counted apart.
        let is_counted = dossier.subject.as_deref().is_some_and(|subject| {
            if !is_public {
                return true;
            }
            let so_far = counted.entry((subject, dossier.month.as_str())).or_default();
            *so_far = so_far.saturating_add(1);
            *so_far <= proofs.per_person
        });
        of_month.over_bound += u64::from(!is_counted);
        add(of_month, dossier.place.clone(), "dossier", is_counted, answer);
    }
    taken.months.values_mut().for_each(|of_month| sort_texts(of_month, proofs.key));
}

fn take_unproven(taken: &mut Taken, day: Date, commune: Option<String>, answer: Answer, proofs: &Proofs<'_>) {
    let month = format!("{:04}-{:02}", day.year(), day.month());
    let Some(of_month) = taken.months.get_mut(&month) else { return };
    let commune = commune.filter(|code| proofs.codes.0.contains(code));
    add(of_month, (commune, None), "none", false, answer);
}

fn add(
    of_month: &mut OfMonth,
    place: (Option<String>, Option<String>),
    proof: &'static str,
    is_counted: bool,
    answer: Answer,
) {
    for (question, level) in answer.levels {
        let cell = Cell::new(place.clone(), question, (answer.scale, level));
        of_month.counts.add(Cell { proof: proof.to_owned(), is_counted, ..cell });
    }
    of_month.texts.extend(answer.text.map(Personal::new));
}

/// The order of texts is that of their keyed hashes: no order of rows is left in it.
fn sort_texts(of_month: &mut OfMonth, key: &PseudonymKey) {
    of_month.texts.sort_by_cached_key(|text| key.digest("rating text", &[text.reveal().as_bytes()]));
}

/// The day of each row, cut to the day here, and its answer; none where there is no day or no overall answer.
fn answers(form: &Form<'_>, key: &PseudonymKey) -> Result<Vec<Dated>, tables::Error> {
    let Form { blind, rows } = *form;
    let days = days(rows, &blind.answered_on)?;
    let mut levels = Vec::new();
    for (question, column) in &blind.questions {
        levels.push((*question, levels_of(rows, column, blind)?));
    }
    let texts = blind.text.as_deref().map(|column| rows.texts(column)).transpose()?;
    let scale = if blind.counts_as.is_empty() { blind.scale } else { Scale::Five };
    let all = days.into_iter().enumerate().map(|(row, day)| {
        let of_row = levels.iter().filter_map(|(question, all)| Some((*question, all.get(row).copied().flatten()?)));
        let of_row: Vec<(Question, i64)> = of_row.collect();
        let text = texts.as_ref().and_then(|texts| texts.get(row)?.clone());
        let text = text.filter(|text| !text.trim().is_empty());
        let has_overall = of_row.iter().any(|(question, _)| *question == Question::Overall);
        let rank = rank(&of_row, day, text.as_deref(), key);
        (day, has_overall.then_some(Answer { rank, levels: of_row, text, scale }))
    });
    Ok(all.collect())
}

fn rank(levels: &[(Question, i64)], day: Option<Date>, text: Option<&str>, key: &PseudonymKey) -> [u8; 32] {
    let told: Vec<String> = levels.iter().map(|(question, level)| format!("{}={level}", question.word())).collect();
    let day = day.map(|day| day.to_string()).unwrap_or_default();
    key.digest("rating answer", &[told.join(" ").as_bytes(), day.as_bytes(), text.unwrap_or_default().as_bytes()])
}

fn levels_of(rows: &Table, column: &str, blind: &Blind) -> Result<Vec<Option<i64>>, tables::Error> {
    let levels: Vec<Option<i64>> = if blind.answers.is_empty() {
        rows.ints(column)?
    } else {
        let texts = rows.texts(column)?.into_iter();
        texts.map(|text| blind.answers.get(text?.trim()).copied()).collect()
    };
    let as_declared = |level: i64| {
        let is_level = (1..=blind.scale.levels()).contains(&level);
        let place = usize::try_from(level - 1).ok().filter(|_| is_level)?;
        if blind.counts_as.is_empty() { Some(level) } else { blind.counts_as.get(place).copied() }
    };
    Ok(levels.into_iter().map(|level| as_declared(level?)).collect())
}

/// The civil days of a column: of a moment, the day in Vietnam, which has been seven hours ahead of UTC since 1975.
fn days(rows: &Table, column: &str) -> Result<Vec<Option<Date>>, tables::Error> {
    const VIETNAM_AHEAD_MICROS: i64 = 7 * 3_600_000_000;
    const DAY_MICROS: i64 = 24 * 3_600_000_000;
    let Ok(field) = rows.schema.field_with_name(column) else {
        return Err(tables::Error::Missing { column: column.to_owned() });
    };
    let ahead = match field.data_type() {
        DataType::Timestamp(_, Some(_)) => VIETNAM_AHEAD_MICROS,
        DataType::Timestamp(_, None) => 0,
        _ => return rows.dates(column),
    };
    let mut days = Vec::with_capacity(rows.rows());
    for batch in &rows.batches {
        let Some(array) = batch.column_by_name(column) else { continue };
        let wanted = DataType::Timestamp(TimeUnit::Microsecond, None);
        let micros =
            cast(array, &wanted).map_err(|source| tables::Error::Type { column: column.to_owned(), wanted, source })?;
        let micros = micros.as_primitive::<TimestampMicrosecondType>();
        days.extend((0..micros.len()).map(|row| {
            let day = micros.is_valid(row).then(|| micros.value(row).saturating_add(ahead).div_euclid(DAY_MICROS))?;
            calendar::from_days(i32::try_from(day).ok()?)
        }));
    }
    Ok(days)
}
