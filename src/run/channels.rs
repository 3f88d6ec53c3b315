//! The channels of a night: opened when they are first needed, left when they fail, shared by what they have room for.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use tokio::task::AbortHandle;

use super::Night;
use super::remind::convoy::{self, Wire};
use super::remind::retry::Retries;
use super::remind::{end_of, today};
use crate::calendar::now;
use crate::delivery::{
    self, Body, Class, Code, Destination, Form, Message, Outcome, Permit, Rooms, Sender, Slip, Timeouts, Vault,
};
use crate::fault::{Explain, Fault};
use crate::ledger::{Ledger, MessageKey, Recorded};
use crate::personal::{Personal, PseudonymKey};
use crate::pipeline::{Channel, ChannelKind, Reach};
use crate::reminders::letter::{Letter, Occasion};
use crate::reminders::plan::{Plan, Reason, Reminder};
use crate::reminders::quota::{self, Places};
use crate::reminders::short::{Short, Unfit};
use crate::report::FaultLine;

/// The channels that are open tonight.
#[derive(Debug)]
pub(super) struct Senders {
    /// The day for which the run speaks, and the day by the clock on which it began.
    as_of: Date,
    began_on: Date,
    open: BTreeMap<String, Sender>,
    /// Those that failed: nothing leaves by them until they are opened again.
    down: BTreeSet<String>,
    /// Those of them that stay closed tonight: a person must act, or another day begin.
    shut: BTreeSet<String>,
    /// Those of them that asked to be left alone until an instant.
    busy: BTreeMap<String, Timestamp>,
    /// Whether messages have left: a channel that fails from then on is no error of the night.
    has_begun: bool,
    places: HashMap<String, Places>,
    /// Until when what is given to a channel may leave.
    permit: Arc<Permit>,
    ear: Option<Ear>,
    /// What became of messages that no channel has, as far as nobody has fetched it.
    ended: Vec<(MessageKey, Outcome)>,
}

/// Listens for what people refuse, until it is dropped.
#[derive(Debug)]
struct Ear {
    /// The newest preference that was heard of otherwise.
    heard_until: Arc<AtomicI64>,
    task: AbortHandle,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How often is listened.
const LISTENS_EVERY: Duration = Duration::from_millis(250);

/// Withdraws the permit when somebody says something. It does not end by itself.
async fn listen(ledger: Ledger, heard_until: Arc<AtomicI64>, permit: Arc<Permit>) {
    loop {
        tokio::time::sleep(LISTENS_EVERY).await;
        // Where it cannot be asked, the look before the next group does.
        if ledger.newest_preference().is_ok_and(|newest| newest != heard_until.load(Ordering::Acquire)) {
            permit.withdraw();
        }
    }
}

impl Wire<Message> for Senders {
    /// Each message is given to its channel. What goes by one that is not open is deferred.
    fn feed(&mut self, group: Vec<Recorded<Message>>) {
        let mut groups: BTreeMap<String, Vec<Recorded<Message>>> = BTreeMap::new();
        let day = self.day();
        for message in group {
            let Message { channel, valid_until, .. } = message.value();
            let why = match self.open.contains_key(channel) {
                // It was written and recorded in good time, and waited behind others: this is the last look before
                // the wire.
                _ if *valid_until < day => Code::Expired,
                false => Code::Stopped,
                true => {
                    groups.entry(channel.clone()).or_default().push(message);
                    continue;
                }
            };
            self.ended.push((message.key().clone(), Outcome::Deferred { code: why }));
        }
        for (channel, group) in groups {
            if let Some(places) = self.places.get_mut(&channel) {
                places.today = places.today.saturating_sub(u32::try_from(group.len()).unwrap_or(u32::MAX));
            }
            if let Some(sender) = self.open.get_mut(&channel) {
                sender.feed(group);
            }
        }
    }

    async fn carry(&mut self) {
        join_all(self.open.values_mut().map(Sender::carry)).await;
    }

    fn under_way(&self) -> usize {
        self.open.values().map(Sender::under_way).sum::<usize>().saturating_add(self.ended.len())
    }

    /// All channels at once: of what may be left, each has its share.
    async fn collect(&mut self, left: usize) -> Vec<(MessageKey, Outcome)> {
        let at_work = self.open.values().filter(|sender| sender.under_way() > 0).count();
        let share = left / at_work.max(1);
        let collecting = self.open.iter_mut().map(async |(name, sender)| (name.clone(), sender.collect(share).await));
        let collected = join_all(collecting).await;
        let mut ended = std::mem::take(&mut self.ended);
        for (channel, of_channel) in collected {
            let recalled = of_channel.iter().filter(|(_, outcome)| outcome.code() == Some(Code::Recalled)).count();
            // They took no place after all.
            if let Some(places) = self.places.get_mut(&channel) {
                places.today = places.today.saturating_add(u32::try_from(recalled).unwrap_or(u32::MAX));
            }
            ended.extend(of_channel);
        }
        ended
    }

