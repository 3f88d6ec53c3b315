//! Ours: from obligations and people to settled messages, in a process of its own.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, RecordBatch, StringArray};
use chudong::calendar::{AsOf, to_days};
use chudong::delivery::{self, Address, Envelope, Head, Sender, Timeouts};
use chudong::ledger::{Ledger, MessageKey, MessageState, Record};
use chudong::obligations::Obligation;
use chudong::personal::{Personal, PseudonymKey, SealingKey, hex};
use chudong::pipeline::law::Law;
use chudong::pipeline::{self, Channel, ChannelKind, Item, Pipeline, Smtp, Tls, reader::Faults};
use chudong::reminders::attention::{self, Sent};
use chudong::reminders::letter::{FactNames, Letters, Occasion, Reason, RuleReference};
use chudong::reminders::plan::{self, Circumstances, History, Parts, Recipients, Reminder, Standing};
use chudong::reminders::window::Window;
use chudong::run::remind::convoy::{self, Convoy, settlement};
use chudong::tables::Table;
use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};

use super::{CONNECTIONS, Fallible, say};

/// The first argument of the process that does the work.
pub const CHILD: &str = "--child";

const ITEM: &str = "driving_licence";
const RUN: &str = "2026-11-21.1";

/// What one run has come to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    pub messages: u64,
    pub seconds: f64,
    pub bytes: u64,
    pub peak_mb: u64,
    pub told: String,
}

impl Done {
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.seconds
    }
}

/// Runs one part in a process of its own.
pub fn run(folder: &Path, part: &str, messages: u64, port: u16) -> Fallible<Done> {
    let state = folder.join("reminders-state");
    if state.exists() {
        std::fs::remove_dir_all(&state)?;
    }
    std::fs::create_dir_all(&state)?;
    let done = Command::new(std::env::current_exe()?)
        .args([CHILD, part, &messages.to_string(), &port.to_string()])
        .arg(&state)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    std::fs::remove_dir_all(&state)?;
    if !done.status.success() {
        return Err(format!("{part} ended with {}", done.status).into());
    }
    Ok(serde_json::from_slice(&done.stdout)?)
}

/// The work of the child.
pub fn child(words: &[String]) -> Fallible<()> {
    let [part, messages, port, state] = words else { return Err("four words are needed".into()) };
    let (messages, port, state) = (messages.parse()?, port.parse()?, PathBuf::from(state));
    let done = match part.as_str() {
        "send" => send(messages, port, &state, Path::new(env!("CARGO_MANIFEST_DIR")))?,
        "short" => send(messages, port, &state, &short_letters(&state)?)?,
        "plan" => plan_and_record(messages, &state)?,
        "night" => super::night::night(messages, port, &state)?,
        _ => bare(messages, &state)?,
    };
    say(&serde_json::to_string(&done)?)
}

/// What everybody's letters are made of.
struct Nation {
    pipeline: Pipeline,
    letters: Letters,
    people: u64,
    key: PseudonymKey,
    sealing: SealingKey,
    channel: Channel,
    standing: Standing,
    as_of: AsOf,
}

impl Nation {
    fn of(people: u64, port: u16) -> Fallible<Self> {
        Self::with_letters(people, port, Path::new(env!("CARGO_MANIFEST_DIR")))
    }

