//! The way out by one channel: what it is given leaves in the order in which it was given, and what became of each
//! message is fetched when somebody asks.
//!
//! A mail server is fed: its connections are at work while nobody waits for them. The other channels carry what they
//! were given when they are asked to. It must not know which channel a message is to take.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::{
    Address, Code, Envelope, Error, Form, Outcome, Outgoing, Permit, Slip, Timeouts, Vault, folder, lanes, sms, smtp,
    webhook, zns,
};
use crate::ledger::{MessageKey, Recorded};
use crate::pipeline::{Channel, ChannelKind};

/// Where a channel may keep things.
#[derive(Debug, Clone)]
pub struct Rooms<'a> {
    /// The folder of the folder channel.
    pub outbox: &'a Path,
    /// Where tokens are kept; the channels that have some need it.
    pub vault: Option<Vault>,
}

impl<'a, P: AsRef<Path> + ?Sized> From<&'a P> for Rooms<'a> {
    fn from(outbox: &'a P) -> Self {
        Rooms { outbox: outbox.as_ref(), vault: None }
    }
}

/// The way out by one channel, opened once per run.
#[derive(Debug)]
pub struct Sender {
    route: Route,
    trouble: Option<Error>,
    permit: Arc<Permit>,
    /// What was given to a channel that carries when it is asked to.
    waiting: Vec<(MessageKey, Form)>,
    /// What became of messages, as far as nobody has fetched it.
    ended: Vec<(MessageKey, Outcome)>,
}

#[derive(Debug)]
enum Route {
    Folder(folder::Folder),
    Smtp(Box<smtp::Server>),
    Zns(Box<zns::Account>),
    Sms(Box<sms::Sms>),
    Webhook(Box<webhook::Hook>),
}