    fn withdraw(&mut self) {
        self.permit.withdraw();
    }
}

impl Senders {
    /// No channel is open yet; `as_of` is the day for which the run speaks.
    pub(super) fn of(as_of: Date) -> Self {
        Senders {
            as_of,
            began_on: today(),
            open: BTreeMap::new(),
            down: BTreeSet::new(),
            shut: BTreeSet::new(),
            busy: BTreeMap::new(),
            has_begun: false,
            places: HashMap::new(),
            permit: Arc::default(),
            ear: None,
            ended: Vec::new(),
        }
    }

    /// The day for which the run speaks by now: where it works past midnight, the next one.
    fn day(&self) -> Date {
        let passed = (today() - self.began_on).get_days().max(0);
        self.as_of.saturating_add(i64::from(passed).days())
    }

    /// Listens to what people refuse, from now on, in the ledger of this state folder.
    pub(super) fn listen_to(&mut self, state: &Path) {
        let heard_until = Arc::new(AtomicI64::new(0));
        self.ear = Ledger::read(state).ok().map(|ledger| {
            let listening = listen(ledger, Arc::clone(&heard_until), Arc::clone(&self.permit));
            Ear { heard_until, task: tokio::spawn(listening).abort_handle() }
        });
    }

    /// Whether and until when messages may leave.
    pub(super) fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Messages may leave until an instant, or until something is said after the preference that was heard last.
    pub(super) fn renew_permit(&mut self, until: Option<Timestamp>, heard_until: i64) {
        self.ear.iter().for_each(|ear| ear.heard_until.store(heard_until, Ordering::Release));
        self.permit.renew(until);
    }

    /// How many messages leave together: as many as the widest of the open channels takes.
    pub(super) fn group(&self, channels: &[Channel]) -> usize {
        let open = channels.iter().filter(|channel| self.open.contains_key(&channel.name));
        open.map(convoy::group).max().unwrap_or(1)
    }

    /// Forgets that channels failed, where another try may find them well: they are opened again.
    fn forgive(&mut self) {
        self.busy.retain(|_, until| *until > now());
        let (shut, busy) = (&self.shut, &self.busy);
        let is_forgiven = |name: &String| !shut.contains(name) && !busy.contains_key(name);
        let forgiven: Vec<String> = self.down.extract_if(.., |name| is_forgiven(name)).collect();
        for name in forgiven {
            self.places.remove(&name);
        }
    }

    /// Takes a channel out of use.
    fn fails(&mut self, name: &str, error: &delivery::Error) {
        self.down.insert(name.to_owned());
        if is_lasting(error) {
            self.shut.insert(name.to_owned());
        }
        if let delivery::Error::Provider { code: Code::Busy { wait_seconds, .. }, .. } = error {
            let until = now().checked_add(SignedDuration::from_secs(i64::from(*wait_seconds)));
            self.busy.insert(name.to_owned(), until.unwrap_or(Timestamp::MAX));
        }
    }

    /// Why nothing leaves by a channel that is out: it asked for a time, or it cannot be reached.
    fn out(&self, name: &str) -> Code {
        let Some(until) = self.busy.get(name) else { return Code::NotConnected };
        let left = until.duration_since(now()).as_secs().max(1);
        Code::Busy { status: 429, wait_seconds: u32::try_from(left).unwrap_or(u32::MAX) }
    }

    /// Lets wait what goes by a channel that is out for now, as if the channel had said so, and gives back the rest.
    fn let_wait<'r>(&self, reminders: Vec<Reminder<'r>>, retries: &mut Retries<Reminder<'r>>) -> Vec<Reminder<'r>> {
        let mut going = Vec::with_capacity(reminders.len());
        for reminder in reminders {
            let name = &reminder.channel.name;
            let is_out = self.down.contains(name) && !self.shut.contains(name);
            let last = end_of(reminder.last_day());
            let outcome = Outcome::Deferred { code: self.out(name) };
            match is_out.then(|| retries.next(&reminder.key, outcome, now(), last)).flatten() {
                Some(at) => retries.wait(at, reminder),
                None => going.push(reminder),
            }
        }
        going
    }

    /// The numbers that peers gave to messages, by their keys, since this was last asked.
    pub(super) fn numbers(&mut self) -> HashMap<String, String> {
        self.open.values_mut().flat_map(Sender::numbers).collect()
    }

