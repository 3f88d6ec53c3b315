//! Reads `[publication]`, `[push]` and `[submission]`: what leaves the agency for others than the people it writes to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::publication::{Gates, Push, Submission, Terms};
use super::super::reader::Node;
use super::super::secret::SecretRef;
use super::super::source::Source;
use super::channel::{required_secret, secret_at, service_address};
use super::{done, in_range, web_address};

pub(super) fn publication(node: &Node<'_>) -> Option<Terms> {
    let base_url = if node.has("base_url") { Some(web_address(node, "base_url")) } else { None };
    let signing_key = if node.has("signing_key") { Some(secret_at(node, "signing_key")) } else { None };
    let gates = node.table_or_none("gates").map_or(Some(Gates::USUAL), |node| done(&node, gates));
    Some(Terms {
        base_url: base_url.map_or(Some(None), |url| url.map(Some))?,
        signing_key: signing_key.map_or(Some(None), |key| key.map(Some))?,
        gates: gates?,
    })
}

fn gates(node: &Node<'_>) -> Option<Gates> {
    let number = |key: &str, usual: u16, least: i64, most: i64| {
        let number = in_range(node, key, node.int_or(key, i64::from(usual)), least, most)?;
        u16::try_from(number).ok()
    };
    let usual = Gates::USUAL;
    let stale_working_days = number("stale_working_days", usual.stale_working_days, 0, 60);
    let same_periods = number("same_periods", usual.same_periods, 1, 120);
    let least = number("response_percent_least", usual.response_percent_least, 0, 100);
    let most = number("response_percent_most", usual.response_percent_most, 1, 1000);
    if let (Some(least), Some(most)) = (least, most)
        && least > most
    {
        let what = format!("response_percent_least = {least} is more than response_percent_most = {most}");
        node.fault("response_percent_least", "pipeline.response-percent", what, "write the smaller one as the least");
    }
    Some(Gates {
        stale_working_days: stale_working_days?,
        same_periods: same_periods?,
        response_percent_least: least?,
        response_percent_most: most?,
    })
}

pub(super) fn push(node: &Node<'_>) -> Option<Push> {
    let client = client(node);
    let department = department(node);
    let Client { url, token_url, client_id, client_secret, scope, identity, authority } = client?;
    Some(Push { url, token_url, client_id, client_secret, scope, department: department?, identity, authority })
}

/// `sources` are those that the pipeline reads: only they can have a code of the portal.
pub(super) fn submission(node: &Node<'_>, sources: &[Source]) -> Option<Submission> {
    let client = client(node);
    let department = department(node);
    let databases = node.table_or_none("databases");
    let databases = databases.map_or(Some(BTreeMap::new()), |node| done(&node, |node| codes(node, sources)));
    let Client { url, token_url, client_id, client_secret, scope, identity, authority } = client?;
    let (department, databases) = (department?, databases?);
    Some(Submission { url, token_url, client_id, client_secret, scope, department, databases, identity, authority })
}

/// How a service of the national portal knows us, and we it.
struct Client {
    url: String,
    token_url: String,
    client_id: String,
    client_secret: SecretRef,
    scope: Option<String>,
    identity: Option<SecretRef>,
    authority: Option<PathBuf>,
}

fn client(node: &Node<'_>) -> Option<Client> {
    let url = service_address(node, "url", None);
    let token_url = service_address(node, "token_url", None);
    let client_id = node.text("client_id");
    let client_secret = required_secret(node, "client_secret");
    let scope = node.text_or_none("scope");
    let identity = if node.has("identity") { Some(secret_at(node, "identity")) } else { None };
    let authority = node.text_or_none("authority").map(PathBuf::from);
    if authority.as_ref().is_some_and(|path| path.is_relative()) {
        let next = "write the whole path, beginning with /";
        node.fault("authority", "pipeline.relative-path", "the path of the authority does not begin with /", next);
    }
    Some(Client {
        url: url?,
        token_url: token_url?,
        client_id: client_id?,
        client_secret: client_secret?,
        scope,
        identity: identity.map_or(Some(None), |identity| identity.map(Some))?,
        authority,
    })
}

/// The portal's codes of databases, by the names of sources.
fn codes(node: &Node<'_>, sources: &[Source]) -> Option<BTreeMap<String, String>> {
    let mut codes = BTreeMap::new();
    for source in node.keys() {
        let code = node.text(&source)?;
        if !sources.iter().any(|known| known.name == source) {
            let what = format!("the pipeline reads no source \"{source}\"");
            node.fault(&source, "pipeline.unknown-source", what, "name a source of this pipeline");
        }
        if code.len() > 20 || !code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
            let next = "write the code (MaCSDL) that the portal gives the database, like \"1\"";
            node.fault(&source, "pipeline.database-code", format!("\"{code}\" is no code of a database"), next);
        }
        codes.insert(source, code);
    }
    Some(codes)
}

/// A code of the national list of agencies: `H97`, `G09.12`; levels are joined by dots.
fn department(node: &Node<'_>) -> Option<String> {
    let code = node.text("department")?;
    let is_level =
        |level: &str| !level.is_empty() && level.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if code.len() > 35 || !code.split('.').all(is_level) {
        let next = "write the agency's code in the national list, like H97";
        node.fault("department", "pipeline.department", format!("\"{code}\" is not the code of an agency"), next);
        return None;
    }
    Some(code)
}
