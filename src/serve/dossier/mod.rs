//! The page of one prepared dossier: seen with the origin of every value, corrected, and decided.
//!
//! A GET shows and changes nothing. A POST is one decision: confirm, postpone or refuse, about the version that was
//! shown. Nothing is handed in without it. The first decision stands; a second window is told so. The pages need no
//! script, no cookie and no log-in: whoever holds the link sees the dossier, and so the link ends with the obligation.
//! It must not know how a dossier leaves.

mod confirmed;
mod decide;
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
use crate::dossiers::{Basis, FILES_BYTES_MAX, Meta, Prepared};
use crate::fault::{Explain, Fault, Place};
use crate::language::Language;
use crate::ledger::{self, DossierState, KeptDossier, Ledger, dossier_name};
use crate::personal::SealingKey;
use crate::personal::dossier_links::{self, DossierLinks};
use confirmed::{Notice, Receipt, Way};
use multipart::{boundary, parts};
use page::{Review, Told};
use readers::{Reader, Readers};

pub(super) use page::STYLE;

/// The largest body that is read, in bytes: the files, and the fields beside them.
pub(super) const BODY_BYTES_MAX: usize = FILES_BYTES_MAX + (256 << 10);

/// For how many days a decision can be put off.
const POSTPONE_DAYS: [i64; 3] = [3, 7, 14];

/// What the pages of dossiers need beside the desk.
#[derive(Debug)]
pub(super) struct Drawer {
    links: DossierLinks,
    key: SealingKey,
    /// When the next night begins. A line is read in the time that a third of a page takes, and so once.
    nights: Option<Cron>,
    /// Who makes the pages; nobody before the process serves.
    readers: OnceLock<Readers>,
    /// The day of a rehearsal; without it, that of the clock.
    today: Option<AsOf>,
}

impl Drawer {
    pub(super) fn new(links: DossierLinks, key: SealingKey, nights: Option<Cron>, today: Option<AsOf>) -> Self {
        Drawer { links, key, nights, readers: OnceLock::new(), today }
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
    /// The link is ours, and the ledger does not know what it leads to: it was restored.
    Unknown,
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
        let found = found.ok_or(Closed::Unknown)?;
        let kept = Some(found).filter(is_theirs).ok_or(Closed::Link(dossier_links::Error::Forged))?;
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
        let next = drawer.nights.as_ref().and_then(|nights| nights.next_after(asked_at));
        let tomorrow = today.saturating_add(1.day());
        let next_night = next.map_or(tomorrow, |next| next.to_zoned(vietnam()).date());
        Way { is_portal: self.pipeline.submission.is_some(), next_night }
    }

    fn closed(&self, drawer: &Drawer, closed: Closed, language: Language) -> Response {
        match closed {
            Closed::Link(dossier_links::Error::Expired) => self.told(StatusCode::GONE, language, Told::Expired),
            Closed::Link(_) => self.told(StatusCode::NOT_FOUND, language, Told::NoLink),
            Closed::Unknown => self.told(StatusCode::GONE, language, Told::Unknown),
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
