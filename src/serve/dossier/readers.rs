//! Threads that read dossiers and make their pages, one for each core, each with a ledger of its own that stays open.
//!
//! A page waits for its turn in one queue, and not on a thread: however many ask at once, no more are made at a time than
//! there are cores to make them, and where the system holds one thread up the others take its turn. It must not know what a page says.

use std::collections::HashMap;
use std::io;
use std::num::NonZero;
use std::sync::{Arc, Weak};
use std::thread;

use axum::response::Response;
use crossbeam_channel::{Receiver, Sender, unbounded};
use tokio::sync::oneshot;

use super::{Closed, Desk};
use crate::dossiers::Basis;
use crate::fault::Explain;
use crate::language::Language;
use crate::ledger::Ledger;

/// Forms of nights that a reader keeps: each is a few kilobytes, and all pages of a night share one.
const BASES_MAX: usize = 64;

/// What one thread keeps for its next page.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Open for reading: opening it costs more than a page.
    ledger: Option<Ledger>,
    /// Forms by their names, which are digests: they never change.
    bases: HashMap<String, Arc<Basis>>,
}

impl Reader {
    /// Takes the ledger; whoever has read it without a fault gives it back.
    pub(super) fn take(&mut self, state: &std::path::Path) -> Result<Ledger, Closed> {
        match self.ledger.take() {
            Some(ledger) => Ok(ledger),
            None => Ok(Ledger::read(state)?),
        }
    }

    pub(super) fn give_back(&mut self, ledger: Ledger) {
        self.ledger = Some(ledger);
    }

    /// A form, as the dossiers of a night were prepared with it.
    pub(super) fn basis(&mut self, ledger: &Ledger, name: &str) -> Result<Arc<Basis>, Closed> {
        if let Some(basis) = self.bases.get(name) {
            return Ok(Arc::clone(basis));
        }
        let text = ledger.dossier_basis(name)?.unwrap_or_default();
        let basis = Arc::new(Basis::read(&text).map_err(|error| error.fault())?);
        if self.bases.len() >= BASES_MAX {
            self.bases.clear();
        }
        self.bases.insert(name.to_owned(), Arc::clone(&basis));
        Ok(basis)
    }
}

/// A page that is asked for.
struct Asked {
    token: String,
    language: Language,
    answer: oneshot::Sender<Response>,
}

/// The threads. They end with the desk.
#[derive(Debug)]
pub(super) struct Readers {
    queue: Sender<Asked>,
}

impl Readers {
    /// Starts one thread for each core.
    pub(super) fn start(desk: &Arc<Desk>) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let (queue, asked) = unbounded();
        for _ in 0..cores.max(2) {
            let (desk, asked) = (Arc::downgrade(desk), asked.clone());
            thread::Builder::new().name("dossier-reader".into()).spawn(move || read(&desk, &asked))?;
        }
        Ok(Readers { queue })
    }

    /// The page of a link; none where no thread is left to make it.
    pub(super) async fn page(&self, token: String, language: Language) -> Option<Response> {
        let (answer, page) = oneshot::channel();
        self.queue.send(Asked { token, language, answer }).ok()?;
        page.await.ok()
    }
}

fn read(desk: &Weak<Desk>, asked: &Receiver<Asked>) {
    let mut reader = Reader::default();
    for Asked { token, language, answer } in asked {
        let Some(desk) = desk.upgrade() else { return };
        // Whoever asked may be gone: then nobody hears it.
        drop(answer.send(desk.review(&mut reader, &token, language)));
    }
}