    /// Takes leave of all channels.
    pub(super) async fn close(self) {
        for sender in self.open.into_values() {
            sender.close().await;
        }
    }

    /// Takes the channels that have failed out of use, and says why.
    async fn leave_failed(&mut self) -> Vec<delivery::Error> {
        let mut troubles = Vec::new();
        for (name, sender) in &mut self.open {
            if let Some(trouble) = sender.trouble() {
                // What it was given last finds no way either, or the last one.
                self.ended.extend(sender.collect(0).await);
                troubles.push((name.clone(), trouble));
            }
        }
        troubles.iter().for_each(|(name, trouble)| self.fails(name, trouble));
        // A connection that failed has nobody to take leave of.
        self.open.retain(|name, _| !self.down.contains(name));
        troubles.into_iter().map(|(_, trouble)| trouble).collect()
    }
}

impl Night<'_> {
    /// Opens every channel that a reminder is to take, and shares out what each has room for. A channel that cannot be
    /// opened is reported, and what cannot wait for it takes its next channel; it is the error of the night only
    /// where there is no other.
    pub(super) async fn prepare<'r>(
        &mut self,
        senders: &mut Senders,
        mut reminders: Vec<Reminder<'r>>,
        plan: &mut Plan<'_>,
    ) -> Result<VecDeque<Reminder<'r>>, Fault> {
        loop {
            let places = senders.places.clone();
            let allotted = quota::allot(reminders, &places, |reminder| reminder.item.consequence);
            for reminder in &allotted.later {
                let is_down = senders.down.contains(&reminder.channel.name);
                let reason = if is_down { Reason::ChannelFailed } else { Reason::WaitsForQuota };
                plan.hold_back(reminder.obligation, reason);
            }
            reminders = allotted.today;
            let is_needed =
                |channel: &&Channel| !senders.open.contains_key(&channel.name) && !senders.down.contains(&channel.name);
            let mut needed: Vec<&Channel> =
                reminders.iter().map(|reminder| reminder.channel).filter(is_needed).collect();
            needed.sort_by(|a, b| a.name.cmp(&b.name));
            needed.dedup_by(|a, b| a.name == b.name);
            if needed.is_empty() {
                senders.has_begun = true;
                return Ok(reminders.into());
            }
            for channel in needed {
                self.open_channel(senders, channel).await?;
            }
        }
    }

    /// Opens the channels that failed once more, for what is to be tried again. Gives back what may leave now; what
    /// goes by a channel that is still out waits for its next try, as if the channel had said so.
    pub(super) async fn reopen<'r>(
        &mut self,
        senders: &mut Senders,
        again: Vec<Reminder<'r>>,
        retries: &mut Retries<Reminder<'r>>,
    ) -> Result<Vec<Reminder<'r>>, Fault> {
        senders.forgive();
        for channel in again.iter().map(|reminder| reminder.channel) {
            if !senders.open.contains_key(&channel.name) && !senders.down.contains(&channel.name) {
                self.open_channel(senders, channel).await?;
            }
        }
        Ok(senders.let_wait(again, retries))
    }

    /// Says what is wrong with a channel, once: in an outage every try finds the same.
    fn tell_trouble(&mut self, trouble: &delivery::Error) {
        let fault = trouble.fault();
        if !self.report.faults.iter().any(|line| line.what == fault.what && line.code == fault.code) {
            self.report.faults.push(FaultLine::from(&fault));
        }
    }

    async fn open_channel(&mut self, senders: &mut Senders, channel: &Channel) -> Result<(), Fault> {
        let outbox = self.world.outbox();
        // Only a channel with tokens needs the key, and makes it where there is none.
        let vault = match &channel.kind {
            ChannelKind::Zns(_) => {
                let key = self.world.sealing_key().map_err(|error| error.fault())?;
                Some(Vault::new(self.world.state.join("channels"), key))
            }
            _ => None,
        };
        match Sender::open(channel, Rooms { outbox: &outbox, vault }, Timeouts::default()).await {
            Ok(mut sender) => {
                sender.under(Arc::clone(&senders.permit));
                if let Some(places) = places(channel, &sender).await {
                    senders.places.insert(channel.name.clone(), places);
                }
                senders.open.insert(channel.name.clone(), sender);
                Ok(())
            }
            Err(error) if self.checked.pipeline.channels.len() == 1 && !senders.has_begun => Err(error.fault()),
            Err(error) => {
                self.tell_trouble(&error);
                senders.fails(&channel.name, &error);
                senders.places.insert(channel.name.clone(), DOWN);
                Ok(())
            }
        }
    }

    /// What is to be sent yet, after a channel may have failed: later in this run where there is one, and otherwise by
    /// another channel where it cannot wait.
    pub(super) async fn after_trouble<'r>(
        &mut self,
        senders: &mut Senders,
        reminders: VecDeque<Reminder<'r>>,
        plan: &mut Plan<'_>,
        retries: &mut Retries<Reminder<'r>>,
    ) -> Result<VecDeque<Reminder<'r>>, Fault> {
        let troubles = senders.leave_failed().await;
        if troubles.is_empty() {
            return Ok(reminders);
        }
        troubles.iter().for_each(|trouble| self.tell_trouble(trouble));
        for name in &senders.down {
            senders.places.insert(name.clone(), DOWN);
        }
        let reminders = senders.let_wait(reminders.into(), retries);
        self.prepare(senders, reminders, plan).await
    }
}