    /// The same with the letters of another folder.
    fn with_letters(people: u64, port: u16, written: &Path) -> Fallible<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let faults = Faults::default();
        let mut pipeline = pipeline::read(root, "an-binh", &faults).ok_or("the sample pipeline cannot be read")?;
        let names = ["licence_class", "issued_on"].map(str::to_owned).into();
        let facts: FactNames = [(ITEM.to_owned(), names)].into();
        let items: Vec<_> = pipeline.items.iter().filter(|item| item.id == ITEM).cloned().collect();
        let letters = Letters::read(written, &items, &facts, &faults);
        if let Some(fault) = faults.into_vec().first() {
            return Err(fault.to_string().into());
        }
        let kind = ChannelKind::Smtp(Smtp {
            host: "127.0.0.1".into(),
            port,
            tls: Tls::None,
            credentials: None,
            connections: CONNECTIONS,
        });
        let sample = pipeline.channels.first().ok_or("the sample has no channel")?;
        let channel = Channel { kind, ..sample.clone() };
        let name = channel.name.clone();
        pipeline.items.iter_mut().for_each(|item| item.channels = vec![name.clone()]);
        let key = PseudonymKey::new([7; 32]);
        let as_of = AsOf::new(date(2026, 11, 21));
        let standing = Standing::default();
        let sealing = SealingKey::new([9; 32]);
        Ok(Nation { pipeline, letters, people, key, sealing, channel, standing, as_of })
    }

    /// The parts of its persons, as many as a night makes of so many.
    fn parts(&self) -> Fallible<Parts> {
        Ok(Parts::of_obligations(usize::try_from(self.people)?))
    }

    /// What one part of its persons has due, as it is read on a night: from tables of their rows.
    fn part(&self, parts: Parts, part: u32) -> Fallible<Due> {
        let is_in = |number: &u64| parts.of(&self.key.subject(&Personal::new(subject_id(*number)))) == part;
        let numbers: Vec<u64> = (0..self.people).filter(is_in).collect();
        let item = self.pipeline.item(ITEM).ok_or("the sample has no such item")?;
        let obligations = obligations(&numbers, item, &self.pipeline.law, &self.key)?;
        Ok(Due { people: recipients(&numbers)?, obligations })
    }

    /// What leaves today of what is due, in no order yet.
    fn reminders<'d>(&'d self, due: &'d Due) -> Vec<Reminder<'d>> {
        let circumstances = Circumstances {
            items: &self.pipeline.items,
            channels: std::slice::from_ref(&self.channel),
            people: Some(&due.people),
            standing: &self.standing,
            as_of: self.as_of,
            key: &self.key,
        };
        let mut plan = plan::plan(&due.obligations, &History::default(), &circumstances);
        attention::keep(&mut plan, &Sent::new(), &Window::default(), &self.pipeline, self.as_of);
        plan.reminders
    }

    /// The same in the order in which it leaves.
    fn in_order<'d>(&'d self, due: &'d Due) -> Vec<Reminder<'d>> {
        let mut reminders = self.reminders(due);
        attention::in_order(&mut reminders, self.pipeline.attention.is_digested);
        reminders
    }

    fn record(&self, reminder: &Reminder<'_>, from: &Address) -> Record {
        let email = reminder.recipient.email().map(|email| email.reveal().to_lowercase()).unwrap_or_default();
        Record {
            key: MessageKey(reminder.key.into()),
            subject: reminder.subject.into(),
            obligation: reminder.obligation.key.into(),
            item: reminder.item.id.clone(),
            stage_notice_days: reminder.stage_notice_days,
            channel: self.channel.name.clone(),
            message_id: delivery::message_id(&reminder.key, from),
            due_on: reminder.obligation.due_on,
            rule_version: reminder.obligation.rule_version.to_string(),
            address: Some(hex(&self.key.digest("address", &[email.as_bytes()])[..16])),
            valid_until: Some(reminder.obligation.due_on),
            ..Record::default()
        }
    }

    fn write(&self, reminder: &Reminder<'_>) -> Result<(Record, Envelope), String> {
        let item = reminder.item;
        let sources = ["population", "transport"].iter().filter_map(|name| self.pipeline.source(name));
        let reasons: Vec<Reason> = sources.map(Reason::of).collect();
        let facts = reminder.obligation.facts.by_name();
        let rules = RuleReference::in_force(&self.pipeline.law, item, self.as_of);
        let letter = self
            .letters
            .render(&Occasion {
                item,
                agency: &self.pipeline.agency,
                language: reminder.recipient.language(),
                as_of: self.as_of,
                name: &reminder.recipient.full_name(),
                due_on: reminder.obligation.due_on,
                stage: reminder.stage,
                facts: &facts,
                reasons: &reasons,
                rules: &rules,
                is_late: false,
                options: None,
                told_before: None,
                assumed_year: None,
            })
            .map_err(|error| error.to_string())?;
        let email = reminder.recipient.email().ok_or("no address")?;
        let to = Personal::new(email.reveal().parse::<Address>().map_err(|error| error.to_string())?);
        let head = Head {
            key: &reminder.key,
            channel: &self.channel,
            agency: &self.pipeline.agency,
            as_of: self.as_of,
            to: &to,
        };
        let envelope = delivery::build(&letter, &head).map_err(|error| error.to_string())?;
        let record = Record {
            template_version: letter.template_version.clone(),
            rendered_hash: letter.rendered_hash.clone(),
            // As long as the account of a date.
            explanation: self.sealing.seal(&reminder.key, &letter.text),
            ..self.record(reminder, &envelope.from)
        };
        Ok((record, envelope))
    }
}

/// What some persons have due.
struct Due {
    people: Recipients,
    obligations: Vec<Obligation>,
}

fn subject_id(number: u64) -> String {
    format!("0970{number:08}")
}

