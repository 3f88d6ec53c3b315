//! The page of a dossier that its person has confirmed: what was confirmed, how it stands, and the way back until it leaves.

use jiff::civil::Date;

use super::super::page::escaped;
use super::page::{begin, end};
use super::words::{Words, write_to};
use super::{Closed, Drawer, sealed_fault};
use crate::dossiers::{Basis, Confirmed, Reader, read_confirmed};
use crate::fault::Explain;
use crate::language::Language;
use crate::ledger::submissions::{Stage, Submission};
use crate::ledger::{KeptDossier, Ledger, Objection, WaitingDossier, confirmed_name};
use crate::personal::Personal;
use crate::pipeline::Agency;

/// A confirmed dossier, opened.
pub(super) struct Receipt {
    kept: KeptDossier,
    basis: Basis,
    pub(super) confirmed: Confirmed,
    stands: Stands,
}

/// How it stands on its way.
enum Stands {
    /// It has not left.
    Waits,
    /// It was printed, for whoever decides.
    Printed,
    /// It is leaving now.
    Leaves,
    /// A clerk looks at it first.
    Held(Option<Objection>),
    /// The portal did not take it; a clerk looks at it.
    Refused,
    /// A clerk withdrew it: nothing of it is handed in.
    Withdrawn,
    /// The portal has it.
    Filed(Box<Submission>),
}

/// Where dossiers go, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    /// Whether the portal takes them; otherwise the agency prints them.
    pub(super) is_portal: bool,
    /// The day of the next night.
    pub(super) next_night: Date,
}

/// What is to be said first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// Nothing.
    None,
    /// It is confirmed now, or by the same answers a moment ago.
    JustNow,
    /// Something else was decided now; the first decision stands.
    FirstStands,
    /// The person wanted it back, and it has left.
    HasLeft,
}

impl Receipt {
    /// Opens what was confirmed.
    pub(super) fn open(ledger: &Ledger, drawer: &Drawer, kept: KeptDossier) -> Result<Self, Closed> {
        let parts = ledger.confirmed_parts(&kept.dossier)?;
        let lost = || sealed_fault(ledger);
        let name = |place| confirmed_name(&kept.dossier, place);
        let (first, files) = parts.split_first().ok_or_else(lost)?;
        let text = drawer.key.open(&name(0), first).ok_or_else(lost)?;
        let opened = |(place, part): (usize, &Vec<u8>)| drawer.key.open_bytes(&name(place), part);
        let files: Option<Vec<Personal<Vec<u8>>>> = (1..).zip(files).map(opened).collect();
        let confirmed = read_confirmed(&text, files.ok_or_else(lost)?).map_err(|error| error.fault())?;
        let basis = ledger.dossier_basis(&kept.basis)?.unwrap_or_default();
        let basis = Basis::read(&basis).map_err(|error| error.fault())?;
        let stands = stands(ledger, &kept.dossier)?;
        Ok(Receipt { kept, basis, confirmed, stands })
    }

    /// Whether these are the same answers.
    pub(super) fn is_same(&self, other: &Confirmed) -> bool {
        let known = &self.confirmed;
        let values = |of: &Confirmed| -> Vec<(String, Personal<String>)> {
            of.fields.iter().map(|field| (field.id.clone(), field.value.clone())).collect()
        };
        let files = |of: &Confirmed| -> Vec<(String, String)> {
            of.attachments.iter().map(|file| (file.field.clone(), file.sha256.clone())).collect()
        };
        (values(known), files(known)) == (values(other), files(other))
    }

    /// The whole page.
    pub(super) fn page(&self, agency: &Agency, language: Language, way: Way, notice: Notice) -> String {
        let words = Words(language);
        let title = words.text(&self.basis.title);
        let mut out = String::with_capacity(8 << 10);
        let heading = words.say(&format!("Hồ sơ đã xác nhận: {title}"), &format!("The dossier is confirmed: {title}"));
        begin(&mut out, agency, words, &heading);
        if let Some(said) = notice.words(words) {
            write_to(&mut out, format_args!("<p class=\"notice\" role=\"alert\">{said}</p>\n"));
        }
        self.write_standing(&mut out, words, way);
        self.write_values(&mut out, words);
        if self.may_be_taken_back() {
            self.write_way_back(&mut out, words);
        }
        end(&mut out, agency, words, true);
        out
    }

