//! A service over HTTP that takes messages: one client per channel, with time limits and no redirects.
//!
//! A redirect would carry personal data to an address that nobody has checked; a service that moved is a fault for a
//! person. Answers are read up to a bound and never logged: their words may hold an address.

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use reqwest::{Certificate, Client, Identity, Method, Url};

use super::{Class, Code, Error, Outcome, Timeouts};
use crate::calendar::now;
use crate::pipeline::secret::Secret;
use crate::pipeline::{is_public, leads_into_private_network};

/// The most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 65_536;

/// A service and our way to it.
#[derive(Debug)]
pub(crate) struct Service {
    client: Client,
    /// Host and port, for errors.
    name: String,
    /// Why the last connection could not be made.
    why: Mutex<Option<String>>,
    /// Whether it has taken a message since it was opened, or said of one alone why not.
    is_heard: AtomicBool,
}

/// Whom the two ends of a connection trust beyond the authorities of this machine.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    /// Our own certificate and its key, in one PEM text: mutual TLS.
    pub(crate) identity: Option<Secret>,
    /// The only authority that the service's certificate may come from, in PEM.
    pub(crate) authority: Option<Vec<u8>>,
    /// Whether its name may lead to public addresses alone.
    pub(crate) is_public: bool,
}

/// Finds the addresses of a name; one that leads into a private network is not followed there.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.iter().all(|address| is_public(address.ip())) {
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            Err("the name leads into a private network".into())
        })
    }
}

/// What came of a request.
pub(crate) enum Answer {
    /// The service answered.
    Full {
        /// The status.
        status: u16,
        /// For how long it wants to be left alone, where it says so.
        wait_seconds: Option<u32>,
        /// What it said.
        body: Vec<u8>,
    },
    /// No connection was made: nothing has left.
    NotConnected,
    /// Something may have left, and no whole answer came.
    Lost(Code),
}

impl Service {
    /// A client for the services at these addresses, which were checked with the pipeline.
    pub(super) fn open(urls: &[&str], timeouts: Timeouts) -> Result<Service, Error> {
        Service::open_known(urls, timeouts, &Trust::default())
    }

    /// Like [`Service::open`], with a certificate of our own, and an authority that this machine does not know.
    pub(crate) fn open_known(urls: &[&str], timeouts: Timeouts, trust: &Trust) -> Result<Service, Error> {
        let parsed: Vec<Url> = urls.iter().filter_map(|url| Url::parse(url).ok()).collect();
        let name = parsed.first().map(authority).unwrap_or_default();
        let failed = |why: String| Error::Service { service: name.clone(), why };
        if parsed.len() < urls.len() {
            return Err(failed("its address cannot be read".into()));
        }
        // The resolver is asked for names alone: an address that is written as one is followed without it.
        if trust.is_public && urls.iter().any(|url| leads_into_private_network(url)) {
            return Err(failed("its address leads into a private network".into()));
        }
        let is_near = parsed.iter().all(is_loopback);
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static("chudong"));
        let mut builder = Client::builder()
            .use_rustls_tls()
            .https_only(!is_near)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.command.min(MOST))
            .default_headers(headers);
        if is_near {
            // A proxy of the network knows nothing of this machine's own services.
            builder = builder.no_proxy();
        }
        if trust.is_public && !is_near {
            builder = builder.dns_resolver(Arc::new(PublicOnly));
        }
        if let Some(pem) = &trust.identity {
            let identity = Identity::from_pem(pem.reveal().as_bytes());
            // The error of the library might quote the text; what is wrong with it is one of two things.
            let identity = identity.map_err(|_| failed("its identity is no certificate with its key in PEM".into()))?;
            builder = builder.identity(identity);
        }
        if let Some(pem) = &trust.authority {
            let authority = Certificate::from_pem_bundle(pem);
            let authority = authority.map_err(|_| failed("its authority is no certificate in PEM".into()))?;
            // That authority and no other: one that anybody can buy from must not stand for the national portal.
            builder = authority.into_iter().fold(builder.tls_built_in_root_certs(false), |builder, certificate| {
                builder.add_root_certificate(certificate)
            });
        }
        let client = builder.build().map_err(|error| failed(error.without_url().to_string()))?;
        Ok(Service { client, name, why: Mutex::default(), is_heard: AtomicBool::new(false) })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Notes that it has taken a message, or said of one alone why not.
    pub(super) fn hears(&self) {
        self.is_heard.store(true, Ordering::Relaxed);
    }

    /// What befalls all of its messages, with the reason where no connection could be made.
    pub(super) fn trouble(&self, code: Code) -> Error {
        let service = self.name.clone();
        let why = match code {
            Code::NotConnected => {
                let why = self.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
                format!("cannot be reached: {}", why.unwrap_or_else(|| code.to_string()))
            }
            Code::TimedOut | Code::ConnectionLost | Code::Unreadable => format!("gives no answer: {code}"),
            Code::Http { .. } if code.class() == Class::RetryLater => format!("takes no message: {code}"),
            _ => return Error::Provider { service, code },
        };
        Error::Unreachable { service, why }
    }

    /// Whether it has taken a message since it was opened, or said of one alone why not.
    pub(super) fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Relaxed)
    }

    /// Sends JSON and waits for the answer.
    pub(crate) async fn post(&self, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        self.post_as(url, headers, "application/json", body).await
    }

    /// Sends a file of a kind and waits for the answer.
    pub(crate) async fn post_as(&self, url: &str, headers: &[(&str, &str)], media_type: &str, body: Vec<u8>) -> Answer {
        let Ok(media_type) = HeaderValue::from_str(media_type) else { return Answer::NotConnected };
        let request = self.client.request(Method::POST, url).header(CONTENT_TYPE, media_type).body(body);
        self.ask(request, headers).await
    }

    /// Sends a form and waits for the answer.
    pub(crate) async fn post_form(&self, url: &str, headers: &[(&str, &str)], form: &[(&str, &str)]) -> Answer {
        self.ask(self.client.request(Method::POST, url).form(form), headers).await
    }

    /// Asks for something.
    pub(super) async fn get(&self, url: &str, headers: &[(&str, &str)], query: &[(&str, &str)]) -> Answer {
        self.ask(self.client.request(Method::GET, url).query(query), headers).await
    }

    async fn ask(&self, mut request: reqwest::RequestBuilder, headers: &[(&str, &str)]) -> Answer {
        for (name, value) in headers {
            let Ok(mut value) = HeaderValue::from_str(value) else { return Answer::NotConnected };
            value.set_sensitive(true);
            request = request.header(*name, value);
        }
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => {
                *self.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(innermost(&error));
                return Answer::NotConnected;
            }
            Err(error) => return Answer::Lost(lost(&error)),
        };
        let status = response.status().as_u16();
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait_seconds = asked.and_then(|asked| wait_seconds(asked, now()));
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES_MAX => body.extend_from_slice(&chunk),
                Ok(Some(_)) => return Answer::Lost(Code::Unreadable),
                Ok(None) => return Answer::Full { status, wait_seconds, body },
                Err(error) => return Answer::Lost(lost(&error)),
            }
        }
    }
}