/// As they are read on a night: from a table.
fn obligations(numbers: &[u64], item: &Item, law: &Law, key: &PseudonymKey) -> Fallible<Vec<Obligation>> {
    let numbers = || numbers.iter().copied();
    let texts = |text: &dyn Fn(u64) -> String| Arc::new(StringArray::from_iter_values(numbers().map(text))) as ArrayRef;
    let days = |day: &dyn Fn(u64) -> Option<Date>| {
        Arc::new(numbers().map(|number| day(number).map(to_days)).collect::<Date32Array>()) as ArrayRef
    };
    let columns = vec![
        ("subject_id", texts(&subject_id)),
        ("object_id", texts(&|number| format!("{number:012}"))),
        ("period", texts(&|_| "2026-12-01".into())),
        ("due_on", days(&|number| Some(date(2026, 12, 1 + (number % 20) as i8)))),
        ("rule_version", texts(&|_| "driving_licence_term@2025-01-01".into())),
        ("fulfilled_on", days(&|_| None)),
        ("licence_class", texts(&|_| "C1".into())),
        ("issued_on", days(&|_| Some(date(2016, 11, 21)))),
    ];
    let table = Table::from_batch(RecordBatch::try_from_iter(columns)?);
    Ok(chudong::obligations::read(item, law, &table, key)?)
}

fn recipients(numbers: &[u64]) -> Fallible<Recipients> {
    let family = ["Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Vũ", "Đặng", "Bùi"];
    let given = ["Hồng Vân", "Minh Quân", "Thu Hà", "Đức Anh", "Ngọc Ánh", "Văn Bình", "Thị Lan"];
    let pick = |list: &[&str], at: u64| list.get(at as usize % list.len().max(1)).copied().unwrap_or("").to_owned();
    let people = numbers.len();
    let numbers = || numbers.iter().copied();
    let texts = |text: &dyn Fn(u64) -> String| Arc::new(StringArray::from_iter_values(numbers().map(text))) as ArrayRef;
    let no = || Arc::new(BooleanArray::from(vec![false; people])) as ArrayRef;
    let columns = vec![
        ("subject_id", texts(&subject_id)),
        ("kind", texts(&|_| "person".into())),
        ("full_name", texts(&|number| format!("{} {}", pick(&family, number), pick(&given, number / 8)))),
        ("language", texts(&|_| "vi".into())),
        ("email", texts(&|number| format!("citizen.{number}@example.com"))),
        ("phone", texts(&|number| format!("+8490{number:07}"))),
        ("is_deceased", no()),
        ("is_closed", no()),
        ("refuses_reminders", no()),
    ];
    Ok(plan::recipients(&Table::from_batch(RecordBatch::try_from_iter(columns)?))?)
}

/// The layout of an agency that writes no more than every letter must say, in the words of either language.
const SHORT_LAYOUT: &str = "{{ message }}

{% if told_before %}
{{ told_before|date }} → **{{ due_on|date }}**

{% endif %}
{% if assumed_year %}
{{ assumed_year }}?

{% endif %}
{% if options %}
{{ options.recommended }}: {{ options.why }}

{% for way in options.ways %}
- {{ way.title }}: {{ way.words }}
{% endfor %}

{% endif %}
{% if is_late %}
!

{% endif %}
{{ agency }}, {{ contact }}.

{% for reason in reasons %}
- {{ reason.source }}, {{ reason.owner }}, {{ reason.legal_ground }}
{% endfor %}
{% for rule in rules %}
- {{ rule.title }}: {{ rule.reference }}
{% endfor %}

[Từ chối nhận thư nhắc]({{ refuse_url }})
";

/// A folder with the sample's own words for the item, in a short layout.
fn short_letters(state: &Path) -> Fallible<PathBuf> {
    let root = state.join("short");
    let of = |root: &Path| root.join("pipelines/items");
    let (from, items) = (of(Path::new(env!("CARGO_MANIFEST_DIR"))).join(ITEM), of(&root));
    std::fs::create_dir_all(items.join(ITEM))?;
    for file in std::fs::read_dir(from)? {
        let file = file?;
        std::fs::copy(file.path(), items.join(ITEM).join(file.file_name()))?;
    }
    for layout in ["layout.vi.md", "layout.en.md"] {
        std::fs::write(items.join(layout), SHORT_LAYOUT)?;
    }
    Ok(root)
}

