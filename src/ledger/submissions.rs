//! Dossiers that people have confirmed, on their way to whoever decides them.
//!
//! Before anything of a dossier leaves, an entry says so; what the portal answers is the next entry, and each change of
//! its status another. No value of a dossier is here: what was confirmed is kept elsewhere, sealed. Its number at the
//! portal is here, for without it nothing could be asked; what the portal writes about it is sealed, for it may name a
//! person, and its SHA-256 is in the entry.

use std::collections::HashMap;

use jiff::civil::Date;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::{Value, json};

use super::said::Line;
use super::{Error, Ledger, append, one_row};
use crate::personal::sha256;

/// How the kinds of its entries begin.
pub(super) const KINDS: &str = "submission.";

/// Makes the table.
pub(super) const TABLES: &str = "
-- Confirmed dossiers on their way, made from entries of kind submission.*; the portal's words are sealed.
create table if not exists submission (
    dossier text primary key,
    item text not null,
    obligation text not null,
    subject text not null,
    due_on text not null,
    stage text not null,
    number text,
    code text,
    status integer,
    filed_on text,
    outcome text,
    words blob,
    entry integer not null references entry (seq)
) strict, without rowid;

create index if not exists submission_by_stage on submission (stage);
";

/// How far a dossier has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// It was refused, and somebody said that it may be tried again.
    Waiting,
    /// It is leaving, or a run ended while it was: the portal may have it.
    Announced,
    /// The portal has it.
    Filed,
    /// The portal refused it, or it could not be written in the portal's form: a person must look.
    Refused,
    /// It does not leave before a clerk has looked: the duty is done meanwhile, or the person has died.
    Held,
    /// A clerk withdrew it before it left: nothing of it is handed in.
    Withdrawn,
    /// The portal has come to an end with it.
    Ended,
}

impl Stage {
    const WORDS: [(&'static str, Stage); 7] = [
        ("waiting", Stage::Waiting),
        ("announced", Stage::Announced),
        ("filed", Stage::Filed),
        ("refused", Stage::Refused),
        ("held", Stage::Held),
        ("withdrawn", Stage::Withdrawn),
        ("ended", Stage::Ended),
    ];

    /// The word in the ledger.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, stage)| *stage == self).map_or("?", |(word, _)| word)
    }

    pub(super) fn from_word(word: &str) -> Option<Stage> {
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, stage)| *stage)
    }
}

/// With what the portal has come to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It is decided: the obligation is done.
    Fulfilled,
    /// It was not accepted, taken back or stopped: the obligation is to be done again.
    OpenAgain,
}

impl Outcome {
    /// The word in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Fulfilled => "fulfilled",
            Outcome::OpenAgain => "open again",
        }
    }

    fn from_word(word: &str) -> Option<Outcome> {
        [Outcome::Fulfilled, Outcome::OpenAgain].into_iter().find(|outcome| outcome.word() == word)
    }
}

/// A confirmed dossier that is about to leave. No person is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The dossier's own random number.
    pub dossier: String,
    /// The item whose form it is.
    pub item: String,
    /// The key of the obligation that it answers.
    pub obligation: String,
    /// The keyed pseudonym of the person.
    pub subject: String,
    /// The obligation's day.
    pub due_on: Date,
}

/// How a dossier stands on its way. No person is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The dossier's own random number.
    pub dossier: String,
    /// The item whose form it is.
    pub item: String,
    /// The key of the obligation that it answers.
    pub obligation: String,
    /// The keyed pseudonym of the person.
    pub subject: String,
    /// The obligation's day.
    pub due_on: Date,
    /// How far it has come.
    pub stage: Stage,
    /// Its number at the portal.
    pub number: Option<String>,
    /// Why it was refused: the portal's code, or ours.
    pub code: Option<String>,
    /// The portal's number of its status, 1 to 10; none before it was asked.
    pub status: Option<u8>,
    /// The day that counts as the day of handing in, in Vietnam: that on which the portal took it, or that of the decision
    /// where the person decided in time and the portal took it after its day.
    pub filed_on: Option<Date>,
    /// With what the portal has come to an end.
    pub outcome: Option<Outcome>,
    /// What the portal wrote about it, sealed under [`sealed_words_name`].
    pub words: Option<Vec<u8>>,
}

/// The name under which the words of the portal about a dossier are sealed.
pub fn sealed_words_name(dossier: &str) -> String {
    format!("submission-words {dossier}")
}

