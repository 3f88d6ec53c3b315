//! The process that answers when a person refuses, or decides about a dossier: a signed link, a page that asks, and the
//! ledger; and when a person rates: a token, a form, and a sealed answer. Services of short messages hand in their
//! receipts here, signed.
//!
//! A GET shows a page that asks for confirmation and changes nothing: mail scanners follow every link. A POST applies
//! what the link stands for to the ledger at once, in answer to the button of that page and to the one-click button of
//! mail programs (RFC 8058), which need neither a log-in nor a cookie and are never redirected.
//!
//! It listens on loopback unless told otherwise, and expects a web server with a certificate before it. It must not
//! know who asks: it keeps no address, no log of links and nothing about the browser. No page of a refusal or of a rating
//! holds anything about the person; that of a dossier holds what the link opens. It reads nothing but the ledger, the
//! pipeline, and which tokens were used.

mod dossier;
mod page;
mod rating;
mod receipts;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use jiff::ToSpan;
use tokio::net::TcpListener;

use crate::calendar::cron::Cron;
use crate::calendar::{AsOf, vietnam};
use crate::fault::{Explain, Fault, Place};
use crate::language::{Language, Text};
use crate::ledger::{self, ALL, Asked, Ledger, Preference, Request, Stance};
use crate::personal::SealingKey;
use crate::personal::dossier_links::{DOSSIER_PATH, DossierLinks};
use crate::personal::links::{self, Links, PATH, Refusal};
use crate::pipeline::Pipeline;
use page::{Page, STYLE, Told};

pub use rating::Rating;
pub use receipts::Receipts;

/// The largest body that is read, in bytes: a mail program's is 26.
const BODY_BYTES_MAX: usize = 4096;

/// What the pages are made from, and where refusals are written.
#[derive(Debug)]
pub struct Desk {
    state: PathBuf,
    pipeline: Pipeline,
    links: Links,
    rating: Option<Rating>,
    /// What the pages of dossiers need; none where the agency prepares none.
    dossiers: Option<dossier::Drawer>,
    receipts: Receipts,
}

/// The process cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody can listen there.
    #[error("nothing can listen on {address}")]
    Listen {
        /// Where it was to listen.
        address: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The system gives no threads to read with.
    #[error("no thread can be started that makes pages")]
    Threads(#[source] std::io::Error),
    /// It stopped by itself.
    #[error("the pages are no longer served")]
    Stopped(#[source] std::io::Error),
}

impl Explain for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Listen { .. } => "serve.listen",
            Error::Threads(_) => "serve.no-threads",
            Error::Stopped(_) => "serve.stopped",
        }
    }

    fn place(&self) -> Place {
        Place::Thing("the serving process".into())
    }

    fn next(&self) -> String {
        match self {
            Error::Listen { .. } => "end what listens there, or change listen in [serve]".into(),
            Error::Threads(_) => "let the service's account have more threads, and start it again".into(),
            Error::Stopped(_) => "start it again".into(),
        }
    }
}

impl Desk {
    /// A desk for an agency, whose ledger is in `state`.
    pub fn new(state: PathBuf, pipeline: Pipeline, links: Links) -> Self {
        Desk { state, pipeline, links, rating: None, dossiers: None, receipts: Receipts::default() }
    }

    /// The same desk, at which people rate as well.
    #[must_use]
    pub fn with_rating(mut self, rating: Option<Rating>) -> Self {
        self.rating = rating;
        self
    }

    /// The same desk, at which services hand in their receipts as well.
    #[must_use]
    pub fn with_receipts(self, receipts: Receipts) -> Self {
        Desk { receipts, ..self }
    }

    /// The same desk, on which people also decide about the dossiers that were prepared for them. Without `today`, by
    /// the clock.
    #[must_use]
    pub fn with_dossiers(self, links: DossierLinks, key: SealingKey, today: Option<AsOf>) -> Self {
        let nights = Cron::parse(&self.pipeline.schedule.cron).ok();
        Desk { dossiers: Some(dossier::Drawer::new(links, key, nights, today)), ..self }
    }
}

/// Takes the place in which it is to listen.
pub async fn listen(address: std::net::SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address: address.to_string(), source })
}