fn send(messages: u64, port: u16, state: &Path, written: &Path) -> Fallible<Done> {
    let nation = Nation::with_letters(messages, port, written)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut ledger = Ledger::open(state, "an-binh")?;
    let whole = nation.part(Parts::new(NonZero::<u32>::MIN), 0)?;
    let reminders = nation.in_order(&whole);
    let from: Address = nation.channel.from.parse()?;
    let one = reminders.first().ok_or("nothing is due")?;
    let bytes = nation.write(one)?.1.text.len() as u64 * messages;
    // On their own, so that each cost can be seen beside the whole.
    let begun = Instant::now();
    let tries = reminders.len().min(2000);
    for reminder in reminders.iter().take(tries) {
        nation.write(reminder)?;
    }
    let letter_us = begun.elapsed().as_secs_f64() / tries as f64 * 1e6;

    let begun = Instant::now();
    let mut sent = 0;
    let mut reserved = 0.0;
    let mut went = Ok(());
    runtime.block_on(async {
        went = async {
            let mut sender = Sender::open(&nation.channel, state, Timeouts::default()).await?;
            let group = convoy::group(&nation.channel);
            ledger.reserve_made(RUN, &reminders, &|reminder| nation.record(reminder, &from))?;
            reserved = begun.elapsed().as_secs_f64();
            let mut all = reminders.into_iter();
            let mut convoy = Convoy::default();
            let write = |reminder: &Reminder<'_>| nation.write(reminder);
            loop {
                let batch: Vec<Reminder<'_>> = all.by_ref().take(group).collect();
                if batch.is_empty() && convoy.is_empty() {
                    break;
                }
                let turn = convoy.turn(&mut ledger, &mut sender, RUN, batch, &write).await?;
                if let Some((_, error)) = turn.unwritten.first() {
                    return Err(error.clone().into());
                }
                for (_, key, outcome) in turn.ended {
                    let settlement = settlement(&key, outcome);
                    sent += u64::from(settlement.state == MessageState::Accepted);
                    convoy.settle(settlement);
                }
            }
            sender.close().await;
            Fallible::Ok(())
        }
        .await;
    });
    went?;
    let seconds = begun.elapsed().as_secs_f64();
    if sent != messages {
        return Err(format!("{sent} of {messages} messages were accepted").into());
    }
    let told = format!("{letter_us:.0} µs a letter on one core, reserved in {reserved:.1} s");
    Ok(Done { messages, seconds, bytes, peak_mb: peak_mb()?, told })
}

/// Part by part of the persons: each is read, planned, written down and forgotten before the next one. Reading is no
/// part of what is timed, as it never was.
fn plan_and_record(reminders: u64, state: &Path) -> Fallible<Done> {
    let nation = Nation::of(reminders, 1)?;
    let from: Address = nation.channel.from.parse()?;
    let mut ledger = Ledger::open(state, "an-binh")?;
    let parts = nation.parts()?;
    let (mut messages, mut planning, mut seconds) = (0, 0.0, 0.0);
    for part in 0..parts.number() {
        let due = nation.part(parts, part)?;
        let begun = Instant::now();
        let mut planned = nation.reminders(&due);
        match parts.number() {
            1 => attention::in_order(&mut planned, nation.pipeline.attention.is_digested),
            _ => attention::by_lane(&mut planned),
        }
        planning += begun.elapsed().as_secs_f64();
        messages += ledger.reserve_made(RUN, &planned, &|reminder| nation.record(reminder, &from))? as u64;
        seconds += begun.elapsed().as_secs_f64();
    }
    if messages != reminders {
        return Err(format!("{messages} of {reminders} reminders were recorded").into());
    }
    let told = format!("{} parts, planned in {planning:.1} s", parts.number());
    Ok(Done { messages, seconds, bytes: 0, peak_mb: peak_mb()?, told })
}

/// The same rows into the same table in commits of the same size, in the order in which they leave, which is that of the
/// days and within a day that of the keys; and nothing else. All of them stand in memory for it.
fn bare(reminders: u64, state: &Path) -> Fallible<Done> {
    let nation = Nation::of(reminders, 1)?;
    let from: Address = nation.channel.from.parse()?;
    let due = nation.part(Parts::new(NonZero::<u32>::MIN), 0)?;
    let records: Vec<Record> = nation.in_order(&due).iter().map(|reminder| nation.record(reminder, &from)).collect();
    drop(due);
    drop(Ledger::open(state, "an-binh")?);
    let mut connection = rusqlite::Connection::open(state.join("ledger.sqlite"))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    let begun = Instant::now();
    records.chunks(10_000).try_for_each(|records| insert(&mut connection, records))?;
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Done { messages: reminders, seconds, bytes: 0, peak_mb: peak_mb()?, told: String::new() })
}

fn insert(connection: &mut rusqlite::Connection, records: &[Record]) -> Fallible<()> {
    let transaction = connection.transaction()?;
    for record in records {
        transaction
            .prepare_cached(
                "insert into outbox (key, subject, obligation, item, stage, channel, message_id, address,
                                     valid_until, state, attempts, run, entry)
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'reserved', 0, ?10, 1)",
            )?
            .execute(rusqlite::params![
                record.key.0,
                record.subject,
                record.obligation,
                record.item,
                record.stage_notice_days,
                record.channel,
                record.message_id,
                record.address,
                record.valid_until.map(|day| day.to_string()),
                RUN
            ])?;
    }
    Ok(transaction.commit()?)
}

pub fn peak_mb() -> Fallible<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no peak memory")?;
    let kb: u64 = line.split_whitespace().nth(1).ok_or("no peak memory")?.parse()?;
    Ok(kb / 1024)
}