    fn may_be_taken_back(&self) -> bool {
        matches!(self.stands, Stands::Waits | Stands::Held(_))
    }

    fn write_standing(&self, out: &mut String, words: Words, way: Way) {
        let by = words.day(way.next_night);
        let said = match &self.stands {
            Stands::Waits if way.is_portal => words.say(
                &format!("Cơ quan đã ghi nhận quyết định của ông/bà. Hồ sơ được chuyển lên Cổng dịch vụ công trong đợt chạy đêm kế tiếp, dự kiến ngày {by}. Thời điểm ông/bà xác nhận được ghi trong hồ sơ là ngày nộp."),
                &format!("Your decision is recorded. The dossier is handed in to the public service portal in the next night's run, expected on {by}. The moment in which you confirmed stands in it as the day of filing."),
            ),
            Stands::Waits => words.say(
                "Cơ quan đã ghi nhận quyết định của ông/bà. Cán bộ sẽ in hồ sơ và chuyển đến nơi giải quyết; hồ sơ chưa được chuyển đi.",
                "Your decision is recorded. A clerk prints the dossier and takes it to whoever decides; it has not left yet.",
            ),
            Stands::Printed => words.say(
                "Cán bộ đã in hồ sơ để chuyển đến nơi giải quyết.",
                "A clerk has printed the dossier and takes it to whoever decides.",
            ),
            Stands::Leaves => words.say(
                "Hồ sơ đang được chuyển lên Cổng dịch vụ công.",
                "The dossier is on its way to the public service portal.",
            ),
            Stands::Held(why) => held(words, *why),
            Stands::Refused => words.say(
                "Cổng dịch vụ công chưa nhận hồ sơ này; cán bộ đang xem xét. Để chắc chắn kịp hạn, xin liên hệ với cơ quan.",
                "The public service portal has not taken this dossier; a clerk is looking at it. To be sure of the due day, please contact the agency.",
            ),
            Stands::Withdrawn => words.say(
                "Cán bộ của cơ quan đã rút hồ sơ này, không có gì được nộp. Việc này nếu chưa làm thì vẫn phải làm đúng hạn; xin liên hệ với cơ quan.",
                "A clerk of the agency withdrew this dossier, and nothing is handed in. What it was for stays due if it is not done; please contact the agency.",
            ),
            Stands::Filed(filed) => {
                let number = escaped(filed.number.as_deref().unwrap_or_default()).into_owned();
                let on = filed.filed_on.map(|on| words.day(on)).unwrap_or_default();
                words.say(
                    &format!("Hồ sơ đã được nộp lên Cổng dịch vụ công, ngày nộp {on}, mã hồ sơ <b>{number}</b>."),
                    &format!("The dossier is at the public service portal, filed on {on}, number <b>{number}</b>."),
                )
            }
        };
        write_to(out, format_args!("<p>{said}</p>\n"));
        let reference = self.kept.dossier.get(..8).unwrap_or_default();
        let due = words.day(self.confirmed.due_on);
        let at = words.day(self.confirmed.confirmed_at.to_zoned(crate::calendar::vietnam()).date());
        let said = words.say(
            &format!("Xác nhận ngày {at}. Hạn thực hiện: ngày <b>{due}</b>. Số tra cứu: {reference}. Những chỗ ông/bà sửa được báo cho cơ quan quản lý dữ liệu gốc. Nếu không phải ông/bà đã xác nhận, xin liên hệ với cơ quan."),
            &format!("Confirmed on {at}. Due by <b>{due}</b>. Reference: {reference}. Whoever keeps the data that you corrected is told. If it was not you who confirmed, please contact the agency."),
        );
        write_to(out, format_args!("<p>{said}</p>\n"));
    }

    fn write_values(&self, out: &mut String, words: Words) {
        let heading = words.pick("Nội dung đã xác nhận", "What was confirmed");
        write_to(out, format_args!("<h2>{heading}</h2>\n<dl>\n"));
        let reader = Reader(Some(&self.basis.form));
        for field in &self.confirmed.fields {
            let title = reader.title(&field.id).map_or(field.title_vi.as_str(), |title| words.text(title));
            let value = reader.value(field);
            write_to(out, format_args!("<dt>{}</dt>\n<dd>{}</dd>\n", escaped(title), escaped(words.text(&value))));
        }
        for file in &self.confirmed.attachments {
            let title = reader.title(&file.field).map_or("", |title| words.text(title));
            write_to(out, format_args!("<dt>{}</dt>\n<dd>{}</dd>\n", escaped(title), escaped(file.name.reveal())));
        }
        out.push_str("</dl>\n");
    }

