//! One field of the page: its name, its value with where it comes from, and where the person writes.

use jiff::civil::Date;

use super::super::page::escaped;
use super::words::{Words, write_to};
use crate::dossiers::{Answers, Said, Shown, Standing, as_read};
use crate::language::Language;
use crate::pipeline::form::{FieldKind, FormField, Pattern, Unsound};

/// A field as it is shown.
pub(super) struct FieldView<'r> {
    pub(super) shown: &'r Shown<'r>,
    pub(super) words: Words,
    /// What the person answered a moment ago, where the page comes back.
    pub(super) answers: Option<&'r Answers>,
    pub(super) fault: Option<Unsound>,
    /// Whether it is the field that holds the person's name.
    pub(super) is_name: bool,
    /// Whether it is the field that holds the person's number, which nobody changes here.
    pub(super) is_identity: bool,
}

impl FieldView<'_> {
    /// Writes it.
    pub(super) fn write(&self, out: &mut String) {
        match self.shown.standing {
            Standing::Conflict => self.write_conflict(out),
            Standing::Agreed | Standing::Missing => self.write_one(out),
        }
    }

    fn field(&self) -> &FormField {
        self.shown.field
    }

    /// The answer that stands in the field: what was written a moment ago, or what registers say.
    fn value(&self) -> &str {
        let answered = self.answers.and_then(|answers| answers.texts.get(&self.field().id));
        let known = || self.shown.said.first().map(|said| said.value).filter(|_| self.is_agreed());
        answered.or_else(known).map_or("", |value| value.reveal().as_str())
    }

    fn is_agreed(&self) -> bool {
        self.shown.standing == Standing::Agreed
    }

    fn write_one(&self, out: &mut String) {
        let (id, words) = (&self.field().id, self.words);
        write_to(out, format_args!("<div class=\"field{}\">\n", if self.fault.is_some() { " wrong" } else { "" }));
        write_to(
            out,
            format_args!("<label for=\"f-{id}\">{}{}</label>\n", escaped(words.text(&self.field().title)), self.mark()),
        );
        let described = self.write_hints(out);
        self.write_input(out, &described);
        if self.shown.standing == Standing::Missing && self.field().kind != FieldKind::File {
            let said = words.say(
                "Cơ quan không có dữ liệu này. Chỉ ông/bà biết.",
                "The agency has no data on this. Only you know it.",
            );
            write_to(out, format_args!("<p class=\"origin\" id=\"o-{id}\">{said}</p>\n"));
        }
        if self.is_agreed() {
            if self.is_identity {
                let said = words.say(
                    "Số này không sửa được ở đây. Nếu số không đúng, xin đừng xác nhận và liên hệ với cơ quan.",
                    "This number cannot be changed here. If it is not yours, please do not confirm, and contact the agency.",
                );
                write_to(out, format_args!("<p class=\"help\">{said}</p>\n"));
            }
            write_to(out, format_args!("<div class=\"origin\" id=\"o-{id}\">\n"));
            self.shown.said.iter().for_each(|said| self.write_origin(said, out));
            out.push_str("</div>\n");
        }
        out.push_str("</div>\n");
    }

    /// Help and fault; gives the ids by which the input is described.
    fn write_hints(&self, out: &mut String) -> String {
        let (id, words) = (&self.field().id, self.words);
        let mut described = Vec::new();
        if let Some(help) = &self.field().help {
            write_to(out, format_args!("<p class=\"help\" id=\"h-{id}\">{}</p>\n", escaped(words.text(help))));
            described.push(format!("h-{id}"));
        }
        if let Some(why) = self.fault {
            write_to(out, format_args!("<p class=\"fault\" id=\"e-{id}\">{}</p>\n", escaped(&words.unsound(why))));
            described.push(format!("e-{id}"));
        }
        if self.field().kind != FieldKind::File {
            described.push(format!("o-{id}"));
        }
        described.join(" ")
    }

    fn mark(&self) -> String {
        match self.field().is_required {
            true => String::new(),
            false => format!(" <span class=\"optional\">{}</span>", self.words.say("(không bắt buộc)", "(optional)")),
        }
    }

    fn write_input(&self, out: &mut String, described: &str) {
        let (id, value) = (&self.field().id, escaped(self.value()));
        let described = if described.is_empty() { String::new() } else { format!(" aria-describedby=\"{described}\"") };
        let is_fixed = self.is_identity && self.is_agreed();
        let fixed = if is_fixed { " readonly" } else { "" };
        let invalid = if self.fault.is_some() { " aria-invalid=\"true\"" } else { "" };
        let shared = format!("id=\"f-{id}\" name=\"{id}\"{described}{invalid}{fixed}");
        let input = match self.field().kind {
            FieldKind::Text => format!("<input type=\"text\" {shared}{} value=\"{value}\">", self.hints_to_browser()),
            FieldKind::Number => format!("<input type=\"text\" inputmode=\"numeric\" {shared} value=\"{value}\">"),
            FieldKind::Date => {
                let complete = if id == "birth_date" { " autocomplete=\"bday\"" } else { "" };
                format!("<input type=\"date\" {shared}{complete} value=\"{value}\">")
            }
            FieldKind::File => {
                format!("<input type=\"file\" accept=\".pdf,.jpg,.jpeg,.png\" {shared}>")
            }
            FieldKind::Choice | FieldKind::Boolean => {
                write_to(out, format_args!("<select {shared}>\n"));
                self.write_choices(out);
                "</select>".to_owned()
            }
        };
        out.push_str(&input);
        out.push('\n');
    }

    fn hints_to_browser(&self) -> &'static str {
        match self.field().rule.pattern {
            _ if self.is_name => " autocomplete=\"name\"",
            Some(Pattern::Phone) => " autocomplete=\"tel\" inputmode=\"tel\"",
            Some(Pattern::Email) => " autocomplete=\"email\" inputmode=\"email\"",
            Some(Pattern::IdentityNumber | Pattern::CommuneCode) => " inputmode=\"numeric\" autocomplete=\"off\"",
            _ => "",
        }
    }

    fn write_choices(&self, out: &mut String) {
        let words = self.words;
        let mut choices: Vec<(String, String)> = match self.field().kind {
            FieldKind::Boolean => {
                vec![("true".into(), words.say("Có", "Yes")), ("false".into(), words.say("Không", "No"))]
            }
            _ => {
                let choices = self.field().rule.choices.iter();
                choices.map(|choice| (choice.value.clone(), words.text(&choice.title).to_owned())).collect()
            }
        };
        let value = self.value();
        // What a register says is shown as it is, whatever the form's list is.
        if !value.is_empty() && !choices.iter().any(|(known, _)| known == value) {
            choices.push((value.to_owned(), value.to_owned()));
        }
        if value.is_empty() || !self.field().is_required {
            choices.insert(0, (String::new(), words.say("(chọn)", "(choose)")));
        }
        for (choice, title) in choices {
            let selected = if choice == value { " selected" } else { "" };
            let (choice, title) = (escaped(&choice), escaped(&title));
            write_to(out, format_args!("<option value=\"{choice}\"{selected}>{title}</option>\n"));
        }
    }

    fn write_conflict(&self, out: &mut String) {
        let (id, words) = (&self.field().id, self.words);
        let fault =
            self.fault.map(|why| format!("<p class=\"fault\" id=\"e-{id}\">{}</p>\n", escaped(&words.unsound(why))));
        let described = if fault.is_some() {
            format!(" aria-describedby=\"c-{id} e-{id}\"")
        } else {
            format!(" aria-describedby=\"c-{id}\"")
        };
        write_to(
            out,
            format_args!(
                "<fieldset class=\"field conflict{}\" id=\"f-{id}\" tabindex=\"-1\"{described}>\n",
                if self.fault.is_some() { " wrong" } else { "" }
            ),
        );
        write_to(out, format_args!("<legend>{}</legend>\n", escaped(words.text(&self.field().title))));
        let said = words.say(
            "Các nguồn dữ liệu ghi khác nhau. Xin chọn giá trị đúng, hoặc ghi giá trị khác. Nguồn ghi sai sẽ được báo để sửa.",
            "The registers disagree. Please choose what is right, or write something else. Whoever keeps the wrong data is told.",
        );
        write_to(out, format_args!("<p class=\"help\" id=\"c-{id}\">{said}</p>\n"));
        out.push_str(fault.as_deref().unwrap_or_default());
        let answered = self.answers.and_then(|answers| answers.texts.get(id)).map(|value| value.reveal().as_str());
        // Who gave two answers marks one of them anew.
        let is_both = self.fault == Some(Unsound::Both);
        let mut is_known = false;
        for (at, said) in self.shown.said.iter().enumerate() {
            let value = said.value.reveal();
            let is_first = !self.shown.said.iter().take(at).any(|other| other.value == said.value);
            let is_meant = answered == Some(value.as_str()) && is_first && !is_both;
            let checked = if is_meant { " checked" } else { "" };
            is_known |= !checked.is_empty();
            write_to(
                out,
                format_args!(
                    "<div class=\"choice\"><input type=\"radio\" id=\"f-{id}-{at}\" name=\"{id}.choice\" value=\"{at}\" aria-describedby=\"o-{id}-{at}\"{checked}>\n<label for=\"f-{id}-{at}\">{}</label>\n<div class=\"origin\" id=\"o-{id}-{at}\">\n",
                    escaped(words.text(&as_read(self.field(), value)))
                ),
            );
            self.write_origin(said, out);
            out.push_str("</div></div>\n");
        }
        let other = answered.filter(|_| !is_known);
        let checked = if other.is_some() && !is_both { " checked" } else { "" };
        let label = words.say("Giá trị khác:", "Something else:");
        let written = words.say("Giá trị khác", "Something else");
        let kind = if self.field().kind == FieldKind::Date { "date" } else { "text" };
        let title = escaped(words.text(&self.field().title));
        write_to(
            out,
            format_args!(
                "<div class=\"choice\"><input type=\"radio\" id=\"f-{id}-other\" name=\"{id}.choice\" value=\"other\"{checked}>\n<label for=\"f-{id}-other\">{label}</label>\n<input type=\"{kind}\" name=\"{id}\" aria-label=\"{title}: {written}\" value=\"{}\"></div>\n</fieldset>\n",
                escaped(other.unwrap_or_default())
            ),
        );
    }

    /// Where a value comes from: the register, who keeps it, on what ground it was read, and of which day it is.
    fn write_origin(&self, said: &Said<'_>, out: &mut String) {
        let words = self.words;
        let (source, owner) = (escaped(words.text(&said.origin.source)), escaped(words.text(&said.origin.owner)));
        let ground = escaped(words.text(&said.origin.legal_ground));
        let columns = said.origin.columns.join(", ");
        let column = escaped(&columns);
        let pulled_on: Option<Date> = said.origin.pulled_on.parse().ok();
        let pulled = pulled_on.map(|day| words.day(day)).unwrap_or_default();
        out.push_str("<p>");
        match words.0 {
            Language::Vi => {
                write_to(out, format_args!("Nguồn: <b>{source}</b>, do {owner} quản lý; lấy ngày {pulled}."))
            }
            Language::En => write_to(out, format_args!("From: <b>{source}</b>, kept by {owner}; pulled on {pulled}.")),
        }
        if said.as_of != pulled_on {
            let of = said.as_of.map(|day| words.day(day)).unwrap_or_default();
            match words.0 {
                Language::Vi => write_to(out, format_args!(" Ghi nhận ngày {of}.")),
                Language::En => write_to(out, format_args!(" Entered on {of}.")),
            }
        }
        if said.is_stale {
            let old = words.pick("Dữ liệu đã cũ, xin xem kỹ.", "This is old: please look closely.");
            write_to(out, format_args!(" <strong class=\"stale\">{old}</strong>"));
        }
        out.push_str("</p>\n");
        let more = words.pick("Căn cứ và cột dữ liệu", "Legal ground and column");
        let title = escaped(words.text(&self.field().title));
        write_to(
            out,
            format_args!(
                "<details><summary>{more}<span class=\"unseen\">: {title}</span></summary><p>{ground}. <code>{column}</code></p></details>\n"
            ),
        );
    }
}
