//! The page of one prepared dossier: seen with the origin of every value, corrected, and decided.
//!
//! A GET shows and changes nothing. A POST is one decision: confirm, postpone or refuse, about the version that was
//! shown. Nothing is handed in without it. The first decision stands; a second window is told so. The pages need no
//! script, no cookie and no log-in: whoever holds the link sees the dossier, and so the link ends with the obligation.
//! It must not know how a dossier leaves.

mod field;
mod multipart;
mod page;
mod words;

use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::ToSpan;
use jiff::civil::Date;

use super::{Desk, dressed, language};
use crate::calendar::{AsOf, now};
use crate::dossiers::{
    Answers, Basis, Confirmed, FILES_BYTES_MAX, Meta, Prepared, Standing, attachment, confirm, confirmed_text,
};
use crate::fault::{Explain, Fault, Place};
use crate::language::Language;
use crate::ledger::{
    self, Decision, DecisionTaken, DossierAct, DossierState, KeptDossier, Ledger, confirmed_name, dossier_name,
};
use crate::personal::dossier_links::{self, DossierLinks};
use crate::personal::{Personal, SealingKey};
use crate::pipeline::form::{FieldKind, Unsound};
use multipart::{Part, boundary, parts};
use page::{Review, Told};

pub(super) use page::STYLE;

/// The largest body that is read, in bytes: the files, and the fields beside them.
pub(super) const BODY_BYTES_MAX: usize = FILES_BYTES_MAX + (256 << 10);

/// For how many days a decision can be put off.
const POSTPONE_DAYS: [i64; 3] = [3, 7, 14];

/// Open ledgers that are kept for the next page.
const READERS_MAX: usize = 16;

/// What the pages of dossiers need beside the desk.
#[derive(Debug)]
pub(super) struct Drawer {
    links: DossierLinks,
    key: SealingKey,
    /// Ledgers that are open for reading: opening one costs more than a page.
    readers: Mutex<Vec<Ledger>>,
    /// The day of a rehearsal; without it, that of the clock.
    today: Option<AsOf>,
}

impl Drawer {
    pub(super) fn new(links: DossierLinks, key: SealingKey, today: Option<AsOf>) -> Self {
        Drawer { links, key, readers: Mutex::default(), today }
    }

    fn today(&self) -> Date {
        self.today.unwrap_or_else(AsOf::today).date()
    }
}

/// A dossier that was opened.
struct Opened {
    kept: KeptDossier,
    basis: Basis,
    prepared: Prepared,
}

/// Why a dossier cannot be shown.
enum Closed {
    Link(dossier_links::Error),
    Decided(DossierState),
    Fault(Box<Fault>),
}

impl From<Fault> for Closed {
    fn from(fault: Fault) -> Self {
        Closed::Fault(Box::new(fault))
    }
}

impl From<ledger::Error> for Closed {
    fn from(error: ledger::Error) -> Self {
        error.fault().into()
    }
}

