//! The page of one prepared dossier: seen with the origin of every value, corrected, and decided.
//!
//! A GET shows and changes nothing. A POST is one decision: confirm, postpone or refuse, about the version that was
//! shown. Nothing is handed in without it. The first decision stands; a second window is told so. The pages need no
//! script, no cookie and no log-in: whoever holds the link sees the dossier, and so the link ends with the obligation.
//! It must not know how a dossier leaves.

mod confirmed;
mod field;
mod multipart;
mod page;
mod readers;
mod words;

use std::sync::{Arc, OnceLock};

use axum::body::{Body, to_bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::ToSpan;
use jiff::civil::Date;

use super::{Desk, dressed, language};
use crate::calendar::cron::Cron;
use crate::calendar::{AsOf, now, vietnam};
use crate::dossiers::{
    Answers, Basis, Confirmed, FILES_BYTES_MAX, Meta, Prepared, Standing, attachment, confirm, confirmed_text,
};
use crate::fault::{Explain, Fault, Place};
use crate::language::Language;
use crate::ledger::{
    self, Decision, DecisionTaken, DossierAct, DossierState, KeptDossier, Ledger, TakenBack, confirmed_name,
    dossier_name,
};
use crate::personal::dossier_links::{self, DossierLinks};
use crate::personal::{Personal, SealingKey};
use crate::pipeline::form::{FieldKind, Unsound, tidy};
use confirmed::{Notice, Receipt, Way};
use multipart::{Part, boundary, parts};
use page::{Again, Review, Told};
use readers::{Reader, Readers};

pub(super) use page::STYLE;

/// The largest body that is read, in bytes: the files, and the fields beside them.
pub(super) const BODY_BYTES_MAX: usize = FILES_BYTES_MAX + (256 << 10);

/// For how many days a decision can be put off.
const POSTPONE_DAYS: [i64; 3] = [3, 7, 14];

/// How often a decision is looked at again because somebody else decided in the same moment.
const TURNS_MAX: usize = 3;

/// What the pages of dossiers need beside the desk.
#[derive(Debug)]
pub(super) struct Drawer {
    links: DossierLinks,
    key: SealingKey,
    /// Who makes the pages; nobody before the process serves.
    readers: OnceLock<Readers>,
    /// The day of a rehearsal; without it, that of the clock.
    today: Option<AsOf>,
}

impl Drawer {
    pub(super) fn new(links: DossierLinks, key: SealingKey, today: Option<AsOf>) -> Self {
        Drawer { links, key, readers: OnceLock::new(), today }
    }

    /// Starts what makes the pages.
    pub(super) fn start(&self, desk: &Arc<Desk>) -> std::io::Result<()> {
        // A second start finds the first at work.
        Readers::start(desk).map(|readers| drop(self.readers.set(readers)))
    }

    fn today(&self) -> Date {
        self.today.unwrap_or_else(AsOf::today).date()
    }

    /// Opens what was prepared.
    fn open(&self, reader: &mut Reader, ledger: &Ledger, kept: KeptDossier) -> Result<Opened, Closed> {
        let basis = reader.basis(ledger, &kept.basis)?;
        let sealed = kept.sealed.as_deref().unwrap_or_default();
        let text = self.key.open(&dossier_name(&kept.dossier), sealed).ok_or_else(|| sealed_fault(ledger))?;
        let prepared = Prepared::read(&text).map_err(|error| error.fault())?;
        Ok(Opened { kept, basis, prepared })
    }
}

fn sealed_fault(ledger: &Ledger) -> Fault {
    let what = "a dossier cannot be opened: it was sealed with another key, or changed since";
    let next = "restore keys/sealing.key from your backup, and run chudong ledger verify";
    Fault::new("serve.sealed", Place::file(ledger.path()), what, next)
}

/// A dossier that was opened.
struct Opened {
    kept: KeptDossier,
    basis: Arc<Basis>,
    prepared: Prepared,
}

impl Opened {
    fn meta(&self, today: Date) -> Meta {
        Meta { dossier: self.kept.dossier.clone(), version: self.kept.version.clone(), at: now(), today }
    }
}

/// Why a dossier cannot be shown.
enum Closed {
    Link(dossier_links::Error),
    Decided(DossierState),
    Confirmed(Box<KeptDossier>),
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
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let language = language(query.as_deref(), &headers);
    let Some(drawer) = &desk.dossiers else { return desk.told(StatusCode::NOT_FOUND, language, Told::NoLink) };
    let page = match drawer.readers.get() {
        Some(readers) => readers.page(token, language).await,
        None => None,
    };
    page.unwrap_or_else(|| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

/// Takes a decision. Whoever has no link of ours is told so before anything large is read.
pub(super) async fn decide(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let language = language(query.as_deref(), &headers);
    let Some(drawer) = &desk.dossiers else { return desk.told(StatusCode::NOT_FOUND, language, Told::NoLink) };
    if drawer.links.open_brief(&token).is_none()
        && let Err(error) = drawer.links.open(&token, drawer.today())
    {
        return desk.closed(drawer, Closed::Link(error), language);
    }
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return desk.told(StatusCode::PAYLOAD_TOO_LARGE, language, Told::TooLarge);
    };
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).and_then(boundary);
    let at_work = tokio::task::spawn_blocking(move || {
        let parts = kind.and_then(|boundary| parts(&body, &boundary));
        desk.decide(&token, language, parts.as_deref())
    });
    at_work.await.unwrap_or_else(|_| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

impl Desk {
    fn review(&self, reader: &mut Reader, token: &str, language: Language) -> Response {
        let Some(drawer) = &self.dossiers else { return self.told(StatusCode::NOT_FOUND, language, Told::NoLink) };
        let today = drawer.today();
        match self.open_dossier(drawer, reader, token, today) {
            Ok(opened) => self.reviewed(StatusCode::OK, &Review::of(&opened, language, today).by(self.way(drawer))),
            Err(Closed::Fault(fault)) => {
                log(&fault);
                self.told(StatusCode::SERVICE_UNAVAILABLE, language, Told::NotShown)
            }
            Err(closed) => self.closed(drawer, closed, language),
        }
    }

    /// Opens what a link leads to, where the person may still decide about it.
    fn open_dossier(&self, drawer: &Drawer, reader: &mut Reader, token: &str, today: Date) -> Result<Opened, Closed> {
        let (dossier, subject) = match drawer.links.open_brief(token) {
            Some(dossier) => (dossier, None),
            None => {
                let link = drawer.links.open(token, today).map_err(Closed::Link)?;
                (link.dossier, Some(link.subject))
            }
        };
        let ledger = reader.take(&self.state)?;
        let found = ledger.dossier(&dossier).map_err(Closed::from)?;
        // A link of one person never opens the dossier of another, whoever made it.
        let is_theirs = |kept: &KeptDossier| subject.as_ref().is_none_or(|subject| kept.subject == *subject);
        let kept = found.filter(is_theirs).ok_or(Closed::Link(dossier_links::Error::Forged))?;
        if kept.state == DossierState::Confirmed && kept.due_on >= today {
            return Err(Closed::Confirmed(Box::new(kept)));
        }
        if !kept.state.is_open() {
            return Err(Closed::Decided(kept.state));
        }
        if kept.due_on < today {
            return Err(Closed::Link(dossier_links::Error::Expired));
        }
        let opened = drawer.open(reader, &ledger, kept)?;
        reader.give_back(ledger);
        Ok(opened)
    }

    fn decide(&self, token: &str, language: Language, parts: Option<&[Part<'_>]>) -> Response {
        let Some(drawer) = &self.dossiers else { return self.told(StatusCode::NOT_FOUND, language, Told::NoLink) };
        let sent = Sent(parts.unwrap_or_default());
        // Whoever decides at the same moment in another window may be first: then it is looked at again.
        for _ in 0..TURNS_MAX {
            if let Some(response) = self.decide_once(drawer, token, language, &sent) {
                return response;
            }
        }
        self.told(StatusCode::SERVICE_UNAVAILABLE, language, Told::NotWritten)
    }

    /// Takes a decision; none where somebody else decided between looking and writing.
    fn decide_once(&self, drawer: &Drawer, token: &str, language: Language, sent: &Sent<'_, '_>) -> Option<Response> {
        let today = drawer.today();
        let opened = match self.open_dossier(drawer, &mut Reader::default(), token, today) {
            Ok(opened) => opened,
            Err(Closed::Confirmed(kept)) => return self.decide_again(drawer, *kept, (language, token), sent),
            Err(Closed::Decided(DossierState::Declined)) if sent.text("act") == Some("decline") => {
                return Some(self.told(StatusCode::OK, language, Told::Declined));
            }
            Err(closed) => return Some(self.closed(drawer, closed, language)),
        };
        let mut review = Review::of(&opened, language, today).by(self.way(drawer));
        let Some(version) = sent.text("version") else {
            review.again = Some(Again::Pieces);
            return Some(self.reviewed(StatusCode::BAD_REQUEST, &review));
        };
        if version != opened.kept.version {
            // The registers say something else since: it is looked at again.
            review.again = Some(Again::Replaced);
            return Some(self.reviewed(StatusCode::CONFLICT, &review));
        }
        let is_sure = sent.text("sure") == Some("yes");
        let act = match (sent.text("act"), is_sure) {
            (Some("confirm"), _) => {
                let answers = answers(&opened, sent, today);
                match (confirm(&opened.basis, &opened.prepared, &answers, &opened.meta(today)), is_sure) {
                    (Ok(decided), true) => match seal(&drawer.key, &decided.confirmed) {
                        Some(sealed) => DossierAct::Confirm { sealed, changed: decided.changed },
                        None => return Some(self.told(StatusCode::SERVICE_UNAVAILABLE, language, Told::NotWritten)),
                    },
                    (found, _) => {
                        review.faults = found.err().unwrap_or_default();
                        review.is_unsure = !is_sure;
                        review.answers = Some(answers);
                        return Some(self.reviewed(StatusCode::UNPROCESSABLE_ENTITY, &review));
                    }
                }
            }
            (Some("postpone"), _) => DossierAct::Postpone { until: postponed(sent, today, opened.kept.due_on) },
            (Some("decline"), true) => DossierAct::Decline,
            (Some("decline"), false) => {
                review.is_unsure_to_refuse = true;
                return Some(self.reviewed(StatusCode::UNPROCESSABLE_ENTITY, &review));
            }
            _ => return Some(self.told(StatusCode::BAD_REQUEST, language, Told::NotUnderstood)),
        };
        self.take(drawer, &opened, act, (language, today))
    }

    /// Writes a decision down; it holds from the moment in which this returns. None where it has to be looked at again.
    fn take(
        &self,
        drawer: &Drawer,
        opened: &Opened,
        act: DossierAct,
        (language, today): (Language, Date),
    ) -> Option<Response> {
        let told = match &act {
            DossierAct::Confirm { .. } => None,
            DossierAct::Postpone { until } => Some(Told::Postponed { until: *until }),
            DossierAct::Decline => Some(Told::Declined),
        };
        let (dossier, version) = (opened.kept.dossier.clone(), opened.kept.version.clone());
        let decision = Decision { dossier, version, act, on: today };
        let written = Ledger::open(&self.state, &self.pipeline.id)
            .and_then(|mut ledger| ledger.decide_dossier(&decision))
            .map_err(|error| error.fault());
        match (written, told) {
            (Ok(DecisionTaken::Taken), Some(told)) => Some(self.told(StatusCode::OK, language, told)),
            (Ok(DecisionTaken::Taken), None) => {
                let kept = opened.kept.clone();
                Some(match self.receipt(drawer, kept) {
                    Ok(receipt) => self.received(drawer, &receipt, language, (StatusCode::OK, Notice::JustNow)),
                    Err(closed) => self.closed(drawer, closed, language),
                })
            }
            (Ok(DecisionTaken::Before(_) | DecisionTaken::OtherVersion), _) => None,
            (Ok(DecisionTaken::NoDossier), _) => Some(self.told(StatusCode::NOT_FOUND, language, Told::NoLink)),
            (Err(fault), _) => Some(self.closed(drawer, fault.into(), language)),
        }
    }

    /// What is sent about a dossier that is confirmed: to take it back, the same once more, or something else.
    fn decide_again(
        &self,
        drawer: &Drawer,
        kept: KeptDossier,
        (language, token): (Language, &str),
        sent: &Sent<'_, '_>,
    ) -> Option<Response> {
        let today = drawer.today();
        let is_of_version = sent.text("version") == Some(kept.version.as_str());
        let receipt = match self.receipt(drawer, kept.clone()) {
            Ok(receipt) => receipt,
            Err(closed) => return Some(self.closed(drawer, closed, language)),
        };
        let first_stands = (StatusCode::CONFLICT, Notice::FirstStands);
        let answer = match (sent.text("act"), is_of_version) {
            (Some("take_back"), true) => {
                let taken = Ledger::open(&self.state, &self.pipeline.id)
                    .and_then(|mut ledger| ledger.take_back_dossier(&kept.dossier, &kept.version, today));
                match taken {
                    Ok(TakenBack::Done) => return Some(self.taken_back(drawer, language, token)),
                    Ok(TakenBack::HasLeft) => (StatusCode::CONFLICT, Notice::HasLeft),
                    Ok(TakenBack::NotConfirmed) => return None,
                    Err(error) => return Some(self.closed(drawer, error.fault().into(), language)),
                }
            }
            (Some("confirm"), true) => {
                let same = Ledger::read(&self.state)
                    .map_err(Closed::from)
                    .and_then(|ledger| drawer.open(&mut Reader::default(), &ledger, kept))
                    .map(|opened| {
                        let answers = answers(&opened, sent, today);
                        let decided = confirm(&opened.basis, &opened.prepared, &answers, &opened.meta(today));
                        decided.is_ok_and(|decided| receipt.is_same(&decided.confirmed))
                    });
                match same {
                    Ok(true) => (StatusCode::OK, Notice::JustNow),
                    Ok(false) => first_stands,
                    Err(closed) => return Some(self.closed(drawer, closed, language)),
                }
            }
            _ => first_stands,
        };
        Some(self.received(drawer, &receipt, language, answer))
    }

    /// The page on which a person decides anew.
    fn taken_back(&self, drawer: &Drawer, language: Language, token: &str) -> Response {
        let today = drawer.today();
        match self.open_dossier(drawer, &mut Reader::default(), token, today) {
            Ok(opened) => {
                let mut review = Review::of(&opened, language, today).by(self.way(drawer));
                review.again = Some(Again::TakenBack);
                self.reviewed(StatusCode::OK, &review)
            }
            Err(closed) => self.closed(drawer, closed, language),
        }
    }

    fn receipt(&self, drawer: &Drawer, kept: KeptDossier) -> Result<Receipt, Closed> {
        Receipt::open(&Ledger::read(&self.state)?, drawer, kept)
    }

    fn received(
        &self,
        drawer: &Drawer,
        receipt: &Receipt,
        language: Language,
        (status, notice): (StatusCode, Notice),
    ) -> Response {
        let page = receipt.page(&self.pipeline.agency, language, self.way(drawer), notice);
        dressed((status, Html(page)).into_response())
    }

    /// Where confirmed dossiers go, and when.
    fn way(&self, drawer: &Drawer) -> Way {
        let today = drawer.today();
        // On the day of a rehearsal it is noon.
        let asked_at = drawer.today.map_or_else(now, |_| {
            today.at(12, 0, 0, 0).to_zoned(vietnam()).map_or_else(|_| now(), |noon| noon.timestamp())
        });
        let next = Cron::parse(&self.pipeline.schedule.cron).ok().and_then(|cron| cron.next_after(asked_at));
        let tomorrow = today.saturating_add(1.day());
        let next_night = next.map_or(tomorrow, |next| next.to_zoned(vietnam()).date());
        Way { is_portal: self.pipeline.submission.is_some(), next_night }
    }

    fn closed(&self, drawer: &Drawer, closed: Closed, language: Language) -> Response {
        match closed {
            Closed::Link(dossier_links::Error::Expired) => self.told(StatusCode::GONE, language, Told::Expired),
            Closed::Link(_) => self.told(StatusCode::NOT_FOUND, language, Told::NoLink),
            Closed::Confirmed(kept) => match self.receipt(drawer, *kept) {
                Ok(receipt) => self.received(drawer, &receipt, language, (StatusCode::OK, Notice::None)),
                Err(Closed::Fault(fault)) => {
                    log(&fault);
                    self.told(StatusCode::SERVICE_UNAVAILABLE, language, Told::NotShown)
                }
                Err(_) => self.told(StatusCode::GONE, language, Told::Expired),
            },
            Closed::Decided(DossierState::Declined) => self.told(StatusCode::CONFLICT, language, Told::DeclinedBefore),
            Closed::Decided(_) => self.told(StatusCode::GONE, language, Told::Expired),
            Closed::Fault(fault) => {
                log(&fault);
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

/// Neither the link nor the person is named: the fault is the installation's.
fn log(fault: &Fault) {
    tracing::error!(code = fault.code, "a dossier could not be shown or decided: {}", fault.what);
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
        let written = sent.text(id).filter(|text| !tidy(text).is_empty());
        let text = match (shown.standing, sent.text(&format!("{id}.choice"))) {
            // Who wrote something else and marked nothing meant what they wrote.
            (Standing::Conflict, Some("other") | None) => written.map(str::to_owned),
            (Standing::Conflict, Some(choice)) => {
                let chosen = choice.parse::<usize>().ok().and_then(|at| shown.said.get(at));
                let chosen = chosen.map(|said| said.value.reveal().clone());
                // Which of the two they mean is theirs to say: neither is dropped.
                if written.is_some_and(|written| Some(tidy(written)) != chosen) {
                    answers.unsound.push((id.clone(), Unsound::Both));
                }
                written.map(str::to_owned).or(chosen)
            }
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