/// Answers until `stop` ends; what is being answered then is brought to its end.
pub async fn serve(
    desk: Desk,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let desk = Arc::new(desk);
    if let Some(drawer) = &desk.dossiers {
        drawer.start(&desk).map_err(Error::Threads)?;
    }
    let path = format!("{PATH}{{token}}");
    let dossiers = get(dossier::show).post(dossier::decide).layer(DefaultBodyLimit::max(dossier::BODY_BYTES_MAX));
    let router = Router::new()
        .route(&path, get(ask).post(apply))
        .route(
            rating::PATH,
            get(rating::form).post(rating::answer).layer(DefaultBodyLimit::max(rating::FORM_BYTES_MAX)),
        )
        .route(&format!("{}/{{token}}", rating::PATH), get(rating::form_of))
        .route(&format!("{DOSSIER_PATH}{{token}}"), dossiers)
        .route(receipts::PATH, post(receipts::take).layer(DefaultBodyLimit::max(receipts::BODY_BYTES_MAX)))
        .route("/style.css", get(style))
        .fallback(nothing)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(desk);
    // A page goes out at once, whole: nothing waits for more to come.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, router).with_graceful_shutdown(stop).await.map_err(Error::Stopped)
}

/// The page that asks. Nothing is changed.
async fn ask(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let language = language(query.as_deref(), &headers);
    match desk.open(&token) {
        Ok(refusal) => desk.answer(StatusCode::OK, language, Told::Asking(desk.title(&refusal))),
        Err(error) => desk.refuse(&error, language),
    }
}

/// Applies the link to the ledger, and says so.
async fn apply(
    State(desk): State<Arc<Desk>>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let language = language(query.as_deref(), &headers);
    let refusal = match desk.open(&token) {
        Ok(refusal) => refusal,
        Err(error) => return desk.refuse(&error, language),
    };
    let Some(act) = Act::read(&body) else {
        return desk.answer(StatusCode::BAD_REQUEST, language, Told::NotUnderstood);
    };
    let title = desk.title(&refusal);
    let writer = Arc::clone(&desk);
    let written = tokio::task::spawn_blocking(move || writer.write(&refusal, act)).await;
    match written {
        Ok(Ok(is_still_refused)) => desk.answer(StatusCode::OK, language, act.told(title, is_still_refused)),
        Ok(Err(fault)) => {
            // Neither the link nor the person is named: the fault is the ledger's.
            tracing::error!(code = fault.code, "a refusal could not be written down: {}", fault.what);
            desk.answer(StatusCode::SERVICE_UNAVAILABLE, language, Told::NotWritten)
        }
        Err(_) => desk.answer(StatusCode::SERVICE_UNAVAILABLE, language, Told::NotWritten),
    }
}

async fn style() -> Response {
    dressed(
        (StatusCode::OK, [(header::CONTENT_TYPE, "text/css; charset=utf-8")], [STYLE, dossier::STYLE].concat())
            .into_response(),
    )
}

async fn nothing(State(desk): State<Arc<Desk>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    desk.answer(StatusCode::NOT_FOUND, language(query.as_deref(), &headers), Told::NoLink)
}

/// What a person does with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// Refuse what the link stands for.
    Refuse,
    /// Refuse every reminder of the agency.
    RefuseAll,
    /// Take the refusal of what the link stands for back.
    Want,
    /// Take the refusal of everything back.
    WantAll,
}

impl Act {
    /// From the body: a form of ours, or that of RFC 8058, urlencoded or in parts.
    fn read(body: &[u8]) -> Option<Act> {
        let text = std::str::from_utf8(body).ok()?;
        let has = |pair: &str| text.split('&').any(|other| other.trim() == pair);
        let is_one_click = text.contains("List-Unsubscribe") && text.contains("One-Click");
        let acts = [
            (is_one_click || has("act=refuse"), Act::Refuse),
            (has("act=refuse_all"), Act::RefuseAll),
            (has("act=want"), Act::Want),
            (has("act=want_all"), Act::WantAll),
        ];
        acts.into_iter().find(|(is_meant, _)| *is_meant).map(|(_, act)| act)
    }

    fn stance(self) -> Stance {
        match self {
            Act::Refuse | Act::RefuseAll => Stance::Refused,
            Act::Want | Act::WantAll => Stance::Wanted,
        }
    }

    /// What is said when it is written down, of the item with this title.
    fn told(self, title: Option<Text>, is_still_refused: bool) -> Told {
        match self {
            Act::Refuse => Told::Refused(title),
            Act::RefuseAll => Told::Refused(None),
            Act::Want if is_still_refused => Told::StillRefused,
            Act::Want => Told::Wanted(title),
            Act::WantAll => Told::Wanted(None),
        }
    }
}

