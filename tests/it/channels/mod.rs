//! Channels of short messages against the stand-in for Zalo, an SMS gateway and a webhook.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod choice;
mod night;
mod outage;
mod phones;
mod receipts;
mod services;
mod settings;
mod zns;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chudong::delivery::{Body, Destination, Outcome, Rooms, Sender, Slip, Timeouts, Vault, slip_id};
use chudong::language::{Language, Text};
use chudong::ledger::{Ledger, MessageKey, Record, Recorded};
use chudong::personal::SealingKey;
use chudong::pipeline::secret::SecretRef;
use chudong::pipeline::{Channel, ChannelKind, Gateway, Hours, Reach, Webhook, Zns};
use chudong::simulate::{self, Simulator, Taken};
use tempfile::TempDir;

const QUICK: Timeouts =
    Timeouts { connect: Duration::from_secs(10), command: Duration::from_secs(10), data: Duration::from_secs(10) };

/// Never: the tests run at any hour.
const NEVER: Hours = Hours { from: jiff::civil::time(0, 0, 0, 0), to: jiff::civil::time(0, 0, 0, 0) };

/// A stand-in, and a folder with what an agency keeps.
struct Stand {
    simulator: Simulator,
    folder: TempDir,
}

impl Stand {
    async fn with_quota(daily_quota: u32) -> Stand {
        let simulator = Simulator::start("127.0.0.1:0".parse().unwrap(), daily_quota).await.unwrap();
        let stand = Stand { simulator, folder: tempfile::tempdir().unwrap() };
        secret(stand.folder.path(), "secret", simulate::SECRET);
        secret(stand.folder.path(), "refresh", simulate::REFRESH_TOKEN);
        stand
    }

    async fn new() -> Stand {
        Stand::with_quota(simulate::DAILY_QUOTA).await
    }

    fn secret(&self, name: &str) -> SecretRef {
        SecretRef::File(self.folder.path().join(name))
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("channels")
    }

    fn channel(&self, kind: ChannelKind) -> Channel {
        let from_name = Text::new("Tỉnh An Bình", "An Bình Province");
        Channel {
            name: kind.word().into(),
            from: String::new(),
            from_name,
            recheck_minutes: 30,
            pace: Default::default(),
            kind,
        }
    }

    fn zns(&self) -> Channel {
        let url = self.simulator.url();
        self.channel(ChannelKind::Zns(Box::new(Zns {
            url: format!("{url}/zns"),
            oauth_url: format!("{url}/oauth"),
            app_id: simulate::APP_ID.into(),
            app_secret: self.secret("secret"),
            refresh_token: self.secret("refresh"),
            daily_quota: None,
            closed: NEVER,
            connections: 4,
            is_development: false,
            templates: Vec::new(),
        })))
    }

    fn sms(&self, is_idempotent: bool) -> Channel {
        self.channel(ChannelKind::Sms(Box::new(Gateway {
            url: format!("{}/sms", self.simulator.url()),
            token: self.secret("secret"),
            sender: "AN BINH".into(),
            keeps_diacritics: false,
            parts_max: 4,
            is_idempotent,
            connections: 4,
        })))
    }

    fn webhook(&self, secret: &str) -> Channel {
        self.channel(ChannelKind::Webhook(Box::new(Webhook {
            url: format!("{}/webhook", self.simulator.url()),
            secret: self.secret(secret),
            reach: Reach::Phone,
            is_private: false,
            connections: 4,
        })))
    }

    async fn open(&self, channel: &Channel) -> Result<Sender, chudong::delivery::Error> {
        let vault = Vault::new(self.state(), SealingKey::new([7; 32]));
        let outbox = self.folder.path().join("outbox");
        Sender::open(channel, Rooms { outbox: &outbox, vault: Some(vault) }, QUICK).await
    }

    /// Opens the channel and sends one message to each number: what became of them, in words.
    async fn send(&self, channel: &Channel, numbers: &[&str]) -> Vec<String> {
        let mut sender = self.open(channel).await.unwrap();
        send(&mut sender, channel, numbers).await
    }

    fn taken(&self) -> BTreeMap<String, Taken> {
        self.simulator.taken().into_iter().map(|taken| (taken.to.clone(), taken)).collect()
    }
}

async fn send(sender: &mut Sender, channel: &Channel, numbers: &[&str]) -> Vec<String> {
    let slips = numbers.iter().map(|number| slip(channel, number)).collect();
    sender.send(&recorded(slips)).await.iter().map(said).collect()
}

pub(crate) fn secret(folder: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A message to a number; its key is the number.
fn slip(channel: &Channel, number: &str) -> Slip {
    let data = BTreeMap::from([("ten".to_owned(), "Nguyễn Thị Hồng Vân".to_owned())]);
    let body = match channel.kind {
        ChannelKind::Zns(_) => Body::Template { id: "204001".into(), data },
        _ => Body::Text {
            subject: "Đổi giấy phép".into(), text: "Tỉnh An Bình: Đổi giấy phép lái xe.".into()
        },
    };
    Slip {
        key: format!("{number}/{}", channel.name),
        message_id: slip_id(&format!("{number}/{}", channel.name)),
        to: Destination::Phone(number.parse().unwrap()),
        item: "driving_licence".into(),
        language: Language::Vi,
        body,
    }
}

/// Nothing leaves without an entry: the intent of each message in a ledger of its own.
fn recorded(slips: Vec<Slip>) -> Vec<Recorded<Slip>> {
    let state = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(state.path(), "an-binh").unwrap();
    let record = |slip: &Slip| Record {
        key: MessageKey(slip.key.clone()),
        subject: "00".into(),
        obligation: "01".into(),
        item: slip.item.clone(),
        stage_notice_days: 60,
        channel: "zns".into(),
        message_id: slip.message_id.clone(),
        due_on: jiff::civil::date(2027, 1, 20),
        rule_version: "driving_licence_term@2025-01-01".into(),
        template_version: "0".into(),
        rendered_hash: slip.rendered_hash(),
        ..Record::default()
    };
    let messages = slips.into_iter().map(|slip| (record(&slip), slip)).collect();
    ledger.record("2026-11-21.1", messages).unwrap()
}

fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted => "accepted".to_owned(),
        Outcome::Deferred { code } => format!("deferred: {code}"),
        Outcome::Refused { code } => format!("refused: {code}"),
        Outcome::Uncertain { code } => format!("uncertain: {code}"),
    }
}
