//! The pages, in Vietnamese and English: no script, one form, readable at any size and by any reader.

use std::borrow::Cow;
use std::fmt;

use crate::language::{Language, Text};
use crate::pipeline::Agency;

/// The one style sheet. Its colours have a contrast of 7 to 1 or more; the focus is seen; nothing has a fixed width.
pub(super) const STYLE: &str = "\
:root { color-scheme: light dark; }
body { font: 1.125rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 0 auto; padding: 1.5rem; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.5rem; line-height: 1.3; }
button { font: inherit; padding: 0.75rem 1.25rem; margin: 0 0.5rem 0.75rem 0; border: 2px solid #0b3d66; border-radius: 0.25rem; background: #0b3d66; color: #fff; cursor: pointer; }
button.second { background: #fff; color: #0b3d66; }
a { color: #0b3d66; }
button:focus-visible, a:focus-visible { outline: 3px solid #b35900; outline-offset: 2px; }
fieldset { margin: 0 0 1rem; padding: 0.75rem 1rem; border: 1px solid #767676; border-radius: 0.25rem; min-width: 0; }
legend { font-weight: 600; padding: 0 0.25rem; }
fieldset label { display: block; padding: 0.375rem 0; }
fieldset input { width: 1.25rem; height: 1.25rem; margin: 0 0.5rem 0 0; vertical-align: text-bottom; }
input:not([type=radio]), textarea { font: inherit; box-sizing: border-box; width: 100%; padding: 0.5rem; border: 1px solid #5c5c5c; border-radius: 0.25rem; color: inherit; background: transparent; }
.error { padding: 0.75rem 1rem; border: 2px solid #9b1c1c; }
input:focus-visible, textarea:focus-visible { outline: 3px solid #b35900; outline-offset: 2px; }
footer { margin-top: 2rem; border-top: 1px solid #767676; }
@media (prefers-color-scheme: dark) {
  body { color: #f2f2f2; background: #121212; }
  a { color: #9fd0ff; }
  button, button.second { border-color: #9fd0ff; }
  button { background: #9fd0ff; color: #121212; }
  button.second { background: #121212; color: #9fd0ff; }
  .error { border-color: #ffb4a9; }
  input:not([type=radio]), textarea { border-color: #a0a0a0; }
}
";

/// What a page says.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// Whether the person is sure; of an item by its title, or of all.
    Asking(Option<Text>),
    /// That it was refused.
    Refused(Option<Text>),
    /// That it is wanted again.
    Wanted(Option<Text>),
    /// That it is refused all the same, because all reminders are.
    StillRefused,
    /// That the link is too old.
    Expired,
    /// That this is no link of ours.
    NoLink,
    /// That the form was not understood.
    NotUnderstood,
    /// That it could not be written down now.
    NotWritten,
}

/// A page of an agency, in one language.
pub(super) struct Page<'a> {
    pub(super) agency: &'a Agency,
    pub(super) language: Language,
    pub(super) told: Told,
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words();
        let (title, text) = (escaped(&words.title), escaped(&words.text));
        let agency = escaped(self.agency.name.get(self.language));
        let contact = escaped(self.agency.contact.get(self.language));
        let tag = self.language.tag();
        writeln!(f, "<!DOCTYPE html>\n<html lang=\"{tag}\">\n<head>\n<meta charset=\"utf-8\">")?;
        writeln!(f, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
        writeln!(f, "<title>{title} – {agency}</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>")?;
        writeln!(f, "<body>\n<main>\n<h1>{title}</h1>\n<p>{text}</p>")?;
        if !words.buttons.is_empty() {
            writeln!(f, "<form method=\"post\" action=\"?lang={tag}\">")?;
            for (at, (act, label)) in words.buttons.iter().enumerate() {
                let class = if at == 0 { "" } else { " class=\"second\"" };
                let label = escaped(label);
                writeln!(f, "<button type=\"submit\" name=\"act\" value=\"{act}\"{class}>{label}</button>")?;
            }
            writeln!(f, "</form>")?;
        }
        writeln!(f, "</main>\n<footer>\n<p>{agency}. {contact}.</p>")?;
        let (other, name) = match self.language {
            Language::Vi => (Language::En, "In English"),
            Language::En => (Language::Vi, "Bằng tiếng Việt"),
        };
        let tag = other.tag();
        // A page that answers a form has no other language to go to: following a link would ask again.
        if matches!(self.told, Told::Asking(_)) {
            writeln!(f, "<p><a href=\"?lang={tag}\" lang=\"{tag}\" hreflang=\"{tag}\">{name}</a></p>")?;
        }
        writeln!(f, "</footer>\n</body>\n</html>")
    }
}

/// A page of an agency around a body; with a way to the other language, where following it loses nothing.
pub(super) fn frame(agency: &Agency, language: Language, title: &str, body: &str, has_other: bool) -> String {
    let (title, tag) = (escaped(title), language.tag());
    let (name, contact) = (escaped(agency.name.get(language)), escaped(agency.contact.get(language)));
    let (other, words) = match language {
        Language::Vi => (Language::En, "In English"),
        Language::En => (Language::Vi, "Bằng tiếng Việt"),
    };
    let tag_of_other = other.tag();
    let link = match has_other {
        true => format!(
            "<p><a href=\"?lang={tag_of_other}\" lang=\"{tag_of_other}\" hreflang=\"{tag_of_other}\">{words}</a></p>\n"
        ),
        false => String::new(),
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"{tag}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} – {name}</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n\
         <body>\n<main>\n<h1>{title}</h1>\n{body}</main>\n\
         <footer>\n<p>{name}. {contact}.</p>\n{link}</footer>\n</body>\n</html>\n"
    )
}

/// What stands on a page: heading, text, and the buttons with what each does.
struct Words {
    title: String,
    text: String,
    buttons: Vec<(&'static str, String)>,
}

impl Page<'_> {
    fn words(&self) -> Words {
        match self.language {
            Language::Vi => self.vietnamese(),
            Language::En => self.english(),
        }
    }

    fn vietnamese(&self) -> Words {
        let named = |item: &Option<Text>| match item {
            Some(title) => format!("tin nhắc về “{}”", title.vi),
            None => "mọi tin nhắc của cơ quan".to_owned(),
        };
        match &self.told {
            Told::Asking(item) => {
                let mut buttons = vec![("refuse", format!("Từ chối {}", named(item)))];
                if item.is_some() {
                    buttons.push(("refuse_all", "Từ chối mọi tin nhắc của cơ quan".to_owned()));
                }
                words(
                    "Từ chối nhận tin nhắc",
                    "Ông/bà có chắc chắn không muốn nhận nữa không? Nghĩa vụ và thời hạn theo pháp luật không thay đổi; cơ quan chỉ ngừng nhắc.",
                    buttons,
                )
            }
            Told::Refused(item) => words(
                "Đã ghi nhận",
                &format!(
                    "Cơ quan đã ngừng gửi {} theo đường này, kể từ lúc này. Nghĩa vụ và thời hạn theo pháp luật không thay đổi.",
                    named(item)
                ),
                vec![(if item.is_some() { "want" } else { "want_all" }, "Nhận lại tin nhắc".to_owned())],
            ),
            Told::StillRefused => words(
                "Ông/bà vẫn đang từ chối mọi tin nhắc",
                "Trước đây ông/bà đã từ chối mọi tin nhắc của cơ quan, nên cơ quan vẫn chưa gửi lại.",
                vec![("want_all", "Nhận lại mọi tin nhắc của cơ quan".to_owned())],
            ),
            Told::Wanted(item) => words("Đã ghi nhận", &format!("Ông/bà sẽ nhận lại {}.", named(item)), Vec::new()),
            Told::Expired => words(
                "Đường dẫn đã hết hạn",
                "Hãy dùng đường dẫn trong tin nhắc gần nhất, hoặc liên hệ với cơ quan.",
                Vec::new(),
            ),
            Told::NoLink => words(
                "Đường dẫn không đúng",
                "Hãy mở lại nguyên đường dẫn trong tin nhắc, hoặc liên hệ với cơ quan.",
                Vec::new(),
            ),
            Told::NotUnderstood => {
                words("Chưa rõ yêu cầu", "Hãy mở lại đường dẫn trong tin nhắc và bấm một nút.", Vec::new())
            }
            Told::NotWritten => words(
                "Chưa ghi nhận được",
                "Hệ thống đang bận nên yêu cầu của ông/bà CHƯA được ghi nhận. Hãy thử lại sau ít phút, hoặc liên hệ với cơ quan.",
                Vec::new(),
            ),
        }
    }

    fn english(&self) -> Words {
        let named = |item: &Option<Text>| match item {
            Some(title) => format!("reminders about “{}”", title.en),
            None => "all reminders of this agency".to_owned(),
        };
        match &self.told {
            Told::Asking(item) => {
                let mut buttons = vec![("refuse", format!("Refuse {}", named(item)))];
                if item.is_some() {
                    buttons.push(("refuse_all", "Refuse all reminders of this agency".to_owned()));
                }
                words(
                    "Refuse reminders",
                    "Are you sure that you no longer want them? Your duties and their deadlines stay as the law says; only the reminders stop.",
                    buttons,
                )
            }
            Told::Refused(item) => words(
                "Done",
                &format!(
                    "From now on the agency no longer sends {} this way. Your duties and their deadlines stay as the law says.",
                    named(item)
                ),
                vec![(if item.is_some() { "want" } else { "want_all" }, "Receive reminders again".to_owned())],
            ),
            Told::StillRefused => words(
                "You still refuse all reminders",
                "Earlier you refused all reminders of this agency, so that none is sent yet.",
                vec![("want_all", "Receive all reminders of this agency again".to_owned())],
            ),
            Told::Wanted(item) => words("Done", &format!("You will again receive {}.", named(item)), Vec::new()),
            Told::Expired => words(
                "This link has expired",
                "Please use the link of your newest reminder, or contact the agency.",
                Vec::new(),
            ),
            Told::NoLink => words(
                "This link is not valid",
                "Please open the whole link as it stands in the reminder, or contact the agency.",
                Vec::new(),
            ),
            Told::NotUnderstood => {
                words("Your wish is not clear", "Please open the link in the reminder and press a button.", Vec::new())
            }
            Told::NotWritten => words(
                "Not recorded yet",
                "The system is busy and your wish has NOT been recorded. Please try again in a few minutes, or contact the agency.",
                Vec::new(),
            ),
        }
    }
}

fn words(title: &str, text: &str, buttons: Vec<(&'static str, String)>) -> Words {
    Words { title: title.to_owned(), text: text.to_owned(), buttons }
}

pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    let is_special = |byte: u8| matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'');
    // Hardly any text has one of these.
    if !text.bytes().any(is_special) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}