    fn write_way_back(&self, out: &mut String, words: Words) {
        let heading = words.pick("Rút lại", "Take it back");
        let said = words.pick(
            "Trước khi hồ sơ được chuyển đi, ông/bà có thể rút lại xác nhận để sửa, để sau hoặc từ chối. Khi đã rút lại, không có gì được nộp cho đến khi ông/bà xác nhận lại.",
            "Until the dossier leaves, you can take your confirmation back, to correct it, to postpone or to refuse. Nothing is handed in then until you confirm again.",
        );
        let button = words.pick("Rút lại xác nhận", "Take the confirmation back");
        let (tag, version) = (words.0.tag(), &self.kept.version);
        write_to(
            out,
            format_args!(
                "<h2>{heading}</h2>\n<p>{said}</p>\n<form method=\"post\" action=\"?lang={tag}\" enctype=\"multipart/form-data\">\n<input type=\"hidden\" name=\"version\" value=\"{version}\">\n<button type=\"submit\" name=\"act\" value=\"take_back\" class=\"second\">{button}</button>\n</form>\n"
            ),
        );
    }
}

impl Notice {
    fn words(self, words: Words) -> Option<&'static str> {
        match self {
            Notice::None => None,
            Notice::JustNow => Some(words.pick("Đã ghi nhận xác nhận của ông/bà.", "Your confirmation is recorded.")),
            Notice::FirstStands => Some(words.pick(
                "Hồ sơ đã được xác nhận trước đó, với nội dung dưới đây. Lần này không có gì được ghi nhận.",
                "The dossier was confirmed before, as it stands below. Nothing was recorded this time.",
            )),
            Notice::HasLeft => Some(words.pick(
                "Hồ sơ đã được chuyển đi nên không rút lại được ở đây. Xin liên hệ với cơ quan.",
                "The dossier has left, and cannot be taken back here. Please contact the agency.",
            )),
        }
    }
}

fn held(words: Words, why: Option<Objection>) -> String {
    let why = match why {
        Some(Objection::Fulfilled) => words.pick(
            "dữ liệu của cơ quan cho thấy nghĩa vụ này đã hoàn thành",
            "by the data of the agency this duty is done already",
        ),
        Some(Objection::Withdrawn) => words.pick(
            "dữ liệu của cơ quan không còn cho thấy nghĩa vụ này",
            "by the data of the agency there is no such duty any more",
        ),
        Some(Objection::Unsourced) => words.pick(
            "Cổng dịch vụ công không nhận được hồ sơ này qua mạng, cán bộ sẽ in và chuyển đi",
            "the public service portal cannot take it online, a clerk prints it and takes it on",
        ),
        // Nobody reads such a thing about themselves on a page.
        Some(Objection::Deceased) | None => {
            words.pick("dữ liệu cần được kiểm tra lại", "some data has to be checked first")
        }
    };
    words.say(
        &format!("Hồ sơ chưa được chuyển đi: {why}. Cán bộ sẽ xem xét. Nếu ông/bà vẫn cần nộp, xin liên hệ với cơ quan."),
        &format!("The dossier has not left: {why}. A clerk looks at it. If you still need it handed in, please contact the agency."),
    )
}

fn stands(ledger: &Ledger, dossier: &str) -> Result<Stands, Closed> {
    let Some(waiting) = ledger.waiting_dossier(dossier)? else {
        let filed = ledger.submission_of(dossier)?;
        return Ok(match filed {
            Some(one) if one.stage == Stage::Withdrawn => Stands::Withdrawn,
            Some(filed) => Stands::Filed(Box::new(filed)),
            None => Stands::Leaves,
        });
    };
    let WaitingDossier { stage, number, code, is_printed, .. } = &waiting;
    Ok(match stage {
        Some(Stage::Refused) => Stands::Refused,
        Some(Stage::Held) => Stands::Held(code.as_deref().and_then(Objection::from_word)),
        Some(Stage::Announced) => Stands::Leaves,
        _ if number.is_some() => Stands::Leaves,
        _ if *is_printed => Stands::Printed,
        _ => match waiting.objection() {
            Some(why) => Stands::Held(Some(why)),
            None => Stands::Waits,
        },
    })
}