impl Ledger {
    /// The dossiers that stand in one of these stages, in the order in which they came there.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn submissions(&self, stages: &[Stage]) -> Result<Vec<Submission>, Error> {
        let failed = |source| self.failed("read the dossiers on their way", source);
        if !self.has_table("submission")? {
            return Ok(Vec::new());
        }
        let sql = "select dossier, item, obligation, subject, due_on, stage, number, code, status, filed_on, outcome,
                          words
                   from submission where stage = ?1 order by entry, dossier";
        let mut select = self.connection.prepare(sql).map_err(failed)?;
        let mut found = Vec::new();
        for stage in stages {
            let rows = select.query_map([stage.word()], submission).map_err(failed)?;
            found.extend(rows.collect::<Result<Vec<_>, _>>().map_err(failed)?);
        }
        Ok(found)
    }

    /// How a dossier stands on its way; none where nothing of it ever left.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn submission_of(&self, dossier: &str) -> Result<Option<Submission>, Error> {
        if !self.has_table("submission")? {
            return Ok(None);
        }
        let sql = "select dossier, item, obligation, subject, due_on, stage, number, code, status, filed_on, outcome,
                          words
                   from submission where dossier = ?1";
        let row = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut select| select.query_row([dossier], submission).optional());
        row.map_err(|source| self.failed("read a dossier on its way", source))
    }

    /// Records that a dossier is about to leave. After this the portal may have it, whatever happens.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written, or the dossier is one that the portal has or refused.
    pub fn announce_submission(&mut self, run: &str, departure: &Departure) -> Result<(), Error> {
        self.write_said("record that a dossier leaves", |transaction| announce(transaction, run, departure))
    }

    /// Records the number that the portal gave for a dossier, before anything is handed in under it.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written, or the dossier was not announced, or has a number.
    pub fn submission_numbered(&mut self, run: &str, dossier: &str, number: &str) -> Result<(), Error> {
        self.write_said("record the number of a dossier", |transaction| {
            step(transaction, (run, "submission.numbered", dossier), &json!({ "number": number }), None)
        })
    }

    /// Records the number that the portal gave a dossier that it has taken, and the day in Vietnam that counts as the day
    /// of handing in.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written, or the dossier was not announced.
    pub fn submission_filed(&mut self, run: &str, dossier: &str, number: &str, day: Date) -> Result<(), Error> {
        let body = json!({ "day": day.to_string(), "number": number });
        self.write_said("record the receipt of a dossier", |transaction| {
            step(transaction, (run, "submission.filed", dossier), &body, None)
        })
    }

    /// Records that the portal refuses a dossier, or that it cannot be written in the portal's form.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written, or the dossier was not announced.
    pub fn submission_refused(&mut self, run: &str, dossier: &str, code: &str) -> Result<(), Error> {
        self.write_said("record the refusal of a dossier", |transaction| {
            step(transaction, (run, "submission.refused", dossier), &json!({ "code": code }), None)
        })
    }

    /// Lets a dossier that was refused, or that is held, leave all the same; false where it is not one of those. For what
    /// it was held it is not held again.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn submit_again(&mut self, dossier: &str, account: &str) -> Result<bool, Error> {
        self.write_said("let a dossier leave once more", |transaction| {
            let sql = "select 1 from submission where dossier = ?1 and stage in ('refused', 'held')";
            if !transaction.prepare_cached(sql)?.exists([dossier])? {
                return Ok(false);
            }
            step(transaction, ("-", "submission.again", dossier), &json!({ "by": account }), None)?;
            Ok(true)
        })
    }

    /// Records how a dossier stands at the portal. `words` are what the portal writes about it, sealed under
    /// [`sealed_words_name`]; with an outcome it is over.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written, or the portal does not have the dossier.
    pub fn submission_stands(
        &mut self,
        run: &str,
        dossier: &str,
        (status, outcome): (u8, Option<Outcome>),
        words: Option<&[u8]>,
    ) -> Result<(), Error> {
        let outcome = outcome.map(Outcome::word);
        let body = json!({ "outcome": outcome, "status": status, "words": words.map(sha256) });
        self.write_said("record how a dossier stands", |transaction| {
            step(transaction, (run, "submission.status", dossier), &body, words)
        })
    }

    /// Records that a dossier was written on paper, by the system account that asked for it, with the keyed mark of the
    /// paper. It goes on waiting.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn submission_printed(&mut self, dossier: &str, account: &str, mark: &str) -> Result<(), Error> {
        self.write("record that a dossier was printed", |transaction| {
            let body = json!({ "by": account, "mark": mark });
            append(transaction, "-", "submission.printed", dossier, &body).map(drop)
        })
    }

    /// The obligations that a dossier has settled, by item and key, with the day on which it was handed in: what the
    /// person had to do was done then, however long the agency took.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be read.
    pub fn settled_by_dossier(&self) -> Result<HashMap<(String, String), Date>, Error> {
        let ended = self.submissions(&[Stage::Ended])?;
        let settled = ended.into_iter().filter(|one| one.outcome == Some(Outcome::Fulfilled));
        Ok(settled.filter_map(|one| Some(((one.item, one.obligation), one.filed_on?))).collect())
    }

    /// Removes what the portal wrote about the dossiers of a person, by the keyed pseudonym, and says about how many. What
    /// is removed is written over in the file. `account` is the system account that asked for it.
    ///
    /// # Errors
    ///
    /// Where the ledger cannot be written.
    pub fn erase_submissions(&mut self, subject: &str, account: &str) -> Result<usize, Error> {
        let set = self.connection.pragma_update(None, "secure_delete", true);
        set.map_err(|source| self.failed("erase what the portal wrote", source))?;
        self.write("erase what the portal wrote", |transaction| {
            let sql = "update submission set words = null where subject = ?1 and words is not null";
            let dossiers = transaction.execute(sql, [subject])?;
            if dossiers > 0 {
                let body = json!({ "account": account, "dossiers": dossiers, "subject": subject });
                append(transaction, "-", "submission.erased", "dossiers", &body)?;
            }
            Ok(dossiers)
        })
    }
}

