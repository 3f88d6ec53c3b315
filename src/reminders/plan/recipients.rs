//! Who can be written to, and where, as the registers say it. It does not know what about.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Reason;
use crate::language::Language;
use crate::personal::Personal;
use crate::pipeline::{Audience, Reach};
use crate::tables::{self, Table, Texts};

/// How to write to a person: a row of the registers.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    rows: &'a Rows,
    row: usize,
}

/// The rows of the registers, as their columns.
#[derive(Debug, Default)]
struct Rows {
    subjects: Texts,
    names: Texts,
    emails: Texts,
    phones: Texts,
    said: Vec<Said>,
}

/// What else a row says.
#[derive(Debug, Clone, Copy)]
struct Said {
    language: Language,
    is_deceased: bool,
    is_closed: bool,
    refuses_reminders: bool,
}

/// What is said of a row that is not there: nobody writes to it.
const NOBODY: Said = Said { language: Language::Vi, is_deceased: true, is_closed: true, refuses_reminders: true };

impl<'a> Recipient<'a> {
    /// Their name.
    pub fn full_name(self) -> Personal<String> {
        Personal::new(self.rows.names.get(self.row).unwrap_or_default().to_owned())
    }

    /// Their language.
    pub fn language(self) -> Language {
        self.said().language
    }

    /// Their mail address, if they have one.
    pub fn email(self) -> Option<Personal<&'a str>> {
        written(&self.rows.emails, self.row)
    }

    /// Their mobile number as the register writes it, if they have one.
    pub fn phone(self) -> Option<Personal<&'a str>> {
        written(&self.rows.phones, self.row)
    }

    /// What a channel needs to know of them, as the register writes it.
    pub fn address(self, reach: Reach) -> Option<Personal<&'a str>> {
        match reach {
            Reach::Email => self.email(),
            Reach::Phone => self.phone(),
        }
    }

    /// Nobody writes to the dead.
    pub fn is_deceased(self) -> bool {
        self.said().is_deceased
    }

    /// Nor to a business that is closed.
    pub fn is_closed(self) -> bool {
        self.said().is_closed
    }

    /// They used their right to refuse.
    pub fn refuses_reminders(self) -> bool {
        self.said().refuses_reminders
    }

    /// Whether two are one row of one register.
    pub fn is(self, other: Recipient<'_>) -> bool {
        std::ptr::eq(self.rows, other.rows) && self.row == other.row
    }

    fn said(self) -> Said {
        self.rows.said.get(self.row).copied().unwrap_or(NOBODY)
    }
}

fn written(texts: &Texts, row: usize) -> Option<Personal<&str>> {
    texts.get(row).map(str::trim).filter(|text| !text.is_empty()).map(Personal::new)
}

/// Those who have something due, by `subject_id`.
///
/// They stand in the columns that they are read from: a person takes some hundred bytes.
#[derive(Debug, Clone, Default)]
pub struct Recipients {
    rows: Arc<Rows>,
    people: Register,
    businesses: Register,
}

/// Rows in order of their `subject_id`: a table with places to spare would take more memory.
#[derive(Debug, Clone, Default)]
struct Register(Vec<u32>);

impl Register {
    /// Of two rows of one subject the later one counts.
    fn of(mut order: Vec<u32>, rows: &Rows) -> Self {
        order.sort_unstable_by(|a, b| (rows.subject(*a), a).cmp(&(rows.subject(*b), b)));
        order.dedup_by(|later, kept| {
            let is_same = rows.subject(*later) == rows.subject(*kept);
            if is_same {
                std::mem::swap(later, kept);
            }
            is_same
        });
        order.shrink_to_fit();
        Register(order)
    }

    fn get<'a>(&self, subject_id: &str, rows: &'a Rows) -> Option<Recipient<'a>> {
        let order = |row: &u32| rows.subject(*row).map_or(Ordering::Less, |subject| subject.cmp(subject_id));
        let place = self.0.binary_search_by(order).ok()?;
        self.0.get(place).map(|row| Recipient { rows, row: place_of(*row) })
    }
}

