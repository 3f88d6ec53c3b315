//! Who can be written to, and where, as the registers say it. It does not know what about.

use super::Reason;
use crate::language::Language;
use crate::personal::Personal;
use crate::pipeline::{Audience, Reach};
use crate::tables::{self, Table};

/// How to write to a person.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Their name.
    pub full_name: Personal<String>,
    /// Their language.
    pub language: Language,
    /// Where, if they have an address.
    pub email: Option<Personal<String>>,
    /// Their mobile number as the register writes it, if they have one.
    pub phone: Option<Personal<String>>,
    /// Nobody writes to the dead.
    pub is_deceased: bool,
    /// Nor to a business that is closed.
    pub is_closed: bool,
    /// They used their right to refuse.
    pub refuses_reminders: bool,
}

impl Recipient {
    /// What a channel needs to know of them, as the register writes it.
    pub fn address(&self, reach: Reach) -> Option<&Personal<String>> {
        match reach {
            Reach::Email => self.email.as_ref(),
            Reach::Phone => self.phone.as_ref(),
        }
    }
}

/// Those who have something due, by `subject_id`.
#[derive(Debug, Clone, Default)]
pub struct Recipients {
    people: Register,
    businesses: Register,
}

/// Recipients in order of their `subject_id`: a table with places to spare would take twice the memory.
#[derive(Debug, Clone, Default)]
struct Register(Vec<(Personal<String>, Recipient)>);

impl Register {
    /// Of two rows of one subject the later one counts.
    fn of(mut rows: Vec<(Personal<String>, Recipient)>) -> Self {
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        rows.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                std::mem::swap(later, kept);
            }
            is_same
        });
        rows.shrink_to_fit();
        Register(rows)
    }

    fn get(&self, subject_id: &Personal<String>) -> Option<&Recipient> {
        let place = self.0.binary_search_by(|(subject, _)| subject.cmp(subject_id)).ok()?;
        self.0.get(place).map(|(_, recipient)| recipient)
    }
}

impl Recipients {
    /// The subjects that have an address of a kind, with it as the register writes it: persons, or businesses.
    pub fn addresses_by(
        &self,
        reach: Reach,
        of_businesses: bool,
    ) -> impl Iterator<Item = (&Personal<String>, &Personal<String>)> {
        let register = if of_businesses { &self.businesses } else { &self.people };
        register.0.iter().filter_map(move |(subject, recipient)| Some((subject, recipient.address(reach)?)))
    }

    /// The subjects that have a mail address, with it: persons, or businesses.
    pub fn addresses(&self, of_businesses: bool) -> impl Iterator<Item = (&Personal<String>, &Personal<String>)> {
        self.addresses_by(Reach::Email, of_businesses)
    }

    /// Whom to write to about an item. A household business may bear the number of its owner: an item for businesses
    /// looks for the business first, every other item for the person.
    pub fn get(&self, subject_id: &Personal<String>, audience: Audience) -> Option<&Recipient> {
        let (first, second) = match audience {
            Audience::Business => (&self.businesses, &self.people),
            Audience::Citizen | Audience::Household => (&self.people, &self.businesses),
        };
        first.get(subject_id).or_else(|| second.get(subject_id))
    }
}

/// Reads the recipients from the table of `sql/reminders/recipients.sql`.
pub fn recipients(table: &Table) -> Result<Recipients, tables::Error> {
    let subjects = table.texts("subject_id")?;
    let kinds = table.texts("kind")?;
    let names = table.texts("full_name")?;
    let languages = table.texts("language")?;
    let emails = table.texts("email")?;
    let phones = table.texts("phone")?;
    let deceased = table.bools("is_deceased")?;
    let closed = table.bools("is_closed")?;
    let refuses = table.bools("refuses_reminders")?;
    let (mut people, mut businesses) = (Vec::new(), Vec::new());
    let ends = deceased.into_iter().zip(closed).zip(refuses);
    let rows = subjects.into_iter().zip(kinds).zip(names).zip(languages).zip(emails.into_iter().zip(phones)).zip(ends);
    let written = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    for (((((subject, kind), name), language), (email, phone)), ((is_deceased, is_closed), refuses_reminders)) in rows {
        let (Some(subject), Some(name)) = (subject, name) else { continue };
        let recipient = Recipient {
            full_name: Personal::new(name),
            language: Language::from_tag(language.as_deref()),
            email: written(email).map(Personal::new),
            phone: written(phone).map(Personal::new),
            // Where the register does not say, nobody is taken for willing or alive.
            is_deceased: is_deceased.unwrap_or(true),
            is_closed: is_closed.unwrap_or(true),
            refuses_reminders: refuses_reminders.unwrap_or(true),
        };
        let is_business = kind.as_deref() == Some("business");
        let register = if is_business { &mut businesses } else { &mut people };
        register.push((Personal::new(subject), recipient));
    }
    Ok(Recipients { people: Register::of(people), businesses: Register::of(businesses) })
}

/// Why nobody writes to someone.
pub(super) fn not_written_to(recipient: &Recipient) -> Option<Reason> {
    let reasons = [
        (recipient.is_deceased, Reason::Deceased),
        (recipient.is_closed, Reason::Closed),
        (recipient.refuses_reminders, Reason::Refuses),
    ];
    reasons.into_iter().find(|(holds, _)| *holds).map(|(_, reason)| reason)
}