/// The page of a dossier. Nothing is changed.
pub(super) async fn show(
    State(desk): State<std::sync::Arc<Desk>>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let language = language(query.as_deref(), &headers);
    let at_work = tokio::task::spawn_blocking(move || desk.review(&token, language)).await;
    at_work.unwrap_or_else(|_| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

/// Takes a decision.
pub(super) async fn decide(
    State(desk): State<std::sync::Arc<Desk>>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let language = language(query.as_deref(), &headers);
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).and_then(boundary);
    let at_work = tokio::task::spawn_blocking(move || {
        let parts = kind.and_then(|boundary| parts(&body, &boundary));
        desk.decide(&token, language, parts.as_deref())
    });
    at_work.await.unwrap_or_else(|_| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

impl Desk {
    fn review(&self, token: &str, language: Language) -> Response {
        let Some(drawer) = &self.dossiers else { return self.told(StatusCode::NOT_FOUND, language, Told::NoLink) };
        let today = drawer.today();
        match self.open_dossier(drawer, token, today) {
            Ok(opened) => self.reviewed(StatusCode::OK, &Review::of(&opened, language, today)),
            Err(closed) => self.closed(closed, language),
        }
    }

    /// Opens what a link leads to, where the person may still decide about it.
    fn open_dossier(&self, drawer: &Drawer, token: &str, today: Date) -> Result<Opened, Closed> {
        let link = drawer.links.open(token, today).map_err(Closed::Link)?;
        let ledger = self.reader(drawer)?;
        let found = ledger.dossier(&link.dossier).map_err(Closed::from)?;
        // A link of one person never opens the dossier of another, whoever made it.
        let kept =
            found.filter(|kept| kept.subject == link.subject).ok_or(Closed::Link(dossier_links::Error::Forged))?;
        if !kept.state.is_open() {
            return Err(Closed::Decided(kept.state));
        }
        if kept.due_on < today {
            return Err(Closed::Link(dossier_links::Error::Expired));
        }
        let basis = ledger.dossier_basis(&kept.basis)?.unwrap_or_default();
        let basis = Basis::read(&basis).map_err(|error| error.fault())?;
        let sealed = kept.sealed.as_deref().unwrap_or_default();
        let text = drawer.key.open(&dossier_name(&kept.dossier), sealed).ok_or_else(|| {
            let what = "a prepared dossier cannot be opened: it was sealed with another key, or changed since";
            let next = "restore keys/sealing.key from your backup, and run chudong ledger verify";
            Fault::new("serve.sealed", Place::file(ledger.path()), what, next)
        })?;
        let prepared = Prepared::read(&text).map_err(|error| error.fault())?;
        let mut readers = drawer.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS_MAX {
            readers.push(ledger);
        }
        drop(readers);
        Ok(Opened { kept, basis, prepared })
    }

    /// A ledger that is open for reading.
    fn reader(&self, drawer: &Drawer) -> Result<Ledger, Closed> {
        let kept = drawer.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match kept {
            Some(ledger) => Ok(ledger),
            None => Ok(Ledger::read(&self.state)?),
        }
    }

    fn decide(&self, token: &str, language: Language, parts: Option<&[Part<'_>]>) -> Response {
        let Some(drawer) = &self.dossiers else { return self.told(StatusCode::NOT_FOUND, language, Told::NoLink) };
        let today = drawer.today();
        let opened = match self.open_dossier(drawer, token, today) {
            Ok(opened) => opened,
            Err(closed) => return self.closed(closed, language),
        };
        let mut review = Review::of(&opened, language, today);
        let sent = Sent(parts.unwrap_or_default());
        if sent.text("version") != Some(opened.kept.version.as_str()) {
            // The registers say something else since, or the form came back in pieces: it is looked at again.
            review.is_replaced = true;
            return self.reviewed(StatusCode::CONFLICT, &review);
        }
        let is_sure = sent.text("sure") == Some("yes");
        let act = match (sent.text("act"), is_sure) {
            (Some("confirm"), _) => {
                let answers = answers(&opened, &sent, today);
                let meta = Meta {
                    dossier: opened.kept.dossier.clone(),
                    version: opened.kept.version.clone(),
                    at: now(),
                    today,
                };
                match (confirm(&opened.basis, &opened.prepared, &answers, &meta), is_sure) {
                    (Ok(decided), true) => match seal(&drawer.key, &decided.confirmed) {
                        Some(sealed) => DossierAct::Confirm { sealed, changed: decided.changed },
                        None => return self.told(StatusCode::SERVICE_UNAVAILABLE, language, Told::NotWritten),
                    },
                    (found, _) => {
                        review.faults = found.err().unwrap_or_default();
                        review.is_unsure = !is_sure;
                        review.answers = Some(answers);
                        return self.reviewed(StatusCode::UNPROCESSABLE_ENTITY, &review);
                    }
                }
            }
            (Some("postpone"), _) => DossierAct::Postpone { until: postponed(&sent, today, opened.kept.due_on) },
            (Some("decline"), true) => DossierAct::Decline,
            (Some("decline"), false) => {
                review.is_unsure_to_refuse = true;
                return self.reviewed(StatusCode::UNPROCESSABLE_ENTITY, &review);
            }
            _ => return self.told(StatusCode::BAD_REQUEST, language, Told::NotUnderstood),
        };
        self.take(drawer, &opened, act, (language, today), token)
    }

    /// Writes a decision down; it holds from the moment in which this returns.
    fn take(
        &self,
        drawer: &Drawer,
        opened: &Opened,
        act: DossierAct,
        (language, today): (Language, Date),
        token: &str,
    ) -> Response {
        let told = match &act {
            DossierAct::Confirm { .. } => Told::Confirmed { dossier: opened.kept.dossier.clone() },
            DossierAct::Postpone { until } => Told::Postponed { until: *until },
            DossierAct::Decline => Told::Declined,
        };
        let (dossier, version) = (opened.kept.dossier.clone(), opened.kept.version.clone());
        let decision = Decision { dossier, version, act, on: today };
        let written = Ledger::open(&self.state, &self.pipeline.id)
            .and_then(|mut ledger| ledger.decide_dossier(&decision))
            .map_err(|error| error.fault());
        match written {
            Ok(DecisionTaken::Taken) => self.told(StatusCode::OK, language, told),
            Ok(DecisionTaken::Before(state)) => self.closed(Closed::Decided(state), language),
            Ok(DecisionTaken::NoDossier) => self.told(StatusCode::NOT_FOUND, language, Told::NoLink),
            Ok(DecisionTaken::OtherVersion) => match self.open_dossier(drawer, token, today) {
                Ok(opened) => {
                    let mut review = Review::of(&opened, language, today);
                    review.is_replaced = true;
                    self.reviewed(StatusCode::CONFLICT, &review)
                }
                Err(closed) => self.closed(closed, language),
            },
            Err(fault) => self.closed(fault.into(), language),
        }
    }

    fn closed(&self, closed: Closed, language: Language) -> Response {
        match closed {
            Closed::Link(dossier_links::Error::Expired) => self.told(StatusCode::GONE, language, Told::Expired),
            Closed::Link(_) => self.told(StatusCode::NOT_FOUND, language, Told::NoLink),
            Closed::Decided(DossierState::Confirmed) => {
                self.told(StatusCode::CONFLICT, language, Told::ConfirmedBefore)
            }
            Closed::Decided(DossierState::Declined) => self.told(StatusCode::CONFLICT, language, Told::DeclinedBefore),
            Closed::Decided(_) => self.told(StatusCode::GONE, language, Told::Expired),
            Closed::Fault(fault) => {
                // Neither the link nor the person is named: the fault is the installation's.
                tracing::error!(code = fault.code, "a dossier could not be shown or decided: {}", fault.what);
                self.told(StatusCode::SERVICE_UNAVAILABLE, language, Told::NotWritten)
            }
        }
    }

    fn reviewed(&self, status: StatusCode, review: &Review<'_>) -> Response {
        dressed((status, Html(review.page(&self.pipeline.agency))).into_response())
    }

    fn told(&self, status: StatusCode, language: Language, told: Told) -> Response {
        dressed((status, Html(told.page(&self.pipeline.agency, language))).into_response())
    }
}

/// What a browser sent.
struct Sent<'p, 'b>(&'p [Part<'b>]);

impl Sent<'_, '_> {
    fn text(&self, name: &str) -> Option<&str> {
        let part = self.0.iter().find(|part| part.name == name && part.file.is_none())?;
        std::str::from_utf8(part.bytes).ok()
    }

    fn file(&self, name: &str) -> Option<(&str, &[u8])> {
        let part = self.0.iter().find(|part| part.name == name && part.file.is_some())?;
        // A file field that was left alone comes without bytes.
        (!part.bytes.is_empty()).then_some((part.file.as_deref()?, part.bytes))
    }
}

/// What the person answered, by the form.
fn answers(opened: &Opened, sent: &Sent<'_, '_>, today: Date) -> Answers {
    let mut answers = Answers::default();
    let mut bytes = 0_usize;
    for shown in opened.prepared.shown(&opened.basis, today) {
        let id = &shown.field.id;
        if shown.field.kind == FieldKind::File {
            let Some((name, file)) = sent.file(id) else { continue };
            bytes = bytes.saturating_add(file.len());
            let taken = match bytes > FILES_BYTES_MAX {
                true => Err(Unsound::FileTooLarge),
                false => attachment(id, name, file.to_vec()),
            };
            match taken {
                Ok(file) => answers.files.push(file),
                Err(why) => answers.unsound.push((id.clone(), why)),
            }
            continue;
        }
        let text = match (shown.standing, sent.text(&format!("{id}.choice"))) {
            (Standing::Conflict, Some("other")) => sent.text(id).map(str::to_owned),
            // Who wrote something else and marked nothing meant what they wrote.
            (Standing::Conflict, None) => sent.text(id).filter(|text| !text.trim().is_empty()).map(str::to_owned),
            (Standing::Conflict, choice) => choice
                .and_then(|choice| choice.parse::<usize>().ok())
                .and_then(|at| shown.said.get(at))
                .map(|said| said.value.reveal().clone()),
            _ => sent.text(id).map(str::to_owned),
        };
        answers.texts.extend(text.map(|text| (id.clone(), Personal::new(text))));
    }
    answers
}

/// The confirmed dossier and its files, each sealed under its own name.
fn seal(key: &SealingKey, confirmed: &Confirmed) -> Option<Vec<Vec<u8>>> {
    let name = |place| confirmed_name(&confirmed.dossier, place);
    let text = confirmed_text(confirmed).ok()?;
    let files =
        (1..).zip(&confirmed.attachments).map(|(place, file)| key.seal_bytes(&name(place), file.bytes.reveal()));
    std::iter::once(key.seal(&name(0), text.reveal())).chain(files).collect()
}

/// Until when a decision is put off: no longer than there is time.
fn postponed(sent: &Sent<'_, '_>, today: Date, due_on: Date) -> Date {
    let asked = sent.text("days").and_then(|days| days.parse().ok()).filter(|days| POSTPONE_DAYS.contains(days));
    let days: i64 = asked.unwrap_or(POSTPONE_DAYS[1]);
    today.saturating_add(days.days()).min(due_on)
}
