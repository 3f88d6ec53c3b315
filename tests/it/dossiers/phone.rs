//! The link in a text message.

use chudong::personal::PseudonymKey;
use chudong::personal::dossier_links::DossierLinks;
use chudong::simulate::{self, Simulator};

use super::{BASE, Desk, NIGHT, PIPELINE, pseudonym_key, world};

#[test]
fn a_short_link_is_ours_or_nothing() {
    let links = |key: u8| DossierLinks::new(&PseudonymKey::new([key; 32]), BASE);
    let dossier = "0123456789abcdef0123456789abcdef";
    let url = links(1).brief(dossier).unwrap();
    assert!(url.len() <= BASE.len() + 66 && url.starts_with(&format!("{BASE}/dossier/")), "{url}");
    assert_eq!(links(1).open_brief(&url).as_deref(), Some(dossier));
    assert_eq!(links(2).open_brief(&url), None);
    for at in url.len() - 56..url.len() {
        let other = if url.as_bytes().get(at) == Some(&b'0') { "1" } else { "0" };
        let changed = format!("{}{other}{}", &url[..at], &url[at + 1..]);
        assert_eq!(links(1).open_brief(&changed), None, "{at}");
    }
    assert_eq!(links(1).open_brief(&url[..url.len() - 1]), None);
    assert!(links(1).brief("no number").is_err());
    // Neither kind passes for the other.
    assert!(links(1).open(&url, NIGHT.parse().unwrap()).is_err());
}

#[test]
fn a_text_message_leads_to_the_dossier() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let simulator = runtime.block_on(Simulator::start("127.0.0.1:0".parse().unwrap(), 10_000)).unwrap();
    let world = world(&["driving_licence"]);
    let token = world.root().join("token");
    chudong::files::replace(&token, simulate::SECRET.as_bytes()).unwrap();
    let channel = format!(
        "kind = \"sms\"\nurl = \"{}/sms\"\ntoken = {{ file = \"{}\" }}\nsender = \"AN BINH\"\nparts = 8",
        simulator.url(),
        token.display()
    );
    world.edit(PIPELINE, "kind = \"folder\"\nfrom = \"nhac-viec@anbinh.example\"", &channel);
    let number = "'0911' || lpad(substr(citizen_id, 7, 6), 6, '0') as phone";
    world.edit("sql/staging/an-binh/people.sql", "cast(null as varchar) as phone", number);
    world.night(NIGHT).with(0);
    let texts: Vec<String> = simulator.taken().iter().map(|taken| taken.said.to_string()).collect();
    let links: Vec<&str> = texts
        .iter()
        .filter_map(|text| text.find(&format!("{BASE}/dossier/")).and_then(|from| text.get(from..)))
        .filter_map(|rest| rest.split(|c: char| c.is_whitespace() || c == '"').next())
        .collect();
    assert!(links.len() > 5 && links.len() < texts.len(), "{} of {}: {:?}", links.len(), texts.len(), texts.first());
    let desk = Desk::start(&world);
    let links_of = DossierLinks::new(&pseudonym_key(&world), BASE);
    for link in links.iter().take(3) {
        let (status, _, page) = desk.get(link);
        let dossier = links_of.open_brief(link).unwrap();
        let kept = world.ledger().dossier(&dossier).unwrap().unwrap();
        assert!(status == 200 && page.contains(&kept.version), "{page}");
    }
    world.ledger_is_sound();
}