/// Writes down that a dossier is about to leave.
pub(super) fn announce(transaction: &Transaction<'_>, run: &str, departure: &Departure) -> rusqlite::Result<()> {
    let Departure { dossier, item, obligation, subject, due_on } = departure;
    let body = json!({ "due_on": due_on.to_string(), "item": item, "obligation": obligation, "subject": subject });
    step(transaction, (run, "submission.announced", dossier), &body, None)
}

/// Writes down one step of a dossier on its way; an error where it is not one that can follow what is known.
pub(super) fn step(
    transaction: &Transaction<'_>,
    (run, kind, dossier): (&str, &str, &str),
    body: &Value,
    words: Option<&[u8]>,
) -> rusqlite::Result<()> {
    let entry = append(transaction, run, kind, dossier, body)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let changed = match kind {
        "submission.announced" => {
            let sql = "insert into submission (dossier, item, obligation, subject, due_on, stage, entry)
                       values (?1, ?2, ?3, ?4, ?5, 'announced', ?6)
                       on conflict (dossier) do update set stage = 'announced', entry = ?6
                       where stage in ('waiting', 'announced') and obligation = ?3 and item = ?2 and subject = ?4
                           and due_on = ?5";
            let [item, obligation, subject, due_on] = ["item", "obligation", "subject", "due_on"].map(text);
            transaction.execute(sql, params![dossier, item, obligation, subject, due_on, entry])?
        }
        "submission.numbered" => {
            let sql = "update submission set number = ?2, entry = ?3
                       where dossier = ?1 and stage = 'announced' and number is null";
            transaction.execute(sql, params![dossier, text("number"), entry])?
        }
        "submission.filed" => {
            let sql = "update submission set stage = 'filed', number = ?2, filed_on = ?3, entry = ?4
                       where dossier = ?1 and stage = 'announced'";
            transaction.execute(sql, params![dossier, text("number"), text("day"), entry])?
        }
        "submission.refused" => {
            let sql = "update submission set stage = 'refused', code = ?2, entry = ?3
                       where dossier = ?1 and stage = 'announced'";
            transaction.execute(sql, params![dossier, text("code"), entry])?
        }
        "submission.again" => {
            // For what it was held it is not held again: the word of it stays.
            let sql =
                "update submission set stage = 'waiting', code = case when stage = 'held' then code end, entry = ?2
                       where dossier = ?1 and stage in ('refused', 'held')";
            transaction.execute(sql, params![dossier, entry])?
        }
        "submission.held" => {
            let sql = "insert into submission (dossier, item, obligation, subject, due_on, stage, code, entry)
                       values (?1, ?2, ?3, ?4, ?5, 'held', ?6, ?7)
                       on conflict (dossier) do update set stage = 'held', code = ?6, entry = ?7
                       where stage in ('waiting', 'announced') and number is null";
            let [item, obligation, subject, due_on, code] =
                ["item", "obligation", "subject", "due_on", "code"].map(text);
            transaction.execute(sql, params![dossier, item, obligation, subject, due_on, code, entry])?
        }
        "submission.withdrawn" => {
            let sql = "insert into submission (dossier, item, obligation, subject, due_on, stage, code, entry)
                       values (?1, ?2, ?3, ?4, ?5, 'withdrawn', ?6, ?7)
                       on conflict (dossier) do update set stage = 'withdrawn', code = ?6, entry = ?7
                       where stage in ('waiting', 'held', 'refused')";
            let [item, obligation, subject, due_on, code] =
                ["item", "obligation", "subject", "due_on", "code"].map(text);
            transaction.execute(sql, params![dossier, item, obligation, subject, due_on, code, entry])?
        }
        "submission.released" => {
            let sql = "update submission set stage = 'waiting', code = null, entry = ?2
                       where dossier = ?1 and stage = 'held'";
            transaction.execute(sql, params![dossier, entry])?
        }
        _ => {
            let sql = "update submission set status = ?2, outcome = ?3, words = ?4, entry = ?5,
                           stage = case when ?3 is null then 'filed' else 'ended' end
                       where dossier = ?1 and stage = 'filed'";
            let status = body.get("status").and_then(Value::as_u64).and_then(|status| u8::try_from(status).ok());
            transaction.execute(sql, params![dossier, status, text("outcome"), words, entry])?
        }
    };
    one_row(changed)
}

