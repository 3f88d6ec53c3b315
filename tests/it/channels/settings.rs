//! What an agency writes about its channels, and what is wrong with it.

use chudong::pipeline::reader::Faults;
use chudong::pipeline::{self, ChannelKind, Pipeline, Reach};

use crate::support::world::World;

const ZNS: &str = r#"
[[channels]]
kind = "zns"
app_id = "1"
app_secret = { file = "/run/secrets/zalo" }
refresh_token = { file = "/run/secrets/zalo-refresh" }
daily_quota = 500
[[channels.templates]]
item = "driving_licence"
id = "204001"
parameters.ten = { value = "name", kind = "name" }
parameters.han = { value = "due_on" }
parameters.hang = { value = "licence_class", kind = "code" }
"#;

const SMS: &str = r#"
[[channels]]
kind = "sms"
url = "https://sms.example/send"
token = { env = "SMS_TOKEN" }
sender = "AN BINH"
"#;

const WEBHOOK: &str = r#"
[[channels]]
kind = "webhook"
url = "https://service.example"
secret = { env = "WEBHOOK_SECRET" }
"#;

const MAIL: &str = r#"
[[channels]]
name = "mail"
kind = "folder"
from = "nhac-viec@anbinh.example"
from_name = { vi = "Nhắc việc", en = "Reminders" }
"#;

/// The sample agency with other channels.
fn with(channels: &str) -> World {
    let world = World::of("an-binh");
    let text = std::fs::read_to_string(world.root().join("pipelines/an-binh/pipeline.toml")).unwrap();
    let (before, rest) = text.split_once("[channel]").unwrap();
    let (_, after) = rest.split_once("# ---- who lives here").unwrap();
    world
        .put("pipelines/an-binh/pipeline.toml", format!("{before}{channels}\n# ---- who lives here{after}").as_bytes());
    world
}

fn read(world: &World) -> (Option<Pipeline>, Vec<String>) {
    let faults = Faults::default();
    let pipeline = pipeline::read(&world.root(), "an-binh", &faults);
    (pipeline, faults.into_vec().iter().map(|fault| format!("{}: {}", fault.code, fault.what)).collect())
}

#[test]
fn channels_are_read_and_an_item_takes_them_in_its_order() {
    let world = with(&format!("{ZNS}{SMS}{MAIL}"));
    world.edit(
        "pipelines/items/driving_licence/item.toml",
        "level = 1",
        "level = 1\nchannels = [\"sms\", \"zns\", \"webhook\", \"email\"]",
    );
    let (pipeline, faults) = read(&world);
    assert_eq!(faults, Vec::<String>::new());
    let pipeline = pipeline.unwrap();
    let names: Vec<&str> = pipeline.channels.iter().map(|channel| channel.name()).collect();
    assert_eq!(names, ["zns", "sms", "mail"]);
    // A kind that this agency does not have is passed over; email is whichever carries letters.
    assert_eq!(pipeline.item("driving_licence").unwrap().channels, ["sms", "zns", "mail"]);
    // Without a word of its own an item takes all that can carry it: Zalo has a template for one item alone.
    assert_eq!(pipeline.item("identity_card").unwrap().channels, ["sms", "mail"]);
    let zns = pipeline.channel("zns").unwrap();
    assert_eq!((zns.reach(), zns.carries_letters(), zns.is_repeatable()), (Reach::Phone, false, false));
    assert_eq!(zns.from_name.vi, pipeline.agency.name.vi);
    let ChannelKind::Zns(settings) = &zns.kind else { unreachable!() };
    assert_eq!((settings.url.as_str(), settings.daily_quota), ("https://business.openapi.zalo.me", Some(500)));
    let lengths: Vec<(&str, usize)> =
        settings.templates[0].parameters.iter().map(|one| (one.name.as_str(), one.chars_max)).collect();
    assert_eq!(lengths, [("han", 30), ("hang", 30), ("ten", 30)]);
    world.chudong(&["check"]).with(0);
}

#[test]
fn one_channel_is_named_by_its_kind_as_before() {
    let (pipeline, faults) = read(&World::of("an-binh"));
    assert_eq!(faults, Vec::<String>::new());
    let pipeline = pipeline.unwrap();
    assert_eq!(pipeline.channels.len(), 1);
    assert!(pipeline.items.iter().all(|item| item.channels == ["folder"]));
}