/// Whether a channel that failed so fails until a person has acted, or until another day.
fn is_lasting(error: &delivery::Error) -> bool {
    use delivery::Error;
    match error {
        Error::Provider { code, .. } | Error::Account { code, .. } | Error::Token { code, .. } => {
            matches!(code.class(), Class::Ours | Class::Quota | Class::Data)
        }
        Error::Connect { .. } | Error::Unreachable { .. } => false,
        Error::Server { .. } | Error::Tls { .. } | Error::Folder { .. } => false,
        _ => true,
    }
}

/// A channel that failed takes nothing today and, as far as one can know, everything tomorrow.
const DOWN: Places = Places { today: 0, daily: u32::MAX };

/// What a channel has room for: what the provider says, and no more than the pipeline allows.
async fn places(channel: &Channel, sender: &Sender) -> Option<Places> {
    let ChannelKind::Zns(zns) = &channel.kind else { return None };
    let places = match (sender.quota().await, zns.daily_quota) {
        (None, None) => return None,
        (Some(quota), None) => Places { today: quota.remaining, daily: quota.daily },
        (None, Some(own)) => Places { today: own, daily: own },
        (Some(quota), Some(own)) => {
            let used = quota.daily.saturating_sub(quota.remaining);
            Places { today: quota.remaining.min(own.saturating_sub(used)), daily: quota.daily.min(own) }
        }
    };
    Some(places)
}

/// The short message of a reminder by its channel.
pub(super) fn slip(reminder: &Reminder<'_>, letter: &Letter, occasion: &Occasion<'_>) -> Result<Slip, Reason> {
    let channel = reminder.channel;
    let address = reminder.recipient.address(channel.reach()).ok_or(Reason::NoAddress)?;
    let address = *address.reveal();
    let to = match channel.reach() {
        Reach::Phone => Destination::Phone(address.parse().map_err(|_| Reason::BadAddress)?),
        Reach::Email => {
            Destination::Email(Personal::new(delivery::recipient(address).map_err(|_| Reason::BadAddress)?))
        }
    };
    let body = body(channel, letter, occasion).map_err(|_| Reason::DoesNotFit)?;
    Ok(Slip {
        key: reminder.key.to_string(),
        message_id: delivery::slip_id(&reminder.key),
        to,
        item: reminder.item.id.clone(),
        language: letter.language,
        body,
    })
}

fn body(channel: &Channel, letter: &Letter, occasion: &Occasion<'_>) -> Result<Body, Unfit> {
    let short = Short::of(letter, occasion, channel);
    match &channel.kind {
        ChannelKind::Zns(zns) => {
            let template = zns.template(&occasion.item.id, letter.language).ok_or(Unfit::NoTemplate)?;
            Ok(Body::Template { id: template.id.clone(), data: short.fill(template)? })
        }
        ChannelKind::Sms(gateway) => {
            let text = short.fit(gateway)?.to_owned();
            Ok(Body::Text { subject: short.subject, text })
        }
        _ => Ok(Body::Text { subject: short.subject, text: short.text }),
    }
}

/// What the ledger keeps of a message that was rendered: the version of its template, and the mark of what leaves.
pub(super) fn rendered(message: &Message, letter: &Letter, key: &PseudonymKey) -> (String, String) {
    match &message.form {
        Form::Letter(_) => (letter.template_version.clone(), rendered_mark(&letter.rendered_hash, key)),
        Form::Slip(slip) => {
            (slip.template_version(&letter.template_version), rendered_mark(&slip.rendered_hash(), key))
        }
    }
}

/// The mark of a rendered message, by its SHA-256.
pub(super) fn rendered_mark(sha256: &str, key: &PseudonymKey) -> String {
    key.mark("rendered", sha256)
}