/// Stage, number, status and outcome of a dossier on its way.
type Known = (String, Option<String>, Option<i64>, Option<String>);

/// Takes over from the journal one step of a dossier on its way, unless it is known. The words of the portal are not in
/// the journal: it is asked again while it has the dossier.
pub(super) fn take_over(transaction: &Transaction<'_>, line: &Line) -> rusqlite::Result<bool> {
    let sql = "select stage, number, status, outcome from submission where dossier = ?1";
    let row = |row: &Row<'_>| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, Option<i64>>(2)?, row.get(3)?))
    };
    let known: Option<Known> = transaction.prepare_cached(sql)?.query_row([&line.key], row).optional()?;
    let follows = match (line.kind.as_str(), &known) {
        ("submission.announced" | "submission.held" | "submission.withdrawn", None) => true,
        (_, None) => false,
        (kind, Some((stage, number, status, outcome))) => match (kind, Stage::from_word(stage)) {
            ("submission.announced", stage) => stage == Some(Stage::Waiting),
            ("submission.numbered", stage) => stage == Some(Stage::Announced) && number.is_none(),
            ("submission.filed" | "submission.refused", stage) => stage == Some(Stage::Announced),
            ("submission.again", stage) => matches!(stage, Some(Stage::Refused | Stage::Held)),
            ("submission.held", stage) => matches!(stage, Some(Stage::Waiting | Stage::Announced)) && number.is_none(),
            ("submission.withdrawn", stage) => {
                matches!(stage, Some(Stage::Waiting | Stage::Held | Stage::Refused))
            }
            ("submission.released", stage) => stage == Some(Stage::Held),
            ("submission.status", stage) => {
                let said = (line.body.get("status").and_then(Value::as_i64), line.text("outcome"));
                stage == Some(Stage::Filed) && said != (*status, outcome.as_deref())
            }
            _ => false,
        },
    };
    if !follows {
        return Ok(false);
    }
    let mut body = line.body.clone();
    if let Some(words) = body.get_mut("words") {
        *words = Value::Null;
    }
    step(transaction, (&line.run, &line.kind, &line.key), &body, None)?;
    Ok(true)
}

fn submission(row: &Row<'_>) -> rusqlite::Result<Submission> {
    let odd =
        |index: usize| rusqlite::Error::InvalidColumnType(index, "an unknown word".into(), rusqlite::types::Type::Text);
    let text = |index: usize| row.get::<_, Option<String>>(index);
    let date = |index: usize| -> rusqlite::Result<Option<Date>> {
        text(index)?.map(|text| text.parse().map_err(|_| odd(index))).transpose()
    };
    let stage: String = row.get(5)?;
    let outcome = text(10)?.map(|word| Outcome::from_word(&word).ok_or_else(|| odd(10))).transpose()?;
    Ok(Submission {
        dossier: row.get(0)?,
        item: row.get(1)?,
        obligation: row.get(2)?,
        subject: row.get(3)?,
        due_on: date(4)?.ok_or_else(|| odd(4))?,
        stage: Stage::from_word(&stage).ok_or_else(|| odd(5))?,
        number: text(6)?,
        code: text(7)?,
        status: row.get(8)?,
        filed_on: date(9)?,
        outcome,
        words: row.get(11)?,
    })
}