/// The longest wait that a service is believed, in seconds: who asks for more is looked at again the next day.
const WAIT_SECONDS_MAX: i64 = 86_400;

/// The seconds of `Retry-After`: a number, or an instant (RFC 9110, 10.2.3).
fn wait_seconds(asked: &str, now: Timestamp) -> Option<u32> {
    let asked = asked.trim();
    let seconds = asked.parse::<i64>().ok().or_else(|| {
        let at = jiff::fmt::rfc2822::parse(asked).ok()?;
        Some(at.timestamp().duration_since(now).as_secs())
    })?;
    u32::try_from(seconds.clamp(0, WAIT_SECONDS_MAX)).ok()
}

/// A service that has not answered in a minute will not answer this request.
const MOST: Duration = Duration::from_secs(60);

/// What the answer of a service of messages means, by its status and, where it gives one, the word of a class in
/// `error` of its JSON. `is_idempotent` services may be sent a message again after a silence.
pub(super) fn outcome(answer: &Answer, is_idempotent: bool) -> Outcome {
    let unknown = |code| if is_idempotent { Outcome::Deferred { code } } else { Outcome::Uncertain { code } };
    match answer {
        Answer::NotConnected => Outcome::Deferred { code: Code::NotConnected },
        Answer::Lost(code) => unknown(*code),
        // 409: a message of this number was taken before.
        Answer::Full { status: 200..=299 | 409, .. } => Outcome::Accepted,
        Answer::Full { status, wait_seconds, body } => {
            let said: Option<serde_json::Value> = serde_json::from_slice(body).ok();
            let said = said.as_ref().and_then(|said| said.get("error")?.as_str()).and_then(Class::from_word);
            let code = match (Code::Http { status: *status, said }, *wait_seconds) {
                (code, Some(wait_seconds)) if code.class() == Class::RetryLater => {
                    Code::Busy { status: *status, wait_seconds }
                }
                (code, _) => code,
            };
            match code.class() {
                _ if *status >= 500 => unknown(code),
                class if class.is_final() => Outcome::Refused { code },
                _ => Outcome::Deferred { code },
            }
        }
    }
}

fn lost(error: &reqwest::Error) -> Code {
    if error.is_timeout() { Code::TimedOut } else { Code::ConnectionLost }
}

/// What lies at the bottom of an error: the system's own words, or those of the resolver. Nothing was sent yet that
/// speaks of a person.
fn innermost(error: &reqwest::Error) -> String {
    let mut last = error.source();
    while let Some(deeper) = last.and_then(std::error::Error::source) {
        last = Some(deeper);
    }
    last.map_or_else(|| "its address cannot be used".to_owned(), ToString::to_string)
}

fn authority(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
