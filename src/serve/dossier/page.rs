//! The page on which a dossier is reviewed, and those that say what became of it.

use jiff::civil::Date;

use super::super::page::escaped;
use super::confirmed::Way;
use super::field::FieldView;
use super::words::{Words, write_to};
use super::{Opened, POSTPONE_DAYS};
use crate::dossiers::{Answers, FieldFault, Shown, Standing};
use crate::language::Language;
use crate::pipeline::Agency;
use crate::pipeline::form::FieldKind;

/// What is added to the one style sheet for the form.
pub(in crate::serve) const STYLE: &str = "\
h2 { font-size: 1.25rem; line-height: 1.3; margin: 1.5rem 0 0.5rem; }
.field { border: 0; border-top: 1px solid #767676; margin: 0; padding: 1rem 0; min-width: 0; }
.field label, .field legend { font-weight: 700; padding: 0; }
.choice { margin: 0.75rem 0; }
.choice label { font-weight: 400; }
.field input[type=text], .field input[type=date], .field input[type=file], .field select, .later select { font: inherit; display: block; box-sizing: border-box; width: 100%; max-width: 100%; padding: 0.6rem; margin: 0.25rem 0; border: 2px solid #595959; border-radius: 0.25rem; color: inherit; background: transparent; }
.field select option, .later select option { color: #1a1a1a; background: #fff; }
input[type=radio], input[type=checkbox] { width: 1.5rem; height: 1.5rem; vertical-align: middle; margin: 0.25rem 0.5rem 0.25rem 0; }
.origin, .help { font-size: 1rem; margin: 0.25rem 0; overflow-wrap: anywhere; }
.origin p, .origin details { margin: 0.25rem 0; }
.optional { font-weight: 400; }
.conflict, .wrong { border-left: 0.4rem solid #8a3c00; padding-left: 0.75rem; }
.fault, .notice { border: 2px solid #8a3c00; padding: 0.75rem; border-radius: 0.25rem; }
.fault { font-weight: 700; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
input:focus-visible, input[type=date]:focus-within, select:focus-visible, summary:focus-visible, fieldset:focus-visible, .notice:focus-visible { outline: 3px solid #b35900; outline-offset: 2px; }
summary { cursor: pointer; padding: 0.25rem 0; }
@media (prefers-color-scheme: dark) {
  .field input[type=text], .field input[type=date], .field input[type=file], .field select, .later select { border-color: #b3b3b3; }
  .conflict, .wrong, .fault, .notice { border-color: #ffb380; }
}
";

/// A dossier that is reviewed.
pub(super) struct Review<'o> {
    opened: &'o Opened,
    shown: Vec<Shown<'o>>,
    language: Language,
    /// What the person answered a moment ago, where the page comes back.
    pub(super) answers: Option<Answers>,
    /// What is not sound in it.
    pub(super) faults: Vec<FieldFault>,
    /// The person did not say that they are sure of what they hand in.
    pub(super) is_unsure: bool,
    /// The person did not say that they are sure of refusing.
    pub(super) is_unsure_to_refuse: bool,
    /// Why the page is shown again.
    pub(super) again: Option<Again>,
    /// Where the dossier goes when it is confirmed.
    way: Option<Way>,
}

/// Why the page of a dossier is shown again, with nothing recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// What was shown is no longer what is prepared.
    Replaced,
    /// The form came back in pieces, or not as a form.
    Pieces,
    /// The person took a confirmation back.
    TakenBack,
}

impl Again {
    fn words(self, words: Words) -> &'static str {
        match self {
            Again::Replaced => words.pick(
                "Dữ liệu đã thay đổi từ khi trang này được mở. Xin xem lại một lần nữa; chưa có gì được ghi nhận.",
                "The data has changed since the page was opened. Please review it again; nothing has been recorded.",
            ),
            Again::Pieces => words.pick(
                "Biểu mẫu chưa đến đầy đủ. Xin điền và gửi lại một lần nữa; chưa có gì được ghi nhận.",
                "The form did not arrive whole. Please fill it in and send it once more; nothing has been recorded.",
            ),
            Again::TakenBack => words.pick(
                "Đã rút lại xác nhận. Không có gì được nộp cho đến khi ông/bà xác nhận lại.",
                "Your confirmation is taken back. Nothing is handed in until you confirm again.",
            ),
        }
    }
}

impl<'o> Review<'o> {
    pub(super) fn of(opened: &'o Opened, language: Language, today: Date) -> Self {
        Review {
            opened,
            shown: opened.prepared.shown(&opened.basis, today),
            language,
            answers: None,
            faults: Vec::new(),
            is_unsure: false,
            is_unsure_to_refuse: false,
            again: None,
            way: None,
        }
    }

    /// The same page, which says by when the dossier leaves.
    pub(super) fn by(self, way: Way) -> Self {
        Review { way: Some(way), ..self }
    }

    /// The whole page.
    pub(super) fn page(&self, agency: &Agency) -> String {
        let words = Words(self.language);
        let title = words.text(&self.opened.basis.title).to_owned();
        let mut out = String::with_capacity(16 << 10);
        let is_wrong = !self.faults.is_empty() || self.is_unsure || self.is_unsure_to_refuse;
        let heading = match is_wrong {
            true => words.say(&format!("Cần sửa: {title}"), &format!("To be corrected: {title}")),
            false => words.say(&format!("Hồ sơ đã chuẩn bị: {title}"), &format!("Prepared dossier: {title}")),
        };
        begin(&mut out, agency, words, &heading);
        self.write_notices(&mut out, words);
        self.write_introduction(&mut out, agency, words);
        self.write_form(&mut out, words);
        self.write_later(&mut out, words);
        self.write_refusal(&mut out, words);
        end(&mut out, agency, words, true);
        out
    }

    fn write_notices(&self, out: &mut String, words: Words) {
        if let Some(again) = self.again {
            let said = again.words(words);
            write_to(out, format_args!("<p class=\"notice\" role=\"alert\">{said}</p>\n"));
        }
        if self.faults.is_empty() && !self.is_unsure && !self.is_unsure_to_refuse {
            return;
        }
        let heading = words.say("Hồ sơ chưa được nộp. Xin xem:", "The dossier is not handed in yet. Please see to:");
        write_to(out, format_args!("<div class=\"notice\" role=\"alert\" id=\"faults\">\n<h2>{heading}</h2>\n<ul>\n"));
        for fault in &self.faults {
            let title = self.opened.basis.form.field(&fault.field).map_or("", |field| words.text(&field.title));
            let (id, why) = (&fault.field, words.unsound(fault.why));
            write_to(out, format_args!("<li><a href=\"#f-{id}\">{}</a>: {}</li>\n", escaped(title), escaped(&why)));
        }
        if self.is_unsure {
            let said = words.say("Xin đánh dấu rằng ông/bà đã xem lại", "Please tick that you have reviewed it");
            write_to(out, format_args!("<li><a href=\"#sure\">{said}</a></li>\n"));
        }
        if self.is_unsure_to_refuse {
            let said = words.say("Xin đánh dấu rằng ông/bà muốn từ chối", "Please tick that you want to refuse");
            write_to(out, format_args!("<li><a href=\"#sure-to-refuse\">{said}</a></li>\n"));
        }
        out.push_str("</ul>\n");
        let has_file = self.opened.basis.form.fields.iter().any(|field| field.kind == FieldKind::File);
        if has_file && !self.is_unsure_to_refuse {
            let said = words.say("Tệp đính kèm phải được chọn lại.", "Files have to be chosen again.");
            write_to(out, format_args!("<p>{said}</p>\n"));
        }
        out.push_str("</div>\n");
    }

    fn write_introduction(&self, out: &mut String, agency: &Agency, words: Words) {
        let (name, due) = (escaped(words.text(&agency.name)), words.day(self.opened.prepared.due_on));
        write_to(out, format_args!("<p>{}</p>\n", words.say(
            &format!("{name} đã chuẩn bị hồ sơ này từ dữ liệu mà cơ quan được phép dùng. Hạn thực hiện: ngày <b>{due}</b>."),
            &format!("{name} has prepared this dossier from data that it is authorised to use. It is due by <b>{due}</b>."),
        )));
        if let Some(year) = self.opened.prepared.assumed_year {
            write_to(out, format_args!("<p>{}</p>\n", words.say(
                &format!("Ngày này là tạm tính và còn có thể thay đổi: chưa có thông báo chính thức về ngày nghỉ lễ, tết năm {year}."),
                &format!("This date is provisional and may still move: the public holidays of {year} have not been decreed yet."),
            )));
        }
        write_to(out, format_args!("<p>{}</p>\n", words.say(
            "Xin xem lại từng mục, sửa chỗ chưa đúng và bổ sung chỗ còn thiếu. <b>Không có gì được nộp nếu ông/bà không quyết định.</b> Ông/bà có quyền từ chối mà không mất quyền lợi nào.",
            "Please review each value, correct what is wrong and add what is missing. <b>Nothing is handed in unless you decide so.</b> You may refuse, and lose no right by it.",
        )));
        if let Some(until) = self.opened.kept.until {
            let until = words.day(until);
            write_to(
                out,
                format_args!(
                    "<p>{}</p>\n",
                    words.say(
                        &format!("Ông/bà đã hẹn quyết định vào ngày {until}."),
                        &format!("You meant to decide on {until}."),
                    )
                ),
            );
        }
        let to_see = self.shown.iter().filter(|shown| {
            let is_asked = shown.standing == Standing::Missing && shown.field.is_required;
            is_asked || shown.standing == Standing::Conflict || shown.said.iter().any(|said| said.is_stale)
        });
        let to_see: Vec<&Shown<'_>> = to_see.collect();
        if to_see.is_empty() {
            return;
        }
        let heading = words.say("Cần ông/bà xem kỹ", "Please look closely at");
        write_to(out, format_args!("<h2>{heading}</h2>\n<ul>\n"));
        for shown in to_see {
            let why = match shown.standing {
                Standing::Conflict => words.say("các nguồn ghi khác nhau", "registers disagree"),
                Standing::Missing => words.say("còn thiếu", "missing"),
                Standing::Agreed => words.say("dữ liệu đã cũ", "the data is old"),
            };
            let (id, title) = (&shown.field.id, escaped(words.text(&shown.field.title)));
            write_to(out, format_args!("<li><a href=\"#f-{id}\">{title}</a>: {why}</li>\n"));
        }
        out.push_str("</ul>\n");
    }

    fn write_form(&self, out: &mut String, words: Words) {
        let heading = words.say("Nội dung hồ sơ", "What is in it");
        write_to(out, format_args!("<h2>{heading}</h2>\n"));
        self.write_opening(out, words);
        for shown in &self.shown {
            let fault = self.faults.iter().find(|fault| fault.field == shown.field.id).map(|fault| fault.why);
            let is_name = shown.field.id == self.opened.basis.form.name;
            let is_identity = shown.field.id == self.opened.basis.form.identity;
            FieldView { shown, words, answers: self.answers.as_ref(), fault, is_name, is_identity }.write(out);
        }
        let sure = words.say(
            "Tôi đã xem lại từng mục và đồng ý nộp hồ sơ này",
            "I have reviewed each value and want to hand in this dossier",
        );
        let confirm = words.say("Xác nhận và nộp hồ sơ", "Confirm and hand in");
        self.write_way(out, words);
        write_to(
            out,
            format_args!(
                "<div class=\"field{}\"><input type=\"checkbox\" id=\"sure\" name=\"sure\" value=\"yes\"><label for=\"sure\">{sure}</label></div>\n<button type=\"submit\" name=\"act\" value=\"confirm\">{confirm}</button>\n</form>\n",
                if self.is_unsure { " wrong" } else { "" }
            ),
        );
    }

    /// By when it leaves, and what counts on the last day.
    fn write_way(&self, out: &mut String, words: Words) {
        let Some(way) = self.way else { return };
        let (by, due_on) = (words.day(way.next_night), self.opened.prepared.due_on);
        let said = match way.is_portal {
            true => words.say(
                &format!("Hồ sơ được xác nhận hôm nay sẽ được chuyển lên Cổng dịch vụ công trong đợt chạy đêm kế tiếp, dự kiến ngày {by}."),
                &format!("What is confirmed today is handed in to the public service portal in the next night's run, expected on {by}."),
            ),
            false => words.say(
                "Hồ sơ được xác nhận sẽ do cán bộ in và chuyển đến nơi giải quyết.",
                "What is confirmed is printed by a clerk and taken to whoever decides.",
            ),
        };
        write_to(out, format_args!("<p>{said}</p>\n"));
        if way.next_night <= due_on {
            return;
        }
        let last = match way.is_portal {
            true => words.pick(
                "Xin lưu ý: hôm nay là ngày cuối, và hồ sơ chỉ đến Cổng sau thời hạn. Thời điểm ông/bà xác nhận được ghi trong hồ sơ là ngày nộp. Nếu cần chắc chắn nộp trong hôm nay, xin tự nộp trên Cổng dịch vụ công hoặc tại Trung tâm.",
                "Please note: confirmed today, it reaches the portal after the due day. The moment in which you confirm stands in it as the day of filing. To be sure that it is filed today, hand it in yourself on the public service portal or at the centre.",
            ),
            false => words.pick(
                "Xin lưu ý: hôm nay là ngày cuối. Nếu cần chắc chắn nộp trong hôm nay, xin tự nộp trên Cổng dịch vụ công hoặc tại Trung tâm.",
                "Please note: today is the last day. To be sure that it is filed today, hand it in yourself on the public service portal or at the centre.",
            ),
        };
        write_to(out, format_args!("<p class=\"notice\">{last}</p>\n"));
    }

    fn write_later(&self, out: &mut String, words: Words) {
        write_to(out, format_args!("<h2>{}</h2>\n", words.say("Để sau", "Later")));
        self.write_opening(out, words);
        let label = words.say("Quyết định sau", "Decide in");
        write_to(
            out,
            format_args!(
                "<div class=\"later\"><label for=\"days\">{label}</label>\n<select id=\"days\" name=\"days\">\n"
            ),
        );
        for days in POSTPONE_DAYS {
            let told = words.say(&format!("{days} ngày"), &format!("{days} days"));
            write_to(out, format_args!("<option value=\"{days}\">{told}</option>\n"));
        }
        let later = words.say("Để sau", "Postpone");
        write_to(
            out,
            format_args!(
                "</select></div>\n<button type=\"submit\" name=\"act\" value=\"postpone\" class=\"second\">{later}</button>\n</form>\n"
            ),
        );
    }

    fn write_refusal(&self, out: &mut String, words: Words) {
        write_to(out, format_args!("<h2>{}</h2>\n", words.say("Từ chối", "Refuse")));
        let said = words.say(
            "Nếu ông/bà từ chối, những gì đã chuẩn bị sẽ bị xóa. Nghĩa vụ và thời hạn không đổi; ông/bà tự nộp hồ sơ trên cổng dịch vụ công hoặc tại Trung tâm.",
            "If you refuse, what was prepared is erased. The duty and its day stay; you hand in a dossier of your own on the portal or at the centre.",
        );
        write_to(out, format_args!("<p>{said}</p>\n"));
        self.write_opening(out, words);
        let sure = words.say("Tôi muốn xóa hồ sơ đã chuẩn bị", "I want what was prepared to be erased");
        let refuse = words.say("Từ chối và xóa", "Refuse and erase");
        write_to(
            out,
            format_args!(
                "<div class=\"field\"><input type=\"checkbox\" id=\"sure-to-refuse\" name=\"sure\" value=\"yes\"><label for=\"sure-to-refuse\">{sure}</label></div>\n<button type=\"submit\" name=\"act\" value=\"decline\" class=\"second\">{refuse}</button>\n</form>\n"
            ),
        );
    }

    fn write_opening(&self, out: &mut String, words: Words) {
        let (tag, version) = (words.0.tag(), &self.opened.kept.version);
        // `autocomplete` of the form is left to the browser: whoever shares a machine clears its memory.
        write_to(
            out,
            format_args!(
                "<form method=\"post\" action=\"?lang={tag}\" enctype=\"multipart/form-data\" novalidate>\n<input type=\"hidden\" name=\"version\" value=\"{version}\">\n"
            ),
        );
    }
}

/// What became of a dossier.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// It waits.
    Postponed { until: Date },
    /// It is erased.
    Declined,
    /// It was refused before.
    DeclinedBefore,
    /// Its day went by.
    Expired,
    /// The ledger does not know it any more: it was restored.
    Unknown,
    /// This is no link of ours.
    NoLink,
    /// The form was not understood.
    NotUnderstood,
    /// It could not be written down now.
    NotWritten,
    /// It could not be shown now.
    NotShown,
    /// More was sent than is read.
    TooLarge,
}

impl Told {
    /// The whole page.
    pub(super) fn page(&self, agency: &Agency, language: Language) -> String {
        let words = Words(language);
        let (title, text) = self.words(words);
        let mut out = String::with_capacity(2048);
        begin(&mut out, agency, words, &title);
        write_to(&mut out, format_args!("<p>{}</p>\n", escaped(&text)));
        end(&mut out, agency, words, false);
        out
    }

    fn words(&self, words: Words) -> (String, String) {
        let say = |title: (&str, &str), text: (&str, &str)| (words.say(title.0, title.1), words.say(text.0, text.1));
        match self {
            Told::Postponed { until } => {
                let until = words.day(*until);
                (
                    words.say("Đã ghi nhận", "Recorded"),
                    words.say(
                        &format!(
                            "Hồ sơ được giữ lại. Cơ quan sẽ nhắc lại vào ngày {until}; ông/bà cũng có thể mở lại đường dẫn này bất cứ lúc nào trước hạn."
                        ),
                        &format!("The dossier is kept. The agency reminds you again on {until}; you can open this link again at any time until the due day."),
                    ),
                )
            }
            Told::Declined => say(
                ("Đã xóa hồ sơ đã chuẩn bị", "What was prepared is erased"),
                (
                    "Không có gì được nộp. Nghĩa vụ và thời hạn theo pháp luật không thay đổi.",
                    "Nothing is handed in. The duty and its day stay as the law says.",
                ),
            ),
            Told::DeclinedBefore => say(
                ("Hồ sơ đã bị từ chối trước đó", "The dossier was refused before"),
                (
                    "Những gì đã chuẩn bị đã được xóa; lần này không có gì được ghi nhận.",
                    "What was prepared is erased; nothing was recorded this time.",
                ),
            ),
            Told::Expired => say(
                ("Đường dẫn đã hết hạn", "This link has expired"),
                (
                    "Hồ sơ đã chuẩn bị không còn nữa. Hãy dùng đường dẫn trong tin nhắc gần nhất, hoặc liên hệ với cơ quan.",
                    "What was prepared is no longer there. Please use the link of your newest reminder, or contact the agency.",
                ),
            ),
            Told::Unknown => say(
                ("Đường dẫn này không còn dùng được", "This link no longer works"),
                (
                    "Cơ quan đã phải khôi phục dữ liệu từ bản sao lưu, nên hồ sơ chuẩn bị sẵn ở đây không còn. Nếu việc này chưa làm xong, cơ quan sẽ gửi thư mới có đường dẫn mới, thường trong một hoặc hai ngày. Nếu ông/bà đã xác nhận hồ sơ, quyết định đó được lưu riêng và sẽ được lấy lại trong đợt chạy đêm kế tiếp. Nếu sắp đến hạn, xin liên hệ với cơ quan hoặc tự nộp trên Cổng dịch vụ công hoặc tại Trung tâm.",
                    "The agency had to restore its data from a backup, and what was prepared here is gone. If this is not done yet, a new letter with a new link comes, usually within a day or two. If you had confirmed the dossier, that is kept apart and comes back with the next night's run. If the due day is near, please contact the agency, or hand it in yourself on the public service portal or at the centre.",
                ),
            ),
            Told::NoLink => say(
                ("Đường dẫn không đúng", "This link is not valid"),
                (
                    "Hãy mở lại nguyên đường dẫn trong tin nhắc, hoặc liên hệ với cơ quan.",
                    "Please open the whole link as it stands in the reminder, or contact the agency.",
                ),
            ),
            Told::NotUnderstood => say(
                ("Chưa rõ yêu cầu", "Your wish is not clear"),
                (
                    "Hãy mở lại đường dẫn trong tin nhắc và bấm một nút.",
                    "Please open the link in the reminder and press a button.",
                ),
            ),
            Told::NotShown => say(
                ("Chưa mở được hồ sơ", "The dossier cannot be shown now"),
                (
                    "Hệ thống đang gặp trục trặc. Hãy thử lại sau ít phút, hoặc liên hệ với cơ quan.",
                    "Something is wrong with the system. Please try again in a few minutes, or contact the agency.",
                ),
            ),
            Told::TooLarge => say(
                ("Tệp quá lớn", "The files are too large"),
                (
                    "Mỗi tệp không quá 5 MB, tất cả không quá 15 MB. Chưa có gì được ghi nhận; hãy quay lại và chọn tệp nhỏ hơn.",
                    "At most 5 MB each, and 15 MB together. Nothing has been recorded; please go back and choose smaller files.",
                ),
            ),
            Told::NotWritten => say(
                ("Chưa ghi nhận được", "Not recorded yet"),
                (
                    "Hệ thống đang bận nên quyết định của ông/bà CHƯA được ghi nhận. Hãy thử lại sau ít phút, hoặc liên hệ với cơ quan.",
                    "The system is busy and your decision has NOT been recorded. Please try again in a few minutes, or contact the agency.",
                ),
            ),
        }
    }
}

pub(super) fn begin(out: &mut String, agency: &Agency, words: Words, title: &str) {
    let (tag, title, agency) = (words.0.tag(), escaped(title), escaped(words.text(&agency.name)));
    write_to(
        out,
        format_args!(
            "<!DOCTYPE html>\n<html lang=\"{tag}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} – {agency}</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        ),
    );
}

pub(super) fn end(out: &mut String, agency: &Agency, words: Words, has_other_language: bool) {
    let (name, contact) = (escaped(words.text(&agency.name)), escaped(words.text(&agency.contact)));
    write_to(out, format_args!("</main>\n<footer>\n<p>{name}. {contact}.</p>\n"));
    if has_other_language {
        let (tag, label) = match words.0 {
            Language::Vi => ("en", "In English"),
            Language::En => ("vi", "Bằng tiếng Việt"),
        };
        write_to(out, format_args!("<p><a href=\"?lang={tag}\" lang=\"{tag}\" hreflang=\"{tag}\">{label}</a></p>\n"));
    }
    out.push_str("</footer>\n</body>\n</html>\n");
}
