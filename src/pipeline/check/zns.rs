//! Reads a Zalo channel: its application, its quota, and the approved templates.

use std::collections::BTreeSet;

use jiff::civil::Time;

use super::super::reader::Node;
use super::super::{Hours, Parameter, Template, Zns};
use super::channel::{connections, required_secret, service_address};
use super::{done, in_range};
use crate::language::Language;

/// Where Zalo takes messages, and where it gives tokens.
const URL: &str = "https://business.openapi.zalo.me";
const OAUTH_URL: &str = "https://oauth.zaloapp.com";

/// Holes that Zalo allows in the text of a template.
const PARAMETERS_MAX: usize = 30;

pub(super) fn zns(node: &Node<'_>) -> Option<Zns> {
    let url = service_address(node, "url", Some(URL));
    let oauth_url = service_address(node, "oauth_url", Some(OAUTH_URL));
    let app_id = node.text("app_id");
    let app_secret = required_secret(node, "app_secret");
    let refresh_token = required_secret(node, "refresh_token");
    let daily_quota = match node.has("daily_quota") {
        true => node.int("daily_quota").and_then(|quota| in_range(node, "daily_quota", quota, 1, 100_000_000)),
        false => None,
    };
    let closed = match node.table_or_none("closed") {
        Some(hours) => done(&hours, |n| Some(Hours { from: time(n, "from")?, to: time(n, "to")? })),
        None => Some(Hours::ZNS_CLOSED),
    };
    let is_development = node.bool_or("development", false);
    let connections = connections(node);
    let templates = templates(node);
    Some(Zns {
        url: url?,
        oauth_url: oauth_url?,
        app_id: app_id?,
        app_secret: app_secret?,
        refresh_token: refresh_token?,
        daily_quota: daily_quota.and_then(|quota| u32::try_from(quota).ok()),
        closed: closed?,
        connections: connections?,
        is_development,
        templates: templates?,
    })
}

fn time(node: &Node<'_>, key: &str) -> Option<Time> {
    let text = node.text(key)?;
    let time = jiff::fmt::strtime::parse("%H:%M", &text).and_then(|parsed| parsed.to_time());
    if time.is_err() {
        let what = format!("{key} = \"{text}\" is not a time of the day");
        node.fault(key, "pipeline.time-of-day", what, "write it like 22:00");
    }
    time.ok()
}

fn templates(node: &Node<'_>) -> Option<Vec<Template>> {
    let mut templates: Vec<Template> = Vec::new();
    let mut is_whole = true;
    for template_node in node.array("templates") {
        let Some(template) = done(&template_node, template) else {
            is_whole = false;
            continue;
        };
        if templates.iter().any(|other| (&other.item, other.language) == (&template.item, template.language)) {
            let what = format!("the item {} has two templates in one language", template.item);
            template_node.fault("item", "pipeline.twice", what, "remove one");
        }
        templates.push(template);
    }
    if templates.is_empty() && is_whole {
        let next = "add [[channels.templates]] with item, id and parameters of a template that Zalo has approved";
        node.fault("templates", "pipeline.no-template", "the channel has no approved template", next);
    }
    is_whole.then_some(templates)
}

fn template(node: &Node<'_>) -> Option<Template> {
    let item = node.text("item");
    let language = node.word_or("language", &[("vi", Language::Vi), ("en", Language::En)], Language::Vi);
    let id = node.text("id");
    if id.as_deref().is_some_and(|id| !id.bytes().all(|byte| byte.is_ascii_digit())) {
        node.fault("id", "pipeline.template-id", "id is not the number of a template", "write the digits Zalo gave it");
    }
    let mut parameters = Vec::new();
    let mut names = BTreeSet::new();
    let mut is_whole = true;
    for (name, parameter_node) in node.named("parameters") {
        names.insert(name.clone());
        match done(&parameter_node, |n| parameter(n, &name)) {
            Some(parameter) => parameters.push(parameter),
            None => is_whole = false,
        }
    }
    if names.len() > PARAMETERS_MAX {
        let what = format!("the template has more than {PARAMETERS_MAX} parameters");
        node.fault("parameters", "pipeline.out-of-range", what, "name those that the approved template has");
    }
    let (item, id) = (item?, id?);
    is_whole.then_some(Template { item, language, id, parameters })
}

/// `ten = { value = "name", kind = "name" }`; `max` where the approved template allows another length.
fn parameter(node: &Node<'_>, name: &str) -> Option<Parameter> {
    let value = node.text("value");
    let usual = node.word_or("kind", &Parameter::KINDS, 30);
    let usual = i64::try_from(usual).unwrap_or(30);
    let chars_max = in_range(node, "max", node.int_or("max", usual), 1, 400);
    Some(Parameter { name: name.to_owned(), value: value?, chars_max: usize::try_from(chars_max?).ok()? })
}