#[test]
fn every_fault_of_a_channel_is_said() {
    let sms = |from: &str, to: &str| with(&SMS.replace(from, to));
    let zns = |from: &str, to: &str| with(&format!("{MAIL}{}", ZNS.replace(from, to)));
    let webhook = |url: &str| with(&WEBHOOK.replace("https://service.example", url));
    let worlds = [
        (sms("https://sms.example/send", "http://sms.example/send"), "pipeline.clear-text: url would send"),
        (sms("https://sms.example/send", "http://127.0.0.1@sms.example/send"), "pipeline.clear-text: url would send"),
        (sms("https://sms.example/send", "https://u:p@sms.example"), "pipeline.web-address: url is not"),
        (sms("https://sms.example/send", "sms.example"), "pipeline.web-address: url is not"),
        (sms("{ env = \"SMS_TOKEN\" }", "\"abc\""), "pipeline.secret: the secret token stands in the file"),
        (sms("token = { env = \"SMS_TOKEN\" }\n", ""), "toml.missing-key: the secret token is missing"),
        (sms("\"AN BINH\"", "\"TINH AN BINH\""), "pipeline.sender-name: sender is longer"),
        (sms("kind = \"sms\"", "kind = \"fax\""), "toml.unknown-word: kind = \"fax\" is not a channel"),
        (with(&format!("{SMS}{SMS}")), "pipeline.twice: two channels are called \"sms\""),
        (with(&format!("{SMS}name = \"Tin\"")), "pipeline.bad-name: \"Tin\" cannot be the name of a channel"),
        (webhook("https://10.1.2.3/in"), "pipeline.private-network: url leads into a private network"),
        (webhook("https://[fd00::1]/in"), "pipeline.private-network: url leads into a private network"),
        (webhook("https://[::ffff:192.168.0.9]:8443/in"), "pipeline.private-network: url leads"),
        (webhook("https://169.254.169.254"), "pipeline.private-network: url leads into a private network"),
        (webhook("https://167772161:18999/in"), "pipeline.private-network: url leads into a private network"),
        (webhook("https://0x0a.1/in"), "pipeline.private-network: url leads into a private network"),
        (webhook("https://10.0.0.1.:18999/in"), "pipeline.private-network: url leads into a private network"),
        (webhook("https://[2002:a00:1::]/in"), "pipeline.private-network: url leads into a private network"),
        (zns("[[channels.templates]]", "[[templat]]"), "pipeline.no-template: the channel has no approved template"),
        (zns("id = \"204001\"", "id = \"x\""), "pipeline.template-id: id is not the number"),
        (
            zns("daily_quota = 500", "closed = { from = \"22h\", to = \"06:00\" }"),
            "pipeline.time-of-day: from = \"22h\"",
        ),
        (zns("kind = \"code\"", "kind = \"kode\""), "toml.unknown-word"),
        (with(ZNS), "pipeline.no-template: none of the channels carries identity_card"),
    ];
    for (world, expected) in worlds {
        let (_, faults) = read(&world);
        assert!(faults.iter().any(|fault| fault.starts_with(expected)), "{expected}\n{faults:?}");
    }
}

#[test]
fn an_item_that_names_a_channel_nobody_has_is_a_fault() {
    for (channels, expected) in [
        ("[\"zalo\", \"email\"]", "pipeline.unknown-channel: there is no channel \"zalo\""),
        ("[\"email\", \"mail\"]", "pipeline.twice: the channel \"mail\" is named twice"),
        ("[\"sms\", \"webhook\"]", "pipeline.unknown-channel: none of the channels of identity_card"),
        (
            "[\"zns\", \"email\"]",
            "pipeline.no-template: the channel \"zns\" has no approved template for identity_card",
        ),
    ] {
        let world = with(&format!("{ZNS}{MAIL}"));
        world.edit(
            "pipelines/items/identity_card/item.toml",
            "level = 1",
            &format!("level = 1\nchannels = {channels}"),
        );
        let (_, faults) = read(&world);
        assert!(faults.iter().any(|fault| fault.starts_with(expected)), "{expected}\n{faults:?}");
    }
}

#[test]
fn what_fills_a_template_is_checked_before_any_night() {
    let world = with(&format!(
        "{}parameters.noi = {{ value = \"procedure_url\", kind = \"code\" }}\nparameters.sai = {{ value = \"licence_number\" }}\n{MAIL}",
        ZNS
    ));
    let ended = world.chudong(&["check"]).with(1);
    for expected in [
        "error[pipeline.template-value]: the template 204001 of driving_licence on the channel zns: the parameter sai is to be licence_number, which nothing gives",
        "error[pipeline.template-length]: the template 204001 of driving_licence on the channel zns: procedure_url has ",
        "and the parameter noi takes 30",
    ] {
        assert!(ended.err.contains(expected), "{expected}\n{}", ended.err);
    }
}

#[test]
fn a_service_in_a_private_network_is_meant_to_be_there() {
    for (url, private) in
        [("https://10.1.2.3/in", "true"), ("https://203.0.113.7/in", "false"), ("http://127.0.0.1:9/in", "false")]
    {
        let world = with(&format!("{}private_network = {private}\n", WEBHOOK.replace("https://service.example", url)));
        let (_, faults) = read(&world);
        assert_eq!(faults, Vec::<String>::new(), "{url}");
    }
    let is_public = |address: &str| chudong::pipeline::is_public(address.parse().unwrap());
    for public in
        ["203.113.131.1", "8.8.8.8", "2001:ee0::1", "100.128.0.1", "172.32.0.1", "64:ff9b::808:808", "2002:808:808::1"]
    {
        assert!(is_public(public), "{public}");
    }
    let private = [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fc00::1",
        "fe80::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "100::1",
        "192.0.0.8",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2002:a00:1::",
        "fec0::1",
    ];
    for private in private {
        assert!(!is_public(private), "{private}");
    }
}