impl Sender {
    /// Opens the channel: makes the folder and proves that it can be written to, makes the first connection and logs
    /// in, or gets an access token. What is wrong with the channel as a whole is an error here, before any message is
    /// in flight.
    ///
    /// A path in place of [`Rooms`] is the folder of the folder channel; a mail server does not use it.
    pub async fn open<'a>(channel: &Channel, rooms: impl Into<Rooms<'a>>, timeouts: Timeouts) -> Result<Sender, Error> {
        let rooms = rooms.into();
        let route = match &channel.kind {
            ChannelKind::Folder => Route::Folder(folder::Folder::open(rooms.outbox)?),
            ChannelKind::Smtp(settings) => {
                let from: Address = channel.from.parse().map_err(Error::From)?;
                Route::Smtp(Box::new(smtp::Server::open(settings, from.domain(), timeouts).await?))
            }
            ChannelKind::Zns(settings) => {
                let vault = rooms.vault.ok_or(Error::NoVault)?;
                Route::Zns(Box::new(zns::Account::open(&channel.name, settings, vault, timeouts).await?))
            }
            ChannelKind::Sms(settings) => Route::Sms(Box::new(sms::Sms::open(settings, timeouts)?)),
            ChannelKind::Webhook(settings) => Route::Webhook(Box::new(webhook::Hook::open(settings, timeouts)?)),
        };
        Ok(Sender { route, trouble: None, permit: Arc::default(), waiting: Vec::new(), ended: Vec::new() })
    }

    /// From now on each message leaves only while this permit holds; what is left is given back as
    /// [`Code::Recalled`].
    pub fn under(&mut self, permit: Arc<Permit>) {
        self.permit = permit;
    }

    /// Whether and until when messages may leave.
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Sends messages and says, in their order, what became of each.
    ///
    /// Where the channel itself fails on the way, the messages that had not begun to leave are
    /// deferred, and [`Sender::trouble`] explains it.
    pub async fn send<M: Outgoing + Clone>(&mut self, recorded: &[Recorded<M>]) -> Vec<Outcome> {
        self.take(recorded.iter().map(|one| (one.key().clone(), one.value().clone())));
        let mut ended: HashMap<MessageKey, Outcome> = self.collect(0).await.into_iter().collect();
        let outcomes = recorded.iter().map(|one| ended.remove(one.key()).unwrap_or(STOPPED)).collect();
        // What was given before these is still to be fetched.
        self.ended.extend(ended);
        outcomes
    }

    /// Gives messages to the channel, behind those that it has; [`Sender::collect`] says what becomes of them.
    pub fn feed<M: Outgoing>(&mut self, recorded: Vec<Recorded<M>>) {
        self.take(recorded.into_iter().map(Recorded::into_parts));
    }

    fn take<M: Outgoing>(&mut self, messages: impl Iterator<Item = (MessageKey, M)>) {
        let messages = messages.map(|(key, message)| (key, message.form()));
        let Route::Smtp(server) = &mut self.route else { return self.waiting.extend(messages) };
        let ended = &mut self.ended;
        let letters = messages.filter_map(|(key, form)| match form {
            Form::Letter(letter) => Some((key, letter)),
            Form::Slip(_) => {
                ended.push((key, WRONG_FORM));
                None
            }
        });
        server.feed(letters, &self.permit);
    }

    /// How many messages that the channel was given have not ended, as far as that is known.
    pub fn under_way(&self) -> usize {
        let leaving = match &self.route {
            Route::Smtp(server) => server.under_way(),
            _ => 0,
        };
        self.waiting.len().saturating_add(leaving)
    }

    /// Carries what was given, where the channel does so only while somebody waits for it.
    pub async fn carry(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        let forms = || waiting.iter().map(|(_, form)| form);
        let letters = || -> Vec<Option<&Envelope>> { forms().map(Form::as_letter).collect() };
        let slips = || -> Vec<Option<&Slip>> { forms().map(Form::as_slip).collect() };
        let permit = &self.permit;
        let (outcomes, trouble) = match &self.route {
            Route::Folder(folder) => {
                let letters = letters();
                let (outcomes, trouble) = folder.write(&present(&letters), permit);
                (spread(&letters, outcomes), trouble)
            }
            // It was fed.
            Route::Smtp(_) => (Vec::new(), None),
            Route::Zns(account) => {
                let slips = slips();
                let (outcomes, trouble) = account.send(&present(&slips), permit).await;
                (spread(&slips, outcomes), trouble)
            }
            Route::Sms(sms) => post(&**sms, &slips(), sms.connections(), permit).await,
            Route::Webhook(hook) => post(&**hook, &slips(), hook.connections(), permit).await,
        };
        self.trouble = self.trouble.take().or(trouble);
        self.ended.extend(waiting.into_iter().map(|(key, _)| key).zip(outcomes));
    }

    /// Works until at most so many of the messages that the channel was given have not ended, and says what became of
    /// those that have since this was last asked.
    pub async fn collect(&mut self, left: usize) -> Vec<(MessageKey, Outcome)> {
        if self.waiting.len() > left {
            self.carry().await;
        }
        if let Route::Smtp(server) = &mut self.route {
            let (ended, trouble) = server.collect(left).await;
            self.trouble = self.trouble.take().or(trouble);
            self.ended.extend(ended);
        }
        std::mem::take(&mut self.ended)
    }

    /// The first failure of the channel as a whole since this was last asked.
    pub fn trouble(&mut self) -> Option<Error> {
        self.trouble.take()
    }

    /// The numbers that the peer gave to messages that it took, by their keys, since this was last asked: what comes back
    /// may name them by these.
    pub fn numbers(&mut self) -> Vec<(String, String)> {
        match &self.route {
            Route::Zns(account) => account.numbers(),
            _ => Vec::new(),
        }
    }

    /// How many messages the channel may still carry today; none where there is no such number.
    pub async fn quota(&self) -> Option<zns::Quota> {
        match &self.route {
            Route::Zns(account) => account.quota().await,
            _ => None,
        }
    }

    /// How many messages were found already in the folder, with the same bytes, and left alone.
    pub fn already_there(&self) -> u64 {
        match &self.route {
            Route::Folder(folder) => folder.already_there(),
            _ => 0,
        }
    }

    /// Takes leave of the mail server; dropping the sender without it breaks the connections off.
    pub async fn close(self) {
        if let Route::Smtp(server) = self.route {
            server.close().await;
        }
    }
}

/// What is said of a message of which nothing is known to have left.
const STOPPED: Outcome = Outcome::Deferred { code: Code::Stopped };

/// A message that is not of the channel's form.
const WRONG_FORM: Outcome = Outcome::Refused { code: Code::WrongForm };

fn present<'m, T>(messages: &[Option<&'m T>]) -> Vec<&'m T> {
    messages.iter().copied().flatten().collect()
}

/// Outcomes in the places of the messages that were of the channel's form; the others are refused.
fn spread<T>(messages: &[Option<&T>], outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let mut outcomes = outcomes.into_iter();
    let outcome = |message: &Option<&T>| message.and_then(|_| outcomes.next()).unwrap_or(WRONG_FORM);
    messages.iter().map(outcome).collect()
}

/// Sends by a service of short messages; a failure of the service as a whole is given beside the outcomes.
async fn post<P: lanes::Peer>(
    peer: &P,
    slips: &[Option<&Slip>],
    lanes: usize,
    permit: &Permit,
) -> (Vec<Outcome>, Option<Error>) {
    let (outcomes, trouble) = lanes::send_all(peer, &present(slips), lanes, permit).await;
    (spread(slips, outcomes), trouble)
}