impl Desk {
    /// What a link stands for; of a short one, as the ledger knows its message.
    fn open(&self, token: &str) -> Result<Refusal, links::Error> {
        let today = AsOf::today().date();
        let Some(key) = self.links.open_brief(token) else { return self.links.open(token, today) };
        let sent = Ledger::read(&self.state).and_then(|ledger| ledger.sent_as(&key));
        let Ok(Some(sent)) = sent else { return Err(links::Error::Forged) };
        let issued_on = sent.at.to_zoned(vietnam()).date();
        if issued_on.saturating_add(links::LIFETIME_DAYS.days()) < today {
            return Err(links::Error::Expired);
        }
        Ok(Refusal { subject: sent.subject, item: Some(sent.item), channel: Some(sent.channel), issued_on })
    }

    /// Writes down what a person does; it holds from the moment in which this returns. Whether what the link stands for
    /// is refused all the same, because something wider is.
    fn write(&self, refusal: &Refusal, act: Act) -> Result<bool, Fault> {
        // A ledger that is gone is not begun anew from here: the run says what to do.
        if !Ledger::has_begun(&self.state) {
            return Err(ledger::Error::None { path: self.state.join("ledger.sqlite") }.fault());
        }
        let mut ledger = Ledger::open(&self.state, &self.pipeline.id).map_err(|error| error.fault())?;
        let today = AsOf::today().date();
        let all = || ALL.to_owned();
        let (item, channel) = match act {
            Act::RefuseAll | Act::WantAll => (all(), all()),
            Act::Refuse | Act::Want => {
                (refusal.item.clone().unwrap_or_else(all), refusal.channel.clone().unwrap_or_else(all))
            }
        };
        let (subject, since, how) = (refusal.subject.clone(), today, "link");
        let mut requests = Vec::new();
        if act.stance() == Stance::Refused {
            let working = self.pipeline.calendar.known_on(today);
            let asked = Request::received(&subject, Asked::Refuse, (&item, &channel), today, &working);
            // The page is the confirmation, and it is done.
            requests.push(Request { acknowledged_on: Some(today), done_on: Some(today), ..asked });
        }
        let (stance, language) = (Some(act.stance()), None);
        let mut preferences = vec![Preference { subject, item, channel, stance, language, since, how }];
        if act == Act::WantAll {
            // Whoever wants all again wants what they refused one by one, too.
            let before = ledger.refused().map_err(|error| error.fault())?;
            let narrower = before.into_iter().filter(|(subject, item, channel)| {
                *subject == refusal.subject && (item.as_str(), channel.as_str()) != (ALL, ALL)
            });
            preferences.extend(narrower.map(|(subject, item, channel)| Preference {
                subject,
                item,
                channel,
                stance,
                language: None,
                since,
                how,
            }));
        }
        ledger.prefer(&preferences, &requests).map_err(|error| error.fault())?;
        let refused = ledger.refused().map_err(|error| error.fault())?;
        let item = refusal.item.as_deref().unwrap_or(ALL);
        let channel = refusal.channel.as_deref().unwrap_or(ALL);
        let scopes = [(item, channel), (item, ALL), (ALL, channel), (ALL, ALL)];
        let key = |(item, channel): (&str, &str)| (refusal.subject.clone(), item.to_owned(), channel.to_owned());
        Ok(scopes.into_iter().any(|scope| refused.contains(&key(scope))))
    }

    /// The title of a link's item, where it is one of the agency's.
    fn title(&self, refusal: &Refusal) -> Option<Text> {
        let item = refusal.item.as_deref().and_then(|id| self.pipeline.item(id));
        item.map(|item| item.title.clone())
    }

    fn refuse(&self, error: &links::Error, language: Language) -> Response {
        match error {
            links::Error::Expired => self.answer(StatusCode::GONE, language, Told::Expired),
            _ => self.answer(StatusCode::NOT_FOUND, language, Told::NoLink),
        }
    }

    fn answer(&self, status: StatusCode, language: Language, told: Told) -> Response {
        let page = Page { agency: &self.pipeline.agency, language, told };
        dressed((status, Html(page.to_string())).into_response())
    }
}

/// No script, nothing from elsewhere, nothing kept, no address of this page given to others.
fn dressed(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 6] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
    ];
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// `?lang=en`, or what the browser asks for first; Vietnamese otherwise.
fn language(query: Option<&str>, headers: &HeaderMap) -> Language {
    let asked = query.into_iter().flat_map(|query| query.split('&')).find_map(|pair| pair.strip_prefix("lang="));
    let first = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Language::from_tag(asked.or_else(|| first.map(|first| first.split(['-', ',', ';']).next().unwrap_or(first))))
}