impl Rows {
    fn subject(&self, row: u32) -> Option<&str> {
        self.subjects.get(place_of(row))
    }
}

fn place_of(row: u32) -> usize {
    usize::try_from(row).unwrap_or(usize::MAX)
}

impl Recipients {
    /// The subjects that have an address of a kind, with it as the register writes it: persons, or businesses.
    pub fn addresses_by(
        &self,
        reach: Reach,
        of_businesses: bool,
    ) -> impl Iterator<Item = (Personal<&str>, Personal<&str>)> {
        let register = if of_businesses { &self.businesses } else { &self.people };
        let rows = &*self.rows;
        register.0.iter().filter_map(move |row| {
            let address = Recipient { rows, row: place_of(*row) }.address(reach)?;
            Some((Personal::new(rows.subject(*row)?), address))
        })
    }

    /// The subjects that have a mail address, with it: persons, or businesses.
    pub fn addresses(&self, of_businesses: bool) -> impl Iterator<Item = (Personal<&str>, Personal<&str>)> {
        self.addresses_by(Reach::Email, of_businesses)
    }

    /// Whom to write to about an item. A household business may bear the number of its owner: an item for businesses
    /// looks for the business first, every other item for the person.
    pub fn get(&self, subject_id: &Personal<impl AsRef<str>>, audience: Audience) -> Option<Recipient<'_>> {
        let (first, second) = match audience {
            Audience::Business => (&self.businesses, &self.people),
            Audience::Citizen | Audience::Household => (&self.people, &self.businesses),
        };
        let subject_id = subject_id.reveal().as_ref();
        first.get(subject_id, &self.rows).or_else(|| second.get(subject_id, &self.rows))
    }
}

/// Reads the recipients from the table of `sql/reminders/recipients.sql`.
pub fn recipients(table: &Table) -> Result<Recipients, tables::Error> {
    let kinds = table.shared_texts("kind")?;
    let languages = table.shared_texts("language")?;
    let deceased = table.bools("is_deceased")?;
    let closed = table.bools("is_closed")?;
    let refuses = table.bools("refuses_reminders")?;
    let said = deceased.into_iter().zip(closed).zip(refuses).enumerate();
    // Where the register does not say, nobody is taken for willing or alive.
    let said = said.map(|(row, ((is_deceased, is_closed), refuses_reminders))| Said {
        language: Language::from_tag(languages.get(row)),
        is_deceased: is_deceased.unwrap_or(true),
        is_closed: is_closed.unwrap_or(true),
        refuses_reminders: refuses_reminders.unwrap_or(true),
    });
    let rows = Rows {
        said: said.collect(),
        subjects: table.shared_texts("subject_id")?,
        names: table.shared_texts("full_name")?,
        emails: table.shared_texts("email")?,
        phones: table.shared_texts("phone")?,
    };
    let (mut people, mut businesses) = (Vec::new(), Vec::new());
    for row in 0..u32::try_from(rows.said.len()).unwrap_or(u32::MAX) {
        if rows.subject(row).is_none() || rows.names.get(place_of(row)).is_none() {
            continue;
        }
        let is_business = kinds.get(place_of(row)) == Some("business");
        if is_business { businesses.push(row) } else { people.push(row) }
    }
    let (people, businesses) = (Register::of(people, &rows), Register::of(businesses, &rows));
    Ok(Recipients { rows: Arc::new(rows), people, businesses })
}

/// Why nobody writes to someone.
pub(super) fn not_written_to(recipient: Recipient<'_>) -> Option<Reason> {
    let reasons = [
        (recipient.is_deceased(), Reason::Deceased),
        (recipient.is_closed(), Reason::Closed),
        (recipient.refuses_reminders(), Reason::Refuses),
    ];
    reasons.into_iter().find(|(holds, _)| *holds).map(|(_, reason)| reason)
}
